"""Linking and the gate on real cells of the collection, with the counts that are known of them."""

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from leukemia_collection import SPLIT, Collection

from tissuetrace.pipeline.errors import GateRefused
from tissuetrace.pipeline.files import read_json, write_json
from tissuetrace.studies.leukemia.admit import admit

DATA = Path(__file__).parents[2] / "../shared/data/leukemia"

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.exists(), reason="no real images in ../shared/data/leukemia"),
    pytest.mark.filterwarnings("ignore:module 'sre_parse' is deprecated"),
]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    collection = Collection(tmp_path_factory.mktemp("sample"))
    for archive in sorted(DATA.glob("*.zip")):
        zipfile.ZipFile(archive).extractall(collection.images)
    for path in sorted((DATA / "C-NMC_Leukemia").rglob("*")):
        target = collection.images / path.relative_to(DATA)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file():
            shutil.copyfile(path, target)
    write_json({"kind": "directory", "facts": {}}, collection / "source.json")
    collection.ingest()
    collection.split()
    collection.featurize()
    return collection


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])


def let_in(collection: Collection) -> None:
    admit(
        token=collection / "token.json",
        evidence=collection / "evidence.json",
        admission=collection / "admission.json",
    )


def test_the_gate_reports_the_known_duplicates_and_lets_them_pass_as_linked(
    sample: Collection,
) -> None:
    sample.validate()
    let_in(sample)

    counts = read_json(sample / "evidence.json")["counts"]
    assert (counts["exact_pairs"], counts["exact_pairs_across_subjects"]) == (12, 9)
    assert (counts["near_pairs"], counts["near_pairs_across_subjects"]) == (11, 3)
    assert (counts["subjects"], counts["groups"]) == (34, 29)
    assert (counts["images_all"], counts["images_hem"]) == (241, 159)


def test_subjects_known_to_share_cells_are_the_linked_ones(sample: Collection) -> None:
    groups = sample.table("groups")
    near = sample.table("pairs").query("kind == 'near' and subject_a != subject_b")

    sizes = groups.groupby("group")["subject"].apply(lambda names: tuple(sorted(names)))
    linked = sorted(names for names in sizes if len(names) > 1)
    assert linked == [("20", "21"), ("51", "75", "78"), ("H10", "h3"), ("H2", "H6")]
    pairs = sorted(zip(near["subject_a"], near["subject_b"], strict=True))
    assert pairs == [("H10", "h3"), ("H2", "H6"), ("H2", "H6")]


def test_preliminary_images_are_read_through_their_table(sample: Collection) -> None:
    counts = read_json(sample / "prelim.json")
    table = sample.table("table")

    assert counts.pop("absent")[-1].endswith("1867.bmp")
    assert counts == {"rows": 1867, "present": 3, "missing": 1864, "unlabelled": 0}
    assert table.loc[table["fold"] == -1, "name"].tolist() == [
        "UID_53_4_8_all",
        "UID_57_6_4_all",
        "UID_H49_5_2_hem",
    ]


def test_the_same_cells_stop_where_nothing_is_linked(sample: Collection, tmp_path: Path) -> None:
    unlinked = Collection(tmp_path)
    tables = [path for path in sample.root.iterdir() if path.is_file()]
    for path in tables:
        shutil.copyfile(path, unlinked / path.name)
    unlinked.images.symlink_to(sample.images)
    unlinked.split(replace(SPLIT, link="off"))
    unlinked.validate()

    with pytest.raises(GateRefused, match="identical images in two groups: found 9, allowed at"):
        let_in(unlinked)
