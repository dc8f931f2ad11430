"""Stream of forecasts: after every time step of running series, what comes next."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._forecasting._rolling import Beginning, Ends, roll
from skrnn.streaming._base import index_of_rows, state_to_load
from skrnn.streaming._contexts import checked_values, features_of, first_state, probabilities

__all__ = ["ForecasterStream"]

_NO_LEVELS = np.empty(0)


class ForecasterStream:
    """Forecasts and their intervals after every time step of running series.

    Made by :meth:`skrnn.RNNForecaster.stream`, where the series of the forecaster end. After each
    step the forecast is that of :meth:`skrnn.RNNForecaster.predict` after an ``update`` with
    ``update_params=False``. Time and memory of a step do not grow with the number of steps before
    it: of every series one window is kept. Read more in the :ref:`User Guide
    <streaming_forecasts>`.

    Parameters
    ----------
    beginning : object
        Where the streams begin.

    state : dict of ndarray or None, default=None
        Where they are, if that is elsewhere.

    See Also
    --------
    RegressorStream : Numbers of running sequences.

    Notes
    -----
    Categories of covariates that were not seen in `fit` are read as unknown, without a warning.
    Copies (:func:`copy.copy`) and pickles go on by themselves from where the stream was.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skrnn import RNNForecaster
    >>> y = pd.Series(np.sin(np.arange(80.0)))
    >>> forecaster = RNNForecaster(hidden_size=8, max_epochs=3, random_state=0)
    >>> stream = forecaster.fit(y[:70], fh=[1, 2, 3]).stream()
    >>> forecasts = [stream.step(value) for value in y[70:]]
    >>> forecasts[-1].shape
    (1, 3)
    >>> forecaster = forecaster.update(y[70:], update_params=False)
    >>> np.allclose(forecasts[-1][0], forecaster.predict(), atol=1e-5)
    True
    """

    def __init__(self, beginning: Beginning, state: dict[str, NDArray[Any]] | None = None) -> None:
        self._beginning = beginning
        self._all = np.arange(len(beginning.keys))
        self._state = first_state(beginning) if state is None else state

    # -- what the user asks -------------------------------------------------------------------

    @property
    def n_streams(self) -> int:
        """Number of series that are read side by side."""
        return len(self._all)

    @property
    def n_steps(self) -> NDArray[np.int64]:
        """Number of steps of each series since the beginning of the stream."""
        return self._state["n_steps"].copy()

    @property
    def keys(self) -> tuple[Hashable, ...]:
        """Key of the series of each row, as in the index of the panel; None for a single series."""
        return self._beginning.keys

    @property
    def steps(self) -> NDArray[np.int64]:
        """Which steps ahead are forecast, counted from the newest step of each series."""
        return self._beginning.steps.copy()

    @property
    def columns(self) -> list[Hashable]:
        """Columns of X that `step` and `update` read, in the order in which an array has them."""
        return self._beginning.features.columns

    @property
    def columns_ahead(self) -> list[Hashable]:
        """Columns of X, known in advance, that a forecast reads."""
        return self._beginning.features.columns_ahead

    def step(self, y: Any, X: Any = None, X_ahead: Any = None, rows: Any = None) -> NDArray[Any]:
        """Read the next step of each series and forecast.

        Parameters
        ----------
        y : float or array-like of shape (n_rows,) or (n_rows, n_columns)
            The next value of each series; NaN where one is missing.

        X : array-like of shape (n_rows, n_features), DataFrame or None, default=None
            `columns` of the step, one row per series.

        X_ahead : array-like of shape (n_rows, n_ahead, n_features), DataFrame or None, default=None
            `columns_ahead` of the steps to come, up to the last of `steps`; rows of a DataFrame by
            series, then step.

        rows : array-like of int or bool or None, default=None
            Which series got a step, by number or as a mask; the others stay where they are. None:
            all.

        Returns
        -------
        forecast : ndarray of shape (n_rows, n_steps) or (n_rows, n_steps, n_columns)
            As of :meth:`skrnn.RNNForecaster.predict`, for `steps`.

        Raises
        ------
        ValueError
            If shapes, columns or values do not fit; no series has moved then.
        """
        index = self._index(rows)
        newer = self._advanced(index, y, X)
        forecast = self._forecast(newer, index, X_ahead, _NO_LEVELS)
        self._state = newer
        return forecast

    def update(self, y: Any, X: Any = None, rows: Any = None) -> ForecasterStream:
        """Read the next step of each series without a forecast.

        Parameters
        ----------
        y : float or array-like of shape (n_rows,) or (n_rows, n_columns)
            The next value of each series; NaN where one is missing.

        X : array-like of shape (n_rows, n_features), DataFrame or None, default=None
            `columns` of the step, one row per series.

        rows : array-like of int or bool or None, default=None
            Which series got a step, as in `step`.

        Returns
        -------
        self : stream
            The stream itself, so that ``stream.update(y).predict_interval()`` reads and answers.

        Raises
        ------
        ValueError
            If shapes, columns or values do not fit; no series has moved then.
        """
        self._state = self._advanced(self._index(rows), y, X)
        return self

    def predict(self, X: Any = None, rows: Any = None) -> NDArray[np.float64]:
        """Forecast without a new step.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_ahead, n_features), DataFrame or None, default=None
            `columns_ahead` of the steps to come, as `X_ahead` of `step`.

        rows : array-like of int or bool or None, default=None
            Which series, by number or as a mask. None: all.

        Returns
        -------
        forecast : ndarray of shape (n_rows, n_steps) or (n_rows, n_steps, n_columns)
            As of :meth:`skrnn.RNNForecaster.predict`, for `steps`.
        """
        return self._forecast(self._state, self._index(rows), X, _NO_LEVELS)

    def predict_quantiles(
        self, alpha: float | Sequence[float] = (0.05, 0.95), X: Any = None, rows: Any = None
    ) -> NDArray[np.float64]:
        """Forecast quantiles without a new step.

        Parameters
        ----------
        alpha : float or sequence of float, default=(0.05, 0.95)
            Levels in ``(0, 1)``.

        X : array-like of shape (n_rows, n_ahead, n_features), DataFrame or None, default=None
            `columns_ahead` of the steps to come, as `X_ahead` of `step`.

        rows : array-like of int or bool or None, default=None
            Which series, by number or as a mask. None: all.

        Returns
        -------
        quantiles : ndarray of shape (n_rows, n_steps, n_alpha)
            As of :meth:`skrnn.RNNForecaster.predict_quantiles`; for several columns of `y` of shape
            (n_rows, n_steps, n_columns, n_alpha).

        Raises
        ------
        ValueError
            If a level is no probability, or if nothing was learned of the spread.
        """
        levels = probabilities(alpha, "alpha")
        self._beginning.learned.check_spread()
        return self._forecast(self._state, self._index(rows), X, levels)

    def predict_interval(
        self, coverage: float | Sequence[float] = 0.9, X: Any = None, rows: Any = None
    ) -> NDArray[np.float64]:
        """Forecast intervals without a new step.

        Parameters
        ----------
        coverage : float or sequence of float, default=0.9
            Probabilities in ``(0, 1)``.

        X : array-like of shape (n_rows, n_ahead, n_features), DataFrame or None, default=None
            `columns_ahead` of the steps to come, as `X_ahead` of `step`.

        rows : array-like of int or bool or None, default=None
            Which series, by number or as a mask. None: all.

        Returns
        -------
        intervals : ndarray of shape (n_rows, n_steps, 2)
            Lower and upper ends, as of :meth:`skrnn.RNNForecaster.predict_interval`. There is an
            axis for the columns before the last where `y` has several, and one for the coverages
            where they are a sequence.

        Raises
        ------
        ValueError
            If a coverage is no probability, or if nothing was learned of the spread.
        """
        half = probabilities(coverage, "coverage") / 2
        levels = np.stack([0.5 - half, 0.5 + half], axis=1)
        quantiles = self.predict_quantiles(levels.ravel().tolist(), X, rows)
        if np.ndim(coverage) == 0:
            return quantiles
        return quantiles.reshape(*quantiles.shape[:-1], len(half), 2)

    def reset(self, rows: Any = None) -> ForecasterStream:
        """Go back to where the stream began.

        Parameters
        ----------
        rows : array-like of int or bool or None, default=None
            Which series, by number or as a mask. None: all.

        Returns
        -------
        self : stream
            The stream itself.
        """
        first = first_state(self._beginning)
        if rows is None:
            self._state = first
        else:
            index = self._index(rows)
            self._state = _put(self._state, index, {k: v[index] for k, v in first.items()})
        return self

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Everything that the stream remembers, as plain arrays.

        Returns
        -------
        state : dict of ndarray
            Copies, whose first axis is that of the series; "model" identifies the forecaster they
            belong to. `numpy.savez` and safetensors store them as they are.
        """
        return {name: array.copy() for name, array in self._known().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> ForecasterStream:
        """Go on from what :meth:`state_dict` gave.

        Parameters
        ----------
        state : mapping of ndarray
            Of a stream of the same forecaster.

        Returns
        -------
        self : stream
            The stream itself.

        Raises
        ------
        ValueError
            If the state is that of another forecaster, or no such state; the stream stays where it
            is then.
        """
        loaded = state_to_load(state, self._known())
        del loaded["model"]
        self._state = loaded
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}(n_streams={self.n_streams}, steps={self.steps.tolist()})"

    # -- states -------------------------------------------------------------------------------

    # No array is ever written into once it is part of a state: shallow copies go on by themselves.

    def _known(self) -> dict[str, NDArray[Any]]:
        model: NDArray[Any] = np.frombuffer(self._beginning.digest, dtype=np.uint8)
        return {"model": model, **self._state}

    def _index(self, rows: Any) -> NDArray[np.intp]:
        index = index_of_rows(rows, self.n_streams)
        return self._all if index is None else index

    def _advanced(self, index: NDArray[np.intp], y: Any, X: Any) -> dict[str, NDArray[Any]]:
        """State after a step."""
        learned = self._beginning.learned
        y = checked_values(self._beginning, y, (len(index),), index)
        if len(index) == 0:
            return self._state
        old = {name: array[index] for name, array in self._state.items()}
        ticks = old["ticks"] + 1
        past = old["past"]
        read = features_of(self._beginning, "past", ticks, X)
        values = learned.transform.forward_steps(y, index, ticks)
        newer = {
            "n_steps": old["n_steps"] + 1,
            "ticks": ticks,
            "window": np.concatenate([old["window"][:, 1:], values[:, None]], axis=1),
            "known": np.where(np.isfinite(values), values, old["known"]),
            "past": np.concatenate([past[:, 1:], read[:, None].astype(past.dtype)], axis=1),
        }
        return _put(self._state, index, newer)

    def _forecast(
        self, state: dict[str, NDArray[Any]], index: NDArray[np.intp], X: Any, alpha: NDArray
    ) -> NDArray[np.float64]:
        learned, steps = self._beginning.learned, self._beginning.steps
        if len(index) == 0:
            shape = (0, len(steps), learned.n_columns, max(len(alpha), 1))
            return self._shaped(np.zeros(shape), len(alpha) > 0)
        ends = self._ends({name: array[index] for name, array in state.items()}, index, X)
        found = roll(learned, self._beginning.networks, ends, int(steps.max()), alpha)
        chosen = found.quantiles if len(alpha) else found.point[..., None]
        return self._shaped(chosen[:, steps - 1], len(alpha) > 0)

    def _shaped(self, values: NDArray, levels: bool) -> NDArray[np.float64]:
        """Values of shape (n_rows, n_steps, n_columns, n_alpha) without the axes of one."""
        if self._beginning.learned.n_columns == 1:
            values = values[:, :, 0]
        return values if levels else values[..., 0]

    def _ends(self, state: dict[str, NDArray[Any]], index: NDArray[np.intp], X: Any) -> Ends:
        learned = self._beginning.learned
        window = state["window"].copy()
        blank = ~np.isfinite(window).any(axis=1)
        window[:, -1] = np.where(blank, state["known"], window[:, -1])
        n_ahead = int(self._beginning.steps.max())
        ticks = state["ticks"][:, None] + 1 + np.arange(n_ahead)
        ahead = {
            name: features_of(self._beginning, name, ticks, X, ahead=True)
            for name in ("past", "future")
        }
        covariates: dict[str, NDArray[Any]] = {}
        if state["past"].shape[2]:
            covariates["past"] = np.concatenate([state["past"], ahead["past"]], axis=1)
        if ahead["future"].shape[2]:
            # Nothing reads the future of steps that have happened.
            gone = np.zeros((len(index), learned.window_length, ahead["future"].shape[2]))
            covariates["future"] = np.concatenate(
                [gone.astype(np.float32), ahead["future"]], axis=1
            )
        static = self._beginning.ends.covariates.get("static")
        if static is not None:
            covariates["static"] = static[index]
        return Ends(window, index, state["ticks"], covariates)


def _put(
    state: dict[str, NDArray[Any]], index: NDArray[np.intp], newer: dict[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """State with other rows, which may be all."""
    if len(index) == len(state["ticks"]) and (index[1:] > index[:-1]).all():
        return newer
    put = {name: array.copy() for name, array in state.items()}
    for name, rows in newer.items():
        put[name][index] = rows
    return put
