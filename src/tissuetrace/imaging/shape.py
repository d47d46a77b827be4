"""The outline of a cell, and what its shape measures."""

import math
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float64, Int32, UInt8
from numpy import ndarray

__all__ = ["AspectRatio", "fill", "measure_shape", "outline"]

AspectRatio = Literal["ellipse", "box"]


def outline(
    foreground: UInt8[ndarray, "height width"],
) -> Int32[ndarray, "points 1 2"] | None:
    """Trace the outer contour of the largest 8-connected component.

    Args:
        foreground: above 0 where there is something.

    Returns:
        Corners (column, row), or nothing where there is no component. Of two components with
        equal areas the first that OpenCV finds counts.
    """
    contours, _ = cv2.findContours(foreground, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    # a component one pixel wide encloses no area, so its length decides
    return max(contours, key=lambda c: (cv2.contourArea(c), cv2.arcLength(c, True)), default=None)  # noqa: FBT003  # OpenCV takes it by position


def fill(
    contour: Int32[ndarray, "points 1 2"], shape: tuple[int, int]
) -> Bool[ndarray, "height width"]:
    """Return the pixels on and inside a contour: a component with its holes filled."""
    filled = np.zeros(shape, dtype=np.uint8)
    cv2.drawContours(filled, [contour], 0, 1, cv2.FILLED)
    return filled.view(np.bool_)


def measure_shape(
    contour: Int32[ndarray, "points 1 2"],
    mask: Bool[ndarray, "height width"],
    *,
    aspect_ratio: AspectRatio,
) -> Float64[ndarray, " 5"]:
    """Measure area, perimeter, circularity, solidity and aspect ratio.

    Args:
        contour: outer contour of the cell.
        mask: the pixels on and inside it.
        aspect_ratio: `ellipse`, longer over shorter axis of the ellipse of equal second moments;
            `box`, longer over shorter side of the upright bounding box.

    Returns:
        Area (px), perimeter (px), circularity 4πA/P² and solidity A/H of the polygon through the
        outline's pixel centres, aspect ratio from 1. A cell one pixel wide encloses nothing: its
        circularity is 0, its solidity 1, its aspect ratio that of the box.
    """
    polygon_area = cv2.contourArea(contour)
    perimeter = cv2.arcLength(contour, True)  # noqa: FBT003  # closed; OpenCV takes it by position
    hull_area = cv2.contourArea(cv2.convexHull(contour))
    return np.array(
        [
            cv2.countNonZero(mask.view(np.uint8)),
            perimeter,
            4 * math.pi * polygon_area / perimeter**2 if perimeter else 0.0,
            polygon_area / hull_area if hull_area else 1.0,
            _axis_ratio(contour, mask)
            if aspect_ratio == "ellipse" and hull_area
            else _box_ratio(contour),
        ]
    )


def _axis_ratio(
    contour: Int32[ndarray, "points 1 2"], mask: Bool[ndarray, "height width"]
) -> float:
    left, top, width, height = cv2.boundingRect(contour)
    box = mask[top : top + height, left : left + width]
    moments = cv2.moments(box.view(np.uint8), binaryImage=True)
    a, b, c = moments["mu20"], moments["mu02"], moments["mu11"]
    root = math.hypot(a - b, 2 * c)
    return math.sqrt((a + b + root) / (a + b - root))


def _box_ratio(contour: Int32[ndarray, "points 1 2"]) -> float:
    _, _, width, height = cv2.boundingRect(contour)
    return max(width, height) / min(width, height)
