"""Ahead: steps beyond the horizon roll on; steps of the past know nothing of what came later."""

import copy

import numpy as np
import pandas as pd
import pytest
from small_models import between

from skrnn import RNNForecaster
from skrnn._forecasting._ahead import forecast_ahead, forecast_within, spans_ahead
from skrnn._forecasting._history import History
from skrnn._forecasting._inputs import Inputs
from skrnn._forecasting._model import ForecastModel
from skrnn._forecasting._panel import read_panel
from skrnn._forecasting._setup import model_options, sizes_of, training_options
from skrnn._forecasting._transform import SeriesTransform

DAYS = pd.date_range("2024-01-01", periods=80, freq="D", name="day")
SPANS = {"a": (0, 40), "b": (10, 33), "c": (4, 40)}
HORIZON = 3
ALPHA = np.array([0.1, 0.5, 0.9])
TINY = {
    "hidden_size": 3,
    "max_epochs": 2,
    "batches_per_epoch": 3,
    "window_length": 6,
    "patch_length": 3,
    "sp": 3,
    "dtype": "float64",
    "device": "cpu",
}


def make_y(rng, n_columns=1, lift=20.0):
    parts = {
        key: pd.DataFrame(lift + rng.normal(size=(b - a, n_columns)).cumsum(0), index=DAYS[a:b])
        for key, (a, b) in SPANS.items()
    }
    return pd.concat(parts, names=["key"])


def make_X(rng):
    """Return covariates of all days, and so also of those to come."""
    values = {"price": rng.normal(size=80), "day": np.arange(80) % 4}
    return pd.concat({key: pd.DataFrame(values, DAYS) for key in SPANS}, names=["key"])


def fitted(y, X=None, **changes):
    """Return a fitted model and its history; X may reach further than y."""
    params = {**RNNForecaster(**TINY).get_params(deep=False), **changes}
    panel = read_panel(y)
    seen = None if X is None else X.loc[y.index]
    inputs = Inputs.learn(
        panel, seen, calendar=params["calendar"], past=None, static=None, categorical=["day"]
    )
    sizes = sizes_of(params, panel, HORIZON)
    history = History.of(panel, seen, inputs)
    model = ForecastModel(model_options(params, sizes, inputs), training_options(params), inputs)
    return model.fit(panel, history.arrays(), 0), history


def ahead(model, history, n_steps, X=None, alpha=ALPHA):
    panel = history.panel
    future = model.inputs.read(X, panel.clock, past=False)
    features = history.arrays_ahead(spans_ahead(model, panel, n_steps), future)
    return forecast_ahead(model, panel, features, n_steps, alpha)


def grown(history, values, X):
    """Return the history with one block of values of shape (n_series, n_steps, n_columns) more."""
    panel = history.panel
    parts = {}
    for i, key in enumerate(panel.keys):
        ticks = panel.last_ticks[i] + 1 + np.arange(values.shape[1])
        parts[key] = pd.DataFrame(values[i], panel.clock.stamps(ticks))
    newer = pd.concat(parts, names=["key"])
    more = None if X is None else X.loc[newer.index]
    return history.extend(read_panel(newer, clock=panel.clock), more, "error")


def alone(model, history, i):
    """Return the model and the history of series `i` only, with what was learned about it."""
    part, whole = copy.copy(model), model.transform
    part.transform = SeriesTransform(whole.log[[i]], whole.offset[[i]], whole.season[[i]])
    part.least = model.least[[i]]
    return part, history.take(np.array([i]))


CASES = [
    {},
    {"calendar": False},
    {"log": True},
    {"deseasonalize": True, "log": False},
    {"decoder": "recurrent", "calibrate": False, "guard": "off"},
    {"n_estimators": 2, "loss": "normal", "guard": "off"},
]


# --- beyond the horizon ------------------------------------------------------------------------


