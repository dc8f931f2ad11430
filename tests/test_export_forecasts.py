"""Forecasters without torch: numpy forecasts the same, from arrays, from files and step by step."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sktime.exceptions import NotFittedError
from test_streaming_forecasts import (
    ALPHA,
    DAYS,
    N_FIT,
    SMALL,
    all_of,
    covariates,
    days,
    fit,
    panel,
    single,
)

from skrnn import RNNForecaster, nn
from skrnn._persistence._container import pack, unpack
from skrnn.export import NumpyForecaster, load_numpy, to_numpy, to_onnx

CASES = [
    {},
    {"loss": "normal", "cell": "gru", "decoder": "recurrent", "hidden_size": (4, 3)},
    {"loss": "student_t", "cell": "mingru", "scaling": "instance", "n_estimators": 2},
    {"loss": "huber", "cell": "rnn", "nonlinearity": "relu", "shortcut": False},
    {"cell": "minlstm", "scaling": "mean", "guard": "off", "calibrate": False, "horizon": 2},
    {"log": True, "deseasonalize": True, "guard": "fallback", "patch_length": 3, "sp": 3},
    {"calendar": False, "scaling": "none", "n_estimators": 2},
]
LATER = 5


def answers(predictor, **context):
    return (
        predictor.predict(**context),
        predictor.predict_quantiles(ALPHA, **context),
        predictor.predict_interval([0.5, 0.8], **context),
    )


def assert_equal_forecasts(forecaster, y, X=None, rtol=1e-6):
    """Compare where the series end, later from arrays, and later from a file step by step."""
    predictor = to_numpy(forecaster)
    n_series, n_columns = len(predictor.keys), predictor._options["n_columns"]

    def rows(table, first, last, width):
        return days(table, first, last).to_numpy().reshape(n_series, last - first, width)

    def ahead(day):
        return None if X is None else days(X, day, day + 3)[["known", "kind"]]

    expected = all_of(forecaster, n_series, ahead(N_FIT))
    for one, other in zip(answers(predictor, X_ahead=ahead(N_FIT)), expected, strict=True):
        assert_allclose(one, other, rtol=rtol)
    stream = predictor.stream()
    for day in range(N_FIT, N_FIT + LATER):
        more = None if X is None else days(X, day, day + 1)
        stream.update(days(y, day, day + 1).to_numpy(), X=more)
    more = None if X is None else days(X, N_FIT, N_FIT + LATER)
    forecaster.update(days(y, N_FIT, N_FIT + LATER), X=more, update_params=False)
    expected = all_of(forecaster, n_series, ahead(N_FIT + LATER))
    context = {
        "y": rows(y, N_FIT + LATER - 8, N_FIT + LATER, n_columns),
        "X_ahead": ahead(N_FIT + LATER),
        "n_after": LATER,
    }
    if X is not None:
        context["X"] = rows(X[predictor.columns], N_FIT + LATER - 8, N_FIT + LATER, 3)
    for one, other in zip(answers(predictor, **context), expected, strict=True):
        assert one.shape == other.shape
        assert_allclose(one, other, rtol=rtol)
    assert_allclose(stream.predict(X=ahead(N_FIT + LATER)), expected[0], rtol=rtol)
    return predictor


@pytest.mark.parametrize("params", CASES, ids=lambda params: "-".join(params) or "defaults")
@pytest.mark.parametrize("kind", ["single", "panel"])
def test_numpy_forecasts_as_the_forecaster_does(params, kind):
    y = single() if kind == "single" else panel(2)
    assert_equal_forecasts(fit(y, **params), y)


@pytest.mark.parametrize("params", [{}, {"horizon": 2}, {"calendar": False, "n_estimators": 2}])
def test_numpy_reads_covariates(params):
    y = panel()
    X = covariates(y)
    X["shelf"] = X.index.get_level_values(0).map({"a": 1.0, "b": 5.0, "c": 2.0})
    X["known"] = X["known"].mask(np.arange(len(X)) % 7 == 3)  # and missing now and then
    predictor = assert_equal_forecasts(fit(y, X, static_covariates=["shelf"], **params), y, X)
    assert predictor.columns == ["known", "kind", "past"]
    assert predictor.columns_ahead == ["known", "kind"]


def test_numpy_forecasts_in_single_precision_and_counts():
    y = single()
    assert_equal_forecasts(fit(y, dtype="float32"), y, rtol=1e-5)
    counts = pd.Series(np.random.default_rng(0).poisson(5, len(DAYS)).astype(float), DAYS)
    assert_equal_forecasts(fit(counts, loss="negative_binomial"), counts)


@pytest.mark.parametrize(
    "index",
    [
        pd.date_range("2024-03-20", periods=60, freq="h", tz="Europe/Berlin"),
        pd.date_range("2024-01-31", periods=60, freq="ME"),
        pd.date_range("2024-01-01", periods=60, freq="B"),
        pd.period_range("2024-01", periods=60, freq="Q"),
        pd.period_range("2024-01-01", periods=60, freq="2D"),
        pd.RangeIndex(5, 65),
    ],
    ids=lambda index: str(getattr(index, "freqstr", "numbers")),
)
def test_calendars_are_those_of_pandas(index):
    y = pd.Series(20 + np.random.default_rng(0).normal(size=60).cumsum(), index)
    forecaster = RNNForecaster(**SMALL).fit(y[:40], fh=[1, 2])
    predictor = to_numpy(forecaster)
    assert_allclose(predictor.predict()[0], forecaster.predict(), rtol=1e-6)
    forecaster.update(y[40:], update_params=False)
    assert_allclose(predictor.predict(y[50:], n_after=20)[0], forecaster.predict(), rtol=1e-6)


def test_missing_values_and_short_contexts():
    y = single()
    y.iloc[[N_FIT - 2, N_FIT + 3]] = np.nan
    y.iloc[N_FIT + 4] = np.nan
    assert_equal_forecasts(fit(y), y)
    forecaster = fit(single())
    predictor = to_numpy(forecaster)
    # A short context is the start of a series, and none at all the last value known before.
    assert np.isfinite(predictor.predict(single()[:2], n_after=2)).all()
    nothing = predictor.predict([np.nan] * 10, n_after=10)
    gone = days(single(), N_FIT, N_FIT + 10) * np.nan
    forecaster.update(gone, update_params=False)
    assert_allclose(nothing[0], forecaster.predict(), rtol=1e-6)


# -- files ------------------------------------------------------------------------------------


def written(forecaster, path):
    to_numpy(forecaster).save(path)
    return load_numpy(path)


def test_a_file_holds_the_same_predictor(tmp_path):
    y = panel()
    X = covariates(y)
    forecaster = fit(y, X, n_estimators=2)
    predictor = to_numpy(forecaster)
    loaded = written(forecaster, tmp_path / "model.safetensors")
    assert isinstance(loaded, NumpyForecaster)
    assert repr(loaded) == "NumpyForecaster(RNNForecaster, cell='lstm', 2 networks)"
    assert loaded.keys == ("a", "b", "c")
    assert loaded.steps.tolist() == [1, 3]
    assert loaded.window_length == 6
    ahead = days(X, N_FIT, N_FIT + 3)[["known", "kind"]]
    for one, other in zip(
        answers(loaded, X_ahead=ahead), answers(predictor, X_ahead=ahead), strict=True
    ):
        assert_array_equal(one, other)
    twin = pickle.loads(pickle.dumps(predictor))
    assert_array_equal(twin.predict(X_ahead=ahead), predictor.predict(X_ahead=ahead))
    # Streams of the forecaster, of its predictor and of the file read each other's states.
    stream = forecaster.stream()
    stream.update(days(y, N_FIT, N_FIT + 1).to_numpy(), X=days(X, N_FIT, N_FIT + 1))
    other = loaded.stream().load_state_dict(stream.state_dict())
    ahead = days(X, N_FIT + 1, N_FIT + 4)[["known", "kind"]]
    assert_allclose(other.predict(X=ahead), stream.predict(X=ahead), rtol=1e-6)


def test_a_process_without_torch_forecasts(tmp_path):
    y = panel()
    forecaster = fit(y, calendar=False)
    to_numpy(forecaster).save(tmp_path / "model.safetensors")
    code = (
        "import sys, json\n"
        "for name in ('torch', 'sklearn', 'scipy', 'pandas', 'skorch', 'sktime'):\n"
        "    sys.modules[name] = None\n"
        "from skrnn.export import load_numpy\n"
        f"predictor = load_numpy({str(tmp_path / 'model.safetensors')!r})\n"
        "stream = predictor.stream()\n"
        "answers = predictor.predict(), predictor.predict_interval(0.8), stream.step([20.0] * 3)\n"
        "print(json.dumps([answer.tolist() for answer in answers]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True
    )
    predictor = to_numpy(forecaster)
    expected = [
        predictor.predict(),
        predictor.predict_interval(0.8),
        predictor.stream().step([20.0] * 3),
    ]
    for one, other in zip(json.loads(done.stdout), expected, strict=True):
        assert_allclose(one, other, rtol=1e-12)


def test_a_calendar_asks_for_pandas(tmp_path, monkeypatch):
    predictor = written(fit(single()), tmp_path / "model.safetensors")
    monkeypatch.setitem(sys.modules, "skrnn._forecasting._calendar", None)
    with pytest.raises(
        ImportError, match=r"reads the calendar \(day of week\), which needs pandas"
    ):
        predictor.predict()


def changed(path, change):
    document, arrays = unpack(path)
    document.pop("written_by")
    change(document, arrays)
    path.write_bytes(pack(document, dict(arrays)))


def put(*names_and_value):
    *names, last, value = names_and_value

    def change(document, arrays):
        for name in names:
            document = document[name]
        document[last] = value

    return change


def put_array(name, change):
    def changed_array(document, arrays):
        arrays[name] = change(np.array(arrays[name]))

    return changed_array


@pytest.mark.parametrize(
    "change",
    [
        put("spec", "cell", "grud"),
        put("spec", "head", "crf"),
        put("spec", "hidden_size", 10**9),
        put("spec", "num_layers", 10**9),
        put("spec", "horizon", 10**9),
        put("spec", "window_length", 0),
        put("spec", "period", 10**9),
        put("spec", "patch_length", 4),
        put("spec", "quantiles", [0.5, 0.1]),
        put("spec", "static", [0, [3]]),
        put("spec", "past", "many"),
        put("n_networks", 2),
        put("n_columns", 2),
        put("keys", []),
        put("keys", [{}]),
        put("steps", [0]),
        put("steps", [10**9]),
        put("guard", {"network": 1.0}),
        put("cycles", ["moon"]),
        put("clock", None),
        put("clock", "freq", 7),
        put("columns", [{"name": "x", "known": True, "mean": 0.0, "scale": 0.0, "missing": False}]),
        put("missing", "yes"),
        put_array("ends.values", lambda array: array[:, 1:]),
        put_array("ends.ticks", lambda array: array.astype(np.float64)),
        put_array("transform.season", lambda array: array[..., :2]),
        put_array("net0.shortcut.weight", lambda array: array.T),
        lambda document, arrays: arrays.pop("least"),
        lambda document, arrays: document.pop("spec"),
    ],
)
def test_files_that_describe_something_else_are_refused(change, tmp_path):
    path = tmp_path / "model.safetensors"
    to_numpy(fit(single())).save(path)
    changed(path, change)
    with pytest.raises(ValueError, match="describes no predictor"):
        load_numpy(path)


def test_f083_flipped_bytes_never_crash(tmp_path):
    path = tmp_path / "model.safetensors"
    to_numpy(fit(single(), calendar=False)).save(path)
    whole = path.read_bytes()
    expected = load_numpy(path).predict()
    rng = np.random.default_rng(0)
    for _ in range(100):
        flipped = bytearray(whole)
        flipped[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        path.write_bytes(flipped)
        try:
            found = load_numpy(path).predict()
        except ValueError:
            continue
        assert_array_equal(found, expected)


# -- what does not go ---------------------------------------------------------------------------


def test_parts_of_the_users_own_are_named():
    with pytest.raises(NotFittedError):
        to_numpy(RNNForecaster())
    with pytest.raises(ValueError, match=r"RNNForecaster cannot.*cell=MinGRULayer is of your own"):
        to_numpy(fit(single(), cell=nn.MinGRULayer))
    y = single()
    X = pd.DataFrame({"known": y.index.to_series(), "past": 1.0}, y.index)
    forecaster = fit(y, X, categorical=["known"])
    with pytest.raises(ValueError, match=r"'known' holds categories of the type Timestamp"):
        to_numpy(forecaster)
    holidays = pd.offsets.CustomBusinessDay(holidays=["2024-02-14"])
    special = pd.Series(
        single().to_numpy()[:50], pd.date_range("2024-01-01", periods=50, freq=holidays)
    )
    forecaster = RNNForecaster(**SMALL).fit(special, fh=[1])
    with pytest.raises(ValueError, match=r"calendar of the frequency 'C'.*calendar=False"):
        to_numpy(forecaster)
    forecaster = RNNForecaster(**SMALL, calendar=False).fit(special, fh=[1])
    assert_allclose(to_numpy(forecaster).predict()[0], forecaster.predict(), rtol=1e-6)


def test_forecasters_are_not_written_as_onnx(tmp_path: Path):
    with pytest.raises(TypeError, match="a RNNForecaster cannot be written as ONNX"):
        to_onnx(fit(single()), tmp_path / "model.onnx")


def test_wrong_contexts_are_named():
    y = panel()
    X = covariates(y)
    predictor = to_numpy(fit(y))
    for args, message in [
        ({"y": np.ones((2, 9))}, r"y has shape \(2, 9\), expected \(3, 'n_steps', 1\)"),
        ({"y": np.ones((3, 0, 1))}, "expected"),
        ({"y": np.full((3, 9), np.inf)}, "y of series 0, step 0, column 0 is infinite"),
        ({"y": np.ones((3, 9)), "X": np.ones((3, 9, 1))}, "reads no X that changes in time"),
        ({"y": np.ones((3, 9)), "n_after": 1.5}, "n_after must hold whole numbers, got 1.5"),
        ({"n_after": 2}, "pass y too"),
    ]:
        with pytest.raises(ValueError, match=message):
            predictor.predict(**args)
    reads = to_numpy(fit(y, X))
    ahead = np.array([[[0.1, "x"]] * 3] * 3, dtype=object)
    good = np.array([[[0.1, "x", 0.2]] * 9] * 3, dtype=object)
    assert reads.predict(np.ones((3, 9)), X=good, X_ahead=ahead).shape == (3, 2)
    for change, message in [
        ({"X": None}, r"pass X, columns \['known', 'kind', 'past'\]"),
        ({"X": good[:, :8]}, r"X has shape \(3, 8, 3\), expected 27 rows"),
        ({"X": np.where(good == 0.2, "high", good)}, "'past' does not hold numbers"),
        ({"X": np.where(good == 0.2, np.nan, good)}, "'past' has no value in row 0"),
        ({"X": np.where(good == 0.2, 1e39, good)}, "too large for float32"),
        ({"X_ahead": None}, "pass X of the steps to come"),
    ]:
        with pytest.raises(ValueError, match=message):
            reads.predict(np.ones((3, 9)), **{"X": good, "X_ahead": ahead, **change})
