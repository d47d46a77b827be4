"""The phantom's known answer is recovered on seeds that were not used while building the lane."""

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
        return recovered()


def test_the_law_of_the_t_cells_is_recovered_on_fresh_seeds(tmp_path: Path) -> None:
    found = [answer(seed, tmp_path / str(seed)) for seed in SEEDS]

    table = judge(mean_over_seeds(found), BOUNDS)
    for seed, one in zip(SEEDS, found, strict=True):
        table[seed] = table["key"].map(one)

    assert len(table) == 10
    assert table["passed"].all(), table.drop(columns="about").to_string()
