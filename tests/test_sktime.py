"""The sktime twins: sktime's own checks, sktime's and scikit-learn's tools, equality of twins."""

import copy
import inspect
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpydoc.docscrape import ClassDoc
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score, mean_squared_error
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback
from sktime.base import load
from sktime.benchmarking.classification import ClassificationBenchmark
from sktime.benchmarking.regression import RegressionBenchmark
from sktime.classification.compose import ClassifierPipeline
from sktime.classification.model_evaluation import evaluate as evaluate_classifier
from sktime.classification.model_selection import TSCGridSearchCV
from sktime.datasets import load_japanese_vowels
from sktime.datatypes import convert_to
from sktime.pipeline import make_pipeline
from sktime.regression.compose import RegressorPipeline
from sktime.regression.model_evaluation import evaluate as evaluate_regressor
from sktime.regression.model_selection import TSRGridSearchCV
from sktime.transformations.series.difference import Differencer
from sktime.utils.estimator_checks import check_estimator

import skrnn
from skrnn.sktime import RNNClassifier, RNNRegressor

TINY = {"hidden_size": 4, "max_epochs": 3, "random_state": 0}
LEFT_OUT = {"return_sequences", "n_channels", "warm_start"}
# Of a classifier it is about labels per step only.
LEFT_OUT_OF = {RNNClassifier: {*LEFT_OUT, "loss"}, RNNRegressor: LEFT_OUT}

twins = pytest.mark.parametrize(
    ("twin", "original"), [(RNNClassifier, skrnn.RNNClassifier), (RNNRegressor, skrnn.RNNRegressor)]
)
classes = pytest.mark.parametrize("cls", [RNNClassifier, RNNRegressor])


@pytest.fixture
def panel(rng: np.random.Generator) -> np.ndarray:
    """Return 30 series of 3 features and 8 time steps, in sktime's order of axes."""
    return rng.normal(size=(30, 3, 8))


def target(cls: type, panel: np.ndarray) -> np.ndarray:
    """Return labels or numbers that depend on the first feature."""
    sums = panel[:, 0].sum(axis=1)
    return np.where(sums > np.median(sums), "up", "down") if is_classifier(cls()) else sums


# -- sktime's contract --------------------------------------------------------------------------


@pytest.mark.slow
@classes
def test_every_check_of_sktime_passes(cls: type) -> None:
    results = check_estimator(cls, verbose=False)
    assert len(results) > 100
    assert {name: result for name, result in results.items() if result != "PASSED"} == {}


@classes
def test_tags_say_what_the_network_can_do(cls: type) -> None:
    assert cls.get_class_tag("capability:multivariate")
    assert cls.get_class_tag("capability:unequal_length")
    assert not cls.get_class_tag("capability:missing_values")
    assert len(cls.get_test_params()) >= 2


# -- two classes, one meaning -------------------------------------------------------------------


@twins
def test_twins_have_the_same_parameters(twin: type, original: type) -> None:
    expected = dict(inspect.signature(original).parameters)
    for name in LEFT_OUT_OF[twin]:
        del expected[name]
    found = dict(inspect.signature(twin).parameters)
    # What `fit` of scikit-learn's estimators is told.
    resume = inspect.signature(original.fit).parameters["resume"]
    assert list(found).index("resume") == list(found).index("checkpoint_dir") + 1
    parameter = found.pop("resume")
    assert (parameter.default, parameter.annotation) == (resume.default, resume.annotation)
    assert list(found) == list(expected)
    for name, parameter in found.items():
        assert parameter.default == expected[name].default, name
        assert parameter.kind == expected[name].kind, name
        assert parameter.annotation == expected[name].annotation, name


@twins
def test_twins_document_the_same_types(twin: type, original: type) -> None:
    expected = {p.name: p.type for p in ClassDoc(original)["Parameters"]}
    for parameter in ClassDoc(twin)["Parameters"]:
        if parameter.name == "resume":
            expected["resume"] = 'bool or "auto", default=False'
        assert parameter.type == expected[parameter.name], parameter.name


@twins
def test_parameters_reach_the_network(twin: type, original: type) -> None:
    names = set(inspect.signature(twin).parameters)
    values = {name: object() for name in names - {"net_params", "resume"}}
    engine = twin(**values)._engine()
    assert type(engine) is original
    assert all(getattr(engine, name) is value for name, value in values.items())


