from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy import ndarray

from tissuetrace.imaging.cells import FEATURES, Reading, measure_cell
from tissuetrace.imaging.cooccurrence import Cooccurrence
from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import column_mistakes, read_table, write_table
from tissuetrace.pipeline.params import load_params, stage_params
from tissuetrace.studies.leukemia import featurize as module
from tissuetrace.studies.leukemia.featurize import COLUMNS, Featurize, featurize

NAMES = ["1005", "UID_11_1_1_all", "UID_11_1_2_all", "UID_H3_1_1_hem", "UID_h4_2_1_hem"]
# given outright: the first is of the preliminary phase and has no subject in its name
ROWS = pd.DataFrame(
    {
        "name": NAMES,
        "path": [f"folder/{name}.bmp" for name in NAMES],
        "subject": ["53", "11", "11", "H3", "h4"],
        "label": np.array([1, 1, 1, 0, 0]),
        "fold": np.array([-1, 0, 0, 1, 2]),
    }
)


def frame(seed: int) -> ndarray:
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[:40, :40] - 20
    inside = (row / (9 + seed)) ** 2 + (column / 12) ** 2 < 1
    return np.where(inside[..., None], rng.integers(1, 256, (40, 40, 3)), 0).astype(np.uint8)


@pytest.fixture(scope="module")
def params() -> Featurize:
    """The checkout's own section, read as the spine reads it."""
    project = Path(__file__).parents[3]
    (value,) = stage_params(featurize, load_params(project / "params.yaml")).values()
    assert isinstance(value, Featurize)
    return value


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "folder").mkdir(parents=True)
    for seed, path in enumerate(ROWS["path"]):
        cv2.imwrite(str(folder / path), frame(seed))
    return folder


def run(images: Path, params: Featurize, *, rows: pd.DataFrame = ROWS) -> tuple[Path, Path]:
    here = images.parent
    write_table(rows, here / "table.parquet")
    chosen, other = here / "features.parquet", here / "features_other.parquet"
    featurize(
        table=here / "table.parquet",
        images=images,
        features=chosen,
        features_other=other,
        params=params,
    )
    return chosen, other


def test_the_declared_columns_are_the_measurements() -> None:
    assert list(COLUMNS)[3:] == list(FEATURES)


def by_hand(reading: Reading) -> list[list[float]]:
    glcm = Cooccurrence(
        distances=(1,),
        angles_deg=(0.0, 45.0, 90.0, 135.0),
        levels=256,
        symmetric=True,
        normed=True,
    )
    canny = {"image": (100.0, 200.0), "cell": (30.0, 60.0)}[reading]
    return [
        measure_cell(
            frame(seed),
            reading=reading,
            mask="above_zero",
            aspect_ratio="ellipse",
            blur=0,
            glcm=glcm,
            canny=canny,
        ).tolist()
        for seed in range(len(ROWS))
    ]


@pytest.mark.parametrize(("reading", "other"), [("image", "cell"), ("cell", "image")])
def test_every_row_of_the_table_is_measured_in_both_readings(
    images: Path, params: Featurize, reading: Reading, other: Reading
) -> None:
    chosen, not_chosen = map(read_table, run(images, replace(params, reading=reading)))

    assert chosen[list(FEATURES)].to_numpy().tolist() == by_hand(reading)
    assert not_chosen[list(FEATURES)].to_numpy().tolist() == by_hand(other)
    keys = ["name", "subject", "label"]
    assert chosen[keys].to_numpy().tolist() == ROWS[keys].to_numpy().tolist()
    assert not_chosen[keys].equals(chosen[keys])


def test_both_tables_have_the_declared_columns(images: Path, params: Featurize) -> None:
    chosen, other = run(images, params)

    assert column_mistakes(chosen, COLUMNS) == column_mistakes(other, COLUMNS) == []


