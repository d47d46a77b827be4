"""Mean and standard deviation, by which inputs are brought to one scale."""

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

__all__ = ["mean_and_sd"]


def mean_and_sd(
    x: Float64[ndarray, "patch channel"],
) -> tuple[Float64[ndarray, " channel"], Float64[ndarray, " channel"]]:
    """Return mean and standard deviation of each channel; 1 for a channel that is constant."""
    mean, sd = x.mean(axis=0), x.std(axis=0)
    # a constant's deviation is rounding noise, by which a test row must not be divided
    return mean, np.where(sd > 1e-12 * np.abs(mean), sd, 1.0)
