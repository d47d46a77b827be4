"""A user's list of files and addresses, as JSON or CSV, with every mistake named by its row."""

import csv
import difflib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from tissuetrace.pipeline.archives import path_mistake
from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.listings import Listing, SourceFile, is_archive, matches, settle

__all__ = ["read_manifest"]

_COLUMNS = ("path", "url", "file", "sha256", "bytes")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def read_manifest(path: Path, patterns: Sequence[str]) -> tuple[Listing, dict[str, str]]:
    """Read a list of files; nothing is downloaded.

    A JSON manifest is a list of objects (or an object whose `files` is that list), a CSV one has
    a header. Each row has `sha256`, `bytes`, one of `url` and `file` (absolute, or relative to
    the manifest), and may have `path`, where the file is to lie; without it that is the relative
    `file`, or the last part of the address. Rows that end on .zip are archives, unpacked by the
    patterns when they are fetched; other rows that match no pattern are counted as ignored.

    Returns:
        The rows that match, and the place on this machine of each that is a `file`.

    Raises:
        InputError: lists every wrong row.
    """
    rows = _json_rows(path) if path.suffix.lower() == ".json" else _csv_rows(path)
    found = [_read_row(path.parent, row) for row in rows]
    mistakes = [
        f"row {number}: {mistake}"
        for number, (_, _, row_mistakes) in enumerate(found, start=1)
        for mistake in row_mistakes
    ]
    if mistakes:
        raise InputError(
            f"{len(mistakes)} mistakes in {len(rows)} rows",
            where=path.name,
            todo=f"Each row needs sha256, bytes and one of url and file, of {', '.join(_COLUMNS)}",
            items=mistakes[:20],
        )
    every = [(file, place) for file, place, _ in found]
    kept = [one for one in every if is_archive(one[0].path) or matches(one[0].path, patterns)]
    files = settle(file for file, _ in kept)
    listing = Listing(files=files, ignored=len(every) - len(kept), repeated=len(kept) - len(files))
    places = {file.path: place for file, place in kept if place}
    return listing, {path: places[path] for path in sorted(places)}


def _json_rows(path: Path) -> list[Mapping[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as problem:
        raise InputError(f"no valid JSON ({problem})", where=path.name) from problem
    rows = content.get("files") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError("expected a list of objects", where=path.name)
    return rows


def _csv_rows(path: Path) -> list[Mapping[str, Any]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [dict(row) for row in csv.DictReader(file, restkey="", restval="")]
    except (UnicodeDecodeError, csv.Error) as problem:
        raise InputError(f"no valid CSV ({problem})", where=path.name) from problem


def _read_row(home: Path, row: Mapping[str, Any]) -> tuple[SourceFile, str, list[str]]:
    text = {key: "" if value is None else str(value).strip() for key, value in row.items()}
    url, file, sha256 = (text.get(key, "") for key in ("url", "file", "sha256"))
    path = text.get("path") or _default_path(url, file)
    place = str((home / file).resolve()) if file else ""
    mistakes = [_unknown_column(key) for key in row if key not in _COLUMNS]
    mistakes += [f"path {path!r} {mistake}"] if (mistake := path_mistake(path)) else []
    mistakes += _origin_mistakes(url, file, place)
    if not _SHA256.fullmatch(sha256.lower()):
        mistakes.append(f"sha256 is {sha256!r}, expected 64 hexadecimal digits")
    size = text.get("bytes", "")
    if not (size.isascii() and size.isdecimal()):
        mistakes.append(f"bytes is {size!r}, expected a whole number")
    length = 0 if mistakes else int(size)
    normal = PurePosixPath(path).as_posix()
    found = SourceFile(path=normal, bytes=length, sha256=sha256.lower(), url=url)
    return found, place, mistakes


def _default_path(url: str, file: str) -> str:
    if url:
        return PurePosixPath(unquote(urlsplit(url).path)).name
    return Path(file).name if Path(file).is_absolute() else file


def _unknown_column(key: str) -> str:
    close = difflib.get_close_matches(key, _COLUMNS, n=1)
    return f"no such column {key!r}" + (f"; the nearest is {close[0]!r}" if close else "")


def _origin_mistakes(url: str, file: str, place: str) -> list[str]:
    if bool(url) == bool(file):
        return ["expected one of url and file, found " + ("both" if url else "neither")]
    if file:
        return [] if Path(place).is_file() else [f"no file at {file}"]
    address = urlsplit(url)
    if address.scheme not in {"http", "https"} or not address.hostname:
        return [f"url is {url!r}, expected http or https"]
    if address.username or address.password:
        return ["url holds a password, which git would keep; use ~/.netrc"]
    return []
