from pathlib import Path

import numpy as np
import pytest
from mcd_files import LABELS, METALS, Written, pixel_table, write_mcd, write_txt

from tissuetrace.imaging.mcd import read_mcd, read_txt
from tissuetrace.imaging.mcd_contents import contents_of
from tissuetrace.imaging.stacks import Partial, Stack
from tissuetrace.pipeline.errors import InputError


@pytest.fixture
def written(tmp_path: Path) -> Written:
    return write_mcd(tmp_path)


def read(written: Written, number: int = 1, partial: Partial = "refuse") -> Stack:
    return read_mcd(written.path, acquisition=str(number), partial=partial)


def refusal(written: Written, number: int = 1, partial: Partial = "refuse") -> str:
    with pytest.raises(InputError) as caught:
        read(written, number, partial)
    return str(caught.value)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_whole_mcd_is_read_to_the_last_bit(written: Written, number: int) -> None:
    stack = read(written, number)

    np.testing.assert_array_equal(stack.x, written.images[number])
    assert (stack.labels, stack.metals) == (LABELS, METALS)
    assert (stack.px_um, stack.recovered, stack.missing, stack.remarks) == (1.0, "", 0, ())


def test_an_acquisition_is_found_by_its_description(written: Written) -> None:
    stack = read_mcd(written.path, acquisition="ROI_002", partial="refuse")

    np.testing.assert_array_equal(stack.x, written.images[2])


@pytest.mark.parametrize("asked", ["7", ""])
def test_an_acquisition_that_is_none_or_several_is_refused_with_those_known(
    written: Written, asked: str
) -> None:
    with pytest.raises(InputError, match="among 1 ROI_001, 2 ROI_002, 3 ROI_003"):
        read_mcd(written.path, acquisition=asked, partial="refuse")


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.6, 0.95, 0.999])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_every_acquisition_of_a_truncated_mcd_comes_from_its_txt(
    written: Written, share: float, number: int
) -> None:
    written.truncate(share)

    stack = read(written, number)

    np.testing.assert_allclose(stack.x, written.images[number], atol=6e-4)
    assert stack.recovered == "txt"
    assert stack.px_um == 1.0  # from the schema
    assert f"read from slide_ROI_00{number}_{number}.txt" in stack.remarks[0]


def test_without_a_schema_the_completeness_of_a_truncated_mcd_is_unknown(written: Written) -> None:
    written.truncate(0.5)
    written.path.with_suffix(".schema").unlink()

    stack = read(written, 2)

    assert any("completeness unknown" in remark for remark in stack.remarks)
    assert stack.px_um is None
    assert contents_of(written.path).source == "txt"


def test_a_truncated_mcd_with_its_schema_is_known_to_be_whole(written: Written) -> None:
    written.truncate(0.5)

    assert not any("unknown" in remark for remark in read(written).remarks)
    assert [one.number for one in contents_of(written.path).planned] == [1, 2, 3]


def test_a_missing_txt_is_named_and_the_other_acquisitions_are_read(written: Written) -> None:
    written.truncate(0.5)
    written.txt(2).unlink()

    assert "acquisition 2 ROI_002" in refusal(written, 2)
    assert "slide_ROI_002_2.txt is missing" in refusal(written, 2)
    assert read(written, 1).recovered == read(written, 3).recovered == "txt"


def test_nothing_beside_a_truncated_mcd_is_said(written: Written) -> None:
    written.truncate(0.5)
    written.path.with_suffix(".schema").unlink()
    for number in (1, 2, 3):
        written.txt(number).unlink()

    assert "neither slide.schema nor any slide_" in refusal(written)


def test_a_zeroed_block_is_seen_by_its_coordinates_and_read_from_the_txt(written: Written) -> None:
    start, _ = written.blocks[2]
    written.overwrite(start + 5 * 24, bytes(4 * 24))

    stack = read(written, 2)

    np.testing.assert_allclose(stack.x, written.images[2], atol=6e-4)
    assert stack.recovered == "txt"
    assert "stand there twice" in stack.remarks[0]
    assert read(written, 1).recovered == read(written, 3).recovered == ""


