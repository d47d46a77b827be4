from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from mcd_files import pixel_table, write_mcd

from tissuetrace.imaging import acquisitions
from tissuetrace.imaging.acquisitions import (
    Acquisition,
    counts_sha256,
    read_acquisition,
    source_files,
)
from tissuetrace.imaging.ion_images import read_mask
from tissuetrace.imaging.panels import Panel
from tissuetrace.pipeline.errors import InputError

PANEL = Panel(channels=("H3", "CD99", "CD8a"), metals=("Yb176", "Er170", "Dy162"))


def draw(dtype: str = "uint16") -> np.ndarray:
    return np.random.default_rng(5).poisson(2.0, (3, 12, 10)).astype(dtype)


def read(path: Path, panel: Panel | None = None) -> Acquisition:
    return read_acquisition(path, acquisition="", panel=panel, partial="refuse")


def refusal(path: Path, panel: Panel | None = None) -> str:
    with pytest.raises(InputError) as caught:
        read(path, panel)
    message = str(caught.value)
    assert message.startswith(f"{path.name}: ")
    assert "\n" not in message
    return message


def ome(path: Path, pixels: np.ndarray | None = None, **metadata: Any) -> Path:
    content = draw() if pixels is None else pixels
    tifffile.imwrite(
        path, content, ome=True, photometric="minisblack", metadata={"axes": "CYX", **metadata}
    )
    return path


def folder_of(
    path: Path, channels: dict[str, np.ndarray], suffix: str = ".tif", **options: Any
) -> Path:
    path.mkdir()
    for name, pixels in channels.items():
        tifffile.imwrite(
            path / f"{name}{suffix}", pixels, photometric="minisblack", metadata=None, **options
        )
    return path


# OME-TIFF


@pytest.mark.parametrize(
    ("size", "unit", "px_um"),
    [(1.0, "µm", 1.0), (650.0, "nm", 0.65), (0.001, "mm", 1.0), (1.5, "pixel", None)],
)
def test_the_physical_size_of_an_ome_tiff_counts_with_its_unit(
    tmp_path: Path, size: float, unit: str, px_um: float | None
) -> None:
    path = ome(
        tmp_path / "a.ome.tiff",
        Channel={"Name": ["H3", "CD99", "CD8a"]},
        PhysicalSizeX=size,
        PhysicalSizeXUnit=unit,
        PhysicalSizeY=size,
        PhysicalSizeYUnit=unit,
    )

    found = read(path)

    assert found.px_um == (None if px_um is None else pytest.approx(px_um))
    assert found.names == ("H3", "CD99", "CD8a")
    np.testing.assert_array_equal(found.x, draw())


def test_pixels_of_an_ome_tiff_that_are_not_square_are_refused(tmp_path: Path) -> None:
    path = ome(tmp_path / "a.ome.tiff", PhysicalSizeX=1.0, PhysicalSizeY=2.0)

    assert "1 x 2 µm" in refusal(path, PANEL)


def test_unnamed_ome_channels_are_named_by_their_metal_through_the_panel(tmp_path: Path) -> None:
    path = ome(tmp_path / "a.ome.tiff", Channel={"Fluor": ["Dy162", "176Yb", "Er170"]})

    assert read(path, PANEL).names == ("CD8a", "H3", "CD99")
    assert read(path).names == ("Dy162", "Yb176", "Er170")


def test_ome_channels_without_name_and_metal_need_the_order_of_a_panel(tmp_path: Path) -> None:
    path = ome(tmp_path / "a.ome.tiff")

    assert read(path, PANEL).names == PANEL.channels
    assert "3 channels without names and no panel" in refusal(path)


def test_an_ome_tiff_of_several_planes_in_depth_is_refused(tmp_path: Path) -> None:
    pixels = np.zeros((2, 3, 12, 10), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "z.ome.tiff", pixels, ome=True, metadata={"axes": "ZCYX"})

    assert "expected channel, y and x" in refusal(tmp_path / "z.ome.tiff", PANEL)


def test_planes_in_depth_are_no_channels(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "z.ome.tiff", draw(), ome=True, metadata={"axes": "ZYX"})

    assert "axis Z of length 3" in refusal(tmp_path / "z.ome.tiff", PANEL)


def test_pages_that_the_ome_description_promises_but_are_not_there_are_refused(
    tmp_path: Path,
) -> None:
    path = described(tmp_path / "a.ome.tiff", pages=2, size_c=3, channels=3)

    assert "pages lack, or lie in another file" in refusal(path)


