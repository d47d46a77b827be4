"""Named arrays in one compressed file, in bytes that depend on the arrays alone."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

__all__ = ["write_arrays"]

_LEVEL = 1  # counts are mostly 0: level 6 takes six times as long


def write_arrays(path: Path, arrays: Mapping[str, Shaped[ndarray, "..."]]) -> None:
    """Write arrays as `.npz`, which `np.load` reads.

    Args:
        path: of the file.
        arrays: name → array, of numbers or text; their order is kept.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for name, array in arrays.items():
            # opened by name an entry has the archive's level and no date of today
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)
