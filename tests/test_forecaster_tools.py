"""The forecaster in the tools of scikit-learn and sktime."""

import copy

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RandomizedSearchCV,
    TimeSeriesSplit,
    cross_val_score,
)
from sktime.benchmarking.forecasting import ForecastingBenchmark
from sktime.datasets import load_airline, load_longley
from sktime.forecasting.compose import (
    EnsembleForecaster,
    ForecastingPipeline,
    TransformedTargetForecaster,
    make_reduction,
)
from sktime.forecasting.model_evaluation import evaluate
from sktime.forecasting.model_selection import ForecastingGridSearchCV
from sktime.forecasting.naive import NaiveForecaster
from sktime.performance_metrics.forecasting import MeanAbsoluteError
from sktime.performance_metrics.forecasting.probabilistic import CRPS, PinballLoss
from sktime.split import CutoffSplitter, ExpandingWindowSplitter
from sktime.transformations.detrend import Detrender
from sktime.transformations.exponent import ExponentTransformer
from sktime.utils._testing.hierarchical import _make_hierarchical

from skrnn import RNNForecaster, RNNRegressor

AHEAD = [1, 2, 3]
TINY = {"hidden_size": 4, "max_epochs": 2, "batches_per_epoch": 4, "random_state": 0}
FOLDS = TimeSeriesSplit(3)

# Forecasters of sktime 1.2 warn when constructed that a default changes in 1.3.
pytestmark = pytest.mark.filterwarnings("ignore:.*remember_data:FutureWarning")


def make(**params) -> RNNForecaster:
    return RNNForecaster(**{**TINY, **params})


@pytest.fixture(scope="module")
def covered() -> tuple[pd.Series, pd.DataFrame]:
    """Return a series that follows its covariate, and the covariate."""
    rng = np.random.default_rng(0)
    index = pd.date_range("2024-01-01", periods=120, freq="D")
    X = pd.DataFrame({"x": rng.normal(size=120)}, index)
    return pd.Series(10 * X["x"].to_numpy() + rng.normal(size=120), index, name="y"), X


def errors_of_sktime(forecaster, folds, y, X=None):
    """Mean absolute errors of sktime on the folds of a splitter of scikit-learn."""
    found = []
    for train, test in folds.split(y):
        cv = CutoffSplitter(cutoffs=train[-1:], fh=test - train[-1], window_length=len(train))
        table = evaluate(forecaster, cv, y, X=X, scoring=MeanAbsoluteError(), error_score="raise")
        found.append(table["test_MeanAbsoluteError"].iloc[0])
    return np.array(found)


# -- scikit-learn ---------------------------------------------------------------------------------


@pytest.mark.parametrize("index", ["period", "date", "date without freq", "range"])
def test_a_grid_search_scores_as_sktime_does(airline, index):
    y = airline.copy()
    if index.startswith("date"):
        y.index = y.index.to_timestamp()
    if index == "date without freq":
        y.index.freq = None
    if index == "range":
        y = y.reset_index(drop=True)
    forecaster = make(sp=12, horizon=12)
    search = GridSearchCV(forecaster, {"hidden_size": [4]}, cv=FOLDS, error_score="raise")
    search.fit(y)
    scores = [search.cv_results_[f"split{i}_test_score"][0] for i in range(3)]
    cv = ExpandingWindowSplitter(fh=range(1, 37), initial_window=36, step_length=36)
    table = evaluate(forecaster, cv, y, scoring=MeanAbsoluteError(), error_score="raise")
    assert_allclose(scores, -table["test_MeanAbsoluteError"])


def test_a_grid_search_with_covariates_scores_as_sktime_does(covered):
    y, X = covered
    forecaster = make(horizon=10)
    search = GridSearchCV(forecaster, {"hidden_size": [4]}, cv=FOLDS, error_score="raise")
    search.fit(y, X)
    scores = [search.cv_results_[f"split{i}_test_score"][0] for i in range(3)]
    assert_allclose(scores, -errors_of_sktime(forecaster, FOLDS, y, X))
    alone = cross_val_score(forecaster, y, cv=FOLDS, error_score="raise")
    assert not np.allclose(alone, scores)


def test_the_better_parameter_is_chosen(covered):
    y, X = covered
    grid = {"max_epochs": [1, 20], "net_params": [None]}
    better = make(guard="off", horizon=10, lr=0.02, batches_per_epoch=20)
    search = GridSearchCV(better, grid, cv=FOLDS, error_score="raise").fit(y, X)
    assert search.best_params_["max_epochs"] == 20
    assert search.best_score_ == search.cv_results_["mean_test_score"].max()
    assert search.cv_results_["mean_test_score"][0] < search.best_score_ < 0
    forecast = search.best_estimator_.predict(fh=[1, 2], X=X[:2].set_axis(y.index[-2:].shift(2)))
    assert np.isfinite(forecast).all()


