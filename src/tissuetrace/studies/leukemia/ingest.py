"""One row per image: what its name says, checked against folder and pixels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Ge

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import read_json, write_json, write_table
from tissuetrace.pipeline.parallel import parallel_map
from tissuetrace.pipeline.stage import exact, stage

__all__ = ["Ingest", "ingest"]

_BATCH = 1000  # images of one worker's turn; a phantom is one batch and needs no worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingest:
    """What is expected of a real image."""

    frame_px: Annotated[int, Ge(32)]  # side; a phantom says its own


@stage(
    reads={
        "images": "data/leukemia/fetch/images",
        "source": "data/leukemia/fetch/source.json",
    },
    writes={
        "table": exact(
            "data/leukemia/ingest/table.parquet",
            "one row per labelled image, sorted by name",
            columns={
                "name": "string: of the cell, UID_<subject>_<image>_<cell>_<all|hem>",
                "path": "string: of the image, below fetch/images",
                "subject": "string: as written; normal subjects carry an H",
                "image": "int64: number of the field of view",
                "cell": "int64: number of the cell in it",
                "label": "int64: 1 leukemic blast (ALL), 0 normal precursor",
                "fold": "int64: official fold, -1 for the preliminary phase",
                "width": "int64: of the frame (px)",
                "height": "int64: of the frame (px)",
                "components": "int64: 8-connected parts above black",
                "mask_px": "int64: area of the cell, holes filled (px)",
                "touches_frame": "bool: the cell is cut by the frame",
                "sha256": "string: of the file",
                "pixel_sha256": "string: of the decoded pixels; headers differ between phases",
                "thumb": "list<uint8>: gray box of the cell at 32x32, row by row",
            },
        ),
        "prelim": exact(
            "data/leukemia/ingest/prelim.json",
            "preliminary table: rows, images present, missing and which are absent; images without "
            "any label",
        ),
    },
    params=Ingest,
)
def ingest(*, images: Path, source: Path, table: Path, prelim: Path, params: Ingest) -> None:
    """Parse every name, look at every image, refuse all that is wrong at once."""
    import pandas as pd

    from tissuetrace.studies.leukemia.collection import list_images
    from tissuetrace.studies.leukemia.inspection import inspect_batch

    size_px = read_json(source)["facts"].get("frame_px", params.frame_px)
    listing = list_images(images)
    paths = [image.path for image in listing.images]
    batches = [
        (images, paths[start : start + _BATCH], size_px) for start in range(0, len(paths), _BATCH)
    ]
    seen = [
        cell for batch in parallel_map(inspect_batch, batches, title="ingest") for cell in batch
    ]
    mistakes = [*listing.mistakes, *(mistake for _, mistake in seen if mistake)]
    if mistakes:
        raise InputError(
            f"{len(mistakes)} mistake{'s' * (len(mistakes) != 1)} in {len(paths)} labelled images",
            where="images",
            todo="Mend or remove them at the source, then name it again: tissuetrace source "
            "leukemia FOLDER",
            items=mistakes,
        )
    rows = [
        {
            "name": image.name,
            "path": image.path,
            "subject": image.said.subject,
            "image": image.said.image,
            "cell": image.said.cell,
            "label": image.label,
            "fold": image.fold,
            **columns,
        }
        for image, (columns, _) in zip(listing.images, seen, strict=True)
    ]
    write_table(pd.DataFrame(rows), table)
    write_json({**listing.counts, "absent": listing.absent}, prelim)
