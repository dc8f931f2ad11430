"""Baselines: forecasts of windows without a network, for all windows at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Smoothing parameters that are tried.
SMOOTHING = np.linspace(0.05, 0.95, 19)


def seasonal_naive(past: NDArray, horizon: int, period: int) -> NDArray:
    """Repeat the last season that was observed.

    Parameters
    ----------
    past : ndarray of shape (n_windows, n_steps)
        Values up to the origin; NaN where one is missing.

    horizon : int
        Steps to forecast.

    period : int
        Steps in one season.

    Returns
    -------
    forecast : ndarray of shape (n_windows, horizon)
        The value one season before, or as many seasons as it takes to find one; the last value
        where there is none; NaN where nothing was observed at all.
    """
    n_windows, n_steps = past.shape
    missing = -n_steps % period
    padded = np.concatenate([np.full((n_windows, missing), np.nan), past], axis=1)
    seasons = padded.reshape(n_windows, -1, period)
    last = _last_finite(seasons.swapaxes(1, 2))
    last = np.where(np.isfinite(last), last, _last_finite(past)[:, None])
    return np.tile(last, (1, -(-horizon // period)))[:, :horizon]


def theta(past: NDArray, horizon: int) -> NDArray:
    r"""Forecast by the Theta method: exponential smoothing with half of the linear trend.

    Parameters
    ----------
    past : ndarray of shape (n_windows, n_steps)
        Values without their season up to the origin; NaN where one is missing.

    horizon : int
        Steps to forecast.

    Returns
    -------
    forecast : ndarray of shape (n_windows, horizon)
        The forecasts; NaN where nothing was observed at all.

    Notes
    -----
    With the level :math:`l` and the parameter :math:`\alpha` of simple exponential smoothing over
    :math:`n` steps, and the slope :math:`b` of the least-squares line, the forecast is [1]_

    .. math:: l + \tfrac b2 \left(h - 1 + \frac{1 - (1 - \alpha)^n}{\alpha}\right).

    References
    ----------
    .. [1] R. J. Hyndman, B. Billah, "Unmasking the Theta method", International Journal of
       Forecasting 19(2), 2003. doi.org/10.1016/S0169-2070(01)00143-1
    """
    seen = np.isfinite(past)
    level, smoothing = _smoothed_level(past, seen)
    length = np.where(seen.any(axis=1), past.shape[1] - seen.argmax(axis=1), 0)[:, None]
    drift = (1 - (1 - smoothing[:, None]) ** length) / smoothing[:, None]
    steps = np.arange(horizon)[None, :]
    return level[:, None] + _slope(past, seen)[:, None] / 2 * (steps + drift)


def _smoothed_level(past: NDArray, seen: NDArray) -> tuple[NDArray, NDArray]:
    """Last level of each window, and the parameter with the least squared error one step ahead."""
    first = np.where(seen.any(axis=1), past[np.arange(len(past)), seen.argmax(axis=1)], np.nan)
    levels = np.repeat(first[None], len(SMOOTHING), axis=0)
    squares = np.zeros_like(levels)
    # Errors in units of the window, so that their squares neither overflow nor vanish.
    unit = np.nanmax(np.abs(np.where(seen, past - first[:, None], 0.0)), axis=1)
    unit = np.where(unit > 0, unit, 1.0)
    for step in range(past.shape[1]):
        error = np.where(seen[:, step], past[:, step] - levels, 0.0)
        squares += np.square(error / unit)
        levels += SMOOTHING[:, None] * error
    best = squares.argmin(axis=0)
    return levels[best, np.arange(len(past))], SMOOTHING[best]


def _slope(past: NDArray, seen: NDArray) -> NDArray:
    """Slope of the least-squares line through each window; 0 with fewer than two values."""
    count = np.maximum(seen.sum(axis=1), 1)
    time = np.where(seen, np.arange(past.shape[1]), 0)
    time = np.where(seen, time - (time.sum(axis=1) / count)[:, None], 0.0)
    values = np.where(seen, past, 0.0)
    values = np.where(seen, values - (values.sum(axis=1) / count)[:, None], 0.0)
    spread = np.square(time).sum(axis=1)
    return (time * values).sum(axis=1) / np.where(spread > 0, spread, 1.0)


def _last_finite(values: NDArray) -> NDArray:
    """Last finite value along the last axis, NaN where there is none."""
    seen = np.isfinite(values)
    where = values.shape[-1] - 1 - np.argmax(seen[..., ::-1], axis=-1)
    return np.take_along_axis(values, where[..., None], axis=-1)[..., 0]
