"""Small predictions: fewer rows are computed only where that changes no digit."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skrnn import RNNClassifier
from skrnn._training._filling import FEWEST_ROWS
from skrnn.nn import RecurrentLayer

CELLS = ("gru", "lstm", "mingru", "rnn")


class CountingRows(RecurrentLayer):
    """A running mean that rounds differently for every number of rows."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(hidden_size)
        self.linear = torch.nn.Linear(input_size, hidden_size)

    def forward(self, x, state=None):
        output = self.linear(x).cumsum(1) * (1 + 1e-6 * len(x))
        return output, output[:, -1:]


def sequences(seed: int, lengths: list[int]) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(length, 3)) for length in lengths]


def fitted(X, **params) -> RNNClassifier:
    small = {"hidden_size": 8, "max_epochs": 1, "early_stopping": False, "random_state": 0}
    y = np.arange(len(X)) % 2
    if params.get("return_sequences"):
        y = [np.arange(len(x)) % 2 for x in X]
    return RNNClassifier(**{**small, **params}).fit(X, y)


def rows_computed(model: RNNClassifier, X) -> list[int]:
    """Rows of each batch that the network reads in a prediction."""
    seen: list[int] = []
    hook = model.net_.module_.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    model.predict_proba(X)
    hook.remove()
    return seen


PARTS = ([3], [3], [7], [1, 2, 3], list(range(12)), [149, 3], [3])


@pytest.mark.parametrize("cell", CELLS)
def test_any_part_of_the_data_has_the_digits_of_the_whole(cell: str) -> None:
    X = sequences(0, [5] * 150)
    model = fitted(X, cell=cell)
    whole = model.predict_proba(X)
    for part in PARTS:
        assert_array_equal(model.predict_proba([X[i] for i in part]), whole[part])


@pytest.mark.parametrize("cell", CELLS)
def test_few_rows_have_the_digits_of_many_of_the_same_length(cell: str) -> None:
    X = sequences(0, [3, 9, 4, 7, 1] * 30)
    model = fitted(X, cell=cell)
    whole = model.predict_proba(X)
    for part in PARTS:
        given = [X[i] for i in part]
        model.net_.small_enough_ = {}
        first = model.predict_proba(given)
        assert_array_equal(model.predict_proba(given), first)
        assert_allclose(first, whole[part], atol=1e-6)


def test_answers_per_step_have_the_digits_of_the_whole() -> None:
    X = sequences(1, [5, 9, 5, 2] * 40)
    model = fitted(X, return_sequences=True)
    first = [model.predict_proba(X[i : i + 1])[0] for i in range(4)]
    for i, row in enumerate(first):
        assert_array_equal(model.predict_proba(X[i : i + 1])[0], row)


def test_few_rows_are_computed_where_they_have_the_digits_of_many() -> None:
    X = sequences(2, [5] * 4)
    model = fitted(X, cell="lstm")
    first, second = rows_computed(model, X[:1]), rows_computed(model, X[:1])
    assert first == second
    (agree,) = model.net_.small_enough_.values()
    assert (first[0] == FEWEST_ROWS) == agree


def test_many_rows_are_computed_where_few_round_differently() -> None:
    X = sequences(3, [5] * 150)
    model = fitted(X, cell=CountingRows)
    whole = model.predict_proba(X)
    assert_array_equal(model.predict_proba(X[4:5]), whole[4:5])
    assert rows_computed(model, X[:1]) == [128]


def test_tokens_are_tried_as_well() -> None:
    X = [np.arange(1, 6)] * 4
    model = fitted(X, embedding_dim=3)
    assert_array_equal(model.predict_proba(X[:1]), model.predict_proba(X * 50)[:1])
    assert len(model.net_.small_enough_) == 1


def test_batches_among_others_stay_full() -> None:
    X = sequences(4, [5] * 130)
    model = fitted(X)
    assert rows_computed(model, X) == [128, 128]
    assert model.net_.small_enough_ == {}
