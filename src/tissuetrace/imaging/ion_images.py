"""TIFF files of ion counts: OME-TIFF, stacks that name no channel, folders of one per channel."""

import contextlib
import logging
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import tifffile
from jaxtyping import Bool, Float32, Shaped
from numpy import ndarray

from tissuetrace.imaging.panels import Panel
from tissuetrace.imaging.stacks import DAMAGE, Stack, one_line
from tissuetrace.pipeline.errors import InputError

__all__ = ["SUFFIXES", "channel_files", "read_channel_folder", "read_mask", "read_tiff"]

SUFFIXES = (".tif", ".tiff")

_OME_SUFFIXES = (".ome.tif", ".ome.tiff")

_BELIEVED_UM = (0.2, 2.0)  # a resolution tag outside tells of a screen or a printer
_SQUARE_WITHIN = 1e-3
# https://www.openmicroscopy.org/Schemas/OME/2016-06 UnitsLength, as far as microscopes go
_UM_PER_UNIT = {"µm": 1.0, "μm": 1.0, "um": 1.0, "nm": 1e-3, "pm": 1e-6, "Å": 1e-4}
_UM_PER_UNIT |= {"mm": 1e3, "cm": 1e4, "m": 1e6}
_UNITLESS = ("pixel", "reference frame")
_UM_PER_TAG = {2: 25_400.0, 3: 10_000.0}  # inch, centimetre
_COLOURS = {2, 3, 5, 6, 8}  # photometric: RGB, palette, CMYK, YCbCr, CIELab


def read_tiff(path: Path, *, panel: Panel | None) -> Stack:
    """Read an OME-TIFF, or a stack without names, whose channels a panel lists in order.

    Raises:
        InputError: damaged, colours, axes besides channel, y and x, pixels that are not square, or
            no names and no panel of as many channels.
    """
    try:
        with _opened(path) as file:
            pixels = _pixels(file)
            description = file.ome_metadata if file.is_ome else None
            px_um = _tag_px_um(file)
    except DAMAGE as problem:
        raise InputError(f"no TIFF that can be read ({one_line(problem)})") from problem
    if description is None and path.name.lower().endswith(_OME_SUFFIXES):
        raise InputError("its OME description is lost, and with it the order of channels")
    if description is None:
        labels, metals = _panel_order(len(pixels), panel)
    else:
        labels, metals, stated_um = _ome(description, channels=len(pixels))
        px_um = px_um if stated_um is None else stated_um
        if not any(labels) and not any(metals):
            labels, metals = _panel_order(len(pixels), panel)
    return _stack(labels, metals, pixels, px_um)


def read_channel_folder(folder: Path) -> Stack:
    """Read a folder of one TIFF per channel; the name of a file is that of its channel.

    Raises:
        InputError: no TIFF, a damaged one, one of several pages, or different sizes.
    """
    paths = channel_files(folder)
    if not paths:
        raise InputError("no TIFF in the folder")
    pages, sizes, stated = [], Counter[tuple[int, ...]](), set[float]()
    mistakes = []
    for path in paths:
        try:
            with _opened(path) as file:
                pixels, px_um = _pixels(file), _tag_px_um(file)
        except (InputError, *DAMAGE) as problem:
            mistakes.append(f"{path.name}: {one_line(problem)}")
            continue
        if len(pixels) != 1:
            mistakes.append(f"{path.name}: {len(pixels)} pages, expected one")
        pages.append(pixels[0])
        sizes[pixels[0].shape] += 1
        stated |= {px_um} if px_um is not None else set()
    if len(sizes) > 1:
        mistakes += _odd_sizes(paths, pages, sizes)
    if len(stated) > 1:
        mistakes.append(f"resolution tags of {', '.join(f'{px:g}' for px in sorted(stated))} µm")
    if mistakes:
        raise InputError("; ".join(mistakes), todo="Put back undamaged copies of equal size")
    labels = tuple(path.stem for path in paths)
    px = next(iter(stated), None)
    return _stack(labels, ("",) * len(labels), np.stack(pages), px)


