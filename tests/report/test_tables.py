"""Tables: what is shown of a row, and what the CSV file keeps."""

from pathlib import Path

import pandas as pd
import pytest

from tissuetrace.report.tables import (
    ABSENT,
    Column,
    Table,
    count,
    interval,
    number,
    percent,
    percent_interval,
    points,
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
        (text("x", ""), {"x": ""}, ABSENT),
        (text("x", ""), {"x": NAN}, ABSENT),
        (text("x", ""), {"x": "a"}, "a"),
    ],
)
def test_a_cell_is_shown_as(column: Column, row: dict[str, object], shown: str) -> None:
    assert column.show(row) == shown


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