def test_a_zeroed_block_without_a_txt_is_refused_even_where_partial_ones_are_kept(
    written: Written,
) -> None:
    written.overwrite(written.blocks[1][0] + 24, bytes(72))
    written.txt(1).unlink()

    assert "stand there twice" in refusal(written, partial="drop")


def test_a_block_beyond_the_end_of_the_file_is_told_with_its_place(written: Written) -> None:
    start, end = written.blocks[3]
    content = written.path.read_bytes()
    old = f"<DataEndOffset>{end}</DataEndOffset>".encode("utf-16-le")
    new = f"<DataEndOffset>{end + 24 * 10**6}</DataEndOffset>".encode("utf-16-le")
    written.path.write_bytes(content.replace(old, new))
    written.txt(3).unlink()

    assert f"should lie at {start} to {end + 24 * 10**6} of " in refusal(written, 3)


@pytest.mark.parametrize("shift", [4, 24, -24, 1, 10**7])
def test_wrong_offsets_send_the_reader_to_the_txt(written: Written, shift: int) -> None:
    start, end = written.blocks[2]
    content = written.path.read_bytes()
    for tag, value in (("DataStartOffset", start), ("DataEndOffset", end)):
        old = f"<{tag}>{value}</{tag}>".encode("utf-16-le")
        content = content.replace(old, f"<{tag}>{value + shift}</{tag}>".encode("utf-16-le"))
    written.path.write_bytes(content)

    stack = read(written, 2)

    np.testing.assert_allclose(stack.x, written.images[2], atol=6e-4)
    assert stack.recovered == "txt"


def test_too_few_records_are_filled_from_the_txt_of_that_acquisition_alone(tmp_path: Path) -> None:
    written = write_mcd(tmp_path, records={2: 20})
    write_txt(written.txt(2), pixel_table(written.images[2]), LABELS, METALS)

    stack = read(written, 2)

    np.testing.assert_allclose(stack.x, written.images[2], atol=6e-4)
    assert "15 of 7x5 pixels were not acquired" in stack.remarks[0]


def test_an_acquisition_that_was_broken_off_is_refused(tmp_path: Path) -> None:
    written = write_mcd(tmp_path, records={1: 30})

    assert "acquisition 1 ROI_001: 18 of 8x6 pixels were not acquired" in refusal(written)


def test_an_acquisition_that_was_broken_off_keeps_its_frame_where_it_is_dropped_by_patch(
    tmp_path: Path,
) -> None:
    written = write_mcd(tmp_path, records={1: 30})

    stack = read(written, partial="drop")

    assert stack.missing == 18
    assert stack.x.shape == (3, 6, 8)
    first = np.arange(48).reshape(6, 8) < 30
    np.testing.assert_array_equal(stack.acquired, first)
    np.testing.assert_array_equal(stack.x, np.where(first, written.images[1], 0))


def test_a_broken_off_txt_of_a_truncated_mcd_is_held_against_the_schema(tmp_path: Path) -> None:
    written = write_mcd(tmp_path, records={1: 40})  # five whole rows: a rectangle, not all of it
    written.truncate(0.5)

    assert "8 of 8x6 pixels were not acquired" in refusal(written)
    assert read(written, partial="drop").recovered == "txt"


def test_a_txt_that_differs_from_a_good_mcd_is_remarked(written: Written) -> None:
    altered = written.images[1].copy()
    altered[2, 3, 4] += 0.0025
    write_txt(written.txt(1), pixel_table(altered), LABELS, METALS)

    stack = read(written)

    np.testing.assert_array_equal(stack.x, written.images[1])
    assert len(stack.remarks) == 1
    assert "slide_ROI_001_1.txt differs from the mcd by up to 0.00" in stack.remarks[0]


def test_three_decimals_of_the_txt_are_no_difference_not_even_of_large_counts(
    tmp_path: Path,
) -> None:
    written = write_mcd(tmp_path)
    start, _ = written.blocks[1]
    large = written.images[1].copy()
    large[0, 0, 0] = 54321.1234
    written.overwrite(start, pixel_table(large).astype("<f4").tobytes())
    write_txt(written.txt(1), pixel_table(large), LABELS, METALS)

    assert read(written).remarks == ()


