"""Faults in the time index and the values of y, as the forecaster meets them.

Each test carries the number of its row in the table of faults.
"""

import copy

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal, assert_series_equal

from skrnn import RNNForecaster

AHEAD = [1, 2, 3]
TINY = {"hidden_size": 4, "max_epochs": 2, "batches_per_epoch": 4, "random_state": 0}
LOSSES = ["quantile", "absolute_error", "squared_error", "huber", "normal", "student_t"]
FREQUENCIES = ["15min", "h", "6h", "D", "B", "W-WED", "MS", "ME", "QS", "QE-NOV", "YS", "YE", "2D"]


def make(**params) -> RNNForecaster:
    return RNNForecaster(**{**TINY, **params})


def series(index) -> pd.Series:
    values = np.random.default_rng(0).normal(size=len(index)).cumsum()
    return pd.Series(values, index, name="load")


def days(n=60, start="2024-01-01", **kwargs) -> pd.DatetimeIndex:
    return pd.date_range(start, periods=n, freq="D", **kwargs)


def panel(a, b) -> pd.DataFrame:
    frames = {"a": a.to_frame(), "b": b.to_frame()}
    return pd.concat(frames, names=["id", "time"])


@pytest.fixture
def daily() -> pd.Series:
    return series(days())


# -- order, duplicates and gaps -------------------------------------------------------------------


@pytest.mark.parametrize("order", [slice(None, None, -1), [1, 0, *range(2, 60)]])
def test_f043_unsorted_index(daily, order):
    shuffled = daily.iloc[order]
    first, then = (str(stamp.date()) for stamp in shuffled.index[:2])
    text = rf"{first} is followed by {then}; use \.sort_index\(\)\.$"
    with pytest.raises(TypeError, match=rf"^y: the time index is not monotonic: {text}"):
        make().fit(shuffled)
    with pytest.raises(TypeError, match=rf"^y: .* not monotonic in series 'b': {text}"):
        make().fit(panel(daily, shuffled))
    with pytest.raises(TypeError, match=rf"^X: the time index is not monotonic: {text}"):
        make().fit(daily, shuffled.to_frame("promo"))


def test_f043_sorting_repairs(daily):
    shuffled = daily.sample(frac=1, random_state=0)
    expected = make().fit(daily, fh=AHEAD).predict()
    assert_series_equal(make().fit(shuffled.sort_index(), fh=AHEAD).predict(), expected)


def test_f043_many_series_without_a_name(daily):
    """Sorting would mix them."""
    stacked = panel(daily, daily).droplevel("id")
    with pytest.raises(TypeError, match=r"repeat and go back, .* before the time, with .*\['shop'"):
        make().fit(stacked)


def test_f043_levels_in_the_wrong_order(daily):
    right = panel(daily, daily + 1)
    wrong = right.swaplevel().sort_index()
    text = r"levels \['time', 'id'\], but .* last level; use (.)\.swaplevel\(\)\.sort_index\(\)\.$"
    with pytest.raises(TypeError, match=text):
        make().fit(wrong)
    with pytest.raises(TypeError, match=text):
        make().fit(right, X=wrong)
    repaired = make().fit(wrong.swaplevel().sort_index(), fh=AHEAD).predict()
    assert_frame_equal(repaired, make().fit(right, fh=AHEAD).predict())
    # Names that are numbers look like steps: all series are of two of them.
    numbered = right.rename(index={"a": 1, "b": 2}).swaplevel().sort_index()
    with pytest.raises(ValueError, match=r"got 2; the last level .* is 'id'; .*\.swaplevel"):
        make().fit(numbered)
    three = pd.concat({"north": right}, names=["region"]).reorder_levels(["time", "region", "id"])
    with pytest.raises(TypeError, match=r"reorder_levels\(\['region', 'id', 'time'\]\)\.sort"):
        make().fit(three)


