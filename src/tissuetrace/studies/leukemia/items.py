"""The cells of one scheme and their predictions, as all three models of the lane read and write."""

from pathlib import Path
from typing import TYPE_CHECKING

from tissuetrace.pipeline.files import read_table

if TYPE_CHECKING:
    import pandas as pd
    from numpy import ndarray

__all__ = ["ADMISSION", "ASKED", "SCHEMES", "predicted", "read_items"]

ADMISSION = "data/leukemia/admit/admission.json"  # the gate of every training stage

SCHEMES = ("image", "subject")
ASKED = ("validation", "test", "prelim")  # the splits that a model is asked about


def read_items(*, table: Path, splits: Path, groups: Path, scheme: str) -> "pd.DataFrame":
    """Return the cells of one scheme, in the order of the table.

    Returns:
        `item, subject, group, image, split, scheme, label, path`, and `row`, the position of the
        cell in the table. A subject that no group names is a group of its own.

    Raises:
        ValueError: a split names no cell of the table.
    """
    from tissuetrace.learn.linking import groups_of

    cells = read_table(table, ["name", "path", "subject", "image", "label"])
    cells["row"] = range(len(cells))
    chosen = read_table(splits)
    chosen = chosen[chosen["scheme"] == scheme]
    merged = cells.merge(chosen, on="name", how="inner", validate="one_to_one", sort=False)
    if len(merged) < len(chosen):
        raise ValueError(f"{len(chosen) - len(merged)} names of the splits are not in the table")
    linked = read_table(groups)
    names, numbers = linked["subject"].tolist(), linked["group"].tolist()
    # subjects of the preliminary phase stand among the groups only where an image links them
    merged["group"] = groups_of(merged["subject"].tolist(), names, numbers)
    columns = ["item", "subject", "group", "image", "split", "scheme", "label", "path", "row"]
    ordered: pd.DataFrame = merged.rename(columns={"name": "item"}).sort_values("row")
    return ordered[columns].reset_index(drop=True)


def predicted(
    items: "pd.DataFrame", probability: "ndarray", *, model: str, seed: int
) -> "pd.DataFrame":
    """Return one row for each item that a model was asked about, in the columns of the lane.

    Args:
        items: from `read_items`, the asked ones alone.
        probability: of a blast, for each of them.
        model: forest, cnn or hybrid.
        seed: that the model was trained with.
    """
    table = items.assign(model=model, seed=seed, probability=probability)
    columns = ["item", "subject", "group", "image", "split", "scheme", "model", "seed"]
    return table[[*columns, "label", "probability"]]
