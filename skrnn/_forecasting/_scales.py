"""Scales: below which no window of a series is scaled up, and which series never change."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from skrnn.nn import WindowScaler

# Least scale of a window as a share of the scale of its series.
LEAST_SCALE = 0.1
# Steps that are measured together: what short series cost alone, and no copies of long ones.
STEPS_AT_ONCE = 2**16


def least_scales(
    values: NDArray[np.float64],
    offsets: NDArray[np.int64],
    visible: NDArray[np.integer],
    kind: str,
    period: int,
) -> NDArray[np.float64]:
    """Least scale of the windows of every series.

    Parameters
    ----------
    values : ndarray of shape (total_steps, n_columns)
        The series one after the other; NaN where a value is missing.

    offsets : ndarray of shape (n_series + 1,)
        Where each starts and ends.

    visible : ndarray of shape (n_series,)
        How many of its first steps count.

    kind, period : str, int
        Those of :class:`skrnn.nn.WindowScaler`.

    Returns
    -------
    least : ndarray of shape (n_series, n_columns)
        0 where there is none, as for a constant series.
    """
    least = np.zeros((len(visible), values.shape[1]))
    if kind == "none":
        return least
    scaler = WindowScaler(kind, period)
    for series in _alike(visible):
        steps = offsets[series][:, None] + np.arange(visible[series[0]])
        columns = np.ascontiguousarray(values[steps].swapaxes(1, 2))
        scale = scaler(torch.from_numpy(columns).flatten(0, 1))[1]
        least[series] = LEAST_SCALE * scale.numpy().reshape(len(series), -1)
    return least


def is_constant(values: NDArray) -> NDArray[np.bool_]:
    """Which columns hold only one value."""
    known = np.isfinite(values)
    low = np.where(known, values, np.inf).min(axis=0, initial=np.inf)
    high = np.where(known, values, -np.inf).max(axis=0, initial=-np.inf)
    return np.asarray(low == high)


def _alike(lengths: NDArray[np.integer]) -> Iterator[NDArray[np.intp]]:
    """Series that have the same number of steps, and any, some at a time."""
    order = np.argsort(lengths, kind="stable")
    for group in np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1):
        if len(group) and lengths[group[0]]:
            at_once = max(STEPS_AT_ONCE // int(lengths[group[0]]), 1)
            yield from np.split(group, range(at_once, len(group), at_once))
