"""Regularisation of the estimators: it acts in training only, and is refused where it cannot."""

import pickle
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone

from skrnn import RNNClassifier, RNNRegressor
from skrnn.nn import Jitter, Scaling, TimeWarp

TINY: dict[str, Any] = {"hidden_size": 4, "max_epochs": 2, "random_state": 0}
SLOTS: dict[str, dict[str, Any]] = {
    "input": {"input_dropout": 0.4},
    "recurrent": {"recurrent_dropout": 0.4},
    "weight": {"weight_dropout": 0.4},
    "smoothing": {"label_smoothing": 0.3},
    "jitter": {"augmentation": Jitter(0.5)},
    "several": {"augmentation": [TimeWarp(), Scaling()]},
}
slots = pytest.mark.parametrize("params", SLOTS.values(), ids=list(SLOTS))


def tokens() -> tuple[list[np.ndarray], np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(1, 20, size=n) for n in rng.integers(3, 8, size=16)], np.arange(16) % 2


@slots
def test_it_changes_the_training_and_not_the_prediction(
    ragged: list, labels: np.ndarray, params: dict[str, Any]
) -> None:
    state = torch.get_rng_state()
    plain = RNNClassifier(**TINY).fit(ragged, labels)
    model = RNNClassifier(**params, **TINY).fit(ragged, labels)
    expected = model.predict_proba(ragged)
    assert not np.allclose(plain.predict_proba(ragged), expected, atol=1e-6)
    assert np.array_equal(model.predict_proba(ragged), expected)
    assert np.array_equal(clone(model).fit(ragged, labels).predict_proba(ragged), expected)
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict_proba(ragged), expected)
    assert torch.equal(torch.get_rng_state(), state)


@slots
def test_the_held_out_loss_is_plain(
    ragged: list, labels: np.ndarray, params: dict[str, Any]
) -> None:
    """With a learning rate that moves nothing, only the training loss can differ."""
    rows = []
    for given in ({}, params):
        still = {**TINY, "max_epochs": 1, "lr": 1e-12, "validation_split": (ragged, labels)}
        rows.append(RNNClassifier(**given, **still).fit(ragged, labels).history_[0])
    assert rows[0]["valid_loss"] == pytest.approx(rows[1]["valid_loss"], rel=1e-6)
    assert rows[0]["train_loss"] != pytest.approx(rows[1]["train_loss"], rel=1e-6)


def test_whole_tokens_are_dropped_in_training() -> None:
    X, y = tokens()
    fits = [
        RNNClassifier(embedding_dim=3, embedding_dropout=p, **TINY).fit(X, y) for p in (0.0, 0.5)
    ]
    assert not np.allclose(*[model.predict_proba(X) for model in fits], atol=1e-6)
    assert np.array_equal(fits[1].predict_proba(X), fits[1].predict_proba(X))


@pytest.mark.parametrize("params", [{"tbptt_steps": 3}, {"return_sequences": True}])
@pytest.mark.parametrize("slot", ["input", "recurrent", "weight", "jitter"])
def test_it_goes_with_chunks_and_with_answers_per_step(
    ragged: list, numbers: np.ndarray, step_numbers: list, params: dict[str, Any], slot: str
) -> None:
    y = step_numbers if "return_sequences" in params else numbers
    models = [RNNRegressor(**params, **SLOTS[slot], **TINY).fit(ragged, y) for _ in "ab"]
    first, second = (np.concatenate([np.atleast_1d(p) for p in m.predict(ragged)]) for m in models)
    assert np.isfinite(first).all()
    assert np.array_equal(first, second)


def test_smoothing_and_class_weights_multiply(ragged: list, labels: np.ndarray) -> None:
    """One class counting nothing is the loss of the other alone, smoothed."""
    only = labels == "up"
    still = {**TINY, "max_epochs": 1, "lr": 1e-12, "label_smoothing": 0.2, "dtype": "float64"}
    weighted = RNNClassifier(class_weight={"up": 3.0, "down": 1e-12}, **still).fit(ragged, labels)
    alone = RNNClassifier(**still).fit(ragged, labels, sample_weight=np.where(only, 1.0, 1e-12))
    assert weighted.history_[0]["train_loss"] == pytest.approx(alone.history_[0]["train_loss"])


