"""What an mcd file should hold: acquisitions by its own metadata, the schema's, or file names."""

import contextlib
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree as ET

from readimc import MCDFile  # type: ignore[import-untyped]  # readimc publishes no types
from readimc.mcd_parser import (  # type: ignore[import-untyped]  # as above
    MCDParser,
    MCDParserError,
)

from tissuetrace.imaging.stacks import DAMAGE, one_line
from tissuetrace.pipeline.errors import InputError

__all__ = ["Contents", "Planned", "contents_of", "mcd_of", "txt_files"]

_DAMAGE = (*DAMAGE, ET.ParseError, MCDParserError)  # their texts change by version

_SCHEMA_START, _SCHEMA_END = b"<MCDSchema", b"</MCDSchema>"
_EXPORT = re.compile(r"(?P<name>.+)_(?P<number>\d+)")  # after the name of the slide


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One acquisition that should be there.

    Args:
        number: its id.
        description: such as ROI_001; empty where unknown.
        size_px: width and height of its rectangle, where the metadata state them.
        spacing_um: distance between shots along x and y, where the metadata state it.
        metals: isotopes in the order of the file, where the metadata state them.
        block: first byte of its pixels in the mcd, and the one after the last.
        overlapping: numbers of other acquisitions whose blocks share bytes with it.
        entry: readimc's own description of it.
    """

    number: int
    description: str
    size_px: tuple[int, int] | None = None
    spacing_um: tuple[float, float] | None = None
    metals: tuple[str, ...] = ()
    block: tuple[int, int] = (0, 0)
    overlapping: tuple[int, ...] = ()
    entry: Any = None

    @property
    def words(self) -> str:
        """How a message names it."""
        return f"acquisition {self.number} {self.description}".rstrip()

    def is_called(self, name: str) -> bool:
        """Say whether an export of this name is its own, as far as the description is known.

        Letters and digits alone count: a description may hold signs that no file name can.
        """
        return not self.description or _plain(name) == _plain(self.description)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Which acquisitions a file should hold.

    Args:
        planned: in the order of their numbers.
        source: where that stands: the mcd itself, the schema beside it, or names of txt files.
            With names alone it is unknown whether an acquisition, or a pixel, is lacking.
        mistake: why the mcd's own metadata could not be read; empty where they could.
    """

    planned: tuple[Planned, ...]
    source: Literal["mcd", "schema", "txt"]
    mistake: str = ""

    def choose(self, acquisition: str) -> Planned:
        """Return the acquisition of this number or description; with `""` the only one.

        Raises:
            InputError: there is none, or there are several.
        """
        fitting = [
            one for one in self.planned if acquisition in ("", str(one.number), one.description)
        ]
        exact = [one for one in fitting if str(one.number) == acquisition]
        if len(exact or fitting) == 1:
            return (exact or fitting)[0]
        known = ", ".join(one.words.removeprefix("acquisition ") for one in self.planned) or "none"
        raise InputError(
            f"{len(exact or fitting)} acquisitions are called {acquisition!r} among {known} "
            f"(by the {self.source})",
            todo="Give the number of one in the column acquisition of images.csv",
        )


def contents_of(mcd: Path) -> Contents:
    """List what an mcd should hold, from the best of the three places that can be read.

    Raises:
        InputError: neither the mcd nor its schema can be read, and no txt lies beside.
    """
    try:
        return Contents(planned=_read_own(mcd), source="mcd")
    except _DAMAGE as problem:
        mistake = f"the mcd's metadata cannot be read ({one_line(problem)})"
    schema = _beside(mcd, ".schema")
    try:
        return Contents(planned=_read_schema(schema), source="schema", mistake=mistake)
    except _DAMAGE:
        named = [Planned(number=number, description=name) for number, name in txt_files(mcd)]
    if not named:
        raise InputError(
            f"{mistake}, and neither {schema.name} nor any {mcd.stem}_…_<n>.txt can be read",
            todo="Put the exported txt files beside it",
        )
    return Contents(planned=tuple(named), source="txt", mistake=mistake)


