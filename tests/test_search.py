"""Searches over pipelines of ragged sequences, with groups, weights and nested parameters."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.exceptions import UnsetMetadataPassedError
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    StratifiedGroupKFold,
    cross_val_score,
)
from sklearn.pipeline import Pipeline, make_pipeline

from skrnn import RNNClassifier, RNNRegressor
from skrnn.preprocessing import SequenceScaler

N_SAMPLES = 48
LABELS = np.array(["down", "up"])[np.random.default_rng(1).integers(2, size=N_SAMPLES)]
GROUPS = np.arange(N_SAMPLES) // 4
GRID = {
    "rnnclassifier__optimizer__weight_decay": [0.0, 0.5],
    "rnnclassifier__hidden_size": [3, 5],
}


@pytest.fixture
def X() -> list[np.ndarray]:
    """Return sequences of 2 to 8 steps and 2 features whose level tells the label."""
    rng = np.random.default_rng(0)
    return [rng.normal(size=(rng.integers(2, 9), 2)) + 1.5 * (label == "up") for label in LABELS]


@pytest.fixture
def routing() -> Iterator[None]:
    """Switch scikit-learn's metadata routing on."""
    with sklearn.config_context(enable_metadata_routing=True):
        yield


def pipeline(**params: Any) -> Pipeline:
    net = RNNClassifier(hidden_size=4, max_epochs=8, lr=0.03, random_state=0, **params)
    return make_pipeline(SequenceScaler(), net)


def search(**params: Any) -> GridSearchCV:
    cv = StratifiedGroupKFold(3, shuffle=True, random_state=0)
    return GridSearchCV(pipeline(), GRID, cv=cv, error_score="raise", **params)


def test_ragged_lists_go_through_a_grid_search(X: list[np.ndarray]) -> None:
    """What skorch#1083 and skorch#605 ask for: no padding by hand, no lengths on the side."""
    assert len({len(x) for x in X}) > 3
    found = search().fit(X, LABELS, groups=GROUPS)
    assert len(found.cv_results_["params"]) == 4
    assert np.isfinite(found.cv_results_["mean_test_score"]).all()
    assert found.best_score_ > 0.8
    assert found.predict(X[:5]).shape == (5,)
    assert found.score(X, LABELS) > 0.8


def test_two_processes_find_what_one_finds(X: list[np.ndarray]) -> None:
    one = search().fit(X, LABELS, groups=GROUPS)
    two = search(n_jobs=2).fit(X, LABELS, groups=GROUPS)
    assert one.best_params_ == two.best_params_
    for fold in range(3):
        name = f"split{fold}_test_score"
        np.testing.assert_array_equal(one.cv_results_[name], two.cv_results_[name])
    np.testing.assert_allclose(two.predict_proba(X), one.predict_proba(X), rtol=1e-5)


def test_nested_parameters_of_the_grid_reach_network_and_optimizer(X: list[np.ndarray]) -> None:
    for decay, size in ((0.0, 3), (0.5, 5)):
        grid = {
            "rnnclassifier__optimizer__weight_decay": [decay],
            "rnnclassifier__hidden_size": [size],
        }
        found = GridSearchCV(pipeline(), grid, cv=2, error_score="raise").fit(X, LABELS)
        net = found.best_estimator_[-1].net_
        assert max(group["weight_decay"] for group in net.optimizer_.param_groups) == decay
        assert net.module_.encoder.layers[0].output_size == size


@pytest.mark.parametrize(
    "wrong", ["rnnclassifier__hiden_size", "rnnclassifier__optimiser__weight_decay"]
)
def test_a_misspelt_parameter_of_the_grid_is_an_error(X: list[np.ndarray], wrong: str) -> None:
    with pytest.raises(ValueError, match="Invalid parameter"):
        GridSearchCV(pipeline(), {wrong: [1]}, cv=2).fit(X, LABELS)


def test_groups_reach_the_splitter(X: list[np.ndarray]) -> None:
    class Watched(StratifiedGroupKFold):
        seen: list[Any] = []

        def split(self, X: Any, y: Any = None, groups: Any = None) -> Any:
            self.seen.append(groups)
            return super().split(X, y, groups)

    scores = cross_val_score(pipeline(), X, LABELS, groups=GROUPS, cv=Watched(3))
    assert len(scores) == 3
    np.testing.assert_array_equal(Watched.seen[0], GROUPS)


# -- metadata routing -------------------------------------------------------------------------


@pytest.mark.usefixtures("routing")
def test_weights_are_routed_through_search_and_pipeline(X: list[np.ndarray]) -> None:
    weight = np.where(LABELS == "up", 5.0, 0.2)
    chain = pipeline()
    chain[0].set_fit_request(sample_weight=True)
    chain[-1].set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
    found = GridSearchCV(chain, {"rnnclassifier__hidden_size": [4]}, cv=2, error_score="raise")
    found.fit(X, LABELS, sample_weight=weight)

    scaled = SequenceScaler().fit(X, sample_weight=weight).transform(X)
    net = pipeline()[-1]
    expected = net.fit(scaled, LABELS, sample_weight=weight).predict_proba(scaled)
    np.testing.assert_allclose(found.predict_proba(X), expected, rtol=1e-6)
    unweighted = net.fit(scaled, LABELS).predict_proba(scaled)
    assert expected[:, 1].mean() > unweighted[:, 1].mean()


@pytest.mark.usefixtures("routing")
def test_groups_are_routed_to_splitter_and_hold_out(X: list[np.ndarray]) -> None:
    chain = pipeline(early_stopping=True, validation_split=GroupKFold(4))
    chain[-1].set_fit_request(groups=True)
    found = GridSearchCV(
        chain, {"rnnclassifier__hidden_size": [4]}, cv=GroupKFold(3), error_score="raise"
    )
    found.fit(X, LABELS, groups=GROUPS)
    scaled = SequenceScaler().fit_transform(X)
    net = pipeline(early_stopping=True, validation_split=GroupKFold(4))[-1]
    expected = net.fit(scaled, LABELS, groups=GROUPS).predict_proba(scaled)
    np.testing.assert_allclose(found.predict_proba(X), expected, rtol=1e-6)


@pytest.mark.usefixtures("routing")
def test_regression_weights_are_routed(X: list[np.ndarray]) -> None:
    y = np.array([x.mean() for x in X])
    weight = np.linspace(0.1, 3.0, N_SAMPLES)
    net = RNNRegressor(hidden_size=4, max_epochs=4, random_state=0)
    chain = make_pipeline(
        SequenceScaler().set_fit_request(sample_weight=False),
        net.set_fit_request(sample_weight=True),
    )
    chain.fit(X, y, sample_weight=weight)
    scaled = SequenceScaler().fit_transform(X)
    expected = net.fit(scaled, y, sample_weight=weight).predict(scaled)
    np.testing.assert_allclose(chain.predict(X), expected, rtol=1e-6)


@pytest.mark.usefixtures("routing")
def test_weights_that_nobody_asked_for_are_refused(X: list[np.ndarray]) -> None:
    with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
        pipeline().fit(X, LABELS, sample_weight=np.ones(N_SAMPLES))