def test_labels_of_steps_are_smoothed(ragged: list, step_labels: list) -> None:
    still = {**TINY, "max_epochs": 1, "lr": 1e-12, "return_sequences": True, "dtype": "float64"}
    plain, smooth = (
        RNNClassifier(label_smoothing=s, **still).fit(ragged, step_labels) for s in (0.0, 0.4)
    )
    flipped = [np.where(y == "high", "low", "high") for y in step_labels]
    other = clone(plain).fit(ragged, flipped)
    losses = [model.history_[0]["train_loss"] for model in (plain, other, smooth)]
    assert losses[2] == pytest.approx(0.8 * losses[0] + 0.2 * losses[1])


def test_parts_learn_with_the_augmentation_of_the_day(ragged: list, numbers: np.ndarray) -> None:
    seen: list[Any] = []

    class Watching:
        def augment(self, x: Any, valid: Any, generator: Any) -> Any:
            seen.append((x, valid, generator))
            return x

    model = RNNRegressor(batch_size=64, **TINY).partial_fit(ragged, numbers)
    model.set_params(augmentation=Watching()).partial_fit(ragged, numbers)
    ((x, valid, generator),) = seen
    steps = x[valid.mask]
    torch.testing.assert_close(steps.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(steps.std(0, correction=0), torch.ones(3))
    assert isinstance(generator, torch.Generator)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"recurrent_dropout": 0.1, "cell": "mingru"}, "recurrent_dropout drop.*cell='mingru'"),
        ({"weight_dropout": 0.1, "cell": torch.nn.GRUCell}, "weight_dropout drop.*GRUCell"),
        ({"memory_steps": 50, "cell": "rnn"}, "memory_steps=50 decides.*cell='rnn'"),
        ({"memory_steps": 1}, "'memory_steps' parameter of RNNClassifier"),
        ({"augmentation": [Jitter(), 3]}, "holds 3, which has no method augment or mix"),
        ({"augmentation": Jitter(), "embedding_dim": 2}, "embedding_dim=2 says.*token ids"),
        ({"augmentation": 3}, "'augmentation' parameter of RNNClassifier"),
        ({"label_smoothing": 1.0}, "'label_smoothing' parameter of RNNClassifier"),
        ({"weight_dropout": 1.0}, "'weight_dropout' parameter of RNNClassifier"),
    ],
)
def test_what_cannot_be_is_named(
    ragged: list, labels: np.ndarray, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        RNNClassifier(**params, **TINY).fit(ragged, labels)


def test_steps_with_answers_stay_where_they_are(ragged: list, step_numbers: list) -> None:
    model = RNNRegressor(augmentation=TimeWarp(), return_sequences=True, **TINY)
    with pytest.raises(ValueError, match=r"TimeWarp\(scale=0.2, n_knots=4\) moves steps in time"):
        model.fit(ragged, step_numbers)


def test_an_augmentation_must_keep_the_shape(ragged: list, numbers: np.ndarray) -> None:
    class Short:
        def augment(self, x: Any, valid: Any, generator: Any) -> Any:
            return x[:, 1:]

    with pytest.raises(ValueError, match=r"Short.augment made a batch of shape \(24, 8, 3\)"):
        RNNRegressor(augmentation=Short(), **TINY).fit(ragged, numbers)


def test_weight_decay_spares_norms_and_not_the_vectors_of_tokens(
    ragged: list, labels: np.ndarray
) -> None:
    X, y = tokens()
    for params, data in [({"frontend": "conv"}, (ragged, labels)), ({"embedding_dim": 3}, (X, y))]:
        model = RNNClassifier(**params, **TINY).set_params(optimizer__weight_decay=0.3)
        net = model.fit(*data).net_
        groups = net.optimizer_.param_groups
        decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
        for name, parameter in net.module_.named_parameters():
            spared = "norm" in name or "bias" in name or "weight_hh" in name
            assert decay[id(parameter)] == (0.0 if spared else 0.3), name
