"""Running one stage: read its parameters, let it write aside, check, then rename into place."""

import contextlib
import fcntl
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tissuetrace.pipeline.checksums import write_checksums
from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import column_mistakes
from tissuetrace.pipeline.gate import code_sha256, recheck
from tissuetrace.pipeline.hashing import digest, sha256_of_bytes
from tissuetrace.pipeline.keeping import forget_shards
from tissuetrace.pipeline.params import load_params, stage_params
from tissuetrace.pipeline.stage import Each, Stage

__all__ = ["checksums_path", "each_path", "execute", "expand", "read_paths", "variants"]


def execute(stage: Stage, *, variant: str | None = None) -> None:
    """Run a stage in the project's folder, which is the working directory.

    Nothing appears at an output's path before the stage has finished and its tables have the
    declared columns. What a killed run left aside is removed at the start.

    Raises:
        InputError: an input is missing, or a parameter or the variant is wrong.
        GateRefused: the stage trains and what it reads did not pass the gate.
    """
    content = load_params(Path("params.yaml"))
    _check_variant(stage, variant, content)
    values = stage_params(stage, content, variant)
    reads = _reads(stage, variant, content)
    _check_present(stage, _paths(reads))
    if stage.gate is not None:
        recheck(stage.study, stage.id, _paths(reads), Path(stage.gate))
    # the resume folder goes last: until the outputs are in place, a kill must cost nothing
    with (
        _alone(stage, variant),
        _resume_folder(stage, variant, (_paths(reads), values)) as kept,
        _written_aside(stage, variant) as writes,
    ):
        named = {"variant": variant} if stage.takes_variant else {}
        stage.function(**reads, **writes, **values, **kept, **named)
    for output in stage.writes.values():
        forget_shards(Path(expand(output.path, stage, variant)))


def variants(stage: Stage, content: Mapping[str, Any]) -> list[str]:
    """Return the values of a stage's matrix, in the order of `params.yaml`."""
    if stage.matrix is None:
        return []
    return [str(value) for value in content[stage.study][stage.matrix]]


def expand(template: str, stage: Stage, variant: str | None) -> str:
    """Put the value of the matrix into a path."""
    return (
        template if stage.matrix is None else template.replace(f"{{{stage.matrix}}}", f"{variant}")
    )


def checksums_path(stage: Stage, variant: str | None) -> str:
    """Return where the SHA-256 of a stage's outputs is kept, in git."""
    name = stage.name if stage.matrix is None else f"{stage.name}@{variant}"
    return f"metrics/{stage.study}/checksums/{name}.json"


def _check_variant(stage: Stage, variant: str | None, content: Mapping[str, Any]) -> None:
    known = variants(stage, content)
    if stage.matrix is None and variant is not None:
        raise InputError(f"has no variants, got {variant!r}", where=stage.id)
    if stage.matrix is not None and variant not in known:
        raise InputError(
            f"no variant {variant!r} among {', '.join(known)}",
            where=stage.id,
            todo=f"Correct --variant, or {stage.study}.{stage.matrix} in params.yaml",
        )


def read_paths(stage: Stage, variant: str | None, content: Mapping[str, Any]) -> list[Path]:
    """Return every path that a stage reads."""
    return _paths(_reads(stage, variant, content))


def _reads(
    stage: Stage, variant: str | None, content: Mapping[str, Any]
) -> dict[str, Path | dict[str, Path]]:
    paths: dict[str, Path | dict[str, Path]] = {}
    for name, template in stage.reads.items():
        if isinstance(template, Each):
            paths[name] = each_path(template, stage.study, content)
        else:
            paths[name] = Path(expand(template, stage, variant))
    return paths


def each_path(template: Each, study: str, content: Mapping[str, Any]) -> dict[str, Path]:
    """Return the path of every variant, by the matrix key that stands in the template."""
    key = template.template.partition("{")[2].partition("}")[0]
    values = [str(value) for value in content[study][key]]
    return {value: Path(template.template.replace(f"{{{key}}}", value)) for value in values}


def _paths(reads: Mapping[str, Path | dict[str, Path]]) -> list[Path]:
    return [
        path
        for value in reads.values()
        for path in (value.values() if isinstance(value, dict) else [value])
    ]


def _check_present(stage: Stage, paths: Sequence[Path]) -> None:
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(paths)} inputs are missing",
            where=stage.id,
            todo=f"Run tissuetrace repro {stage.study}, or dvc pull",
            items=missing,
        )


@contextlib.contextmanager
def _alone(stage: Stage, variant: str | None) -> Iterator[None]:
    """Wait for a process that a kill left behind in this stage before it could notice."""
    lock = Path(".cache/locks") / (stage.id if variant is None else f"{stage.id}@{variant}")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _written_aside(stage: Stage, variant: str | None) -> Iterator[dict[str, Path]]:
    label = stage.name if variant is None else f"{stage.name}@{variant}"
    finals = {
        name: Path(expand(output.path, stage, variant)) for name, output in stage.writes.items()
    }
    checksums = Path(checksums_path(stage, variant))
    asides = {path: path.parent / f".partial-{label}" for path in [*finals.values(), checksums]}
    _remove(asides.values())
    try:
        for aside in asides.values():
            aside.mkdir(parents=True, exist_ok=True)
        yield {name: asides[path] / path.name for name, path in finals.items()}
        _check_written(stage, {name: asides[path] / path.name for name, path in finals.items()})
        written = {
            str(path): (asides[path] / path.name, stage.writes[name].reproducibility)
            for name, path in finals.items()
        }
        write_checksums(written, asides[checksums] / checksums.name)
        for path, aside in asides.items():
            _replace(aside / path.name, path)
    finally:
        _remove(asides.values())


def _check_written(stage: Stage, paths: Mapping[str, Path]) -> None:
    mistakes = []
    for name, output in stage.writes.items():
        if not paths[name].exists():
            mistakes.append(f"{output.path}: not written")
        elif output.columns:
            mistakes += column_mistakes(paths[name], output.columns)
    if mistakes:
        raise RuntimeError(f"{stage.id} broke its declaration: {'; '.join(mistakes)}")


def _replace(source: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    source.replace(target)


def _remove(folders: Iterable[Path]) -> None:
    for folder in set(folders):
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _resume_folder(
    stage: Stage, variant: str | None, given: tuple[Sequence[Path], Mapping[str, object]]
) -> Iterator[dict[str, Path]]:
    """Give a folder that outlives a kill, and is found again by equal inputs, params and code."""
    if not stage.resumes:
        yield {}
        return
    paths, values = given
    inputs = {str(path): digest(path).sha256 for path in paths}
    facts = (sorted(inputs.items()), values, code_sha256(stage.module, Path()))
    home = Path(".cache/resume") / (stage.id if variant is None else f"{stage.id}@{variant}")
    folder = home / sha256_of_bytes(repr(facts).encode())[:16]
    _remove(stale for stale in home.glob("*") if stale != folder)
    folder.mkdir(parents=True, exist_ok=True)
    yield {"resume": folder}
    shutil.rmtree(folder)
