from pathlib import Path
from typing import Any

import numpy as np
import pytest
from imc_project import CHANNELS, FILES, FINAL, Project, draw, write_mask
from mcd_files import Written, write_mcd

from tissuetrace.imaging.acquisitions import Acquisition, read_acquisition
from tissuetrace.imaging.ome_export import write_ome
from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import read_json
from tissuetrace.studies.imc import image_shards
from tissuetrace.studies.imc.image_shards import deviating

ROOT = Path(__file__).parents[3]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TISSUETRACE_WORKERS", "1")
    Path("src").symlink_to(ROOT / "src")  # whose checksum decides whether a shard is kept
    found = Project()
    for seed, image in enumerate("ab"):
        found.add_ome(image, seed)
    return found


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the image files that were opened, in order."""
    names: list[str] = []

    def counting(path: Path, **options: Any) -> Acquisition:
        names.append(path.name)
        return read_acquisition(path, **options)

    monkeypatch.setattr(image_shards, "read_acquisition", counting)
    return names


def refusal(project: Project, **changed: Any) -> str:
    with pytest.raises(InputError) as caught:
        project.ingest(**changed)
    return str(caught.value)


def listed_mcd(project: Project, **options: Any) -> Written:
    for image in list(project.rows):
        project.remove(image)
    written = write_mcd(FILES, **options)
    for number in written.images:
        project.add(f"roi_{number}", f"p_1,slide.mcd,{number},,")
    return written


def test_every_image_becomes_counts_with_names_and_a_row(project: Project) -> None:
    project.ingest()

    image = project.image("b")
    assert list(image) == ["x", "names", "px_um"]
    np.testing.assert_array_equal(image["x"], draw(1))
    assert image["x"].dtype == np.float32
    assert tuple(image["names"].tolist()) == CHANNELS
    assert float(image["px_um"]) == 1.0
    row = project.table().set_index("image").loc["b"]
    assert (row["subject"], row["file"], row["acquisition"]) == ("p_b", "b.ome.tiff", "")
    assert (row["height"], row["width"], row["missing"], row["zero_channels"]) == (9, 11, 0, 0)
    assert len(project.table("refused")) == 0


def test_one_more_image_opens_one_file_and_one_less_opens_none(
    project: Project, opened: list[str]
) -> None:
    project.ingest()
    assert opened == ["a.ome.tiff", "b.ome.tiff"]
    project.add_ome("c", 2)

    opened.clear()
    project.ingest()
    assert opened == ["c.ome.tiff"]
    assert project.table()["image"].tolist() == ["a", "b", "c"]

    opened.clear()
    project.remove("a")
    project.ingest()
    assert opened == []
    assert project.table()["image"].tolist() == ["b", "c"]
    assert not (FINAL / "images/a.npz").exists()


def test_a_file_that_was_damaged_is_opened_and_the_others_are_not(
    project: Project, opened: list[str]
) -> None:
    project.ingest()
    whole = (FILES / "a.ome.tiff").read_bytes()
    (FILES / "a.ome.tiff").write_bytes(whole[: len(whole) // 2])

    opened.clear()
    assert "a.ome.tiff" in refusal(project)
    assert opened == ["a.ome.tiff"]

    opened.clear()
    (FILES / "a.ome.tiff").write_bytes(whole)
    project.ingest()
    assert opened == []


@pytest.mark.parametrize("changed", [{"clip": 5.0}, {"partial": "drop"}, {"px_um": 1.005}])
def test_another_setting_makes_every_image_anew(
    project: Project, opened: list[str], changed: dict[str, Any]
) -> None:
    project.ingest()
    opened.clear()

    project.ingest(**changed)

    assert opened == ["a.ome.tiff", "b.ome.tiff"]


def test_another_panel_or_subject_makes_an_image_anew(project: Project, opened: list[str]) -> None:
    project.ingest()
    opened.clear()
    project.add("a", "p_9,a.ome.tiff,,,")

    project.ingest()
    assert opened == ["a.ome.tiff"]
    assert project.table()["subject"].tolist() == ["p_9", "p_b"]

    opened.clear()
    (FILES / "panel.csv").write_text("channel,metal\nCD3,Er170\n")
    project.ingest()
    assert opened == ["a.ome.tiff", "b.ome.tiff"]


def test_kept_and_new_images_give_the_same_bytes(project: Project) -> None:
    project.ingest()
    before = {path.name: path.read_bytes() for path in (FINAL / "images").iterdir()}

    project.ingest(clip=3.0)
    project.ingest()

    assert {path.name: path.read_bytes() for path in (FINAL / "images").iterdir()} == before


def test_all_bad_images_are_named_at_once_and_the_good_ones_are_kept(
    project: Project, opened: list[str]
) -> None:
    (FILES / "c.ome.tiff").write_bytes(b"II*\0")
    project.add("c", "p_c,c.ome.tiff,,,")
    write_ome(FILES / "d.ome.tiff", -draw(3).astype(np.float32), CHANNELS, 1.0)
    project.add("d", "p_d,d.ome.tiff,,,")

    message = refusal(project)

    assert message.startswith("toy: 2 acquisitions cannot be used")
    assert "c: c.ome.tiff: no TIFF that can be read" in message
    assert "d: d.ome.tiff: channel CD3 goes down to -" in message
    assert not (FINAL / "images.parquet").exists()

    opened.clear()
    project.remove("c")
    project.remove("d")
    project.ingest()
    assert opened == []  # a and b wait where the broken run left them


def test_bad_images_are_skipped_and_listed_where_that_is_set(project: Project) -> None:
    (FILES / "c.ome.tiff").write_bytes(b"II*\0")
    project.add("c", "p_c,c.ome.tiff,,,")

    project.ingest(refused="skip")

    assert project.table()["image"].tolist() == ["a", "b"]
    refused = project.table("refused")
    assert refused["file"].tolist() == ["c.ome.tiff"]
    assert "no TIFF that can be read" in refused["reason"][0]


def test_a_cohort_of_which_nothing_is_left_is_refused(project: Project) -> None:
    for name in "ab":
        (FILES / f"{name}.ome.tiff").write_bytes(b"II*\0")

    with pytest.raises(InputError) as caught:
        project.ingest(refused="skip")

    lines = str(caught.value).splitlines()
    assert lines[0].startswith("toy: none of 2 acquisitions can be used")
    assert [line.partition(":")[0].strip() for line in lines[1:]] == ["a", "b"]


def test_another_set_of_channels_is_refused_with_both_lists(project: Project) -> None:
    names = ("CD3", "CD8", "PD-1", "CXCL9")
    write_ome(FILES / "c.ome.tiff", draw(2), names, 1.0)
    project.add("c", "p_c,c.ome.tiff,,,")

    message = refusal(project)

    assert "c: c.ome.tiff: channels missing: PD1; extra: PD-1" in message
    assert "found CD3, CD8, CXCL9, PD-1" in message
    assert "have CD3, CD8, CXCL9, PD1" in message


def test_the_channels_of_a_new_image_are_held_against_those_kept(project: Project) -> None:
    project.ingest()
    write_ome(FILES / "c.ome.tiff", draw(2)[:3], CHANNELS[:3], 1.0)
    project.add("c", "p_c,c.ome.tiff,,,")

    assert "channels missing: CXCL9; extra: none" in refusal(project)

    project.ingest(refused="skip")
    assert project.table()["image"].tolist() == ["a", "b"]
    assert project.table("refused")["file"].tolist() == ["c.ome.tiff"]
    assert sorted(path.name for path in (FINAL / "images").iterdir()) == [
        "a.json",
        "a.npz",
        "b.json",
        "b.npz",
        "keys.json",
    ]
    assert sorted(read_json(FINAL / "images/keys.json")) == ["a", "b"]


def test_the_order_of_channels_is_no_difference() -> None:
    rows = [
        {"image": "a", "file": "a.mcd", "acquisition": "", "channels": ["CD3", "CD8"]},
        {"image": "b", "file": "b.mcd", "acquisition": "", "channels": ["CD8", "CD3"]},
    ]

    assert deviating(rows) == []


def test_one_acquisition_under_four_names_is_refused_with_all_of_them(project: Project) -> None:
    listed_mcd(project, sizes=[(6, 8)])
    project.add("same_a", "p_2,slide.mcd,ROI_001,,")
    project.add("same_b", "p_3,slide_ROI_001_1.txt,,,")
    project.add("same_c", "p_4,./slide.mcd,,,")

    message = refusal(project)

    assert message.startswith("toy: 4 acquisitions cannot be used")
    assert (
        "same_b: slide_ROI_001_1.txt: the same counts as image roi_1 (slide.mcd, acquisition 1), "
        "same_a (slide.mcd, acquisition ROI_001), same_c (slide.mcd)"
    ) in message


@pytest.mark.parametrize("file", ["./a.ome.tiff", ".//a.ome.tiff", "././a.ome.tiff"])
def test_one_path_written_in_two_ways_is_one_path(project: Project, file: str) -> None:
    project.add("c", f"p_c,{file},,,")

    assert "a.ome.tiff stands in 2 rows" in refusal(project)


def test_copies_among_new_images_are_named_beside_all_else_that_is_wrong(project: Project) -> None:
    (FILES / "c.ome.tiff").write_bytes((FILES / "a.ome.tiff").read_bytes())
    (FILES / "d.ome.tiff").write_bytes(b"II*\0")
    project.add("c", "p_c,c.ome.tiff,,,")
    project.add("d", "p_d,d.ome.tiff,,,")

    lines = refusal(project).splitlines()

    assert lines[0].startswith("toy: 3 acquisitions cannot be used")
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["d", "a", "c"]


def test_a_copy_of_an_image_that_was_kept_is_refused(project: Project, opened: list[str]) -> None:
    project.ingest()
    (FILES / "c.ome.tiff").write_bytes((FILES / "a.ome.tiff").read_bytes())
    project.add("c", "p_c,c.ome.tiff,,,")
    opened.clear()

    message = refusal(project)

    assert opened == ["c.ome.tiff"]
    assert "a: a.ome.tiff: the same counts as image c (c.ome.tiff)" in message
    assert "c: c.ome.tiff: the same counts as image a (a.ome.tiff)" in message
    project.ingest(refused="skip")
    assert project.table()["image"].tolist() == ["b"]
    assert project.table("refused")["file"].tolist() == ["a.ome.tiff", "c.ome.tiff"]
    assert sorted(read_json(FINAL / "images/keys.json")) == ["b"]


def test_two_copies_with_other_channels_are_refused_once_each(project: Project) -> None:
    project.add_ome("e", 4)
    write_ome(FILES / "c.ome.tiff", draw(2), ("CD3", "CD8", "PD-1", "CXCL9"), 1.0)
    project.add("c", "p_c,c.ome.tiff,,,")
    (FILES / "d.ome.tiff").write_bytes((FILES / "c.ome.tiff").read_bytes())
    project.add("d", "p_d,d.ome.tiff,,,")

    project.ingest(refused="skip")

    assert project.table()["image"].tolist() == ["a", "b", "e"]
    assert project.table("refused")["file"].tolist() == ["c.ome.tiff", "d.ome.tiff"]


def test_images_without_any_count_are_no_copies_of_each_other(project: Project) -> None:
    write_ome(FILES / "c.ome.tiff", np.zeros((4, 9, 11), np.uint16), CHANNELS, 1.0)
    (FILES / "d.ome.tiff").write_bytes((FILES / "c.ome.tiff").read_bytes())
    project.add("c", "p_c,c.ome.tiff,,,")
    project.add("d", "p_d,d.ome.tiff,,,")

    project.ingest()

    assert project.table()["zero_channels"].tolist() == [0, 0, 4, 4]


def test_a_clip_that_makes_images_equal_makes_no_copies(project: Project) -> None:
    counts = draw(2)
    write_ome(FILES / "c.ome.tiff", counts, CHANNELS, 1.0)
    write_ome(FILES / "d.ome.tiff", counts + (counts > 3), CHANNELS, 1.0)
    project.add("c", "p_c,c.ome.tiff,,,")
    project.add("d", "p_d,d.ome.tiff,,,")

    project.ingest(clip=3.0)

    np.testing.assert_array_equal(project.image("c")["x"], project.image("d")["x"])

    assert project.table()["image"].tolist() == ["a", "b", "c", "d"]


@pytest.mark.parametrize(("stated", "message"), [(1.02, "1.02 µm a pixel"), (0.5, "0.5 µm")])
def test_a_pixel_size_that_contradicts_the_parameter_is_refused(
    project: Project, stated: float, message: str
) -> None:
    project.add_ome("c", 2, px_um=stated)

    assert f"c.ome.tiff: the file says {message}" in refusal(project)


def test_a_pixel_size_within_a_hundredth_counts_as_the_cohorts(project: Project) -> None:
    project.ingest(px_um=1.009)

    assert float(project.image("a")["px_um"]) == 1.009
    assert project.table()["px_um"].tolist() == [1.009, 1.009]


def test_masks_come_along_where_they_are_supplied(project: Project) -> None:
    mask = np.zeros((9, 11), dtype=np.bool_)
    mask[2:5, 3:9] = True
    write_mask("tissue.tiff", mask)
    write_mask("tumour.tiff", ~mask)
    project.add("a", "p_a,a.ome.tiff,,tissue.tiff,tumour.tiff")

    project.ingest()

    np.testing.assert_array_equal(project.image("a")["tissue"], mask)
    np.testing.assert_array_equal(project.image("a")["tumour"], ~mask)
    assert "tissue" not in project.image("b")


def test_a_mask_of_another_size_is_refused(project: Project) -> None:
    write_mask("tissue.tiff", np.ones((9, 12)))
    project.add("a", "p_a,a.ome.tiff,,tissue.tiff,")

    assert "mask tissue.tiff is 1x9x12, the image 1x9x11" in refusal(project)


def test_a_damaged_mcd_is_recovered_and_its_row_says_so(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    written = listed_mcd(project)
    written.overwrite(written.blocks[2][0], bytes(48))

    project.ingest()

    assert project.table()["recovered"].tolist() == ["", "txt", ""]
    assert project.table()["acquisition"].tolist() == ["1", "2", "3"]
    assert "toy, roi_2: read from slide_ROI_002_2.txt" in capsys.readouterr().err


def test_a_remark_is_said_again_for_an_image_that_was_kept(
    project: Project, capsys: pytest.CaptureFixture[str], opened: list[str]
) -> None:
    listed_mcd(project).truncate(0.5)
    project.ingest()
    capsys.readouterr()
    opened.clear()

    project.ingest()

    assert "roi_3: read from slide_ROI_003_3.txt" in capsys.readouterr().err
    assert opened == []


def test_a_missing_txt_costs_that_acquisition_alone(project: Project) -> None:
    written = listed_mcd(project)
    written.truncate(0.5)
    written.txt(2).unlink()

    message = refusal(project)
    assert "roi_2: slide.mcd, acquisition 2" in message
    assert "slide_ROI_002_2.txt is missing" in message
    assert "roi_1" not in message

    project.ingest(refused="skip")
    assert project.table()["image"].tolist() == ["roi_1", "roi_3"]
    assert project.table("refused")["acquisition"].tolist() == ["2"]


def test_an_acquisition_broken_off_is_kept_with_what_was_acquired(project: Project) -> None:
    listed_mcd(project, records={1: 30})
    assert "18 of 8x6 pixels were not acquired" in refusal(project)

    project.ingest(partial="drop")

    image = project.image("roi_1")
    assert project.table()["missing"].tolist() == [18, 0, 0]
    assert int((~image["acquired"]).sum()) == 18
    np.testing.assert_array_equal(image["tissue"], image["acquired"])
    assert "acquired" not in project.image("roi_2")


def test_channels_without_any_count_are_read_and_counted(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = draw(2)
    pixels[[1, 3]] = 0
    write_ome(FILES / "c.ome.tiff", pixels, CHANNELS, 1.0)
    project.add("c", "p_c,c.ome.tiff,,,")

    project.ingest()

    assert project.table()["zero_channels"].tolist() == [0, 0, 2]
    assert "toy, c: 0 everywhere: CD8, CXCL9" in capsys.readouterr().err


def test_counts_above_the_clip_are_set_to_it(project: Project) -> None:
    project.ingest(clip=3.0)

    np.testing.assert_array_equal(project.image("a")["x"], np.minimum(draw(0), 3))


def test_spillover_is_taken_out_by_the_cohorts_matrix(project: Project) -> None:
    shares = np.eye(4)
    shares[0, 1] = 0.1
    lines = [",".join([name, *map(str, row)]) for name, row in zip(CHANNELS, shares, strict=True)]
    (FILES / "spillover.csv").write_text("\n".join([",".join(["", *CHANNELS]), *lines]) + "\n")

    project.ingest(compensate="matrix")

    expected = draw(0).astype(np.float64)
    expected[1] = np.maximum(expected[1] - 0.1 * expected[0], 0)
    np.testing.assert_allclose(project.image("a")["x"], expected, atol=1e-5)


def test_a_matrix_that_is_not_there_is_refused(project: Project) -> None:
    assert "spillover.csv" in refusal(project, compensate="matrix")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("p,../a.ome.tiff,,,", "../a.ome.tiff does not lie below"),
        ("p,/etc/passwd,,,", "/etc/passwd does not lie below"),
        ("p,absent.tiff,,,", "no file absent.tiff"),
        (",a.ome.tiff,,,", "no subject"),
        ("p,,,,", "no file"),
        ("p,a.ome.tiff,,,", "a.ome.tiff stands in 2 rows"),
        (f"p,{'f' * 300}.tiff,,,", f"no file {'f' * 300}.tiff"),
        (f"p,a.ome.tiff,,{'m' * 300},", f"no file {'m' * 300}"),
    ],
)
def test_a_wrong_row_of_the_table_is_named(project: Project, row: str, words: str) -> None:
    project.add("c", row)

    message = refusal(project)

    assert message.startswith("toy/images.csv: ")
    assert words in message


@pytest.mark.parametrize("image", ["c:1", "c/d", ".c", "c d"])
def test_a_name_that_is_no_file_name_is_refused(project: Project, image: str) -> None:
    project.add(image, "p,a.ome.tiff,1,,")

    assert f"row 3: image '{image}', expected letters" in refusal(project)


def test_the_name_of_the_list_of_keys_is_no_name_of_an_image(project: Project) -> None:
    project.add_ome("keys", 3)

    assert "row 3: image 'keys', a name that is taken" in refusal(project)


def test_a_name_too_long_for_its_files_is_refused(project: Project) -> None:
    project.add("i" * 201, "p,a.ome.tiff,1,,")

    assert "expected at most 200 letters" in refusal(project)


def test_an_image_that_stands_twice_is_refused(project: Project) -> None:
    text = (FILES / "images.csv").read_text()
    (FILES / "images.csv").write_text(text + "a,p,b.ome.tiff,2,,\n")

    assert "image a stands in 2 rows" in refusal(project)


@pytest.mark.parametrize(
    "text", ["", "image,subject\na,p\n", "image,subject,file,stain\na,p,f,x\n"]
)
def test_a_table_without_its_columns_is_refused(project: Project, text: str) -> None:
    (FILES / "images.csv").write_text(text)

    assert "toy/images.csv" in refusal(project)


def test_a_cohort_without_a_table_is_refused(project: Project) -> None:
    (FILES / "images.csv").unlink()

    assert "no images.csv" in refusal(project)