@twins
def test_twins_predict_the_same(twin: type, original: type, panel: np.ndarray) -> None:
    y = target(twin, panel)
    ours = twin(**TINY).fit(panel, y)
    theirs = original(**TINY).fit(panel.transpose(0, 2, 1), y)
    np.testing.assert_array_equal(ours.predict(panel), theirs.predict(panel.transpose(0, 2, 1)))
    if is_classifier(ours):
        np.testing.assert_array_equal(
            ours.predict_proba(panel), theirs.predict_proba(panel.transpose(0, 2, 1))
        )


@classes
def test_containers_mean_the_same(cls: type, panel: np.ndarray) -> None:
    y = target(cls, panel)
    expected = cls(**TINY).fit(panel, y).predict(panel)
    for mtype in ("df-list", "pd-multiindex", "nested_univ"):
        X = convert_to(panel, mtype, as_scitype="Panel")
        np.testing.assert_array_equal(cls(**TINY).fit(X, y).predict(X), expected)


def test_several_outputs_share_one_network(panel: np.ndarray) -> None:
    y = np.column_stack([panel[:, 0].sum(axis=1), panel[:, 1, -1]])
    reg = RNNRegressor(**TINY).fit(panel, y)
    expected = skrnn.RNNRegressor(**TINY).fit(panel.transpose(0, 2, 1), y)
    np.testing.assert_array_equal(reg.predict(panel), expected.predict(panel.transpose(0, 2, 1)))
    frame = pd.DataFrame(y, columns=["sum", "last"])
    assert list(RNNRegressor(**TINY).fit(panel, frame).predict(panel).columns) == ["sum", "last"]


@twins
def test_validation_data_are_a_panel(twin: type, original: type, panel: np.ndarray) -> None:
    y = target(twin, panel)
    ours = twin(**TINY, validation_split=(panel[20:], y[20:])).fit(panel[:20], y[:20])
    time_first = panel.transpose(0, 2, 1)
    theirs = original(**TINY, validation_split=(time_first[20:], y[20:]))
    theirs.fit(time_first[:20], y[:20])
    losses = [[epoch["valid_loss"] for epoch in e.history_] for e in (ours.rnn_, theirs)]
    assert losses[0] == losses[1]


def test_univariate_validation_data_may_be_a_matrix(panel: np.ndarray) -> None:
    X, y = panel[:, 0], target(RNNRegressor, panel)
    reg = RNNRegressor(**TINY, validation_split=(X[20:], y[20:])).fit(X[:20], y[:20])
    assert reg.rnn_.n_channels_in_ == 1
    assert "valid_loss" in reg.rnn_.history_[0]


def test_intervals_that_were_not_calibrated_warn(panel: np.ndarray) -> None:
    X, y = panel.transpose(0, 2, 1), target(RNNRegressor, panel)
    params = {**TINY, "loss": "normal", "validation_fraction": 0.4}
    with pytest.warns(UserWarning, match="no sequences were held out"):
        RNNRegressor(**params).fit(panel, y).rnn_.predict_interval(X, coverage=0.8)
    for chosen in ({"calibrate": False}, {"early_stopping": True}):
        reg = RNNRegressor(**params, **chosen).fit(panel, y)
        assert reg.rnn_.predict_interval(X, coverage=0.8).shape == (30, 2)


# -- parameters and state -----------------------------------------------------------------------


@classes
def test_skorch_names_are_parameters(cls: type, panel: np.ndarray) -> None:
    estimator = cls(**TINY).fit(panel, target(cls, panel))
    estimator.set_params(optimizer__weight_decay=0.25, hidden_size=3)
    assert not estimator.is_fitted
    assert estimator.get_params()["optimizer__weight_decay"] == 0.25
    assert clone(estimator).net_params == estimator.clone().net_params == estimator.net_params
    estimator.fit(panel, target(cls, panel))
    assert estimator.rnn_.net_.optimizer_.param_groups[0]["weight_decay"] == 0.25
    with pytest.raises(ValueError, match="hiden_size"):
        estimator.set_params(hiden_size=3)


