"""Calendar: what a time stamp alone says about the season, as numbers a network can read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.tseries.frequencies import to_offset

_SECOND = 1_000_000_000  # nanoseconds
_HOUR = 3600 * _SECOND
_DAY = 24 * _HOUR

# Above this many steps a day, a season of a day is too long to learn: the hour is taken.
_MOST_STEPS_A_DAY = 288

# Steps in the season of a frequency, by its name without an anchor ("W-SUN" is "W").
_STEPS = {
    "bh": 8,  # a working day from 9:00 to 17:00
    "D": 7,
    **dict.fromkeys(["B", "C"], 5),
    "W": 52,
    **dict.fromkeys(["SME", "SMS"], 24),
    **dict.fromkeys(["M", "ME", "MS", "BME", "BMS", "CBME", "CBMS", "WOM", "LWOM"], 12),
    **dict.fromkeys(["Q", "QE", "QS", "BQE", "BQS"], 4),
}

# Two years of 52 weeks: less shows no part of the year twice.
_TWO_YEARS = np.timedelta64(2 * 52 * 7, "D")


def season_length(freq: str | None) -> int:
    """Count the steps of the season that a frequency suggests.

    ==========================  =========================================  ==================
    Frequency                   Season                                     Steps
    ==========================  =========================================  ==================
    finer than a second         none                                       1
    more than 288 steps a day   an hour                                    "min" 60, "15s" 240
    finer than a day            a day                                      "h" 24, "5min" 288
    business hours              a working day                              "bh" 8
    days                        a week                                     "D" 7
    business days               a week                                     "B" 5
    weeks                       a year                                     "W" 52, "14D" 26
    half months                 a year                                     "SMS" 24
    months                      a year                                     "MS" 12, "2M" 6
    quarters                    a year                                     "QS" 4
    years, numbered steps       none                                       1
    ==========================  =========================================  ==================

    Parameters
    ----------
    freq : str or None
        A frequency of pandas, of stamps or of periods. None for series with numbered steps.

    Returns
    -------
    sp : int
        Steps in a season; 1 when the season holds no whole number of steps, as with "2D".

    Examples
    --------
    >>> season_length("h"), season_length("W-MON"), season_length("2D")
    (24, 52, 1)
    """
    if freq is None:
        return 1
    offset = _offset(freq)
    unit, n = offset.name.split("-")[0], offset.n
    if isinstance(offset, pd.offsets.Tick):
        if offset.nanos % _DAY:
            return _season_within_a_day(offset.nanos)
        unit, n = "D", offset.nanos // _DAY
    if unit == "D" and n % 7 == 0:
        unit, n = "W", n // 7
    return _steps_in(_STEPS.get(unit, 1), n)


def _offset(freq: str) -> Any:
    """Read a frequency of periods ("M") or, where it is none, of stamps ("MS")."""
    try:
        return to_offset(freq, is_period=True)
    except ValueError:
        return to_offset(freq)


def _season_within_a_day(step: int) -> int:
    if step < _SECOND:
        return 1
    return _steps_in(_HOUR if _MOST_STEPS_A_DAY * step < _DAY else _DAY, step)


def _steps_in(season: int, step: int) -> int:
    return season // step if season % step == 0 else 1


def _hour_of_day(stamps: pd.DatetimeIndex) -> Any:
    return (stamps.hour + stamps.minute / 60 + stamps.second / 3600) / 24


def _day_of_week(stamps: pd.DatetimeIndex) -> Any:
    return stamps.dayofweek / 7


def _day_of_year(stamps: pd.DatetimeIndex) -> Any:
    return (stamps.dayofyear - 1) / np.where(stamps.is_leap_year, 366, 365)


def _month_of_year(stamps: pd.DatetimeIndex) -> Any:
    return (stamps.month - 1) / 12


# Each tells how far a stamp is through a cycle, from 0 to 1.
_CYCLES: dict[str, Callable[[pd.DatetimeIndex], Any]] = {
    "hour of day": _hour_of_day,
    "day of week": _day_of_week,
    "day of year": _day_of_year,
    "month of year": _month_of_year,
}


@dataclass(frozen=True)
class Calendar:
    """Places of stamps in the cycles of the calendar: a sine and a cosine for each cycle.

    Parameters
    ----------
    cycles : tuple of str
        Of "hour of day", "day of week", "day of year" and "month of year". :meth:`of` chooses them.

    Examples
    --------
    >>> import pandas as pd
    >>> stamps = pd.date_range("2024-01-01", periods=12, freq="MS")
    >>> calendar = Calendar.of(stamps)
    >>> calendar.names
    ['month of year sin', 'month of year cos']
    >>> calendar.features(stamps).shape
    (12, 2)
    """

    cycles: tuple[str, ...]

    @classmethod
    def of(cls, stamps: pd.Index, freq: str | None = None) -> Calendar:
        """Choose the cycles that stamps of this frequency and span can show.

        Parameters
        ----------
        stamps : Index
            Stamps of all series, in any order and repeated or not.

        freq : str or None, default=None
            Their frequency. None takes the frequency of the index, and where that has none the
            shortest time between two stamps.

        Returns
        -------
        calendar : Calendar
            Hour of the day for steps shorter than a day; day of the week for steps shorter than a
            week; day of the year for steps shorter than a month when the stamps span two years;
            month of the year for steps shorter than a year; otherwise nothing.
        """
        if not isinstance(stamps, pd.DatetimeIndex | pd.PeriodIndex) or len(stamps) == 0:
            return cls(())
        moments = _local_time(stamps)
        step = _shortest_step(stamps, moments, freq)
        if step is None:
            return cls(())
        if step >= np.timedelta64(28, "D"):
            return cls(("month of year",) if step < np.timedelta64(364, "D") else ())
        two_years = (moments.max() - moments.min()).to_timedelta64() + step >= _TWO_YEARS
        chosen = {
            "hour of day": step < np.timedelta64(1, "D"),
            "day of week": step < np.timedelta64(7, "D"),
            "day of year": two_years,
        }
        return cls(tuple(cycle for cycle, shown in chosen.items() if shown))

    @property
    def names(self) -> list[str]:
        """Names of the features, two per cycle."""
        return [f"{cycle} {wave}" for cycle in self.cycles for wave in ("sin", "cos")]

    def features(self, stamps: pd.Index) -> NDArray[np.float32]:
        """Compute the features of stamps, in local time where they have a time zone.

        Parameters
        ----------
        stamps : Index of shape (n,)
            Stamps of the kind that the calendar was chosen for; periods count by their start.

        Returns
        -------
        features : ndarray of shape (n, n_features), dtype float32
            Values from -1 to 1, in the order of `names`.

        Raises
        ------
        TypeError
            If the stamps have no calendar.
        """
        values = np.empty((len(stamps), 2 * len(self.cycles)), dtype=np.float32)
        if not self.cycles:
            return values
        if not isinstance(stamps, pd.DatetimeIndex | pd.PeriodIndex):
            raise TypeError(
                f"{type(stamps).__name__} has no calendar; fitted with dates or periods, so pass "
                "a DatetimeIndex or PeriodIndex."
            )
        moments = _local_time(stamps)
        for i, cycle in enumerate(self.cycles):
            angle = 2 * np.pi * np.asarray(_CYCLES[cycle](moments), dtype=np.float64)
            values[:, 2 * i] = np.sin(angle)
            values[:, 2 * i + 1] = np.cos(angle)
        return values


def _local_time(stamps: pd.DatetimeIndex | pd.PeriodIndex) -> pd.DatetimeIndex:
    """Stamps as the clock on the wall shows them."""
    if isinstance(stamps, pd.PeriodIndex):
        return stamps.start_time
    return stamps.tz_localize(None)


def _shortest_step(
    stamps: pd.DatetimeIndex | pd.PeriodIndex, moments: pd.DatetimeIndex, freq: str | None
) -> np.timedelta64 | None:
    """Shortest time between two steps; None if it cannot be told."""
    offset = _offset(freq) if freq else stamps.freq
    if offset is not None:
        # Eight steps from any date meet a working week and a February, wherever the data begin.
        moments = pd.date_range("2000-01-03", periods=8, freq=offset)
    gaps = np.diff(np.unique(moments.to_numpy()))
    return gaps.min() if len(gaps) else None
