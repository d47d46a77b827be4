"""Acquisitions of a mass cytometer: from its mcd, and where that is damaged from its txt.

The library returns zeros for pixels that a file does not hold, and says nothing. So whether an
acquisition is whole is read from the coordinates that stand beside the counts.
"""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32, Shaped
from numpy import ndarray
from readimc import MCDFile, TXTFile  # type: ignore[import-untyped]  # readimc publishes no types

from tissuetrace.imaging.mcd_contents import Contents, Planned, contents_of, mcd_of, txt_files
from tissuetrace.imaging.stacks import Partial, Stack
from tissuetrace.pipeline.errors import InputError

__all__ = ["read_mcd", "read_txt"]

_DAMAGE = (OSError, IndexError, KeyError, ValueError)  # what the library raises; see its texts

_EXTRA = 3  # x, y and z stand before the counts of a pixel
_VALUE_BYTES = 4  # float32
_TXT_WITHIN = 1e-3  # counts; the txt has three decimals
_FLOAT_WITHIN = 2.0**-22  # relative: a rounding of float32 on either side


def read_mcd(path: Path, *, acquisition: str, partial: Partial) -> Stack:
    """Read one acquisition of an mcd, from its txt where the mcd does not hold all of it.

    Args:
        path: of the mcd; `.schema` and `<stem>_<description>_<number>.txt` may lie beside it.
        acquisition: its number or description; `""` for the only one.
        partial: `drop` returns what there is of an acquisition that was broken off.

    Returns:
        The channels. Where mcd and txt are both whole the txt must agree, else there is a remark.

    Raises:
        InputError: it is whole in neither file, or its pixels are not square.
    """
    contents = contents_of(path)
    planned = contents.choose(acquisition)
    txt = _txt_of(path, planned)
    with_px = _px_um(planned)
    own = contents.mistake or _from_block(path, planned, with_px)
    if isinstance(own, Stack) and not own.missing:
        return _compared(own, txt, planned)
    export = _from_txt(txt, planned, with_px)
    if isinstance(export, Stack) and not export.missing:
        return _with_remarks(export, *_recovery(contents, own, txt), recovered="txt")
    kept = [one for one in (own, export) if isinstance(one, Stack)]
    if kept and partial == "drop":
        best = min(kept, key=lambda one: one.missing)
        remark = f"{best.missing} of {best.acquired.size} pixels were not acquired"
        return _with_remarks(best, remark, recovered="" if best is own else "txt")
    raise InputError(
        f"{planned.words}: {_reason(own)}; {_reason(export)}",
        todo="Put back the txt, or an undamaged copy; an acquisition that was broken off is read "
        "with imc.ingest.partial: drop",
    )


def read_txt(path: Path, *, partial: Partial) -> Stack:
    """Read an exported txt; size and spacing come from the mcd or schema beside it.

    Raises:
        InputError: it is damaged, or not whole.
    """
    planned, known = Planned(number=0, description=""), False
    origin = mcd_of(path)
    if origin is not None:
        contents = contents_of(origin[0])
        planned = contents.choose(str(origin[1]))
        known = contents.source != "txt"
    found = _from_txt(path, planned, _px_um(planned))
    if isinstance(found, str) or (found.missing and partial == "refuse"):
        raise InputError(
            _reason(found), todo="Put back an undamaged copy, or set imc.ingest.partial to drop"
        )
    return found if known else _with_remarks(found, "completeness unknown: no mcd or schema beside")


