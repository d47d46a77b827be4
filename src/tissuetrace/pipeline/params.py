"""`params.yaml` into frozen dataclasses, every mistake of the file at once."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.stage import Stage

__all__ = ["check_params", "load_params", "param_keys", "stage_params"]


def load_params(path: Path) -> dict[str, Any]:
    """Read `params.yaml` as plain values.

    Raises:
        InputError: the file is absent or is no YAML mapping.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if not path.exists():
        raise InputError("not found", where=path.name, todo="Run from the project's folder")
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except YAMLError as problem:
        place = " ".join(str(problem).split())
        raise InputError(f"no valid YAML: {place}", where=path.name) from problem
    if not isinstance(content, dict) or not all(isinstance(s, dict) for s in content.values()):
        raise InputError("expected one section of keys for each study", where=path.name)
    return content


def stage_params(stage: Stage, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the typed value of each parameter argument of a stage.

    Raises:
        InputError: lists every unknown key, missing key, wrong type and value out of bounds.
    """
    _raise_mistakes(_section_mistakes(stage.study, dict(stage.sections.values()), content))
    study = content.get(stage.study, {})
    return {
        argument: _adapter(kind).validate_json(json.dumps(study[section], default=str), strict=True)
        for argument, (section, kind) in stage.sections.items()
    }


def check_params(stages: Iterable[Stage], content: Mapping[str, Any]) -> None:
    """Check the sections of all given stages, and that no section is left over.

    Raises:
        InputError: lists every mistake of the file.
    """
    kinds: dict[str, dict[str, type]] = {}
    matrices: dict[str, set[str]] = {}
    for stage in stages:
        kinds.setdefault(stage.study, {}).update(stage.sections.values())
        matrices.setdefault(stage.study, set()).update([stage.matrix] if stage.matrix else [])
    mistakes = [
        f"{name}: no such study{_nearest(name, kinds)}" for name in content if name not in kinds
    ]
    mistakes += [
        mistake
        for study, sections in kinds.items()
        for mistake in [
            *_unknown_sections(study, [*sections, *sorted(matrices[study])], content),
            *_section_mistakes(study, sections, content),
            *_matrix_mistakes(study, sorted(matrices[study]), content),
        ]
    ]
    _raise_mistakes(mistakes)


def param_keys(stage: Stage) -> list[str]:
    """Return the keys that DVC tracks for a stage, one for each field that it is given."""
    return sorted(
        f"{stage.study}.{section}.{field.name}"
        for section, kind in stage.sections.values()
        for field in fields(kind)
    )


def _raise_mistakes(mistakes: list[str]) -> None:
    if mistakes:
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise InputError(count, where="params.yaml", todo="Correct it", items=mistakes)


def _unknown_sections(study: str, sections: Sequence[str], content: Mapping[str, Any]) -> list[str]:
    return [
        f"{study}.{name}: no such section{_nearest(name, sections)}"
        for name in content.get(study, {})
        if name not in sections
    ]


def _matrix_mistakes(study: str, keys: Sequence[str], content: Mapping[str, Any]) -> list[str]:
    return [
        f"{study}.{key}: is {values!r}, should be a list of names of letters, digits, . _ -"
        for key in keys
        for values in [content.get(study, {}).get(key)]
        if not isinstance(values, list)
        or not values
        or not all(re.fullmatch(r"[A-Za-z0-9._-]+", str(value)) for value in values)
    ]


def _section_mistakes(
    study: str, sections: Mapping[str, type], content: Mapping[str, Any]
) -> list[str]:
    from pydantic import ValidationError

    mistakes = []
    found = content.get(study, {})
    for section, kind in sections.items():
        if section not in found:
            mistakes.append(f"{study}.{section}: this section is missing")
            continue
        try:
            _adapter(kind).validate_json(
                json.dumps(found[section], default=str), strict=True, extra="forbid"
            )
        except ValidationError as problem:
            errors = problem.errors(include_url=False)
            mistakes += [_mistake(f"{study}.{section}", kind, error) for error in errors]
    return mistakes


def _mistake(prefix: str, kind: type, error: Mapping[str, Any]) -> str:
    *_, key = error["loc"] or ("",)
    place = ".".join([prefix, *map(str, error["loc"])])
    match error["type"]:
        case "unexpected_keyword_argument":
            return f"{place}: no such key{_nearest(str(key), _field_names(kind))}"
        case "missing" | "missing_argument" | "missing_keyword_only_argument":
            return f"{place}: this key is missing"
        case _:
            message = error["msg"].replace("Input should be", "should be")
            return f"{place}: is {error['input']!r}, {message}"


def _field_names(kind: type) -> list[str]:
    nested = [field.type for field in fields(kind) if hasattr(field.type, "__dataclass_fields__")]
    names = [field.name for field in fields(kind)]
    return names + [name for inner in nested for name in _field_names(inner)]  # type: ignore[arg-type]  # checked above


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; the nearest is {close[0]!r}" if close else ""


def _adapter(kind: type) -> Any:  # noqa: ANN401  # pydantic's adapter of a type known at run time
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
