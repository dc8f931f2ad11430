"""Faults in panels and updates, as the forecaster meets them.

Each test carries the number of its row in the table of faults.
"""

import copy
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose
from pandas.testing import assert_frame_equal, assert_series_equal

from skrnn import RNNForecaster

AHEAD = [1, 2, 3]
TINY = {"hidden_size": 4, "max_epochs": 2, "batches_per_epoch": 4, "random_state": 0}
DAYS = pd.date_range("2024-01-01", periods=90, freq="D", name="day")


def make(**params) -> RNNForecaster:
    return RNNForecaster(**{**TINY, **params})


@pytest.fixture
def y(rng) -> pd.Series:
    return pd.Series(rng.normal(size=80).cumsum(), DAYS[:80], name="sold")


# -- panels ---------------------------------------------------------------------------------------


def test_f061_faults_name_the_series(panel):
    with pytest.raises(ValueError, match="duplicate time 2024-02-29 in series 's3'"):
        make().fit(pd.concat([panel, panel.iloc[-1:]]))
    with pytest.raises(ValueError, match="2 missing steps after 2024-01-10 in series 's1'"):
        make().fit(panel.drop(panel.index[70:72]))
    hourly = pd.concat({"h": panel.loc["s0"].set_axis(DAYS[:60].floor("D"))}, names=["id"])
    hourly.index = hourly.index.set_levels(
        pd.date_range("2024-01-01", periods=60, freq="h", name="day"), level="day"
    )
    with pytest.raises(ValueError, match=r"mixed frequencies: .*series 'h' has 'h'"):
        make().fit(pd.concat([hourly, panel]))


def test_f061_a_panel_is_a_frame(panel, cover):
    with pytest.raises(
        TypeError, match=r"^y is a Series with .*\['id', 'day'\]; .*data\[\['sold'\]\]"
    ):
        make().fit(panel["sold"])
    with pytest.raises(TypeError, match=r"^X is a Series .* as data\[\['promo'\]\]"):
        make().fit(panel, cover(0, 60)["promo"])
    with pytest.raises(TypeError, match=r"as \.to_frame\(\)"):
        make().fit(panel["sold"].rename(None))
    forecaster = make().fit(panel, fh=AHEAD)
    with pytest.raises(TypeError, match="y is a Series"):
        forecaster.update(panel["sold"])
    assert forecaster.predict().notna().all(axis=None)


def test_f061_covariates_of_times_only(panel, cover):
    """Of the weather of the day, say, that all series share."""
    shared = cover(0, 60).loc["s0"]
    text = r"X has times only, but y has the index levels \['id', 'day'\]; repeat .*pd\.concat"
    with pytest.raises(ValueError, match=text):
        make().fit(panel, X=shared)
    X = pd.concat(dict.fromkeys(panel.index.droplevel(-1).unique(), shared))
    forecaster = make().fit(panel, X=X, fh=AHEAD)
    with pytest.raises(ValueError, match=text):
        forecaster.predict(X=cover(60, 63).loc["s0"])


def test_f061_two_columns_of_one_name(panel):
    with pytest.raises(TypeError, match=r"y has more than one column named \['sold'\]; rename"):
        make().fit(pd.concat([panel, panel], axis=1))


@pytest.mark.parametrize("keys", [[10, 2, 7, 1], [0.5, 1.5, 3.5, 2.5], list("zyxw")])
def test_f061_ids_of_any_type_in_any_order(panel, keys):
    named = panel.copy()
    named.index = panel.index.set_levels(keys, level="id")
    forecast = make().fit(named, fh=AHEAD).predict()
    mixed = named.sort_index(level=["day", "id"])
    assert_frame_equal(make().fit(mixed, fh=AHEAD).predict().sort_index(), forecast.sort_index())
    shuffled = named.loc[[keys[2], keys[0], keys[3], keys[1]]]
    other = make().fit(shuffled, fh=AHEAD).predict()
    assert_allclose(other.sort_index(), forecast.sort_index(), rtol=1e-6)
    assert other.index.levels[0].dtype == named.index.levels[0].dtype


