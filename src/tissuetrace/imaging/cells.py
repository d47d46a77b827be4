"""One segmented blood cell on black: its mask and its 15 measurements."""

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float64, UInt8
from numpy import ndarray

from tissuetrace.imaging.cooccurrence import Cooccurrence, reach, texture, texture_inside
from tissuetrace.imaging.edges import RIM_PX, edge_sums, edges_inside
from tissuetrace.imaging.intensity import gray_counts, moments
from tissuetrace.imaging.shape import AspectRatio, fill, measure_shape, outline

__all__ = [
    "FEATURES",
    "MaskMethod",
    "Reading",
    "cell_box",
    "cell_mask",
    "component_areas",
    "measure_cell",
    "measure_gray",
    "smooth",
    "thumbnail",
    "to_gray",
]

Reading = Literal["image", "cell"]
MaskMethod = Literal["above_zero", "otsu"]

FEATURES: tuple[str, ...] = (
    "area",
    "perimeter",
    "circularity",
    "solidity",
    "aspect_ratio",
    "glcm_contrast",
    "glcm_dissimilarity",
    "glcm_homogeneity",
    "glcm_energy",
    "glcm_correlation",
    "mean",
    "std",
    "skewness",
    "edge_density",
    "sobel_mean",
)

_THUMBNAIL_PX = 32


def measure_cell(
    bgr: UInt8[ndarray, "height width 3"],
    *,
    reading: Reading,
    mask: MaskMethod,
    aspect_ratio: AspectRatio,
    blur: Literal[0, 3],
    glcm: Cooccurrence,
    canny: tuple[float, float],
) -> Float64[ndarray, " 15"]:
    """Measure the shape, texture, intensity and edges of one cell.

    Args:
        bgr: a frame with one cell on black, channels blue, green, red.
        reading: see `measure_gray`, as of `mask`, `aspect_ratio`, `glcm` and `canny`.
        mask: which pixels are the cell's.
        aspect_ratio: of the ellipse of equal second moments, or of the upright box.
        blur: side of a Gaussian kernel that smooths the frame first (px); 0 for none.
        glcm: which pairs of pixels make the texture.
        canny: lower and upper threshold of the edges.

    Returns:
        `FEATURES`, in their order; units as `measure_gray` says.

    Raises:
        ValueError: the frame holds no cell.
    """
    return measure_gray(
        smooth(to_gray(bgr), width_px=blur),
        reading=reading,
        mask=mask,
        aspect_ratio=aspect_ratio,
        glcm=glcm,
        canny=canny,
    )


def measure_gray(
    gray: UInt8[ndarray, "height width"],
    *,
    reading: Reading,
    mask: MaskMethod,
    aspect_ratio: AspectRatio,
    glcm: Cooccurrence,
    canny: tuple[float, float],
) -> Float64[ndarray, " 15"]:
    """Measure one cell of which gray values are at hand.

    Args:
        gray: a frame with one cell on black.
        reading: whether texture, intensity and edges are those of the whole frame, black
            included (`image`), or of the cell's pixels alone (`cell`).
        mask: which pixels are the cell's, see `cell_mask`.
        aspect_ratio: of the ellipse of equal second moments, or of the upright box.
        glcm: which pairs of pixels make the texture.
        canny: lower and upper threshold of the edges, of |gx| + |gy| of the 3x3 Sobel kernel.

    Returns:
        `FEATURES`, in their order. Area and perimeter in px; mean, standard deviation and Sobel
        mean (unscaled 3x3 kernel) in gray values; edge density as a share of the pixels.

    Raises:
        ValueError: the frame holds no cell.

    Source: Swastika, Prilianti, Irawan, Setiawan, the features of Table 1 and of the text; the
    paper leaves open over which pixels texture and intensity are taken, hence `reading`.
    """
    contour = outline(_foreground(gray, mask))
    if contour is None:
        raise ValueError("no pixel above 0, so no cell")
    cell = fill(contour, gray.shape)
    shape = measure_shape(contour, cell, aspect_ratio=aspect_ratio)
    if reading == "image":
        return np.concatenate([shape, _measure_image(gray, glcm=glcm, canny=canny)])
    return np.concatenate([shape, _measure_inside(gray, cell, glcm=glcm, canny=canny)])


def smooth(
    gray: UInt8[ndarray, "height width"], *, width_px: Literal[0, 3]
) -> UInt8[ndarray, "height width"]:
    """Blur with a Gaussian kernel of the given side, which lets black into the rim; 0 for none."""
    if width_px == 0:
        return gray
    smoothed: UInt8[ndarray, "height width"] = cv2.GaussianBlur(gray, (width_px, width_px), 0)
    return smoothed