@pytest.mark.parametrize("cv", [KFold(3), KFold(3, shuffle=True, random_state=0)])
def test_folds_must_be_ordered_in_time(airline, cv):
    with pytest.raises(ValueError, match=r"TimeSeriesSplit|missing steps? after"):
        cross_val_score(make(), airline, cv=cv, error_score="raise")
    with pytest.raises(ValueError, match="TimeSeriesSplit"):
        cross_val_score(make(gaps="mask"), airline, cv=cv, error_score="raise")


@pytest.mark.parametrize("gaps", ["mask", "interpolate"])
def test_a_fold_from_the_middle_is_not_scored_where_gaps_are_filled(airline, gaps):
    first, middle, last = (airline.iloc[test] for _, test in KFold(3).split(airline))
    forecaster = make(gaps=gaps).fit(pd.concat([first, last]))
    with pytest.raises(ValueError, match="TimeSeriesSplit"):
        forecaster.score(middle)
    # What follows the data is scored.
    assert make(gaps=gaps).fit(airline[:-12]).score(airline[-12:]) < 0


def test_searches_in_processes_and_with_scores_of_the_training(airline):
    grid = {"hidden_size": [3, 4]}
    params = {"cv": FOLDS, "error_score": "raise", "return_train_score": True}
    one = GridSearchCV(make(horizon=12), grid, **params).fit(airline)
    two = GridSearchCV(make(horizon=12), grid, n_jobs=2, **params).fit(airline)
    for name in ("mean_test_score", "mean_train_score"):
        assert_array_equal(one.cv_results_[name], two.cv_results_[name])
        assert (one.cv_results_[name] < 0).all()


def test_a_random_search_over_nested_parameters(airline):
    grid = {"optimizer__weight_decay": [0.0, 0.5], "optimizer__betas": [(0.9, 0.9)]}
    search = RandomizedSearchCV(
        make(horizon=12, guard="off", log=False), grid, n_iter=2, cv=FOLDS, error_score="raise"
    ).fit(airline)
    assert len(set(search.cv_results_["mean_test_score"])) == 2
    assert search.best_estimator_.net_params["optimizer__betas"] == (0.9, 0.9)


def test_gaps_between_folds(airline):
    folds, forecaster = TimeSeriesSplit(3, gap=5), make(horizon=12)
    scores = cross_val_score(forecaster, airline, cv=folds, error_score="raise")
    assert_allclose(scores, -errors_of_sktime(forecaster, folds, airline))


def test_arrays_do_not_tell_where_a_fold_lies(airline):
    """Without stamps nobody could see that the folds of KFold are not ordered in time."""
    with pytest.raises(ValueError, match="index"):
        cross_val_score(make(), airline.to_numpy(), cv=FOLDS, error_score="raise")


def test_a_known_horizon_scores_as_sktime_does(airline):
    forecaster = make().fit(airline[:-3], fh=AHEAD)
    truth, forecast = airline[-3:], forecaster.predict()
    assert forecaster.score(truth) == pytest.approx(((truth - forecast) / truth).abs().mean())
    score = forecaster.score(truth)
    forecaster.predict(fh=[0, 1])
    assert forecaster.score(truth) == score
    unknown = make().fit(airline[:-3])
    assert unknown.score(truth) == pytest.approx(-(truth - unknown.predict(fh=AHEAD)).abs().mean())


def test_missing_truth_is_not_scored(airline):
    forecaster, truth = make().fit(airline[:-6]), airline[-6:].copy()
    truth.iloc[[0, 3]] = np.nan
    errors = (truth - make().fit(airline[:-6]).predict(fh=range(1, 7))).abs()
    assert errors.notna().sum() == 4
    assert forecaster.score(truth) == pytest.approx(-errors.mean())
    assert forecaster.score(truth.to_frame()) == pytest.approx(-errors.mean())


def test_the_order_of_rows_does_not_matter_to_the_score():
    y = _make_hierarchical(hierarchy_levels=(3,), min_timepoints=40, max_timepoints=40)
    forecaster = make().fit(y.groupby(level=0).head(36))
    truth = y.groupby(level=0).tail(4)
    score = forecaster.score(truth)
    by_time = truth.sort_index(level=[1, 0], sort_remaining=False)
    assert forecaster.score(by_time) == pytest.approx(score)
    assert forecaster.score(truth.loc[["h0_2", "h0_0", "h0_1"]]) == pytest.approx(score)


# -- sktime ---------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*predict_proba requires skpro:UserWarning")
@pytest.mark.parametrize("strategy", ["refit", "update", "no-update_params"])
def test_evaluate(airline, strategy):
    cv = ExpandingWindowSplitter(fh=AHEAD, initial_window=120, step_length=10)
    scoring = [MeanAbsoluteError(), PinballLoss(), CRPS()]
    table = evaluate(
        make(), cv, airline, strategy=strategy, scoring=scoring, error_score="raise"
    )  # fmt: skip
    scores = table.filter(like="test_").to_numpy(dtype=float)
    assert scores.shape == (3, 3)
    assert np.isfinite(scores).all()
    assert (scores[:, 0] < 150).all()


