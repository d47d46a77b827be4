"""Which cells of the preliminary phase stem from subjects that a training has seen after all."""

import numpy as np
import pandas as pd

__all__ = ["preliminary_linked", "trained_groups"]

_SEEN = ("train", "validation")  # validation stops the training and sets the threshold


def trained_groups(splits: pd.DataFrame, cells: pd.DataFrame, groups: pd.DataFrame) -> pd.DataFrame:
    """Return the groups of linked subjects of which a cell is in train or validation.

    Args:
        splits: `name, scheme, split`.
        cells: `name, subject`, one row a cell.
        groups: `subject, group`.

    Returns:
        `scheme, group`, one row each.
    """
    known = cells[["name", "subject"]].merge(groups, on="subject", validate="many_to_one")
    seen = splits[splits["split"].isin(_SEEN)].merge(known[["name", "group"]], on="name")
    return seen[["scheme", "group"]].drop_duplicates().reset_index(drop=True)


def preliminary_linked(predictions: pd.DataFrame, trained: pd.DataFrame) -> np.ndarray:
    """Say which predictions are of preliminary cells whose group a training has seen.

    Args:
        predictions: `split, scheme, group`, one row a prediction.
        trained: from `trained_groups`.

    Returns:
        One truth value a row; such cells say nothing of new subjects.
    """
    seen = set(zip(trained["scheme"], trained["group"], strict=True))
    pairs = zip(predictions["scheme"], predictions["group"], strict=True)
    linked = np.array([pair in seen for pair in pairs], dtype=np.bool_)
    return linked & (predictions["split"] == "prelim").to_numpy()
