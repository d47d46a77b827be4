"""Link subjects that share an image into groups, then split by image and by group."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import read_table, write_table
from tissuetrace.pipeline.stage import exact, stage

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SPLITS", "Split", "split"]

SPLITS = ("train", "validation", "test")

_Share = Annotated[float, Gt(0), Lt(1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How subjects are linked and images divided."""

    fractions: tuple[_Share, _Share, _Share]  # train, validation, test
    seed: Annotated[int, Ge(0)]
    link: Literal["off", "pixels"]  # what makes two subjects one group
    near: Annotated[float, Gt(0), Le(1)]  # correlation of thumbnails that makes two cells one

    def __post_init__(self) -> None:
        """Refuse shares that leave images over."""
        if abs(sum(self.fractions) - 1) > 1e-9:  # noqa: PLR2004  # rounding of three shares
            raise ValueError(f"shares add up to {sum(self.fractions):g}, not to 1")


@stage(
    reads={"table": "data/leukemia/ingest/table.parquet"},
    writes={
        "groups": exact(
            "data/leukemia/split/groups.parquet",
            "one row per training subject: subjects linked by an image share a group; a "
            "preliminary subject stands here only where an image links it to training",
            columns={
                "subject": "string: as written in the names",
                "group": "int64: number of the group, from 0",
            },
        ),
        "splits": exact(
            "data/leukemia/split/splits.parquet",
            "one row per image and scheme",
            columns={
                "name": "string: of the cell",
                "scheme": "string: image (at random) or subject (whole groups)",
                "split": "string: train, validation, test; prelim for the preliminary phase",
            },
        ),
        "pairs": exact(
            "data/leukemia/split/pairs.parquet",
            "images that show the same cell, found whether subjects are linked or not",
            columns={
                "name_a": "string: of the first cell",
                "name_b": "string: of the second cell",
                "kind": "string: exact (all pixels equal) or near (thumbnails and areas agree)",
                "subject_a": "string: of the first cell",
                "subject_b": "string: of the second cell",
                "group_a": "int64: of the first cell",
                "group_b": "int64: of the second cell",
            },
        ),
    },
    params=Split,
)
def split(*, table: Path, groups: Path, splits: Path, pairs: Path, params: Split) -> None:
    """Find images of the same cell, make groups of subjects, and divide under both schemes."""
    import pandas as pd

    from tissuetrace.studies.leukemia.grouping import divide, find_pairs, number_groups

    images = read_table(table)
    found = find_pairs(images, near=params.near)
    group_of = number_groups(images, found if params.link == "pixels" else found.iloc[:0])
    for side in "ab":
        found[f"group_{side}"] = found[f"subject_{side}"].map(group_of).astype("int64")
    images["group"] = images["subject"].map(group_of)
    _check_labels(found)
    training = images[images["fold"] >= 0]
    _check_counts(training)
    _tell_merged(training)

    known = set(training["group"])
    rows = sorted((name, group) for name, group in group_of.items() if group in known)
    write_table(pd.DataFrame(rows, columns=["subject", "group"]), groups)
    divided = divide(images, names=SPLITS, fractions=params.fractions, seed=params.seed)
    write_table(divided, splits)
    write_table(found.drop(columns=["label_a", "label_b"]), pairs)


def _check_labels(pairs: "pd.DataFrame") -> None:
    crossing = pairs[pairs["label_a"] != pairs["label_b"]]
    if len(crossing):
        raise InputError(
            f"{len(crossing)} pairs of images of one cell stand under both labels",
            where="images",
            todo="Remove the wrong one of each pair at the source",
            items=[
                f"{row.name_a} (group {row.group_a}) and {row.name_b} (group {row.group_b}), "
                f"{row.kind}"
                for row in crossing.itertuples()
            ],
        )


def _check_counts(training: "pd.DataFrame") -> None:
    counts = {
        kind: training.loc[training["label"] == label, "group"].nunique()
        for kind, label in (("ALL", 1), ("normal", 0))
    }
    if min(counts.values()) < len(SPLITS):
        found = " and ".join(f"{count} {kind}" for kind, count in counts.items())
        raise InputError(
            f"found {found} groups of linked subjects, {len(SPLITS)} splits need at least "
            f"{len(SPLITS)} of each",
            where="images",
            todo="Add subjects to the source",
        )


def _tell_merged(training: "pd.DataFrame") -> None:
    """Log groups of several names; names stay in the tables, a log has numbers only."""
    sizes = training.groupby("group")["subject"].nunique()
    merged = sizes[sizes > 1]
    for group, count in merged.items():
        sys.stderr.write(f"leukemia.split: group {group} joins {count} subject names\n")
    sys.stderr.write(
        f"leukemia.split: {training['subject'].nunique()} subject names in {len(sizes)} groups\n"
    )
