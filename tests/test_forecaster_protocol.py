"""Copies, seeds and the data of the caller; and whether covariates are of any use."""

import copy
import pickle
import random

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal, assert_series_equal
from sklearn.base import clone

from skrnn import RNNForecaster

AHEAD = [1, 2, 3]
TINY = {"hidden_size": 4, "max_epochs": 2, "batches_per_epoch": 4, "random_state": 0}
LONGER = {**TINY, "max_epochs": 15, "batches_per_epoch": 15, "lr": 0.02, "guard": "off"}


def make(**params) -> RNNForecaster:
    return RNNForecaster(**{**TINY, **params})


@pytest.fixture
def covered(rng) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a panel of three series, and covariates of every kind for ten steps more."""
    index = pd.date_range("2024-01-01", periods=60, freq="D", name="day")
    parts, more = {}, {}
    for key in "abc":
        more[key] = pd.DataFrame(
            {
                "known": rng.normal(size=60),
                "past": rng.normal(size=60),
                "static": float(ord(key)),
                "shop": {"a": "corner", "b": "mall", "c": "mall"}[key],
                "kind": rng.choice(["plain", "promo"], 60),
            },
            index,
        )
        parts[key] = pd.DataFrame({"v": rng.normal(size=50).cumsum()}, index[:50])
    return pd.concat(parts, names=["id"]), pd.concat(more, names=["id"])


ROLES = {"past_covariates": ["past"], "static_covariates": ["static", "shop"]}


def until(frame, n_steps):
    return frame.groupby(level="id").head(n_steps)


# -- seeds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("params", [{}, {"n_estimators": 2}, {"dropout": 0.3, "cell": "gru"}])
def test_one_seed_gives_one_forecast(airline, params):
    forecasts = [make(**params).fit(airline, fh=AHEAD).predict_interval() for _ in range(2)]
    assert_frame_equal(*forecasts)
    other = make(**{**params, "random_state": 1}).fit(airline, fh=AHEAD).predict_interval()
    assert not np.allclose(other, forecasts[0], rtol=1e-6)


def test_fitting_again_gives_the_same(airline):
    forecaster = make()
    first = forecaster.fit(airline, fh=AHEAD).predict()
    forecaster.update(airline[-5:] + 1)
    assert_series_equal(forecaster.fit(airline, fh=AHEAD).predict(), first)


def test_no_seed_follows_numpys(airline):
    def forecast(seed):
        np.random.seed(seed)  # noqa: NPY002 - what scikit-learn does without a seed
        return make(random_state=None).fit(airline, fh=AHEAD).predict()

    assert_series_equal(forecast(3), forecast(3))
    assert not np.allclose(forecast(3), forecast(4), rtol=1e-6)


def test_members_of_an_ensemble_differ_and_are_averaged(airline):
    params = {"guard": "off", "calibrate": False, "log": False, "refit": False}
    both = make(n_estimators=2, **params).fit(airline, fh=AHEAD)
    one = make(**params).fit(airline, fh=AHEAD).predict()
    assert len(both.model_.nets) == 2
    assert not np.allclose(both.predict(), one, rtol=1e-6)


def test_global_random_states_are_not_touched(airline):
    def states():
        legacy = np.random.get_state()  # noqa: NPY002 - the state that must not change
        return pickle.dumps((legacy, random.getstate(), torch.get_rng_state().numpy()))

    before = states()
    forecaster = make(dropout=0.2).fit(airline, fh=AHEAD)
    forecaster.predict_interval()
    forecaster.update(airline[-5:])
    forecaster.predict_var()
    copy.deepcopy(pickle.loads(pickle.dumps(forecaster))).predict()
    assert states() == before


# -- copies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", [lambda f: pickle.loads(pickle.dumps(f)), copy.deepcopy])
@pytest.mark.parametrize("params", [{}, {"loss": "student_t", "n_estimators": 2}])
def test_copies_of_a_fitted_forecaster(covered, tool, params):
    y, X = covered
    forecaster = make(**ROLES, **params).fit(y, X=until(X, 50), fh=AHEAD)
    twin = tool(forecaster)
    assert twin.get_params() == forecaster.get_params()
    assert_frame_equal(twin.predict(X=X), forecaster.predict(X=X))
    assert_frame_equal(twin.predict_interval(X=X), forecaster.predict_interval(X=X))
    # The copy goes its own way, and the original does not notice.
    known = forecaster.predict(X=X)
    newer = y.groupby(level="id").tail(3) + 10
    twin.update(newer, X=X.loc[newer.index])
    assert_frame_equal(forecaster.predict(X=X), known)
    assert not np.allclose(twin.predict(X=X), known)


def test_a_copy_is_updated_like_the_original(airline):
    forecaster = make(sp=12).fit(airline[:120], fh=AHEAD)
    twin = pickle.loads(pickle.dumps(forecaster))
    forecasts = [f.update(airline[120:]).predict() for f in (forecaster, twin)]
    assert_series_equal(*forecasts)


@pytest.mark.parametrize("tool", [clone, lambda f: f.clone()])
def test_clones_have_the_parameters_and_nothing_else(airline, tool):
    forecaster = make(cell="gru", quantiles=(0.1, 0.5, 0.9), net_params={"optimizer__eps": 1e-7})
    forecaster.fit(airline, fh=AHEAD)
    twin = tool(forecaster)
    assert twin.get_params() == forecaster.get_params()
    assert not twin.is_fitted
    assert not hasattr(twin, "model_")
    assert_series_equal(twin.fit(airline, fh=AHEAD).predict(), forecaster.predict())


def test_a_clone_keeps_what_was_pretrained(covered, airline):
    y, _ = covered
    forecaster = make(sp=12, guard="off", calibrate=False).pretrain(y, fh=AHEAD)
    expected = copy.deepcopy(forecaster).fit(airline).predict(fh=AHEAD)
    assert_series_equal(clone(forecaster).fit(airline).predict(fh=AHEAD), expected)


def test_pretrained_weights_are_used_and_left_alone(covered, airline):
    y, _ = covered
    forecaster = make(sp=12).pretrain(y, fh=AHEAD)

    def weights(model):
        return torch.cat([p.flatten() for p in model.nets[0].module_.parameters()])

    before = weights(forecaster.pretrained_model_).clone()
    forecaster.fit(airline)
    assert torch.equal(weights(forecaster.model_), before)
    forecaster.update(airline[-20:])
    assert not torch.equal(weights(forecaster.model_), before)
    assert torch.equal(weights(forecaster.pretrained_model_), before)


def test_pretraining_goes_on(covered, airline):
    y, _ = covered
    forecaster = make(sp=12, guard="off").pretrain(y, fh=AHEAD)
    first = copy.deepcopy(forecaster).fit(airline).predict(fh=AHEAD)
    forecaster.pretrain(y, fh=AHEAD)
    assert not np.allclose(forecaster.fit(airline).predict(fh=AHEAD), first, rtol=1e-6)


def test_pretraining_begins_after_a_fit(covered, airline):
    y, _ = covered
    expected = make(sp=12).pretrain(y, fh=AHEAD).fit(airline).predict(fh=AHEAD)
    forecaster = make(sp=12).fit(airline[-50:], fh=AHEAD).pretrain(y, fh=AHEAD)
    assert_series_equal(forecaster.fit(airline).predict(fh=AHEAD), expected)


def test_pretraining_on_another_season_is_told(covered, airline):
    y, _ = covered
    forecaster = make(guard="off").pretrain(y, fh=AHEAD)
    with pytest.warns(UserWarning, match="seasons of 7 steps, but these series have 12") as caught:
        forecaster.fit(airline)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    # The same season, or one that was asked for, is no surprise.
    forecaster.fit(y.loc["a"])
    make(sp=12, guard="off").pretrain(y, fh=AHEAD).fit(airline)


def test_pretrained_on_counts_is_for_counts(rng, airline):
    index = pd.date_range("2024-01-01", periods=60, freq="D", name="day")
    parts = {key: pd.DataFrame({"v": rng.poisson(4, 60)}, index) for key in "abc"}
    y = pd.concat(parts, names=["id"])
    forecaster = make(loss="negative_binomial").pretrain(y, fh=AHEAD)
    for wrong in (-1.0, 0.5):
        with pytest.raises(ValueError, match=rf"needs counts 0, 1, 2, \.\.\., got {wrong}"):
            copy.deepcopy(forecaster).fit(y.loc["a"].replace(4, wrong))
        with pytest.raises(ValueError, match=rf"got {wrong}"):
            copy.deepcopy(forecaster).pretrain(y.replace(4, wrong))
    assert (forecaster.fit(y.loc["a"]).predict(fh=AHEAD) >= 0).all(axis=None)


# -- the data of the caller -----------------------------------------------------------------------


def test_the_data_of_the_caller_are_not_touched(covered):
    y, X = covered
    originals = y.copy(deep=True), X.copy(deep=True)
    forecaster = make(**ROLES).fit(until(y, 45), X=until(X, 45), fh=AHEAD)
    forecaster.predict_interval(X=X)
    forecaster.update(y, X=X).predict(X=X)
    make(**ROLES).pretrain(y, X=X)
    assert_frame_equal(y, originals[0])
    assert_frame_equal(X, originals[1])
    assert y.index.identical(originals[0].index)


def test_data_may_be_read_only(airline):
    values = airline.to_numpy(copy=True)
    values.flags.writeable = False
    y = pd.Series(values, airline.index, copy=False)
    assert_allclose(make().fit(y, fh=AHEAD).predict(), make().fit(airline, fh=AHEAD).predict())


def test_later_changes_of_the_data_are_not_noticed(covered):
    y, X = (frame.copy(deep=True) for frame in covered)
    forecaster = make(**ROLES).fit(y, X=until(X, 50), fh=AHEAD)
    future = X.groupby(level="id").tail(10).copy(deep=True)
    known = forecaster.predict(X=future)
    y.iloc[:] = 1e6
    X.loc[:, ["known", "past"]] = 1e6
    assert_frame_equal(forecaster.predict(X=future), known)


# -- covariates -----------------------------------------------------------------------------------


@pytest.fixture(params=["dense", "recurrent"])
def decoder(request) -> str:
    return request.param


def test_the_known_future_is_followed(rng, decoder):
    index = pd.date_range("2024-01-01", periods=160, freq="D")
    X = pd.DataFrame({"x": rng.normal(size=160)}, index)
    y = pd.Series(10 * X["x"].to_numpy() + rng.normal(size=160), index)
    forecaster = make(decoder=decoder, **LONGER).fit(y[:150], X=X[:150], fh=range(1, 11))
    forecast = forecaster.predict(X=X[150:])
    assert np.corrcoef(forecast, y[150:])[0, 1] > 0.9
    assert (forecast - y[150:]).abs().mean() < 0.5 * y[150:].abs().mean()


def test_the_past_of_a_covariate_is_read(rng, decoder):
    index = pd.date_range("2024-01-01", periods=200, freq="D")
    X = pd.DataFrame({"x": rng.normal(size=200)}, index)
    y = pd.Series(10 * X["x"].shift(1, fill_value=0).to_numpy(), index)
    params = {"past_covariates": ["x"], "calendar": False, **LONGER, "hidden_size": 16}
    forecaster = make(decoder=decoder, **params).fit(y[:150], X=X[:150], fh=[1])
    ahead = []
    for i in range(150, 180):
        ahead.append(float(forecaster.predict().iloc[0]))
        forecaster.update(y[i : i + 1], X=X[i : i + 1], update_params=False)
    assert np.corrcoef(ahead, y[150:180])[0, 1] > 0.6


@pytest.mark.parametrize("kind", ["number", "category"])
def test_statics_tell_series_apart(rng, kind, decoder):
    """Series climb or fall by stairs, as their covariate says; a flat one could do either."""
    index = pd.date_range("2024-01-01", periods=40, freq="D")
    names = {"number": (0.0, 1.0), "category": ("down", "up")}[kind]
    y, X = {}, {}
    for i in range(10):
        steps = np.arange(40) // 5 * (1 if i % 2 else -1)
        y[i] = pd.DataFrame({"v": steps + 0.01 * rng.normal(size=40)}, index)
        X[i] = pd.DataFrame({"group": [names[i % 2]] * 40}, index)
    y, X = pd.concat(y, names=["id", "t"]), pd.concat(X, names=["id", "t"])
    trained = make(
        decoder=decoder, static_covariates=["group"], window_length=4, calibrate=False, **LONGER
    ).pretrain(y, X=X, fh=range(1, 6))
    flat = pd.Series(rng.normal(size=40), index)

    ends = {
        name: copy.deepcopy(trained).fit(flat, X=pd.DataFrame({"group": [name] * 40}, index))
        for name in names
    }
    down, up = (ends[name].predict(fh=[5]).iloc[0] for name in names)
    assert up > down + 0.1


def test_categories_are_followed(rng, decoder):
    index = pd.date_range("2024-01-01", periods=160, freq="D")
    X = pd.DataFrame({"kind": rng.choice(["plain", "promo"], 160)}, index)
    y = pd.Series(10.0 * (X["kind"] == "promo").to_numpy() + rng.normal(size=160), index)
    forecaster = make(decoder=decoder, **LONGER).fit(y[:150], X=X[:150], fh=range(1, 11))
    forecast, promo = forecaster.predict(X=X[150:]), (X["kind"][150:] == "promo").to_numpy()
    assert forecast[promo].min() > forecast[~promo].max() + 3


def test_unknown_categories_are_one_and_the_same(covered):
    y, X = covered
    forecaster = make(**ROLES).fit(y, X=until(X, 50), fh=AHEAD)
    with pytest.warns(UserWarning, match="X column 'kind' holds only categories"):
        new, newer = (forecaster.predict(X=X.assign(kind=name)) for name in ("sale", "fair"))
    missing = forecaster.predict(X=X.assign(kind=None))
    assert np.isfinite(new.to_numpy()).all()
    assert_array_equal(new, newer)
    assert_array_equal(new, missing)


def test_ways_to_write_a_category_are_equal(covered):
    y, X = covered
    expected = make(**ROLES).fit(y, X=until(X, 50), fh=AHEAD).predict(X=X)
    for dtype in (object, "category", "str"):
        other = X.assign(kind=X["kind"].astype(dtype), shop=X["shop"].astype(dtype))
        forecast = make(**ROLES).fit(y, X=until(other, 50), fh=AHEAD).predict(X=other)
        assert_frame_equal(forecast, expected)
