"""Edges and slopes of gray values."""

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8
from numpy import ndarray

__all__ = ["RIM_PX", "edge_sums", "edges_inside"]

RIM_PX = 2  # black rim that keeps a box's border from being mirrored into its edges


def edge_sums(
    gray: UInt8[ndarray, "rows columns"],
    inside: UInt8[ndarray, "rows columns"] | None,
    *,
    thresholds: tuple[float, float],
) -> tuple[int, float]:
    """Count Canny's edge pixels and add up Sobel's slopes, over all pixels or inside a mask.

    Args:
        gray: a box with a black rim of `RIM_PX` on each side that is not the frame's edge.
        inside: above 0 where pixels count; nothing means all.
        thresholds: Canny's two, of the slope's absolute sum |gx| + |gy|.
    """
    edges = cv2.Canny(gray, *thresholds)
    slopes = _slopes(gray)
    if inside is not None:
        edges, slopes = cv2.bitwise_and(edges, edges, mask=inside), slopes * inside
    return cv2.countNonZero(edges), cv2.sumElems(slopes)[0]


def edges_inside(
    gray: UInt8[ndarray, "rows columns"],
    mask: Bool[ndarray, "rows columns"],
    *,
    thresholds: tuple[float, float],
) -> Float64[ndarray, " 2"]:
    """Measure edge density and mean slope one pixel inside a cell's outline.

    Returns:
        Share of Canny's pixels, and mean Sobel magnitude; both 0 where nothing is left.
    """
    inner = cv2.erode(mask.view(np.uint8), np.ones((3, 3), np.uint8))
    pixels = cv2.countNonZero(inner)
    if pixels == 0:
        return np.zeros(2)
    count, total = edge_sums(gray, inner, thresholds=thresholds)
    return np.array([count / pixels, total / pixels])


def _slopes(gray: UInt8[ndarray, "rows columns"]) -> Float32[ndarray, "rows columns"]:
    # Exact on any machine: squares of whole slopes fit 24 bits, the root is rounded once, and a
    # sum of such roots in double precision loses no digit.
    across, down = (slope.astype(np.float32) for slope in cv2.spatialGradient(gray))
    across *= across
    down *= down
    across += down
    return np.sqrt(across, out=across)
