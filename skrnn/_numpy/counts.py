"""Counts: quantiles of the negative binomial distribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["quantiles_of_counts"]

#: Means above are treated as continuous.
LARGE_MEAN = 1e6


def quantiles_of_counts(
    log_mean: NDArray[Any], dispersion: NDArray[Any], levels: NDArray[Any]
) -> NDArray[Any]:
    """Least counts whose distribution function reaches the levels.

    Parameters
    ----------
    log_mean, dispersion : ndarray of shape (..., 1)
        Logarithm of the mean, and the dispersion.

    levels : ndarray of shape (n_alpha,)
        Levels in `(0, 1)`.

    Returns
    -------
    ndarray of shape (..., n_alpha)
        The counts.
    """
    from scipy.special import betainc, expit, gammaincinv, nbdtrik

    # nbdtrik is wrong or never returns for much larger means; a gamma distribution of the same
    # mean and variance is then closer than a hundredth of a standard deviation.
    large = log_mean > math.log(LARGE_MEAN)
    r = 1 / dispersion
    probability = expit(-np.where(large, 0.0, log_mean) - np.log(dispersion))  # r / (r + mean)
    count = np.ceil(nbdtrik(levels, r, probability)).clip(min=0)
    # The continuous inverse may round up one too far where the count hits the level exactly.
    below = (count - 1).clip(min=0)
    count = np.where(betainc(r, below + 1, probability) >= levels, below, count)
    # It also fails where even 0 is more likely than the level.
    count = np.where(betainc(r, 1.0, probability) >= levels, 0.0, count)
    shape = 1 / (np.exp(-log_mean.clip(min=0)) + dispersion)
    log_gamma_scale = log_mean - np.log(shape)
    log_tail = np.log(gammaincinv(shape, levels).clip(min=1e-300)) + log_gamma_scale
    tail = np.exp(log_tail.clip(max=math.log(np.finfo(np.float64).max)))
    return np.where(large, np.ceil(tail), count)
