"""Windowing: the rows of one long series become samples that own their history."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import validate_parameter_constraints
from sklearn.utils.validation import check_is_fitted, validate_data

from skrnn._persistence import FileMixin
from skrnn._windows import FLOATS, POSITIVE, Windows, count_windows, read_series, windows_at


class SlidingWindow(FileMixin, TransformerMixin, BaseEstimator):
    """Give each row of a long table the rows before it.

    The rows of X are the time steps of one series, oldest first. Row ``t`` becomes the sequence of
    the `window_length` rows that end with it. The number of rows stays the same, so that y and
    sample weights still fit.

    Parameters
    ----------
    window_length : int, default=10
        Number of time steps of a sequence, the row itself included. Values in `[1, inf)`.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns of X.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, only where X had any.

    See Also
    --------
    make_windows : Cut a series into windows and targets once, before it is split.

    Notes
    -----
    The first rows have less history. Their sequences are shorter: row ``t`` starts with the
    ``t + 1`` rows there are and ends with NaN, which the estimators of this package read as
    padding.

    Inside a cross-validation a pipeline step sees the rows of its fold only. The first test rows
    then lack the history that lies in the training rows, and their scores suffer. Window first and
    split afterwards: with :func:`make_windows`, or with this class outside the pipeline. For the
    same reason the result for a row depends on the rows before it in the same call: the order of
    rows matters here, unlike in other transformers.

    Examples
    --------
    >>> import numpy as np
    >>> from skrnn.preprocessing import SlidingWindow
    >>> X = np.arange(4.0)[:, None]
    >>> SlidingWindow(window_length=3).fit_transform(X)[:, :, 0]
    array([[ 0., nan, nan],
           [ 0.,  1., nan],
           [ 0.,  1.,  2.],
           [ 1.,  2.,  3.]])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "window_length": [POSITIVE],
    }

    def __init__(self, window_length: int = 10) -> None:
        self.window_length = window_length

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the table and remember its columns.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            One series, a row per time step, without missing values.

        y : None, default=None
            Ignored, here for consistency.

        Returns
        -------
        self : SlidingWindow
            The fitted transformer.
        """
        _check_one_series(X)
        validate_data(self, X, dtype=FLOATS)
        return self

    def transform(self, X: Any) -> NDArray:
        """Collect the trailing window of each row.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            One series, a row per time step, without missing values.

        Returns
        -------
        X_out : ndarray of shape (n_rows, window_length, n_features)
            A sequence for each row; always a copy.
        """
        check_is_fitted(self)
        _check_one_series(X)
        X = validate_data(self, X, reset=False, dtype=FLOATS)
        return _trailing_windows(X, int(self.window_length))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def make_windows(
    series: Any,
    window_length: int,
    horizon: int = 1,
    step: int = 1,
    *,
    target: int | str | None = None,
) -> tuple[Windows, NDArray]:
    """Cut a series into windows and the values that follow them.

    Parameters
    ----------
    series : array-like of shape (n_steps,) or (n_steps, n_features)
        One series, oldest value first, without missing values. Frames may name their columns.

    window_length : int
        Number of time steps in a window. Values in `[1, inf)`.

    horizon : int, default=1
        Number of time steps to predict after each window. Values in `[1, inf)`.

    step : int, default=1
        Number of time steps from one window to the next. Values in `[1, inf)`.

    target : int, str or None, default=None
        Column to predict, by position or name. None predicts the only column; of several columns
        it predicts all, with ``horizon=1`` only.

    Returns
    -------
    X : Windows of shape (n_windows, window_length) or (n_windows, window_length, n_features)
        The windows, 2-D for a 1-D series: an array that lies over `series` and copies nothing,
        however its rows are picked. ``n_windows`` is
        ``floor((n_steps - window_length - horizon) / step) + 1``.

    y : ndarray of shape (n_windows,), (n_windows, horizon) or (n_windows, n_features)
        The next value of the target, its next `horizon` values, or the next value of all columns.

    Raises
    ------
    ValueError
        If the series is too short, holds missing values, or if the target is not among its columns
        or undecided.

    See Also
    --------
    Windows : All windows of a series, those without a target as well.
    SlidingWindow : Trailing windows of all rows, as a transformer.

    Notes
    -----
    Each window comes with its history, so rows may be split freely afterwards. With
    ``horizon > 1`` the targets of neighbouring windows overlap: split them with
    ``TimeSeriesSplit(gap=ceil((horizon - 1) / step))`` so that no training target lies in the test
    period; with ``step=1`` that is ``gap=horizon - 1``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LinearRegression
    >>> from sklearn.model_selection import TimeSeriesSplit, cross_val_score
    >>> from skrnn.preprocessing import make_windows
    >>> series = np.sin(np.arange(100) / 3)
    >>> X, y = make_windows(series, window_length=4, horizon=2)
    >>> X.shape, y.shape
    ((95, 4), (95, 2))
    >>> cross_val_score(LinearRegression(), X, y, cv=TimeSeriesSplit(gap=1)).round(3)
    array([1., 1., 1., 1., 1.])
    """
    validate_parameter_constraints(
        {"window_length": [POSITIVE], "horizon": [POSITIVE], "step": [POSITIVE]},
        {"window_length": window_length, "horizon": horizon, "step": step},
        caller_name="make_windows",
    )
    values, names = read_series(series, "make_windows")
    table = values.reshape(len(values), -1)
    n_windows = count_windows(len(table), window_length, horizon, step)
    if n_windows == 0:
        raise ValueError(
            f"series has {len(table)} steps; a window of {window_length} and a horizon of "
            f"{horizon} need {window_length + horizon}. Shorten one of them."
        )
    starts = range(0, n_windows * step, step)
    chosen = table[window_length:, _target_columns(target, names, table.shape[1], horizon)]
    # A copy: y is small, and writing to it must not reach the series.
    future = np.array(windows_at(chosen, starts, horizon))
    y = future[:, 0] if horizon == 1 else future[:, :, 0]
    if horizon == 1 and chosen.shape[1] == 1:
        y = y[:, 0]
    return windows_at(values, starts, int(window_length)), y


def _check_one_series(X: Any) -> None:
    """Refuse a collection of tables; numpy would only say that their lengths differ."""
    if isinstance(X, list | tuple) and any(np.ndim(row) > 1 for row in X):
        raise ValueError(
            "X is a list of sequences, expected one series with a row per time step; window each "
            "sequence by itself, as SlidingWindow().fit_transform(x) for x in X."
        )


def _target_columns(
    target: int | str | None, names: list[Any], n_columns: int, horizon: int
) -> list[int]:
    """Positions of the columns to predict."""
    if target is None:
        if n_columns > 1 and horizon > 1:
            raise ValueError(
                f"horizon={horizon} predicts one column and series has {n_columns}; choose it with "
                "target."
            )
        return list(range(n_columns))
    if target in names:
        return [names.index(target)]
    if isinstance(target, str):
        raise ValueError(f"target {target!r} is not among the columns {names} of series.")
    if not -n_columns <= target < n_columns:
        raise ValueError(f"target {target} is outside the {n_columns} columns of series.")
    return [int(target) % n_columns]


def _trailing_windows(values: NDArray, window_length: int) -> NDArray:
    """For each step the window that ends there, shorter ones filled up with NaN at their end.

    Parameters
    ----------
    values : ndarray of shape (n_steps, n_features)
        A series of floating point numbers.

    window_length : int
        Steps in a window.

    Returns
    -------
    windows : ndarray of shape (n_steps, window_length, n_features)
        A copy. Window ``t`` starts with its oldest step; while ``t < window_length - 1`` it holds
        ``t + 1`` steps and then NaN.

    Examples
    --------
    >>> import numpy as np
    >>> _trailing_windows(np.arange(4.0)[:, None], 3)[:, :, 0]
    array([[ 0., nan, nan],
           [ 0.,  1., nan],
           [ 0.,  1.,  2.],
           [ 1.,  2.,  3.]])
    """
    n_steps, n_features = values.shape
    windows = np.full((n_steps, window_length, n_features), np.nan, dtype=values.dtype)
    for t in range(min(window_length - 1, n_steps)):
        windows[t, : t + 1] = values[: t + 1]
    if n_steps >= window_length:
        starts = range(n_steps - window_length + 1)
        windows[window_length - 1 :] = windows_at(values, starts, window_length)
    return windows