@pytest.mark.parametrize("changes", CASES)
@pytest.mark.parametrize("n_columns", [1, 2])
@pytest.mark.parametrize("with_X", [False, True])
def test_a_rolled_horizon_equals_repeated_forecasts(rng, changes, n_columns, with_X):
    y, X = make_y(rng, n_columns), make_X(rng) if with_X else None
    model, history = fitted(y, X, **changes)
    n_steps = 2 * HORIZON + 1
    rolled = ahead(model, history, n_steps, X)
    assert rolled.point.shape == (3, n_steps, n_columns)
    assert rolled.quantiles.shape == (3, n_steps, n_columns, 3)
    for start in range(0, n_steps, HORIZON):
        size = min(HORIZON, n_steps - start)
        once = ahead(model, history, size, X)
        part = slice(start, start + size)
        np.testing.assert_allclose(rolled.point[:, part], once.point, rtol=1e-8)
        if start == 0:
            np.testing.assert_allclose(rolled.quantiles[:, part], once.quantiles, rtol=1e-8)
        else:
            # What is uncertain about the start is added, so that intervals only widen.
            width = rolled.quantiles[:, part, :, 2] - rolled.quantiles[:, part, :, 0]
            own = once.quantiles[..., 2] - once.quantiles[..., 0]
            assert bool((width >= own * (1 - 1e-9)).all())
        history = grown(history, once.point, X)


@pytest.mark.parametrize("changes", CASES)
def test_shorter_forecasts_are_the_start_of_longer_ones(rng, changes):
    model, history = fitted(make_y(rng), **changes)
    longest = ahead(model, history, 8)
    for n_steps in range(1, 8):
        steps = ahead(model, history, n_steps)
        np.testing.assert_allclose(steps.point, longest.point[:, :n_steps], rtol=1e-9)
        np.testing.assert_allclose(steps.quantiles, longest.quantiles[:, :n_steps], rtol=1e-9)


@pytest.mark.parametrize("changes", CASES)
def test_f064_quantiles_stay_in_order(rng, changes):
    model, history = fitted(make_y(rng), **changes)
    alpha = np.array([0.9, 0.02, 0.5, 0.3, 0.98])
    quantiles = ahead(model, history, 11, alpha=alpha).quantiles
    assert bool((np.diff(quantiles[..., np.argsort(alpha)]) >= 0).all())


def test_only_the_last_window_is_read(rng):
    y = make_y(rng)
    model, history = fitted(y)
    expected = ahead(model, history, 4)
    changed = y.copy()
    for key, (a, b) in SPANS.items():
        changed.loc[(key, slice(DAYS[a], DAYS[b - TINY["window_length"] - 1])), :] = 1e3
    other = History.of(read_panel(changed), None, model.inputs)
    np.testing.assert_array_equal(ahead(model, other, 4).point, expected.point)


def test_f061_series_do_not_meet(rng):
    y = make_y(rng)
    model, history = fitted(y)
    expected = ahead(model, history, 4)
    changed = y.copy()
    changed.loc["b"] = 500.0
    other = History.of(read_panel(changed), None, model.inputs)
    np.testing.assert_array_equal(ahead(model, other, 4).point[[0, 2]], expected.point[[0, 2]])


def test_covariates_of_a_step_reach_only_that_step_within_a_horizon(rng):
    y, X = make_y(rng), make_X(rng)
    model, history = fitted(y, X, guard="off", max_epochs=20)
    expected = ahead(model, history, HORIZON, X).point
    changed = X.copy()
    changed.loc[("b", DAYS[SPANS["b"][1] + 1]), "price"] += 5.0
    moved = ahead(model, history, HORIZON, changed).point != expected
    assert np.argwhere(moved[..., 0]).tolist() == [[1, 1]]


@pytest.mark.parametrize("missing", ["tail", "inner", "all of the window"])
def test_f053_missing_values_give_finite_forecasts(rng, missing):
    y = make_y(rng)
    where = {"tail": slice(36, 39), "inner": slice(20, 30), "all of the window": slice(30, 39)}
    y.loc[("a", slice(DAYS[where[missing].start], DAYS[where[missing].stop])), :] = np.nan
    model, history = fitted(y)
    steps = ahead(model, history, 7)
    assert bool(np.isfinite(steps.point).all())
    assert bool(np.isfinite(steps.quantiles).all())


# --- within the past ---------------------------------------------------------------------------


def wrong_steps(model, history, origins):
    """List (series, origin) whose step in the past is not what the shortened history says."""
    found = []
    for i in range(history.panel.n_series):
        part, own = alone(model, history, i)
        panel = own.panel
        ticks = panel.first_ticks[0] + np.arange(panel.lengths[0])
        within = forecast_within(part, panel, own.arrays(), ticks, ALPHA)
        for origin in range(panel.lengths[0])[origins]:
            short = History.of(between(panel, ticks[0], ticks[origin - 1]), None, model.inputs)
            expected = ahead(part, short, 1)
            same = np.allclose(within.point[0, origin], expected.point[0, 0], rtol=1e-8)
            same &= np.allclose(within.quantiles[0, origin], expected.quantiles[0, 0], rtol=1e-8)
            if not same:
                found.append((i, origin))
    return found


