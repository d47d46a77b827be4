"""The phantom's known answer is recovered on seeds that were not used while building the lane."""

import shutil
from pathlib import Path

import pytest
from imc_chain import draw, inside, learn, recovered, search

from tissuetrace.stats.recovery import judge
from tissuetrace.studies.imc.recovery import BOUNDS, mean_over_seeds

pytestmark = pytest.mark.slow

SEEDS = (101, 102, 103)  # fixed before any of them was drawn


def answer(seed: int, folder: Path) -> dict[str, float]:
    """What the whole lane finds of the law that one seed's cohort was drawn by."""
    with inside(folder):
        draw(seed)
        learn()
        search()
        found = recovered()
    shutil.rmtree(folder)  # the pixels of a cohort are 200 MB
    return found


def test_the_law_of_the_t_cells_is_recovered_on_fresh_seeds(tmp_path: Path) -> None:
    found = {seed: answer(seed, tmp_path / str(seed)) for seed in SEEDS}

    table = judge(mean_over_seeds(list(found.values())), BOUNDS)
    of_seeds = {f"seed {seed}": table["key"].map(one) for seed, one in found.items()}

    assert len(table) == 10
    assert table["passed"].all(), table.drop(columns="about").assign(**of_seeds).to_string()