def channel_files(folder: Path) -> list[Path]:
    """Return the TIFF files of a folder, sorted by name; hidden files aside."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    )


def read_mask(path: Path, *, height: int, width: int) -> Bool[ndarray, "y x"]:
    """Read a mask, everything above 0 of a TIFF of one page.

    Raises:
        InputError: damaged, or not of the image's size.
    """
    try:
        with _opened(path) as file:
            pixels = _pixels(file)
    except (InputError, *DAMAGE) as problem:
        raise InputError(f"mask {path.name}: {one_line(problem)}") from problem
    if pixels.shape != (1, height, width):
        found = "x".join(str(length) for length in pixels.shape)
        raise InputError(f"mask {path.name} is {found}, the image 1x{height}x{width}")
    mask: Bool[ndarray, "y x"] = pixels[0] > 0
    return mask


def _stack(
    labels: tuple[str, ...],
    metals: tuple[str, ...],
    pixels: Shaped[ndarray, "channel y x"],
    px_um: float | None,
) -> Stack:
    x: Float32[ndarray, "channel y x"] = pixels.astype(np.float32)
    acquired = np.ones(x.shape[1:], dtype=np.bool_)
    return Stack(labels=labels, metals=metals, x=x, acquired=acquired, px_um=px_um)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open a TIFF; what the library logs of a damaged one is said once, by the refusal."""
    log = logging.getLogger("tifffile")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with tifffile.TiffFile(path) as file:
            yield file
    finally:
        log.setLevel(level)


def _pixels(file: tifffile.TiffFile) -> Shaped[ndarray, "channel y x"]:
    """Decode the one image of a file as channel, y, x."""
    series = file.series[0]
    # pages of another size are series of their own, or left out as thumbnails
    if len(file.series) != 1 or (len(file.pages) > 1 and len(series.pages) < len(file.pages)):
        shapes = dict.fromkeys("x".join(map(str, page.shape)) for page in file.pages)
        raise InputError(f"several images in one file ({', '.join(shapes)})")
    # where a page or a strip is lacking, the library would fill in zeros
    pages = [page.aspage() for page in series.pages if page is not None]
    if len(pages) < len(series.pages):
        raise InputError("pages lack, or lie in another file")
    if any(page.photometric in _COLOURS or page.samplesperpixel > 1 for page in pages):
        raise InputError("colours (RGB), expected one number per pixel and channel")
    if series.dtype is None or series.dtype.kind not in "buif":
        raise InputError(f"values are {series.dtype}, expected numbers")
    if not all(_is_stored(page, file.filehandle.size) for page in pages):
        raise InputError("truncated, or strips lack")
    height, width = _lengths(series, file)
    pixels: Shaped[ndarray, "channel y x"] = series.asarray().reshape(-1, height, width)
    return pixels


def _is_stored(page: tifffile.TiffPage, size: int) -> bool:
    """Say whether a file of this size holds all that the header of a page claims.

    The library fills what lacks with zeros, or with the bytes that follow.
    """
    offsets, counts = page.dataoffsets, page.databytecounts
    if not all(offsets) or not all(counts):
        return False
    if max(at + long for at, long in zip(offsets, counts, strict=True)) > size:
        return False
    least = page.size * page.bitspersample // 8 if page.compression == 1 else 0
    return len(counts) >= math.prod(page.chunked) and sum(counts) >= least


def _lengths(series: tifffile.TiffPageSeries, file: tifffile.TiffFile) -> tuple[int, int]:
    """Return height and width, where channel is the only other axis, and comes before them."""
    long = [
        (axis, length)
        for axis, length in zip(series.axes, series.shape, strict=True)
        if axis in "YX" or length > 1
    ]
    axes = "".join(axis for axis, _ in long)
    others = axes[:-2]
    if not axes.endswith("YX") or len(others) > 1 or others in ("S", "Y", "X"):
        shape = "x".join(map(str, series.shape))
        raise InputError(f"axes {series.axes} of {shape}, expected channel, y and x")
    if file.is_ome and others not in ("", "C"):
        raise InputError(f"axis {others} of length {long[0][1]}, expected channels only")
    return long[-2][1], long[-1][1]


