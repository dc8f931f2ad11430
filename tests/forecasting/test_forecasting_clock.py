"""Clock: ticks and stamps are the same thing, for every frequency pandas has."""

import copy
import pickle
import time

import numpy as np
import pandas as pd
import pytest

from skrnn._forecasting._clock import Clock

DATES = ["15min", "h", "2h", "D", "3D", "B", "W-SUN", "W-WED", "MS", "ME", "QS-FEB", "QE-DEC"]
MORE_DATES = ["s", "2W-MON", "2MS", "YS-JAN", "YE-JUN", "BME", "BMS", "WOM-2MON", "BQE-DEC"]
PERIODS = ["s", "15min", "h", "2h", "D", "W-SUN", "W-WED", "M", "3M", "Q-DEC", "Q-FEB", "Y-DEC"]
ZONES = [None, "UTC", "Europe/Berlin", "America/New_York"]


def clock_of(index: pd.Index) -> Clock:
    return Clock.of(index, np.array([0, len(index)]), [None], [getattr(index, "freq", None)])


def clock_of_panel(indexes: dict) -> Clock:
    """Clock of series with these time indexes, by their keys."""
    first, *others = indexes.values()
    bounds = np.cumsum([0, *(len(index) for index in indexes.values())])
    declared = [getattr(index, "freq", None) for index in indexes.values()]
    return Clock.of(first.append(others), bounds, [*indexes], declared)


