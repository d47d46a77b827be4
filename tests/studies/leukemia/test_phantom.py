from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from leukemia_collection import PHANTOM
from numpy import ndarray
from sklearn.linear_model import LogisticRegression

from tissuetrace.imaging.bitmaps import bitmap_mistake, read_bgr
from tissuetrace.imaging.cells import cell_mask, component_areas, to_gray
from tissuetrace.learn.splits import group_folds
from tissuetrace.pipeline.errors import InputError
from tissuetrace.stats.classification import auc
from tissuetrace.studies.leukemia.drawing import bitmap_bytes, draw_cell
from tissuetrace.studies.leukemia.names import parse_name
from tissuetrace.studies.leukemia.phantom import SIGNAL, Phantom, best_auc, draw_phantom

DEMO = Phantom(
    seed=1, size_px=160, subjects_all=34, subjects_hem=22, cells=12, delta=1, plant_duplicates=2
)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*.bmp"))}


def truth_alone(params: Phantom, folder: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """Return the truth without spending time on pixels, which no latent depends on."""

    def blank(*_: object, **__: object) -> tuple[ndarray, float]:
        return np.zeros((1, 1, 3), dtype=np.uint8), 1.0

    monkeypatch.setattr("tissuetrace.studies.leukemia.drawing.draw_cell", blank)
    return draw_phantom(params, folder)


def test_the_images_lie_and_are_named_as_in_the_collection(tmp_path: Path) -> None:
    truth = draw_phantom(PHANTOM, tmp_path)

    paths = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.bmp"))
    said = [parse_name(path.stem) for path in paths]
    assert {path.parts[:2] for path in paths} == {("C-NMC_Leukemia", "training_data")}
    assert {path.parts[2] for path in paths} == {"fold_0", "fold_1", "fold_2"}
    assert [name.suffix for name in said if name] == [path.parts[3] for path in paths]
    assert [name.prefix for name in said if name] == [path.parts[3] for path in paths]
    assert truth["name"].tolist() == sorted(path.stem for path in paths)


def test_ids_are_none_of_the_collections_and_one_h_is_small(tmp_path: Path) -> None:
    draw_phantom(PHANTOM, tmp_path)

    subjects = {path.name.split("_")[1] for path in tmp_path.rglob("*.bmp")}
    assert len(subjects) == PHANTOM.subjects_all + PHANTOM.subjects_hem
    assert min(int(subject.lstrip("Hh")) for subject in subjects) >= 900
    assert sum(subject.startswith("h") for subject in subjects) == 1


def test_a_file_is_a_bitmap_with_a_header_of_54_bytes_and_the_lowest_row_first(
    tmp_path: Path,
) -> None:
    frame = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)

    content = bitmap_bytes(frame)

    assert len(content) == 54 + 5 * 24  # a row of 21 bytes is padded to 24
    assert content[54:57] == frame[-1, 0].tobytes()
    (tmp_path / "frame.bmp").write_bytes(content)
    assert np.array_equal(read_bgr(tmp_path / "frame.bmp"), frame)


def test_every_image_is_a_sound_bitmap_of_one_cell(tmp_path: Path) -> None:
    draw_phantom(replace(PHANTOM, size_px=160), tmp_path)

    paths = sorted(tmp_path.rglob("*.bmp"))
    assert {bitmap_mistake(path, size_px=160) for path in paths} == {None}
    assert {len(component_areas(to_gray(read_bgr(path)))) for path in paths} == {1}


def test_colours_are_those_of_the_stain_inside_and_black_outside(tmp_path: Path) -> None:
    draw_phantom(PHANTOM, tmp_path)

    frames = np.stack([read_bgr(path) for path in sorted(tmp_path.rglob("*.bmp"))])
    inside = frames.reshape(-1, 3)[frames.reshape(-1, 3).any(axis=1)]
    blue, green, red = inside.T.astype(float)
    assert inside.min() >= 8
    assert frames.max() <= 250
    np.testing.assert_allclose(red.mean() / blue.mean(), 0.80, atol=0.01)
    np.testing.assert_allclose(green.mean() / blue.mean(), 0.50, atol=0.01)


def test_measured_areas_are_the_true_ones(tmp_path: Path) -> None:
    truth = draw_phantom(replace(PHANTOM, size_px=160), tmp_path)

    frames = {path.stem: read_bgr(path) for path in tmp_path.rglob("*.bmp")}
    masks = [cell_mask(to_gray(frames[name]), method="above_zero") for name in truth["name"]]
    measured = np.array([mask.sum() for mask in masks])
    assert np.corrcoef(measured, truth["area_px"])[0, 1] > 0.999
    assert abs((measured / truth["area_px"] - 1).mean()) < 0.005


@pytest.mark.parametrize(("latent", "factor"), [(2, np.exp(0.25)), (0, np.exp(0.10))])
def test_a_latent_scales_what_it_stands_for(latent: int, factor: float) -> None:
    # z3 scales the grain of the chromatin, z1 the radius; the other draws stay the same
    base, moved = np.zeros(6), np.zeros(6)
    base[1] = base[4] = moved[1] = moved[4] = -40  # a disc without fine noise
    moved[latent] = 1

    lengths = [
        _grain(z) if latent == 2 else np.sqrt(_draw(z)[1] / np.pi) / (0.26 * 300)
        for z in (base, moved)
    ]

    assert lengths[1] / lengths[0] == pytest.approx(factor, rel=0.05)


def test_chromatin_has_the_contrast_of_its_latent() -> None:
    z = np.array([0, -40, 0, 0, -40, 0.5])  # a disc without fine noise

    gray = _draw(z)[0][100:200, 100:200, 0].astype(float)

    assert gray.std() == pytest.approx(12 * np.exp(0.22 * 0.5), rel=0.08)
    assert gray.mean() == pytest.approx(100, abs=2)


