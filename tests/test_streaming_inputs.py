"""Streams of gaps, times, words and patches: after every step the answer for the steps so far."""

import copy
import gc
import pickle
import re
import tracemalloc
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from gappy_data import gappy, labels, timed
from numpy.testing import assert_allclose, assert_array_equal
from test_export_numpy import CELLS
from test_streaming import Leaky, RunningSum, newest, prefixes
from word_data import WORDS, spelt

from skrnn import RNNClassifier, RNNRegressor
from skrnn._automatic import STEPS_TO_READ
from skrnn.export import to_numpy
from skrnn.nn import Frontend

ONE_WAY: dict[str, Any] = {
    "bidirectional": False,
    "hidden_size": 4,
    "max_epochs": 2,
    "lr": 0.05,
    "random_state": 0,
}
POOLINGS = ("mean", "max", "last", "attention")
NAN = float("nan")


class Changes(Frontend):
    """A front end of one's own."""

    def __init__(self, input_size: int) -> None:
        super().__init__(input_size)

    def forward(self, x: Any, valid: Any) -> Any:
        return x


def data_of(times: bool) -> list[np.ndarray]:
    """Sequences with gaps, the times of the steps in the last feature; seconds since 1970."""
    return timed(gappy(), start=1.7e9) if times else gappy()


def assert_streams(model: Any, X: list[np.ndarray], predict: str = "predict_proba") -> None:
    """Streams of an estimator, and of its predictor, answer as for the prefixes."""
    step = {"predict_proba": "step_proba", "predict": "step"}[predict]
    for maker in (model, *([to_numpy(model)] if isinstance(model.cell, str) else [])):
        stream = maker.stream()
        for x in X:
            found = np.concatenate([getattr(stream, step)(row) for row in x])
            expected = newest(getattr(model, predict)(prefixes(x)))
            assert_allclose(found, expected, atol=1e-6, rtol=1e-6)
            # Several steps at once.
            assert_allclose(getattr(stream.reset(), step)(x[None])[0], found, atol=1e-6)
            stream.reset()


# -- gaps and times ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "layers", "times"),
    [
        *product([*CELLS, "grud"], [1, (4, 3)], [False, True]),
        (Leaky, (4, 3), True),
        (RunningSum, 1, False),
    ],
)
def test_gaps_and_times(cell: Any, layers: Any, times: bool) -> None:
    X = data_of(times)
    model = RNNClassifier(cell=cell, missing="mask", pooling=POOLINGS, **ONE_WAY)
    model.set_params(hidden_size=layers, time_channel=3 if times else None).fit(X, labels(X))
    assert_streams(model, [*X[:3], np.full((2, X[0].shape[1]), NAN if not times else 1.7e9)])


@pytest.mark.parametrize(("cell", "times"), [*product(["lstm", "grud"], [False, True])])
def test_gaps_with_an_answer_per_step(cell: str, times: bool) -> None:
    X = data_of(times)
    params = {"n_estimators": 2, "dtype": "float64", "return_sequences": True, **ONE_WAY}
    model = RNNRegressor(cell=cell, missing="mask", time_channel=3 if times else None, **params)
    assert_streams(model.fit(X, [np.arange(len(x)) for x in X]), X[:3], "predict")


def test_times_alone() -> None:
    X = [np.nan_to_num(x[:, [3, 0]]) for x in data_of(times=True)]
    model = RNNRegressor(time_channel=0, **ONE_WAY).fit(X, np.arange(len(X)))
    assert_streams(model, X[:3], "predict")


def test_features_nobody_saw() -> None:
    X = gappy()
    for x in X:
        x[:, 1] = NAN
    model = RNNClassifier(missing="mask", **ONE_WAY).fit(X, labels(X))
    assert_streams(model, [np.where(np.isnan(x), 7.0, x) for x in X[:2]])


def test_streams_of_gaps_start_and_stop_when_they_like() -> None:
    """Every stream has a clock of its own, which is part of its state."""
    X = data_of(times=True)
    model = RNNRegressor(cell="grud", missing="mask", time_channel=3, **ONE_WAY)
    model.fit(X, labels(X))
    rng, streams = np.random.default_rng(1), model.stream(n_streams=3)
    position = np.zeros(3, dtype=int)
    while any(left := position < [len(x) for x in X[:3]]):
        rows = rng.permutation(np.flatnonzero(left))[: rng.integers(1, 3)]
        answer = streams.step([X[i][position[i]] for i in rows], rows=rows)
        position[rows] += 1
        expected = model.predict([X[i][: position[i]] for i in rows])
        assert_allclose(answer, expected, atol=1e-6)
        state = streams.state_dict()
        assert {"times", "net0.irregular.last", "net0.irregular.seen"} < set(state)
        streams = model.stream(3).load_state_dict(state)
    # One that starts anew counts its times from there.
    streams.reset([1]).update(X[5][:2][None], rows=[1])
    assert_allclose(streams.predict([1]), model.predict([X[5][:2]]), atol=1e-6)
    for other in (copy.copy(streams), pickle.loads(pickle.dumps(streams))):
        assert_array_equal(other.predict(), streams.predict())


