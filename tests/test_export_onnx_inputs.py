"""Missing values, times and characters in graphs of ONNX."""

import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from gappy_data import gappy, labels, timed
from numpy.testing import assert_allclose
from test_export_numpy import CELLS
from test_export_onnx import per_step, run
from word_data import WORDS, spelt

from skrnn import RNNClassifier, RNNRegressor
from skrnn.export import to_onnx

TINY: dict[str, Any] = {"hidden_size": 3, "max_epochs": 2, "lr": 0.05, "random_state": 0}
NAN = float("nan")


def data_of(times: bool) -> list[np.ndarray]:
    return timed(gappy(), start=5.0) if times else gappy()


@pytest.mark.parametrize(("cell", "both", "times"), [*product(CELLS, [False, True], [False, True])])
def test_f093_gaps_and_times(tmp_path: Path, cell: str, both: bool, times: bool) -> None:
    X = data_of(times)
    model = RNNClassifier(cell=cell, bidirectional=both, missing="mask", **TINY)
    model.set_params(time_channel=3 if times else None).fit(X, labels(X))
    to_onnx(model, tmp_path / "m.onnx")
    odd = [*X, np.full((3, X[0].shape[1]), 5.0 if times else NAN)]
    assert_allclose(run(tmp_path / "m.onnx", odd), model.predict_proba(odd), atol=1e-5)


@pytest.mark.parametrize(("layers", "times"), [*product([1, (4, 3)], [False, True])])
def test_f093_decay(tmp_path: Path, layers: Any, times: bool) -> None:
    X = data_of(times)
    model = RNNRegressor(cell="grud", missing="mask", return_sequences=True, **TINY)
    model.set_params(hidden_size=layers, time_channel=3 if times else None)
    to_onnx(model.fit(X, [np.arange(len(x)) for x in X]), tmp_path / "m.onnx")
    expected = np.concatenate(model.predict(X))[:, None]
    assert_allclose(per_step(run(tmp_path / "m.onnx", X), X), expected, 1e-5, 1e-5)


@pytest.mark.parametrize("frontend", ["conv", "patch"])
def test_front_ends_of_gaps(tmp_path: Path, frontend: str) -> None:
    X = data_of(times=True)
    params = {"missing": "mask", "time_channel": 3, "frontend": frontend, "empty": "zero_state"}
    model = RNNClassifier(**params, **{**TINY, "lr": 0.001}).fit(X, labels(X))
    to_onnx(model, tmp_path / "m.onnx")
    X = [*X, np.zeros((0, 4))]
    assert_allclose(run(tmp_path / "m.onnx", X), model.predict_proba(X), atol=1e-5)


def test_times_alone_and_features_nobody_saw(tmp_path: Path) -> None:
    X = data_of(times=True)
    full = [np.nan_to_num(x[:, [3, 0]]) for x in X]
    model = RNNRegressor(time_channel=0, n_estimators=2, **TINY).fit(full, np.arange(len(X)))
    to_onnx(model, tmp_path / "m.onnx")
    assert_allclose(run(tmp_path / "m.onnx", full)[:, 0], model.predict(full), 1e-5, 1e-5)
    for x in X:
        x[:, 1] = NAN
    model = RNNClassifier(missing="mask", time_channel=3, **TINY).fit(X, labels(X))
    to_onnx(model, tmp_path / "m.onnx")
    seen = [np.where(np.isnan(x), 7.0, x) for x in X]
    assert_allclose(run(tmp_path / "m.onnx", seen), model.predict_proba(seen), atol=1e-5)


def run_words(path: Path, X: list[np.ndarray]) -> np.ndarray:
    padded = np.zeros((len(X), max(map(len, X)), X[0].shape[1]), dtype=np.int64)
    for row, x in zip(padded, X, strict=True):
        row[: len(x)] = x
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"X": padded, "lengths": np.array([len(x) for x in X])})[0]


@pytest.mark.parametrize(("encoder", "both"), [*product(["conv", "gru", "lstm"], [False, True])])
def test_f093_words_and_their_characters(tmp_path: Path, encoder: str, both: bool) -> None:
    X = spelt()
    model = RNNClassifier(character_encoder=encoder, bidirectional=both, **WORDS, **TINY)
    to_onnx(model.fit(X, labels(X)), tmp_path / "m.onnx")
    for some in (X, X[:1], [x[:1] for x in X]):
        assert_allclose(run_words(tmp_path / "m.onnx", some), model.predict_proba(some), atol=1e-5)


@pytest.mark.parametrize("kind", ["grud", "characters"])
def test_the_reference_computes_them_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Without onnxruntime what is written was compared with the reference of onnx."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    X: list[np.ndarray] = data_of(times=True) if kind == "grud" else spelt()
    params: dict[str, Any] = {"missing": "mask", "time_channel": 3, "cell": "grud", **TINY}
    if kind == "characters":
        params = {"character_encoder": "gru", **WORDS, **TINY}
    to_onnx(RNNClassifier(**params).fit(X, labels(X)), tmp_path / "m.onnx")
    assert (tmp_path / "m.onnx").stat().st_size > 1000
