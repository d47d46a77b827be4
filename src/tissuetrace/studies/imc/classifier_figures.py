"""Figures of the classifiers: leaks, trainings, maps (3A) and shares per core (3B)."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from tissuetrace.report import figures, maps
from tissuetrace.report.figures import LOOKS, Illustration, Spread, grid_of_axes, one_legend
from tissuetrace.stats.retrainings import mean_interval
from tissuetrace.studies.imc.gates import CHANCE, MOST_GAIN
from tissuetrace.studies.imc.outcome import MODEL_NAMES, SCHEME_NAMES, CohortOutcome, Outcome

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["agreement", "classifier_figures", "predicted_map"]

_SHOWN = 12  # cores of a cohort in Fig. 3A
_PER_LINE = 6
_HALF = 0.5
_DECOYS = ("none", "marginal", "matched")
_WIDTH_IN = 7.2


def classifier_figures(outcome: Outcome) -> list[Illustration]:
    """Return leaks, trainings and Figures 3A and 3B, in the order of the page."""
    return [
        _leaks(outcome),
        *[_maps(outcome, one) for one in outcome.cohorts.values()],
        _shares(outcome),
        _trainings(outcome),
    ]


def predicted_map(one: CohortOutcome) -> pd.DataFrame:
    """Return for every patch whether it is and whether the MLP calls it positive at 0.5.

    The call is of the mean probability over the retrainings (unseen patients) in whose test set
    the patch lies; patches that no retraining tested are left out.

    Returns:
        `image, row, col, label, called`, sorted by image, row and column.
    """
    table = one.predictions
    test = table[
        (table["model"] == "mlp") & (table["scheme"] == "patient") & (table["split"] == "test")
    ]
    means = test.groupby("item")["probability"].mean().rename("mean").reset_index()
    joined = one.patches[["item", "image", "row", "col", "label"]].merge(means, on="item")
    joined["called"] = (joined["mean"] >= _HALF).astype("int64")
    wanted = ["image", "row", "col", "label", "called"]
    return joined[wanted].sort_values(["image", "row", "col"], ignore_index=True)


def agreement(shares: pd.DataFrame) -> tuple[float, float]:
    """Return Pearson's r and the RMSE of predicted against actual shares; NaN where undefined.

    Args:
        shares: `actual` and `predicted`, 0 to 1, one row a core.
    """
    known = shares.dropna(subset=["actual", "predicted"])
    actual, predicted = known["actual"].to_numpy(), known["predicted"].to_numpy()
    if len(known) == 0:
        return float("nan"), float("nan")
    rmse = float(np.sqrt(np.mean((predicted - actual) ** 2)))
    if len(known) < 3 or np.ptp(actual) == 0 or np.ptp(predicted) == 0:  # noqa: PLR2004  # two points lie on a line
        return float("nan"), rmse
    return float(np.corrcoef(actual, predicted)[0, 1]), rmse


def _leaks(outcome: Outcome) -> Illustration:
    cohorts = list(outcome.cohorts.values())
    quantities = (
        ("gain", "gain in AUC from the erased area", (-1.0, MOST_GAIN)),
        ("swap_auc", "AUC after contents were swapped", CHANCE),
    )

    def draw() -> "Figure":
        figure, axes = grid_of_axes(len(cohorts), 2, height_in=0.9 + 1.75 * len(cohorts))
        for column, (quantity, label, allowed) in enumerate(quantities):
            for one, ax in zip(cohorts, axes[column::2], strict=True):
                pairs = {
                    name: _probe(one, quantity, mean)
                    for mean, name in (("retained", "retained area"), ("full", "full area"))
                }
                names = [f"decoys: {name}" for name in _DECOYS] if column == 0 else [""] * 3
                figures.draw_pairs(names, pairs, ax=ax)
                reach = ax.get_xlim()
                ax.axvspan(*allowed, color="0.92", zorder=0, label="allowed by the gate")
                ax.set(xlabel=label, title=one.name, xlim=reach)
            _same_ends(axes[column::2], "x")
        one_legend(figure, axes)
        return figure

    chosen = outcome.settings
    return Illustration(
        name="leaks",
        title="What the erased area gives away",
        caption=(
            "Left: AUC that erased share and count of holes add to the features. Right: AUC after "
            "contents are permuted among patches. Gray: what the gate allows (up to "
            f"{MOST_GAIN:g}; {CHANCE[0]:g} to {CHANCE[1]:g}) the configured decoys, "
            f"{chosen.decoy.kind}, and mean, {chosen.patch.mean} area. Mean over patient splits "
            f"with its 95 % interval (t). {outcome.counted()} {outcome.note}"
        ),
        alternative="Gain in AUC and AUC after swapping, for three kinds of decoys and two means.",
        draw=draw,
    )


def _same_ends(axes: list[Any], side: str) -> None:
    """Give axes the ends that hold what each of them shows."""
    ends = np.array([getattr(ax, f"get_{side}lim")() for ax in axes])
    for ax in axes:
        ax.set(**{f"{side}lim": (ends[:, 0].min(), ends[:, 1].max())})


def _probe(one: CohortOutcome, quantity: str, mean: str) -> Spread:
    table = one.leaks[(one.leaks["quantity"] == quantity) & (one.leaks["mean"] == mean)]
    found = [
        mean_interval(table.loc[table["decoys"] == name, "value"].to_numpy(dtype=np.float64))
        for name in _DECOYS
    ]
    return Spread(
        value=np.array([part.value for part in found]),
        low=np.array([part.low for part in found]),
        high=np.array([part.high for part in found]),
    )


def _maps(outcome: Outcome, one: CohortOutcome) -> Illustration:
    table = predicted_map(one)
    shares = table.groupby("image")["label"].mean().sort_values(kind="stable")
    places = np.linspace(0, len(shares) - 1, min(_SHOWN, len(shares))).round().astype(int)
    shown = [str(shares.index[place]) for place in places]
    drawn = {name: table[table["image"] == name] for name in shown}
    lines, names = _lines_of_maps(one, drawn)

    def draw() -> "Figure":
        height, width = maps.map_canvas(lines) if lines else (1, 4)
        figure, (ax,) = grid_of_axes(1, 1, height_in=0.75 + 0.96 * _WIDTH_IN * height / width)
        ax.set_axis_off()
        if lines:
            shades = maps.draw_maps(lines, names=names, ax=ax)
            key = maps.key_of(
                shades, {"T cells": 1.0, "none": 0.0}, empty="no patch, or in no test set"
            )
            square = f"One square: a patch of {outcome.settings.patch.size_um:g} µm"
            figure.legend(handles=key, title=square, loc="outside upper center", ncols=3)
        return figure

    return Illustration(
        name=f"figure_3a_maps_{one.name}",
        title=f"Figure 3A, {one.name}: patches with T cells, labelled and predicted",
        caption=(
            f"{len(shown)} of {len(shares)} tested cores, evenly from the emptiest to the fullest, "
            f"n = {sum(len(part) for part in drawn.values()):,} patches. Labelled: T cells by the "
            "markers. Predicted: mean probability of the MLP over the retrainings that had never "
            f"seen the patient, at least 0.5. {outcome.note}"
        ),
        alternative="Maps of cores: patches with T cells, as labelled and as predicted.",
        draw=draw,
    )


def _lines_of_maps(
    one: CohortOutcome, drawn: dict[str, pd.DataFrame]
) -> tuple[list[list[maps.Map]], list[str]]:
    """Return maps in lines, each line of labels above the line of predictions, with their names."""
    lines, names = [], []
    cores = list(drawn)
    for start in range(0, len(cores), _PER_LINE):
        for column, name in (("label", "labelled"), ("called", "predicted")):
            lines.append(
                [
                    maps.Map(
                        title=f"core {one.core_numbers[core]}",
                        values=_laid(drawn[core], drawn[core][column].to_numpy(dtype=np.float64)),
                    )
                    for core in cores[start : start + _PER_LINE]
                ]
            )
            names.append(name)
    return lines, names


def _laid(part: pd.DataFrame, values: np.ndarray) -> np.ndarray:
    return maps.patch_map(part["row"].to_numpy(), part["col"].to_numpy(), values)


def _shares(outcome: Outcome) -> Illustration:
    cohorts = list(outcome.cohorts.values())
    parts = {
        (one.name, scheme): one.shares[
            (one.shares["model"] == "mlp") & (one.shares["scheme"] == scheme)
        ]
        for one in cohorts
        for scheme in ("patient", "random")
    }
    told = {key: agreement(part) for key, part in parts.items()}

    def draw() -> "Figure":
        figure, axes = grid_of_axes(len(cohorts), 2, height_in=0.4 + 3.1 * len(cohorts))
        for ((name, scheme), part), ax in zip(parts.items(), axes, strict=True):
            actual, predicted = (100 * part[key].to_numpy() for key in ("actual", "predicted"))
            maps.draw_scatter(actual, predicted, ax=ax)
            r, rmse = told[name, scheme]
            ax.set(
                xlabel="labelled share (%)",
                ylabel="predicted share (%)",
                title=f"{name}, {SCHEME_NAMES[scheme]}",
            )
            ax.text(0.04, 0.97, _said(r, rmse), transform=ax.transAxes, va="top")
            ax.text(0.97, 0.04, "dotted: both alike", transform=ax.transAxes, ha="right", size=8)
        return figure

    counted = "; ".join(
        f"{name}, {SCHEME_NAMES[scheme]}: {len(part)} cores, {_said(*told[name, scheme])}"
        for (name, scheme), part in parts.items()
    )
    return Illustration(
        name="figure_3b_shares",
        title="Figure 3B: predicted against labelled infiltration of each core",
        caption=(
            "Share of tissue patches with T cells, one dot a core; MLP at 0.5, mean over the "
            f"retrainings in whose test set its patches lie. {counted}. {outcome.note}"
        ),
        alternative="Predicted against labelled share of positive patches, one dot a core.",
        draw=draw,
    )


def _said(r: float, rmse: float) -> str:
    correlation = "r not defined" if np.isnan(r) else f"r = {r:.2f}"
    error = "RMSE not defined" if np.isnan(rmse) else f"RMSE {100 * rmse:.1f} points"
    return f"{correlation}, {error}"


def _trainings(outcome: Outcome) -> Illustration:
    cohorts = list(outcome.cohorts.values())

    def draw() -> "Figure":
        figure, axes = grid_of_axes(1, len(cohorts), height_in=3.1)
        for one, ax in zip(cohorts, axes, strict=True):
            _draw_history(one.histories, ax)
            ax.set(xlabel="epoch", ylabel="validation MCC at 0.5", title=one.name)
        _same_ends(axes, "y")
        one_legend(figure, axes)
        return figure

    return Illustration(
        name="trainings",
        title="Validation over the epochs",
        caption=(
            "One thin line a retraining on unseen patients; dot: the epoch with the highest value, "
            f"which is kept. {outcome.note}"
        ),
        alternative="Validation MCC against epoch, one line a retraining.",
        draw=draw,
    )


def _draw_history(histories: pd.DataFrame, ax: Any) -> None:  # noqa: ANN401  # an Axes
    table = histories[histories["scheme"] == "patient"]
    for look, model in zip(LOOKS, ("mlp", "cnn"), strict=False):
        part = table[table["model"] == model]
        for place, (_, run) in enumerate(part.groupby("seed", sort=True)):
            ax.plot(
                run["epoch"],
                run["validation_mcc"],
                look.line,
                color=look.color,
                linewidth=0.9,
                alpha=0.8,
                marker=look.marker,
                markersize=4,
                markevery=[int(np.nan_to_num(run["validation_mcc"].to_numpy()).argmax())],
                label=MODEL_NAMES[model] if place == 0 else None,
            )