def test_gaps_do_not_drift() -> None:
    X = gappy()
    model = RNNRegressor(missing="mask", cell="grud", dtype="float64", **ONE_WAY)
    model.fit(X, labels(X))
    x = np.full((1000, 3), NAN)
    x[::300] = 1.0
    assert_allclose(model.stream().update(x[None]).predict(), model.predict([x]), atol=1e-9)


def test_wrong_times_and_infinities_move_no_stream() -> None:
    X = data_of(times=True)
    model = RNNRegressor(missing="mask", time_channel=3, **ONE_WAY).fit(X, labels(X))
    streams = model.stream(2).update(np.array([[1.0, NAN, 2.0, 10.0], [NAN, NAN, NAN, 5.0]]))
    state = streams.state_dict()
    row = np.array([0.0, 0.0, 0.0, 11.0])
    for x, message in [
        ([row, [0, 0, 0, 4]], "stream 1 goes back in time from 5 to 4; pass the steps"),
        ([[row, row - 0.5], [row, row]], "stream 0 goes back in time from 11 to 10.5"),
        ([row, [0, 0, 0, NAN]], "x at stream 1, feature 3 is no time; every step needs one"),
        ([row, [0, np.inf, 0, 11]], "x at stream 1, feature 1 is infinite"),
    ]:
        with pytest.raises(ValueError, match=message):
            streams.step(x)
        for name, array in streams.state_dict().items():
            assert_array_equal(array, state[name])
    assert streams.step(np.zeros((0, 4)), rows=[]).shape == (0,)
    assert streams.update(np.zeros((2, 0, 4))).n_steps.tolist() == [1, 1]
    complete = RNNRegressor(**ONE_WAY).fit([np.nan_to_num(x) for x in X], labels(X))
    with pytest.raises(ValueError, match="is NaN or infinite"):
        complete.stream().step([1.0, NAN, 0.0, 0.0])


# -- words ------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoder", ["conv", "gru", "lstm"])
def test_a_step_is_a_word(encoder: str) -> None:
    X = spelt()
    params = {**WORDS, **ONE_WAY}
    model = RNNClassifier(character_encoder=encoder, loss="crf", return_sequences=True, **params)
    model.fit(X, [x[:, 0] % 3 for x in X])
    assert_streams(model, X[:5])
    model = RNNClassifier(character_encoder=encoder, **params).fit(X, labels(X))
    assert_streams(model, X[:5])
    stream = model.stream()
    for wrong, message in [
        ([0, 1, 0, 0, 0, 0], "feature 0 is the token id 0; .* 0 is padding, which is no step"),
        ([9, 1, 0, 0, 0, 0], "feature 0 is the token id 9"),
        ([8, 1, 12, 0, 0, 0], r"feature 2 is the character id 12; .* 0 \(none\) to 11"),
    ]:
        with pytest.raises(ValueError, match=message):
            stream.step(wrong)
    assert stream.step_proba(np.zeros((0, 6)), rows=[]).shape == (0, 2)


# -- front ends -------------------------------------------------------------------------------


@pytest.mark.parametrize(("cell", "stride"), [*product(["lstm", "mingru", Leaky], [2, 3])])
def test_patches(rng: np.random.Generator, cell: Any, stride: int) -> None:
    """A patch that is not complete counts as the last one of the sequence so far."""
    median = stride * STEPS_TO_READ - 1
    X = [rng.normal(size=(n, 2)) for n in (5, median, median, 7, median)]
    model = RNNClassifier(cell=cell, frontend="patch", pooling=POOLINGS, **ONE_WAY)
    model.fit(X, [0, 1, 0, 1, 0])
    assert model._spec["frontend_stride"] == stride
    assert_streams(model, [X[0], X[3], X[1][:11]])
    # Streams that are at different places in their patches.
    streams, position = model.stream(3), np.zeros(3, dtype=int)
    for rows in ([0], [0, 1], [2], [0, 1, 2], [1, 2], [0], [1], [1, 2]):
        answer = streams.step_proba([X[i][position[i]] for i in rows], rows=rows)
        position[rows] += 1
        expected = model.predict_proba([X[i][: position[i]] for i in rows])
        assert_allclose(answer, expected, atol=1e-6)
    assert_allclose(streams.predict_proba([1]), expected[:1], atol=1e-6)
    again = model.stream(3).load_state_dict(streams.state_dict())
    assert_array_equal(again.predict_proba(), streams.predict_proba())


def test_patches_of_gaps(rng: np.random.Generator) -> None:
    X = [rng.normal(size=(n, 2)) for n in (5, 299, 299, 299)]
    for x in X:
        x[rng.random(x.shape) < 0.3] = NAN
    X = [np.column_stack([x, np.arange(len(x))]) for x in X]
    params = {"missing": "mask", "time_channel": 2, "empty": "zero_state", **ONE_WAY}
    model = RNNRegressor(frontend="patch", n_estimators=2, **params).fit(X, np.arange(4))
    assert_streams(model, [X[0], X[1][:8]], "predict")
    assert_allclose(model.stream().predict(), model.predict([np.zeros((0, 3))]), atol=1e-6)


