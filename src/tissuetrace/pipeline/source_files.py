"""The record of what a lane was fed: a committed part, and a part that stays on this machine.

`sources/<study>.json` is in git and `fetch` depends on it; the folder on this machine stands in
`sources/local/<study>.json`, which git ignores.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from tissuetrace.pipeline.archives import path_mistake
from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import read_json
from tissuetrace.pipeline.hashing import sha256_of_bytes
from tissuetrace.pipeline.listings import SourceFile

__all__ = [
    "Kind",
    "Local",
    "Names",
    "Source",
    "local_path",
    "locate",
    "names_sha256",
    "read_source",
    "source_path",
    "write_source",
]

Kind = Literal["phantom", "directory", "manifest"]
Names = Literal["plain", "checksums"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What a lane was last fed.

    Args:
        kind: a phantom is drawn, a directory or the files of a manifest are copied.
        files: sorted by path; none for a phantom.
        licence: of the data, as its publisher names it.
        doi: of the data, without a resolver's address.
        reference: the files stay where they are and are only checked.
        names: `checksums` keeps names out of git, where they may identify a patient: a file is
            then called by its own SHA-256, and the names stand in the local part.
        names_sha256: over all names, so that renaming is noticed although they are not shown.
        patterns: by which a directory and the archives were read.
        ignored: number of other files.
        repeated: number of files left out because another has the same path and bytes.
    """

    kind: Kind
    files: tuple[SourceFile, ...] = ()
    licence: str = ""
    doi: str = ""
    reference: bool = False
    names: Names = "plain"
    names_sha256: str = ""
    patterns: tuple[str, ...] = ()
    ignored: int = 0
    repeated: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """What git must not know of a source.

    Args:
        folder: absolute, of a directory; of a manifest the folder it lies in.
        places: absolute path of each file of a manifest that is on this machine.
        stamps: size and time of change (ns) of what was read, by path.
        files: with their true names, where the committed list has checksums.
    """

    folder: str
    places: dict[str, str] = field(default_factory=dict)
    stamps: dict[str, tuple[int, int]] = field(default_factory=dict)
    files: tuple[SourceFile, ...] = ()


def source_path(study: str, root: Path) -> Path:
    """Return where the committed part of a study's source lies."""
    return root / "sources" / f"{study}.json"


def local_path(source: Path) -> Path:
    """Return where the part of a source that git ignores lies."""
    return source.parent / "local" / source.name


def read_source(path: Path) -> Source:
    """Read the committed part of a source.

    Raises:
        InputError: it is absent, or no source that `tissuetrace source` has written.
    """
    todo = f"Run tissuetrace source {path.stem} phantom|FOLDER|MANIFEST"
    if not path.exists():
        raise InputError("not found", where=str(path), todo=todo)
    source: Source = _from_json(Source, read_json(path), path, todo)
    mistakes = [
        f"{file.path!r} {mistake}"
        for file in source.files
        for mistake in [path_mistake(file.path), file.archive and path_mistake(file.archive)]
        if mistake
    ]
    if mistakes:
        raise InputError(
            f"{len(mistakes)} paths are refused", where=str(path), todo=todo, items=mistakes[:20]
        )
    return source


def write_source(source: Source, path: Path) -> None:
    """Write the committed part: JSON with one line for each file, for a readable diff."""
    content = asdict(source)
    files = [
        json.dumps({key: value for key, value in file.items() if value != ""}, ensure_ascii=False)
        for file in content.pop("files")
    ]
    head = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
    lines = ",\n    ".join(files)
    listed = f"[\n    {lines}\n  ]" if files else "[]"
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".partial")
    aside.write_text(f'{head[:-2]},\n  "files": {listed}\n}}\n', encoding="utf-8")
    aside.replace(path)


def locate(path: Path) -> tuple[Source, Local]:
    """Read a source with its true names, and where its files lie on this machine.

    Args:
        path: of the committed part.

    Raises:
        InputError: this machine does not know where, or the two parts do not fit.
    """
    source = read_source(path)
    aside = local_path(path)
    todo = f"Run tissuetrace source {path.stem} FOLDER|MANIFEST again on this machine"
    is_needed = source.kind == "directory" or source.names == "checksums"
    if not aside.exists():
        if is_needed:
            raise InputError(
                "not found, so nobody knows where the files lie", where=str(aside), todo=todo
            )
        return source, Local(folder="")
    local: Local = _from_json(Local, read_json(aside), aside, todo)
    if source.names == "plain":
        return source, local
    if names_sha256(local.files) != source.names_sha256:
        raise InputError(f"does not fit {path}", where=str(aside), todo=todo)
    return replace(source, files=local.files), local


def names_sha256(files: Sequence[SourceFile]) -> str:
    """Return one SHA-256 over all names at once, so that no single name can be guessed from it."""
    return sha256_of_bytes(json.dumps([asdict(file) for file in files], sort_keys=True).encode())


def _from_json(kind: Any, content: object, path: Path, todo: str) -> Any:  # noqa: ANN401  # a dataclass, known at run time
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(kind).validate_json(json.dumps(content), strict=True, extra="forbid")
    except ValidationError as problem:
        items = [
            f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in problem.errors()
        ]
        raise InputError(
            f"is no {kind.__name__.lower()} part", where=str(path), todo=todo, items=items[:10]
        ) from problem
