"""All retrainings at once, held against each alone in an ordinary loop of torch."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy import ndarray
from torch import nn

from tissuetrace.learn import retrainings as module
from tissuetrace.learn.loop import Schedule
from tissuetrace.learn.retrainings import Examples, Recipe, Retraining, Trained, train_mlps
from tissuetrace.pipeline.errors import InputError
from tissuetrace.stats.classification import auc, mcc

CHANNELS = 6
RECIPE = Recipe(
    hidden=(8, 5), schedule=Schedule(epochs=12, lr=0.01, patience=4), batch=32, pos_weight=1.5
)


def examples(count: int, seed: int) -> Examples:
    """Return patches of which the first channel raises and the second lowers the chance."""
    rng = np.random.default_rng(seed)
    x = rng.lognormal(size=(count, CHANNELS))
    chance = 1 / (1 + np.exp(1 - 2 * np.log(x[:, 0]) + 2 * np.log(x[:, 1])))
    return Examples(x=x, labels=(rng.random(count) < chance).astype(np.int64))


def retraining(seed: int, rows: int) -> Retraining:
    return Retraining(
        seed=seed, training=examples(rows, seed), validation=examples(40 + rows // 4, 100 + seed)
    )


UNEQUAL = [retraining(0, 300), retraining(1, 70), retraining(2, 150)]


@pytest.fixture(scope="module")
def together() -> Trained:
    return train_mlps(UNEQUAL, recipe=RECIPE, seed=3, device="cpu")


def ordinary(one: Retraining, recipe: Recipe, seed: int) -> tuple[nn.Sequential, list[float]]:
    """Train one network alone: Linear layers, batches of a permutation, Adam, early stopping.

    Initial weights and orders are drawn as the stack draws them.
    """
    weights, orders = module.streams_of(seed, one.seed)
    layers: list[nn.Module] = []
    for width, units in zip((CHANNELS, *recipe.hidden), (*recipe.hidden, 1), strict=True):
        layer = nn.Linear(width, units)
        bound = width**-0.5
        layer.weight.data = torch.empty(width, units).uniform_(-bound, bound, generator=weights).T
        nn.init.uniform_(layer.bias, -bound, bound, generator=weights)
        layers += [layer, nn.ReLU()]
    network = nn.Sequential(*layers[:-1])
    mean, sd = one.training.x.mean(axis=0), one.training.x.std(axis=0)
    z, zv = (torch.from_numpy((s.x - mean) / sd).float() for s in (one.training, one.validation))
    labels, truth = (torch.from_numpy(s.labels).float() for s in (one.training, one.validation))
    adam = torch.optim.Adam(network.parameters(), lr=recipe.schedule.lr)
    loss = nn.BCEWithLogitsLoss(pos_weight=torch.tensor(recipe.pos_weight))
    merits: list[tuple[float, float]] = []
    best: dict[str, Any] = {}
    while len(merits) < recipe.schedule.epochs:
        order = torch.randperm(len(z), generator=orders)
        for start in range(0, len(z), recipe.batch):
            rows = order[start : start + recipe.batch]
            adam.zero_grad()
            loss(network(z[rows]).squeeze(1), labels[rows]).backward()
            adam.step()
        with torch.no_grad():
            logits = network(zv).squeeze(1)
        score = mcc(one.validation.labels, torch.sigmoid(logits).double().numpy())
        merits.append((0.0 if np.isnan(score) else score, -float(loss(logits, truth))))
        if merits[-1] > max(merits[:-1], default=(-2.0, 0.0)):
            best = {name: value.clone() for name, value in network.state_dict().items()}
        if len(merits) - 1 - merits.index(max(merits)) >= recipe.schedule.patience:
            break
    network.load_state_dict(best)
    return network, [score for score, _ in merits]


def history_of(trained: Trained, member: int, name: str) -> list[float]:
    return [row[name] for row in trained.histories[member]]


@pytest.mark.parametrize("member", [0, 1, 2])
def test_each_ends_as_it_would_alone_in_an_ordinary_loop(together: Trained, member: int) -> None:
    one = UNEQUAL[member]
    network, scores = ordinary(one, RECIPE, seed=3)
    x = examples(50, 9).x
    z = (x - one.training.x.mean(axis=0)) / one.training.x.std(axis=0)

    found = together.stack.probabilities(x, member)

    with torch.no_grad():
        expected = torch.sigmoid(network.double()(torch.from_numpy(z)).squeeze(1)).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert history_of(together, member, "validation_mcc") == pytest.approx(scores, abs=1e-9)


def test_one_member_stops_while_the_others_go_on(together: Trained) -> None:
    lengths = [len(history) for history in together.histories]

    assert min(lengths) < max(lengths) == RECIPE.schedule.epochs
    assert min(lengths) == together.best_epochs[1] + RECIPE.schedule.patience


def test_the_weights_kept_are_those_of_the_best_validation_mcc(together: Trained) -> None:
    scores = [
        mcc(one.validation.labels, together.stack.probabilities(one.validation.x, member))
        for member, one in enumerate(UNEQUAL)
    ]

    best = [max(history_of(together, member, "validation_mcc")) for member in range(3)]
    kept = [
        history_of(together, member, "validation_mcc")[together.best_epochs[member] - 1]
        for member in range(3)
    ]
    assert scores == pytest.approx(best, abs=1e-9)
    assert kept == best


def test_a_network_that_calls_nothing_yet_goes_on_while_its_loss_falls() -> None:
    rare = replace(RECIPE, schedule=Schedule(epochs=12, lr=0.001, patience=2), pos_weight=0.1)

    trained = train_mlps(UNEQUAL[:1], recipe=rare, seed=0, device="cpu")

    assert set(history_of(trained, 0, "validation_mcc")) == {0.0}
    assert trained.best_epochs == [12]


def test_a_member_does_not_depend_on_who_else_trains(together: Trained) -> None:
    alone = train_mlps(UNEQUAL[1:2], recipe=RECIPE, seed=3, device="cpu")

    x = examples(50, 9).x
    np.testing.assert_allclose(
        alone.stack.probabilities(x, 0), together.stack.probabilities(x, 1), rtol=0, atol=1e-6
    )


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(together: Trained) -> None:
    again = train_mlps(UNEQUAL, recipe=RECIPE, seed=3, device="cpu")
    other = train_mlps(UNEQUAL, recipe=RECIPE, seed=4, device="cpu")

    same = [torch.equal(a, b) for a, b in _pairs(again, together)]
    assert all(same)
    assert again.histories == together.histories
    assert not any(torch.equal(a, b) for a, b in _pairs(other, together))


def _pairs(one: Trained, two: Trained) -> Any:
    return zip(one.stack.parameters(), two.stack.parameters(), strict=True)


def test_the_loss_of_an_epoch_is_the_mean_over_a_members_own_patches() -> None:
    still = replace(RECIPE, schedule=Schedule(epochs=3, lr=1e-30, patience=3))
    one = UNEQUAL[1]

    trained = train_mlps(UNEQUAL, recipe=still, seed=3, device="cpu")

    probability = trained.stack.probabilities(one.training.x, 1)
    chance = np.where(one.training.labels == 1, probability, 1 - probability)
    weight = np.where(one.training.labels == 1, RECIPE.pos_weight, 1)
    expected = -(weight * np.log(chance)).mean()
    assert history_of(trained, 1, "train_loss") == pytest.approx([expected] * 3, rel=1e-5)


def test_planted_channels_are_learnt() -> None:
    recipe = replace(RECIPE, schedule=Schedule(epochs=30, lr=0.01, patience=12), pos_weight=1.0)
    test = examples(500, 77)

    trained = train_mlps([retraining(5, 600)], recipe=recipe, seed=0, device="cpu")

    assert auc(test.labels, trained.stack.probabilities(test.x, 0)) > 0.85


def test_a_channel_that_is_constant_in_training_is_not_divided_by_its_rounding_noise() -> None:
    constant = [_with_constant(one, 0.1) for one in UNEQUAL[:2]]

    trained = train_mlps(constant, recipe=RECIPE, seed=0, device="cpu")

    assert trained.stack.sd[:, 3].tolist() == [1.0, 1.0]
    answers = trained.stack.probabilities(_constant(examples(9, 1).x, 0.2), 0)
    assert np.isfinite(answers).all()


def _with_constant(one: Retraining, value: float) -> Retraining:
    training = replace(one.training, x=_constant(one.training.x, value))
    validation = replace(one.validation, x=_constant(one.validation.x, value))
    return replace(one, training=training, validation=validation)


def _constant(x: ndarray, value: float) -> ndarray:
    changed = x.copy()
    changed[:, 3] = value
    return changed


@pytest.mark.parametrize("part", ["training", "validation"])
def test_a_retraining_that_lacks_a_label_is_named(part: str) -> None:
    one = examples(30, 0)
    parts: dict[str, Any] = {part: replace(one, labels=np.zeros(30, dtype=np.int64))}
    broken = replace(UNEQUAL[1], **parts)

    with pytest.raises(ValueError, match=f"seed 1: {part} lacks one of the two labels"):
        train_mlps([UNEQUAL[0], broken], recipe=RECIPE, seed=0, device="cpu")


def test_no_retraining_is_refused() -> None:
    with pytest.raises(ValueError, match="no retraining"):
        train_mlps([], recipe=RECIPE, seed=0, device="cpu")


def test_a_loss_that_leaves_the_numbers_names_the_retraining() -> None:
    broken = replace(UNEQUAL[1], training=_with_nan(UNEQUAL[1].training))

    with pytest.raises(InputError, match="retraining 1: a loss is not finite after epoch 1"):
        train_mlps([UNEQUAL[0], broken], recipe=RECIPE, seed=0, device="cpu")


def _with_nan(part: Examples) -> Examples:
    x = part.x.copy()
    x[0, 0] = np.nan
    return replace(part, x=x)
