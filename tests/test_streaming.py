"""Streaming: after every step the answer is that of predicting the steps so far."""

import copy
import pickle
import subprocess
import sys
import tracemalloc
import warnings
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from skrnn import RNNClassifier, RNNRegressor
from skrnn.nn import RecurrentLayer

TINY: dict[str, Any] = {"hidden_size": 4, "max_epochs": 1, "random_state": 0}
ONE_WAY: dict[str, Any] = {**TINY, "bidirectional": False}
CELLS = ["lstm", "gru", "rnn", "mingru", "minlstm"]


class Leaky(torch.nn.Module):
    """A step cell that starts elsewhere than at 0."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(input_size, hidden_size)
        self.first = torch.nn.Parameter(torch.ones(hidden_size))

    def forward(self, x: torch.Tensor, state: torch.Tensor | None) -> torch.Tensor:
        before = self.first.expand(len(x), -1) if state is None else state
        return 0.5 * before + torch.tanh(self.linear(x))


class RunningSum(RecurrentLayer):
    """A layer whose state has the sequences in its second axis."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(hidden_size)
        self.linear = torch.nn.Linear(input_size, hidden_size)

    def forward(self, x: Any, state: Any = None) -> Any:
        output = 0.1 * self.linear(x).cumsum(1)
        output = output if state is None else output + state[0].transpose(0, 1)
        return output, (output[:, -1:].transpose(0, 1),)


class Memoryless(RunningSum):
    """A layer that returns no state."""

    def forward(self, x: Any, state: Any = None) -> Any:
        return super().forward(x)[0], None


class Counting(RunningSum):
    """A layer whose state is one number, whatever the number of sequences."""

    def forward(self, x: Any, state: Any = None) -> Any:
        so_far = 0 if state is None else state
        steps = torch.arange(1, x.shape[1] + 1) + so_far
        return self.linear(x) / steps[:, None], steps[-1:]


def prefixes(x: np.ndarray) -> list[np.ndarray]:
    return [x[:t] for t in range(1, len(x) + 1)]


def newest(answers: Any) -> np.ndarray:
    """The answer for a prefix, of a step or of the whole."""
    return np.array([a[-1] for a in answers]) if isinstance(answers, list) else answers


def alternating(n: int) -> np.ndarray:
    return np.arange(n) % 2


# -- a stream is a prefix ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "layers"), [*product(CELLS, [1, (4, 3)]), (Leaky, (4, 3)), (RunningSum, 1)]
)
def test_pooled_answers_are_those_of_the_prefix(ragged: list, cell: Any, layers: Any) -> None:
    pooling = ("mean", "max", "last", "attention")
    model = RNNClassifier(cell=cell, pooling=pooling, attention_heads=2, **ONE_WAY)
    model.set_params(hidden_size=layers).fit(ragged, alternating(len(ragged)))
    stream = model.stream()
    for x in ragged[:4]:
        found = np.concatenate([stream.step_proba(step) for step in x])
        assert_allclose(found, model.predict_proba(prefixes(x)), atol=1e-6)
        assert_array_equal(stream.predict(), model.predict([x]))
        stream.reset()


