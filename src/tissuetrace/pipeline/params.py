"""`params.yaml` into frozen dataclasses, every mistake of the file at once."""

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.stage import Kind, Section, Stage

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


def stage_params(
    stage: Stage, content: Mapping[str, Any], variant: str | None = None
) -> dict[str, Any]:
    """Return the typed value of each parameter argument of a stage, for one of its variants.

    Raises:
        InputError: lists every unknown key, missing key, wrong type and value out of bounds.
    """
    wanted = {
        argument: (section.name.replace(f"{{{stage.matrix}}}", f"{variant}"), section)
        for argument, section in stage.sections.items()
    }
    _raise_mistakes(
        _section_mistakes(stage.study, {name: s.whole for name, s in wanted.values()}, content)
    )
    study = content.get(stage.study, {})
    return {
        argument: _adapter(section.kind).validate_json(
            _as_json(_part(_section(study, name), section)), strict=True
        )
        for argument, (name, section) in wanted.items()
    }


def check_params(stages: Iterable[Stage], content: Mapping[str, Any]) -> None:
    """Check the sections of all given stages, and that no section is left over.

    Raises:
        InputError: lists every mistake of the file.
    """
    kinds: dict[str, dict[str, Kind]] = {}
    matrices: dict[str, set[str]] = {}
    for stage in stages:
        sections = kinds.setdefault(stage.study, {})
        for section in stage.sections.values():
            place = f"{{{stage.matrix}}}"
            names = [section.name.replace(place, key) for key in _keys(stage, content)]
            sections.update(dict.fromkeys(names or [section.name], section.whole))
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
    _raise_mistakes(list(dict.fromkeys(mistakes)))  # a section may be read in whole and in part


def param_keys(stage: Stage) -> list[str]:
    """Return the keys that DVC tracks for a stage, one for each field that it is given.

    `{key}` stands for the variant. A mapping of settings is tracked as a whole.
    """
    return sorted(
        ".".join([stage.study, section.name, *field])
        for section in stage.sections.values()
        for field in _tracked(section.kind)
    )


def _tracked(kind: Kind) -> list[list[str]]:
    return [[field.name] for field in fields(kind)] if is_dataclass(kind) else [[]]


def _keys(stage: Stage, content: Mapping[str, Any]) -> list[str]:
    """Return the variants of a stage, or none where the matrix is not a list or mapping yet."""
    values = content.get(stage.study, {}).get(stage.matrix)
    return [str(value) for value in values] if isinstance(values, list | dict) else []


def _section(study: Mapping[str, Any], section: str) -> Any:  # noqa: ANN401  # YAML is any value
    found: Any = study
    for key in section.split(".", 1):  # a variant may have dots in its name
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _part(values: Any, section: Section) -> Any:  # noqa: ANN401  # YAML is any value
    if section.kind is section.whole:
        return values
    wanted = {field.name for field in fields(section.kind)}  # type: ignore[arg-type]  # a dataclass
    return {key: value for key, value in values.items() if key in wanted}


def _as_json(section: object) -> str:
    return json.dumps(section, default=str)


def _raise_mistakes(mistakes: list[str]) -> None:
    if mistakes:
        count = "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"
        raise InputError(count, where="params.yaml", todo="Correct it", items=mistakes)


def _unknown_sections(study: str, sections: Sequence[str], content: Mapping[str, Any]) -> list[str]:
    return [
        f"{study}.{name}: no such section{_nearest(name, sections)}"
        for name in content.get(study, {})
        if name not in {section.partition(".")[0] for section in sections}
    ]


def _matrix_mistakes(study: str, keys: Sequence[str], content: Mapping[str, Any]) -> list[str]:
    return [
        f"{study}.{key}: is {values!r}, should be a list of names of letters, digits, . _ -"
        for key in keys
        for values in [content.get(study, {}).get(key)]
        if not isinstance(values, list | dict)
        or not values
        or not all(re.fullmatch(r"[A-Za-z0-9._-]+", str(value)) for value in values)
    ]


def _section_mistakes(
    study: str, sections: Mapping[str, Kind], content: Mapping[str, Any]
) -> list[str]:
    from pydantic import ValidationError

    mistakes = []
    found = content.get(study, {})
    for section, kind in sections.items():
        if _section(found, section) is None:
            mistakes.append(f"{study}.{section}: this section is missing")
            continue
        try:
            _adapter(kind).validate_json(
                _as_json(_section(found, section)), strict=True, extra="forbid"
            )
        except ValidationError as problem:
            errors = problem.errors(include_url=False)
            mistakes += [_mistake(f"{study}.{section}", kind, error) for error in errors]
    return mistakes


def _mistake(prefix: str, kind: Kind, error: Mapping[str, Any]) -> str:
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


def _field_names(kind: Kind) -> list[str]:
    if not is_dataclass(kind):
        return _field_names(get_args(kind)[1])  # of dict[str, dataclass]
    nested = [field.type for field in fields(kind) if hasattr(field.type, "__dataclass_fields__")]
    names = [field.name for field in fields(kind)]
    return names + [name for inner in nested for name in _field_names(inner)]  # type: ignore[arg-type]  # checked above


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; the nearest is {close[0]!r}" if close else ""


def _adapter(kind: Kind) -> Any:  # noqa: ANN401  # pydantic's adapter of a type known at run time
    from pydantic import TypeAdapter

    return TypeAdapter(kind)  # type: ignore[arg-type]  # a type made at run time
