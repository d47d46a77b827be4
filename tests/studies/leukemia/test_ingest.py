from pathlib import Path

import cv2
import numpy as np
import pytest
from leukemia_collection import (
    HEADER,
    PHASE,
    ROWS,
    TRAINING,
    Collection,
    add_preliminary,
    bitmap_bytes,
    bitmap_with_long_header,
    draw_collection,
)

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import column_mistakes, read_json
from tissuetrace.studies.leukemia.ingest import ingest
from tissuetrace.studies.leukemia.inspection import inspect_batch
from tissuetrace.studies.leukemia.preliminary import ROWS as PUBLISHED_ROWS

PRELIMINARY_TABLE = "C-NMC_test_prelim_phase_data_labels.csv"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Collection:
    return draw_collection(tmp_path_factory.mktemp("drawn"))


@pytest.fixture
def collection(drawn: Collection, tmp_path: Path) -> Collection:
    return drawn.copy(tmp_path)


def refusal(collection: Collection) -> str:
    """Run the stage on something bad and return what the user reads; nothing may be written."""
    with pytest.raises(InputError) as caught:
        collection.ingest()
    assert not (collection / "table.parquet").exists()
    assert not (collection / "prelim.json").exists()
    return str(caught.value)


def move(path: Path, name: str) -> None:
    path.rename(path.with_name(name))


def test_every_image_becomes_a_row_with_what_its_name_says(collection: Collection) -> None:
    collection.ingest()

    table = collection.table("table")
    assert table["name"].tolist() == sorted(path.stem for path in collection.find("*.bmp"))
    assert column_mistakes(collection / "table.parquet", ingest.writes["table"].columns) == []
    row = table.set_index("name").loc["UID_H902_1_3_hem"]
    assert (row["subject"], row["image"], row["cell"], row["label"]) == ("H902", 1, 3, 0)
    assert row["path"] == f"{TRAINING}/fold_1/hem/UID_H902_1_3_hem.bmp"
    assert row["fold"] == 1
    assert (row["width"], row["height"], row["components"]) == (64, 64, 1)
    assert len(row["thumb"]) == 1024
    assert read_json(collection / "prelim.json")["rows"] == 0


def test_the_cell_is_measured_with_its_holes_filled(collection: Collection) -> None:
    frame = np.zeros((64, 64, 3), dtype=np.uint8)
    frame[10:30, 0:25] = 120
    frame[15:18, 10:12] = 0
    path = collection.find("UID_901_1_1_all.bmp")[0]
    path.write_bytes(bitmap_bytes(frame))

    collection.ingest()

    row = collection.table("table").set_index("name").loc["UID_901_1_1_all"]
    assert row["mask_px"] == 20 * 25
    assert row["touches_frame"]
    assert not collection.table("table")["touches_frame"].all()


def test_a_small_h_is_kept(collection: Collection) -> None:
    collection.ingest()

    assert "h906" in set(collection.table("table")["subject"])


def test_a_real_frame_has_the_size_of_the_parameter(collection: Collection) -> None:
    (collection / "source.json").write_text('{"kind": "directory", "facts": {}}')

    message = refusal(collection)
    collection.ingest(frame_px=64)

    assert "wrong size (found 64x64 px, expected 450x450 px)" in message


def test_headers_do_not_count_among_the_pixels(collection: Collection) -> None:
    path = collection.find("UID_901_1_1_all.bmp")[0]
    twin = path.with_name("UID_901_99_1_all.bmp")
    twin.write_bytes(bitmap_with_long_header(path.read_bytes()))

    collection.ingest()

    rows = collection.table("table").set_index("name").loc[[path.stem, twin.stem]]
    assert rows["sha256"].nunique() == 2
    assert rows["pixel_sha256"].nunique() == 1


def test_all_bad_files_are_named_at_once(collection: Collection) -> None:
    first, second, third, fourth, fifth, sixth = collection.find("UID_90*.bmp")[:6]
    first.write_bytes(cv2.imencode(".png", np.full((64, 64, 3), 9, dtype=np.uint8))[1].tobytes())
    second.write_bytes(second.read_bytes()[:-500])
    third.write_bytes(bitmap_bytes(np.full((60, 60, 3), 9, dtype=np.uint8)))
    fourth.write_bytes(bitmap_bytes(np.zeros((64, 64, 3), dtype=np.uint8)))
    two = np.zeros((64, 64, 3), dtype=np.uint8)
    two[5:25, 5:25] = two[40:43, 40:44] = 90
    fifth.write_bytes(bitmap_bytes(two))
    move(sixth, "UID_901_all.bmp")

    message = refusal(collection)

    assert "6 mistakes" in message
    assert f"{first.name}: not a BMP (found first bytes" in message
    assert f"{second.name}: truncated (found" in message
    assert f"{third.name}: wrong size (found 60x60 px, expected 64x64 px)" in message
    assert f"{fourth.name}: all black (found no pixel above 0, expected one cell)" in message
    assert f"{fifth.name}: 2 components (found 400 px and a second of 12 px" in message
    assert "found 'UID_901_all', expected UID_<subject>_<image>_<cell>_<all|hem>" in message


