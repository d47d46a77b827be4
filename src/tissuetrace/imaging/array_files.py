"""Named arrays in one compressed file, in bytes that depend on the arrays alone."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

__all__ = ["write_arrays"]

_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can say
_LEVEL = 1  # counts are mostly 0: higher levels take four times as long for a tenth


def write_arrays(path: Path, arrays: Mapping[str, Shaped[ndarray, "..."]]) -> None:
    """Write arrays as `.npz`, which `np.load` reads.

    Args:
        path: of the file.
        arrays: name → array, of numbers or text; their order is kept.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=_DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)
