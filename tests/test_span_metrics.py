"""Spans of tags by the rules of conlleval, and their F1 score."""

from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV

from skrnn.metrics import span_f1_score, span_f1_scorer, spans_from_tags

# What conlleval's startOfChunk and endOfChunk say, case by case; E and S as in its successors.
SPANS = {
    "": [],
    "O O": [],
    "B-X": [(0, 1, "X")],
    "B-X I-X I-X": [(0, 3, "X")],
    "B-X I-X O B-Y": [(0, 2, "X"), (3, 4, "Y")],
    "B-X B-X": [(0, 1, "X"), (1, 2, "X")],
    "I-X B-X": [(0, 1, "X"), (1, 2, "X")],
    "O I-X I-X O": [(1, 3, "X")],
    "B-X I-Y": [(0, 1, "X"), (1, 2, "Y")],
    "I-X I-Y I-Y": [(0, 1, "X"), (1, 3, "Y")],
    "B-X I-X E-X": [(0, 3, "X")],
    "B-X E-X B-X E-X": [(0, 2, "X"), (2, 4, "X")],
    "S-X S-X O": [(0, 1, "X"), (1, 2, "X")],
    "E-X E-X": [(0, 1, "X"), (1, 2, "X")],
    "E-X I-X": [(0, 1, "X"), (1, 2, "X")],
    "O E-X": [(1, 2, "X")],
    "S-X I-X": [(0, 1, "X"), (1, 2, "X")],
    "I-X S-X": [(0, 1, "X"), (1, 2, "X")],
    "B-X E-Y": [(0, 1, "X"), (1, 2, "Y")],
    "B I O I": [(0, 2, ""), (3, 4, "")],
    "B-a-b I-a-b": [(0, 2, "a-b")],
}


def split(*rows: str) -> list[list[str]]:
    return [row.split() for row in rows]


@pytest.mark.parametrize(("tags", "spans"), SPANS.items())
def test_spans_follow_the_rules_of_conlleval(tags: str, spans: list) -> None:
    assert spans_from_tags(tags.split()) == spans
    assert spans_from_tags(np.array(tags.split(), dtype=object)) == spans


def test_both_schemes_mark_the_same_spans() -> None:
    iob, bioes = split("B-X I-X I-X O B-Y B-X I-X", "B-X I-X E-X O S-Y B-X E-X")
    assert spans_from_tags(iob) == spans_from_tags(bioes)
    assert span_f1_score([iob], [bioes]) == 1.0


@pytest.mark.parametrize(
    ("true", "pred", "right", "n_true", "n_pred"),
    [
        # A span one step too long is missing and one too many.
        ("B-X I-X O O", "B-X I-X I-X O", 0, 1, 1),
        ("B-X I-X O B-Y", "B-X I-X O O", 1, 2, 1),
        ("B-X O B-X", "B-X I-X B-X", 1, 2, 2),
        ("B-X I-X", "B-Y I-Y", 0, 1, 1),
        ("B-X I-X I-X", "I-X I-X I-X", 1, 1, 1),
        ("B-X I-X I-X", "B-X B-X I-X", 0, 1, 2),
        ("B-X O B-Y O B-X", "B-X O B-Y O B-Y", 2, 3, 3),
        ("B-X", "O", 0, 1, 0),
        ("O", "B-X", 0, 0, 1),
    ],
)
def test_the_score_is_the_harmonic_mean_of_precision_and_recall(
    true: str, pred: str, right: int, n_true: int, n_pred: int
) -> None:
    precision = right / n_pred if n_pred else 0.0
    recall = right / n_true if n_true else 0.0
    both = precision + recall
    expected = 2 * precision * recall / both if both else 0.0
    assert span_f1_score(split(true), split(pred)) == pytest.approx(expected)


def test_counts_are_summed_over_sequences_and_spans_end_with_them() -> None:
    y_true, y_pred = split("O B-X", "I-X O", "B-X"), split("O B-X", "O O", "B-X")
    assert span_f1_score(y_true, y_pred) == pytest.approx(2 * 2 / (3 + 2))


def test_averages_over_types() -> None:
    y_true, y_pred = split("B-X O B-Y", "B-X O B-Z"), split("B-X O O", "B-X O B-Y")
    per_type = span_f1_score(y_true, y_pred, average=None)
    np.testing.assert_allclose(per_type, [1.0, 0.0, 0.0])
    assert span_f1_score(y_true, y_pred, average="macro") == pytest.approx(1 / 3)
    assert span_f1_score(y_true, y_pred, labels=["X"]) == 1.0
    assert span_f1_score(y_true, y_pred) == pytest.approx(2 * 2 / (4 + 3))
    np.testing.assert_allclose(
        span_f1_score(y_true, y_pred, labels=["Z", "X"], average=None), [0.0, 1.0]
    )


