"""Every file of the real collection: what is read, what is recovered, what is refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy import ndarray

from tissuetrace.imaging.acquisitions import Acquisition, counts_sha256, read_acquisition
from tissuetrace.imaging.mcd_contents import contents_of
from tissuetrace.imaging.ome_export import write_ome
from tissuetrace.imaging.panels import Panel, read_panel
from tissuetrace.pipeline.errors import InputError

DATA = Path(__file__).parents[2] / "../shared/data/imc"
RAW = DATA / "imc_mock/raw"
SLIDES = ("20210305_NE_mockData1", "20210305_NE_mockData2", "20210305_NE_mockData4")
SIZES = {
    "20210305_NE_mockData1": [(60, 60), (51, 64), (43, 50)],
    "20210305_NE_mockData2": [(87, 103), (61, 59), (54, 53)],
    "20210305_NE_mockData4": [(29, 35), (45, 53), (54, 82)],
}
NAMES = ("Ag107", "Cytokeratin 5", "Laminin", "YBX1", "H3K27Ac")
PANCREAS = Panel(channels=("H3", "CD99", "PIN", "CD8a", "CDH"), metals=("",) * 5)

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not DATA.exists(), reason="no real images in ../shared/data/imc"),
]


def read(path: Path, acquisition: str = "", panel: Panel | None = None) -> Acquisition:
    return read_acquisition(path, acquisition=acquisition, panel=panel, partial="refuse")


def refusal(path: Path, acquisition: str = "", panel: Panel | None = None) -> str:
    with pytest.raises(InputError) as caught:
        read(path, acquisition, panel)
    return str(caught.value)


def mock_panel() -> Panel:
    return read_panel(DATA / "imc_mock/panel.csv")


def copied(slide: str, folder: Path) -> Path:
    """Copy a slide's mcd, schema and exports to where they may be damaged."""
    for path in (RAW / slide).iterdir():
        shutil.copyfile(path, folder / path.name)
    return folder / f"{slide}.mcd"


def damage(mcd: Path, start: int, content: bytes) -> None:
    found = bytearray(mcd.read_bytes())
    found[start : start + len(content)] = content
    mcd.write_bytes(bytes(found))


def whole(slide: str) -> list[ndarray]:
    return [read(RAW / slide / f"{slide}.mcd", number, mock_panel()).x for number in "123"]


@pytest.mark.parametrize("slide", SLIDES)
def test_all_nine_acquisitions_are_read_and_their_exports_agree(slide: str) -> None:
    found = [read(RAW / slide / f"{slide}.mcd", number, mock_panel()) for number in "123"]

    assert [one.x.shape[1:] for one in found] == SIZES[slide]
    assert {one.names for one in found} == {NAMES}
    assert {(one.px_um, one.recovered, one.missing, one.remarks) for one in found} == {
        (1.0, "", 0, ())
    }
    exports = [read(path, "", mock_panel()) for path in sorted((RAW / slide).glob("*.txt"))]
    worst = [np.abs(a.x - b.x).max() for a, b in zip(found, exports, strict=True)]
    assert max(worst) < 6e-4
    assert [one.px_um for one in exports] == [1.0, 1.0, 1.0]
    assert [counts_sha256(one) for one in exports] == [counts_sha256(one) for one in found]


@pytest.mark.parametrize("slide", SLIDES[:2])
def test_the_ome_tiffs_of_another_pipeline_hold_the_same_counts(slide: str) -> None:
    paths = sorted((DATA / "imc_mock/ometiff" / slide).glob("*.ome.tiff"))

    found = [read(path, "", mock_panel()) for path in paths]

    assert {(one.names, one.px_um) for one in found} == {(NAMES, None)}
    assert all(np.array_equal(a.x, b) for a, b in zip(found, whole(slide), strict=True))


def test_without_a_panel_the_labels_of_the_file_are_the_names() -> None:
    path = RAW / SLIDES[0] / f"{SLIDES[0]}.mcd"

    assert read(path, "1").names[:2] == ("107Ag", "Cytoker_651((3356))Pr141")


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75, 0.95])
@pytest.mark.parametrize("slide", SLIDES)
def test_every_acquisition_of_a_truncated_mcd_is_recovered(
    tmp_path: Path, slide: str, share: float
) -> None:
    mcd = copied(slide, tmp_path)
    content = mcd.read_bytes()
    mcd.write_bytes(content[: int(len(content) * share)])

    found = [read(mcd, number, mock_panel()) for number in "123"]

    assert {(one.recovered, one.px_um, one.missing) for one in found} == {("txt", 1.0, 0)}
    assert max(np.abs(a.x - b).max() for a, b in zip(found, whole(slide), strict=True)) < 6e-4
    assert contents_of(mcd).source == "schema"
    mcd.with_suffix(".schema").unlink()
    assert any("completeness unknown" in remark for remark in read(mcd, "2").remarks)


