"""Front ends of the estimators: what they choose, keep and refuse."""

import pickle
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone

from skrnn import RNNClassifier, RNNRegressor
from skrnn._automatic import resolve_epochs, resolve_frontend
from skrnn.nn import ConvFrontend, Frontend, PatchFrontend, SequenceNetwork
from skrnn.sktime import RNNClassifier as SktimeClassifier

SMALL = partial(ConvFrontend, channels=2, kernel_sizes=(3, 5), width=4, depth=1)
TINY: dict[str, Any] = {"hidden_size": 4, "max_epochs": 1, "random_state": 0}


def of_length(n_steps: int, n_samples: int = 4) -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(0).normal(size=(n_samples, n_steps, 1))
    return X, np.arange(n_samples) % 2


def fitted(n_steps: int, n_samples: int = 4, **params: Any) -> Any:
    return RNNClassifier(**TINY, **params).fit(*of_length(n_steps, n_samples))


@pytest.mark.parametrize(
    ("name", "n_steps", "stride"),
    [
        ("patch", 10, 2),
        ("patch", 200, 4),
        ("conv", 10, (1, 1)),
        ("conv", 130, (2, 3)),
        ("conv", 1000, (8, 4)),
    ],
)
def test_the_stride_leaves_few_steps(name: str, n_steps: int, stride: Any) -> None:
    frontend = fitted(n_steps, frontend=name).net_.module_.frontend
    assert (frontend.stride if name == "patch" else frontend.strides) == stride


@pytest.mark.parametrize(
    ("n_steps", "n_samples", "expected"),
    [
        (12, 4, None),
        (13, 4, "conv"),
        (2000, 2000, "conv"),
        (2000, 2001, "patch"),
        (2001, 4, "patch"),
    ],
)
def test_auto_goes_by_length_and_number(n_steps: int, n_samples: int, expected: Any) -> None:
    lengths = np.full(n_samples, n_steps)
    assert resolve_frontend(RNNClassifier(frontend="auto"), lengths)["frontend"] == expected


@pytest.mark.parametrize(("n_steps", "widest"), [(13, 9), (40, 9), (41, 39)])
def test_short_sequences_meet_narrow_convolutions(n_steps: int, widest: int) -> None:
    convolutions = fitted(n_steps).net_.module_.frontend.stem.convolutions
    assert max(convolution.kernel_size[1] for convolution in convolutions) == widest


@pytest.mark.parametrize(
    ("frontend", "n_samples", "expected"),
    [(None, 10, 100), ("conv", 10, 600), ("conv", 320, 100), ("conv", 32_000, 20)],
)
def test_convolutions_are_trained_for_a_number_of_steps(
    frontend: str | None, n_samples: int, expected: int
) -> None:
    spec = {"n_features": 1, "head": "categorical", "n_outputs": 2, "frontend": frontend}
    network = SequenceNetwork.build(spec)
    assert resolve_epochs(RNNClassifier(), n_samples, network) == expected
    assert resolve_epochs(RNNClassifier(max_epochs=7), n_samples, network) == 7


def test_auto_makes_no_statistics_of_batches_that_processes_share() -> None:
    model = RNNClassifier(frontend="auto", accelerator=SimpleNamespace(num_processes=2))
    assert resolve_frontend(model, np.full(4, 200))["frontend"] == "patch"


def test_auto_reaches_the_network() -> None:
    assert isinstance(fitted(110, frontend="auto").net_.module_.frontend, ConvFrontend)


@pytest.mark.parametrize("params", [{"tbptt_steps": 50}, {"embedding_dim": 2}])
def test_auto_leaves_chunks_and_tokens_alone(params: dict[str, Any]) -> None:
    X, y = of_length(120)
    model = RNNClassifier(frontend="auto", **params, **TINY).fit((X > 0).astype(int), y)
    assert model.net_.module_.frontend is None


def test_auto_leaves_answers_per_step_alone() -> None:
    X, _ = of_length(120)
    model = RNNRegressor(frontend="auto", return_sequences=True, **TINY).fit(X, list(X))
    assert model.net_.module_.frontend is None
    assert [len(y) for y in model.predict(X)] == [120] * 4


@pytest.mark.parametrize("frontend", ["patch", "conv", SMALL], ids=["patch", "conv", "partial"])
def test_a_copy_and_a_pickle_predict_the_same(
    ragged: list, labels: np.ndarray, frontend: Any
) -> None:
    model = RNNClassifier(frontend=frontend, **TINY).fit(ragged, labels)
    expected = model.predict_proba(ragged)
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict_proba(ragged), expected)
    again = clone(model).fit(ragged, labels)
    assert np.array_equal(again.predict_proba(ragged), expected)


def test_the_front_end_is_kept_when_training_goes_on() -> None:
    X, y = of_length(200)
    model = RNNClassifier(frontend="patch", warm_start=True, **TINY).fit(X, y)
    model.fit(X[:, :20], y).partial_fit(X[:, :20], y)
    assert model.net_.module_.frontend.stride == 4
    with pytest.raises(ValueError, match="other settings of frontend;"):
        model.set_params(frontend="conv").fit(X, y)


def test_features_are_those_of_pooling_and_map(ragged: list, labels: np.ndarray) -> None:
    model = RNNClassifier(frontend=SMALL, pooling="last", **TINY).fit(ragged, labels)
    assert model.transform(ragged).shape == (len(ragged), 2 * 4 + 4)
    assert len(model.get_feature_names_out()) == 12


def test_a_class_of_the_user_is_called_with_the_number_of_features(
    ragged: list, numbers: np.ndarray
) -> None:
    class Doubled(Frontend):
        def __init__(self, input_size: int) -> None:
            super().__init__(2 * input_size)

        def forward(self, x: Any, valid: Any) -> Any:
            return x.repeat(1, 1, 2)

    model = RNNRegressor(frontend=Doubled, **TINY).fit(ragged, numbers)
    assert model.net_.module_.encoder.input_size == 6


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"frontend": "patch", "return_sequences": True}, "frontend='patch'.*return_sequences"),
        ({"frontend": "conv", "tbptt_steps": 5}, "frontend='conv'.*tbptt_steps=5"),
        ({"frontend": "patch", "tbptt_steps": 5}, "frontend='patch'.*tbptt_steps=5"),
        ({"frontend": "wave"}, "'frontend' parameter of RNNClassifier"),
    ],
)
def test_what_does_not_go_together_is_named(params: dict[str, Any], message: str) -> None:
    X, y = of_length(10)
    with pytest.raises(ValueError, match=message):
        RNNClassifier(**params, **TINY).fit(X, y)


def test_a_class_that_shortens_does_not_answer_every_step() -> None:
    X, _ = of_length(10)
    model = RNNRegressor(frontend=PatchFrontend, return_sequences=True, **TINY)
    with pytest.raises(ValueError, match=r"frontend=PatchFrontend.*return_sequences=True"):
        model.fit(X, list(X))


def test_the_twin_has_it_too() -> None:
    X, y = of_length(150)
    twin = SktimeClassifier(frontend="patch", **TINY).fit(X.transpose(0, 2, 1), y)
    assert isinstance(twin.rnn_.net_.module_.frontend, PatchFrontend)