def test_evaluate_panels():
    y = _make_hierarchical(hierarchy_levels=(2, 2), min_timepoints=40, max_timepoints=40)
    cv = ExpandingWindowSplitter(fh=AHEAD, initial_window=30, step_length=5)
    table = evaluate(make(), cv, y, scoring=MeanAbsoluteError(), error_score="raise")
    assert np.isfinite(table["test_MeanAbsoluteError"]).all()


def test_forecasting_grid_search(airline):
    cv = ExpandingWindowSplitter(fh=AHEAD, initial_window=120, step_length=10)
    grid = {"hidden_size": [3, 4], "scaling": ["last", "instance"]}
    search = ForecastingGridSearchCV(
        make(), cv, grid, scoring=MeanAbsoluteError(), error_score="raise"
    ).fit(airline, fh=AHEAD)
    expected = make(**search.best_params_).fit(airline, fh=AHEAD).predict()
    assert_array_equal(search.predict(), expected)
    assert len(search.cv_results_) == 4


def test_a_pipeline_of_the_target(airline):
    pipeline = TransformedTargetForecaster([("log", ExponentTransformer(0.5)), ("rnn", make())])
    pipeline.fit(airline, fh=AHEAD)
    roots = make().fit(airline**0.5, fh=AHEAD)
    assert_allclose(pipeline.predict(), roots.predict() ** 2)
    assert_allclose(pipeline.predict_interval(), roots.predict_interval() ** 2)
    detrended = (Detrender() * make()).fit(airline, fh=AHEAD).predict()
    assert ((detrended > 350) & (detrended < 650)).all()


def test_a_pipeline_with_covariates(covered):
    y, X = covered
    pipeline = ForecastingPipeline([("cube", ExponentTransformer(3, offset=0)), ("rnn", make())])
    pipeline.fit(y[:-3], X=X[:-3], fh=AHEAD)
    expected = make().fit(y[:-3], X=X[:-3] ** 3, fh=AHEAD).predict(X=X[-3:] ** 3)
    assert_allclose(pipeline.predict(X=X[-3:]), expected)


def test_an_ensemble(airline):
    parts = [("rnn", make()), ("naive", NaiveForecaster(sp=12))]
    mean = EnsembleForecaster(parts).fit(airline, fh=AHEAD).predict()
    each = [part.clone().fit(airline, fh=AHEAD).predict() for _, part in parts]
    assert_allclose(mean, np.mean(each, axis=0))


def test_a_benchmark():
    benchmark = ForecastingBenchmark()
    benchmark.add_estimator(make(), "rnn")
    benchmark.add_estimator(NaiveForecaster(sp=12), "naive")
    cv = ExpandingWindowSplitter(fh=AHEAD, initial_window=130, step_length=6)
    benchmark.add_task(load_airline, cv, [MeanAbsoluteError()])
    table = benchmark.run()
    assert np.isfinite(table["MeanAbsoluteError_mean"].astype(float)).all()
    assert len(table) == 2


@pytest.mark.parametrize("strategy", ["recursive", "direct", "multioutput"])
def test_reductions_with_the_regressor(airline, strategy):
    regressor = RNNRegressor(hidden_size=4, max_epochs=2, random_state=0)
    forecaster = make_reduction(regressor, window_length=12, strategy=strategy)
    forecast = forecaster.fit(airline, fh=AHEAD).predict()
    assert forecast.between(100, 700).all()


def test_pretrained_weights_survive_a_pipeline(airline):
    y = _make_hierarchical(
        hierarchy_levels=(4,), min_timepoints=60, max_timepoints=60, random_state=0
    )
    trained = make(sp=12).pretrain(y, fh=AHEAD)
    for pipeline in (
        TransformedTargetForecaster([("log", ExponentTransformer(1)), ("rnn", trained)]),
        ExponentTransformer(1) * trained,
    ):
        forecast = pipeline.fit(airline, fh=AHEAD).predict()
        assert_allclose(forecast, copy.deepcopy(trained).fit(airline, fh=AHEAD).predict())
        assert not np.allclose(forecast, make().fit(airline, fh=AHEAD).predict(), rtol=1e-6)


def test_longley_with_covariates():
    y, X = load_longley()
    forecaster = make(short="pad").fit(y[:-3], X=X[:-3], fh=AHEAD)
    forecast = forecaster.predict(X=X[-3:])
    assert forecast.index.equals(y.index[-3:])
    assert ((forecast - y[-3:]).abs() < 0.2 * y[-3:]).all()
    frame = forecaster.future_frame()
    assert frame.index.equals(X.index[-3:])
    assert list(frame.columns) == list(X.columns)
