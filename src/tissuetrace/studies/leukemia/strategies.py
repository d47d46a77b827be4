"""Settings against the imbalance of classes, shared by the stages that compare strategies."""

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt, Le

from tissuetrace.studies.leukemia.train_forest import Forest

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy import ndarray

    from tissuetrace.learn.forests import Classifier
    from tissuetrace.learn.imbalance import Strategy

__all__ = ["Imbalance", "fit_by"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Imbalance:
    """What each strategy is given (section 4)."""

    cost_fp: Annotated[float, Gt(0)]  # weight of a normal cell; a blast weighs 1
    gamma: Annotated[float, Ge(0)]
    alpha: Annotated[float, Gt(0), Le(1)]
    estimators: Annotated[int, Ge(1)]
    seed: Annotated[int, Ge(0)]


def fit_by(
    strategy: "Strategy", *, forest: Forest, imbalance: Imbalance
) -> "Callable[[ndarray, ndarray], Classifier]":
    """Return what fits features and labels under one strategy, and sees nothing else."""
    from tissuetrace.learn.imbalance import fit_strategy

    return partial(
        fit_strategy,
        strategy,
        trees=forest.trees,
        cost_fp=imbalance.cost_fp,
        estimators=imbalance.estimators,
        seed=imbalance.seed,
    )
