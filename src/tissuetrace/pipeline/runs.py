"""A run is first a file: what was trained, from what, by what, and how well it did.

A training stage writes it beside its model; `tissuetrace track` sends it to MLflow later, as
often as somebody wants, since everything that MLflow shows stands in the file.
"""

import math
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from tissuetrace.pipeline import machine
from tissuetrace.pipeline.exit_codes import EXIT_CODES_VARIABLE
from tissuetrace.pipeline.files import read_json, write_json
from tissuetrace.pipeline.hashing import digest

__all__ = ["write_run"]

_LIBRARIES = ("tissuetrace", "numpy", "scikit-learn", "torch", "lightning-fabric")
_SOURCES_OF_A_RESULT = ("src", "params.yaml", "dvc.yaml", "sources", "requirements")


def write_run(  # noqa: PLR0913  # one argument for each thing that a run is made of
    path: Path,
    *,
    study: str,
    variant: str,
    parameters: Mapping[str, Any],
    metrics: Mapping[str, float],
    history: Sequence[Mapping[str, float]],
    inputs: Mapping[str, Path],
    files: Sequence[Path],
    admission: Path,
    children: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write `run.json` beside a model, once its other files are written.

    Args:
        path: the run's file; its folder holds the model.
        study: name of the study.
        variant: what was trained, such as `forest-image`: letters, digits, `.`, `_`, `-`.
        parameters: settings of the training, nested as in `params.yaml`.
        metrics: final numbers by name.
        history: one mapping for each epoch, in order; `epoch` is a number among the others.
        inputs: everything that the training read, by name, from the root of the project.
        files: the model (`model.*`), its card (`card.json`) and what else belongs to them, in
            the folder of `path`. All are checksummed; MLflow is sent model and card alone.
        admission: of the gate that let the inputs pass.
        children: one for each seed or fold: `name`, `parameters`, `metrics`, `history`.

    Raises:
        ValueError: a name or a number that cannot be recorded, or a file elsewhere.
    """
    top = {"parameters": parameters, "metrics": metrics, "history": history}
    _check_names(path, variant, files)
    _check_parts([top, *children])
    content = {
        "study": study,
        "variant": variant,
        "parameters": dict(parameters),
        "metrics": _numbers(metrics),
        "history": [_numbers(epoch) for epoch in history],
        "children": [_child(child) for child in children],
        "inputs": {name: _input(source) for name, source in sorted(inputs.items())},
        "files": {file.name: digest(file).sha256 for file in sorted(files)},
        "gate": read_json(admission)["token"],
        "git": _git(),
        "versions": _versions(),
        "locks": {lock.name: digest(lock).sha256 for lock in _lock_files()},
        "machine": _machine(),
        "started": _process_start(),
        "ended": _now(),
    }
    write_json(content, path)


def _check_names(path: Path, variant: str, files: Sequence[Path]) -> None:
    if not re.fullmatch(r"[A-Za-z0-9._-]+", variant):
        raise ValueError(f"variant {variant!r} may hold letters, digits, '.', '_' and '-' only")
    elsewhere = [str(file) for file in files if file.parent != path.parent]
    if elsewhere:
        raise ValueError(f"not beside {path}: {', '.join(elsewhere)}")


def _check_parts(parts: Sequence[Mapping[str, Any]]) -> None:
    numbers = [
        item
        for part in parts
        for row in [part.get("metrics", {}), *part.get("history", [])]
        for item in row.items()
    ]
    infinite = sorted({name for name, value in numbers if not math.isfinite(value)})
    if infinite:
        raise ValueError(f"no finite number: {', '.join(infinite)}")
    unknown = sorted({name for name, _ in numbers if not re.fullmatch(r"[\w.\- :/]+", name)})
    if unknown:
        raise ValueError(f"MLflow takes no metric of the name {', '.join(unknown)}")
    texts = [text for part in parts for text in _texts(part.get("parameters", {}))]
    private = [text for text in texts if Path(text).is_absolute()]
    if private:
        raise ValueError(f"a parameter is a path of this machine: {', '.join(private)}")


def _texts(value: object) -> list[str]:
    if isinstance(value, Mapping):
        return [text for part in value.values() for text in _texts(part)]
    if isinstance(value, list | tuple):
        return [text for part in value for text in _texts(part)]
    return [value] if isinstance(value, str) else []


def _numbers(row: Mapping[str, float]) -> dict[str, float]:
    # a NumPy number is no JSON
    return {name: int(value) if name == "epoch" else float(value) for name, value in row.items()}


def _child(child: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": child["name"],
        "parameters": dict(child.get("parameters", {})),
        "metrics": _numbers(child.get("metrics", {})),
        "history": [_numbers(epoch) for epoch in child.get("history", [])],
    }


def _input(source: Path) -> dict[str, str | int]:
    found = digest(source)
    return {
        "path": _without_home(source),
        "md5": found.md5,
        "sha256": found.sha256,
        "bytes": found.size,
    }


def _without_home(source: Path) -> str:
    """Name a path from the project's folder; of anything outside only its last part."""
    if not source.is_absolute():
        return source.as_posix()
    here = Path.cwd()
    return source.relative_to(here).as_posix() if source.is_relative_to(here) else source.name


def _git() -> dict[str, str | bool]:
    """Return the commit, and whether code or settings differ from it.

    `dvc.lock`, metrics and reports change while a pipeline runs, so they do not count.
    """
    commit = _output_of("git", "rev-parse", "HEAD").strip()
    changes = _output_of("git", "status", "--porcelain", "--", *_SOURCES_OF_A_RESULT)
    return {"commit": commit or "unknown", "dirty": bool(changes.strip())}


def _output_of(*command: str) -> str:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            # reading must not wait for, or disturb, a git that writes
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except FileNotFoundError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            found[library] = "absent"
    return found


def _lock_files() -> list[Path]:
    return sorted(Path("requirements").glob("lock-*.txt"))


def _machine() -> dict[str, Any]:
    # addresses may hold a password, so only the names of the variables that are set
    found = {name for name in os.environ if name.startswith("TISSUETRACE_")}
    variables = sorted(found - {EXIT_CODES_VARIABLE})  # of one command, and no setting
    return {
        "device": machine.device(),
        "workers": machine.workers(),
        "system": f"{platform.system()} {platform.machine()}",
        "variables": variables,
    }


def _process_start() -> str:
    """Return when this process started: a stage is a process of its own."""
    import psutil

    return datetime.fromtimestamp(psutil.Process().create_time(), UTC).isoformat()


def _now() -> str:
    return datetime.now(UTC).isoformat()