def test_a_damaged_txt_beside_a_good_mcd_is_remarked(written: Written) -> None:
    written.txt(1).write_text(written.txt(1).read_text()[:400])

    stack = read(written)

    assert stack.recovered == ""
    assert "the mcd is whole, but" in stack.remarks[0]


def test_a_txt_with_other_channels_recovers_nothing(written: Written) -> None:
    metals = ("Ag107", "Pr141", "Nd142")
    write_txt(written.txt(1), pixel_table(written.images[1]), LABELS, metals)
    written.truncate(0.5)

    assert "other channels (Ag107, Pr141, Nd142; expected Ag107, Pr141, Sm147)" in refusal(written)


def test_pixels_that_are_not_square_are_refused(tmp_path: Path) -> None:
    written = write_mcd(tmp_path, spacing_um=(1.0, 2.0))

    assert "1 µm along x, 2 µm along y" in refusal(written)


def test_a_name_that_begins_like_another_takes_no_txt_of_it(tmp_path: Path) -> None:
    first = write_mcd(tmp_path, name="slide", sizes=[(4, 4)])
    write_mcd(tmp_path, name="slide_2", sizes=[(5, 5)])
    first.truncate(0.5)

    assert read(first).x.shape == (3, 4, 4)


def test_a_txt_of_its_own_takes_the_pixel_size_of_its_mcd(written: Written) -> None:
    stack = read_txt(written.txt(3), partial="refuse")

    assert (stack.px_um, stack.remarks) == (1.0, ())
    np.testing.assert_allclose(stack.x, written.images[3], atol=6e-4)


def test_a_txt_of_an_mcd_that_tells_nothing_has_completeness_unknown(written: Written) -> None:
    written.truncate(0.5)
    written.path.with_suffix(".schema").unlink()

    assert "completeness unknown" in read_txt(written.txt(3), partial="refuse").remarks[0]


def test_a_txt_alone_is_read_with_completeness_unknown(written: Written) -> None:
    written.path.unlink()
    written.path.with_suffix(".schema").unlink()

    stack = read_txt(written.txt(3), partial="refuse")

    assert stack.px_um is None
    assert "completeness unknown" in stack.remarks[0]


@pytest.mark.parametrize("length", [0, 30, 300, 700, -3, -40])
def test_a_txt_cut_off_anywhere_is_refused(written: Written, length: int) -> None:
    path = written.txt(1)
    path.write_text(path.read_text()[:length])

    with pytest.raises(InputError):
        read_txt(path, partial="refuse")


@pytest.mark.parametrize("cut", range(2, 13))
def test_a_txt_cut_off_anywhere_in_its_last_number_is_refused(written: Written, cut: int) -> None:
    path = written.txt(1)
    ends_on(path, "\t3.000\t123.456\n")
    path.write_bytes(path.read_bytes()[:-cut])

    with pytest.raises(InputError):
        read_txt(path, partial="drop")


@pytest.mark.parametrize("end", ["\t123.456", "\t123.456\r\n", "\t123.456\r"])
def test_a_last_number_that_is_whole_needs_no_line_end(written: Written, end: str) -> None:
    ends_on(written.txt(1), end)

    assert read_txt(written.txt(1), partial="refuse").x[-1, -1, -1] == np.float32(123.456)


def ends_on(txt: Path, end: str) -> None:
    """Give the last line of an export another end, of as many columns."""
    columns = txt.read_text().rstrip().split("\t")
    kept = columns[: len(columns) - end.count("\t")]
    txt.write_bytes(("\t".join(kept) + end).encode())


@pytest.mark.parametrize("place", ["7000000000", "300"])
def test_a_place_far_outside_of_a_txt_is_refused_before_its_rectangle_is_filled(
    written: Written, place: str
) -> None:
    written.path.unlink()
    written.path.with_suffix(".schema").unlink()
    path = written.txt(1)
    path.write_text(path.read_text().replace("\t384\t7\t5\t", f"\t384\t{place}\t5\t"))

    with pytest.raises(InputError, match=rf"48 pixels, far too few for .* {int(place) + 1}x6"):
        read_txt(path, partial="drop")


def test_a_size_in_the_metadata_that_no_memory_holds_is_refused(written: Written) -> None:
    content = written.path.read_bytes()
    old, new = (f"<MaxX>{width}</MaxX>".encode("utf-16-le") for width in ("8", "60000000"))
    written.path.write_bytes(content.replace(old, new))

    assert "48 pixels, far too few for a rectangle of 60000000x6" in refusal(written)


