"""Maps, heat maps and changes: what lies where on the axes."""

from typing import Any

import numpy as np
import pytest

from tissuetrace.report.figures import grid_of_axes
from tissuetrace.report.maps import (
    Changes,
    Map,
    bar_key,
    draw_changes,
    draw_heat,
    draw_maps,
    draw_scatter,
    draw_signed_bars,
    key_of,
    map_canvas,
    patch_map,
)

NAN = float("nan")


def test_a_patch_lies_at_its_row_and_column_and_a_missing_one_is_a_gap() -> None:
    laid = patch_map(np.array([2, 3, 3]), np.array([5, 4, 5]), np.array([0.1, 0.2, 0.3]))

    np.testing.assert_equal(laid, [[NAN, 0.1], [0.2, 0.3]])


def test_two_patches_on_one_place_are_refused() -> None:
    with pytest.raises(ValueError, match="two patches on one place"):
        patch_map(np.array([1, 1]), np.array([2, 2]), np.array([0.0, 1.0]))


def test_a_map_of_no_patch_is_refused() -> None:
    with pytest.raises(ValueError, match="no patch"):
        patch_map(np.array([], dtype=int), np.array([], dtype=int), np.array([]))


def test_maps_stand_side_by_side_in_their_lines() -> None:
    _, (ax,) = grid_of_axes(1, 1, height_in=2)
    first, second, third = (
        Map(title=f"{value}", values=np.full((2, 2), value)) for value in (0.1, 0.2, 0.3)
    )
    lines = [[first, second], [third]]

    draw_maps(lines, ax=ax)

    canvas: Any = ax.images[0].get_array()
    assert canvas.shape == map_canvas(lines) == (8, 8)
    assert [canvas[2, 1], canvas[2, 5], canvas[6, 1]] == [0.1, 0.2, 0.3]
    assert canvas.mask.sum() == 64 - 12
    assert [text.get_text() for text in ax.texts] == ["0.1", "0.2", "0.3"]


def test_a_title_has_room_above_a_map_of_any_size() -> None:
    sizes = [map_canvas([[Map(title="a", values=np.zeros((size, size)))]])[0] for size in (8, 50)]

    assert sizes == [10, 60]


def test_lines_of_maps_are_named_beside_them() -> None:
    _, (ax,) = grid_of_axes(1, 1, height_in=2)
    lines = [[Map(title="", values=np.zeros((2, 2)))]] * 2

    draw_maps(lines, ax=ax, names=["labelled", "predicted"])

    names = [text for text in ax.texts if text.get_text()]
    assert [name.get_text() for name in names] == ["labelled", "predicted"]
    assert [name.get_position() for name in names] == [(-0.5, 2.5), (-0.5, 6.5)]


@pytest.mark.parametrize("lines", [[], [[]]])
def test_no_map_is_refused(lines: list[list[Map]]) -> None:
    _, (ax,) = grid_of_axes(1, 1, height_in=2)

    with pytest.raises(ValueError, match="no map"):
        draw_maps(lines, ax=ax)


def test_the_key_of_a_map_has_its_colours_and_strokes_where_there_is_no_patch() -> None:
    _, (ax,) = grid_of_axes(1, 1, height_in=2)
    shades = draw_maps([[Map(title="", values=np.eye(2))]], ax=ax)

    with_cells, without, absent = key_of(shades, {"T cells": 1.0, "none": 0.0}, empty="no patch")

    colors: Any = shades.to_rgba(np.array([1.0, 0.0]))
    assert [with_cells.get_facecolor(), without.get_facecolor()] == [tuple(one) for one in colors]
    ground: Any = ax.patches[0]
    assert absent.get_hatch() == ground.get_hatch() != without.get_hatch()
    assert absent.get_facecolor() == ground.get_facecolor()


def test_a_heat_map_is_white_at_0_and_has_a_line_between_patients() -> None:
    _, (ax,) = grid_of_axes(1, 1, height_in=2)

    shades: Any = draw_heat(np.array([[0.0, 0.4]]), channels=["a", "b"], ax=ax, borders=[1])

    assert min(shades.to_rgba(0.0)[:3]) > 0.95
    assert shades.get_clim() == (-1.0, 1.0)
    assert [line.get_ydata()[0] for line in ax.get_lines()] == [0.5]  # type: ignore[index]  # one horizontal line
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b"]


def test_a_called_channel_is_darker_than_one_that_is_not() -> None:
    _, (ax,) = grid_of_axes(1, 1, height_in=2)

    draw_signed_bars(["a", "b"], np.array([0.5, -0.1]), ax=ax, marked=[True, False])

    bars: Any = ax.patches
    assert [bar.get_height() for bar in bars] == [0.5, -0.1]
    assert sum(bars[0].get_facecolor()[:3]) < sum(bars[1].get_facecolor()[:3])


def test_the_key_of_bars_has_their_colours() -> None:
    _, (ax,) = grid_of_axes(1, 1, height_in=2)
    draw_signed_bars(["a", "b"], np.array([0.5, -0.1]), ax=ax, marked=[True, False])

    dark, pale, interval = bar_key(dark="called", pale="not called", interval="95 % interval")

    bars: Any = ax.patches
    squares: Any = [dark, pale]
    assert [one.get_facecolor() for one in squares] == [bar.get_facecolor() for bar in bars]
    labels = [dark.get_label(), pale.get_label(), interval.get_label()]
    assert labels == ["called", "not called", "95 % interval"]


@pytest.mark.parametrize("highest", [40.0, 100.0])
def test_shares_are_drawn_from_0_to_100_whatever_they_are(highest: float) -> None:
    _, (ax,) = grid_of_axes(1, 1, height_in=2)

    draw_scatter(np.array([0.0, highest]), np.array([10.0, highest]), ax=ax)

    assert ax.get_xlim() == ax.get_ylim() == (-3, 103)
    assert ax.get_xticks().tolist() == ax.get_yticks().tolist() == [0, 20, 40, 60, 80, 100]
    assert (
        np.asarray(ax.get_lines()[0].get_xdata()).tolist()
        == np.asarray(ax.get_lines()[0].get_ydata()).tolist()
    )


def test_before_is_hollow_and_after_is_filled_with_its_parts_beside_it() -> None:
    _, (ax,) = grid_of_axes(1, 1, height_in=2)
    before, after = np.array([1.0, 2.0]), np.array([3.0, NAN])
    changes = Changes(
        before=before,
        after=after,
        part_rows=np.array([0, 0, 1]),
        parts_before=np.array([0.5, 1.5, 2.0]),
        parts_after=np.array([2.0, 4.0, 5.0]),
    )

    draw_changes(["1", "2"], changes, ax=ax, part="one core")

    dots = {str(line.get_label()): line for line in ax.get_lines()}
    assert dots["before"].get_markerfacecolor() == "white"
    assert dots["after"].get_markerfacecolor() != "white"
    assert np.asarray(dots["before"].get_ydata()).tolist() == [1.0, 2.0]
    parts = dots["one core"]
    assert np.asarray(parts.get_ydata()).tolist() == [2.0, 4.0, 5.0]
    assert np.round(np.asarray(parts.get_xdata(), dtype=float)).tolist() == [0, 0, 1]
    assert parts.get_markersize() < dots["after"].get_markersize()
