"""Uncompressed 24-bit bitmaps: what is wrong with a file, and its pixels."""

import struct
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from tissuetrace.pipeline.errors import InputError

__all__ = ["bitmap_mistake", "pixels_or_reason", "read_bgr"]

_HEADER_BYTES = 54  # the file's header (14) and the oldest image header (40)
_BITS = 24
_UNCOMPRESSED = 0


def read_bgr(path: Path) -> UInt8[ndarray, "height width 3"]:
    """Read an image file.

    Returns:
        Pixels from the top row down, in the channel order blue, green, red.

    Raises:
        InputError: the file cannot be read, or OpenCV cannot decode it.
    """
    pixels = pixels_or_reason(path)
    if isinstance(pixels, str):
        raise InputError(pixels, where=str(path), todo="Put back an undamaged copy")
    return pixels


def pixels_or_reason(path: Path) -> UInt8[ndarray, "height width 3"] | str:
    """Read an image file as `read_bgr` does, or say why that fails, to list all bad files."""
    try:
        encoded = np.fromfile(path, dtype=np.uint8)
    except OSError as problem:
        return f"cannot be read ({problem.strerror})"
    # OpenCV answers an empty buffer with an error of its own
    pixels = cv2.imdecode(encoded, cv2.IMREAD_COLOR_BGR) if len(encoded) else None
    if pixels is None:
        return f"no image (found {len(encoded)} bytes that OpenCV cannot decode)"
    return cast("ndarray", pixels)


def bitmap_mistake(path: Path, *, size_px: int) -> str | None:
    """Say why a file is not a square, uncompressed 24-bit bitmap; decodes no pixel.

    Args:
        path: the file.
        size_px: side of the frame that is expected.

    Returns:
        One reason, as `found …, expected …`, or that the file cannot be read; nothing where the
        file is as expected. No path: the caller names the file.
    """
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
        length = path.stat().st_size
    except OSError as problem:
        return f"cannot be read ({problem.strerror})"
    if header[:2] != b"BM":
        return f"not a BMP (found first bytes {header[:2]!r}, expected b'BM')"
    if len(header) < _HEADER_BYTES:
        return f"truncated (found {length} bytes, expected a header of {_HEADER_BYTES})"
    return _header_mistake(header, length=length, size_px=size_px)


def _header_mistake(header: bytes, *, length: int, size_px: int) -> str | None:
    (start,) = struct.unpack_from("<I", header, 10)
    # a negative height means rows from the top down
    width, height, _, bits, compression = struct.unpack_from("<iiHHI", header, 18)
    if bits != _BITS:
        return f"wrong depth (found {bits} bits a pixel, expected {_BITS})"
    if compression != _UNCOMPRESSED:
        return f"compressed (found method {compression}, expected {_UNCOMPRESSED})"
    if (width, abs(height)) != (size_px, size_px):
        return f"wrong size (found {width}x{abs(height)} px, expected {size_px}x{size_px} px)"
    expected = start + _row_bytes(width) * abs(height)
    if length < expected:
        return f"truncated (found {length} bytes, expected {expected})"
    return None


def _row_bytes(width: int) -> int:
    return (width * 3 + 3) // 4 * 4  # rows are padded to multiples of four bytes
