"""Cells that the forest calls wrong, as pictures with the probability of the wrong class."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import UInt8
from numpy import ndarray

from tissuetrace.imaging.bitmaps import read_bgr
from tissuetrace.report.figures import Illustration, draw_image, grid_of_axes
from tissuetrace.studies.leukemia.outcome import Outcome
from tissuetrace.studies.leukemia.paper import COLLECTION, CONFIDENCES
from tissuetrace.studies.leukemia.scores import kept_seed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["gallery", "wrong_cells"]

_SHOWN = 6
_MARGIN_PX = 3
_KINDS = {"false_positive": "normal, called ALL", "false_negative": "ALL, called normal"}


def wrong_cells(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the forest's wrong calls on unseen subjects, with the probability of the wrong class.

    Returns:
        The rows of the test set that are wrong, plus `kind` and `confidence` (0.5 to 1), sorted by
        kind and confidence.
    """
    test = predictions[
        (predictions["model"] == "forest")
        & (predictions["scheme"] == "subject")
        & (predictions["split"] == "test")
    ]
    kept = kept_seed(test)
    called = kept["probability"] >= 0.5  # noqa: PLR2004  # even odds
    wrong = kept[called != (kept["label"] == 1)]
    is_normal = wrong["label"] == 0
    wrong = wrong.assign(
        kind=np.where(is_normal, "false_positive", "false_negative"),
        confidence=wrong["probability"].where(is_normal, 1 - wrong["probability"]),
    )
    return wrong.sort_values(["kind", "confidence", "item"], ignore_index=True)


def gallery(outcome: Outcome, paths: Mapping[str, str], folder: Path) -> Illustration:
    """Show up to six wrong cells of each kind, spread evenly over their confidence.

    Args:
        outcome: whose predictions are looked through.
        paths: file of each cell below the folder, by name.
        folder: of the images.
    """
    wrong = wrong_cells(outcome.predictions)
    parts = {kind: wrong[wrong["kind"] == kind] for kind in _KINDS}
    spread = {kind: _evenly(part) for kind, part in parts.items()}
    shown = pd.concat(list(spread.values()))

    def draw() -> "Figure":
        figure, axes = grid_of_axes(2, _SHOWN, height_in=3.5)
        for ax in axes:
            ax.set_axis_off()
        pictures = _pictures([folder / paths[str(name)] for name in shown["item"]])
        for row, (kind, part) in enumerate(spread.items()):
            axes[row * _SHOWN].set_title(_KINDS[kind], loc="left")
            for ax, cell in zip(axes[row * _SHOWN :], part.itertuples(), strict=False):
                title = f"p {cell.confidence:.2f}, group {cell.group}"
                draw_image(next(pictures), title="", ax=ax)
                ax.text(0.5, -0.04, title, transform=ax.transAxes, ha="center", va="top", size=7.5)
        return figure

    ranges = "; ".join(
        f"{_KINDS[kind]}: {_range_of(part)}, paper "
        f"{100 * CONFIDENCES[kind][0]:.0f} to {100 * CONFIDENCES[kind][1]:.0f} %"
        for kind, part in parts.items()
    )
    source = "" if outcome.is_phantom else f" Images of the collection: {COLLECTION}."
    return Illustration(
        name="wrong_cells",
        title="Cells that the forest calls wrong",
        caption=(
            "Unseen subjects, test; up to six of each kind, from the least to the most certain, "
            "all at one scale. "
            f"p: probability of the wrong class. {ranges}.{source} {outcome.note}"
        ),
        alternative="Pictures of cells called wrong, with the probability of the wrong class.",
        draw=draw,
    )


def _evenly(part: pd.DataFrame) -> pd.DataFrame:
    places = np.linspace(0, len(part) - 1, min(_SHOWN, len(part))).round().astype(int)
    return part.iloc[places]


def _range_of(part: pd.DataFrame) -> str:
    if part.empty:
        return "none"
    low, high = 100 * part["confidence"].min(), 100 * part["confidence"].max()
    cells = "cell" if len(part) == 1 else "cells"
    return f"{len(part)} {cells}, {low:.0f} to {high:.0f} %"


def _pictures(files: list[Path]) -> Iterator[UInt8[ndarray, "height width 3"]]:
    """Cut cells out of their black frames at one scale, in red, green, blue."""
    images = [read_bgr(file)[:, :, ::-1] for file in files]
    boxes = [np.argwhere(image.any(axis=2)) for image in images]
    reach = max((int(np.ptp(box, axis=0).max()) for box in boxes), default=0) // 2 + _MARGIN_PX
    for image, box in zip(images, boxes, strict=True):
        padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)))
        top, left = (box.min(axis=0) + box.max(axis=0)) // 2  # padding moved the centre by reach
        yield padded[top : top + 2 * reach + 1, left : left + 2 * reach + 1]