@pytest.mark.parametrize("slide", SLIDES)
def test_a_zeroed_block_costs_no_acquisition(tmp_path: Path, slide: str) -> None:
    mcd = copied(slide, tmp_path)
    start, end = contents_of(mcd).planned[1].block
    damage(mcd, (start + end) // 2, bytes(4096))

    found = [read(mcd, number, mock_panel()) for number in "123"]

    assert [one.recovered for one in found] == ["", "txt", ""]
    assert max(np.abs(a.x - b).max() for a, b in zip(found, whole(slide), strict=True)) < 6e-4


@pytest.mark.parametrize("shift", [-4, 32, -320, 10**8])
def test_wrong_offsets_cost_no_acquisition(tmp_path: Path, shift: int) -> None:
    mcd = copied(SLIDES[0], tmp_path)
    content = mcd.read_bytes()
    start, end = contents_of(mcd).planned[1].block
    for tag, value in (("DataStartOffset", start), ("DataEndOffset", end)):
        old = f"<{tag}>{value}</{tag}>".encode("utf-16-le")
        assert old in content
        content = content.replace(old, f"<{tag}>{value + shift}</{tag}>".encode("utf-16-le"))
    mcd.write_bytes(content)

    found = [read(mcd, number, mock_panel()) for number in "123"]

    assert found[1].recovered == "txt"
    assert max(np.abs(a.x - b).max() for a, b in zip(found, whole(SLIDES[0]), strict=True)) < 6e-4


def test_a_damaged_mcd_without_its_txt_names_what_is_missing(tmp_path: Path) -> None:
    mcd = copied(SLIDES[0], tmp_path)
    damage(mcd, contents_of(mcd).planned[2].block[0], bytes(640))
    (tmp_path / f"{SLIDES[0]}_ROI_003_3.txt").unlink()

    message = refusal(mcd, "3", mock_panel())

    assert message.startswith(f"{mcd.name}, acquisition 3: ")
    assert f"{SLIDES[0]}_ROI_003_3.txt is missing" in message
    assert [read(mcd, number).recovered for number in "12"] == ["", ""]


@pytest.mark.parametrize("name", ["E34", "G01"])
def test_the_stacks_without_names_need_a_panel_in_their_order(name: str) -> None:
    path = DATA / f"stack_pancreas/{name}_imc.tiff"

    found = read(path, "", PANCREAS)

    assert (found.names, found.x.shape, found.px_um) == (PANCREAS.channels, (5, 100, 100), None)
    np.testing.assert_array_equal(found.x, tifffile.imread(path))
    assert "5 channels without names and no panel" in refusal(path)
    assert "a panel of 4" in refusal(path, "", Panel(channels=tuple("abcd"), metals=("",) * 4))


def test_the_raw_counts_are_read_though_their_scale_is_72_dpi() -> None:
    panel = read_panel(DATA / "mibi_raw_counts/demopanel.csv")

    found = read(DATA / "mibi_raw_counts/Point5/TIFs", "", panel)

    assert (len(found.names), found.x.shape[1:], found.px_um) == (10, (1024, 1024), None)
    empty = [name for name, counts in zip(found.names, found.x, strict=True) if not counts.any()]
    assert empty == ["Ca"]


def test_a_panel_with_two_channels_of_one_name_is_refused() -> None:
    with pytest.raises(InputError, match="'Ru Counterstain' in several rows"):
        read_panel(DATA / "panels/example_panel.csv")


@pytest.mark.slow
def test_all_fields_of_one_tiff_per_channel_are_read() -> None:
    fields = sorted(path for path in (DATA / "mibi_dcis").iterdir() if path.is_dir())
    names, shapes = set(), set()
    for field in fields:
        found = read(field)
        names.add(found.names)
        shapes.add((found.x.shape, found.px_um, found.recovered))

    assert len(fields) == 21
    assert len(names) == 1
    assert shapes == {((41, 1024, 1024), None, "")}


def test_a_real_acquisition_goes_out_as_ome_tiff_and_comes_back(tmp_path: Path) -> None:
    found = read(RAW / SLIDES[0] / f"{SLIDES[0]}.mcd", "2", mock_panel())
    write_ome(tmp_path / "roi.ome.tiff", found.x, found.names, 1.0)

    back = read(tmp_path / "roi.ome.tiff")

    assert (back.names, back.px_um) == (found.names, 1.0)
    np.testing.assert_array_equal(back.x, found.x)