def without_freq(index: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(index, freq=None)


def check_round_trip(index: pd.Index, longer: pd.Index) -> None:
    """Ticks count steps, give the index back, and continue it as pandas does."""
    clock = clock_of(index)
    ticks = clock.ticks(index)
    assert (np.diff(ticks) == 1).all()
    pd.testing.assert_index_equal(clock.stamps(ticks), index)
    pd.testing.assert_index_equal(clock.stamps(ticks[0] + np.arange(len(longer))), longer)
    np.testing.assert_array_equal(clock.ticks(longer)[: len(ticks)], ticks)


@pytest.mark.parametrize("start", ["2024-01-29", "1961-05-31 10:30"])
@pytest.mark.parametrize("tz", ZONES)
@pytest.mark.parametrize("freq", [*DATES, *MORE_DATES])
def test_f049_dates_round_trip_and_go_on_as_date_range(freq, tz, start):
    index = pd.date_range(start, periods=40, freq=freq, tz=tz)
    check_round_trip(index, pd.date_range(start, periods=130, freq=freq, tz=tz))


@pytest.mark.parametrize("start", ["2024-01-29", "1961-05-31"])
@pytest.mark.parametrize("freq", PERIODS)
def test_f049_periods_round_trip_and_go_on_as_period_range(freq, start):
    index = pd.period_range(start, periods=40, freq=freq)
    check_round_trip(index, pd.period_range(start, periods=130, freq=freq))


@pytest.mark.filterwarnings("ignore:Period.*deprecated:FutureWarning")  # the frequency, not us
def test_f049_business_periods():
    index = pd.period_range("2024-01-29", periods=40, freq="B")
    check_round_trip(index, pd.period_range("2024-01-29", periods=90, freq="B"))


@pytest.mark.parametrize("tz", ZONES)
@pytest.mark.parametrize("freq", DATES + MORE_DATES)
def test_f047_lost_freq_is_found(freq, tz):
    index = pd.date_range("2024-01-29", periods=60, freq=freq, tz=tz)
    clock = clock_of(without_freq(index))
    pd.testing.assert_index_equal(
        clock.stamps(clock.ticks(index)), index, check_names=True, exact=True
    )
    assert clock == clock_of(without_freq(index[13:]))


@pytest.mark.parametrize("freq", [*DATES, "YS-JAN", "BME"])
def test_f045_frequency_is_found_despite_gaps(freq):
    index = pd.date_range("2019-12-31", periods=80, freq=freq)
    gapped = index.delete([5, 6, 30, 64])
    clock = clock_of(gapped)
    assert clock == clock_of(without_freq(index))
    expected = np.delete(np.arange(80), [5, 6, 30, 64])
    np.testing.assert_array_equal(clock.ticks(gapped) - clock.ticks(gapped)[0], expected)


def test_working_days_with_holidays_are_working_days():
    index = pd.date_range("2024-01-01", periods=60, freq="B").delete([0, 40])
    assert clock_of(index).freq == "B"


@pytest.mark.parametrize("start", ["2024-03-30", "2024-10-26"])
def test_f048_hours_across_a_change_of_the_clocks(start):
    index = pd.date_range(start, periods=72, freq="h", tz="Europe/Berlin")
    clock = clock_of(without_freq(index[:30]))
    after = clock.stamps(clock.ticks(index[:30])[-1] + np.arange(1, 43))
    pd.testing.assert_index_equal(after, index[30:])
    assert str(after.tz) == "Europe/Berlin"
    assert after.is_monotonic_increasing
    assert after.is_unique


@pytest.mark.parametrize("start", ["2024-03-28", "2024-10-24"])
@pytest.mark.parametrize("time_of_day", ["00:00", "02:30"])
def test_f048_days_keep_their_time_of_day(start, time_of_day):
    # At 02:30 one day has no such time, and another one has two.
    wall = pd.date_range(f"{start} {time_of_day}", periods=20, freq="D")
    index = wall.tz_localize("Europe/Berlin", ambiguous=[True] * 20, nonexistent="shift_forward")
    clock = clock_of(index[:3])
    assert clock.freq == "D"
    ticks = clock.ticks(index)
    assert (np.diff(ticks) == 1).all()
    assert clock.stamps(ticks).equals(index)


def test_f048_steps_of_24_hours_are_no_days():
    index = pd.date_range("2024-03-25", periods=20, freq="24h", tz="Europe/Berlin")
    for given in (index, without_freq(index)):
        clock = clock_of(given)
        assert clock.stamps(clock.ticks(given)).equals(index)


def test_f050_integers_with_an_offset():
    for index in (pd.RangeIndex(100, 120), pd.Index([7, 8, 9]), pd.Index([3, 4], dtype="int16")):
        clock = clock_of(index)
        assert clock.freq is None
        np.testing.assert_array_equal(clock.ticks(index), np.asarray(index))
        assert clock.stamps(clock.ticks(index)).equals(index.astype("int64"))
    np.testing.assert_array_equal(clock.ticks(pd.Index([9, -2])), [9, -2])
    np.testing.assert_array_equal(clock.stamps([9, -2]), [9, -2])


@pytest.mark.parametrize(
    "index",
    [
        pd.timedelta_range("0D", periods=3),
        pd.Index([0.0, 1.0, 2.0]),
        pd.Index(["a", "b"]),
        pd.Index([True, False]),
        pd.CategoricalIndex([1, 2]),
    ],
)
def test_f051_other_indexes_are_refused(index):
    with pytest.raises(TypeError, match="use a DatetimeIndex, a PeriodIndex or whole numbers"):
        clock_of(index)
    with pytest.raises(TypeError, match="use a DatetimeIndex, a PeriodIndex or whole numbers"):
        Clock("int").ticks(index)


def test_f046_irregular_stamps(rng):
    index = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(1, 9**6, 50).cumsum(), "s")
    with pytest.raises(ValueError, match=r"no regular frequency: .*; resample"):
        clock_of(index)
    with pytest.raises(ValueError, match="no regular frequency in series 'a'"):
        clock_of_panel({"a": index})


def test_f046_middle_of_the_month_has_no_offset():
    months = pd.date_range("2024-01-01", periods=12, freq="MS") + pd.Timedelta(days=14)
    with pytest.raises(ValueError, match="no regular frequency"):
        clock_of(months)


