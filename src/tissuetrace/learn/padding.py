"""Rows of several members in one array, though they differ in number: the rest weighs 0."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, Shaped
from numpy import ndarray
from torch import Tensor

__all__ = ["batch_shares", "padded", "taken"]


def padded(parts: Sequence[ndarray], length: int) -> Float32[Tensor, "member row *channel"]:
    """Put the rows of each member side by side, zeros behind them.

    Args:
        parts: rows of each member, alike but for their number.
        length: rows of the result, enough for the longest.
    """
    values = np.zeros((len(parts), length, *parts[0].shape[1:]), dtype=np.float32)
    for member, rows in enumerate(parts):
        values[member, : len(rows)] = rows
    return torch.from_numpy(values)


def batch_shares(rows: int, batch: int) -> Float64[ndarray, " row"]:
    """Return one over the number of rows in each row's batch, of which the last may be smaller.

    Weighted with them, the sum over a batch is the mean over its rows.
    """
    first = np.arange(rows) // batch * batch
    shares: Float64[ndarray, " row"] = 1 / np.minimum(rows - first, batch)
    return shares


def taken(
    values: Shaped[Tensor, "member row *channel"], places: Int64[Tensor, "member batch"]
) -> Shaped[Tensor, "member batch *channel"]:
    """Return what stands at each place, counted from the first member's first row.

    One index for members and rows together takes a third of the time of two.
    """
    found = values.flatten(0, 1).index_select(0, places.flatten())
    return found.view(*places.shape, *values.shape[2:])
