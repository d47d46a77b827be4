"""The phantom's known answer is recovered on seeds that were not used while building the lane.

A split that ignores groups, put in place of the one that keeps them, must be found out.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tissuetrace.learn import splits
from tissuetrace.pipeline.files import read_table, write_json, write_table
from tissuetrace.pipeline.params import load_params, stage_params
from tissuetrace.pipeline.stage import Stage
from tissuetrace.stats.recovery import judge
from tissuetrace.studies.leukemia import folds as folds_module
from tissuetrace.studies.leukemia.evaluate import evaluate
from tissuetrace.studies.leukemia.featurize import featurize
from tissuetrace.studies.leukemia.folds import folds
from tissuetrace.studies.leukemia.headline import against_truth, leakage_numbers
from tissuetrace.studies.leukemia.ingest import ingest
from tissuetrace.studies.leukemia.phantom import draw_phantom
from tissuetrace.studies.leukemia.recovery import bounds_for
from tissuetrace.studies.leukemia.scores import score_folds
from tissuetrace.studies.leukemia.split import split

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parents[2]
HOME = Path("data/leukemia")
SIGNAL_SEEDS = (31, 57)
NULL_SEED = 73


def settings(stage: Stage) -> dict[str, Any]:
    return stage_params(stage, load_params(PROJECT / "params.yaml"))


def run(stage: Stage, **arguments: object) -> None:
    """Run a stage in the working directory, without its gate."""
    reads = {name: Path(str(path)) for name, path in stage.reads.items()}
    writes = {name: Path(output.path) for name, output in stage.writes.items()}
    for path in writes.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    stage(**{**reads, **writes, **settings(stage), **arguments})


def draw(*, seed: int, delta: float) -> None:
    """Draw a phantom and run the lane up to its features."""
    phantom = replace(settings(evaluate)["phantom"], seed=seed, delta=delta)
    write_table(draw_phantom(phantom, HOME / "fetch/images"), HOME / "fetch/truth.parquet")
    facts = {"frame_px": phantom.size_px}
    write_json({"kind": "phantom", "facts": facts}, HOME / "fetch/source.json")
    for stage in (ingest, split, featurize):
        run(stage)


def judged(*, delta: float) -> pd.DataFrame:
    """Cut folds, judge every cell out of fold, and hold the result against the bounds."""
    run(folds)
    seed = settings(evaluate)["params"].seed
    scores = score_folds(read_table(HOME / "folds/folds.parquet"), draws=2, seed=seed)
    truth = read_table(HOME / "fetch/truth.parquet")
    groups = read_table(HOME / "split/groups.parquet")
    in_cell_reading = read_table(HOME / "featurize/features_other.parquet")
    found = against_truth(truth, in_cell_reading, groups, seed=seed)
    return judge(leakage_numbers(scores, reading="cell") | found, bounds_for(delta))


@pytest.fixture(autouse=True)
def one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stay in this process, so that a sabotage is seen, and judge by the forest alone."""
    monkeypatch.setenv("TISSUETRACE_WORKERS", "1")
    monkeypatch.setattr(folds_module, "_strategies", tuple)


@pytest.fixture(scope="module")
def lanes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Folders of lanes up to their features, each made once."""

    @cache
    def lane(seed: int, delta: float) -> Path:
        folder = tmp_path_factory.mktemp(f"seed{seed}")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TISSUETRACE_WORKERS", "1")
            patch.chdir(folder)
            draw(seed=seed, delta=delta)
        return folder

    yield lane
    lane.cache_clear()


@pytest.mark.parametrize("seed", SIGNAL_SEEDS)
def test_the_signal_is_recovered(lanes: Any, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lanes(seed, 1.0))

    table = judged(delta=1.0)

    assert len(table) == 6
    assert table["passed"].all(), table.to_string()


def test_without_a_signal_only_subjects_are_recognised(
    lanes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lanes(NULL_SEED, 0.0))

    table = judged(delta=0.0)

    assert table["passed"].all(), table.to_string()


@pytest.mark.parametrize(
    ("drawn", "found_by"),
    [
        ((SIGNAL_SEEDS[0], 1.0), {"leakage_gap"}),
        ((NULL_SEED, 0.0), {"leakage_gap", "forest_auc_by_group"}),
    ],
)
def test_a_split_that_ignores_groups_is_found_out(
    lanes: Any, drawn: tuple[int, float], found_by: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def ignore_groups(labels: Any, groups: Any, *, folds: int, seed: int) -> Any:
        del groups
        return splits.stratified_folds(labels, folds=folds, seed=seed)

    monkeypatch.chdir(lanes(*drawn))
    monkeypatch.setattr(splits, "group_folds", ignore_groups)

    table = judged(delta=drawn[1])

    assert found_by <= set(table.loc[~table["passed"], "key"])
