"""Runs as they lie on disk: found, read and checked before MLflow is told of them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.hashing import digest, sha256_of_bytes

__all__ = ["RUN_FILE", "RunFile", "find_runs", "load_runs"]

RUN_FILE = "run.json"

_KEYS = {
    "study": str,
    "variant": str,
    "parameters": dict,
    "metrics": dict,
    "history": list,
    "children": list,
    "inputs": dict,
    "files": dict,
    "gate": str,
    "git": dict,
    "versions": dict,
    "locks": dict,
    "machine": dict,
    "started": str,
    "ended": str,
}


@dataclass(frozen=True, slots=True)
class RunFile:
    """A run as it lies on disk.

    Args:
        path: of the file; its folder holds the model.
        name: of the file, from the root of the project.
        sha256: of the file, by which MLflow knows the run.
        content: what `write_run` wrote.
    """

    path: Path
    name: str
    sha256: str
    content: Any

    @classmethod
    def read(cls, path: Path, root: Path) -> "RunFile":
        """Read a file once, so that checksum and content are of the same bytes."""
        data = path.read_bytes()
        try:
            content = json.loads(data)
        except ValueError as problem:
            content = problem  # told as a mistake, beside those of the other files
        return cls(path, path.relative_to(root).as_posix(), sha256_of_bytes(data), content)

    @property
    def model_files(self) -> list[Path]:
        """The checkpoints and their card, `model.*` and `card.*`.

        Tables beside them name items and subjects, which must not leave the project.
        """
        names = [name for name in self.content["files"] if name.startswith(("model.", "card."))]
        return [self.path.parent / name for name in names]

    def file_mistakes(self) -> list[str]:
        """Say which files of the model are gone, or are not those that were trained."""
        mistakes = []
        for name, sha256 in self.content["files"].items():
            file = self.path.parent / name
            if not file.is_file():
                mistakes.append(f"{self.name}: {name} is missing beside it")
            elif digest(file).sha256 != sha256:
                mistakes.append(f"{self.name}: {name} was changed after the training")
        return mistakes


def find_runs(root: Path, study: str) -> list[Path]:
    """Return every `run.json` of a study below the project's folder, sorted.

    What a running or killed stage has aside (`.partial-…`) is no run yet.
    """
    found = (root / "data" / study).glob(f"*/**/{RUN_FILE}")
    return sorted(path for path in found if not _is_aside(path.relative_to(root)))


def load_runs(root: Path, study: str) -> list[RunFile]:
    """Read every run of a study, in the order of their paths.

    Raises:
        InputError: files that hold no run of this study, with everything wrong in each.
    """
    found = [RunFile.read(path, root) for path in find_runs(root, study)]
    mistakes = [
        f"{run.name}: {mistake}" for run in found for mistake in _run_mistakes(run.content, study)
    ]
    if mistakes:
        raise InputError(
            f"{len(mistakes)} mistakes in files named {RUN_FILE}",
            where=f"data/{study}",
            todo=f"Run tissuetrace repro {study}",
            items=mistakes,
        )
    return found


def _run_mistakes(content: object, study: str) -> list[str]:
    if not isinstance(content, dict):
        return [f"found {type(content).__name__}, expected an object"]
    mistakes = [
        f"{key}: found {type(content.get(key)).__name__}, expected {kind.__name__}"
        for key, kind in _KEYS.items()
        if not isinstance(content.get(key), kind)
    ]
    if not mistakes and content["study"] != study:
        mistakes = [f"study: found {content['study']!r}, expected {study!r}"]
    return mistakes


def _is_aside(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
