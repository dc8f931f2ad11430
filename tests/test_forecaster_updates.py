"""Updates: what a forecaster does for one, it does however much it has seen before."""

import copy
import gc
import pickle
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from skrnn import RNNForecaster
from skrnn._forecasting import _history, _panel, _record
from skrnn._forecasting._transform import SeriesTransform

SMALL = {
    "hidden_size": 3,
    "max_epochs": 2,
    "batches_per_epoch": 2,
    "window_length": 6,
    "random_state": 0,
    "dtype": "float64",
    "refit": False,
}
FH = [1, 2, 3]
ALPHA = [0.1, 0.5, 0.9]
N_FIT = 50


@pytest.fixture(scope="module")
def table():
    """Return three series of 300 days that start at different times."""
    rng = np.random.default_rng(0)
    days = pd.date_range("2024-01-01", periods=300, freq="D")
    season = np.sin(np.arange(300) / 7 * 2 * np.pi)
    parts = {
        f"s{i}": pd.DataFrame({"y": 20 + season + rng.normal(0, 0.3, 300)}, days)[3 * i :]
        for i in range(3)
    }
    return pd.concat(parts, names=["id", "day"])


def covariates(y):
    day = y.index.get_level_values(-1).dayofyear.to_numpy()
    return pd.DataFrame({"known": np.cos(day), "past": np.sin(3.0 * day)}, y.index)


def until(table, day, first=0):
    at = (table.index.get_level_values(-1) - pd.Timestamp("2024-01-01")).days
    return table[(at >= first) & (at < day)]


def fitted(y, X=None, **params):
    params = {**SMALL, **params} | ({} if X is None else {"past_covariates": ["past"]})
    return RNNForecaster(**params).fit(y, X=X, fh=FH)


def forecasts(forecaster, X=None):
    return np.column_stack(
        [
            forecaster.predict(X=X),
            forecaster.predict_quantiles(X=X, alpha=ALPHA),
            forecaster.predict_interval(X=X, coverage=0.8),
        ]
    )


def ahead(table, day):
    return until(table, day + 3, day)


@pytest.mark.parametrize("params", [{}, {"n_estimators": 2, "guard": "off"}, {"loss": "normal"}])
@pytest.mark.parametrize("with_X", [False, True])
def test_many_updates_are_one_long_history(params, with_X, table):
    X = covariates(table) if with_X else None
    start, seen = until(table, N_FIT), None if X is None else until(X, N_FIT)
    forecaster = fitted(start, seen, **params)
    whole = copy.deepcopy(forecaster)
    day = N_FIT
    for size in (1, 1, 4, 1, 30, 1, 1, 7, 20, 1):
        newer = None if X is None else until(X, day + size, day)
        forecaster.update(until(table, day + size, day), X=newer, update_params=False)
        day += size
    newer = None if X is None else until(X, day, N_FIT)
    whole.update(until(table, day, N_FIT), X=newer, update_params=False)
    future = None if X is None else ahead(X, day)[["known"]]
    assert forecaster.cutoff == whole.cutoff
    assert_array_equal(forecasts(forecaster, future), forecasts(whole, future))
    # Steps of the past, for which everything has to be there.
    past = table.index.get_level_values(-1).unique()[[5, 40, 60, 100]]
    assert_array_equal(forecaster.predict(fh=past), whole.predict(fh=past))


def test_some_series_may_be_updated_and_others_not(table):
    forecaster = fitted(until(table, N_FIT))
    whole = copy.deepcopy(forecaster)
    known = dict.fromkeys(["s0", "s1", "s2"], N_FIT)
    for day in range(N_FIT, 120):
        # What is missing of a series comes with its next update.
        names = list(known) if day >= 118 else ["s0", "s2"] if day % 2 else ["s0"]
        newer = pd.concat([until(table, day + 1, known[name]).loc[[name]] for name in names])
        forecaster.update(newer, update_params=False)
        known.update(dict.fromkeys(names, day + 1))
    whole.update(until(table, 120, N_FIT), update_params=False)
    assert_array_equal(forecasts(forecaster), forecasts(whole))


