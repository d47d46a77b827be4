"""Moments of gray values, from how often each of the 256 occurs."""

import math

import cv2
import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8
from numpy import ndarray

__all__ = ["gray_counts", "moments"]


def gray_counts(
    gray: UInt8[ndarray, "rows columns"], inside: Bool[ndarray, "rows columns"] | None
) -> Int64[ndarray, " 256"]:
    """Count how often each gray value occurs, over all pixels or inside a mask."""
    where = None if inside is None else inside.view(np.uint8)
    counts: Int64[ndarray, " 256"] = (
        cv2.calcHist([gray], [0], where, [256], [0, 256]).ravel().astype(np.int64)
    )
    return counts


def moments(counts: Int64[ndarray, " 256"]) -> Float64[ndarray, " 3"]:
    """Return mean, standard deviation and skewness of a population of gray values.

    Args:
        counts: how often each gray value from 0 to 255 occurs.

    Returns:
        Mean and standard deviation in gray values; skewness m3/m2^1.5, 0 where all are equal.

    Raises:
        ValueError: nothing is counted.
    """
    grays = np.arange(256)
    number, first, second, third = (int((counts * grays**power).sum()) for power in range(4))
    if number == 0:
        raise ValueError("no pixel, so no mean")
    # whole numbers of any size, so that a small spread on a large mean keeps its digits
    m2 = number * second - first**2
    m3 = number**2 * third - 3 * number * first * second + 2 * first**3
    std = math.sqrt(m2) / number
    return np.array([first / number, std, m3 / math.sqrt(m2) / m2 if m2 else 0.0])
