"""Embeddings of a network for images that it was not trained on, in one common frame.

A network's embedding of its own training images is overfitted, so a second model must not learn
from it. Each fold is embedded by a network trained without it; the frames of these networks are
then turned onto that of the final network, since unit 5 of one means nothing to another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from tissuetrace.learn.cell_training import Recipe, Rows, embeddings, train_classifier
from tissuetrace.models.cell_cnn import EMBEDDING_UNITS

__all__ = [
    "EmbeddedFold",
    "FoldTask",
    "embed_fold",
    "gather_folds",
    "turn_onto",
    "unit_names",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldTask:
    """One fold to embed, small enough to send to another process.

    Args:
        pixels: NumPy file of all images, to be mapped into memory.
        labels: of every image, 1 = blast.
        rows: which images train the fold's network, and which validate it.
        held_out: the images of the fold, none of which trains.
        recipe: how the network is trained.
        seed: the same for every fold, so that all start from the same weights.
        device: `cpu` or `cuda`.
        resume: folder of this fold's checkpoint.
    """

    pixels: Path
    labels: Int64[ndarray, " image"]
    rows: Rows
    held_out: Int64[ndarray, " row"]
    recipe: Recipe
    seed: int
    device: str
    resume: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedFold:
    """What the network of one fold says of images that it was not trained on.

    Args:
        rows: positions of the fold's images.
        embedding: of these images.
        anchor: embedding of the validation images, which all networks see alike.
    """

    rows: Int64[ndarray, " row"]
    embedding: Float64[ndarray, "row 64"]
    anchor: Float64[ndarray, "anchor 64"]


def embed_fold(task: FoldTask) -> EmbeddedFold:
    """Train a network without the fold, then embed the fold and the validation images.

    Raises:
        ValueError: an image of the fold would be trained on.
    """
    if np.isin(task.held_out, task.rows.training).any():
        raise ValueError("an image is held out and trained on")
    images = np.load(task.pixels, mmap_mode="r")
    network, _ = train_classifier(
        images,
        task.labels,
        rows=task.rows,
        recipe=task.recipe,
        seed=task.seed,
        device=task.device,
        resume=task.resume,
    )
    return EmbeddedFold(
        rows=task.held_out,
        embedding=embeddings(network, images, task.held_out, device=task.device),
        anchor=embeddings(network, images, task.rows.validation, device=task.device),
    )


def gather_folds(
    folds: Sequence[EmbeddedFold],
    reference: Float64[ndarray, "anchor 64"],
    rows: Int64[ndarray, " row"],
) -> Float64[ndarray, "row 64"]:
    """Bring the folds into the frame of the final network, in the order of the rows.

    Args:
        folds: one for each fold; together they hold every row once.
        reference: the final network's embedding of the validation images.
        rows: positions of the training images.

    Raises:
        ValueError: a row is embedded never or twice.
    """
    places = np.concatenate([fold.rows for fold in folds])
    if not np.array_equal(np.sort(places), np.sort(rows)):
        raise ValueError(f"{len(folds)} folds do not embed each of {len(rows)} rows once")
    turned = np.concatenate([turn_onto(fold.embedding, fold.anchor, reference) for fold in folds])
    order = np.empty(places.max() + 1, dtype=np.int64)
    order[places] = np.arange(len(places))
    gathered: Float64[ndarray, "row 64"] = turned[order[rows]]
    return gathered


def turn_onto(
    embedding: Float64[ndarray, "item unit"],
    anchor: Float64[ndarray, "anchor unit"],
    reference: Float64[ndarray, "anchor unit"],
) -> Float64[ndarray, "item unit"]:
    """Shift and rotate an embedding so that two networks agree best on the anchor images.

    No label is looked at, and distances between the items stay as they are.

    Args:
        embedding: of any items, by the one network.
        anchor: of the anchor images, by the same network.
        reference: of the anchor images, by the network whose frame is wanted.

    Source: Schönemann 1966, the orthogonal Procrustes problem, with both centred. The study
        behind this project says nothing of it: its hybrid is our extension.
    """
    from scipy.linalg import orthogonal_procrustes

    rotation, _ = orthogonal_procrustes(_centred(anchor), _centred(reference))
    turned: Float64[ndarray, "item unit"] = (
        embedding - anchor.mean(axis=0)
    ) @ rotation + reference.mean(axis=0)
    return turned


def unit_names() -> list[str]:
    """Return a column name for each unit of an embedding."""
    return [f"embedding_{unit:02d}" for unit in range(EMBEDDING_UNITS)]


def _centred(values: Float64[ndarray, "item unit"]) -> Float64[ndarray, "item unit"]:
    centred: Float64[ndarray, "item unit"] = values - values.mean(axis=0)
    return centred
