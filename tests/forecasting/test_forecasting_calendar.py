"""Calendars: seasons of frequencies, and features that follow the clock on the wall."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest

from skrnn._forecasting._calendar import Calendar, season_length

SEASONS = {
    None: 1,
    "ms": 1,
    "s": 3600,
    "15s": 240,
    "min": 60,
    "2min": 30,
    "5min": 288,
    "7min": 1,
    "10min": 144,
    "15min": 96,
    "30min": 48,
    "h": 24,
    "2h": 12,
    "12h": 2,
    "24h": 7,
    "36h": 1,
    "168h": 52,
    "bh": 8,
    "D": 7,
    "2D": 1,
    "7D": 52,
    "14D": 26,
    "B": 5,
    "C": 5,
    "W": 52,
    "W-WED": 52,
    "2W": 26,
    "4W-SUN": 13,
    "SMS": 24,
    "MS": 12,
    "ME": 12,
    "M": 12,
    "BMS": 12,
    "2MS": 6,
    "3M": 4,
    "12M": 1,
    "24MS": 1,
    "QS": 4,
    "QE-FEB": 4,
    "Q-DEC": 4,
    "2QS": 2,
    "BQE": 4,
    "YS-APR": 1,
    "YE": 1,
    "Y": 1,
}

HOUR, WEEK, YEAR, MONTH = "hour of day", "day of week", "day of year", "month of year"

# Frequencies, how many stamps to make, and the cycles they show.
CYCLES = [
    ("15min", 200, (HOUR, WEEK)),
    ("h", 48, (HOUR, WEEK)),
    ("h", 2 * 366 * 24, (HOUR, WEEK, YEAR)),
    ("12h", 20, (HOUR, WEEK)),
    ("D", 30, (WEEK,)),
    ("D", 727, (WEEK,)),
    ("D", 728, (WEEK, YEAR)),
    ("2D", 30, (WEEK,)),
    ("B", 30, (WEEK,)),
    ("W-WED", 103, ()),
    ("W-WED", 104, (YEAR,)),
    ("MS", 3, (MONTH,)),
    ("ME", 3, (MONTH,)),
    ("2MS", 9, (MONTH,)),
    ("QS", 3, (MONTH,)),
    ("QE", 30, (MONTH,)),
    ("YS", 30, ()),
    ("YE-APR", 30, ()),
]


def periods_of(freq: str) -> str:
    for stamps, periods in (("MS", "M"), ("ME", "M"), ("QS", "Q"), ("QE", "Q"), ("YS", "Y")):
        freq = freq.replace(stamps, periods)
    return freq.replace("YE", "Y")


@pytest.mark.parametrize("freq", SEASONS)
def test_season_length(freq):
    assert season_length(freq) == SEASONS[freq]


@pytest.mark.parametrize("freq", ["D", "h", "W", "M", "2M", "Q", "Y", "15min"])
def test_stamps_and_periods_have_the_same_season(freq):
    periods = pd.period_range("2024-01-01", periods=3, freq=freq)
    stamps = pd.infer_freq(periods.to_timestamp())
    assert season_length(periods.freqstr) == season_length(stamps) == season_length(freq)


def test_unknown_frequency_is_refused():
    with pytest.raises(ValueError, match="fortnightly"):
        season_length("fortnightly")


@pytest.mark.filterwarnings("ignore:Period:FutureWarning")  # of business days, in pandas 3
@pytest.mark.parametrize("kind", ["freq", "no freq", "period"])
@pytest.mark.parametrize(("freq", "n", "cycles"), CYCLES)
def test_cycles_follow_frequency_and_span(freq, n, cycles, kind):
    stamps = pd.date_range("2019-03-06", periods=n, freq=freq)
    if kind == "no freq":
        stamps = pd.DatetimeIndex(stamps.to_numpy())
    elif kind == "period":
        # A year of 104 weekly or 728 daily periods starts where its stamps do, or before.
        stamps = pd.period_range(stamps[0], periods=n, freq=periods_of(freq))
    assert Calendar.of(stamps).cycles == cycles


@pytest.mark.parametrize(
    "stamps",
    [
        pd.RangeIndex(100),
        pd.Index([3, 4, 5]),
        pd.DatetimeIndex([]),
        pd.DatetimeIndex(["2024-01-01"]),
    ],
)
def test_nothing_is_known_of_numbered_steps_or_lone_stamps(stamps):
    calendar = Calendar.of(stamps)
    assert calendar.names == []
    assert calendar.features(stamps).shape == (len(stamps), 0)


@pytest.mark.parametrize(
    ("stamps", "freq", "cycle"),
    [
        (pd.DatetimeIndex(["2024-01-05"]), "B", WEEK),
        (pd.DatetimeIndex(["2024-01-05"], freq="D"), None, WEEK),
        (pd.DatetimeIndex(["2024-01-31"]), "ME", MONTH),
        (pd.PeriodIndex(["2024-01"], freq="M"), None, MONTH),
        (pd.PeriodIndex(["2024-01"], freq="M"), "M", MONTH),
    ],
)
def test_a_lone_stamp_has_the_cycles_of_its_frequency(stamps, freq, cycle):
    assert Calendar.of(stamps, freq).cycles == (cycle,)


@pytest.mark.parametrize("freq", ["h", "D", "W", "MS", "YS"])
def test_order_and_repetition_of_stamps_do_not_matter(freq, rng):
    stamps = pd.date_range("2024-01-01", periods=50, freq=freq, tz="Europe/Berlin")
    shuffled = stamps.append(stamps)[rng.permutation(100)]
    assert Calendar.of(shuffled) == Calendar.of(stamps)


def test_features_lie_on_the_circle_and_have_names():
    stamps = pd.date_range("2022-01-01", periods=3 * 366 * 24, freq="h")
    calendar = Calendar.of(stamps)
    values = calendar.features(stamps)
    assert values.dtype == np.float32
    assert values.shape == (len(stamps), len(calendar.names))
    assert calendar.names == [f"{c} {w}" for c in (HOUR, WEEK, YEAR) for w in ("sin", "cos")]
    np.testing.assert_allclose(values[:, ::2] ** 2 + values[:, 1::2] ** 2, 1, atol=1e-6)


@pytest.mark.parametrize(
    ("freq", "cycle", "n_places"),
    [("h", HOUR, 24), ("15min", HOUR, 96), ("D", WEEK, 7), ("MS", MONTH, 12), ("QE", MONTH, 4)],
)
def test_places_of_a_cycle_return_and_differ(freq, cycle, n_places):
    stamps = pd.date_range("2023-01-01", periods=4 * n_places, freq=freq)
    values = Calendar((cycle,)).features(stamps)
    for turn in range(1, 4):
        np.testing.assert_allclose(
            values[turn * n_places :][:n_places], values[:n_places], atol=1e-6
        )
    distances = np.linalg.norm(values[:n_places, None] - values[None, :n_places], axis=2)
    assert (distances + 2 * np.eye(n_places)).min() > 0.01


def test_new_year_is_the_same_place_in_every_year():
    values = Calendar((YEAR,)).features(pd.to_datetime(["2023-01-01", "2024-01-01", "2024-12-31"]))
    np.testing.assert_allclose(values[:2], [[0, 1], [0, 1]], atol=1e-6)
    assert -0.02 < values[2, 0] < -0.01


def test_features_are_those_of_local_time():
    local = pd.date_range("2024-03-30", periods=72, freq="h", tz="Europe/Berlin")
    calendar = Calendar.of(local)
    assert calendar.cycles == (HOUR, WEEK)
    np.testing.assert_array_equal(
        calendar.features(local), calendar.features(local.tz_localize(None))
    )
    assert not np.allclose(calendar.features(local), calendar.features(local.tz_convert("UTC")))


def test_daily_steps_across_a_change_of_the_clock_are_daily():
    days = pd.date_range("2024-03-25", periods=14, freq="D", tz="Europe/Berlin")
    assert Calendar.of(pd.DatetimeIndex(list(days))).cycles == (WEEK,)


def test_hours_across_a_change_of_the_clock_are_hourly():
    hours = pd.date_range("2024-10-26", periods=72, freq="h", tz="Europe/Berlin")
    assert Calendar.of(pd.DatetimeIndex(list(hours))).cycles == (HOUR, WEEK)


def test_periods_count_by_their_start():
    periods = pd.period_range("2020-01", periods=30, freq="M")
    calendar = Calendar.of(periods)
    starts = periods.to_timestamp()
    assert calendar == Calendar.of(starts)
    np.testing.assert_array_equal(calendar.features(periods), calendar.features(starts))


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_unit_of_stamps_does_not_matter(unit):
    stamps = pd.date_range("2020-01-01", periods=800, freq="D")
    other = stamps.as_unit(unit)
    calendar = Calendar.of(other)
    assert calendar == Calendar.of(stamps)
    np.testing.assert_array_equal(calendar.features(other), calendar.features(stamps))


def test_future_and_past_need_no_data():
    stamps = pd.date_range("2024-01-01", periods=24, freq="MS")
    calendar = Calendar.of(stamps)
    for start in ("1900-01-01", "2200-01-01"):
        far = pd.date_range(start, periods=24, freq="MS")
        np.testing.assert_array_equal(calendar.features(far), calendar.features(stamps))


def test_numbers_have_no_calendar():
    calendar = Calendar.of(pd.date_range("2024-01-01", periods=30, freq="D"))
    with pytest.raises(TypeError, match=r"RangeIndex has no calendar.*DatetimeIndex"):
        calendar.features(pd.RangeIndex(3))


@pytest.mark.parametrize("copied", [lambda c: pickle.loads(pickle.dumps(c)), copy.deepcopy])
def test_copies_are_equal(copied):
    stamps = pd.date_range("2020-01-01", periods=800, freq="D")
    calendar = Calendar.of(stamps)
    assert copied(calendar) == calendar
    np.testing.assert_array_equal(copied(calendar).features(stamps), calendar.features(stamps))
