"""Texture against scikit-image, in every combination of the options."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray
from skimage.feature import graycomatrix, graycoprops

from tissuetrace.imaging import cooccurrence
from tissuetrace.imaging.cooccurrence import (
    PROPERTIES,
    Cooccurrence,
    reach,
    texture,
    texture_inside,
)

DEFAULT = Cooccurrence(
    distances=(1,), angles_deg=(0.0, 45.0, 90.0, 135.0), levels=256, symmetric=True, normed=True
)


def scikit_image(classes: ndarray, settings: Cooccurrence) -> list[float]:
    matrices = graycomatrix(  # type: ignore[no-untyped-call]  # scikit-image types it not
        classes,
        settings.distances,
        np.radians(settings.angles_deg),
        levels=settings.levels,
        symmetric=settings.symmetric,
        normed=settings.normed,
    )
    return [
        float(graycoprops(matrices, name).mean())  # type: ignore[no-untyped-call]  # as above
        for name in PROPERTIES
    ]


def blob(seed: int, shape: tuple[int, int] = (40, 33)) -> ndarray:
    """Gray noise on an ellipse, with black holes, in a black frame."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[: shape[0], : shape[1]]
    inside = ((row - 18) / 13) ** 2 + ((column - 15) / 9) ** 2 < 1
    return np.where(inside, rng.integers(0, 256, shape), 0).astype(np.uint8)


def boxed(frame: ndarray, rim_px: int) -> ndarray:
    rows, columns = (np.flatnonzero(frame.any(axis=axis)) for axis in (1, 0))
    return frame[
        max(0, rows[0] - rim_px) : rows[-1] + rim_px + 1,
        max(0, columns[0] - rim_px) : columns[-1] + rim_px + 1,
    ]


def literal(settings: Cooccurrence, gray: ndarray, inside: ndarray) -> list[float]:
    """Transcription of the definition, pair by pair, over the pixels inside."""
    found = []
    for angle in settings.angles_deg:
        down, right = round(np.sin(np.radians(angle))), round(np.cos(np.radians(angle)))
        p = np.zeros((256, 256))
        for (row, column), here in np.ndenumerate(gray):
            there = (row + down, column + right)
            if not (0 <= there[0] < gray.shape[0] and 0 <= there[1] < gray.shape[1]):
                continue
            if inside[row, column] and inside[there]:
                p[here, gray[there]] += 1
                p[gray[there], here] += 1
        p /= p.sum()
        i, j = np.mgrid[:256, :256]
        mean = (p * i).sum()
        variance = (p * (i - mean) ** 2).sum()
        found.append(
            [
                (p * (i - j) ** 2).sum(),
                (p * abs(i - j)).sum(),
                (p / (1 + (i - j) ** 2)).sum(),
                np.sqrt((p**2).sum()),
                (p * (i - mean) * (j - mean)).sum() / variance,
            ]
        )
    mean_over_angles: list[float] = np.mean(found, axis=0).tolist()
    return mean_over_angles


@pytest.mark.parametrize("seed", range(5))
def test_random_frames_agree_with_scikit_image(seed: int) -> None:
    frame = np.random.default_rng(seed).integers(0, 256, (31, 47)).astype(np.uint8)

    found = texture(frame, frame=frame.shape, settings=DEFAULT)

    np.testing.assert_allclose(found, scikit_image(frame, DEFAULT), rtol=1e-9)