def txt_files(mcd: Path) -> Mapping[tuple[int, str], Path]:
    """Return the exports beside an mcd: number and description of the acquisition → file.

    What begins with the longer name of another mcd or schema is that one's: `slide_2_ROI_001_1.txt`
    beside `slide_2.mcd` is none of `slide.mcd`.
    """
    longer = [stem for stem in _slides(mcd.parent) if stem.startswith(f"{mcd.stem}_")]
    found = {}
    for path in _ending_on(mcd.parent, ".txt"):
        key = _exported(path, mcd.stem)
        if key is not None and not any(_exported(path, stem) for stem in longer):
            found[key] = path
    return dict(sorted(found.items()))


def mcd_of(txt: Path) -> tuple[Path, int, str] | None:
    """Return the mcd that a txt was exported from, with the number and description in its name.

    The mcd itself may be gone, where its schema is there.
    """
    found = [(stem, _exported(txt, stem)) for stem in _slides(txt.parent)]
    claims = [(len(stem), stem, key) for stem, key in found if key is not None]
    if not claims:
        return None
    _, stem, (number, name) = max(claims)
    return _beside(txt.with_name(f"{stem}.mcd"), ".mcd"), number, name


def _exported(txt: Path, stem: str) -> tuple[int, str] | None:
    """Return number and description in the name of a txt that was exported from a slide."""
    match = _EXPORT.fullmatch(txt.stem.removeprefix(f"{stem}_"))
    if match is None or not txt.stem.startswith(f"{stem}_"):
        return None
    return int(match["number"]), match["name"]


def _slides(folder: Path) -> set[str]:
    return {path.stem for path in _ending_on(folder, ".mcd", ".schema")}


def _beside(mcd: Path, ending: str) -> Path:
    """Return the file of a slide with another ending, in whatever case that is written."""
    found = [path for path in _ending_on(mcd.parent, ending) if path.stem == mcd.stem]
    return found[0] if found else mcd.with_suffix(ending)


def _ending_on(folder: Path, *endings: str) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in endings)


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _read_own(mcd: Path) -> tuple[Planned, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # overlapping blocks are kept with each acquisition
        with contextlib.closing(MCDFile(mcd)) as file:  # its own `with` leaks what fails to open
            file.open()
            return _planned(file.slides)


def _read_schema(schema: Path) -> tuple[Planned, ...]:
    content = schema.read_bytes()
    start, end = content.rfind(_SCHEMA_START), content.rfind(_SCHEMA_END)
    if start < 0 or end < start:
        raise ValueError(f"no MCDSchema in {schema.name}")
    # the surrounding document declares these two prefixes
    prefixes = b'<d xmlns:diffgr="d" xmlns:msdata="m">'
    text = prefixes + content[start : end + len(_SCHEMA_END)] + b"</d>"
    document = ET.fromstring(text)[0]  # noqa: S314  # the instrument's own file; expat bounds it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        return _planned(MCDParser(ET.tostring(document, encoding="unicode")).parse_slides())


def _planned(slides: Any) -> tuple[Planned, ...]:  # noqa: ANN401  # readimc publishes no types
    found = [_one_planned(entry) for slide in slides for entry in slide.acquisitions]
    found = [replace(one, overlapping=_sharing_bytes(one, found)) for one in found]
    return tuple(sorted(found, key=lambda one: one.number))


def _sharing_bytes(one: Planned, found: Iterable[Planned]) -> tuple[int, ...]:
    start, end = one.block
    others = [other for other in found if other.number != one.number]
    return tuple(
        other.number for other in others if max(start, other.block[0]) < min(end, other.block[1])
    )


def _one_planned(entry: Any) -> Planned:  # noqa: ANN401  # as above
    size = (entry.width_px, entry.height_px)
    spacing = (entry.pixel_size_x_um, entry.pixel_size_y_um)
    return Planned(
        number=entry.id,
        description=(entry.description or "").strip(),
        size_px=None if None in size or min(size) < 1 else size,
        spacing_um=None if None in spacing else spacing,
        metals=tuple(entry.channel_names),
        block=(int(entry.metadata["DataStartOffset"]), int(entry.metadata["DataEndOffset"])),
        entry=entry,
    )
