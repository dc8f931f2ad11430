"""Prediction without torch: the same answers, for every built-in option, from numpy alone."""

import pickle
import subprocess
import sys
import warnings
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import skrnn
from skrnn import RNNClassifier, RNNRegressor
from skrnn.export import load_numpy, to_numpy
from skrnn.nn import NormalHead
from skrnn.preprocessing import SequenceScaler

TINY: dict[str, Any] = {"hidden_size": 4, "max_epochs": 1, "random_state": 0}
CELLS = ["lstm", "gru", "rnn", "mingru", "minlstm"]
LOSSES = ["squared_error", "absolute_error", "huber", "quantile", "normal", "student_t"]

# A hook that makes everything but numpy and safetensors unknown.
ALONE = """
import sys
class Hook:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "skorch", "sklearn", "scipy", "pandas", "sktime"}:
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Hook())
import numpy as np
"""


def alternating(n: int) -> np.ndarray:
    return np.arange(n) % 2


def assert_same(found: Any, expected: Any, atol: float = 1e-6) -> None:
    if not isinstance(expected, list):
        assert found.dtype == expected.dtype
        assert_allclose(found, expected, atol=atol, rtol=1e-6)
        return
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        assert_allclose(a, b, atol=atol, rtol=1e-6)


# -- the grid ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("cell", "both", "layers"), [*product(CELLS, [False, True], [1, (4, 3)])])
def test_cells_directions_and_layers(ragged: list, cell: str, both: bool, layers: Any) -> None:
    pooling = ("last", "mean", "max", "attention")
    model = RNNClassifier(cell=cell, bidirectional=both, pooling=pooling, **TINY)
    model.set_params(hidden_size=layers, attention_heads=2).fit(ragged, alternating(len(ragged)))
    predictor = to_numpy(model)
    assert_same(predictor.predict_proba(ragged), model.predict_proba(ragged))
    assert_array_equal(predictor.predict(ragged), model.predict(ragged))
    assert_same(predictor.transform(ragged), model.transform(ragged))


@pytest.mark.parametrize(("cell", "both"), [*product(["lstm", "gru", "rnn"], [False, True])])
def test_answers_per_step(ragged: list, step_numbers: list, cell: str, both: bool) -> None:
    model = RNNRegressor(cell=cell, bidirectional=both, return_sequences=True, **TINY)
    model.set_params(nonlinearity="relu").fit(ragged, step_numbers)
    predictor, X = to_numpy(model), [*ragged, np.zeros((0, 3))]
    assert_same(predictor.predict(X), model.predict(X))
    assert_same(predictor.transform(X), model.transform(X))


@pytest.mark.parametrize(
    ("pooling", "both"), [*product(["mean", "max", "last", "attention"], [False, True])]
)
def test_poolings_of_any_length(ragged: list, numbers: Any, pooling: str, both: bool) -> None:
    params = {"dtype": "float64", "empty": "zero_state", "bidirectional": both, **TINY}
    model = RNNRegressor(pooling=pooling, attention_heads=3, **params).fit(ragged, numbers)
    X = [*ragged[:5], np.zeros((0, 3)), np.ones((700, 3)), np.ones((1, 3))]
    assert_same(to_numpy(model).predict(X), model.predict(X), atol=1e-9)


@pytest.mark.parametrize(("loss", "n_networks"), [*product(LOSSES, [1, 3])])
def test_numbers_quantiles_and_intervals(
    ragged: list, numbers: Any, loss: str, n_networks: int
) -> None:
    y = np.column_stack([numbers, 1000 - numbers])
    params = {"n_estimators": n_networks, "early_stopping": True, "validation_fraction": 0.5}
    model = RNNRegressor(loss=loss, **params, **TINY).fit(ragged, y)
    predictor = to_numpy(model)
    assert_same(predictor.predict(ragged), model.predict(ragged))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 12 values are few
        levels = [0.9, 0.02, 0.5]
        expected = model.predict_quantiles(ragged, levels)
        assert_same(predictor.predict_quantiles(ragged, levels), expected)
        expected = model.predict_interval(ragged, [0.5, 0.9])
        assert_same(predictor.predict_interval(ragged, [0.5, 0.9]), expected)
    assert predictor.predict_interval(ragged, 0.5).shape == (24, 2, 2)


