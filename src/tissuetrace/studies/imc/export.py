"""Images and patches in the formats of other tools: OME-TIFF, AnnData."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tissuetrace.pipeline.errors import InputError

__all__ = ["EXPORTS"]


def export_ome(cohort: str, folder: Path) -> Iterator[Path]:
    """Write every image of a cohort as OME-TIFF, with channel names and physical size.

    Args:
        cohort: one of `imc.cohorts`.
        folder: to write into.

    Yields:
        Each file when it is whole.
    """
    import numpy as np

    from tissuetrace.imaging.ome_export import write_ome

    for path in _shards(Path(f"data/imc/ingest/{cohort}/images"), "*.npz"):
        target = folder / cohort / f"{path.stem}.ome.tiff"
        target.parent.mkdir(parents=True, exist_ok=True)
        with np.load(path) as core:
            write_ome(target, core["x"], core["names"].tolist(), float(core["px_um"]))
        yield target


def export_anndata(cohort: str, folder: Path) -> Iterator[Path]:
    """Write the patches of a cohort as AnnData: mean counts, labels, positions in µm.

    Args:
        cohort: one of `imc.cohorts`.
        folder: to write into.

    Yields:
        The one file.
    """
    from tissuetrace.imaging.anndata_export import patches_as_anndata
    from tissuetrace.pipeline.files import read_table
    from tissuetrace.pipeline.params import load_params
    from tissuetrace.studies.imc.features import PREFIX, mean_columns, patch_table

    tables = Path(f"data/imc/patch/{cohort}/tables")
    _shards(tables, "*.parquet")
    table = patch_table(tables)
    channels = [name.removeprefix(PREFIX) for name in mean_columns(table)]
    px_um = float(read_table(Path(f"data/imc/ingest/{cohort}/images.parquet"))["px_um"].iloc[0])
    size_um = load_params(Path("params.yaml"))["imc"]["patch"]["size_um"]
    target = folder / f"{cohort}.h5ad"
    folder.mkdir(parents=True, exist_ok=True)
    patches_as_anndata(table, channels, px_um=px_um, size_um=size_um).write_h5ad(target)
    yield target


EXPORTS: Mapping[str, Callable[[str, Path], Iterator[Path]]] = {
    "ome-tiff": export_ome,
    "anndata": export_anndata,
}


def _shards(folder: Path, pattern: str) -> list[Path]:
    found = sorted(folder.glob(pattern))
    if not found:
        raise InputError("nothing to export", where=str(folder), todo="Run tissuetrace repro imc")
    return found
