import struct
from pathlib import Path

import cv2
import numpy as np
import pytest

from tissuetrace.imaging.bitmaps import bitmap_mistake, pixels_or_reason, read_bgr
from tissuetrace.pipeline.errors import InputError


def bitmap(side_px: int = 5, *, bits: int = 24, compression: int = 0, start: int = 54) -> bytes:
    """A bitmap written by hand, after the format's description."""
    row_bytes = -(-side_px * 3 // 4) * 4
    pixels = bytes(row_bytes * side_px)
    header = struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start)
    header += struct.pack(
        "<IiiHHIIiiII", start - 14, side_px, side_px, 1, bits, compression, 0, 3779, 3779, 0, 0
    )
    return header + bytes(start - 54) + pixels


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "UID_11_1_1_all.bmp"


def test_rows_come_from_the_top_and_channels_as_blue_green_red(path: Path) -> None:
    content = bytearray(bitmap(2))
    content[54:57] = bytes([1, 2, 3])  # a bitmap begins with the lower left pixel
    path.write_bytes(content)

    pixels = read_bgr(path)

    assert pixels.tolist() == [[[0, 0, 0], [0, 0, 0]], [[1, 2, 3], [0, 0, 0]]]


def test_a_gray_png_is_read_in_three_channels(path: Path) -> None:
    cv2.imwrite(str(path.with_suffix(".png")), np.full((3, 4), 7, np.uint8))

    assert read_bgr(path.with_suffix(".png")).tolist() == [[[7, 7, 7]] * 4] * 3


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"", "found 0 bytes"), (b"no image", "found 8 bytes"), (None, "No such file")],
)
def test_an_unreadable_file_is_named_with_what_was_found(
    path: Path, content: bytes | None, found: str
) -> None:
    _ = content is None or path.write_bytes(content)

    with pytest.raises(InputError, match=found) as caught:
        read_bgr(path)

    assert str(path) in str(caught.value)
    assert found in str(pixels_or_reason(path))


@pytest.mark.parametrize("start", [54, 138])  # training and preliminary files
def test_a_bitmap_of_the_expected_size_is_faultless(path: Path, start: int) -> None:
    path.write_bytes(bitmap(450, start=start))

    assert bitmap_mistake(path, size_px=450) is None


def test_rows_from_the_top_down_are_no_mistake(path: Path) -> None:
    content = bytearray(bitmap(5))
    struct.pack_into("<i", content, 22, -5)
    path.write_bytes(content)

    assert bitmap_mistake(path, size_px=5) is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a BMP (found first bytes b'', expected b'BM')"),
        (b"\x89PNG and so on", "not a BMP (found first bytes b'\\x89P', expected b'BM')"),
        (bitmap()[:40], "truncated (found 40 bytes, expected a header of 54)"),
        (bitmap()[:-1], "truncated (found 133 bytes, expected 134)"),
        (bitmap(bits=32), "wrong depth (found 32 bits a pixel, expected 24)"),
        (bitmap(compression=1), "compressed (found method 1, expected 0)"),
        (bitmap(4), "wrong size (found 4x4 px, expected 5x5 px)"),
    ],
)
def test_each_mistake_names_what_was_found_and_expected(
    path: Path, content: bytes, reason: str
) -> None:
    path.write_bytes(content)

    assert bitmap_mistake(path, size_px=5) == reason


def test_a_frame_that_is_not_square_has_the_wrong_size(path: Path) -> None:
    content = bytearray(bitmap(5))
    struct.pack_into("<i", content, 22, 4)
    path.write_bytes(content)

    assert bitmap_mistake(path, size_px=5) == "wrong size (found 5x4 px, expected 5x5 px)"


def test_a_file_that_cannot_be_opened_has_a_reason_without_its_path(path: Path) -> None:
    assert bitmap_mistake(path, size_px=450) == "cannot be read (No such file or directory)"
    path.mkdir()
    assert bitmap_mistake(path, size_px=450) == "cannot be read (Is a directory)"
