"""The smallest change of a patch that makes a classifier see T cells, for many patches at once."""

import math
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tissuetrace.explain.objective import Objective, Probability, RowBound
from tissuetrace.explain.polishing import polish
from tissuetrace.explain.prox_linear import minimise
from tissuetrace.explain.shrinkage_search import Best, shrinkage_search
from tissuetrace.pipeline.errors import InputError

__all__ = ["Counterfactuals", "Probability", "RowBound", "search"]

Patches = Float[Tensor, "row *shape"]
Given = Float[Tensor, "..."]
Rows = Float[Tensor, "row variable"]
PerRow = Float[Tensor, " row"]

MATRIX = 2  # axes of a matrix
CHUNK_ROWS = 4096
CHUNK_VALUES = 2**23  # of a buffer: fewer rows at once where a row holds pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Counterfactuals:
    """What was found for each row.

    Args:
        changed: x₀ + δ, in the box; x₀ itself where `best_valid` found nothing.
        found: f(changed) > p.
        probability: f(changed).
        distance: β‖δ‖₁ + ‖δ‖² of `changed`, after polishing; sums over channels, averages over
            pixels. 0 where `best_valid` found nothing.
        iterations: steps until the returned iterate was first reached, counted over the rounds;
            polishing adds none; NaN where nothing was found.
        frozen: share of the steps of all rows that were left out, since they change nothing.
    """

    changed: Patches
    found: Bool[Tensor, " row"]
    probability: Float[Tensor, " row"]
    distance: Float[Tensor, " row"]
    iterations: Float[Tensor, " row"]
    frozen: float


def search(  # noqa: PLR0913  # the settings of the published method, all by keyword
    probability: Probability,
    x0: Patches,
    prototypes: Given,
    *,
    lower: Given,
    upper: Given,
    c: float,
    beta: float,
    theta: float,
    p: float,
    selection: Literal["best_valid", "final"],
    rule: Literal["improved", "cfproto"],
    lr: float,
    steps: int,
    rounds: int,
    margin: float,
    c_steps: Literal["library", "fixed"] = "library",
) -> Counterfactuals:
    """Seek δ of least c·max(-f(x₀+δ), -p) + β‖δ‖₁ + ‖δ‖² + θ‖x₀+δ-prototype‖² for every row.

    Rows do not know of each other. With rows of (channels, height, width) the sums of all penalties
    over a row are averages over its pixels, and so is the inner product that gradients belong to: a
    change that is the same at every pixel is sought as a change of the channel's mean would be.

    Args:
        probability: f, of (n, …) rows, any n, each by itself; differentiable. One that holds
            something of each row (`RowBound`) is asked for the rows in question.
        x0: where each row starts, in z; f must be below `p` there.
        prototypes: one for each row, in z (see `prototypes.nearest`).
        lower: least value allowed, of a shape that broadcasts to `x0`; widened to contain x₀.
        upper: greatest value allowed, likewise. Where lower, upper and x₀ are equal, the value
            comes back bit for bit.
        c: weight of the first term; that of the first round.
        beta: weight of the absolute change.
        theta: weight of the squared distance from the prototype.
        p: what f must exceed.
        selection: `best_valid` returns the iterate of least β‖δ‖₁ + ‖δ‖² among those with f > p,
            over all rounds; `final` the minimiser of Eq. 1 at the given c, valid or not (by at most
            15 prox-linear steps; `rule`, `lr`, `rounds` and `c_steps` say nothing about it).
        rule: `cfproto` is the published recurrence as it stands; `improved` takes a rate of at
            most 1/(2(1+θ)), above which the penalties alone make it oscillate, and polishes what it
            found.
        lr: learning rate of the first step of a round. It belongs to the result: the recurrence
            shrinks by β at each step, not by lr·β.
        steps: of a round.
        rounds: with another c each.
        margin: the first term ends at p + margin; the optimum sits where it ends.
        c_steps: `library` searches for c over the rounds; `fixed` keeps it.

    Raises:
        InputError: rows that are not finite, or whose f is not below `p` at x₀; all by number.
        ValueError: shapes or bounds that do not fit, or a setting outside its range.

    Source: Wang & Thomson, Eqs. 1-4 and Table 2; Van Looveren and Klaise 2021.
    """
    _check_settings(c=c, beta=beta, theta=theta, margin=margin, lr=lr, steps=steps, rounds=rounds)
    low, high = _box(x0, prototypes, lower=lower, upper=upper)
    flat = x0.detach().flatten(1)
    whole = Objective(
        probability=probability,
        shape=tuple(x0.shape[1:]),
        x0=flat,
        towards=prototypes.flatten(1) - flat,
        low=low - flat,
        high=high - flat,
        beta=beta,
        theta=theta,
        p=p,
        aim=p + margin,
    )
    chunks = _chunks(flat)
    objectives = [whole] if len(chunks) == 1 else [whole.only(rows) for rows in chunks]
    _refuse_reached(torch.cat([part.at(torch.zeros_like(part.x0)) for part in objectives]), p=p)
    if rule == "improved":
        lr = min(lr, 1 / (2 * (1 + theta)))
    find = partial(shrinkage_search, c=c, c_steps=c_steps, lr=lr, steps=steps, rounds=rounds)
    parts = []
    for objective, rows in zip(objectives, chunks, strict=True):
        if selection == "final":
            best = _minimum(objective, c=c, steps=steps)
        else:
            best = find(objective) if rule == "cfproto" else _polished(objective, find(objective))
        changed = _moved(objective, best.delta, low=low[rows], high=high[rows])
        parts.append(_judged(objective, best, changed, selection=selection))
    return _joined(parts, shape=x0.shape)


