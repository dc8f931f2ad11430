"""Transform: every series on its own scale, a logarithm where it grows, less its season."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# One-sided 95 % quantile of the normal distribution: a season must be as clear as that.
CLEAR = 1.645
# A season is estimated from at least this many.
LEAST_SEASONS = 3
# Largest share of zeros in a series that is modelled as logarithms.
MOST_ZEROS = 0.05
# Largest exponent on the way back: beyond it a forecast is no number.
LARGEST_LOG = 700.0


@dataclass(frozen=True)
class SeriesTransform:
    """Logarithm and season of every series of a panel, and the way back.

    Parameters
    ----------
    log : ndarray of bool of shape (n_series, n_columns)
        Which are modelled as logarithms.

    offset : ndarray of shape (n_series, n_columns)
        What is added before the logarithm: 0 for positive series, more for those with zeros.

    season : ndarray of shape (n_series, n_columns, period)
        What is subtracted (after the logarithm) at each step of the season.
    """

    log: NDArray[np.bool_]
    offset: NDArray[np.float64]
    season: NDArray[np.float64]

    @property
    def period(self) -> int:
        """Steps in one season."""
        return self.season.shape[2]

    def forward(self, values: NDArray, series: int, ticks: NDArray[np.integer]) -> NDArray:
        """Transform one series.

        Parameters
        ----------
        values : ndarray of shape (n_steps, n_columns)
            Values; NaN where one is missing.

        series : int
            Position of the series.

        ticks : ndarray of shape (n_steps,)
            Time of each step.

        Returns
        -------
        transformed : ndarray of shape (n_steps, n_columns)
            What the network sees; NaN for what has no logarithm.
        """
        values = _logarithms(values, self.log[series], self.offset[series])
        return values - self.season[series].T[ticks % self.period]

    def forward_steps(
        self, values: NDArray, series: NDArray[np.integer], ticks: NDArray[np.integer]
    ) -> NDArray[np.float64]:
        """Transform a step of each of several series.

        Parameters
        ----------
        values : ndarray of shape (n_series, n_columns)
            Values; NaN where one is missing.

        series, ticks : ndarray of shape (n_series,)
            Position of each series, and time of its step.

        Returns
        -------
        transformed : ndarray of shape (n_series, n_columns)
            What `forward` makes of them.
        """
        values = _logarithms(values, self.log[series], self.offset[series])
        return values - self.season[series, :, ticks % self.period]

    def backward(
        self,
        values: NDArray,
        series: NDArray[np.integer],
        column: NDArray[np.integer],
        ticks: NDArray[np.integer],
    ) -> NDArray:
        """Bring forecasts back to the units of the series.

        Parameters
        ----------
        values : ndarray of shape (n_windows, n_steps, ...)
            Forecasts or quantiles.

        series, column : ndarray of shape (n_windows,)
            Which series each window is of.

        ticks : ndarray of shape (n_windows, n_steps)
            Time of each step.

        Returns
        -------
        forecasts : ndarray of shape (n_windows, n_steps, ...)
            In the units of the series.
        """
        further = (1,) * (values.ndim - 2)
        season = self.season[series[:, None], column[:, None], ticks % self.period]
        values = values + season.reshape(*season.shape, *further)
        log = self.log[series, column].reshape(-1, 1, *further)
        offset = self.offset[series, column].reshape(-1, 1, *further)
        lifted = np.exp(np.where(log, values, 0.0).clip(max=LARGEST_LOG))
        return np.where(log, (lifted - offset).clip(min=0), values)


def _logarithms(values: NDArray, log: NDArray[np.bool_], offset: NDArray) -> NDArray:
    """Take the logarithms of those values that are modelled as such."""
    if not log.any():
        return values
    # Later values may be smaller than all were when the choice was made.
    lifted = values + offset
    positive = np.where(lifted > 0, lifted, np.nan)
    return np.where(log, np.log(positive), values)


def learn_transform(
    values: list[NDArray],
    first_ticks: NDArray[np.integer],
    period: int,
    log: bool | str,
    deseasonalize: bool | str,
) -> SeriesTransform:
    """Choose the transform of every series.

    Parameters
    ----------
    values : list of ndarray of shape (n_steps_i, n_columns)
        The series; NaN where a value is missing.

    first_ticks : ndarray of shape (n_series,)
        Time of the first step of each.

    period : int
        Steps in one season.

    log : bool or "auto"
        True for all series that are positive, or hardly ever zero and never negative; "auto" for
        those of them that change by shares rather than by amounts.

    deseasonalize : bool or "auto"
        True for all series of at least three seasons, "auto" for those of them whose season is
        clear.

    Returns
    -------
    transform : SeriesTransform
        The choices.

    Notes
    -----
    A logarithm is chosen by the profile likelihood of Box and Cox [1]_: the changes from season to
    season of the logarithm, times the geometric mean, have a smaller sum of squares. A series with
    zeros is lifted by its smallest positive value first, which for counts is 1. The season is
    that of the classical decomposition, the mean of what a centred moving average over one season
    leaves. It is clear if the autocorrelation of the differenced series at one season exceeds
    its one-sided 95 % limit, as the benchmarks of the M competitions test it [2]_.

    References
    ----------
    .. [1] G. E. P. Box, D. R. Cox, "An Analysis of Transformations", Journal of the Royal
       Statistical Society B 26(2), 1964. doi.org/10.1111/j.2517-6161.1964.tb00553.x
    .. [2] S. Makridakis, E. Spiliotis, V. Assimakopoulos, "The M4 Competition", International
       Journal of Forecasting 36(1), 2020. doi.org/10.1016/j.ijforecast.2019.04.014
    """
    n_columns = values[0].shape[1]
    logs = np.zeros((len(values), n_columns), dtype=bool)
    offsets = np.zeros((len(values), n_columns))
    seasons = np.zeros((len(values), n_columns, period))
    for i, series in enumerate(values):
        for j in range(n_columns):
            x = _filled(series[:, j])
            if len(x) == 0:
                continue
            offset = _log_offset(series[:, j])
            if log is not False and offset is not None:
                logs[i, j] = log is True or _is_multiplicative(x + offset, period)
            if logs[i, j]:
                offsets[i, j] = offset
                x = np.log(x + offset)
            season = _season(x, period, deseasonalize)
            seasons[i, j] = np.roll(season, first_ticks[i] % period)
    return SeriesTransform(logs, offsets, seasons)


def _filled(x: NDArray) -> NDArray:
    """Series with straight lines through its gaps, for estimating its season only."""
    seen = np.isfinite(x)
    if not seen.any():
        return x[:0]
    return np.interp(np.arange(len(x)), np.flatnonzero(seen), x[seen])


def _log_offset(x: NDArray) -> float | None:
    """What to add before a logarithm; None where there is none to take."""
    known = x[np.isfinite(x)]
    if known.min() < 0 or (known == 0).mean() > MOST_ZEROS:
        return None
    return 0.0 if known.min() > 0 else float(known[known > 0].min())


def _is_multiplicative(x: NDArray, period: int) -> bool:
    """Whether a series changes by shares rather than by amounts."""
    lag = period if len(x) > 2 * period else 1
    if len(x) <= lag:
        return False
    logarithm = np.log(x)
    change, share = x[lag:] - x[:-lag], logarithm[lag:] - logarithm[:-lag]
    # Both in units of their largest value, so that squares neither overflow nor vanish.
    unit = np.abs(x).max()
    geometric_mean = np.exp(logarithm.mean() - np.log(unit))
    return bool(np.square(share * geometric_mean).sum() < np.square(change / unit).sum())


def _season(x: NDArray, period: int, deseasonalize: bool | str) -> NDArray:
    none = np.zeros(period)
    if deseasonalize is False or period == 1 or len(x) < LEAST_SEASONS * period:
        return none
    if deseasonalize == "auto" and not _is_seasonal(x, period):
        return none
    weights = np.full(period + 1 - period % 2, 1 / period)
    if period % 2 == 0:
        weights[[0, -1]] /= 2
    trend = np.convolve(x, weights, mode="valid")
    half = len(weights) // 2
    rest = x[half : half + len(trend)] - trend
    step = (np.arange(len(rest)) + half) % period
    season = np.bincount(step, rest, minlength=period) / np.bincount(step, minlength=period)
    return season - season.mean()


def _is_seasonal(x: NDArray, period: int) -> bool:
    """Whether the differenced series repeats itself after one season."""
    change = np.diff(x)
    change = change - change.mean()
    largest = np.abs(change).max()
    if largest == 0:
        return False
    change = change / largest
    power = np.square(change).sum()
    n = len(change)
    # All lags at once; twice the length, so that the end does not meet the beginning.
    spectrum = np.abs(np.fft.rfft(change, 2 * n)) ** 2
    correlation = np.fft.irfft(spectrum)[1 : period + 1] / power
    limit = CLEAR * np.sqrt((1 + 2 * np.square(correlation[:-1]).sum()) / len(x))
    return bool(correlation[-1] > limit)
