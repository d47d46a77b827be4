"""What the images, splits and features must hold to before anything trains: rules as data.

The tables that the rules name are made by `evidence.tables`: `counts` has one row, `cells` one
row per training image.
"""

from typing import Literal

from tissuetrace.pipeline.gate import Rule

__all__ = ["COLLECTION_IMAGES", "COLLECTION_SUBJECTS", "SUITE"]

COLLECTION_IMAGES = 10_661  # of training, in the whole collection
COLLECTION_SUBJECTS = 73

_PAIRS = "The pairs, with names and groups, are in data/leukemia/split/pairs.parquet"
_LINK = f"Set leukemia.split.link to pixels, or remove one of each pair. {_PAIRS}"


def _count(
    name: str,
    column: str,
    *,
    low: float | None = None,
    high: float | None = None,
    severity: Literal["critical", "warning"] = "critical",
    todo: str,
) -> Rule:
    """Bound a number of the one-row table."""
    bounds = {"min_value": low, "max_value": high}
    given = {key: bound for key, bound in bounds.items() if bound is not None}
    return Rule(
        name=name,
        table="counts",
        expectation="ExpectColumnValuesToBeBetween",
        arguments={"column": column, **given},
        severity=severity,
        todo=todo,
    )


SUITE: tuple[Rule, ...] = (
    _count(
        "images whose name does not parse, or whose label is not that of folder, suffix and prefix",
        "label_disagreements",
        high=0,
        todo="Correct names or folders at the source",
    ),
    _count(
        "names that stand for more than one image",
        "repeated_names",
        high=0,
        todo="Remove or rename images at the source",
    ),
    _count(
        "images that are no 24-bit BMP of the frame's size",
        "bad_bitmaps",
        high=0,
        todo="Replace them at the source, or correct leukemia.ingest.frame_px",
    ),
    Rule(
        name="one component in every image",
        table="cells",
        expectation="ExpectColumnValuesToBeBetween",
        arguments={"column": "components", "min_value": 1, "max_value": 1},
        todo="Cut the second component out at the source",
    ),
    Rule(
        name="area of the cell, as a share of the frame",
        table="cells",
        expectation="ExpectColumnValuesToBeBetween",
        arguments={"column": "mask_share", "min_value": 0.02, "max_value": 0.60},
        severity="warning",
        todo="Look at these images: cells of the collection fill 3.9 to 25.4 %",
    ),
    _count(
        "pixel-identical images in two groups",
        "exact_across_groups",
        high=0,
        todo=_LINK,
    ),
    _count(
        "pixel-identical images in two splits of the subject scheme",
        "exact_across_subject_splits",
        high=0,
        todo=_LINK,
    ),
    _count(
        "near-identical images in two groups",
        "near_across_groups",
        high=0,
        severity="warning",
        todo=_LINK,
    ),
    _count(
        "pixel-identical images inside one subject",
        "exact_inside_subjects",
        high=0,
        severity="warning",
        todo=_PAIRS,
    ),
    _count(
        "near-identical images inside one subject",
        "near_inside_subjects",
        high=0,
        severity="warning",
        todo=_PAIRS,
    ),
    _count(
        "preliminary images that also show a cell of training",
        "preliminary_in_training",
        high=0,
        severity="warning",
        todo=f"Read the preliminary scores with care. {_PAIRS}",
    ),
    _count(
        "ALL images for one normal image",
        "class_ratio",
        low=0.5,
        high=3,
        severity="warning",
        todo="Balance the source, or read accuracy with care",
    ),
    _count(
        "images of the rarer class in the smallest split",
        "fewest_images",
        low=1,
        todo="Change leukemia.split.seed or fractions, or add subjects",
    ),
    _count(
        "groups of the rarer class in the smallest split of the subject scheme",
        "fewest_groups",
        low=3,
        severity="warning",
        todo="Intervals by group are wide; add subjects",
    ),
    _count(
        "splits that one group lies in, subject scheme",
        "splits_of_a_group",
        low=1,
        high=1,
        todo="Run leukemia.split again; its outputs were changed",
    ),
    _count(
        "share of the largest subject in all images",
        "largest_share",
        high=0.15,
        severity="warning",
        todo="Read scores per subject; one subject weighs much",
    ),
    _count(
        "images without exactly one split in each scheme, or without a group",
        "unplaced_images",
        high=0,
        todo="Run leukemia.split again; its outputs were changed",
    ),
    _count(
        "images without finite features in both readings, or with another label there",
        "unmeasured_images",
        high=0,
        todo="Run leukemia.featurize again; its outputs were changed",
    ),
    _count(
        f"images short of or beyond the collection's {COLLECTION_IMAGES}, where nearly all are "
        "there",
        "images_off_collection",
        high=0,
        severity="warning",
        todo="Compare the source with the published list of checksums",
    ),
    _count(
        f"subjects short of or beyond the collection's {COLLECTION_SUBJECTS}, where nearly all "
        "images are there",
        "subjects_off_collection",
        high=0,
        severity="warning",
        todo="Compare the source with the published list of checksums",
    ),
    _count(
        "preliminary rows whose label is not that of suffix and prefix, or whose name is taken",
        "preliminary_disagreements",
        high=0,
        todo="Use the published table of the preliminary phase",
    ),
    _count(
        "images of the preliminary table that are absent",
        "preliminary_missing",
        high=0,
        severity="warning",
        todo="Preliminary scores are of the present images alone; the absent ones are listed in "
        "data/leukemia/ingest/prelim.json",
    ),
)
