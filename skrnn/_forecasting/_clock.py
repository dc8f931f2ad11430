"""Clock: the stamps of a time index as whole numbers, and back."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skrnn._forecasting._frequency import (
    days_to_steps,
    distinct,
    infer_regular,
    infer_with_gaps,
    irregular_text,
    steps_to_days,
    usable,
)
from skrnn._forecasting._stamps import (
    Kind,
    Ticks,
    in_series,
    index_kind,
    index_numbers,
    kind_text,
    mixed_text,
    scaled,
    stamp_text,
)

_PER_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
# A longer series of which every step is a multiple of another frequency has that frequency; a
# shorter one may just have gaps.
_ENOUGH_STEPS = 16


@dataclass(frozen=True)
class Clock:
    """Ticks of one frequency: whole numbers for the stamps of a time index, and back.

    Ticks do not depend on the data a clock was read from: clocks are equal, and give a stamp the
    same tick, when their frequency, time zone and grid are. Frequencies of a day and more step in
    local time, shorter ones in UTC.

    Parameters
    ----------
    kind : {"int", "period", "datetime"}
        Type of the index.

    freq : str or None, default=None
        Frequency in pandas' words; None for integers.

    tz : tzinfo or None, default=None
        Time zone of the stamps.

    unit : str, default="ns"
        Resolution of the stamps.

    offset : DateOffset or None, default=None
        The frequency as pandas' object.

    step : int, default=1
        Distance of two ticks: in units where all steps are equally long, otherwise in steps of the
        offset.

    phase : int, default=0
        Number of tick 0 on the scale `step` is counted in.

    time_of_day : int, default=0
        Units from midnight to the stamps of a frequency of the calendar.

    Examples
    --------
    >>> import pandas as pd
    >>> index = pd.date_range("2024-01-31", periods=3, freq="ME")
    >>> clock = Clock.of(index, [0, 3], [None])
    >>> ticks = clock.ticks(index)
    >>> clock.stamps(ticks + 3)
    DatetimeIndex(['2024-04-30', '2024-05-31', '2024-06-30'], ...freq='ME')
    """

    kind: Kind
    freq: str | None = None
    tz: Any = None
    unit: str = "ns"
    offset: Any = None
    step: int = 1
    phase: int = 0
    time_of_day: int = 0

    @classmethod
    def of(
        cls,
        stamps: pd.Index,
        bounds: NDArray[np.int64],
        keys: Sequence[Hashable],
        declared: Sequence[Any] = (),
    ) -> Clock:
        """Find the clock all series of a panel go by.

        Parameters
        ----------
        stamps : Index
            Time stamps of the series, one after the other; sorted or not, with or without gaps.

        bounds : ndarray of shape (n_series + 1,)
            Where each series starts, and where the last one ends.

        keys : sequence of hashable
            Names of the series for messages; None for the only one.

        declared : sequence of DateOffset or None, default=()
            The `freq` of each series' own index where there is one.

        Returns
        -------
        clock : Clock
            Its frequency is a declared one, otherwise inferred.

        Raises
        ------
        TypeError
            If the index is of no type that has a next step.

        ValueError
            If there is no stamp, no regular frequency, or more than one.
        """
        if len(stamps) == 0:
            raise ValueError("needs at least 1 time point, got 0.")
        kind = index_kind(stamps)
        numbers = index_numbers(stamps)
        if kind == "int":
            return cls("int")
        if kind == "period":
            n = stamps.freq.n
            phase = int(numbers[0]) % n
            clock = cls("period", stamps.freqstr, offset=stamps.freq, step=n, phase=phase)
        else:
            clock = _datetime_clock(stamps, bounds, keys, declared)
        _check_one_frequency(clock, stamps, bounds, keys, declared if kind == "datetime" else ())
        return clock

    @classmethod
    def of_offset(cls, offset: Any, first: pd.DatetimeIndex) -> Clock:
        """Clock of a pandas offset whose grid the only stamp of `first` lies on."""
        unit, per_day = first.unit, _PER_DAY[first.unit]
        clock = cls("datetime", offset.freqstr, first.tz, unit, offset)
        if clock._in_utc:
            step = offset.nanos // (_PER_DAY["ns"] // per_day)
            return replace(clock, step=step, phase=int(first.asi8[0]) % step)
        local = int(first.tz_localize(None).asi8[0])
        if clock._equal_steps:
            step = offset.n * per_day * (7 if isinstance(offset, pd.offsets.Week) else 1)
            return replace(clock, step=step, phase=local % step)
        number = int(days_to_steps(offset.base, np.array([local // per_day]))[0][0])
        return replace(clock, step=offset.n, phase=number % offset.n, time_of_day=local % per_day)

    @property
    def _in_utc(self) -> bool:
        # Day is a Tick in pandas 2, but its steps are local days there too.
        tick = isinstance(self.offset, pd.offsets.Tick)
        return tick and not isinstance(self.offset, pd.offsets.Day)

    @property
    def _equal_steps(self) -> bool:
        """Whether all steps are equally long, in UTC or on the wall."""
        if self.kind != "datetime" or self._in_utc:
            return True
        return isinstance(self.offset, pd.offsets.Day | pd.offsets.Week)

    def ticks(self, index: pd.Index) -> Ticks:
        """Ticks of stamps.

        Parameters
        ----------
        index : Index
            Stamps of the clock's type and time zone, in any order.

        Returns
        -------
        ticks : ndarray of shape (n_stamps,)
            Whole numbers; they differ by one where the stamps differ by one step.

        Raises
        ------
        TypeError
            If the index is of another type.

        ValueError
            If its frequency or time zone is another one, or a stamp lies between two ticks.
        """
        ticks, off = self.split(index)
        if off.any():
            raise ValueError(self.off_grid(index[int(np.argmax(off))]))
        return ticks

    def off_grid(self, stamp: Any, key: Hashable = None) -> str:
        """Message on a stamp that no tick belongs to."""
        return (
            f"the time stamp {stamp_text(stamp)}{in_series(key)} is off the grid of frequency "
            f"{self.freq!r}, whose steps include {stamp_text(self.stamps(np.zeros(1, int))[0])}; "
            "resample to that frequency."
        )

    def split(self, index: pd.Index) -> tuple[Ticks, NDArray[np.bool_]]:
        """Ticks at or before stamps, and which stamps lie after their tick."""
        self._check_index(index)
        if self.kind != "datetime":
            ticks, rest = np.divmod(index_numbers(index) - self.phase, self.step)
            return ticks, rest != 0
        numbers, off = self._datetime_numbers(index)
        if self._equal_steps:
            ticks, rest = np.divmod(numbers - self.phase, self.step)
            off |= rest != 0
        else:
            days, time_of_day = np.divmod(numbers, _PER_DAY[self.unit])
            steps, between = days_to_steps(self.offset.base, days)
            ticks, rest = np.divmod(steps - self.phase, self.step)
            off |= between | (rest != 0) | (time_of_day != self.time_of_day)
        if self.tz is not None and not self._in_utc and off.any():
            # A time of day the clocks leap over is moved on by the length of the leap.
            moved = self.stamps(ticks[off]) == index[off]
            off[np.flatnonzero(off)[moved]] = False
        return ticks, off

    def _check_index(self, index: pd.Index) -> None:
        kind = index_kind(index)
        if kind != self.kind:
            raise TypeError(
                f"the time index is a {type(index).__name__}, but the series are indexed by "
                f"{kind_text(self.kind)}; convert one of them."
            )
        if kind == "period" and index.freq != self.offset:
            raise ValueError(
                f"the time index has frequency {index.freqstr!r}, expected {self.freq!r}; "
                f"use .asfreq({self.freq!r})."
            )
        if kind == "datetime" and str(index.tz) != str(self.tz):
            change = "tz_localize" if index.tz is None else "tz_convert"
            raise ValueError(
                f"the time index has time zone {index.tz}, expected {self.tz}; "
                f"use .{change}({None if self.tz is None else str(self.tz)!r})."
            )

    def _datetime_numbers(self, index: pd.DatetimeIndex) -> tuple[Ticks, NDArray[np.bool_]]:
        same_unit = index.as_unit(self.unit)
        finer = _PER_DAY[index.unit] > _PER_DAY[self.unit]
        off = same_unit.asi8 * 0 != 0 if not finer else np.asarray(same_unit != index)
        if self.tz is not None and not self._in_utc:
            return index_numbers(same_unit.tz_localize(None)), off
        return index_numbers(same_unit), off

    def stamps(self, ticks: Ticks) -> pd.Index:
        """Stamps of ticks.

        Parameters
        ----------
        ticks : array-like of shape (n_stamps,)
            Any whole numbers, also before and beyond the data.

        Returns
        -------
        index : Index
            PeriodIndex, DatetimeIndex or index of integers, without a name. A DatetimeIndex has
            its `freq` where the ticks follow each other.
        """
        ticks = np.asarray(ticks, dtype=np.int64)
        follow = bool((np.diff(ticks) == 1).all())
        if self.kind == "int":
            if follow and len(ticks):
                return pd.RangeIndex(int(ticks[0]), int(ticks[-1]) + 1)
            return pd.Index(ticks)
        numbers = scaled(ticks, self.step, self.phase)
        if self.kind == "period":
            return pd.PeriodIndex.from_ordinals(numbers, freq=self.offset)
        if not self._equal_steps:
            days = steps_to_days(self.offset.base, numbers)
            numbers = scaled(days, _PER_DAY[self.unit], self.time_of_day)
        index = pd.DatetimeIndex(numbers.view(f"M8[{self.unit}]"))
        if self.tz is not None and self._in_utc:
            index = index.tz_localize("UTC").tz_convert(self.tz)
        elif self.tz is not None:
            first = np.ones(len(index), dtype=bool)  # of two equal wall times
            index = index.tz_localize(self.tz, ambiguous=first, nonexistent="shift_forward")
        return _with_freq(index, self.offset) if follow else index


def _with_freq(index: pd.DatetimeIndex, offset: Any) -> pd.DatetimeIndex:
    try:
        index.freq = offset
    # Stamps that a change of the clocks moved are off the grid, or on no wall at all: pandas makes
    # the grid to compare, and which error that ends in depends on the library of the zone.
    except Exception:
        index.freq = None
    return index


# --- finding the frequency ---------------------------------------------------------------------


def _datetime_clock(
    stamps: pd.DatetimeIndex, bounds: Ticks, keys: Sequence[Hashable], declared: Sequence[Any]
) -> Clock:
    """Clock of a declared frequency, otherwise the one that explains the longest series."""
    for i, offset in enumerate(declared):
        if usable(offset) and bounds[i] < bounds[i + 1]:
            return Clock.of_offset(offset, stamps[bounds[i] : bounds[i] + 1])
    i = int(np.argmax(np.diff(bounds)))
    longest = distinct(stamps[bounds[i] : bounds[i + 1]])
    clock = _fitting(infer_regular(longest), longest, longest)
    if clock is not None:
        return clock
    together = distinct(stamps) if len(keys) > 1 else longest
    options = [
        _fitting(infer_regular(together), together, together),
        _fitting(infer_with_gaps(longest), longest, together),
        _fitting(infer_with_gaps(together), together, together),
        _fitting(infer_with_gaps(longest), longest, longest),
    ]
    clock = next((option for option in options if option is not None), None)
    if clock is None:
        raise ValueError(irregular_text(longest, keys[i]))
    return clock


def _fitting(offset: Any, origin: pd.DatetimeIndex, stamps: pd.DatetimeIndex) -> Clock | None:
    """Clock of `offset` through the first stamp of `origin`, if all `stamps` are on its grid."""
    if not usable(offset):
        return None
    clock = Clock.of_offset(offset, origin[:1])
    return None if clock.split(stamps)[1].any() else clock


def _check_one_frequency(
    clock: Clock,
    stamps: pd.Index,
    bounds: Ticks,
    keys: Sequence[Hashable],
    declared: Sequence[Any],
) -> None:
    """Refuse a series off the grid of the others, or on every second or later step of it."""
    lengths = np.diff(bounds)
    ticks, off = clock.split(stamps)
    if off.any():
        row = int(np.argmax(off))
        i = int(np.searchsorted(bounds, row, side="right")) - 1
        freq = _own_freq(stamps, bounds, i)
        on_grid = [key for k, key in enumerate(keys) if not off[bounds[k] : bounds[k + 1]].any()]
        if on_grid and freq != clock.freq:
            raise ValueError(mixed_text(on_grid[0], clock.freq, keys[i], freq))
        raise ValueError(clock.off_grid(stamps[row], keys[i]))
    if len(keys) == 1:
        return
    enough = np.array([2 if usable(offset) else _ENOUGH_STEPS for offset in declared])
    filled = np.flatnonzero(lengths)
    common = np.zeros(len(keys), dtype=np.int64)
    distances = np.abs(ticks - np.repeat(ticks[bounds[:-1][filled]], lengths[filled]))
    common[filled] = np.gcd.reduceat(distances, bounds[:-1][filled])
    coarse = (common > 1) & (lengths >= (enough if len(enough) else _ENOUGH_STEPS))
    fine = np.flatnonzero(common == 1)
    if coarse.any() and len(fine):
        i = int(np.argmax(coarse))
        raise ValueError(
            mixed_text(keys[fine[0]], clock.freq, keys[i], _own_freq(stamps, bounds, i))
        )


def _own_freq(stamps: pd.Index, bounds: Ticks, i: int) -> str | None:
    """Frequency of one series for a message."""
    own = stamps[bounds[i] : bounds[i + 1]]
    own = distinct(own.to_timestamp() if isinstance(own, pd.PeriodIndex) else own)
    offset = infer_regular(own) or infer_with_gaps(own)
    return None if offset is None else offset.freqstr