@pytest.mark.parametrize(("cell", "missing"), [*product(["gru", Leaky], ["error", "mask"])])
def test_causal_convolutions(rng: np.random.Generator, cell: Any, missing: str) -> None:
    """With an answer per step the front end sees no later one, so that it can go along."""
    X = [rng.normal(size=(n, 2)) for n in (60, 50, 8)]
    if missing == "mask":
        for x in X:
            x[rng.random(x.shape) < 0.3] = NAN
    model = RNNRegressor(frontend="conv", return_sequences=True, dtype="float64", **ONE_WAY)
    model.set_params(cell=cell, missing=missing).fit(X, [np.arange(len(x)) for x in X])
    makers: list[Any] = [model] if cell is Leaky else [model, to_numpy(model)]
    for maker in makers:
        streams = maker.stream(2)
        for x, expected in zip(X, model.predict(X), strict=True):
            streams.update(x[:3][None], rows=[1])
            found = streams.step(x[None], rows=[0])[0]
            assert_allclose(found, expected, atol=1e-8)
            streams.reset()


KINDS: dict[str, dict[str, Any]] = {
    "gaps": {"missing": "mask", "cell": "grud"},
    "times": {"missing": "mask", "time_channel": 0},
    "patches": {"frontend": "patch"},
    "convolutions": {"frontend": "conv", "return_sequences": True},
}


@pytest.mark.parametrize("params", KINDS.values(), ids=list(KINDS))
def test_memory_does_not_grow(rng: np.random.Generator, params: dict[str, Any]) -> None:
    X = [rng.normal(size=(12, 2)).cumsum(axis=0) for _ in range(4)]
    X = [np.sort(x, axis=0) for x in X]
    y: Any = [x[:, 0] for x in X] if "return_sequences" in params else np.arange(4)
    stream = RNNRegressor(**params, **ONE_WAY).fit(X, y).stream()

    def run(n_steps: int) -> int:
        for _ in range(n_steps):
            stream.step([float(stream.n_steps[0]), 1.0])
        gc.collect()  # Python keeps some empty tuples for later
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        first = run(50)
        assert abs(run(500) - first) < 5000
    finally:
        tracemalloc.stop()


# -- what cannot stream says what could -------------------------------------------------------


def told(message: str) -> dict[str, Any]:
    """The parameters that a message tells to fit with."""
    (inside,) = re.findall(r"Fit RNN\w+\((.*)\) to stream", message)
    return {name: eval(value) for name, value in re.findall(r"(\w+)=(\w+)", inside)}


LONG: Callable[..., Any] = lambda rng: [rng.normal(size=(n, 2)) for n in (40, 70, 80, 60)]  # noqa: E731

CASES: list[tuple[Any, dict[str, Any], dict[str, Any]]] = [
    (RNNClassifier, {}, {"bidirectional": False, "frontend": None}),
    (RNNClassifier, {"frontend": None}, {"bidirectional": False}),
    (RNNClassifier, {"bidirectional": False}, {"frontend": None}),
    (RNNClassifier, {"frontend": "patch"}, {"bidirectional": False}),
    (RNNRegressor, {}, {"bidirectional": False}),
    (RNNRegressor, {"frontend": Changes}, {"bidirectional": False, "frontend": None}),
]


@pytest.mark.parametrize(("kind", "params", "expected"), CASES)
def test_the_error_tells_what_to_set(
    rng: np.random.Generator, kind: Any, params: dict[str, Any], expected: dict[str, Any]
) -> None:
    """With just these parameters the same call can stream."""
    X, y = LONG(rng), np.array([0, 1, 0, 1])
    model = kind(hidden_size=4, max_epochs=1, random_state=0, **params).fit(X, y)
    with pytest.raises(ValueError, match="cannot answer while a sequence is running") as caught:
        model.stream()
    assert told(str(caught.value)) == expected
    model.set_params(**expected).fit(X, y).stream().step(X[0][0])


def test_the_error_of_the_default_classifier(rng: np.random.Generator) -> None:
    model = RNNClassifier(max_epochs=1).fit(LONG(rng), [0, 1, 0, 1])
    message = (
        "this RNNClassifier cannot answer while a sequence is running: it reads every sequence "
        "from its end as well, and the convolutions of frontend='conv' look at later steps. Fit "
        "RNNClassifier(bidirectional=False, frontend=None) to stream; 'auto' chooses for whole "
        "sequences."
    )
    for maker in (model, to_numpy(model)):
        with pytest.raises(ValueError, match="running") as caught:
            maker.stream()
        assert str(caught.value) == message


def test_best_paths_read_both_ways_unless_told(rng: np.random.Generator) -> None:
    X = LONG(rng)
    y = [np.arange(len(x)) % 2 for x in X]
    model = RNNClassifier(loss="crf", return_sequences=True, frontend="conv", max_epochs=1)
    with pytest.raises(ValueError, match="running") as caught:
        model.fit(X, y).stream()
    assert told(str(caught.value)) == {"bidirectional": False}
    model.set_params(bidirectional=False).fit(X, y).stream().step(X[0][0])
