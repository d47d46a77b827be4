"""Pixels of a cohort, mapped from disk."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy import ndarray

from tissuetrace.imaging.masks import orient, pack, unpack
from tissuetrace.learn.patch_pixels import (
    PatchPixels,
    cache_patches,
    erased_with_donors,
    open_patches,
)

IMAGES = ["a", "b"]
SHAPE = (6, 6)


def write_core(folder: Path, image: str, count: int, dtype: str, **changes: ndarray) -> None:
    rng = np.random.default_rng(count)
    content: dict[str, Any] = {
        "pixels": rng.integers(0, 9, (count, 3, *SHAPE)).astype(dtype),
        "masks": pack(rng.random((count, *SHAPE)) < 0.3),
        "names": np.array(["x", "y", "z"]),
        "shape": np.array(SHAPE),
        "px_um": np.float64(1.0),
    }
    np.savez(folder / f"{image}.npz", **{**content, **changes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_core(tmp_path, "a", 4, "uint16")
    write_core(tmp_path, "b", 3, "float32")
    return tmp_path


def opened(folder: Path) -> PatchPixels:
    cache_patches(folder, IMAGES, folder / "cache")
    return open_patches(folder / "cache", IMAGES)


def test_patches_of_all_cores_follow_each_other_in_counts(folder: Path) -> None:
    pixels = opened(folder)

    found = pixels.counts(np.array([5, 0, 3]))

    cores = [np.load(folder / f"{image}.npz")["pixels"] for image in IMAGES]
    expected = np.stack([cores[1][1], cores[0][0], cores[0][3]]).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32


def test_each_core_stays_in_the_type_it_was_stored_in_and_on_disk(folder: Path) -> None:
    pixels = opened(folder)

    assert [core.dtype.name for core in pixels.cores] == ["uint16", "float32"]
    assert all(isinstance(core, np.memmap) for core in pixels.cores)


def test_what_is_cached_is_not_written_again_and_half_of_it_is(folder: Path) -> None:
    opened(folder)
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "cache").iterdir()}
    (folder / "cache/b.shape.npy").unlink()  # as after a kill

    opened(folder)

    after = {path.name: path.stat().st_mtime_ns for path in (folder / "cache").iterdir()}
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {f"b.{part}.npy" for part in ("pixels", "masks", "names", "shape")}


def test_cores_of_other_channels_or_sizes_are_refused(folder: Path) -> None:
    write_core(folder, "b", 3, "float32", names=np.array(["x", "z", "y"]))

    with pytest.raises(ValueError, match="patches of 2 kinds"):
        opened(folder)


def test_a_donors_mask_is_turned_and_added_to_a_patchs_own(folder: Path) -> None:
    pixels = opened(folder)
    donors, orientations = np.full(7, -1), np.full(7, -1)
    donors[[1, 6]], orientations[[1, 6]] = [4, 2], [3, 5]

    found = unpack(erased_with_donors(pixels, donors, orientations), SHAPE)

    own = unpack(pixels.masks, SHAPE)
    expected = own.copy()
    expected[1] |= orient(own[4], 3)
    expected[6] |= orient(own[2], 5)
    np.testing.assert_array_equal(found, expected)
    assert (found.sum(axis=(1, 2)) > own.sum(axis=(1, 2))).tolist() == [
        *(False, True, False, False),
        *(False, False, True),
    ]


def test_masks_of_more_patches_than_are_unpacked_at_a_time_are_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = opened(folder)
    donors, orientations = np.arange(7)[::-1].copy(), np.arange(7)
    at_once = erased_with_donors(pixels, donors, orientations)

    monkeypatch.setattr("tissuetrace.learn.patch_pixels._CHUNK", 2)

    np.testing.assert_array_equal(erased_with_donors(pixels, donors, orientations), at_once)