def test_f062_a_series_that_is_too_short(panel):
    short = panel.drop(panel.loc[["s1"]].index[3:])
    with pytest.warns(UserWarning, match=r"series 's1' with fewer than 5") as caught:
        forecaster = make().fit(short, fh=AHEAD)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    forecast = forecaster.predict()
    assert np.isfinite(forecast.drop("s1", level=0)).all(axis=None)
    # It has no part in the training: the others are forecast as without it.
    alone = make(guard="off", calibrate=False).fit(panel.drop("s1", level=0), fh=AHEAD).predict()
    with warnings.catch_warnings(action="ignore"):
        beside = make(guard="off", calibrate=False).fit(short, fh=AHEAD).predict()
    assert_allclose(beside.drop("s1", level=0), alone, rtol=1e-6)


def test_f062_a_series_without_values(panel):
    empty = panel.copy()
    empty.loc["s1"] = np.nan
    with pytest.warns(UserWarning, match="series 's1' with"):
        forecaster = make().fit(empty, fh=AHEAD)
    interval = forecaster.predict_interval()
    assert np.isfinite(interval.drop("s1", level=0)).all(axis=None)
    # Nothing is known of it, and nothing is made up.
    assert forecaster.predict().loc["s1"].isna().all(axis=None)


def test_f062_many_short_series_are_listed(rng):
    parts = {i: pd.DataFrame({"v": rng.normal(size=3 + 30 * (i == 0))}) for i in range(9)}
    y = pd.concat(parts, names=["id", "step"])
    with pytest.warns(UserWarning, match="series 1, 2, 3, 4, 5 and 3 more"):
        make().fit(y, fh=AHEAD)


def test_f062_all_are_too_short(panel):
    with pytest.raises(ValueError, match=r"needs at least 5 time points, got 4; .*short='pad'"):
        make().fit(panel.groupby(level="id").tail(4), fh=AHEAD)
    with pytest.raises(ValueError, match="fewer than 2 values"):
        make().fit(panel * np.nan, fh=AHEAD)
    assert np.isfinite(
        make(short="pad").fit(panel.groupby(level="id").tail(4), fh=AHEAD).predict()
    ).all(axis=None)


def test_f063_new_series(panel):
    """A series that comes with an update is forecast like one that was there."""
    forecaster = make(guard="off", calibrate=False).fit(panel.loc[["s0", "s1"]], fh=AHEAD)
    known = forecaster.predict()
    one = copy.deepcopy(forecaster).update(panel.loc[["s2"]], update_params=False).predict()
    all_ = copy.deepcopy(forecaster).update(panel, update_params=False).predict()
    assert_allclose(all_.loc[["s2"]], one.loc[["s2"]], rtol=1e-6)
    assert_allclose(all_.loc[["s0", "s1"]], known, rtol=1e-6)
    assert_frame_equal(one.loc[["s0", "s1"]], known)


def test_f063_covariates_of_a_series_that_is_not_known(panel, cover):
    forecaster = make().fit(panel.drop("s3", level=0), X=cover(0, 60).drop("s3", level=0), fh=AHEAD)
    known = forecaster.predict(X=cover(60, 63).drop("s3", level=0))
    assert_frame_equal(forecaster.predict(X=cover(60, 63)), known)


@pytest.mark.parametrize("update_params", [False, True])
def test_f063_new_series_are_put_in_order(panel, cover, update_params):
    """The same data under other names: it makes no difference where the new names are sorted."""
    forecasts = []
    for keys in (["a", "b", "c", "d"], ["c", "d", "a", "b"]):
        names = dict(zip(panel.index.levels[0], keys, strict=True))
        y, X = panel.rename(index=names, level="id"), cover(0, 70).rename(index=names, level="id")
        X["group"] = X.index.get_level_values("id").map(dict(zip(keys, "uvwx", strict=True)))
        past = X[X.index.get_level_values("day") < DAYS[60]].sort_index()
        forecaster = make(guard="off", static_covariates=["group"])
        forecaster.fit(y.loc[keys[:2]], X=past.loc[keys[:2]], fh=AHEAD)
        newer = past.loc[sorted(keys[2:])]
        with pytest.warns(UserWarning, match="column 'group' holds only categories that were not"):
            forecaster.update(y.loc[newer.index], X=newer, update_params=update_params)
        future = X.drop(past.index).sort_index()
        parts = forecaster.predict(X=future), forecaster.predict_interval(X=future)
        for frame in (*parts, forecaster.future_frame()):
            assert frame.index.is_monotonic_increasing
            assert list(frame.index.unique("id")) == list("abcd")
        forecasts.append([pd.concat([part.loc[key] for key in keys]) for part in parts])
    for one, other in zip(*forecasts, strict=True):
        assert_frame_equal(one, other, rtol=1e-6)


