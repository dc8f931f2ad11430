"""Contenders of `forecasting.py`: each gives forecasts, intervals where it has them, and seconds.

The forecaster under test is handed in as a class, so that the tables can be checked without it.
"""

import importlib.util
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from _forecasting_data import Rolling, SeriesSet, Single

Settings = Mapping[str, Any]
COVERAGES = (0.8, 0.95)
OURS = "RNNForecaster"
NAIVE = "seasonal naive"


@dataclass
class Outcome:
    """What a contender gave; `forecast` is None where it did not finish, and `note` says why.

    Forecasts of several groups, each with a fit of its own, are a dictionary.
    """

    forecast: np.ndarray | dict[str, np.ndarray | None] | None
    fit: float = 0.0
    predict: float = 0.0
    intervals: dict[float, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    note: str = ""


@dataclass
class Budget:
    """Seconds a statistical contender may take for a whole data set."""

    seconds: float
    start: float = field(default_factory=time.perf_counter)

    @property
    def spent(self) -> float:
        return time.perf_counter() - self.start

    @property
    def over(self) -> bool:
        return self.spent > self.seconds


# --- naive forecasts -----------------------------------------------------------------------------


def seasonal_naive(y: np.ndarray, horizon: int, period: int) -> np.ndarray:
    """The last season, repeated; `y` has time first."""
    season = y[-min(period, len(y)) :]
    return season[np.arange(horizon) % len(season)]


def _is_seasonal(y: np.ndarray, period: int) -> bool:
    """M4's test: is the autocorrelation at the period above its 90 % limit?"""
    if period == 1 or len(y) < 3 * period:
        return False
    centred = y - y.mean()
    products = np.array([centred[k:] @ centred[: len(y) - k] for k in range(period + 1)])
    acf = products[1:] / products[0]
    limit = 1.645 / np.sqrt(len(y)) * np.sqrt(1 + 2 * np.sum(acf[:-1] ** 2))
    return bool(abs(acf[-1]) > limit)


def _season_factors(y: np.ndarray, period: int) -> np.ndarray:
    """Factors of the classical multiplicative decomposition, for each step of y."""
    weights = np.full(period, 1 / period)
    if period % 2 == 0:
        weights = np.r_[0.5, np.ones(period - 1), 0.5] / period
    trend = np.convolve(y, weights, mode="valid")
    first = len(weights) // 2
    ratios = np.full(len(y), np.nan)
    ratios[first : first + len(trend)] = y[first : first + len(trend)] / trend
    figure = np.array([np.nanmean(ratios[k::period]) for k in range(period)])
    return np.resize(figure / figure.mean(), len(y))


def naive2(y: np.ndarray, horizon: int, period: int) -> np.ndarray:
    """M4's Naive2: the last value, seasonally adjusted where the season is significant."""
    if not _is_seasonal(y, period):
        return np.repeat(y[-1], horizon)
    factors = _season_factors(y, period)
    return y[-1] / factors[-1] * seasonal_naive(factors, horizon, period)


def on_panel(rule: Callable[..., np.ndarray], data: SeriesSet) -> Outcome:
    """Give every series of a panel to a rule of the kind of `seasonal_naive`."""
    start = time.perf_counter()
    forecast = np.stack([rule(y, data.horizon, data.period) for y in data.train])
    return Outcome(forecast, predict=time.perf_counter() - start)


# --- ours ----------------------------------------------------------------------------------------


def ours_on_panel(forecaster: type, data: SeriesSet, settings: Settings) -> Outcome:
    """One global fit; the integer index has no frequency, so `sp` is given."""
    model = forecaster(**{"sp": data.period, **settings})
    y, steps = data.frame(), list(range(1, data.horizon + 1))
    start = time.perf_counter()
    model.fit(y, fh=steps)
    fitted = time.perf_counter()
    forecast = _by_key(model.predict()["y"], data)
    bounds = model.predict_interval(coverage=list(COVERAGES))["y"]
    done = time.perf_counter()
    intervals = {
        c: (_by_key(bounds[c, "lower"], data), _by_key(bounds[c, "upper"], data)) for c in COVERAGES
    }
    return Outcome(forecast, fitted - start, done - fitted, intervals)


def _by_key(column: pd.Series, data: SeriesSet) -> np.ndarray:
    """Forecasts of a panel as rows, in the order of the data."""
    rows = {key: part.to_numpy() for key, part in column.groupby(level=0)}
    return np.stack([rows[key] for key in data.keys])


def roll(
    model: Any,
    y: pd.DataFrame | pd.Series,
    origins: np.ndarray,
    X: pd.DataFrame | None = None,
    future: Callable[[int], pd.DataFrame | None] | None = None,
) -> np.ndarray:
    """Forecasts of a fitted model from each origin, without learning from the newer rows.

    `model` was fitted on the rows before the first origin, with its horizon. `future` gives the
    rows of X that `predict` asks for.
    """
    made, known = [], origins[0]
    for origin in origins:
        if origin > known:
            newer = None if X is None else X.iloc[known:origin]
            model.update(y.iloc[known:origin], X=newer, update_params=False)
        forecast = model.predict(X=None if future is None else future(origin))
        made.append(np.asarray(forecast, dtype=float))
        known = origin
    return np.stack(made)


def ours_rolling(
    forecaster: type, data: Rolling, origins: np.ndarray, horizon: int, settings: Settings
) -> Outcome:
    """One fit before the first origin; the columns of X, if any, are known in the past only."""
    if data.X is not None:
        settings = {"past_covariates": list(data.X), **settings}
    model = forecaster(**settings)
    X = None if data.X is None else data.X.iloc[: data.start]
    start = time.perf_counter()
    model.fit(data.y.iloc[: data.start], X=X, fh=list(range(1, horizon + 1)))
    fitted = time.perf_counter()
    forecast = roll(model, data.y, np.r_[data.start, origins], data.X)[1:]
    return Outcome(forecast, fitted - start, time.perf_counter() - fitted)


# --- others with rolling origins -----------------------------------------------------------------


def naive_rolling(data: Rolling, origins: np.ndarray, horizon: int, period: int) -> Outcome:
    """Seasonal naive from each origin; what is missing is carried forward."""
    start = time.perf_counter()
    y = data.y.ffill().bfill().to_numpy()
    forecast = np.stack([seasonal_naive(y[:o], horizon, period) for o in origins])
    return Outcome(forecast, predict=time.perf_counter() - start)


def boosting_rolling(data: Rolling, origins: np.ndarray, horizon: int, seed: int) -> Outcome:
    """sktime's direct reduction to gradient boosting: one regressor per step, a day of lags.

    Missing values are interpolated in the training part and carried forward after it.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sktime.forecasting.compose import make_reduction

    head = data.y.iloc[: data.start].interpolate().bfill()
    y = pd.concat([head, data.y.iloc[data.start :]]).ffill()
    X = None if data.X is None else pd.get_dummies(data.X, dtype=float)
    model = make_reduction(
        HistGradientBoostingRegressor(random_state=seed), strategy="direct", window_length=24
    )

    def future(origin: int) -> pd.DataFrame | None:
        """The reduction wants rows here, though it reads lags alone: the last row, repeated."""
        if X is None:
            return None
        stamps = y.index[origin - 1] + y.index.freq * np.arange(1, horizon + 1)
        values = np.repeat(X.to_numpy()[origin - 1 : origin], horizon, axis=0)
        return pd.DataFrame(values, index=pd.DatetimeIndex(stamps), columns=X.columns)

    start = time.perf_counter()
    past = None if X is None else X.iloc[: data.start]
    model.fit(y.iloc[: data.start], X=past, fh=list(range(1, horizon + 1)))
    fitted = time.perf_counter()
    forecast = roll(model, y, np.r_[data.start, origins], X, future)[1:]
    return Outcome(forecast, fitted - start, time.perf_counter() - fitted)


# --- Theta and exponential smoothing -------------------------------------------------------------


def statistical(name: str, period: int) -> Any:
    """A new forecaster of sktime that stands on statsmodels."""
    if name == "Theta":
        from sktime.forecasting.theta import ThetaForecaster

        return ThetaForecaster(sp=period, deseasonalize=period > 1)
    from sktime.forecasting.ets import AutoETS

    return AutoETS(auto=True, sp=period)


def fit_statistical(name: str, y: np.ndarray, horizon: int, period: int) -> np.ndarray | None:
    """Forecasts of one series, or None where the method refuses it or breaks down."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = statistical(name, period).fit(pd.Series(y), fh=np.arange(1, horizon + 1))
            forecast = np.asarray(model.predict(), dtype=float).ravel()
    except Exception:
        return None
    return forecast if np.isfinite(forecast).all() else None


def statistical_on_panel(name: str, data: SeriesSet, seconds: float) -> Outcome:
    """One fit per series; where it fails, seasonal naive takes its place and the note says so."""
    if importlib.util.find_spec("statsmodels") is None:
        return Outcome(None, note="not installed")
    budget, made, failed = Budget(seconds * len(data.keys)), [], 0
    for y in data.train:
        if budget.over:
            note = f"did not finish: {len(made)} of {len(data.keys)} in {budget.spent:.0f} s"
            return Outcome(None, note=note)
        forecast = fit_statistical(name, y, data.horizon, data.period)
        failed += forecast is None
        if forecast is None:
            forecast = seasonal_naive(y, data.horizon, data.period)
        made.append(forecast)
    note = f"{failed} failed: seasonal naive" if failed else ""
    return Outcome(np.stack(made), fit=budget.spent, note=note)


# --- single series: one row of the table of classics ---------------------------------------------


def ours_on_single(forecaster: type, data: Single, settings: Settings) -> Outcome:
    """One fit on the training part; `sp` is given where the index has no frequency."""
    origins = data.origins()
    if data.y.index.dtype.kind == "i":
        settings = {"sp": data.period, **settings}
    start = fitted = time.perf_counter()
    try:
        model = forecaster(**settings)
        model.fit(data.y.iloc[: origins[0]], fh=list(range(1, data.horizon + 1)))
        fitted = time.perf_counter()
        forecast = roll(model, data.y, origins).reshape(len(origins), data.horizon)
    except Exception as error:  # counted as worse than naive, and told
        return Outcome(None, note=f"{data.name}: {type(error).__name__}: {error}")
    return Outcome(forecast, fitted - start, time.perf_counter() - fitted)


def others_on_single(name: str, data: Single, seconds: float) -> Outcome:
    """Seasonal naive, or a statistical method that is fitted again at every origin."""
    origins, made = data.origins(), []
    y, budget = data.y.ffill().bfill().to_numpy(float), Budget(seconds * len(origins))
    if name != NAIVE and importlib.util.find_spec("statsmodels") is None:
        return Outcome(None, note="not installed")
    for origin in origins:
        if budget.over and name != NAIVE:
            return Outcome(None, note="did not finish")
        forecast = None
        if name != NAIVE:
            forecast = fit_statistical(name, y[:origin], data.horizon, data.period)
        if forecast is None:
            forecast = seasonal_naive(y[:origin], data.horizon, data.period)
        made.append(forecast)
    return Outcome(np.stack(made), fit=budget.spent)
