"""Cut every core into square patches, with T cells erased from the predictors."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from tissuetrace.pipeline.files import read_table, write_table
from tissuetrace.pipeline.stage import exact, of_variant, stage
from tissuetrace.studies.imc.cohorts import Cohort, Cut

__all__ = ["Patch", "patch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """How a core is cut and what is erased (Wang & Thomson, section 2).

    Args:
        size_um: side of a patch (µm).
        radius_um: around CD3 and CD8, hidden from the predictors (µm).
        mean: over the area that is left, or over the whole patch with what is hidden as 0.
        keep_min: share of a patch that must be left; decoys keep to it as well.
        label_min_um2: area of T cells' pixels that makes a patch positive (µm²).
        label_smooth_um: standard deviation of the Gaussian over CD3, CD8 and exhaustion (µm).
        tumour_smooth_um: of the Gaussian over the tumour marker (µm).
    """

    size_um: Annotated[float, Gt(0)]
    radius_um: Annotated[float, Ge(0)]
    mean: Literal["retained", "full"]
    keep_min: Annotated[float, Gt(0), Le(1)]
    label_min_um2: Annotated[float, Gt(0)]
    label_smooth_um: Annotated[float, Ge(0)]
    tumour_smooth_um: Annotated[float, Ge(0)]


@stage(
    reads={
        "images": "data/imc/ingest/{cohorts}/images",
        "table": "data/imc/ingest/{cohorts}/images.parquet",
    },
    writes={
        "tables": exact(
            "data/imc/patch/{cohorts}/tables",
            "one table a core, `<image>.parquet`, one row a patch from the top left: `item` "
            "(image:row:col), `subject`, `image`, `row`, `col`, `label` (1: T cells), `tissue`, "
            "`tumour`, `kept` (shares of the patch), `erased_um2`, `components` (parts of the "
            "erased area), `marker_um2` (area of T cells), `mean_<channel>` of every predictor "
            "with the patch's own hole (counts); `<image>.counts.json` counts what was left out",
        ),
        "pixels": exact(
            "data/imc/patch/{cohorts}/pixels",
            "one file a core, `<image>.npz`, rows as in its table: `pixels` (patch, channel, y, x; "
            "counts, uint16 where all are whole, else float32), `masks` (packed bits, 1 = erased), "
            "`names` of the channels, `shape` of a patch (px), `px_um`",
        ),
        "cores": exact(
            "data/imc/patch/{cohorts}/cores.parquet",
            "one row per core, sorted by image",
            columns={
                "image": "string: name of the core",
                "subject": "string: the patient",
                "patches": "int64: kept",
                "dropped_border": "int64: incomplete squares at the right and the lower border",
                "dropped_tissue": "int64: squares with too little tissue, or not all acquired",
                "dropped_hole": "int64: squares of which too little is left beside the erased area",
                "erased": "double: erased share of the tissue",
                "constant_channels": "int64: predictors and markers with one value in all pixels",
                "constant_names": "string: their names",
                "zero_markers": "int64: 1 where all of CD3, CD8 and exhaustion are 0, else 0",
                "non_finite": "int64: values of predictors and markers that are NaN or infinite",
                "negative": "int64: values of predictors and markers below 0",
            },
        ),
    },
    params={"params": Patch, "cohort": of_variant(Cut, of=Cohort)},
    matrix="cohorts",
)
def patch(
    *,
    images: Path,
    table: Path,
    tables: Path,
    pixels: Path,
    cores: Path,
    params: Patch,
    cohort: Cut,
) -> None:
    """Cut the cores that have changed, keep the others, and count what was left out of all.

    Raises:
        InputError: lists every channel that a core does not have.
    """
    from tissuetrace.studies.imc.cutting import count_cores, cut_cores

    listed = read_table(table, columns=["image", "subject"])
    subjects = dict(zip(listed["image"], listed["subject"], strict=True))
    cut_cores(images, subjects, tables=tables, pixels=pixels, params=params, cohort=cohort)
    write_table(count_cores(tables, subjects), cores)
