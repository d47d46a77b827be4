"""Training the network on the pixels of patches, keeping it, and asking it again."""

import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64, UInt8
from numpy import ndarray
from safetensors.torch import load_file, save
from torch import Generator, Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from tissuetrace.imaging.masks import unpack
from tissuetrace.learn.loop import (
    Batch,
    Batches,
    Fitted,
    Loss,
    Schedule,
    Tell,
    Validation,
    fit,
    reproducible,
)
from tissuetrace.learn.patch_pixels import PatchPixels
from tissuetrace.models.patch_cnn import PatchCNN
from tissuetrace.stats.classification import mcc

__all__ = [
    "PatchNetwork",
    "Patches",
    "Recipe",
    "load_patch_cnn",
    "parameter_count",
    "probabilities",
    "probability",
    "save_patch_cnn",
    "train_patch_cnn",
]

_BATCH = 128  # patches asked at a time; it changes no result beyond rounding
_NOISE = 1e-6  # of a deviation against its mean, where a channel is constant


@dataclass(frozen=True, slots=True, kw_only=True)
class Patches:
    """All patches, as one retraining sees them.

    Args:
        pixels: counts of each patch.
        erased: its erased pixels, a decoy's included, packed.
        labels: 1 = a T cell is in it, 0 = none.
    """

    pixels: PatchPixels
    erased: UInt8[ndarray, "patch bytes"]
    labels: Int64[ndarray, " patch"]


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


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchNetwork:
    """A trained network with what its input must be standardised by.

    Args:
        model: on the CPU, in evaluation mode, with the weights of its best epoch.
        mean: of the square root of counts, over what is not erased of the training patches.
        sd: standard deviation of the same; 1 for a constant channel.
    """

    model: PatchCNN
    mean: Float64[ndarray, " channel"]
    sd: Float64[ndarray, " channel"]


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
        model = _laid_out(PatchCNN(len(mean)))
    network = PatchNetwork(model=model, mean=mean, sd=sd)
    fitted = fit(
        model,
        loss=_cross_entropy(recipe.pos_weight),
        training=_batches(network, patches, training, batch=recipe.batch, order="shuffled"),
        validation=Validation(
            batches=_batches(network, patches, validation, batch=_BATCH, order="given"),
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


def probabilities(
    network: PatchNetwork, patches: Patches, rows: Int64[ndarray, " row"], *, device: str
) -> Float64[ndarray, " row"]:
    """Return the probability of a T cell for some of the patches, in the order of the rows."""
    batches = _batches(network, patches, rows, batch=_BATCH, order="given")
    with reproducible(0, device), torch.no_grad():
        model = deepcopy(network.model).to(device).eval()
        logits = [model(z.to(device)).cpu() for z, _ in batches(Generator())]
    # in double precision, so that a sure network is not rounded to exactly 1
    found: Float64[ndarray, " row"] = torch.sigmoid(torch.cat(logits).double()).numpy()
    return found


def probability(
    network: PatchNetwork,
) -> Callable[[Float[Tensor, "patch channel height width"]], Float[Tensor, " patch"]]:
    """Return the network as a differentiable function of z values of square roots of counts.

    It computes in single precision, whatever it is given; erased pixels must be 0 already.
    """
    model = deepcopy(network.model).eval().requires_grad_(requires_grad=False)

    def ask(z: Float[Tensor, "patch channel height width"]) -> Float[Tensor, " patch"]:
        answers: Tensor = torch.sigmoid(model(z.float())).to(z)
        return answers

    return ask


def save_patch_cnn(network: PatchNetwork, path: Path) -> None:
    """Write weights, and what the input is standardised by, as one safetensors file."""
    weights = {name: value.contiguous() for name, value in network.model.state_dict().items()}
    constants = {"mean": torch.from_numpy(network.mean), "sd": torch.from_numpy(network.sd)}
    path.parent.mkdir(parents=True, exist_ok=True)
    # safetensors' own writer makes a file that nobody else may read
    path.write_bytes(save({**weights, **constants}))


def load_patch_cnn(path: Path) -> PatchNetwork:
    """Read what `save_patch_cnn` wrote."""
    content = load_file(path)
    mean, sd = content.pop("mean").numpy(), content.pop("sd").numpy()
    model = _laid_out(PatchCNN(len(mean)))
    model.load_state_dict(content)
    return PatchNetwork(model=model.eval(), mean=mean, sd=sd)


def parameter_count(network: PatchNetwork) -> int:
    """Return how many numbers were trained."""
    return sum(value.numel() for value in network.model.parameters())


def _batches(
    network: PatchNetwork,
    patches: Patches,
    rows: Int64[ndarray, " row"],
    *,
    batch: int,
    order: Literal["shuffled", "given"],
) -> Batches:
    mean, sd = (
        torch.from_numpy(values).float().view(1, -1, 1, 1) for values in (network.mean, network.sd)
    )

    def batches(generator: Generator) -> Iterator[Batch]:
        drawn = rows
        if order == "shuffled":
            drawn = rows[torch.randperm(len(rows), generator=generator).numpy()]
        for start in range(0, len(drawn), batch):
            chosen = drawn[start : start + batch]
            counts, kept = _seen(patches, chosen)
            roots = torch.from_numpy(np.sqrt(counts, out=counts))  # torch's takes 7 times as long
            # the axes are renamed, not moved: memory stays channels-last
            z = roots.permute(0, 3, 1, 2).sub_(mean).div_(sd).mul_(torch.from_numpy(kept)[:, None])
            yield z, torch.from_numpy(patches.labels[chosen]).float()

    return batches


def _seen(
    patches: Patches, rows: Int64[ndarray, " row"]
) -> tuple[
    Float32[ndarray, "row height width channel"],
    Bool[ndarray, "row height width"],
]:
    """Return counts, and which pixels are not erased."""
    erased = unpack(patches.erased[rows], patches.pixels.shape)
    return patches.pixels.counts(rows), ~erased


def _standard(
    patches: Patches, rows: Int64[ndarray, " row"]
) -> tuple[Float64[ndarray, " channel"], Float64[ndarray, " channel"]]:
    """Return mean and standard deviation of each channel's square roots, erased pixels left out.

    With them the value that stands for an erased pixel, 0, is the mean of the others.
    """
    channels = len(patches.pixels.names)
    first, second, count = np.zeros(channels), np.zeros(channels), 0
    for start in range(0, len(rows), _BATCH):
        counts, kept = _seen(patches, rows[start : start + _BATCH])
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


def _laid_out(model: PatchCNN) -> PatchCNN:
    layout = torch.channels_last  # half the time on a CPU
    return model.to(memory_format=layout)  # type: ignore[call-overload, no-any-return]  # torch's stubs know it of tensors alone


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
