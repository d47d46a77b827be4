import numpy as np
import pytest
from scipy import stats

from tissuetrace.imaging.intensity import gray_counts, moments


@pytest.mark.parametrize("seed", range(4))
def test_moments_equal_those_of_scipy(seed: int) -> None:
    gray = np.random.default_rng(seed).binomial(255, 0.1 * (seed + 1), (50, 40)).astype(np.uint8)

    found = moments(gray_counts(gray, None))

    expected = [gray.mean(), gray.std(), stats.skew(gray, axis=None)]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_one_pixel_that_differs_keeps_its_digits() -> None:
    counts = np.zeros(256, np.int64)
    counts[255], counts[254] = 10**8 - 1, 1

    mean, std, skewness = moments(counts)

    f = 1e-8  # a share f one gray below the rest
    assert mean == 255 - f
    assert std == pytest.approx((f * (1 - f)) ** 0.5, rel=1e-14)
    assert skewness == pytest.approx(-(1 - 2 * f) / (f * (1 - f)) ** 0.5, rel=1e-14)


def test_equal_grays_have_no_skewness() -> None:
    counts = np.zeros(256, np.int64)
    counts[7] = 12

    assert moments(counts).tolist() == [7, 0, 0]


def test_no_pixel_has_no_mean() -> None:
    with pytest.raises(ValueError, match="no pixel"):
        moments(np.zeros(256, np.int64))


def test_a_mask_chooses_what_is_counted() -> None:
    gray = np.array([[0, 5], [5, 9]], np.uint8)

    counts = gray_counts(gray, gray > 0)

    assert {int(level): int(counts[level]) for level in counts.nonzero()[0]} == {5: 2, 9: 1}
    assert gray_counts(gray, None)[0] == 1
