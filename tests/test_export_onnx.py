"""ONNX: runtimes compute from the graph what the estimator predicts."""

import json
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from skrnn import RNNClassifier, RNNRegressor
from skrnn.export import to_onnx
from skrnn.export._verifying import inputs_of
from skrnn.nn import NormalHead

TINY: dict[str, Any] = {"hidden_size": 3, "max_epochs": 1, "random_state": 0}
CELLS = ["lstm", "gru", "rnn", "mingru", "minlstm"]


def alternating(n: int) -> np.ndarray:
    return np.arange(n) % 2


def run(path: Path, X: list[np.ndarray], tokens: bool = False) -> np.ndarray:
    """What onnxruntime computes for sequences of different lengths; the padding is NaN."""
    n_features = 1 if tokens else X[0].shape[1]
    spec = {"embedding_dim": 1 if tokens else None, "n_features": n_features}
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, inputs_of(X, {"spec": spec}))[0]


def per_step(found: np.ndarray, X: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([row[: len(x)] for row, x in zip(found, X, strict=True)])


@pytest.mark.parametrize(("cell", "both", "layers"), [*product(CELLS, [False, True], [1, (4, 3)])])
def test_f093_cells_directions_and_layers(
    ragged: list, tmp_path: Path, cell: str, both: bool, layers: Any
) -> None:
    model = RNNClassifier(cell=cell, bidirectional=both, pooling=("mean", "max", "last"), **TINY)
    model.set_params(hidden_size=layers, nonlinearity="relu").fit(ragged, alternating(24))
    to_onnx(model, tmp_path / "m.onnx")
    assert_allclose(run(tmp_path / "m.onnx", ragged), model.predict_proba(ragged), atol=1e-5)


@pytest.mark.parametrize(
    ("pooling", "both"), [*product(["mean", "max", "last", "attention"], [False, True])]
)
def test_poolings_and_sequences_without_steps(
    ragged: list, numbers: Any, tmp_path: Path, pooling: str, both: bool
) -> None:
    model = RNNRegressor(pooling=pooling, attention_heads=2, empty="zero_state", **TINY)
    model.set_params(bidirectional=both).fit(ragged, numbers)
    to_onnx(model, tmp_path / "m.onnx")
    X = [*ragged, np.zeros((0, 3)), np.ones((1, 3)), np.ones((300, 3))]
    assert_allclose(run(tmp_path / "m.onnx", X)[:, 0], model.predict(X), atol=1e-5)


LOSSES = [
    ("squared_error", {}),
    ("quantile", {}),
    ("quantile", {"quantiles": (0.1, 0.7, 0.9)}),
    ("quantile", {"quantiles": (0.8,)}),
    ("normal", {"n_estimators": 2}),
    ("student_t", {}),
    ("negative_binomial", {}),
]


@pytest.mark.parametrize(("loss", "params"), LOSSES)
def test_numbers_per_step(ragged: list, tmp_path: Path, loss: str, params: dict) -> None:
    y = [np.arange(2 * len(x)).reshape(-1, 2) for x in ragged]
    model = RNNRegressor(loss=loss, return_sequences=True, calibrate=False, **params, **TINY)
    to_onnx(model.fit(ragged, y), tmp_path / "m.onnx")
    expected = np.concatenate(model.predict(ragged))
    assert_allclose(per_step(run(tmp_path / "m.onnx", ragged), ragged), expected, 1e-5, 1e-4)


def test_labels_and_their_names(ragged: list, step_labels: list, tmp_path: Path) -> None:
    model = RNNClassifier(return_sequences=True, cell="gru", n_estimators=2, **TINY)
    to_onnx(model.fit(ragged, step_labels), tmp_path / "m.onnx")
    expected = np.concatenate(model.predict_proba(ragged))
    assert_allclose(per_step(run(tmp_path / "m.onnx", ragged), ragged), expected, atol=1e-5)
    stored = onnx.load(tmp_path / "m.onnx")
    metadata = {entry.key: entry.value for entry in stored.metadata_props}
    assert json.loads(metadata["classes"]) == ["high", "low"]
    assert [entry.name for entry in stored.graph.input] == ["X", "lengths"]
    assert [entry.name for entry in stored.graph.output] == ["probabilities"]
    several = np.column_stack([alternating(24), 1 - alternating(24), np.ones(24, dtype=int)])
    model = RNNClassifier(**TINY).fit(ragged, several)
    to_onnx(model, tmp_path / "m.onnx")
    assert_allclose(run(tmp_path / "m.onnx", ragged), model.predict_proba(ragged), atol=1e-5)


def test_token_ids(rng: np.random.Generator, tmp_path: Path) -> None:
    X = [rng.integers(1, 9, size=n) for n in rng.integers(2, 8, size=20)]
    model = RNNClassifier(embedding_dim=3, vocabulary_size=9, **TINY).fit(X, alternating(20))
    to_onnx(model, tmp_path / "m.onnx")
    assert_allclose(run(tmp_path / "m.onnx", X, tokens=True), model.predict_proba(X), atol=1e-5)


@pytest.mark.parametrize(("frontend", "both"), [*product(["conv", "patch"], [False, True])])
def test_front_ends(rng: np.random.Generator, tmp_path: Path, frontend: str, both: bool) -> None:
    X = [rng.normal(size=(n, 2)) for n in [3, 150, 1, 160, 161, 155, 7, 149]]
    model = RNNClassifier(frontend=frontend, bidirectional=both, empty="zero_state", **TINY)
    to_onnx(model.fit(X, alternating(len(X))), tmp_path / "m.onnx")
    for some in (X, X[:3], X[3:4], [*X, np.zeros((0, 2))]):
        assert_allclose(run(tmp_path / "m.onnx", some), model.predict_proba(some), atol=1e-5)
    if frontend == "conv":
        model = RNNRegressor(frontend=frontend, bidirectional=both, return_sequences=True, **TINY)
        to_onnx(model.fit(X, [x[:, 0] for x in X]), tmp_path / "m.onnx")
        expected = np.concatenate(model.predict(X))[:, None]
        assert_allclose(per_step(run(tmp_path / "m.onnx", X), X), expected, 1e-5, 1e-5)


def test_double_precision_is_written_in_single(ragged: list, numbers: Any, tmp_path: Path) -> None:
    model = RNNRegressor(dtype="float64", **TINY).fit(ragged, 1e6 * numbers)
    to_onnx(model, tmp_path / "m.onnx")
    assert_allclose(run(tmp_path / "m.onnx", ragged)[:, 0], model.predict(ragged), 1e-4, 1.0)


@pytest.mark.parametrize("cell", ["lstm", "minlstm"])
def test_without_onnxruntime_the_reference_computes(
    ragged: list, labels: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cell: str
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    model = RNNClassifier(cell=cell, **TINY).fit(ragged, labels)
    to_onnx(model, tmp_path / "m.onnx")
    monkeypatch.undo()
    assert_allclose(run(tmp_path / "m.onnx", ragged), model.predict_proba(ragged), atol=1e-5)


def test_f093_a_graph_that_differs_is_not_written(
    ragged: list, labels: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import skrnn.export._layers_graph as graph

    model = RNNClassifier(**TINY).fit(ragged, labels)
    wrong = {**graph.OPERATORS, "lstm": ("LSTM", (0, 1, 2, 3))}
    monkeypatch.setattr(graph, "OPERATORS", wrong)
    with pytest.raises(RuntimeError, match=r"onnxruntime computes something else .*Nothing was"):
        to_onnx(model, tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_f093_what_cannot_be_written_is_named(
    ragged: list, labels: Any, numbers: Any, step_labels: list, tmp_path: Path
) -> None:
    path = tmp_path / "m.onnx"
    with pytest.raises(NotFittedError):
        to_onnx(RNNClassifier(), path)
    crf = RNNClassifier(loss="crf", return_sequences=True, **TINY).fit(ragged, step_labels)
    with pytest.raises(ValueError, match="cannot be written as ONNX: loss='crf' has no operator"):
        to_onnx(crf, path)
    own = RNNClassifier(cell=torch.nn.GRUCell, **TINY).fit(ragged, labels)
    with pytest.raises(ValueError, match="written as ONNX: cell=GRUCell is of your own, use"):
        to_onnx(own, path)
    own_head = RNNRegressor(loss=NormalHead, **TINY).fit(ragged, numbers)
    with pytest.raises(ValueError, match="loss=NormalHead is of your own"):
        to_onnx(own_head, path)
    several = RNNClassifier(cell=torch.nn.GRUCell, loss="crf", return_sequences=True, **TINY)
    with pytest.raises(ValueError, match=r"ONNX: cell=GRUCell is .*; loss='crf' has no operator"):
        to_onnx(several.fit(ragged, step_labels), path)
    assert not list(tmp_path.iterdir())


def test_without_onnx_the_extra_is_named(
    ragged: list, labels: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    model = RNNClassifier(**TINY).fit(ragged, labels)
    with pytest.raises(ImportError, match=r"pip install 'skrnn\[onnx\]'"):
        to_onnx(model, tmp_path / "m.onnx")


def test_a_file_is_replaced(ragged: list, labels: Any, tmp_path: Path) -> None:
    model = RNNClassifier(**TINY).fit(ragged, labels)
    path = tmp_path / "m.onnx"
    path.write_bytes(b"something else")
    to_onnx(model, str(path))
    first = path.read_bytes()
    to_onnx(model, path)
    assert path.read_bytes() == first
    assert_array_equal([p.name for p in tmp_path.iterdir()], ["m.onnx"])
