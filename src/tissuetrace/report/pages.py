"""One HTML page that holds all it shows: style, tables and figures, and loads nothing."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from tissuetrace.report.tables import Table

__all__ = [
    "Block",
    "Bullets",
    "Commands",
    "Page",
    "Paragraph",
    "Picture",
    "Section",
    "TableBlock",
    "Tile",
    "render",
    "table_blocks",
]

# Characters of the longest cell of words: up to the first it is not broken, above the last it is
# running text.
_SHORT, _PHRASE, _SENTENCE = 12, 16, 40
# Characters that fit beside each other at 1280 px, and into which long words can be broken.
_LINE, _WORDS = 130, 18


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text."""

    text: str
    kind: Literal["paragraph"] = "paragraph"


@dataclass(frozen=True, slots=True)
class Bullets:
    """A list, one text an entry."""

    items: Sequence[str]
    kind: Literal["bullets"] = "bullets"


@dataclass(frozen=True, slots=True)
class Commands:
    """Lines to type, as they stand."""

    lines: Sequence[str]
    kind: Literal["commands"] = "commands"


@dataclass(frozen=True, slots=True)
class TableBlock:
    """A table with its caption and the name of its CSV file."""

    table: Table
    kind: Literal["table"] = "table"

    @property
    def anchor(self) -> str:
        """Target of a link within the page."""
        return f"table-{self.table.name}"

    @property
    def cells(self) -> list[list[tuple[str, str]]]:
        """Every row, each cell as what may stand alone in a line and what follows it in brackets.

        Words are not parted.
        """
        kinds = [column.kind for column in self.table.columns]
        return [
            [_parted(kind, cell) for kind, cell in zip(kinds, row, strict=True)]
            for row in self.table.shown
        ]

    @property
    def widths(self) -> list[str]:
        """Classes of each column: its kind, and what its longest cell asks of its width."""
        return [f"{kind} {_width(kind, cells)}".strip() for kind, cells in self._columns]

    @property
    def is_dense(self) -> bool:
        """Whether the lines are too long for a wide screen, unless numbers stand above brackets."""
        line = 0
        for column, (kind, cells) in zip(self.table.columns, self._columns, strict=True):
            longest = max((len(cell) for cell in cells), default=0)
            heading = max((len(word) for word in column.title.split()), default=0)
            line += max(heading, min(longest, _WORDS) if kind == "text" else longest)
        return line > _LINE

    @property
    def _columns(self) -> list[tuple[str, Sequence[str]]]:
        columns = list(zip(*self.table.shown, strict=True)) or [()] * len(self.table.columns)
        return list(zip([column.kind for column in self.table.columns], columns, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A figure.

    Args:
        file: PNG whose bytes go into the page.
        title: short heading.
        caption: what is drawn, and what the intervals resample.
        alternative: what it shows, for those who do not see it.
    """

    file: Path
    title: str
    caption: str
    alternative: str
    kind: Literal["picture"] = "picture"

    @property
    def source(self) -> str:
        """The image as a data URI."""
        content = base64.b64encode(self.file.read_bytes()).decode("ascii")
        return f"data:image/png;base64,{content}"

    @property
    def anchor(self) -> str:
        """Target of a link within the page."""
        return f"figure-{self.file.stem}"


Block = Paragraph | Bullets | Commands | TableBlock | Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a page.

    Args:
        anchor: target of links, unique in the page.
        title: heading.
        blocks: what stands in it, in order.
    """

    anchor: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A key number.

    Args:
        value: as shown.
        interval: its interval in brackets, empty where there is none.
        meaning: what it is, in a few words.
    """

    value: str
    interval: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A report.

    Args:
        title: of the page.
        subtitle: one line below it.
        notice: a caution above all else, empty where there is none.
        answer: the headline, one sentence an entry.
        tiles: key numbers, shown large.
        sections: the rest.
        footer: last line.
    """

    title: str
    subtitle: str
    notice: str
    answer: Sequence[str]
    tiles: Sequence[Tile]
    sections: Sequence[Section]
    footer: str


def table_blocks(tables: Mapping[str, Table], names: Sequence[str]) -> list[Block]:
    """Return those of the named tables that a report has, as blocks of its page."""
    return [TableBlock(tables[name]) for name in names if name in tables]


def render(page: Page) -> str:
    """Return the page as HTML; text is escaped, the only script or link is none."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_resource("page.html"))
    # our own style sheet, in which an escaped quote would break
    style = Markup(_resource("page.css"))  # noqa: S704  # shipped with the package
    return template.render(page=page, style=style)


def _parted(kind: str, cell: str) -> tuple[str, str]:
    bracket = re.search(r" [\[(]", cell) if kind != "text" else None
    return (cell[: bracket.start()], cell[bracket.start() + 1 :]) if bracket else (cell, "")


def _width(kind: str, cells: Sequence[str]) -> str:
    """Say where the cells of a column may be broken: before brackets, or between many words."""
    if kind != "text":
        return "parted" if any(_parted(kind, cell)[1] for cell in cells) else ""
    longest = max((len(cell) for cell in cells), default=0)
    if longest <= _SHORT:
        return "short"
    if longest <= _PHRASE:
        return ""
    return "phrase" if longest <= _SENTENCE else "sentence"


def _resource(name: str) -> str:
    return (files("tissuetrace.report") / name).read_text(encoding="utf-8")
