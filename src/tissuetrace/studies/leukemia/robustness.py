"""Tables that say how far to trust the others: leakage, imbalance, the gate, the phantom."""

from typing import Any

import pandas as pd

from tissuetrace.report.provenance import rules_table
from tissuetrace.report.tables import Table, count, interval, number, percent_interval, text
from tissuetrace.studies.leukemia.findings import verdict
from tissuetrace.studies.leukemia.outcome import MODEL_NAMES, Outcome, in_columns, strategy_label
from tissuetrace.studies.leukemia.recovery import FOLDS, SUBJECTS, TREES

__all__ = [
    "gate_tables",
    "leakage_table",
    "recovery_table",
    "strategy_names",
    "strategy_table",
]

Rows = list[dict[str, Any]]


def leakage_table(outcome: Outcome) -> Table:
    """Return the gap between the two schemes over all cells, out of fold."""
    chosen = outcome.settings.featurize.reading
    other = "cell" if chosen == "image" else "image"
    rows: Rows = []
    for reading, model in ((chosen, "forest"), (other, "forest"), (chosen, "area")):
        source = f"folds_{reading}"
        found = {
            scheme: outcome.score("auc", model=model, scheme=scheme, source=source)
            for scheme in ("image", "subject")
        }
        for metric in ("auc", "accuracy", "specificity"):
            found[f"{metric}_gap"] = outcome.score(
                f"{metric}_gap", model=model, scheme="both", source=source
            )
        rows.append({"model": MODEL_NAMES[model], "reading": reading} | in_columns(found))
    told = outcome.resampled(source=outcome.folds_source)
    return Table(
        name="leakage",
        title="By image against by group, over all cells",
        caption=(
            "Every cell judged by a forest that has not seen its fold. Folds cut by image leave "
            "other cells of the same subject in training; folds by group do not. The gap is paired "
            f"on the same cells. {told} Area alone: a logistic regression on the cell's area. "
            f"{outcome.note}"
        ),
        frame=pd.DataFrame(rows),
        columns=(
            text("model", "model"),
            text("reading", "texture over"),
            interval("image", "AUC by image"),
            interval("subject", "AUC by group"),
            interval("auc_gap", "gap in AUC"),
            percent_interval("accuracy_gap", "in accuracy (points)"),
            percent_interval("specificity_gap", "in specificity (points)"),
        ),
    )


def strategy_names(outcome: Outcome) -> list[str]:
    """Return `model:strategy` of every treatment of the imbalance, in the order tried."""
    found = outcome.scores[outcome.scores["source"] == "strategies"]["model"]
    return list(dict.fromkeys(found))


def strategy_table(outcome: Outcome) -> Table:
    """Return every treatment of the imbalance, each also less none."""
    metrics = ("auc", "accuracy", "sensitivity", "specificity", "specificity_chosen", "brier")
    rows: Rows = []
    for name in strategy_names(outcome):
        model, _, strategy = name.partition(":")
        found = {
            metric: outcome.score(metric, model=name, source="strategies") for metric in metrics
        }
        found["gain"] = outcome.score("auc_minus_none", model=name, source="strategies")
        found["gain_folds"] = (
            outcome.score("auc_minus_none", model=strategy, source=outcome.folds_source)
            if model == "forest"
            else outcome.score("", model="")
        )
        row = {"strategy": strategy_label(name)}
        shown = "" if strategy == "none" else verdict(found["gain"], first="better", second="worse")
        rows.append(row | in_columns(found) | {"verdict": shown.removesuffix(" higher")})
    keep = outcome.settings.evaluate.sensitivity
    compared = sum(row["verdict"] != "" for row in rows)
    return Table(
        name="imbalance",
        title="Treatments of the imbalance of classes",
        caption=(
            "Test cells of unseen subjects; resampling touched training rows alone. The gain is "
            "paired on the same cells against no treatment of the same model; none is called "
            "better unless its interval leaves out 0. One seed each; not corrected for "
            f"{compared} comparisons. The last column repeats the forest's comparison over all "
            "groups, out of fold, except EasyEnsemble's: it boosts stumps for minutes per fold, so "
            f"it was judged on the split alone. {outcome.resampled(schemes=('subject',))} "
            f"{outcome.note}"
        ),
        frame=pd.DataFrame(rows),
        columns=(
            text("strategy", "treatment"),
            interval("auc", "AUC"),
            percent_interval("accuracy", "accuracy (%)"),
            percent_interval("sensitivity", "sensitivity (%)"),
            percent_interval("specificity", "specificity (%)"),
            percent_interval("specificity_chosen", f"specificity at {100 * keep:.0f} % kept (%)"),
            interval("brier", "Brier score"),
            interval("gain", "AUC less none"),
            text("verdict", "against none"),
            interval("gain_folds", "the same, all groups"),
        ),
    )


def gate_tables(outcome: Outcome) -> list[Table]:
    """Return the rules of the gate with what was found, and its counts."""
    counts = pd.DataFrame(
        [
            {"what": str(name).replace("_", " "), "count": value}
            for name, value in outcome.evidence["counts"].items()
        ]
    )
    return [
        rules_table(outcome.evidence, note=outcome.note),
        Table(
            name="gate_counts",
            title="What the gate counted",
            caption=(
                "Pairs are images with equal pixels (exact) or almost equal ones (near). "
                f"{outcome.note}"
            ),
            frame=counts,
            columns=(text("what", "what"), count("count", "count")),
        ),
    ]


def recovery_table(outcome: Outcome) -> Table:
    """Return the phantom's known answer against what the lane found."""
    frame = outcome.recovered.assign(
        state=outcome.recovered["passed"].map({True: "recovered", False: "NOT recovered"})
    )
    measured = (
        f"{FOLDS} folds, {TREES} trees and {SUBJECTS[0]} + {SUBJECTS[1]} subjects, at full signal "
        "or none"
    )
    known = (
        f"The bounds hold for {measured}."
        if len(frame)
        else f"No bounds are known for these settings, only for {measured}."
    )
    return Table(
        name="recovery",
        title="Does the lane find what the phantom hides?",
        caption=(
            "The generator's answer is known, so the lane can be scored on it. Cell reading, out "
            f"of fold, all groups. {known} The best AUC that anything can reach on a new subject "
            "is 0.873 at full signal. This shows that the method works; it confirms no paper."
        ),
        frame=frame,
        columns=(
            text("about", "what"),
            number("found", "found", digits=4),
            number("low", "from", digits=3),
            number("high", "to", digits=3),
            text("state", "state"),
        ),
    )
