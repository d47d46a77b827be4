"""Figures that draw numbers on given axes and compute nothing that a table needs.

Colours differ in lightness as well as hue, and every colour goes with a line style and a marker,
so that figures survive colour blindness and grey print. Files have the same bytes every time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy import ndarray

__all__ = [
    "LOOKS",
    "Illustration",
    "Look",
    "Spread",
    "draw_bars",
    "draw_confusion",
    "draw_curves",
    "draw_dots",
    "draw_image",
    "draw_intervals",
    "draw_marks",
    "draw_pairs",
    "figure_style",
    "grid_of_axes",
    "one_legend",
    "save_figure",
    "size_legend",
]

_DPI = 150
_GRAY = "#6b6b6b"

Curve = tuple[Float[ndarray, " point"], Float[ndarray, " point"]]


@dataclass(frozen=True, slots=True)
class Look:
    """Colour, line style and marker that go together."""

    color: str
    line: str
    marker: str


# From dark to light: still told apart without colour.
LOOKS = (Look("#0b3c6f", "-", "o"), Look("#d1600a", "--", "s"), Look("#7cc4b8", "-.", "^"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Illustration:
    """A figure before it is drawn.

    Args:
        name: of the PNG file, without its ending.
        title: short heading.
        caption: what is drawn on what, and what the intervals resample.
        alternative: what it shows, for those who do not see it.
        draw: makes the figure.
    """

    name: str
    title: str
    caption: str
    alternative: str
    draw: Callable[[], Figure]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Values, each with the ends of its interval; NaN ends are not drawn."""

    value: Float[ndarray, " row"]
    low: Float[ndarray, " row"]
    high: Float[ndarray, " row"]

    @property
    def reach(self) -> Float[ndarray, "2 row"]:
        """Distances below and above the value, as error bars want them."""
        below = np.nan_to_num(self.value - self.low)
        above = np.nan_to_num(self.high - self.value)
        reach: ndarray = np.stack([below, above]).clip(min=0)
        return reach


@contextmanager
def figure_style() -> Iterator[None]:
    """Set fonts and lines for all figures drawn within."""
    settings = {
        "font.family": "DejaVu Sans",
        "font.size": 9,
        "axes.titlesize": 9.5,
        "axes.titleweight": "bold",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#e3e3e3",
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "lines.linewidth": 1.8,
        "hatch.linewidth": 0.6,
    }
    with mpl.rc_context(settings):  # type: ignore[arg-type]  # its keys are one long literal
        yield


def grid_of_axes(
    rows: int,
    columns: int,
    *,
    width_in: float = 7.2,
    height_in: float,
    heights: Sequence[float] | None = None,
) -> tuple[Figure, list[Axes]]:
    """Make a figure without any window, and its axes row by row.

    Args:
        rows: of axes.
        columns: of axes.
        width_in: of the figure, inches.
        height_in: of the figure, inches.
        heights: of the rows against each other; the same for all where none is given.
    """
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, height_ratios=heights)
    return figure, list(axes.flat)


def one_legend(figure: Figure, axes: Sequence[Axes], *, columns: int | None = None) -> None:
    """Put one legend above all axes, each name once, in place of their own.

    Args:
        figure: of the axes.
        axes: whose labelled lines and areas are told.
        columns: names in a line; all of them where none is given.
    """
    named: dict[str, Any] = {}
    for ax in axes:
        for handle, name in zip(*ax.get_legend_handles_labels(), strict=True):
            named.setdefault(name, handle)
        own = ax.get_legend()
        if own is not None:
            own.remove()
    if named:
        figure.legend(
            list(named.values()),
            list(named),
            loc="outside upper center",
            ncols=columns or len(named),
        )


def save_figure(figure: Figure, path: Path, *, note: str) -> None:
    """Write a PNG that says in itself what it was drawn from, where a note is given."""
    if note:
        figure.supxlabel(note, fontsize=7.5, color=_GRAY, style="italic")
    path.parent.mkdir(parents=True, exist_ok=True)
    # the name of the software would hold its version, which is no part of the figure
    figure.savefig(path, format="png", dpi=_DPI, metadata={"Software": None})


def draw_curves(
    curves: Mapping[str, Curve], *, ax: Axes, with_markers: bool = False, diagonal: bool = False
) -> None:
    """Draw named curves in the order given; the caller labels the axes."""
    if diagonal:
        ax.plot([0, 1], [0, 1], color=_GRAY, linewidth=0.8, linestyle=":")
    for look, (name, (x, y)) in zip(LOOKS, curves.items(), strict=False):
        marker = look.marker if with_markers else ""
        ax.plot(x, y, look.line, color=look.color, marker=marker, markersize=4, label=name)


