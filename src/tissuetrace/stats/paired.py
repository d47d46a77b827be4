"""Two models on the same items: McNemar's exact test, and Holm's correction over many tests."""

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

__all__ = ["holm", "mcnemar"]


def mcnemar(correct_a: Bool[ndarray, " item"], correct_b: Bool[ndarray, " item"]) -> float:
    """Exact two-sided p-value that two models are right equally often.

    It takes items for independent, which cells of one subject are not: print it beside a paired
    interval over groups, and never let it decide.

    Args:
        correct_a: whether the first model is right on each item.
        correct_b: the same of the second model.

    Returns:
        1 where the models never differ in being right.

    Source: McNemar 1947, exact form: binomial test of the items on which the models differ.
    """
    if len(correct_a) != len(correct_b):
        raise ValueError(f"{len(correct_a)} items of one model, {len(correct_b)} of the other")
    only_a = int((correct_a & ~correct_b).sum())
    only_b = int((correct_b & ~correct_a).sum())
    if only_a + only_b == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(min(only_a, only_b), only_a + only_b).pvalue)


def holm(p_values: Float[ndarray, " test"]) -> Float[ndarray, " test"]:
    """Adjust p-values so that any false alarm among all tests has the stated chance.

    Args:
        p_values: one for each test, 0 to 1.

    Returns:
        Adjusted values in the same order, at least as large, at most 1.

    Source: Holm 1979.
    """
    if len(p_values) == 0:
        return p_values.copy()
    order = np.argsort(p_values, kind="stable")
    tests_left = np.arange(len(p_values), 0, -1)
    stepped = np.maximum.accumulate(tests_left * p_values[order])
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
