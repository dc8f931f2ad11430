"""Faults in horizons, covariates and quantiles, as the forecaster meets them.

Each test carries the number of its row in the table of faults.
"""

import copy
import re

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from pandas.testing import assert_frame_equal, assert_series_equal
from sktime.forecasting.base import ForecastingHorizon

from skrnn import RNNForecaster

AHEAD = [1, 2, 3]
TINY = {"hidden_size": 4, "max_epochs": 2, "batches_per_epoch": 4, "random_state": 0}
COVERAGES = [0.3, 0.8, 0.95]
LEVELS = [0.001, 0.1, 0.35, 0.5, 0.65, 0.9, 0.999]


def make(**params) -> RNNForecaster:
    return RNNForecaster(**{**TINY, **params})


DAYS = pd.date_range("2024-01-01", periods=90, freq="D", name="day")


@pytest.fixture
def y(rng) -> pd.Series:
    return pd.Series(rng.normal(size=80).cumsum(), DAYS[:80], name="sold")


@pytest.fixture
def X(rng) -> pd.DataFrame:
    """Return covariates of the 80 days of `y` and of ten more."""
    return pd.DataFrame({"promo": rng.integers(0, 2, 90), "heat": rng.normal(size=90)}, DAYS)


# -- horizons -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fh",
    [
        1,
        [0],
        [-5, -1, 0],
        [1, 3, 5],
        [-50, 0, 2, 25],
        np.array([2, 4]),
        range(1, 4),
        pd.Index([1, 2]),
        ForecastingHorizon([1, 4], is_relative=True),
    ],
)
def test_f057_relative_horizons(y, fh):
    forecaster = make().fit(y[:60], fh=AHEAD)
    forecast, interval = forecaster.predict(fh=fh), forecaster.predict_interval(fh=fh)
    steps = ForecastingHorizon(fh).to_numpy() if not isinstance(fh, ForecastingHorizon) else [1, 4]
    expected = DAYS[59 + np.asarray(steps)]
    assert forecast.index.equals(expected)
    assert interval.index.equals(expected)
    assert forecast.dtype == float
    assert np.isfinite(interval).all(axis=None)


@pytest.mark.parametrize("positions", [[60], [60, 64], [55, 59, 70], [0, 1, 89]])
def test_f057_absolute_horizons(y, positions):
    forecaster = make().fit(y[:60], fh=AHEAD)
    absolute = ForecastingHorizon(DAYS[positions], is_relative=False)
    forecast = forecaster.predict(fh=absolute)
    assert_array_equal(forecast, forecaster.predict(fh=np.array(positions) - 59))
    assert forecast.index.equals(DAYS[positions])


@pytest.mark.parametrize("unit", ["D", "h"])
def test_f057_horizons_of_time_spans(y, unit):
    y = y.set_axis(pd.date_range("2024-01-01", periods=80, freq=unit))
    forecaster = make().fit(y)
    spans = ForecastingHorizon(pd.to_timedelta([1, 3], unit=unit), is_relative=True)
    assert_array_equal(forecaster.predict(fh=spans), forecaster.predict(fh=[1, 3]))


def test_f057_horizons_off_the_grid(y):
    noon = ForecastingHorizon(DAYS[[80]] + pd.Timedelta("12h"), is_relative=False)
    with pytest.raises(ValueError, match="2024-03-21 12:00:00 is off the grid"):
        make().fit(y).predict(fh=noon)


def test_f057_no_horizon(y):
    with pytest.raises(ValueError, match="fh"):
        make().fit(y).predict()


def test_f057_horizons_in_the_past_are_one_step_ahead(y):
    """The forecast of a known step reads what came before it, and not the step itself."""
    forecaster = make(log=False, deseasonalize=False, calibrate=False).fit(y, fh=[1])
    changed = y.copy()
    changed.iloc[70:] += 100
    twin = copy.deepcopy(forecaster).update(changed[70:], update_params=False)
    past = np.arange(-9, 1)
    known, other = forecaster.predict(fh=past), twin.predict(fh=past)
    assert known.iloc[0] == pytest.approx(other.iloc[0])
    assert (other - known).iloc[1:].abs().min() > 1


