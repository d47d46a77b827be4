"""The preliminary phase's table: which cell stands behind a numbered image."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tissuetrace.studies.leukemia.names import PATTERN, CellName, parse_name

__all__ = ["ROWS", "TABLE", "Preliminary", "read_preliminary"]

TABLE = "C-NMC_test_prelim_phase_data_labels.csv"
ROWS = 1867  # as published; a subset of the images comes with the whole table
_COLUMNS = ["Patient_ID", "new_names", "labels"]
_NUMBERED = re.compile(r"([1-9]\d*)\.bmp")
_LABELS = {"0": "hem", "1": "all"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preliminary:
    """The table's rows by numbered file name.

    Args:
        names: `1002.bmp` → the cell's own name without ending.
        rows: how many the table has.
        missing: how many of its images are absent.
        absent: their names, as ranges: `4.bmp to 1867.bmp`.
        mistakes: one line each.
    """

    names: dict[str, tuple[str, CellName]] = field(default_factory=dict)
    rows: int = 0
    missing: int = 0
    absent: list[str] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)

    def named(self, file_name: str) -> list[tuple[str, CellName]]:
        """Return the name behind an image, where a sound row gives it."""
        return [self.names[file_name]] if file_name in self.names else []


def read_preliminary(folder: Path, images: Sequence[str]) -> Preliminary:
    """Read the table below a folder and compare it with the images that are there.

    Args:
        folder: of all images.
        images: file names of the preliminary images that are present.

    Returns:
        Rows and mistakes; images of the table that are absent are listed, no mistake.
    """
    tables = sorted(folder.rglob(TABLE))
    if not tables:
        wanted = f"{TABLE}: not found, and {len(images)} preliminary images need it"
        return Preliminary(mistakes=[wanted] if images else [])
    rows = list(_rows(tables[0]))
    if not rows or rows[0][1] != _COLUMNS:
        found = rows[0][1] if rows else "an empty file"
        return Preliminary(mistakes=[f"{TABLE}: found {found}, expected columns {_COLUMNS}"])
    sound, mistakes = _read_rows(rows[1:])
    numbers = [row[1] for _, row in rows[1:] if len(row) == len(_COLUMNS)]
    mistakes += _twice(numbers, "new_names") + _twice([row[0] for _, row in rows[1:]], "Patient_ID")
    mistakes += _row_mistakes(numbers, images)
    absent = set(numbers) - set(images)
    return Preliminary(
        names=sound,
        rows=len(rows) - 1,
        missing=len(absent),
        absent=_ranges(_numbers(absent)),
        mistakes=mistakes,
    )


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells; both line endings are read, empty lines passed over."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        reader = csv.reader(file)
        for row in reader:
            if row:
                yield reader.line_num, row


def _read_rows(
    rows: Sequence[tuple[int, list[str]]],
) -> tuple[dict[str, tuple[str, CellName]], list[str]]:
    names, mistakes = {}, []
    for line, row in rows:
        wrong = _row_mistake(row)
        said = parse_name(row[0].removesuffix(".bmp"))
        if wrong:
            mistakes.append(f"{TABLE} line {line}: {wrong}")
        elif said is not None:
            names[row[1]] = (row[0].removesuffix(".bmp"), said)
    return names, mistakes


def _row_mistake(row: Sequence[str]) -> str:
    if len(row) != len(_COLUMNS):
        return f"found {len(row)} cells, expected {len(_COLUMNS)}"
    patient_id, number, label = row
    said = parse_name(patient_id.removesuffix(".bmp"))
    if said is None or not patient_id.endswith(".bmp"):
        return f"found {patient_id!r}, expected {PATTERN}.bmp"
    if _NUMBERED.fullmatch(number) is None:
        return f"found {number!r}, expected a number and .bmp"
    if not _LABELS.get(label) == said.suffix == said.prefix:
        return (
            f"{patient_id}: the column says {label!r} (0 hem, 1 all), the suffix says "
            f"{said.suffix}, the prefix says {said.prefix}"
        )
    return ""


def _twice(values: Sequence[str], column: str) -> list[str]:
    return [
        f"{TABLE}: {column} {value} stands in {count} rows, expected one"
        for value, count in Counter(values).items()
        if count > 1
    ]


def _row_mistakes(names: Sequence[str], images: Sequence[str]) -> list[str]:
    """Name rows that are missing (images are numbered from 1) and rows beyond the published."""
    numbers = set(_numbers(names))
    lacking = set(range(1, max(numbers, default=0) + 1)) - numbers
    without = sorted(set(images) - set(names))
    mistakes = [f"{name}: an image without a row in {TABLE}" for name in without]
    lacking -= set(_numbers(without))
    if lacking:
        mistakes.append(f"{TABLE}: no row for {', '.join(_ranges(sorted(lacking)))}")
    extra = sorted(number for number in numbers if number > ROWS)
    if extra:
        mistakes.append(
            f"{TABLE}: extra rows for {', '.join(_ranges(extra))}; {ROWS} were published"
        )
    return mistakes


def _numbers(names: Iterable[str]) -> list[int]:
    return sorted(int(match[1]) for name in names if (match := _NUMBERED.fullmatch(name)))


def _ranges(numbers: Sequence[int]) -> list[str]:
    """Write 1, 2, 3, 7 as `1.bmp to 3.bmp` and `7.bmp`."""
    if not numbers:
        return []
    starts = [numbers[0], *(b for a, b in pairwise(numbers) if b != a + 1)]
    ends = [*(a for a, b in pairwise(numbers) if b != a + 1), numbers[-1]]
    spans = zip(starts, ends, strict=True)
    return [f"{a}.bmp" if a == b else f"{a}.bmp to {b}.bmp" for a, b in spans]