def test_f044_duplicate_time(daily):
    repeated = daily.iloc[[0, 1, 2, 3, 4, 4, *range(5, 60)]]
    with pytest.raises(ValueError, match=r"duplicate time 2024-01-05; .*duplicates='last'"):
        make().fit(repeated)
    with pytest.raises(ValueError, match="duplicate time 2024-01-05 in series 'b'"):
        make().fit(panel(daily, repeated))


def test_f044_duplicates_may_be_merged(daily):
    repeated = daily.iloc[[0, 1, 2, 3, 4, 4, *range(5, 60)]].copy()
    repeated.iloc[4] += 2
    known = make().fit(daily, fh=AHEAD).predict()
    assert_series_equal(make(duplicates="last").fit(repeated, fh=AHEAD).predict(), known)
    mean = daily.copy()
    mean.iloc[4] += 1
    expected = make().fit(mean, fh=AHEAD).predict()
    assert_series_equal(make(duplicates="mean").fit(repeated, fh=AHEAD).predict(), expected)


def test_f045_gap(daily):
    with pytest.raises(ValueError, match=r"2 missing steps after 2024-01-07; use \.asfreq"):
        make().fit(daily.drop(daily.index[[7, 8]]))
    with pytest.raises(ValueError, match="1 missing step after 2024-01-07 in series 'a'"):
        make().fit(panel(daily.drop(daily.index[7]), daily))


def test_f045_gaps_are_masked_or_interpolated(daily):
    holes = daily.index[[7, 8, 50]]
    given, known = daily.drop(holes), daily.where(~daily.index.isin(holes))
    masked = make(gaps="mask").fit(given, fh=AHEAD).predict_interval()
    assert_frame_equal(masked, make().fit(known, fh=AHEAD).predict_interval())
    drawn = make(gaps="interpolate").fit(given, fh=AHEAD).predict_interval()
    assert_frame_equal(drawn, make().fit(known.interpolate(), fh=AHEAD).predict_interval())
    assert not np.allclose(masked, drawn)


def test_f046_irregular_stamps(daily, rng):
    moved = daily.copy()
    moved.index += pd.to_timedelta(rng.integers(0, 600, 60), "min")
    with pytest.raises(ValueError, match=r"no regular frequency: .*resample"):
        make().fit(moved)
    with pytest.raises(ValueError, match="series 'b' has no regular frequency; resample"):
        make().fit(panel(daily, moved))


@pytest.mark.parametrize(("freq", "period"), [("MS", "M"), ("QS", "Q"), ("YS", "Y")])
def test_f046_one_time_in_each_period(freq, period):
    index = pd.date_range("2000-01-01", periods=30, freq=freq) + pd.Timedelta(days=14)
    y = series(index)
    with pytest.raises(ValueError, match=rf"into periods, with \.to_period\('{period}'\)\."):
        make().fit(y)
    known = y.to_period(period)
    assert make(short="pad").fit(known, fh=AHEAD).predict().index[0] == known.index[-1] + 1


# -- frequencies and time zones -------------------------------------------------------------------


def test_f047_lost_frequency(daily):
    lost = daily.copy()
    lost.index = pd.DatetimeIndex(daily.index.to_numpy())
    assert lost.index.freq is None
    assert_series_equal(make().fit(lost, fh=AHEAD).predict(), make().fit(daily, fh=AHEAD).predict())


@pytest.mark.parametrize("start", ["2024-03-29", "2024-10-25"])
@pytest.mark.parametrize("freq", ["h", "D"])
@pytest.mark.parametrize("method", ["predict", "predict_interval"])
def test_f048_across_a_change_of_the_clocks(start, freq, method):
    index = pd.date_range(start, periods=120, freq=freq, tz="Europe/Berlin")
    for n_known in (24, 60):
        forecaster = make(short="pad").fit(series(index[:n_known]), fh=AHEAD)
        forecast = getattr(forecaster, method)(fh=np.arange(1, 121 - n_known))
        assert forecast.index.equals(index[n_known:])
        assert forecast.index.tz is not None
        assert forecast.index.is_monotonic_increasing
        assert forecast.index.is_unique


