"""Images of the same cell, groups of subjects that share one, and the two ways to split."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tissuetrace.learn.linking import exact_pairs, link_subjects, near_pairs
from tissuetrace.learn.splits import group_split, stratified_split

__all__ = ["PRELIMINARY", "divide", "find_pairs", "number_groups"]

PRELIMINARY = "prelim"
_SIDED = ("name", "subject", "label")


def find_pairs(images: pd.DataFrame, *, near: float) -> pd.DataFrame:
    """Find images of the same cell.

    Args:
        images: the table of `ingest`.
        near: correlation of thumbnails from which two cells count as one.

    Returns:
        `name_a, name_b, kind, subject_a, subject_b, label_a, label_b`, exact pairs first; an
        exact pair is not listed as near again.
    """
    exact = [tuple(pair) for pair in exact_pairs(images["pixel_sha256"].tolist()).tolist()]
    thumbs = np.stack(images["thumb"].tolist())
    close = near_pairs(thumbs, images["mask_px"].to_numpy(), near=near).tolist()
    known = set(exact)
    pairs = [*exact, *(tuple(pair) for pair in close if tuple(pair) not in known)]
    indices = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    kinds = ["exact"] * len(exact) + ["near"] * (len(pairs) - len(exact))
    sides = {
        f"{column}_{side}": images[column].to_numpy()[indices[:, position]]
        for column in _SIDED
        for position, side in enumerate("ab")
    }
    columns = ["name_a", "name_b", "kind", "subject_a", "subject_b", "label_a", "label_b"]
    texts = dict.fromkeys(columns[:5], "str")
    return pd.DataFrame({**sides, "kind": kinds})[columns].astype(texts)


def number_groups(images: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, int]:
    """Return the group of every subject, numbered by name; groups of training come first."""
    position = {name: index for index, name in enumerate(images["name"])}
    indices = [
        (position[first], position[second])
        for first, second in zip(pairs["name_a"], pairs["name_b"], strict=True)
    ]
    linked = np.array(indices, dtype=np.int64).reshape(-1, 2)
    names, components = link_subjects(images["subject"].tolist(), linked)
    component_of = dict(zip(names, components.tolist(), strict=True))
    training = set(images.loc[images["fold"] >= 0, "subject"])
    numbers: dict[int, int] = {}
    for name in [*sorted(training), *sorted(set(names) - training)]:
        numbers.setdefault(component_of[name], len(numbers))
    return {name: numbers[component_of[name]] for name in names}


def divide(
    images: pd.DataFrame, *, names: Sequence[str], fractions: Sequence[float], seed: int
) -> pd.DataFrame:
    """Divide training images under both schemes; preliminary images are a split of their own.

    Args:
        images: `name, label, fold, group`.
        names: of the splits.
        fractions: share of each of them.
        seed: of both shuffles.

    Returns:
        `name, scheme, split`, the image scheme first, images in the order given.
    """
    training = (images["fold"] >= 0).to_numpy()
    labels = images["label"].to_numpy()[training]
    groups = images["group"].to_numpy()[training]
    numbers = {
        "image": stratified_split(labels, fractions=fractions, seed=seed),
        "subject": group_split(labels, groups, fractions=fractions, seed=seed),
    }
    parts = []
    for scheme, found in numbers.items():
        splits = np.full(len(images), PRELIMINARY, dtype=object)
        splits[training] = [names[number] for number in found]
        part = pd.DataFrame({"name": images["name"], "scheme": scheme, "split": splits})
        parts.append(part.astype("str"))
    return pd.concat(parts, ignore_index=True)