@pytest.mark.parametrize("changes", CASES)
@pytest.mark.parametrize("n_columns", [1, 2])
def test_steps_of_the_past_equal_forecasts_from_the_shortened_history(rng, changes, n_columns):
    model, history = fitted(make_y(rng, n_columns), **changes)
    assert not wrong_steps(model, history, slice(TINY["window_length"], None))


@pytest.mark.parametrize("changes", CASES)
def test_so_do_steps_whose_window_reaches_over_the_start(rng, changes):
    model, history = fitted(make_y(rng), **changes)
    assert not wrong_steps(model, history, slice(1, TINY["window_length"]))


def test_steps_of_the_past_are_those_asked_for_and_missing_where_a_series_does_not_reach(rng):
    model, history = fitted(make_y(rng, 2))
    panel = history.panel
    ticks = np.arange(panel.first_ticks.min() - 2, panel.last_ticks.max() + 3)
    steps = forecast_within(model, panel, history.arrays(), ticks, ALPHA)
    assert steps.point.shape == (3, len(ticks), 2)
    assert steps.quantiles.shape == (3, len(ticks), 2, 3)
    reaches = (ticks >= panel.first_ticks[:, None]) & (ticks <= panel.last_ticks[:, None])
    for values in (steps.point, steps.quantiles):
        assert bool(np.isfinite(values[reaches]).all())
        assert bool(np.isnan(values[~reaches]).all())


def test_steps_of_the_past_know_nothing_later(rng):
    y = make_y(rng)
    model, history = fitted(y)
    tick = history.panel.last_ticks.max() - 6
    expected = forecast_within(model, history.panel, history.arrays(), np.array([tick]), ALPHA)
    changed = y.copy()
    changed.loc[(slice(None), slice(history.panel.clock.stamps(np.array([tick]))[0], None)), :] = (
        9e9
    )
    other = History.of(read_panel(changed), None, model.inputs)
    steps = forecast_within(model, other.panel, other.arrays(), np.array([tick]), ALPHA)
    np.testing.assert_array_equal(steps.point, expected.point)


@pytest.mark.parametrize("n_columns", [1, 2])
def test_the_first_step_gets_the_mean_and_the_quantiles_of_its_series(rng, n_columns):
    model, history = fitted(make_y(rng, n_columns))
    panel = history.panel
    steps = forecast_within(model, panel, history.arrays(), panel.first_ticks, ALPHA)
    for i in range(3):
        x = panel.series(i)
        np.testing.assert_allclose(steps.point[i, i], x.mean(axis=0))
        np.testing.assert_allclose(steps.quantiles[i, i], np.quantile(x, ALPHA, axis=0).T)


def test_f053_the_first_step_of_a_column_without_values_is_missing(rng):
    y = make_y(rng, 2)
    model, _ = fitted(y)
    y.loc["a", 1] = np.nan
    other = History.of(read_panel(y), None, model.inputs)
    panel = other.panel
    steps = forecast_within(model, panel, other.arrays(), panel.first_ticks[:1], ALPHA)
    assert np.isfinite(steps.point[0, 0]).tolist() == [True, False]
    assert np.isfinite(steps.quantiles[0, 0]).all(axis=1).tolist() == [True, False]


def test_ticks_come_back_in_the_order_asked_for(rng):
    model, history = fitted(make_y(rng))
    ticks = history.panel.last_ticks.min() - np.array([3, 0, 7])
    steps = forecast_within(model, history.panel, history.arrays(), ticks, ALPHA)
    ordered = forecast_within(model, history.panel, history.arrays(), np.sort(ticks), ALPHA)
    np.testing.assert_array_equal(steps.point[:, np.argsort(ticks)], ordered.point)


def test_no_levels_give_no_quantiles(rng):
    model, history = fitted(make_y(rng))
    none = np.empty(0)
    ticks = history.panel.last_ticks.min() - np.arange(3)
    within = forecast_within(model, history.panel, history.arrays(), ticks, none)
    beyond = ahead(model, history, 5, alpha=none)
    assert within.quantiles.shape == (3, 3, 1, 0)
    assert beyond.quantiles.shape == (3, 5, 1, 0)
    np.testing.assert_allclose(beyond.point, ahead(model, history, 5).point)
