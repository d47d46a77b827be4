"""Figures of single targets (4D), of sparser strategies (4E), and of how the strategy holds."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy import ndarray

from tissuetrace.report import maps
from tissuetrace.report.figures import LOOKS, Illustration, grid_of_axes, one_legend
from tissuetrace.studies.imc.effect_levels import excluded_count
from tissuetrace.studies.imc.outcome import CohortOutcome, Outcome
from tissuetrace.studies.imc.strategy_tables import CAUSATION
from tissuetrace.studies.imc.variants import used_retrainings, variant_name, variant_order

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["stability", "sweep", "targets"]

_GROUND = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}  # of words that lines cross
_IN_FULL = 5  # values of β: beside more, their words have no room


def targets(outcome: Outcome, one: CohortOutcome) -> Illustration:
    """Return Fig. 4D: each target alone, and the strategy without it."""
    parts = {
        "each target alone": one.effect("single"),
        "strategy without this target\n(low bar = target needed)": one.effect("without"),
    }
    reference = _whole_change(one)

    def draw() -> "Figure":
        figure, axes = grid_of_axes(1, 2, height_in=3.5)
        for (title, rows), ax in zip(parts.items(), axes, strict=True):
            names = [str(name).removeprefix("without ") for name in rows["strategy"]]
            change, reach = _change_points(rows), _change_reach(rows)
            maps.draw_signed_bars(names, change, ax=ax, reach=reach)
            for place, value in enumerate(change):
                if np.isfinite(value):
                    _write_above(place, value, value + reach[1, place], ax=ax)
            ax.axhline(reference, color="black", linewidth=0.9, linestyle="--")
            ax.set(ylabel="change of infiltration (points)", title=title)
        if np.isfinite(reference):
            words = f"whole strategy: {_shown(reference)}"
            axes[0].annotate(
                words, (-0.4, reference), xytext=(0, 4), textcoords="offset points", bbox=_GROUND
            )
        top = 1.06 * max(ax.get_ylim()[1] for ax in axes)
        bottom = min(ax.get_ylim()[0] for ax in axes)
        for ax in axes:
            ax.set_ylim(bottom, top)
        return figure

    return Illustration(
        name=f"figure_4d_targets_{one.name}",
        title=f"Figure 4D, {one.name}: single targets and what each adds",
        caption=(
            "Change of the share of infiltrated tumour patches, median over cores of "
            "immune-excluded patients (numbers), with 95 % intervals from resampling patients. "
            "Dashed: the whole strategy. p after Holm in the table. "
            f"{_counted_excluded(one)} {CAUSATION} {outcome.note}"
        ),
        alternative="Effect of each target alone and of the strategy without it.",
        draw=draw,
    )


def sweep(outcome: Outcome, searched: list[CohortOutcome]) -> Illustration:
    """Return Fig. 4E: effect and found-rate against β, effect against the number of targets."""

    def draw() -> "Figure":
        figure, axes = grid_of_axes(len(searched), 2, height_in=0.9 + 2.6 * len(searched))
        for place, one in enumerate(searched):
            left, right = axes[2 * place], axes[2 * place + 1]
            _draw_sweep(one, left)
            _draw_subsets(one, right)
            left.set_title(f"{one.name}: β, {_retrainings(one)}")
            right.set_title(f"{one.name}: best subset, all retrainings")
        for side in (axes[::2], axes[1::2]):
            ends = [ax.get_ylim() for ax in side]
            for ax in side:
                ax.set_ylim(min(low for low, _ in ends), max(high for _, high in ends))
        one_legend(figure, axes)
        return figure

    counted = " ".join(f"{one.name}: {_counted_excluded(one)}" for one in searched)
    return Illustration(
        name="figure_4e_sweep",
        title="Figure 4E: sparser strategies and what they still do",
        caption=(
            "Left: each β of the grid with the number of targets it calls, and the share of "
            "searches that reached p. Right: the best subset of each size, since β alone "
            "seldom gives few targets; it is chosen and judged on the same cores, so this is the "
            "most that its size can do. Black: the whole strategy, "
            f"β = {outcome.settings.perturb.beta:g}, all retrainings. Upright lines: 95 % "
            f"intervals from resampling patients. {counted} {CAUSATION} {outcome.note}"
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
        figure, (ax,) = grid_of_axes(1, 1, height_in=1.6 + 0.16 * len(wide))
        values = 100 * wide[channels].to_numpy(dtype=np.float64)
        limit = max(5.0, float(np.nan_to_num(np.abs(values)).max(initial=0)))
        shades = maps.draw_heat(values, channels=channels, ax=ax, borders=starts[1:], limit=limit)
        ends = [*starts[1:], len(variants)]
        middles = [(start + end - 1) / 2 for start, end in zip(starts, ends, strict=True)]
        ax.set_yticks(middles, [variant_name(variants[start]) for start in starts], fontsize=8)
        ax.set(ylabel="one line a retraining")
        figure.colorbar(shades, ax=ax, label="median relative change (%)")
        return figure

    return Illustration(
        name=f"stability_{one.name}",
        title=f"Stability, {one.name}: every retraining and variant of the search",
        caption=(
            "One line a retraining (its own split and its own found patches), by variant of the "
            "search; each variant of the MLP's changes one setting, the CNN is another model. A "
            f"column of one colour: the same sign throughout. {outcome.note}"
        ),
        alternative="Median relative change of each channel by variant and retraining.",
        draw=draw,
    )


def _change_points(rows: pd.DataFrame) -> ndarray:
    """Return level after less level before, in percentage points."""
    change: ndarray = 100 * (rows["after"] - rows["before"]).to_numpy(dtype=np.float64)
    return change


def _change_reach(rows: pd.DataFrame) -> ndarray:
    """Return distances from the change to the ends of its interval, in points."""
    change = _change_points(rows)
    low, high = (100 * rows[name].to_numpy(dtype=np.float64) for name in ("low", "high"))
    reach: ndarray = np.nan_to_num(np.stack([change - low, high - change])).clip(min=0)
    return reach


def _whole_change(one: CohortOutcome) -> float:
    whole = one.effect("all")
    return float(_change_points(whole)[0]) if len(whole) else float("nan")


def _counted_excluded(one: CohortOutcome) -> str:
    """Say how many patients are immune-excluded, for a caption."""
    return f"n = {excluded_count(one)} immune-excluded patients."


def _retrainings(one: CohortOutcome) -> str:
    """Say on how many retrainings other β were searched: they may be the first few of all."""
    swept = len(used_retrainings(one, "mlp"))
    known = one.pool.loc[one.pool["variant"] == "default", "seed"].nunique()
    return f"first {swept} of {known} retrainings" if swept < known else "all retrainings"


def _draw_sweep(one: CohortOutcome, ax: "Axes") -> None:
    rows = one.effect("beta")
    betas = rows["strategy"].str.removeprefix("beta=").astype("float64")
    rows = rows.loc[betas.sort_values(kind="stable").index]
    places = np.arange(len(rows))
    _dots(places, _change_points(rows), _change_reach(rows), ax=ax)
    found = 100 * rows["found"].to_numpy(dtype=np.float64)
    look = LOOKS[1]
    ax.plot(places, found, look.line, marker=look.marker, color=look.color, label="found (%)")
    ax.axhline(_whole_change(one), color="black", linewidth=0.9, linestyle=":")
    ax.set_xticks(places, _beta_words(rows), fontsize=8)
    ax.set(ylabel="change (points), found (%)", xlim=(-0.4, max(len(rows), 1) - 0.6))
    ax.set_ylim(min(-4.0, ax.get_ylim()[0]), 104)


def _beta_words(rows: pd.DataFrame) -> list[str]:
    """Return β and the number of targets that it calls, as an axis names them."""
    values = [str(name).removeprefix("beta=") for name in rows["strategy"]]
    sizes = [f"{size:.0f}" for size in rows["size"]]
    if len(values) > _IN_FULL:
        return [f"{value}\n{size}" for value, size in zip(values, sizes, strict=True)]
    return [f"β = {value}\n{size} targets" for value, size in zip(values, sizes, strict=True)]


def _draw_subsets(one: CohortOutcome, ax: "Axes") -> None:
    rows, whole = one.effect("subset"), one.effect("all")
    sizes = rows["size"].to_numpy(dtype=np.float64)
    _dots(sizes, _change_points(rows), _change_reach(rows), ax=ax)
    of_whole = whole["size"].to_numpy(dtype=np.float64)
    ax.axhline(_whole_change(one), color="black", linewidth=0.9, linestyle=":")
    # hollow and large, so that a best subset that is the whole strategy shows through
    ax.errorbar(
        of_whole,
        _change_points(whole),
        yerr=_change_reach(whole),
        fmt="D:",
        color="black",
        markerfacecolor="none",
        markersize=9,
        linewidth=0.9,
        label="whole strategy, all retrainings",
    )
    ax.set_xticks(sorted({*sizes, *of_whole}))
    ax.set(xlabel="number of targets", ylabel="change (points)")


def _write_above(place: float, value: float, top: float, *, ax: "Axes") -> None:
    """Write a value above its bar and interval: small ones cannot be read off."""
    ax.annotate(
        _shown(value),
        (place, max(top, 0.0)),
        xytext=(0, 2),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=7.5,
        bbox=_GROUND,
    )


def _shown(value: float) -> str:
    return f"{value:z.1f}".replace("-", "\N{MINUS SIGN}")


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
