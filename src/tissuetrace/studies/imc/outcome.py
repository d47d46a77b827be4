"""All that the report tells of, read once; tables, figures and sentences take it from here."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tissuetrace.stats.retrainings import MeanInterval
from tissuetrace.studies.imc.cohorts import SCHEMES, Cohort
from tissuetrace.studies.imc.shown_scores import NO_SCORE, Score, range_of, shown_score

if TYPE_CHECKING:
    import pandas as pd

    from tissuetrace.studies.imc.decoy import Decoy
    from tissuetrace.studies.imc.effect import Effect
    from tissuetrace.studies.imc.evaluate import Evaluate
    from tissuetrace.studies.imc.ingest import Ingest
    from tissuetrace.studies.imc.patch import Patch
    from tissuetrace.studies.imc.perturb import Perturb
    from tissuetrace.studies.imc.split import Split
    from tissuetrace.studies.imc.train_cnn import Cnn
    from tissuetrace.studies.imc.train_mlp import Mlp

__all__ = [
    "MODEL_NAMES",
    "SCHEME_NAMES",
    "CohortOutcome",
    "Outcome",
    "Settings",
]

MODEL_NAMES = {"mlp": "MLP", "cnn": "CNN"}
SCHEME_NAMES = {
    "patient": "unseen patients",
    "random": "random patches",
    "random-patient": "difference of the two",
}

_PAIR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortOutcome:
    """What was found in one cohort; tables as their stages wrote them.

    Args:
        name: of the cohort.
        settings: of the cohort.
        images: one row a core, from ingest.
        refused: acquisitions that were skipped.
        cores: counts of patches, one row a core.
        patches: `subject, image, row, col, label, tumour, tissue` of every patch.
        redraws: of the split, by scheme and seed.
        dropped: rows without a decoy, by scheme and seed.
        leaks: the probes, one row a quantity and seed.
        scores: every measure of the classifiers.
        predictions: of all models, schemes, splits and seeds.
        shares: actual and predicted share of positive patches, one row a core (Fig. 3B).
        histories: epochs of every training, with `model` and `scheme`.
        counterfactuals: one row a search.
        pool: of prototypes, by model, variant and seed.
        strategy: the tumour-wide change, with its settings or the reason why there is none.
        levels: infiltration before and after, by image, seed and scorer.
        channels: the strategy with its intervals, one row a channel.
        strategies: effects of the strategy, of its parts and variants.
        stability: medians by variant and seed.
        maps: one image before and after (Fig. 4B).
        leak: the probes of the configured decoys, as flat numbers.
        recovered: what a phantom's known answer demands; empty for real input.
    """

    name: str
    settings: Cohort
    images: "pd.DataFrame"
    refused: "pd.DataFrame"
    cores: "pd.DataFrame"
    patches: "pd.DataFrame"
    redraws: "pd.DataFrame"
    dropped: "pd.DataFrame"
    leaks: "pd.DataFrame"
    scores: "pd.DataFrame"
    predictions: "pd.DataFrame"
    shares: "pd.DataFrame"
    histories: "pd.DataFrame"
    counterfactuals: "pd.DataFrame"
    pool: "pd.DataFrame"
    strategy: Mapping[str, Any]
    levels: "pd.DataFrame"
    channels: "pd.DataFrame"
    strategies: "pd.DataFrame"
    stability: "pd.DataFrame"
    maps: "pd.DataFrame"
    leak: Mapping[str, Any]
    recovered: Mapping[str, Any]

    def score(
        self, metric: str, *, model: str, scheme: str, threshold: float, split: str = "test"
    ) -> Score:
        """Look one score up; an AUC has no threshold, so any finds it.

        The scheme random-patient is the difference of the two.
        """
        rows = self._rows(metric, model=model, scheme=scheme, threshold=threshold, split=split)
        if rows.empty:
            return NO_SCORE
        row = rows.iloc[0]
        value, low, high, first = (float(row[name]) for name in ("value", "low", "high", "first"))
        found = MeanInterval(value, low, high, int(row["retrainings"]))
        # of two, the mean and the first tell the second
        told = found.retrainings == _PAIR and math.isfinite(first + value)
        pair = (first, 2 * value - first) if told else ()
        return shown_score(found, each=pair, within=range_of(metric, scheme=scheme))

    def over_patients(self, metric: str, *, model: str, scheme: str, threshold: float) -> Score:
        """Return a score of the first retraining on test with its interval over patients.

        `retrainings` then counts patients. NaN where nothing was scored.
        """
        rows = self._rows(metric, model=model, scheme=scheme, threshold=threshold, split="test")
        if rows.empty:
            return NO_SCORE
        row = rows.iloc[0]
        value, low, high = (float(row[name]) for name in ("first", "subject_low", "subject_high"))
        return Score(value=value, low=low, high=high, retrainings=int(row["subjects"]))

    @property
    def patient_numbers(self) -> dict[str, int]:
        """Number of each patient on the page, from 1: names stay in the data."""
        return {name: place for place, name in enumerate(sorted(set(self.images["subject"])), 1)}

    @property
    def core_numbers(self) -> dict[str, int]:
        """Number of each core on the page, from 1."""
        return {name: place for place, name in enumerate(sorted(set(self.images["image"])), 1)}

    @property
    def why_no_search(self) -> str:
        """Reason why no perturbation was looked for; empty where there was one."""
        if not self.channels.empty:
            return ""
        said = str(self.strategy.get("why") or "").rstrip(".")
        return said or "no perturbation was found"

    def _rows(
        self, metric: str, *, model: str, scheme: str, threshold: float, split: str
    ) -> "pd.DataFrame":
        table = self.scores
        rows = table[
            (table["metric"] == metric)
            & (table["model"] == model)
            & (table["scheme"] == scheme)
            & (table["split"] == split)
        ]
        if metric == "auc":
            return rows
        return rows[(rows["threshold"] - threshold).abs() < 1e-9]  # noqa: PLR2004  # of rounding

    def effect(self, kind: str) -> "pd.DataFrame":
        """Return the rows of one kind of strategy: all, single, without, subset, beta."""
        rows = self.strategies[self.strategies["kind"] == kind]
        return rows.reset_index(drop=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The sections of `params.yaml` that the report speaks of."""

    ingest: "Ingest"
    patch: "Patch"
    split: "Split"
    decoy: "Decoy"
    mlp: "Mlp"
    cnn: "Cnn"
    evaluate: "Evaluate"
    perturb: "Perturb"
    effect: "Effect"

    @property
    def rate(self) -> float:
        """Learning rate that the search begins with."""
        used = self.perturb
        return min(used.lr, self._steady) if used.rule == "improved" else used.lr

    @property
    def rate_in_words(self) -> str:
        """The same, beside what was set where that is another."""
        set_to = f"{self.perturb.lr:g}"
        if self.rate == self.perturb.lr:
            return f"{set_to} as set"
        return f"{self.rate:.3g}: {set_to} as set, capped at 1/(2(1+θ))"

    @property
    def _steady(self) -> float:
        """Rate above which steps along the prototype's penalty oscillate."""
        return 1 / (2 * (1 + self.perturb.theta))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the lane found.

    Args:
        origin: of the images, from `source.json`.
        cohorts: by name, in the order of `params.yaml`.
        evidence: of the gate.
        token: of the gate.
        settings: that the wording depends on.
    """

    origin: Mapping[str, Any]
    cohorts: Mapping[str, CohortOutcome]
    evidence: Mapping[str, Any]
    token: Mapping[str, Any]
    settings: Settings

    @property
    def is_phantom(self) -> bool:
        """Whether the images were drawn by our generator."""
        return bool(self.origin["kind"] == "phantom")

    @property
    def note(self) -> str:
        """What every figure and table must say of what it was made of."""
        if self.is_phantom:
            return "Drawn by a generator (phantom); confirms no paper."
        return "Real images."

    @property
    def figure_note(self) -> str:
        """What stands in a figure itself: only of a phantom."""
        return self.note if self.is_phantom else ""

    @property
    def origin_in_words(self) -> str:
        """What the numbers stem from, for the rows of a CSV file."""
        return "phantom: drawn by a generator; confirms no paper" if self.is_phantom else "images"

    @property
    def searched(self) -> list[CohortOutcome]:
        """Cohorts with a perturbation."""
        return [one for one in self.cohorts.values() if not one.why_no_search]

    def score(
        self, cohort: str, metric: str, *, model: str, scheme: str, threshold: float
    ) -> Score:
        """Look one score on test up; NaN for a cohort that is not there."""
        if cohort not in self.cohorts:
            return NO_SCORE
        found = self.cohorts[cohort]
        return found.score(metric, model=model, scheme=scheme, threshold=threshold)

    def counted(self) -> str:
        """Say on how many patients, cores and patches a cohort rests, for a caption."""
        parts = [
            f"{one.name} {len(one.patient_numbers)} patients, {len(one.core_numbers)} cores, "
            f"{len(one.patches):,} patches"
            for one in self.cohorts.values()
        ]
        return f"n: {'; '.join(parts)}."

    def untrained(self) -> str:
        """Say which CNN was not trained, for a caption; empty where all were."""
        said = []
        for one in self.cohorts.values():
            missing = [name for name in SCHEMES if name not in one.settings.cnn]
            if missing:
                splits = " and ".join(SCHEME_NAMES[name] for name in missing)
                said.append(f"{one.name} ({splits})")
        return f"No CNN was asked for in {', '.join(said)}. " if said else ""

    def retrained(self) -> str:
        """Say what the brackets of a score tell, for a caption."""
        return (
            "Brackets: 95 % interval of the mean over retrainings, each with its own split (t with "
            "n − 1 degrees of freedom), cut at the range of the score; it holds the chance of "  # noqa: RUF001  # a minus sign
            "split and training. Of fewer than three retrainings the values stand in parentheses "
            "in place of an interval."
        )
