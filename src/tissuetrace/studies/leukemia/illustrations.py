"""The figures of the report: which numbers go on which axes, with what caption."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tissuetrace.report import figures
from tissuetrace.report.figures import Spread, grid_of_axes
from tissuetrace.studies.leukemia.findings import strategy_names
from tissuetrace.studies.leukemia.outcome import MODEL_NAMES, MODELS, SCHEME_NAMES, Outcome
from tissuetrace.studies.leukemia.paper import IMPORTANCES, confusion_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

    from tissuetrace.stats.intervals import Interval

__all__ = ["Illustration", "illustrations"]

_CLASSES = ("normal", "ALL")


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
    draw: "Callable[[], Figure]"


def illustrations(outcome: Outcome) -> list[Illustration]:
    """Return every figure but the gallery, in the order of the page."""
    return [
        _leakage(outcome),
        _roc(outcome),
        _precision_recall(outcome),
        _confusion(outcome),
        _calibration(outcome),
        _referral(outcome),
        _per_subject(outcome),
        _importances(outcome),
        _correlations(outcome),
        _imbalance(outcome),
    ]


def _leakage(outcome: Outcome) -> Illustration:
    chosen = outcome.settings.featurize.reading
    other = "cell" if chosen == "image" else "image"
    rows = [
        (f"forest, texture over {chosen},\nall cells out of fold", "forest", f"folds_{chosen}"),
        (f"forest, texture over {other},\nall cells out of fold", "forest", f"folds_{other}"),
        ("area alone,\nall cells out of fold", "area", f"folds_{chosen}"),
        ("forest, test", "forest", "test"),
        ("CNN, test", "cnn", "test"),
        ("hybrid, test", "hybrid", "test"),
    ]
    pairs = {
        label: _stacked(
            [
                outcome.score("auc", model=model, scheme=scheme, source=source)
                for _, model, source in rows
            ]
        )
        for scheme, label in (("subject", "unseen subjects"), ("image", "random by image"))
    }

    def draw() -> "Figure":
        figure, (ax,) = grid_of_axes(1, 1, height_in=3.6)
        figures.draw_pairs([name for name, _, _ in rows], pairs, ax=ax)
        ax.set(xlabel="AUC")
        return figure

    return Illustration(
        name="leakage",
        title="A random split flatters: AUC by image against unseen subjects",
        caption=(
            "The same model scored twice. Where cells of one subject lie on both sides of the "
            "split, a model can recognise the subject's stain instead of the disease. "
            f"{outcome.resampled(model='forest', source=outcome.folds_source)} The test rows have "
            f"fewer groups. {outcome.note}"
        ),
        alternative="AUC of each model by image and on unseen subjects, with intervals.",
        draw=draw,
    )


def _roc(outcome: Outcome) -> Illustration:
    points = outcome.curves["roc"]
    marks = {
        f"paper, {MODEL_NAMES[model]}": (
            confusion_of(model, "test").false_positive_rate,
            confusion_of(model, "test").sensitivity,
        )
        for model in ("forest", "cnn")
    }

    def draw() -> "Figure":
        figure, axes = grid_of_axes(1, 2, height_in=3.7)
        for scheme, ax in zip(("subject", "image"), axes, strict=True):
            curves = {
                _with_auc(outcome, model, scheme): _curve(
                    points, "false_positive_rate", model, scheme
                )
                for model in MODELS
            }
            figures.draw_curves(curves, ax=ax, diagonal=True)
            if scheme == "image":
                figures.draw_marks(marks, ax=ax)
            ax.set(
                xlabel="false-positive rate",
                ylabel="sensitivity",
                title=SCHEME_NAMES[scheme],
                xlim=(-0.02, 1.02),
                ylim=(-0.02, 1.02),
                aspect="equal",
            )
            ax.legend(loc="lower right", fontsize=7.5)
        return figure

    return Illustration(
        name="roc",
        title="ROC curves on test",
        caption=(
            "Black marks: the paper's operating points (random split; its CNN reconstructed). "
            "Curves carry no interval; the table of models has those of the AUC. "
            f"{outcome.note}"
        ),
        alternative="Sensitivity against false-positive rate, three models, two splits.",
        draw=draw,
    )


def _precision_recall(outcome: Outcome) -> Illustration:
    points = outcome.curves["precision_recall"]

    def draw() -> "Figure":
        figure, axes = grid_of_axes(1, 2, height_in=3.3)
        for scheme, ax in zip(("subject", "image"), axes, strict=True):
            curves = {
                MODEL_NAMES[model]: _curve(points, "recall", model, scheme) for model in MODELS
            }
            figures.draw_curves(curves, ax=ax)
            ax.axhline(_share_of_all(outcome, scheme), color="0.4", linewidth=0.8, linestyle=":")
            ax.set(
                xlabel="recall of ALL",
                ylabel="precision of ALL",
                title=SCHEME_NAMES[scheme],
                xlim=(-0.02, 1.02),
                ylim=(0, 1.03),
            )
            ax.legend(loc="lower left")
        return figure

    return Illustration(
        name="precision_recall",
        title="Precision and recall on test",
        caption=(
            "Dotted: the share of ALL cells in the set, which calling everything ALL would reach. "
            f"{outcome.note}"
        ),
        alternative="Precision against recall, three models, two splits.",
        draw=draw,
    )


def _confusion(outcome: Outcome) -> Illustration:
    def draw() -> "Figure":
        figure, axes = grid_of_axes(2, 3, height_in=5.0)
        places = [(scheme, model) for scheme in ("subject", "image") for model in MODELS]
        for (scheme, model), ax in zip(places, axes, strict=True):
            cells = [
                outcome.score(key, model=model, scheme=scheme).value
                for key in ("tn", "fp", "fn", "tp")
            ]
            counts = np.nan_to_num(np.array(cells)).reshape(2, 2)
            figures.draw_confusion(counts, classes=_CLASSES, ax=ax)
            ax.set_title(f"{MODEL_NAMES[model]}\n{SCHEME_NAMES[scheme]}", fontsize=8.5)
        return figure

    return Illustration(
        name="confusion",
        title="Confusion tables on test, threshold 0.5",
        caption=(
            "Rows: what a cell is; columns: what it was called. Percentages are of the row, so the "
            f"upper right field is the false-positive rate. {outcome.note}"
        ),
        alternative="Counts of actual against called class for three models and two splits.",
        draw=draw,
    )


def _calibration(outcome: Outcome) -> Illustration:
    points = outcome.curves["calibration"]

    def draw() -> "Figure":
        figure, axes = grid_of_axes(1, 2, height_in=3.7)
        for scheme, ax in zip(("subject", "image"), axes, strict=True):
            curves = {}
            for model in MODELS:
                name = f"{model}_{scheme}"
                error = outcome.score("calibration_error", model=model, scheme=scheme).value
                curves[f"{MODEL_NAMES[model]}, error {error:.3f}"] = (
                    points[f"{name}_probability"].to_numpy(dtype=float),
                    points[f"{name}_observed"].to_numpy(dtype=float),
                )
            figures.draw_curves(curves, ax=ax, with_markers=True, diagonal=True)
            ax.set(
                xlabel="mean probability of ALL",
                ylabel="observed share of ALL",
                title=SCHEME_NAMES[scheme],
                xlim=(-0.02, 1.02),
                ylim=(-0.02, 1.02),
                aspect="equal",
            )
            ax.legend(loc="upper left", fontsize=7.5)
        return figure

    return Illustration(
        name="calibration",
        title="Calibration on test: does a probability of 0.8 come true four times in five?",
        caption=(
            "Ten bins of equal count; on the dotted line a model is calibrated. Error: mean "
            f"distance from it, weighted by cells. {outcome.note}"
        ),
        alternative="Observed share of ALL against mean probability, three models, two splits.",
        draw=draw,
    )


def _referral(outcome: Outcome) -> Illustration:
    points = outcome.curves["referral"]
    panels = {
        "kept": "share of cells kept",
        "false_positive_rate": "false-positive rate of the kept",
        "false_negative_rate": "false-negative rate of the kept",
    }

    def draw() -> "Figure":
        figure, axes = grid_of_axes(1, 3, height_in=2.9)
        for (key, title), ax in zip(panels.items(), axes, strict=True):
            curves = {
                MODEL_NAMES[model]: (
                    points["threshold"].to_numpy(),
                    points[f"{model}_subject_{key}"].to_numpy(dtype=float),
                )
                for model in MODELS
            }
            figures.draw_curves(curves, ax=ax)
            ax.set(xlabel="certainty asked for", ylim=(-0.02, 1.02))
            ax.set_title(title, fontsize=8.5)
        axes[0].legend(loc="lower left", fontsize=7.5)
        return figure

    return Illustration(
        name="referral",
        title="Referral: what is left to a model when unsure cells go to a person",
        caption=(
            "Unseen subjects, test. A cell is kept where max(p, 1 - p) reaches the certainty asked "
            "for; the others are referred. A line ends where no cell of that class is kept. "
            f"{outcome.note}"
        ),
        alternative="Share kept, false-positive and false-negative rate by asked certainty.",
        draw=draw,
    )


def _per_subject(outcome: Outcome) -> Illustration:
    table = outcome.subjects
    chosen = table[
        (table["source"] == "folds") & (table["scheme"] == "subject") & (table["model"] == "forest")
    ]

    def draw() -> "Figure":
        figure, axes = grid_of_axes(2, 1, height_in=4.6)
        for label, ax in zip((0, 1), axes, strict=True):
            part = chosen[chosen["label"] == label].sort_values(
                ["accuracy", "group"], kind="stable"
            )
            names = [str(group) for group in part["group"]]
            sizes = part["items"].to_numpy(dtype=float)
            figures.draw_dots(names, part["accuracy"].to_numpy(), sizes, ax=ax)
            if len(sizes):
                figures.size_legend(sorted({sizes.min(), sizes.max()}), ax=ax)
            ax.set(ylabel="share called right", title=f"{_CLASSES[label]} subjects")
        axes[1].set_xlabel("group of linked subjects (number, not the subject's name)")
        return figure

    return Illustration(
        name="per_subject",
        title="Some subjects are read far worse than others",
        caption=(
            "Forest, each group judged out of fold by group, threshold 0.5. A mean over cells "
            f"hides subjects that a model fails on. Size: number of cells. {outcome.note}"
        ),
        alternative="Accuracy within each group, normal above, ALL below, from worst to best.",
        draw=draw,
    )


def _importances(outcome: Outcome) -> Illustration:
    forest = outcome.importances[
        (outcome.importances["model"] == "forest") & (outcome.importances["scheme"] == "subject")
    ]
    by = {str(name): part.set_index("feature") for name, part in forest.groupby("method")}

    def draw() -> "Figure":
        figure, axes = grid_of_axes(1, 4, height_in=3.9)
        order = by["mdi"]["importance"].sort_values(ascending=False, kind="stable").index
        paper = (pd.Series(IMPORTANCES)).reindex(order).to_numpy(dtype=float)
        figures.draw_bars(list(order), paper, ax=axes[0])
        axes[0].set(xlabel="percent", title="paper, MDI")
        for (method, title, unit), ax in zip(
            (
                ("mdi", "ours, MDI", "percent"),
                ("permutation", "permutation", "loss of AUC"),
                ("treeshap", "TreeSHAP", "mean |share|"),
            ),
            axes[1:],
            strict=True,
        ):
            part = by[method].reindex(order)
            scale = 100 / part["importance"].sum() if method == "mdi" else 1.0
            values = scale * part["importance"].to_numpy(dtype=float)
            spread = scale * part["spread"].to_numpy(dtype=float)
            figures.draw_bars(list(order), values, ax=ax, spread=spread)
            ax.set(xlabel=unit, title=title)
            ax.set_yticklabels([])
        return figure

    return Illustration(
        name="importances",
        title="Which features matter: three ways, and the paper's",
        caption=(
            "Forest of the subject scheme, features sorted by our MDI; gaps in the paper's column "
            "are the five features it does not print. Whiskers: spread over trees or repeats. "
            "Features that carry the same information share their importance, each in its own way. "
            f"{outcome.note}"
        ),
        alternative="Bars of 15 features for the paper's MDI and our MDI, permutation, TreeSHAP.",
        draw=draw,
    )


def _correlations(outcome: Outcome) -> Illustration:
    wide = outcome.correlations.pivot_table(
        index="feature", columns="reading", values="spearman_with_area", sort=False
    )
    nothing = np.full(len(wide), np.nan)

    def draw() -> "Figure":
        figure, (ax,) = grid_of_axes(1, 1, height_in=4.4)
        pairs = {
            f"texture over the {name}": Spread(
                value=wide[reading].to_numpy(), low=nothing, high=nothing
            )
            for reading, name in (("image", "whole image"), ("cell", "cell alone"))
        }
        figures.draw_pairs(list(wide.index), pairs, ax=ax)
        ax.axvline(0, color="black", linewidth=0.8)
        ax.set(xlabel="rank correlation with the cell's area", xlim=(-1.05, 1.05))
        return figure

    return Illustration(
        name="area_correlations",
        title="Texture over the whole image is area in disguise",
        caption=(
            "Spearman's rank correlation of every feature with the area, in both readings. With "
            "black background counted, energy, mean and skewness mostly tell a cell's size. "
            f"{outcome.note}"
        ),
        alternative="Rank correlation with area for 15 features in two readings.",
        draw=draw,
    )


def _imbalance(outcome: Outcome) -> Illustration:
    names = strategy_names(outcome)
    shown = [_strategy_label(name) for name in names]
    keep = outcome.settings.evaluate.sensitivity

    def draw() -> "Figure":
        figure, axes = grid_of_axes(1, 3, height_in=0.34 * len(names) + 1.2)
        panels = (
            ("auc", "AUC", 0.5),
            ("specificity_chosen", f"specificity at {100 * keep:.0f} % kept", None),
            ("auc_minus_none", "AUC less none", 0.0),
        )
        for (metric, title, reference), ax in zip(panels, axes, strict=True):
            found = [outcome.score(metric, model=name, source="strategies") for name in names]
            figures.draw_intervals(shown, _stacked(found), ax=ax, reference=reference)
            ax.set_title(title, fontsize=8.5)
        for ax in axes[1:]:
            ax.set_yticklabels([])
        return figure

    return Illustration(
        name="imbalance",
        title="Treatments of the imbalance of classes",
        caption=(
            "Unseen subjects, test. Right: paired with no treatment of the same model on the same "
            "cells; only an interval that leaves out 0 would show a gain. "
            f"{outcome.resampled(model='forest')} {outcome.note}"
        ),
        alternative="Bars with intervals of AUC, specificity and gain for every treatment.",
        draw=draw,
    )


def _strategy_label(name: str) -> str:
    model, _, strategy = name.partition(":")
    return f"{model.upper() if model == 'cnn' else model}: {strategy.replace('_', ' ')}"


def _stacked(found: "list[Interval]") -> Spread:
    return Spread(
        value=np.array([one.value for one in found]),
        low=np.array([one.low for one in found]),
        high=np.array([one.high for one in found]),
    )


def _curve(points: pd.DataFrame, x: str, model: str, scheme: str) -> tuple[np.ndarray, np.ndarray]:
    return points[x].to_numpy(), points[f"{model}_{scheme}"].to_numpy(dtype=float)


def _with_auc(outcome: Outcome, model: str, scheme: str) -> str:
    return f"{MODEL_NAMES[model]}, AUC {outcome.score('auc', model=model, scheme=scheme).value:.3f}"


def _share_of_all(outcome: Outcome, scheme: str) -> float:
    counts = {
        key: outcome.score(key, model="forest", scheme=scheme).value
        for key in ("tn", "fp", "fn", "tp")
    }
    total = sum(counts.values())
    return (counts["fn"] + counts["tp"]) / total if total else float("nan")
