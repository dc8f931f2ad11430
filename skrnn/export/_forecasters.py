"""Predictor of forecasts: what a fitted forecaster says comes next, computed with numpy alone."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._forecasting._calibration import HorizonCalibration
from skrnn._forecasting._guard import Guard
from skrnn._forecasting._learned import Learned, Windows
from skrnn._forecasting._rolling import Beginning, Ends, digest_of
from skrnn._forecasting._transform import SeriesTransform
from skrnn._numpy.forecast import ForecastNetwork
from skrnn._numpy.model import prefix_of
from skrnn._numpy.network import under
from skrnn.export._files import write_predictor
from skrnn.export._forecast_features import ArrayFeatures
from skrnn.streaming._contexts import state_of_context
from skrnn.streaming._forecasts import ForecasterStream

__all__ = ["NumpyForecaster"]


class NumpyForecaster:
    """Forecasts and quantiles of a fitted forecaster, computed with numpy alone.

    Made by :func:`to_numpy` and :func:`load_numpy`. It forecasts as the forecaster does, up to
    rounding: from where its series ended, or from the last values of each series as arrays.
    Forecasts are arrays, times are counted in steps. A forecaster that reads the calendar needs
    pandas as well. Read more in the :ref:`User Guide <export_forecasters>`.

    Parameters
    ----------
    options : mapping
        What is no array.

    arrays : dict of ndarray
        Weights, scales, and the ends of the series.

    See Also
    --------
    skrnn.streaming.ForecasterStream : Forecasts step by step.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skrnn import RNNForecaster
    >>> from skrnn.export import to_numpy
    >>> y = pd.Series(np.sin(np.arange(80.0)))
    >>> forecaster = RNNForecaster(hidden_size=8, max_epochs=3, random_state=0)
    >>> predictor = to_numpy(forecaster.fit(y[:70], fh=[1, 2, 3]))
    >>> np.allclose(predictor.predict()[0], forecaster.predict(), atol=1e-5)
    True
    >>> later = forecaster.update(y[70:], update_params=False).predict()
    >>> np.allclose(predictor.predict(y[-40:], n_after=10)[0], later, atol=1e-5)
    True
    """

    def __init__(self, options: Mapping[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
        self._options = dict(options)
        self._arrays = dict(arrays)
        self._beginning = _beginning(self._options, self._arrays)

    @property
    def keys(self) -> tuple[Hashable, ...]:
        """Key of the series of each row; None for a single series."""
        return self._beginning.keys

    @property
    def steps(self) -> NDArray[np.int64]:
        """Which steps ahead are forecast."""
        return self._beginning.steps.copy()

    @property
    def window_length(self) -> int:
        """Steps of the past that are read."""
        return self._beginning.learned.window_length

    @property
    def columns(self) -> list[Hashable]:
        """Columns of X that steps of the past need, in the order in which an array has them."""
        return self._beginning.features.columns

    @property
    def columns_ahead(self) -> list[Hashable]:
        """Columns of X, known in advance, that steps to come need."""
        return self._beginning.features.columns_ahead

    def predict(
        self, y: Any = None, *, X: Any = None, X_ahead: Any = None, n_after: Any = 0
    ) -> NDArray[np.float64]:
        """Forecast.

        Parameters
        ----------
        y : array-like of shape (n_series, n_steps, n_columns) or None, default=None
            The last values of each series, NaN where one is missing; of one window all that count
            are there. The axes of a single series, and of a single column, may be left out. None
            forecasts from where the series of the forecaster ended.

        X : array-like of shape (n_series, n_steps, n_features) or None, default=None
            `columns` of the same steps.

        X_ahead : array-like of shape (n_series, n_ahead, n_features) or None, default=None
            `columns_ahead` of the steps to come, up to the last of `steps`.

        n_after : int or array-like of shape (n_series,), default=0
            How many steps after the end of its series in the forecaster `y` ends. It tells the time
            of the year, the week and the day.

        Returns
        -------
        forecast : ndarray of shape (n_series, n_steps) or (n_series, n_steps, n_columns)
            For `steps`.

        Raises
        ------
        ValueError
            If shapes, columns or values do not fit.

        ImportError
            If the calendar is read, and there is no pandas.
        """
        return self._at(y, X, n_after).predict(X_ahead)

    def predict_quantiles(
        self,
        alpha: float | Sequence[float] = (0.05, 0.95),
        y: Any = None,
        *,
        X: Any = None,
        X_ahead: Any = None,
        n_after: Any = 0,
    ) -> NDArray[np.float64]:
        """Forecast quantiles.

        Parameters
        ----------
        alpha : float or sequence of float, default=(0.05, 0.95)
            Levels in ``(0, 1)``.

        y : array-like of shape (n_series, n_steps, n_columns) or None, default=None
            The last values of each series, as in `predict`.

        X : array-like of shape (n_series, n_steps, n_features) or None, default=None
            `columns` of the same steps.

        X_ahead : array-like of shape (n_series, n_ahead, n_features) or None, default=None
            `columns_ahead` of the steps to come.

        n_after : int or array-like of shape (n_series,), default=0
            How many steps later `y` ends, as in `predict`.

        Returns
        -------
        quantiles : ndarray of shape (n_series, n_steps, n_alpha)
            With an axis for the columns before the last where `y` has several.

        Raises
        ------
        ValueError
            As :meth:`predict`, and if a level is no probability or nothing was learned of the
            spread.
        """
        return self._at(y, X, n_after).predict_quantiles(alpha, X_ahead)

    def predict_interval(
        self,
        coverage: float | Sequence[float] = 0.9,
        y: Any = None,
        *,
        X: Any = None,
        X_ahead: Any = None,
        n_after: Any = 0,
    ) -> NDArray[np.float64]:
        """Forecast intervals.

        Parameters
        ----------
        coverage : float or sequence of float, default=0.9
            Probabilities in ``(0, 1)``.

        y : array-like of shape (n_series, n_steps, n_columns) or None, default=None
            The last values of each series, as in `predict`.

        X : array-like of shape (n_series, n_steps, n_features) or None, default=None
            `columns` of the same steps.

        X_ahead : array-like of shape (n_series, n_ahead, n_features) or None, default=None
            `columns_ahead` of the steps to come.

        n_after : int or array-like of shape (n_series,), default=0
            How many steps later `y` ends, as in `predict`.

        Returns
        -------
        intervals : ndarray of shape (n_series, n_steps, 2)
            As of :meth:`skrnn.streaming.ForecasterStream.predict_interval`.

        Raises
        ------
        ValueError
            As :meth:`predict_quantiles`.
        """
        return self._at(y, X, n_after).predict_interval(coverage, X_ahead)

    def stream(self) -> ForecasterStream:
        """Forecast after every step of running series, in constant time and memory per step.

        Returns
        -------
        stream : skrnn.streaming.ForecasterStream
            It begins where the series of the forecaster ended.
        """
        return ForecasterStream(self._beginning)

    def save(self, path: Any) -> None:
        """Write the predictor to a file, for :func:`load_numpy`.

        The file is a safetensors file: arrays, and a description in JSON. It is written whole or
        not at all. Of the series there is the last window in it.

        Parameters
        ----------
        path : str or path-like
            The file. One that exists is replaced.

        Raises
        ------
        OSError
            If the file cannot be written; what was there before is left as it was.
        """
        write_predictor(self._options, self._arrays, path)

    def __repr__(self) -> str:
        spec, n = self._options["spec"], self._options["n_networks"]
        count = "" if n == 1 else f", {n} networks"
        return f"{type(self).__name__}({self._options['name']}, cell={spec['cell']!r}{count})"

    def _at(self, y: Any, X: Any, n_after: Any) -> ForecasterStream:
        """Stream after the given steps."""
        if y is not None:
            return ForecasterStream(
                self._beginning, state_of_context(self._beginning, y, X, n_after)
            )
        if X is not None or np.any(np.asarray(n_after) != 0):
            raise ValueError("X and n_after say more about the steps of y; pass y too.")
        return self.stream()


class MeanNetworks:
    """The mean of the forecasts of several networks.

    Parameters
    ----------
    networks : list of ForecastNetwork
        One, or those of an ensemble.
    """

    def __init__(self, networks: list[ForecastNetwork]) -> None:
        self._networks = networks

    def __call__(
        self, arguments: Mapping[str, NDArray[Any]], alpha: NDArray[np.float64]
    ) -> Windows:
        """Forecasts of windows."""
        members = [network(arguments, alpha) for network in self._networks]
        point, quantiles = (np.mean([member[i] for member in members], axis=0) for i in (0, 1))
        unknown = np.full_like(point, np.nan)
        return Windows(point, quantiles, members[0][2], arguments["past"], unknown)


def _beginning(options: Mapping[str, Any], arrays: dict[str, NDArray[Any]]) -> Beginning:
    spec, shift = options["spec"], arrays.get("calibration.shift")
    weights = [under(prefix_of(i), arrays) for i in range(options["n_networks"])]
    learned = Learned(
        window_length=spec["window_length"],
        horizon=spec["horizon"],
        period=spec["period"],
        n_columns=options["n_columns"],
        loss=spec["head"],
        distribution=options["distribution"],
        counts=spec["head"] == "negative_binomial",
        transform=SeriesTransform(
            arrays["transform.log"], arrays["transform.offset"], arrays["transform.season"]
        ),
        least=arrays["least"],
        constant=arrays["constant"],
        guard=Guard(dict(options["guard"])),
        calibration=None if shift is None else HorizonCalibration(shift),
    )
    n_series = len(options["keys"])
    covariates = {
        name: arrays[f"ends.{name}"] for name in ("past", "static") if f"ends.{name}" in arrays
    }
    return Beginning(
        learned=learned,
        networks=MeanNetworks([ForecastNetwork(spec, one) for one in weights]),
        ends=Ends(arrays["ends.values"], np.arange(n_series), arrays["ends.ticks"], covariates),
        known=arrays["ends.known"],
        features=ArrayFeatures(options["columns"], options["cycles"], options["clock"]),
        steps=np.array(options["steps"], dtype=np.int64),
        keys=tuple(_hashable(key) for key in options["keys"]),
        digest=digest_of(weights, learned),
        missing=options["missing"],
    )


def _hashable(key: Any) -> Hashable:
    return tuple(_hashable(part) for part in key) if isinstance(key, list | tuple) else key
