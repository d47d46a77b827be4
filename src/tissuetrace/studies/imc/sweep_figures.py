"""Figures of sparser strategies (4E) and of how they hold over retrainings and settings."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy import ndarray

from tissuetrace.report import maps
from tissuetrace.report.figures import LOOKS, Illustration, grid_of_axes
from tissuetrace.studies.imc.outcome import CohortOutcome, Outcome
from tissuetrace.studies.imc.search_summaries import variant_order
from tissuetrace.studies.imc.strategy_tables import CAUSATION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["change_points", "change_reach", "counted_excluded", "stability", "sweep"]


def sweep(outcome: Outcome, searched: list[CohortOutcome]) -> Illustration:
    """Return Fig. 4E: effect and found-rate against β, effect against the number of targets."""

    def draw() -> "Figure":
        figure, axes = grid_of_axes(len(searched), 2, height_in=0.5 + 2.7 * len(searched))
        for place, one in enumerate(searched):
            left, right = axes[2 * place], axes[2 * place + 1]
            _draw_sweep(one.effect("beta"), left)
            _draw_subsets(one.effect("subset"), right)
            left.set_title(f"{one.name}: β")
            right.set_title(f"{one.name}: best subset")
        return figure

    counted = " ".join(f"{one.name}: {counted_excluded(one)}" for one in searched)
    return Illustration(
        name="figure_4e_sweep",
        title="Figure 4E: sparser strategies and what they still do",
        caption=(
            "Left: each β of the grid; beside a dot the number of targets it calls, dashed the "
            "share of searches that reached p. Right: the best subset of each size, since β alone "
            "seldom gives few targets; it is chosen and judged on the same cores, so this is the "
            "most that its size can do. Vertical lines: 95 % intervals "
            f"from resampling patients. {counted} {CAUSATION} {outcome.note}"
        ),
        alternative="Effect and found-rate against β, and effect against number of targets.",
        draw=draw,
    )


def stability(outcome: Outcome, one: CohortOutcome) -> Illustration:
    """Return the medians of every channel by variant of the search and retraining."""
    wide = one.stability.pivot(  # noqa: PD010  # pivot_table drops a channel that is NaN throughout
        index=["variant", "seed"], columns="channel", values="median"
    )
    wide = wide.loc[sorted(wide.index, key=lambda key: (variant_order(key[0]), key[1]))]
    channels = [name for name in one.settings.free if name in wide.columns]
    variants = [str(variant) for variant, _ in wide.index]
    starts = [place for place in range(len(variants)) if variants[place - 1] != variants[place]]
    starts = sorted({0, *starts})

    def draw() -> "Figure":
        figure, (ax,) = grid_of_axes(1, 1, height_in=1.4 + 0.16 * len(wide))
        values = wide[channels].to_numpy(dtype=np.float64)
        limit = max(0.05, float(np.nan_to_num(np.abs(values)).max(initial=0)))
        shades = maps.draw_heat(values, channels=channels, ax=ax, borders=starts[1:], limit=limit)
        ends = [*starts[1:], len(variants)]
        middles = [(start + end - 1) / 2 for start, end in zip(starts, ends, strict=True)]
        ax.set_yticks(middles, [variants[start] for start in starts], fontsize=7)
        figure.colorbar(shades, ax=ax, label="median relative change")
        return figure

    return Illustration(
        name=f"stability_{one.name}",
        title=f"Stability, {one.name}: every retraining and variant of the search",
        caption=(
            "One line a retraining (its own split and its own found patches), by variant of the "
            "search; each variant changes one setting. A column of one colour: the same sign "
            f"throughout. {outcome.note}"
        ),
        alternative="Median relative change of each channel by variant and retraining.",
        draw=draw,
    )


def change_points(rows: pd.DataFrame) -> ndarray:
    """Return level after less level before, in percentage points."""
    change: ndarray = 100 * (rows["after"] - rows["before"]).to_numpy(dtype=np.float64)
    return change


def change_reach(rows: pd.DataFrame) -> ndarray:
    """Return distances from the change to the ends of its interval, in points."""
    change = change_points(rows)
    low, high = (100 * rows[name].to_numpy(dtype=np.float64) for name in ("low", "high"))
    reach: ndarray = np.nan_to_num(np.stack([change - low, high - change])).clip(min=0)
    return reach


def counted_excluded(one: CohortOutcome) -> str:
    """Say how many patients are immune-excluded, for a caption."""
    number = one.levels.loc[one.levels["excluded"] == 1, "subject"].nunique()
    return f"n = {number} immune-excluded patients."


def _draw_sweep(rows: pd.DataFrame, ax: "Axes") -> None:
    betas = rows["strategy"].str.removeprefix("beta=").astype("float64")
    rows = rows.loc[betas.sort_values(kind="stable").index]
    names = [str(name).removeprefix("beta=") for name in rows["strategy"]]
    places = np.arange(len(names))
    change = change_points(rows)
    _dots(places, change, change_reach(rows), ax=ax)
    for place, value, size in zip(places, change, rows["size"], strict=True):
        if np.isfinite(value):
            ax.annotate(f"{size:.0f}", (place, value), xytext=(5, 4), textcoords="offset points")
    found = 100 * rows["found"].to_numpy(dtype=np.float64)
    look = LOOKS[1]
    ax.plot(places, found, look.line, marker=look.marker, color=look.color, label="found (%)")
    ax.set_xticks(places, names)
    ax.set(xlabel="β", ylabel="change (points), found (%)")
    if names:
        ax.set_ylim(top=1.22 * max(ax.get_ylim()[1], 1.0))  # room for the legend
        ax.legend(loc="upper center", ncols=2, fontsize=7.5)


def _draw_subsets(rows: pd.DataFrame, ax: "Axes") -> None:
    sizes = rows["size"].to_numpy(dtype=np.float64)
    _dots(sizes, change_points(rows), change_reach(rows), ax=ax)
    ax.set_xticks(sorted(set(sizes)))
    ax.set(xlabel="number of targets", ylabel="change (points)")


def _dots(places: ndarray, values: ndarray, reach: ndarray, *, ax: "Axes") -> None:
    look = LOOKS[0]
    ax.errorbar(
        places,
        values,
        yerr=np.nan_to_num(reach),
        fmt=look.marker + look.line,
        color=look.color,
        capsize=2.5,
        markersize=5,
        linewidth=1.2,
        label="change (points)",
    )
