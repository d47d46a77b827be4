"""Scores as the page shows them: with an interval inside their range, or with the few values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tissuetrace.stats.retrainings import MeanInterval

__all__ = ["NO_SCORE", "Score", "in_columns", "range_of", "shown_score"]

_FEW = 3  # retrainings; the t interval of two is wider than any score
_NAN = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A mean over retrainings.

    Args:
        value: the mean.
        low: lower end of its 95 % interval; NaN where fewer than three retrainings have a value.
        high: upper end, likewise.
        retrainings: how many have a value.
        each: their values, where there are two; else empty.
    """

    value: float
    low: float
    high: float
    retrainings: int
    each: tuple[float, ...] = ()


NO_SCORE = Score(value=_NAN, low=_NAN, high=_NAN, retrainings=0)


def range_of(metric: str, *, scheme: str = "") -> tuple[float, float]:
    """Return the range of a score, to which its interval is clipped.

    Args:
        metric: precision, recall, f1, auc, mcc, or gain (a difference of two AUC).
        scheme: of the split; random-patient is a difference of two scores.
    """
    low = -1.0 if metric in {"mcc", "gain"} else 0.0
    width = 1.0 - low
    return (-width, width) if scheme == "random-patient" else (low, 1.0)


def shown_score(
    found: MeanInterval, *, each: Sequence[float], within: tuple[float, float]
) -> Score:
    """Return a mean with its interval inside the range, or with its values where they are few.

    Args:
        found: the mean and its t interval, which knows no range.
        each: values of the retrainings, where they are known; only those of two are kept.
        within: range of the score.
    """
    if found.retrainings < _FEW:
        few = tuple(each) if len(each) == found.retrainings > 1 else ()
        return Score(
            value=found.value, low=_NAN, high=_NAN, retrainings=found.retrainings, each=few
        )
    least, most = within
    # in this order NaN stays NaN
    low, high = max(found.low, least), min(found.high, most)
    return Score(value=found.value, low=low, high=high, retrainings=found.retrainings)


def in_columns(found: Mapping[str, Score]) -> dict[str, float | str]:
    """Spread named scores over the columns `name`, `name_low`, `name_high` and `name_each`."""
    columns: dict[str, float | str] = {}
    for name, one in found.items():
        columns |= {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}
        columns[f"{name}_each"] = "; ".join(f"{value:z.3f}" for value in one.each)
    return columns
