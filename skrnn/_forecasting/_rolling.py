"""Rolling: forecasts from the ends of series, one horizon after the other, by any networks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from skrnn._forecasting._calibration import in_order
from skrnn._forecasting._learned import Learned, Windows

# What the networks make of the arguments of their `forward`, as arrays, at some levels.
Networks = Callable[[Mapping[str, NDArray[Any]], NDArray[np.float64]], Windows]


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


@dataclass(frozen=True)
class Ends:
    """The ends of some series, which is all that a forecast reads.

    Parameters
    ----------
    values : ndarray of shape (n_series, window_length, n_columns)
        The last values on the scale the series are modelled on, NaN where one is missing. Where a
        window has none, its last value is the last one that was known, or NaN if none ever was.

    series : ndarray of shape (n_series,)
        Which series of the model they are.

    ticks : ndarray of shape (n_series,)
        Time of the last step.

    covariates : mapping of str to ndarray
        "past" and "future" of shape (n_series, window_length + n_steps, n_features), "static" of
        shape (n_series, n_features); those that the networks read.
    """

    values: NDArray[np.float64]
    series: NDArray[np.integer]
    ticks: NDArray[np.integer]
    covariates: Mapping[str, NDArray[Any]]


class Features(Protocol):
    """What networks read beside the values, made of the times of steps and of rows of X."""

    @property
    def columns(self) -> list[Hashable]:
        """Columns of X that a step that has happened needs."""

    @property
    def columns_ahead(self) -> list[Hashable]:
        """Columns of X that a step to come needs."""

    def read(
        self, name: str, ticks: NDArray[np.integer], X: Any, columns: list[Hashable]
    ) -> NDArray[np.float32]:
        """Features of steps at `ticks`, whose columns of X are the columns of a 2-D array."""


@dataclass(frozen=True)
class Beginning:
    """Where streams of forecasts begin.

    Parameters
    ----------
    learned : Learned
        What the model knows.

    networks : callable
        Its networks.

    ends : Ends
        The ends of its series, with the covariates of the windows.

    known : ndarray of shape (n_series, n_columns)
        Last value of each on the scale of the model; NaN where there is none.

    features : Features
        What is read beside the values.

    steps : ndarray of shape (n_steps,)
        Steps to forecast, from 1 on.

    keys : tuple
        Key of each series.

    digest : bytes
        Tells models apart.

    missing : bool, default=True
        Whether values may be missing.
    """

    learned: Learned
    networks: Networks
    ends: Ends
    known: NDArray[np.float64]
    features: Features
    steps: NDArray[np.int64]
    keys: tuple[Hashable, ...]
    digest: bytes
    missing: bool = True


def roll(
    learned: Learned, networks: Networks, ends: Ends, n_steps: int, alpha: NDArray[np.float64]
) -> Steps:
    """Forecast the steps that follow the ends of series.

    Beyond the horizon of the model the forecasts so far are taken for what happened and the next
    horizon is forecast from there; the spread of its start is added to its own, as those of
    independent errors add up.

    Parameters
    ----------
    learned : Learned
        What the model knows.

    networks : callable
        Its networks.

    ends : Ends
        Where the series are.

    n_steps : int
        Steps to forecast.

    alpha : ndarray of shape (n_alpha,)
        Levels of the quantiles.

    Returns
    -------
    steps : Steps
        In the units of the series; NaN for series that never had a value.
    """
    n_series, _, n_columns = ends.values.shape
    blank = ~np.isfinite(ends.values).any(axis=1)
    point, quantiles = _rolled(learned, networks, ends, n_steps, alpha)
    series, column = np.divmod(np.arange(n_series * n_columns), n_columns)
    ticks = ends.ticks[series][:, None] + 1 + np.arange(n_steps)

    def in_units(forecast: NDArray) -> NDArray:
        forecast[blank.ravel()] = np.nan
        back = learned.transform.backward(forecast, ends.series[series], column, ticks)
        return back.reshape(n_series, n_columns, n_steps, *back.shape[2:]).swapaxes(1, 2)

    return Steps(in_units(point), learned.whole(in_units(quantiles)))


def _rolled(
    learned: Learned, networks: Networks, ends: Ends, n_steps: int, alpha: NDArray
) -> tuple[NDArray, NDArray]:
    """Point forecasts and quantiles of each series and column, one horizon after the other."""
    n_series, length, n_columns = ends.values.shape
    values = np.concatenate([ends.values, np.full((n_series, n_steps, n_columns), np.nan)], axis=1)
    series, column = np.divmod(np.arange(n_series * n_columns), n_columns)
    points, quantiles, spread = [], [], np.zeros((n_series * n_columns, 1, len(alpha)))
    # Spreads add up around the median, which is neither mean nor point of every head.
    levels = np.append(alpha, 0.5)
    for start in range(0, n_steps, learned.horizon):
        size = min(learned.horizon, n_steps - start)
        raw = networks(_arguments(learned, ends, values, start), levels)
        windows = learned.finished(raw, ends.series[series], column, levels, size)
        median = windows.quantiles[..., -1:]
        own = windows.quantiles[..., :-1] - median
        wider = np.sign(alpha - 0.5) * np.hypot(own, spread) if start else own
        points.append(windows.point)
        quantiles.append(in_order(median + wider, alpha))
        spread = wider[:, -1:]
        forecast = windows.point.reshape(n_series, n_columns, size).swapaxes(1, 2)
        values[:, length + start : length + start + size] = forecast
    return np.concatenate(points, axis=1), np.concatenate(quantiles, axis=1)


def _arguments(
    learned: Learned, ends: Ends, values: NDArray[np.float64], start: int
) -> dict[str, NDArray[Any]]:
    """What the networks read of windows that end `start` steps after the ends of their series."""
    length, n_columns = learned.window_length, learned.n_columns
    past = values[:, start : start + length].swapaxes(1, 2)
    arguments: dict[str, NDArray[Any]] = {
        "past": past.reshape(-1, length),
        "least": learned.least[ends.series].ravel(),
    }
    for name, first, n_steps in (
        ("past", start, length),
        ("future", start + length, learned.horizon),
    ):
        if name in ends.covariates:
            given = ends.covariates[name][:, first : first + n_steps]
            # Beyond what is forecast nothing need be known.
            rows = np.zeros((len(given), n_steps, given.shape[2]), given.dtype)
            rows[:, : given.shape[1]] = given
            arguments[f"{name}_covariates"] = np.repeat(rows, n_columns, axis=0)
    if "static" in ends.covariates:
        static = np.repeat(ends.covariates["static"], n_columns, axis=0)
        if n_columns > 1:
            # Which column a window is of is a category of its own; code 0 is an unknown one.
            codes = np.tile(np.arange(1, n_columns + 1), len(values))[:, None]
            static = np.concatenate([static, codes.astype(static.dtype)], axis=1)
        arguments["static_covariates"] = static
    return arguments


def digest_of(weights: Sequence[Mapping[str, NDArray[Any]]], learned: Learned) -> bytes:
    """Tell models apart: by the weights of their networks and the scales of their series."""
    digest = hashlib.sha256()
    for arrays in weights:
        for name in sorted(arrays):
            digest.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    transform = learned.transform
    for array in (transform.log, transform.offset, transform.season, learned.least):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.digest()[:8]
