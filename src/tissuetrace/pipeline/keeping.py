"""Shards that have not changed since the last run are taken from DVC's cache, not made again.

DVC removes a stage's outputs at its start and knows only whole stages. A stage that writes one
shard for each costly file gives every shard a key; what `dvc.lock` remembers of the output, and
DVC's cache still holds under its own hash, is linked where the key is the same.
"""

import configparser
import contextlib
import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tissuetrace.pipeline.hashing import digest, sha256_of_bytes

__all__ = ["KEYS_FILE", "FreshShard", "ShardPlan", "forget_shards", "plan_shards"]

KEYS_FILE = "keys.json"
REUSE = "TISSUETRACE_REUSE"

_HOME = Path(".cache/resume/shards")
_TRIES, _PAUSE_S = 30, 0.1  # DVC writes its lock within a second


@dataclass(frozen=True, slots=True)
class FreshShard:
    """A shard to be made.

    Args:
        name: of the shard.
        folder: where its finished files wait, outside the output.
    """

    name: str
    folder: Path

    @contextlib.contextmanager
    def writing(self) -> Iterator[Path]:
        """Give a folder for the shard's files, which counts only once all are written."""
        aside = self.folder.with_name(f"{self.folder.name}.{os.getpid()}.partial")
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        try:
            yield aside
            aside.replace(self.folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """Which shards must be made, and where the others lie.

    Args:
        output: folder that the stage writes.
        keys: name of each shard → what decides whether it is the same.
        fresh: those to be made, in the order of their names.
    """

    output: Path
    keys: Mapping[str, str]
    fresh: Sequence[FreshShard]
    _cached: Mapping[str, Mapping[str, Path]]
    _home: Path

    def finish(self) -> None:
        """Put every shard's files side by side into the output, with the list of keys.

        Raises:
            ValueError: a shard was not made, or two shards have a file of the same name.
        """
        self.output.mkdir(parents=True, exist_ok=True)
        listed = {}
        for name, key in sorted(self.keys.items()):
            files = self._cached.get(name) or _files_in(self._home / key)
            if not files:
                raise ValueError(f"shard {name!r} was not made")
            for file, place in files.items():
                _link(place, self.output / file)
            listed[name] = {"key": key, "files": sorted(files)}
        text = json.dumps(listed, indent=2, sort_keys=True)
        (self.output / KEYS_FILE).write_text(text + "\n", encoding="utf-8")


def forget_shards(final: Path) -> None:
    """Remove what waits outside an output, once the output is in place."""
    shutil.rmtree(_home_of(final), ignore_errors=True)


def plan_shards(output: Path, inputs: Mapping[str, Sequence[str]], recipe: object) -> ShardPlan:
    """Find which shards of an output are the same as before.

    `TISSUETRACE_REUSE=0` makes every shard anew.

    Args:
        output: the folder given to the stage, which the spine renames into place later.
        inputs: name of each shard → checksums of all that it is made from.
        recipe: everything else that decides its bytes, as JSON: parameters, `code_sha256` of the
            stage's module, versions of libraries.

    Returns:
        The plan; make its `fresh` shards, then call `finish`.
    """
    final = output.parent.parent / output.name
    home = _home_of(final)
    keys = {name: _key(name, made_from, recipe) for name, made_from in inputs.items()}
    if os.environ.get(REUSE) == "0":
        shutil.rmtree(home, ignore_errors=True)
        cached: dict[str, dict[str, Path]] = {}
    else:
        cached = _cached_shards(final, keys)
    _remove_stale(home, {key for name, key in keys.items() if name not in cached})
    fresh = [
        FreshShard(name, home / key)
        for name, key in sorted(keys.items())
        if name not in cached and not (home / key).is_dir()
    ]
    return ShardPlan(output, keys, fresh, cached, home)


def _home_of(final: Path) -> Path:
    return _HOME / final.as_posix().replace("/", ".")


def _key(name: str, made_from: Sequence[str], recipe: object) -> str:
    return sha256_of_bytes(json.dumps([name, list(made_from), recipe], sort_keys=True).encode())


def _remove_stale(home: Path, wanted: set[str]) -> None:
    for folder in home.glob("*"):
        if folder.name not in wanted:
            shutil.rmtree(folder)


def _cached_shards(final: Path, keys: Mapping[str, str]) -> dict[str, dict[str, Path]]:
    cache = _cache_folder()
    found: dict[str, dict[str, Path]] = {}
    for listing in _remembered(final):
        objects = _listed(cache, listing)
        for name, shard in _keys_in(objects).items():
            if name in found or keys.get(name) != shard["key"]:
                continue
            places = {file: objects[file] for file in shard["files"] if file in objects}
            if len(places) == len(shard["files"]) and all(map(_is_whole, places.values())):
                found[name] = places
    return found


def _remembered(final: Path) -> list[str]:
    """Return the hash of every state of a folder that `dvc.lock` names, as output or as input."""
    if not Path("dvc.lock").exists():
        return []
    entry = rf"- path: {re.escape(final.as_posix())}\n\s+hash: md5\n\s+md5: (\w+\.dir)\n"
    return list(dict.fromkeys(re.findall(entry, _lock_content())))


def _lock_content() -> str:
    """Read `dvc.lock` while no `dvc` that works beside this stage is writing it.

    A command that holds DVC's lock for long is not waited for: shards that a half-written file
    does not name are made anew.
    """
    held = Path(".dvc/tmp/lock")
    for _ in range(_TRIES if held.exists() else 0):
        with held.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_PAUSE_S)
                continue
            return Path("dvc.lock").read_text(encoding="utf-8")
    return Path("dvc.lock").read_text(encoding="utf-8")


def _cache_folder() -> Path:
    """Return DVC's cache, which its configuration may have moved."""
    folder = "cache"
    for name in ("config", "config.local"):
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        parser.read(Path(".dvc") / name, encoding="utf-8")
        folder = parser.get("cache", "dir", fallback=folder)
    return Path(".dvc") / folder / "files/md5"


def _place(cache: Path, md5: str) -> Path:
    return cache / md5[:2] / md5[2:]


def _listed(cache: Path, listing: str) -> dict[str, Path]:
    try:
        entries = json.loads(_place(cache, listing).read_text(encoding="utf-8"))
        return {entry["relpath"]: _place(cache, entry["md5"]) for entry in entries}
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # not pulled, or damaged: made again


def _keys_in(objects: Mapping[str, Path]) -> dict[str, Any]:
    place = objects.get(KEYS_FILE)
    if place is None or not _is_whole(place):
        return {}
    content: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    return content


def _is_whole(place: Path) -> bool:
    """Say whether an object of the cache still hashes to its name."""
    return place.is_file() and digest(place).md5 == place.parent.name + place.name


def _files_in(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(folder.glob("*"))}


def _link(place: Path, target: Path) -> None:
    if target.exists():
        raise ValueError(f"two shards have a file named {target.name!r}")
    try:
        os.link(place, target)
    except OSError:
        shutil.copyfile(place, target)
