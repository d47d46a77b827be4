"""What a folder holds of the files that a lane asks for, with zip archives looked into."""

import contextlib
import functools
import hashlib
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tissuetrace.pipeline.archives import CHUNK_BYTES, open_archive, path_mistake
from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.machine import workers
from tissuetrace.pipeline.progress import progress

__all__ = [
    "Listing",
    "SourceFile",
    "file_chunks",
    "is_archive",
    "list_archive",
    "list_folder",
    "matches",
    "settle",
    "sha256_of",
    "walk",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file of a source.

    Args:
        path: relative, as it will lie below the fetched folder.
        bytes: its length.
        sha256: of its content.
        archive: relative path of the zip archive that holds it; empty for a loose file.
        url: where it is downloaded from; empty for a file on this machine.
    """

    path: str
    bytes: int
    sha256: str
    archive: str = ""
    url: str = ""

    @property
    def size(self) -> int:
        """Its length in bytes, as a path's `stat` calls it."""
        return self.bytes


@dataclass(slots=True)
class Listing:
    """What was found in a folder.

    Args:
        files: that match, sorted by path.
        ignored: number of other files, members of archives included.
        repeated: number of files left out because another has the same path and bytes.
        stamps: size and time of change (ns) of each loose file and archive that was read.
    """

    files: list[SourceFile] = field(default_factory=list)
    ignored: int = 0
    repeated: int = 0
    stamps: dict[str, tuple[int, int]] = field(default_factory=dict)


def list_folder(folder: Path, patterns: Sequence[str]) -> Listing:
    """Find and hash every file below a folder that matches, loose or in a zip archive.

    Args:
        folder: to search; links inside it that stay inside are followed for files only.
        patterns: globs relative to the folder or the archive, with `**` and `{a,b}`; a wildcard
            stands for no name that begins with a dot.

    Raises:
        InputError: a link points outside, an archive is refused, or two files with the same path
            differ.
    """
    loose, archives, ignored = walk(folder, patterns)
    listing = Listing(ignored=ignored)
    for path in [*loose, *archives]:
        found = (folder / path).stat()
        listing.stamps[path] = (found.st_size, found.st_mtime_ns)
    with ThreadPoolExecutor(workers()) as pool:  # hashlib lets go of the interpreter's lock
        hashed = pool.map(lambda path: _loose_file(folder, path), loose)
        files = list(progress(hashed, title="hashing files", total=len(loose)))
    for path in archives:
        members, others = list_archive(folder / path, name=path, patterns=patterns)
        files += members
        listing.ignored += others
    listing.files = settle(files)
    listing.repeated = len(files) - len(listing.files)
    return listing


def list_archive(path: Path, *, name: str, patterns: Sequence[str]) -> tuple[list[SourceFile], int]:
    """Hash the members of a zip archive that match; return them and the number of the others."""
    with open_archive(path, name=name, wanted=lambda member: matches(member, patterns)) as archive:
        wanted = [member for member in archive.members if matches(member.path, patterns)]
        with ThreadPoolExecutor(workers()) as pool:
            hashes = pool.map(lambda member: sha256_of(archive.chunks(member)), wanted)
            found = list(progress(hashes, title=f"hashing {name}", total=len(wanted)))
        files = [
            SourceFile(path=member.path, bytes=member.size, sha256=sha256, archive=name)
            for member, sha256 in zip(wanted, found, strict=True)
        ]
        return files, len(archive.members) - len(wanted)


def walk(folder: Path, patterns: Sequence[str]) -> tuple[list[str], list[str], int]:
    """Return the loose files that match, the zip archives, and the number of other files.

    Raises:
        InputError: the folder cannot be read, or lists every link that points outside and every
            path that is refused.
    """
    loose: list[str] = []
    archives: list[str] = []
    mistakes, ignored = [], 0
    home = folder.resolve()
    for path, kind in _entries(folder):
        is_wanted = kind != "folder" and (matches(path, patterns) or is_archive(path))
        if kind == "file" and not is_wanted:
            ignored += 1
        elif mistake := _entry_mistake(folder, home, path):
            if is_wanted or kind == "folder":
                mistakes.append(f"{path}: {mistake}")
        elif is_wanted:
            (archives if is_archive(path) else loose).append(path)
    if mistakes:
        raise InputError(
            f"{len(mistakes)} files are refused",
            where=str(folder),
            todo="Copy what they stand for into the folder, or take them away",
            items=sorted(mistakes)[:20],
        )
    return sorted(loose), sorted(archives), ignored


def settle(files: Iterable[SourceFile]) -> list[SourceFile]:
    """Keep one file for each path, a loose one before one in an archive, sorted by path.

    Raises:
        InputError: lists the paths that come with different bytes, that differ by case only, or
            that are a file here and a folder there.
    """
    kept: dict[str, SourceFile] = {}
    folded: dict[str, str] = {}
    mistakes = []
    for file in sorted(files, key=lambda file: (file.path, file.archive)):
        first = kept.setdefault(file.path, file)
        if first.sha256 != file.sha256:
            mistakes.append(f"{file.path}: other bytes in {_home(first)} than in {_home(file)}")
        other = folded.setdefault(_folded(file.path), file.path)
        if other != file.path:
            mistakes.append(f"{other} and {file.path}: differ by upper and lower case only")
    folders = {str(parent) for path in kept for parent in PurePosixPath(path).parents}
    mistakes += [f"{path}: a file here, a folder there" for path in kept if path in folders]
    if mistakes:
        raise InputError(
            f"{len(mistakes)} paths are taken twice",
            where="source",
            todo="Keep the right one of each and take the other away",
            items=mistakes[:20],
        )
    return list(kept.values())


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Say whether a relative path matches one of the globs."""
    return any(_compiled(pattern).fullmatch(path) for pattern in patterns)


def is_archive(path: str) -> bool:
    """Say whether a file is a zip archive by its name."""
    return path.lower().endswith(".zip")


def sha256_of(chunks: Iterable[bytes]) -> str:
    """Return the SHA-256 of a stream of bytes, in hexadecimal."""
    found = hashlib.sha256()
    for chunk in chunks:
        found.update(chunk)
    return found.hexdigest()


def file_chunks(path: Path) -> Iterator[bytes]:
    """Read a file piece by piece.

    Raises:
        InputError: it is absent or cannot be read.
    """
    with _legible(path):
        file = path.open("rb")
    with file:
        while True:
            with _legible(path):
                chunk = file.read(CHUNK_BYTES)
            if not chunk:
                return
            yield chunk


def _loose_file(folder: Path, path: str) -> SourceFile:
    size = 0
    found = hashlib.sha256()
    for chunk in file_chunks(folder / path):
        size += len(chunk)
        found.update(chunk)
    return SourceFile(path=path, bytes=size, sha256=found.hexdigest())


def _entries(folder: Path) -> Iterator[tuple[str, str]]:
    for home, folders, names in os.walk(folder, onerror=_refuse_folder):
        base = Path(home).relative_to(folder)
        for name in folders:
            if (Path(home) / name).is_symlink():
                yield (base / name).as_posix(), "folder"
        for name in names:
            yield (base / name).as_posix(), "file"


def _refuse_folder(problem: OSError) -> None:
    raise InputError(f"cannot be read ({problem.strerror})", where=str(problem.filename))


def _entry_mistake(folder: Path, home: Path, path: str) -> str | None:
    entry = folder / path
    if entry.is_symlink() and not entry.exists():
        return "a link to nothing"
    if not entry.resolve().is_relative_to(home):
        return "a link that points outside"
    if entry.is_dir():
        return None  # a link to a folder inside, whose files are found at their own place
    return path_mistake(path) if entry.is_file() else "no plain file"


@contextlib.contextmanager
def _legible(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise InputError(f"cannot be read ({problem.strerror})", where=str(path)) from problem


def _home(file: SourceFile) -> str:
    return file.archive or "the folder"


def _folded(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


@functools.cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("|".join(_as_regex(one) for one in _without_braces(pattern)))


def _without_braces(pattern: str) -> list[str]:
    found = re.search(r"\{([^{}]*)\}", pattern)
    if found is None:
        return [pattern]
    before, after = pattern[: found.start()], pattern[found.end() :]
    return [
        whole
        for choice in found[1].split(",")
        for whole in _without_braces(f"{before}{choice}{after}")
    ]


def _as_regex(pattern: str) -> str:
    *folders, name = pattern.split("/")
    parts = [r"(?:[^/.][^/]*/)*" if part == "**" else _part(part) + "/" for part in folders]
    return "".join([*parts, _part(name)])


def _part(part: str) -> str:
    wildcards: dict[str, str] = {"*": "[^/]*", "?": "[^/]"}
    hidden = r"(?!\.)" if part[:1] in wildcards else ""  # as a shell has it, and ._ of a Mac
    return hidden + "".join(wildcards.get(letter, re.escape(letter)) for letter in part)