@pytest.mark.parametrize("freq", FREQUENCIES)
@pytest.mark.parametrize("kind", ["date", "period"])
def test_f049_frequencies(freq, kind):
    index = pd.date_range("2020-01-15", periods=40, freq=freq)
    if kind == "period":
        offset = {"MS": "M", "ME": "M", "QS": "Q", "QE-NOV": "Q-NOV", "YS": "Y", "YE": "Y"}
        if freq == "B":
            pytest.skip("pandas has deprecated periods of business days")
        index = pd.period_range("2020-01-15", periods=40, freq=offset.get(freq, freq))
    forecaster = make(short="pad").fit(series(index[:30]), fh=AHEAD)
    assert forecaster.predict().index.equals(index[30:33])
    assert forecaster.predict_interval(fh=[1, 2, 10]).index.equals(index[[30, 31, 39]])
    assert forecaster.predict(fh=[-1, 0, 4]).index.equals(index[[28, 29, 33]])


def test_f050_whole_numbers(daily):
    expected = make().fit(daily.reset_index(drop=True), fh=AHEAD).predict()
    for index in (pd.RangeIndex(100, 160), pd.Index(np.arange(-70, -10))):
        forecast = make(calendar=False).fit(daily.set_axis(index), fh=AHEAD).predict()
        assert_array_equal(forecast.index, index[-1] + np.array(AHEAD))
        assert_allclose(forecast, expected)
    with pytest.raises(ValueError, match="1 missing step after 106"):
        make().fit(daily.set_axis(pd.RangeIndex(100, 160)).drop(107))


@pytest.mark.parametrize(
    "index",
    [
        pd.timedelta_range("0D", periods=60, freq="D"),
        np.arange(60.0),
        pd.Index([f"{i:02d}" for i in range(60)]),
    ],
)
def test_f051_other_indexes(daily, index):
    with pytest.raises(TypeError, match=r"\.astype\(int\)|use a DatetimeIndex"):
        make().fit(daily.set_axis(index))


OFFSETS = pd.date_range("2024-03-01", periods=60, tz="Europe/Berlin")


@pytest.mark.parametrize(
    ("index", "what", "repair"),
    [
        (days().strftime("%Y-%m-%d"), "dates as text", pd.to_datetime),
        (pd.CategoricalIndex(days().strftime("%Y-%m-%d")), "dates as text", pd.to_datetime),
        (pd.Index(list(days().date)), "datetime.date objects", pd.to_datetime),
        (pd.Index(list(days()), dtype=object), "dates of dtype object", pd.DatetimeIndex),
        (pd.Index(list(days().to_period()), dtype=object), "periods of", pd.PeriodIndex),
        (pd.Index([f"{i}" for i in range(60)]), "numbers as text", lambda index: index.astype(int)),
        (
            days().strftime("%d.%m.%Y"),
            "dates as text",
            lambda index: pd.to_datetime(index, dayfirst=True),
        ),
        (
            OFFSETS.strftime("%Y-%m-%d %H:%M:%S%z"),
            "dates as text with several offsets from UTC",
            lambda index: pd.to_datetime(index, utc=True).tz_convert("Europe/Berlin"),
        ),
        (
            pd.Index(
                [x.tz_convert("UTC") if i else x for i, x in enumerate(OFFSETS)], dtype=object
            ),
            "dates of several time zones",
            lambda index: pd.to_datetime(index, utc=True).tz_convert("Europe/Berlin"),
        ),
    ],
)
def test_f051_times_that_are_no_index_of_times_yet(daily, index, what, repair):
    """The cause and the repair are named, and the repair works."""
    with pytest.raises(
        TypeError, match=f"^the index of y holds {what}.*; use y.index = "
    ) as caught:
        make().fit(daily.set_axis(index))
    assert len(str(caught.value)) < 150
    assert len(str(caught.value.__cause__)) > 1000
    with pytest.raises(TypeError, match=f"^the index of X holds {what}.*; use X.index = "):
        make().fit(daily, daily.to_frame("promo").set_axis(index))
    y = daily.set_axis(repair(index))
    assert make().fit(y, fh=AHEAD).predict().notna().all()
    y = panel(daily, daily)
    codes = [np.repeat([0, 1], 60), np.tile(np.arange(60), 2)]
    y.index = pd.MultiIndex([["a", "b"], index], codes, names=["id", "time"])
    with pytest.raises(
        TypeError, match=rf"the last level .* holds {what}.* use table\['time'\] = "
    ):
        make().fit(y)


