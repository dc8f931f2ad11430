"""Missing values, times and characters without torch: the same answers as the estimator's."""

import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gappy_data import gappy, labels, timed
from numpy.testing import assert_allclose, assert_array_equal
from test_export_numpy import ALONE, CELLS, assert_same
from word_data import WORDS, spelt

from skrnn import RNNClassifier, RNNRegressor
from skrnn.export import load_numpy, to_numpy

TINY: dict[str, Any] = {"hidden_size": 4, "max_epochs": 2, "lr": 0.1, "random_state": 0}
POOLINGS = ("last", "mean", "max", "attention")
NAN = float("nan")


def through_a_file(model: Any, folder: Path) -> Any:
    to_numpy(model).save(folder / "m")
    return load_numpy(folder / "m")


def data_of(times: bool) -> list[np.ndarray]:
    """Sequences with gaps, the times of the steps in the last feature; seconds since 1970."""
    return timed(gappy(), start=1.7e9) if times else gappy()


# -- missing values and times -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "both", "layers", "times"),
    [*product(CELLS, [False, True], [1, (4, 3)], [False, True])],
)
def test_cells_read_gaps_and_times(
    cell: str, both: bool, layers: Any, times: bool, tmp_path: Path
) -> None:
    X = data_of(times)
    model = RNNClassifier(cell=cell, bidirectional=both, pooling=POOLINGS, missing="mask", **TINY)
    model.set_params(hidden_size=layers, attention_heads=2, time_channel=-1 if times else None)
    predictor = through_a_file(model.fit(X, labels(X)), tmp_path)
    assert_same(predictor.predict_proba(X), model.predict_proba(X))
    assert_array_equal(predictor.predict(X), model.predict(X))
    assert_same(predictor.transform(X), model.transform(X))


@pytest.mark.parametrize(
    ("layers", "times", "dtype"), [*product([1, (4, 3)], [False, True], ["float32", "float64"])]
)
def test_decay(layers: Any, times: bool, dtype: str, tmp_path: Path) -> None:
    X = data_of(times)
    params = {"time_channel": 3 if times else None, "dtype": dtype, "missing": "mask", **TINY}
    model = RNNRegressor(cell="grud", return_sequences=True, **params)
    model.set_params(hidden_size=layers).fit(X, [np.arange(len(x)) for x in X])
    assert_same(through_a_file(model, tmp_path).predict(X), model.predict(X), atol=1e-6)


@pytest.mark.parametrize(
    ("frontend", "both", "times"), [*product(["conv", "patch"], [False, True], [False, True])]
)
def test_front_ends_read_gaps(frontend: str, both: bool, times: bool, tmp_path: Path) -> None:
    X = data_of(times)
    model = RNNClassifier(frontend=frontend, bidirectional=both, missing="mask", **TINY)
    # So large a step makes answers that hang on the last digits of float32.
    model.set_params(time_channel=3 if times else None, dtype="float64").fit(X, labels(X))
    assert_same(through_a_file(model, tmp_path).predict_proba(X), model.predict_proba(X), atol=1e-9)


@pytest.mark.parametrize("both", [False, True])
def test_times_alone(both: bool, tmp_path: Path) -> None:
    X = [np.nan_to_num(x[:, [0, 3]]) for x in data_of(times=True)]
    model = RNNRegressor(time_channel=1, n_estimators=2, bidirectional=both, **TINY)
    model.fit(X, [x[-1, 1] - x[0, 1] for x in X])
    assert_same(through_a_file(model, tmp_path).predict(X), model.predict(X))
    only = [x[:, 1:] for x in X]
    model.set_params(time_channel=0).fit(only, np.arange(len(X)))
    assert_same(through_a_file(model, tmp_path).predict(only), model.predict(only))


def test_features_nobody_saw_and_silent_ends() -> None:
    """A feature without a value in training stays unread; steps without any value are time."""
    X = gappy()
    for x in X:
        x[:, 1] = NAN
    params = {"missing": "mask", "empty": "zero_state", **TINY}
    model = RNNClassifier(**params).fit(X, labels(X))
    seen = [np.where(np.isnan(x), 7.0, x) for x in X]
    odd = [*seen, np.full((3, 3), NAN), np.vstack([X[0], np.full((2, 3), NAN)]), np.zeros((0, 3))]
    assert_same(to_numpy(model).predict_proba(odd), model.predict_proba(odd))
    block = np.full((3, 9, 3), NAN)
    block[0, :4], block[1, 2] = X[0][:4] if len(X[0]) > 3 else 1.0, 2.0
    assert_same(to_numpy(model).predict_proba(block), model.predict_proba(block))


def test_wrong_times_are_named() -> None:
    X = data_of(times=True)
    model = RNNClassifier(missing="mask", time_channel=3, **TINY).fit(X, labels(X))
    predictor = to_numpy(model)
    back, unknown, infinite = (X[1].copy() for _ in range(3))
    back[1, 3], unknown[1, 3], infinite[1, 0] = 5.0, NAN, np.inf
    for x, message in [
        (back, "sequence 1 goes back in time to 5 at step 1; sort its steps by time"),
        (unknown, "sequence 1 has the time nan at step 1; every step needs a time"),
        (infinite, "X holds infinity .* at sequence 1, step 1, feature 0"),
    ]:
        with pytest.raises(ValueError, match=message):
            predictor.predict([X[0], x])


