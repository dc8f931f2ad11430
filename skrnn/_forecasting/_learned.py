"""Learned: what a model knows beside its networks, and what it makes of their forecasts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from skrnn._forecasting._baselines import seasonal_naive, theta
from skrnn._forecasting._calibration import HorizonCalibration, in_order
from skrnn._forecasting._guard import MEMBERS, Guard
from skrnn._forecasting._transform import SeriesTransform


@dataclass(frozen=True)
class Windows:
    """Forecasts of some windows, and what they were made from.

    Parameters
    ----------
    point : ndarray of shape (n_windows, horizon)
        Point forecasts.

    quantiles : ndarray of shape (n_windows, horizon, n_alpha)
        Quantiles.

    scale : ndarray of shape (n_windows, 1)
        Scale of each window.

    past : ndarray of shape (n_windows, window_length)
        What was known.

    truth : ndarray of shape (n_windows, horizon)
        What happened; NaN where it is not known.
    """

    point: NDArray[np.float64]
    quantiles: NDArray[np.float64]
    scale: NDArray[np.float64]
    past: NDArray[np.float64]
    truth: NDArray[np.float64]


@dataclass(frozen=True)
class Learned:
    """What a fitted model knows beside the weights of its networks.

    Parameters
    ----------
    window_length, horizon, period : int
        Steps that are read, that are forecast at once, and of one season.

    n_columns : int
        Series at each time.

    loss : str
        What the networks learned.

    distribution : bool
        Whether that is a distribution.

    counts : bool
        Whether the series are counts.

    transform : SeriesTransform
        Scale on which each series is modelled.

    least : ndarray of shape (n_series, n_columns)
        Least scale of the windows of each series.

    constant : ndarray of bool of shape (n_series, n_columns)
        Which series never changed.

    guard : Guard
        Weights of the networks and of simpler forecasts.

    calibration : HorizonCalibration or None
        Correction of the quantiles.
    """

    window_length: int
    horizon: int
    period: int
    n_columns: int
    loss: str
    distribution: bool
    counts: bool
    transform: SeriesTransform
    least: NDArray[np.float64]
    constant: NDArray[np.bool_]
    guard: Guard
    calibration: HorizonCalibration | None

    def check_spread(self) -> None:
        """Check that quantiles are known.

        Raises
        ------
        ValueError
            If nothing was learned of the spread.
        """
        if not self.distribution and self.calibration is None:
            raise ValueError(
                f"loss={self.loss!r} learns no distribution; fit with calibrate=True, or with "
                "loss='quantile'."
            )

    def finished(
        self,
        windows: Windows,
        series: NDArray[np.integer],
        column: NDArray[np.integer],
        alpha: NDArray[np.float64],
        steps: int,
    ) -> Windows:
        """Blend and calibrate what the networks say, for the first `steps` of the horizon.

        Parameters
        ----------
        windows : Windows
            What the networks say.

        series, column : ndarray of shape (n_windows,)
            Which series each window is of.

        alpha : ndarray of shape (n_alpha,)
            Levels of the quantiles.

        steps : int
            How many.

        Returns
        -------
        windows : Windows
            On the scale the series are modelled on.
        """
        windows = self._kept_constant(self.blended(windows), series, column)
        windows = replace(
            windows, point=windows.point[:, :steps], quantiles=windows.quantiles[:, :steps]
        )
        if len(alpha) == 0:
            return windows
        if self.calibration is None:
            quantiles = in_order(windows.quantiles, alpha)
        else:
            quantiles = self.calibration.apply(
                windows.quantiles, alpha, windows.scale, np.arange(steps)
            )
        return replace(windows, quantiles=quantiles)

    def blended(self, windows: Windows) -> Windows:
        """Move the whole distribution to the blend with simpler forecasts."""
        if self.guard.weights["network"] == 1:
            return windows
        counted = [name for name, weight in self.guard.weights.items() if weight]
        point = self.guard.blend(self.members(windows, counted))
        moved = windows.quantiles + (point - windows.point)[..., None]
        return replace(windows, point=point, quantiles=moved)

    def members(self, windows: Windows, names: Sequence[str] = MEMBERS) -> dict[str, NDArray]:
        """Forecasts that the guard compares, on the scale the series are modelled on."""
        members = {"network": windows.point}
        if "theta" in names:
            members["theta"] = theta(windows.past, self.horizon)
        if "seasonal_naive" in names:
            members["seasonal_naive"] = seasonal_naive(windows.past, self.horizon, self.period)
        if self.counts:
            members = {name: values.clip(min=0) for name, values in members.items()}
        return members

    def whole(self, quantiles: NDArray) -> NDArray:
        """Quantiles of counts are counts, also after blending and calibration."""
        return np.rint(quantiles).clip(min=0) if self.counts else quantiles

    def _kept_constant(
        self, windows: Windows, series: NDArray[np.integer], column: NDArray[np.integer]
    ) -> Windows:
        """Go on with the value of a series that never changed, whatever the head makes of it."""
        past = windows.past
        low = np.where(np.isfinite(past), past, np.inf).min(axis=1)
        high = np.where(np.isfinite(past), past, -np.inf).max(axis=1)
        rows = np.flatnonzero(self.constant[series, column] & (low == high))
        if len(rows) == 0:
            return windows
        point, quantiles, scale = (
            array.copy() for array in (windows.point, windows.quantiles, windows.scale)
        )
        point[rows], quantiles[rows] = low[rows, None], low[rows, None, None]
        scale[rows] = 0.0  # calibration moves nothing
        return replace(windows, point=point, quantiles=quantiles, scale=scale)
