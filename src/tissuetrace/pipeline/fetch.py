"""Bring a source's files in, byte by byte as they are, and list them with their checksums."""

import contextlib
import errno
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from tissuetrace.pipeline.copying import copy_all
from tissuetrace.pipeline.download import download
from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import write_json, write_table
from tissuetrace.pipeline.hashing import files_below
from tissuetrace.pipeline.listings import (
    SourceFile,
    file_chunks,
    is_archive,
    list_archive,
    settle,
    sha256_of,
)
from tissuetrace.pipeline.progress import progress
from tissuetrace.pipeline.source_files import Local, Source, locate

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DOWNLOADS", "MANIFEST_COLUMNS", "fetch_source", "referenced_folder"]

DOWNLOADS = Path(".cache/downloads")
MANIFEST_COLUMNS = {
    "path": "string: below the folder of files, as the source names it",
    "bytes": "int64: length of the file",
    "sha256": "string: of the file",
    "archive": "string: the zip archive it came from, empty for a loose file",
}

_SHOWN = 20
_SMALL_BYTES = 16 << 20  # such downloads run side by side
_AT_ONCE = 4
_FULL = {errno.ENOSPC, errno.EDQUOT}


def fetch_source(
    source: Path,
    *,
    images: Path,
    manifest: Path,
    origin: Path,
    phantom: Callable[[Path], "pd.DataFrame"],
    facts: Mapping[str, object],
    downloads: Path = DOWNLOADS,
) -> "pd.DataFrame | None":
    """Write a source's files, a table of them and a note of where they came from.

    Args:
        source: `sources/<study>.json`.
        images: folder to make; empty afterwards where the source is a reference.
        manifest: parquet table to write, columns as in `MANIFEST_COLUMNS`, sorted by path.
        origin: JSON to write: `kind`, `licence`, `doi`, number of `files` and `bytes`, `ignored`,
            `reference`, and the `facts`.
        phantom: draws the files below a folder and returns the truth; for a source that is one.
        facts: what is known of a phantom; nothing is known of any other source.
        downloads: outlives a failure, so that a download goes on where it broke off.

    Returns:
        The truth of a phantom, nothing for any other source.

    Raises:
        InputError: a file is not what the source lists, or is refused, or the disk is full. None
            of the three outputs is left then.
    """
    if images.exists():
        raise ValueError(f"{images} exists, and fetch writes into new folders only")
    described, local = locate(source)
    kept = downloads / source.stem
    truth = None
    with _nothing_left((images, manifest, origin)), _disk_errors(images.parent):
        images.mkdir(parents=True)
        if described.kind == "phantom":
            truth = phantom(images)
            files = _drawn(images)
        else:
            files = _brought(source, described, local, images=images, kept=kept)
        write_table(_table(files), manifest)
        write_json(_origin(described, files, facts if truth is not None else {}), origin)
    shutil.rmtree(kept, ignore_errors=True)
    return truth


def referenced_folder(source: Path, images: Path) -> Path:
    """Return the folder that the manifest's paths are relative to.

    That is the fetched folder, but the source's own where the files stay there by reference.
    """
    described, local = locate(source)
    return Path(local.folder) if described.reference else images


def _drawn(images: Path) -> list[SourceFile]:
    return [
        SourceFile(
            path=path.relative_to(images).as_posix(),
            bytes=path.stat().st_size,
            sha256=sha256_of(file_chunks(path)),
        )
        for path in files_below(images)
    ]


def _brought(
    source: Path, described: Source, local: Local, *, images: Path, kept: Path
) -> list[SourceFile]:
    if described.kind == "manifest":
        places = _places(described, local, kept)
        files = _unpacked(described, places)
    else:
        folder = Path(local.folder)
        files = list(described.files)
        places = {name: folder / name for file in files for name in [file.archive or file.path]}
        _check_inside(folder, places, source)
    target = None if described.reference else images
    if target is not None:
        _check_room(images, sum(file.bytes for file in files))
    mistakes = copy_all(files, places, target)
    if mistakes:
        raise _changed(source, described, mistakes, len(files))
    return files


