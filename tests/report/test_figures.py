"""Figures: what lies where on the axes, and files that repeat in bytes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from tissuetrace.report.figures import (
    LOOKS,
    Spread,
    draw_bars,
    draw_confusion,
    draw_curves,
    draw_dots,
    draw_intervals,
    draw_pairs,
    figure_style,
    grid_of_axes,
    one_legend,
    save_figure,
)

NAN = float("nan")


def spread(*values: float) -> Spread:
    value = np.array(values)
    return Spread(value=value, low=value - 0.1, high=value + 0.2)


def test_looks_are_told_apart_without_colour() -> None:
    weights = np.array([0.299, 0.587, 0.114])  # ITU-R 601 lightness
    grays = sorted(float(weights @ np.array(to_rgb(look.color))) for look in LOOKS)

    assert min(np.diff(grays)) > 0.1
    assert len({look.line for look in LOOKS}) == len({look.marker for look in LOOKS}) == 3


def test_the_same_figure_gives_the_same_bytes_without_the_version(tmp_path: Path) -> None:
    def draw(name: str) -> bytes:
        with figure_style():
            figure, (ax,) = grid_of_axes(1, 1, height_in=2)
            draw_curves({"a": (np.array([0.0, 1.0]), np.array([0.0, 1.0]))}, ax=ax)
            save_figure(figure, tmp_path / name, note="drawn by a generator")
        return (tmp_path / name).read_bytes()

    first, second = draw("a.png"), draw("b.png")

    assert first == second
    assert b"Software" not in first


def test_a_note_stands_in_the_figure_itself(tmp_path: Path) -> None:
    figure, _ = grid_of_axes(1, 1, height_in=2)

    save_figure(figure, tmp_path / "a.png", note="confirms no paper")

    assert figure.get_supxlabel() == "confirms no paper"


def test_curves_keep_their_names_and_points() -> None:
    _, (ax,) = grid_of_axes(1, 1, height_in=2)

    draw_curves({"one": (np.array([0.0, 0.5]), np.array([0.2, 0.9]))}, ax=ax)

    (line,) = ax.get_lines()
    assert line.get_label() == "one"
    assert np.asarray(line.get_ydata()).tolist() == [0.2, 0.9]


def test_the_first_bar_is_on_top_and_a_gap_keeps_its_place() -> None:
    _, (ax, other) = grid_of_axes(1, 2, height_in=2)

    draw_bars(["a", "b", "c"], np.array([NAN, 2.0, 1.0]), ax=ax)
    draw_bars(["a", "b", "c"], np.array([3.0, 2.0, 1.0]), ax=other)

    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]
    assert ax.get_yticks().tolist() == [2, 1, 0]
    assert ax.get_ylim() == other.get_ylim()


def test_error_bars_reach_from_low_to_high_and_never_back() -> None:
    reach = Spread(
        value=np.array([0.5, 0.5]), low=np.array([0.4, NAN]), high=np.array([0.7, NAN])
    ).reach

    np.testing.assert_allclose(reach, [[0.1, 0.0], [0.2, 0.0]])


def test_intervals_are_compared_with_a_line() -> None:
    _, (ax,) = grid_of_axes(1, 1, height_in=2)

    draw_intervals(["a", "b"], spread(0.5, 0.6), ax=ax, reference=0.55)

    first: Any = ax.patches[0]
    assert any(np.allclose(line.get_xdata(), 0.55) for line in ax.get_lines())
    assert first.get_width() == pytest.approx(-0.05)


def test_pairs_share_a_row_but_not_a_height() -> None:
    _, (ax,) = grid_of_axes(1, 1, height_in=2)

    draw_pairs(["a"], {"first": spread(0.5), "second": spread(0.6)}, ax=ax)

    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["first", "second"]
    containers: Any = ax.containers
    heights = {bars.lines[0].get_ydata()[0] for bars in containers}
    assert len(heights) == 2


def test_a_confusion_table_says_count_and_share_of_its_row() -> None:
    _, (ax,) = grid_of_axes(1, 1, height_in=2)

    draw_confusion(np.array([[335.0, 174.0], [0.0, 0.0]]), classes=("normal", "ALL"), ax=ax)

    assert [text.get_text() for text in ax.texts] == ["335\n66 %", "174\n34 %", "0\n0 %", "0\n0 %"]


def test_a_dot_grows_with_its_items() -> None:
    _, (ax,) = grid_of_axes(1, 1, height_in=2)

    draw_dots(["1", "2"], np.array([0.5, 1.0]), np.array([4.0, 20.0]), ax=ax)

    dots: Any = ax.collections[-1]
    small, large = dots.get_sizes()
    assert small < large


def test_one_legend_names_each_look_once_in_place_of_those_of_the_axes() -> None:
    figure, axes = grid_of_axes(1, 2, height_in=2)
    for ax in axes:
        ax.plot([0, 1], [0, 1], label="line")
        ax.legend()
    axes[1].plot([0, 1], [1, 0], label="other")

    one_legend(figure, axes)

    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["line", "other"]
    assert [ax.get_legend() for ax in axes] == [None, None]


def test_without_a_name_there_is_no_legend() -> None:
    figure, axes = grid_of_axes(1, 1, height_in=2)

    one_legend(figure, axes)

    assert figure.legends == []


def test_rows_of_axes_may_differ_in_height() -> None:
    figure, (upper, lower) = grid_of_axes(2, 1, height_in=4, heights=(3, 1))

    figure.draw_without_rendering()

    high, low = (ax.get_position().height for ax in (upper, lower))
    assert high == pytest.approx(3 * low, rel=0.01)