# -- covariates -----------------------------------------------------------------------------------


def test_f058_covariates_missing_at_predict(y, X):
    forecaster = make().fit(y, X=X[:80], fh=range(1, 15))
    message = r"fitted with X columns \['promo', 'heat'\]; predict needs X for 14 rows: 2024-03-21,"
    for method in ("predict", "predict_interval", "predict_var"):
        with pytest.raises(ValueError, match=message):
            getattr(forecaster, method)()
    assert np.isfinite(forecaster.predict(fh=[-3, 0])).all()


def test_f058_covariates_missing_at_update(y, X):
    """Steps without covariates are not filled silently."""
    forecaster = make().fit(y[:60], X=X[:60], fh=AHEAD)
    with pytest.raises(ValueError, match="X"):
        forecaster.update(y[60:], update_params=False).predict(X=X[80:])


def test_f058_covariates_that_were_not_fitted_are_not_needed(y, X):
    assert_series_equal(
        make().fit(y, fh=AHEAD).predict(X=X[80:]), make().fit(y, fh=AHEAD).predict()
    )


@pytest.mark.parametrize("update_params", [False, True])
def test_f058_covariates_that_were_not_there_before(y, X, panel, update_params):
    """They would not be read, so they are refused."""
    message = r"X has columns \['promo', 'heat'\], but the network was trained without X"
    with pytest.raises(ValueError, match=message):
        make().fit(y[:60], fh=AHEAD).update(y[60:], X=X[60:80], update_params=update_params)
    pretrained = make().pretrain(panel, fh=AHEAD)
    with pytest.raises(ValueError, match=message):
        copy.deepcopy(pretrained).fit(y, X=X[:80])
    assert np.isfinite(pretrained.fit(y, X=pd.DataFrame(index=y.index)).predict(fh=AHEAD)).all()


@pytest.mark.parametrize(
    ("rows", "listed"),
    [
        (slice(80, 82), "X has no rows for 2024-03-23;"),
        (slice(70, 80), "X has no rows for 2024-03-21, 2024-03-22, 2024-03-23;"),
        ([80, 82], "X has no rows for 2024-03-22;"),
    ],
)
def test_f059_covariates_of_other_steps(y, X, rows, listed):
    forecaster = make().fit(y, X=X[:80], fh=AHEAD)
    with pytest.raises(ValueError, match=f"{listed} future_frame"):
        forecaster.predict(X=X.iloc[rows])


def test_f059_covariates_of_other_columns(y, X):
    forecaster = make().fit(y, X=X[:80], fh=AHEAD)
    message = r"fitted with X columns \['promo', 'heat'\]; got \['heat'\], without \['promo'\]"
    with pytest.raises(ValueError, match=message):
        forecaster.predict(X=X[["heat"]])
    known = forecaster.predict(X=X)
    mixed = X[["heat", "promo"]].assign(more="text")
    assert_series_equal(forecaster.predict(X=mixed), known)


@pytest.mark.parametrize("method", ["predict", "predict_interval"])
def test_f059_the_index_of_covariates_is_explained(y, X, method):
    """What sktime refuses is told as in `fit`."""
    forecaster = make().fit(y, X=X[:80], fh=AHEAD)
    cases = [
        (X[80:][::-1], r"X: the time index is not monotonic: .*sort_index"),
        (X[80:].set_axis(DAYS[80:].strftime("%Y-%m-%d")), r"X holds dates as text; use X.index ="),
        (X[80:].to_period("D"), r"X is indexed by periods .*to_timestamp\(\); future_frame"),
        ([1, 2, 3], "X is of type list"),
    ]
    for ahead, text in cases:
        with pytest.raises((TypeError, ValueError), match=text):
            getattr(forecaster, method)(X=ahead)


