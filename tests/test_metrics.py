"""Metrics per step: equal to scikit-learn on the concatenation, and clear about what differs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

from skrnn import metrics

LENGTHS = (3, 1, 7, 4, 0, 5)
FLAT = np.concatenate

LABEL_SCORES = [
    (metrics.sequence_accuracy_score, sk.accuracy_score, {}),
    (metrics.sequence_accuracy_score, sk.accuracy_score, {"normalize": False}),
    (metrics.sequence_f1_score, sk.f1_score, {"average": "macro"}),
    (metrics.sequence_f1_score, sk.f1_score, {"average": "micro"}),
    (metrics.sequence_f1_score, sk.f1_score, {"average": "weighted", "labels": ["a", "b"]}),
    (metrics.sequence_f1_score, sk.f1_score, {"average": None}),
]
NUMBER_SCORES = [
    (metrics.sequence_mean_squared_error, sk.mean_squared_error, {}),
    (metrics.sequence_mean_absolute_error, sk.mean_absolute_error, {}),
    (metrics.sequence_r2_score, sk.r2_score, {}),
]
ALL_SCORES = [ours for ours, _, extra in LABEL_SCORES + NUMBER_SCORES if not extra]


@pytest.fixture
def step_weight(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.uniform(0.1, 2.0, size=n) for n in LENGTHS]


def labels(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.choice(["a", "b", "long label"], size=n) for n in LENGTHS]


def numbers(rng: np.random.Generator, *outputs: int) -> list[np.ndarray]:
    return [rng.normal(size=(n, *outputs)) for n in LENGTHS]


def filled(y: list[np.ndarray]) -> np.ndarray:
    return FLAT([a for a in y if len(a)])


@pytest.mark.parametrize(("ours", "theirs", "params"), LABEL_SCORES)
def test_label_scores_equal_the_score_of_all_steps(
    ours: Callable, theirs: Callable, params: dict, rng: np.random.Generator
) -> None:
    y_true, y_pred = labels(rng), labels(rng)
    expected = theirs(filled(y_true), filled(y_pred), **params)
    np.testing.assert_array_equal(ours(y_true, y_pred, **params), expected)


@pytest.mark.parametrize("outputs", [(), (1,), (3,)])
@pytest.mark.parametrize(("ours", "theirs", "params"), NUMBER_SCORES)
def test_number_scores_equal_the_score_of_all_steps(
    ours: Callable, theirs: Callable, params: dict, outputs: tuple, rng: np.random.Generator
) -> None:
    y_true, y_pred = numbers(rng, *outputs), numbers(rng, *outputs)
    assert ours(y_true, y_pred) == theirs(FLAT(y_true), FLAT(y_pred))
    raw = ours(y_true, y_pred, multioutput="raw_values")
    np.testing.assert_array_equal(raw, theirs(FLAT(y_true), FLAT(y_pred), multioutput="raw_values"))


@pytest.mark.parametrize(("ours", "theirs", "params"), LABEL_SCORES)
def test_step_weights_of_label_scores(
    ours: Callable,
    theirs: Callable,
    params: dict,
    rng: np.random.Generator,
    step_weight: list[np.ndarray],
) -> None:
    y_true, y_pred = labels(rng), labels(rng)
    expected = theirs(filled(y_true), filled(y_pred), sample_weight=FLAT(step_weight), **params)
    got = ours(y_true, y_pred, sample_weight=step_weight, **params)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.parametrize(("ours", "theirs", "params"), NUMBER_SCORES)
def test_step_weights_of_number_scores(
    ours: Callable,
    theirs: Callable,
    params: dict,
    rng: np.random.Generator,
    step_weight: list[np.ndarray],
) -> None:
    y_true, y_pred = numbers(rng), numbers(rng)
    expected = theirs(FLAT(y_true), FLAT(y_pred), sample_weight=FLAT(step_weight))
    assert ours(y_true, y_pred, sample_weight=step_weight) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("score", ALL_SCORES)
def test_a_weight_of_a_sequence_is_the_weight_of_its_steps(
    score: Callable, rng: np.random.Generator
) -> None:
    make = numbers if score in {ours for ours, _, _ in NUMBER_SCORES} else labels
    y_true, y_pred = make(rng), make(rng)
    per_sequence = [3.0, 1.0, 0.5, 2.0, 1.0, 0.0]
    per_step = [np.full(n, w) for n, w in zip(LENGTHS, per_sequence, strict=True)]
    of_sequences = score(y_true, y_pred, sample_weight=per_sequence)
    assert of_sequences == score(y_true, y_pred, sample_weight=per_step)
    assert of_sequences != score(y_true, y_pred)
    # A weight of two is a sequence seen twice, a weight of zero one not seen.
    twice = score([*y_true, y_true[0]], [*y_pred, y_pred[0]])
    assert score(y_true, y_pred, sample_weight=[2, 1, 1, 1, 1, 1]) == pytest.approx(twice)
    assert score(y_true, y_pred, sample_weight=[1, 1, 1, 1, 1, 0]) == pytest.approx(
        score(y_true[:-1], y_pred[:-1])
    )


def test_inverse_length_as_weight_counts_sequences() -> None:
    y_true, y_pred = [[1, 1, 1, 1], [1]], [[1, 1, 1, 1], [0]]
    assert metrics.sequence_accuracy_score(y_true, y_pred) == 0.8
    weight = [1 / len(y) for y in y_true]
    assert metrics.sequence_accuracy_score(y_true, y_pred, sample_weight=weight) == 0.5


def test_indicator_labels_count_when_all_are_right() -> None:
    y_true = [np.array([[1, 0], [0, 1]]), np.array([[1, 1]])]
    y_pred = [np.array([[1, 0], [1, 1]]), np.array([[1, 1]])]
    assert metrics.sequence_accuracy_score(y_true, y_pred) == pytest.approx(2 / 3)
    assert metrics.sequence_f1_score(y_true, y_pred, average="samples") == sk.f1_score(
        FLAT(y_true), FLAT(y_pred), average="samples"
    )


@pytest.mark.parametrize("container", [list, tuple, np.array])
def test_containers_mean_the_same(container: Callable) -> None:
    rows = [np.array([0, 1, 1]), np.array([1, 0, 1])]
    other = [np.array([0, 1, 0]), np.array([1, 0, 1])]
    assert metrics.sequence_accuracy_score(container(rows), other) == pytest.approx(5 / 6)


def test_object_array() -> None:
    y = np.empty(2, dtype=object)
    y[:] = [np.array([0, 1]), np.array([1])]
    assert metrics.sequence_accuracy_score(y, y) == 1.0


def test_an_empty_list_does_not_change_the_type_of_labels() -> None:
    assert metrics.sequence_accuracy_score([[], [0, 1]], [[], [0, 1]]) == 1.0
    assert metrics.sequence_f1_score([[], ["x", "y"]], [[], ["x", "y"]]) == 1.0


@pytest.mark.parametrize("score", ALL_SCORES)
@pytest.mark.parametrize(
    ("y_true", "y_pred", "message"),
    [
        ([[1]] * 4 + [[1] * 10], [[1]] * 4 + [[1] * 9], r"y_pred\[4\] has 9 steps, y_true\[4\] ha"),
        ([[1], [0]], [[1]], "y_pred holds 1 sequences, y_true holds 2"),
        ([[1], 0], [[1], [0]], r"y_true\[1\] is the single value 0, expected one value per time"),
        ([[1]], np.array([1]), r"y_pred\[0\] is the single value 1"),
        ([[], []], [[], []], "y_true holds 2 sequences and no step"),
        ([], [], "y_true holds 0 sequences and no step"),
        (3, [[1]], "y_true must hold one array per sequence, got int"),
        (["ab"], [["a", "b"]], r"y_true\[0\] is the single value 'ab'"),
        ("ab", [["a", "b"]], "y_true must hold one array per sequence, got str"),
    ],
)
def test_errors_name_what_differs(score: Callable, y_true: Any, y_pred: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score(y_true, y_pred)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1.0], "sample_weight holds 1 weights, y_true holds 2 sequences"),
        ([[1.0], [1.0]], r"sample_weight\[1\] has 1 steps, y_true\[1\] has 2"),
        ([[1.0]], "sample_weight holds 1 sequences, y_true holds 2"),
        ([1.0, [1.0, 2.0]], r"sample_weight\[0\] has 0 dimensions, expected 1"),
        ([[[1.0]], [[1.0], [2.0]]], r"sample_weight\[0\] has 2 dimensions"),
        ([np.nan, 1.0], "NaN"),
    ],
)
def test_errors_of_weights(weight: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metrics.sequence_accuracy_score([[1], [0, 1]], [[1], [0, 1]], sample_weight=weight)


def test_sequences_with_other_outputs_are_named() -> None:
    y = [np.zeros((2, 3)), np.zeros((2, 2))]
    with pytest.raises(ValueError, match=r"each step of y_true\[1\] has shape \(2,\)"):
        metrics.sequence_mean_squared_error(y, y)


class ShiftedClassifier(ClassifierMixin, BaseEstimator):
    """Predicts the sign of the first feature above a threshold, one label per step."""

    def __init__(self, threshold: float = 0.0) -> None:
        self.threshold = threshold

    def fit(self, X: Any, y: Any) -> "ShiftedClassifier":
        self.classes_ = np.unique(FLAT(y))
        return self

    def predict(self, X: Any) -> list[np.ndarray]:
        return [np.where(x[:, 0] > self.threshold, "high", "low") for x in X]


class ScaledRegressor(RegressorMixin, BaseEstimator):
    """Predicts a multiple of the first feature, one number per step."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def fit(self, X: Any, y: Any) -> "ScaledRegressor":
        self.fitted_ = True
        return self

    def predict(self, X: Any) -> list[np.ndarray]:
        return [self.factor * x[:, 0] for x in X]


