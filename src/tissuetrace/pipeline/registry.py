"""Finding studies and their stages by name."""

import difflib
import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import tissuetrace
from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.stage import Stage, Study

__all__ = ["find_export", "find_stage", "find_study", "source_patterns", "stages_of", "study_names"]


def study_names() -> list[str]:
    """Return the names of all studies, sorted; imports none of them."""
    folders = pkgutil.iter_modules([f"{path}/studies" for path in tissuetrace.__path__])
    return sorted(folder.name for folder in folders if folder.ispkg)


def find_study(name: str) -> Study:
    """Import a study's declaration.

    Raises:
        InputError: there is no such study.
    """
    _known(name, study_names(), "study")
    declared = importlib.import_module(f"tissuetrace.studies.{name}").STUDY
    if not isinstance(declared, Study):
        raise TypeError(f"tissuetrace.studies.{name}.STUDY is no Study")
    return declared


def find_stage(identifier: str) -> Stage:
    """Import a stage by `study.stage`.

    Raises:
        InputError: there is no such study or stage.
    """
    study, _, name = identifier.partition(".")
    _known(name, find_study(study).stages, f"stage of {study}")
    module = importlib.import_module(f"tissuetrace.studies.{study}.{name}")
    declared = getattr(module, name)
    if not isinstance(declared, Stage):
        raise TypeError(f"{module.__name__}.{name} is not declared as a stage")
    return declared


def stages_of(study: str) -> list[Stage]:
    """Import all stages of a study, in the order in which they run."""
    return [find_stage(f"{study}.{name}") for name in find_study(study).stages]


def source_patterns(study: str) -> tuple[str, ...]:
    """Return the glob patterns of the files that a study reads from a directory or archive."""
    patterns: tuple[str, ...] = importlib.import_module(
        f"tissuetrace.studies.{study}.fetch"
    ).PATTERNS
    return patterns


def find_export(
    study: str, what: str, content: Mapping[str, Any], variant: str | None
) -> tuple[Callable[[str, Path], Iterable[Path]], list[str]]:
    """Import what writes a study's data for another tool.

    Args:
        study: name of the study, whose module `export` names its formats in `EXPORTS`.
        what: one of these formats.
        content: plain values of `params.yaml`.
        variant: one of the study's variants, or all of them.

    Returns:
        A function of a variant and a folder, and the variants to call it with.

    Raises:
        InputError: the study exports nothing, or there is no such format or variant.
    """
    matrices = {stage.matrix for stage in stages_of(study) if stage.matrix is not None}
    module = f"tissuetrace.studies.{study}.export"
    if importlib.util.find_spec(module) is None or len(matrices) != 1:
        raise InputError("has nothing to export", where=study)
    exports = importlib.import_module(module).EXPORTS
    _known(what, exports, "format")
    variants = [str(name) for name in content[study][matrices.pop()]]
    if variant is not None:
        _known(variant, variants, "variant")
    return exports[what], variants if variant is None else [variant]


def _known(name: str, known: Iterable[str], kind: str) -> None:
    names = list(known)
    if name in names:
        return
    close = difflib.get_close_matches(name, names, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(names)}"
    raise InputError(f"no {kind} named {name!r}", todo=hint)