def test_newer_values_count_wherever_they_are(table):
    series = until(table, 200).loc["s0", "y"]
    forecaster = fitted(series[:N_FIT])
    whole = copy.deepcopy(forecaster)
    changed = series.copy()
    for day in range(N_FIT, 120):
        forecaster.update(series[day : day + 1], update_params=False)
    for first in (117, 60, 20):  # among the recent ones, put away since, and of the fit
        changed[first : first + 3] += 1.0
        forecaster.update(changed[first:120], update_params=False)
    expected = copy.deepcopy(whole).update(changed[:120], update_params=False)
    assert_array_equal(forecasts(forecaster), forecasts(expected))
    assert_array_equal(forecaster._whole().panel.values, expected._whole().panel.values)
    with pytest.raises(ValueError, match="older than the known start"):
        forecaster.update(series[:1].set_axis(pd.date_range("2020-01-01", periods=1, freq="D")))


@pytest.mark.parametrize("gaps", ["mask", "interpolate"])
def test_gaps_between_updates_are_filled(gaps, table):
    series = until(table, 120).loc["s0", "y"]
    forecaster = fitted(series[:N_FIT], gaps=gaps)
    whole = copy.deepcopy(forecaster)
    days = [day for day in range(N_FIT, 120) if day % 5]
    for day in days:
        forecaster.update(series[day : day + 1], update_params=False)
    whole.update(series.iloc[days], update_params=False)
    assert_allclose(forecasts(forecaster), forecasts(whole), rtol=1e-12)
    strict = fitted(series[:N_FIT])
    with pytest.raises(ValueError, match="1 missing step after"):
        strict.update(series[N_FIT + 1 : N_FIT + 2], update_params=False)
    assert_array_equal(forecasts(strict), forecasts(fitted(series[:N_FIT])))


def test_a_new_series_and_new_weights_look_at_everything(table):
    two = until(table, N_FIT).loc[["s0", "s1"]]
    forecaster = fitted(two)
    for day in range(N_FIT, 90):
        forecaster.update(until(table, day + 1, day).loc[["s0", "s1"]], update_params=False)
    forecaster.update(until(table, 90).loc[["s2"]], update_params=False)
    assert forecaster.predict().index.get_level_values(0).unique().tolist() == ["s0", "s1", "s2"]
    assert forecaster._whole().panel.lengths.tolist() == [90, 87, 84]
    whole = fitted(two).update(until(table, 90, N_FIT).loc[["s0", "s1"]], update_params=False)
    whole.update(until(table, 90).loc[["s2"]], update_params=False)
    assert_array_equal(forecasts(forecaster), forecasts(whole))
    newest = until(table, 91, 90)
    assert_array_equal(forecasts(forecaster.update(newest)), forecasts(whole.update(newest)))


def test_long_gaps_of_values_are_bridged_from_before(table):
    series = until(table, 120).loc["s0", "y"]
    missing = series[N_FIT:] * np.nan
    forecaster = fitted(series[:N_FIT])
    whole = copy.deepcopy(forecaster).update(missing, update_params=False)
    for day in range(len(missing)):
        forecaster.update(missing[day : day + 1], update_params=False)
    assert_array_equal(forecasts(forecaster), forecasts(whole))
    assert np.isfinite(forecasts(forecaster)).all()
    back = series[110:].set_axis(pd.date_range(missing.index[-1], periods=11, freq="D")[1:])
    for day in range(10):
        forecaster.update(back[day : day + 1], update_params=False)
    assert_array_equal(forecasts(forecaster), forecasts(whole.update(back, update_params=False)))


@pytest.mark.parametrize("way", [copy.deepcopy, lambda f: pickle.loads(pickle.dumps(f))])
def test_copies_go_on_with_updates(way, table):
    series = until(table, 120).loc["s0", "y"]
    forecaster = fitted(series[:N_FIT])
    for day in range(N_FIT, 100):
        forecaster.update(series[day : day + 1], update_params=False)
    twin = way(forecaster)
    assert_array_equal(forecasts(twin), forecasts(forecaster))
    for day in range(100, 120):
        for one in (twin, forecaster):
            one.update(series[day : day + 1], update_params=False)
    assert_array_equal(forecasts(twin), forecasts(forecaster))
    assert_array_equal(twin._whole().panel.values[:, 0], series)