def test_f051_a_row_that_is_no_time(daily):
    dates = [*days(59).strftime("%Y-%m-%d"), "Total"]
    with pytest.raises(
        TypeError, match=r"dates as text and 'Total', which is none .*drop that row"
    ):
        make().fit(daily.set_axis(dates))
    with pytest.raises(TypeError, match=r"text such as 's0'; make the times the index"):
        make().fit(daily.set_axis([f"s{i}" for i in range(60)]))
    missing = daily.set_axis(daily.index.where(np.arange(60) != 7))
    with pytest.raises(TypeError, match=r"y: the time index has a missing stamp \(NaT\); drop"):
        make().fit(missing)


def test_f051_the_index_of_covariates(daily):
    """X is indexed as y is."""
    X = daily.to_frame("promo")
    berlin = X.tz_localize("Europe/Berlin")
    cases = [
        (daily, berlin, r"X is indexed by dates in Europe/Berlin, y by .*\.tz_convert\(None\)"),
        (berlin["promo"], X, r"dates without time zone, y .*\.tz_localize\('Europe/Berlin'\)"),
        (daily, X.to_period(), r"X is indexed by periods of 'D', .*\.to_timestamp\(\)"),
        (daily.to_period(), X, r"y by periods of 'D'; convert X with \.to_period\('D'\)"),
        (daily, X.reset_index(), "X is indexed by whole numbers, y by dates .*set_index"),
        (daily, X.to_numpy(), "X is a NumPy array, which has no times, but y has them"),
        (daily, X[3:], "^X has no rows for 2024-01-01, 2024-01-02, 2024-01-03.$"),
        (daily, panel(daily, daily), r"X has the index levels \['id', 'time'\], but y has one"),
    ]
    for y, given, text in cases:
        with pytest.raises((TypeError, ValueError), match=text):
            make().fit(y, given)


# -- tables without times in their index ----------------------------------------------------------


@pytest.mark.parametrize("as_text", [False, True])
def test_f051_times_in_a_column(daily, as_text):
    """A file that was read without a word about its index."""
    table = daily.rename_axis("date").reset_index()
    many = panel(daily, daily).reset_index().rename(columns={"time": "date", "id": "shop"})
    first = ""
    if as_text:
        table["date"], many["date"] = (t["date"].dt.strftime("%Y-%m-%d") for t in (table, many))
        first = r"use y\['date'\] = pd.to_datetime\(y\['date'\]\), then "
    start = rf"^column 'date' of y holds dates.*, expected numbers; {first}make it the index, "
    with pytest.raises(TypeError, match=start + r"with y\.set_index\('date'\)\[\['load'\]\]\.$"):
        make().fit(table)
    by_shop = r"after .* with y\.set_index\(\['shop', 'date'\]\)\[\['load'\]\]\.$"
    with pytest.raises(TypeError, match=start + by_shop):
        make().fit(many)
    with pytest.raises(TypeError, match=r"series, as in y\.set_index\(\['shop', 'date'\]\)"):
        make().fit(many.assign(promo="no", price=1.0))
    with pytest.raises(TypeError, match=r"as in y\.set_index\(\[\.\.\., 'date'\]\)\.$"):
        make().fit(many.assign(shop=many["shop"].eq("a")))
    for data, index in ((table, "date"), (many, ["shop", "date"])):
        y = data.assign(date=pd.to_datetime(data["date"])).set_index(index)[["load"]]
        assert make().fit(y, fh=AHEAD).predict().notna().all(axis=None)


