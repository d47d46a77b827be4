"""The published numbers, as plain data, each with where it stands in the paper.

Wang & Thomson, "Generating counterfactual explanations of tumor spatial proteomes to discover
effective, combinatorial therapies that enhance cancer immunotherapy".
"""

from dataclasses import dataclass

__all__ = [
    "CITATION",
    "CLAIMS",
    "COHORTS",
    "DIRECTIONS",
    "EXCLUDED",
    "MEASURED",
    "MODELS",
    "PUBLISHED",
    "SEARCH",
    "Published",
    "published",
]

CITATION = (
    "Wang & Thomson, Generating counterfactual explanations of tumor spatial proteomes to discover "
    "effective, combinatorial therapies that enhance cancer immunotherapy"
)

COHORTS = {
    "melanoma": "Hoch 2022: 159 cores of 69 patients, 41 channels, 1 µm, cores of about 1 mm",
    "breast": "Danenberg 2022: 749 cores of 693 patients, 37 channels, 1 µm, 93 % of 0.6 mm",
}
MODELS = ("mlp", "cnn")

# Table 2: p, c, beta, theta, k of the search
SEARCH = {"p": 0.8, "c": 100.0, "beta": 0.1, "theta": 100.0, "k": 1.0}

# Fig. 4A: the channels of the strategy, raised (+1) or lowered (-1); melanoma alone
DIRECTIONS = {"CXCL9": 1, "CXCL10": 1, "CXCL12": 1, "CCL19": 1, "CCL8": -1}
EXCLUDED = 34  # immune-excluded patients of the melanoma cohort

# Results of the perturbations (melanoma alone; Fig. 4 and its text): key, claim
CLAIMS = {
    "targets": "CXCL9, CXCL10, CXCL12 and CCL19 raised, CCL8 lowered",
    "fold": "about tenfold",
    "improve": f"nearly all of {EXCLUDED} improve",
    "single": "no single target helps",
    "size": "four targets help, more than five add little",
}
# Channels that were measured; which of them the classifiers see is not said
MEASURED = {"melanoma": 41, "breast": 37}


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One number of Table 1 or Table 3.

    Args:
        cohort: melanoma or breast.
        model: mlp or cnn.
        metric: named as our scores are.
        threshold: of the probability; 0 for an AUC, which has none.
        value: share, 0 to 1; the MCC lies between -1 and 1.
        reach: half the width of its 95 % interval over 8 retrainings.
        place: the table.
    """

    cohort: str
    model: str
    metric: str
    threshold: float
    value: float
    reach: float
    place: str


# cohort, model, then precision, recall, F1, AUC, MCC as value and half width, in percent
_TABLE_1 = (
    ("melanoma", "mlp", (79, 1), (40, 3), (52, 1), (92, 0.2), (53, 1)),
    ("melanoma", "cnn", (82, 2), (45, 3), (60, 2), (94, 0.5), (55, 3)),
    ("breast", "mlp", (75, 3), (21, 5), (33, 3), (94, 0.2), (47, 1)),
    ("breast", "cnn", (88, 1), (32, 2), (47, 2), (97, 0.1), (63, 2)),
)
# cohort, model, then precision, recall, F1
_TABLE_3 = (
    ("melanoma", "mlp", (70, 1), (55, 2), (62, 1)),
    ("melanoma", "cnn", (71, 2), (58, 2), (63, 2)),
    ("breast", "mlp", (65, 3), (38, 3), (48, 0.3)),
    ("breast", "cnn", (72, 2), (65, 2), (68, 1)),
)
_METRICS = ("precision", "recall", "f1", "auc", "mcc")

PUBLISHED = tuple(
    Published(
        cohort=str(cohort),
        model=str(model),
        metric=metric,
        threshold=0.0 if metric == "auc" else threshold,
        value=value / 100,
        reach=reach / 100,
        place=place,
    )
    for table, threshold, place in ((_TABLE_1, 0.8, "Table 1"), (_TABLE_3, 0.5, "Table 3"))
    for cohort, model, *numbers in table
    for metric, (value, reach) in zip(_METRICS, numbers, strict=False)
)


def published(cohort: str, model: str, metric: str, threshold: float) -> Published | None:
    """Look a published number up; None where the paper prints none.

    Args:
        cohort: melanoma or breast; any other has none.
        model: mlp or cnn.
        metric: precision, recall, f1, auc or mcc.
        threshold: of the probability; 0 for the AUC.
    """
    asked = (cohort, model, metric, threshold)
    for one in PUBLISHED:
        if (one.cohort, one.model, one.metric, one.threshold) == asked:
            return one
    return None
