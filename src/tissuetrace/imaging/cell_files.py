"""Many image files of single cells into one table of measurements for each reading."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from tissuetrace.imaging.bitmaps import pixels_or_reason
from tissuetrace.imaging.cells import (
    FEATURES,
    MaskMethod,
    Reading,
    measure_gray,
    smooth,
    to_gray,
)
from tissuetrace.imaging.cooccurrence import Cooccurrence
from tissuetrace.imaging.shape import AspectRatio

__all__ = ["Measured", "measure_files"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Cells of a list of files.

    Args:
        features: for each reading a row of `cells.FEATURES` per file, NaN for a bad file.
        mistakes: one line for each file without pixels or without a cell.
    """

    features: Mapping[Reading, Float64[ndarray, "files 15"]]
    mistakes: tuple[str, ...]


def measure_files(
    names: Sequence[str],
    *,
    folder: Path,
    mask: MaskMethod,
    aspect_ratio: AspectRatio,
    blur: Literal[0, 3],
    glcm: Cooccurrence,
    canny: Mapping[Reading, tuple[float, float]],
) -> Measured:
    """Read every file once and measure its cell in each reading.

    Args:
        names: paths of the files below the folder.
        folder: where they lie.
        mask: as the next three, see `cells.measure_gray`.
        aspect_ratio: of the ellipse of equal second moments, or of the upright box.
        blur: side of a Gaussian kernel (px), 0 for none.
        glcm: which pairs of pixels make the texture.
        canny: thresholds for each reading; its keys are the readings that are measured.
    """
    cv2.setNumThreads(1)  # the processes beside this one use the other cores
    features = {reading: np.full((len(names), len(FEATURES)), np.nan) for reading in canny}
    mistakes = []
    for row, name in enumerate(names):
        bgr = pixels_or_reason(folder / name)
        if isinstance(bgr, str):
            mistakes.append(f"{name}: {bgr}")
            continue
        gray = smooth(to_gray(bgr), width_px=blur)
        if not gray.any():
            mistakes.append(f"{name}: all black (found no pixel above 0, expected a cell)")
            continue
        for reading, thresholds in canny.items():
            features[reading][row] = measure_gray(
                gray,
                reading=reading,
                mask=mask,
                aspect_ratio=aspect_ratio,
                glcm=glcm,
                canny=thresholds,
            )
    return Measured(features=features, mistakes=tuple(mistakes))