@pytest.mark.parametrize("loss", ["quantile", "normal", "student_t", "negative_binomial"])
def test_quantiles_without_calibration(ragged: list, loss: str) -> None:
    y = [np.arange(len(x)) for x in ragged]
    model = RNNRegressor(loss=loss, calibrate=False, return_sequences=True, **TINY).fit(ragged, y)
    predictor, levels = to_numpy(model), [0.01, 0.3, 0.5, 0.99]
    assert_same(predictor.predict(ragged), model.predict(ragged))
    assert_same(
        predictor.predict_quantiles(ragged, levels), model.predict_quantiles(ragged, levels)
    )


def test_a_single_quantile(ragged: list, numbers: Any) -> None:
    model = RNNRegressor(loss="quantile", quantiles=(0.9,), calibrate=False, **TINY)
    predictor = to_numpy(model.fit(ragged, numbers))
    assert_same(predictor.predict(ragged), model.predict(ragged))
    assert_same(predictor.predict_quantiles(ragged, [0.9]), model.predict_quantiles(ragged, [0.9]))
    with pytest.raises(ValueError, match=r"only the quantile 0\.9 was learned"):
        predictor.predict_quantiles(ragged, [0.5])


@pytest.mark.parametrize(("n_networks", "both"), [*product([1, 2], [False, True])])
def test_best_paths(ragged: list, step_labels: list, n_networks: int, both: bool) -> None:
    model = RNNClassifier(loss="crf", return_sequences=True, n_estimators=n_networks, **TINY)
    model.set_params(bidirectional=both).fit(ragged, step_labels)
    for net in model.nets_:  # labels that depend on each other
        for name in ("transitions", "start", "end"):
            torch.nn.init.normal_(net.module_.head.get_parameter(name))
    predictor = to_numpy(model)
    assert_same(predictor.predict_proba(ragged), model.predict_proba(ragged))
    for found, expected in zip(predictor.predict(ragged), model.predict(ragged), strict=True):
        assert_array_equal(found, expected)


@pytest.mark.parametrize("loss", ["crf", "cross_entropy"])
def test_nothing_but_sequences_without_steps(ragged: list, step_labels: list, loss: str) -> None:
    model = RNNClassifier(loss=loss, return_sequences=True, **TINY).fit(ragged, step_labels)
    predictor, X = to_numpy(model), [np.zeros((0, 3))] * 2
    for found in (predictor.predict(X), predictor.predict_proba(X)):
        assert [len(answer) for answer in found] == [0, 0]
    assert_same(predictor.predict_proba(X), model.predict_proba(X))


def test_several_labels_at_once(ragged: list) -> None:
    y = np.column_stack([alternating(24), alternating(24)[::-1], np.ones(24, dtype=int)])
    model = RNNClassifier(n_estimators=2, **TINY).fit(ragged, y)
    predictor = to_numpy(model)
    assert_same(predictor.predict_proba(ragged), model.predict_proba(ragged))
    assert_same(predictor.predict(ragged), model.predict(ragged))


def test_token_ids(rng: np.random.Generator) -> None:
    X = [rng.integers(1, 9, size=n) for n in rng.integers(2, 8, size=20)]
    model = RNNClassifier(embedding_dim=3, vocabulary_size=9, **TINY).fit(X, alternating(20))
    predictor = to_numpy(model)
    assert_same(predictor.predict_proba(X), model.predict_proba(X))
    padded = np.array([[1, 0, 4, 0, 0], [8, 2, 0, 0, 0]])
    assert_same(predictor.predict_proba(padded), model.predict_proba(padded))
    with pytest.raises(ValueError, match="token id 9 in sequence 1 is outside"):
        predictor.predict([[1], [9]])


