"""`tissuetrace gates`: does every gate's token still fit `dvc.lock`, the code and the data?

A token alone is believed by nobody. Data that were edited and committed over DVC, an older token
put back, a stage forced past its gate: each leaves a token that fits no longer.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tissuetrace.pipeline.errors import GateRefused, InputError
from tissuetrace.pipeline.files import read_json
from tissuetrace.pipeline.gate import code_sha256, token_mistakes
from tissuetrace.pipeline.hashing import digest

__all__ = ["audit_gates", "gated_studies"]


@dataclass(frozen=True, slots=True)
class _Lock:
    """What `dvc.lock` says: md5 of every output, and for every stage the md5 of what it read."""

    outs: Mapping[str, str]
    deps: Mapping[str, Mapping[str, str]]


def gated_studies(root: Path) -> list[str]:
    """Return the studies in `dvc.yaml` that have a gate, sorted; imports none of them."""
    stages = _read_yaml(root / "dvc.yaml").get("stages", {})
    return sorted(name.removesuffix("-validate") for name in stages if name.endswith("-validate"))


def audit_gates(root: Path, studies: list[str]) -> list[str]:
    """Check the token of each study; return one line for each.

    Raises:
        InputError: a token has not been made yet or has not been pulled.
        GateRefused: lists everything that does not fit, over all studies.
    """
    lock = _read_lock(root)
    lines, mistakes = [], []
    for study in studies:
        token = _read_token(root, study)
        found = [*_token_findings(root, study, token, lock), *_data_findings(root, token)]
        mistakes += [f"{study}: {finding}" for finding in found]
        here = sum((root / path).exists() for path in token["inputs"])
        lines.append(
            f"{study}: the gate's token fits dvc.lock, the code and "
            f"{here} of {len(token['inputs'])} inputs present here"
        )
    if mistakes:
        raise GateRefused(
            f"{len(mistakes)} thing{'s' * (len(mistakes) != 1)} did not pass as recorded",
            where="gates",
            todo="Run tissuetrace repro, which restores the data and runs the gate again",
            items=mistakes,
        )
    return lines


def _token_findings(root: Path, study: str, token: Mapping[str, Any], lock: _Lock) -> Iterator[str]:
    yield from token_mistakes(token)
    if token["verdict"] != "pass":
        yield "the gate refused the data"
    if token["code_sha256"] != code_sha256(f"tissuetrace.studies.{study}.validate", root):
        yield "the token was made by another version of the gate's code"
    for name in ("validate/token.json", "admit/admission.json"):
        path = f"data/{study}/{name}"
        if (root / path).exists() and digest(root / path).md5 != lock.outs.get(path):
            yield f"{path} is not the one in dvc.lock"
    admission = root / f"data/{study}/admit/admission.json"
    if admission.exists() and read_json(admission)["token"] != token["token"]:
        yield "the admission belongs to another token"
    yield from _lock_findings(study, token, lock)


def _lock_findings(study: str, token: Mapping[str, Any], lock: _Lock) -> Iterator[str]:
    admission = f"data/{study}/admit/admission.json"
    trainings = {name: deps for name, deps in lock.deps.items() if admission in deps}
    for path, expected in token["inputs"].items():
        if lock.outs.get(path) != expected["md5"]:
            yield f"dvc.lock holds another {path} than the gate has seen"
        for name, deps in trainings.items():
            if path in deps and deps[path] != expected["md5"]:
                yield f"{name} was run on another {path} than the gate has seen"


def _data_findings(root: Path, token: Mapping[str, Any]) -> Iterator[str]:
    for path, expected in token["inputs"].items():
        if (root / path).exists() and digest(root / path).sha256 != expected["sha256"]:
            yield f"{path} was changed after the gate"


def _read_token(root: Path, study: str) -> dict[str, Any]:
    path = root / f"data/{study}/validate/token.json"
    if not path.exists():
        raise InputError(
            "the gate's token is not here",
            where=study,
            todo=f"Run tissuetrace repro {study}, or dvc pull {study}-validate {study}-admit",
        )
    token: dict[str, Any] = read_json(path)
    return token


def _read_lock(root: Path) -> _Lock:
    if not (root / "dvc.lock").exists():
        raise InputError("not found", where="dvc.lock", todo="Run tissuetrace repro")
    stages = _read_yaml(root / "dvc.lock").get("stages", {})
    outs = {
        item["path"]: item.get("md5", "")
        for entry in stages.values()
        for item in entry.get("outs", [])
    }
    deps = {
        name: {item["path"]: item.get("md5", "") for item in entry.get("deps", [])}
        for name, entry in stages.items()
    }
    return _Lock(outs, deps)


def _read_yaml(path: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML

    if not path.exists():
        raise InputError("not found", where=path.name, todo="Run tissuetrace pipeline --write")
    content: dict[str, Any] = YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {}
    return content
