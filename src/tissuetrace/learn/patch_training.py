"""Training the network on the pixels of patches."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from tissuetrace.learn.determinism import reproducible
from tissuetrace.learn.loop import Fitted, Loss, Schedule, Tell, Validation, fit
from tissuetrace.learn.patch_networks import (
    ASKED_AT_ONCE,
    Patches,
    PatchNetwork,
    channels_last,
    input_batches,
    seen,
)
from tissuetrace.models.patch_cnn import PatchCNN
from tissuetrace.stats.classification import mcc

__all__ = ["Recipe", "train_patch_cnn"]

_NOISE = 1e-6  # of a deviation against its mean, where a channel is constant


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How the network is trained.

    Args:
        schedule: epochs, learning rate, patience on the validation MCC.
        batch: patches in one step.
        pos_weight: how many negative patches a positive one weighs in the loss.
    """

    schedule: Schedule
    batch: int
    pos_weight: float


def train_patch_cnn(  # noqa: PLR0913  # data, rows, recipe, and what makes it repeatable
    patches: Patches,
    *,
    training: Int64[ndarray, " training"],
    validation: Int64[ndarray, " validation"],
    recipe: Recipe,
    seed: int,
    split_seed: int,
    device: str,
    resume: Path | None,
    tell: Tell | None = None,
) -> tuple[PatchNetwork, Fitted]:
    """Train one network; the same arguments give the same bits on the same machine.

    Args:
        patches: all of them; only the named ones are touched.
        training: positions of those that train.
        validation: positions of those that decide about the end and the best epoch.
        recipe: how.
        seed: of initial weights, dropout and order.
        split_seed: of the split, which tells this retraining from the others.
        device: `cpu` or `cuda`.
        resume: folder of the checkpoint for exactly these data and settings; None keeps none.
        tell: called with each finished epoch and its row of the history.

    Returns:
        The network of the best epoch, the first of equals, and what the training did; its history
        has a row for each epoch: `epoch` from 1, `train_loss`, `validation_loss`,
        `validation_mcc` (at probability 0.5; 0 where undefined).

    Source: Wang & Thomson, Methods (CNN): binary cross-entropy, Adam, best validation MCC.
    """
    weights_seed, run_seed = _spread(seed, split_seed)
    mean, sd = _standard(patches, training)
    with reproducible(weights_seed, "cpu"):
        model = channels_last(PatchCNN(len(mean)))
    network = PatchNetwork(model=model, mean=mean, sd=sd)
    fitted = fit(
        model,
        loss=_cross_entropy(recipe.pos_weight),
        training=input_batches(network, patches, training, batch=recipe.batch, order="shuffled"),
        validation=Validation(
            batches=input_batches(network, patches, validation, batch=ASKED_AT_ONCE, order="given"),
            watch="validation_mcc",
            better="higher",
            metrics={"validation_mcc": _mcc},
            tell=tell,
        ),
        schedule=recipe.schedule,
        seed=run_seed,
        device=device,
        resume=resume,
    )
    return network, fitted


def _standard(
    patches: Patches, rows: Int64[ndarray, " row"]
) -> tuple[Float64[ndarray, " channel"], Float64[ndarray, " channel"]]:
    """Return mean and standard deviation of each channel's square roots, erased pixels left out.

    With them the value that stands for an erased pixel, 0, is the mean of the others.
    """
    channels = len(patches.pixels.names)
    first, second, count = np.zeros(channels), np.zeros(channels), 0
    for start in range(0, len(rows), ASKED_AT_ONCE):
        counts, kept = seen(patches, rows[start : start + ASKED_AT_ONCE])
        own = counts[kept].astype(np.float64)
        first += np.sqrt(own).sum(axis=0)
        second += own.sum(axis=0)  # the square of a square root
        count += len(own)
    if count == 0:
        raise ValueError("no pixel to standardise by")
    mean = first / count
    sd = np.sqrt(np.maximum(second / count - mean**2, 0))
    # a constant's deviation is rounding noise, by which a test patch must not be divided
    return mean, np.where(sd > _NOISE * mean, sd, 1.0)


def _spread(seed: int, split_seed: int) -> tuple[int, int]:
    """Return two unrelated seeds: of the initial weights, and of all that happens after."""
    first, second = np.random.SeedSequence(seed, spawn_key=(split_seed,)).spawn(2)
    return int(first.generate_state(1)[0]), int(second.generate_state(1)[0])


def _cross_entropy(pos_weight: float) -> Loss:
    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        weight = labels.new_tensor(pos_weight)
        return binary_cross_entropy_with_logits(logits, labels, pos_weight=weight)

    return loss


def _mcc(logits: Tensor, labels: Tensor) -> float:
    found = mcc(labels.long().numpy(), logits.double().numpy(), threshold=0.0)  # of a logit
    return 0.0 if math.isnan(found) else found
