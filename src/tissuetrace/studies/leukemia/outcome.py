"""All that the report tells of, read once; tables, figures and sentences take it from here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tissuetrace.studies.leukemia.evaluate import Evaluate
from tissuetrace.studies.leukemia.featurize import Featurize
from tissuetrace.studies.leukemia.scores import value_of
from tissuetrace.studies.leukemia.split import Split
from tissuetrace.studies.leukemia.train_cnn import Cnn
from tissuetrace.studies.leukemia.train_forest import Forest
from tissuetrace.studies.leukemia.train_hybrid import Hybrid

if TYPE_CHECKING:
    import pandas as pd

    from tissuetrace.stats.intervals import Interval

__all__ = [
    "MODELS",
    "MODEL_NAMES",
    "SCHEME_NAMES",
    "Outcome",
    "Settings",
    "in_columns",
    "strategy_label",
]

MODELS = ("forest", "cnn", "hybrid")
MODEL_NAMES = {"forest": "random forest", "cnn": "CNN", "hybrid": "hybrid", "area": "area alone"}
SCHEME_NAMES = {"subject": "unseen subjects", "image": "random by image"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the lane found.

    Args:
        origin: of the images, from `source.json`.
        scores: every measure.
        predictions: of the three models.
        subjects: accuracy within groups.
        recovered: bounds of a phantom and whether they hold; no row on real images.
        curves: points by name: roc, precision_recall, calibration, referral.
        importances: of the features, three ways.
        correlations: of the features with the area, in both readings.
        evidence: of the gate.
        token: of the gate.
        settings: that the wording depends on.
    """

    origin: Mapping[str, Any]
    scores: "pd.DataFrame"
    predictions: "pd.DataFrame"
    subjects: "pd.DataFrame"
    recovered: "pd.DataFrame"
    curves: Mapping[str, "pd.DataFrame"]
    importances: "pd.DataFrame"
    correlations: "pd.DataFrame"
    evidence: Mapping[str, Any]
    token: Mapping[str, Any]
    settings: "Settings"

    @property
    def is_phantom(self) -> bool:
        """Whether the images were drawn by our generator."""
        return bool(self.origin["kind"] == "phantom")

    @property
    def note(self) -> str:
        """What every figure and table must say of a phantom; empty for real images."""
        return "Drawn by a generator (phantom); confirms no paper." if self.is_phantom else ""

    @property
    def origin_in_words(self) -> str:
        """What the numbers stem from, for the rows of a CSV file."""
        return "phantom: drawn by a generator; confirms no paper" if self.is_phantom else "images"

    @property
    def folds_source(self) -> str:
        """The out-of-fold predictions of the reading that was chosen."""
        return f"folds_{self.settings.featurize.reading}"

    def score(
        self, metric: str, *, model: str, scheme: str = "subject", source: str = "test"
    ) -> "Interval":
        """Look one score up; NaN where it was not scored."""
        return value_of(self.scores, metric, source=source, scheme=scheme, model=model)

    def resampled(
        self, *, schemes: tuple[str, ...] = ("subject", "image"), source: str = "test"
    ) -> str:
        """Say what the intervals resampled, for a caption."""
        groups = {
            scheme: self.score("auc", model="forest", scheme=scheme, source=source).groups
            for scheme in schemes
        }
        counted = " and ".join(
            f"{count} groups ({SCHEME_NAMES[scheme]})" for scheme, count in groups.items()
        )
        return (
            f"Brackets: 95 % intervals from resampling whole groups of linked subjects within "
            f"each class, not single cells: {counted}, "
            f"{self.settings.evaluate.bootstrap:,} draws."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The sections of `params.yaml` that the report speaks of."""

    evaluate: Evaluate
    featurize: Featurize
    forest: Forest
    cnn: Cnn
    hybrid: Hybrid
    split: Split


def strategy_label(name: str) -> str:
    """Turn `model:strategy` into words."""
    model, _, strategy = name.partition(":")
    return f"{MODEL_NAMES[model]}: {strategy.removeprefix(f'{model}_').replace('_', ' ')}"


def in_columns(found: "Mapping[str, Interval]") -> dict[str, float]:
    """Spread named intervals over the columns `name`, `name_low` and `name_high`."""
    return {
        f"{name}{ending}": value
        for name, one in found.items()
        for ending, value in (("", one.value), ("_low", one.low), ("_high", one.high))
    }
