"""Ahead: forecasts for any steps, before, within and beyond the horizon that was trained."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._forecasting._calibration import in_order
from skrnn._forecasting._dataset import Buffers, Origins, WindowDataset
from skrnn._forecasting._model import Covariates, ForecastModel
from skrnn._forecasting._net import Windows
from skrnn._forecasting._panel import Panel

# Windows that are forecast before their inputs are forgotten.
CHUNK = 8192


@dataclass(frozen=True)
class Steps:
    """Forecasts of all series for some steps each.

    Parameters
    ----------
    point : ndarray of shape (n_series, n_steps, n_columns)
        Point forecasts.

    quantiles : ndarray of shape (n_series, n_steps, n_columns, n_alpha)
        Quantiles.
    """

    point: NDArray[np.float64]
    quantiles: NDArray[np.float64]


def forecast_ahead(
    model: ForecastModel, panel: Panel, covariates: Covariates, n_steps: int, alpha: NDArray
) -> Steps:
    """Forecast the steps that follow the end of each series.

    Beyond the horizon of the model the forecasts so far are taken for what happened and the next
    horizon is forecast from there; the spread of its start is added to its own, as those of
    independent errors add up.

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

    Returns
    -------
    steps : Steps
        In the units of the series.
    """
    n_columns = panel.n_columns
    values = _last_windows(model, panel)
    blank = _bridge(values, model, panel)
    point, quantiles = _rolled(model, values, covariates, n_steps, alpha)
    series, column = np.divmod(np.arange(panel.n_series * n_columns), n_columns)
    ticks = panel.last_ticks[series][:, None] + 1 + np.arange(n_steps)
    shape = (panel.n_series, n_columns, n_steps)

    def in_units(forecast: NDArray) -> NDArray:
        forecast[blank.ravel()] = np.nan
        back = model.transform.backward(forecast, series, column, ticks)
        return back.reshape(*shape, *back.shape[2:]).swapaxes(1, 2)

    return Steps(in_units(point), _whole(in_units(quantiles), model))


def _last_windows(model: ForecastModel, panel: Panel) -> NDArray[np.float64]:
    """Transformed last window of each series: (n_series, window_length, n_columns)."""
    length = model.window_length
    values = np.full((panel.n_series, length, panel.n_columns), np.nan)
    for i in range(panel.n_series):
        past, ticks = panel.series(i)[-length:], panel.ticks(i)[-length:]
        values[i, length - len(past) :] = model.transform.forward(past, i, ticks)
    return values


def _rolled(
    model: ForecastModel, past: NDArray, covariates: Covariates, n_steps: int, alpha: NDArray
) -> tuple[NDArray, NDArray]:
    """Point forecasts and quantiles of each series and column, one horizon after the other."""
    horizon = model.horizon
    n_series, length, n_columns = past.shape
    values = np.concatenate([past, np.full((n_series, n_steps, n_columns), np.nan)], axis=1)
    offsets = np.arange(n_series + 1) * (length + n_steps)
    n_rows = n_series * n_columns
    points, quantiles, spread = [], [], np.zeros((n_rows, 1, len(alpha)))
    # Spreads add up around the median, which is neither mean nor point of every head.
    levels = np.append(alpha, 0.5)
    for start in range(0, n_steps, horizon):
        size = min(horizon, n_steps - start)
        first = np.full(n_series, length + start)
        origins = Origins(first, first + 1, n_columns)
        buffers = Buffers(values.reshape(-1, n_columns), offsets, model.least, covariates)
        dataset = model.dataset(buffers, origins)
        windows = model.distribution(dataset, np.arange(n_rows), levels, size)
        median = windows.quantiles[..., -1:]
        own = windows.quantiles[..., :-1] - median
        wider = np.sign(alpha - 0.5) * np.hypot(own, spread) if start else own
        points.append(windows.point)
        quantiles.append(in_order(median + wider, alpha))
        spread = wider[:, -1:]
        forecast = windows.point.reshape(n_series, n_columns, size).swapaxes(1, 2)
        values[:, length + start : length + start + size] = forecast
    return np.concatenate(points, axis=1), np.concatenate(quantiles, axis=1)


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
        levels = _whole(back(windows.quantiles, series, column, when), model)
        quantiles[at] = levels.reshape(*rows_of, len(alpha))
    for i, j in zip(*np.nonzero(origin == 0), strict=True):
        whole = panel.series(i)
        some = np.isfinite(whole).any(axis=0)
        point[i, j, some] = np.nanmean(whole[:, some], axis=0)
        if len(alpha) and some.any():
            quantiles[i, j, some] = np.nanquantile(whole[:, some], alpha, axis=0).T
    return Steps(point, quantiles)


def _bridge(windows: NDArray, model: ForecastModel, panel: Panel) -> NDArray[np.bool_]:
    """Put the last known value of a series at the end of a window that has none.

    Returns which series have no value at all, by series and column.
    """
    blank = ~np.isfinite(windows).any(axis=1)
    for i, j in zip(*np.nonzero(blank), strict=True):
        whole = model.transform.forward(panel.series(i), i, panel.ticks(i))[:, j]
        known = np.flatnonzero(np.isfinite(whole))
        if len(known):
            windows[i, -1, j] = whole[known[-1]]
            blank[i, j] = False
    return blank


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


def _whole(quantiles: NDArray, model: ForecastModel) -> NDArray:
    """Quantiles of counts are counts, also after blending and calibration."""
    return np.rint(quantiles).clip(min=0) if model.options.counts else quantiles
