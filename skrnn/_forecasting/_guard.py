"""Guard: the network must beat the seasonal naive forecast on the validation tail, or give way."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import NDArray

# The forecasts that are blended.
MEMBERS = ("network", "theta", "seasonal_naive")
# Weights are multiples of one over this.
PARTS = 4
# Windows that count as much as the seasonal naive forecast does without evidence. An error along
# the way to another forecast is convex: whatever is better on the way stays better closer to it.
PRIOR_WINDOWS = 1.0
# Standard errors by which a blend must be better than the naive forecast to be believed.
N_STANDARD_ERRORS = 1.0

_NETWORK, _NAIVE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
_BLENDS = [
    (i / PARTS, j / PARTS, 1 - (i + j) / PARTS)
    for i, j in product(range(PARTS, -1, -1), repeat=2)
    if i + j <= PARTS
]


@dataclass(frozen=True)
class Guard:
    """How the network and simpler forecasts did on the validation tail, and what each counts.

    Parameters
    ----------
    weights : dict of str to float
        Weight of "network", "theta" and "seasonal_naive" in the forecast; they sum to 1.

    errors : dict of str to float
        Mean absolute scaled error of each of them alone and of the "blend", on the validation tail;
        empty where nothing could be compared.

    n_windows : int
        Windows compared.
    """

    weights: dict[str, float] = field(
        default_factory=lambda: dict(zip(MEMBERS, _NETWORK, strict=True))
    )
    errors: dict[str, float] = field(default_factory=dict)
    n_windows: int = 0

    @property
    def passed(self) -> bool:
        """Whether the network alone is at least as good as the seasonal naive forecast."""
        return not self.errors or self.errors["network"] <= self.errors["seasonal_naive"]

    def blend(self, members: dict[str, NDArray]) -> NDArray:
        """Mean of the members by weight; where one has no value, the network stands in."""
        network = members["network"]
        total = np.zeros_like(network)
        for name, weight in self.weights.items():
            if weight:
                values = members[name]
                total += weight * np.where(np.isfinite(values), values, network)
        return total


def compare(
    truth: NDArray,
    members: dict[str, NDArray],
    scale: NDArray,
    mode: str,
    n_independent: float = np.inf,
) -> Guard:
    """Weigh the network against the Theta and the seasonal naive forecast.

    Parameters
    ----------
    truth : ndarray of shape (n_windows, horizon)
        What happened; NaN where it is not known.

    members : dict of ndarray of shape (n_windows, horizon)
        The forecasts by name.

    scale : ndarray of shape (n_windows, 1)
        What errors are divided by; windows with 0 do not count.

    mode : {"blend", "fallback", "off"}
        Blend all, take the network or the seasonal naive forecast, or always take the network.

    n_independent : float, default=inf
        How many of the windows do not overlap; at least 2, and no more than there are.

    Returns
    -------
    guard : Guard
        The weights with the least error, if they beat the seasonal naive forecast by one standard
        error of the difference; else the seasonal naive forecast alone. Blends that few windows
        speak for move towards it.
    """
    usable = np.isfinite(truth) & (scale > 0)
    for forecast in members.values():
        usable &= np.isfinite(forecast)
    if not usable.any():
        return Guard()
    scale = np.where(scale > 0, scale, 1.0)

    def errors(weights: tuple[float, ...]) -> NDArray:
        forecast = sum(w * members[name] for w, name in zip(weights, MEMBERS, strict=True))
        return np.where(usable, np.abs(truth - forecast) / scale, np.nan)

    tried = {"blend": _BLENDS, "fallback": [_NETWORK, _NAIVE], "off": [_NETWORK]}[mode]
    means = [float(np.nanmean(errors(weights))) for weights in tried]
    best: tuple[float, ...] = tried[int(np.argmin(means))]
    independent = float(np.clip(n_independent, 2, max(usable.any(axis=1).sum(), 2)))
    if mode != "off" and not _believable(errors(_NAIVE) - errors(best), independent):
        best = _NAIVE
    elif mode == "blend":
        trust = 1 / (1 + PRIOR_WINDOWS / max(n_independent, 2))
        best = tuple(trust * w + (1 - trust) * n for w, n in zip(best, _NAIVE, strict=True))
    alone = np.eye(len(MEMBERS)).tolist()
    report = {
        name: float(np.nanmean(errors(tuple(w)))) for name, w in zip(MEMBERS, alone, strict=True)
    }
    report["blend"] = float(np.nanmean(errors(best)))
    return Guard(dict(zip(MEMBERS, best, strict=True)), report, int(usable.any(axis=1).sum()))


def _believable(gain: NDArray, independent: float) -> bool:
    """Whether the mean gain is more than one standard error above zero.

    Windows overlap, so that neighbouring origins repeat each other: the error is that of a mean
    over as many values as there are windows without overlap.
    """
    known = np.isfinite(gain).any(axis=1)
    per_window = np.nanmean(gain[known], axis=1)
    error = per_window.std() / np.sqrt(independent)
    return bool(per_window.mean() > N_STANDARD_ERRORS * error)


def error_scale(values: NDArray, period: int) -> NDArray[np.float64]:
    """Mean absolute seasonal change of every column: the scale of MASE.

    Where a season repeats itself exactly it is the change from step to step, and 1 where nothing
    changes.
    """
    seasonal = _mean_change(values, period)
    scale = np.where(seasonal > 0, seasonal, _mean_change(values, 1))
    return np.where(scale > 0, scale, 1.0)


def _mean_change(values: NDArray, lag: int) -> NDArray[np.float64]:
    """Mean absolute change over `lag` steps of every column; 0 where there is none."""
    change = np.abs(values[lag:] - values[:-lag])
    known = np.isfinite(change)
    return np.where(known, change, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
