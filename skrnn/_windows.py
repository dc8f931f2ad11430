"""Windows: the index arithmetic that cuts one series into past and future, without copies."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray


def count_windows(n_steps: int, window_length: int, horizon: int = 0, step: int = 1) -> int:
    """Count the windows of a series that are followed by `horizon` more steps.

    Parameters
    ----------
    n_steps : int
        Length of the series.

    window_length : int
        Steps in a window.

    horizon : int, default=0
        Steps needed after each window.

    step : int, default=1
        Distance between the starts of two windows.

    Returns
    -------
    n_windows : int
        ``floor((n_steps - window_length - horizon) / step) + 1``, and 0 when not even one fits.

    Examples
    --------
    >>> count_windows(10, window_length=4, horizon=2, step=2)
    3
    """
    return max(0, (n_steps - window_length - horizon) // step + 1)


def past_windows(values: NDArray, window_length: int, horizon: int = 0, step: int = 1) -> NDArray:
    """View of all windows that are followed by `horizon` more steps.

    Parameters
    ----------
    values : ndarray of shape (n_steps, n_features)
        A series.

    window_length : int
        Steps in a window.

    horizon : int, default=0
        Steps needed after each window.

    step : int, default=1
        Distance between the starts of two windows.

    Returns
    -------
    windows : ndarray of shape (n_windows, window_length, n_features)
        Window ``i`` is ``values[i * step : i * step + window_length]``; a read-only view.

    Examples
    --------
    >>> import numpy as np
    >>> past_windows(np.arange(5)[:, None], 2, horizon=1)[:, :, 0]
    array([[0, 1],
           [1, 2],
           [2, 3]])
    """
    n_windows = count_windows(len(values), window_length, horizon, step)
    if n_windows == 0:
        return np.empty((0, window_length, values.shape[1]), dtype=values.dtype)
    windows = sliding_window_view(values, window_length, axis=0)
    return windows[: (n_windows - 1) * step + 1 : step].transpose(0, 2, 1)


def future_windows(values: NDArray, window_length: int, horizon: int, step: int = 1) -> NDArray:
    """View of the `horizon` steps that follow each window of :func:`past_windows`.

    Parameters
    ----------
    values : ndarray of shape (n_steps, n_features)
        A series.

    window_length : int
        Steps in a window.

    horizon : int
        Steps taken after each window.

    step : int, default=1
        Distance between the starts of two windows.

    Returns
    -------
    windows : ndarray of shape (n_windows, horizon, n_features)
        Future ``i`` starts at step ``i * step + window_length``; a read-only view.

    Examples
    --------
    >>> import numpy as np
    >>> future_windows(np.arange(5)[:, None], 2, horizon=2)[:, :, 0]
    array([[2, 3],
           [3, 4]])
    """
    return past_windows(values[window_length:], horizon, step=step)


def trailing_windows(values: NDArray, window_length: int) -> NDArray:
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
    >>> trailing_windows(np.arange(4.0)[:, None], 3)[:, :, 0]
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
        windows[window_length - 1 :] = past_windows(values, window_length)
    return windows