def _check_settings(**settings: float) -> None:
    least = {"lr": math.ulp(0), "steps": 1, "rounds": 1}
    wrong = {name: value for name, value in settings.items() if not value >= least.get(name, 0)}
    if wrong:
        raise ValueError(f"below what is allowed: {wrong}")


def _box(
    x0: Patches,
    prototypes: Given,
    *,
    lower: Given,
    upper: Given,
) -> tuple[Rows, Rows]:
    """Return the box of each row, widened to contain x₀, after a look at all that is given."""
    if x0.ndim < MATRIX or prototypes.shape != x0.shape:
        raise ValueError(f"x0 is {tuple(x0.shape)}, prototypes {tuple(prototypes.shape)}")
    _refuse_broken(x0=x0, prototypes=prototypes)
    low, high = lower.to(x0).expand_as(x0), upper.to(x0).expand_as(x0)
    if not bool((low <= high).all()):
        raise ValueError("a lower bound lies above its upper bound, or is not a number")
    return torch.minimum(low, x0).flatten(1), torch.maximum(high, x0).flatten(1)


def _refuse_broken(**given: Tensor) -> None:
    items = [
        f"row {row} of {name}"
        for name, rows in given.items()
        for row in (~torch.isfinite(rows.flatten(1)).all(dim=1)).nonzero().flatten().tolist()
    ]
    if items:
        raise InputError(
            f"{len(items)} rows with values that are not finite",
            where="counterfactual search",
            todo="Leave these rows out, or impute them",
            items=items,
        )


def _refuse_reached(f: PerRow, *, p: float) -> None:
    reached = (~(f < p)).nonzero().flatten().tolist()
    if reached:
        raise InputError(
            f"{len(reached)} rows start where f is not below p = {p:g}",
            where="counterfactual search",
            todo="Start from rows with f < p alone",
            items=[f"row {row}: f = {float(f[row]):g}" for row in reached],
        )


def _chunks(rows: Rows) -> list[slice]:
    """Return even pieces, so that none is so small that it is summed in another order."""
    at_once = max(1, min(CHUNK_ROWS, CHUNK_VALUES // max(rows.shape[1], 1)))
    pieces = max(1, math.ceil(len(rows) / at_once))
    each = math.ceil(len(rows) / pieces)
    return [slice(start, start + each) for start in range(0, max(len(rows), 1), max(each, 1))]


def _minimum(objective: Objective, *, c: float, steps: int) -> Best:
    delta, step = minimise(objective, c=c, steps=steps)
    return Best(delta=delta, distance=objective.distance(delta), step=step, frozen=0.0)


def _polished(objective: Objective, best: Best) -> Best:
    found = torch.isfinite(best.distance)
    if bool(found.any()):
        best.delta[found] = polish(objective.only(found), best.delta[found])
    return best


def _moved(objective: Objective, delta: Rows, *, low: Rows, high: Rows) -> Rows:
    """Return x₀ + δ inside the box, with the bits of x₀ wherever δ is 0."""
    x = torch.clamp(objective.x0 + delta, low, high)
    return torch.where(delta == 0, objective.x0, x)


def _judged(
    objective: Objective,
    best: Best,
    changed: Rows,
    *,
    selection: Literal["best_valid", "final"],
) -> Counterfactuals:
    """Say of each row what f makes of it now; `best_valid` takes back what is not valid."""
    delta = changed - objective.x0
    f = objective.at(delta)
    found = (f > objective.p) & torch.isfinite(best.distance)
    if selection == "best_valid":
        changed = torch.where(found[:, None], changed, objective.x0)
        delta = changed - objective.x0
        f = torch.where(found, f, objective.at(delta))
    return Counterfactuals(
        changed=changed,
        found=found,
        probability=f,
        distance=objective.distance(delta),
        iterations=torch.where(found, best.step, math.nan),
        frozen=best.frozen,
    )


def _joined(parts: list[Counterfactuals], *, shape: torch.Size) -> Counterfactuals:
    rows = max(sum(len(part.found) for part in parts), 1)
    return Counterfactuals(
        changed=torch.cat([part.changed for part in parts]).reshape(shape),
        found=torch.cat([part.found for part in parts]),
        probability=torch.cat([part.probability for part in parts]),
        distance=torch.cat([part.distance for part in parts]),
        iterations=torch.cat([part.iterations for part in parts]),
        frozen=sum(part.frozen * len(part.found) for part in parts) / rows,
    )
