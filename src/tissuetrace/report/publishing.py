"""Figures and tables of a report as files beside its page."""

from collections.abc import Sequence
from pathlib import Path

from tissuetrace.report.figures import Illustration, figure_style, save_figure
from tissuetrace.report.pages import Picture
from tissuetrace.report.tables import Table, write_rows

__all__ = ["draw_figures", "write_tables"]


def draw_figures(drawn: Sequence[Illustration], folder: Path, *, note: str) -> list[Picture]:
    """Draw every figure into a folder as PNG.

    Args:
        drawn: figures before they are drawn.
        folder: for `<name>.png`.
        note: printed on each; says where the images came from.

    Returns:
        A picture of the page for each, in their order.
    """
    pictures = []
    with figure_style():
        for one in drawn:
            file = folder / f"{one.name}.png"
            save_figure(one.draw(), file, note=note)
            pictures.append(
                Picture(
                    file=file,
                    title=one.title,
                    caption=one.caption,
                    alternative=one.alternative,
                )
            )
    return pictures


def write_tables(tables: Sequence[Table], folder: Path, *, origin: str) -> None:
    """Write every table into a folder as CSV, with a column that says where the images came from.

    Args:
        tables: of the page.
        folder: for `<name>.csv`.
        origin: phantom or images, in words.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for one in tables:
        write_rows(one, folder, origin=origin)