@pytest.mark.parametrize(
    ("frontend", "both", "longest"), [*product(["conv", "patch"], [False, True], [20, 300])]
)
def test_front_ends(
    rng: np.random.Generator, frontend: str, both: bool, longest: int, tmp_path: Path
) -> None:
    X = [rng.normal(size=(n, 2)) for n in [3, longest, 1, 16, longest - 3, 17, longest, 7]]
    params = {"pooling": ("mean", "last", "max", "attention"), "empty": "zero_state", **TINY}
    model = RNNClassifier(frontend=frontend, bidirectional=both, **params)
    model.fit(X, alternating(len(X)))
    to_numpy(model).save(tmp_path / "m")
    predictor, Z = load_numpy(tmp_path / "m"), [*X, np.zeros((0, 2))]
    assert_same(predictor.predict_proba(Z), model.predict_proba(Z))
    if both or frontend == "conv":
        with pytest.raises(ValueError, match="cannot answer while a sequence is running"):
            predictor.stream()
    if frontend == "conv":
        model = RNNRegressor(frontend=frontend, bidirectional=both, return_sequences=True, **TINY)
        model.set_params(dtype="float64").fit(X, [x[:, 0] for x in X])
        assert_same(to_numpy(model).predict(X), model.predict(X))


# -- what X may be ----------------------------------------------------------------------------


def test_containers(rng: np.random.Generator) -> None:
    X = rng.normal(size=(12, 6, 3))
    X[3, 2:] = np.nan
    model = RNNClassifier(**TINY).fit(X, alternating(12))
    expected, predictor = model.predict_proba(X), to_numpy(model)
    sequences = [x[~np.isnan(x).all(axis=1)] for x in X]
    objects = np.empty(12, dtype=object)
    objects[:] = sequences
    for form in (X, sequences, tuple(sequences), objects, pd.Series(sequences)):
        assert_same(predictor.predict_proba(form), expected)
    assert_same(predictor.predict_proba([pd.DataFrame(x) for x in sequences]), expected)


@pytest.mark.parametrize("n_channels", [None, 2])
def test_rows(rng: np.random.Generator, n_channels: int | None) -> None:
    X = rng.normal(size=(12, 6))
    if n_channels:
        X[2, 4:] = np.nan
    model = RNNClassifier(n_channels=n_channels, **TINY).fit(X, alternating(12))
    assert_same(to_numpy(model).predict_proba(X), model.predict_proba(X))
    assert_same(to_numpy(model).predict_proba(pd.DataFrame(X)), model.predict_proba(X))


def test_many_sequences_and_long_ones(rng: np.random.Generator) -> None:
    X = [rng.normal(size=(n, 2)) for n in [*rng.integers(1, 9, size=600), 3000]]
    model = RNNRegressor(**TINY).fit(X[:20], np.arange(20.0))
    assert_same(to_numpy(model).predict(X), model.predict(X), atol=1e-5)


def test_wrong_input_is_named(ragged: list, labels: Any) -> None:
    predictor = to_numpy(RNNClassifier(**TINY).fit(ragged, labels))
    nan = ragged[1].copy()
    nan[1, 2] = np.nan
    for X, message in [
        ([], "holds no sequences"),
        ([ragged[0], np.ones((4, 2))], r"sequence 1 has shape \(4, 2\), expected \(n_timesteps, 3"),
        ([ragged[0], nan], "NaN, infinity .* at sequence 1, step 1, feature 2"),
        ([ragged[0], nan * 0 + 1e39], "NaN, infinity .* at sequence 1"),
        ([ragged[0], np.zeros((0, 3))], "sequence 1 is empty"),
        (np.ones((2, 2, 2, 2)), r"X has shape \(2, 2, 2, 2\)"),
    ]:
        with pytest.raises(ValueError, match=message):
            predictor.predict(X)


# -- without torch ----------------------------------------------------------------------------