# -- updates --------------------------------------------------------------------------------------


@pytest.mark.parametrize("update_params", [False, True])
def test_f065_the_newest_value_wins(y, update_params):
    changed = y.copy()
    changed.iloc[50:60] += 3
    forecaster = make().fit(y[:60], fh=AHEAD).update(changed[50:], update_params=update_params)
    expected = make().fit(y[:60], fh=AHEAD)
    expected.update(changed[50:60], update_params=False)
    expected.update(y[60:], update_params=update_params)
    assert forecaster.cutoff[0] == DAYS[79]
    assert_series_equal(forecaster.predict(), expected.predict())


def test_f065_older_data(y):
    with pytest.raises(ValueError, match=r"end at 2024-01-10, which is older .*2024-01-31; fit"):
        make().fit(y[30:60], fh=AHEAD).update(y[:10], update_params=False)


def test_f065_corrections_of_the_past_do_not_turn_back_time(y):
    forecaster = make().fit(y, fh=AHEAD)
    forecaster.update(y[50:55] + 1, update_params=False)
    assert forecaster.cutoff[0] == DAYS[79]
    assert forecaster.predict().index.equals(DAYS[80:83])


def test_f065_gap(y):
    with pytest.raises(ValueError, match="2 missing steps after 2024-02-29"):
        make().fit(y[:60], fh=AHEAD).update(y[62:], update_params=False)
    masked = make(gaps="mask").fit(y[:60], fh=AHEAD).update(y[62:], update_params=False)
    known = y.copy()
    known.iloc[60:62] = np.nan
    expected = make().fit(y[:60], fh=AHEAD).update(known[60:], update_params=False)
    assert_series_equal(masked.predict(), expected.predict())


def test_f065_a_refused_update_changes_nothing(y):
    forecaster = make().fit(y[:60], fh=AHEAD)
    known, cutoff = forecaster.predict(), forecaster.cutoff
    with pytest.raises(ValueError, match="missing steps"):
        forecaster.update(y[62:])
    assert forecaster.cutoff.equals(cutoff)
    assert_series_equal(forecaster.predict(), known)


def test_f065_updates_learn_only_when_asked(y):
    forecaster = make().fit(y[:60], fh=AHEAD)

    def weights():
        module = forecaster.model_.nets[0].module_
        return torch.cat([p.detach().flatten() for p in module.parameters()]).clone()

    before = weights()
    forecaster.update(y[60:70], update_params=False)
    assert torch.equal(weights(), before)
    forecaster.update(y[70:])
    assert not torch.equal(weights(), before)
    assert forecaster.cutoff[0] == DAYS[79]


def test_f065_series_of_a_panel_end_at_different_times(panel):
    forecaster = make().fit(panel.groupby(level="id").head(50), fh=AHEAD)
    before = forecaster.predict()
    forecaster.update(panel.loc[["s1"]], update_params=False)
    after = forecaster.predict()
    assert after.index.get_level_values(1).unique().equals(DAYS[60:63])
    # The others go on from where they end.
    ahead = make().fit(panel.groupby(level="id").head(50), fh=AHEAD).predict(fh=[11, 12, 13])
    assert_frame_equal(after.drop("s1", level=0), ahead.drop("s1", level=0))
    assert before.index.get_level_values(1).unique().equals(DAYS[50:53])


@pytest.mark.parametrize("update_params", [False, True])
@pytest.mark.parametrize("wrong", [-1.0, 0.5])
def test_f065_updates_of_counts_are_counts(rng, update_params, wrong):
    y = pd.Series(rng.poisson(4, 80).astype(float), DAYS[:80])
    forecaster = make(loss="negative_binomial").fit(y[:60], fh=AHEAD)
    known = forecaster.predict()
    newer = y[60:].copy()
    newer.iloc[-1] = wrong
    with pytest.raises(ValueError, match=rf"needs counts 0, 1, 2, \.\.\., got {wrong}"):
        forecaster.update(newer, update_params=update_params)
    assert_series_equal(forecaster.predict(), known)
