"""Bring the images in, bytes untouched: drawn, from a folder with archives, or by a manifest."""

from pathlib import Path

from tissuetrace.pipeline.fetch import MANIFEST_COLUMNS, fetch_source
from tissuetrace.pipeline.files import write_table
from tissuetrace.pipeline.stage import exact, stage
from tissuetrace.studies.leukemia.phantom import Phantom, draw_phantom

__all__ = ["PATTERNS", "fetch"]

# Layout of the collection; archives of it and a folder that begins at fold_0 match as well.
PATTERNS = (
    "**/fold_*/{all,hem}/*.bmp",
    "**/C-NMC_test_prelim_phase_data/*.bmp",
    "**/C-NMC_test_prelim_phase_data_labels.csv",
)

_LATENTS = [f"z{number}" for number in range(1, 7)]


@stage(
    reads={"source": "sources/leukemia.json"},
    writes={
        "images": exact(
            "data/leukemia/fetch/images",
            "Images and label table as the source holds them, by their relative paths",
        ),
        "manifest": exact(
            "data/leukemia/fetch/manifest.parquet",
            "One row per file below images, sorted by path",
            columns=MANIFEST_COLUMNS,
        ),
        "origin": exact(
            "data/leukemia/fetch/source.json",
            "Kind, licence, doi and counts of the source, and what is known of a phantom",
        ),
        "truth": exact(
            "data/leukemia/fetch/truth.parquet",
            "What the phantom drew, one row per cell, sorted by name; no row for real input",
            columns={
                "name": "string: file name without its ending",
                **dict.fromkeys(_LATENTS, "double: latent of the phantom (standard deviations)"),
                "area_px": "double: true area of the outline (px²)",
            },
        ),
    },
    params={"phantom": Phantom},
)
def fetch(
    *, source: Path, images: Path, manifest: Path, origin: Path, truth: Path, phantom: Phantom
) -> None:
    """Copy, download or draw the images; knows neither subjects nor labels."""
    import pandas as pd

    drawn = fetch_source(
        source,
        images=images,
        manifest=manifest,
        origin=origin,
        phantom=lambda folder: draw_phantom(phantom, folder),
        facts={"frame_px": phantom.size_px},
    )
    if drawn is None:
        numbers = dict.fromkeys([*_LATENTS, "area_px"], "float64")
        drawn = pd.DataFrame(columns=["name", *numbers]).astype({"name": "str"} | numbers)
    write_table(drawn, truth)