def to_gray(bgr: UInt8[ndarray, "height width 3"]) -> UInt8[ndarray, "height width"]:
    """Return the luma of ITU-R BT.601, rounded."""
    gray: UInt8[ndarray, "height width"] = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    return gray


def cell_mask(
    gray: UInt8[ndarray, "height width"], *, method: MaskMethod
) -> Bool[ndarray, "height width"]:
    """Return the pixels of the largest 8-connected component, its holes filled.

    Args:
        gray: a frame with one cell on black.
        method: `above_zero` takes all that is not black; `otsu` what lies above Otsu's threshold,
            which loses up to 2 % of the area at the rim.

    Returns:
        All false where the frame is black.
    """
    contour = outline(_foreground(gray, method))
    if contour is None:
        return np.zeros(gray.shape, dtype=np.bool_)
    return fill(contour, gray.shape)


def component_areas(gray: UInt8[ndarray, "height width"]) -> list[int]:
    """Return the areas of the 8-connected components above 0 (px), the largest first."""
    _, _, statistics, _ = cv2.connectedComponentsWithStats(
        _foreground(gray, "above_zero"), connectivity=8
    )
    _, *areas = statistics[:, cv2.CC_STAT_AREA].tolist()
    return sorted(areas, reverse=True)


def cell_box(mask: Bool[ndarray, "height width"]) -> tuple[int, int, int, int]:
    """Return the upright bounding box as top, bottom, left, right; bottom and right excluded.

    Raises:
        ValueError: the mask is empty.
    """
    left, top, width, height = cv2.boundingRect(mask.view(np.uint8))
    if width == 0:
        raise ValueError("no pixel in the mask, so no box")
    return top, top + height, left, left + width


def thumbnail(gray: UInt8[ndarray, "height width"]) -> UInt8[ndarray, " 1024"]:
    """Shrink the box of the cell to 32x32 pixels, to compare cells wherever they lie.

    Returns:
        Gray values row by row, each the mean of the area it stands for; black where there is no
        cell.
    """
    mask = cell_mask(gray, method="above_zero")
    if not mask.any():
        return np.zeros(_THUMBNAIL_PX**2, dtype=np.uint8)
    top, bottom, left, right = cell_box(mask)
    small: UInt8[ndarray, " 1024"] = cv2.resize(
        gray[top:bottom, left:right],
        (_THUMBNAIL_PX, _THUMBNAIL_PX),
        interpolation=cv2.INTER_AREA,
    ).ravel()
    return small


def _foreground(
    gray: UInt8[ndarray, "height width"], method: MaskMethod
) -> UInt8[ndarray, "height width"]:
    kind = cv2.THRESH_BINARY | (cv2.THRESH_OTSU if method == "otsu" else 0)
    _, above = cv2.threshold(gray, 0, 1, kind)
    foreground: UInt8[ndarray, "height width"] = above
    return foreground


def _measure_image(
    gray: UInt8[ndarray, "height width"], *, glcm: Cooccurrence, canny: tuple[float, float]
) -> Float64[ndarray, " 10"]:
    # the box of all that is not black, which a stricter mask may have left out
    box = gray[_rimmed(cv2.boundingRect(gray), glcm, gray.shape)]
    counts = gray_counts(box, None)
    counts[0] += gray.size - box.size
    edges, slope = edge_sums(box, None, thresholds=canny)
    return np.concatenate(
        [
            texture(box, frame=gray.shape, settings=glcm),
            moments(counts),
            [edges / gray.size, slope / gray.size],
        ]
    )


def _measure_inside(
    gray: UInt8[ndarray, "height width"],
    cell: Bool[ndarray, "height width"],
    *,
    glcm: Cooccurrence,
    canny: tuple[float, float],
) -> Float64[ndarray, " 10"]:
    window = _rimmed(cv2.boundingRect(cell.view(np.uint8)), glcm, gray.shape)
    box, inside = gray[window], cell[window]
    return np.concatenate(
        [
            texture_inside(box, inside, settings=glcm),
            moments(gray_counts(box, inside)),
            edges_inside(box, inside, thresholds=canny),
        ]
    )


def _rimmed(box: Sequence[int], glcm: Cooccurrence, shape: tuple[int, ...]) -> tuple[slice, slice]:
    left, top, width, height = box
    rim_px = max(RIM_PX, reach(glcm))
    return (
        slice(max(0, top - rim_px), min(shape[0], top + height + rim_px)),
        slice(max(0, left - rim_px), min(shape[1], left + width + rim_px)),
    )
