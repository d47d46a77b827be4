"""The network on the pixels of patches: what it is given, how it is asked, and how it is kept."""

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

from tissuetrace.imaging.masks import unpack
from tissuetrace.learn.determinism import reproducible
from tissuetrace.learn.patch_pixels import PatchPixels
from tissuetrace.models.patch_cnn import PatchCNN

__all__ = [
    "ASKED_AT_ONCE",
    "Batches",
    "PatchNetwork",
    "Patches",
    "channels_last",
    "input_batches",
    "load_patch_cnn",
    "parameter_count",
    "probabilities",
    "probability",
    "save_patch_cnn",
    "seen",
]

Batches = Callable[[Generator], Iterator[tuple[Tensor, Tensor]]]

ASKED_AT_ONCE = 128  # patches; it changes no result beyond rounding


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


def probabilities(
    network: PatchNetwork, patches: Patches, rows: Int64[ndarray, " row"], *, device: str
) -> Float64[ndarray, " row"]:
    """Return the probability of a T cell for some of the patches, in the order of the rows."""
    batches = input_batches(network, patches, rows, batch=ASKED_AT_ONCE, order="given")
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
    model = channels_last(PatchCNN(len(mean)))
    model.load_state_dict(content)
    return PatchNetwork(model=model.eval(), mean=mean, sd=sd)


def parameter_count(network: PatchNetwork) -> int:
    """Return how many numbers were trained."""
    return sum(value.numel() for value in network.model.parameters())


def input_batches(
    network: PatchNetwork,
    patches: Patches,
    rows: Int64[ndarray, " row"],
    *,
    batch: int,
    order: Literal["shuffled", "given"],
) -> Batches:
    """Return a function that gives what the network takes, and labels, batch by batch.

    Args:
        network: by whose mean and deviation counts are standardised.
        patches: all of them.
        rows: positions of those to give.
        batch: patches in one batch.
        order: `shuffled` draws from the generator that the function is called with.
    """
    mean, sd = (
        torch.from_numpy(values).float().view(1, -1, 1, 1) for values in (network.mean, network.sd)
    )

    def batches(generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
        drawn = rows
        if order == "shuffled":
            drawn = rows[torch.randperm(len(rows), generator=generator).numpy()]
        for start in range(0, len(drawn), batch):
            chosen = drawn[start : start + batch]
            counts, kept = seen(patches, chosen)
            roots = torch.from_numpy(np.sqrt(counts, out=counts))  # torch's takes 7 times as long
            # the axes are renamed, not moved: memory stays channels-last
            z = roots.permute(0, 3, 1, 2).sub_(mean).div_(sd).mul_(torch.from_numpy(kept)[:, None])
            yield z, torch.from_numpy(patches.labels[chosen]).float()

    return batches


def seen(
    patches: Patches, rows: Int64[ndarray, " row"]
) -> tuple[
    Float32[ndarray, "row height width channel"],
    Bool[ndarray, "row height width"],
]:
    """Return counts of some patches, and which pixels are not erased."""
    erased = unpack(patches.erased[rows], patches.pixels.shape)
    return patches.pixels.counts(rows), ~erased


def channels_last(model: PatchCNN) -> PatchCNN:
    """Lay the weights out as the pixels lie on disk."""
    layout = torch.channels_last  # half the time on a CPU
    return model.to(memory_format=layout)  # type: ignore[call-overload, no-any-return]  # torch's stubs know it of tensors alone