def test_f043_the_index_of_newer_data_is_explained(y):
    forecaster = make().fit(y[:60], fh=AHEAD)
    for newer, text in [
        (y[60:][::-1], "y: the time index is not monotonic"),
        (y[60:].set_axis(DAYS[60:80].strftime("%Y-%m-%d")), "y holds dates as text"),
        (y[60:].reset_index(), "column 'day' of y holds dates, expected numbers"),
    ]:
        with pytest.raises(TypeError, match=text):
            forecaster.update(newer)
    table = y[60:63].reset_index()
    with pytest.raises((TypeError, ValueError), match="column 'day' of y holds dates"):
        forecaster.score(table)
    with pytest.raises(TypeError, match="the index of y holds dates as text"):
        make().fit(y[:60]).score(y[60:63].set_axis(["2024-03-01", "2024-03-02", "2024-03-03"]))


def test_f059_the_first_five_missing_rows_of_a_panel(panel, cover):
    forecaster = make().fit(panel, X=cover(0, 60), fh=AHEAD)
    given = cover(60, 63).drop("s2", level=0).drop([("s0", DAYS[61]), ("s3", DAYS[60])])
    message = (
        r"\('s0', 2024-03-02\), \('s2', 2024-03-01\), \('s2', 2024-03-02\), "
        r"\('s2', 2024-03-03\), \('s3', 2024-03-01\);"
    )
    with pytest.raises(ValueError, match=message):
        forecaster.predict(X=given)
    with pytest.raises(ValueError, match="and 7 more"):
        forecaster.predict(X=cover(0, 60))


@pytest.mark.parametrize("method", ["fit", "pretrain"])
@pytest.mark.parametrize("gaps", ["error", "mask"])
def test_f059_covariates_of_a_panel_that_lack_rows(panel, cover, method, gaps):
    X = cover(0, 60).drop([("s0", DAYS[4]), ("s3", DAYS[59])])
    forecaster = make(gaps=gaps)
    with pytest.raises(
        ValueError, match=r"X has no rows for \('s0', 2024-01-05\), \('s3', 2024-02-29\)\."
    ):
        getattr(forecaster, method)(panel, X=X, fh=AHEAD)
    assert not forecaster.is_fitted
    without = cover(0, 60).drop("s1", level=0)
    with pytest.raises(ValueError, match=r"X has no rows for \('s1', 2024-01-01\), .* 55 more"):
        getattr(forecaster, method)(panel, X=without, fh=AHEAD)


def test_f059_covariates_of_an_update_of_a_panel_that_lack_rows(panel, cover):
    forecaster = make().fit(panel.groupby(level="id").head(50), X=cover(0, 50), fh=AHEAD)
    known = forecaster.predict(X=cover(50, 53))
    newer = cover(50, 60).drop([("s1", DAYS[51]), ("s2", DAYS[50])])
    with pytest.raises(ValueError, match=r"\('s1', 2024-02-21\), \('s2', 2024-02-20\)"):
        forecaster.update(panel.groupby(level="id").tail(10), X=newer)
    assert_frame_equal(forecaster.predict(X=cover(50, 53)), known)


