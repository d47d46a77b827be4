import shutil
from pathlib import Path

import pytest

from tissuetrace.pipeline.files import column_mistakes, read_json, read_table
from tissuetrace.pipeline.hashing import digest
from tissuetrace.pipeline.listings import matches
from tissuetrace.pipeline.sources import read_source, set_source
from tissuetrace.studies.imc.fetch import PATTERNS, fetch
from tissuetrace.studies.imc.phantom import Phantom, PhantomCohort

PHANTOM = Phantom(
    patients=2,
    cores=1,
    diameter_um=80.0,
    cohorts={"melanoma": PhantomCohort(seed=3, rate_per_um2=1.2e-4, tumour_marker="SOX10")},
)
OUTPUTS = {
    "files": "files",
    "manifest": "manifest.parquet",
    "origin": "source.json",
    "truth": "truth.parquet",
}


@pytest.fixture(autouse=True)
def one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TISSUETRACE_WORKERS", "1")


def run(root: Path) -> dict[str, Path]:
    paths = {name: root / "out" / file for name, file in OUTPUTS.items()}
    fetch(source=root / "sources/imc.json", phantom=PHANTOM, **paths)
    return paths


def drawn_then_named_as_a_folder(root: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    set_source("imc", "phantom", PATTERNS, root)
    drawn = run(root)
    kept = root / "kept"
    shutil.move(root / "out", kept)
    set_source("imc", str(kept / "files"), PATTERNS, root)
    return {name: kept / path.name for name, path in drawn.items()}, run(root)


@pytest.mark.parametrize(
    "path",
    [
        "melanoma/images.csv",
        "melanoma/panel.csv",
        "breast/spillover.csv",
        "melanoma/core_001.ome.tiff",
        "breast/Point1/TIFs/CD3.tif",
        "own/raw/mock/mock.mcd",
        "own/raw/mock/mock.schema",
        "own/raw/mock/mock_ROI_001_1.txt",
        "own/raw/mock/mock.MCD",
        "own/raw/mock/mock.SCHEMA",
        "own/raw/mock/mock_ROI_001_1.TXT",
        "own/core.OME.TIFF",
        "own/core.Tif",
    ],
)
def test_a_folder_a_cohort_is_read_with_images_at_any_depth(path: str) -> None:
    assert matches(path, PATTERNS)


@pytest.mark.parametrize(
    "path",
    [
        "images.csv",
        "core.tiff",
        "SOURCES.md",
        "melanoma/readme.md",
        "melanoma/._a.tif",
        "melanoma/clinical.csv",
        "melanoma/raw/panel.csv",
    ],
)
def test_what_lies_beside_the_cohorts_or_is_no_image_is_left_alone(path: str) -> None:
    assert not matches(path, PATTERNS)


def test_the_committed_source_of_the_lane_is_what_the_command_writes_for_a_phantom(
    tmp_path: Path,
) -> None:
    committed = Path(__file__).parents[3] / "sources/imc.json"

    set_source("imc", "phantom", PATTERNS, tmp_path)

    written = (tmp_path / "sources/imc.json").read_text()
    if read_source(committed).kind != "phantom":
        pytest.skip("this checkout is fed with other data")
    assert committed.read_text() == written


def test_a_phantom_comes_with_its_truth_and_facts(tmp_path: Path) -> None:
    set_source("imc", "phantom", PATTERNS, tmp_path)

    paths = run(tmp_path)

    manifest, truth = read_table(paths["manifest"]), read_table(paths["truth"])
    listed = [path for path in manifest["path"] if path.endswith(".ome.tiff")]
    assert listed == ["melanoma/core_001.ome.tiff", "melanoma/core_002.ome.tiff"]
    assert len(truth) == 2 * 4
    facts = {"cohorts": ["melanoma"], "patients": 2, "cores": 2}
    assert read_json(paths["origin"])["facts"] == facts


def test_every_file_of_the_phantom_is_one_that_a_folder_would_be_read_for(tmp_path: Path) -> None:
    set_source("imc", "phantom", PATTERNS, tmp_path)

    manifest = read_table(run(tmp_path)["manifest"])

    assert all(matches(path, PATTERNS) for path in manifest["path"])


def test_the_tables_keep_to_their_declaration_with_and_without_truth(tmp_path: Path) -> None:
    drawn, real = drawn_then_named_as_a_folder(tmp_path)

    mistakes = [
        column_mistakes(paths[name], fetch.writes[name].columns)
        for name in ("manifest", "truth")
        for paths in (drawn, real)
    ]

    assert mistakes == [[], [], [], []]
    assert len(read_table(real["truth"])) == 0


def test_files_named_as_a_source_come_out_as_they_were_drawn(tmp_path: Path) -> None:
    drawn, real = drawn_then_named_as_a_folder(tmp_path)

    assert digest(real["files"]) == digest(drawn["files"])
    assert digest(real["manifest"]) == digest(drawn["manifest"])
    assert read_json(real["origin"])["facts"] == {}
