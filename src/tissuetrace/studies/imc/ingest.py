"""Read every image into counts with channel names, whatever format it came in."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Gt

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import read_json, write_json, write_table
from tissuetrace.pipeline.stage import exact, of_variant, stage
from tissuetrace.studies.imc.cohorts import Cohort, Imaged

if TYPE_CHECKING:
    from tissuetrace.studies.imc.image_shards import Refusal

__all__ = ["Ingest", "ingest"]

_TYPES = {
    "image": "str",
    "subject": "str",
    "file": "str",
    "acquisition": "str",
    "recovered": "str",
    "height": "int64",
    "width": "int64",
    "px_um": "float64",
    "missing": "int64",
    "zero_channels": "int64",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingest:
    """What is done to counts, and what happens to acquisitions that are not whole.

    Args:
        compensate: `matrix` takes spillover out by `spillover.csv` of the cohort; the paper
            describes none, so `off`.
        clip: counts above it are set to it (hot pixels); the paper describes none, so null. A
            count and no quantile: a quantile of each image wipes out markers of few cells, and
            makes one count mean different things in two images.
        partial: an acquisition that was broken off is refused, or patches with pixels that it
            lacks are dropped.
        refused: an acquisition that cannot be used stops the cohort, or is skipped and counted.
    """

    compensate: Literal["off", "matrix"]
    clip: Annotated[float, Gt(0)] | None
    partial: Literal["refuse", "drop"]
    refused: Literal["stop", "skip"]


@stage(
    reads={"files": "data/imc/fetch/files/{cohorts}"},
    writes={
        "images": exact(
            "data/imc/ingest/{cohorts}/images",
            "for each image `<image>.npz`: x (channel, y, x; counts, float32), names, px_um, and "
            "where supplied the masks tissue and tumour (y, x; bool); acquired (y, x; bool) where "
            "pixels lack; `<image>.json`: its row, channels and remarks; keys.json: what each was "
            "made from",
        ),
        "table": exact(
            "data/imc/ingest/{cohorts}/images.parquet",
            "one row per image, sorted by image",
            columns={
                "image": "string: name",
                "subject": "string: the patient",
                "file": "string: below the cohort's folder",
                "acquisition": "string: number or description in an mcd, else empty",
                "recovered": "string: txt where a damaged mcd was read from its export, else empty",
                "height": "int64: (px)",
                "width": "int64: (px)",
                "px_um": "double: side of a pixel (µm)",
                "missing": "int64: pixels that were not acquired",
                "zero_channels": "int64: channels that are 0 everywhere",
            },
        ),
        "refused": exact(
            "data/imc/ingest/{cohorts}/refused.parquet",
            "acquisitions that were skipped, sorted by file and acquisition",
            columns={
                "file": "string: below the cohort's folder",
                "acquisition": "string: as the table of images has it",
                "reason": "string: why",
            },
        ),
    },
    params={"cohort": of_variant(Imaged, of=Cohort), "ingest": Ingest},
    matrix="cohorts",
)
def ingest(
    *, files: Path, images: Path, table: Path, refused: Path, cohort: Imaged, ingest: Ingest
) -> None:
    """Read the images that have changed, keep the others, refuse all that is wrong at once.

    Raises:
        InputError: lists every acquisition that cannot be used; those that can are kept for the
            next run.
    """
    import pandas as pd

    rows, refusals = _ingest_images(files, images, px_um=cohort.px_um, settings=ingest)
    _tell(files.name, rows, refusals)
    rows = [{**row, "zero_channels": len(row["empty_channels"])} for row in rows]
    write_table(pd.DataFrame(rows, columns=list(_TYPES)).astype(_TYPES), table)
    columns = ["file", "acquisition", "reason"]
    listed = sorted((one.file, one.acquisition, one.reason) for one in refusals)
    write_table(pd.DataFrame(listed, columns=columns).astype("str"), refused)


def _ingest_images(
    files: Path, images: Path, *, px_um: float, settings: Ingest
) -> tuple[list[dict[str, Any]], list["Refusal"]]:
    from tissuetrace.pipeline.gate import code_sha256
    from tissuetrace.pipeline.keeping import plan_shards
    from tissuetrace.studies.imc.image_shards import (
        CohortTables,
        deviating,
        library_versions,
        listed_twice,
        made_from,
        make_shards,
        read_rows,
    )
    from tissuetrace.studies.imc.image_table import read_image_table

    listed = {image.image: image for image in read_image_table(files)}
    tables = CohortTables.read(files, settings)
    recipe = {
        "settings": {**asdict(settings), "refused": "", "px_um": px_um},
        "code": code_sha256(__name__, Path()),
        "libraries": library_versions(),
    }
    inputs = made_from(listed.values(), files)
    plan = plan_shards(images, inputs, recipe)
    refusals, made = make_shards(plan.fresh, listed, tables, px_um=px_um, settings=settings)
    # the new ones among themselves first, so that one message names all that is wrong with them
    odd = deviating(made) if len(made) == len(listed) - len(refusals) else []
    _stop(refusals + _once([*odd, *listed_twice(made)]), files.name, settings)
    if refusals:
        unusable = {one.image for one in refusals}
        kept = {name: value for name, value in inputs.items() if name not in unusable}
        plan = plan_shards(images, kept, recipe)
    plan.finish()
    rows = read_rows(images)
    odd = _once([*deviating(rows), *listed_twice(rows)])
    _stop(odd, files.name, settings)
    _withdraw(images, [one.image for one in odd])
    unusable = {one.image for one in odd}
    left = [row for row in rows if row["image"] not in unusable]
    if not left:
        raise InputError(
            f"none of {len(listed)} acquisitions can be used",
            where=files.name,
            todo="Mend them, or leave the cohort out of imc.cohorts",
            items=[f"{one.image}: {one.reason}" for one in [*refusals, *odd]],
        )
    return left, [*refusals, *odd]


def _once(refusals: list["Refusal"]) -> list["Refusal"]:
    first: dict[str, Refusal] = {}
    for one in refusals:
        first.setdefault(one.image, one)
    return list(first.values())


def _stop(refusals: list["Refusal"], cohort: str, settings: Ingest) -> None:
    if refusals and settings.refused == "stop":
        raise InputError(
            f"{len(refusals)} acquisition{'s' * (len(refusals) != 1)} cannot be used",
            where=cohort,
            todo="Mend them, or set imc.ingest.refused to skip",
            items=[f"{one.image}: {one.reason}" for one in refusals],
        )


def _withdraw(images: Path, names: list[str]) -> None:
    """Take images out of the finished folder, and out of its list of keys."""
    from tissuetrace.pipeline.keeping import KEYS_FILE

    keys = read_json(images / KEYS_FILE)
    for name in names:
        for file in keys.pop(name)["files"]:
            (images / file).unlink()
    if names:
        write_json(keys, images / KEYS_FILE)


def _tell(cohort: str, rows: list[dict[str, Any]], refusals: list["Refusal"]) -> None:
    for row in rows:
        remarks = list(row["remarks"])
        if row["empty_channels"]:
            remarks.append(f"0 everywhere: {', '.join(row['empty_channels'])}")
        for remark in remarks:
            sys.stderr.write(f"imc.ingest: {cohort}, {row['image']}: {remark}\n")
    for one in refusals:
        sys.stderr.write(f"imc.ingest: {cohort}, {one.image} skipped: {one.reason}\n")