@classes
def test_wrong_parameters_are_named(cls: type, panel: np.ndarray) -> None:
    with pytest.raises(ValueError, match="The 'lr' parameter"):
        cls(lr=-1.0).fit(panel, target(cls, panel))


@classes
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))], ids=["deepcopy", "pickle"]
)
def test_copies_predict_the_same(
    cls: type, copied: Callable[[Any], Any], panel: np.ndarray
) -> None:
    estimator = cls(**TINY).fit(panel, target(cls, panel))
    expected = estimator.predict(panel)
    np.testing.assert_array_equal(copied(estimator).predict(panel), expected)


@classes
def test_saved_estimators_predict_the_same(cls: type, panel: np.ndarray, tmp_path: Path) -> None:
    estimator = cls(**TINY).fit(panel, target(cls, panel))
    estimator.save(tmp_path / "saved")
    loaded = load(tmp_path / "saved.zip")
    np.testing.assert_array_equal(loaded.predict(panel), estimator.predict(panel))


class CtrlC(Callback):
    """Stands for a user who presses Ctrl-C in the second epoch."""

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        if len(net.history) == 2:
            raise KeyboardInterrupt


@classes
def test_ctrl_c_keeps_the_last_whole_epoch(cls: type, panel: np.ndarray) -> None:
    y = target(cls, panel)
    estimator = cls(**TINY, callbacks=[CtrlC()])
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(panel, y)
    assert estimator.rnn_.n_iter_ == 1
    assert estimator.predict(panel).shape == y.shape


@classes
def test_failed_fits_leave_no_model(cls: type, panel: np.ndarray) -> None:
    estimator = cls(**TINY, pooling="median")
    with pytest.raises(ValueError, match="pooling"):
        estimator.fit(panel, target(cls, panel))
    assert not estimator.is_fitted


# -- sktime's tools -----------------------------------------------------------------------------


@classes
def test_unequal_length_fits_in_every_container(cls: type, rng: np.random.Generator) -> None:
    frames = [pd.DataFrame(rng.normal(size=(n, 2))) for n in rng.integers(3, 9, size=12)]
    y = np.tile([0.0, 1.0], 6)
    expected = cls(**TINY).fit(frames, y).predict(frames)
    long = convert_to(frames, "pd-multiindex", as_scitype="Panel")
    np.testing.assert_array_equal(cls(**TINY).fit(long, y).predict(long), expected)


@classes
def test_series_without_steps_are_refused_or_answered(cls: type, rng: np.random.Generator) -> None:
    frames = [pd.DataFrame(rng.normal(size=(n, 2))) for n in (3, 0, 4, 5)]
    y = np.array([0.0, 1.0, 0.0, 1.0])
    with pytest.raises(ValueError, match="sequence 1 is empty"):
        cls(**TINY).fit(frames, y)
    predicted = cls(**TINY, empty="zero_state").fit(frames, y).predict(frames)
    assert np.isfinite(predicted).all()


@pytest.mark.parametrize("return_type", ["nested_univ", "df-list"])
def test_japanese_vowels_fit(return_type: str) -> None:
    X, y = load_japanese_vowels(split="train", return_type=return_type)
    clf = RNNClassifier(hidden_size=8, max_epochs=8, random_state=0).fit(X, y)
    assert clf.rnn_.n_channels_in_ == 12
    assert clf.score(X, y) > 0.5


@pytest.mark.parametrize(
    ("cls", "pipeline"), [(RNNClassifier, ClassifierPipeline), (RNNRegressor, RegressorPipeline)]
)
def test_pipelines_keep_the_channels(cls: type, pipeline: type, panel: np.ndarray) -> None:
    y = target(cls, panel)
    for made in (Differencer() * cls(**TINY), make_pipeline(Differencer(), cls(**TINY))):
        assert isinstance(made, pipeline)
        assert made.fit(panel, y).predict(panel).shape == y.shape
        last = made.classifier_ if is_classifier(cls()) else made.regressor_
        assert last.rnn_.n_channels_in_ == 3


