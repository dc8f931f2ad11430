"""Panel: time series of one clock in a flat buffer, from sktime's container and back."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skrnn._forecasting._clock import Clock
from skrnn._forecasting._rows import (
    Duplicates,
    Gaps,
    check_filled,
    check_finite,
    check_order,
    draw_lines,
    fill_gaps,
    gap_text,
    merge_repeated,
    offsets_of,
    read_numbers,
    rows_of,
    split_index,
)
from skrnn._forecasting._stamps import Ticks, in_series, stamp_text

# A tick that no data reach.
_FAR = np.int64(2**62)


@dataclass(frozen=True, eq=False)
class Panel:
    """Time series of one clock, one after the other in a flat buffer.

    Parameters
    ----------
    values : ndarray of shape (total_steps, n_columns)
        Own float64 copy of the data; NaN is missing.

    offsets : ndarray of shape (n_series + 1,)
        Where each series starts; the last entry is ``total_steps``.

    first_ticks : ndarray of shape (n_series,)
        Tick of the first step of each series.

    key_index : Index or None
        Key of each series, a MultiIndex for keys of several levels; None for a single series.

    key_names : list
        Names of the levels of the keys; empty for a single series.

    time_name : hashable
        Name of the time level.

    columns : Index
        Columns of the data.

    clock : Clock
        What ticks mean.
    """

    values: NDArray[np.float64]
    offsets: Ticks
    first_ticks: Ticks
    key_index: Any
    key_names: list[Hashable]
    time_name: Hashable
    columns: Any
    clock: Clock

    @cached_property
    def keys(self) -> tuple[Hashable, ...]:
        """Key of each series: a scalar, a tuple for several levels, None for a single series."""
        return (None,) if self.key_index is None else tuple(self.key_index)

    @property
    def n_series(self) -> int:
        """Number of series."""
        return len(self.offsets) - 1

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return self.values.shape[1]

    @property
    def lengths(self) -> Ticks:
        """Number of steps of each series."""
        return np.diff(self.offsets)

    @property
    def last_ticks(self) -> Ticks:
        """Tick of the last step of each series."""
        return self.first_ticks + self.lengths - 1

    def series(self, i: int) -> NDArray[np.float64]:
        """View of series `i`, of shape (n_steps, n_columns)."""
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    def ticks(self, i: int) -> Ticks:
        """Ticks of series `i`."""
        return self.first_ticks[i] + np.arange(self.offsets[i + 1] - self.offsets[i])

    def stamps(self, i: int) -> pd.Index:
        """Time stamps of series `i`."""
        return self.clock.stamps(self.ticks(i))

    def take(self, indices: Sequence[int] | NDArray[np.integer]) -> Panel:
        """Copy of the series at `indices`, in that order."""
        at: Ticks = np.asarray(indices, dtype=np.int64)
        lengths = self.lengths[at]
        return replace(
            self,
            values=self.values[rows_of(self.offsets[:-1][at], lengths)],
            offsets=offsets_of(lengths),
            first_ticks=self.first_ticks[at],
            key_index=None if self.key_index is None else self.key_index[at],
        )

    def extend(self, newer: Panel, gaps: Gaps = "error") -> Panel:
        """Join with newer data of the same or of more series.

        Parameters
        ----------
        newer : Panel
            Data on the same clock. Where both have a step, the newer one counts. Series that are
            not known yet come after the known ones.

        gaps : {"error", "mask", "interpolate"}, default="error"
            What to do about steps between the known and the newer data: raise, fill with NaN, or
            fill with a straight line.

        Returns
        -------
        panel : Panel
            A copy with the data of both.

        Raises
        ------
        ValueError
            If columns, frequency or keys differ, if all steps of a series are older than the known
            ones, or if there is a gap.
        """
        newer = _matched(self, newer)
        known_at, newer_at, keys = _join_keys(self, newer)
        n_series = 1 if keys is None else len(keys)
        known_first, known_last = _spans(self, known_at, n_series)
        newer_first, newer_last = _spans(newer, newer_at, n_series)
        both = np.isin(np.arange(n_series), newer_at) & (np.arange(n_series) < self.n_series)
        _check_older(self, both & (newer_last < known_first), newer_last)
        holes = np.where(both, np.maximum(0, newer_first - known_last - 1), 0)
        if gaps == "error" and holes.any():
            i = int(np.argmax(holes > 0))
            raise ValueError(gap_text(self.clock, known_last[i], holes[i], self.keys[i]))
        first = np.minimum(known_first, newer_first)
        lengths = np.maximum(known_last, newer_last) - first + 1
        check_filled(len(self.values) + len(newer.values), int(lengths.sum()), gaps)
        offsets = offsets_of(lengths)
        values = np.full((offsets[-1], self.n_columns), np.nan)
        for panel, at in ((self, known_at), (newer, newer_at)):
            starts = offsets[:-1][at] + panel.first_ticks - first[at]
            values[rows_of(starts, panel.lengths)] = panel.values
        if gaps == "interpolate":
            before = offsets[:-1] + known_last - first
            draw_lines(values, before[holes > 0], holes[holes > 0])
        return replace(self, values=values, offsets=offsets, first_ticks=first, key_index=keys)


def read_panel(
    frame: pd.DataFrame,
    *,
    gaps: Gaps = "error",
    duplicates: Duplicates = "error",
    clock: Clock | None = None,
    name: str = "y",
) -> Panel:
    """Read sktime's container of one series, a panel or a hierarchy.

    Parameters
    ----------
    frame : DataFrame
        With a time index, or a MultiIndex whose last level is time. Columns are numbers. Rows of
        different series may be mixed; the result does not depend on their order.

    gaps : {"error", "mask", "interpolate"}, default="error"
        What to do about missing steps: raise, fill with NaN, or fill with a straight line.

    duplicates : {"error", "last", "mean"}, default="error"
        What to do about rows of one series and time: raise, keep the last, or take their mean.

    clock : Clock or None, default=None
        Clock the stamps must go by; None to find it.

    name : str, default="y"
        Name of the data in messages.

    Returns
    -------
    panel : Panel
        A copy of the data, series sorted by their keys.

    Raises
    ------
    TypeError
        If a column holds no numbers or the index no times.

    ValueError
        If there is no row, the stamps of a series are not increasing or not regular, or a value is
        infinite.
    """
    if len(frame) == 0 or frame.shape[1] == 0:
        raise ValueError(
            f"{name} needs at least 1 time point and 1 column, got {len(frame)} time points and "
            f"{frame.shape[1]} columns."
        )
    values = read_numbers(frame, name)
    stamps, series, key_index = split_index(frame.index)
    if (series[1:] < series[:-1]).any():
        order = np.argsort(series, kind="stable")
        stamps, series, values = stamps.take(order), series[order], values[order]
    keys = (None,) if key_index is None else tuple(key_index)
    check_finite(values, stamps, series, keys, frame.columns, name)
    repeated = check_order(stamps, series, keys, duplicates)
    if repeated.any():
        values = merge_repeated(values, repeated, duplicates)
        stamps, series = stamps[~repeated], series[~repeated]
    offsets = np.searchsorted(series, np.arange(len(keys) + 1))
    if clock is None:
        declared = [getattr(frame.index, "freq", None)] if key_index is None else []
        clock = Clock.of(stamps, offsets, keys, declared)
    ticks, off = clock.split(stamps)
    if off.any():
        row = int(np.argmax(off))
        raise ValueError(clock.off_grid(stamps[row], keys[series[row]]))
    first_ticks = ticks[offsets[:-1]]
    values, offsets = fill_gaps(values, ticks, offsets, keys, clock, gaps)
    *key_names, time_name = frame.index.names
    return Panel(
        values, offsets, first_ticks, key_index, key_names, time_name, frame.columns, clock
    )


def rows_between(panel: Panel, start: Ticks, stop: Ticks) -> Panel:
    """Copy of the steps of each series from `start` up to, not with, `stop`, by their number."""
    lengths = stop - start
    return replace(
        panel,
        values=panel.values[rows_of(panel.offsets[:-1] + start, lengths)],
        offsets=offsets_of(lengths),
        first_ticks=panel.first_ticks + start,
    )


def panel_frame(
    values: Sequence[NDArray] | NDArray,
    ticks: Sequence[Ticks],
    panel: Panel,
    columns: Any = None,
) -> pd.DataFrame:
    """Put values back into sktime's container.

    Parameters
    ----------
    values : list of ndarray of shape (n_steps, n_columns), or one such array
        Values of each series, or of all series one after the other.

    ticks : list of ndarray of shape (n_steps,)
        Ticks of each series of `panel`.

    panel : Panel
        Where index types, level names and keys come from.

    columns : Index-like or None, default=None
        Names of the columns; None for those of the panel.

    Returns
    -------
    frame : DataFrame
        With a time index for a single series, otherwise with a MultiIndex.
    """
    flat = np.concatenate(values) if isinstance(values, list | tuple) else np.asarray(values)
    flat = flat[:, None] if flat.ndim == 1 else flat
    index = panel_index(ticks, panel)
    return pd.DataFrame(flat, index=index, columns=panel.columns if columns is None else columns)


def panel_index(ticks: Sequence[Ticks], panel: Panel) -> pd.Index:
    """Index of :func:`panel_frame`."""
    if panel.key_index is None:
        (only,) = ticks
        return panel.clock.stamps(only).rename(panel.time_name)
    lengths = [len(t) for t in ticks]
    unique, codes = np.unique(np.concatenate(ticks), return_inverse=True)
    keys = panel.key_index
    if not isinstance(keys, pd.MultiIndex):
        keys = pd.MultiIndex.from_arrays([keys])
    return pd.MultiIndex(
        levels=[*keys.levels, panel.clock.stamps(unique)],
        codes=[*(np.repeat(c, lengths) for c in keys.codes), codes],
        names=[*panel.key_names, panel.time_name],
    )


# --- joining -----------------------------------------------------------------------------------


def _spans(panel: Panel, at: Ticks, n_series: int) -> tuple[Ticks, Ticks]:
    """First and last ticks at positions `at`; elsewhere a span that contains nothing."""
    first = np.full(n_series, _FAR)
    last = np.full(n_series, -_FAR)
    first[at], last[at] = panel.first_ticks, panel.last_ticks
    return first, last


def _matched(panel: Panel, newer: Panel) -> Panel:
    """`newer` with its columns in the order of `panel`'s; refuses what does not go together."""
    if sorted(map(str, newer.columns)) != sorted(map(str, panel.columns)):
        raise ValueError(
            f"the newer data have columns {list(newer.columns)}, expected {list(panel.columns)}."
        )
    if newer.clock != panel.clock:
        raise ValueError(
            f"the newer data have frequency {newer.clock.freq!r}, expected {panel.clock.freq!r} "
            "on the same grid; resample them."
        )
    if len(newer.key_names) != len(panel.key_names):
        raise ValueError(
            f"the newer data have {len(newer.key_names)} index levels besides time, expected "
            f"{len(panel.key_names)}."
        )
    if newer.columns.equals(panel.columns):  # names may repeat
        return newer
    order = newer.columns.get_indexer(panel.columns)
    return replace(newer, values=newer.values[:, order], columns=panel.columns)


def _join_keys(panel: Panel, newer: Panel) -> tuple[Ticks, Ticks, Any]:
    """Where the series of both go, and the keys of the series there."""
    old_at = np.arange(panel.n_series)
    if panel.key_index is None:
        return old_at, old_at, None
    new_at = panel.key_index.get_indexer(newer.key_index).astype(np.int64)
    unknown = new_at < 0
    new_at[unknown] = panel.n_series + np.arange(unknown.sum())
    return old_at, new_at, panel.key_index.append(newer.key_index[unknown])


def _check_older(panel: Panel, older: NDArray[np.bool_], newer_last: Ticks) -> None:
    if older.any():
        i = int(np.argmax(older))
        end = panel.clock.stamps(newer_last[i : i + 1])[0]
        start = panel.clock.stamps(panel.first_ticks[i : i + 1])[0]
        raise ValueError(
            f"the newer data{in_series(panel.keys[i])} end at {stamp_text(end)}, which is older "
            f"than the known start {stamp_text(start)}; fit again with all data."
        )
