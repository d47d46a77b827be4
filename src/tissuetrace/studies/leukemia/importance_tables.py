"""Which features matter, to the forest beside the paper's and to the hybrid."""

from typing import Any

import pandas as pd

from tissuetrace.report.tables import Column, Table, number, percent, points, text
from tissuetrace.stats.agreement import rank_correlation
from tissuetrace.studies.leukemia.outcome import Outcome
from tissuetrace.studies.leukemia.paper import IMPORTANCES

__all__ = ["importance_tables", "rank_agreement"]

_METHODS = {"mdi": "MDI", "permutation": "permutation", "treeshap": "TreeSHAP"}
_METHODS_IN_WORDS = (
    "Permutation is the loss of held-out AUC when a feature is shuffled, alone or with the cluster "
    "of features that follow it; TreeSHAP is the mean absolute contribution."
)


def importance_tables(outcome: Outcome) -> list[Table]:
    """Return the paper's table 1 with ours beside, the hybrid's where it has one, and ranks."""
    return [_importance_table(outcome), *_hybrid_table(outcome), _agreement_table(outcome)]


def rank_agreement(importances: pd.DataFrame) -> pd.DataFrame:
    """Rank correlation of each way of importance with the paper's ten features.

    Args:
        importances: `scheme, model, method, feature, importance`; the forest's are compared.

    Returns:
        `scheme, method, rank_correlation`.
    """
    rows: list[dict[str, Any]] = []
    paper = pd.Series(IMPORTANCES)
    of_forest = importances[importances["model"] == "forest"]
    for (scheme, method), part in of_forest.groupby(["scheme", "method"]):
        ours = part.set_index("feature")["importance"].reindex(paper.index)
        if method in _METHODS and not ours.isna().any():
            found = rank_correlation(ours.to_numpy(), paper.to_numpy())
            rows.append({"scheme": scheme, "method": method, "rank_correlation": found})
    return pd.DataFrame(rows, columns=["scheme", "method", "rank_correlation"])


def _importance_table(outcome: Outcome) -> Table:
    wide = _by_method(outcome, model="forest", scheme="subject")
    wide["mdi_image"] = _by_method(outcome, model="forest", scheme="image")["mdi"]
    wide["paper"] = pd.Series(IMPORTANCES) / 100
    wide["deviation"] = wide["mdi_image"] - wide["paper"]
    wide = wide.sort_values("mdi_image", ascending=False, kind="stable").reset_index()
    reading = outcome.settings.featurize.reading
    return Table(
        name="table_1_importances",
        title="Table 1: which features matter to the forest",
        caption=(
            f"Texture over the {reading} (reading). MDI is the mean decrease in impurity, as in "
            "the paper, in percent of the whole. The paper splits by image, so the deviation is "
            "that of our forest trained on the image scheme; all other columns of ours are of the "
            "forest trained on the subject scheme. "
            f"{_METHODS_IN_WORDS} The paper prints ten of fifteen. {outcome.note}"
        ),
        frame=wide,
        columns=(
            text("feature", "feature"),
            percent("paper", "paper, MDI", digits=2),
            percent("mdi_image", "ours by image, MDI", digits=2),
            points("deviation", "deviation (points)"),
            percent("mdi", "ours, unseen subjects, MDI", digits=2),
            *_held_out_columns(),
        ),
    )


def _hybrid_table(outcome: Outcome) -> list[Table]:
    """Return the hybrid's importances; a mean of two probabilities has none."""
    if not (outcome.importances["model"] == "hybrid").any():
        return []
    wide = _by_method(outcome, model="hybrid", scheme="subject")
    wide["mdi_image"] = _by_method(outcome, model="hybrid", scheme="image")["mdi"]
    wide = wide.sort_values("mdi", ascending=False, kind="stable").reset_index()
    title = "Which features matter to the hybrid, the CNN's embedding among them"
    return [
        Table(
            name="hybrid_importances",
            title=title,
            caption=(
                "Forest on the measured features and the CNN's 64 units; `embedding` is all units "
                "as one group. MDI in percent of the whole, under both schemes; the other columns "
                f"are of the subject scheme. {_METHODS_IN_WORDS} The paper has no hybrid. "
                f"{outcome.note}"
            ),
            frame=wide,
            columns=(
                text("feature", "feature"),
                percent("mdi", "unseen subjects, MDI", digits=2),
                percent("mdi_image", "by image, MDI", digits=2),
                *_held_out_columns(),
            ),
        )
    ]


def _by_method(outcome: Outcome, *, model: str, scheme: str) -> pd.DataFrame:
    """Return a row a feature and a column a method, with MDI as a share of the whole."""
    found = outcome.importances
    found = found[(found["model"] == model) & (found["scheme"] == scheme)]
    wide = found.pivot_table(index="feature", columns="method", values="importance", sort=False)
    wide = wide.reindex(columns=[*_METHODS, "permutation_cluster"])
    wide["mdi"] /= wide["mdi"].sum()
    return wide


def _held_out_columns() -> tuple[Column, ...]:
    return (
        number("permutation", "permutation (AUC)", digits=4),
        number("permutation_cluster", "the same with its cluster", digits=4),
        number("treeshap", "TreeSHAP", digits=4),
    )


def _agreement_table(outcome: Outcome) -> Table:
    frame = rank_agreement(outcome.importances)
    frame["name"] = frame["method"].map(_METHODS)
    return Table(
        name="importance_agreement",
        title="Does our order of features agree with the paper's?",
        caption=(
            "Spearman's rank correlation over the ten features that the paper prints: 1 is the "
            f"same order, 0 none, -1 the reverse. {outcome.note}"
        ),
        frame=frame,
        columns=(
            text("scheme", "scheme"),
            text("name", "importance"),
            number("rank_correlation", "rank correlation", digits=2),
        ),
    )
