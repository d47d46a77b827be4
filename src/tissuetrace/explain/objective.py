"""Equation 1: what a change of a patch costs, and what it must reach."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol, cast, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = ["Objective", "Probability", "RowBound"]

Probability = Callable[[Tensor], Tensor]
Rows = Float[Tensor, "row variable"]
PerRow = Float[Tensor, " row"]


@runtime_checkable
class RowBound(Protocol):
    """A probability that holds something of each row, such as its pixels."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return one probability for each row, in the order of what it holds."""
        ...

    def rows(self, index: Int[Tensor, " some"]) -> "RowBound":
        """Return the same function of these rows alone, in this order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """Eq. 1 on flattened rows, with the change δ = x - x₀ as its variable.

    Args:
        probability: of rows in their own shape.
        shape: of one row, such as (channels,) or (channels, height, width).
        x0: where each row starts.
        towards: prototype less x₀.
        low: least change allowed, 0 or below.
        high: greatest change allowed, 0 or above; equal to `low` (0) where a variable is pinned.
        beta: weight of ‖δ‖₁.
        theta: weight of the squared distance from the prototype.
        p: what f must exceed.
        aim: where the first term of Eq. 1 ends, `p` or a little above.

    Sums over variables are averages over the pixels of a row: a change that is the same at every
    pixel costs what it costs as a change of the channel's mean.

    Attributes:
        pixels: of a row, 1 where a row holds means.
        bound: whether the probability holds something of each row.
    """

    probability: Probability
    shape: tuple[int, ...]
    x0: Rows
    towards: Rows
    low: Rows
    high: Rows
    beta: float
    theta: float
    p: float
    aim: float

    pixels: int = field(init=False)
    bound: bool = field(init=False)

    def __post_init__(self) -> None:
        # both are read at every step
        object.__setattr__(self, "pixels", int(torch.Size(self.shape[1:]).numel()))
        object.__setattr__(self, "bound", isinstance(self.probability, RowBound))

    def at(self, delta: Rows, some: Int[Tensor, " some"] | None = None) -> Float[Tensor, " asked"]:
        """Return f(x₀ + δ), of some rows alone where their numbers are given."""
        probability, x0 = self.probability, self.x0
        if some is not None and len(some) < len(delta):
            x0, delta = x0.index_select(0, some), delta.index_select(0, some)
            if self.bound:
                probability = cast("RowBound", probability).rows(some)
        with torch.no_grad():
            return probability((x0 + delta).view(-1, *self.shape))

    def slope(self, delta: Rows, weigh: Callable[[PerRow], PerRow]) -> tuple[PerRow, Rows]:
        """Return f(x₀ + δ) and its gradient times a weight that f decides, row by row.

        The gradient is that of the inner product averaged over pixels: pixels times the plain one.
        """
        x = (self.x0 + delta).view(-1, *self.shape).requires_grad_()
        with torch.enable_grad():
            f = self.probability(x)
        weights = weigh(f.detach())
        if self.pixels > 1:
            weights = weights * self.pixels
        (gradient,) = torch.autograd.grad(f, x, weights)
        return f.detach(), gradient.flatten(1)

    def distance(self, delta: Rows) -> PerRow:
        """Return β‖δ‖₁ + ‖δ‖², by which valid changes are compared."""
        size = delta.abs()
        return self.mean(size.add(self.beta).mul_(size))

    def mean(self, terms: Rows) -> PerRow:
        """Sum over channels, average over pixels."""
        total = terms.sum(dim=1)
        return total if self.pixels == 1 else total / self.pixels

    def only(self, rows: slice | Int[Tensor, " some"] | Bool[Tensor, " row"]) -> "Objective":
        """Return the same for these rows alone."""
        probability = self.probability
        if isinstance(probability, RowBound):
            probability = probability.rows(torch.arange(len(self.x0), device=self.x0.device)[rows])
        return replace(
            self,
            probability=probability,
            x0=self.x0[rows],
            towards=self.towards[rows],
            low=self.low[rows],
            high=self.high[rows],
        )
