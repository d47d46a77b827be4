"""`tissuetrace gates`: does every gate's token still fit `dvc.lock`, the code and the data?

A token alone is believed by nobody. Data that were edited and committed over DVC, an older token
put back, a stage forced past its gate: each leaves a token that fits no longer, or an output that
is not what its stage has left in the checksums that git keeps.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tissuetrace.pipeline.checksums import Recorded, read_checksums
from tissuetrace.pipeline.errors import GateRefused, InputError
from tissuetrace.pipeline.files import read_json
from tissuetrace.pipeline.gate import code_sha256, token_mistakes
from tissuetrace.pipeline.hashing import Digest, digest

__all__ = ["audit_gates"]


@dataclass(frozen=True, slots=True)
class _Lock:
    """What `dvc.lock` says: md5 of every output, and for every stage the md5 of what it read."""

    outs: Mapping[str, str]
    deps: Mapping[str, Mapping[str, str]]


def audit_gates(root: Path, studies: Sequence[str]) -> list[str]:
    """Check the token and the recorded outputs of each study; return one line for each.

    Raises:
        InputError: a token has not been made yet or has not been pulled.
        GateRefused: lists everything that does not fit, over all studies.
    """
    lock = _read_lock(root)
    lines, mistakes = [], []
    for study in studies:
        found = _study_findings(root, study, lock)
        mistakes += [f"{study}: {finding}" for finding in found]
        recorded = read_checksums(study, root)
        here = sum((root / path).exists() for path in recorded)
        lines.append(
            f"{study}: the gate's token fits dvc.lock and the code; "
            f"{here} of {len(recorded)} outputs are here, as their stages left them"
        )
    if mistakes:
        raise GateRefused(
            f"{len(mistakes)} thing{'s' * (len(mistakes) != 1)} did not pass as recorded",
            where="gates",
            todo="Run tissuetrace repro, which restores the data and runs the gate again",
            items=mistakes,
        )
    return lines


def _study_findings(root: Path, study: str, lock: _Lock) -> list[str]:
    if not {f"{study}-validate", f"{study}-admit"} <= lock.deps.keys():
        return ["dvc.lock knows no run of its gate"]
    token = _read_token(root, study)
    changed = token_mistakes(token)
    if changed:
        return changed
    hashes = cache(lambda path: digest(root / path))
    return [
        *_token_findings(root, study, token, lock),
        *_lock_findings(study, token, lock),
        *_output_findings(read_checksums(study, root), lock, hashes, root),
        *(
            f"{path} was changed after the gate"
            for path, expected in token["inputs"].items()
            if (root / path).exists() and hashes(path).sha256 != expected["sha256"]
        ),
    ]


def _token_findings(root: Path, study: str, token: Mapping[str, Any], lock: _Lock) -> Iterator[str]:
    if token["verdict"] != "pass":
        yield "the gate refused the data"
    if token["code_sha256"] != code_sha256(f"tissuetrace.studies.{study}.validate", root):
        yield "the token was made by another version of the gate's code"
    for name in ("validate/token.json", "admit/admission.json"):
        path = f"data/{study}/{name}"
        if (root / path).exists() and digest(root / path).md5 != lock.outs.get(path):
            yield f"{path} is not the one in dvc.lock"
    admission = root / f"data/{study}/admit/admission.json"
    if not admission.exists():
        yield "the admission is not here: dvc pull, or tissuetrace repro"
    elif read_json(admission) != token:
        yield "the admission belongs to another token"


def _lock_findings(study: str, token: Mapping[str, Any], lock: _Lock) -> Iterator[str]:
    admission = f"data/{study}/admit/admission.json"
    trainings = {name: deps for name, deps in lock.deps.items() if admission in deps}
    for path, expected in token["inputs"].items():
        if lock.outs.get(path) != expected["md5"]:
            yield f"dvc.lock holds another {path} than the gate has seen"
        for name, deps in trainings.items():
            if path in deps and deps[path] != expected["md5"]:
                yield f"{name} was run on another {path} than the gate has seen"


def _output_findings(
    recorded: Mapping[str, Recorded], lock: _Lock, hashes: Callable[[str], Digest], root: Path
) -> Iterator[str]:
    """Compare every output with what its stage left, in `dvc.lock` and in the workspace."""
    for path, known in recorded.items():
        if path in lock.outs and lock.outs[path] not in {"", known.md5}:
            yield f"dvc.lock holds another {path} than {known.stage} has written"
        if (root / path).exists() and hashes(path).sha256 != known.sha256:
            yield f"{path} is not what {known.stage} has written"


def _read_token(root: Path, study: str) -> Any:  # noqa: ANN401  # whatever JSON the file holds
    path = root / f"data/{study}/validate/token.json"
    if not path.exists():
        raise InputError(
            "the gate's token is not here",
            where=study,
            todo=f"Run tissuetrace repro {study}, or dvc pull {study}-validate {study}-admit",
        )
    return read_json(path)


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
    from ruamel.yaml.error import YAMLError

    if not path.exists():
        raise InputError("not found", where=path.name, todo="Run tissuetrace pipeline --write")
    try:
        content: dict[str, Any] = YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {}
    except YAMLError as problem:
        place = " ".join(str(problem).split())
        raise InputError(
            f"no valid YAML: {place}", where=path.name, todo="Settle the conflict in it"
        ) from problem
    return content
