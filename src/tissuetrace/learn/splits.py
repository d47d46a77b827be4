"""Dividing items among splits and folds, at random or with whole groups kept together."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from numpy import ndarray

__all__ = ["Fold", "group_folds", "group_split", "stratified_folds", "stratified_split"]

# lengths differ from fold to fold
Fold = tuple[Int[ndarray, " _"], Int[ndarray, " _"]]


def stratified_split(
    labels: Int[ndarray, " item"], *, fractions: Sequence[float], seed: int
) -> Int[ndarray, " item"]:
    """Divide items at random, each class in the same proportions.

    Args:
        labels: class of each item.
        fractions: share of each split; they add up to 1.
        seed: of the shuffle.

    Returns:
        Number of the split of each item, from 0 in the order of `fractions`. Within a class the
        numbers of items differ from the exact shares by less than one.

    Raises:
        ValueError: the fractions are no shares of a whole.
    """
    _check_fractions(fractions)
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    bounds = np.cumsum(fractions)
    splits = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        # a tiny allowance, since .7 + .15 + .15 ends a hair below 1
        cuts = np.floor(bounds * len(members) + 1e-9).astype(np.int64)
        splits[members] = np.searchsorted(cuts[:-1], np.arange(len(members)), side="right")
    return splits


def group_split(
    labels: Int[ndarray, " item"],
    groups: Int[ndarray, " item"],
    *,
    fractions: Sequence[float],
    seed: int,
) -> Int[ndarray, " item"]:
    """Divide whole groups, each class on its own, so that no group lies in two splits.

    Within a class the groups are shuffled, then sorted by size, largest first and ties as
    shuffled; each goes to the split that still needs the most items.

    Args:
        labels: class of each item; one class in a group.
        groups: group of each item.
        fractions: share of each split in the items; they add up to 1.
        seed: of the shuffle.

    Returns:
        Number of the split of each item, from 0 in the order of `fractions`. With few and large
        groups the shares are met badly, and a split may stay without a class.

    Raises:
        ValueError: the fractions are no shares of a whole, a group has two classes, or a class
            has fewer groups than there are splits.
    """
    _check_fractions(fractions)
    _check_one_label(labels, groups)
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    splits = np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        members, sizes = np.unique(groups[labels == label], return_counts=True)
        if len(members) < len(fractions):
            raise ValueError(f"class {label}: {len(members)} groups for {len(fractions)} splits")
        shuffled = rng.permutation(len(members))
        order = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
        need = np.asarray(fractions) * sizes.sum()
        for group in order:
            split = int(need.argmax())
            need[split] -= sizes[group]
            splits[groups == members[group]] = split
    return splits


def stratified_folds(labels: Int[ndarray, " item"], *, folds: int, seed: int) -> list[Fold]:
    """Cut items into folds at random, each class in the same proportions.

    Args:
        labels: class of each item.
        folds: how many, above 1; no class may have fewer items.
        seed: of the shuffle.

    Returns:
        Indices for training and for testing, once for each fold; every item is tested once.
    """
    from sklearn.model_selection import StratifiedKFold

    cutter = StratifiedKFold(n_splits=folds, shuffle=True, random_state=seed)
    return list(cutter.split(labels, labels))


def group_folds(
    labels: Int[ndarray, " item"], groups: Int[ndarray, " item"], *, folds: int, seed: int
) -> list[Fold]:
    """Cut items into folds that keep whole groups and, as well as groups allow, the classes.

    Args:
        labels: class of each item; one class in a group.
        groups: group of each item.
        folds: how many, above 1.
        seed: of the shuffle.

    Returns:
        Indices for training and for testing, once for each fold; every item is tested once.

    Raises:
        ValueError: a group has two classes, or a class has fewer groups than there are folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    _check_one_label(labels, groups)
    for label in np.unique(labels):
        count = len(np.unique(groups[labels == label]))
        if count < folds:
            raise ValueError(f"class {label}: {count} groups for {folds} folds")
    cutter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)
    return list(cutter.split(labels, labels, groups))


def _check_fractions(fractions: Sequence[float]) -> None:
    if min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-9:  # noqa: PLR2004  # rounding
        raise ValueError(f"fractions must be above 0 and add up to 1, got {list(fractions)}")


def _check_one_label(labels: Int[ndarray, " item"], groups: Int[ndarray, " item"]) -> None:
    pairs = np.unique(np.stack([groups, labels], axis=1), axis=0)
    members, counts = np.unique(pairs[:, 0], return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"groups of two classes: {members[counts > 1].tolist()}")
