"""Rows: a long table of time series is checked, put in order and completed."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skrnn._forecasting._clock import Clock
from skrnn._forecasting._stamps import (
    Ticks,
    in_series,
    index_kind,
    index_numbers,
    key_text,
    stamp_text,
)

Gaps = Literal["error", "mask", "interpolate"]
Duplicates = Literal["error", "last", "mean"]

# Filling gaps may make a panel this much longer; more is a slip in the time index.
_MOST_FILLED = 1000


def read_numbers(frame: pd.DataFrame, name: str) -> NDArray[np.float64]:
    """Values as an own float64 array."""
    for column, dtype in zip(frame.columns, frame.dtypes, strict=True):
        numeric = pd.api.types.is_numeric_dtype(dtype)
        if not numeric or pd.api.types.is_complex_dtype(dtype):
            raise TypeError(
                f"column {key_text(column)} of {name} has dtype {dtype}, expected numbers; convert "
                "it with pd.to_numeric or drop it."
            )
    return frame.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)


def split_index(index: pd.Index) -> tuple[pd.Index, Ticks, Any]:
    """Stamp and number of the series of each row, and the sorted keys of the series."""
    if index.nlevels == 1:
        index = index.get_level_values(0)
        index_kind(index)
        return index.rename(None), np.zeros(len(index), dtype=np.int64), None
    stamps = index.get_level_values(-1).rename(None)
    index_kind(stamps)
    series = np.zeros(len(index), dtype=np.int64)
    levels = zip(index.levels[:-1], index.codes[:-1], index.names[:-1], strict=True)
    for level, codes, name in levels:
        if (codes < 0).any():
            raise ValueError(f"level {name!r} of the index has missing keys; fill or drop them.")
        rank = np.empty(len(level), dtype=np.int64)
        rank[_sorting(level)] = np.arange(len(level))
        series = series * len(level) + rank[codes]
    series, _ = pd.factorize(series, sort=True)
    _, rows = np.unique(series, return_index=True)
    return stamps, series.astype(np.int64), index[rows].droplevel(-1)


def _sorting(level: pd.Index) -> NDArray[np.intp]:
    try:
        return level.argsort()
    except TypeError:  # keys of several types have no order: keep that of the level
        return np.arange(len(level))


def check_finite(
    values: NDArray, stamps: pd.Index, series: Ticks, keys: Sequence, columns: pd.Index, name: str
) -> None:
    """Refuse infinite values, with the first one of them."""
    infinite = np.isinf(values)
    if infinite.any():
        row, column = np.argwhere(infinite)[0]
        raise ValueError(
            f"{name} contains infinity in column {key_text(columns[column])} at "
            f"{stamp_text(stamps[row])}{in_series(keys[series[row]])}; replace it by NaN or a "
            "number."
        )


def check_order(
    stamps: pd.Index, series: Ticks, keys: Sequence, duplicates: Duplicates
) -> NDArray[np.bool_]:
    """Rows that repeat the stamp of the row before; refuses stamps that go back."""
    numbers = index_numbers(stamps)
    same = series[1:] == series[:-1]
    back = np.flatnonzero(same & (numbers[1:] < numbers[:-1]))
    if len(back):
        row = back[0]
        raise ValueError(
            f"the time index is not monotonic{in_series(keys[series[row]])}: "
            f"{stamp_text(stamps[row])} is followed by {stamp_text(stamps[row + 1])}; use "
            ".sort_index()."
        )
    repeated = np.concatenate([[False], same & (numbers[1:] == numbers[:-1])])
    if duplicates == "error" and repeated.any():
        row = int(np.argmax(repeated))
        raise ValueError(
            f"duplicate time {stamp_text(stamps[row])}{in_series(keys[series[row]])}; drop it, or "
            "choose with duplicates='last' or duplicates='mean'."
        )
    return repeated


def merge_repeated(values: NDArray, repeated: NDArray[np.bool_], duplicates: Duplicates) -> NDArray:
    """One row for each run of rows that repeat a stamp."""
    starts = np.flatnonzero(~repeated)
    if duplicates == "last":
        return values[np.append(starts[1:], len(values)) - 1]
    count = np.add.reduceat((~np.isnan(values)).astype(np.int64), starts)
    total = np.add.reduceat(np.nan_to_num(values, nan=0.0), starts)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def fill_gaps(
    values: NDArray, ticks: Ticks, offsets: Ticks, keys: Sequence, clock: Clock, gaps: Gaps
) -> tuple[NDArray, Ticks]:
    """Give every tick between the first and the last one of a series its row."""
    steps = np.diff(ticks)
    steps[offsets[1:-1] - 1] = 1  # from one series to the next
    holes_at = np.flatnonzero(steps > 1)
    if len(holes_at) == 0:
        return values, offsets
    if gaps == "error":
        row = holes_at[0]
        i = int(np.searchsorted(offsets, row, side="right")) - 1
        raise ValueError(gap_text(clock, ticks[row], steps[row] - 1, keys[i]))
    lengths = ticks[offsets[1:] - 1] - ticks[offsets[:-1]] + 1
    check_filled(len(values), int(lengths.sum()), gaps)
    wide = offsets_of(lengths)
    rows = ticks + np.repeat(wide[:-1] - ticks[offsets[:-1]], np.diff(offsets))
    filled = np.full((wide[-1], values.shape[1]), np.nan)
    filled[rows] = values
    if gaps == "interpolate":
        draw_lines(filled, rows[holes_at], steps[holes_at] - 1)
    return filled, wide


def check_filled(n_rows: int, n_filled: int, gaps: Gaps) -> None:
    """Refuse to fill gaps that no memory holds."""
    if n_filled > _MOST_FILLED * n_rows:
        raise ValueError(
            f"gaps={gaps!r} would fill {n_rows} time points up to {n_filled}; check the time index "
            "or resample."
        )


def gap_text(clock: Clock, tick: int, n_missing: int, key: Hashable) -> str:
    """Message on steps that are missing after a tick."""
    stamp = stamp_text(clock.stamps(np.array([tick]))[0])
    steps = "step" if n_missing == 1 else "steps"
    repair = ".reindex" if clock.freq is None else f".asfreq({clock.freq!r})"
    return (
        f"{n_missing} missing {steps} after {stamp}{in_series(key)}; use {repair} or gaps='mask'."
    )


def draw_lines(values: NDArray, before: Ticks, n_missing: Ticks) -> None:
    """Fill the rows after each row of `before` on the line to the next known row."""
    start = np.repeat(before, n_missing)
    width = np.repeat(n_missing + 1, n_missing)
    rows = rows_of(before + 1, n_missing)
    share = ((rows - start) / width)[:, None]
    values[rows] = (1 - share) * values[start] + share * values[start + width]


def offsets_of(lengths: Ticks) -> Ticks:
    """Where runs of these lengths start, and where the last one ends."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def rows_of(starts: Ticks, lengths: Ticks) -> Ticks:
    """Row numbers of runs."""
    offsets = offsets_of(lengths)
    return np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
