"""What every cohort must hold to before anything trains: rules as data.

The tables that the rules name are made by `evidence.gather`, for each cohort its own: `counts` has
one row, `cores` one row per core, `splits` one row per scheme, seed and split. Where a warning and
a refusal have different bounds, they are two rules.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from tissuetrace.pipeline.gate import Rule, Severity

__all__ = ["CHANCE", "MOST_GAIN", "suite"]

MOST_GAIN = 0.03  # of AUC that knowing the hole may add
CHANCE = (0.45, 0.55)  # AUC of what should tell nothing
_KEPT_LEAST = 0.1  # share of a patch; below it the mean rests on too few pixels

_SETTINGS = "imc.cohorts.{cohort} in params.yaml"
_LISTED = "They are listed in data/imc/patch/{cohort}/cores.parquet"
_FEW = f"Add tissue, or leave these images out at the source. {_LISTED}"
_ERASED = f"Look at threshold and markers of {_SETTINGS}, or at imc.patch.radius_um. {_LISTED}"
_PATCH = "Run imc.patch again; its outputs were changed"
_SPLIT = "Run imc.split again; its outputs were changed"
_DECOY = "Run imc.decoy again; its outputs were changed"
_DRAW = "Change imc.split.seed or fractions, or add images"
_LEAK = "The hole tells the label: set imc.decoy.kind to matched and imc.patch.mean to retained"


def suite(controls: Mapping[str, str]) -> tuple[Rule, ...]:
    """Return the rules of all cohorts; each one's name begins with its cohort.

    Args:
        controls: cohort → channel that should tell nothing, such as DapB; empty where the cohort
            has none, which leaves its rule out.
    """
    return tuple(
        replace(
            rule,
            name=f"{cohort}: {rule.name.format(control=control)}",
            table=f"{cohort}.{rule.table}",
            todo=rule.todo.format(cohort=cohort),
        )
        for cohort, control in controls.items()
        for rule in (*_RULES, *((_CONTROL,) if control else ()))
    )


def _bound(
    table: Literal["counts", "cores", "splits"],
    column: str,
    name: str,
    *,
    low: float | None = None,
    high: float | None = None,
    severity: Severity = "critical",
    todo: str,
) -> Rule:
    bounds = {"min_value": low, "max_value": high}
    given = {key: bound for key, bound in bounds.items() if bound is not None}
    return Rule(
        name=name,
        table=table,
        expectation="ExpectColumnValuesToBeBetween",
        arguments={"column": column, **given},
        severity=severity,
        todo=todo,
    )


_CHANNELS = (
    _bound(
        "counts",
        "repeated_channels",
        "images in which two channels have one name, or names of one marker",
        high=0,
        todo="Rename or remove one of them in the panel or at the source",
    ),
    _bound(
        "counts",
        "channel_sets",
        "different sets of channels over the images",
        low=1,
        high=1,
        todo="Give every image the same channels, or move some images to a cohort of their own",
    ),
    _bound(
        "counts",
        "markers_among_predictors",
        "predictors that are markers of the label, by name or by alias",
        high=0,
        todo=f"Take them out of the predictors of {_SETTINGS}: they say the label outright",
    ),
    _bound(
        "counts",
        "other_predictors",
        "cores whose predictors are not those of the settings, in their order",
        high=0,
        todo=_PATCH,
    ),
)

_CORES = (
    _bound("counts", "cores", "cores", low=1, todo="Give the cohort images"),
    _bound("cores", "patches", "patches of a core, at the least", low=1, todo=_FEW),
    _bound(
        "cores",
        "patches",
        "patches of a core, for a share that means something",
        low=20,
        severity="warning",
        todo=_FEW,
    ),
    _bound(
        "cores",
        "erased",
        "share of a core that is erased around T cells, at the most",
        high=0.8,
        todo=_ERASED,
    ),
    _bound(
        "cores",
        "erased",
        "share of a core that is erased around T cells",
        high=0.4,
        severity="warning",
        todo=_ERASED,
    ),
    _bound(
        "cores",
        "non_finite",
        "counts of a core that are NaN or infinite",
        high=0,
        todo=f"Mend these images at the source. {_LISTED}",
    ),
    _bound(
        "cores",
        "negative",
        "counts of a core that are negative",
        high=0,
        todo=f"Mend these images at the source, or check the spillover matrix. {_LISTED}",
    ),
    _bound(
        "cores",
        "constant_channels",
        "channels that are constant in a core",
        high=0,
        severity="warning",
        todo=f"Look whether these were stained. {_LISTED}",
    ),
    _bound(
        "cores",
        "zero_markers",
        "cores in which every marker is zero throughout",
        high=0,
        severity="warning",
        todo=f"Look whether these were stained: they have no positive patch. {_LISTED}",
    ),
)

_PATCHES = (
    _bound(
        "counts",
        "uncut_images",
        "images without their cut core, or cores without an image",
        high=0,
        todo=_PATCH,
    ),
    _bound(
        "counts",
        "unsound_patches",
        "patches listed twice, without label 0 or 1, or with a mean that is NaN, infinite or "
        "negative",
        high=0,
        todo=_PATCH,
    ),
    _bound(
        "counts",
        "least_kept",
        "share of a patch that stays beside its own hole",
        low=_KEPT_LEAST,
        todo="Raise imc.patch.keep_min",
    ),
    _bound(
        "counts",
        "least_kept_with_decoy",
        "share of a patch that stays beside its own hole and its decoy",
        low=_KEPT_LEAST,
        todo="Raise imc.patch.keep_min",
    ),
)

_SPLITS = (
    _bound("splits", "positives", "positive patches of a split and seed", low=20, todo=_DRAW),
    _bound("splits", "negatives", "negative patches of a split and seed", low=20, todo=_DRAW),
    _bound(
        "splits",
        "share",
        "share of positive patches of a split and seed",
        low=0.02,
        high=0.60,
        severity="warning",
        todo=f"Look at threshold and markers of {_SETTINGS}",
    ),
    _bound(
        "counts",
        "subjects_in_two_splits",
        "subjects of a seed that lie in more than one split, patient scheme",
        high=0,
        todo=_SPLIT,
    ),
    _bound(
        "counts",
        "unplaced_patches",
        "patches without exactly one split of a seed and scheme",
        high=0,
        todo=_SPLIT,
    ),
    _bound(
        "counts",
        "unsound_decoys",
        "rows of the decoys that are listed twice, unknown, or lack a positive patch, or have a "
        "mean that is NaN, infinite or negative",
        high=0,
        todo=_DECOY,
    ),
    _bound(
        "counts",
        "foreign_donors",
        "decoys whose donor is no positive patch of the same seed and split",
        high=0,
        todo=_DECOY,
    ),
)

_LEAKS = (
    _bound(
        "counts",
        "gain",
        "AUC gained from size and number of holes (leak probe, mean over seeds)",
        high=MOST_GAIN,
        todo=_LEAK,
    ),
    _bound(
        "counts",
        "swap_auc",
        "AUC after contents were swapped between patches (mean over seeds)",
        low=CHANCE[0],
        high=CHANCE[1],
        todo=_LEAK,
    ),
)

_RULES = (*_CHANNELS, *_CORES, *_PATCHES, *_SPLITS, *_LEAKS)

_CONTROL = _bound(
    "counts",
    "control_auc",
    "AUC of {control} alone, which should tell nothing (mean over seeds)",
    low=CHANCE[0],
    high=CHANCE[1],
    severity="warning",
    todo="Batches, or background, differ with T cells: read the perturbations with care",
)
