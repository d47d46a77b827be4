"""Tables for a person to read and for a program to load: the same rows, shown and raw."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ABSENT",
    "Column",
    "Table",
    "count",
    "interval",
    "number",
    "percent",
    "percent_interval",
    "points",
    "text",
    "write_rows",
]

ABSENT = "–"  # noqa: RUF001  # the dash that stands for an empty cell in print
_MINUS = "−"  # noqa: RUF001  # as wide as the plus sign, so that columns of both align

_NO_WIDTH = 1e-9

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column as shown.

    Args:
        title: heading, with the unit.
        show: turns a raw row into the text of the cell.
        kind: text is set flush left, numbers flush right.
    """

    title: str
    show: Callable[[Row], str]
    kind: str = "number"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Raw rows, and how they are shown.

    Args:
        name: of the CSV file, without its ending.
        title: short heading.
        caption: what was measured on what, and what the intervals resample.
        frame: raw rows; goes into the CSV file as it is.
        columns: what the page shows of it.
    """

    name: str
    title: str
    caption: str
    frame: "pd.DataFrame"
    columns: tuple[Column, ...]

    @property
    def shown(self) -> list[list[str]]:
        """Cells of every row, as text."""
        rows: list[Row] = [
            {str(key): value for key, value in row.items()}
            for row in self.frame.to_dict(orient="records")
        ]
        return [[column.show(row) for column in self.columns] for row in rows]


def write_rows(table: Table, folder: Path, *, origin: str) -> Path:
    """Write the raw rows as `<name>.csv`, each with a last column that says what it was made of.

    Args:
        table: whose frame is written.
        folder: to write to.
        origin: what the numbers stem from, such as a generator or a collection of images.

    Returns:
        The file, numbers with six significant digits.
    """
    path = folder / f"{table.name}.csv"
    marked = table.frame.assign(origin=origin)
    marked.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
    return path


def text(key: str, title: str) -> Column:
    """Show a column of words."""
    return Column(title=title, show=lambda row: _words(row[key]), kind="text")


def count(key: str, title: str) -> Column:
    """Show whole numbers, with commas from 1,000."""
    return Column(title=title, show=lambda row: _shown(row[key], "{:,.0f}"))


def number(key: str, title: str, *, digits: int = 3) -> Column:
    """Show a number with fixed digits."""
    return Column(title=title, show=lambda row: _shown(row[key], f"{{:z.{digits}f}}"))


def percent(key: str, title: str, *, digits: int = 1) -> Column:
    """Show a share of 0 to 1 as a percentage."""
    return Column(title=title, show=lambda row: _shown(100 * row[key], f"{{:z.{digits}f}} %"))


def points(key: str, title: str) -> Column:
    """Show a difference of two shares as signed percentage points."""
    return Column(title=title, show=lambda row: _shown(100 * row[key], "{:+.1f}"))


def interval(key: str, title: str, *, digits: int = 3) -> Column:
    """Show `key` with its interval from `key_low` to `key_high`.

    An interval without width says that no draw changed the value, not that it is certain; it is
    left out.
    """
    shape = f"{{:z.{digits}f}}"
    return Column(title=title, show=lambda row: _with_interval(row, key, shape, scale=1))


def percent_interval(key: str, title: str, *, digits: int = 1) -> Column:
    """Show the share `key` and its interval as percentages."""
    shape = f"{{:z.{digits}f}}"
    return Column(title=title, show=lambda row: _with_interval(row, key, shape, scale=100))


def _with_interval(row: Row, key: str, shape: str, *, scale: float) -> str:
    value = _shown(scale * row[key], shape)
    if not row[f"{key}_high"] - row[f"{key}_low"] > _NO_WIDTH:  # or NaN
        return value
    low = _shown(scale * row[f"{key}_low"], shape)
    high = _shown(scale * row[f"{key}_high"], shape)
    return f"{value} [{low}, {high}]"


def _shown(value: float, shape: str) -> str:
    if value is None or math.isnan(value):
        return ABSENT
    return shape.format(value).replace("-", _MINUS)


def _words(value: object) -> str:
    return ABSENT if value is None or value == "" or value != value else str(value)  # noqa: PLR0124  # only NaN differs from itself