@pytest.mark.parametrize(("freq", "period"), [("MS", "M"), ("QS", "Q"), ("YS", "Y")])
@pytest.mark.parametrize("tz", [None, "Europe/Berlin"])
def test_f046_stamps_within_periods(freq, period, tz):
    """One stamp in each month, quarter or year is regular as periods, not as days."""
    index = pd.date_range("2019-01-01", periods=12, freq=freq, tz=tz) + pd.Timedelta(days=14)
    with pytest.raises(ValueError, match=rf"into periods, with \.to_period\('{period}'\)\."):
        clock_of(index)
    with pytest.raises(
        ValueError, match=rf"before \.set_index, with \.dt\.to_period\('{period}'\)"
    ):
        clock_of_panel({"a": index, "b": index})
    assert clock_of(index.tz_localize(None).to_period(period)).freq[0] == period
    # A month without a stamp is a gap of the periods.
    with pytest.raises(ValueError, match="to_period"):
        clock_of(index.delete(5))


def test_f046_stamps_that_share_a_period_are_resampled():
    index = pd.date_range("2019-01-01", periods=12, freq="MS") + pd.Timedelta(days=14)
    with pytest.raises(ValueError, match="resample"):
        clock_of(index.insert(4, index[3] + pd.Timedelta(days=2)))


def test_few_stamps():
    two = pd.DatetimeIndex(["2024-01-01", "2024-01-03"])
    assert clock_of(two).freq == "2D"
    assert clock_of(pd.DatetimeIndex(["2024-01-31", "2024-02-29"])).freq == "ME"
    with pytest.raises(ValueError, match=r"single time point has no frequency; .*\.asfreq"):
        clock_of(two[:1])
    assert clock_of(pd.date_range("2024-01-01", periods=1, freq="MS")).freq == "MS"
    assert clock_of(pd.period_range("2024-01", periods=1, freq="M")).freq == "M"
    with pytest.raises(ValueError, match="at least 1 time point"):
        clock_of(two[:0])


def test_a_short_series_goes_by_the_others():
    days = without_freq(pd.date_range("2024-01-01", periods=20, freq="D"))
    clock = clock_of_panel({"a": days[:1], "b": days[3:], "c": days[5:7]})
    assert clock.freq == "D"


def test_series_that_only_together_have_a_frequency():
    days = without_freq(pd.date_range("2024-01-01", periods=9, freq="D"))
    clock = clock_of_panel({"a": days[[0, 2, 5]], "b": days[[1, 3, 4]], "c": days[[6, 7, 8, 3]]})
    assert clock.freq == "D"


@pytest.mark.parametrize("n_weeks", [16, 40, 400])
@pytest.mark.parametrize("declared", [True, False])
def test_f061_mixed_frequencies(n_weeks, declared):
    days = pd.date_range("2024-01-01", periods=100, freq="D")
    weeks = pd.date_range("2024-01-01", periods=n_weeks, freq="W-MON")
    if not declared:
        days, weeks = without_freq(days), without_freq(weeks)
    for indexes in ({"a": days, "b": weeks}, {"b": weeks, "a": days}):
        with pytest.raises(ValueError, match="mixed frequencies") as error:
            clock_of_panel(indexes)
        for word in ("'a'", "'b'", "'D'", "'W-MON'"):
            assert word in str(error.value)


def test_f061_mixed_kinds_zones_and_grids():
    days = pd.date_range("2024-01-01", periods=20, freq="D")
    for other in (days.to_period(), days.tz_localize("UTC"), days.to_period("M")):
        with pytest.raises(TypeError, match="use a DatetimeIndex, a PeriodIndex or whole numbers"):
            clock_of_panel({"a": days, "b": other})
    with pytest.raises(TypeError, match="use a DatetimeIndex, a PeriodIndex or whole numbers"):
        clock_of_panel({"a": days.to_period("M"), "b": days.to_period("Q")})
    with pytest.raises(ValueError, match="2024-01-01 06:00:00 in series 'b' is off the grid of"):
        clock_of_panel({"a": days, "b": days[:9] + pd.Timedelta("6h")})


def test_stamps_off_the_grid():
    clock = clock_of(pd.date_range("2024-01-01", periods=9, freq="MS"))
    with pytest.raises(ValueError, match="2024-02-02 is off the grid of frequency 'MS'"):
        clock.ticks(pd.DatetimeIndex(["2024-01-01", "2024-02-02", "2024-02-03"]))
    with pytest.raises(ValueError, match="off the grid"):
        clock.ticks(pd.DatetimeIndex(["2024-01-01 00:00:00.000000001"]))
    quarters = clock_of(pd.period_range("2024-01", periods=9, freq="3M"))
    with pytest.raises(ValueError, match="2024-02 is off the grid"):
        quarters.ticks(pd.PeriodIndex(["2024-02"], freq="3M"))


