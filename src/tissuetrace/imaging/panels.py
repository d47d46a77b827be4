"""Panels: which marker each metal carries, and the names that channels of a file get by it."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tissuetrace.pipeline.errors import InputError

__all__ = ["Panel", "name_channels", "read_panel", "repeated", "same_marker", "standard_metal"]

# Header of the marker and header of the metal, as several laboratories' tables call them. The
# first pair that is there counts: where a table says `name` and `channel`, its channel is a metal.
_HEADERS = (
    ("name", "channel"),
    ("channel", "metal"),
    ("channel", ""),
    ("target", "metal tag"),
    ("label", "isotope"),
)

_ALIASES = ({"pd1", "cd279"}, {"cd8", "cd8a"})
_METAL = re.compile(r"(?:(\d{2,3})([A-Za-z]{1,2})|([A-Za-z]{1,2})\(?(\d{2,3})\)?)(?:Di)?")
# `((3356))Pr141`: a metal closes the label where no letter stands before it, unlike in CD163
_LABEL_METAL = re.compile(r"(?<![A-Za-z])[A-Z][a-z]?\d{2,3}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Channels of a study.

    Args:
        channels: unique names, in the order of the table; the order of the pages of a stack that
            names none.
        metals: isotope of each as `Pr141`, empty where the table gives none.
    """

    channels: tuple[str, ...]
    metals: tuple[str, ...]


def read_panel(path: Path) -> Panel:
    """Read a panel as CSV: `channel, metal`, or a header that other pipelines write.

    Read as well: `name, channel` (there the channel is the metal), `Target, Metal Tag`, `Label,
    Isotope`. Blanks at the ends are no part of a name, empty lines none of the table; a row with a
    metal alone is named by it.

    Raises:
        InputError: no such columns, no row, or names or metals that stand there twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [[cell.strip() for cell in line] for line in csv.reader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise InputError(f"no panel table ({problem})", where=path.name) from problem
    rows = [line for line in lines if any(line)]
    header = [cell.lower() for cell in rows[0]] if rows else []
    marker, metal = _columns(header, where=path.name)
    found = []
    for row in rows[1:]:
        cells = row + [""] * (len(header) - len(row))
        isotope = standard_metal(cells[metal]) if metal is not None else ""
        found.append((cells[marker] or isotope, isotope))
    kept = [pair for pair in found if pair[0]]
    panel = Panel(channels=tuple(name for name, _ in kept), metals=tuple(iso for _, iso in kept))
    _refuse_repeated(panel, where=path.name)
    return panel


def name_channels(
    labels: Sequence[str], metals: Sequence[str], panel: Panel | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Name the channels of a file: through metal and panel, else by their label, else metal.

    Args:
        labels: what the file calls each channel; empty where it does not.
        metals: isotope of each; empty where the file does not say. A metal at the end of a label,
            as in `Cytoker_651((3356))Pr141`, counts where the panel has it.
        panel: of the study.

    Returns:
        Names and metals.

    Raises:
        InputError: a channel has neither label nor metal, a label contradicts the panel, or two
            channels come to the same name or metal; lists all of them.
    """
    by_metal = dict(zip(panel.metals, panel.channels, strict=True)) if panel else {}
    by_metal.pop("", None)
    of_panel = dict(zip(panel.channels, panel.metals, strict=True)) if panel else {}
    names, found_metals, mistakes = [], [], []
    for number, (raw_label, raw_metal) in enumerate(zip(labels, metals, strict=True), start=1):
        label = raw_label.strip()
        metal = standard_metal(raw_metal) or _metal_in(label, by_metal)
        name = by_metal.get(metal) or label or metal
        if not name:
            mistakes.append(f"channel {number} has neither name nor metal")
        if label != name and of_panel.get(label) and metal:
            mistakes.append(f"{label!r} is on {of_panel[label]} by the panel, on {metal} here")
        names.append(name)
        found_metals.append(metal or of_panel.get(name, ""))
    mistakes += [f"channel name {name!r} twice" for name in repeated(names)]
    mistakes += [f"metal {metal} twice" for metal in repeated(found_metals)]
    if mistakes:
        raise InputError("; ".join(mistakes), todo="Correct the names, or the panel table")
    return tuple(names), tuple(found_metals)


def same_marker(first: str, second: str) -> bool:
    """Say whether two names mean one marker: PD-1 = PD1 = CD279, CD8a = CD8.

    Case, blanks and signs do not count; neither does whether an alpha is Greek.
    """
    plain, other = _plain(first), _plain(second)
    return plain == other or any({plain, other} <= alias for alias in _ALIASES)


def standard_metal(text: str) -> str:
    """Write an isotope as `Pr141`, from `141Pr`, `Pr(141)` or `Pr141Di`; other text as it is."""
    match = _METAL.fullmatch(text.strip())
    if match is None:
        return text.strip()
    symbol, mass = match[2] or match[3], match[1] or match[4]
    return f"{symbol.capitalize()}{mass}"


def repeated(names: Sequence[str]) -> list[str]:
    """Return what stands there more than once, empty names aside, in order of appearance."""
    return [name for name, count in Counter(names).items() if name and count > 1]


def _columns(header: Sequence[str], *, where: str) -> tuple[int, int | None]:
    for marker, metal in _HEADERS:
        if marker in header and (not metal or metal in header):
            return header.index(marker), header.index(metal) if metal else None
    raise InputError(
        f"no columns channel and metal among {', '.join(header) or 'none'}",
        where=where,
        todo="Name the columns channel and metal",
    )


def _refuse_repeated(panel: Panel, *, where: str) -> None:
    mistakes = [f"channel {name!r} in several rows" for name in repeated(panel.channels)]
    mistakes += [f"metal {metal} in several rows" for metal in repeated(panel.metals)]
    if not panel.channels:
        mistakes = ["no row with a channel"]
    if mistakes:
        raise InputError("; ".join(mistakes), where=where, todo="Give each row its own name")


def _metal_in(label: str, by_metal: dict[str, str]) -> str:
    match = _METAL.fullmatch(label)
    symbol = (match[2] or match[3]) if match else ""
    # CD112 is a marker, Cd112 cadmium
    if symbol == symbol.capitalize() and standard_metal(label) in by_metal:
        return standard_metal(label)
    match = _LABEL_METAL.search(label)
    return match[0] if match and match[0] in by_metal else ""


def _plain(name: str) -> str:
    text = name.casefold().replace("\N{GREEK SMALL LETTER ALPHA}", "a")
    return "".join(letter for letter in text if letter.isalnum())
