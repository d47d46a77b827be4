"""Figures of the perturbations: Figures 4A to 4C; 4D, 4E and stability follow them."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy import ndarray

from tissuetrace.report import maps
from tissuetrace.report.figures import Illustration, grid_of_axes, one_legend
from tissuetrace.studies.imc.cohorts import TUMOUR_SHARE
from tissuetrace.studies.imc.effect_levels import core_levels, excluded_levels, whole_strategy
from tissuetrace.studies.imc.outcome import CohortOutcome, Outcome
from tissuetrace.studies.imc.strategy_tables import CAUSATION
from tissuetrace.studies.imc.sweep_figures import stability, sweep, targets

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["found_changes", "median_retraining", "therapy_figures"]

_NUMBERED = 0.025  # least share of the rows of Fig. 4A on which a patient's number has room
_MOST_ROWS = 600  # of Fig. 4A: more are finer than a dot of the picture


def therapy_figures(outcome: Outcome) -> list[Illustration]:
    """Return Figures 4A to 4E and the stability of every cohort with a perturbation."""
    searched = outcome.searched
    if not searched:
        return []
    return [
        *[_changes(outcome, one) for one in searched],
        *[_before_after(outcome, one) for one in searched if len(one.maps)],
        _patients(outcome, searched),
        *[targets(outcome, one) for one in searched],
        sweep(outcome, searched),
        *[stability(outcome, one) for one in searched if len(one.stability)],
    ]


def median_retraining(one: CohortOutcome) -> tuple[int, float]:
    """Return the retraining with the median validation MCC among those that found a change.

    The first may be one that learned little. Of an even number, the lower of the middle two.

    Returns:
        Its seed, and its MCC at the epoch that was kept; NaN where no history tells.
    """
    found = _of_default(one)
    table = one.histories
    own = table[
        (table["model"] == "mlp")
        & (table["scheme"] == "patient")
        & table["seed"].isin(found["seed"].unique())
    ]
    best = own.groupby("seed")["validation_mcc"].max().dropna().sort_values(kind="stable")
    if best.empty:
        return (int(found["seed"].min()) if len(found) else 0), float("nan")
    place = (len(best) - 1) // 2
    return int(best.index[place]), float(best.iloc[place])


def found_changes(one: CohortOutcome) -> pd.DataFrame:
    """Return δ of the found patches of one retraining, each over its largest |δ| (Fig. 4A).

    Returns:
        `subject` and one column a free channel, -1 to 1, by patient, then item as searched.
    """
    found = _of_default(one)
    first = found[found["seed"] == median_retraining(one)[0]]
    channels = list(one.settings.free)
    values = first[[f"delta_{name}" for name in channels]].to_numpy(dtype=np.float64)
    largest = np.abs(values).max(axis=1, keepdims=True, initial=0)
    scaled = np.divide(values, largest, out=np.zeros_like(values), where=largest > 0)
    frame = pd.DataFrame(scaled, columns=channels)
    frame.insert(0, "subject", first["subject"].to_numpy())
    return frame.sort_values("subject", kind="stable", ignore_index=True)


def _of_default(one: CohortOutcome) -> pd.DataFrame:
    table = one.counterfactuals
    return table[
        (table["model"] == "mlp") & (table["variant"] == "default") & (table["found"] == 1)
    ]


def _changes(outcome: Outcome, one: CohortOutcome) -> Illustration:
    rows = found_changes(one)
    every = -(-len(rows) // _MOST_ROWS) if len(rows) else 1
    shown = rows.iloc[::every]
    channels = list(one.settings.free)
    bars = one.channels.set_index("channel").reindex(channels)

    def draw() -> "Figure":
        figure, (heat, ax) = grid_of_axes(2, 1, height_in=7.6, heights=(3, 2))
        if len(shown):
            _draw_heat(one, shown, heat)
        maps.draw_signed_bars(
            channels,
            100 * bars["median"].to_numpy(),
            ax=ax,
            reach=100 * _reach(bars, "median"),
            marked=[value == 1 for value in bars["called"]],
        )
        ax.set(ylabel="median relative change (%)")
        key = maps.bar_key(dark="called and applied", pale="not called", interval="95 % interval")
        ax.legend(handles=key, loc="lower left", bbox_to_anchor=(0, 1), ncols=3)
        return figure

    thinned = f" (one in {every} is drawn)" if every > 1 else ""
    mcc = median_retraining(one)[1]
    middle = f"the retraining with the median validation MCC, {mcc:.2f}"
    which = "one retraining" if np.isnan(mcc) else middle
    return Illustration(
        name=f"figure_4a_changes_{one.name}",
        title=f"Figure 4A, {one.name}: what the counterfactuals change",
        caption=(
            f"Top: n = {len(rows):,} patches with a counterfactual{thinned}, of "
            f"{rows['subject'].nunique()} patients (ticks between them; numbered where there is "
            f"room), {which}. Red: raised, blue: lowered. Bottom: median over "
            "patches per retraining, then over all retrainings, in raw units, with 95 % intervals "
            f"from resampling patients. {CAUSATION} {outcome.note}"
        ),
        alternative="Change of each free channel in every patch, and its median as bars.",
        draw=draw,
    )


def _draw_heat(one: CohortOutcome, shown: pd.DataFrame, ax: "Axes") -> None:
    """Draw the patches with lines between patients; numbers only where they have room."""
    channels = list(one.settings.free)
    counts = shown.groupby("subject", sort=True).size()
    ends = counts.cumsum().to_numpy()
    shades = maps.draw_heat(shown[channels].to_numpy(), channels=channels, ax=ax)
    ax.figure.colorbar(shades, ax=ax, label="δ (SD) divided by the patch's largest |δ|")
    middles = ends - counts.to_numpy() / 2 - 0.5
    has_room = counts.to_numpy() >= _NUMBERED * len(shown)
    numbers = [str(one.patient_numbers[str(name)]) for name in counts.index[has_room]]
    # long ticks between patients, who stay apart where lines across would hide thin ones
    ax.set_yticks(ends[:-1] - 0.5, [""] * (len(ends) - 1))
    ax.tick_params(axis="y", which="major", length=9)
    ax.set_yticks(middles[has_room], numbers, minor=True, fontsize=7)
    ax.tick_params(axis="y", which="minor", length=0, pad=10)
    ax.set(ylabel=f"{len(shown):,} patches by patient (number)")


def _before_after(outcome: Outcome, one: CohortOutcome) -> Illustration:
    table = one.maps
    tumour = table["tumour"].to_numpy() > TUMOUR_SHARE
    image = str(table["image"].iloc[0])
    patients = dict(zip(one.images["image"], one.images["subject"], strict=True))
    patient = one.patient_numbers.get(str(patients.get(image)), 0)
    which = f"Patient {patient}, core {one.core_numbers.get(image, 0)}"
    least = outcome.settings.effect.p

    def draw() -> "Figure":
        figure, axes = grid_of_axes(1, 3, height_in=3.7)
        names = {"observed": "labelled", "before": "predicted before", "after": "predicted after"}
        for (name, title), ax in zip(names.items(), axes, strict=True):
            values = np.where(tumour, table[name].to_numpy(dtype=np.float64), np.nan)
            laid = maps.patch_map(table["row"].to_numpy(), table["col"].to_numpy(), values)
            colors = "Greys" if name == "observed" else "YlGnBu"
            # a label is no probability, so its colours are its own; black would hide the edges
            limits = (0.0, 1.4) if name == "observed" else (0.0, 1.0)
            shades = maps.draw_maps(
                [[maps.Map(title=title, values=laid)]],
                ax=ax,
                colors=colors,
                limits=limits,
                title_size=10,
            )
            if name == "observed":
                key = maps.key_of(shades, {"T cells": 1.0, "none": 0.0}, empty="not tumour")
                ax.legend(
                    handles=key,
                    loc="upper center",
                    bbox_to_anchor=(0.5, 0),
                    ncols=2,
                    columnspacing=1,
                )
        bar = figure.colorbar(shades, ax=axes[1:], orientation="horizontal", shrink=0.75)
        bar.set_label(f"predicted probability of T cells (line: infiltrated above {least:g})")
        bar.ax.axvline(least, color="#d1600a", linewidth=2)
        figure.suptitle(f"{which}: the excluded core with the median rise", fontsize=9.5)
        return figure

    return Illustration(
        name=f"figure_4b_maps_{one.name}",
        title=f"Figure 4B, {one.name}: one immune-excluded core before and after",
        caption=(
            f"{which}: the excluded core with the median rise, n = {int(tumour.sum())} tumour "
            f"patches of {len(table)}. Predicted: mean probability over retrainings with the "
            "channel means as they are and multiplied by the strategy; above the line in the "
            f"colour bar a patch counts as infiltrated. {CAUSATION} {outcome.note}"
        ),
        alternative="Maps of one core: T cells labelled, probability before and after.",
        draw=draw,
    )


def _patients(outcome: Outcome, searched: list[CohortOutcome]) -> Illustration:
    tables = {one.name: excluded_levels(one) for one in searched}
    pairs = {one.name: _pairs(one, tables[one.name]) for one in searched}

    def draw() -> "Figure":
        figure, axes = grid_of_axes(len(searched), 1, height_in=0.7 + 2.4 * len(searched))
        for (name, rows), ax in zip(tables.items(), axes, strict=True):
            numbers = [str(number) for number in rows["patient"]]
            maps.draw_changes(numbers, pairs[name], ax=ax, part="one core (gray: before)")
            ax.set(xlabel="patient (number)", ylabel="tumour patches\ninfiltrated (%)", title=name)
        top = max(10.0, *(ax.get_ylim()[1] for ax in axes))
        for ax in axes:
            ax.set_ylim(-0.04 * top, top)
        one_legend(figure, axes)
        return figure

    said = "; ".join(_paired(one, tables[one.name]) for one in searched)
    return Illustration(
        name="figure_4c_patients",
        title="Figure 4C: immune-excluded patients before and after the strategy",
        caption=(
            "Large: median over a patient's cores of the mean over retrainings; small: its cores, "
            f"gray before, dark after. Paired Wilcoxon over patients, not patches: {said}. Levels "
            f"scored by the other retrainings stand in the table. {CAUSATION} {outcome.note}"
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


def _pairs(one: CohortOutcome, rows: pd.DataFrame) -> maps.Changes:
    cores = core_levels(one, whole_strategy(one))
    places = {number: place for place, number in enumerate(rows["patient"])}
    numbers = [one.patient_numbers[str(name)] for name in cores["subject"]]
    return maps.Changes(
        before=100 * rows["before"].to_numpy(dtype=np.float64),
        after=100 * rows["after"].to_numpy(dtype=np.float64),
        part_rows=np.array([places[number] for number in numbers], dtype=np.int64),
        parts_before=100 * cores["before"].to_numpy(dtype=np.float64),
        parts_after=100 * cores["after"].to_numpy(dtype=np.float64),
    )


def _reach(rows: pd.DataFrame, name: str) -> ndarray:
    middle, low, high = (rows[key].to_numpy(dtype=np.float64) for key in (name, "low", "high"))
    reach: ndarray = np.stack([middle - low, high - middle])
    return reach
