"""What holds for every forecaster, whatever it was fitted on."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from pandas.testing import assert_frame_equal, assert_series_equal
from skorch.callbacks import Callback
from sktime.utils._testing.hierarchical import _make_hierarchical

from skrnn import RNNForecaster

AHEAD = [1, 2, 3, 4, 5]
# Without a guard, which would put the seasonal naive forecast in the place of a poor network.
TINY = {
    "hidden_size": 4,
    "max_epochs": 2,
    "batches_per_epoch": 4,
    "guard": "off",
    "random_state": 0,
}
# The network alone, in double precision: nothing hides what it reads.
BARE = {"calibrate": False, "dtype": "float64"}
PLAIN = {"log": False, "deseasonalize": False, "calendar": False}
LOSSES = ["quantile", "normal", "student_t", "negative_binomial"]
COVERAGES = [0.2, 0.5, 0.8, 0.9, 0.95, 0.99]
ALPHA = [0.001, 0.05, 0.2, 0.5, 0.51, 0.9, 0.999]


def make(**params) -> RNNForecaster:
    return RNNForecaster(**{**TINY, **params})


@pytest.fixture
def walk(rng) -> pd.Series:
    """Return a random walk around 0 with a weekly season."""
    index = pd.date_range("2024-01-01", periods=120, freq="D", name="day")
    season = 3 * np.sin(2 * np.pi * np.arange(120) / 7)
    return pd.Series(rng.normal(size=120).cumsum() + season, index, name="walk")


@pytest.fixture
def panel(rng) -> pd.DataFrame:
    """Return five series of unequal starts and levels."""
    index = pd.date_range("2024-01-01", periods=60, freq="D", name="day")
    parts = {
        f"s{i}": pd.DataFrame({"v": 10.0**i + rng.normal(size=60 - 3 * i).cumsum()}, index[3 * i :])
        for i in range(5)
    }
    return pd.concat(parts, names=["id"])


def moved(y, position, amount=1.0):
    y = y.copy()
    y.iloc[position] += amount
    return y


def after(forecaster, newer):
    """Forecast of a copy that has seen newer data and learned nothing from them."""
    return copy.deepcopy(forecaster).update(newer, update_params=False).predict()


# -- what a forecast depends on -------------------------------------------------------------------


@pytest.mark.parametrize("decoder", ["dense", "recurrent"])
@pytest.mark.parametrize("scaling", ["last", "mean", "instance", "none"])
@pytest.mark.parametrize("shortcut", [True, False])
def test_every_step_depends_on_the_last_observation(walk, decoder, scaling, shortcut):
    forecaster = make(decoder=decoder, scaling=scaling, shortcut=shortcut, **BARE, **PLAIN)
    forecaster.fit(walk, fh=AHEAD)
    change = after(forecaster, moved(walk, -1)[-1:]) - forecaster.predict()
    assert (change.abs() > 1e-9).all()


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_steps_depend_on_the_whole_window_and_on_nothing_before(walk, cell):
    forecaster = make(cell=cell, window_length=12, patch_length=4, scaling="none", **BARE, **PLAIN)
    known = forecaster.fit(walk, fh=AHEAD).predict()
    for position in range(1, 13):
        change = after(forecaster, moved(walk, -position)) - known
        assert (change.abs() > 1e-12).all(), position
    assert_series_equal(after(forecaster, moved(walk, -13, 100.0)), known)


@pytest.mark.parametrize("fh", [[2], [1, 4], [3, 5], [2, 30], [-2, 0, 5], [-50, 1]])
def test_a_gapped_horizon_gives_the_values_of_the_full_one(airline, fh):
    forecaster = make().fit(airline, fh=AHEAD)
    full = np.arange(-60, 31)
    for method in ("predict", "predict_interval", "predict_var"):
        every = getattr(forecaster, method)(fh=full)
        assert_array_equal(getattr(forecaster, method)(fh=fh), every.iloc[np.add(fh, 60)])


def test_a_gapped_horizon_is_trained_like_the_full_one(airline):
    full = make().fit(airline, fh=AHEAD).predict()
    assert_array_equal(make().fit(airline, fh=[1, 5]).predict(), full.iloc[[0, 4]])


@pytest.mark.parametrize("decoder", ["dense", "recurrent"])
def test_a_step_reads_covariates_of_no_other_step(walk, rng, decoder):
    X = pd.DataFrame({"x": rng.normal(size=120)}, walk.index)
    forecaster = make(decoder=decoder, **BARE).fit(walk[:100], X=X[:100], fh=AHEAD)
    full = forecaster.predict(X=X[100:105])
    assert_array_equal(forecaster.predict(fh=[2, 4], X=X.iloc[[101, 103]]), full.iloc[[1, 3]])
    changed = X[100:105].copy()
    changed.iloc[3] += 5
    changes = forecaster.predict(fh=AHEAD, X=changed) != full
    assert_array_equal(changes, [False, False, False, True, False])


def test_covariates_beyond_the_horizon_are_not_read(walk, rng):
    X = pd.DataFrame({"x": rng.normal(size=120)}, walk.index)
    forecaster = make().fit(walk[:100], X=X[:100], fh=AHEAD)
    needed = forecaster.predict(X=X[100:105])
    poisoned = X.copy()
    poisoned.iloc[105:] = 1e6
    assert_series_equal(forecaster.predict(X=poisoned), needed)
    # Nor is the future that happens to be at hand in training.
    again = make().fit(walk[:100], X=poisoned, fh=AHEAD)
    assert_series_equal(again.predict(X=X[100:105]), needed)


def test_past_covariates_are_not_read_beyond_the_end(walk, rng):
    X = pd.DataFrame({"x": rng.normal(size=120)}, walk.index)
    forecaster = make(past_covariates=["x"]).fit(walk[:100], X=X[:100], fh=AHEAD)
    for fh in (AHEAD, [30]):
        needed = forecaster.predict(fh=fh)
        assert_series_equal(forecaster.predict(fh=fh, X=X[100:]), needed)
        again = make(past_covariates=["x"]).fit(walk[:100], X=X, fh=AHEAD)
        assert_series_equal(again.predict(fh=fh), needed)


@pytest.mark.parametrize("update_params", [True, False])
@pytest.mark.parametrize("gaps", ["error", "mask"])
def test_past_covariates_of_an_update_are_not_read_beyond_its_end(walk, rng, gaps, update_params):
    X = pd.DataFrame({"x": rng.normal(size=120), "known": rng.normal(size=120)}, walk.index)

    def forecast(given):
        forecaster = make(past_covariates=["x"], horizon=2, gaps=gaps)
        forecaster.fit(walk[:90], X=X[:90], fh=AHEAD)
        forecaster.update(walk[90:93], X=given, update_params=update_params)
        return forecaster.predict(X=X[93:98])

    assert_series_equal(forecast(X[90:]), forecast(X[90:93]))


def test_past_covariates_are_not_read_beyond_the_end_of_each_series(panel, rng):
    """Some series end before the others, and may have gaps or not."""
    X = pd.DataFrame({"x": rng.normal(size=len(panel))}, panel.index)
    y = panel.drop(index=[("s2", day) for day in panel.loc["s2"].index[-6:]])
    found = [
        make(past_covariates=["x"], horizon=2, gaps=gaps).fit(y, X=given, fh=[1]).predict()
        for gaps, given in (("error", X.loc[y.index]), ("error", X), ("mask", X))
    ]
    assert_frame_equal(found[0], found[1])
    assert_frame_equal(found[0], found[2])


# -- units ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("a", "b"), [(1e-3, 0.0), (5.0, -20.0), (1e6, 1e3), (1.0, 1e6)])
@pytest.mark.parametrize(
    "params", [{}, {"guard": "blend"}, {"log": False, "scaling": "instance", "loss": "normal"}]
)
def test_forecasts_follow_the_units(walk, a, b, params):
    scaled = a * walk + b
    one = make(dtype="float64", **params).fit(walk, fh=AHEAD)
    other = make(dtype="float64", **params).fit(scaled, fh=AHEAD)
    spread = a * walk.std()
    assert_allclose(other.predict(), a * one.predict() + b, atol=1e-3 * spread)
    assert_allclose(
        other.predict_quantiles(alpha=ALPHA), a * one.predict_quantiles(alpha=ALPHA) + b,
        atol=1e-3 * spread,
    )  # fmt: skip


def test_a_logarithm_follows_factors(airline):
    one = make(dtype="float64", log=True).fit(airline, fh=AHEAD).predict()
    other = make(dtype="float64", log=True).fit(1000 * airline, fh=AHEAD).predict()
    assert_allclose(other, 1000 * one, rtol=1e-6)


def test_whole_numbers_are_numbers(airline):
    from_floats = make().fit(airline, fh=AHEAD).predict()
    from_integers = make().fit(airline.astype("int32"), fh=AHEAD).predict()
    assert_series_equal(from_integers, from_floats)


# -- panels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [["s3", "s0", "s4", "s1", "s2"], None])
def test_the_order_of_series_does_not_matter(panel, order):
    forecast = make().fit(panel, fh=AHEAD).predict()
    mixed = panel.sort_index(level=["day", "id"]) if order is None else panel.loc[order]
    other = make().fit(mixed, fh=AHEAD).predict()
    assert_frame_equal(other.sort_index(), forecast)


def test_the_order_of_series_does_not_matter_to_hierarchies():
    y = _make_hierarchical(hierarchy_levels=(2, 3), min_timepoints=30, max_timepoints=30)
    forecast = make().fit(y, fh=AHEAD).predict()
    other = make().fit(y.loc[["h0_1", "h0_0"]], fh=AHEAD).predict()
    assert_frame_equal(other.sort_index(), forecast.sort_index())


@pytest.mark.parametrize("n_mates", [0, 3, 300])
def test_batch_mates_do_not_matter(panel, rng, n_mates):
    """The same network gives a series the same forecast, alone and among many."""
    trained = make(calibrate=False).pretrain(panel, fh=AHEAD)
    index = pd.date_range("2024-03-01", periods=40, freq="D", name="day")
    table = rng.normal(size=(n_mates + 1, 40)).cumsum(axis=1)
    many = pd.concat(
        {i: pd.DataFrame({"v": row}, index) for i, row in enumerate(table)}, names=["id"]
    )
    last = many.loc[[n_mates]]
    among = copy.deepcopy(trained).fit(many, fh=AHEAD)
    alone = copy.deepcopy(trained).fit(last, fh=AHEAD)
    assert_allclose(among.predict().loc[[n_mates]], alone.predict(), rtol=1e-6)
    quantiles = alone.predict_quantiles(alpha=ALPHA)
    assert_allclose(among.predict_quantiles(alpha=ALPHA).loc[[n_mates]], quantiles, rtol=1e-6)


def test_columns_have_forecasts_of_their_own(walk, airline):
    y = pd.DataFrame({"one": walk, "two": 1000 + 5 * walk.to_numpy()[::-1]})
    forecast = make().fit(y, fh=AHEAD).predict()
    assert list(forecast.columns) == ["one", "two"]
    assert forecast["one"].abs().max() < 100 < forecast["two"].min()


# -- distributions --------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("params", [{}, {"calibrate": False}, {"guard": "blend"}])
def test_quantiles_never_cross_and_coverages_are_nested(airline, loss, params):
    forecaster = make(loss=loss, **params).fit(airline, fh=AHEAD)
    fh = [-100, -1, 0, 1, 5, 40]
    quantiles = forecaster.predict_quantiles(fh=fh, alpha=ALPHA)
    assert (np.diff(quantiles) >= 0).all()
    intervals = forecaster.predict_interval(fh=fh, coverage=COVERAGES).to_numpy()
    lower, upper = intervals[:, ::2], intervals[:, 1::2]
    assert (np.diff(lower) <= 0).all()
    assert (np.diff(upper) >= 0).all()
    assert (lower <= upper).all()
    assert np.isfinite(intervals).all()
    assert (forecaster.predict_var(fh=fh) >= 0).to_numpy().all()


def test_the_order_of_levels_does_not_matter(airline):
    forecaster = make().fit(airline, fh=AHEAD)
    one = forecaster.predict_quantiles(alpha=[0.9, 0.1, 0.5])
    other = forecaster.predict_quantiles(alpha=[0.1, 0.5, 0.9])
    assert_frame_equal(one[other.columns], other)


def test_the_median_is_the_forecast(airline):
    forecaster = make().fit(airline, fh=AHEAD)
    assert_allclose(forecaster.predict_quantiles(alpha=[0.5]).squeeze(), forecaster.predict())


@pytest.mark.parametrize("loss", ["absolute_error", "squared_error", "huber"])
@pytest.mark.parametrize("guard", ["off", "blend"])
def test_intervals_of_point_losses_cover_what_comes(loss, guard):
    """The network knows of no spread: calibration alone makes the intervals."""
    index = pd.date_range("2024-01-01", periods=300, freq="D")
    shares: dict[str, list] = {"one step": [], "many steps": []}
    for seed in range(4):
        noise = pd.Series(np.random.default_rng(seed).normal(size=300), index)
        known, truth = noise[:240], noise[240:].to_numpy()[:, None]
        forecaster = make(loss=loss, guard=guard, refit=False).fit(known, fh=range(1, 25))
        ahead = forecaster.predict_interval(fh=range(1, 61), coverage=[0.8]).to_numpy()
        forecaster.update(noise[240:], update_params=False)
        within = forecaster.predict_interval(fh=range(-59, 1), coverage=[0.8]).to_numpy()
        for name, interval in {"one step": within, "many steps": ahead}.items():
            lower, upper = interval[:, :1], interval[:, 1:]
            shares[name].append(np.mean((lower <= truth) & (truth <= upper)))
    assert min(shares["one step"]) >= 0.6
    # A level that is off is off for all steps.
    assert min(shares["many steps"]) >= 0.5
    assert all(0.7 <= np.mean(share) <= 0.95 for share in shares.values())


@pytest.mark.parametrize("guard", ["blend", "fallback", "off"])
@pytest.mark.parametrize("kind", ["steady", "sparse", "falling"])
def test_counts_stay_counts_beyond_the_horizon(rng, kind, guard):
    mean = {"steady": 4.0, "sparse": 0.3, "falling": np.maximum(60 - 0.55 * np.arange(120), 0.01)}
    index = pd.date_range("2024-01-01", periods=120, freq="D")
    y = pd.Series(rng.poisson(mean[kind], 120), index)
    forecaster = make(loss="negative_binomial", guard=guard).fit(y, fh=AHEAD)
    fh = [*range(-119, 31)]
    levels = [0.001, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999]
    quantiles = forecaster.predict_quantiles(fh=fh, alpha=levels).to_numpy()
    # The first step of all has no past; it gets the quantiles of the series.
    assert_array_equal(quantiles[1:], np.rint(quantiles[1:]))
    assert quantiles.min() >= 0
    assert (np.diff(quantiles, axis=1) >= 0).all()
    alone = forecaster.predict_quantiles(fh=fh, alpha=[0.9, 0.5, 0.1]).to_numpy()
    assert (alone[:, 2] <= alone[:, 1]).all()
    assert (alone[:, 1] <= alone[:, 0]).all()
    assert forecaster.predict(fh=fh).min() >= 0


def test_a_trend_of_counts_ends_at_zero():
    index = pd.date_range("2024-01-01", periods=120, freq="D")
    y = pd.Series(np.maximum(0, np.rint(60 - 0.5 * np.arange(120))), index)
    forecaster = make(loss="negative_binomial", guard="blend").fit(y, fh=AHEAD)
    assert forecaster.guard_.weights["theta"] > 0.5
    forecast = forecaster.predict(fh=range(1, 41))
    assert forecast.iloc[0] < 5
    assert forecast.min() == 0


# -- time -----------------------------------------------------------------------------------------


class Seen(Callback):
    """What targets training and validation saw, in batches of this process."""

    training: list = []
    validation: list = []
    past: list = []

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        inputs, target = batch
        (Seen.training if training else Seen.validation).append(target.flatten())
        if training:
            Seen.past.append(inputs["past"].flatten())


@pytest.mark.parametrize("n_series", [1, 4])
@pytest.mark.parametrize("short", ["error", "pad"])
def test_validation_never_sees_training_stamps(n_series, short):
    Seen.training, Seen.validation, Seen.past = [], [], []
    index = pd.date_range("2024-01-01", periods=60, freq="D", name="day")
    # Every value tells its time.
    y = pd.concat(
        {i: pd.DataFrame({"v": np.arange(60.0)}, index) for i in range(n_series)}, names=["id"]
    )
    make(callbacks=[Seen()], refit=False, short=short, **PLAIN).fit(y, fh=AHEAD)
    trained = torch.cat(Seen.training + Seen.past)
    validated = torch.cat(Seen.validation)
    assert trained.nan_to_num(-1).max() < validated.nan_to_num(1e9).min()
    assert validated.nan_to_num(-1).max() == 59


def test_the_tail_does_not_change_the_weights(walk):
    """What judges a network has no part in it, unless it is trained again with all data."""
    params = {"early_stopping": False, **PLAIN}
    changed = moved(walk, slice(-20, None), 50.0)

    def weights(y, refit):
        model = make(refit=refit, **params).fit(y, fh=AHEAD).model_
        return torch.cat([p.flatten() for p in model.nets[0].module_.parameters()])

    assert torch.equal(weights(walk, False), weights(changed, False))
    assert not torch.equal(weights(walk, True), weights(changed, True))


def test_a_season_of_five_minutes_is_a_day(rng):
    index = pd.date_range("2024-01-01", periods=400, freq="5min")
    model = make().fit(pd.Series(rng.normal(size=400), index), fh=[1]).model_
    assert model.period == 288
    assert model.options.spec["patch_length"] == 24


@pytest.mark.parametrize("pieces", [[20], [1, 19], [7, 7, 6]])
def test_updates_forecast_from_the_longer_history(airline, pieces):
    forecaster = make().fit(airline[:100], fh=[1])
    whole = copy.deepcopy(forecaster).update(airline[100:], update_params=False)
    end = 100
    for size in pieces:
        forecaster.update(airline[end : end + size], update_params=False)
        end += size
    assert forecaster.cutoff[0] == airline.index[119]
    # A forecaster that knows more forecasts a step of its past from all that came before it.
    assert_allclose(forecaster.predict(), whole.predict(fh=airline.index[[120]]), rtol=1e-6)
    assert_allclose(
        forecaster.predict_interval(), whole.predict_interval(fh=airline.index[[120]]), rtol=1e-6
    )


def test_updates_with_covariates_forecast_from_the_longer_history(walk, rng):
    X = pd.DataFrame(rng.normal(size=(120, 2)), walk.index, columns=["known", "past"])
    params = {"past_covariates": ["past"], **BARE}
    forecaster = make(**params).fit(walk[:80], X=X[:80], fh=[1])
    whole = copy.deepcopy(forecaster).update(walk[80:], X=X[80:], update_params=False)
    for i in range(80, 100):
        forecaster.update(walk[i : i + 1], X=X[i : i + 1], update_params=False)
    expected = whole.predict(fh=walk.index[[100]])
    assert_allclose(forecaster.predict(X=X[100:101]), expected, rtol=1e-9)
