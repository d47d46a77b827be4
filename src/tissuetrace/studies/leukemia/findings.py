"""Our own tables: the models, one against the other, at both thresholds, over seeds."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from tissuetrace.report.tables import (
    Table,
    count,
    interval,
    number,
    percent,
    percent_interval,
    text,
)
from tissuetrace.studies.leukemia.outcome import (
    MODEL_NAMES,
    MODELS,
    SCHEME_NAMES,
    Outcome,
    in_columns,
)
from tissuetrace.studies.leukemia.paper import ANCHORS, confusion_of

if TYPE_CHECKING:
    from tissuetrace.stats.intervals import Interval

__all__ = [
    "difference_table",
    "group_table",
    "headline_table",
    "model_table",
    "preliminary_table",
    "seed_table",
    "threshold_table",
    "verdict",
]

Rows = list[dict[str, Any]]


def verdict(found: "Interval", *, first: str, second: str) -> str:
    """Say in words whether a paired difference is shown: its interval must leave 0 out."""
    if not found.low <= found.high:  # NaN
        return "too few groups to tell"
    if found.low <= 0 <= found.high:
        return "no difference shown"
    return f"{first if found.low > 0 else second} higher"


def model_table(outcome: Outcome) -> Table:
    """Return every model under both schemes on its test set."""
    metrics = ("auc", "accuracy", "sensitivity", "false_positive_rate", "weighted_f1", "brier")
    rows: Rows = []
    for scheme in ("subject", "image"):
        for model in MODELS:
            found = {name: outcome.score(name, model=model, scheme=scheme) for name in metrics}
            row = {"model": MODEL_NAMES[model], "scheme": SCHEME_NAMES[scheme]}
            rows.append(row | in_columns(found) | {"groups": found["auc"].groups})
    return Table(
        name="models",
        title="The three models on test, threshold 0.5",
        caption=(
            "Unseen subjects: no group of linked subjects lies in two splits. Random by image: as "
            "the paper splits; cells of one subject lie on both sides. "
            f"{outcome.resampled()} First training seed of each model. "
            f"{ANCHORS} {outcome.note}"
        ),
        frame=pd.DataFrame(rows),
        columns=(
            text("model", "model"),
            text("scheme", "split"),
            interval("auc", "AUC"),
            percent_interval("accuracy", "accuracy (%)"),
            percent_interval("sensitivity", "sensitivity (%)"),
            percent_interval("false_positive_rate", "false-positive rate (%)"),
            percent_interval("weighted_f1", "weighted F1 (%)"),
            count("groups", "groups"),
        ),
    )


def difference_table(outcome: Outcome) -> Table:
    """Return paired differences between models on the same test cells."""
    rows: Rows = []
    for scheme in ("subject", "image"):
        for first, second in (("cnn", "forest"), ("hybrid", "forest"), ("hybrid", "cnn")):
            pair = f"{first}-{second}"
            found = {
                name: outcome.score(f"{name}_difference", model=pair, scheme=scheme)
                for name in ("auc", "accuracy", "specificity")
            }
            names = {"first": MODEL_NAMES[first], "second": MODEL_NAMES[second]}
            row = {"pair": f"{names['first']} less {names['second']}"}
            row |= {"scheme": SCHEME_NAMES[scheme]}
            row |= {"verdict": verdict(found["auc"], **names)}
            p_value = outcome.score("mcnemar_p", model=pair, scheme=scheme).value
            rows.append(row | in_columns(found) | {"mcnemar_p": p_value})
    return Table(
        name="differences",
        title="Is one model better? The same cells, model against model",
        caption=(
            "Differences of two models on the same test cells; a model is called higher only "
            "where the interval of the AUC leaves out 0. One seed each; not corrected for "
            f"{len(rows)} comparisons. {outcome.resampled()} McNemar's exact p takes cells for "
            "independent, which those of one subject are not: a footnote, it decides nothing. "
            f"{outcome.note}"
        ),
        frame=pd.DataFrame(rows),
        columns=(
            text("pair", "difference"),
            text("scheme", "split"),
            interval("auc", "AUC"),
            text("verdict", "by AUC"),
            percent_interval("accuracy", "accuracy (points)"),
            percent_interval("specificity", "specificity (points)"),
            number("mcnemar_p", "McNemar p", digits=3),
        ),
    )


def threshold_table(outcome: Outcome) -> Table:
    """Return the models at the threshold that was chosen on validation."""
    metrics = ("accuracy", "sensitivity", "specificity", "false_positive_rate")
    rows: Rows = []
    for scheme in ("subject", "image"):
        for model in MODELS:
            chosen = outcome.score(
                "threshold_chosen", model=model, scheme=scheme, source="validation"
            )
            found = {
                name: outcome.score(f"{name}_chosen", model=model, scheme=scheme)
                for name in metrics
            }
            row = {"model": MODEL_NAMES[model], "scheme": SCHEME_NAMES[scheme]}
            rows.append(row | {"threshold": chosen.value} | in_columns(found))
    keep = outcome.settings.evaluate.sensitivity
    return Table(
        name="thresholds",
        title=f"At the threshold that keeps {100 * keep:.0f} % sensitivity on validation",
        caption=(
            "The threshold was chosen on validation and applied to test once, so the sensitivity "
            f"on test may be another. {outcome.resampled()} {outcome.note}"
        ),
        frame=pd.DataFrame(rows),
        columns=(
            text("model", "model"),
            text("scheme", "split"),
            number("threshold", "threshold", digits=3),
            percent_interval("sensitivity", "sensitivity (%)"),
            percent_interval("specificity", "specificity (%)"),
            percent_interval("false_positive_rate", "false-positive rate (%)"),
            percent_interval("accuracy", "accuracy (%)"),
        ),
    )


def seed_table(outcome: Outcome) -> Table:
    """Return what training again with another seed changes."""
    rows: Rows = []
    for scheme in ("subject", "image"):
        for model in MODELS:
            over = outcome.score("auc_over_seeds", model=model, scheme=scheme)
            row: dict[str, Any] = {"model": MODEL_NAMES[model], "scheme": SCHEME_NAMES[scheme]}
            row |= {"seeds": over.groups, "mean": over.value, "lowest": over.low}
            rows.append(row | {"highest": over.high, "standard_deviation": over.se})
    return Table(
        name="seeds",
        title="Training variance: the same data, other seeds",
        caption=(
            "AUC on test over all training seeds. This is a variance of its own and no part of the "
            "intervals above, which resample subjects for one trained model. One seed has no "
            f"spread. {outcome.note}"
        ),
        frame=pd.DataFrame(rows),
        columns=(
            text("model", "model"),
            text("scheme", "split"),
            count("seeds", "seeds"),
            number("mean", "mean AUC"),
            number("lowest", "lowest"),
            number("highest", "highest"),
            number("standard_deviation", "standard deviation", digits=4),
        ),
    )


def preliminary_table(outcome: Outcome) -> Table:
    """Return the models on the images of the preliminary phase, which no training has seen."""
    metrics = ("auc", "accuracy", "weighted_f1", "false_positive_rate")
    rows: Rows = []
    for scheme in ("subject", "image"):
        for model in MODELS:
            found = {
                name: outcome.score(name, model=model, scheme=scheme, source="prelim")
                for name in ("tn", "fp", "fn", "tp", *metrics)
            }
            row: dict[str, Any] = {"model": MODEL_NAMES[model], "scheme": SCHEME_NAMES[scheme]}
            row |= {"cells": sum(found.pop(name).value for name in ("tn", "fp", "fn", "tp"))}
            rows.append(row | in_columns(found))
    return Table(
        name="preliminary",
        title="On the images of the preliminary phase",
        caption=(
            "No training has seen a subject of this phase: cells that share a group with training "
            f"are left out. {outcome.resampled(source='prelim')} {ANCHORS} {outcome.note}"
        ),
        frame=pd.DataFrame(rows),
        columns=(
            text("model", "model"),
            text("scheme", "trained on split"),
            count("cells", "cells"),
            interval("auc", "AUC"),
            percent_interval("accuracy", "accuracy (%)"),
            percent_interval("weighted_f1", "weighted F1 (%)"),
            percent_interval("false_positive_rate", "false-positive rate (%)"),
        ),
    )


def group_table(outcome: Outcome) -> Table:
    """Return the accuracy within each group: numbers of groups, no name of a subject."""
    table = outcome.subjects
    forest = (table["scheme"] == "subject") & (table["model"] == "forest")
    chosen = table[forest & (table["source"] == "folds")].sort_values(["label", "group"])
    frame = chosen[["group", "label", "items", "accuracy"]].rename(columns={"items": "cells"})
    return Table(
        name="per_group",
        title="Accuracy within each group of linked subjects",
        caption=(
            "Forest, each group judged out of fold by group, threshold 0.5; label 1 is ALL. "
            f"{outcome.note}"
        ),
        frame=frame.reset_index(drop=True),
        columns=(
            count("group", "group (number)"),
            count("label", "label"),
            count("cells", "cells"),
            percent("accuracy", "accuracy"),
        ),
    )


def headline_table(outcome: Outcome) -> Table:
    """Return the few numbers of the first screen, ours beside the paper's."""
    rows: Rows = []
    for metric, quantity in (
        ("auc", "AUC"),
        ("accuracy", "accuracy"),
        ("false_positive_rate", "false-positive rate"),
    ):
        for model in MODELS:
            for scheme in ("subject", "image"):
                found = outcome.score(metric, model=model, scheme=scheme)
                paper = float("nan")
                if scheme == "image" and metric != "auc" and model != "hybrid":
                    paper = getattr(confusion_of(model, "test"), metric)
                row: dict[str, Any] = {"quantity": quantity, "model": MODEL_NAMES[model]}
                row |= {"split": SCHEME_NAMES[scheme]} | in_columns({"ours": found})
                row |= {"groups": found.groups, "paper": paper}
                rows.append(row | {"deviation_points": 100 * (found.value - paper)})
    return Table(
        name="headline",
        title="Headline",
        caption=(
            "The paper splits at random by image and gives no AUC; its CNN's numbers are "
            f"reconstructed from its text. {outcome.resampled()} {outcome.note}"
        ),
        frame=pd.DataFrame(rows),
        columns=(
            text("quantity", "quantity"),
            text("model", "model"),
            text("split", "split"),
            interval("ours", "ours"),
            number("paper", "paper"),
            number("deviation_points", "deviation (points)", digits=1),
        ),
    )
