"""What a phantom's known answer demands, and whether it was found."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

__all__ = ["Bound", "judge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What one recovered number must be.

    Args:
        key: name of the number.
        about: what it is.
        low: smallest value that passes.
        high: largest value that passes.
    """

    key: str
    about: str
    low: float
    high: float


def judge(found: Mapping[str, float], bounds: Sequence[Bound]) -> pd.DataFrame:
    """Hold what was recovered against the bounds; a number that is missing or NaN fails.

    Returns:
        `key, about, found, low, high, passed`, one row a bound.
    """
    numbers = ("found", "low", "high")
    rows = []
    for bound in bounds:
        value = float(found.get(bound.key, math.nan))
        passed = bound.low <= value <= bound.high
        rows.append((bound.key, bound.about, value, bound.low, bound.high, passed))
    table = pd.DataFrame(rows, columns=["key", "about", *numbers, "passed"])
    texts = {"key": "str", "about": "str", "passed": "bool"}
    return table.astype(texts | dict.fromkeys(numbers, "float64"))