def _panel_order(channels: int, panel: Panel | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if panel is None or len(panel.channels) != channels:
        listed = f"a panel of {len(panel.channels)}" if panel else "no panel"
        raise InputError(
            f"{channels} channels without names and {listed}",
            todo="Give panel.csv with a row for each channel, in the order of the pages",
        )
    return panel.channels, panel.metals


def _ome(
    description: str, *, channels: int
) -> tuple[tuple[str, ...], tuple[str, ...], float | None]:
    """Return labels, metals and pixel size (µm) of an OME description."""
    try:
        root = ET.fromstring(description)  # noqa: S314  # the image's own header; expat bounds it
    except ET.ParseError as problem:
        raise InputError(f"OME description cannot be read ({problem})") from problem
    pixels = root.find("{*}Image/{*}Pixels")
    if pixels is None:
        raise InputError("OME description without Pixels")
    found = pixels.findall("{*}Channel")
    if len(found) not in (0, channels):
        raise InputError(f"OME description of {len(found)} channels, file of {channels}")
    labels = tuple(channel.get("Name", "") for channel in found) or ("",) * channels
    metals = tuple(channel.get("Fluor", "") for channel in found) or ("",) * channels
    across = _physical_um(pixels, "PhysicalSizeX")
    down = _physical_um(pixels, "PhysicalSizeY")
    return labels, metals, _square(across, down)


def _physical_um(pixels: ET.Element, key: str) -> float | None:
    text, unit = pixels.get(key), pixels.get(f"{key}Unit", "µm")
    if text is None or unit in _UNITLESS:
        return None
    try:
        size = float(text) * _UM_PER_UNIT[unit]
    except (ValueError, KeyError):
        size = 0.0
    if not 0 < size < float("inf"):
        raise InputError(f"{key} is {text} {unit}, expected a length")
    return size


def _tag_px_um(file: tifffile.TiffFile) -> float | None:
    """Return the size of a pixel by its resolution tag, where that can be one of tissue."""
    page = file.pages.first
    unit = _tag(page, "ResolutionUnit", 2)
    fiji = (file.imagej_metadata or {}).get("unit", "")
    um = 1.0 if fiji in ("micron", "um", "µm", "\\u00B5m") else _UM_PER_TAG.get(int(unit))
    rates = [_tag(page, f"{axis}Resolution", (0, 1)) for axis in "XY"]
    if um is None or not all(rate[0] and rate[1] for rate in rates):
        return None
    across, down = (um * rate[1] / rate[0] for rate in rates)
    low, high = _BELIEVED_UM
    if not low <= across <= high or not low <= down <= high:
        return None
    return _square(across, down)


def _tag(page: Any, name: str, default: Any) -> Any:  # noqa: ANN401  # tags hold any value
    tag = page.tags.get(name)
    return default if tag is None else tag.value


def _square(across: float | None, down: float | None) -> float | None:
    if across is None or down is None:
        return down if across is None else across
    if abs(across - down) > _SQUARE_WITHIN * across:
        raise InputError(f"pixels of {across:g} x {down:g} µm, expected square ones")
    return across


def _odd_sizes(
    paths: list[Path], pages: list[Shaped[ndarray, "..."]], sizes: Counter[tuple[int, ...]]
) -> list[str]:
    usual = sizes.most_common(1)[0][0]
    expected = "x".join(map(str, usual))
    return [
        f"{path.name}: {'x'.join(map(str, page.shape))} px, the others {expected} px"
        for path, page in zip(paths, pages, strict=False)
        if page.shape != usual
    ]
