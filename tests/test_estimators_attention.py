"""Attention of the estimators: how much every step of a sequence counts."""

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from skrnn import RNNClassifier, RNNRegressor

TINY: dict[str, Any] = {"hidden_size": 4, "max_epochs": 2, "random_state": 0}


@pytest.mark.parametrize("frontend", [None, "patch", "conv"])
@pytest.mark.parametrize("heads", [1, 3])
def test_every_sequence_has_weights_that_sum_to_one(
    ragged: list, labels: np.ndarray, heads: int, frontend: str | None
) -> None:
    params = {"pooling": ("mean", "attention"), "attention_heads": heads, "frontend": frontend}
    model = RNNClassifier(**params, **TINY).fit(ragged, labels)
    weights = model.attention_weights(ragged)
    for x, w in zip(ragged, weights, strict=True):
        assert w.shape == ((len(x),) if heads == 1 else (heads, len(x)))
        assert w.dtype == np.float64
        assert (w >= 0).all()
        np.testing.assert_allclose(w.sum(axis=-1), 1, atol=1e-6)
    for i in (0, 5):
        np.testing.assert_allclose(model.attention_weights(ragged[i : i + 1])[0], weights[i], 1e-4)
    again = pickle.loads(pickle.dumps(model)).attention_weights(ragged)
    assert all(np.array_equal(a, b) for a, b in zip(weights, again, strict=True))


def test_attention_finds_the_step_that_counts(rng: np.random.Generator) -> None:
    """The target is the second feature where the first one is marked."""
    X = rng.normal(size=(200, 6, 2))
    marked = rng.integers(6, size=200)
    X[..., 0] = np.arange(6) == marked[:, None]
    y = X[np.arange(200), marked, 1]
    model = RNNRegressor(
        pooling="attention", cell="rnn", bidirectional=False, hidden_size=8, lr=0.02, random_state=0
    )
    model.set_params(max_epochs=30).fit(X, y)
    found = np.argmax(model.attention_weights(X), axis=1)
    assert model.score(X, y) > 0.8
    assert np.mean(found == marked) > 0.5  # a sixth by chance


def test_heads_make_the_representation_longer(ragged: list, numbers: np.ndarray) -> None:
    model = RNNRegressor(pooling="attention", attention_heads=3, bidirectional=False, **TINY)
    assert model.fit(ragged, numbers).transform(ragged).shape == (len(ragged), 12)


def test_a_sequence_without_steps_has_no_weights(ragged: list, labels: np.ndarray) -> None:
    model = RNNClassifier(pooling="attention", empty="zero_state", **TINY).fit(ragged, labels)
    assert [w.shape for w in model.attention_weights([np.zeros((0, 3)), ragged[0]])] == [
        (0,),
        (len(ragged[0]),),
    ]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, r"pooling=\('mean', 'max', 'last'\) has no attention.*pooling='attention'"),
        ({"return_sequences": True}, "return_sequences=True has no attention weights"),
    ],
)
def test_without_attention_there_are_no_weights(
    ragged: list, numbers: np.ndarray, step_numbers: list, params: dict[str, Any], message: str
) -> None:
    y = step_numbers if params else numbers
    model = RNNRegressor(**params, **TINY)
    with pytest.raises(NotFittedError):
        model.attention_weights(ragged)
    model.fit(ragged, y)
    with pytest.raises(ValueError, match=message):
        model.attention_weights(ragged)
