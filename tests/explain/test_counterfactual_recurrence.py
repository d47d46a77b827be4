"""The batched recurrence against a transcription that goes row by row, line by line."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from numpy import ndarray
from torch import Tensor

from tissuetrace.explain import shrinkage_search
from tissuetrace.explain.counterfactual import search
from tissuetrace.explain.objective import Objective
from tissuetrace.explain.polishing import polish

P = 0.8
RNG = np.random.default_rng(5)
HIDDEN, OUT = RNG.normal(0, 0.8, (6, 4)), RNG.normal(0, 1.5, 4)


def f(x: ndarray) -> float:
    return float(1 / (1 + np.exp(-(np.tanh(x @ HIDDEN) @ OUT - 0.5))))


def slope(x: ndarray) -> ndarray:
    inner = np.tanh(x @ HIDDEN)
    found: ndarray = f(x) * (1 - f(x)) * (HIDDEN @ (OUT * (1 - inner**2)))
    return found


def f_of_rows(x: Tensor) -> Tensor:
    hidden, out = (torch.from_numpy(values).to(x) for values in (HIDDEN, OUT))
    return torch.sigmoid(torch.tanh(x @ hidden) @ out - 0.5)


@dataclass
class Literal:
    """One row, as the published algorithm and the library write it."""

    x0: ndarray
    proto: ndarray
    lower: ndarray
    upper: ndarray
    c: float
    beta: float
    theta: float
    lr: float
    steps: int
    rounds: int
    margin: float
    best: ndarray | None = None
    distance: float = math.inf
    iterations: float = math.nan
    cs: list[float] = field(default_factory=list)

    def run(self) -> "Literal":
        lb, ub, c = 0.0, 1e10, self.c
        for number in range(self.rounds):
            self.cs.append(c)
            if self.one_round(c, number):
                ub = min(ub, c)
                c = (lb + ub) / 2
            else:
                lb = max(lb, c)
                c = (lb + ub) / 2 if ub < 1e9 else c * 10
        return self

    def one_round(self, c: float, number: int) -> bool:
        adv, y, found = self.x0.copy(), self.x0.copy(), False
        for i in range(self.steps):
            gradient = 2 * (y - self.x0) + 2 * self.theta * (y - self.proto)
            if f(y) < P + self.margin:
                gradient = gradient - 2 * (c / 2) * slope(y)
            gradient = np.clip(gradient, -1000, 1000)
            y = y - self.lr * math.sqrt(1 - i / self.steps) * gradient
            new = np.array([self.shrunk(y[j], j) for j in range(len(y))])
            y = np.clip(new + (i + 1) / (i + 4) * (new - adv), self.lower, self.upper)
            adv = new
            if f(adv) > P:
                found = True
                self.keep(adv, number * self.steps + i + 1)
        return found

    def shrunk(self, y: float, j: int) -> float:
        if y - self.x0[j] > self.beta:
            return float(min(y - self.beta, self.upper[j]))
        if y - self.x0[j] < -self.beta:
            return float(max(y + self.beta, self.lower[j]))
        return float(self.x0[j])

    def keep(self, adv: ndarray, step: int) -> None:
        delta = adv - self.x0
        distance = self.beta * abs(delta).sum() + (delta**2).sum()
        if distance < self.distance:
            self.best, self.distance, self.iterations = adv.copy(), distance, step


def rows(count: int) -> tuple[ndarray, ndarray, ndarray, ndarray]:
    drawn = np.random.default_rng(1).normal(size=(900, 6))
    value = np.array([f(row) for row in drawn])
    x0, prototypes = drawn[value < 0.7][:count], drawn[value > 0.85][:count]
    pinned = np.arange(6) == 3
    lower = np.where(pinned, x0, x0 - np.array([1.0, 2.0, 0.3, 0.0, 2.0, 2.0]))
    upper = np.where(pinned, x0, x0 + np.array([0.4, 2.0, 2.0, 0.0, 2.0, 2.0]))
    return x0, prototypes, lower, upper


def tensors(*arrays: ndarray) -> list[Tensor]:
    return [torch.from_numpy(array) for array in arrays]


TABLE_2 = {"c": 100.0, "beta": 0.1, "theta": 100.0, "lr": 0.01, "margin": 0.0}


@pytest.mark.parametrize(
    ("changed", "found_share", "cs"),
    [
        ({}, (0.5, 1.0), 50.0),
        ({"margin": 1e-2}, (0.5, 1.0), 50.0),
        ({"theta": 0.0, "lr": 0.02}, (0.3, 1.0), 50.0),
        ({"theta": 1.0, "c": 0.5}, (0.1, 1.0), 5.0),  # too weak at first: ten times
        ({"c": 4e3, "theta": 0.0, "lr": 1e-3}, (0.5, 1.0), 2e3),  # steep: the gradient is clipped
    ],
    ids=["table 2", "margin", "no prototype", "weak c", "clipped"],
)
def test_all_rows_at_once_do_what_each_does_alone(
    changed: dict[str, float], found_share: tuple[float, float], cs: float
) -> None:
    settings: dict[str, Any] = {**TABLE_2, **changed, "steps": 40, "rounds": 4}
    given = rows(24)
    x0, prototypes, lower, upper = tensors(*given)

    found = search(
        f_of_rows,
        x0,
        prototypes,
        lower=lower,
        upper=upper,
        p=P,
        selection="best_valid",
        rule="cfproto",
        **settings,
    )

    literal = [Literal(*row, **settings).run() for row in zip(*given, strict=True)]
    for number, alone in enumerate(literal):
        expected = alone.x0 if alone.best is None else alone.best
        np.testing.assert_allclose(found.changed[number].numpy(), expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(found.iterations.numpy(), [alone.iterations for alone in literal])
    share = float(found.found.double().mean())
    assert found_share[0] <= share <= found_share[1]
    assert cs in {alone.cs[1] for alone in literal}


def test_c_held_fixed_is_the_first_round_alone() -> None:
    x0, prototypes, lower, upper = tensors(*rows(24))
    same: dict[str, Any] = {
        **TABLE_2,
        "lower": lower,
        "upper": upper,
        "p": P,
        "selection": "best_valid",
        "rule": "cfproto",
        "steps": 30,
    }

    fixed = search(f_of_rows, x0, prototypes, **same, rounds=5, c_steps="fixed")
    single = search(f_of_rows, x0, prototypes, **same, rounds=1)
    searched = search(f_of_rows, x0, prototypes, **same, rounds=5)

    assert torch.equal(fixed.changed, single.changed)
    assert not torch.equal(fixed.changed, searched.changed)


def test_rows_that_stand_still_are_left_out_and_nothing_else_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x0, prototypes, lower, upper = tensors(*rows(60))
    upper[::3] = x0[::3]
    lower[::3] = x0[::3]  # these rows cannot move at all
    asked: dict[str, Any] = {
        **TABLE_2,
        "lower": lower,
        "upper": upper,
        "theta": 0.0,
        "p": P,
        "selection": "best_valid",
        "rule": "cfproto",
        "steps": 50,
        "rounds": 3,
    }

    some = search(f_of_rows, x0, prototypes, **asked)
    monkeypatch.setattr(shrinkage_search, "WORTH_DROPPING", 2.0)
    every = search(f_of_rows, x0, prototypes, **asked)

    np.testing.assert_allclose(some.changed.numpy(), every.changed.numpy(), rtol=0, atol=1e-9)
    np.testing.assert_array_equal(some.iterations.numpy(), every.iterations.numpy())
    assert some.frozen > 0.25
    assert every.frozen == 0.0
    assert 0 < int(some.found.sum()) < 60


def from_zero(probability: Any, *, channels: int) -> Objective:
    """One row that starts at 0, without a prototype, in a wide box."""
    zero = torch.zeros(1, channels, dtype=torch.float64)
    return Objective(
        probability=probability,
        shape=(channels,),
        x0=zero,
        towards=zero,
        low=zero - 9,
        high=zero + 9,
        beta=0.1,
        theta=0.0,
        p=P,
        aim=P,
    )


def test_a_row_that_is_thrown_back_to_its_start_is_not_taken_for_one_that_stands() -> None:
    objective = from_zero(lambda x: x[:, 0], channels=1)
    zero = objective.x0
    nothing = shrinkage_search.Best(
        delta=zero.clone(), distance=zero[0] + math.inf, step=zero[0].clone(), frozen=0.0
    )
    c = torch.tensor([30.0], dtype=torch.float64)

    thrown, standing = (shrinkage_search._Round(objective, c / n, nothing) for n in (1, 10))
    thrown.y -= 0.3  # f pushes by lr · c = 0.3: back to 0, from which it would push again
    thrown.step(0, lr=0.01, after=0)
    standing.step(0, lr=0.01, after=0)  # a push of 0.03, less than beta

    assert float(thrown.y) == float(thrown.adv) == 0.0
    assert len(thrown.index) == 1
    assert len(standing.index) == 0


def first_channel(x: Tensor) -> Tensor:
    return torch.sigmoid(x[:, 0])


def test_polishing_drops_what_f_does_not_need_and_ends_at_p() -> None:
    needed = math.log(P / (1 - P))
    objective = from_zero(first_channel, channels=3)

    # τ can rise to 4 - needed = 2.61, which removes the other two
    polished = polish(objective, torch.tensor([[4.0, -2.5, 1.0]], dtype=torch.float64))

    np.testing.assert_allclose(polished.numpy(), [[needed, 0.0, 0.0]], atol=1e-5)
    assert float(first_channel(polished)) > P


def hill(x: Tensor) -> Tensor:
    """Above p only where the sum of two channels lies between 2 and 3."""
    return 0.9 - ((x.sum(dim=1) - 2.5).abs() - 0.4).clamp_min(0)


def test_polishing_stays_valid_where_f_is_not_monotonic() -> None:
    objective = from_zero(hill, channels=2)

    polished = polish(objective, torch.tensor([[1.45, 1.45]], dtype=torch.float64))

    assert float(hill(polished)) > P
    np.testing.assert_allclose(polished.sum().item(), 2.0, atol=1e-4)


def wedge(x: Tensor) -> Tensor:
    """Above p where the first channel exceeds 1 and half the second one."""
    return P + torch.minimum(x[:, 0] - 1, 10 * (x[:, 0] - x[:, 1] / 2))


def test_polishing_scales_down_what_shrinking_alone_cannot() -> None:
    objective = from_zero(wedge, channels=2)

    # shrinking both alike breaks their ratio at (1.9, 3.8)
    polished = polish(objective, torch.tensor([[2.0, 3.9]], dtype=torch.float64))

    np.testing.assert_allclose(polished.numpy(), [[1.0, 2.0]], atol=1e-4)
