"""The patch that a change is drawn towards."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from tissuetrace.pipeline.errors import InputError

__all__ = ["nearest", "nearest_rows"]


def nearest(
    x0: Float[Tensor, "row channel"], pool: Float[Tensor, "candidate channel"], k: int
) -> Float[Tensor, "row channel"]:
    """Return the k-th nearest row of the pool for each row, by Euclidean distance.

    Args:
        x0: where each search starts, all predictors in z.
        pool: patches that count as having T cells, in the same z.
        k: 1 for the nearest; the k-th alone is taken, not the mean of k.

    Raises:
        InputError: the pool is empty or smaller than k, or holds a value that is not finite.

    Source: Wang & Thomson, section on Eq. 1; Van Looveren and Klaise 2021 (k-d trees).
    """
    return pool[nearest_rows(x0, pool, k).to(pool.device)]


def nearest_rows(
    x0: Float[Tensor, "row channel"], pool: Float[Tensor, "candidate channel"], k: int
) -> Int[Tensor, " row"]:
    """As `nearest`, but the numbers of the rows: for prototypes with pixels, found by their means.

    Raises:
        InputError: as `nearest`.
    """
    from scipy.spatial import cKDTree

    if not 1 <= k <= len(pool):
        raise InputError(
            f"{len(pool)} prototypes, the nearest number {k} is asked for",
            where="prototype pool",
            todo="Lower p, choose another pool, or lower k",
        )
    both = {"x0": x0, "pool": pool}
    broken = {name: ~torch.isfinite(rows).all(dim=1) for name, rows in both.items()}
    items = [
        f"row {row} of {name}"
        for name, bad in broken.items()
        for row in bad.nonzero().flatten().tolist()
    ]
    if items:
        raise InputError(f"{len(items)} rows with values that are not finite", items=items)
    tree = cKDTree(pool.detach().cpu().double().numpy())
    _, rows = tree.query(x0.detach().cpu().double().numpy(), k=[k])
    return torch.from_numpy(np.asarray(rows, dtype=np.int64)[:, 0])
