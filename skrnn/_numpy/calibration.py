"""Calibration: quantiles moved by the errors on held-out data, and whether those were enough."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_VALUES", "calibrated", "complaint", "levels_of", "values_needed"]

#: More held-out values than this do not make quantiles noticeably better.
MAX_VALUES = 1000


def calibrated(errors: NDArray[Any], predicted: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Move predicted quantiles by those of their own errors on held-out values.

    Lower levels are rounded down and upper levels up to the next observed error, which makes a pair
    of them cover at least its share of exchangeable data.

    Parameters
    ----------
    errors : ndarray of shape (n_values, n_outputs, n_alpha)
        Held-out targets less the quantiles predicted for them.

    predicted : ndarray of shape (n, n_outputs, n_alpha)
        Quantiles to be moved.

    alpha : ndarray of shape (n_alpha,)
        Levels in ``(0, 1)``.

    Returns
    -------
    quantiles : ndarray of shape (n, n_outputs, n_alpha)
        Never decreasing along increasing levels.
    """
    errors = np.sort(errors, axis=0)
    n_values = len(errors)
    exact = (n_values + 1) * alpha
    rank = np.where(alpha < 0.5, np.floor(exact + 1e-9), np.ceil(exact - 1e-9)).astype(int)
    rank = np.clip(rank, 1, n_values) - 1
    shifted = predicted + np.take_along_axis(errors, rank[None, None, :], axis=0)[0]
    # Levels move by different amounts: sorting keeps them in order.
    order = np.argsort(alpha, kind="stable")
    shifted[..., order] = np.sort(shifted[..., order], axis=-1)
    return shifted


def values_needed(alpha: NDArray[Any]) -> int:
    """Fewest held-out values from which all these levels can be calibrated.

    Parameters
    ----------
    alpha : ndarray of shape (n_alpha,)
        Levels in ``(0, 1)``.

    Returns
    -------
    n_values : int
        With fewer, the largest error seen stands in for the exact bound, which is infinite: the
        quantile is taken over the errors and infinity (R. Tibshirani et al., "Conformal Prediction
        Under Covariate Shift", 2019, lemma 1).
    """
    tail = float(np.minimum(alpha, 1 - alpha).min())
    return int(np.ceil((1 - 1e-9) / tail)) - 1


def levels_of(coverage: Any) -> NDArray[np.float64]:
    """Levels of the lower bounds of intervals, then those of the upper ones.

    Raises
    ------
    ValueError
        If a coverage is outside ``(0, 1)``.
    """
    levels = np.atleast_1d(np.asarray(coverage, dtype=np.float64))
    if ((levels <= 0) | (levels >= 1)).any():
        raise ValueError(f"coverage must lie in (0, 1), got {coverage!r}.")
    return np.concatenate([(1 - levels) / 2, (1 + levels) / 2])


def complaint(n_values: int, alpha: NDArray[Any], what: str, asked: str) -> str | None:
    """Say where nothing, or too little, was held out to calibrate these levels with."""
    needed = values_needed(alpha) if len(alpha) else 0
    if n_values >= max(needed, 1):
        return None
    if n_values == 0:
        return (
            f"these {what} are the network's own and were not calibrated, because no sequences "
            "were held out; on small data they cover far less than they claim. Fit with "
            "early_stopping=True or validation_split=..., or take them as they are with "
            "calibrate=False."
        )
    if needed > MAX_VALUES:
        way_out = f"At most {MAX_VALUES} are used, so ask for less."
    else:
        way_out = "Hold out more with validation_fraction or validation_split, or ask for less."
    return (
        f"{asked} needs {needed} held-out sequences and there are {n_values}; "
        f"the largest errors seen stand in for the outermost {what}, which may cover less "
        f"than asked. {way_out}"
    )