@pytest.mark.parametrize("repeat_X", [False, True])
def test_f044_duplicates_may_be_merged_beside_covariates(y, X, panel, cover, repeat_X):
    again = [*range(59), 58, 59]
    repeated = y.iloc[again].copy()
    repeated.iloc[58] += 5
    rows = X.iloc[again].copy()
    rows.iloc[58] += 5
    expected = make().fit(y[:60], X=X[:60], fh=AHEAD).predict(X=X[60:])
    forecaster = make(duplicates="last").fit(repeated, X=rows if repeat_X else X[:60], fh=AHEAD)
    assert_series_equal(forecaster.predict(X=X[60:]), expected)
    forecaster = make(duplicates="last").fit(y[:55], X=X[:55], fh=AHEAD)
    forecaster.update(repeated[55:], X=rows[55:] if repeat_X else X[55:60])
    assert forecaster.cutoff[0] == DAYS[59]
    twice = pd.concat([panel.iloc[:59], panel.iloc[58:59] - 5, panel.iloc[58:]])
    double = cover(0, 60).loc[twice.index] if repeat_X else cover(0, 60)
    found = make(duplicates="last").fit(twice, X=double, fh=AHEAD).predict(X=cover(60, 63))
    known = make().fit(panel, X=cover(0, 60), fh=AHEAD).predict(X=cover(60, 63))
    assert_frame_equal(found, known)


@pytest.mark.parametrize("fh", [AHEAD, [2], [1, 20], [-3, 1]])
def test_f059_the_future_frame_is_what_predict_needs(panel, cover, fh):
    forecaster = make().fit(panel, X=cover(0, 60), fh=AHEAD)
    frame = forecaster.future_frame(fh)
    assert list(frame.columns) == ["promo"]
    assert np.isfinite(forecaster.predict(fh=fh, X=frame.fillna(0.0).astype(float))).all(axis=None)
    with pytest.raises(ValueError, match="no rows"):
        forecaster.predict(fh=fh, X=frame.iloc[:-1].fillna(0.0).astype(float))


def test_f059_the_future_frame_of_one_series(y, X):
    forecaster = make(past_covariates=["heat"]).fit(y, X=X[:80], fh=AHEAD)
    frame = forecaster.future_frame()
    assert frame.index.equals(DAYS[80:83])
    assert list(frame.columns) == ["promo"]
    with pytest.raises(ValueError, match="future_frame needs fh"):
        make().fit(y, X=X[:80]).future_frame()


def test_f059_a_value_is_missing(y, X):
    forecaster = make().fit(y, X=X[:80], fh=AHEAD)
    X.loc[DAYS[81], "heat"] = np.nan
    with pytest.raises(ValueError, match="X column 'heat' has no value at 2024-03-22"):
        forecaster.predict(X=X)


@pytest.mark.parametrize("dtype", [object, "str", "category"])
def test_f060_texts_are_categories_or_refused(y, X, dtype):
    X = X.assign(kind=pd.Series(["low", "high"] * 45, DAYS).astype(dtype))
    forecast = make().fit(y, X=X[:80], fh=AHEAD).predict(X=X)
    declared = make(categorical=["kind"]).fit(y, X=X[:80], fh=AHEAD).predict(X=X)
    assert_series_equal(declared, forecast)
    with pytest.raises(ValueError, match=r"X column 'kind' of dtype .*; declare it in categorical"):
        make(categorical=[]).fit(y, X=X[:80])


@pytest.mark.parametrize("method", ["predict", "predict_interval", "predict_quantiles"])
def test_f026_no_category_is_known(y, X, method):
    X = X.assign(promo=np.where(X["promo"], "yes", "no"))
    forecaster = make().fit(y, X=X[:80], fh=AHEAD)
    known = getattr(forecaster, method)(X=X[80:])
    as_flags = X[80:].assign(promo=X["promo"] == "yes")
    text = "column 'promo' holds only .* such as (True|False).* in fit it held 'no', 'yes'"
    with pytest.warns(UserWarning, match=text) as caught:
        getattr(forecaster, method)(X=as_flags)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    # One that is known is enough, and a missing one says nothing.
    X.loc[DAYS[81:], "promo"] = "never"
    assert getattr(forecaster, method)(X=X[80:]).shape == known.shape
    getattr(forecaster, method)(X=X[80:].assign(promo=None))


