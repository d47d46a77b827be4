import numpy as np

from tissuetrace.learn.moments import mean_and_sd


def test_a_channel_that_is_constant_is_not_divided_by_rounding_noise() -> None:
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(3.0, 2.0, 1001), np.full(1001, 0.1), np.zeros(1001)])
    assert x[:, 1].std() > 0  # though all its values are the same

    mean, sd = mean_and_sd(x)

    np.testing.assert_allclose(mean, x.mean(axis=0))
    np.testing.assert_allclose(sd, [x[:, 0].std(), 1.0, 1.0])