def _from_block(path: Path, planned: Planned, px_um: float | None) -> Stack | str:
    """Read from the mcd's own block, or say what is wrong with it."""
    try:
        with MCDFile(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an empty block: its coordinates say so as well
            acquired = _block_coverage(path, planned)
            if isinstance(acquired, str):
                return f"the mcd's {acquired}"
            x = file.read_acquisition(planned.entry)
    except _DAMAGE as problem:
        return f"the mcd's block cannot be read ({' '.join(str(problem).split())})"
    return Stack(
        labels=tuple(planned.entry.channel_labels),
        metals=planned.metals,
        x=x,
        acquired=acquired,
        px_um=px_um,
    )


def _block_coverage(path: Path, planned: Planned) -> Bool[ndarray, "y x"] | str:
    if planned.size_px is None:
        return "metadata give no size"
    metadata = planned.entry.metadata
    start, end = int(metadata["DataStartOffset"]), int(metadata["DataEndOffset"])
    width = len(planned.metals) + _EXTRA
    if int(metadata["ValueBytes"]) != _VALUE_BYTES:
        return f"values have {metadata['ValueBytes']} bytes, expected {_VALUE_BYTES}"
    if not 0 <= start < end <= path.stat().st_size:
        return f"block should lie at {start} to {end} of {path.stat().st_size} bytes"
    if (end - start) % (width * _VALUE_BYTES):
        return f"block of {end - start} bytes is no multiple of {width * _VALUE_BYTES}"
    shape = ((end - start) // (width * _VALUE_BYTES), width)
    block = np.memmap(path, dtype="<f4", mode="r", offset=start, shape=shape)
    if not np.isfinite(block).all():
        return "block holds values that are no numbers"
    return _coverage(block[:, 0], block[:, 1], planned.size_px)


def _from_txt(txt: Path | str, planned: Planned, px_um: float | None) -> Stack | str:
    """Read an export, or say what is wrong with it."""
    if isinstance(txt, str):
        return txt
    try:
        places = pd.read_csv(txt, sep="\t", usecols=["X", "Y"], dtype=np.float32).to_numpy()
        size = planned.size_px or _span(places)
        acquired = _coverage(places[:, 0], places[:, 1], size)
        if isinstance(acquired, str):
            return f"{txt.name}: its {acquired}"
        with TXTFile(txt) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # not rectangular: the coordinates say so as well
            x = _padded(file.read_acquisition(strict=False), size)
    except _DAMAGE as problem:
        return f"{txt.name} cannot be read ({' '.join(str(problem).split())})"
    metals = tuple(file.channel_names)
    if not np.isfinite(x).all():
        return f"{txt.name} holds values that are no numbers"
    if planned.metals and set(metals) != set(planned.metals):
        listed = f"{', '.join(metals)}; expected {', '.join(planned.metals)}"
        return f"{txt.name} has other channels ({listed})"
    labels = tuple(file.channel_labels)
    return Stack(labels=labels, metals=metals, x=x, acquired=acquired, px_um=px_um)


def _coverage(
    xs: Shaped[ndarray, " pixel"], ys: Shaped[ndarray, " pixel"], size_px: tuple[int, int]
) -> Bool[ndarray, "y x"] | str:
    """Return which pixels of the rectangle were recorded, or why the coordinates are damaged."""
    width, height = size_px
    inside = (xs >= 0) & (xs < width) & (ys >= 0) & (ys < height)
    whole = inside & (xs == np.floor(xs)) & (ys == np.floor(ys))
    if not whole.all():
        count = np.count_nonzero(~whole)
        return f"coordinates are damaged ({count} of {len(xs)} are no pixel of {width}x{height})"
    index = ys.astype(np.int64) * width + xs.astype(np.int64)
    times = np.bincount(index, minlength=width * height)
    if (times > 1).any():
        count, lacking = np.count_nonzero(times > 1), np.count_nonzero(times == 0)
        return f"coordinates are damaged ({count} pixels stand there twice, {lacking} lack)"
    acquired: Bool[ndarray, "y x"] = (times > 0).reshape(height, width)
    return acquired


def _span(places: Shaped[ndarray, "pixel 2"]) -> tuple[int, int]:
    if not len(places) or not np.isfinite(places).all():
        raise ValueError("no coordinates")
    width, height = (int(top) + 1 for top in places.max(axis=0))
    return width, height


def _padded(
    x: Float32[ndarray, "channel y x"], size_px: tuple[int, int]
) -> Float32[ndarray, "channel height width"]:
    below, right = size_px[1] - x.shape[1], size_px[0] - x.shape[2]
    return np.pad(x, ((0, 0), (0, below), (0, right))) if below or right else x


def _txt_of(mcd: Path, planned: Planned) -> Path | str:
    """Return the export of an acquisition, or that there is none."""
    exports = txt_files(mcd)
    known = exports.get((planned.number, planned.description))
    fitting = [path for (number, _), path in exports.items() if number == planned.number]
    if known is not None:
        return known
    if len(fitting) == 1:
        return fitting[0]
    name = f"{mcd.stem}_{planned.description or '…'}_{planned.number}.txt"
    return f"{name} is missing" if not fitting else f"{len(fitting)} txt files claim to be it"


def _px_um(planned: Planned) -> float | None:
    if planned.spacing_um is None:
        return None
    across, down = planned.spacing_um
    if across != down or across <= 0:
        raise InputError(
            f"{planned.words}: ablation distance {across:g} µm along x, {down:g} µm along y, "
            "expected square pixels",
            todo="Take it out of images.csv",
        )
    return across


def _compared(own: Stack, txt: Path | str, planned: Planned) -> Stack:
    if isinstance(txt, str):
        return own  # nothing to hold it against
    export = _from_txt(txt, planned, own.px_um)
    if isinstance(export, str) or export.missing:
        return _with_remarks(own, f"the mcd is whole, but {_reason(export)}")
    order = [export.metals.index(metal) for metal in own.metals]
    difference = np.abs(own.x - export.x[order])
    if (difference <= _TXT_WITHIN + _FLOAT_WITHIN * np.abs(own.x)).all():
        return own
    remark = f"{txt.name} differs from the mcd by up to {difference.max():.4g} counts"
    return _with_remarks(own, remark)


def _recovery(contents: Contents, own: Stack | str, txt: Path | str) -> list[str]:
    name = txt.name if isinstance(txt, Path) else txt
    remarks = [f"read from {name}: {_reason(own)}"]
    if contents.source == "txt":
        remarks.append("completeness unknown: neither mcd nor schema says what there should be")
    return remarks


def _reason(found: Stack | str) -> str:
    if isinstance(found, str):
        return found
    height, width = found.acquired.shape
    return f"{found.missing} of {width}x{height} pixels were not acquired"


def _with_remarks(stack: Stack, *remarks: str, recovered: Literal["", "txt"] = "") -> Stack:
    return replace(stack, remarks=(*stack.remarks, *remarks), recovered=recovered)
