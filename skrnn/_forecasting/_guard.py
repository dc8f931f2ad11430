"""Guard: the network must beat the seasonal naive forecast on the validation tail, or give way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Weights of the network that are tried.
BLENDS = (0.0, 0.25, 0.5, 0.75, 1.0)
# Standard errors by which a blend must be better than the naive forecast to be believed.
N_STANDARD_ERRORS = 1.0


@dataclass(frozen=True)
class Guard:
    """How the network and the seasonal naive forecast did on the validation tail.

    Parameters
    ----------
    weight : float
        Weight of the network in the forecast; the rest is the seasonal naive forecast.

    network_error : float
        Mean absolute error of the network alone, each window on its own scale.

    naive_error : float
        The same of the seasonal naive forecast.

    blend_error : float
        The same of the forecast with `weight`.

    n_windows : int
        Windows compared.
    """

    weight: float = 1.0
    network_error: float = np.nan
    naive_error: float = np.nan
    blend_error: float = np.nan
    n_windows: int = 0

    @property
    def passed(self) -> bool:
        """Whether the network alone is at least as good as the seasonal naive forecast."""
        return bool(self.network_error <= self.naive_error)

    def blend(self, network: NDArray, naive: NDArray) -> NDArray:
        """Point forecast of both together.

        Parameters
        ----------
        network, naive : ndarray of the same shape
            Forecasts of each.

        Returns
        -------
        point : ndarray
            Their weighted mean.
        """
        if self.weight == 1:
            return network
        return naive + self.weight * (network - naive)


def seasonal_naive(past: NDArray, horizon: int, period: int) -> NDArray:
    """Repeat the last season that was observed.

    Parameters
    ----------
    past : ndarray of shape (n_windows, n_steps)
        Values up to the origin; NaN where one is missing.

    horizon : int
        Steps to forecast.

    period : int
        Steps in one season.

    Returns
    -------
    forecast : ndarray of shape (n_windows, horizon)
        The value one season before, or as many seasons as it takes to find one; the last value
        where there is none; NaN where nothing was observed at all.
    """
    n_windows, n_steps = past.shape
    missing = -n_steps % period
    padded = np.concatenate([np.full((n_windows, missing), np.nan), past], axis=1)
    seasons = padded.reshape(n_windows, -1, period)
    last = _last_finite(seasons.swapaxes(1, 2))
    last = np.where(np.isfinite(last), last, _last_finite(past)[:, None])
    return np.tile(last, (1, -(-horizon // period)))[:, :horizon]


def _last_finite(values: NDArray) -> NDArray:
    """Last finite value along the last axis, NaN where there is none."""
    seen = np.isfinite(values)
    where = values.shape[-1] - 1 - np.argmax(seen[..., ::-1], axis=-1)
    return np.take_along_axis(values, where[..., None], axis=-1)[..., 0]


def compare(truth: NDArray, network: NDArray, naive: NDArray, scale: NDArray, mode: str) -> Guard:
    """Weigh the network against the seasonal naive forecast.

    Parameters
    ----------
    truth : ndarray of shape (n_windows, horizon)
        What happened; NaN where it is not known.

    network, naive : ndarray of shape (n_windows, horizon)
        The forecasts.

    scale : ndarray of shape (n_windows, 1)
        What errors are divided by.

    mode : {"blend", "fallback", "off"}
        Whether the weight may be between 0 and 1, is one of both, or is always 1.

    Returns
    -------
    guard : Guard
        The weight with the least error, if it beats the naive forecast by one standard error of the
        difference between steps of the tail; else 0.
    """
    usable = np.isfinite(truth) & np.isfinite(naive) & (scale > 0)
    if not usable.any():
        return Guard()
    scale = np.where(scale > 0, scale, 1.0)

    def errors(weight: float) -> NDArray:
        forecast = naive + weight * (network - naive)
        return np.where(usable, np.abs(truth - forecast) / scale, np.nan)

    tried = {"blend": BLENDS, "fallback": (0.0, 1.0), "off": (1.0,)}[mode]
    all_errors = {weight: errors(weight) for weight in {0.0, 1.0, *tried}}
    means = {weight: float(np.nanmean(e)) for weight, e in all_errors.items()}
    weight = min(tried, key=lambda w: (means[w], w))
    if mode != "off" and not _believable(all_errors[0.0] - all_errors[weight]):
        weight = 0.0
    return Guard(weight, means[1.0], means[0.0], means[weight], len(truth))


def _believable(gain: NDArray) -> bool:
    """Whether the mean gain is more than one standard error above zero.

    Windows overlap, so that neighbouring origins repeat each other: the error is that of a mean
    over as many independent values as there are windows without overlap, but at least two.
    """
    per_window = np.nanmean(gain, axis=1) if len(gain) else np.zeros(1)
    per_window = per_window[np.isfinite(per_window)]
    independent = max(len(per_window) / gain.shape[1], 2.0)
    error = per_window.std() / np.sqrt(independent)
    return bool(per_window.mean() > N_STANDARD_ERRORS * error)
