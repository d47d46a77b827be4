"""One image of ion counts with named channels, from whatever file an instrument or lab wrote."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32
from numpy import ndarray

from tissuetrace.imaging.ion_images import SUFFIXES, channel_files, read_channel_folder, read_tiff
from tissuetrace.imaging.panels import Panel, name_channels
from tissuetrace.imaging.stacks import Partial, Stack
from tissuetrace.pipeline.errors import InputError

__all__ = ["Acquisition", "Partial", "counts_sha256", "read_acquisition", "source_files"]

_OF_TXT = 1000  # a txt has three decimals, the fourth rounded half up, else the mcd's counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """One image.

    Args:
        names: of the channels, unique.
        metals: isotope of each, empty where unknown.
        x: counts, at least 0; 0 where nothing was acquired.
        acquired: pixels that were acquired.
        px_um: side of a pixel (µm), where the file states one.
        recovered: `txt` where a damaged mcd was read from its export.
        missing: number of pixels that were not acquired.
        remarks: what the user should know though nothing is refused.
    """

    names: tuple[str, ...]
    metals: tuple[str, ...]
    x: Float32[ndarray, "channel y x"]
    acquired: Bool[ndarray, "y x"]
    px_um: float | None
    recovered: Literal["", "txt"]
    missing: int
    remarks: tuple[str, ...]


def read_acquisition(
    path: Path, *, acquisition: str, panel: Panel | None, partial: Partial
) -> Acquisition:
    """Read an image and name its channels.

    Args:
        path: an `.mcd`, an exported `.txt`, an OME-TIFF, a TIFF stack (named by the panel's
            order), or a folder of one TIFF per channel.
        acquisition: number or description of it in an mcd; `""` for the only one, and elsewhere.
        panel: names by metal; None takes the file's own labels.
        partial: `refuse` an acquisition that was broken off, or `drop` the pixels it lacks.

    Raises:
        InputError: one line that names file, acquisition and channel.
    """
    where = f"{path.name}, acquisition {acquisition}" if acquisition else path.name
    try:
        stack = _read(path, acquisition=acquisition, panel=panel, partial=partial)
        names, metals = name_channels(stack.labels, stack.metals, panel)
        _refuse_impossible(stack, names)
    except InputError as problem:
        raise InputError(str(problem), where=where) from problem
    except MemoryError as problem:
        raise InputError(
            "is larger than the memory that is free",
            where=where,
            todo="Take it out of images.csv, or read it on a larger machine",
        ) from problem
    return Acquisition(
        names=names,
        metals=metals,
        x=stack.x,
        acquired=stack.acquired,
        px_um=stack.px_um,
        recovered=stack.recovered,
        missing=stack.missing,
        remarks=stack.remarks,
    )


def counts_sha256(found: Acquisition) -> str:
    """Return a checksum that two readings of one image share, whatever their files are.

    Counts are rounded as a txt rounds them, and the order of channels is no difference.

    Returns:
        SHA-256 in hexadecimal; empty where all counts are equal, since two empty images are no sign
        of one image that is listed twice.
    """
    whole = hashlib.sha256(repr(found.x.shape).encode())
    low, high = np.inf, -np.inf
    for _, channel in sorted(zip(found.names, found.x, strict=True), key=lambda pair: pair[0]):
        rounded = np.floor(channel.astype(np.float64) * _OF_TXT + 0.5)
        low, high = min(low, rounded.min()), max(high, rounded.max())
        whole.update(np.ascontiguousarray(rounded).data)
    return whole.hexdigest() if low < high else ""


def source_files(path: Path) -> list[Path]:
    """Return every file that decides what `read_acquisition` finds at a path, sorted."""
    if path.is_dir():
        return channel_files(path)
    if path.suffix.lower() in SUFFIXES:
        return [path]
    # which export belongs to which acquisition shows from the names of all of them
    beside = {".mcd", ".schema", ".txt"}
    return sorted(file for file in path.parent.iterdir() if _belongs(file, path, beside))


def _belongs(file: Path, path: Path, suffixes: set[str]) -> bool:
    if file == path:
        return True
    stem, other = sorted((path.stem, file.stem), key=len)
    return file.suffix.lower() in suffixes and (stem == other or other.startswith(f"{stem}_"))


def _read(path: Path, *, acquisition: str, panel: Panel | None, partial: Partial) -> Stack:
    if not path.exists():
        raise InputError("no such file", todo="Correct the column file of images.csv")
    suffix = path.suffix.lower()
    if suffix == ".mcd":
        from tissuetrace.imaging.mcd import read_mcd

        return read_mcd(path, acquisition=acquisition, partial=partial)
    if acquisition:
        raise InputError("only an mcd holds several acquisitions", todo="Leave acquisition empty")
    if path.is_dir():
        return read_channel_folder(path)
    if suffix == ".txt":
        from tissuetrace.imaging.mcd import read_txt

        return read_txt(path, partial=partial)
    if suffix in SUFFIXES:
        return read_tiff(path, panel=panel)
    raise InputError(
        f"unknown ending {suffix!r}", todo="Expected .mcd, .txt, .tif, .tiff, a folder"
    )


def _refuse_impossible(stack: Stack, names: tuple[str, ...]) -> None:
    mistakes = []
    for name, channel in zip(names, stack.x, strict=True):
        count = np.size(channel) - np.count_nonzero(np.isfinite(channel))
        if count:
            mistakes.append(f"{count} values of channel {name} are no numbers")
        elif np.size(channel) and channel.min() < 0:
            low = channel.min()
            mistakes.append(f"channel {name} goes down to {low:g}, expected counts of at least 0")
    if not stack.x.size:
        mistakes.append(f"an empty image of {'x'.join(map(str, stack.x.shape))}")
    if mistakes:
        raise InputError("; ".join(mistakes))
