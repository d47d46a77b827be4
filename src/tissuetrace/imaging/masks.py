"""Erased areas of square patches: packed, turned, united, and the means of what they leave."""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64, Int64, Real, Shaped, UInt8
from numpy import ndarray

__all__ = [
    "ORIENTATIONS",
    "Mean",
    "count_components",
    "kept_shares",
    "masked_means",
    "orient",
    "pack",
    "retained_means",
    "unite",
    "unpack",
]

Mean = Literal["retained", "full"]

ORIENTATIONS = 8  # symmetries of the square

_CHUNK_VALUES = 1_000_000  # of temporary arrays of doubles, so 8 MB


def pack(masks: Bool[ndarray, "patch height width"]) -> UInt8[ndarray, "patch bytes"]:
    """Put eight pixels into a byte, row by row; the last byte is filled up with zeros."""
    packed: UInt8[ndarray, "patch bytes"] = np.packbits(masks.reshape(len(masks), -1), axis=1)
    return packed


def unpack(
    packed: UInt8[ndarray, "patch bytes"], shape: tuple[int, int]
) -> Bool[ndarray, "patch height width"]:
    """Undo `pack`.

    Args:
        packed: as `pack` returns it.
        shape: height and width of a patch (px).
    """
    height, width = shape
    bits = np.unpackbits(packed, axis=1, count=height * width)
    masks: Bool[ndarray, "patch height width"] = bits.view(np.bool_).reshape(-1, height, width)
    return masks


def orient(
    mask: Shaped[ndarray, "*patch side side"], orientation: int
) -> Shaped[ndarray, "*patch side side"]:
    """Turn a square, or a stack of squares, into one of its eight positions.

    Args:
        mask: one square in the last two axes.
        orientation: 0 to 3, that many quarter turns counter-clockwise; 4 to 7, the same after
            left and right were exchanged. 0 leaves it as it is.
    """
    if not 0 <= orientation < ORIENTATIONS:
        raise ValueError(f"orientation must be 0 to {ORIENTATIONS - 1}, got {orientation}")
    mirrored = mask[..., ::-1] if orientation >= ORIENTATIONS // 2 else mask
    return np.rot90(mirrored, orientation % 4, axes=(-2, -1))


def unite(
    own: Bool[ndarray, "patch side side"],
    donors: Bool[ndarray, "patch side side"],
    orientations: Int64[ndarray, " patch"],
) -> Bool[ndarray, "patch side side"]:
    """Erase in each patch, beside its own area, the donor's area in the orientation given.

    Args:
        own: erased area of each patch.
        donors: erased area of its donor; ignored where there is none.
        orientations: as `orient` takes them; -1 where there is no donor.
    """
    united = own.copy()
    for orientation in range(ORIENTATIONS):
        chosen = orientations == orientation
        united[chosen] |= orient(donors[chosen], orientation)
    return united


def retained_means(
    pixels: Real[ndarray, "patch channel height width"],
    erased: Bool[ndarray, "patch height width"],
) -> Float64[ndarray, "patch channel"]:
    """Mean of each channel over the pixels of a patch that are not erased (counts).

    Returns:
        NaN where the whole patch is erased. What lies under an erased pixel changes nothing, as
        long as it is finite.
    """
    return masked_means(pixels, erased[:, None], mean="retained")[:, 0]


def masked_means(
    pixels: Real[ndarray, "patch channel height width"],
    erased: Bool[ndarray, "patch mask height width"],
    *,
    mean: Mean,
) -> Float64[ndarray, "patch mask channel"]:
    """Mean of each channel under several alternative masks of the same patch at once (counts).

    Args:
        pixels: of each patch.
        erased: erased areas, the same number of alternatives for every patch.
        mean: `retained`, over the pixels that are not erased (NaN where none is left); `full`,
            over the whole patch with erased pixels as 0, the literal text of the paper.

    Source: Wang & Thomson, section 2 (masked patches); `full` tells the size of the hole through
    every channel, which is why it is not the default.
    """
    count, channels, height, width = pixels.shape
    area = height * width
    step = max(1, _CHUNK_VALUES // (area * (channels + erased.shape[1])))
    sums = np.empty((count, erased.shape[1], channels))
    for start in range(0, count, step):
        part = slice(start, start + step)
        kept = (~erased[part]).reshape(-1, erased.shape[1], area).astype(np.float64)
        values = pixels[part].reshape(-1, channels, area).astype(np.float64)
        sums[part] = kept @ values.transpose(0, 2, 1)
    left = area - np.count_nonzero(erased, axis=(2, 3))[..., None]
    with np.errstate(invalid="ignore"):
        means: Float64[ndarray, "patch mask channel"] = sums / (
            left if mean == "retained" else area
        )
    return means


def kept_shares(packed: UInt8[ndarray, "*patch bytes"], area: int) -> Float64[ndarray, "*patch"]:
    """Share of each patch that is not erased, from packed masks of patches of `area` pixels."""
    erased = np.bitwise_count(packed).sum(axis=-1, dtype=np.int64)
    shares: Float64[ndarray, "*patch"] = (area - erased) / area
    return shares


def count_components(masks: Bool[ndarray, "patch height width"]) -> Int64[ndarray, " patch"]:
    """Count the 8-connected parts of the erased area inside each patch."""
    from scipy import ndimage

    within = np.zeros((3, 3, 3), dtype=bool)
    within[1] = True  # neighbours in the same patch, none in the next
    labels, _ = ndimage.label(masks, structure=within)
    # parts are numbered in the order of patches
    last = np.maximum.accumulate(labels.max(axis=(1, 2), initial=0))
    return np.diff(last, prepend=0).astype(np.int64)