def test_an_ome_description_of_other_channels_than_the_files_is_refused(tmp_path: Path) -> None:
    path = described(tmp_path / "a.ome.tiff", pages=3, size_c=3, channels=2)

    assert "OME description of 2 channels, file of 3" in refusal(path)


def described(path: Path, *, pages: int, size_c: int, channels: int) -> Path:
    """Write an OME-TIFF whose description says what it likes."""
    named = "".join(f'<Channel ID="Channel:0:{n}" Name="c{n}"/>' for n in range(channels))
    pixels = (
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="10" SizeY="12" '
        f'SizeC="{size_c}" SizeZ="1" SizeT="1">{named}<TiffData/></Pixels>'
    )
    name = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
    text = f'<OME xmlns="{name}"><Image ID="Image:0">{pixels}</Image></OME>'
    with tifffile.TiffWriter(path, ome=False) as file:
        for page in draw()[:pages]:
            file.write(page, description=text, metadata=None, photometric="minisblack")
            text = ""
    return path


def test_an_acquisition_of_a_tiff_is_no_choice(tmp_path: Path) -> None:
    path = ome(tmp_path / "a.ome.tiff")

    with pytest.raises(InputError, match=r"a\.ome\.tiff, acquisition 2: only an mcd"):
        read_acquisition(path, acquisition="2", panel=PANEL, partial="refuse")


# stacks without names


def test_a_stack_without_names_takes_the_order_of_the_panel(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tiff", draw("float32"), photometric="minisblack", metadata=None)

    found = read(tmp_path / "s.tiff", PANEL)

    assert (found.names, found.metals, found.px_um) == (PANEL.channels, PANEL.metals, None)
    np.testing.assert_array_equal(found.x, draw())
    assert "no panel" in refusal(tmp_path / "s.tiff")


def test_a_stack_of_another_number_of_pages_than_the_panel_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tiff", draw()[:2], photometric="minisblack", metadata=None)

    assert "2 channels without names and a panel of 3" in refusal(tmp_path / "s.tiff", PANEL)


@pytest.mark.parametrize(
    ("resolution", "unit", "px_um"),
    [
        ((72, 72), "INCH", None),
        ((25400, 25400), "INCH", 1.0),
        ((20000, 20000), "CENTIMETER", 0.5),
        ((1000, 1000), "CENTIMETER", None),
        ((1, 1), "NONE", None),
        ((200000, 200000), "CENTIMETER", None),
    ],
)
def test_a_resolution_tag_is_believed_where_it_can_be_one_of_tissue(
    tmp_path: Path, resolution: tuple[int, int], unit: str, px_um: float | None
) -> None:
    tifffile.imwrite(
        tmp_path / "s.tiff",
        draw(),
        photometric="minisblack",
        metadata=None,
        resolution=resolution,
        resolutionunit=unit,
    )

    found = read(tmp_path / "s.tiff", PANEL).px_um

    assert found == (None if px_um is None else pytest.approx(px_um))


def test_the_scale_that_fiji_writes_is_read(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "f.tif",
        draw(),
        imagej=True,
        resolution=(2.0, 2.0),
        metadata={"unit": "um", "axes": "CYX"},
    )

    assert read(tmp_path / "f.tif", PANEL).px_um == pytest.approx(0.5)


def test_pages_of_different_size_are_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "s.tiff") as file:
        file.write(np.zeros((12, 10), np.uint16), metadata=None)
        file.write(np.zeros((6, 5), np.uint16), metadata=None)

    assert "several images in one file (12x10, 6x5)" in refusal(tmp_path / "s.tiff", PANEL)


def test_colours_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((9, 9, 3), np.uint8), photometric="rgb")

    assert "colours (RGB)" in refusal(tmp_path / "c.tif", PANEL)


def test_complex_numbers_are_no_counts(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "c.tif", draw("complex64"), photometric="minisblack", metadata=None)

    assert "values are complex64" in refusal(tmp_path / "c.tif", PANEL)


@pytest.mark.parametrize(
    ("value", "words"),
    [(-0.5, "channel CD99 goes down to -0.5"), (np.nan, "1 values of channel CD99 are no numbers")],
)
def test_values_that_are_no_counts_are_refused_with_their_channel(
    tmp_path: Path, value: float, words: str
) -> None:
    pixels = draw("float32")
    pixels[1, 2, 3] = value
    path = ome(tmp_path / "a.ome.tiff", pixels, Channel={"Name": ["H3", "CD99", "CD8a"]})

    assert words in refusal(path)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.1, 0.3, 0.5])
@pytest.mark.parametrize("kind", ["ome", "plain", "deflate"])
def test_a_truncated_tiff_is_refused(tmp_path: Path, kind: str, share: float) -> None:
    refusal(truncated(tmp_path, kind, share), PANEL)


