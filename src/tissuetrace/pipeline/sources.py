"""Saying what a lane is fed with, and noticing when that has changed since."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import write_json
from tissuetrace.pipeline.listings import (
    Listing,
    SourceFile,
    file_chunks,
    is_archive,
    list_archive,
    list_folder,
    sha256_of,
    walk,
)
from tissuetrace.pipeline.manifests import read_manifest
from tissuetrace.pipeline.source_files import (
    Kind,
    Local,
    Names,
    Source,
    local_path,
    locate,
    names_sha256,
    read_source,
    source_path,
    write_source,
)

__all__ = ["describe_source", "drift", "read_source", "set_source"]


def set_source(
    study: str,
    where: str,
    patterns: Sequence[str],
    root: Path,
    *,
    names: Names = "plain",
    reference: bool = False,
    licence: str = "",
    doi: str = "",
) -> list[str]:
    """Describe a source, write both its parts, and return a summary to print, as lines.

    Args:
        study: its name.
        where: `phantom`, a folder, or a manifest (.json or .csv).
        patterns: which files of a folder or an archive the lane reads.
        root: of the project.
        names: whether the committed part may show the names of files.
        reference: leave the files where they are.
        licence: of the data.
        doi: of the data.

    Raises:
        InputError: as `describe_source`; nothing is written then.
    """
    source, local = describe_source(
        study, where, patterns, names=names, reference=reference, licence=licence, doi=doi
    )
    target = source_path(study, root)
    aside = local_path(target)
    if local is None:
        aside.unlink(missing_ok=True)
    else:
        partial = aside.with_suffix(".partial")
        write_json(asdict(local), partial)
        partial.replace(aside)
    write_source(source, target)
    return _summary(study, where, source)


def describe_source(
    study: str,
    where: str,
    patterns: Sequence[str],
    *,
    names: Names = "plain",
    reference: bool = False,
    licence: str = "",
    doi: str = "",
) -> tuple[Source, Local | None]:
    """Read what a source holds; the arguments are those of `set_source`.

    Returns:
        The part to commit, and the part that stays on this machine (none for a phantom).

    Raises:
        InputError: there is nothing of the kind, no file matches, or one of them is refused.
    """
    if where == "phantom":
        return Source(kind="phantom", licence=licence, doi=doi), None
    place = Path(where).expanduser().resolve()
    listing, local, kind = _read(place, patterns)
    if not listing.files:
        raise InputError(
            f"none of {listing.ignored} files matches {', '.join(patterns)}",
            where=where,
            todo=f"Name the folder that holds the images: tissuetrace source {study} FOLDER",
        )
    if reference:
        _check_reference(listing.files, local, where)
    source = Source(
        kind=kind,
        files=tuple(listing.files),
        licence=licence,
        doi=doi,
        reference=reference,
        patterns=tuple(patterns),
        ignored=listing.ignored,
        repeated=listing.repeated,
    )
    return _hide_names(source, local) if names == "checksums" else (source, local)


def drift(study: str, root: Path) -> list[str]:
    """Say which files changed, vanished or appeared since the source was described.

    Files whose size and time of change are as before are not read again.

    Returns:
        One line for each, `path: what happened`; none where all is as it was.

    Raises:
        InputError: the source is absent, or this machine does not know where the files lie.
    """
    source, local = locate(source_path(study, root))
    folder = Path(local.folder)
    if source.kind == "phantom" or not local.folder:
        return []
    if source.kind == "manifest":
        places = {path: Path(place) for path, place in local.places.items()}
        return [
            line for path, place in places.items() for line in _drifted(path, place, source, local)
        ]
    if not folder.is_dir():
        return [f"{folder}: vanished"]
    loose, archives, _ = walk(folder, source.patterns)
    appeared = sorted({*loose, *archives} - set(local.stamps))
    known = [line for path in local.stamps for line in _drifted(path, folder / path, source, local)]
    return [*known, *(f"{path}: appeared" for path in appeared)]


def _drifted(path: str, place: Path, source: Source, local: Local) -> list[str]:
    if not place.is_file():
        return [f"{path}: vanished"]
    found = place.stat()
    if (found.st_size, found.st_mtime_ns) == tuple(local.stamps.get(path, ())):
        return []
    if is_archive(path) and source.kind == "directory":
        return _drifted_archive(path, place, source)
    expected = next((file.sha256 for file in source.files if file.path == path), None)
    return [] if sha256_of(file_chunks(place)) == expected else [f"{path}: changed"]


def _drifted_archive(path: str, place: Path, source: Source) -> list[str]:
    # a member may stand in the list as the loose file that it repeats
    expected = {file.path: file.sha256 for file in source.files}
    found = {
        member.path: member.sha256
        for member in list_archive(place, name=path, patterns=source.patterns)[0]
    }
    gone = {file.path for file in source.files if file.archive == path} - set(found)
    lines = dict.fromkeys(gone, "vanished")
    for name, sha256 in found.items():
        if name not in expected:
            lines[name] = "appeared"
        elif sha256 != expected[name]:
            lines[name] = "changed"
    return [f"{path}!{name}: {what}" for name, what in sorted(lines.items())]


def _read(place: Path, patterns: Sequence[str]) -> tuple[Listing, Local, Kind]:
    if place.is_dir():
        listing = list_folder(place, patterns)
        return listing, Local(folder=str(place), stamps=listing.stamps), "directory"
    if place.is_file() and place.suffix.lower() in {".json", ".csv"}:
        listing, places = read_manifest(place, patterns)
        return listing, Local(folder=str(place.parent), places=places), "manifest"
    found = f"a {place.suffix} file" if place.is_file() else "nothing there"
    raise InputError(
        f"found {found}, expected phantom, a folder or a manifest (.json, .csv)",
        where=str(place),
        todo="A single archive is read when you name the folder it lies in",
    )


def _check_reference(files: Sequence[SourceFile], local: Local, where: str) -> None:
    away = [
        file.path
        for file in files
        if file.archive or file.url or is_archive(file.path) or _is_renamed(file.path, local)
    ]
    if away:
        raise InputError(
            f"{len(away)} files in archives, on a server or under another path are no reference",
            where=where,
            todo="Unpack or download them, or leave reference out, so that they are copied",
            items=away[:20],
        )


def _is_renamed(path: str, local: Local) -> bool:
    return path in local.places and Path(local.places[path]) != Path(local.folder) / path


def _hide_names(source: Source, local: Local) -> tuple[Source, Local]:
    hidden = sorted(
        (
            SourceFile(path=file.sha256, bytes=file.bytes, sha256=file.sha256)
            for file in source.files
        ),
        key=lambda file: file.path,
    )
    return (
        replace(
            source,
            files=tuple(hidden),
            names="checksums",
            names_sha256=names_sha256(source.files),
        ),
        replace(local, files=source.files),
    )


def _summary(study: str, where: str, source: Source) -> list[str]:
    archives = {file.archive for file in source.files if file.archive}
    packed = sum(1 for file in source.files if file.archive)
    size = sum(file.bytes for file in source.files)
    lines = [f"{study} is fed by {where if source.kind == 'phantom' else f'{source.kind} {where}'}"]
    if source.kind != "phantom":
        lines += [
            f"  {len(source.files)} files, {size / 1e6:.1f} MB"
            + (f"; {packed} of them in {len(archives)} archives" if archives else ""),
            f"  {source.ignored} other files ignored, {source.repeated} repeated ones left out",
        ]
    lines.append(f"  wrote sources/{study}.json: commit it, then run tissuetrace repro {study}")
    return lines
