"""What every cohort must hold to before anything trains: rules as data.

The tables that the rules name are made by `evidence.gather`, for each cohort its own: `counts` has
one row, `cores` one row per core, `splits` one row per scheme, seed and split. A rule's name
begins with its cohort. Where a warning and a refusal have different bounds, they are two rules.
"""

from collections.abc import Mapping
from typing import Literal

from tissuetrace.pipeline.gate import Rule, Severity

__all__ = ["suite"]

Table = Literal["counts", "cores", "splits"]

_KEPT_LEAST = 0.1  # share of a patch; below it the mean rests on too few pixels


def suite(controls: Mapping[str, str]) -> tuple[Rule, ...]:
    """Return the rules of all cohorts.

    Args:
        controls: cohort → channel that should tell nothing, such as DapB; empty where the cohort
            has none, which leaves its rule out.
    """
    rules: list[Rule] = []
    for cohort, control in controls.items():
        rules += [
            *_channels(cohort),
            *_cores(cohort),
            *_patches(cohort),
            *_splits(cohort),
            *_leaks(cohort),
            *(_control(cohort, control) if control else ()),
        ]
    return tuple(rules)


def _rule(
    cohort: str,
    table: Table,
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
        name=f"{cohort}: {name}",
        table=f"{cohort}.{table}",
        expectation="ExpectColumnValuesToBeBetween",
        arguments={"column": column, **given},
        severity=severity,
        todo=todo,
    )


def _channels(cohort: str) -> tuple[Rule, ...]:
    settings = f"imc.cohorts.{cohort} in params.yaml"
    return (
        _rule(
            cohort,
            "counts",
            "repeated_channels",
            "images in which two channels have one name, or names of one marker",
            high=0,
            todo="Rename or remove one of them in the panel or at the source",
        ),
        _rule(
            cohort,
            "counts",
            "channel_sets",
            "different sets of channels over the images",
            low=1,
            high=1,
            todo="Give every image the same channels, or move some images to a cohort of their own",
        ),
        _rule(
            cohort,
            "counts",
            "markers_among_predictors",
            "predictors that are markers of the label, by name or by alias",
            high=0,
            todo=f"Take them out of the predictors of {settings}: they say the label outright",
        ),
        _rule(
            cohort,
            "counts",
            "other_predictors",
            "cores whose predictors are not those of the settings, in their order",
            high=0,
            todo="Run imc.patch again; its outputs were changed",
        ),
    )


def _cores(cohort: str) -> tuple[Rule, ...]:
    listed = f"They are listed in data/imc/patch/{cohort}/cores.parquet"
    few = "Add tissue, or leave these images out at the source"
    erased = f"Look at threshold and markers of imc.cohorts.{cohort}, or at imc.patch.radius_um"
    return (
        _rule(
            cohort,
            "counts",
            "cores",
            "cores",
            low=1,
            todo="Give the cohort images",
        ),
        _rule(
            cohort,
            "cores",
            "patches",
            "patches of a core, at the least",
            low=1,
            todo=f"{few}. {listed}",
        ),
        _rule(
            cohort,
            "cores",
            "patches",
            "patches of a core, for a share that means something",
            low=20,
            severity="warning",
            todo=f"{few}. {listed}",
        ),
        _rule(
            cohort,
            "cores",
            "erased",
            "share of a core that is erased around T cells, at the most",
            high=0.8,
            todo=f"{erased}. {listed}",
        ),
        _rule(
            cohort,
            "cores",
            "erased",
            "share of a core that is erased around T cells",
            high=0.4,
            severity="warning",
            todo=f"{erased}. {listed}",
        ),
        _rule(
            cohort,
            "cores",
            "non_finite",
            "counts of a core that are NaN or infinite",
            high=0,
            todo=f"Mend these images at the source. {listed}",
        ),
        _rule(
            cohort,
            "cores",
            "negative",
            "counts of a core that are negative",
            high=0,
            todo=f"Mend these images at the source, or check the spillover matrix. {listed}",
        ),
        _rule(
            cohort,
            "cores",
            "constant_channels",
            "channels that are constant in a core",
            high=0,
            severity="warning",
            todo=f"Look whether these were stained. {listed}",
        ),
        _rule(
            cohort,
            "cores",
            "zero_markers",
            "cores in which every marker is zero throughout",
            high=0,
            severity="warning",
            todo=f"Look whether these were stained: they have no positive patch. {listed}",
        ),
    )


