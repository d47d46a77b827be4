"""What a killed `dvc` leaves half-written, and mending it: DVC writes these files in place."""

import contextlib
import fcntl
import json
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["mend_dvc_files"]


def mend_dvc_files(root: Path) -> list[str]:
    """Mend what the kill of an earlier `dvc` cut off in its own files.

    A `dvc.lock` that is not readable loses the entry that was cut, as it has lost those behind it:
    these stages run again. Where that does not make it readable (a conflict of a merge, say), it is
    left for DVC to complain of. A list of who reads and writes what (`.dvc/tmp/rwlock`) that is no
    JSON is removed. Where another `dvc` is at work, nothing is touched.

    Args:
        root: the project's folder.

    Returns:
        One line for each file mended.
    """
    with _dvc_lock(root / ".dvc/tmp/lock") as free:
        return _mended(root) if free else []


@contextlib.contextmanager
def _dvc_lock(path: Path) -> Iterator[bool]:
    """Hold DVC's own lock, if nobody else does."""
    if not path.exists():
        yield True
        return
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _mended(root: Path) -> list[str]:
    lines = []
    lock = root / "dvc.lock"
    if lock.exists() and not _readable(content := lock.read_text(encoding="utf-8")):
        kept = _without_last_entry(content)
        if _readable(kept):
            _replace_text(lock, kept)
            lines.append("dvc.lock was cut off by a kill: stages that it lost run again")
    held = root / ".dvc/tmp/rwlock"
    if held.exists() and not _is_json(held.read_text(encoding="utf-8")):
        held.unlink()
        lines.append(".dvc/tmp/rwlock was cut off by a kill: removed")
    return lines


def _readable(content: str) -> bool:
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from dvc.utils.serialize import ParseError, parse_yaml
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(parse_yaml(content, "dvc.lock"))
    except (ParseError, Invalid):
        return False
    return True


def _without_last_entry(content: str) -> str:
    starts = [found.start() for found in re.finditer(r"^  \S", content, flags=re.MULTILINE)]
    return content[: starts[-1]] if len(starts) > 1 else "schema: '2.0'\n"


def _is_json(content: str) -> bool:
    try:
        json.loads(content)
    except json.JSONDecodeError:
        return False
    return True


def _replace_text(path: Path, content: str) -> None:
    aside = path.with_name(f".{path.name}.mended")
    aside.write_text(content, encoding="utf-8")
    aside.replace(path)
