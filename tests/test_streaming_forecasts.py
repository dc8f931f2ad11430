"""Streams of forecasts: a step is an update and a forecast, at the same cost for ever."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sktime.forecasting.base import ForecastingHorizon

from skrnn import RNNForecaster
from skrnn._forecasting._record import Record
from skrnn.export import to_numpy
from skrnn.streaming import ForecasterStream

SMALL = {
    "hidden_size": 3,
    "max_epochs": 2,
    "batches_per_epoch": 2,
    "window_length": 6,
    "random_state": 0,
    "dtype": "float64",
    "refit": False,
}
FH = [1, 3]
ALPHA = [0.1, 0.5, 0.9]
N_FIT, N_MORE = 40, 9
DAYS = pd.date_range("2024-01-01", periods=N_FIT + N_MORE + 15, freq="D", name="day")
NAMES = ["a", "b", "c"]


def values(n_columns=1, lift=20.0, seed=0):
    rng = np.random.default_rng(seed)
    season = np.sin(np.arange(len(DAYS)) / 7 * 2 * np.pi)[:, None]
    return lift + season + rng.normal(0, 0.3, (len(DAYS), n_columns)).cumsum(0)


def single(n_columns=1, **kwargs):
    table = pd.DataFrame(values(n_columns, **kwargs), DAYS, [f"v{j}" for j in range(n_columns)])
    return table.iloc[:, 0] if n_columns == 1 else table


def panel(n_columns=1):
    parts = {name: pd.DataFrame(values(n_columns, seed=i), DAYS) for i, name in enumerate(NAMES)}
    return pd.concat(parts, names=["id"])


def covariates(y):
    day = y.index.get_level_values(-1).dayofyear.to_numpy()
    table = {"known": np.cos(day), "past": np.sin(3.0 * day), "kind": np.array(["x", "y"])[day % 2]}
    return pd.DataFrame(table, y.index)


def days(table, first, last):
    when = table.index.get_level_values(-1)
    return table[(when >= DAYS[first]) & (when < DAYS[last])]


def fit(y, X=None, fh=FH, **params):
    params = {**SMALL, **params} | ({} if X is None else {"past_covariates": ["past"]})
    X = None if X is None else days(X, 0, N_FIT)
    return RNNForecaster(**params).fit(days(y, 0, N_FIT), X=X, fh=fh)


def all_of(forecaster, n_series, X=None):
    """Return forecasts, quantiles and intervals as a stream gives them."""
    point = forecaster.predict(X=X).to_numpy()
    quantiles = forecaster.predict_quantiles(X=X, alpha=ALPHA).to_numpy()
    intervals = forecaster.predict_interval(X=X, coverage=[0.5, 0.8]).to_numpy()
    n_columns = quantiles.shape[1] // 3
    shape = (n_series, -1, *([n_columns] if n_columns > 1 else []))
    return (
        point.reshape(shape),
        quantiles.reshape(*shape, 3),
        intervals.reshape(*shape, 2, 2),
    )


def assert_stream_is_updates(forecaster, y, X=None, rtol=1e-9):
    stream = forecaster.stream()
    n_series = stream.n_streams
    for day in range(N_FIT, N_FIT + N_MORE):
        newer, more, ahead = days(y, day, day + 1), None, None
        if X is not None:
            more, ahead = days(X, day, day + 1), days(X, day + 1, day + 4)[["known", "kind"]]
        forecaster.update(newer, X=more, update_params=False)
        expected = all_of(forecaster, n_series, ahead)
        point = stream.step(newer.to_numpy(), X=more, X_ahead=ahead)
        found = (
            point,
            stream.predict_quantiles(ALPHA, X=ahead),
            stream.predict_interval([0.5, 0.8], X=ahead),
        )
        for one, other in zip(found, expected, strict=True):
            assert one.shape == other.shape
            assert_allclose(one, other, rtol=rtol)
        assert_array_equal(stream.predict(X=ahead), point)


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("single", {}),
        ("columns", {}),
        ("panel", {}),
        ("panel", {"loss": "student_t", "scaling": "instance", "decoder": "recurrent"}),
        ("panel", {"n_estimators": 2, "guard": "off", "calibrate": False, "cell": "gru"}),
        ("panel", {"log": True, "deseasonalize": True, "guard": "fallback"}),
        ("columns", {"calendar": False, "scaling": "mean", "cell": "mingru"}),
        ("single", {"horizon": 2, "log": False}),  # step 3 goes on from there
    ],
    ids=str,
)
def test_a_step_is_an_update_and_a_forecast(kind, params):
    y = {"single": single(), "columns": single(2), "panel": panel(2)}[kind]
    assert_stream_is_updates(fit(y, **params), y)


@pytest.mark.parametrize(
    ("kind", "params"),
    [("single", {}), ("panel", {"horizon": 2}), ("panel", {"calendar": False})],
    ids=str,
)
def test_covariates_of_steps_are_read(kind, params):
    y = single() if kind == "single" else panel()
    X = covariates(y)
    assert_stream_is_updates(fit(y, X, **params), y, X)


def test_single_precision_and_counts():
    y = single()
    assert_stream_is_updates(fit(y, dtype="float32"), y, rtol=1e-5)
    rng = np.random.default_rng(0)
    counts = pd.Series(rng.poisson(5, len(DAYS)).astype(float), DAYS)
    forecaster = fit(counts, loss="negative_binomial")
    assert_stream_is_updates(forecaster, counts)
    with pytest.raises(ValueError, match="y of series 0, column 0 is no count"):
        forecaster.stream().step(1.5)


def test_a_stream_is_the_forecast_from_the_whole_prefix():
    y = panel()
    forecaster = fit(y)
    stream = forecaster.stream()
    for day in range(N_FIT, N_FIT + 5):
        stream.update(days(y, day, day + 1).to_numpy())
    whole = forecaster.update(days(y, N_FIT, N_FIT + 5), update_params=False)
    assert_allclose(stream.predict(), whole.predict().to_numpy().reshape(3, 2), rtol=1e-9)


def test_missing_values_are_read_as_missing():
    y = single()
    y.iloc[[N_FIT + 2, N_FIT + 3]] = np.nan
    y.iloc[N_FIT + 5 :] = np.nan
    assert_stream_is_updates(fit(y), y)
    never = panel()
    never.loc["b"] = np.nan
    forecaster = None
    with pytest.warns(UserWarning, match="hardly any values are forecast, but not trained on"):
        forecaster = fit(never)
    stream = forecaster.stream()
    assert np.isnan(stream.predict()[1]).all()
    with pytest.raises(ValueError, match=r"series 0, column 0 is missing; fit with missing='mask'"):
        fit(single(), missing="error").stream().step(np.nan)


def test_rows_move_on_by_themselves():
    y = panel()
    forecaster = fit(y)
    stream, apart = forecaster.stream(), forecaster.stream()
    assert stream.keys == ("a", "b", "c")
    assert stream.steps.tolist() == FH
    table = days(y, N_FIT, N_FIT + 6).to_numpy().reshape(3, 6)
    for t in range(6):
        stream.step(table[:, t])
    for row in (2, 0, 1):
        for t in range(6):
            last = apart.step(table[row, t], rows=[row])
        assert_allclose(last, stream.predict(rows=[row]), rtol=1e-12)
    assert_allclose(apart.predict(), stream.predict(), rtol=1e-12)
    assert apart.n_steps.tolist() == [6, 6, 6]
    mask = np.array([False, True, False])
    assert apart.step(table[1, :1], rows=mask).shape == (1, 2)
    assert apart.n_steps.tolist() == [6, 7, 6]
    assert apart.step(np.empty(0), rows=[]).shape == (0, 2)
    # Rows in another order are answered in that order.
    both = apart.predict(rows=[2, 0])
    assert_allclose(both, np.stack([apart.predict(rows=[2])[0], apart.predict(rows=[0])[0]]))


def test_reset_goes_back_to_the_end_of_the_history():
    y = panel()
    forecaster = fit(y)
    stream = forecaster.stream()
    start = stream.predict()
    assert_allclose(start.ravel(), forecaster.predict().to_numpy().ravel(), rtol=1e-9)
    later = stream.step(days(y, N_FIT, N_FIT + 1).to_numpy())
    stream.reset([1])
    assert_allclose(stream.predict(), np.stack([later[0], start[1], later[2]]), rtol=1e-12)
    assert stream.n_steps.tolist() == [1, 0, 1]
    assert_array_equal(stream.reset().predict(), start)


def test_a_stream_begins_where_updates_have_come():
    y = single()
    forecaster = fit(y)
    for day in range(N_FIT, N_FIT + 8):
        forecaster.update(days(y, day, day + 1), update_params=False)
    stream = forecaster.stream()
    assert_allclose(stream.predict()[0], forecaster.predict(), rtol=1e-9)
    # It keeps what it began with.
    expected = stream.predict()
    forecaster.update(days(y, N_FIT + 8, N_FIT + 14))
    assert_array_equal(stream.predict(), expected)


@pytest.mark.parametrize("fh", [None, 2, [2, 5]])
def test_the_horizon_may_be_another(fh):
    forecaster = fit(single(), fh=None, horizon=3)
    stream = forecaster.stream(fh)
    expected = forecaster.predict(fh=[1, 2, 3] if fh is None else fh)
    assert_allclose(stream.predict()[0], expected, rtol=1e-9)


@pytest.mark.parametrize("other", [5, [-3, 0], ForecastingHorizon(DAYS[-2:], is_relative=False)])
def test_a_forecast_of_other_steps_does_not_change_those_of_fit(other):
    forecaster = fit(single())
    expected = forecaster.predict()
    forecaster.predict(fh=other)
    for stream in (forecaster.stream(), to_numpy(forecaster).stream()):
        assert stream.steps.tolist() == FH
        assert_allclose(stream.predict()[0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    "fh", [[-1, 0, 3], ForecastingHorizon(DAYS[N_FIT : N_FIT + 3], is_relative=False)]
)
def test_where_the_steps_of_fit_do_not_move_on_the_whole_horizon_does(fh):
    forecaster = fit(single(), fh=fh)
    for stream in (forecaster.stream(), to_numpy(forecaster).stream()):
        assert stream.steps.tolist() == [1, 2, 3]
        assert_allclose(stream.predict()[0], forecaster.predict(fh=[1, 2, 3]), rtol=1e-6)


def test_hierarchies_and_static_covariates_stream():
    parts = {("north", "a"): panel().loc["a"], ("south", "b"): panel().loc["b"]}
    y = pd.concat(parts, names=["region", "shop"])
    size = y.index.get_level_values("shop").map({"a": 1.0, "b": 3.0})
    X = pd.DataFrame({"size": size.to_numpy()}, y.index)
    forecaster = RNNForecaster(**SMALL, static_covariates=["size"])
    forecaster.fit(days(y, 0, N_FIT), X=days(X, 0, N_FIT), fh=FH)
    for stream in (forecaster.stream(), to_numpy(forecaster).stream()):
        assert stream.keys == (("north", "a"), ("south", "b"))
        assert stream.columns == stream.columns_ahead == []
        expected = forecaster.predict().to_numpy().reshape(2, 2)
        assert_allclose(stream.predict(), expected, rtol=1e-6)


# -- states -----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))])
def test_copies_go_on_by_themselves(way):
    y = panel()
    stream = fit(y).stream()
    stream.step(days(y, N_FIT, N_FIT + 1).to_numpy())
    twin = way(stream)
    before = stream.predict()
    twin.step(days(y, N_FIT + 1, N_FIT + 2).to_numpy())
    assert_array_equal(stream.predict(), before)
    stream.step(days(y, N_FIT + 1, N_FIT + 2).to_numpy())
    assert_array_equal(twin.predict(), stream.predict())


def test_a_state_is_loaded_by_another_stream(tmp_path):
    y = panel()
    X = covariates(y)
    forecaster = fit(y, X)
    stream = forecaster.stream()
    ahead = days(X, N_FIT + 1, N_FIT + 4)[["known", "kind"]]
    day = days(y, N_FIT, N_FIT + 1), days(X, N_FIT, N_FIT + 1)
    expected = stream.step(*day, X_ahead=ahead)
    np.savez(tmp_path / "state.npz", **stream.state_dict())
    with np.load(tmp_path / "state.npz") as state:
        other = pickle.loads(pickle.dumps(forecaster)).stream().load_state_dict(state)
    assert_array_equal(other.predict(X=ahead), expected)
    assert other.n_steps.tolist() == [1, 1, 1]
    state = stream.state_dict()
    with pytest.raises(ValueError, match="belongs to other weights"):
        fit(y, X, random_state=1).stream().load_state_dict(state)
    with pytest.raises(ValueError, match="'ticks' is missing"):
        stream.load_state_dict({k: v for k, v in state.items() if k != "ticks"})
    with pytest.raises(ValueError, match="'window' has shape"):
        stream.load_state_dict({**state, "window": state["window"][:2]})
    for array in state.values():
        array += 1  # they are copies
    assert_array_equal(stream.predict(X=ahead), expected)


def test_the_state_of_a_step_does_not_grow(monkeypatch):
    stream = fit(single()).stream()
    rows = []
    roll = stream._beginning.networks

    def counted(arguments, alpha):
        rows.append({name: array.shape for name, array in arguments.items()})
        return roll(arguments, alpha)

    object.__setattr__(stream._beginning, "networks", counted)
    monkeypatch.setattr(Record, "whole", None)  # nobody asks for the history
    sizes = []
    for value in np.random.default_rng(0).normal(20, 1, 300):
        stream.step(value)
        sizes.append({name: array.nbytes for name, array in stream.state_dict().items()})
    assert all(size == sizes[0] for size in sizes)
    assert all(row == rows[0] for row in rows)
    assert rows[0]["past"] == (1, 6)
    assert sum(sizes[0].values()) < 1000


# -- what does not fit --------------------------------------------------------------------------


@pytest.mark.parametrize("fh", [0, [-1, 1], [DAYS[50]], pd.Timedelta(days=1)])
def test_only_steps_to_come_can_be_streamed(fh):
    forecaster = fit(single(), fh=None)
    with pytest.raises((ValueError, TypeError), match=r"steps from 1 on|fh"):
        forecaster.stream(fh)


def test_wrong_steps_are_named_and_move_nothing():
    y = panel()
    X = covariates(y)
    forecaster = fit(y, X)
    stream = forecaster.stream()
    assert stream.columns == ["known", "kind", "past"]
    assert stream.columns_ahead == ["known", "kind"]
    before = stream.state_dict()
    good = [[0.5, "x", 0.1]] * 3
    ahead = [[[0.1, "y"]] * 3] * 3
    cases = [
        (([1.0, 2.0], good, ahead), r"y has shape \(2,\), expected \(3, 1\)"),
        (([1.0, np.inf, 2.0], good, ahead), "y of series 1, column 0 is infinite"),
        (([1.0, 2.0, 3.0],), r"pass X, columns \['known', 'kind', 'past'\]"),
        (([1.0, 2.0, 3.0], good), r"pass X of the steps to come, columns \['known', 'kind'\]"),
        (([1.0, 2.0, 3.0], [[0.5, "x"]] * 3, ahead), r"X has shape \(3, 2\), expected 3 rows"),
        (([1.0, 2.0, 3.0], good, [[[0.1, "y"]] * 2] * 3), "expected 9 rows of the columns"),
        (([1.0, 2.0, 3.0], pd.DataFrame({"known": [1.0] * 3}), ahead), "without"),
        (([1.0, 2.0, 3.0], [["high", "x", 0.1]] * 3, ahead), "'known'.*does not hold numbers"),
    ]
    for args, message in cases:
        with pytest.raises(ValueError, match=message):
            stream.step(*args)
    for name, array in stream.state_dict().items():
        assert_array_equal(array, before[name])
    assert stream.step([1.0, 2.0, 3.0], good, ahead).shape == (3, 2)
    with pytest.raises(ValueError, match="rows names stream 3"):
        stream.step([1.0], good[:1], ahead[:1], rows=[3])
    with pytest.raises(ValueError, match="reads no X that changes in time; leave it out"):
        fit(y).stream().step([1.0, 2.0, 3.0], good)


def test_quantiles_that_were_not_learned_are_refused():
    stream = fit(single(), loss="absolute_error", calibrate=False).stream()
    with pytest.raises(ValueError, match="learns no distribution"):
        stream.predict_interval()
    with pytest.raises(ValueError, match=r"coverage must lie in \(0, 1\), got 90"):
        fit(single()).stream().predict_interval(90)
    assert isinstance(stream, ForecasterStream)
    assert repr(stream) == "ForecasterStream(n_streams=1, steps=[1, 3])"