def test_it_needs_numpy_and_safetensors_only(
    ragged: list, step_labels: list, numbers: Any, tmp_path: Path
) -> None:
    models = {
        "pooled": RNNRegressor(loss="quantile", n_estimators=2, **TINY).fit(ragged, numbers),
        "steps": RNNClassifier(return_sequences=True, **TINY).fit(ragged, step_labels),
    }
    np.savez(tmp_path / "X.npz", *ragged)
    for name, model in models.items():
        to_numpy(model).save(tmp_path / f"{name}.safetensors")
    (tmp_path / "pickled.pkl").write_bytes(pickle.dumps(to_numpy(models["pooled"])))
    code = f"""{ALONE}
import os, pickle
os.chdir({str(tmp_path)!r})
from skrnn.export import load_numpy
X = list(np.load("X.npz").values())
steps = load_numpy("steps.safetensors")
np.savez(
    "found.npz",
    pooled=load_numpy("pooled.safetensors").predict(X),
    pickled=pickle.load(open("pickled.pkl", "rb")).predict(X),
    steps=np.concatenate(steps.predict_proba(X)),
    stream=steps.stream().update(X[0][None]).predict_proba(),
)
print(sorted(name for name in sys.modules if "torch" in name or "sklearn" in name))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]"]
    found, probabilities = np.load(tmp_path / "found.npz"), models["steps"].predict_proba(ragged)
    assert_allclose(found["pooled"], models["pooled"].predict(ragged), atol=1e-6)
    assert_allclose(found["pickled"], found["pooled"])
    assert_allclose(found["steps"], np.concatenate(probabilities), atol=1e-6)
    assert_allclose(found["stream"][0], probabilities[0][-1], atol=1e-6)


# -- files ------------------------------------------------------------------------------------

LABELS = [
    np.array(["é", "b"]),
    np.array([3, 1]),
    np.array([True, False]),
    np.array([0.0, 1.0]),
    np.array(["x", "y"], dtype=object),
    np.array([2**40, 7], dtype=object),
]


@pytest.mark.parametrize("names", LABELS, ids=str)
def test_labels_survive_a_file(ragged: list, names: np.ndarray, tmp_path: Path) -> None:
    model = RNNClassifier(**TINY).fit(ragged, names[alternating(24)])
    to_numpy(model).save(tmp_path / "m")
    loaded = load_numpy(tmp_path / "m")
    assert loaded.classes_.dtype == model.classes_.dtype
    assert_array_equal(loaded.predict(ragged), model.predict(ragged))


def test_other_labels_are_refused(ragged: list, tmp_path: Path) -> None:
    days = np.array(["2024-01-01", "2024-01-02"], dtype="datetime64[D]")[alternating(24)]
    predictor = to_numpy(RNNClassifier(**TINY).fit(ragged, days))
    with pytest.raises(TypeError, match="labels of the type date cannot be written"):
        predictor.save(tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_everything_survives_a_file(ragged: list, numbers: Any, tmp_path: Path) -> None:
    params = {"early_stopping": True, "validation_fraction": 0.5, "n_estimators": 2, **TINY}
    predictor = to_numpy(RNNRegressor(loss="normal", **params).fit(ragged, numbers))
    predictor.save(tmp_path / "m")
    loaded = load_numpy(str(tmp_path / "m"))
    assert_array_equal(loaded.predict(ragged), predictor.predict(ragged))
    assert_array_equal(
        loaded.predict_interval(ragged, 0.5), predictor.predict_interval(ragged, 0.5)
    )
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "m").read_bytes()
    assert repr(loaded) == "NumpyRegressor(RNNRegressor, cell='lstm', 2 networks)"


def test_changed_files_are_refused(ragged: list, labels: Any, tmp_path: Path) -> None:
    model = RNNClassifier(**TINY).fit(ragged, labels)
    to_numpy(model).save(tmp_path / "m")
    content, rng = (tmp_path / "m").read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        changed = bytearray(content)
        changed[rng.integers(len(content))] ^= 1 << rng.integers(8)
        (tmp_path / "changed").write_bytes(changed)
        with pytest.raises(ValueError):  # noqa: PT011 - each byte has its own message
            load_numpy(tmp_path / "changed")
    (tmp_path / "changed").write_bytes(content[:-5])
    with pytest.raises(ValueError):  # noqa: PT011
        load_numpy(tmp_path / "changed")
    model.save(tmp_path / "estimator")
    with pytest.raises(ValueError, match=r"holds no predictor of numpy; .*skrnn\.load"):
        load_numpy(tmp_path / "estimator")
    with pytest.raises(ValueError, match=r"cannot be loaded: .*skrnn\.export\.load_numpy"):
        skrnn.load(tmp_path / "m")


def test_sound_files_that_lie_are_refused(ragged: list, labels: Any, tmp_path: Path) -> None:
    """A file may have the right sum and the wrong content."""
    from skrnn._persistence import pack, unpack

    to_numpy(RNNClassifier(**TINY).fit(ragged, labels)).save(tmp_path / "m")
    document, arrays = unpack(tmp_path / "m")
    document.pop("written_by")
    spec = document["spec"]

    def refused(document: Any, arrays: Any, message: str) -> None:
        (tmp_path / "lie").write_bytes(pack(document, arrays))
        with pytest.raises(ValueError, match=message):
            load_numpy(tmp_path / "lie")

    for name, value in [
        ("hidden_size", 10**15),
        ("hidden_size", [-1]),
        ("hidden_size", [1] * 1000),
        ("num_layers", 10**12),
        ("cell", "os.system"),
        ("cell", ["lstm"]),
        ("pooling", ["mean", "median"]),
        ("pooling", []),
        ("quantiles", [0.5, 0.5]),
        ("n_outputs", 3),
        ("dtype", "float16"),
        ("bidirectional", 1),
        ("embedding_dim", 4),
        ("frontend", "conv"),
        ("frontend", "wavelet"),
        ("frontend_stride", [1]),
    ]:
        refused({**document, "spec": {**spec, name: value}}, arrays, "describes no predictor")
    refused({**document, "n_networks": 10**9}, arrays, "n_networks")
    refused({**document, "classes": {"text": True, "values": [1, 2]}}, arrays, "classes")
    refused({k: v for k, v in document.items() if k != "spec"}, arrays, "KeyError")
    refused(document, {**arrays, "more": np.ones(2)}, "more is")
    refused(document, dict(list(arrays.items())[1:]), "is None")


# -- what cannot be converted -----------------------------------------------------------------


def test_what_is_of_your_own_is_named(ragged: list, labels: Any, numbers: Any) -> None:
    with pytest.raises(NotFittedError):
        to_numpy(RNNClassifier())
    with pytest.raises(TypeError, match="a LogisticRegression cannot be computed without torch"):
        to_numpy(LogisticRegression())
    pipe = make_pipeline(SequenceScaler(), RNNClassifier(**TINY)).fit(ragged, labels)
    with pytest.raises(TypeError, match="such as the last step of a pipeline"):
        to_numpy(pipe)
    assert to_numpy(pipe[-1]).n_features == 3
    with pytest.raises(ValueError, match="cell=GRUCell is of your own"):
        to_numpy(RNNClassifier(cell=torch.nn.GRUCell, **TINY).fit(ragged, labels))
    with pytest.raises(ValueError, match="loss=NormalHead is of your own"):
        to_numpy(RNNRegressor(loss=NormalHead, **TINY).fit(ragged, numbers))
    both = RNNRegressor(cell=torch.nn.GRUCell, loss=NormalHead, **TINY).fit(ragged, numbers)
    with pytest.raises(ValueError, match=r"RNNRegressor cannot be .*: cell=GRUCell .*; loss=Norm"):
        to_numpy(both)
    with pytest.raises(ValueError, match="reads every sequence from its end"):
        to_numpy(RNNClassifier(**TINY).fit(ragged, labels)).stream()


def test_a_predictor_keeps_its_weights(ragged: list, numbers: Any) -> None:
    model = RNNRegressor(**TINY).fit(ragged, numbers)
    predictor = to_numpy(model)
    before = predictor.predict(ragged)
    model.fit(ragged, -numbers)
    assert_array_equal(predictor.predict(ragged), before)
    assert_same(to_numpy(pickle.loads(pickle.dumps(model))).predict(ragged), model.predict(ragged))
    assert "export" in skrnn.__all__
    clone(model)