@pytest.mark.parametrize("update_params", [False, True])
def test_f026_no_category_of_an_update_is_known(y, X, update_params):
    X = X.assign(promo=np.where(X["promo"], "yes", "no"), place="town")
    forecaster = make(static_covariates=["place"]).fit(y[:70], X=X[:70], fh=AHEAD)
    newer = X[70:80].assign(promo=X["promo"] == "yes")
    with pytest.warns(UserWarning, match="column 'promo' holds only") as caught:
        forecaster.update(y[70:], X=newer, update_params=update_params)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert forecaster.cutoff[0] == DAYS[79]


def test_f026_no_category_of_a_series_after_pretraining_is_known(panel, cover):
    X = cover(0, 60).assign(kind=lambda table: np.where(table["promo"] > 0, "yes", "no"))
    pretrained = make().pretrain(panel, X=X, fh=AHEAD)
    flags = X.assign(kind=X["kind"] == "yes")
    with pytest.warns(UserWarning, match="column 'kind' holds only"):
        copy.deepcopy(pretrained).fit(panel, X=flags)
    with pytest.warns(UserWarning, match="column 'kind' holds only"):
        pretrained.pretrain(panel, X=flags)


def test_f060_stamps_are_no_covariate(y, X):
    with pytest.raises(ValueError, match="X column 'when' of dtype datetime"):
        make().fit(y, X=X[:80].assign(when=DAYS[:80]))


# -- quantiles ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models():
    """Return forecasters of every distribution, calibrated or not."""
    counts = pd.Series(np.random.default_rng(0).poisson(5, 60).astype(float), DAYS[:60])
    fits = [
        make(loss=loss, calibrate=calibrate, guard="off").fit(counts, fh=AHEAD)
        for loss in ("quantile", "normal", "student_t", "negative_binomial")
        for calibrate in (False, True)
    ]
    return fits


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31 - 1), spread=st.floats(0.01, 5.0))
def test_f064_quantiles_never_cross(models, seed, spread):
    """Of 200 networks with random weights."""
    generator = torch.Generator().manual_seed(seed)
    for forecaster in models:
        network = forecaster.model_.nets[0].module_
        weights = copy.deepcopy(network.state_dict())
        with torch.no_grad():
            for p in network.parameters():
                p.copy_(spread * torch.randn(p.shape, generator=generator))
        quantiles = forecaster.predict_quantiles(alpha=LEVELS).to_numpy()
        intervals = forecaster.predict_interval(coverage=COVERAGES).to_numpy()
        network.load_state_dict(weights)
        assert not np.isnan(quantiles).any()
        assert (quantiles[:, 1:] >= quantiles[:, :-1]).all()
        lower, upper = intervals[:, ::2], intervals[:, 1::2]
        assert (lower[:, 1:] <= lower[:, :-1]).all()
        assert (upper[:, 1:] >= upper[:, :-1]).all()
        assert (lower <= upper).all()


@pytest.mark.parametrize("level", [80, [80], [0.5, 80], 0, 1.0, -0.1, np.nan, None, "80%", [[0.5]]])
def test_f064_levels_that_are_no_probabilities(models, level):
    text = re.escape(f"must lie in (0, 1), got {level!r}.")
    with pytest.raises(ValueError, match=f"coverage {text}"):
        models[0].predict_interval(coverage=level)
    if level is not None:
        with pytest.raises(ValueError, match=f"alpha {text}"):
            models[0].predict_quantiles(alpha=level)


@pytest.mark.parametrize("as_type", [tuple, np.array, pd.Index])
def test_f064_levels_in_any_sequence(models, as_type):
    expected = models[0].predict_interval(coverage=COVERAGES)
    assert_frame_equal(models[0].predict_interval(coverage=as_type(COVERAGES)), expected)
    expected = models[0].predict_quantiles(alpha=LEVELS)
    assert_frame_equal(models[0].predict_quantiles(alpha=as_type(LEVELS)), expected)
    one = models[0].predict_interval(coverage=0.5)
    assert_frame_equal(models[0].predict_interval(coverage=np.float32(0.5)), one)
