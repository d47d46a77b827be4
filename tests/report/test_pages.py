"""The page: blocks in order, text escaped, nothing loaded."""

import base64
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
from tissuetrace.report.tables import Table, text


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
