"""Maps of patches, heat maps of channels, scatter and change plots: they draw given numbers.

Colours run from light to dark and mean the same in grey print, except for signed values, where a
second panel or the sign of a bar tells rise from fall.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from numpy import ndarray

from tissuetrace.report.figures import LOOKS

__all__ = [
    "Changes",
    "Map",
    "bar_key",
    "draw_changes",
    "draw_heat",
    "draw_maps",
    "draw_scatter",
    "draw_signed_bars",
    "key_of",
    "map_canvas",
    "patch_map",
]

_GAP = 2  # empty patches between two maps, at least
_GAP_ABOVE, _GAP_BESIDE = 0.2, 0.1  # of a map: room for its title, and to the next one
_LABEL_SIZE = 8
# where there is no patch: told from a pale colour by its strokes, in grey print too
_EMPTY: dict[str, Any] = {
    "facecolor": "#efefef",
    "edgecolor": "#b4b4b4",
    "hatch": "/////",
    "linewidth": 0,
}
_FRAME: dict[str, Any] = {"edgecolor": "0.6", "linewidth": 0.6, "clip_on": False}
_PALE, _PALE_BAR = "#9aa6b5", "#c3ccd6"
_REACH = LOOKS[1].color


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """One value a patch, laid out as it lies in the tissue; NaN where there is no patch."""

    title: str
    values: Float[ndarray, "row column"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """A value before and after, one a row, and the parts that it is the middle of.

    Args:
        before: of each row.
        after: of each row.
        part_rows: row to which each part belongs, from 0.
        parts_before: of each part.
        parts_after: of each part.
    """

    before: Float[ndarray, " row"]
    after: Float[ndarray, " row"]
    part_rows: Int[ndarray, " part"]
    parts_before: Float[ndarray, " part"]
    parts_after: Float[ndarray, " part"]


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


def map_canvas(lines: Sequence[Sequence[Map]]) -> tuple[int, int]:
    """Return height and width of what `draw_maps` draws, in patches.

    Raises:
        ValueError: there is no map.
    """
    height, width = _cell(lines)
    return len(lines) * height, max(len(line) for line in lines) * width


def draw_maps(
    lines: Sequence[Sequence[Map]],
    *,
    ax: Axes,
    names: Sequence[str] = (),
    limits: tuple[float, float] = (0.0, 1.0),
    colors: str = "YlGnBu",
    title_size: float = _LABEL_SIZE,
) -> ScalarMappable:
    """Draw lines of maps on one axes, all in one scale of colours; hatched: no patch.

    Args:
        lines: maps side by side, line by line.
        ax: to draw on.
        names: of the lines, upright beside them; none, or one a line.
        limits: values at which the colours begin and end.
        colors: name of a colour map.
        title_size: of each map's title, points.

    Returns:
        What a colour bar of the figure takes.

    Raises:
        ValueError: there is no map.
    """
    height, width = _cell(lines)
    above = height - max(len(one.values) for line in lines for one in line)
    canvas = np.full(map_canvas(lines), np.nan)
    for row, line in enumerate(lines):
        for column, one in enumerate(line):
            high, wide = one.values.shape
            top, left = row * height + above, column * width + (width - wide) // 2
            canvas[top : top + high, left : left + wide] = one.values
            corner = (left - 0.5, top - 0.5)
            ax.add_patch(Rectangle(corner, wide, high, zorder=0, **_EMPTY))
            ax.add_patch(Rectangle(corner, wide, high, fill=False, zorder=3, **_FRAME))
            place = {"x": left + wide / 2 - 0.5, "y": top - 0.5 - 0.04 * high}
            ax.text(**place, s=one.title, ha="center", va="bottom", fontsize=title_size)
    for row, name in enumerate(names):
        middle = row * height + above + (height - above) / 2 - 0.5
        ax.text(-0.5, middle, name, rotation=90, ha="right", va="center", fontweight="bold")
    shades = ax.imshow(
        np.ma.masked_invalid(canvas),
        cmap=colors,
        vmin=limits[0],
        vmax=limits[1],
        interpolation="nearest",
    )
    ax.set_axis_off()
    return shades


def key_of(shades: ScalarMappable, names: Mapping[str, float], *, empty: str) -> list[Patch]:
    """Return what a legend takes: one square a named value, and one for where there is no patch.

    Args:
        shades: as `draw_maps` returns them.
        names: value of the map by what it means.
        empty: what it means that there is no patch.
    """
    colors = shades.to_rgba(np.array(list(names.values())))
    squares = [
        Patch(facecolor=tuple(color), label=name, **_FRAME)
        for name, color in zip(names, colors, strict=True)
    ]
    return [*squares, Patch(label=empty, **_EMPTY)]


def _cell(lines: Sequence[Sequence[Map]]) -> tuple[int, int]:
    """Return height and width of the largest map with its room, in patches."""
    shapes = [one.values.shape for line in lines for one in line]
    if not shapes:
        raise ValueError("no map to draw")
    height, width = (max(shape[axis] for shape in shapes) for axis in (0, 1))
    above, beside = math.ceil(_GAP_ABOVE * height), math.ceil(_GAP_BESIDE * width)
    return height + max(_GAP, above), width + max(_GAP, beside)


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
        ax.axhline(border - 0.5, color="0.2", linewidth=0.5)  # thicker would hide thin rows
    ax.set_xticks(range(len(channels)), channels, rotation=90, fontsize=_LABEL_SIZE)
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
    colors = [LOOKS[0].color if one else _PALE_BAR for one in dark]
    places = np.arange(len(names))
    error = None if reach is None else np.nan_to_num(reach).clip(min=0)
    ax.bar(places, values, width=0.72, color=colors, yerr=error, ecolor=_REACH, capsize=2)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set_xticks(places, names, rotation=90, fontsize=_LABEL_SIZE)
    ax.set_xlim(-0.5, max(len(names), 1) - 0.5)
    ax.grid(visible=False, axis="x")


def bar_key(*, dark: str, pale: str, interval: str) -> list[Patch | Line2D]:
    """Return what a legend of signed bars takes: meaning of dark, pale and the thin lines."""
    return [
        Patch(facecolor=LOOKS[0].color, label=dark),
        Patch(facecolor=_PALE_BAR, label=pale),
        Line2D([], [], color=_REACH, label=interval),
    ]


def draw_scatter(
    actual: Float[ndarray, " item"], predicted: Float[ndarray, " item"], *, ax: Axes
) -> None:
    """Draw predicted against actual shares, in percent, with the diagonal on which both agree."""
    ax.plot([0, 100], [0, 100], color="0.4", linewidth=0.8, linestyle=":")
    ax.plot(actual, predicted, "o", color=LOOKS[0].color, markersize=4, alpha=0.75)
    ticks = range(0, 101, 20)
    # a margin, so that a dot on the border is whole
    ax.set(xlim=(-3, 103), ylim=(-3, 103), xticks=ticks, yticks=ticks, box_aspect=1)


def draw_changes(names: Sequence[str], changes: Changes, *, ax: Axes, part: str) -> None:
    """Draw a line from before (hollow) to after (filled) for each name, its parts beside it.

    Args:
        names: from left to right.
        changes: one a name.
        ax: to draw on.
        part: what a part is, for the legend.
    """
    places = np.arange(len(names))
    look = LOOKS[0]
    ax.vlines(places, changes.before, changes.after, color=_PALE, linewidth=1.2)
    hollow = {"markerfacecolor": "white", "markeredgecolor": look.color}
    ax.plot(places, changes.before, "o", markersize=5, label="before", **hollow)  # type: ignore[arg-type]  # keywords of a line
    ax.plot(places, changes.after, "o", color=look.color, markersize=5, label="after")
    small = {"markersize": 2.6, "linestyle": "none", "marker": look.marker}
    ax.plot(changes.part_rows - 0.2, changes.parts_before, color=_PALE, **small)  # type: ignore[arg-type]  # keywords of a line
    ax.plot(changes.part_rows + 0.2, changes.parts_after, color=look.color, label=part, **small)  # type: ignore[arg-type]  # keywords of a line
    ax.set_xticks(places, names, fontsize=_LABEL_SIZE)
    ax.set_xlim(-0.7, max(len(names), 1) - 0.3)
    ax.grid(visible=False, axis="x")
