"""Pixels of T cells, and the discs around them that are hidden from the predictors."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Real
from numpy import ndarray
from scipy import ndimage

__all__ = ["above", "erased_mask", "marker_mask", "t_cell_mask"]

Channel = Real[ndarray, "height width"]


def above(
    counts: Channel, *, threshold: float, px_um: float, smooth_um: float
) -> Bool[ndarray, "height width"]:
    """Say which pixels of a channel are positive once it is smoothed.

    Args:
        counts: one channel of a whole image (ion counts).
        threshold: smoothed counts that must be exceeded.
        px_um: side of a pixel (µm).
        smooth_um: standard deviation of the Gaussian (µm); 0 leaves the counts as they are.
            At the image's edge the image is mirrored.
    """
    smooth = ndimage.gaussian_filter(counts.astype(np.float64), smooth_um / px_um)
    positive: Bool[ndarray, "height width"] = smooth > threshold
    return positive


def marker_mask(
    cd3: Channel, cd8: Channel, *, threshold: float, px_um: float, smooth_um: float
) -> Bool[ndarray, "height width"]:
    """Return the pixels that betray a T cell: positive for CD3 or CD8 (see `above`)."""
    found = above(cd3, threshold=threshold, px_um=px_um, smooth_um=smooth_um)
    found |= above(cd8, threshold=threshold, px_um=px_um, smooth_um=smooth_um)
    return found


def t_cell_mask(
    required: Sequence[Channel],
    exhausted: Sequence[Channel],
    *,
    threshold: float,
    px_um: float,
    smooth_um: float,
) -> Bool[ndarray, "height width"]:
    """Return the pixels of T cells that make the label (see `above` for the numbers).

    Args:
        required: CD3 and CD8; a pixel must be positive for all of them.
        exhausted: markers of exhaustion; a pixel must be positive for none of them.
        threshold: of all markers.
        px_um: side of a pixel (µm).
        smooth_um: standard deviation of the Gaussian (µm).

    Source: Wang & Thomson, section 2: a patch is positive where it holds CD8 T cells that are not
    exhausted. The paper gives no threshold; ours is fixed and stands in the cohort's settings.
    """
    found = np.ones(required[0].shape, dtype=bool)
    for counts in required:
        found &= above(counts, threshold=threshold, px_um=px_um, smooth_um=smooth_um)
    for counts in exhausted:
        found &= ~above(counts, threshold=threshold, px_um=px_um, smooth_um=smooth_um)
    return found


def erased_mask(
    marker: Bool[ndarray, "height width"], *, radius_um: float, px_um: float
) -> Bool[ndarray, "height width"]:
    """Return every pixel whose centre lies within a radius of the centre of a marker's pixel.

    Of a whole image, before it is cut: a disc crosses the borders of patches.

    Args:
        marker: pixels of `marker_mask`; they are erased themselves.
        radius_um: largest distance that is erased (µm); 0 erases the marker's pixels alone.
        px_um: side of a pixel (µm).

    Source: Wang & Thomson, section 2 (T cells are masked, so that they do not give the label
    away); exact Euclidean distances.
    """
    if not marker.any():
        return marker.copy()
    distance = ndimage.distance_transform_edt(~marker, sampling=px_um)
    # a hair more, since three pixels of .1 µm are farther than .3 µm in binary
    erased: Bool[ndarray, "height width"] = distance <= radius_um * (1 + 1e-9)
    return erased
