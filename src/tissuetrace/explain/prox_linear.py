"""The minimiser of Equation 1, by prox-linear steps that are solved exactly in the box."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import softshrink

from tissuetrace.explain.objective import Objective

__all__ = ["minimise"]

Rows = Float[Tensor, "row variable"]
PerRow = Float[Tensor, " row"]

STEPS = 15
BISECTIONS = 30
ROUNDING = 4  # units in the last place by which f may be off
EASED, TIGHTENED = 0.3, 5.0  # factors of 1/η after a step that lowers Eq. 1, and one that does not


def minimise(objective: Objective, *, c: float, steps: int) -> tuple[Rows, PerRow]:
    """Minimise c·max(aim - f(x₀ + δ), 0) + β‖δ‖₁ + ‖δ‖² + θ‖x₀ + δ - prototype‖² in the box.

    f is linearised at the present change inside the first term, (1/2η)‖δ - δₖ‖² is added, and the
    whole is solved exactly; a step is taken where it lowers Eq. 1. A f with flat regions makes
    Eq. 1 non-convex: this finds the local minimum that the way from x₀ leads to.

    Args:
        objective: Eq. 1; its margin moves the end of the first term.
        c: weight of the first term.
        steps: at most; more than 15 are not made.

    Returns:
        The change, and the number of the step that reached it but for rounding (0: none was better
        than x₀).

    Source: Wang & Thomson, Eqs. 1-4; prox-linear steps as in Drusvyatskiy and Paquette 2019.
    """
    delta, reached = torch.zeros_like(objective.x0), torch.zeros_like(objective.x0[:, 0])
    stiffness = torch.ones_like(reached)  # 1/η
    noise = (
        ROUNDING * torch.finfo(delta.dtype).eps * c
    )  # a rise that rounding of f explains is none
    f, gradient = objective.slope(delta, torch.ones_like)
    for step in range(1, min(steps, STEPS) + 1):
        model = _Linearised(
            objective=objective, delta=delta, f=f, gradient=gradient, stiffness=stiffness
        )
        proposed = model.solve(c)
        f_there, gradient_there = objective.slope(proposed, torch.ones_like)
        hinge = c * ((objective.aim - f_there).clamp_min(0) - (objective.aim - f).clamp_min(0))
        rise = hinge + _penalty_gained(objective, delta, proposed)
        better = rise < noise
        delta = torch.where(better[:, None], proposed, delta)
        gradient = torch.where(better[:, None], gradient_there, gradient)
        f = torch.where(better, f_there, f)
        reached = torch.where(rise < -noise, float(step), reached)
        stiffness = stiffness * torch.where(better, EASED, TIGHTENED)
    return delta, reached


def _penalty_gained(objective: Objective, before: Rows, after: Rows) -> PerRow:
    """Return how much the penalties rise, from differences: their sums would drown it."""
    step, both = after - before, after + before
    quadratic = step * (both * (1 + objective.theta) - 2 * objective.theta * objective.towards)
    return objective.mean(quadratic + objective.beta * (after.abs() - before.abs()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Linearised:
    """Eq. 1 with f replaced by its tangent at δₖ, and (1/2η)‖δ - δₖ‖² added."""

    objective: Objective
    delta: Rows
    f: PerRow
    gradient: Rows
    stiffness: PerRow

    def solve(self, c: float) -> Rows:
        """Return the change at the least λ in [0, c] whose tangent reaches the aim, else at c."""
        short, enough = torch.zeros_like(self.f), torch.full_like(self.f, c)
        at_zero, at_c = self._lacks(short) <= 0, self._lacks(enough) > 0
        for _ in range(BISECTIONS):
            middle = (short + enough) / 2
            reaches = self._lacks(middle) <= 0
            short, enough = (
                torch.where(reaches, short, middle),
                torch.where(reaches, middle, enough),
            )
        # the tangent is linear between kinks: without this, the width that is left hides descent
        lacking, beyond = self._lacks(short), -self._lacks(enough)
        share = torch.where(lacking + beyond > 0, lacking / (lacking + beyond), 1.0)
        weight = torch.where(at_c, enough, torch.lerp(short, enough, share))
        return self._change(torch.where(at_zero, 0.0, weight))

    def _change(self, weight: PerRow) -> Rows:
        objective = self.objective
        stiffness = self.stiffness[:, None]
        pulled = self.delta * stiffness + 2 * objective.theta * objective.towards
        pulled = torch.addcmul(pulled, weight[:, None], self.gradient)
        shrunk = softshrink(pulled, objective.beta)
        return torch.clamp(
            shrunk / (stiffness + 2 + 2 * objective.theta), objective.low, objective.high
        )

    def _lacks(self, weight: PerRow) -> PerRow:
        """Return by how much the tangent falls short of the aim."""
        moved = self._change(weight) - self.delta
        return self.objective.aim - self.f - self.objective.mean(self.gradient * moved)
