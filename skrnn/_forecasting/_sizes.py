"""Sizes: what "auto" stands for, from the horizon, the season and the lengths of the series."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# The window is this many horizons, and at least this many seasons.
HORIZONS_IN_WINDOW, SEASONS_IN_WINDOW = 3.5, 3
# Without a known season: what repeats itself has to be seen in the window.
HORIZONS_WITHOUT_SEASON = 8
# Bounds of the window in steps; beyond, the recurrence forgets and the shortcut grows too large.
SHORTEST_WINDOW, LONGEST_WINDOW = 12, 720
LARGEST_WINDOW_SHARE = 0.5
# Patches are seasons within these bounds.
SHORTEST_PATCH, LONGEST_PATCH = 4, 24
# Share of every series in its validation tail: it should show all phases of a season and a week.
TAIL_SHARE = 0.2
# No series gives more of its steps to validation.
LARGEST_TAIL_SHARE = 1 / 3


def patch_length(period: int, horizon: int) -> int:
    """Steps read at once: a season, or a whole part of a long one; a horizon without a season.

    Parameters
    ----------
    period : int
        Steps in one season.

    horizon : int
        Steps that are forecast.

    Returns
    -------
    length : int
        Between 4 and 24.
    """
    if period == 1:
        return int(np.clip(horizon, SHORTEST_PATCH, LONGEST_PATCH))
    if period < SHORTEST_PATCH:
        return SHORTEST_PATCH
    parts = [n for n in range(SHORTEST_PATCH, LONGEST_PATCH + 1) if period % n == 0]
    return max(parts, default=SHORTEST_PATCH)


def window_length(horizon: int, period: int, lengths: NDArray[np.integer], patch: int) -> int:
    """Steps of the past that are read.

    Parameters
    ----------
    horizon : int
        Steps that are forecast.

    period : int
        Steps in one season.

    lengths : ndarray of shape (n_series,)
        Steps of each series.

    patch : int
        Steps of one patch.

    Returns
    -------
    length : int
        A multiple of the patch: 3.5 horizons and at least three seasons, or without a season 8
        horizons, between 12 and 720 steps, but not more than half of the median series (and what
        the patch makes of it), so that most windows are whole.
    """
    horizons = HORIZONS_WITHOUT_SEASON if period == 1 else HORIZONS_IN_WINDOW
    wanted = max(horizons * horizon, SEASONS_IN_WINDOW * period, SHORTEST_WINDOW)
    wanted = min(wanted, LONGEST_WINDOW, LARGEST_WINDOW_SHARE * float(np.median(lengths)))
    return max(int(np.ceil(wanted / patch)), 1) * patch


def tail_lengths(lengths: NDArray[np.integer], horizon: int) -> NDArray[np.int64]:
    """Last steps of every series that are kept for validation.

    Parameters
    ----------
    lengths : ndarray of shape (n_series,)
        Steps of each series.

    horizon : int
        Steps that are forecast.

    Returns
    -------
    tails : ndarray of shape (n_series,)
        One horizon or a fifth of the series, whichever is more, but at most a third of it.
    """
    wanted = np.maximum(horizon, np.ceil(TAIL_SHARE * lengths))
    return np.minimum(wanted, np.floor(LARGEST_TAIL_SHARE * lengths)).astype(np.int64)


def batch_size(n_windows: int) -> int:
    """Windows per step: an eighth of them, as a power of two between 16 and 256.

    Parameters
    ----------
    n_windows : int
        Windows to train on.

    Returns
    -------
    size : int
        The batch size.
    """
    return int(2 ** np.clip(np.floor(np.log2(max(n_windows / 8, 1))), 4, 8))
