"""Figures of the perturbations: Figures 4A to 4D; 4E and stability follow them."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy import ndarray

from tissuetrace.report import maps
from tissuetrace.report.figures import Illustration, grid_of_axes
from tissuetrace.studies.imc.outcome import CohortOutcome, Outcome
from tissuetrace.studies.imc.strategy_tables import CAUSATION, excluded_levels
from tissuetrace.studies.imc.sweep_figures import (
    change_points,
    change_reach,
    counted_excluded,
    stability,
    sweep,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["found_changes", "therapy_figures"]

_TUMOUR = 0.5
_NUMBERED = 40  # patients: the numbers of more cannot be read
_MOST_ROWS = 4000  # of Fig. 4A: more are finer than a dot of the picture


def therapy_figures(outcome: Outcome) -> list[Illustration]:
    """Return Figures 4A to 4E and the stability of every cohort with a perturbation."""
    searched = outcome.searched
    if not searched:
        return []
    return [
        *[_changes(outcome, one) for one in searched],
        *[_before_after(outcome, one) for one in searched if len(one.maps)],
        _patients(outcome, searched),
        *[_targets(outcome, one) for one in searched],
        sweep(outcome, searched),
        *[stability(outcome, one) for one in searched if len(one.stability)],
    ]


def found_changes(one: CohortOutcome) -> pd.DataFrame:
    """Return δ of the first retraining's found patches, each over its largest |δ| (Fig. 4A).

    Returns:
        `subject` and one column a free channel, -1 to 1, by patient, then item as searched.
    """
    table = one.counterfactuals
    chosen = table[(table["model"] == "mlp") & (table["variant"] == "default")]
    first = chosen[(chosen["found"] == 1) & (chosen["seed"] == chosen["seed"].min())]
    channels = list(one.settings.free)
    values = first[[f"delta_{name}" for name in channels]].to_numpy(dtype=np.float64)
    largest = np.abs(values).max(axis=1, keepdims=True, initial=0)
    scaled = np.divide(values, largest, out=np.zeros_like(values), where=largest > 0)
    frame = pd.DataFrame(scaled, columns=channels)
    frame.insert(0, "subject", first["subject"].to_numpy())
    return frame.sort_values("subject", kind="stable", ignore_index=True)


def _changes(outcome: Outcome, one: CohortOutcome) -> Illustration:
    rows = found_changes(one)
    every = -(-len(rows) // _MOST_ROWS) if len(rows) else 1
    shown = rows.iloc[::every]
    channels = list(one.settings.free)
    bars = one.channels.set_index("channel").reindex(channels)

    def draw() -> "Figure":
        figure, (heat, ax) = grid_of_axes(2, 1, height_in=6.2)
        if len(shown):
            counts = shown.groupby("subject", sort=True).size()
            ends = counts.cumsum().to_numpy()
            borders = ends[:-1].tolist()
            shades = maps.draw_heat(
                shown[channels].to_numpy(), channels=channels, ax=heat, borders=borders
            )
            figure.colorbar(shades, ax=heat, label="δ / largest |δ| of the patch")
            if len(counts) <= _NUMBERED:
                numbers = [str(one.patient_numbers[str(name)]) for name in counts.index]
                heat.set_yticks(ends - counts.to_numpy() / 2 - 0.5, numbers, fontsize=6)
        heat.set(ylabel=f"{len(shown):,} patches by patient (number)")
        maps.draw_signed_bars(
            channels,
            100 * bars["median"].to_numpy(),
            ax=ax,
            reach=100 * _reach(bars, "median"),
            marked=[value == 1 for value in bars["called"]],
        )
        ax.set(ylabel="median relative change (%)")
        return figure

    thinned = f", every {every}th drawn" if every > 1 else ""
    return Illustration(
        name=f"figure_4a_changes_{one.name}",
        title=f"Figure 4A, {one.name}: what the counterfactuals change",
        caption=(
            f"Top: n = {len(rows):,} patches with a counterfactual{thinned}, of "
            f"{rows['subject'].nunique()} patients (lines between them), first retraining; δ in SD "
            "over the patch's largest. Bottom: median over patches per retraining, then over "
            "retrainings, in raw units, with 95 % intervals from resampling patients; dark: "
            f"called and applied. {CAUSATION} {outcome.note}"
        ),
        alternative="Change of each free channel in every patch, and its median as bars.",
        draw=draw,
    )


def _before_after(outcome: Outcome, one: CohortOutcome) -> Illustration:
    table = one.maps
    tumour = table["tumour"].to_numpy() > _TUMOUR
    columns = {"observed": "observed", "before": "f before", "after": "f after the strategy"}

    def draw() -> "Figure":
        figure, (ax,) = grid_of_axes(1, 1, height_in=2.9)
        pictures = [
            maps.Map(
                title=title,
                values=maps.patch_map(
                    table["row"].to_numpy(),
                    table["col"].to_numpy(),
                    np.where(tumour, table[name].to_numpy(dtype=np.float64), np.nan),
                ),
            )
            for name, title in columns.items()
        ]
        shades = maps.draw_maps(pictures, columns=3, ax=ax)
        figure.colorbar(shades, ax=ax, label="probability of T cells", shrink=0.8)
        return figure

    core = one.core_numbers.get(str(table["image"].iloc[0]), 0)
    return Illustration(
        name=f"figure_4b_maps_{one.name}",
        title=f"Figure 4B, {one.name}: one immune-excluded core before and after",
        caption=(
            f"Core {core}, of the median rise, n = {int(tumour.sum())} tumour patches of "
            f"{len(table)}; the others are gray. Observed: dark where the patch holds T cells. "
            "Before and after: mean probability over retrainings with the channel means as they "
            f"are and multiplied by the strategy. {CAUSATION} {outcome.note}"
        ),
        alternative="Maps of one core: T cells observed, probability before and after.",
        draw=draw,
    )


def _patients(outcome: Outcome, searched: list[CohortOutcome]) -> Illustration:
    tables = {one.name: excluded_levels(one) for one in searched}

    def draw() -> "Figure":
        figure, axes = grid_of_axes(len(searched), 1, height_in=0.4 + 2.5 * len(searched))
        for (name, rows), ax in zip(tables.items(), axes, strict=True):
            maps.draw_changes([str(number) for number in rows["patient"]], _pairs(rows), ax=ax)
            ax.set(xlabel="patient (number)", ylabel="tumour patches\ninfiltrated (%)", title=name)
            ax.set_ylim(bottom=min(-2.0, ax.get_ylim()[0]))
            ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
        return figure

    said = "; ".join(_paired(one, tables[one.name]) for one in searched)
    return Illustration(
        name="figure_4c_patients",
        title="Figure 4C: immune-excluded patients before and after the strategy",
        caption=(
            "Median over a patient's cores of the mean over retrainings, lines: quartiles over the "
            f"cores. Paired Wilcoxon over patients, not patches: {said}. Levels scored by the "
            f"other retrainings stand in the table. {CAUSATION} {outcome.note}"
        ),
        alternative="Infiltration of each excluded patient before and after.",
        draw=draw,
    )


def _paired(one: CohortOutcome, rows: pd.DataFrame) -> str:
    whole = one.effect("all")
    p = float(whole["p"].iloc[0]) if len(whole) else float("nan")
    risen = int((rows["after"] > rows["before"]).sum())
    shown = "p not defined" if np.isnan(p) else f"p = {p:.2g}"
    return f"{one.name}: n = {len(rows)}, {risen} rise, {shown}"


def _targets(outcome: Outcome, one: CohortOutcome) -> Illustration:
    parts = {
        "each target alone": one.effect("single"),
        "each target left out": one.effect("without"),
    }
    whole = one.effect("all")
    reference = change_points(whole)[0] if len(whole) else float("nan")

    def draw() -> "Figure":
        figure, axes = grid_of_axes(1, 2, height_in=3.1)
        for (title, rows), ax in zip(parts.items(), axes, strict=True):
            names = [str(name).removeprefix("without ") for name in rows["strategy"]]
            maps.draw_signed_bars(names, change_points(rows), ax=ax, reach=change_reach(rows))
            ax.axhline(reference, color="black", linewidth=0.9, linestyle="--")
            ax.set(ylabel="change of infiltration (points)", title=title)
        top = max(ax.get_ylim()[1] for ax in axes)
        bottom = min(ax.get_ylim()[0] for ax in axes)
        for ax in axes:
            ax.set_ylim(bottom, top)
        return figure

    return Illustration(
        name=f"figure_4d_targets_{one.name}",
        title=f"Figure 4D, {one.name}: single targets and what each adds",
        caption=(
            "Change of the share of infiltrated tumour patches, median over cores of "
            "immune-excluded patients, with 95 % intervals from resampling patients. Dashed: the "
            f"whole strategy. p after Holm in the table. {counted_excluded(one)} {CAUSATION} "
            f"{outcome.note}"
        ),
        alternative="Effect of each target alone and of the strategy without it.",
        draw=draw,
    )


def _pairs(rows: pd.DataFrame) -> maps.Changes:
    percents = {name: 100 * rows[name].to_numpy(dtype=np.float64) for name in rows.columns[3:]}
    return maps.Changes(
        before=percents["before"],
        after=percents["after"],
        before_ends=np.stack([percents["before_low"], percents["before_high"]]),
        after_ends=np.stack([percents["after_low"], percents["after_high"]]),
    )


def _reach(rows: pd.DataFrame, name: str) -> ndarray:
    middle, low, high = (rows[key].to_numpy(dtype=np.float64) for key in (name, "low", "high"))
    reach: ndarray = np.stack([middle - low, high - middle])
    return reach
