"""Moments: weighted means and standard deviations of data that come in blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Standard deviations below this share of the mean are rounding noise of a constant.
CONSTANT = 10 * np.finfo(np.float64).eps
# Values read at a time when moments are computed: few enough to stay in the cache.
_BLOCK = 2**16
# Rows of few columns that are shifted as one: numpy starts anew with every row of a broadcast.
_TOGETHER = 32


def weighted_moments(
    values: NDArray, weight: NDArray | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation over rows; 0 where only rounding noise is left.

    Weighting a row by an integer equals repeating it.
    """
    return moments_of_blocks([(values, weight)])


def moments_of_blocks(
    blocks: Iterable[tuple[NDArray, NDArray | None]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of rows that come in blocks, each with the weights of its rows.

    Missing values (NaN) do not count; a column of nothing else has mean and deviation 0. The blocks
    are read once, and no copy of a whole one is made.
    """
    total: Any = 0.0
    mean: Any = 0.0
    squares: Any = 0.0
    for rows, weight in _short_blocks(blocks):
        here, mean_here, squares_here = _moments_of_rows(rows, weight)
        if not np.any(here):
            continue
        # Two groups become one: Chan, Golub, LeVeque, "Updating formulae ... variances", 1979.
        away = np.where(here > 0, mean_here - mean, 0.0)
        total, before = total + here, total
        counted = np.where(total > 0, total, 1.0)
        mean = mean + away * (here / counted)
        squares = squares + squares_here + away**2 * (before * here / counted)
    scale = np.sqrt(squares / np.where(total > 0, total, 1.0))
    return mean, np.where(scale > CONSTANT * np.abs(mean), scale, 0.0)


def _moments_of_rows(rows: NDArray, weight: NDArray) -> tuple[Any, NDArray, NDArray]:
    """Total weight, weighted mean and sum of squares around it of the columns of a few rows."""
    # A product sums the rows of a few columns ten times faster than numpy's sum over an axis.
    exact = rows.astype(np.float64, order="C")
    here: Any = weight @ _ones(len(weight))
    mean = weight @ exact / (here if here > 0 else 1.0)
    # One missing value is enough to show in the mean of its column.
    if not np.isnan(mean).any():
        return here, mean, weight @ np.square(_shift(exact, mean), out=exact)
    missing = np.isnan(exact)
    here = weight @ ~missing
    mean = weight @ np.where(missing, 0.0, exact) / np.where(here > 0, here, 1.0)
    return here, mean, weight @ np.where(missing, 0.0, exact - mean) ** 2


def _shift(rows: NDArray[np.float64], mean: NDArray) -> NDArray[np.float64]:
    """Subtract the mean from every row, in place."""
    whole = len(rows) // _TOGETHER * _TOGETHER
    rows[:whole].reshape(-1, _TOGETHER * len(mean))[...] -= np.tile(mean, _TOGETHER)
    rows[whole:] -= mean
    return rows


def _short_blocks(
    blocks: Iterable[tuple[NDArray, NDArray | None]],
) -> Iterator[tuple[NDArray, NDArray[np.float64]]]:
    for values, weight in blocks:
        size = max(_BLOCK // values.shape[1], 1)
        for i in range(0, len(values), size):
            rows = values[i : i + size]
            own = _ones(len(rows)) if weight is None else weight[i : i + size]
            yield rows, own.astype(np.float64, copy=False)


@lru_cache(maxsize=4)
def _ones(n: int) -> NDArray[np.float64]:
    ones = np.ones(n)
    ones.flags.writeable = False
    return ones
