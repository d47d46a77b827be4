"""`tissuetrace scale`: merge a scale's parameters into `params.yaml`, comments kept."""

from collections.abc import Iterator, MutableMapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.params import check_params, load_params
from tissuetrace.pipeline.stage import Stage

__all__ = ["merge_scale", "scale_names"]


def scale_names(root: Path) -> list[str]:
    """Return the scales of `params/`, sorted."""
    return sorted(path.stem for path in (root / "params").glob("*.yaml"))


def merge_scale(name: str, root: Path, stages: Sequence[Stage]) -> list[str]:
    """Merge `params/NAME.yaml` into `params.yaml`; return one line for each changed value.

    Raises:
        InputError: there is no such scale, it names a key that `params.yaml` has not, or a value
            that the stages do not take; then nothing is written.
    """
    from ruamel.yaml import YAML

    if name not in scale_names(root):
        raise InputError(f"no scale {name!r} among {', '.join(scale_names(root))}")
    yaml = YAML()
    yaml.width = 4096
    params = root / "params.yaml"
    content = yaml.load(params.read_text(encoding="utf-8"))
    changes = load_params(root / "params" / f"{name}.yaml")
    mappings = {f"{stage.study}.{stage.matrix}." for stage in stages if stage.matrix is not None}
    lines = list(_merge(content, changes, prefix="", scale=name, mappings=mappings))
    check_params(stages, content)
    aside = params.with_name(".partial-params.yaml")
    with aside.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
    aside.replace(params)
    return lines


def _merge(
    content: MutableMapping[str, Any],
    changes: MutableMapping[str, Any],
    *,
    prefix: str,
    scale: str,
    mappings: AbstractSet[str],
) -> Iterator[str]:
    for key, value in changes.items():
        if key not in content and prefix in mappings:
            continue  # a variant that this project has not
        if key not in content:
            raise InputError(
                "params.yaml has no such key", where=f"params/{scale}.yaml: {prefix}{key}"
            )
        if isinstance(value, MutableMapping):
            inner = f"{prefix}{key}."
            yield from _merge(content[key], value, prefix=inner, scale=scale, mappings=mappings)
        elif content[key] != value:
            yield f"{prefix}{key}: {_plain(content[key])} → {_plain(value)}"
            content[key] = value


def _plain(value: Any) -> str:  # noqa: ANN401  # any YAML value
    return str(list(value)) if isinstance(value, list) else str(value)