@pytest.mark.parametrize("share", [0.6, 0.7, 0.8, 0.9, 0.97, 0.999])
@pytest.mark.parametrize("kind", ["ome", "plain", "deflate"])
def test_a_tiff_that_lacks_its_end_gives_no_other_pixels(
    tmp_path: Path, kind: str, share: float
) -> None:
    try:
        found = read(truncated(tmp_path, kind, share), PANEL).x
    except InputError:
        found = draw("float32")

    np.testing.assert_array_equal(found, draw())


@pytest.mark.parametrize("tag", ["StripByteCounts", "StripOffsets"])
def test_a_strip_that_lacks_is_not_read_as_zeros(tmp_path: Path, tag: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, draw()[0], rowsperstrip=4, metadata=None, compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as file:
        strips = file.pages.first.tags[tag]
        strips.overwrite([strips.value[0], 0, strips.value[2]])

    assert "truncated, or strips lack" in refusal(path, Panel(channels=("CD3",), metals=("",)))


def test_an_ome_tiff_whose_description_is_lost_takes_no_order_from_the_panel(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.ome.tiff"
    tifffile.imwrite(path, draw(), ome=False, photometric="minisblack", metadata=None)

    assert "OME description is lost" in refusal(path, PANEL)


def truncated(folder: Path, kind: str, share: float) -> Path:
    path = folder / ("a.ome.tiff" if kind == "ome" else "a.tif")
    options: dict[str, Any] = {"compression": "zlib"} if kind == "deflate" else {}
    tifffile.imwrite(path, draw(), ome=kind == "ome", photometric="minisblack", **options)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


@pytest.mark.parametrize("kind", ["ome", "plain", "deflate"])
def test_flipped_bytes_give_an_image_or_one_line(tmp_path: Path, kind: str) -> None:
    content = truncated(tmp_path, kind, 1.0).read_bytes()
    path = tmp_path / ("b.ome.tiff" if kind == "ome" else "b.tif")

    outcomes = {outcome(path, flipped(content, seed)) for seed in range(400)}

    assert outcomes == {"read", "refused"}


def flipped(content: bytes, seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    found = bytearray(content)
    found[rng.integers(len(found))] = rng.integers(256)
    return bytes(found)


def outcome(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    try:
        return "read" if read(path, PANEL) else ""
    except InputError as problem:
        return "several lines" if "\n" in str(problem) else "refused"


@pytest.mark.parametrize(
    ("tag", "value"),
    [("ImageWidth", 0), ("ImageLength", 0), ("BitsPerSample", 77), ("Compression", 250)],
)
def test_a_header_that_the_library_trips_over_is_one_line(
    tmp_path: Path, tag: str, value: int
) -> None:
    path = ome(tmp_path / "a.ome.tiff")
    claim(path, {tag: value})

    refusal(path, PANEL)


@pytest.mark.parametrize("length", [13, 24, 60_000])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("rows", [4, 12])
def test_a_header_that_claims_more_rows_than_the_file_holds_is_refused(
    tmp_path: Path, length: int, compression: str | None, rows: int
) -> None:
    path = tmp_path / "a.tif"
    options: dict[str, Any] = {"photometric": "minisblack", "compression": compression}
    tifffile.imwrite(path, draw()[0], rowsperstrip=rows, metadata=None, **options)
    in_one_strip = {"RowsPerStrip": length} if rows == 12 else {}
    claim(path, {"ImageLength": length, **in_one_strip})
    path.write_bytes(path.read_bytes() + bytes(1000))

    refusal(path, Panel(channels=("CD3",), metals=("",)))


def test_a_claim_of_much_memory_reserves_none(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, draw()[0], rowsperstrip=4, metadata=None, compression="zlib")
    claim(path, {"ImageLength": 60_000, "ImageWidth": 60_000})

    assert "truncated, or strips lack" in refusal(path, Panel(channels=("CD3",), metals=("",)))


def claim(path: Path, values: dict[str, int]) -> None:
    """Write other values into the header of the first page."""
    with tifffile.TiffFile(path, mode="r+") as file:
        for name, value in values.items():
            file.pages.first.tags[name].overwrite(value)


def test_an_image_that_does_not_fit_into_memory_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(acquisitions, "read_tiff", full)

    assert "larger than the memory" in refusal(ome(tmp_path / "a.ome.tiff"))


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((2, 3, 12, 10), ""), ((12, 3, 10), "YCX"), ((3, 12, 10), "CXY"), ((12, 10, 3), "YXC")],
)
def test_axes_besides_channel_y_and_x_in_this_order_are_refused(
    tmp_path: Path, shape: tuple[int, ...], axes: str
) -> None:
    path = tmp_path / "s.tif"
    metadata = {"axes": axes} if axes else {}
    tifffile.imwrite(path, np.ones(shape, np.uint16), photometric="minisblack", metadata=metadata)
    channels = np.prod(shape) // 120
    panel = Panel(channels=tuple("abcdef"[:channels]), metals=("",) * channels)

    assert f"axes {axes or 'QQYX'} of " in refusal(path, panel)


def test_a_stack_with_one_header_for_all_its_pages_is_read(tmp_path: Path) -> None:
    path = tmp_path / "s.tif"
    with tifffile.TiffWriter(path) as file:
        file.write(draw(), photometric="minisblack", truncate=True)

    np.testing.assert_array_equal(read(path, PANEL).x, draw())


# one file per channel


def test_a_folder_of_one_tiff_per_channel_is_named_by_its_files(tmp_path: Path) -> None:
    pixels = dict(zip(["PD-1", "CD3", "Keratin-pan"], draw("uint8"), strict=True))
    folder = folder_of(tmp_path / "TIFs", pixels)
    (folder / ".CD3.tif").write_bytes(b"of a Mac")
    (folder / "notes.txt").write_text("not an image")

    found = read(folder)

    assert found.names == ("CD3", "Keratin-pan", "PD-1")
    np.testing.assert_array_equal(found.x[2], pixels["PD-1"])


@pytest.mark.parametrize("compression", ["packbits", 32946, "zlib", "lzw"])
def test_the_compressions_of_older_software_are_read(
    tmp_path: Path, compression: str | int
) -> None:
    # tag 32946 is the old name of deflate
    written = "zlib" if compression == 32946 else compression
    folder = folder_of(tmp_path / "TIFs", {"CD3": draw("uint8")[0]}, compression=written)
    path = folder / "CD3.tif"
    if compression == 32946:
        with tifffile.TiffFile(path, mode="r+") as file:
            file.pages.first.tags["Compression"].overwrite(32946)

    found = read(folder)

    with tifffile.TiffFile(path) as file:
        expected = {"packbits": 32773, "zlib": 8, "lzw": 5}.get(str(compression), compression)
        assert file.pages.first.tags["Compression"].value == expected
    np.testing.assert_array_equal(found.x[0], draw("uint8")[0])


def test_channels_of_different_size_are_refused_with_their_files(tmp_path: Path) -> None:
    pixels = {"A": draw()[0], "B": draw()[1], "C": draw()[2][:5], "D": draw()[2][:, :4]}

    message = refusal(folder_of(tmp_path / "TIFs", pixels))

    assert "C.tif: 5x10 px, the others 12x10 px; D.tif: 12x4 px" in message


def test_every_damaged_file_of_a_folder_is_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "TIFs", dict(zip("ABC", draw(), strict=True)))
    (folder / "A.tif").write_bytes(b"II*\0")
    (folder / "D.tif").write_bytes(b"")
    tifffile.imwrite(folder / "E.tif", draw(), photometric="minisblack", metadata=None)

    message = refusal(folder)

    assert all(name in message for name in ("A.tif: ", "D.tif: ", "E.tif: 3 pages"))
    assert "B.tif" not in message


def test_the_same_channel_in_two_files_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "TIFs", {"CD3": draw()[0]})
    tifffile.imwrite(folder / "CD3.tiff", draw()[1], metadata=None)

    assert "channel name 'CD3' twice" in refusal(folder)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "TIFs").mkdir()

    assert "no TIFF in the folder" in refusal(tmp_path / "TIFs")


