import math

import numpy as np
import pytest
import torch

from tissuetrace.explain.prototypes import nearest, nearest_rows
from tissuetrace.pipeline.errors import InputError

POOL = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 5.0]])


@pytest.mark.parametrize(("k", "expected"), [(1, [3.0, 0.0]), (2, [0.0, 0.0]), (3, [0.0, 5.0])])
def test_the_kth_nearest_alone_is_taken(k: int, expected: list[float]) -> None:
    assert nearest(torch.tensor([[2.0, 0.0]]), POOL, k).tolist() == [expected]


def test_all_channels_count() -> None:
    x0 = torch.tensor([[0.0, 4.0]])  # by the first channel alone, 0 and 2 tie

    assert nearest(x0, POOL, 1).tolist() == [[0.0, 5.0]]


def test_it_is_what_sorting_all_distances_gives() -> None:
    rng = np.random.default_rng(0)
    x0, pool = (
        torch.from_numpy(rng.normal(size=(50, 4))),
        torch.from_numpy(rng.normal(size=(80, 4))),
    )

    found = nearest_rows(x0, pool, 3)

    assert torch.equal(found, torch.cdist(x0, pool).argsort(dim=1)[:, 2])
    assert torch.equal(nearest(x0, pool, 3), pool[found])


@pytest.mark.parametrize(("size", "k"), [(0, 1), (2, 3)])
def test_a_pool_that_is_empty_or_too_small_is_refused_with_its_size(size: int, k: int) -> None:
    with pytest.raises(InputError, match=f"prototype pool: {size} prototypes, the nearest number"):
        nearest(torch.zeros(4, 2), POOL[:size], k)


def test_rows_that_are_not_finite_are_named() -> None:
    x0, pool = torch.zeros(3, 2), POOL.clone()
    x0[1, 0] = math.nan
    pool[2, 1] = math.inf

    with pytest.raises(InputError, match="2 rows with values that are not finite") as refused:
        nearest(x0, pool, 1)

    assert "row 1 of x0" in str(refused.value)
    assert "row 2 of pool" in str(refused.value)
