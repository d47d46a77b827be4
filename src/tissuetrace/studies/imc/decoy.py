"""Give every negative patch the hole of a positive one, and measure what is left."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge

from tissuetrace.pipeline.files import read_table, write_table
from tissuetrace.pipeline.stage import exact, stage
from tissuetrace.studies.imc.cohorts import SCHEMES
from tissuetrace.studies.imc.patch import Patch

if TYPE_CHECKING:
    import pandas as pd
    from numpy import ndarray

    from tissuetrace.learn.decoys import Decoys

__all__ = ["Decoy", "decoy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoy:
    """Which hole a negative patch gets beside its own.

    Args:
        kind: `matched`, that of one of its nearest positives; `marginal`, of any positive;
            `none`, no hole, as in the paper.
        nearest: positives among which `matched` draws.
        seed: of all draws.
    """

    kind: Literal["matched", "marginal", "none"]
    nearest: Annotated[int, Ge(1)]
    seed: Annotated[int, Ge(0)]


_ABOUT = (
    "what the models of each seed see, one row per seed and patch, sorted by seed, image, row and "
    "column: `item`, `seed`, `donor` (the positive patch whose hole is added; empty for none), "
    "`orientation` (0 to 7, -1 for none), `erased_um2` and `components` of both holes united, "
    "`mean_<channel>` of what is left (counts); dropped patches are absent"
)


@stage(
    reads={
        "tables": "data/imc/patch/{cohorts}/tables",
        "pixels": "data/imc/patch/{cohorts}/pixels",
        "split_patient": "data/imc/split/{cohorts}/patient.parquet",
        "split_random": "data/imc/split/{cohorts}/random.parquet",
    },
    writes={
        "patient": exact("data/imc/decoy/{cohorts}/patient.parquet", f"patients apart: {_ABOUT}"),
        "random": exact("data/imc/decoy/{cohorts}/random.parquet", f"patches at random: {_ABOUT}"),
        "dropped": exact(
            "data/imc/decoy/{cohorts}/dropped.parquet",
            "one row per scheme and seed",
            columns={
                "scheme": "string: patient or random",
                "seed": "int64: retraining, from 0",
                "dropped": "int64: negative patches for which no hole left enough",
            },
        ),
    },
    params={"params": Decoy, "patch": Patch},
    matrix="cohorts",
)
def decoy(  # noqa: PLR0913  # four inputs, three outputs and two sections of parameters
    *,
    tables: Path,
    pixels: Path,
    split_patient: Path,
    split_random: Path,
    patient: Path,
    random: Path,
    dropped: Path,
    params: Decoy,
    patch: Patch,
) -> None:
    """Draw all decoys of both schemes, then measure core by core under all of them at once."""
    import numpy as np
    import pandas as pd

    from tissuetrace.studies.imc.contents import erased_under, means_under, read_holes
    from tissuetrace.studies.imc.drawn_decoys import covers_of, draw_for_seeds, read_seed_splits
    from tissuetrace.studies.imc.features import patch_table

    patches = patch_table(tables)
    holes = read_holes(pixels, sorted(patches["image"].unique()))
    drawn = {
        scheme: draw_for_seeds(
            patches,
            read_seed_splits(patches, read_table(path)),
            holes,
            scheme=scheme,
            params=params,
            keep_min=patch.keep_min,
        )
        for scheme, path in zip(SCHEMES, (split_patient, split_random), strict=True)
    }
    everyone = [decoys for scheme in SCHEMES for decoys in drawn[scheme]]
    covers = covers_of(everyone)
    means = means_under(holes, covers, mean=patch.mean)
    erased = erased_under(holes, covers)
    area_um2 = holes.px_um**2
    seen = [
        _seen(
            patches,
            decoys,
            means[:, place],
            erased_um2=erased.px[:, place] * area_um2,
            components=erased.components[:, place],
        )
        for place, decoys in enumerate(everyone)
    ]
    seeds = len(drawn["patient"])
    for path, rows in ((patient, seen[:seeds]), (random, seen[seeds:])):
        numbered = [table.assign(seed=seed) for seed, table in enumerate(rows)]
        write_table(pd.concat(numbered, ignore_index=True), path)
    counts = [
        {"scheme": scheme, "seed": seed, "dropped": int(np.count_nonzero(decoys.dropped))}
        for scheme in SCHEMES
        for seed, decoys in enumerate(drawn[scheme])
    ]
    write_table(pd.DataFrame(counts), dropped)


def _seen(
    patches: "pd.DataFrame",
    decoys: "Decoys",
    means: "ndarray",
    **erased: "ndarray",
) -> "pd.DataFrame":
    """Return the rows of one seed, whose number is filled in later."""
    import numpy as np
    import pandas as pd

    from tissuetrace.studies.imc.features import mean_columns

    items = patches["item"].to_numpy(dtype=object)
    facts = pd.DataFrame(
        {
            "item": items,
            "seed": np.int64(-1),
            "donor": np.where(decoys.donors >= 0, items[decoys.donors], ""),
            "orientation": decoys.orientations,
            **erased,
        }
    )
    columns = mean_columns(patches)
    return pd.concat([facts, pd.DataFrame(means, columns=columns)], axis=1)[~decoys.dropped]
