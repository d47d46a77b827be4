"""Maps, heat maps and changes: what lies where on the axes."""

from typing import Any

import numpy as np
import pytest

from tissuetrace.report.figures import grid_of_axes
from tissuetrace.report.maps import (
    Changes,
    Map,
    draw_changes,
    draw_heat,
    draw_maps,
    draw_scatter,
    draw_signed_bars,
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


def test_maps_stand_side_by_side_and_begin_a_new_line() -> None:
    _, (ax,) = grid_of_axes(1, 1, height_in=2)
    values = [np.full((2, 2), value) for value in (0.1, 0.2, 0.3)]

    draw_maps([Map(title=f"{one[0, 0]}", values=one) for one in values], columns=2, ax=ax)

    canvas: Any = ax.images[1].get_array()
    assert canvas.shape == (8, 8)
    assert [canvas[2, 1], canvas[2, 5], canvas[6, 1]] == [0.1, 0.2, 0.3]
    assert canvas.mask.sum() == 64 - 12
    assert [text.get_text() for text in ax.texts] == ["0.1", "0.2", "0.3"]


def test_no_map_is_refused() -> None:
    _, (ax,) = grid_of_axes(1, 1, height_in=2)

    with pytest.raises(ValueError, match="no map"):
        draw_maps([], columns=2, ax=ax)


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


def test_both_axes_of_a_scatter_are_alike_so_that_the_diagonal_is_one() -> None:
    _, (ax,) = grid_of_axes(1, 1, height_in=2)

    draw_scatter(np.array([0.0, 40.0]), np.array([10.0, 80.0]), ax=ax)

    assert ax.get_xlim() == ax.get_ylim()
    assert ax.get_xlim()[1] > 80
    assert (
        np.asarray(ax.get_lines()[0].get_xdata()).tolist()
        == np.asarray(ax.get_lines()[0].get_ydata()).tolist()
    )


def test_before_is_hollow_and_after_is_filled() -> None:
    _, (ax,) = grid_of_axes(1, 1, height_in=2)
    before, after = np.array([1.0, 2.0]), np.array([3.0, NAN])
    ends = np.stack([before, before])

    draw_changes(
        ["1", "2"],
        Changes(before=before, after=after, before_ends=ends, after_ends=ends),
        ax=ax,
    )

    dots = {str(line.get_label()): line for line in ax.get_lines()}
    assert dots["before"].get_markerfacecolor() == "white"
    assert dots["after"].get_markerfacecolor() != "white"
    assert np.asarray(dots["before"].get_ydata()).tolist() == [1.0, 2.0]