def test_the_number_of_workers_changes_no_byte(
    images: Path, params: Featurize, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK", 2)
    monkeypatch.setenv("TISSUETRACE_WORKERS", "1")
    alone = [path.read_bytes() for path in run(images, params)]
    monkeypatch.setenv("TISSUETRACE_WORKERS", "2")

    together = [path.read_bytes() for path in run(images, params)]

    assert together == alone


def test_the_size_of_a_chunk_changes_no_byte(
    images: Path, params: Featurize, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TISSUETRACE_WORKERS", "1")
    whole = [path.read_bytes() for path in run(images, params)]
    monkeypatch.setattr(module, "_CHUNK", 3)

    assert [path.read_bytes() for path in run(images, params)] == whole


def test_all_bad_images_are_named_at_once_and_nothing_is_written(
    images: Path, params: Featurize, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK", 2)
    monkeypatch.setenv("TISSUETRACE_WORKERS", "1")
    paths = ROWS["path"].tolist()
    (images / paths[0]).write_bytes(b"no image")
    (images / paths[2]).unlink()
    cv2.imwrite(str(images / paths[4]), np.zeros((40, 40, 3), np.uint8))

    with pytest.raises(InputError) as caught:
        run(images, params)

    first, *items = str(caught.value).splitlines()
    assert first.startswith(f"{images}: 3 of 5 images cannot be measured. ")
    assert [item.strip() for item in items] == [
        f"{paths[0]}: no image (found 8 bytes that OpenCV cannot decode)",
        f"{paths[2]}: cannot be read (No such file or directory)",
        f"{paths[4]}: all black (found no pixel above 0, expected a cell)",
    ]
    assert not (images.parent / "features.parquet").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"blur": 3},
        {"mask": "otsu"},
        {"aspect_ratio": "box"},
        {"canny": (300.0, 900.0)},
        {"canny_cell": (900.0, 2000.0)},
    ],
)
def test_each_setting_reaches_the_measurements(
    images: Path, params: Featurize, change: dict[str, object]
) -> None:
    before = [read_table(path) for path in run(images, params)]

    after = [read_table(path) for path in run(images, replace(params, **change))]  # type: ignore[arg-type]  # one of the fields each

    assert any(not old.equals(new) for old, new in zip(before, after, strict=True))


TEXTURE = [name for name in FEATURES if name.startswith("glcm")]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"distances": (2,)}, TEXTURE),
        ({"angles": (0.0,)}, TEXTURE),
        ({"levels": 16}, TEXTURE),
        # the others are the same for a pair and its reverse; correlation too, as long as every
        # gray pixel is once the first and once the second of a pair (no cell at the frame's edge)
        ({"symmetric": False}, ["glcm_energy"]),
        # properties are of the normed matrix in either case
        ({"normed": False}, []),
    ],
)
def test_each_texture_setting_reaches_the_texture_alone(
    images: Path, params: Featurize, change: dict[str, object], expected: list[str]
) -> None:
    before = read_table(run(images, params)[0])

    glcm = replace(params.glcm, **change)  # type: ignore[arg-type]  # one of the fields each
    after = read_table(run(images, replace(params, glcm=glcm))[0])

    changed = [name for name in FEATURES if not before[name].equals(after[name])]
    assert changed == expected


def test_canny_of_one_reading_leaves_the_other_alone(images: Path, params: Featurize) -> None:
    _, before = (path.read_bytes() for path in run(images, params))

    _, after = (path.read_bytes() for path in run(images, replace(params, canny=(300.0, 900.0))))

    assert after == before


def test_no_rows_give_empty_tables_with_all_columns(images: Path, params: Featurize) -> None:
    written = run(images, params, rows=ROWS.iloc[:0])

    assert [len(read_table(path)) for path in written] == [0, 0]


def test_wrong_settings_are_all_named() -> None:
    project = Path(__file__).parents[3]
    content = load_params(project / "params.yaml")
    section = content["leukemia"]["featurize"]
    section |= {"reading": "nucleus", "blur": 5, "canny": [100], "canny_cell": [-1, 60]}
    section["glcm"] |= {"levels": 1, "distances": [], "angles": [360], "level": 8}

    with pytest.raises(InputError) as caught:
        stage_params(featurize, content)

    prefix = "leukemia.featurize."
    named = [line.strip().partition(":")[0] for line in str(caught.value).splitlines()[1:]]
    assert {key.removeprefix(prefix).split(".")[0] for key in named} == {
        "reading",
        "blur",
        "canny",
        "canny_cell",
        "glcm",
    }
    assert {"glcm.levels", "glcm.distances", "glcm.level"} <= {
        key.removeprefix(prefix) for key in named
    }
