"""Divide patches into training, validation and test: whole patients, and patch by patch."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt, Lt

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import write_table
from tissuetrace.pipeline.stage import exact, stage
from tissuetrace.studies.imc.cohorts import SCHEMES, Scheme

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["SPLITS", "Split", "split"]

SPLITS = ("train", "validation", "test")

_Share = Annotated[float, Gt(0), Lt(1)]
_COLUMNS = {
    "item": "string: patch, as image:row:col",
    "seed": "int64: retraining that the division belongs to, from 0",
    "split": "string: train, validation or test",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """How patches are divided.

    Args:
        fractions: shares of train, validation and test; of the patients, or of the patches.
        seeds: divisions per scheme, one for each retraining.
        seed: of all of them.
        least: positive and negative patches that every split must have.
        draws: permutations that are tried before the stage stops.
    """

    fractions: tuple[_Share, _Share, _Share]
    seeds: Annotated[int, Ge(1)]
    seed: Annotated[int, Ge(0)]
    least: Annotated[int, Ge(1)]
    draws: Annotated[int, Ge(1)]

    def __post_init__(self) -> None:
        """Refuse shares that leave patches over."""
        if abs(sum(self.fractions) - 1) > 1e-9:  # noqa: PLR2004  # rounding of three shares
            raise ValueError(f"shares add up to {sum(self.fractions):g}, not to 1")


@stage(
    reads={"tables": "data/imc/patch/{cohorts}/tables"},
    writes={
        "patient": exact(
            "data/imc/split/{cohorts}/patient.parquet",
            "whole patients in one split; one row per seed and patch, sorted by seed, image, row "
            "and column",
            columns=_COLUMNS,
        ),
        "random": exact(
            "data/imc/split/{cohorts}/random.parquet",
            "patches one by one, so that a patient is in several splits; rows as in patient",
            columns=_COLUMNS,
        ),
        "redraws": exact(
            "data/imc/split/{cohorts}/redraws.parquet",
            "one row per scheme and seed",
            columns={
                "scheme": "string: patient or random",
                "seed": "int64: retraining, from 0",
                "redraws": "int64: permutations refused for want of positive or negative patches",
            },
        ),
    },
    params=Split,
    matrix="cohorts",
)
def split(*, tables: Path, patient: Path, random: Path, redraws: Path, params: Split) -> None:
    """Draw every scheme's divisions, each seed with a generator of its own.

    Raises:
        InputError: the patches cannot be divided with enough of both classes.
    """
    import numpy as np
    import pandas as pd

    from tissuetrace.studies.imc.features import patch_table

    patches = patch_table(tables)
    groups = {
        "patient": np.unique(patches["subject"].to_numpy(dtype=object), return_inverse=True)[1],
        "random": np.arange(len(patches)),
    }
    children = np.random.SeedSequence(params.seed).spawn(len(SCHEMES))
    drawn = [
        _divide(patches, groups[scheme], scheme, params=params, seeds=child.spawn(params.seeds))
        for scheme, child in zip(SCHEMES, children, strict=True)
    ]
    for (table, _), path in zip(drawn, (patient, random), strict=True):
        write_table(table, path)
    write_table(pd.concat([counts for _, counts in drawn]), redraws)


def _divide(
    patches: "pd.DataFrame",
    groups: "np.ndarray",
    scheme: Scheme,
    *,
    params: Split,
    seeds: "list[np.random.SeedSequence]",
) -> "tuple[pd.DataFrame, pd.DataFrame]":
    import numpy as np
    import pandas as pd

    from tissuetrace.learn.patient_splits import TooFewError, divide

    labels = patches["label"].to_numpy()
    drawn = partial(
        divide,
        labels,
        groups,
        fractions=params.fractions,
        least=params.least,
        draws=params.draws,
    )
    try:
        divisions = [drawn(seed=seed) for seed in seeds]
    except TooFewError as problem:
        raise InputError(
            str(problem),
            where=f"imc.split, scheme {scheme}, {patches['subject'].nunique()} patients",
            todo="Add patients, or look at threshold and label_min_um2 in params.yaml",
        ) from problem
    numbers = np.arange(len(seeds))
    table = pd.DataFrame(
        {
            "item": np.tile(patches["item"].to_numpy(dtype=object), len(seeds)),
            "seed": np.repeat(numbers, len(patches)),
            "split": np.array(SPLITS, dtype=object)[np.concatenate([d.splits for d in divisions])],
        }
    )
    counts = {"scheme": scheme, "seed": numbers, "redraws": [d.redraws for d in divisions]}
    return table, pd.DataFrame(counts)
