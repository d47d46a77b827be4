"""The recurrence of Van Looveren and Klaise: gradient step, shrinkage, momentum, search for c."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import softshrink

from tissuetrace.explain.objective import Objective

__all__ = ["Best", "shrinkage_search"]

PerRow = Float[Tensor, " row"]

CLIP = 1000.0  # of each element of the gradient
NO_UPPER_BOUND = 1e10  # of c, where no round has found anything yet
FAR = 1e9  # an upper bound of c below this one was found
LOOK_EVERY = 16  # steps between two looks for rows that stand still
WORTH_DROPPING = 0.1  # share of standing rows from which on they are left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The valid change of least distance that each row has seen.

    Args:
        delta: the change, 0 where nothing valid was seen.
        distance: of that change, infinite where nothing was.
        step: steps until it was reached, counted over the rounds, 0 where it was not.
        frozen: share of the steps of all rows that were left out, as they change nothing.
    """

    delta: Float[Tensor, "row variable"]
    distance: PerRow
    step: PerRow
    frozen: float


def shrinkage_search(
    objective: Objective,
    *,
    c: float,
    c_steps: Literal["library", "fixed"],
    lr: float,
    steps: int,
    rounds: int,
) -> Best:
    """Run all rounds of the recurrence on all rows at once.

    Args:
        objective: Eq. 1.
        c: weight of the first term in the first round.
        c_steps: `library` halves the way to a smaller c after a round that found something, and
            takes ten times c after one that did not; `fixed` keeps c.
        lr: of the first step; it falls to 0 as the root of what is left of the round.
        steps: of a round.
        rounds: with another c each; all are alike where c is fixed, so one is run.

    Source: Van Looveren and Klaise 2021, algorithm 1, as in the library alibi 0.9.6.
    """
    best = Best(
        delta=torch.zeros_like(objective.x0),
        distance=torch.full_like(objective.x0[:, 0], math.inf),
        step=torch.zeros_like(objective.x0[:, 0]),
        frozen=0.0,
    )
    weights = _Weights.start(torch.full_like(best.distance, c))
    rounds = rounds if c_steps == "library" else 1
    left_out = 0
    for number in range(rounds):
        a_round = _Round(objective, weights.c, best)
        for step in range(steps):
            a_round.step(step, lr=lr * math.sqrt(1 - step / steps), after=number * steps)
            left_out += len(best.step) - len(a_round.index)
        found = a_round.finish()
        weights = weights.next(found)
    row_steps = max(len(best.step) * rounds * steps, 1)
    return Best(
        delta=best.delta, distance=best.distance, step=best.step, frozen=left_out / row_steps
    )


@dataclass(frozen=True, slots=True)
class _Weights:
    """The weight c of each row and what bounds it."""

    c: PerRow
    lowest: PerRow
    highest: PerRow

    @classmethod
    def start(cls, c: PerRow) -> "_Weights":
        return cls(c, torch.zeros_like(c), torch.full_like(c, NO_UPPER_BOUND))

    def next(self, found: Bool[Tensor, " row"]) -> "_Weights":
        highest = torch.where(found, torch.minimum(self.highest, self.c), self.highest)
        lowest = torch.where(found, self.lowest, torch.maximum(self.lowest, self.c))
        halfway = (lowest + highest) / 2
        c = torch.where(found | (highest < FAR), halfway, 10 * self.c)
        return _Weights(c, lowest, highest)


class _Round:
    """One round: `y` and `adv` of the recurrence as changes from x₀, of the rows that still move.

    `nearest` is the distance of the best change of all rounds; `limit` the distance below which f
    has something to decide: that of the best, or infinity where this round has found nothing yet.
    """

    def __init__(self, objective: Objective, c: PerRow, best: Best) -> None:
        self.best = best
        self.found = torch.zeros_like(best.step, dtype=torch.bool)
        self.index = torch.arange(len(best.step), device=best.step.device)
        self._take(objective, c)
        self.y, self.adv = torch.zeros_like(objective.x0), torch.zeros_like(objective.x0)
        self.nearest, self.limit = best.distance.clone(), torch.full_like(best.distance, math.inf)

    def step(self, number: int, *, lr: float, after: int) -> None:
        """Take one step with all rows that still move, and keep what is better."""
        stood = self._at_start() if number % LOOK_EVERY == 0 else None
        self._descend(lr)
        objective = self.objective
        new = softshrink(self.y, objective.beta)
        torch.clamp(new, objective.low, objective.high, out=new)
        torch.lerp(self.adv, new, 1 + (number + 1) / (number + 4), out=self.y)
        torch.clamp(self.y, objective.low, objective.high, out=self.y)
        self.adv = new
        self._keep(after + number + 1)
        if stood is not None:
            self._drop(stood & self._at_start())

    def finish(self) -> Bool[Tensor, " row"]:
        """Return which rows saw a valid change in this round."""
        self.best.distance[self.index] = self.nearest
        self.found[self.index] = self.limit < math.inf
        return self.found

    def _take(self, objective: Objective, c: PerRow) -> None:
        self.objective, self.c = objective, c
        self.against = -c
        self.pull = objective.towards * (-2 * objective.theta)

    def _descend(self, lr: float) -> None:
        objective = self.objective
        _, gradient = objective.slope(self.y, lambda f: (f < objective.aim) * self.against)
        gradient.add_(self.y, alpha=2 * (1 + objective.theta)).add_(self.pull)
        self.y.add_(gradient.clamp_(-CLIP, CLIP), alpha=-lr)

    def _keep(self, step: int) -> None:
        distance = self.objective.distance(self.adv)
        asked = (distance < self.limit).nonzero().squeeze(1)
        if len(asked) == 0:
            return
        valid = asked[self.objective.at(self.adv, asked) > self.objective.p]
        if len(valid) == 0:
            return
        now, before = distance[valid], self.nearest[valid]
        self.nearest[valid] = self.limit[valid] = torch.minimum(now, before)
        better = valid[now < before]
        rows = self.index[better]
        self.best.delta[rows] = self.adv[better]
        self.best.step[rows] = float(step)

    def _at_start(self) -> Bool[Tensor, " row"]:
        return self.y.abs().add_(self.adv.abs()).sum(dim=1) == 0

    def _drop(self, standing: Bool[Tensor, " row"]) -> None:
        """Leave rows out that began and ended a step at x₀.

        The gradient stays what it is and the rate only falls, so no later step moves them.
        """
        if standing.sum() <= WORTH_DROPPING * len(standing):
            return
        self.finish()
        moving = (~standing).nonzero().squeeze(1)
        self._take(self.objective.only(moving), self.c[moving])
        self.index, self.nearest, self.limit, self.y, self.adv = (
            each[moving] for each in (self.index, self.nearest, self.limit, self.y, self.adv)
        )