def _patches(cohort: str) -> tuple[Rule, ...]:
    again = "Run imc.patch again; its outputs were changed"
    return (
        _rule(
            cohort,
            "counts",
            "uncut_images",
            "images without their cut core, or cores without an image",
            high=0,
            todo=again,
        ),
        _rule(
            cohort,
            "counts",
            "unsound_patches",
            "patches listed twice, without label 0 or 1, or with a mean that is NaN, infinite or "
            "negative",
            high=0,
            todo=again,
        ),
        _rule(
            cohort,
            "counts",
            "least_kept",
            "share of a patch that stays beside its own hole",
            low=_KEPT_LEAST,
            todo="Raise imc.patch.keep_min",
        ),
        _rule(
            cohort,
            "counts",
            "least_kept_with_decoy",
            "share of a patch that stays beside its own hole and its decoy",
            low=_KEPT_LEAST,
            todo="Run imc.decoy again; its outputs were changed",
        ),
    )


def _splits(cohort: str) -> tuple[Rule, ...]:
    draw = "Change imc.split.seed or fractions, or add images"
    return (
        _rule(
            cohort,
            "splits",
            "positives",
            "positive patches of a split and seed",
            low=20,
            todo=draw,
        ),
        _rule(
            cohort,
            "splits",
            "negatives",
            "negative patches of a split and seed",
            low=20,
            todo=draw,
        ),
        _rule(
            cohort,
            "splits",
            "share",
            "share of positive patches of a split and seed",
            low=0.02,
            high=0.60,
            severity="warning",
            todo=f"Look at threshold and markers of imc.cohorts.{cohort}",
        ),
        _rule(
            cohort,
            "counts",
            "subjects_in_two_splits",
            "subjects of a seed that lie in more than one split, patient scheme",
            high=0,
            todo="Run imc.split again; its outputs were changed",
        ),
        _rule(
            cohort,
            "counts",
            "unplaced_patches",
            "patches without exactly one split of a seed and scheme",
            high=0,
            todo="Run imc.split again; its outputs were changed",
        ),
        _rule(
            cohort,
            "counts",
            "unsound_decoys",
            "rows of the decoys that are listed twice, unknown, or lack a positive patch, or have "
            "a mean that is NaN, infinite or negative",
            high=0,
            todo="Run imc.decoy again; its outputs were changed",
        ),
        _rule(
            cohort,
            "counts",
            "foreign_donors",
            "decoys whose donor is no positive patch of the same seed and split",
            high=0,
            todo="Run imc.decoy again; its outputs were changed",
        ),
    )


def _leaks(cohort: str) -> tuple[Rule, ...]:
    mend = "The hole tells the label: set imc.decoy.kind to matched and imc.patch.mean to retained"
    return (
        _rule(
            cohort,
            "counts",
            "gain",
            "AUC gained from size and number of holes (leak probe, mean over seeds)",
            high=0.03,
            todo=mend,
        ),
        _rule(
            cohort,
            "counts",
            "swap_auc",
            "AUC after contents were swapped between patches (mean over seeds)",
            low=0.45,
            high=0.55,
            todo=mend,
        ),
    )


def _control(cohort: str, control: str) -> tuple[Rule, ...]:
    return (
        _rule(
            cohort,
            "counts",
            "control_auc",
            f"AUC of {control} alone, which should tell nothing (mean over seeds)",
            low=0.45,
            high=0.55,
            severity="warning",
            todo="Batches, or background, differ with T cells: read the perturbations with care",
        ),
    )