def _places(described: Source, local: Local, kept: Path) -> dict[str, Path]:
    places = {path: Path(place) for path, place in local.places.items()}
    lost = [file.path for file in described.files if not file.url and file.path not in places]
    if lost:
        raise InputError(
            f"nobody knows where {len(lost)} files of the manifest lie on this machine",
            where="fetch",
            todo="Run tissuetrace source again with the manifest",
            items=lost[:_SHOWN],
        )
    remote = {file.sha256: file for file in described.files if file.url}  # equal bytes once
    _check_room(kept, sum(file.bytes for file in remote.values()))
    small = [file for file in remote.values() if file.bytes <= _SMALL_BYTES]
    mistakes: list[str] = []

    def bring(file: SourceFile) -> None:
        if len(mistakes) < _SHOWN:  # a server that is down needs no more proof
            try:
                download(file.url, kept, sha256=file.sha256, size=file.bytes, bar="hidden")
            except InputError as problem:
                mistakes.append(str(problem))

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(progress(pool.map(bring, small), title="downloading", total=len(small)))
    if mistakes:
        raise InputError(
            f"{len(mistakes)} downloads failed", where="fetch", items=sorted(mistakes)[:_SHOWN]
        )
    for file in remote.values():
        if file.bytes > _SMALL_BYTES:
            download(file.url, kept, sha256=file.sha256, size=file.bytes)
    return places | {file.path: kept / file.sha256 for file in described.files if file.url}


def _unpacked(described: Source, places: Mapping[str, Path]) -> list[SourceFile]:
    """Put the members of a manifest's archives, once these are checked, in their places."""
    files = [file for file in described.files if not is_archive(file.path)]
    mistakes = []
    for archive in described.files:
        if not is_archive(archive.path):
            continue
        if sha256_of(file_chunks(places[archive.path])) != archive.sha256:
            mistakes.append(f"{archive.path}: its checksum is not that of the manifest")
            continue
        name, patterns = archive.path, described.patterns
        files += list_archive(places[name], name=name, patterns=patterns)[0]
    if mistakes:
        raise InputError("archives changed", where="fetch", items=mistakes)
    return settle(files)


def _check_inside(folder: Path, places: Mapping[str, Path], source: Path) -> None:
    if not folder.is_dir():
        raise InputError(
            "the folder of the source is gone",
            where=str(folder),
            todo=f"Mount it, or run tissuetrace source {source.stem} FOLDER",
        )
    home = folder.resolve()
    mistakes = [
        f"{name}: a link that points outside"
        for name, place in places.items()
        if not place.resolve().is_relative_to(home)
    ]
    if mistakes:
        raise InputError(
            f"{len(mistakes)} files are refused", where=str(folder), items=mistakes[:_SHOWN]
        )


def _check_room(folder: Path, needed: int) -> None:
    home = next(parent for parent in [folder, *folder.absolute().parents] if parent.exists())
    free = shutil.disk_usage(home).free
    if needed > free:
        raise InputError(
            f"disk full: {needed} bytes are needed, {free} are free",
            where=str(folder),
            todo="Free some, or keep the project on a larger disk",
        )


def _changed(source: Path, described: Source, mistakes: Sequence[str], count: int) -> InputError:
    of_folder = f"Run tissuetrace source {source.stem} again if the change is meant"
    return InputError(
        f"{len(mistakes)} of {count} files are not what {source.name} lists",
        where="fetch",
        todo=of_folder if described.kind == "directory" else "Correct the manifest or the files",
        items=[*sorted(mistakes)[:_SHOWN], *_rest(len(mistakes) - _SHOWN)],
    )


def _rest(count: int) -> list[str]:
    return [f"and {count} more"] if count > 0 else []


def _table(files: Sequence[SourceFile]) -> "pd.DataFrame":
    import pandas as pd

    rows = sorted(files, key=lambda file: file.path)
    table = pd.DataFrame(
        {name: [getattr(file, name) for file in rows] for name in MANIFEST_COLUMNS}
    )
    return table.astype({"path": "str", "bytes": "int64", "sha256": "str", "archive": "str"})


def _origin(
    described: Source, files: Sequence[SourceFile], facts: Mapping[str, object]
) -> dict[str, object]:
    return {
        "kind": described.kind,
        "licence": described.licence,
        "doi": described.doi,
        "files": len(files),
        "bytes": sum(file.bytes for file in files),
        "ignored": described.ignored,
        "reference": described.reference,
        "facts": dict(facts),
    }


@contextlib.contextmanager
def _nothing_left(outputs: Iterable[Path]) -> Iterator[None]:
    try:
        yield
    except BaseException:
        for path in outputs:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        where = str(problem.filename or folder)
        if problem.errno in _FULL:
            todo = "Free some space and run it again; downloads go on where they are"
            raise InputError("disk full", where=where, todo=todo) from problem
        reason = problem.strerror or str(problem)
        raise InputError(
            f"cannot be written ({reason})", where=where, todo="Correct the folder's permissions"
        ) from problem
