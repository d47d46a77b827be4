"""The page: blocks in order, text escaped, nothing loaded."""

import base64
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from tissuetrace.report.pages import (
    Block,
    Bullets,
    Commands,
    Page,
    Paragraph,
    Picture,
    Section,
    TableBlock,
    Tile,
    render,
)
from tissuetrace.report.tables import Table, interval, percent, text


@pytest.fixture
def example(tmp_path: Path) -> Page:
    file = tmp_path / "dots.png"
    file.write_bytes(b"no real picture")
    table = Table(
        name="rows",
        title="Rows",
        caption="All rows.",
        frame=pd.DataFrame({"what": ["<b>bold</b>"]}),
        columns=(text("what", "what"),),
    )
    picture = Picture(file=file, title="Dots", caption="Some dots.", alternative='a "dot"')
    blocks: list[Block] = [
        Paragraph("first < second"),
        Bullets(["one", "two"]),
        Commands(["ls <dir>"]),
        TableBlock(table),
        picture,
    ]
    return Page(
        title="T & T",
        subtitle="sub",
        notice="take care",
        answer=["yes"],
        tiles=[Tile(value="0.87", interval="[0.8, 0.9]", meaning="AUC")],
        sections=[Section(anchor="all", title="All", blocks=blocks)],
        footer="end",
    )


def test_text_of_every_block_is_escaped(example: Page) -> None:
    html = render(example)

    assert "<title>T &amp; T</title>" in html
    assert "first &lt; second" in html
    assert "&lt;b&gt;bold&lt;/b&gt;" in html
    assert "ls &lt;dir&gt;" in html
    assert 'alt="a &#34;dot&#34;"' in html


def test_blocks_stand_in_their_order(example: Page) -> None:
    html = render(example)

    places = [
        html.index(part) for part in (">yes<", "first &lt;", "<li>one", "ls ", "Rows", "Dots")
    ]
    assert places == sorted(places)


def test_a_picture_is_in_the_page_itself(example: Page) -> None:
    content = base64.b64encode(b"no real picture").decode()

    assert f'<img src="data:image/png;base64,{content}"' in render(example)


def test_the_style_is_in_the_page_for_light_dark_phone_and_print(example: Page) -> None:
    html = render(example)

    assert "prefers-color-scheme: dark" in html
    assert "@media print" in html
    assert "max-width: 40rem" in html
    assert 'content="width=device-width' in html


def test_the_notice_is_left_out_where_there_is_none(example: Page) -> None:
    assert "<aside" in render(example)
    assert "<aside" not in render(replace(example, notice=""))


def test_the_contents_lead_to_every_section(example: Page) -> None:
    html = render(example)

    assert '<a href="#all">All</a>' in html
    assert '<section id="all">' in html


def test_a_figure_fits_the_screen_and_is_enlarged_without_a_script(example: Page) -> None:
    html = render(example)

    box = '<input type="checkbox" class="zoom" id="zoom-figure-dots" aria-label="Enlarge: Dots">'
    assert box in html
    assert html.count('<label for="zoom-figure-dots"><img ') == 1
    assert '<label class="zoom-hint" for="zoom-figure-dots">' in html
    assert set(re.findall(r"([^{}]*img) \{[^}]*width: 58rem", html)) == {
        "\n  .zoom:checked ~ .picture img"
    }
    assert "<script" not in html
    assert not re.search(r"img \{[^}]*min-width", html)


def test_a_figure_is_dimmed_on_a_dark_page_and_its_colours_are_kept(example: Page) -> None:
    html = render(example)

    assert re.search(r"dark\) \{\s*\.picture \{ filter: brightness\(", html)
    assert "invert(" not in html


def widths_of(*cells: str) -> list[str]:
    frame = pd.DataFrame({"what": cells})
    table = Table(name="a", title="", caption="", frame=frame, columns=(text("what", "what"),))
    return TableBlock(table).widths


@pytest.mark.parametrize(
    ("longest", "classes"),
    [
        ("CXCL10", "text short"),
        ("unseen patients", "text"),
        ("share of the searches that found", "text phrase"),
        ("rise of the true level of cold patients under the strategy", "text sentence"),
    ],
)
def test_a_column_of_words_is_as_wide_as_its_longest_cell_asks(longest: str, classes: str) -> None:
    assert widths_of("a", longest, "b") == [classes]


def test_a_table_without_a_row_has_a_class_a_column() -> None:
    assert widths_of() == ["text short"]


def test_a_number_may_stand_above_its_interval_and_nowhere_else_is_it_parted() -> None:
    frame = pd.DataFrame({"x": [0.5], "x_low": [0.4], "x_high": [0.6], "said": ["one [1, 2]"]})
    columns = (interval("x", "x"), percent("x", "share"), text("said", "said"))
    block = TableBlock(Table(name="a", title="", caption="", frame=frame, columns=columns))

    assert block.widths == ["number parted", "number", "text short"]
    assert block.cells == [[("0.500", "[0.400, 0.600]"), ("50.0 %", ""), ("one [1, 2]", "")]]


@pytest.mark.parametrize(
    ("numbers", "words", "tag"),
    [
        (6, 0, "<table>"),
        (7, 0, '<table class="dense">'),  # 140 characters
        (5, 1, "<table>"),  # 100 and a sentence that is broken
        (5, 2, '<table class="dense">'),
    ],
)
def test_numbers_stand_above_their_intervals_where_lines_are_long(
    example: Page, numbers: int, words: int, tag: str
) -> None:
    frame = pd.DataFrame({"x": [0.5], "x_low": [0.4], "x_high": [0.6], "said": ["word " * 20]})
    columns = (*[interval("x", "x")] * numbers, *[text("said", "said")] * words)
    table = Table(name="a", title="", caption="", frame=frame, columns=columns)
    section = Section(anchor="all", title="All", blocks=[TableBlock(table)])

    assert tag in render(replace(example, sections=[section]))