def test_a_file_that_does_not_decode_stands_in_the_list_of_the_others(
    collection: Collection,
) -> None:
    undecodable, truncated = collection.find("UID_90*.bmp")[:2]
    content = bytearray(undecodable.read_bytes())
    content[14:18] = (3).to_bytes(4, "little")  # a length of the image header that no format has
    undecodable.write_bytes(content)
    truncated.write_bytes(truncated.read_bytes()[:-500])

    message = refusal(collection)

    assert f"{undecodable.name}: no image (found {len(content)} bytes that OpenCV" in message
    assert f"{truncated.name}: truncated (found" in message
    assert str(collection.root) not in message


def test_an_image_that_cannot_be_opened_does_not_hide_the_next(collection: Collection) -> None:
    truncated = collection.find("UID_90*.bmp")[0]
    truncated.write_bytes(truncated.read_bytes()[:-500])
    paths = ["gone.bmp", str(truncated.relative_to(collection.images))]

    seen = inspect_batch((collection.images, paths, 64))

    first, second = [mistake for _, mistake in seen]
    assert first == "gone.bmp: cannot be read (No such file or directory)"
    assert str(second).startswith(f"{paths[1]}: truncated")


def test_a_name_against_its_folder_prints_both_readings(collection: Collection) -> None:
    path = collection.find("UID_H901_1_1_hem.bmp")[0]
    path.rename(path.parents[1] / "all" / path.name)

    message = refusal(collection)

    assert (
        "all/UID_H901_1_1_hem.bmp: the folder says all, the suffix says hem, the prefix of H901 "
        "says hem" in message
    )


def test_a_prefix_against_folder_and_suffix_is_found(collection: Collection) -> None:
    move(collection.find("UID_901_1_1_all.bmp")[0], "UID_H901_9_1_all.bmp")

    message = refusal(collection)

    assert "the folder says all, the suffix says all, the prefix of H901 says hem" in message


def test_a_name_that_cannot_be_read_is_printed_beside_its_folder(collection: Collection) -> None:
    move(collection.find("UID_H901_1_1_hem.bmp")[0], "cell 7.bmp")

    message = refusal(collection)

    assert "found 'cell 7', expected UID_<subject>" in message
    assert "the folder says hem" in message


def test_a_subject_in_two_spellings_stops(collection: Collection) -> None:
    move(collection.find("UID_h906_1_1_hem.bmp")[0], "UID_H906_1_1_hem.bmp")

    assert "subjects H906 and h906: one subject or two?" in refusal(collection)


def test_a_stripped_h_is_said_once(collection: Collection) -> None:
    normals = collection.find("UID_[Hh]*.bmp")
    for path in normals:
        move(path, path.name.replace("H", "").replace("UID_h", "UID_"))

    message = refusal(collection)

    assert "6 ids carry both labels (901, 902, 903, 904, 905, 906)" in message
    assert f"{len(normals)} names end on _hem without an H" in message
    assert "1 mistake in" in message


def test_one_missing_h_is_named(collection: Collection) -> None:
    move(collection.find("UID_H901_1_1_hem.bmp")[0], "UID_777_1_1_hem.bmp")

    assert "the prefix of 777 says all" in refusal(collection)


def test_one_name_for_two_images_names_both(collection: Collection) -> None:
    path = collection.find("UID_901_1_1_all.bmp")[0]
    other = path.parents[2] / "fold_1/all" / path.name
    other.write_bytes(path.read_bytes())

    message = refusal(collection)

    assert "UID_901_1_1_all: one name for 2 images" in message
    assert "fold_0/all/UID_901_1_1_all.bmp and " in message
    assert "fold_1/all/UID_901_1_1_all.bmp" in message


def test_a_folder_that_is_none_of_the_collections_is_named(collection: Collection) -> None:
    path = collection.find("UID_901_1_1_all.bmp")[0]
    path.rename(collection.images / path.name)

    assert "UID_901_1_1_all.bmp: lies in no fold_N/all, fold_N/hem" in refusal(collection)


def test_a_missing_class_is_counted(collection: Collection) -> None:
    for path in collection.find("UID_[Hh]*.bmp"):
        path.unlink()
    blasts = len(collection.find("*.bmp"))

    message = refusal(collection)

    assert f"one class is missing: found {blasts} ALL and 0 normal training images" in message


