"""Bring the images in, bytes untouched: drawn, from a folder of cohorts, or by a manifest."""

from pathlib import Path

from tissuetrace.pipeline.fetch import MANIFEST_COLUMNS, fetch_source
from tissuetrace.pipeline.files import write_table
from tissuetrace.pipeline.stage import exact, stage
from tissuetrace.studies.imc.phantom import TRUTH_TYPES, Phantom, draw_phantom

__all__ = ["PATTERNS", "fetch"]

# A folder per cohort: its tables, and image files at any depth below it. Other tables stay where
# they are, such as one of patients. Endings are written as instruments and Windows write them.
_ENDINGS = ("mcd", "schema", "txt", "tif", "tiff")
_WRITTEN = [spelt for end in _ENDINGS for spelt in (end, end.capitalize(), end.upper())]
PATTERNS = (
    "*/{images,panel,spillover}.csv",
    f"*/**/*.{{{','.join(_WRITTEN)}}}",
)

_TRUTH = {
    "cohort": "string: name of the cohort",
    "item": "string: image, row and column of the square, joined by colons",
    "subject": "string: the patient",
    "image": "string: the core",
    "row": "int64: of the square, from the top",
    "col": "int64: of the square, from the left",
    "hot": "int64: 1 for an infiltrated patient, -1 for a cold one",
    "tumour": "double: true share of the square that is tumour",
    "tissue": "double: true share of the square that was acquired",
    "expected": "double: expected centres of T cells that are not exhausted, in the square",
}


@stage(
    reads={"source": "sources/imc.json"},
    writes={
        "files": exact(
            "data/imc/fetch/files",
            "Images and tables as the source holds them, by their relative paths, a folder a "
            "cohort",
        ),
        "manifest": exact(
            "data/imc/fetch/manifest.parquet",
            "One row per file below files, sorted by path",
            columns=MANIFEST_COLUMNS,
        ),
        "origin": exact(
            "data/imc/fetch/source.json",
            "Kind, licence, doi and counts of the source, and what is known of a phantom",
        ),
        "truth": exact(
            "data/imc/fetch/truth.parquet",
            "What the phantom drew, one row per square of 40 µm, sorted by cohort, image, row and "
            "col; no row for real input",
            columns=_TRUTH,
        ),
    },
    params={"phantom": Phantom},
)
def fetch(
    *, source: Path, files: Path, manifest: Path, origin: Path, truth: Path, phantom: Phantom
) -> None:
    """Copy, download or draw the files; knows neither patients nor channels."""
    import pandas as pd

    drawn = fetch_source(
        source,
        images=files,
        manifest=manifest,
        origin=origin,
        phantom=lambda folder: draw_phantom(phantom, folder),
        facts={
            "cohorts": sorted(phantom.cohorts),
            "patients": phantom.patients,
            "cores": phantom.patients * phantom.cores,
        },
    )
    if drawn is None:
        drawn = pd.DataFrame(columns=list(TRUTH_TYPES)).astype(TRUTH_TYPES)
    write_table(drawn, truth)
