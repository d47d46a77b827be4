"""The benchmark runs and compares; what it times is not tested."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

PROJECT = Path(__file__).parents[2]

pytest.importorskip("mahotas", reason="mahotas is in the dependency group `benchmark`")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "benchmarks/leukemia_features.py", "--rounds", "1", *arguments],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_drawn_cells_are_timed_and_textures_agree() -> None:
    found = json.loads(run("--images", "2", "--json").stdout)

    assert list(found) == ["ours_ms", "scikit_image_ms", "ratio", "glcm_difference"]
    assert found["ratio"] == found["scikit_image_ms"] / found["ours_ms"]
    assert 0 < found["glcm_difference"] <= 1e-9


def test_images_come_from_a_folder_and_its_archives(tmp_path: Path) -> None:
    disc = np.zeros((60, 60, 3), np.uint8)
    cv2.circle(disc, (30, 30), 20, (90, 50, 80), -1)
    encoded = cv2.imencode(".bmp", disc)[1].tobytes()
    (tmp_path / "loose.bmp").write_bytes(encoded)
    with zipfile.ZipFile(tmp_path / "fold.zip", "w") as archive:
        archive.writestr("fold/all/one.bmp", encoded)

    assert "2 images" in run(str(tmp_path)).stdout


def test_a_folder_without_images_is_named(tmp_path: Path) -> None:
    assert run(str(tmp_path)).stderr.strip() == f"{tmp_path}: no BMP, and no zip archive with one"
