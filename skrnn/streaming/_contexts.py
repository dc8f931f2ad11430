"""Contexts: what streams of forecasts are given, checked, and the states that follow from it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._forecasting._rolling import Beginning

__all__ = ["checked_values", "features_of", "first_state", "probabilities", "state_of_context"]


def first_state(beginning: Beginning) -> dict[str, NDArray[Any]]:
    """State of the series where a stream begins."""
    ends = beginning.ends
    none = np.zeros((*ends.values.shape[:2], 0), np.float32)
    return {
        "n_steps": np.zeros(len(beginning.keys), dtype=np.int64),
        "ticks": np.asarray(ends.ticks, dtype=np.int64),
        "window": ends.values,
        "known": beginning.known,
        "past": ends.covariates.get("past", none),
    }


def state_of_context(beginning: Beginning, y: Any, X: Any, n_after: Any) -> dict[str, NDArray[Any]]:
    """State of the series after steps that are given.

    Parameters
    ----------
    beginning : Beginning
        Where the series ended.

    y : array-like of shape (n_series, n_steps, n_columns)
        The last values of each series. The axes of a single series, and of a single column, may be
        left out.

    X : array-like of shape (n_series, n_steps, n_features) or None
        Covariates of the same steps.

    n_after : int or array-like of shape (n_series,)
        How many steps after the ends of the series the given ones end.

    Returns
    -------
    state : dict of ndarray
        The state.
    """
    learned, n_series = beginning.learned, len(beginning.keys)
    given = _with_axes(np.asarray(y, dtype=np.float64), n_series, learned.n_columns)
    n_steps = given.shape[1]
    everyone = np.arange(n_series)
    values = checked_values(beginning, given, (n_series, n_steps), everyone)
    after = np.broadcast_to(np.asarray(n_after), (n_series,))
    if after.dtype.kind not in "iu":
        raise ValueError(f"n_after must hold whole numbers, got {n_after!r}.")
    first = first_state(beginning)
    ticks = first["ticks"] + after
    when = ticks[:, None] + np.arange(1 - n_steps, 1)
    past = features_of(beginning, "past", when, X)
    length = learned.window_length
    window = np.full((n_series, length, learned.n_columns), np.nan)
    known = first["known"].copy()
    read = np.zeros((n_series, length, past.shape[2]), dtype=past.dtype)
    kept = min(length, n_steps)
    read[:, length - kept :] = past[:, n_steps - kept :]
    for i in everyone:
        forward = learned.transform.forward(values[i], int(i), when[i])
        window[i, length - kept :] = forward[n_steps - kept :]
        for j, column in enumerate(forward.T):
            seen = column[np.isfinite(column)]
            known[i, j] = seen[-1] if len(seen) else known[i, j]
    return {**first, "ticks": ticks, "window": window, "known": known, "past": read}


def features_of(
    beginning: Beginning, name: str, ticks: NDArray[np.integer], X: Any, ahead: bool = False
) -> NDArray[np.float32]:
    """Features of steps, which have happened or are to come.

    Raises
    ------
    ValueError
        If rows or columns of X are missing.
    """
    features = beginning.features
    columns = features.columns_ahead if ahead else features.columns
    if columns and X is None:
        what = "X of the steps to come" if ahead else "X"
        raise ValueError(f"the forecaster was fitted with X; pass {what}, columns {columns}.")
    if X is not None and not features.columns:
        raise ValueError("the forecaster reads no X that changes in time; leave it out.")
    # Of steps to come nothing need be passed where only the past is known.
    table = _table(X, columns, ticks.size) if columns else None
    return features.read(name, ticks, table, columns)


def _table(X: Any, columns: list[Hashable], n_rows: int) -> NDArray[Any]:
    """X as an array of one row per step, with the columns that are asked for."""
    if hasattr(X, "columns"):
        lacking = [name for name in columns if name not in X.columns]
        if lacking:
            raise ValueError(
                f"X has columns {list(X.columns)}, without {lacking}; pass those of {columns}."
            )
        values = X[columns].to_numpy()
    else:
        values = np.asarray(X, dtype=None if hasattr(X, "dtype") else object)
    if values.size != n_rows * len(columns):
        raise ValueError(
            f"X has shape {values.shape}, expected {n_rows} rows of the columns {columns}."
        )
    return values.reshape(n_rows, len(columns))


def _with_axes(y: NDArray[np.float64], n_series: int, n_columns: int) -> NDArray[np.float64]:
    if y.ndim == 1 and n_series == n_columns == 1:
        y = y[None, :, None]
    elif y.ndim == 2 and n_columns == 1 and len(y) == n_series:
        y = y[:, :, None]
    elif y.ndim == 2 and n_series == 1:
        y = y[None]
    if y.ndim != 3 or (len(y), y.shape[2]) != (n_series, n_columns) or y.shape[1] == 0:
        raise ValueError(
            f"y has shape {y.shape}, expected {(n_series, 'n_steps', n_columns)}: series, steps, "
            "columns."
        )
    return y


def checked_values(
    beginning: Beginning, y: Any, shape: tuple[int, ...], index: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Values of y with an axis of the columns last.

    Raises
    ------
    ValueError
        If there are others than numbers that the forecaster can read; the message names the series.
    """
    learned = beginning.learned
    values = np.asarray(y, dtype=np.float64)
    full = (*shape, learned.n_columns)
    if values.size != np.prod(full) or values.ndim > len(full):
        raise ValueError(
            f"y has shape {values.shape}, expected {full}: {full[-1]} values for each of "
            f"{full[0]} series."
        )
    values = values.reshape(full)
    missing, infinite = np.isnan(values), np.isinf(values)
    faults = [(infinite, "is infinite; pass NaN for a value that is missing")]
    if learned.counts:
        with np.errstate(invalid="ignore"):
            faults.append((~missing & ~((values >= 0) & (values % 1 == 0)), "is no count"))
    if not beginning.missing:
        faults.append((missing, "is missing; fit with missing='mask' to allow that"))
    for wrong, reason in faults:
        if wrong.any():
            row, *step, column = (int(i) for i in np.argwhere(wrong)[0])
            at = f", step {step[0]}" if step else ""
            raise ValueError(f"y of series {int(index[row])}{at}, column {column} {reason}.")
    return values


def probabilities(levels: Any, name: str) -> NDArray[np.float64]:
    """Levels in an array.

    Raises
    ------
    ValueError
        If one is no probability.
    """
    values = np.atleast_1d(np.asarray(levels, dtype=np.float64))
    if values.ndim != 1 or len(values) == 0 or not ((values > 0) & (values < 1)).all():
        raise ValueError(f"{name} must lie in (0, 1), got {levels!r}.")
    return values