def test_f051_names_of_series_in_a_column(daily):
    y = panel(daily, daily + 1).reset_index("id")
    repair = r"y\.set_index\('id', append=True\)\.swaplevel\(\)\.sort_index\(\)"
    with pytest.raises(
        TypeError, match=f"column 'id' of y is categorical, it holds text such as 'a'; .*{repair}"
    ):
        make().fit(y)
    right = y.set_index("id", append=True).swaplevel().sort_index()
    assert_frame_equal(right, panel(daily, daily + 1))
    with pytest.raises(
        TypeError, match=r"column 'kind' of y is categorical, it holds .* 'x'; leave it out"
    ):
        make().fit(right.assign(kind="x"))
    with pytest.raises(TypeError, match=r"column 'when' of y holds dates, .* leave it out"):
        make().fit(daily.to_frame().assign(when=days()))


@pytest.mark.parametrize("odd", ["1,234", "n/a", "12 %"])
def test_f051_numbers_as_text(daily, odd):
    y = daily.round(2).astype(str)
    y.iloc[3] = odd
    with pytest.raises(TypeError, match=rf"^y holds text such as '{odd}', .* with pd.to_numeric"):
        make().fit(y)
    with pytest.raises(TypeError, match=rf"^column 'load' of y holds text such as '{odd}', .*pd"):
        make().fit(y.to_frame())
    with pytest.raises(TypeError, match=r"^y holds numbers as text, .* with pd.to_numeric"):
        make().fit(y.drop(y.index[3]))


@pytest.mark.parametrize("y", [[1.0, 2.0], (1.0, 2.0), {"a": 1.0}, "sales.csv", 3.0])
def test_f051_no_container(y, daily):
    name = type(y).__name__
    with pytest.raises(TypeError, match=f"^y is of type {name}; pass a pandas Series or DataFrame"):
        make().fit(y)
    with pytest.raises(TypeError, match=f"^X is of type {name}; pass"):
        make().fit(daily, X=y)


def test_f051_other_faults_are_told_by_sktime(daily):
    with pytest.raises(TypeError, match="Unsupported input data type"):
        make().fit(np.zeros((2, 2, 2, 2)))


# -- length and values ----------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 3, 12, 13])
def test_f052_short_series(airline, n):
    with pytest.raises(ValueError, match=f"needs at least 14 time points, got {n}; .*short='pad'"):
        make().fit(airline[:n], fh=range(1, 13))
    with pytest.raises(ValueError, match="needs at least 48 time points, got 40"):
        make(window_length=36).fit(airline[:40], fh=range(1, 13))


def test_f052_just_long_enough(airline):
    assert np.isfinite(make().fit(airline[:14], fh=range(1, 13)).predict()).all()
    assert np.isfinite(make(window_length=36).fit(airline[:48], fh=range(1, 13)).predict()).all()


def test_f052_nothing(airline):
    with pytest.raises(ValueError, match="at least 1 time point"):
        make().fit(airline[:0])


@pytest.mark.parametrize("n", [2, 3, 5, 13])
@pytest.mark.parametrize("window_length", ["auto", 36])
def test_f052_short_series_may_be_padded(airline, n, window_length):
    forecaster = make(short="pad", window_length=window_length).fit(airline[:n], fh=range(1, 13))
    forecast = forecaster.predict_interval()
    assert np.isfinite(forecast).all(axis=None)
    assert forecaster.predict().between(50, 250).all()


@pytest.mark.parametrize(
    "holes",
    [[143], [40], range(40, 60), range(0, 5), range(3, 144, 4), range(60, 96), [*range(130, 144)]],
)
@pytest.mark.parametrize("loss", ["quantile", "normal"])
def test_f053_missing_values(airline, holes, loss):
    y = airline.copy()
    y.iloc[[*holes]] = np.nan
    forecaster = make(loss=loss).fit(y, fh=AHEAD)
    assert np.isfinite(forecaster.predict_interval()).all(axis=None)
    assert forecaster.predict().between(250, 700).all()
    with pytest.raises(ValueError, match=rf"y is missing at {y.index[min(holes)]} in column"):
        make(missing="error").fit(y)