# names of exports


@pytest.fixture
def of_two_slides(tmp_path: Path) -> Written:
    """A truncated slide that lost its only export, beside a second slide with all files."""
    first = write_mcd(tmp_path, name="slide", sizes=[(4, 4)])
    write_mcd(tmp_path, name="slide_2", sizes=[(4, 4)])
    first.truncate(0.5)
    first.txt(1).unlink()
    return first


def test_a_txt_of_another_slide_recovers_nothing(of_two_slides: Written) -> None:
    assert "slide_ROI_001_1.txt is missing" in refusal(of_two_slides)


def test_a_txt_of_another_slide_recovers_nothing_where_no_schema_names_the_missing_one(
    of_two_slides: Written,
) -> None:
    of_two_slides.path.with_suffix(".schema").unlink()

    assert "neither slide.schema nor any slide_" in refusal(of_two_slides)


@pytest.mark.parametrize("kept", [".mcd", ".schema"])
def test_mcd_or_schema_of_another_slide_keep_its_txt(of_two_slides: Written, kept: str) -> None:
    gone = {".mcd": ".schema", ".schema": ".mcd"}[kept]
    of_two_slides.path.with_name(f"slide_2{gone}").unlink()
    of_two_slides.path.with_suffix(".schema").unlink()

    assert "neither slide.schema nor any slide_" in refusal(of_two_slides)


def test_a_txt_of_another_description_recovers_nothing(of_two_slides: Written) -> None:
    of_two_slides.path.with_name("slide_2.mcd").unlink()
    of_two_slides.path.with_name("slide_2.schema").unlink()

    assert "slide_ROI_001_1.txt is missing" in refusal(of_two_slides)


def test_a_txt_of_another_description_takes_nothing_from_an_mcd(tmp_path: Path) -> None:
    first = write_mcd(tmp_path, sizes=[(9, 9)])
    image = first.images[1][:, :4, :4]
    path = tmp_path / "slide_2_ROI_001_1.txt"
    write_txt(path, pixel_table(image), LABELS, METALS)

    stack = read_txt(path, partial="refuse")

    np.testing.assert_allclose(stack.x, image, atol=6e-4)
    assert stack.px_um is None
    assert "completeness unknown" in stack.remarks[0]


def renamed_in_the_schema(written: Written, description: str) -> None:
    schema = written.path.with_suffix(".schema")
    new = f"<Description>{description}</Description>".encode()
    schema.write_bytes(schema.read_bytes().replace(b"<Description>ROI_001</Description>", new))
    written.truncate(0.5)


@pytest.mark.parametrize("description", ["", "ROI/001", "ROI: 001?"])
def test_a_description_that_is_empty_or_no_file_name_is_no_other_one(
    written: Written, description: str
) -> None:
    renamed_in_the_schema(written, description)

    np.testing.assert_allclose(read(written).x, written.images[1], atol=6e-4)
    assert read_txt(written.txt(1), partial="refuse").px_um == 1.0


@pytest.mark.parametrize("ending", [".txt", ".TXT", ".Txt"])
def test_the_case_of_endings_is_no_difference(written: Written, ending: str) -> None:
    written.truncate(0.5)
    written.path.with_suffix(".schema").rename(written.path.with_suffix(".SCHEMA"))
    txt = written.txt(1).rename(written.txt(1).with_suffix(ending))
    mcd = written.path.rename(written.path.with_suffix(".MCD"))

    stack = read_mcd(mcd, acquisition="1", partial="refuse")

    np.testing.assert_allclose(stack.x, written.images[1], atol=6e-4)
    assert (stack.recovered, stack.px_um) == ("txt", 1.0)
    assert read_txt(txt, partial="refuse").px_um == 1.0


def test_a_txt_finds_its_mcd_whatever_the_case_of_the_ending(written: Written) -> None:
    written.path.with_suffix(".schema").unlink()
    written.path.rename(written.path.with_suffix(".MCD"))

    stack = read_txt(written.txt(1), partial="refuse")

    assert (stack.px_um, stack.remarks) == (1.0, ())
