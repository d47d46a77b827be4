"""Gray-level co-occurrence (Haralick texture), counted over the box of one cell.

The five properties equal those of `skimage.feature.graycoprops`. They come from whole numbers,
so that neither the machine nor the order of the pixels changes a digit.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar, cast, no_type_check

import numba
import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8
from numpy import ndarray

__all__ = ["PROPERTIES", "Cooccurrence", "reach", "texture", "texture_inside"]

P = ParamSpec("P")
R = TypeVar("R")

PROPERTIES = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation")
_GRAYS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Cooccurrence:
    """Which pairs of pixels are counted, and how.

    Args:
        distances: of the two pixels of a pair (px).
        angles_deg: direction of the second pixel; 90 points to higher row numbers.
        levels: number of equally wide gray classes, 2 to 256.
        symmetric: whether each pair is counted in both orders.
        normed: whether counts are divided by their sum. The five properties are those of the
            divided counts in either case, as in scikit-image, so nothing here depends on it.
    """

    distances: tuple[int, ...]
    angles_deg: tuple[float, ...]
    levels: int
    symmetric: bool
    normed: bool


def reach(settings: Cooccurrence) -> int:
    """Return how far the two pixels of a pair lie apart at most, along rows or columns (px)."""
    return int(abs(_offsets(settings)).max())


def texture(
    box: UInt8[ndarray, "rows columns"], *, frame: tuple[int, int], settings: Cooccurrence
) -> Float64[ndarray, " 5"]:
    """Measure the texture of a whole frame of which all but a box is black.

    Pairs of two black pixels, most of them outside the box, are counted and not visited.

    Args:
        box: gray values around all pixels above 0, with a black rim of `reach(settings)` pixels
            on each side that does not lie on the frame's edge.
        frame: rows and columns of the whole frame.
        settings: which pairs are counted.

    Returns:
        `PROPERTIES`, each the mean over distances and angles.

    Source: Haralick, Shanmugam, Dinstein 1973, appendix I.
    """
    levels = _quantise(box, settings.levels)
    sums, homogeneity = _count(levels, frame, _offsets(settings))
    return _mean_properties(sums, homogeneity, symmetric=settings.symmetric)


def texture_inside(
    box: UInt8[ndarray, "rows columns"],
    inside: Bool[ndarray, "rows columns"],
    *,
    settings: Cooccurrence,
) -> Float64[ndarray, " 5"]:
    """Measure the texture of a cell alone: both pixels of a pair lie inside it.

    Returns:
        `PROPERTIES`, each the mean over distances and angles. A direction without any pair has
        contrast, dissimilarity, homogeneity and energy 0 and correlation 1.
    """
    levels = _quantise(box, settings.levels)
    sums, homogeneity = _count_inside(levels, inside, _offsets(settings))
    return _mean_properties(sums, homogeneity, symmetric=settings.symmetric)


def _offsets(settings: Cooccurrence) -> Int64[ndarray, "pairs 2"]:
    steps = [
        [distance * math.sin(math.radians(angle)), distance * math.cos(math.radians(angle))]
        for distance in settings.distances
        for angle in settings.angles_deg
    ]
    # half a pixel counts as a whole one, as in scikit-image
    return np.trunc(steps + np.copysign(0.5, steps)).astype(np.int64)


def _quantise(gray: UInt8[ndarray, "rows columns"], levels: int) -> UInt8[ndarray, "rows columns"]:
    if levels == _GRAYS:
        return gray
    table = (np.arange(_GRAYS) * levels // _GRAYS).astype(np.uint8)
    classes: UInt8[ndarray, "rows columns"] = table[gray]
    return classes


def _mean_properties(
    sums: Int64[ndarray, "pairs 10"],
    homogeneity: Float64[ndarray, " pairs"],
    *,
    symmetric: bool,
) -> Float64[ndarray, " 5"]:
    rows = [
        _properties(row, last, symmetric=symmetric)
        for row, last in zip(sums.tolist(), homogeneity.tolist(), strict=True)
    ]
    return np.array([math.fsum(values) / len(rows) for values in zip(*rows, strict=True)])


def _properties(sums: list[int], homogeneity: float, *, symmetric: bool) -> list[float]:
    # Python's whole numbers have any size: a variance far below the mean's square keeps its digits
    pairs, first, second, first_2, second_2, product, squares, crossed, contrast, steps = sums
    if pairs == 0:
        return [0.0, 0.0, 0.0, 0.0, 1.0]
    energy = math.sqrt(squares) / pairs
    if symmetric:  # every sum is that of c(i, j) + c(j, i)
        energy = math.sqrt(2 * (squares + crossed)) / (2 * pairs)
        pairs, product = 2 * pairs, 2 * product
        first = second = first + second
        first_2 = second_2 = first_2 + second_2
        contrast, steps, homogeneity = 2 * contrast, 2 * steps, 2 * homogeneity
    variances = (pairs * first_2 - first**2) * (pairs * second_2 - second**2)
    covariance = pairs * product - first * second
    correlation = covariance / math.sqrt(variances) if variances else 1.0
    return [contrast / pairs, steps / pairs, homogeneity / pairs, energy, correlation]


def _compile(function: Callable[P, R]) -> Callable[P, R]:
    """Compile to machine code, kept on disk where there is a place for it.

    What is kept is found by source file, processor and versions: it saves a second at the first
    call and changes no result.
    """
    try:
        return cast("Callable[P, R]", numba.njit(cache=True)(function))
    except RuntimeError:  # neither the package's folder nor the home can be written
        return cast("Callable[P, R]", numba.njit(function))


# A checker of shapes would wrap what numba has to read, hence no_type_check. Gray values are only
# indices here, unsigned, which spares the test for negative ones; arithmetic is done on int64,
# since int(uint8) stays unsigned in numba and a difference would wrap.


@_compile
@no_type_check
def _shifted(field: ndarray, down: int, right: int) -> tuple[ndarray, ndarray]:
    """Return the first and the second pixels of all pairs of one offset."""
    rows = max(0, field.shape[0] - abs(down))  # 0 where the offset is longer than the field
    columns = max(0, field.shape[1] - abs(right))
    top, left = max(0, -down), max(0, -right)
    first = field[top : top + rows, left : left + columns]
    top, left = max(0, down), max(0, right)
    return first, field[top : top + rows, left : left + columns]


@_compile
@no_type_check
def _sweep(
    counts: Int64[ndarray, "256 256"],
    present: Bool[ndarray, " 256"],
    sums: Int64[ndarray, " 10"],
) -> float:
    """Add up a matrix over the levels that are present, and clear it on the way.

    The sums are left in the order in which `_properties` takes them.
    """
    used = np.flatnonzero(present)
    differences = np.zeros(256, dtype=np.int64)
    for a in range(len(used)):
        for b in range(a, len(used)):
            i, j = used[a], used[b]
            above, below = counts[i, j], counts[j, i] if i < j else 0
            if above + below == 0:
                continue
            counts[i, j] = counts[j, i] = 0
            differences[j - i] += above + below
            sums[0] += above + below
            sums[1] += above * i + below * j
            sums[2] += above * j + below * i
            sums[3] += above * i * i + below * j * j
            sums[4] += above * j * j + below * i * i
            sums[5] += (above + below) * i * j
            sums[6] += above * above + below * below
            sums[7] += 2 * above * below if i < j else above * above
    homogeneity = 0.0
    for step in range(256):
        sums[8] += differences[step] * step * step
        sums[9] += differences[step] * step
        homogeneity += differences[step] / (1 + step * step)
    return homogeneity


@_compile
@no_type_check
def _count(
    levels: UInt8[ndarray, "rows columns"],
    frame: tuple[int, int],
    offsets: Int64[ndarray, "pairs 2"],
) -> tuple[Int64[ndarray, "pairs 10"], Float64[ndarray, " pairs"]]:
    counts = np.zeros((256, 256), dtype=np.int64)
    present = np.zeros(256, dtype=np.bool_)
    for level in levels.flat:
        present[np.uintp(level)] = True
    present[0] = True
    sums = np.zeros((len(offsets), 10), dtype=np.int64)
    homogeneity = np.zeros(len(offsets))
    for pair in range(len(offsets)):
        down, right = offsets[pair, 0], offsets[pair, 1]
        here, there = _shifted(levels, down, right)
        black = max(0, frame[0] - abs(down)) * max(0, frame[1] - abs(right))
        for row in range(here.shape[0]):
            first, second = here[row], there[row]
            for column in range(len(first)):
                if first[column] | second[column]:
                    counts[np.uintp(first[column]), np.uintp(second[column])] += 1
                    black -= 1
        counts[0, 0] = black
        homogeneity[pair] = _sweep(counts, present, sums[pair])
    return sums, homogeneity


@_compile
@no_type_check
def _count_inside(
    levels: UInt8[ndarray, "rows columns"],
    inside: Bool[ndarray, "rows columns"],
    offsets: Int64[ndarray, "pairs 2"],
) -> tuple[Int64[ndarray, "pairs 10"], Float64[ndarray, " pairs"]]:
    counts = np.zeros((256, 256), dtype=np.int64)
    present = np.zeros(256, dtype=np.bool_)
    for level in levels.flat:
        present[np.uintp(level)] = True
    sums = np.zeros((len(offsets), 10), dtype=np.int64)
    homogeneity = np.zeros(len(offsets))
    for pair in range(len(offsets)):
        here, there = _shifted(levels, offsets[pair, 0], offsets[pair, 1])
        here_inside, there_inside = _shifted(inside, offsets[pair, 0], offsets[pair, 1])
        for row in range(here.shape[0]):
            first, second = here[row], there[row]
            first_inside, second_inside = here_inside[row], there_inside[row]
            for column in range(len(first)):
                if first_inside[column] & second_inside[column]:
                    counts[np.uintp(first[column]), np.uintp(second[column])] += 1
        homogeneity[pair] = _sweep(counts, present, sums[pair])
    return sums, homogeneity