def test_ticks_of_another_index_are_refused():
    days = pd.date_range("2024-01-01", periods=9, freq="D")
    clock = clock_of(days)
    with pytest.raises(TypeError, match="is a PeriodIndex, but the series are indexed by dates"):
        clock.ticks(days.to_period())
    with pytest.raises(ValueError, match="time zone UTC, expected None"):
        clock.ticks(days.tz_localize("UTC"))
    with pytest.raises(ValueError, match="frequency 'M', expected 'D'"):
        clock_of(days.to_period()).ticks(days.to_period("M"))
    with pytest.raises(ValueError, match="NaT"):
        clock.ticks(days.insert(0, pd.NaT))


def test_ticks_do_not_depend_on_the_data():
    index = pd.date_range("2024-01-01", periods=40, freq="2MS")
    early, late = clock_of(index[:9]), clock_of(index[20:])
    assert early == late
    assert clock_of(index + pd.offsets.MonthBegin()) != early
    np.testing.assert_array_equal(early.ticks(index), late.ticks(index))


@pytest.mark.parametrize("freq", ["h", "B", "ME", "QE-DEC", "YS-JAN", "BME"])
def test_any_tick_has_its_stamp(freq):
    index = pd.date_range("2024-01-01", periods=9, freq=freq, unit="s")
    clock = clock_of(index)
    start = clock.ticks(index)[0]
    far = np.array([start + 700, start - 700, start, start + 1])
    stamps = clock.stamps(far)
    np.testing.assert_array_equal(clock.ticks(stamps), far)
    assert stamps.freq is None
    assert len(clock.stamps(far[:0])) == 0
    assert len(clock.ticks(stamps[:0])) == 0
    assert stamps[0] == pd.date_range(index[0], periods=701, freq=freq, unit="s")[-1]
    assert stamps.name is None


@pytest.mark.parametrize("freq", ["h", "YS-JAN"])
def test_stamps_beyond_the_resolution_are_refused(freq):
    clock = clock_of(pd.date_range("2024-01-01", periods=9, freq=freq, unit="ns"))
    for tick in (10**8, -(10**8)) if freq == "h" else (700, -700):
        with pytest.raises(ValueError, match="use a coarser"):
            clock.stamps([tick])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_resolution_is_kept(unit):
    index = pd.date_range("2024-01-01 07:00", periods=9, freq="B").as_unit(unit)
    clock = clock_of(index)
    assert clock.stamps(clock.ticks(index)).dtype == index.dtype
    np.testing.assert_array_equal(clock.ticks(index.as_unit("ns")), clock.ticks(index))


def test_offsets_without_a_place_in_the_calendar_are_inferred_anew():
    months = pd.date_range("2024-01-01", periods=9, freq=pd.DateOffset(months=1))
    assert clock_of(months).freq == "MS"
    holidays = pd.offsets.CustomBusinessDay(holidays=["2024-01-03"])
    index = pd.date_range("2024-01-01", periods=9, freq=holidays)
    check_round_trip(index, pd.date_range("2024-01-01", periods=30, freq=holidays))


@pytest.mark.parametrize("freq", ["h", "B", "QE-DEC"])
def test_copies_are_equal(freq):
    index = pd.date_range("2024-01-01", periods=9, freq=freq, tz="Europe/Berlin")
    clock = clock_of(index)
    for twin in (pickle.loads(pickle.dumps(clock)), copy.deepcopy(clock)):
        assert twin == clock
        assert twin.stamps(clock.ticks(index)).equals(index)


def test_a_million_stamps_are_quick():
    index = pd.date_range("2000-01-01", periods=10**6, freq="min", tz="Europe/Berlin")
    clock = clock_of(index)
    start = time.process_time()
    clock.ticks(index)
    assert time.process_time() - start < 1.0
