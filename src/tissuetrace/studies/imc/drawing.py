"""One core of the phantom: smooth fields, T cells by their law, and counts of every channel."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int, UInt16
from numpy import ndarray
from numpy.random import Generator
from scipy import ndimage

from tissuetrace.studies.imc.truth import CHEMOKINES, EFFECT, FOLLOWS, FUNCTIONAL, SIGNS, SLOPE

__all__ = ["CONTROL", "MARKERS", "Core", "draw_core", "draw_fields", "patient_offsets", "squares"]

CONTROL = "DapB"  # a bacterial gene that no tissue holds
MARKERS = ("CD3", "CD8", "PD1", "LAG3")
_TUMOUR = "tumour"  # field and channel of tumour cells, which cohorts name differently
_REST = ("Vimentin", "SMA", "CD31", "CD68", "HLADR", "CD45", "DNA")
FIELDS = (*CHEMOKINES, _TUMOUR, *_REST)
_CHANNELS = (*CHEMOKINES, CONTROL, _TUMOUR, *_REST, *MARKERS)
# What a null that follows a causal channel has of it, and of its own, the patient's offset
# included: so Eq. 1's own minimiser is drawn to it, which the lane has to withstand.
_SHARED, _OWN = 0.6, 0.8

_SHIFT, _CAUSAL_SD, _OTHER_SD, _CORE_SD = 0.54, 0.5, 0.25, 0.2  # of a field's offsets
_CELL_PX, _SMOOTH_CELLS = 10, 2.5  # grid of a field, and the width of its smoothing
_MEAN, _MEANS = 0.5, {CONTROL: 0.2, "DNA": 2.0, "CD45": 0.4}  # counts per pixel
_OUTSIDE, _INSIDE = 0.2, 2.2  # tumour marker's mean out of and in the tumour, times its mean
_CEILING_PER_UM2 = 0.004
_RADIUS_PX = 4  # of a T cell
# Counts that a T cell adds to the mean of its pixels; exhausted cells have the last two besides.
_ADDED = {"CD3": 8.0, "CD8": 8.0, "CD45": 6.0, "HLADR": 1.5, "DNA": 3.0}
_ADDED_EXHAUSTED = {"PD1": 8.0, "LAG3": 8.0}

Operator = Float[ndarray, "side cell"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """What one core holds, at 1 µm a pixel.

    Args:
        names: of the channels.
        counts: of every channel.
        tissue: the disc that was acquired.
        tumour: inside the disc.
        expected: expected centres of T cells that are not exhausted, per pixel.
    """

    names: tuple[str, ...]
    counts: UInt16[ndarray, "channel y x"]
    tissue: Bool[ndarray, "y x"]
    tumour: Bool[ndarray, "y x"]
    expected: Float[ndarray, "y x"]


def patient_offsets(hot: int, rng: Generator) -> Float[ndarray, " field"]:
    """Draw the offset of every field in one patient.

    Args:
        hot: 1 for an infiltrated, -1 for a cold patient.
        rng: of the patient.

    Returns:
        In standard deviations of the field, in the order of `FIELDS`; a follower's is its own.
    """
    drawn = rng.standard_normal(len(FIELDS))
    signs = np.array([SIGNS.get(name, 0) for name in FIELDS])
    return np.where(signs != 0, hot * signs * _SHIFT + _CAUSAL_SD * drawn, _OTHER_SD * drawn)


def draw_core(
    offsets: Float[ndarray, " field"],
    *,
    diameter_um: float,
    rate_per_um2: float,
    tumour_marker: str,
    rng: Generator,
) -> Core:
    """Draw one core of a patient.

    Args:
        offsets: of the patient's fields.
        diameter_um: of the disc; a pixel is 1 µm.
        rate_per_um2: centres of T cells where all causal fields are 0.
        tumour_marker: name of the channel of tumour cells.
        rng: of the core.
    """
    side = round(diameter_um)
    tissue = _disc(side)
    inside = np.flatnonzero(tissue)  # only these pixels are drawn
    offsets = offsets + _CORE_SD * rng.standard_normal(len(FIELDS))
    *noise, outline = draw_fields(len(FIELDS) + 1, side_px=side, rng=rng)
    fields = _fields(offsets, [own.ravel()[inside] for own in noise])
    tumour = (outline > 0) & tissue
    rate = np.zeros(side**2)
    rate[inside] = _rate(fields, rate_per_um2)
    cells, exhausted = (layer.ravel()[inside] for layer in _cells(rate, side, rng))
    added = {name: step * cells for name, step in _ADDED.items()}
    added |= {name: step * exhausted for name, step in _ADDED_EXHAUSTED.items()}
    counts = np.zeros((len(_CHANNELS), side**2), np.uint16)
    for channel, name in zip(counts, _CHANNELS, strict=True):
        mean = _mean(name, fields, tumour.ravel()[inside]) + added.get(name, 0.0)
        channel[inside] = rng.poisson(mean)
    return Core(
        names=tuple(tumour_marker if name == _TUMOUR else name for name in _CHANNELS),
        counts=counts.reshape(-1, side, side),
        tissue=tissue,
        tumour=tumour,
        expected=FUNCTIONAL * rate.reshape(side, side),
    )


def draw_fields(count: int, *, side_px: int, rng: Generator) -> Float[ndarray, "field y x"]:
    """Draw smooth noise: white on 10 µm cells, Gaussian of 25 µm, SD 1, linear in between.

    Args:
        count: of independent fields.
        side_px: of the image, 1 µm a pixel.
        rng: draws the white noise.

    Returns:
        Mean 0; SD 1 at the middles of the cells, and down to 0.98 between them.
    """
    operator = _operator(side_px)
    cells = operator.shape[1]
    white = rng.standard_normal((count, cells, cells))
    field: Float[ndarray, "field y x"] = operator @ white @ operator.T
    return field


def squares(core: Core, *, side_px: int) -> pd.DataFrame:
    """Sum up what is true of every whole square from the top left.

    Returns:
        `row, col`, `tumour` and `tissue` (shares of the square), `expected` (number of cells).
    """
    rows = core.tissue.shape[0] // side_px
    layers = np.stack([core.tumour, core.tissue, core.expected])
    kept = layers[:, : rows * side_px, : rows * side_px]
    sums = kept.reshape(3, rows, side_px, rows, side_px).sum((2, 4)).reshape(3, -1)
    row, col = np.divmod(np.arange(rows**2), rows)
    tumour, tissue = sums[:2] / side_px**2
    return pd.DataFrame(
        {"row": row, "col": col, "tumour": tumour, "tissue": tissue, "expected": sums[2]}
    )


def _disc(side: int) -> Bool[ndarray, "side side"]:
    away = np.arange(side) - (side - 1) / 2
    inside: Bool[ndarray, "side side"] = away[:, None] ** 2 + away**2 <= (side / 2) ** 2
    return inside


@lru_cache(maxsize=4)
def _operator(side_px: int) -> Operator:
    """Return the matrix that smooths, scales and enlarges one axis of white noise."""
    cells = -(-side_px // _CELL_PX)
    smooth = ndimage.gaussian_filter1d(np.eye(cells), _SMOOTH_CELLS, axis=0)
    smooth /= np.linalg.norm(smooth, axis=1, keepdims=True)  # SD 1 at every cell, rims included
    enlarge = ndimage.zoom(np.eye(cells), (_CELL_PX, 1), order=1, grid_mode=True, mode="nearest")
    operator: Operator = (enlarge @ smooth)[:side_px]
    return operator


def _fields(
    offsets: Float[ndarray, " field"], noise: list[Float[ndarray, " pixel"]]
) -> dict[str, Float[ndarray, " pixel"]]:
    """Return every field by its name."""
    pairs = zip(FIELDS, offsets, noise, strict=True)
    fields = {name: offset + own for name, offset, own in pairs}
    for name, leader in FOLLOWS.items():
        fields[name] = _SHARED * fields[leader] + _OWN * fields[name]
    return fields


def _rate(
    fields: Mapping[str, Float[ndarray, " pixel"]], rate_per_um2: float
) -> Float[ndarray, " pixel"]:
    """Centres of T cells per µm², which is per pixel."""
    drive = np.sum([sign * fields[name] for name, sign in SIGNS.items()], axis=0)
    rate: Float[ndarray, " pixel"] = rate_per_um2 * np.exp(SLOPE * drive)
    return rate.clip(max=_CEILING_PER_UM2)


def _cells(
    rate: Float[ndarray, " pixel"], side: int, rng: Generator
) -> tuple[Int[ndarray, "y x"], Int[ndarray, "y x"]]:
    """Draw T cells and count how many, and how many exhausted ones, cover each pixel."""
    centres = np.repeat(np.arange(len(rate)), rng.poisson(rate))
    exhausted = rng.random(len(centres)) >= FUNCTIONAL
    return _stamped(centres, side), _stamped(centres[exhausted], side)


def _stamped(centres: Int[ndarray, " cell"], side: int) -> Int[ndarray, "side side"]:
    away = np.arange(-_RADIUS_PX, _RADIUS_PX + 1)
    dy, dx = np.nonzero(away[:, None] ** 2 + away**2 <= _RADIUS_PX**2)  # from 0 to 2 radii
    y, x = np.divmod(centres, side)
    wide = np.zeros((side + 2 * _RADIUS_PX,) * 2, np.int64)
    np.add.at(wide, (y[:, None] + dy, x[:, None] + dx), 1)
    return wide[_RADIUS_PX:-_RADIUS_PX, _RADIUS_PX:-_RADIUS_PX]


def _mean(
    name: str, fields: Mapping[str, Float[ndarray, " pixel"]], tumour: Bool[ndarray, " pixel"]
) -> Float[ndarray, " pixel"]:
    """Counts per pixel before T cells: T-cell markers have no background."""
    if name in MARKERS:
        return np.zeros(len(tumour))
    flat = _MEANS.get(name, _MEAN)
    if name == CONTROL:
        return np.full(len(tumour), flat)
    mean = flat * np.exp(EFFECT * fields[name])
    return mean * np.where(tumour, _INSIDE, _OUTSIDE) if name == _TUMOUR else mean
