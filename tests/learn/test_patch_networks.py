"""The network on patches: trained, kept, asked again; and what it cannot see."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy import ndarray

from tissuetrace.imaging.masks import pack, unpack
from tissuetrace.learn.loop import Fitted, Schedule
from tissuetrace.learn.patch_networks import (
    Patches,
    PatchNetwork,
    load_patch_cnn,
    parameter_count,
    probabilities,
    probability,
    save_patch_cnn,
)
from tissuetrace.learn.patch_pixels import PatchPixels
from tissuetrace.learn.patch_training import Recipe, train_patch_cnn
from tissuetrace.stats.classification import auc, mcc

SIDE, CHANNELS, COUNT = 12, 3, 120
RECIPE = Recipe(schedule=Schedule(epochs=4, lr=0.01, patience=4), batch=16, pos_weight=1.0)
TRAINING, VALIDATION = np.arange(70), np.arange(70, 95)
ASKED = np.arange(95, COUNT)


def patches_of(counts: ndarray, erased: ndarray, labels: ndarray) -> Patches:
    """Return patches in memory, half of them in a core of whole numbers."""
    half = len(counts) // 2
    channels_last = counts.transpose(0, 2, 3, 1)
    packed = pack(erased)
    pixels = PatchPixels(
        names=("a", "b", "c"),
        cores=(channels_last[:half].astype(np.uint16), channels_last[half:].astype(np.float32)),
        masks=packed,
        shape=(SIDE, SIDE),
        core=np.repeat([0, 1], [half, len(counts) - half]),
        row=np.concatenate([np.arange(half), np.arange(len(counts) - half)]),
    )
    return Patches(pixels=pixels, erased=packed, labels=labels)


@pytest.fixture(scope="module")
def drawn() -> tuple[ndarray, ndarray, ndarray]:
    """Return counts whose second channel tells the label, holes that tell nothing, labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, COUNT)
    rate = np.full((COUNT, CHANNELS, 1, 1), 2.0)
    rate[:, 1, 0, 0] += 0.4 * labels
    counts = rng.poisson(rate, (COUNT, CHANNELS, SIDE, SIDE))
    return counts, rng.random((COUNT, SIDE, SIDE)) < 0.2, labels


@pytest.fixture(scope="module")
def patches(drawn: tuple[ndarray, ndarray, ndarray]) -> Patches:
    return patches_of(*drawn)


def train(patches: Patches, **changes: Any) -> tuple[PatchNetwork, Fitted]:
    arguments: dict[str, Any] = {
        "training": TRAINING,
        "validation": VALIDATION,
        "recipe": RECIPE,
        "seed": 0,
        "split_seed": 1,
        "device": "cpu",
        "resume": None,
    }
    return train_patch_cnn(patches, **{**arguments, **changes})


@pytest.fixture(scope="module")
def trained(patches: Patches) -> tuple[PatchNetwork, Fitted]:
    return train(patches)


def ask(network: PatchNetwork, patches: Patches) -> ndarray:
    return probabilities(network, patches, ASKED, device="cpu")


def test_a_planted_channel_is_learnt(patches: Patches) -> None:
    recipe = replace(RECIPE, schedule=Schedule(epochs=15, lr=0.003, patience=15))

    network, _ = train(patches, recipe=recipe)

    assert auc(patches.labels[ASKED], ask(network, patches)) > 0.9


