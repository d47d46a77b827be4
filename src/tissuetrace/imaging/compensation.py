"""Spillover between metals: a table of shares, and counts with it taken out."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray

from tissuetrace.imaging.panels import repeated, standard_metal
from tissuetrace.pipeline.errors import InputError

__all__ = ["Spillover", "compensate", "read_spillover"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spillover:
    """How much of each channel's signal arrives in each channel.

    Args:
        channels: names or metals, of rows and columns alike.
        shares: from the row's channel into the column's; 1 on the diagonal.
    """

    channels: tuple[str, ...]
    shares: Float64[ndarray, "channel channel"]


def read_spillover(path: Path) -> Spillover:
    """Read a matrix as CSV: names in the first row and in the first column.

    Raises:
        InputError: no square matrix of shares of 0 to 1 with 1 on its diagonal, or names twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [[cell.strip() for cell in row] for row in csv.reader(file) if any(row)]
        columns, names = rows[0][1:], [row[0] for row in rows[1:]]
        found = np.array([[float(cell) for cell in row[1:]] for row in rows[1:]])
    except (OSError, ValueError, IndexError, csv.Error) as problem:
        raise InputError(f"no spillover matrix ({problem})", where=path.name) from problem
    mistakes = [f"channel {name!r} twice" for name in repeated(names)]
    if sorted(columns) != sorted(names) or found.shape != (len(names), len(names)):
        mistakes.append(f"rows {', '.join(names)}; columns {', '.join(columns)}")
    if mistakes:
        raise InputError("; ".join(mistakes), where=path.name, todo="Rows and columns must agree")
    shares = found[:, [columns.index(name) for name in names]]
    if not ((shares >= 0) & (shares <= 1)).all() or not (np.diag(shares) == 1).all():
        raise InputError("shares must be 0 to 1, with 1 on the diagonal", where=path.name)
    return Spillover(channels=tuple(names), shares=shares)


def compensate(
    x: Float32[ndarray, "channel y x"],
    *,
    names: Sequence[str],
    metals: Sequence[str],
    spillover: Spillover,
) -> Float32[ndarray, "channel y x"]:
    """Take spillover out of counts: solve observed = true · shares, then clip at 0.

    Args:
        x: observed counts.
        names: of the channels.
        metals: isotope of each, empty where unknown.
        spillover: its channels must be those of the image, by name or by metal.

    Raises:
        InputError: other channels than the image's, or a matrix that cannot be solved.

    Source: Chevrier et al., Cell Systems 2018, compensation of mass cytometry; the least-squares
        solution is clipped here instead of being sought above 0.
    """
    order = [_position(name, metal, spillover) for name, metal in zip(names, metals, strict=True)]
    if None in order or len(spillover.channels) != len(names):
        raise InputError(
            f"spillover of {', '.join(spillover.channels)}; channels {', '.join(names)}",
            todo="Give spillover.csv a row and a column for each channel of the image",
        )
    shares = spillover.shares[np.ix_(order, order)]  # type: ignore[arg-type]  # no None is left
    try:
        inverse = np.linalg.inv(shares.T).astype(np.float32)
    except np.linalg.LinAlgError as problem:
        raise InputError(
            "the spillover matrix cannot be solved", where="spillover.csv"
        ) from problem
    flat = inverse @ x.reshape(len(x), -1)
    cleared: Float32[ndarray, "channel y x"] = np.maximum(flat, 0).reshape(x.shape)
    return cleared


def _position(name: str, metal: str, spillover: Spillover) -> int | None:
    for number, channel in enumerate(spillover.channels):
        if channel == name or (metal and standard_metal(channel) == metal):
            return number
    return None
