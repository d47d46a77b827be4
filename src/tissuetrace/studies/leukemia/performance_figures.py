"""Figures of how well the models do: which numbers go on which axes, with what caption."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tissuetrace.report import figures
from tissuetrace.report.figures import Illustration, Spread, grid_of_axes
from tissuetrace.studies.leukemia.outcome import MODEL_NAMES, MODELS, SCHEME_NAMES, Outcome
from tissuetrace.studies.leukemia.paper import confusion_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tissuetrace.stats.intervals import Interval

__all__ = ["performance_figures", "stacked"]

_CLASSES = ("normal", "ALL")


def performance_figures(outcome: Outcome) -> list[Illustration]:
    """Return leakage, curves, confusion tables and referral, in the order of the page."""
    return [
        _leakage(outcome),
        _roc(outcome),
        _precision_recall(outcome),
        _confusion(outcome),
        _calibration(outcome),
        _referral(outcome),
    ]


def stacked(found: "list[Interval]") -> Spread:
    """Put intervals into the arrays that figures take."""
    return Spread(
        value=np.array([one.value for one in found]),
        low=np.array([one.low for one in found]),
        high=np.array([one.high for one in found]),
    )


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
        label: stacked(
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
        title="AUC by image against unseen subjects",
        caption=(
            "Models of the same recipe, trained and scored under both splits. Where cells of one "
            "subject lie on both sides of the split, a model can recognise the subject's stain "
            "instead of the disease. Rows out of fold are of the same cells under both. "
            f"{outcome.resampled(source=outcome.folds_source)} The test rows have fewer groups and "
            f"are on different cells, unpaired. {outcome.note}"
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
        figure, axes = grid_of_axes(1, 2, height_in=4.0)
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
                box_aspect=1,
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
        figure, axes = grid_of_axes(1, 2, height_in=4.0)
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
                box_aspect=1,
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
        "accuracy": "accuracy of the kept",
        "false_positive_rate": "false-positive rate of the kept",
        "false_negative_rate": "false-negative rate of the kept",
    }

    def draw() -> "Figure":
        figure, axes = grid_of_axes(2, 2, height_in=4.8)
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
        alternative="Share kept, accuracy and both kinds of error by asked certainty.",
        draw=draw,
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