@pytest.mark.parametrize("pooling", ["mean", "max", "last", "attention"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_each_pooling_runs_along(ragged: list, numbers: Any, pooling: str, dtype: str) -> None:
    model = RNNRegressor(pooling=pooling, dtype=dtype, cell="gru", **ONE_WAY).fit(ragged, numbers)
    stream = model.stream()
    for x in ragged[:4]:
        found = np.concatenate([stream.step(step) for step in x])
        assert_allclose(
            found, model.predict(prefixes(x)), atol=1e-6 if dtype == "float32" else 1e-9
        )
        stream.reset()


@pytest.mark.parametrize("cell", [*CELLS, Leaky, RunningSum])
def test_an_answer_per_step_is_that_of_the_newest(ragged: list, cell: Any) -> None:
    y = [x[:, :2].cumsum(axis=0) for x in ragged]
    model = RNNRegressor(cell=cell, nonlinearity="relu", return_sequences=True, **TINY)
    model.set_params(hidden_size=(4, 3)).fit(ragged, y)
    whole = model.predict(ragged)
    stream = model.stream()
    for x, expected in zip(ragged[:5], whole[:5], strict=True):
        assert_allclose(stream.reset().step(x[None])[0], expected, atol=1e-6)


def test_several_labels_at_once(ragged: list) -> None:
    y = np.column_stack([alternating(24), alternating(24)[::-1], np.ones(24, dtype=int)])
    model = RNNClassifier(**ONE_WAY).fit(ragged, y)
    stream = model.stream()
    labels = np.concatenate([stream.step(step) for step in ragged[0]])
    assert_array_equal(labels, model.predict(prefixes(ragged[0])))


def test_token_ids(rng: np.random.Generator) -> None:
    X = [rng.integers(1, 9, size=n) for n in rng.integers(2, 8, size=20)]
    model = RNNClassifier(embedding_dim=3, vocabulary_size=9, **ONE_WAY).fit(X, alternating(20))
    stream = model.stream()
    found = np.concatenate([stream.step_proba([token]) for token in X[0]])
    assert_allclose(found, model.predict_proba(prefixes(X[0])), atol=1e-6)
    for wrong in (0, 9, 1.5, -1):
        with pytest.raises(
            ValueError, match=r"stream 0, feature 0 is the token id .*1 \(unknown\)"
        ):
            stream.step([wrong])


@pytest.mark.parametrize("n_estimators", [1, 3])
def test_best_paths_of_prefixes(ragged: list, step_labels: list, n_estimators: int) -> None:
    model = RNNClassifier(loss="crf", return_sequences=True, n_estimators=n_estimators, **ONE_WAY)
    model.fit(ragged, step_labels)
    for net in model.nets_:  # labels that depend on each other
        for name in ("transitions", "start", "end"):
            torch.nn.init.normal_(net.module_.head.get_parameter(name))
    stream = model.stream()
    for x in ragged[:4]:
        stream.reset()
        probabilities = np.concatenate([stream.step_proba(step) for step in x])
        assert_allclose(probabilities, newest(model.predict_proba(prefixes(x))), atol=1e-6)
        labels = stream.reset().step(x[None])[0]
        assert_array_equal(labels, newest(model.predict(prefixes(x))))
        assert_array_equal(stream.predict(), labels[-1:])


@pytest.mark.parametrize("loss", ["squared_error", "normal", "student_t", "quantile"])
def test_quantiles_and_intervals(ragged: list, numbers: Any, loss: str) -> None:
    params = {"early_stopping": True, "validation_fraction": 0.5, "n_estimators": 2, **ONE_WAY}
    model = RNNRegressor(loss=loss, **params).fit(ragged, numbers)
    stream = model.stream().update(ragged[0][None])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 12 values are few
        for alpha in ([0.5], [0.1, 0.9]):
            expected = model.predict_quantiles(ragged[:1], alpha)
            assert_allclose(stream.predict_quantiles(alpha), expected, atol=1e-6)
        for coverage in (0.5, [0.5, 0.8]):
            expected = model.predict_interval(ragged[:1], coverage)
            assert_allclose(stream.predict_interval(coverage), expected, atol=1e-6)


def test_quantiles_warn_and_refuse_as_the_estimator(ragged: list, numbers: Any) -> None:
    stream = RNNRegressor(loss="normal", **ONE_WAY).fit(ragged, numbers).stream()
    stream.update(ragged[0][None])
    with pytest.warns(UserWarning, match="were not calibrated") as caught:
        stream.predict_interval()
    assert caught[0].filename == __file__
    with pytest.raises(ValueError, match=r"levels in \(0, 1\)"):
        stream.predict_quantiles([1.5])
    point = RNNRegressor(**ONE_WAY).fit(ragged, numbers).stream().update(ragged[0][None])
    with pytest.raises(ValueError, match="predicts points and no validation part"):
        point.predict_interval()


def test_a_head_of_ones_own(ragged: list, numbers: Any) -> None:
    from skrnn.nn import NormalHead, PointHead

    for head in (PointHead, NormalHead):
        model = RNNRegressor(loss=lambda n, k, head=head: head(n, k), calibrate=False, **ONE_WAY)
        stream = model.fit(ragged, numbers).stream()
        assert_allclose(stream.step(ragged[0][None])[0, -1], model.predict(ragged[:1])[0], 1e-5)
    quantiles = model.predict_quantiles(ragged[:1], [0.2, 0.8])
    assert_allclose(stream.predict_quantiles([0.2, 0.8]), quantiles, atol=1e-6)


PROPERTY = RNNRegressor(return_sequences=True, dtype="float64", cell="gru", **TINY)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_chunks_of_any_size_and_later_steps_change_nothing(seed: int, sizes: list[int]) -> None:
    """What was answered stays true whatever follows, and however the steps were cut."""
    rng = np.random.default_rng(seed)
    if not hasattr(PROPERTY, "net_"):
        X = list(np.random.default_rng(0).normal(size=(8, 6, 2)))
        PROPERTY.fit(X, [x[:, 0] for x in X])
    x = rng.normal(size=(sum(sizes) + 3, 2))
    whole = PROPERTY.predict([x])[0]
    stream, start = PROPERTY.stream(), 0
    for size in sizes:
        found = stream.step(x[None, start : start + size])[0]
        assert_allclose(found, whole[start : start + size], atol=1e-10)
        start += size


# -- several streams --------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["lstm", Leaky, RunningSum])
def test_streams_start_and_step_when_they_like(ragged: list, numbers: Any, cell: Any) -> None:
    model = RNNRegressor(cell=cell, n_estimators=2, **ONE_WAY).fit(ragged, numbers)
    rng, streams = np.random.default_rng(1), model.stream(n_streams=4)
    sequences, position = ragged[:4], np.zeros(4, dtype=int)
    while any(position < [len(x) for x in sequences]):
        left = np.flatnonzero(position < [len(x) for x in sequences])
        rows = rng.permutation(left)[: rng.integers(1, len(left) + 1)]
        answer = streams.step([sequences[i][position[i]] for i in rows], rows=rows)
        position[rows] += 1
        expected = model.predict([sequences[i][: position[i]] for i in rows])
        assert_allclose(answer, expected, atol=1e-6)
    assert_array_equal(streams.n_steps, position)
    assert_allclose(streams.predict(), model.predict(sequences), atol=1e-6)
    mask = np.array([False, True, False, True])
    assert_allclose(streams.predict(mask), streams.predict()[mask], atol=1e-6)


def test_streams_start_anew_one_by_one(ragged: list, numbers: Any) -> None:
    model = RNNRegressor(**ONE_WAY).fit(ragged, numbers)
    streams = model.stream(3).update(np.stack([x[:2] for x in ragged[:3]]))
    before = streams.predict()
    streams.reset([1]).update(ragged[5][:1], rows=[1])
    expected = [before[0], model.predict([ragged[5][:1]])[0], before[2]]
    assert_allclose(streams.predict(), expected, atol=1e-6)
    assert streams.n_steps.tolist() == [2, 1, 2]
    assert streams.step(np.zeros((0, 3)), rows=[]).shape == (0,)


def test_before_the_first_step(ragged: list, numbers: Any, step_numbers: list) -> None:
    model = RNNRegressor(**ONE_WAY).fit(ragged, numbers)
    streams = model.stream(2).update(ragged[0][:1], rows=[0])
    assert streams.predict([0]).shape == (1,)
    with pytest.raises(ValueError, match="stream 1 has had no step and no answer yet"):
        streams.predict()
    model.set_params(empty="zero_state")
    streams = model.stream(2).update(ragged[0][:1], rows=[0])
    expected = model.predict([ragged[0][:1], np.zeros((0, 3))])
    assert_allclose(streams.predict(), expected, atol=1e-6)
    per_step = RNNRegressor(return_sequences=True, empty="zero_state", **TINY)
    with pytest.raises(ValueError, match="stream 0 has had no step"):
        per_step.fit(ragged, step_numbers).stream().predict()


# -- what a stream remembers ------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["lstm", Leaky])
def test_a_state_goes_on_elsewhere(ragged: list, step_labels: list, cell: Any, tmp_path) -> None:
    model = RNNClassifier(cell=cell, loss="crf", return_sequences=True, **ONE_WAY)
    model.fit(ragged, step_labels)
    stream = model.stream(2).update(np.stack([x[:2] for x in ragged[:2]]))
    np.savez(tmp_path / "state.npz", **stream.state_dict())
    with np.load(tmp_path / "state.npz") as saved:
        loaded = pickle.loads(pickle.dumps(model)).stream(2).load_state_dict(saved)
    copies = [loaded, copy.copy(stream), copy.deepcopy(stream), pickle.loads(pickle.dumps(stream))]
    step = np.ones((2, 3))
    expected = stream.step_proba(step)
    for other in copies:
        assert other.n_steps.tolist() == [2, 2]
        assert_array_equal(other.step_proba(step), expected)


def test_a_state_of_something_else_is_refused(ragged: list, numbers: Any) -> None:
    model = RNNRegressor(pooling="last", **ONE_WAY).fit(ragged, numbers)
    stream = model.stream(2).update(np.ones((2, 3)))
    state, before = stream.state_dict(), stream.predict()
    assert all(type(array) is np.ndarray for array in state.values())
    for changed, message in [
        ({"n_steps": state["n_steps"]}, "'model' is missing"),
        ({**state, "more": np.ones(2)}, "'more' is unknown"),
        ({**state, "net0.layer0.h": np.ones((2, 9), np.float32)}, r"expected \(2, 4\)"),
        (model.stream(3).state_dict(), "expected"),
        (model.set_params(random_state=1).fit(ragged, numbers).stream(2).state_dict(), "weights"),
    ]:
        with pytest.raises(ValueError, match=message):
            stream.load_state_dict(changed)
        assert_array_equal(stream.predict(), before)
    state["net0.layer0.h"][:] = 7  # a copy
    assert_array_equal(stream.predict(), before)


def test_memory_does_not_grow(ragged: list, numbers: Any) -> None:
    model = RNNRegressor(pooling=("mean", "max", "last", "attention"), **ONE_WAY)
    stream, x = model.fit(ragged, numbers).stream(), np.ones(3)

    def run(n_steps: int) -> int:
        for _ in range(n_steps):
            stream.step(x)
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        first = run(100)
        assert abs(run(2000) - first) < 5000
    finally:
        tracemalloc.stop()
    assert stream.n_steps == 2100


def test_long_streams_do_not_drift(ragged: list, numbers: Any) -> None:
    """A mean of many steps stays that of predicting all of them."""
    x = np.random.default_rng(0).normal(size=(5000, 3))
    model = RNNRegressor(pooling=("mean", "attention"), **ONE_WAY).fit(ragged, numbers)
    assert_allclose(model.stream().update(x[None]).predict(), model.predict([x]), atol=1e-6)


def test_an_estimator_may_change_after(ragged: list, numbers: Any) -> None:
    model = RNNRegressor(**ONE_WAY).fit(ragged, numbers)
    stream, other = model.stream(), model.stream()
    model.set_params(max_epochs=3).fit(ragged, numbers)
    model.net_.module_.head.projection.bias.data += 1
    assert_array_equal(stream.step(ragged[0][0]), other.step(ragged[0][0]))


def test_stepping_needs_no_torch(ragged: list, numbers: Any, tmp_path) -> None:
    stream = RNNRegressor(**ONE_WAY).fit(ragged, numbers).stream()
    (tmp_path / "stream.pkl").write_bytes(pickle.dumps(stream))
    code = (
        "import pickle, sys; sys.modules['torch'] = None; import numpy as np\n"
        f"stream = pickle.load(open({str(tmp_path / 'stream.pkl')!r}, 'rb'))\n"
        "print(stream.step(np.ones(3))[0])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(found.stdout) == stream.step(np.ones(3))[0]


# -- what stands against it -------------------------------------------------------------------


def test_what_cannot_stream_says_why(ragged: list, labels: Any, numbers: Any) -> None:
    with pytest.raises(NotFittedError):
        RNNClassifier().stream()
    with pytest.raises(ValueError, match="Memoryless returns no state"):
        RNNRegressor(cell=Memoryless, **ONE_WAY).fit(ragged, numbers).stream()
    model = RNNRegressor(cell=Counting, return_sequences=True, **TINY)
    model.fit(ragged, [x[:, 0] for x in ragged])
    assert_allclose(
        model.stream().step(ragged[0][None])[0], model.predict(ragged[:1])[0], atol=1e-6
    )
    with pytest.raises(ValueError, match="for any number of sequences; give it an axis"):
        model.stream(2)


@pytest.mark.parametrize("n_streams", [0, -1, 1.5, True, "2"])
def test_wrong_numbers_of_streams(ragged: list, numbers: Any, n_streams: Any) -> None:
    with pytest.raises(ValueError, match="n_streams must be"):
        RNNRegressor(**ONE_WAY).fit(ragged, numbers).stream(n_streams)


def test_wrong_steps_move_no_stream(ragged: list, numbers: Any) -> None:
    streams = RNNRegressor(**ONE_WAY).fit(ragged, numbers).stream(2)
    nan = np.array([[1.0, 2.0, 3.0], [1.0, np.nan, 3.0]])
    cases = [
        (np.ones(3), None, r"x has shape \(3,\), expected \(2, 3\): a row of 3 features"),
        (np.ones((2, 4)), None, r"x has shape \(2, 4\)"),
        (np.ones((2, 0, 3)), None, "holds no step"),
        (nan, None, "x at stream 1, feature 1 is NaN or infinite"),
        (np.stack([nan, nan], axis=1), None, "x at stream 1, step 0 of the chunk, feature 1"),
        (nan[:, None] * 1e39, None, "NaN or infinite"),
        (np.ones((1, 3)), [2], "rows names stream 2, but they are numbered 0 to 1"),
        (np.ones((2, 3)), [1, 1], "names a stream twice"),
        (np.ones((1, 3)), [0.5], "must hold numbers of streams"),
        (np.ones((1, 3)), [True], "is a mask of shape"),
    ]
    for x, rows, message in cases:
        with pytest.raises(ValueError, match=message):
            streams.step(x, rows)
    assert not streams.n_steps.any()
    assert repr(streams) == "RegressorStream(RNNRegressor, n_streams=2)"
