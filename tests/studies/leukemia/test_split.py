import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from leukemia_collection import SPLIT, Collection, add_preliminary, draw_collection

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import column_mistakes
from tissuetrace.pipeline.params import stage_params
from tissuetrace.studies.leukemia.split import split


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return draw_collection(tmp_path_factory.mktemp("drawn"))


@pytest.fixture
def collection(drawn: Collection, tmp_path: Path) -> Collection:
    return drawn.copy(tmp_path)


def plant(collection: Collection, name: str, copy: str) -> None:
    """Copy an image under another name, in the folder of its class."""
    path = collection.find(f"{name}.bmp")[0]
    shutil.copy(path, path.parents[1] / copy.rpartition("_")[2] / f"{copy}.bmp")


def test_the_tables_have_the_declared_columns(collection: Collection) -> None:
    collection.ingest()
    collection.split()

    for name in ("groups", "splits", "pairs"):
        columns = split.writes[name].columns
        assert column_mistakes(collection / f"{name}.parquet", columns) == []


def test_without_a_shared_image_every_name_is_a_group(collection: Collection) -> None:
    collection.ingest()
    collection.split()

    groups = collection.table("groups")
    assert groups["subject"].tolist() == sorted(collection.table("table")["subject"].unique())
    assert groups["group"].tolist() == list(range(13))
    assert len(collection.table("pairs")) == 0


def test_subjects_that_share_an_image_are_one_group_and_both_images_are_named(
    collection: Collection,
) -> None:
    plant(collection, "UID_901_1_1_all", "UID_904_9_1_all")
    collection.ingest()
    collection.split()

    groups = collection.table("groups").set_index("subject")["group"]
    pair = collection.table("pairs").iloc[0]
    assert groups.nunique() == 12
    assert groups["901"] == groups["904"] == pair["group_a"] == pair["group_b"]
    assert pair[["name_a", "name_b", "kind", "subject_a", "subject_b"]].tolist() == [
        "UID_901_1_1_all",
        "UID_904_9_1_all",
        "exact",
        "901",
        "904",
    ]


def test_linked_subjects_are_merged_with_a_line_that_names_no_subject(
    collection: Collection, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(collection, "UID_901_1_1_all", "UID_904_9_1_all")
    collection.ingest()
    collection.split()

    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "leukemia.split: group 0 joins 2 subject names",
        "leukemia.split: 13 subject names in 12 groups",
    ]


def test_a_cell_cut_out_again_with_a_slightly_different_outline_links_as_well(
    collection: Collection,
) -> None:
    plant(collection, "UID_901_1_1_all", "UID_904_9_1_all")
    copy = collection.find("UID_904_9_1_all.bmp")[0]
    content = np.frombuffer(copy.read_bytes(), dtype=np.uint8).copy()
    pixels = content[54:].reshape(64, 64, 3)
    lit = np.argwhere(pixels.any(axis=-1))
    pixels[tuple(lit[lit[:, 0] == lit[:, 0].max()][0])] = 0  # one pixel of the topmost row
    copy.write_bytes(content.tobytes())
    collection.ingest()

    collection.split(replace(SPLIT, near=0.99))

    pairs = collection.table("pairs")
    assert pairs["kind"].tolist() == ["near"]
    assert collection.table("groups")["group"].nunique() == 12


def test_link_off_keeps_the_names_but_lists_the_pairs(collection: Collection) -> None:
    plant(collection, "UID_901_1_1_all", "UID_904_9_1_all")
    collection.ingest()

    collection.split(replace(SPLIT, link="off"))

    assert collection.table("groups")["group"].nunique() == 13
    assert collection.table("pairs")["kind"].tolist() == ["exact"]


def test_a_cell_under_both_labels_is_refused_with_both_names_and_groups(
    collection: Collection,
) -> None:
    plant(collection, "UID_901_1_1_all", "UID_H902_9_1_hem")
    collection.ingest()

    with pytest.raises(InputError) as caught:
        collection.split()

    assert "1 pairs of images of one cell stand under both labels" in str(caught.value)
    assert "UID_901_1_1_all (group 0) and UID_H902_9_1_hem (group 0), exact" in str(caught.value)
    assert not (collection / "splits.parquet").exists()


def test_fewer_groups_than_splits_are_counted(collection: Collection) -> None:
    for number in (901, 902, 903, 904):
        for path in collection.find(f"UID_H{number}_*.bmp"):
            path.unlink()
    collection.ingest()

    with pytest.raises(InputError, match=r"found 7 ALL and 2 normal groups .* 3 splits need at"):
        collection.split()


def test_every_image_has_one_split_in_both_schemes(collection: Collection) -> None:
    collection.ingest()
    collection.split()

    splits = collection.table("splits")
    names = collection.table("table")["name"].tolist()
    assert splits["name"].tolist() == names + names
    assert splits["scheme"].tolist() == ["image"] * len(names) + ["subject"] * len(names)
    assert set(splits["split"]) == {"train", "validation", "test"}


def test_the_subject_scheme_keeps_groups_whole_and_the_image_scheme_does_not(
    collection: Collection,
) -> None:
    plant(collection, "UID_901_1_1_all", "UID_904_9_1_all")
    collection.ingest()
    collection.split()

    rows = collection.table("splits").merge(collection.table("table"), on="name")
    rows = rows.merge(collection.table("groups"), on="subject")
    most = rows.groupby(["scheme", "group"])["split"].nunique().groupby("scheme").max()
    assert most["subject"] == 1
    assert most["image"] > 1


def test_preliminary_images_are_a_split_of_their_own_in_both_schemes(
    collection: Collection,
) -> None:
    add_preliminary(collection)
    collection.ingest()
    collection.split()

    splits = collection.table("splits")
    early = splits[splits["split"] == "prelim"]
    assert early["name"].tolist() == ["UID_801_1_1_all", "UID_H801_1_1_hem"] * 2
    assert early["scheme"].tolist() == ["image"] * 2 + ["subject"] * 2
    assert not set(collection.table("groups")["subject"]) & {"801", "H801"}


def test_preliminary_images_do_not_move_the_others(collection: Collection) -> None:
    collection.ingest()
    collection.split()
    before = collection.table("splits")
    add_preliminary(collection)
    collection.ingest()
    collection.split()
    after = collection.table("splits")

    kept = after[after["split"] != "prelim"].reset_index(drop=True)
    assert kept.equals(before)


def test_a_preliminary_subject_that_training_shows_joins_its_group(collection: Collection) -> None:
    add_preliminary(collection)
    early = collection.find("1.bmp")[0]
    shutil.copy(collection.find("UID_902_1_1_all.bmp")[0], early)
    collection.ingest()
    collection.split()

    groups = collection.table("groups").set_index("subject")["group"]
    assert groups["801"] == groups["902"]


def test_shares_that_leave_images_over_are_refused_with_the_key() -> None:
    section = {"fractions": [0.7, 0.1, 0.1], "seed": 0, "link": "pixels", "near": 0.998}

    with pytest.raises(InputError, match=r"leukemia.split: .*shares add up to 0.9, not to 1"):
        stage_params(split, {"leukemia": {"split": section}})
