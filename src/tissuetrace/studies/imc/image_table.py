"""A cohort's table of images: which file holds which image of which subject."""

import csv
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tissuetrace.pipeline.errors import InputError
from tissuetrace.pipeline.keeping import KEYS_FILE

__all__ = ["TABLE", "ListedImage", "read_image_table"]

TABLE = "images.csv"

_NEEDED = ("image", "subject", "file")
_OPTIONAL = ("acquisition", "tissue_mask", "tumour_mask")
_PATHS = ("file", "tissue_mask", "tumour_mask")
_LONGEST = 200  # letters; a file name has 255 at most, and endings come to it
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # of files, and before a colon in items


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedImage:
    """One row of the table; paths are relative to the cohort's folder, without `.` in between.

    Args:
        image: unique name.
        subject: the patient.
        file: image file, or folder of one TIFF per channel.
        acquisition: number or description in an mcd; empty elsewhere.
        tissue_mask: TIFF of the acquired tissue; empty for none.
        tumour_mask: TIFF of the tumour; empty for none.
    """

    image: str
    subject: str
    file: str
    acquisition: str
    tissue_mask: str
    tumour_mask: str


def read_image_table(folder: Path) -> list[ListedImage]:
    """Read `images.csv` of a cohort, sorted by image.

    Raises:
        InputError: lists every wrong row.
    """
    path = folder / TABLE
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [dict(row) for row in csv.DictReader(file, restkey="", restval="")]
    except FileNotFoundError as problem:
        raise InputError(
            f"no {TABLE}",
            where=folder.name,
            todo=f"Give each cohort a table of {', '.join((*_NEEDED, *_OPTIONAL))}",
        ) from problem
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise InputError(f"no CSV ({problem})", where=f"{folder.name}/{TABLE}") from problem
    listed = [_listed(row) for row in rows]
    mistakes = _column_mistakes(rows) or [
        f"row {number}: {mistake}"
        for number, image in enumerate(listed, start=1)
        for mistake in _mistakes(image, folder)
    ] + _repeated(listed)
    if mistakes or not listed:
        raise InputError(
            f"{len(mistakes)} mistakes in {len(listed)} rows",
            where=f"{folder.name}/{TABLE}",
            todo="Correct it at the source, then name that again: tissuetrace source imc FOLDER",
            items=mistakes,
        )
    return sorted(listed, key=lambda image: image.image)


def _listed(row: Mapping[str, str | None]) -> ListedImage:
    cells = {name: (row.get(name) or "").strip() for name in (*_NEEDED, *_OPTIONAL)}
    paths = {name: str(PurePosixPath(cells[name])) for name in _PATHS if cells[name]}
    return ListedImage(**(cells | paths))


def _column_mistakes(rows: Sequence[Mapping[str, str]]) -> list[str]:
    found = {name for row in rows for name in row}
    mistakes = [f"no column {name}" for name in _NEEDED if name not in found] if rows else []
    unknown = sorted(found - {*_NEEDED, *_OPTIONAL})
    return mistakes + [f"unknown column {name!r}" for name in unknown]


def _mistakes(image: ListedImage, folder: Path) -> list[str]:
    mistakes = [f"no {name}" for name in _NEEDED if not getattr(image, name)]
    if image.image and not _NAME.fullmatch(image.image):
        mistakes.append(f"image {image.image!r}, expected letters, digits and . _ - only")
    if len(image.image) > _LONGEST:
        mistakes.append(f"image {image.image!r}, expected at most {_LONGEST} letters")
    if f"{image.image}.json" == KEYS_FILE:
        mistakes.append(
            f"image {image.image!r}, a name that is taken: {KEYS_FILE} lists all images"
        )
    for path in (getattr(image, name) for name in _PATHS):
        place = PurePosixPath(path)
        if path and (place.is_absolute() or ".." in place.parts):
            mistakes.append(f"{path} does not lie below the cohort's folder")
        elif path and not _exists(folder / path):
            mistakes.append(f"no file {path}")
    return mistakes


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name longer than any file's, or a folder that may not be entered
        return False


def _repeated(listed: Sequence[ListedImage]) -> list[str]:
    names = Counter(image.image for image in listed)
    sources = Counter((image.file, image.acquisition) for image in listed)
    mistakes = [
        f"image {name} stands in {count} rows" for name, count in names.items() if count > 1
    ]
    return mistakes + [
        f"{' '.join(source).strip()} stands in {count} rows"
        for source, count in sources.items()
        if count > 1
    ]