def test_images_without_labels_are_counted_and_left_out(collection: Collection) -> None:
    final = collection.images / "C-NMC_Leukemia/testing_data/C-NMC_test_final_phase_data"
    final.mkdir(parents=True)
    (final / "1.bmp").write_bytes(b"whatever")

    collection.ingest()

    assert read_json(collection / "prelim.json")["unlabelled"] == 1
    assert len(collection.table("table")) == len(collection.find("UID_*.bmp"))


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_preliminary_images_take_their_names_from_the_table(
    ending: str, collection: Collection
) -> None:
    add_preliminary(collection, ending=ending)

    collection.ingest()

    table = collection.table("table").set_index("name")
    assert table.loc["UID_801_1_1_all", "path"] == f"{PHASE}/1.bmp"
    assert table.loc["UID_H801_1_1_hem", "label"] == 0
    assert table.index[table["fold"] == -1].tolist() == ["UID_801_1_1_all", "UID_H801_1_1_hem"]
    counts = read_json(collection / "prelim.json")
    assert counts == {"rows": 2, "present": 2, "missing": 0, "unlabelled": 0, "absent": []}


def test_missing_preliminary_images_are_counted_and_listed(collection: Collection) -> None:
    rows = [f"UID_801_{number}_1_all.bmp,{number}.bmp,1" for number in range(1, 13)]
    add_preliminary(collection, rows, images=["2.bmp", "4.bmp"])

    collection.ingest()

    early = read_json(collection / "prelim.json")
    assert early["missing"] == 10
    assert early["absent"] == ["1.bmp", "3.bmp", "5.bmp to 12.bmp"]


EXTRA = [f"UID_801_{number}_1_all.bmp,{number}.bmp,1" for number in range(1, PUBLISHED_ROWS + 3)]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (ROWS[:1], "2.bmp: an image without a row in"),
        ((*ROWS, "UID_801_1_2_all.bmp,4.bmp,1"), "no row for 3.bmp"),
        (
            (*ROWS, "UID_801_1_2_all.bmp,6.bmp,1", "UID_801_1_3_all.bmp,8.bmp,1"),
            "no row for 3.bmp to 5.bmp, 7.bmp",
        ),
        ([ROWS[0], ROWS[1], *EXTRA[2:]], "extra rows for 1868.bmp to 1869.bmp; 1867 were"),
        ((*ROWS, ROWS[1]), "Patient_ID UID_H801_1_1_hem.bmp stands in 2 rows"),
        ((*ROWS, "UID_801_1_2_all.bmp,2.bmp,1"), "new_names 2.bmp stands in 2 rows"),
        (
            (ROWS[0], "UID_H801_1_1_hem.bmp,2.bmp,1"),
            "line 3: UID_H801_1_1_hem.bmp: the column says '1' (0 hem, 1 all), the suffix says hem",
        ),
        ((ROWS[0], "UID_801_1_1_hem.bmp,2.bmp,0"), "the suffix says hem, the prefix says all"),
        ((ROWS[0], "UID_H801_1_1_hem.bmp,2.bmp,yes"), "the column says 'yes'"),
        ((ROWS[0], "UID_H801_hem.bmp,2.bmp,0"), "line 3: found 'UID_H801_hem.bmp', expected UID_"),
        ((ROWS[0], "UID_H801_1_1_hem.bmp,two.bmp,0"), "found 'two.bmp', expected a number"),
        ((ROWS[0], "UID_H801_1_1_hem.bmp,2.bmp"), "line 3: found 2 cells, expected 3"),
    ],
)
def test_a_wrong_preliminary_row_is_named(
    rows: tuple[str, ...], said: str, collection: Collection
) -> None:
    add_preliminary(collection, rows)

    message = refusal(collection)

    assert PRELIMINARY_TABLE in message
    assert said in message


def test_other_columns_are_refused(collection: Collection) -> None:
    add_preliminary(collection, header="id,name,label")

    assert f"found ['id', 'name', 'label'], expected columns {HEADER.split(',')}" in refusal(
        collection
    )


def test_preliminary_images_without_their_table_are_refused(collection: Collection) -> None:
    add_preliminary(collection)
    (collection.images / PHASE).with_name(PRELIMINARY_TABLE).unlink()

    assert "not found, and 2 preliminary images need it" in refusal(collection)


def test_a_preliminary_name_that_training_has_is_refused(collection: Collection) -> None:
    add_preliminary(collection, ["UID_901_1_1_all.bmp,1.bmp,1"], images=["1.bmp"])

    assert "UID_901_1_1_all: one name for 2 images" in refusal(collection)


def test_one_and_two_workers_write_the_same_bytes(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tissuetrace.studies.leukemia.ingest._BATCH", 9)
    table = collection / "table.parquet"

    monkeypatch.setenv("TISSUETRACE_WORKERS", "1")
    collection.ingest()
    alone = table.read_bytes()
    monkeypatch.setenv("TISSUETRACE_WORKERS", "2")
    collection.ingest()

    assert table.read_bytes() == alone