def test_resolution_tags_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "TIFs", {"A": draw()[0]}, resolution=(20000, 20000), resolutionunit="CENTIMETER"
    )
    tifffile.imwrite(
        folder / "B.tif",
        draw()[1],
        metadata=None,
        resolution=(10000, 10000),
        resolutionunit="CENTIMETER",
    )

    assert "resolution tags of 0.5, 1 µm" in refusal(folder)


# all


def test_an_mcd_and_its_txt_give_the_same_named_channels(tmp_path: Path) -> None:
    written = write_mcd(tmp_path)
    panel = Panel(channels=("Cytokeratin 5", "Silver"), metals=("Pr141", "Ag107"))

    found = read_acquisition(written.path, acquisition="1", panel=panel, partial="refuse")
    export = read(written.txt(1), panel)

    assert found.names == export.names == ("Silver", "Cytokeratin 5", "CD3")
    np.testing.assert_allclose(found.x, export.x, atol=6e-4)


def test_a_duplicate_label_of_an_mcd_names_file_acquisition_and_channel(tmp_path: Path) -> None:
    written = write_mcd(tmp_path, labels=("CD3", "CD8", "CD3"))

    with pytest.raises(InputError, match=r"slide\.mcd, acquisition 2: channel name 'CD3' twice"):
        read_acquisition(written.path, acquisition="2", panel=None, partial="refuse")


