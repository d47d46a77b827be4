"""Shorten a valid change along two paths for as long as it stays valid."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from tissuetrace.explain.objective import Objective

__all__ = ["polish"]

Rows = Float[Tensor, "row variable"]

BISECTIONS = 20


def polish(objective: Objective, delta: Rows) -> Rows:
    """Shrink each change towards 0, then scale it down, as far as f allows.

    First the largest τ is sought in sign(δ)·max(|δ| - τ, 0), then the smallest t in t·δ, each by 20
    bisections. What f must exceed is `aim`, or p where the change given does not exceed `aim`;
    each step kept is one that was seen to do so, hence neither needs f to be monotonic.

    Args:
        objective: Eq. 1.
        delta: valid changes: f > p at each.

    Returns:
        Changes no longer than those given, in the same directions or 0, all valid.
    """
    start = objective.at(delta)
    bar = torch.full_like(start, objective.p)
    bar[start > objective.aim] = objective.aim
    greatest = delta.abs().amax(dim=1) if delta.shape[1] else start
    tau = _bisect(objective, bar, lambda share: _soft(delta, share * greatest))
    delta = _soft(delta, tau * greatest)
    less = _bisect(objective, bar, lambda share: delta * (1 - share)[:, None])
    return delta * (1 - less)[:, None]


def _bisect(
    objective: Objective,
    bar: Float[Tensor, " row"],
    path: Callable[[Float[Tensor, " row"]], Rows],
) -> Float[Tensor, " row"]:
    """Return how much of the way from δ (0) to no change (1) each row can go."""
    valid, invalid = torch.zeros_like(bar), torch.ones_like(bar)
    for _ in range(BISECTIONS):
        middle = (valid + invalid) / 2
        holds = objective.at(path(middle)) > bar
        valid, invalid = torch.where(holds, middle, valid), torch.where(holds, invalid, middle)
    return valid


def _soft(delta: Rows, tau: Float[Tensor, " row"]) -> Rows:
    return delta.sign() * (delta.abs() - tau[:, None]).clamp_min_(0)