# -- constant work ----------------------------------------------------------------------------


class Work:
    """Counts the rows that go through what looks at histories."""

    def __init__(self, monkeypatch):
        self.rows = 0
        for module in (_panel, _record):
            monkeypatch.setattr(module, "rows_of", self._counted(module.rows_of))
        forward, arrays = SeriesTransform.forward, _history.History._arrays

        def counted_forward(transform, values, *args):
            self.rows += len(values)
            return forward(transform, values, *args)

        def counted_arrays(history, *args):
            found = arrays(history, *args)
            self.rows += sum(len(rows) for rows in found.values())
            return found

        monkeypatch.setattr(SeriesTransform, "forward", counted_forward)
        monkeypatch.setattr(_history.History, "_arrays", counted_arrays)

    def _counted(self, function):
        def rows_of(starts, lengths):
            self.rows += int(np.sum(lengths))
            return function(starts, lengths)

        return rows_of

    def of(self, forecaster, y, X, future):
        """Rows touched by updates and forecasts, at most for one of them."""
        most = 0
        for i in range(len(y)):
            self.rows = 0
            more = None if X is None else X[i : i + 1]
            forecaster.update(y[i : i + 1], X=more, update_params=False)
            forecaster.predict(X=None if future is None else future[i + 1 : i + 4])
            most = max(most, self.rows)
        return most


@pytest.mark.parametrize("with_X", [False, True])
def test_an_update_touches_as_many_rows_whatever_was_seen(with_X, monkeypatch):
    rng = np.random.default_rng(0)
    index = pd.date_range("2024-01-01", periods=4100, freq="h")
    y = pd.Series(20 + rng.normal(size=4100), index)
    X = covariates(y) if with_X else None
    most = []
    for n in (100, 4000):
        forecaster = fitted(y[:n], None if X is None else X[:n], guard="off", calendar=False)
        future = None if X is None else X[["known"]][n : n + 60]
        forecaster.predict(X=None if future is None else future[:3])
        work = Work(monkeypatch)
        more = None if X is None else X[n : n + 50]
        most.append(work.of(forecaster, y[n : n + 50], more, future))
        monkeypatch.undo()
    # A window of 6 steps, at most two of them at hand, and a horizon of 3.
    assert most[0] == most[1] < 200


def test_the_memory_of_updates_is_that_of_the_data():
    series = pd.Series(np.sin(np.arange(400.0)), pd.RangeIndex(400))
    forecaster = fitted(series[:200], guard="off")

    def memory_after(days):
        for day in days:
            forecaster.update(series[day : day + 1], update_params=False)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    start = memory_after(range(200, 300))  # the libraries keep some of what they are asked first
    kept = memory_after(range(300, 400)) - start
    tracemalloc.stop()
    # Eight bytes for a value, and the objects around every six of them.
    assert kept < 100 * 600
    assert forecaster._y is None
    assert len(forecaster._seen().recent.panel.values) <= 2 * 6 + 1
    assert_array_equal(forecaster._whole().panel.values[:, 0], series)


def test_forecasts_leave_the_forecaster_as_it_is(table):
    series = until(table, 120).loc["s0", "y"]
    forecaster = fitted(series[:N_FIT])
    for day in range(N_FIT, 100):
        if day in (N_FIT, N_FIT + 30):
            before = dict(vars(forecaster))
            forecasts(forecaster)
            forecaster.predict(fh=series.index[[10, 40]])
            pickle.dumps(forecaster)
            after = dict(vars(forecaster))
            for name in ("_fh", "_cutoff"):  # sktime's own, set to what they were
                before.pop(name), after.pop(name)
            assert all(after[name] is value for name, value in before.items())
            assert before.keys() == after.keys()
            forecaster.predict(fh=FH)
        forecaster.update(series[day : day + 1], update_params=False)