@pytest.mark.parametrize("name", ["a.png", "absent.tiff"])
def test_what_is_no_image_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.png").write_bytes(b"x")

    assert "unknown ending" in refusal(tmp_path / name) or "no such file" in refusal(
        tmp_path / name
    )


def test_all_files_that_a_reading_depends_on_are_listed(tmp_path: Path) -> None:
    written = write_mcd(tmp_path)
    write_mcd(tmp_path, name="other", sizes=[(4, 4)])
    ome(tmp_path / "a.ome.tiff")
    folder = folder_of(tmp_path / "TIFs", {"CD3": draw()[0]})

    of_mcd = [path.name for path in source_files(written.path)]

    assert of_mcd == [
        "slide.mcd",
        "slide.schema",
        "slide_ROI_001_1.txt",
        "slide_ROI_002_2.txt",
        "slide_ROI_003_3.txt",
    ]
    assert "slide.mcd" in [path.name for path in source_files(written.txt(2))]
    assert source_files(tmp_path / "a.ome.tiff") == [tmp_path / "a.ome.tiff"]
    assert source_files(folder) == [folder / "CD3.tif"]


def test_the_case_of_endings_hides_no_file_that_a_reading_depends_on(tmp_path: Path) -> None:
    written = write_mcd(tmp_path, sizes=[(4, 4)])
    mcd = written.path.rename(written.path.with_suffix(".MCD"))
    written.txt(1).rename(written.txt(1).with_suffix(".TXT"))

    of_mcd = [path.name for path in source_files(mcd)]

    assert of_mcd == ["slide.MCD", "slide.schema", "slide_ROI_001_1.TXT"]


def test_the_checksum_of_counts_is_one_for_all_readings_of_an_image(tmp_path: Path) -> None:
    written = write_mcd(tmp_path)
    tied = written.images[1].copy()
    tied[0, 0, 0] = 47.3125  # four decimals: the instrument writes 47.313
    written.overwrite(written.blocks[1][0], pixel_table(tied).astype("<f4").tobytes())
    content = written.txt(1).read_text().partition("\n")
    whole = content[2].replace(f"\t{written.images[1][0, 0, 0]:.3f}\t", "\t47.313\t", 1)
    written.txt(1).write_text(content[0] + "\n" + whole)

    of_mcd = read_acquisition(written.path, acquisition="1", panel=None, partial="refuse")

    assert counts_sha256(of_mcd) == counts_sha256(read(written.txt(1)))


def test_the_checksum_of_counts_knows_images_apart_and_none_of_an_empty_one(
    tmp_path: Path,
) -> None:
    names: dict[str, Any] = {"Channel": {"Name": ["a", "b", "c"]}}
    found = read(ome(tmp_path / "a.ome.tiff", **names))
    turned = read(ome(tmp_path / "b.ome.tiff", draw()[::-1], Channel={"Name": ["c", "b", "a"]}))
    other = read(ome(tmp_path / "c.ome.tiff", draw()[:, ::-1], **names))
    empty = read(ome(tmp_path / "d.ome.tiff", np.zeros((3, 12, 10), np.uint16), **names))

    assert counts_sha256(found) == counts_sha256(turned)
    assert counts_sha256(found) != counts_sha256(other)
    assert counts_sha256(empty) == ""


def test_a_mask_of_one_bit_a_pixel_is_read(tmp_path: Path) -> None:
    mask = draw()[0] > 1
    tifffile.imwrite(tmp_path / "m.tiff", mask, metadata=None)

    np.testing.assert_array_equal(read_mask(tmp_path / "m.tiff", height=12, width=10), mask)


def test_a_mask_is_all_above_zero_and_has_the_size_of_its_image(tmp_path: Path) -> None:
    labels = np.array([[0, 3], [255, 0]], dtype=np.uint16)
    tifffile.imwrite(tmp_path / "m.tiff", labels, metadata=None)

    mask = read_mask(tmp_path / "m.tiff", height=2, width=2)

    assert mask.tolist() == [[False, True], [True, False]]
    with pytest.raises(InputError, match=r"mask m\.tiff is 1x2x2, the image 1x3x2"):
        read_mask(tmp_path / "m.tiff", height=3, width=2)
