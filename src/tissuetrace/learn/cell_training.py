"""Training the cell network on an array of images, keeping it, and asking it again.

`train_classifier` is what every stage that needs the network calls: it takes the images, their
labels, which rows train and which validate, and a loss; `probabilities` then asks the result.
"""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64, UInt8
from numpy import ndarray
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Generator, Tensor

from tissuetrace.learn.augmentation import Augmentation
from tissuetrace.learn.batches import (
    Standard,
    augmented_batches,
    measure_standard,
    ordered_batches,
)
from tissuetrace.learn.determinism import reproducible
from tissuetrace.learn.loop import Loss, Schedule, Tell, Validation, fit
from tissuetrace.models.cell_cnn import CHANNELS, Block, CellCNN

__all__ = [
    "CellClassifier",
    "Recipe",
    "Rows",
    "embeddings",
    "load_classifier",
    "parameter_count",
    "probabilities",
    "save_classifier",
    "train_classifier",
]

_BATCH = 128  # images asked at a time; it changes no result beyond rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a cell network is trained.

    Args:
        schedule: epochs, learning rate, patience on the validation loss.
        batch: images in one step.
        block: order inside a convolution block.
        augmentation: of training images alone.
        loss: of logits and labels, such as `CrossEntropy()` or `FocalLoss(...)`.
    """

    schedule: Schedule
    batch: int
    block: Block
    augmentation: Augmentation
    loss: Loss


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Positions in the array of images that train, and those that validate."""

    training: Int64[ndarray, " training"]
    validation: Int64[ndarray, " validation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellClassifier:
    """A trained network with what its input must be standardised by.

    Args:
        model: on the CPU, in evaluation mode, with the weights of its best epoch.
        standard: mean and standard deviation of the training images.
        side_px: side of its input.
        block: order inside a convolution block.
    """

    model: CellCNN
    standard: Standard
    side_px: int
    block: Block


def train_classifier(
    images: UInt8[ndarray, "image side side 3"],
    labels: ndarray,
    *,
    rows: Rows,
    recipe: Recipe,
    seed: int,
    device: str,
    resume: Path | None,
    tell: Tell | None = None,
) -> tuple[CellClassifier, list[dict[str, float]]]:
    """Train the cell network; the same arguments give the same bits on the same machine.

    Args:
        images: RGB, all of them; only the named rows are touched, a memory-mapped file will do.
        labels: 1 = blast, 0 = normal, for every image.
        rows: which images train, and which decide about stopping and the best epoch.
        recipe: how, the loss included.
        seed: of initial weights, dropout, order and augmentation.
        device: `cpu` or `cuda`.
        resume: folder of the checkpoint for exactly these data and settings; None keeps none.
        tell: called with each finished epoch and its row of the history.

    Returns:
        The classifier of the best epoch, and a row for each epoch: `epoch` from 1, `train_loss`,
        `validation_loss`, `validation_accuracy` (at probability 0.5).
    """
    side_px, standard = images.shape[1], measure_standard(images, rows.training)
    weights_seed, run_seed = _spread(seed)
    with reproducible(weights_seed, "cpu"):
        model = _laid_out(CellCNN(side_px, block=recipe.block))
    truth = np.asarray(labels, dtype=np.float32)
    fitted = fit(
        model,
        loss=recipe.loss,
        training=augmented_batches(
            images,
            truth,
            rows=rows.training,
            standard=standard,
            augmentation=recipe.augmentation,
            batch=recipe.batch,
            device=device,
        ),
        validation=Validation(
            batches=ordered_batches(
                images, truth, rows=rows.validation, standard=standard, batch=_BATCH, device=device
            ),
            watch="validation_loss",
            better="lower",
            metrics={"validation_accuracy": _accuracy},
            tell=tell,
        ),
        schedule=recipe.schedule,
        seed=run_seed,
        device=device,
        resume=resume,
    )
    made = CellClassifier(model=model, standard=standard, side_px=side_px, block=recipe.block)
    return made, fitted.history


def probabilities(
    classifier: CellClassifier,
    images: UInt8[ndarray, "image side side 3"],
    rows: Int64[ndarray, " row"],
    *,
    device: str,
) -> Float64[ndarray, " row"]:
    """Return the probability of a blast for some of the images, in the order of the rows."""
    logits = _ask(classifier, images, rows, answer="logit", device=device)
    # in double precision, so that a sure network is not rounded to exactly 1
    return torch.sigmoid(torch.from_numpy(logits).double()).numpy()


def embeddings(
    classifier: CellClassifier,
    images: UInt8[ndarray, "image side side 3"],
    rows: Int64[ndarray, " row"],
    *,
    device: str,
) -> Float64[ndarray, "row 64"]:
    """Return the last 64 units before the logit for some of the images."""
    return _ask(classifier, images, rows, answer="embedding", device=device).astype(np.float64)


def save_classifier(classifier: CellClassifier, path: Path) -> None:
    """Write weights, and what the input is standardised by, as one safetensors file."""
    weights = {name: value.contiguous() for name, value in classifier.model.state_dict().items()}
    standard = classifier.standard
    constants = {
        "standard.mean": torch.tensor(standard.mean, dtype=torch.float64),
        "standard.sd": torch.tensor(standard.sd, dtype=torch.float64),
    }
    # one entry: safetensors writes several in an order that changes from process to process
    metadata: dict[str, str] = {"block": classifier.block}
    path.parent.mkdir(parents=True, exist_ok=True)
    # safetensors' own writer makes a file that nobody else may read
    path.write_bytes(save({**weights, **constants}, metadata=metadata))


def load_classifier(path: Path) -> CellClassifier:
    """Read what `save_classifier` wrote."""
    content = load_file(path)
    with safe_open(path, framework="pt") as file:
        block = file.metadata()["block"]
    standard = Standard(
        mean=tuple(content.pop("standard.mean").tolist()),
        sd=tuple(content.pop("standard.sd").tolist()),
    )
    features = content["dense.1.weight"].shape[1]
    side_px = 8 * round((features / CHANNELS[-1]) ** 0.5)
    model = _laid_out(CellCNN(side_px, block=block))
    model.load_state_dict(content)
    return CellClassifier(model=model.eval(), standard=standard, side_px=side_px, block=block)


def parameter_count(classifier: CellClassifier) -> int:
    """Return how many numbers were trained."""
    return sum(value.numel() for value in classifier.model.parameters())


def _ask(
    classifier: CellClassifier,
    images: UInt8[ndarray, "image side side 3"],
    rows: Int64[ndarray, " row"],
    *,
    answer: Literal["logit", "embedding"],
    device: str,
) -> Float32[ndarray, "row ..."]:
    """Send images through a copy of the network, one thread, without dropout."""
    batches = ordered_batches(
        images,
        np.zeros(len(images), np.float32),
        rows=rows,
        standard=classifier.standard,
        batch=_BATCH,
        device=device,
    )
    with reproducible(0, device), torch.no_grad():
        model = deepcopy(classifier.model).to(device).eval()
        ask = model if answer == "logit" else model.embed
        answers = [ask(pixels).cpu() for pixels, _ in batches(Generator())]
    return torch.cat(answers).numpy()


def _laid_out(model: CellCNN) -> CellCNN:
    layout = torch.channels_last  # a fifth faster on a CPU
    return model.to(memory_format=layout)  # type: ignore[call-overload, no-any-return]  # torch's stubs know it of tensors alone


def _spread(seed: int) -> tuple[int, int]:
    """Return two unrelated seeds: of the initial weights, and of all that happens after."""
    first, second = np.random.SeedSequence(seed).spawn(2)
    return int(first.generate_state(1)[0]), int(second.generate_state(1)[0])


def _accuracy(logits: Tensor, labels: Tensor) -> float:
    return float(((logits > 0) == (labels > 0)).double().mean())
