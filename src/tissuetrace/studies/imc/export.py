"""Images and patches in the formats of other tools: OME-TIFF, AnnData."""

import contextlib
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
        with np.load(path) as core, _aside(target) as partial:
            write_ome(partial, core["x"], core["names"].tolist(), float(core["px_um"]))
        yield target


def export_anndata(cohort: str, folder: Path) -> Iterator[Path]:
    """Write the patches of a cohort as AnnData: mean counts, labels, positions in µm.

    Args:
        cohort: one of `imc.cohorts`.
        folder: to write into.

    Yields:
        The one file.
    """
    import numpy as np

    from tissuetrace.imaging.anndata_export import patches_as_anndata
    from tissuetrace.studies.imc.features import PREFIX, mean_columns, patch_table

    home = Path(f"data/imc/patch/{cohort}")
    tables = home / "tables"
    _shards(tables, "*.parquet")
    table = patch_table(tables)
    channels = [name.removeprefix(PREFIX) for name in mean_columns(table)]
    with np.load(_shards(home / "pixels", "*.npz")[0]) as core:  # all of a cohort are cut alike
        px_um = float(core["px_um"])
        size_um = int(core["shape"][0]) * px_um
    patches = patches_as_anndata(table, channels, px_um=px_um, size_um=size_um)
    target = folder / f"{cohort}.h5ad"
    with _aside(target) as partial:
        patches.write_h5ad(partial)
    yield target


EXPORTS: Mapping[str, Callable[[str, Path], Iterator[Path]]] = {
    "ome-tiff": export_ome,
    "anndata": export_anndata,
}


@contextlib.contextmanager
def _aside(target: Path) -> Iterator[Path]:
    """Give a file beside the target, which takes its place once it is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    try:
        yield partial
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _shards(folder: Path, pattern: str) -> list[Path]:
    found = sorted(folder.glob(pattern))
    if not found:
        raise InputError("nothing to export", where=str(folder), todo="Run tissuetrace repro imc")
    return found