@pytest.mark.parametrize("levels", [2, 7, 64, 256])
@pytest.mark.parametrize("distances", [(1,), (2,), (1, 3, 5)])
@pytest.mark.parametrize(
    "angles", [(0.0,), (45.0,), (0.0, 45.0, 90.0, 135.0), (30.0, 200.0, 315.0)]
)
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("normed", [True, False])
def test_the_box_stands_for_the_frame_in_all_options(
    levels: int,
    distances: tuple[int, ...],
    angles: tuple[float, ...],
    *,
    symmetric: bool,
    normed: bool,
) -> None:
    settings = Cooccurrence(
        distances=distances, angles_deg=angles, levels=levels, symmetric=symmetric, normed=normed
    )
    frame = blob(levels)

    found = texture(boxed(frame, reach(settings)), frame=frame.shape, settings=settings)

    classes = (frame.astype(int) * levels // 256).astype(np.uint8)
    np.testing.assert_allclose(found, scikit_image(classes, settings), rtol=1e-9)


@pytest.mark.parametrize("angle", range(0, 360, 15))
def test_steps_are_rounded_as_scikit_image_rounds_them(angle: int) -> None:
    settings = Cooccurrence(
        distances=(1, 3, 5), angles_deg=(float(angle),), levels=256, symmetric=False, normed=True
    )
    frame = blob(angle)

    found = texture(frame, frame=frame.shape, settings=settings)

    np.testing.assert_allclose(found, scikit_image(frame, settings), rtol=1e-9)


def test_a_cell_that_touches_the_frame_has_no_pairs_beyond_it() -> None:
    frame = np.roll(blob(1), (-6, -7), axis=(0, 1))  # the ellipse's edge at row and column 0

    found = texture(boxed(frame, 1), frame=frame.shape, settings=DEFAULT)

    assert frame[0].any()
    assert frame[:, 0].any()
    np.testing.assert_allclose(found, scikit_image(frame, DEFAULT), rtol=1e-9)


def test_the_cell_alone_agrees_with_the_definition_written_out() -> None:
    gray = blob(3)
    inside = gray > 60

    found = texture_inside(gray, inside, settings=DEFAULT)

    np.testing.assert_allclose(found, literal(DEFAULT, gray, inside), rtol=1e-9)


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_mask_of_everything_changes_nothing(*, symmetric: bool) -> None:
    settings = Cooccurrence(
        distances=(1, 2),
        angles_deg=(0.0, 45.0, 90.0, 135.0),
        levels=32,
        symmetric=symmetric,
        normed=True,
    )
    gray = blob(4)

    found = texture_inside(gray, np.ones_like(gray, dtype=bool), settings=settings)

    np.testing.assert_array_equal(found, texture(gray, frame=gray.shape, settings=settings))


def test_what_lies_outside_the_cell_does_not_matter() -> None:
    gray = blob(5)
    inside = gray > 0
    other = np.where(inside, gray, 200).astype(np.uint8)

    found = texture_inside(other, inside, settings=DEFAULT)

    np.testing.assert_array_equal(found, texture_inside(gray, inside, settings=DEFAULT))


def test_adding_gray_moves_no_property_of_the_cell_alone() -> None:
    gray = np.minimum(blob(6), 200).astype(np.uint8)
    inside = gray > 0

    brighter = texture_inside((gray + 55).astype(np.uint8), inside, settings=DEFAULT)

    np.testing.assert_allclose(brighter, texture_inside(gray, inside, settings=DEFAULT), rtol=1e-12)


def test_a_quarter_turn_swaps_directions_only() -> None:
    gray = blob(7)

    turned = np.ascontiguousarray(np.rot90(gray))

    np.testing.assert_allclose(
        texture(turned, frame=turned.shape, settings=DEFAULT),
        texture(gray, frame=gray.shape, settings=DEFAULT),
        rtol=1e-12,
    )


def test_two_stripes_in_closed_form() -> None:
    stripes = np.tile(np.array([10, 40], np.uint8), (4, 3))
    across = Cooccurrence(
        distances=(1,), angles_deg=(0.0,), levels=256, symmetric=True, normed=True
    )

    found = texture(stripes, frame=stripes.shape, settings=across)

    # every pair differs by 30; half of the pairs are (10, 40), half (40, 10)
    np.testing.assert_allclose(found, [900, 30, 1 / 901, np.sqrt(0.5), -1], rtol=1e-14)


def test_a_gray_step_of_one_on_a_bright_frame_keeps_its_digits() -> None:
    frame = np.full((300, 300), 254, np.uint8)
    frame[150, 150] = 255

    found = texture(frame, frame=frame.shape, settings=DEFAULT)

    # one pixel in n: variance f(1 - f) and covariance -f² with f its share of the pair's places
    n = np.array([300 * 299, 299 * 299, 300 * 299, 299 * 299])
    np.testing.assert_allclose(found[4], np.mean(-(1 / n) / (1 - 1 / n)), rtol=1e-12)


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ([[True, True], [True, True]], [0, 0, 1, 1, 1]),
        ([[True, False], [False, False]], [0, 0, 0, 0, 1]),
    ],
)
def test_one_gray_value_or_no_pair_gives_the_limits(
    inside: list[list[bool]], expected: list[float]
) -> None:
    flat = np.full((2, 2), 9, np.uint8)

    assert texture_inside(flat, np.array(inside), settings=DEFAULT).tolist() == expected


@pytest.mark.parametrize("angle", [0.0, 45.0, 90.0, 135.0, 180.0, 270.0])
def test_a_step_longer_than_the_frame_has_no_pair(angle: float) -> None:
    frame = np.random.default_rng(0).integers(1, 256, (12, 9)).astype(np.uint8)
    far = Cooccurrence(
        distances=(20,), angles_deg=(angle,), levels=256, symmetric=True, normed=True
    )

    in_frame = texture(frame, frame=frame.shape, settings=far)
    in_cell = texture_inside(frame, frame > 0, settings=far)

    assert in_frame.tolist() == in_cell.tolist() == [0, 0, 0, 0, 1]


def test_pairs_reach_as_far_as_the_longest_step() -> None:
    settings = Cooccurrence(
        distances=(1, 7), angles_deg=(45.0, 90.0), levels=256, symmetric=True, normed=True
    )

    assert reach(settings) == 7


def test_a_package_that_cannot_be_written_gives_the_same_bytes(tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    module = code / "copied_cooccurrence.py"
    module.write_text(Path(cooccurrence.__file__).read_text())
    # files where numba would make folders: neither beside the code nor in the home is a place
    (code / "__pycache__").write_text("")
    (tmp_path / "home").write_text("")
    program = (
        "import numpy as np, copied_cooccurrence as c\n"
        "s = c.Cooccurrence(distances=(1,), angles_deg=(0.0, 45.0), levels=256,"
        " symmetric=True, normed=True)\n"
        "g = np.random.default_rng(0).integers(0, 256, (20, 20)).astype(np.uint8)\n"
        "print(c.texture(g, frame=(30, 30), settings=s).tobytes().hex())\n"
        "print(c._count.stats.cache_path)"
    )
    home = str(tmp_path / "home" / "sub")
    environment = {
        **{key: value for key, value in os.environ.items() if key != "NUMBA_CACHE_DIR"},
        "PYTHONPATH": str(code),
        "HOME": home,
        "XDG_CACHE_HOME": home,
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    run = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    settings = Cooccurrence(
        distances=(1,), angles_deg=(0.0, 45.0), levels=256, symmetric=True, normed=True
    )
    gray = np.random.default_rng(0).integers(0, 256, (20, 20)).astype(np.uint8)
    here = texture(gray, frame=(30, 30), settings=settings)
    assert run.stdout.split() == [here.tobytes().hex(), "None"]
