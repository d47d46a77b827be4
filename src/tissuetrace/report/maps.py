"""Maps of patches, heat maps of channels, scatter and change plots: they draw given numbers.

Colours run from light to dark and mean the same in grey print, except for signed values, where a
second panel or the sign of a bar tells rise from fall.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from numpy import ndarray

from tissuetrace.report.figures import LOOKS

__all__ = [
    "Changes",
    "Map",
    "draw_changes",
    "draw_heat",
    "draw_maps",
    "draw_scatter",
    "draw_signed_bars",
    "patch_map",
]

_GAP = 2  # empty patches between two maps
_LABEL_SIZE = 6.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """One value a patch, laid out as it lies in the tissue; NaN where there is no patch."""

    title: str
    values: Float[ndarray, "row column"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """A value before and after, each with its lower and upper end, one a row."""

    before: Float[ndarray, " row"]
    after: Float[ndarray, " row"]
    before_ends: Float[ndarray, "2 row"]
    after_ends: Float[ndarray, "2 row"]


def patch_map(
    rows: Int[ndarray, " patch"],
    columns: Int[ndarray, " patch"],
    values: Float[ndarray, " patch"],
) -> Float[ndarray, "row column"]:
    """Lay values out on the grid of their patches, cut to the rows and columns that are used.

    Raises:
        ValueError: there is no patch, or two lie on one place.
    """
    if len(rows) == 0:
        raise ValueError("no patch, so no map")
    rows, columns = rows - rows.min(), columns - columns.min()
    if len(np.unique(np.stack([rows, columns]), axis=1).T) != len(rows):
        raise ValueError("two patches on one place")
    laid: ndarray = np.full((int(rows.max()) + 1, int(columns.max()) + 1), np.nan)
    laid[rows, columns] = values
    return laid


def draw_maps(
    maps: Sequence[Map],
    *,
    columns: int,
    ax: Axes,
    limits: tuple[float, float] = (0.0, 1.0),
    colors: str = "YlGnBu",
) -> ScalarMappable:
    """Draw maps side by side on one axes, `columns` in a line, all in one scale of colours.

    Returns:
        What a colour bar of the figure takes.

    Raises:
        ValueError: there is no map.
    """
    if not maps:
        raise ValueError("no map to draw")
    height = max(len(one.values) for one in maps) + _GAP
    width = max(one.values.shape[1] for one in maps) + _GAP
    lines = -(-len(maps) // columns)
    used = min(columns, len(maps))
    canvas = np.full((lines * height, used * width), np.nan)
    ground = np.zeros_like(canvas)
    for place, one in enumerate(maps):
        top, left = (place // columns) * height + _GAP, (place % columns) * width + _GAP // 2
        high, wide = one.values.shape
        canvas[top : top + high, left : left + wide] = one.values
        ground[top : top + high, left : left + wide] = 1
        ax.text(
            left + wide / 2 - 0.5,
            top - 0.7,
            one.title,
            ha="center",
            va="bottom",
            fontsize=_LABEL_SIZE,
        )
    ax.imshow(np.where(ground > 0, 1.0, np.nan), cmap="Greys", vmin=0.0, vmax=5.0)
    shades = ax.imshow(
        np.ma.masked_invalid(canvas),
        cmap=colors,
        vmin=limits[0],
        vmax=limits[1],
        interpolation="nearest",
    )
    ax.set_axis_off()
    return shades


def draw_heat(
    values: Float[ndarray, "row channel"],
    *,
    channels: Sequence[str],
    ax: Axes,
    borders: Sequence[int] = (),
    limit: float = 1.0,
) -> ScalarMappable:
    """Draw signed values, one line a row, raised in red and lowered in blue, 0 in white.

    Args:
        values: one row a patch, in the order in which they are drawn, first on top.
        channels: names of the columns.
        ax: to draw on.
        borders: rows above which a thin line is drawn, as between two patients.
        limit: value at which the colour ends.

    Returns:
        What a colour bar of the figure takes.
    """
    shades = ax.imshow(
        values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest"
    )
    for border in borders:
        ax.axhline(border - 0.5, color="black", linewidth=0.9)
    ax.set_xticks(range(len(channels)), channels, rotation=90, fontsize=7)
    ax.set_yticks([])
    ax.grid(visible=False)
    return shades


def draw_signed_bars(
    names: Sequence[str],
    values: Float[ndarray, " bar"],
    *,
    ax: Axes,
    reach: Float[ndarray, "2 bar"] | None = None,
    marked: Sequence[bool] | None = None,
) -> None:
    """Draw one upright bar a name, from left to right; the marked are dark, the others pale."""
    dark = [True] * len(names) if marked is None else list(marked)
    colors = [LOOKS[0].color if one else "#c3ccd6" for one in dark]
    places = np.arange(len(names))
    error = None if reach is None else np.nan_to_num(reach).clip(min=0)
    ax.bar(places, values, width=0.72, color=colors, yerr=error, ecolor="#d1600a", capsize=2)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set_xticks(places, names, rotation=90, fontsize=7)
    ax.set_xlim(-0.5, max(len(names), 1) - 0.5)
    ax.grid(visible=False, axis="x")


def draw_scatter(
    actual: Float[ndarray, " item"], predicted: Float[ndarray, " item"], *, ax: Axes
) -> None:
    """Draw predicted against actual shares with the diagonal on which both agree."""
    top = float(np.nanmax([*actual, *predicted, 0.05])) * 1.06
    ax.plot([0, top], [0, top], color="0.4", linewidth=0.8, linestyle=":")
    ax.plot(actual, predicted, "o", color=LOOKS[0].color, markersize=4, alpha=0.75)
    ax.set(xlim=(-0.03 * top, top), ylim=(-0.03 * top, top), box_aspect=1)


def draw_changes(names: Sequence[str], changes: Changes, *, ax: Axes) -> None:
    """Draw a line from before (hollow) to after (filled) for each name, with their ends."""
    places = np.arange(len(names))
    look = LOOKS[0]
    ax.vlines(places, changes.before, changes.after, color="#9aa6b5", linewidth=1.2)
    _ends(places - 0.13, changes.before_ends, color="#9aa6b5", ax=ax)
    _ends(places + 0.13, changes.after_ends, color=look.color, ax=ax)
    hollow = {"markerfacecolor": "white", "markeredgecolor": look.color}
    ax.plot(places, changes.before, "o", markersize=4.5, label="before", **hollow)  # type: ignore[arg-type]  # keywords of a line
    ax.plot(places, changes.after, "o", color=look.color, markersize=4.5, label="after")
    ax.set_xticks(places, names, rotation=90, fontsize=7)
    ax.set_xlim(-0.7, max(len(names), 1) - 0.3)
    ax.grid(visible=False, axis="x")


def _ends(
    places: Float[ndarray, " row"], ends: Float[ndarray, "2 row"], *, color: str, ax: Axes
) -> None:
    ax.vlines(places, ends[0], ends[1], color=color, linewidth=0.9)