def draw_marks(marks: Mapping[str, tuple[float, float]], *, ax: Axes) -> None:
    """Draw single points in black, such as the operating points of a paper."""
    for marker, (name, (x, y)) in zip("Dv<>", marks.items(), strict=False):
        ax.plot([x], [y], marker=marker, color="black", linestyle="none", markersize=5, label=name)


def draw_confusion(counts: Float[ndarray, "2 2"], *, classes: Sequence[str], ax: Axes) -> None:
    """Draw counts of actual (rows) against called class (columns), shaded by share of the row."""
    total = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, total, out=np.zeros_like(counts), where=total > 0)
    ax.imshow(shares, cmap="Greys", vmin=0, vmax=1.25, aspect="equal")
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        color = "white" if share > 0.65 else "black"  # noqa: PLR2004  # contrast of the shade
        label = f"{count:,.0f}\n{100 * share:.0f} %"
        ax.text(column, row, label, ha="center", va="center", color=color)
    ax.set_xticks(range(2), [f"called\n{name}" for name in classes])
    ax.set_yticks(range(2), classes)
    ax.grid(visible=False)


def draw_bars(
    names: Sequence[str], values: Float[ndarray, " row"], *, ax: Axes, spread: ndarray | None = None
) -> None:
    """Draw one horizontal bar a name, the first on top; NaN leaves a gap."""
    places = np.arange(len(names))[::-1]
    error = None if spread is None else np.nan_to_num(spread)
    ax.barh(places, values, height=0.65, color="#8a97a8", xerr=error, ecolor="black")
    ax.set_yticks(places, names)
    ax.set_ylim(-0.6, len(names) - 0.4)
    ax.grid(visible=False, axis="y")


def draw_intervals(
    names: Sequence[str], spread: Spread, *, ax: Axes, reference: float | None = None
) -> None:
    """Draw one bar a name with its interval, the first on top, and a line to compare with."""
    places = np.arange(len(names))[::-1]
    start = 0.0 if reference is None else reference
    ax.barh(places, spread.value - start, left=start, height=0.6, color="#b9c4d0")
    ax.errorbar(
        spread.value, places, xerr=spread.reach, fmt="o", color="black", markersize=3.5, capsize=3
    )
    if reference is not None:
        ax.axvline(reference, color="black", linewidth=0.8)
    ax.set_yticks(places, names)
    ax.set_ylim(-0.6, len(names) - 0.4)
    ax.grid(visible=False, axis="y")


def draw_pairs(names: Sequence[str], pairs: Mapping[str, Spread], *, ax: Axes) -> None:
    """Draw two or three values a name on one line, each with its interval."""
    places = np.arange(len(names))[::-1]
    offsets = np.linspace(0.16, -0.16, len(pairs))
    for look, offset, (label, spread) in zip(LOOKS, offsets, pairs.items(), strict=False):
        ax.errorbar(
            spread.value,
            places + offset,
            xerr=spread.reach,
            fmt=look.marker,
            color=look.color,
            markersize=5,
            capsize=2.5,
            label=label,
        )
    ax.set_yticks(places, names)
    ax.set_ylim(-0.6, len(names) - 0.4)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(pairs))


def draw_dots(
    names: Sequence[str],
    values: Float[ndarray, " row"],
    sizes: Float[ndarray, " row"],
    *,
    ax: Axes,
) -> None:
    """Draw one dot a name, its area by size, from left to right in the order given."""
    places = np.arange(len(names))
    ax.vlines(places, 0, values, color="#d0d7de", linewidth=1)
    area = 12 + 90 * sizes / max(float(sizes.max(initial=1)), 1)
    ax.scatter(places, values, s=area, color=LOOKS[0].color, edgecolor="white", zorder=3)
    ax.set_xticks(places, names, rotation=90, fontsize=6.5)
    ax.set_ylim(-0.04, 1.04)
    ax.grid(visible=False, axis="x")


def draw_image(image: UInt8[ndarray, "height width 3"], *, title: str, ax: Axes) -> None:
    """Draw a picture (red, green, blue) without axes."""
    ax.imshow(image, interpolation="nearest")
    ax.set_title(title, fontsize=8, fontweight="normal")
    ax.set_axis_off()


def size_legend(sizes: Sequence[float], *, ax: Axes) -> None:
    """Say which area of a dot stands for how many items."""
    largest = max(*sizes, 1)
    handles = [
        Line2D(
            [],
            [],
            marker="o",
            linestyle="none",
            color=LOOKS[0].color,
            markersize=float(np.sqrt(12 + 90 * size / largest)),
            label=f"{size:,.0f} cells",
        )
        for size in sizes
    ]
    ax.legend(handles=handles, loc="lower right", frameon=True, facecolor="white", framealpha=1)