# -- characters -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoder", "both", "loss"),
    [*product(["conv", "gru", "lstm"], [False, True], ["crf", "cross_entropy"])],
)
def test_words_and_their_characters(encoder: str, both: bool, loss: str, tmp_path: Path) -> None:
    X = spelt()
    model = RNNClassifier(character_encoder=encoder, bidirectional=both, loss=loss, **WORDS, **TINY)
    model.set_params(return_sequences=True, n_estimators=2).fit(X, [x[:, 0] % 3 for x in X])
    predictor, longer = through_a_file(model, tmp_path), [*X, np.zeros((0, 6), dtype=int)]
    assert_same(predictor.predict_proba(longer), model.predict_proba(longer))
    for found, expected in zip(predictor.predict(longer), model.predict(longer), strict=True):
        assert_array_equal(found, expected)


def test_spelt_words_in_rows_and_wrong_ids() -> None:
    X = spelt()
    model = RNNClassifier(character_encoder="lstm", n_channels=6, **WORDS, **TINY).fit(X, labels(X))
    predictor = to_numpy(model)
    block = np.zeros((len(X), 6, 6), dtype=int)
    for row, x in zip(block, X, strict=True):
        row[: len(x)] = x
    expected = model.predict_proba(X)
    assert_same(predictor.predict_proba(block), expected)
    assert_same(predictor.predict_proba(block.reshape(len(X), -1)), expected)
    for (step, column), value, message in [
        ((0, 0), 9, "token id 9 in sequence 0 is outside the vocabulary of 9"),
        ((0, 2), 12, "character id 12 in sequence 0 is outside the vocabulary of 12"),
        ((0, 2), -1, "character id -1 in sequence 0"),
    ]:
        wrong = block[3].copy()
        wrong[step, column] = value
        with pytest.raises(ValueError, match=message):
            predictor.predict([wrong])


# -- without torch, and files -----------------------------------------------------------------


def test_they_need_numpy_and_safetensors_only(tmp_path: Path) -> None:
    X, W = data_of(times=True), spelt()
    params = {"time_channel": 3, "missing": "mask", **TINY}
    models = {
        "gaps": RNNRegressor(cell="grud", **params).fit(X, labels(X)),
        "words": RNNRegressor(character_encoder="conv", bidirectional=False, **WORDS, **TINY),
    }
    models["words"].fit(W, labels(W))
    for name, data in (("gaps", X), ("words", W)):
        np.savez(tmp_path / f"{name}.npz", *data)
        to_numpy(models[name]).save(tmp_path / f"{name}.safetensors")
    code = f"""{ALONE}
import os
os.chdir({str(tmp_path)!r})
from skrnn.export import load_numpy
for name in ("gaps", "words"):
    X = list(np.load(name + ".npz").values())
    predictor = load_numpy(name + ".safetensors")
    answers = [predictor.stream().update(x[None]).predict()[0] for x in X]
    np.save(name, [predictor.predict(X), answers])
print(sorted(name for name in sys.modules if "torch" in name or "sklearn" in name))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]"]
    for name, data in (("gaps", X), ("words", W)):
        found = np.load(tmp_path / f"{name}.npy")
        assert_allclose(found, [models[name].predict(data)] * 2, atol=1e-6)


def test_sound_files_that_lie_are_refused(tmp_path: Path) -> None:
    from skrnn._persistence import pack, unpack

    X, W = data_of(times=True), spelt()
    to_numpy(
        RNNClassifier(cell="grud", missing="mask", time_channel=3, **TINY).fit(X, labels(X))
    ).save(tmp_path / "gaps")
    to_numpy(RNNClassifier(character_encoder="conv", **WORDS, **TINY).fit(W, labels(W))).save(
        tmp_path / "words"
    )
    for file, name, value in [
        ("gaps", "missing", "zero"),
        ("gaps", "missing", None),
        ("gaps", "time_channel", 4),
        ("gaps", "time_channel", -1),
        ("gaps", "time_channel", True),
        ("gaps", "time_channel", None),
        ("gaps", "bidirectional", True),
        ("gaps", "embedding_dim", 3),
        ("words", "character_encoder", "os.system"),
        ("words", "character_encoder", None),
        ("words", "character_dim", 0),
        ("words", "character_vocabulary_size", None),
        ("words", "n_features", 1),
        ("words", "missing", "mask"),
        ("words", "time_channel", 0),
    ]:
        document, arrays = unpack(tmp_path / file)
        document.pop("written_by")
        lie = {**document, "spec": {**document["spec"], name: value}}
        (tmp_path / "lie").write_bytes(pack(lie, arrays))
        with pytest.raises(ValueError, match="describes no predictor"):
            load_numpy(tmp_path / "lie")
