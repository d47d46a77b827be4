"""What a search promises of every row, and Eq. 1's minimiser against its closed forms."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from torch import Tensor

from tissuetrace.explain import counterfactual
from tissuetrace.explain.counterfactual import Counterfactuals, search
from tissuetrace.pipeline.errors import InputError

P = 0.8
SETTINGS: dict[str, Any] = {
    "c": 100.0,
    "beta": 0.1,
    "theta": 100.0,
    "p": P,
    "selection": "best_valid",
    "rule": "improved",
    "lr": 0.01,
    "steps": 40,
    "rounds": 2,
    "margin": 0.0,
}
FINAL = {**SETTINGS, "selection": "final", "steps": 15}
W = torch.tensor([1.5, -1.0, 0.5, 0.0, 2.0], dtype=torch.float64)


def logistic(x: Tensor) -> Tensor:
    """Curved where it matters: a product of two channels beside the linear part."""
    return torch.sigmoid(x @ W.to(x) + 0.3 * x[:, 0] * x[:, 2] - 1.0)


def patches(rows: int, *, dtype: torch.dtype = torch.float64, seed: int = 0) -> dict[str, Tensor]:
    """Starts below p, a prototype above it for each, and a box that holds both."""
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(20 * rows + 100, len(W), generator=generator, dtype=dtype)
    f = logistic(drawn)
    x0, prototypes = drawn[f < P - 0.05][:rows], drawn[f > P + 0.05][:rows]
    room = torch.tensor([1.5, 1.5, 0.0, 1.5, 1.0], dtype=dtype)  # channel 2 is pinned
    return {
        "x0": x0,
        "prototypes": prototypes,
        "lower": torch.minimum(x0, prototypes * (room > 0) + x0 * (room == 0)) - room,
        "upper": torch.maximum(x0, prototypes * (room > 0) + x0 * (room == 0)) + room,
    }


def run(given: dict[str, Tensor], **settings: Any) -> Counterfactuals:
    box = box_of(given)
    return search(logistic, given["x0"], given["prototypes"], **box, **{**SETTINGS, **settings})


def test_steps_after_the_minimum_do_not_count_as_steps_to_it() -> None:
    given = patches(30)

    twelve, fifteen = (run(given, **{**FINAL, "steps": steps}) for steps in (12, 15))

    # without a margin the minimum lies at p itself, where rounding decides whether it is found
    told = ~torch.isnan(twelve.iterations) & ~torch.isnan(fifteen.iterations)
    assert int(told.sum()) > 10
    assert_close(twelve.changed[told], fifteen.changed[told], 1e-12)
    assert torch.equal(twelve.iterations[told], fifteen.iterations[told])
    assert float(fifteen.iterations[told].max()) <= 12


def box_of(given: dict[str, Tensor]) -> dict[str, Any]:
    return {name: given[name] for name in ("lower", "upper")}


def some(given: dict[str, Tensor], rows: Tensor) -> dict[str, Tensor]:
    return {name: values[rows] for name, values in given.items()}


def pieces(rows: int) -> list[Tensor]:
    return [torch.arange(1), torch.arange(1, 7), torch.arange(7, rows)]


def assert_close(ours: Tensor, theirs: Tensor, tolerance: float) -> None:
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=0, atol=tolerance)


VARIANTS = pytest.mark.parametrize(
    "variant",
    [{"rule": "improved"}, {"rule": "cfproto"}, {"theta": 0.0}, FINAL],
    ids=["improved", "cfproto", "no prototype", "final"],
)


# -- rows -------------------------------------------------------------------------------------


@VARIANTS
def test_permuting_splitting_and_adding_rows_changes_nothing(variant: dict[str, Any]) -> None:
    given = patches(60)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(3))

    whole = run(given, **variant)
    permuted = run(some(given, order), **variant)
    parts = [run(some(given, rows), **variant) for rows in pieces(60)]

    assert_close(permuted.changed, whole.changed[order], 1e-5)
    assert_close(torch.cat([part.changed for part in parts]), whole.changed, 1e-5)
    assert torch.equal(permuted.found, whole.found[order])
    assert whole.found.sum() > 1


def test_rows_keep_to_themselves_in_single_precision_too() -> None:
    given = patches(64, dtype=torch.float32)

    whole = run(given)
    parts = [run(some(given, rows)) for rows in pieces(64)]

    assert_close(torch.cat([part.changed for part in parts]), whole.changed, 1e-5)
    assert whole.changed.dtype == torch.float32


@VARIANTS
def test_a_pinned_channel_comes_back_bit_for_bit_and_no_box_is_left(
    variant: dict[str, Any],
) -> None:
    given = patches(60, dtype=torch.float32)
    given["x0"][:, 2] = -0.0  # of two zeros, this one is easily lost
    given["lower"][:, 2] = given["upper"][:, 2] = -0.0
    given = some(given, logistic(given["x0"]) < P)
    given["upper"][:, 4] = given["x0"][:, 4] + 0.2  # less than most rows want

    found = run(given, **variant)

    assert found.changed[:, 2].numpy().tobytes() == given["x0"][:, 2].numpy().tobytes()
    assert bool((found.changed >= given["lower"]).all())
    assert bool((found.changed <= given["upper"]).all())
    assert bool((found.changed[:, 4] > given["x0"][:, 4] + 0.1).any())
    assert bool(found.found.any())


@pytest.mark.parametrize(("side", "sign"), [("lower", 1.0), ("upper", -1.0)])
def test_a_box_without_x0_is_widened_to_it_and_no_further(side: str, sign: float) -> None:
    given, widened = patches(40), patches(40)
    near, far = given["x0"][:, 0] + sign, given["x0"][:, 0] + 2 * sign
    given["lower"][:, 0], given["upper"][:, 0] = torch.minimum(near, far), torch.maximum(near, far)
    widened["lower"][:, 0], widened["upper"][:, 0] = given["lower"][:, 0], given["upper"][:, 0]
    widened[side][:, 0] = given["x0"][:, 0]

    found = run(given)

    assert torch.equal(found.changed, run(widened).changed)
    assert bool(found.found.any())


def test_bounds_may_be_one_row_for_all() -> None:
    given = patches(20)
    given["lower"], given["upper"] = torch.full((5,), -4.0), torch.full((5,), 4.0)
    spread = {**given, "lower": torch.full((20, 5), -4.0), "upper": torch.full((20, 5), 4.0)}

    assert torch.equal(run(given).changed, run(spread).changed)


def test_pieces_of_a_large_batch_are_searched_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    given = patches(50)
    whole = run(given)

    monkeypatch.setattr(counterfactual, "CHUNK_ROWS", 17)
    apart = run(given)

    assert_close(apart.changed, whole.changed, 1e-5)
    assert_close(apart.iterations, whole.iterations, 0)


def test_what_is_given_is_left_as_it_is() -> None:
    given = patches(20)
    before = {name: values.clone() for name, values in given.items()}

    run(given)

    assert all(torch.equal(given[name], before[name]) for name in before)


def test_no_row_gives_no_row() -> None:
    found = run(patches(0))

    assert found.changed.shape == (0, 5)
    assert len(found.distance) == 0


# -- what is said of the result -----------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rule", ["improved", "cfproto"])
def test_what_best_valid_calls_found_exceeds_p(rule: str, dtype: torch.dtype) -> None:
    given = patches(100, dtype=dtype)

    found = run(given, rule=rule)

    again = logistic(found.changed)
    assert bool(found.found.all())
    assert float(again.min()) > P
    assert_close(found.probability, again, 1e-7)


@VARIANTS
def test_the_distance_is_that_of_what_is_returned(variant: dict[str, Any]) -> None:
    given = patches(40)

    found = run(given, **variant)

    delta = found.changed - given["x0"]
    assert_close(found.distance, 0.1 * delta.abs().sum(dim=1) + (delta**2).sum(dim=1), 1e-12)


def test_a_row_without_a_valid_change_comes_back_unchanged() -> None:
    given = patches(30)
    given["lower"][10:] = given["upper"][10:] = given["x0"][10:]

    found = run(given)

    assert found.found.tolist() == [True] * 10 + [False] * 20
    assert torch.isnan(found.iterations).tolist() == [False] * 10 + [True] * 20
    assert torch.equal(found.changed[10:], given["x0"][10:])
    assert found.distance[10:].tolist() == [0.0] * 20
    assert_close(found.probability, logistic(found.changed), 1e-12)


def test_the_margin_keeps_what_is_found_away_from_p() -> None:
    given = patches(40)

    bare, held = run(given), run(given, margin=0.01)

    assert float(bare.probability.max()) < P + 0.005
    assert float(held.probability.quantile(0.9)) == pytest.approx(P + 0.01, abs=1e-3)
    assert float(held.probability.min()) > P  # an iterate is valid above p, not above p + margin


def test_polishing_never_lengthens_and_mostly_shortens() -> None:
    given = patches(100)

    plain = run(given, rule="cfproto", lr=1 / 202)  # the rate that `improved` takes
    polished = run(given, rule="improved")

    assert torch.equal(plain.iterations, polished.iterations)
    assert bool((polished.distance <= plain.distance + 1e-12).all())
    assert float(polished.distance.median()) < 0.99 * float(plain.distance.median())


def test_improved_caps_the_rate_and_cfproto_does_not() -> None:
    given = patches(20)

    assert torch.equal(run(given, lr=1.0).changed, run(given, lr=1 / 202).changed)
    assert not torch.equal(
        run(given, lr=0.01, rule="cfproto").changed, run(given, lr=1 / 202, rule="cfproto").changed
    )


# -- rows of pixels, rows that are bound --------------------------------------------------------


def of_images(x: Tensor) -> Tensor:
    return logistic(x.mean(dim=(2, 3)))


@pytest.mark.parametrize("selection", ["best_valid", "final"])
def test_images_of_one_colour_are_searched_as_their_means_are(selection: str) -> None:
    given = patches(25)
    images = {name: values[:, :, None, None].expand(-1, -1, 3, 4) for name, values in given.items()}
    settings = {**SETTINGS, "selection": selection}

    means = run(given, selection=selection)
    found = search(
        of_images,
        images["x0"],
        images["prototypes"],
        lower=images["lower"],
        upper=images["upper"],
        **settings,
    )

    assert_close(found.changed, means.changed[:, :, None, None].expand(-1, -1, 3, 4), 1e-9)
    assert_close(found.distance, means.distance, 1e-9)
    assert torch.equal(found.found, means.found)


class Shifted:
    """Holds an offset for each row."""

    def __init__(self, offset: Tensor) -> None:
        self.offset = offset

    def __call__(self, x: Tensor) -> Tensor:
        assert len(x) == len(self.offset)
        return logistic(x - self.offset)

    def rows(self, index: Tensor) -> "Shifted":
        return Shifted(self.offset[index])


@pytest.mark.parametrize("chunk", [4096, 11])
@pytest.mark.parametrize("theta", [0.0, 100.0])
def test_a_probability_that_holds_rows_is_asked_for_the_rows_in_question(
    chunk: int, theta: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counterfactual, "CHUNK_ROWS", chunk)
    given = patches(30)
    offset = torch.linspace(-1, 1, 30, dtype=torch.float64)[:, None].expand(-1, 5)
    moved = {name: values + offset for name, values in given.items()}
    settings = {**SETTINGS, "theta": theta}

    there = search(Shifted(offset), moved["x0"], moved["prototypes"], **box_of(moved), **settings)

    assert_close(there.changed - offset, run(given, theta=theta).changed, 1e-5)


# -- Eq. 1's minimiser --------------------------------------------------------------------------


def soft(values: Tensor, threshold: float) -> Tensor:
    return values.sign() * (values.abs() - threshold).clamp_min(0)


@pytest.mark.parametrize(("beta", "theta"), [(0.1, 100.0), (2.0, 0.7), (0.5, 0.0)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 5e-7), (torch.float32, 2e-6)])
def test_without_the_first_term_the_minimiser_is_a_soft_threshold(
    beta: float, theta: float, dtype: torch.dtype, tolerance: float
) -> None:
    given = patches(50, dtype=dtype)
    x0 = given["x0"]

    found = run(given, **{**FINAL, "c": 0.0, "beta": beta, "theta": theta})

    towards = (given["prototypes"] - x0) * theta / (1 + theta)
    exact = x0 + soft(towards, beta / (2 * (1 + theta)))
    assert_close(found.changed, exact.clamp(given["lower"], given["upper"]), tolerance)


def linear(x: Tensor) -> Tensor:
    return x @ W.to(x) / 10 + 0.2


def exact_delta(given: dict[str, Tensor], row: int, *, weight: float, settings: Any) -> Tensor:
    """δ(λ) of the page for f = w·x + b, with 1/η = 0."""
    x0, beta, theta = given["x0"][row], settings["beta"], settings["theta"]
    pulled = 2 * theta * (given["prototypes"][row] - x0) + weight * W / 10
    delta = soft(pulled, beta) / (2 + 2 * theta)
    clipped: Tensor = delta.clamp(given["lower"][row] - x0, given["upper"][row] - x0)
    return clipped


def exact_change(given: dict[str, Tensor], row: int, settings: Any) -> Tensor:
    """The smallest λ in [0, c] that reaches p, else c, by another root finder."""

    def lacking(weight: float) -> float:
        delta = exact_delta(given, row, weight=weight, settings=settings)
        return float(P - linear(given["x0"][row] + delta))

    c = settings["c"]
    weight = 0.0 if lacking(0.0) <= 0 else c
    if lacking(0.0) > 0 > lacking(c):
        weight = brentq(lacking, 0.0, c, xtol=1e-14)
    delta = exact_delta(given, row, weight=weight, settings=settings)
    return given["x0"][row] + delta


@pytest.mark.parametrize(
    ("c", "beta", "theta"), [(400.0, 0.1, 2.0), (30.0, 0.1, 2.0), (2e4, 0.1, 100.0), (60.0, 1.0, 0)]
)
def test_for_a_linear_f_the_minimiser_is_exact_in_any_box(
    c: float, beta: float, theta: float
) -> None:
    given = patches(40)
    starts = linear(given["x0"]) < P
    given = some(given, starts)
    # few steps: the added square must fade, or 1/η leaves an error of 3^-6
    settings = {**FINAL, "c": c, "beta": beta, "theta": theta, "steps": 6}

    found = search(linear, given["x0"], given["prototypes"], **box_of(given), **settings)

    exact = torch.stack([exact_change(given, row, settings) for row in range(len(given["x0"]))])
    assert_close(found.changed, exact, 1e-6)
    assert bool((linear(exact) > P - 1e-9).any())


@pytest.mark.parametrize(("c", "reaches"), [(1e3, True), (1.0, False)])
def test_without_penalties_but_the_square_the_linear_minimiser_lies_along_w(
    c: float, *, reaches: bool
) -> None:
    given = patches(30)
    given = some(given, linear(given["x0"]) < P)
    far: dict[str, Any] = {"lower": torch.tensor(-99.0), "upper": torch.tensor(99.0)}
    w = W / 10

    found = search(
        linear,
        given["x0"],
        given["prototypes"],
        **far,
        **{**FINAL, "c": c, "beta": 0.0, "theta": 0.0},
    )

    lack = (P - linear(given["x0"]))[:, None]
    exact = given["x0"] + (lack * w / (w @ w) if reaches else c * w / 2)
    assert_close(found.changed, exact, 1e-6)


def test_the_minimiser_stops_where_the_first_term_ends_a_margin_above_p() -> None:
    given = patches(30)
    given = some(given, linear(given["x0"]) < P - 0.1)
    far: dict[str, Any] = {"lower": torch.tensor(-99.0), "upper": torch.tensor(99.0)}
    settings = {**FINAL, "c": 1e3, "theta": 0.0, "margin": 1e-4}

    found = search(linear, given["x0"], given["prototypes"], **far, **settings)

    assert_close(found.probability, torch.full_like(found.probability, P + 1e-4), 1e-7)
    assert bool(found.found.all())
    assert bool((found.iterations >= 1).all())


def eq_1(given: dict[str, Tensor], x: Tensor, *, c: float, theta: float) -> Tensor:
    delta = x - given["x0"]
    penalties = (0.1 * delta.abs() + delta**2 + theta * (x - given["prototypes"]) ** 2).sum(dim=1)
    total: Tensor = c * (P - logistic(x)).clamp_min(0) + penalties
    return total


def test_for_a_curved_f_nothing_near_the_minimiser_is_lower() -> None:
    given = patches(60)
    generator = torch.Generator().manual_seed(2)

    found = run(given, **{**FINAL, "c": 100.0, "theta": 0.2})

    least = eq_1(given, found.changed, c=100.0, theta=0.2)
    for size in (1e-1, 1e-2, 1e-3):
        step = size * torch.randn(found.changed.shape, generator=generator, dtype=torch.float64)
        near = (found.changed + step).clamp(given["lower"], given["upper"])
        assert bool((eq_1(given, near, c=100.0, theta=0.2) >= least - 1e-6).all())


def test_the_minimiser_is_returned_even_where_it_is_not_valid() -> None:
    given = patches(30)

    found = run(given, **{**FINAL, "c": 0.0, "theta": 0.1})

    assert not bool(found.found.any())
    assert bool(torch.isnan(found.iterations).all())
    assert float(found.distance.min()) > 0


# -- refusals -----------------------------------------------------------------------------------


def test_rows_that_are_not_finite_are_named_all_at_once() -> None:
    given = patches(9)
    given["x0"][2, 1] = math.nan
    given["x0"][7, 0] = math.inf
    given["prototypes"][4, 3] = math.nan

    with pytest.raises(InputError, match="3 rows with values that are not finite") as refused:
        run(given)

    for name in ("row 2 of x0", "row 7 of x0", "row 4 of prototypes"):
        assert name in str(refused.value)


def test_rows_that_start_at_p_or_above_are_named_with_their_f() -> None:
    given = patches(6)
    given["x0"][[1, 4]] = given["prototypes"][[1, 4]]

    with pytest.raises(InputError, match=r"2 rows start where f is not below p = 0\.8") as refused:
        run(given)

    assert "row 1: f = 0." in str(refused.value)
    assert "row 4: f = 0." in str(refused.value)


def test_a_start_exactly_at_p_is_refused() -> None:
    given = patches(3)
    at_first = float(logistic(given["x0"])[0])

    with pytest.raises(InputError, match="row 0: f ="):
        run(given, p=at_first)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("c", -1.0),
        ("beta", -0.1),
        ("theta", math.nan),
        ("margin", -1e-9),
        ("lr", 0.0),
        ("steps", 0),
        ("rounds", 0),
    ],
)
def test_a_setting_outside_its_range_is_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        run(patches(2), **{name: value})


def test_a_lower_bound_above_the_upper_one_is_refused() -> None:
    given = patches(4)
    given["lower"][3, 1] = given["upper"][3, 1] + 1e-3

    with pytest.raises(ValueError, match="a lower bound lies above"):
        run(given)


def test_prototypes_of_another_shape_are_refused() -> None:
    given = patches(4)

    given["prototypes"] = given["prototypes"][:1]

    with pytest.raises(ValueError, match=r"x0 is \(4, 5\), prototypes \(1, 5\)"):
        run(given)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@VARIANTS
def test_a_device_finds_what_the_processor_finds(variant: dict[str, Any]) -> None:
    given = patches(40)

    there = run({name: values.cuda() for name, values in given.items()}, **variant)

    assert there.changed.device.type == "cuda"
    assert_close(there.changed.cpu(), run(given, **variant).changed, 1e-5)
