"""Acquisitions of a mass cytometer: from its mcd, and where that is damaged from its txt.

The library returns zeros for pixels that a file does not hold, and says nothing. So whether an
acquisition is whole is read from the coordinates that stand beside the counts.
"""

import contextlib
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float32
from numpy import ndarray
from readimc import MCDFile, TXTFile  # type: ignore[import-untyped]  # readimc publishes no types

from tissuetrace.imaging.mcd_contents import Contents, Planned, contents_of, mcd_of, txt_files
from tissuetrace.imaging.stacks import DAMAGE, Partial, Stack, one_line
from tissuetrace.pipeline.errors import InputError

__all__ = ["read_mcd", "read_txt"]

_EXTRA = 3  # x, y and z stand before the counts of a pixel
_VALUE_BYTES = 4  # float32
_TXT_WITHIN = 1e-3  # counts; the txt has three decimals
_LARGEST = 20  # pixels of a rectangle for each one that was recorded


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
    planned, known = _plan_of(path)
    found = _from_txt(path, planned, _px_um(planned))
    if isinstance(found, str) or (found.missing and partial == "refuse"):
        raise InputError(
            _reason(found), todo="Put back an undamaged copy, or set imc.ingest.partial to drop"
        )
    unknown = "completeness unknown: no mcd or schema beside it tells of it"
    return found if known else _with_remarks(found, unknown)


def _plan_of(txt: Path) -> tuple[Planned, bool]:
    """Return what an export should hold, and whether mcd or schema say so."""
    nothing = Planned(number=0, description="")
    origin = mcd_of(txt)
    if origin is None:
        return nothing, False
    mcd, number, name = origin
    contents = contents_of(mcd)
    fitting = [one for one in contents.planned if one.number == number and one.is_called(name)]
    return (fitting[0], contents.source != "txt") if fitting else (nothing, False)


def _from_block(path: Path, planned: Planned, px_um: float | None) -> Stack | str:
    """Read from the mcd's own block, or say what is wrong with it."""
    try:
        acquired = _coverage(_block_places(path, planned), planned.size_px)
        with contextlib.closing(MCDFile(path)) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of blocks that overlap, among the others
            file.open()
            x = file.read_acquisition(planned.entry)
    except DAMAGE as problem:
        return f"the mcd's block: {one_line(problem)}"
    return Stack(
        labels=tuple(planned.entry.channel_labels),
        metals=planned.metals,
        x=x,
        acquired=acquired,
        px_um=px_um,
    )


def _block_places(path: Path, planned: Planned) -> Float32[ndarray, "pixel 2"]:
    """Return x and y of every record of an mcd's block.

    Raises:
        ValueError: the block cannot lie where the metadata say.
    """
    if planned.overlapping:  # a record of the other can stand in for one of its own
        others = ", ".join(str(number) for number in planned.overlapping)
        raise ValueError(f"shares bytes with that of acquisition {others}")
    start, end = planned.block
    width = len(planned.metals) + _EXTRA
    value_bytes = planned.entry.metadata["ValueBytes"]
    if int(value_bytes) != _VALUE_BYTES:
        raise ValueError(f"values of {value_bytes} bytes, expected {_VALUE_BYTES}")
    if not 0 <= start < end <= path.stat().st_size:
        raise ValueError(f"should lie at {start} to {end} of {path.stat().st_size} bytes")
    shape = ((end - start) // (width * _VALUE_BYTES), width)
    block = np.memmap(path, dtype="<f4", mode="r", offset=start, shape=shape)
    if not np.isfinite(block).all():
        raise ValueError("holds values that are no numbers")
    return np.array(block[:, :2])


def _from_txt(txt: Path | str, planned: Planned, px_um: float | None) -> Stack | str:
    """Read an export, or say what is wrong with it."""
    if isinstance(txt, str):
        return txt
    try:
        return _read_export(txt, planned, px_um)
    except DAMAGE as problem:
        return f"{txt.name}: {one_line(problem)}"


def _read_export(txt: Path, planned: Planned, px_um: float | None) -> Stack:
    places = pd.read_csv(txt, sep="\t", usecols=["X", "Y"], dtype=np.float32).to_numpy()
    size_px = planned.size_px or _span(places)
    acquired = _coverage(places, size_px)
    if _is_cut_off(txt):
        raise ValueError("ends within a number")
    with contextlib.closing(TXTFile(txt)) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not rectangular: the coordinates say so as well
        file.open()
        x = _padded(file.read_acquisition(strict=False), size_px)
    metals = tuple(file.channel_names)
    if not np.isfinite(x).all():
        raise ValueError("holds values that are no numbers")
    if planned.metals and set(metals) != set(planned.metals):
        listed = f"{', '.join(metals)}; expected {', '.join(planned.metals)}"
        raise ValueError(f"has other channels ({listed})")
    labels = tuple(file.channel_labels)
    return Stack(labels=labels, metals=metals, x=x, acquired=acquired, px_um=px_um)


def _coverage(
    places: Float32[ndarray, "pixel 2"], size_px: tuple[int, int] | None
) -> Bool[ndarray, "y x"]:
    """Return which pixels of the rectangle were recorded.

    Raises:
        ValueError: there is no rectangle, or the coordinates are damaged.
    """
    if size_px is None:
        raise ValueError("the metadata give no size")
    inside = (places >= 0) & (places < size_px) & (places == np.floor(places))
    if not inside.all():
        count = np.count_nonzero(~inside.all(axis=1))
        size = "x".join(map(str, size_px))
        raise ValueError(f"{count} of {len(places)} coordinates are no pixel of {size}")
    width, height = size_px
    if width * height > _LARGEST * len(places):
        raise ValueError(f"{len(places)} pixels, far too few for a rectangle of {width}x{height}")
    xs, ys = places.astype(np.int64).T
    times = np.bincount(ys * width + xs, minlength=width * height)
    if (times > 1).any():
        count, lacking = np.count_nonzero(times > 1), np.count_nonzero(times == 0)
        raise ValueError(f"coordinates of {count} pixels stand there twice, {lacking} lack")
    acquired: Bool[ndarray, "y x"] = (times > 0).reshape(height, width)
    return acquired


def _is_cut_off(txt: Path) -> bool:
    """Say whether the last number has fewer decimals than that above it; all have three."""
    with txt.open("rb") as file:
        file.readline()
        first = file.readline().rstrip()
        file.seek(max(0, txt.stat().st_size - len(first) - 1))
        last = file.read().rpartition(b"\n")[2]
    return bool(last) and _decimals(last) < _decimals(first)


def _decimals(row: bytes) -> int:
    """Return how many decimals the last column has; no point, as in 12 of 12.345, is none."""
    return len(row.rpartition(b"\t")[2].partition(b".")[2])


def _span(places: Float32[ndarray, "pixel 2"]) -> tuple[int, int]:
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
    fitting = [
        path
        for (number, name), path in exports.items()
        if number == planned.number and planned.is_called(name)
    ]
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
    difference = float(np.abs(own.x - export.x[order]).max())
    if difference <= _TXT_WITHIN:
        return own
    remark = f"{txt.name} differs from the mcd by up to {difference:.4g} counts"
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
