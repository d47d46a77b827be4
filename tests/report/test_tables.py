"""Tables: what is shown of a row, and what the CSV file keeps."""

from pathlib import Path

import pandas as pd
import pytest

from tissuetrace.report.tables import (
    ABSENT,
    Column,
    Table,
    count,
    filled,
    general,
    interval,
    number,
    p_value,
    percent,
    percent_interval,
    points,
    scored,
    text,
    write_rows,
)

NAN = float("nan")
MINUS = "\N{MINUS SIGN}"


@pytest.mark.parametrize(
    ("column", "row", "shown"),
    [
        (count("n", ""), {"n": 1234}, "1,234"),
        (number("x", "", digits=2), {"x": -0.456}, f"{MINUS}0.46"),
        (number("x", ""), {"x": NAN}, ABSENT),
        (percent("x", ""), {"x": 0.3418}, "34.2 %"),
        (percent("x", ""), {"x": NAN}, ABSENT),
        (number("x", ""), {"x": -1e-9}, "0.000"),
        (points("x", ""), {"x": 0.031}, "+3.1"),
        (points("x", ""), {"x": -0.031}, f"{MINUS}3.1"),
        (interval("x", ""), {"x": 0.8, "x_low": 0.7, "x_high": 0.9}, "0.800 [0.700, 0.900]"),
        (interval("x", ""), {"x": 0.8, "x_low": NAN, "x_high": NAN}, "0.800"),
        (interval("x", ""), {"x": 0.0, "x_low": 0.0, "x_high": 0.0}, "0.000"),
        (percent_interval("x", ""), {"x": 0.8, "x_low": 0.7, "x_high": 1.0}, "80.0 [70.0, 100.0]"),
        (general("x", ""), {"x": 100.0}, "100"),
        (general("x", ""), {"x": -0.5}, f"{MINUS}0.5"),
        (general("x", ""), {"x": NAN}, ABSENT),
        (p_value("x", ""), {"x": 0.00049}, "< 0.001"),
        (p_value("x", ""), {"x": 0.0}, "< 0.001"),
        (p_value("x", ""), {"x": 0.001}, "0.001"),
        (p_value("x", ""), {"x": 0.0625}, "0.062"),
        (p_value("x", ""), {"x": NAN}, ABSENT),
        (text("x", ""), {"x": ""}, ABSENT),
        (text("x", ""), {"x": NAN}, ABSENT),
        (text("x", ""), {"x": "a"}, "a"),
    ],
)
def test_a_cell_is_shown_as(column: Column, row: dict[str, object], shown: str) -> None:
    assert column.show(row) == shown


@pytest.mark.parametrize(
    ("each", "shown"),
    [("", "0.800 [0.700, 0.900]"), ("0.700; -0.900", f"0.800 (0.700; {MINUS}0.900)")],
)
def test_a_score_of_few_retrainings_shows_their_values(each: str, shown: str) -> None:
    ends = {"x_low": NAN, "x_high": NAN} if each else {"x_low": 0.7, "x_high": 0.9}

    assert scored("x", "").show({"x": 0.8, **ends, "x_each": each}) == shown


def test_a_column_of_dashes_is_left_out_unless_there_is_no_row() -> None:
    frame = pd.DataFrame({"a": ["", ""], "b": ["", "x"], "c": [NAN, NAN]})
    columns = (text("a", "a"), text("b", "b"), number("c", "c"))

    assert [one.title for one in filled(frame, columns)] == ["b"]
    assert len(filled(frame.iloc[:0], columns)) == 3


def example() -> Table:
    return Table(
        name="example",
        title="Example",
        caption="A caption",
        frame=pd.DataFrame({"who": ["a", "b"], "x": [1 / 3, NAN], "hidden": [1, 2]}),
        columns=(text("who", "who"), number("x", "value")),
    )


def test_the_page_shows_chosen_columns_in_order() -> None:
    assert example().shown == [["a", "0.333"], ["b", ABSENT]]


def test_the_file_keeps_every_column_and_its_origin(tmp_path: Path) -> None:
    path = write_rows(example(), tmp_path, origin="phantom")

    assert path.read_text() == "who,x,hidden,origin\na,0.333333,1,phantom\nb,,2,phantom\n"