@pytest.mark.parametrize("n_missing", [20, 40, 100])
def test_f053_a_long_time_without_a_value(airline, n_missing):
    """What was last observed is still what to start from."""
    y = airline.copy()
    y.iloc[-n_missing:] = np.nan
    forecaster = make(window_length=12).fit(y, fh=AHEAD)
    assert forecaster.predict().between(80, 700).all()


def test_f053_no_value_at_all(airline):
    with pytest.raises(ValueError, match="fewer than 2 values that are not missing"):
        make().fit(airline * np.nan)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_f054_infinity(daily, value):
    spoiled = daily.copy()
    spoiled.iloc[4] = value
    with pytest.raises(ValueError, match=r"y contains infinity in column 'load' at 2024-01-05;"):
        make().fit(spoiled)
    with pytest.raises(ValueError, match=r"infinity .* at 2024-01-05 in series 'b'"):
        make().fit(panel(daily, spoiled))


@pytest.mark.parametrize("loss", [*LOSSES, "negative_binomial"])
@pytest.mark.parametrize("value", [5.0, 0.0, 1e9])
def test_f055_constant_series(daily, loss, value):
    forecaster = make(loss=loss).fit(daily * 0 + value, fh=AHEAD)
    assert_allclose(forecaster.predict(), value, rtol=1e-6, atol=1e-6)
    intervals = forecaster.predict_interval(coverage=[0.5, 0.99]).to_numpy()
    assert np.isfinite(intervals).all()
    assert (intervals[:, 1::2] >= intervals[:, ::2]).all()


@pytest.mark.parametrize("value", [-3e-5, 0.1, -7e6])
def test_f055_constant_values_of_any_size(daily, value):
    forecast = make().fit(daily * 0 + value, fh=AHEAD).predict()
    assert_allclose(forecast, value, rtol=1e-6)


def test_f055_a_constant_series_in_a_panel(daily):
    y = panel(daily * 0 + 5, daily)
    forecast = make().fit(y, fh=AHEAD).predict()
    assert_allclose(forecast.loc["a"], 5, rtol=1e-6)
    assert np.isfinite(forecast).all(axis=None)


def test_f055_a_series_that_became_constant(daily):
    y = daily.copy()
    y.iloc[-40:] = 3.0
    forecast = make(window_length=12).fit(y, fh=AHEAD).predict_interval()
    assert np.isfinite(forecast).all(axis=None)


@pytest.mark.parametrize("guard", ["off", "blend"])
def test_f056_a_level_shift(daily, guard):
    """What is far above all that was seen is forecast from where it is."""
    params = {"log": False, "deseasonalize": False, "guard": guard, "dtype": "float64"}
    forecaster = make(window_length=20, **params).fit(daily[:40], fh=AHEAD)
    twin = copy.deepcopy(forecaster).update(daily[40:] + 1e6, update_params=False)
    forecaster.update(daily[40:], update_params=False)
    assert_allclose(twin.predict(), forecaster.predict() + 1e6, atol=1e-3)
    interval = forecaster.predict_interval() + 1e6
    assert_allclose(twin.predict_interval(), interval, atol=1e-3)


@pytest.mark.parametrize(("a", "b"), [(1, 1e6), (1e12, 0), (1e-12, 0), (-4, 7), (3e8, -1e12)])
def test_f056_values_of_any_size(daily, a, b):
    params = {"log": False, "loss": "squared_error", "dtype": "float64"}
    one = make(**params).fit(daily, fh=AHEAD).predict()
    other = make(**params).fit(a * daily + b, fh=AHEAD).predict()
    assert_allclose(other, a * one + b, atol=1e-3 * abs(a) * daily.std())


@pytest.mark.parametrize("value", [1e12, 1e300, 1e-300])
def test_f056_large_values_in_single_precision(daily, value):
    y = value * (100 + daily)
    interval = make().fit(y, fh=AHEAD).predict_interval()
    assert np.isfinite(interval).all(axis=None)
    assert (interval / value).stack(future_stack=True).to_numpy().min() > 0
