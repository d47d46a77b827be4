"""Tables for a person to read and for a program to load: the same rows, shown and raw."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ABSENT",
    "Column",
    "Row",
    "Table",
    "count",
    "filled",
    "general",
    "interval",
    "number",
    "p_value",
    "percent",
    "percent_interval",
    "points",
    "scored",
    "text",
    "write_rows",
]

ABSENT = "–"  # noqa: RUF001  # the dash that stands for an empty cell in print
_MINUS = "−"  # noqa: RUF001  # as wide as the plus sign, so that columns of both align

_NO_WIDTH = 1e-9
_LEAST_P = 0.001  # below it a p value is shown as a bound

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
        return [[column.show(row) for column in self.columns] for row in _rows(self.frame)]


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


def filled(frame: "pd.DataFrame", columns: Sequence[Column]) -> tuple[Column, ...]:
    """Leave out the columns that have a dash in every row; without any row all stay."""
    rows = _rows(frame)
    if not rows:
        return tuple(columns)
    return tuple(one for one in columns if any(one.show(row) != ABSENT for row in rows))


def text(key: str, title: str) -> Column:
    """Show a column of words."""
    return Column(title=title, show=lambda row: _words(row[key]), kind="text")


def count(key: str, title: str) -> Column:
    """Show whole numbers, with commas from 1,000."""
    return Column(title=title, show=lambda row: _shown(row[key], "{:,.0f}"))


def number(key: str, title: str, *, digits: int = 3) -> Column:
    """Show a number with fixed digits."""
    return Column(title=title, show=lambda row: _shown(row[key], f"{{:z.{digits}f}}"))


def general(key: str, title: str) -> Column:
    """Show numbers as short as they are: 100, 0.1, 6."""
    return Column(title=title, show=lambda row: _shown(row[key], "{:g}"))


def p_value(key: str, title: str) -> Column:
    """Show a p value with three digits, or that it is below 0.001: none is 0."""
    return Column(
        title=title,
        show=lambda row: f"< {_LEAST_P}" if row[key] < _LEAST_P else _shown(row[key], "{:.3f}"),
    )


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


def scored(key: str, title: str) -> Column:
    """Show `key` with its interval, or with the values behind it where `key_each` has them."""
    plain = interval(key, title)

    def show(row: Row) -> str:
        each = str(row[f"{key}_each"] or "")
        return f"{plain.show(row)} ({each})".replace("-", _MINUS) if each else plain.show(row)

    return Column(title=title, show=show)


def percent_interval(key: str, title: str, *, digits: int = 1) -> Column:
    """Show the share `key` and its interval as percentages."""
    shape = f"{{:z.{digits}f}}"
    return Column(title=title, show=lambda row: _with_interval(row, key, shape, scale=100))


def _rows(frame: "pd.DataFrame") -> list[Row]:
    return [
        {str(key): value for key, value in row.items()} for row in frame.to_dict(orient="records")
    ]


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
