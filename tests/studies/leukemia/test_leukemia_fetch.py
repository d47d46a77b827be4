import shutil
from pathlib import Path

import pytest

from tissuetrace.pipeline.files import column_mistakes, read_json, read_table
from tissuetrace.pipeline.hashing import digest
from tissuetrace.pipeline.listings import matches
from tissuetrace.pipeline.sources import read_source, set_source
from tissuetrace.studies.leukemia.fetch import PATTERNS, fetch
from tissuetrace.studies.leukemia.phantom import Phantom

PHANTOM = Phantom(
    seed=3, size_px=64, subjects_all=3, subjects_hem=3, cells=5, delta=1.0, plant_duplicates=1
)
OUTPUTS = {
    "images": "images",
    "manifest": "manifest.parquet",
    "origin": "source.json",
    "truth": "truth.parquet",
}


def run(root: Path, phantom: Phantom = PHANTOM) -> dict[str, Path]:
    paths = {name: root / "out" / file for name, file in OUTPUTS.items()}
    fetch(source=root / "sources/leukemia.json", phantom=phantom, **paths)
    return paths


@pytest.mark.parametrize(
    "path",
    [
        "C-NMC_Leukemia/training_data/fold_0/all/UID_1_1_1_all.bmp",
        "fold_2/hem/UID_h3_1_1_hem.bmp",
        "C-NMC_Leukemia/validation_data/C-NMC_test_prelim_phase_data/1.bmp",
        "C-NMC_Leukemia/validation_data/C-NMC_test_prelim_phase_data_labels.csv",
        "C-NMC_test_prelim_phase_data_labels.csv",
    ],
)
def test_the_layouts_of_the_collection_are_read(path: str) -> None:
    assert matches(path, PATTERNS)


@pytest.mark.parametrize(
    "path",
    [
        "C-NMC_Leukemia/testing_data/C-NMC_test_final_phase_data/1.bmp",  # without labels
        "__MACOSX/fold_0/all/._UID_1_1_1_all.bmp",
        "SOURCES.md",
    ],
)
def test_what_the_lane_does_not_use_is_left_alone(path: str) -> None:
    assert not matches(path, PATTERNS)


def test_the_committed_source_is_what_the_command_writes_for_a_phantom(tmp_path: Path) -> None:
    committed = Path(__file__).parents[3] / "sources/leukemia.json"

    set_source("leukemia", "phantom", PATTERNS, tmp_path)

    written = (tmp_path / "sources/leukemia.json").read_text()
    if read_source(committed).kind != "phantom":
        pytest.skip("this checkout is fed with other data")
    assert committed.read_text() == written


def test_a_phantom_is_drawn_with_its_truth(tmp_path: Path) -> None:
    set_source("leukemia", "phantom", PATTERNS, tmp_path)

    paths = run(tmp_path)

    manifest, truth = read_table(paths["manifest"]), read_table(paths["truth"])
    stems = manifest["path"].str.extract(r"([^/]+)\.bmp$")[0]
    assert sorted(stems) == sorted(truth["name"])
    assert matches(manifest["path"][0], PATTERNS)
    assert read_json(paths["origin"])["facts"] == {"frame_px": 64}


def test_both_tables_keep_to_their_declaration_with_and_without_truth(tmp_path: Path) -> None:
    set_source("leukemia", "phantom", PATTERNS, tmp_path)
    drawn = run(tmp_path)
    kept = tmp_path / "kept"
    shutil.move(tmp_path / "out", kept)
    set_source("leukemia", str(kept / "images"), PATTERNS, tmp_path)
    real = run(tmp_path)

    mistakes = [
        column_mistakes(path, fetch.writes[name].columns)
        for name in ("manifest", "truth")
        for path in (kept / drawn[name].name, real[name])
    ]

    assert mistakes == [[], [], [], []]
    assert len(read_table(real["truth"])) == 0


def test_images_named_as_a_source_come_out_as_they_were_drawn(tmp_path: Path) -> None:
    set_source("leukemia", "phantom", PATTERNS, tmp_path)
    run(tmp_path)
    kept = tmp_path / "kept"
    shutil.move(tmp_path / "out", kept)
    set_source("leukemia", str(kept / "images"), PATTERNS, tmp_path)

    paths = run(tmp_path)

    assert digest(paths["images"]) == digest(kept / "images")
    assert digest(paths["manifest"]) == digest(kept / "manifest.parquet")
    assert read_json(paths["origin"])["facts"] == {}