@pytest.mark.parametrize(
    "scorer", [metrics.sequence_accuracy_scorer, metrics.sequence_f1_macro_scorer]
)
def test_label_scorers_find_the_best_candidate(scorer: Any, ragged: list[np.ndarray]) -> None:
    y = [np.where(x[:, 0] > 0.5, "high", "low") for x in ragged]
    search = GridSearchCV(
        ShiftedClassifier(), {"threshold": [-1.0, 0.5, 1.0]}, scoring=scorer, cv=3
    ).fit(ragged, y)
    assert search.best_params_ == {"threshold": 0.5}
    assert search.best_score_ == 1.0
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.score(ragged, y) == 1.0


@pytest.mark.parametrize(
    ("scorer", "best"),
    [
        (metrics.sequence_neg_mean_squared_error_scorer, 0.0),
        (metrics.sequence_neg_mean_absolute_error_scorer, 0.0),
        (metrics.sequence_r2_scorer, 1.0),
    ],
)
def test_number_scorers_find_the_best_candidate(
    scorer: Any, best: float, ragged: list[np.ndarray]
) -> None:
    y = [2.0 * x[:, 0] for x in ragged]
    search = GridSearchCV(ScaledRegressor(), {"factor": [1.0, 2.0, 5.0]}, scoring=scorer, cv=3).fit(
        ragged, y
    )
    assert search.best_params_ == {"factor": 2.0}
    assert search.best_score_ == best
    assert (search.cv_results_["mean_test_score"] <= best).all()


def test_several_scorers_at_once_and_cross_validation(ragged: list[np.ndarray]) -> None:
    y = [x[:, 0] for x in ragged]
    scoring = {
        "r2": metrics.sequence_r2_scorer,
        "mae": metrics.sequence_neg_mean_absolute_error_scorer,
    }
    search = GridSearchCV(
        ScaledRegressor(), {"factor": [0.0, 1.0]}, scoring=scoring, refit="r2", cv=KFold(2)
    ).fit(ragged, y)
    assert {"mean_test_r2", "mean_test_mae"} <= search.cv_results_.keys()
    scores = cross_val_score(
        ScaledRegressor(), ragged, y, scoring=metrics.sequence_r2_scorer, cv=KFold(4)
    )
    np.testing.assert_array_equal(scores, np.ones(4))
