"""Figures of subjects, features and strategies: what goes on which axes, with what caption."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from tissuetrace.report import figures
from tissuetrace.report.figures import Illustration, Spread, grid_of_axes
from tissuetrace.studies.leukemia.outcome import Outcome, strategy_label
from tissuetrace.studies.leukemia.paper import IMPORTANCES
from tissuetrace.studies.leukemia.performance_figures import stacked
from tissuetrace.studies.leukemia.robustness import strategy_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["feature_figures"]

_CLASSES = ("normal", "ALL")


def feature_figures(outcome: Outcome) -> list[Illustration]:
    """Return subjects, importances, correlations and imbalance, in the order of the page."""
    return [
        _per_subject(outcome),
        _importances(outcome),
        _correlations(outcome),
        _imbalance(outcome),
    ]


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
        title="Accuracy within each group of linked subjects",
        caption=(
            "Forest, each group judged out of fold by group, threshold 0.5. A mean over cells "
            "hides subjects that a model fails on. Size: number of cells. The rows are in "
            "tables/per_group.csv. "
            f"{outcome.note}"
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
            over_repeats = part["spread"].to_numpy(dtype=float)
            spread = over_repeats if method == "permutation" else None
            figures.draw_bars(list(order), values, ax=ax, spread=spread)
            ax.set(xlabel=unit, title=title)
            ax.set_yticklabels([])
        return figure

    return Illustration(
        name="importances",
        title="Which features matter: three ways, and the paper's",
        caption=(
            "Forest of the subject scheme, features sorted by our MDI; gaps in the paper's column "
            "are the five features it does not print. Whiskers: standard "
            "deviation over repeated shuffles. "
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
        title="How much of each feature is the area of the cell",
        caption=(
            "Spearman's rank correlation of every feature with the area, in both readings. Where "
            "the black background is counted, a feature near 1 or -1 tells little but size. "
            f"{outcome.note}"
        ),
        alternative="Rank correlation with area for 15 features in two readings.",
        draw=draw,
    )


def _imbalance(outcome: Outcome) -> Illustration:
    names = strategy_names(outcome)
    shown = [strategy_label(name) for name in names]
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
            figures.draw_intervals(shown, stacked(found), ax=ax, reference=reference)
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
            f"{outcome.resampled(schemes=('subject',))} {outcome.note}"
        ),
        alternative="Bars with intervals of AUC, specificity and gain for every treatment.",
        draw=draw,
    )
