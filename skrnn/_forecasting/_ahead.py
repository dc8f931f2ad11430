"""Ahead: forecasts for any steps, before, within and beyond the horizon that was trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._forecasting._dataset import Buffers, Origins, WindowDataset
from skrnn._forecasting._learned import Windows
from skrnn._forecasting._model import Covariates, ForecastModel
from skrnn._forecasting._panel import Panel
from skrnn._forecasting._rolling import Ends, Steps, roll
from skrnn._forecasting._transform import SeriesTransform

__all__ = ["Steps", "ends_of", "forecast_ahead", "forecast_within", "spans_ahead"]

# Windows that are forecast before their inputs are forgotten.
CHUNK = 8192


def forecast_ahead(
    model: ForecastModel,
    panel: Panel,
    covariates: Covariates,
    n_steps: int,
    alpha: NDArray,
    earlier: Callable[[int, int], float] | None = None,
) -> Steps:
    """Forecast the steps that follow the end of each series, as :func:`roll` does.

    Parameters
    ----------
    model : ForecastModel
        The fitted model.

    panel : Panel
        The series; only the last window of each is read.

    covariates : dict of ndarray
        Features of the last `window_length` steps of each series and of `n_steps` more, as
        :func:`spans_ahead` gives them.

    n_steps : int
        Steps to forecast.

    alpha : ndarray of shape (n_alpha,)
        Levels of the quantiles.

    earlier : callable or None, default=None
        As :func:`ends_of` takes it.

    Returns
    -------
    steps : Steps
        In the units of the series.
    """
    ends = ends_of(model, panel, covariates, earlier)
    return roll(model.learned, model.networks, ends, n_steps, alpha)


def ends_of(
    model: ForecastModel,
    panel: Panel,
    covariates: Covariates,
    earlier: Callable[[int, int], float] | None = None,
) -> Ends:
    """Ends of all series of a panel.

    Parameters
    ----------
    model : ForecastModel
        The fitted model.

    panel : Panel
        The series; only the last window of each is read.

    covariates : dict of ndarray
        Features of the last `window_length` steps of each series and of some more.

    earlier : callable or None, default=None
        Where the panel is only the end of what is known: gives the last value of a series and
        column before it, on the scale the series are modelled on.

    Returns
    -------
    ends : Ends
        The ends.
    """
    values = _last_windows(model, panel)
    _bridge(values, model, panel, earlier)
    by_series = {
        name: rows if name == "static" else rows.reshape(panel.n_series, -1, rows.shape[1])
        for name, rows in covariates.items()
    }
    return Ends(values, np.arange(panel.n_series), panel.last_ticks, by_series)


def _last_windows(model: ForecastModel, panel: Panel) -> NDArray[np.float64]:
    """Transformed last window of each series: (n_series, window_length, n_columns)."""
    length = model.window_length
    values = np.full((panel.n_series, length, panel.n_columns), np.nan)
    for i in range(panel.n_series):
        past, ticks = panel.series(i)[-length:], panel.ticks(i)[-length:]
        values[i, length - len(past) :] = model.transform.forward(past, i, ticks)
    return values


def spans_ahead(model: ForecastModel, panel: Panel, n_steps: int) -> tuple[NDArray, NDArray]:
    """First tick and number of steps whose features :func:`forecast_ahead` reads."""
    first = panel.last_ticks + 1 - model.window_length
    return first, np.full(panel.n_series, model.window_length + n_steps)


def forecast_within(
    model: ForecastModel,
    panel: Panel,
    covariates: Covariates,
    ticks: NDArray[np.integer],
    alpha: NDArray,
) -> Steps:
    """Forecast steps of the past, each from all that came before it.

    Parameters
    ----------
    model : ForecastModel
        The fitted model.

    panel : Panel
        The series.

    covariates : dict of ndarray
        Features of all their steps.

    ticks : ndarray of shape (n_ticks,)
        Times to forecast.

    alpha : ndarray of shape (n_alpha,)
        Levels of the quantiles.

    Returns
    -------
    steps : Steps
        NaN where a series does not reach. The first step of a series has no past; it gets the
        mean and the quantiles of the series.
    """
    n_columns = panel.n_columns
    shape = (panel.n_series, len(ticks), n_columns)
    point, quantiles = np.full(shape, np.nan), np.full((*shape, len(alpha)), np.nan)
    origin = ticks - panel.first_ticks[:, None]
    inside = (origin >= 1) & (origin < panel.lengths[:, None])
    at: Any = np.nonzero(inside)
    if len(at[0]):
        values = model.transformed(panel)
        buffers = Buffers(values, panel.offsets, model.least, covariates)
        origins = Origins(np.ones_like(panel.lengths), panel.lengths, n_columns)
        before = np.cumsum(origins.counts) - origins.counts
        rows = (before[at[0]] + origin[at] - 1)[:, None] * n_columns + np.arange(n_columns)
        dataset = model.dataset(buffers, origins)
        series = np.repeat(at[0], n_columns)
        windows = _in_chunks(model, dataset, rows.ravel(), alpha)
        _bridge_within(windows, values, panel.offsets[series], origins.at(rows.ravel()))
        column = np.tile(np.arange(n_columns), len(at[0]))
        when = np.repeat(ticks[at[1]], n_columns)[:, None]
        back = model.transform.backward
        rows_of = (len(at[0]), n_columns)
        point[at] = back(windows.point, series, column, when).reshape(rows_of)
        levels = model.learned.whole(back(windows.quantiles, series, column, when))
        quantiles[at] = levels.reshape(*rows_of, len(alpha))
    for i, j in zip(*np.nonzero(origin == 0), strict=True):
        whole = panel.series(i)
        some = np.isfinite(whole).any(axis=0)
        point[i, j, some] = np.nanmean(whole[:, some], axis=0)
        if len(alpha) and some.any():
            quantiles[i, j, some] = np.nanquantile(whole[:, some], alpha, axis=0).T
    return Steps(point, quantiles)


def _bridge(
    windows: NDArray,
    model: ForecastModel,
    panel: Panel,
    earlier: Callable[[int, int], float] | None,
) -> None:
    """Put the last known value of a series at the end of a window that has none."""
    blank = ~np.isfinite(windows).any(axis=1)
    for i, j in zip(*np.nonzero(blank), strict=True):
        windows[i, -1, j] = last_known(model.transform, panel, i, j)
        if earlier is not None and not np.isfinite(windows[i, -1, j]):
            windows[i, -1, j] = earlier(i, j)


def last_known(transform: SeriesTransform, panel: Panel, i: int, j: int) -> float:
    """Last value of a series and column on the scale it is modelled on; NaN where there is none."""
    whole = transform.forward(panel.series(i), i, panel.ticks(i))[:, j]
    known = np.flatnonzero(np.isfinite(whole))
    return float(whole[known[-1]]) if len(known) else np.nan


def _bridge_within(
    windows: Windows, values: NDArray, starts: NDArray, places: tuple[NDArray, NDArray, NDArray]
) -> None:
    """Forecast the last known value where a window has none; NaN before the first one."""
    _, origin, column = places
    for row in np.flatnonzero(~np.isfinite(windows.past).any(axis=1)):
        before = values[starts[row] : starts[row] + origin[row], column[row]]
        known = before[np.isfinite(before)]
        windows.point[row] = known[-1] if len(known) else np.nan
        windows.quantiles[row] = windows.point[row, :, None]


def _in_chunks(
    model: ForecastModel, dataset: WindowDataset, numbers: NDArray, alpha: NDArray
) -> Windows:
    """First steps of many windows, with not too many of them in memory at once.

    Of the past only whether there was any is kept: 0, or NaN.
    """
    parts = []
    for i in range(0, len(numbers), CHUNK):
        part = model.distribution(dataset, numbers[i : i + CHUNK], alpha, 1)
        some = np.isfinite(part.past).any(axis=1, keepdims=True)
        parts.append(replace(part, past=np.where(some, 0.0, np.nan), truth=part.truth[:, :1]))
    names = [field.name for field in fields(Windows)]
    return Windows(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))