def test_the_outline_wavers_as_the_model_says() -> None:
    # true area over that of the disc, less 1, is half the summed squares of a_k = .03 N / √(k/2)
    rng = np.random.default_rng(11)
    disc = np.pi * (0.26 * 32) ** 2

    areas = [draw_cell(np.zeros(6), size_px=32, gain=1.0, rng=rng)[1] for _ in range(2000)]

    expected = 0.5 * 0.030**2 * sum(2 / k for k in range(2, 7))
    assert np.mean(areas) / disc - 1 == pytest.approx(expected, rel=0.08)


def _draw(z: ndarray) -> tuple[ndarray, float]:
    return draw_cell(z, size_px=300, gain=1.0, rng=np.random.default_rng(3))


def _grain(z: ndarray) -> float:
    """Estimate the kernel of a smoothed field: s² is variance over twice that of the slope."""
    gray = _draw(z)[0][100:200, 100:200, 0].astype(float)
    slopes = np.diff(gray, axis=0)
    return float(np.sqrt(gray.var() / (2 * (slopes**2).mean())))


def test_the_same_parameters_draw_the_same_bytes(tmp_path: Path) -> None:
    first, again, other = (tmp_path / name for name in ("first", "again", "other"))

    truth = draw_phantom(PHANTOM, first)
    truth_again = draw_phantom(PHANTOM, again)
    draw_phantom(replace(PHANTOM, seed=6), other)

    assert truth.equals(truth_again)
    assert files(first) == files(again)
    assert not set(files(first).values()) & set(files(other).values())


def test_one_more_subject_changes_no_other(tmp_path: Path) -> None:
    draw_phantom(PHANTOM, tmp_path / "few")
    draw_phantom(replace(PHANTOM, subjects_all=PHANTOM.subjects_all + 1), tmp_path / "more")

    few, more = files(tmp_path / "few"), files(tmp_path / "more")
    assert {name: more[name] for name in few} == few
    assert len(more) > len(few)


def test_the_signal_moves_blasts_alone(tmp_path: Path) -> None:
    signal = draw_phantom(PHANTOM, tmp_path / "signal").set_index("name")
    null = draw_phantom(replace(PHANTOM, delta=0), tmp_path / "null").set_index("name")

    moved = (signal - null)[["z1", "z2", "z3", "z4", "z5", "z6"]]
    blasts = np.array([name.endswith("_all") for name in moved.index])
    expected = np.array([1.4, 0.9, -0.8, 0, 0, 0])
    np.testing.assert_allclose(moved[blasts], np.tile(expected, (blasts.sum(), 1)), atol=1e-12)
    assert (moved[~blasts] == 0).to_numpy().all()


def test_planted_images_lie_under_a_second_subject_of_their_class(tmp_path: Path) -> None:
    truth = draw_phantom(replace(PHANTOM, plant_duplicates=3), tmp_path)

    names: dict[bytes, list[str]] = {}
    for name, content in files(tmp_path).items():
        names.setdefault(content, []).append(name.removesuffix(".bmp"))
    twins = [sorted(found) for found in names.values() if len(found) > 1]
    said = [[parse_name(name) for name in pair] for pair in twins]
    latents = truth.set_index("name").to_dict("index")
    assert sum(len(pair) - 1 for pair in twins) == 3
    assert all(len({name.subject for name in pair if name}) == len(pair) for pair in said)
    assert all(len({name.suffix for name in pair if name}) == 1 for pair in said)
    assert all(latents[pair[0]] == latents[pair[1]] for pair in twins)


def test_a_copy_without_a_second_subject_is_refused(tmp_path: Path) -> None:
    lonely = replace(PHANTOM, subjects_all=1, subjects_hem=1, plant_duplicates=1)

    with pytest.raises(InputError, match=r"plant_duplicates: a copy needs two subjects"):
        draw_phantom(lonely, tmp_path)


@pytest.mark.parametrize(("delta", "expected"), [(1, 0.873), (0, 0.5)])
def test_the_best_auc_is_the_published_one(delta: float, expected: float) -> None:
    assert best_auc(delta) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_a_logistic_regression_on_the_true_latents_finds_the_known_answer(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = truth_alone(replace(DEMO, seed=seed, plant_duplicates=0), tmp_path, monkeypatch)
    labels = truth["name"].str.endswith("_all").to_numpy().astype(int)
    groups = pd.factorize(truth["name"].str.split("_").str[1])[0]
    latents = truth[list(SIGNAL)].to_numpy()

    probabilities = np.empty(len(labels))
    for train, test in group_folds(labels, groups, folds=5, seed=0):
        model = LogisticRegression().fit(latents[train], labels[train])
        probabilities[test] = model.predict_proba(latents[test])[:, 1]

    assert auc(labels, probabilities) == pytest.approx(best_auc(1.0), abs=0.045)


def test_spreads_are_those_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = replace(DEMO, subjects_all=1, subjects_hem=300, cells=12, delta=0, plant_duplicates=0)
    truth = truth_alone(many, tmp_path, monkeypatch)

    latents = truth.drop(columns=["name", "area_px"])
    subjects = latents.groupby(truth["name"].str.split("_").str[1])
    within = subjects.var().mean()
    between = subjects.mean().var() - within / 12
    np.testing.assert_allclose(np.sqrt(within), [1, 1, 1, 0.4, 0.4, 0.4], rtol=0.05)
    np.testing.assert_allclose(np.sqrt(between), [0.6, 0.5, 0.5, 1.6, 1.6, 1.6], rtol=0.12)
