"""How the trainings went, and which retrainings are far below the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from tissuetrace.report.tables import Table, count, number, text
from tissuetrace.studies.imc.outcome import MODEL_NAMES, SCHEME_NAMES, CohortOutcome, Outcome
from tissuetrace.studies.imc.variants import used_retrainings

__all__ = ["Lagging", "lagging", "training_table", "weak_first", "weak_variants"]

_FAR = 0.2  # of MCC, below the median of the other retrainings


@dataclass(frozen=True, slots=True, kw_only=True)
class Lagging:
    """A retraining whose best validation MCC is far below that of the others.

    Args:
        model: mlp or cnn.
        scheme: patient or random.
        seed: of the retraining.
        best: its best validation MCC.
        others: those of the other retrainings, sorted.
        positives: positive patches in its validation set.
        positives_of_others: in theirs, sorted.
    """

    model: str
    scheme: str
    seed: int
    best: float
    others: tuple[float, ...]
    positives: int
    positives_of_others: tuple[int, ...]


def lagging(one: CohortOutcome) -> list[Lagging]:
    """Return the retrainings that are more than 0.2 of MCC below the median of the others."""
    found = []
    for (model, scheme), part in one.histories.groupby(["model", "scheme"], sort=True):
        best = part.groupby("seed")["validation_mcc"].max()
        positives = _positives(one, str(model), str(scheme))
        for seed in best.index:
            others = best.drop(seed)
            if not best[seed] < others.median() - _FAR:  # or nothing to compare with
                continue
            rest = positives.drop(seed, errors="ignore")
            found.append(
                Lagging(
                    model=str(model),
                    scheme=str(scheme),
                    seed=int(seed),
                    best=float(best[seed]),
                    others=tuple(sorted(float(value) for value in others)),
                    positives=int(positives.get(seed, 0)),
                    positives_of_others=tuple(sorted(int(value) for value in rest)),
                )
            )
    return found


def weak_variants(outcome: Outcome, models: Sequence[str] = tuple(MODEL_NAMES)) -> str:
    """Name those among the retrainings behind the variants that lag, for a caption.

    Args:
        outcome: whose trainings are meant.
        models: whose variants the table shows.
    """
    said = [
        f"retraining {late.seed} of the {one.name} {MODEL_NAMES[late.model]} ({late.best:.2f})"
        for one in outcome.searched
        for late in lagging(one)
        if late.model in models
        and late.scheme == "patient"
        and late.seed in used_retrainings(one, late.model)
    ]
    if not said:
        return ""
    return f"Far below the others in validation MCC: {', '.join(said)}."


def weak_first(outcome: Outcome) -> str:
    """Say where the first retraining, whose patients are resampled, lags; empty where none does."""
    said = [
        f"{one.name} {MODEL_NAMES[late.model]} ({SCHEME_NAMES[late.scheme]})"
        for one in outcome.cohorts.values()
        for late in lagging(one)
        if late.seed == one.histories["seed"].min()
    ]
    if not said:
        return ""
    return f"In validation that one is far below the others: {', '.join(said)}. "


def training_table(outcome: Outcome) -> Table:
    """Return how the trainings went: epochs run and the epoch that was kept."""
    rows: list[dict[str, Any]] = []
    for one in outcome.cohorts.values():
        for (model, scheme), part in one.histories.groupby(["model", "scheme"], sort=True):
            last = part.groupby("seed")["epoch"].max()
            best = part.groupby("seed")["validation_mcc"].max()
            row: dict[str, Any] = {"cohort": one.name, "model": MODEL_NAMES[str(model)]}
            row |= {"split": SCHEME_NAMES[str(scheme)], "retrainings": len(last)}
            row |= {"epochs": float(last.median()), "best": float(best.mean())}
            rows.append(row | {"least": float(best.min()), "largest": float(best.max())})
    columns = ["cohort", "model", "split", "retrainings", "epochs", "best", "least", "largest"]
    return Table(
        name="trainings",
        title="How the trainings went",
        caption=(
            f"{_stopping(outcome)} Best validation MCC at 0.5: that epoch is kept. "
            f"{_far_below(outcome)}{outcome.counted()} {outcome.note}"
        ),
        frame=pd.DataFrame(rows, columns=columns),
        columns=(
            text("cohort", "cohort"),
            text("model", "model"),
            text("split", "split"),
            count("retrainings", "retrainings"),
            count("epochs", "last epoch, median"),
            number("best", "best validation MCC, mean"),
            number("least", "least"),
            number("largest", "largest"),
        ),
    )


def _positives(one: CohortOutcome, model: str, scheme: str) -> "pd.Series[int]":
    """Return how many positive patches each retraining has for validation."""
    table = one.predictions
    rows = table[
        (table["model"] == model) & (table["scheme"] == scheme) & (table["split"] == "validation")
    ]
    return rows.groupby("seed")["label"].sum()


def _stopping(outcome: Outcome) -> str:
    mlp, cnn = outcome.settings.mlp, outcome.settings.cnn
    said = [
        f"MLP: at most {mlp.epochs} epochs, ended {mlp.patience} epochs after the best one so far."
    ]
    if any(one.settings.cnn for one in outcome.cohorts.values()):
        ended = f", ended {cnn.patience} epochs after the best one so far"
        reached = cnn.patience < cnn.epochs
        said.append(f"CNN: at most {cnn.epochs} epochs{ended if reached else ''}.")
    return " ".join(said)


def _far_below(outcome: Outcome) -> str:
    said = [_said(one, late) for one in outcome.cohorts.values() for late in lagging(one)]
    if not said:
        return ""
    return (
        f"Far below the others, by more than {_FAR:g} (retrainings are numbered from 0): "
        f"{'; '.join(said)}. "
    )


def _said(one: CohortOutcome, late: Lagging) -> str:
    place = f"{one.name} {MODEL_NAMES[late.model]} on {SCHEME_NAMES[late.scheme]}"
    return (
        f"{place}, retraining {late.seed}: {late.best:.3f} with {late.positives} positive patches "
        f"to validate on, the others {_ends(late.others, '.3f')} with "
        f"{_ends(late.positives_of_others, 'd')}"
    )


def _ends(values: Sequence[float], shape: str) -> str:
    if len(values) == 0:
        return "none"
    least, largest = (format(value, shape) for value in (values[0], values[-1]))
    return least if least == largest else f"{least} to {largest}"
