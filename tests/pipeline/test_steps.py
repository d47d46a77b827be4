"""Which steps wait for which, and what one process can run now."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import load_yaml
from project_tree import ROOT

from tissuetrace.pipeline import registry
from tissuetrace.pipeline.params import load_params
from tissuetrace.pipeline.steps import Step, next_branch, steps_of


@pytest.fixture(scope="module")
def steps() -> Mapping[str, Step]:
    content: Any = load_params(ROOT / "params.yaml")
    stages = [stage for name in registry.study_names() for stage in registry.stages_of(name)]
    return {step.name: step for step in steps_of(stages, content)}


def names(steps: list[Step]) -> list[str]:
    return [step.name for step in steps]


def test_every_entry_of_dvc_yaml_is_a_step_and_every_output_read_is_waited_for(
    steps: Mapping[str, Step],
) -> None:
    locked = load_yaml(str(ROOT / "dvc.lock"))["stages"]
    outs = {out["path"]: name for name, entry in locked.items() for out in entry["outs"]}

    assert set(steps) == set(locked)
    for name, entry in locked.items():
        makers = {
            maker
            for dep in entry["deps"]
            for out, maker in outs.items()
            if Path(dep["path"]).is_relative_to(out) or Path(out).is_relative_to(dep["path"])
        }
        assert makers <= steps[name].after, name


def test_a_step_that_is_read_in_part_is_waited_for(steps: Mapping[str, Step]) -> None:
    # it reads files/melanoma, of what is written as files
    assert steps["imc-ingest@melanoma"].after == {"imc-fetch"}


def test_variants_do_not_wait_for_each_other(steps: Mapping[str, Step]) -> None:
    breast = [step for name, step in steps.items() if name.endswith("@breast")]

    assert not {name for step in breast for name in step.after if name.endswith("@melanoma")}
    assert {"imc-probe@melanoma", "imc-probe@breast"} <= steps["imc-validate"].after


def test_a_branch_ends_where_another_one_must_be_waited_for(steps: Mapping[str, Step]) -> None:
    imc = [step for step in steps.values() if step.name.startswith("imc-")]

    first = next_branch(imc, set())
    melanoma = next_branch(imc[1:], {"imc-fetch"})
    waiting = [step for step in imc[1:] if step not in melanoma]
    breast = next_branch(waiting, {"imc-fetch"})

    assert names(first) == ["imc-fetch"]
    assert names(melanoma) == [
        f"imc-{stage}@melanoma" for stage in ("ingest", "patch", "split", "decoy", "probe")
    ]
    assert names(breast) == [name.replace("melanoma", "breast") for name in names(melanoma)]


def test_nothing_runs_before_what_it_waits_for(steps: Mapping[str, Step]) -> None:
    imc = [step for step in steps.values() if step.name.startswith("imc-")]

    assert next_branch(imc[1:], set()) == []
    assert next_branch([], set()) == []
