"""Ask whether the erased area still gives the label away, with and without decoys."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Ge

from tissuetrace.pipeline.files import read_table, write_json, write_table
from tissuetrace.pipeline.stage import metrics, stage, tolerance
from tissuetrace.studies.imc.decoy import Decoy
from tissuetrace.studies.imc.patch import Patch

__all__ = ["Probe", "probe"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """How the leak is looked for.

    Args:
        seeds: retrainings whose splits are probed, the first ones; all where there are fewer.
        seed: of the permutations of contents.
    """

    seeds: Annotated[int, Ge(1)]
    seed: Annotated[int, Ge(0)]


@stage(
    reads={
        "tables": "data/imc/patch/{cohorts}/tables",
        "pixels": "data/imc/patch/{cohorts}/pixels",
        "splits": "data/imc/split/{cohorts}/patient.parquet",
        "decoys": "data/imc/decoy/{cohorts}/patient.parquet",
    },
    writes={
        "leak": metrics(
            "metrics/imc/leak_{cohorts}.json",
            "what the hole tells under the decoys and means in use, on test patches of the patient "
            "scheme, means over seeds: `auc` of the features, `gain` when the hole is known as "
            "well, `swap_auc` with contents exchanged between patches, `marginal_auc` of the "
            "erased share alone",
            within=0.02,
        ),
        "table": tolerance(
            "data/imc/probe/{cohorts}/leaks.parquet",
            "the same for every kind of decoys and both readings of a mean, one row per seed",
            within=0.05,
            columns={
                "decoys": "string: none, marginal or matched",
                "mean": "string: retained or full",
                "quantity": "string: auc, marginal_auc, gain or swap_auc",
                "seed": "int64: retraining whose split was probed, from 0",
                "value": "double: as the quantity says",
            },
        ),
    },
    params={"params": Probe, "patch": Patch, "decoy": Decoy},
    matrix="cohorts",
)
def probe(  # noqa: PLR0913  # four inputs, two outputs and three sections of parameters
    *,
    tables: Path,
    pixels: Path,
    splits: Path,
    decoys: Path,
    leak: Path,
    table: Path,
    params: Probe,
    patch: Patch,
    decoy: Decoy,
) -> None:
    """Probe the decoys that trainings see, and beside them those that they might have seen."""
    from tissuetrace.studies.imc.contents import read_holes
    from tissuetrace.studies.imc.features import patch_table
    from tissuetrace.studies.imc.probing import Settings, probe_leaks

    patches = patch_table(tables)
    found = probe_leaks(
        patches,
        read_holes(pixels, sorted(patches["image"].unique())),
        read_table(splits),
        read_table(decoys),
        settings=Settings(probe=params, patch=patch, decoy=decoy),
    )
    used = found[(found["decoys"] == decoy.kind) & (found["mean"] == patch.mean)]
    averages = used.groupby("quantity")["value"].mean()
    write_json({str(name): float(value) for name, value in averages.items()}, leak)
    write_table(found, table)