def test_spans_of_one_step_are_labels(rng: np.random.Generator) -> None:
    """Where every span is one step and none is predicted outside, it is the F1 of steps."""
    true, pred = (rng.choice(["S-X", "S-Y", "S-Z"], size=(5, 8)) for _ in range(2))
    assert span_f1_score(true, pred, average="macro") == pytest.approx(
        f1_score(true.ravel(), pred.ravel(), average="macro")
    )


def test_a_weight_of_two_is_a_sequence_seen_twice() -> None:
    y_true, y_pred = split("B-X O", "B-X B-X", "O B-Y"), split("B-X O", "B-X I-X", "O O")
    weighted = span_f1_score(y_true, y_pred, sample_weight=[2, 1, 0])
    assert weighted == span_f1_score([y_true[0], *y_true[:2]], [y_pred[0], *y_pred[:2]])
    assert weighted != span_f1_score(y_true, y_pred)


def test_without_spans_there_is_no_score() -> None:
    nothing = split("O O", "O")
    with pytest.warns(UndefinedMetricWarning, match="there is no span, neither true nor predicted"):
        assert span_f1_score(nothing, nothing) == 0.0
    with pytest.warns(UndefinedMetricWarning, match="no span of type 'X'"):
        assert span_f1_score(split("B-Y"), split("B-Y"), labels=["X", "Y"], average="macro") == 0.5
    assert span_f1_score(nothing, nothing, zero_division=1.0) == 1.0
    assert span_f1_score(nothing, nothing, average="macro", zero_division=1.0) == 1.0
    assert span_f1_score(nothing, nothing, average=None).shape == (0,)
    left_out = {"average": "macro", "labels": ["X", "Y"], "zero_division": np.nan}
    assert span_f1_score(split("B-Y"), split("B-Y"), **left_out) == 1.0
    assert np.isnan(span_f1_score(nothing, nothing, **left_out))


@pytest.mark.parametrize(
    ("y_true", "y_pred", "params", "message"),
    [
        ([["O", "PER"]], [["O", "O"]], {}, r"y_true\[0\]\[1\] is 'PER', which is no tag"),
        ([["O"], ["O"]], [["O"], ["L-X"]], {}, r"y_pred\[1\]\[0\] is 'L-X'"),
        ([["O-X"]], [["O"]], {}, r"y_true\[0\]\[0\] is 'O-X'"),
        ([[1, 0]], [[1, 0]], {}, r"y_true\[0\]\[0\] is .*1.*, which is no tag of a span"),
        ([["O"]], [["O", "O"]], {}, r"y_pred\[0\] has 2 steps, y_true\[0\] has 1"),
        ([["O"]], [["O"], ["O"]], {}, "y_pred holds 2 sequences, y_true holds 1"),
        (["O"], ["O"], {}, r"y_true\[0\] is the single value 'O'"),
        ([["O"]], [["O"]], {"average": "weighted"}, "average must be 'micro', 'macro' or None"),
        ([["O"]], [["O"]], {"labels": "X"}, r"labels must be a list of types, as \['X'\]"),
        ([["O"]], [["O"]], {"sample_weight": [[1.0]]}, "a span has no weight per step"),
        ([["O"]], [["O"]], {"sample_weight": [1, 2]}, "holds 2 weights, y_true holds 1 sequences"),
    ],
)
def test_errors_name_what_is_wrong(
    y_true: Any, y_pred: Any, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        span_f1_score(y_true, y_pred, **params)


class ThresholdTagger(ClassifierMixin, BaseEstimator):
    """Tags steps whose first feature is above a threshold."""

    def __init__(self, threshold: float = 0.0) -> None:
        self.threshold = threshold

    def fit(self, X: Any, y: Any) -> "ThresholdTagger":
        self.classes_ = np.array(["I-X", "O"])
        return self

    def predict(self, X: Any) -> list[np.ndarray]:
        return [np.where(x[:, 0] > self.threshold, "I-X", "O") for x in X]


def test_the_scorer_finds_the_best_candidate(ragged: list[np.ndarray]) -> None:
    y = [np.where(x[:, 0] > 0.5, "I-X", "O") for x in ragged]
    search = GridSearchCV(
        ThresholdTagger(), {"threshold": [-1.0, 0.5, 1.0]}, scoring=span_f1_scorer, cv=3
    ).fit(ragged, y)
    assert search.best_params_ == {"threshold": 0.5}
    assert search.best_score_ == 1.0