def test_the_input_is_standardised_by_what_the_training_patches_show(
    drawn: tuple[ndarray, ndarray, ndarray], trained: tuple[PatchNetwork, Fitted]
) -> None:
    counts, erased, _ = drawn
    seen = np.sqrt(counts[TRAINING]).transpose(0, 2, 3, 1)[~erased[TRAINING]]

    network, _ = trained

    np.testing.assert_allclose(network.mean, seen.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(network.sd, seen.std(axis=0), rtol=1e-6)


def test_what_lies_under_an_erased_pixel_changes_no_bit(
    drawn: tuple[ndarray, ndarray, ndarray], trained: tuple[PatchNetwork, Fitted], patches: Patches
) -> None:
    counts, erased, labels = drawn
    other = np.where(erased[:, None], 999, counts)

    network, fitted = train(patches_of(other, erased, labels))

    assert fitted.history == trained[1].history
    np.testing.assert_array_equal(
        ask(network, patches_of(other, erased, labels)), ask(trained[0], patches)
    )


def test_a_donors_hole_is_what_the_network_sees(
    drawn: tuple[ndarray, ndarray, ndarray], trained: tuple[PatchNetwork, Fitted], patches: Patches
) -> None:
    larger = drawn[1].copy()
    larger[ASKED, :6] = True  # laid on, while the patch's own mask stays

    found = ask(trained[0], replace(patches, erased=pack(larger)))

    assert (found != ask(trained[0], patches)).all()


def test_the_probability_for_a_search_is_that_of_the_stage_and_differentiable(
    drawn: tuple[ndarray, ndarray, ndarray], trained: tuple[PatchNetwork, Fitted], patches: Patches
) -> None:
    network, (counts, erased, _) = trained[0], drawn
    mean, sd = network.mean[:, None, None], network.sd[:, None, None]
    z = torch.from_numpy((np.sqrt(counts[ASKED]) - mean) / sd * ~erased[ASKED, None])
    z.requires_grad_()

    found = probability(network)(z)
    found.sum().backward()  # type: ignore[no-untyped-call]  # torch's own is untyped

    np.testing.assert_allclose(found.detach(), ask(network, patches), rtol=0, atol=1e-6)
    assert z.grad is not None
    assert float(z.grad.abs().max()) > 0


def test_the_network_kept_is_that_of_the_best_validation_mcc(
    trained: tuple[PatchNetwork, Fitted], patches: Patches
) -> None:
    network, fitted = trained

    answers = probabilities(network, patches, VALIDATION, device="cpu")

    scores = [row["validation_mcc"] for row in fitted.history]
    assert mcc(patches.labels[VALIDATION], answers) == pytest.approx(max(scores), abs=1e-12)
    assert fitted.best_epoch == 1 + scores.index(max(scores))


def test_the_same_seeds_give_the_same_bits_and_either_other_seed_others(
    patches: Patches, trained: tuple[PatchNetwork, Fitted]
) -> None:
    expected = ask(trained[0], patches)

    again, other, split = (
        ask(train(patches, **changes)[0], patches)
        for changes in ({}, {"seed": 1}, {"split_seed": 2})
    )

    np.testing.assert_array_equal(again, expected)
    assert not np.array_equal(other, expected)
    assert not np.array_equal(split, expected)


class _KilledError(Exception):
    pass


def test_a_killed_training_goes_on_to_the_same_bits(
    patches: Patches, trained: tuple[PatchNetwork, Fitted], tmp_path: Path
) -> None:
    def kill(epoch: int, _: object) -> None:
        if epoch == 2:
            raise _KilledError

    with pytest.raises(_KilledError):
        train(patches, resume=tmp_path, tell=kill)

    network, fitted = train(patches, resume=tmp_path)

    assert fitted.history == trained[1].history
    np.testing.assert_array_equal(ask(network, patches), ask(trained[0], patches))


def test_positive_patches_can_weigh_more(
    patches: Patches, trained: tuple[PatchNetwork, Fitted]
) -> None:
    network, _ = train(patches, recipe=replace(RECIPE, pos_weight=20.0))

    assert ask(network, patches).mean() > ask(trained[0], patches).mean() + 0.1


def test_a_constant_channel_is_not_divided_by_rounding_noise(
    drawn: tuple[ndarray, ndarray, ndarray],
) -> None:
    counts, erased, labels = drawn
    flat = counts.copy()
    flat[:, 2] = 3

    network, _ = train(patches_of(flat, erased, labels))

    assert network.sd[2] == 1.0


def test_what_is_written_is_read_back(
    trained: tuple[PatchNetwork, Fitted], patches: Patches, tmp_path: Path
) -> None:
    network, _ = trained

    save_patch_cnn(network, tmp_path / "model.safetensors")
    read = load_patch_cnn(tmp_path / "model.safetensors")
    save_patch_cnn(read, tmp_path / "again.safetensors")

    np.testing.assert_array_equal(ask(read, patches), ask(network, patches))
    np.testing.assert_array_equal(read.mean, network.mean)
    np.testing.assert_array_equal(read.sd, network.sd)
    assert parameter_count(read) == parameter_count(network)
    assert (tmp_path / "again.safetensors").read_bytes() == (
        tmp_path / "model.safetensors"
    ).read_bytes()


def test_patches_erased_altogether_cannot_be_standardised(patches: Patches) -> None:
    nothing = pack(np.ones_like(unpack(patches.erased, (SIDE, SIDE))))

    with pytest.raises(ValueError, match="no pixel to standardise by"):
        train(replace(patches, erased=nothing))
