"""Baselines: they are what the textbook says, gap or no gap."""

import numpy as np
import pandas as pd
import pytest
from sktime.forecasting.naive import NaiveForecaster

from skrnn._forecasting._baselines import SMOOTHING, seasonal_naive, theta


def naive_by_loop(x, horizon, period):
    """Go back whole seasons until a value is found; else take the last value of all."""
    seen = [v for v in x if np.isfinite(v)]
    forecast = []
    for h in range(horizon):
        t = len(x) + h
        while t >= len(x) or (t >= 0 and not np.isfinite(x[t])):
            t -= period
        forecast.append(x[t] if t >= 0 else (seen[-1] if seen else np.nan))
    return forecast


def theta_by_loop(x, horizon):
    """Simple exponential smoothing with half the slope of the line, by their definitions."""
    known = np.flatnonzero(np.isfinite(x))
    if len(known) == 0:
        return [np.nan] * horizon
    slope = np.polyfit(known, x[known], 1)[0] if len(known) > 1 else 0.0
    best = (np.inf, None, None)
    for alpha in SMOOTHING:
        level, squares = x[known[0]], 0.0
        for t in known[1:]:
            squares += (x[t] - level) ** 2
            level += alpha * (x[t] - level)
        if squares < best[0] * (1 - 1e-12) or best[1] is None:
            best = (squares, level, alpha)
    _, level, alpha = best
    n = len(x) - known[0]
    drift = (1 - (1 - alpha) ** n) / alpha
    return [level + slope / 2 * (h - 1 + drift) for h in range(1, horizon + 1)]


def holey(rng, missing, n=8, steps=17):
    past = 5 + rng.normal(size=(n, steps)).cumsum(axis=1)
    past[rng.random(past.shape) < missing] = np.nan
    past[0] = np.nan
    past[1] = np.nan
    past[1, 6] = 2.0
    return past


# --- seasonal naive ----------------------------------------------------------------------------


@pytest.mark.parametrize("period", [1, 2, 5, 12, 40])
@pytest.mark.parametrize("horizon", [1, 4, 30])
@pytest.mark.parametrize("missing", [0.0, 0.3, 0.9])
def test_f053_seasonal_naive_equals_a_loop(rng, period, horizon, missing):
    past = holey(rng, missing)
    kept = past.copy()
    expected = [naive_by_loop(x, horizon, period) for x in past]
    np.testing.assert_array_equal(seasonal_naive(past, horizon, period), expected)
    np.testing.assert_array_equal(past, kept)


# sktime says what its release 1.3.0 will remember; nothing is updated here.
@pytest.mark.filterwarnings("ignore:.*remember_data:FutureWarning")
@pytest.mark.parametrize("period", [1, 3, 7])
def test_seasonal_naive_equals_sktime(rng, period):
    y = pd.Series(rng.normal(size=23))
    forecaster = NaiveForecaster(strategy="last", sp=period).fit(y, fh=range(1, 16))
    ours = seasonal_naive(y.to_numpy()[None], 15, period)[0]
    np.testing.assert_allclose(ours, forecaster.predict().to_numpy().ravel(), rtol=1e-12)


def test_an_exact_season_is_continued_exactly():
    season = np.arange(6.0)
    past = np.tile(season, 4)[None, 3:]
    np.testing.assert_array_equal(seasonal_naive(past, 14, 6)[0], np.tile(season, 3)[:14])


# --- theta -------------------------------------------------------------------------------------


@pytest.mark.parametrize("horizon", [1, 12])
@pytest.mark.parametrize("missing", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("steps", [7, 60])
def test_f053_theta_equals_a_loop(rng, horizon, missing, steps):
    past = holey(rng, missing, n=20, steps=steps)
    kept = past.copy()
    expected = [theta_by_loop(x, horizon) for x in past]
    np.testing.assert_allclose(theta(past, horizon), expected, rtol=1e-9)
    np.testing.assert_array_equal(past, kept)


@pytest.mark.parametrize(
    ("factor", "shift"), [(1e-150, 0.0), (-3.0, 0.0), (1e150, 0.0), (2.0, 1e3)]
)
def test_f056_theta_follows_unit_and_level(rng, factor, shift):
    past = holey(rng, 0.2)
    moved = theta(factor * past + shift, 5)
    np.testing.assert_allclose(moved, factor * theta(past, 5) + shift, rtol=1e-9)


def test_theta_goes_on_with_half_the_slope(rng):
    steps = np.diff(theta(holey(rng, 0.0), 6)[2:], axis=1)
    np.testing.assert_allclose(steps, np.broadcast_to(steps[:, :1], steps.shape), atol=1e-12)
    line = 3 + 0.5 * np.arange(200.0)
    forecast = theta(line[None], 10)[0]
    np.testing.assert_allclose(np.diff(forecast), 0.25)
    # The level lags behind a line, and the drift makes up for half of it.
    assert abs(forecast[0] - 100 - 3) < 0.5


@pytest.mark.parametrize("baseline", [theta, lambda past, h: seasonal_naive(past, h, 4)])
def test_baselines_see_neither_batch_mates_nor_what_is_before_the_start(rng, baseline):
    past = holey(rng, 0.3)
    expected = baseline(past, 9)
    alone = np.concatenate([baseline(row[None], 9) for row in past])
    np.testing.assert_array_equal(alone, expected)
    longer = np.concatenate([np.full((len(past), 12), np.nan), past], axis=1)
    np.testing.assert_allclose(baseline(longer, 9), expected, rtol=1e-12)


@pytest.mark.parametrize("baseline", [theta, lambda past, h: seasonal_naive(past, h, 4)])
@pytest.mark.parametrize("level", [0.0, -3.5, 1e12])
def test_f055_constants_are_continued(baseline, level):
    np.testing.assert_array_equal(baseline(np.full((2, 9), level), 11), np.full((2, 11), level))
