from pathlib import Path

import pandas as pd
import pytest

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.files import (
    column_mistakes,
    read_json,
    read_table,
    write_json,
    write_table,
)


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    table = pd.DataFrame({"name": ["b", "a"], "x": [1.5, 2.5], "n": [1, 2]})

    write_table(table, tmp_path / "t.parquet")

    pd.testing.assert_frame_equal(read_table(tmp_path / "t.parquet"), table)
    assert read_table(tmp_path / "t.parquet", columns=["n"]).columns.tolist() == ["n"]


def test_equal_tables_are_equal_bytes_whatever_their_index(tmp_path: Path) -> None:
    table = pd.DataFrame({"name": ["a", "b"]})

    write_table(table, tmp_path / "one.parquet")
    write_table(table.set_index(pd.Index([7, 8])), tmp_path / "two.parquet")

    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_columns_are_compared_by_name_type_and_order(tmp_path: Path) -> None:
    write_table(pd.DataFrame({"name": ["a"], "x": [1.0]}), tmp_path / "t.parquet")

    right = {"name": "string: of the cell", "x": "double: width (px)"}

    assert column_mistakes(tmp_path / "t.parquet", right) == []
    assert column_mistakes(tmp_path / "t.parquet", dict(reversed(right.items())))
    assert column_mistakes(tmp_path / "t.parquet", {**right, "x": "int64: width (px)"})
    assert column_mistakes(tmp_path / "t.parquet", {"name": right["name"]})


def test_a_file_of_another_kind_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("no")

    with pytest.raises(InputError, match="no parquet table"):
        read_table(tmp_path / "t")
    with pytest.raises(InputError, match="no valid JSON"):
        read_json(tmp_path / "t")


def test_json_has_one_form_and_no_nan(tmp_path: Path) -> None:
    write_json({"b": 1, "a": "µ"}, tmp_path / "a.json")

    assert (tmp_path / "a.json").read_text() == '{\n  "a": "µ",\n  "b": 1\n}\n'
    with pytest.raises(ValueError, match="JSON"):
        write_json({"a": float("nan")}, tmp_path / "b.json")
    assert not (tmp_path / "b.json").exists()
