"""Image files into one array."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tissuetrace.imaging import resized
from tissuetrace.imaging.bitmaps import read_bgr
from tissuetrace.imaging.resized import cache_images, read_images


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{number:03d}.bmp" for number in range(600)]
    for path in paths:
        image = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        path.write_bytes(cv2.imencode(".bmp", image)[1].tobytes())
    return paths


@pytest.mark.parametrize("workers", ["1", "2"])
def test_images_come_in_the_order_of_the_files_and_in_rgb(
    files: list[Path], workers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TISSUETRACE_WORKERS", workers)
    monkeypatch.setattr(resized, "_CHUNK", 250)
    order = files[::-1]  # more than two chunks

    found = read_images(order, side_px=8)

    expected = [read_bgr(path)[..., ::-1] for path in order]
    np.testing.assert_array_equal(found, expected)


def test_decoded_images_are_kept_and_not_decoded_again(files: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "kept"

    first = cache_images(files[:3], side_px=4, folder=folder)
    for path in files[:3]:
        path.unlink()
    second = cache_images(files[:3], side_px=4, folder=folder)

    assert first == second
    assert [path.name for path in folder.iterdir()] == ["images-4.npy"]
    assert np.load(first).shape == (3, 4, 4, 3)
