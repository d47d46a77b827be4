"""Synthetic cores with a known law of T cells, in the layout of a user's own folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt, MinLen

if TYPE_CHECKING:
    import pandas as pd
    from numpy.random import SeedSequence

    from tissuetrace.studies.imc.drawing import Core

__all__ = ["SQUARE_UM", "TRUTH_TYPES", "Phantom", "PhantomCohort", "draw_phantom"]

SQUARE_UM = 40.0  # side of a square of the truth; cores have 1 µm a pixel
TRUTH_TYPES = {
    "cohort": "str",
    "item": "str",
    "subject": "str",
    "image": "str",
    "row": "int64",
    "col": "int64",
    "hot": "int64",
    "tumour": "float64",
    "tissue": "float64",
    "expected": "float64",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PhantomCohort:
    """What differs between cohorts.

    Args:
        seed: of all that is drawn for the cohort.
        rate_per_um2: T-cell centres per µm² where every causal chemokine is at its mean.
        tumour_marker: name of the channel of tumour cells.
    """

    seed: Annotated[int, Ge(0)]
    rate_per_um2: Annotated[float, Gt(0)]
    tumour_marker: Annotated[str, MinLen(1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phantom:
    """How much is drawn.

    Args:
        patients: per cohort, half of them hot (infiltrated) and half cold.
        cores: per patient.
        diameter_um: of a core.
        cohorts: name of a cohort and what differs in it.
    """

    patients: Annotated[int, Ge(2)]
    cores: Annotated[int, Ge(1)]
    diameter_um: Annotated[float, Ge(40)]
    cohorts: Annotated[dict[str, PhantomCohort], MinLen(1)]


@dataclass(frozen=True, slots=True)
class _Job:
    folder: Path
    cohort: str
    subject: str
    image: str
    hot: int
    diameter_um: float
    rate_per_um2: float
    tumour_marker: str
    of_patient: "SeedSequence"
    of_core: "SeedSequence"


def draw_phantom(params: Phantom, folder: Path) -> "pd.DataFrame":
    """Write cores, masks of their tissue and a table of images for every cohort.

    Every patient and every core has its own generator, so that cores can be drawn in any order and
    one more core changes no other. Names tell nothing of what a patient is.

    Args:
        params: what to draw.
        folder: where `<cohort>/images.csv`, `<cohort>/core_001.ome.tiff` (counts, channel by y by
            x, 1 µm a pixel) and `<cohort>/core_001_tissue.tiff` are made.

    Returns:
        The truth, one row per square of 40 µm from the top left of a core, by cohort, image, row
        and column: `cohort, item, subject, image, row, col`; `hot`, 1 for a hot and -1 for a cold
        patient; `tumour` and `tissue`, shares of the square; `expected`, the expected number of
        centres of T cells that are not exhausted.

    Source: the law is ours, made after what Wang & Thomson report (section 2): CXCL9, CXCL10,
        CXCL12, CCL19 draw T cells, CCL8 keeps them out.
    """
    import pandas as pd

    from tissuetrace.pipeline.parallel import parallel_map

    jobs = [job for name in sorted(params.cohorts) for job in _jobs(params, name, folder / name)]
    for name in sorted(params.cohorts):
        (folder / name).mkdir(parents=True, exist_ok=True)
        _write_images([job for job in jobs if job.cohort == name], folder / name / "images.csv")
    squares = parallel_map(_draw, jobs, title="drawing cores")
    truth = pd.concat([_table(*pair) for pair in zip(jobs, squares, strict=True)])
    return truth.astype(TRUTH_TYPES).reset_index(drop=True)


def _jobs(params: Phantom, name: str, folder: Path) -> Iterator[_Job]:
    import numpy as np

    cohort = params.cohorts[name]
    of_order, *of_patients = np.random.SeedSequence(cohort.seed).spawn(1 + params.patients)
    cold = np.arange(params.patients) >= params.patients / 2
    cold = np.random.default_rng(of_order).permutation(cold)
    patient_digits = max(2, len(str(params.patients)))  # so that names sort as numbers
    core_digits = max(3, len(str(params.patients * params.cores)))
    for patient, seeds in enumerate(of_patients):
        of_patient, *of_cores = seeds.spawn(1 + params.cores)
        for core, of_core in enumerate(of_cores):
            yield _Job(
                folder=folder,
                cohort=name,
                subject=f"patient_{patient + 1:0{patient_digits}d}",
                image=f"core_{patient * params.cores + core + 1:0{core_digits}d}",
                hot=-1 if cold[patient] else 1,
                diameter_um=params.diameter_um,
                rate_per_um2=cohort.rate_per_um2,
                tumour_marker=cohort.tumour_marker,
                of_patient=of_patient,
                of_core=of_core,
            )


def _write_images(jobs: list[_Job], path: Path) -> None:
    header = "image,subject,file,acquisition,tissue_mask"
    rows = [f"{job.image},{job.subject},{job.image}.ome.tiff,,{_mask_name(job)}" for job in jobs]
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def _draw(job: _Job) -> "pd.DataFrame":
    import numpy as np

    from tissuetrace.studies.imc.drawing import draw_core, patient_offsets, squares

    # both cores of a patient draw the same offsets, each for itself
    offsets = patient_offsets(job.hot, np.random.default_rng(job.of_patient))
    core = draw_core(
        offsets,
        diameter_um=job.diameter_um,
        rate_per_um2=job.rate_per_um2,
        tumour_marker=job.tumour_marker,
        rng=np.random.default_rng(job.of_core),
    )
    _write_core(job, core)
    return squares(core, side_px=int(SQUARE_UM))


def _write_core(job: _Job, core: "Core") -> None:
    import numpy as np
    import tifffile

    # tifffile would draw an identifier of its own for every file
    identifier = f"{job.cohort}-{job.image}"
    tifffile.imwrite(
        job.folder / f"{job.image}.ome.tiff",
        core.counts,
        ome=True,
        photometric="minisblack",
        compression="zlib",
        compressionargs={"level": 1},
        maxworkers=1,
        metadata=_metadata(core.names, identifier),
    )
    tifffile.imwrite(
        job.folder / _mask_name(job),
        core.tissue.astype(np.uint8),
        photometric="minisblack",
        compression="zlib",
        maxworkers=1,
        metadata=None,
    )


def _metadata(names: tuple[str, ...], identifier: str) -> dict[str, object]:
    from uuid import NAMESPACE_OID, uuid5

    return {
        "axes": "CYX",
        "Channel": {"Name": list(names)},
        "PhysicalSizeX": 1.0,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": 1.0,
        "PhysicalSizeYUnit": "µm",
        "UUID": f"urn:uuid:{uuid5(NAMESPACE_OID, identifier)}",
    }


def _mask_name(job: _Job) -> str:
    return f"{job.image}_tissue.tiff"


def _table(job: _Job, squares: "pd.DataFrame") -> "pd.DataFrame":
    place = squares["row"].astype(str) + ":" + squares["col"].astype(str)
    return squares.assign(
        cohort=job.cohort,
        item=job.image + ":" + place,
        subject=job.subject,
        image=job.image,
        hot=job.hot,
    )[list(TRUTH_TYPES)]
