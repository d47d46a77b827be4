"""Finding out which subjects share an image, so that they stay on one side of every split."""

from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = ["exact_pairs", "groups_of", "link_subjects", "near_pairs"]

_AREA_TOLERANCE = 0.01
_BLOCK = 512  # rows of one product of thumbnails, so that memory stays small


def exact_pairs(hashes: Sequence[Hashable]) -> Int[ndarray, "pair 2"]:
    """Return the index pairs of equal hashes, first index below second, sorted."""
    members: dict[Hashable, list[int]] = {}
    for index, value in enumerate(hashes):
        members.setdefault(value, []).append(index)
    pairs = [
        (first, second)
        for indices in members.values()
        for position, first in enumerate(indices)
        for second in indices[position + 1 :]
    ]
    return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)


def near_pairs(
    thumbs: UInt8[ndarray, "image pixel"], areas_px: Int[ndarray, " image"], *, near: float
) -> Int[ndarray, "pair 2"]:
    """Return pairs of images that show the same cell, cut out with another outline or not.

    Two images are near when the correlation of their thumbnails (about the means) reaches `near`
    and their areas differ by at most 1 % of the larger. Equal images are near, too.

    Args:
        thumbs: gray boxes of the cells, scaled to one size.
        areas_px: area of each cell (px).
        near: bound of the correlation.

    Returns:
        Index pairs, first index below second, sorted.

    Source: specification of the leukemia study, section 5 (subjects are not what their names
    say). The mean is taken off: without it, second photographs of the same field count as well.
    """
    order = np.argsort(areas_px, kind="stable")
    areas, pixels = areas_px[order], thumbs[order].astype(np.float64)
    found = []
    for start in range(0, len(order), _BLOCK):
        stop = min(start + _BLOCK, len(order))
        # by rising area, partners lie between the row itself and the last area within 1 %
        end = int(np.searchsorted(areas * (1 - _AREA_TOLERANCE), areas[stop - 1], side="right"))
        close = _correlation(pixels[start:stop], pixels[start:end]) >= near
        close &= areas[start:stop, None] >= areas[None, start:end] * (1 - _AREA_TOLERANCE)
        rows, columns = np.nonzero(np.triu(close, k=1))
        found.append(np.stack([order[rows + start], order[columns + start]], axis=1))
    pairs = np.sort(np.concatenate([np.zeros((0, 2), dtype=np.int64), *found]), axis=1)
    sorted_pairs: Int[ndarray, "pair 2"] = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    return sorted_pairs


def link_subjects(
    subjects: Sequence[str], pairs: Int[ndarray, "pair 2"]
) -> tuple[list[str], Int[ndarray, " subject"]]:
    """Join subjects that are linked by a pair of images, directly or through others.

    Args:
        subjects: subject of each image.
        pairs: indices of images that show the same cell.

    Returns:
        Names of the subjects, sorted, and the group of each: 0, 1, … in the order of the first
        name in a group.
    """
    names, codes = np.unique(np.asarray(subjects, dtype=np.str_), return_inverse=True)
    first, second = codes[pairs[:, 0]], codes[pairs[:, 1]]
    links = coo_array((np.ones(len(pairs)), (first, second)), shape=(len(names), len(names)))
    _, components = connected_components(links, directed=False)
    _, starts, inverse = np.unique(components, return_index=True, return_inverse=True)
    ranks = np.argsort(np.argsort(starts))
    return names.tolist(), ranks[inverse].astype(np.int64)


def groups_of(
    subjects: Sequence[str], names: Sequence[str], groups: Sequence[int]
) -> Int[ndarray, " item"]:
    """Return the group of each item's subject.

    Args:
        subjects: subject of each item.
        names: subjects whose group is known.
        groups: group of each of them.

    Returns:
        The known group; a subject that is not known has one of its own, after the last, in the
        order of names.
    """
    known = dict(zip(names, groups, strict=True))
    following = max(known.values(), default=-1) + 1
    others = sorted(set(subjects) - set(known))
    known |= {name: following + position for position, name in enumerate(others)}
    return np.array([known[subject] for subject in subjects], dtype=np.int64)


def _correlation(
    first: Float[ndarray, "row pixel"], second: Float[ndarray, "column pixel"]
) -> Float[ndarray, "row column"]:
    # sums of products of bytes are exact in float64, in whatever order they are added
    count = first.shape[1]
    products = count * (first @ second.T) - np.outer(first.sum(axis=1), second.sum(axis=1))
    spreads = np.outer(_spread(first), _spread(second))
    correlation: Float[ndarray, "row column"] = np.divide(
        products, spreads, out=np.zeros_like(products), where=spreads > 0
    )
    return correlation


def _spread(pixels: Float[ndarray, "row pixel"]) -> Float[ndarray, " row"]:
    count = pixels.shape[1]
    spread: Float[ndarray, " row"] = np.sqrt(
        count * (pixels**2).sum(axis=1) - pixels.sum(axis=1) ** 2
    )
    return spread
