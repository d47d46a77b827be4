import numpy as np
import pytest

from tissuetrace.imaging.edges import edge_sums, edges_inside

CANNY = (30.0, 60.0)


def ramp(step: int) -> np.ndarray:
    return np.tile(np.arange(20, dtype=np.uint8) * step, (12, 1))


@pytest.mark.parametrize("step", [1, 4])
def test_an_even_ramp_slopes_eight_times_its_step(step: int) -> None:
    inside = np.zeros((12, 20), bool)
    inside[2:10, 3:15] = True

    density, slope = edges_inside(ramp(step), inside, thresholds=CANNY)

    assert slope == 8 * step  # weights 1 + 2 + 1, over two pixels
    assert density == 0


def test_a_step_has_one_column_of_edge_pixels() -> None:
    gray = np.zeros((30, 30), np.uint8)
    gray[:, 15:] = 50
    inside = np.zeros((30, 30), bool)
    inside[4:26, 4:26] = True

    density, _ = edges_inside(gray, inside, thresholds=CANNY)

    assert density == pytest.approx(1 / 20)  # one column of the 20 that the erosion leaves


def test_thresholds_decide_what_is_an_edge() -> None:
    gray = np.zeros((30, 30), np.uint8)
    gray[:, 15:] = 10  # a slope of 40

    assert edge_sums(gray, None, thresholds=(30.0, 39.0))[0] == 30
    assert edge_sums(gray, None, thresholds=(30.0, 41.0))[0] == 0


def test_a_cell_without_an_inside_has_neither_edge_nor_slope() -> None:
    inside = np.zeros((12, 20), bool)
    inside[5:7, 3:15] = True

    assert edges_inside(ramp(4), inside, thresholds=CANNY).tolist() == [0, 0]
