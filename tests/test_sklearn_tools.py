"""scikit-learn's tools work with every container of sequences, or say clearly why they cannot."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.experimental import enable_halving_search_cv  # noqa: F401 - unlocks the two below
from sklearn.inspection import permutation_importance
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    KFold,
    StratifiedKFold,
    TimeSeriesSplit,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    learning_curve,
    train_test_split,
    validation_curve,
)
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.utils import resample, shuffle

from skrnn import RNNClassifier, RNNRegressor
from skrnn.preprocessing import SequenceScaler

N_SAMPLES = 30
N_CHANNELS = 2
LABELS = np.repeat(["down", "up"], N_SAMPLES // 2)[np.random.default_rng(1).permutation(N_SAMPLES)]
THREE = np.arange(N_SAMPLES) % 3
NUMBERS = np.random.default_rng(2).normal(5.0, 2.0, size=N_SAMPLES)
GROUPS = np.arange(N_SAMPLES) // 3


def sequences(shortest: int = 2) -> list[np.ndarray]:
    """Return float64 sequences of `shortest` to 7 steps; the label shows in the first channel."""
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(n, N_CHANNELS)) for n in rng.integers(shortest, 8, size=N_SAMPLES)]
    for x, label in zip(X, LABELS, strict=True):
        x[:, 0] += 2.0 * (label == "up")
    return X


def object_array(X: list[np.ndarray]) -> np.ndarray:
    array = np.empty(len(X), dtype=object)
    array[:] = X
    return array


def padded(X: list[np.ndarray]) -> np.ndarray:
    box = np.full((len(X), max(map(len, X)), N_CHANNELS), np.nan)
    for row, x in zip(box, X, strict=True):
        row[: len(x)] = x
    return box


def list_columns(X: list[np.ndarray]) -> pd.DataFrame:
    return pd.DataFrame({f"c{j}": [x[:, j].tolist() for x in X] for j in range(N_CHANNELS)})


def folded(X: list[np.ndarray]) -> np.ndarray:
    return padded(X).reshape(len(X), -1)


CONTAINERS: dict[str, Callable[[list[np.ndarray]], Any]] = {
    "list": list,
    "object array": object_array,
    "3-D with NaN": padded,
    "list columns": list_columns,
    "Series": lambda X: pd.Series(list(X)),
}


def net(**params: Any) -> RNNClassifier:
    return RNNClassifier(hidden_size=4, max_epochs=2, random_state=0, **params)


def number_net(**params: Any) -> RNNRegressor:
    return RNNRegressor(hidden_size=4, max_epochs=2, random_state=0, **params)


def probabilities(estimator: Any, X: Any, y: Any = LABELS) -> np.ndarray:
    return estimator.fit(X, y).predict_proba(X)


def cross_validated(splitter: Any, groups: Any = None) -> Callable[[Any], np.ndarray]:
    def scores(X: Any) -> np.ndarray:
        return cross_val_score(
            net(),
            X,
            LABELS,
            groups=groups,
            cv=splitter,
            scoring="neg_log_loss",
            error_score="raise",
        )

    return scores


def searched(search: Any, X: Any) -> np.ndarray:
    scores = search.fit(X, LABELS).cv_results_["mean_test_score"]
    return np.concatenate([scores, search.predict_proba(X).ravel()])


def grid(**params: Any) -> GridSearchCV:
    sizes = {"hidden_size": [2, 4]}
    return GridSearchCV(net(), sizes, cv=2, scoring="neg_log_loss", error_score="raise", **params)


def halving(sizes: dict[str, list[int]], **params: Any) -> HalvingGridSearchCV:
    return HalvingGridSearchCV(
        net(), sizes, cv=2, factor=2, random_state=0, error_score="raise", **params
    )


def split(X: Any) -> np.ndarray:
    train, test, y, _ = train_test_split(X, LABELS, stratify=LABELS, random_state=0)
    return net().fit(train, y).predict_proba(test)


def curve(function: Any, X: Any, **params: Any) -> np.ndarray:
    return np.concatenate(
        function(net(), X, LABELS, cv=2, scoring="neg_log_loss", error_score="raise", **params)[-2:]
    )


def shuffled(function: Any, X: Any) -> np.ndarray:
    X, y = function(X, LABELS, random_state=0)
    return probabilities(net(), X, y)


def self_training(X: Any, **params: Any) -> np.ndarray:
    y = np.where(np.arange(N_SAMPLES) < 20, (LABELS == "up").astype(int), -1)
    return probabilities(SelfTrainingClassifier(net(**params), threshold=0.5), X, y)


def importance(X: Any, **params: Any) -> np.ndarray:
    fitted = net(**params).fit(X, LABELS)
    result = permutation_importance(
        fitted, X, LABELS, n_repeats=2, scoring="neg_log_loss", random_state=0
    )
    return result.importances


def two_columns(y: np.ndarray) -> np.ndarray:
    return np.column_stack([y, y[::-1]])


# What each tool computes from X: numbers that would show any difference between containers.
TOOLS: dict[str, Callable[[Any], np.ndarray]] = {
    "train_test_split": split,
    "cross_val_score KFold": cross_validated(KFold(3, shuffle=True, random_state=0)),
    "cross_val_score StratifiedKFold": cross_validated(StratifiedKFold(3)),
    "cross_val_score GroupKFold": cross_validated(GroupKFold(3), GROUPS),
    "cross_val_score TimeSeriesSplit": cross_validated(TimeSeriesSplit(2)),
    "cross_val_predict": lambda X: cross_val_predict(
        net(), X, LABELS, cv=3, method="predict_proba"
    ),
    "GridSearchCV": lambda X: searched(grid(), X),
    "GridSearchCV in two processes": lambda X: searched(grid(n_jobs=2), X),
    "HalvingGridSearchCV": lambda X: searched(
        halving({"hidden_size": [2, 4]}, min_resources=12), X
    ),
    "HalvingGridSearchCV over epochs": lambda X: searched(
        halving({"hidden_size": [2, 4]}, resource="max_epochs", min_resources=1, max_resources=2),
        X,
    ),
    "Pipeline": lambda X: probabilities(make_pipeline(SequenceScaler(), net()), X),
    "learning_curve": lambda X: curve(learning_curve, X, train_sizes=[0.5, 1.0]),
    "validation_curve": lambda X: curve(
        validation_curve, X, param_name="hidden_size", param_range=[2, 4]
    ),
    "CalibratedClassifierCV": lambda X: probabilities(CalibratedClassifierCV(net(), cv=2), X),
    "StackingClassifier": lambda X: probabilities(
        StackingClassifier([("lstm", net()), ("gru", net(cell="gru"))], cv=2), X
    ),
    "VotingClassifier": lambda X: probabilities(
        VotingClassifier([("lstm", net()), ("gru", net(cell="gru"))], voting="soft"), X
    ),
    "OneVsRestClassifier": lambda X: probabilities(OneVsRestClassifier(net()), X, THREE),
    "MultiOutputClassifier": lambda X: np.concatenate(
        probabilities(MultiOutputClassifier(net()), X, two_columns(LABELS))
    ),
    "TransformedTargetRegressor": lambda X: (
        TransformedTargetRegressor(number_net(), func=np.log1p, inverse_func=np.expm1)
        .fit(X, np.abs(NUMBERS))
        .predict(X)
    ),
    "MultiOutputRegressor": lambda X: (
        MultiOutputRegressor(number_net()).fit(X, two_columns(NUMBERS)).predict(X)
    ),
    "TunedThresholdClassifierCV": lambda X: probabilities(
        TunedThresholdClassifierCV(net(), cv=2, random_state=0), X
    ),
    "shuffle": lambda X: shuffled(shuffle, X),
    "resample": lambda X: shuffled(resample, X),
    "DummyClassifier": lambda X: probabilities(DummyClassifier(), X),
}

# Tools that make a matrix of numbers out of X before any estimator sees it.
WITH_COLUMNS: dict[str, Callable[..., np.ndarray]] = {
    "BaggingClassifier": lambda X, **p: probabilities(
        BaggingClassifier(net(**p), n_estimators=2, random_state=0), X
    ),
    "AdaBoostClassifier": lambda X, **p: probabilities(
        AdaBoostClassifier(
            net(lr=0.03, **p).set_params(max_epochs=15), n_estimators=2, random_state=0
        ),
        X,
    ),
    "OneVsOneClassifier": lambda X, **p: (
        OneVsOneClassifier(net(**p)).fit(X, THREE).decision_function(X)
    ),
    "SelfTrainingClassifier": self_training,
    "permutation_importance": importance,
    "ColumnTransformer": lambda X, **p: probabilities(
        make_pipeline(ColumnTransformer([("keep", "passthrough", slice(0, None))]), net(**p)),
        X,
    ),
}

COLUMNS_OF_NUMBERS = r"inhomogeneous shape|setting an array element|Expected 2D array|dim 3"
NO_COLUMNS = "Expected 2D array|a 2D NumPy array|tuple index out of range"
# Where each of them ends, by container; list columns are columns to some of them.
MESSAGES: dict[tuple[str, str], str] = {
    ("BaggingClassifier", "Series"): "Expected a 2-dimensional container",
    ("AdaBoostClassifier", "3-D with NaN"): "AdaBoostClassifier does not accept missing values",
    ("AdaBoostClassifier", "Series"): "Expected a 2-dimensional container",
    ("permutation_importance", "list columns"): "features of different lengths",
    ("permutation_importance", "Series"): "tuple index out of range",
    **{("ColumnTransformer", container): NO_COLUMNS for container in CONTAINERS},
}
READS_LIST_COLUMNS = ("BaggingClassifier", "AdaBoostClassifier", "ColumnTransformer")
REFUSED = [
    (tool, container)
    for tool in WITH_COLUMNS
    for container in CONTAINERS
    if not (container == "list columns" and tool in READS_LIST_COLUMNS)
]


@functools.cache
def on_the_list(tool: str) -> np.ndarray:
    return TOOLS[tool](sequences())


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("tool", TOOLS)
def test_every_container_gives_the_same_result(tool: str, container: str) -> None:
    result = TOOLS[tool](CONTAINERS[container](sequences()))
    assert np.isfinite(result).all()
    np.testing.assert_allclose(result, on_the_list(tool), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("tool", "container"), REFUSED)
def test_a_tool_that_needs_columns_says_so(tool: str, container: str) -> None:
    message = MESSAGES.get((tool, container), COLUMNS_OF_NUMBERS)
    with pytest.raises((ValueError, IndexError), match=message):
        WITH_COLUMNS[tool](CONTAINERS[container](sequences()))


@pytest.mark.parametrize(
    ("tool", "shortest"),
    [
        ("BaggingClassifier", 2),
        ("OneVsOneClassifier", 2),
        ("SelfTrainingClassifier", 2),
        ("ColumnTransformer", 2),
        # It takes no NaN, and a moved column would move padding: folded sequences of one length.
        ("AdaBoostClassifier", 7),
        ("permutation_importance", 7),
    ],
)
def test_folded_rows_reach_the_tools_that_need_columns(tool: str, shortest: int) -> None:
    X = folded(sequences(shortest))
    result = WITH_COLUMNS[tool](X, n_channels=N_CHANNELS)
    assert len(result) == (X.shape[1] if tool == "permutation_importance" else N_SAMPLES)
    assert np.isfinite(result).all()
    assert np.ptp(result) > 0


@pytest.mark.parametrize("container", ["list", "list columns"])
def test_folded_rows_mean_the_same_as_sequences(container: str) -> None:
    X = sequences()
    expected = probabilities(net(), CONTAINERS[container](X))
    got = probabilities(net(n_channels=N_CHANNELS), folded(X))
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("tool", READS_LIST_COLUMNS)
def test_list_columns_are_columns(tool: str) -> None:
    """These tools hand a frame's cells through: the result is that of the folded rows."""
    X = sequences(7)
    got = WITH_COLUMNS[tool](list_columns(X))
    np.testing.assert_allclose(got, WITH_COLUMNS[tool](folded(X), n_channels=2), rtol=1e-6)


def test_permuted_list_columns_show_which_feature_matters() -> None:
    X = list_columns(sequences(7))
    fitted = net().set_params(max_epochs=30, lr=0.03).fit(X, LABELS)
    result = permutation_importance(fitted, X, LABELS, n_repeats=5, random_state=0)
    matters, does_not = result.importances_mean
    assert matters > does_not + 0.2


@pytest.mark.parametrize("container", CONTAINERS)
def test_predictions_go_across_containers(container: str) -> None:
    fitted = net().fit(sequences(), LABELS)
    got = fitted.predict_proba(CONTAINERS[container](sequences()))
    np.testing.assert_allclose(got, fitted.predict_proba(sequences()), rtol=1e-6)
