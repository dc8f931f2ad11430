"""Windows: views with the right rows, targets after them, and no leak across a split."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.model_selection import TimeSeriesSplit

from skrnn._validation import validate_sequences
from skrnn._windows import count_windows
from skrnn.preprocessing import SlidingWindow, make_windows

SMALL = st.integers(1, 5)


@given(st.integers(1, 30), SMALL, SMALL, SMALL)
def test_windows_are_slices(n_steps: int, window: int, horizon: int, step: int) -> None:
    values = np.arange(2.0 * n_steps).reshape(n_steps, 2)
    starts = [i for i in range(0, n_steps, step) if i + window + horizon <= n_steps]
    assert count_windows(n_steps, window, horizon, step) == len(starts)
    if not starts:
        return
    past, future = make_windows(values, window, horizon, step, target=1)
    assert len(past) == len(future) == len(starts)
    for i, start in enumerate(starts):
        np.testing.assert_array_equal(past[i], values[start : start + window])
        end = start + window
        np.testing.assert_array_equal(np.atleast_1d(future[i]), values[end : end + horizon, 1])


@given(st.integers(1, 12), SMALL)
def test_sliding_window_keeps_rows_and_estimators_read_their_history(
    n_rows: int, window: int
) -> None:
    X = np.arange(3.0 * n_rows).reshape(n_rows, 3)
    result = SlidingWindow(window).fit_transform(X)
    assert result.shape == (n_rows, window, 3)
    for t, sequence in enumerate(validate_sequences(BaseEstimator(), result, reset=True)):
        np.testing.assert_array_equal(sequence, X[max(0, t - window + 1) : t + 1])


def test_sliding_window_ends_with_make_windows() -> None:
    series = np.sin(np.arange(30.0))[:, None]
    X, _ = make_windows(series, 4)
    np.testing.assert_array_equal(SlidingWindow(4).fit_transform(series)[3:-1], X)


def test_x_is_a_read_only_view_and_y_a_copy() -> None:
    series = np.arange(50.0).reshape(25, 2)
    X, y = make_windows(series, 4, target=1)
    assert np.shares_memory(X, series)
    assert not np.asarray(X).flags.writeable
    y[:] = 0
    assert series[-1, 1] == 49


@pytest.mark.parametrize(
    ("series", "options", "x_shape", "y_shape"),
    [
        (np.arange(10.0), {}, (7, 3), (7,)),
        (np.arange(10.0), {"horizon": 2}, (6, 3), (6, 2)),
        (np.arange(10.0), {"horizon": 2, "step": 3}, (2, 3), (2, 2)),
        (np.zeros((10, 1)), {}, (7, 3, 1), (7,)),
        (np.zeros((10, 2)), {}, (7, 3, 2), (7, 2)),
        (np.zeros((10, 2)), {"target": 0}, (7, 3, 2), (7,)),
        (np.zeros((10, 2)), {"target": -1, "horizon": 4}, (4, 3, 2), (4, 4)),
    ],
)
def test_shapes(series: np.ndarray, options: dict, x_shape: tuple, y_shape: tuple) -> None:
    X, y = make_windows(series, 3, **options)
    assert X.shape == x_shape
    assert y.shape == y_shape


@pytest.mark.parametrize("table", [pd.DataFrame, pl.DataFrame, pa.table])
def test_columns_may_be_chosen_by_name(table: type) -> None:
    frame = table({"a": [1.0, 2.0, 3.0, 4.0], "b": [10.0, 20.0, 30.0, 40.0]})
    X, y = make_windows(frame, 2, target="b")
    np.testing.assert_array_equal(y, [30, 40])
    np.testing.assert_array_equal(X[0], [[1, 10], [2, 20]])


@pytest.mark.parametrize("series", [[1, 2, 3, 4], pd.Series([1, 2, 3, 4]), pl.Series([1, 2, 3, 4])])
def test_univariate_series_of_any_kind(series: object) -> None:
    X, y = make_windows(series, 2)
    np.testing.assert_array_equal(X, [[1, 2], [2, 3]])
    np.testing.assert_array_equal(y, [3, 4])


@pytest.mark.parametrize(("horizon", "step"), [(1, 1), (3, 1), (4, 2), (5, 2), (3, 7)])
def test_the_documented_gap_keeps_training_targets_out_of_the_test_period(
    horizon: int, step: int
) -> None:
    steps = np.arange(120)
    _, y = make_windows(steps, 5, horizon=horizon, step=step)
    y = y.reshape(len(y), -1)
    gap = -(-(horizon - 1) // step)
    for train, test in TimeSeriesSplit(n_splits=3, gap=gap).split(y):
        assert y[train].max() < y[test].min()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"series": np.arange(5.0), "window_length": 4, "horizon": 2}, "5 steps; .* need 6"),
        ({"series": np.zeros((9, 2)), "window_length": 2, "horizon": 2}, "choose it with target"),
        ({"series": np.zeros((9, 2)), "window_length": 2, "target": 2}, "outside the 2 columns"),
        ({"series": np.zeros((9, 2)), "window_length": 2, "target": "a"}, "not among the columns"),
        (
            {
                "series": pd.DataFrame({"a": [1, 2, 3, 4], "b": [1, 2, np.nan, 4]}),
                "window_length": 2,
            },
            "series contains NaN at step 2, column 'b'; fill it",
        ),
        ({"series": np.arange(5.0), "window_length": 0}, "'window_length' parameter"),
        ({"series": np.arange(5.0), "window_length": 2, "step": 0}, "'step' parameter"),
    ],
)
def test_errors(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_windows(**arguments)


def test_one_series_at_a_time() -> None:
    X = [np.zeros((5, 2)), np.zeros((3, 2))]
    for call in (SlidingWindow(3).fit, SlidingWindow(3).fit(X[0]).transform):
        with pytest.raises(ValueError, match="X is a list of sequences, expected one series"):
            call(X)
