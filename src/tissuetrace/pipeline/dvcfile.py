"""`dvc.yaml` and `data/README.md` from the declarations of the stages."""

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tissuetrace.pipeline.code import code_of
from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.execute import checksums_path, each_path, variants
from tissuetrace.pipeline.params import param_keys
from tissuetrace.pipeline.stage import Each, Output, Plot, Stage, Study

__all__ = ["dvc_text", "readme_text", "require_current", "stale_files", "write_files"]

DVC_HEAD = (
    "# Written by `tissuetrace pipeline --write` from the stages' declarations: do not edit.\n"
)
README_HEAD = """# Data: every artefact

Written by `tissuetrace pipeline --write` from the stages' declarations: do not edit. Paths are
relative to the project. `exact` outputs repeat in bytes, `tolerance` ones in numbers within the
stated relative bound, `record` ones tell of one execution and are not compared.
"""


def write_files(
    studies: Mapping[str, Study], stages: Sequence[Stage], content: Mapping[str, Any], root: Path
) -> list[str]:
    """Write `dvc.yaml` and `data/README.md`; return the names of those that changed.

    Checksums of stages and variants that are no more are removed from git's folder.
    """
    changed = stale_files(studies, stages, content, root)
    for name in changed:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(_texts(studies, stages, content, root)[name], encoding="utf-8")
    known = {
        checksums_path(stage, variant)
        for stage in stages
        for variant in (variants(stage, content) if stage.matrix else [None])
    }
    for path in sorted(root.glob("metrics/*/checksums/*.json")):
        if path.relative_to(root).as_posix() not in known:
            path.unlink()
    return changed


def stale_files(
    studies: Mapping[str, Study], stages: Sequence[Stage], content: Mapping[str, Any], root: Path
) -> list[str]:
    """Return which of the written files differ from the declarations."""
    return [
        name
        for name, text in _texts(studies, stages, content, root).items()
        if not (root / name).exists() or (root / name).read_text(encoding="utf-8") != text
    ]


def _texts(
    studies: Mapping[str, Study], stages: Sequence[Stage], content: Mapping[str, Any], root: Path
) -> dict[str, str]:
    return {
        "dvc.yaml": dvc_text(studies, stages, content, root),
        "data/README.md": readme_text(studies, stages),
    }


def dvc_text(
    studies: Mapping[str, Study], stages: Sequence[Stage], content: Mapping[str, Any], root: Path
) -> str:
    """Return the whole `dvc.yaml`.

    Args:
        studies: declarations by name, for the top-level plots.
        stages: of all studies, in the order in which they run.
        content: plain values of `params.yaml`, for the variants of each matrix.
        root: the project's folder, whose sources give the code dependencies.
    """
    from ruamel.yaml import YAML

    document: dict[str, Any] = {
        "stages": {stage.dvc_name: _entry(stage, content, root) for stage in stages}
    }
    plots = [_plot(name, plot, content) for name, study in studies.items() for plot in study.plots]
    if plots:
        document["plots"] = plots
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    yaml.dump(document, stream)
    return DVC_HEAD + stream.getvalue()


def _entry(stage: Stage, content: Mapping[str, Any], root: Path) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    if stage.matrix is not None:
        entry["matrix"] = {stage.matrix: [str(v) for v in content[stage.study][stage.matrix]]}
    entry["cmd"] = _command(stage)
    entry["desc"] = stage.summary
    entry["deps"] = sorted({*_data_deps(stage, content), *code_of(stage.module, root)})
    if stage.params:
        entry["params"] = [_item(key, stage) for key in param_keys(stage)]
    outs = [_out(stage, output) for output in stage.writes.values() if not output.is_metric]
    entry["outs"] = [*outs, {_item(checksums_path(stage, _matrix_item(stage)), stage): _uncached()}]
    metrics = [output for output in stage.writes.values() if output.is_metric]
    if metrics:
        entry["metrics"] = [{_item(output.path, stage): _uncached()} for output in metrics]
    return entry


def _command(stage: Stage) -> str:
    # exec: a shell that stays between dvc and the stage would hide the death of dvc from it
    command = f"exec tissuetrace run {stage.id}"
    return command if stage.matrix is None else f"{command} --variant {_matrix_item(stage)}"


def _matrix_item(stage: Stage) -> str | None:
    return None if stage.matrix is None else f"${{item.{stage.matrix}}}"


def _data_deps(stage: Stage, content: Mapping[str, Any]) -> Iterator[str]:
    for path in stage.reads.values():
        if isinstance(path, Each):
            yield from map(str, each_path(path, stage.study, content).values())
        else:
            yield _item(path, stage)


def _item(path: str, stage: Stage) -> str:
    """Write `{cohort}` as DVC does."""
    return path.replace(f"{{{stage.matrix}}}", f"{_matrix_item(stage)}")


def _out(stage: Stage, output: Output) -> dict[str, Any]:
    meta: dict[str, Any] = {"reproducibility": output.reproducibility}
    if output.reproducibility == "tolerance":
        meta["within"] = output.within
    if output.records:
        meta["records"] = list(output.records)
    return {_item(output.path, stage): {"desc": output.about, "meta": meta}}


def _uncached() -> dict[str, bool]:
    return {"cache": False}


def _plot(study: str, plot: Plot, content: Mapping[str, Any]) -> dict[str, Any]:
    files = {
        file: list(columns)
        for path, columns in plot.y.items()
        for file in _of_all_variants(path, study, content)
    }
    return {
        f"{study}-{plot.name}": {
            "template": plot.template,
            "x": plot.x,
            "y": files,
            "title": plot.title,
            "x_label": plot.x_label,
            "y_label": plot.y_label,
        }
    }


def _of_all_variants(path: str, study: str, content: Mapping[str, Any]) -> list[str]:
    if "{" not in path:
        return [path]
    return [file.as_posix() for file in each_path(Each(path), study, content).values()]


def readme_text(studies: Mapping[str, Study], stages: Sequence[Stage]) -> str:
    """Return `data/README.md`: one section a study, one table row an artefact."""
    parts = [README_HEAD]
    for name, study in studies.items():
        parts.append(f"\n## {name}: {study.title}\n")
        parts += [_stage_section(stage) for stage in stages if stage.study == name]
    return "".join(parts)


def _stage_section(stage: Stage) -> str:
    lines = [f"\n### {stage.name}\n\n{stage.summary}.\n\n"]
    lines.append("| path | repeats | what it is |\n|---|---|---|\n")
    for output in stage.writes.values():
        kind: str = output.reproducibility
        kind += f" ({output.within:g})" if kind == "tolerance" else ""
        lines.append(f"| `{output.path}` | {kind} | {output.about} |\n")
    for output in stage.writes.values():
        lines += _column_table(output)
    return "".join(lines)


def _column_table(output: Output) -> list[str]:
    if not output.columns:
        return []
    rows = [
        f"| `{name}` | {dtype} | {meaning.strip()} |\n"
        for name, text in output.columns.items()
        for dtype, _, meaning in [text.partition(":")]
    ]
    return [f"\n`{output.path}`\n\n| column | type | meaning |\n|---|---|---|\n", *rows]


def require_current(
    studies: Mapping[str, Study], stages: Sequence[Stage], content: Mapping[str, Any], root: Path
) -> None:
    """Refuse to go on with a pipeline that says something else than the code.

    Raises:
        InputError: `dvc.yaml` or `data/README.md` is stale.
    """
    stale = stale_files(studies, stages, content, root)
    if stale:
        raise InputError(
            f"{' and '.join(stale)} differ from the declarations",
            todo="Run tissuetrace pipeline --write and commit the change",
        )
