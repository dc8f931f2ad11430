"""Calibration: quantiles corrected, horizon by horizon, by their errors on the validation tail."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skrnn._numpy.heads import normal_quantiles

# Levels whose errors are kept; others are interpolated in the normal quantile.
LEVELS = np.array(
    [
        0.005,
        0.01,
        0.025,
        0.05,
        0.1,
        0.2,
        0.3,
        0.4,
        0.5,
        0.6,
        0.7,
        0.8,
        0.9,
        0.95,
        0.975,
        0.99,
        0.995,
    ]
)
KNOTS = normal_quantiles(LEVELS)
# Independent windows that count as much as what the network learned. Neighbouring origins share
# most of their steps: windows of one series are counted without overlap.
PRIOR_WINDOWS = 5
# Errors that a step of the horizon shares with its neighbours when it has fewer of its own.
ENOUGH_ERRORS = 100


@dataclass(frozen=True)
class HorizonCalibration:
    """By how much each predicted quantile moves, for every step of the horizon.

    Parameters
    ----------
    shift : ndarray of shape (horizon, n_levels)
        On the scale of the window; 0 at the median, which stays what was learned.
    """

    shift: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        truth: NDArray,
        quantiles: NDArray,
        scale: NDArray,
        n_independent: float = np.inf,
    ) -> HorizonCalibration:
        """Learn the shifts by split conformal prediction [1]_ with one score per step and level.

        Parameters
        ----------
        truth : ndarray of shape (n_windows, horizon)
            What happened; NaN where it is not known.

        quantiles : ndarray of shape (n_windows, horizon, n_levels)
            What was predicted for `LEVELS`.

        scale : ndarray of shape (n_windows, 1)
            Scale of each window; windows with 0 do not count.

        n_independent : float, default=inf
            How many of the windows do not overlap. With few of them the shifts are smaller.

        Returns
        -------
        calibration : HorizonCalibration
            The shifts.

        References
        ----------
        .. [1] K. Stankeviciute, A. M. Alaa, M. van der Schaar, "Conformal time-series forecasting",
           NeurIPS 2021.
        """
        usable = scale[:, 0] > 0
        errors = (truth[..., None] - quantiles)[usable] / scale[usable, :, None]
        horizon = truth.shape[1]
        shift = np.zeros((horizon, len(LEVELS)))
        known = np.isfinite(errors[..., 0]).sum(axis=0)
        for h in range(horizon):
            near = _neighbours(known, h)
            pooled = errors[:, near].reshape(-1, len(LEVELS))
            pooled = pooled[np.isfinite(pooled[:, 0])]
            if len(pooled):
                shift[h] = _conformal_quantiles(pooled)
        shift[:, LEVELS == 0.5] = 0.0
        return cls(shift / (1 + PRIOR_WINDOWS / n_independent))

    def apply(self, quantiles: NDArray, alpha: NDArray, scale: NDArray, steps: NDArray) -> NDArray:
        """Move quantiles and keep them in order.

        Parameters
        ----------
        quantiles : ndarray of shape (n_windows, n_steps, n_alpha)
            What was predicted.

        alpha : ndarray of shape (n_alpha,)
            The levels.

        scale : ndarray of shape (n_windows, 1)
            Scale of each window.

        steps : ndarray of shape (n_steps,)
            Position of each step in the horizon, from 0.

        Returns
        -------
        moved : ndarray of shape (n_windows, n_steps, n_alpha)
            Never decreasing in the level.
        """
        at = normal_quantiles(np.clip(alpha, LEVELS[0], LEVELS[-1]))
        shift = np.stack([np.interp(at, KNOTS, row) for row in self.shift])[steps]
        return in_order(quantiles + shift * scale[..., None], alpha)


def in_order(quantiles: NDArray, alpha: NDArray) -> NDArray:
    """Sort quantiles so that they never decrease in the level.

    Parameters
    ----------
    quantiles : ndarray of shape (..., n_alpha)
        Values that may cross.

    alpha : ndarray of shape (n_alpha,)
        Their levels, in any order.

    Returns
    -------
    sorted : ndarray of shape (..., n_alpha)
        The same values in the order of their levels.
    """
    order = np.argsort(alpha, kind="stable")
    moved = np.empty_like(quantiles)
    moved[..., order] = np.sort(quantiles[..., order], axis=-1)
    return moved


def _neighbours(known: NDArray, h: int) -> slice:
    """Steps around `h` that together have enough errors."""
    reach = 0
    while reach < len(known):
        near = slice(max(h - reach, 0), h + reach + 1)
        if known[near].sum() >= ENOUGH_ERRORS:
            return near
        reach += 1
    return slice(0, len(known))


def _conformal_quantiles(errors: NDArray) -> NDArray:
    """For each level the quantile of its errors, lower ones rounded down and upper ones up."""
    n = len(errors)
    exact = (n + 1) * LEVELS
    rank = np.where(LEVELS < 0.5, np.floor(exact + 1e-9), np.ceil(exact - 1e-9)).astype(int)
    rank = np.clip(rank, 1, n) - 1
    return np.take_along_axis(np.sort(errors, axis=0), rank[None], axis=0)[0]
