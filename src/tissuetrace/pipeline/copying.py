"""Copying many files and members of archives at once, each checked as it passes."""

import contextlib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tissuetrace.pipeline.archives import Archive, Member, open_archive
from tissuetrace.pipeline.listings import SourceFile, file_chunks
from tissuetrace.pipeline.machine import workers
from tissuetrace.pipeline.progress import progress

__all__ = ["copy_all"]


def copy_all(
    files: Sequence[SourceFile],
    places: Mapping[str, Path],
    target: Path | None,
) -> list[str]:
    """Copy files and check length and SHA-256 of each.

    Args:
        files: to copy.
        places: of each loose file and archive, by its path.
        target: folder to copy into; without it the files are read and checked only.

    Returns:
        One line for each file that is not what it should be.

    Raises:
        InputError: an archive is refused.
        OSError: the target cannot be written.
    """
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(workers()) as pool:
        contents = _Contents(places, _open_archives(files, places, stack))
        done = pool.map(lambda file: _copy(file, contents, target), files)
        found = list(progress(done, title="fetching files", total=len(files)))
    return [mistake for mistake in found if mistake]


@dataclass(frozen=True, slots=True)
class _Contents:
    """The bytes of every file, wherever they lie."""

    places: Mapping[str, Path]
    archives: Mapping[str, tuple[Archive, Mapping[str, Member]]]

    def chunks(self, file: SourceFile) -> Iterable[bytes] | None:
        """Return the bytes, or nothing where the file has vanished."""
        if file.archive:
            archive, members = self.archives.get(file.archive, (None, {}))
            member = members.get(file.path)
            return archive.chunks(member) if archive is not None and member is not None else None
        place = self.places[file.path]
        return file_chunks(place) if place.is_file() else None


def _open_archives(
    files: Sequence[SourceFile], places: Mapping[str, Path], stack: contextlib.ExitStack
) -> dict[str, tuple[Archive, Mapping[str, Member]]]:
    wanted: dict[str, set[str]] = {}
    for file in files:
        if file.archive:
            wanted.setdefault(file.archive, set()).add(file.path)
    opened: dict[str, tuple[Archive, Mapping[str, Member]]] = {}
    for name, paths in wanted.items():
        if places[name].is_file():
            archive = stack.enter_context(
                open_archive(places[name], name=name, wanted=paths.__contains__)
            )
            opened[name] = (archive, {member.path: member for member in archive.members})
    return opened


def _copy(file: SourceFile, contents: _Contents, target: Path | None) -> str | None:
    name = f"{file.archive}!{file.path}" if file.archive else file.path
    chunks = contents.chunks(file)
    if chunks is None:
        return f"{name}: vanished"
    size, sha256 = 0, hashlib.sha256()
    with contextlib.nullcontext() if target is None else _new_file(target / file.path) as copy:
        for chunk in chunks:
            size += len(chunk)
            if size > file.bytes:
                return f"{name}: found more than {file.bytes} bytes"
            sha256.update(chunk)
            if copy is not None:
                copy.write(chunk)
    if size != file.bytes:
        return f"{name}: found {size} bytes, expected {file.bytes}"
    if sha256.hexdigest() != file.sha256:
        return f"{name}: checksum found {sha256.hexdigest()}, expected {file.sha256}"
    return None


def _new_file(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("xb")
