import gzip
from pathlib import Path

import pytest

from tissuetrace.pipeline.files import read_json, read_table
from tissuetrace.pipeline.hashing import digest
from tissuetrace.pipeline.sources import drift, set_source
from tissuetrace.studies.leukemia.fetch import PATTERNS, fetch
from tissuetrace.studies.leukemia.phantom import Phantom

SHARED = Path(__file__).parents[2] / "../shared/data/leukemia"
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not SHARED.is_dir(), reason="no real images beside the project"),
]
PHANTOM = Phantom(
    seed=1, size_px=160, subjects_all=2, subjects_hem=2, cells=4, delta=1.0, plant_duplicates=0
)


@pytest.fixture(scope="module")
def fetched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared images after `source` and `fetch`."""
    root = tmp_path_factory.mktemp("real")
    set_source("leukemia", str(SHARED), PATTERNS, root)
    fetch(
        source=root / "sources/leukemia.json",
        images=root / "images",
        manifest=root / "manifest.parquet",
        origin=root / "source.json",
        truth=root / "truth.parquet",
        phantom=PHANTOM,
    )
    return root


def test_every_image_is_there_loose_or_packed(fetched: Path) -> None:
    table = read_table(fetched / "manifest.parquet")
    training = table[table["path"].str.contains("/training_data/fold_")]

    assert len(table) == 404
    assert len(training) == 400
    assert training["path"].str.contains("/all/").sum() == 241
    assert (training["archive"] == "").sum() == 2
    assert table["path"].str.contains("prelim_phase_data/").sum() == 3
    assert read_json(fetched / "source.json")["ignored"] == 3


def test_every_image_is_the_published_file(fetched: Path) -> None:
    with gzip.open(SHARED / "CNMC2019_full.sha256.gz", "rt") as file:
        published = {line.split(maxsplit=1)[1].strip(): line.split()[0] for line in file}
    table = read_table(fetched / "manifest.parquet")

    assert [published.get(path) for path in table["path"]] == table["sha256"].tolist()


def test_what_lies_on_disk_is_what_the_manifest_says(fetched: Path) -> None:
    table = read_table(fetched / "manifest.parquet")

    found = [digest(fetched / "images" / path).sha256 for path in table["path"]]

    assert found == table["sha256"].tolist()


def test_the_shared_folder_has_not_drifted(fetched: Path) -> None:
    assert drift("leukemia", fetched) == []
