"""Frequencies: which pandas offset explains time stamps, and where in time its steps are."""

from __future__ import annotations

from collections.abc import Hashable
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.tseries.frequencies import to_offset

from skrnn._forecasting._stamps import in_series

# A step between stamps is their frequency only if at least this share of all steps has it.
_COMMON_SHARE = 0.1
# Without a weekend in the data, stamps on working days may as well be daily.
_BUSINESS_SPAN = 14
_SHORTEST_MONTH = 28
# Days from one stamp to the next, where each period of the calendar has one stamp.
_DAYS_OF_PERIODS = {"M": (28, 31), "Q": (89, 92), "Y": (365, 366)}
_SECONDS_PER_DAY = 86_400
_DAY_0 = np.datetime64("1970-01-01", "D")
# Grids are built with a power of two times as many steps, so that few are ever built.
_FEWEST_STEPS = 256


def distinct(stamps: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Stamps in order, each once."""
    return stamps.unique().sort_values()


def infer_regular(stamps: pd.DatetimeIndex) -> Any:
    """Offset of sorted stamps without repeats and gaps, or None."""
    if len(stamps) < 3:  # pandas wants three
        return None
    freq = pd.infer_freq(stamps)
    return None if freq is None else to_offset(freq)


def infer_with_gaps(stamps: pd.DatetimeIndex) -> Any:
    """Offset of which sorted stamps without repeats are some of the steps, or None.

    It is the most common step that explains all stamps. Two stamps have the step between them.
    """
    if len(stamps) < 2:
        return None
    wall = stamps.tz_localize(None)
    dates = wall.normalize()
    if len((wall - dates).unique()) == 1:  # one time of day: dates decide
        offset = _offset_of_dates(dates)
        if offset is not None:
            return offset
    step = _common_step(np.diff(stamps.asi8))
    if step is None:
        return None
    offset = to_offset(pd.Timedelta(step, unit=stamps.unit))
    # Here steps are equally long, while those of Day follow the clocks on the wall.
    return pd.offsets.Hour(24 * offset.n) if isinstance(offset, pd.offsets.Day) else offset


def usable(offset: Any) -> bool:
    """Whether steps of `offset` have one fixed place each in the calendar."""
    if offset is None or offset.n < 1:
        return False
    # The steps of a plain DateOffset depend on where they start, business hours are no whole days.
    return not (type(offset) is pd.DateOffset or isinstance(offset, pd.offsets.BusinessHour))


def irregular_text(stamps: pd.DatetimeIndex, key: Hashable) -> str:
    """Message on sorted stamps that no offset explains."""
    if len(stamps) == 1:
        return f"a single time point{in_series(key)} has no frequency; set it with .asfreq."
    steps = stamps[1:] - stamps[:-1]
    text = (
        f"no regular frequency{in_series(key)}: its steps range from {steps.min()} to "
        f"{steps.max()}; "
    )
    period = _period_of(stamps)
    if period is None:
        return text + "resample the series to one frequency, for example with .resample('D')."
    if key is None:
        return text + f"turn its times into periods, with .to_period({period!r})."
    return text + f"turn the times into periods before .set_index, with .dt.to_period({period!r})."


def _period_of(stamps: pd.DatetimeIndex) -> str | None:
    """Calendar period that holds one of the stamps each, such as all 15ths of a month; or None."""
    wall = stamps.tz_localize(None)
    days = (wall[1:] - wall[:-1]).median() / pd.Timedelta(days=1)
    for period, (fewest, most) in _DAYS_OF_PERIODS.items():
        if fewest <= days <= most and wall.to_period(period).is_unique:
            return period
    return None


def _offset_of_dates(dates: pd.DatetimeIndex) -> Any:
    days = dates.to_numpy().astype("datetime64[D]").astype(np.int64)
    steps = np.diff(days)
    if steps.min() >= _SHORTEST_MONTH:
        offset = _offset_of_months(dates)
        if offset is not None:
            return offset
    step = _common_step(steps)
    working = bool(((days + 3) % 7 < 5).all())  # day 0 was a Thursday
    if step == 1 and working and days[-1] - days[0] >= _BUSINESS_SPAN:
        return pd.offsets.BDay()
    if step is None:
        return None
    if step % 7 == 0:
        return pd.offsets.Week(step // 7, weekday=int(dates[0].weekday()))
    return pd.offsets.Day(step)


def _offset_of_months(dates: pd.DatetimeIndex) -> Any:
    """Offset of stamps that are all first or last (working) days of a month, or None."""
    month = dates.to_numpy().astype("datetime64[M]")
    step = _common_step(np.diff(month.astype(np.int64)))
    day = dates.to_numpy().astype("datetime64[D]")
    first = month.astype("datetime64[D]")
    last = (month + 1).astype("datetime64[D]") - 1
    places = {
        "S": first,
        "E": last,
        "BS": np.busday_offset(first, 0, roll="forward"),
        "BE": np.busday_offset(last, 0, roll="backward"),
    }
    place = next((name for name, at in places.items() if bool((day == at).all())), None)
    if place is None or step is None:
        return None
    business, end = place[:-1], place[-1]
    if step % 3:
        return to_offset(f"{step}{business}M{end}")
    if step % 12:
        # As pandas infers it: of the four names of a quarter the one late in the year.
        name = ("OCT", "NOV", "DEC")[(dates[0].month - 1) % 3]
        return to_offset(f"{step // 3}{business}Q{end}-{name}")
    name = dates[0].month_name()[:3].upper()
    return to_offset(f"{step // 12}{business}Y{end}-{name}")


def _common_step(steps: NDArray[np.int64]) -> int | None:
    """Most common of `steps` of which all others are multiples."""
    sizes, counts = np.unique(steps, return_counts=True)
    common = counts >= _COMMON_SHARE * len(steps)
    sizes, counts = sizes[common], counts[common]
    for size in sizes[np.argsort(-counts, kind="stable")]:
        if bool((steps % size == 0).all()):
            return int(size)
    return None


# --- grids of the calendar ---------------------------------------------------------------------


def days_to_steps(
    base: Any, days: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Steps of a calendar offset at or before days since 1970, and which days lie after them.

    Step 0 is the first one of 1970, so that all data of one frequency share their steps.
    """
    if len(days) == 0:
        return days, np.zeros(0, dtype=bool)
    after = before = _FEWEST_STEPS
    while _steps_after(base, after)[-1] <= days.max():
        after *= 2
    while days.min() < 0 and _steps_before(base, before)[0] > days.min():
        before *= 2
    grid = np.concatenate([_steps_before(base, before), _steps_after(base, after)])
    position = np.searchsorted(grid, days, side="right") - 1
    return position - before, grid[position] != days


def steps_to_days(base: Any, steps: NDArray[np.int64]) -> NDArray[np.int64]:
    """Days since 1970 of steps of a calendar offset."""
    after = before = _FEWEST_STEPS
    while after <= steps.max(initial=0):
        after *= 2
    while before < -steps.min(initial=0):
        before *= 2
    grid = np.concatenate([_steps_before(base, before), _steps_after(base, after)])
    return grid[steps + before]


def _first_step(base: Any) -> pd.Timestamp:
    return base.rollforward(pd.Timestamp("1970-01-01").as_unit("s"))


@lru_cache(maxsize=16)
def _steps_after(base: Any, size: int) -> NDArray[np.int64]:
    """Days since 1970 of steps 0 to `size` - 1."""
    if base == pd.offsets.BDay():  # pandas walks step by step, too slow for thousands
        return np.busday_offset(_DAY_0, np.arange(size)).astype(np.int64)
    grid = pd.date_range(_first_step(base), periods=size, freq=base, unit="s")
    return grid.asi8 // _SECONDS_PER_DAY


@lru_cache(maxsize=16)
def _steps_before(base: Any, size: int) -> NDArray[np.int64]:
    """Days since 1970 of steps -`size` to -1."""
    if base == pd.offsets.BDay():
        return np.busday_offset(_DAY_0, np.arange(-size, 0)).astype(np.int64)
    grid = pd.date_range(end=_first_step(base), periods=size + 1, freq=base, unit="s")
    return grid.asi8[:-1] // _SECONDS_PER_DAY