@pytest.mark.parametrize(
    ("cls", "search"), [(RNNClassifier, TSCGridSearchCV), (RNNRegressor, TSRGridSearchCV)]
)
def test_searches_of_sktime_tune(cls: type, search: type, panel: np.ndarray) -> None:
    y = target(cls, panel)
    grid = {"hidden_size": [2, 3], "optimizer__weight_decay": [0.0]}
    tuned = search(cls(**TINY), grid, cv=KFold(2)).fit(panel, y)
    assert tuned.predict(panel).shape == y.shape
    best = tuned.best_estimator_
    assert best.rnn_.hidden_size == tuned.best_params_["hidden_size"]
    assert best.rnn_.net_params == {"optimizer__weight_decay": 0.0}


@pytest.mark.parametrize(
    ("cls", "evaluate", "metric"),
    [
        (RNNClassifier, evaluate_classifier, accuracy_score),
        (RNNRegressor, evaluate_regressor, mean_squared_error),
    ],
)
def test_evaluate_gives_finite_values(
    cls: type, evaluate: Callable, metric: Callable, panel: np.ndarray
) -> None:
    y = target(cls, panel)
    results = evaluate(cls(**TINY), cv=KFold(2), X=panel, y=y, scoring=metric, error_score="raise")
    scores = results[f"test_{metric.__name__}"].to_numpy(dtype=float)
    assert scores.shape == (2,)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize(
    ("cls", "make", "metric"),
    [
        (RNNClassifier, ClassificationBenchmark, accuracy_score),
        (RNNRegressor, RegressionBenchmark, mean_squared_error),
    ],
)
def test_benchmarks_run(cls: type, make: type, metric: Callable, panel: np.ndarray) -> None:
    benchmark = make()
    benchmark.add_estimator(cls(**TINY))
    benchmark.add_task((panel, target(cls, panel)), KFold(2), [metric])
    results = benchmark.run()
    assert np.isfinite(results[f"{metric.__name__}_mean"].to_numpy(dtype=float)).all()


# -- scikit-learn's tools -----------------------------------------------------------------------


def test_scikit_learn_knows_the_kinds() -> None:
    assert is_classifier(RNNClassifier())
    assert is_regressor(RNNRegressor())
    for cls in (RNNClassifier, RNNRegressor):
        assert get_tags(cls()).target_tags.required
        assert get_tags(cls()).transformer_tags is None


@classes
def test_scikit_learn_knows_whether_it_is_fitted(cls: type, panel: np.ndarray) -> None:
    estimator = cls(**TINY)
    with pytest.raises(NotFittedError):
        check_is_fitted(estimator)
    check_is_fitted(estimator.fit(panel, target(cls, panel)))


@classes
@pytest.mark.parametrize("mtype", ["numpy3D", "nested_univ"])
def test_grid_search_of_scikit_learn_sees_the_right_axes(
    cls: type, mtype: str, panel: np.ndarray
) -> None:
    X, y = convert_to(panel, mtype, as_scitype="Panel"), target(cls, panel)
    search = GridSearchCV(cls(**TINY), {"optimizer__weight_decay": [0.0, 0.1]}, cv=2)
    search.fit(X, y)
    assert search.best_estimator_.rnn_.n_channels_in_ == 3
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(X).shape == y.shape


def test_cross_validation_stratifies(panel: np.ndarray) -> None:
    # Sorted labels: without stratification a fold would train on a single class.
    y = np.repeat(["a", "b"], 15)
    scores = cross_val_score(RNNClassifier(**TINY), panel, y, cv=2)
    expected = cross_val_score(RNNClassifier(**TINY), panel, y, cv=StratifiedKFold(2))
    np.testing.assert_array_equal(scores, expected)


def test_probability_scorers_work(panel: np.ndarray) -> None:
    y = target(RNNClassifier, panel)
    scores = cross_val_score(RNNClassifier(**TINY), panel, y, cv=2, scoring="neg_log_loss")
    assert np.isfinite(scores).all()


@classes
def test_pipeline_of_scikit_learn_runs(cls: type, panel: np.ndarray) -> None:
    y = target(cls, panel)
    pipeline = Pipeline([("double", FunctionTransformer(lambda X: 2 * X)), ("rnn", cls(**TINY))])
    assert pipeline.fit(panel, y).predict(panel).shape == y.shape
    assert pipeline[-1].rnn_.n_channels_in_ == 3
