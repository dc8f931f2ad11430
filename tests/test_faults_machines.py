"""Faults of machines: threads, processes, memory, devices, and what surrounds a call.

Each test carries the number of its row in the table of faults.
"""

import pickle
import random
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ClassVar

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.utils._param_validation import InvalidParameterError
from skorch.callbacks import Callback

from skrnn import RNNClassifier, RNNForecaster, RNNRegressor
from skrnn._training import _memory, repeatable

ESTIMATORS = [RNNClassifier, RNNRegressor]
X = np.random.default_rng(0).normal(size=(24, 6, 2))
Y = np.arange(24) % 2
RAGGED = [x[: 1 + i % 6] for i, x in enumerate(X)]


@pytest.fixture(params=ESTIMATORS)
def cls(request):
    return request.param


def make(cls, **params):
    defaults = {"hidden_size": 4, "max_epochs": 2, "batch_size": 8, "random_state": 0}
    return cls(**{**defaults, **params})


def weights(model):
    return model.net_.module_.state_dict()


def in_new_process(code: str, *options: str, timeout: float = 120) -> str:
    done = subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- threads ----------------------------------------------------------------------------------


def test_f096_fits_in_threads_are_those_of_one_thread(cls):
    def fit(seed):
        return make(cls, random_state=seed).fit(RAGGED, Y).predict(RAGGED)

    expected = [fit(seed) for seed in (0, 0, 1, 2)]
    with ThreadPoolExecutor(4) as pool:
        actual = list(pool.map(fit, (0, 0, 1, 2)))
    assert_array_equal(actual, expected)


@pytest.mark.parametrize("cls", [*ESTIMATORS, RNNForecaster])
def test_f097_global_generators_stay_as_they_were(cls):
    def state():
        legacy = np.random.get_state(legacy=False)  # noqa: NPY002
        return pickle.dumps((legacy, random.getstate(), torch.get_rng_state().numpy()))

    before = state()
    if cls is RNNForecaster:
        model = cls(window_length=8, hidden_size=4, max_epochs=1, dropout=0.5, random_state=0)
        model.fit(np.arange(40.0), fh=[1]).predict()
    else:
        make(cls, dropout=0.5, num_layers=2).fit(X, Y).predict(X)
    assert state() == before


def test_f098_predictions_in_threads_are_those_of_one(cls):
    model = make(cls).fit(RAGGED, Y)
    expected = model.predict(RAGGED)
    with ThreadPoolExecutor(4) as pool:
        for actual in pool.map(lambda _: model.predict(RAGGED), range(12)):
            assert_array_equal(actual, expected)


def test_f098_predictions_during_partial_fit_are_of_one_moment():
    model = make(RNNClassifier, dropout=0.5).partial_fit(X, Y, classes=[0, 1])
    moments, seen = [model.predict_proba(X)], []
    done = threading.Event()

    def predict():
        while not done.is_set():
            seen.append(model.predict_proba(X))

    reader = threading.Thread(target=predict)
    reader.start()
    try:
        for _ in range(4):
            model.partial_fit(X, Y)
            moments.append(model.predict_proba(X))
    finally:
        done.set()
        reader.join(60)
    assert seen
    for found in seen:
        assert any(np.array_equal(found, moment) for moment in moments)


def test_f100_no_loader_and_no_worker_process_is_made(cls, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a loader was made")

    monkeypatch.setattr(torch.utils.data.DataLoader, "__init__", refuse)
    make(cls, early_stopping=True).fit(RAGGED, Y).predict(RAGGED)


# -- memory -----------------------------------------------------------------------------------


class Small:
    """A device that holds a few rows at a time: more of them are out of memory."""

    def __init__(self, monkeypatch, rows, error=torch.OutOfMemoryError):
        self.largest = 0
        whole = torch.lstm

        def kernel(x, *rest):
            if len(x) > rows:
                raise error("CUDA out of memory. Tried to allocate 2 GiB: can't allocate memory")
            self.largest = max(self.largest, len(x))
            return whole(x, *rest)

        monkeypatch.setattr(torch, "lstm", kernel)


PARAMS = {"dtype": "float64", "bidirectional": False, "cell": "lstm"}
CASES = {
    "plain": {},
    "weighted": {"sample_weight": np.linspace(0, 2, 24)},
    "per step": {},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
def test_f101_a_step_is_taken_in_parts_with_the_gradient_of_the_whole(
    cls, monkeypatch, case, error
):
    y = [np.full(len(x), label) for x, label in zip(RAGGED, Y, strict=True)]
    per_step = case == "per step"
    params = {**PARAMS, "early_stopping": False, "return_sequences": per_step}
    targets = (y if per_step else Y), CASES[case].get("sample_weight")
    expected = make(cls, **params).fit(RAGGED, *targets)
    with monkeypatch.context() as patch:
        device = Small(patch, 3, error)
        model = make(cls, **params)
        with pytest.warns(ResourceWarning, match="not enough memory for a batch of") as told:
            model.fit(RAGGED, *targets)
    assert len(told) == 1
    assert device.largest <= 3
    for name, value in weights(expected).items():
        assert_allclose(weights(model)[name], value, rtol=1e-7, atol=1e-9)
    losses = [[row["train_loss"] for row in one.history_] for one in (expected, model)]
    assert_allclose(*losses, rtol=1e-9)


def test_f101_a_forecaster_steps_in_parts_as_well(monkeypatch):
    def fitted():
        y = np.sin(np.arange(60) / 3)
        model = RNNForecaster(
            window_length=8, hidden_size=4, max_epochs=2, refit=False, cell="lstm",
            dtype="float64", random_state=0,
        )  # fmt: skip
        return model.fit(y, fh=[1, 2]).predict()

    expected = fitted()
    Small(monkeypatch, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        assert_allclose(fitted(), expected, rtol=1e-6)


def test_f101_one_sequence_that_does_not_fit_is_an_error(cls, monkeypatch):
    Small(monkeypatch, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        with pytest.raises(MemoryError, match=r"one sequence of \d steps and 4 features.*tbptt"):
            make(cls, **PARAMS).fit(X, Y)


def test_f101_other_errors_are_raised_as_they_are(cls, monkeypatch):
    def fail(*args):
        raise RuntimeError("of another kind")

    monkeypatch.setattr(torch, "lstm", fail)
    with pytest.raises(RuntimeError, match="of another kind"):
        make(cls, **PARAMS).fit(X, Y)


@pytest.mark.parametrize("per_step", [False, True])
def test_f102_predictions_come_in_parts_and_in_order(cls, monkeypatch, per_step):
    y = [np.full(len(x), label) for x, label in zip(RAGGED, Y, strict=True)] if per_step else Y
    model = make(cls, **PARAMS, return_sequences=per_step).fit(RAGGED, y)
    name = "predict_proba" if cls is RNNClassifier else "predict"
    expected = getattr(model, name)(RAGGED)
    device = Small(monkeypatch, 5)
    with pytest.warns(ResourceWarning, match="at a time") as told:
        actual = getattr(model, name)(RAGGED)
    assert len(told) == 1
    assert 0 < device.largest <= 5
    for one, other in zip(actual, expected, strict=True):
        assert_allclose(one, other, atol=1e-6)


def test_f103_what_cannot_fit_is_told_before_it_is_allocated(cls, monkeypatch):
    monkeypatch.setattr(_memory, "available_bytes", lambda: 10**8)
    long = np.zeros((4, 200_000, 1), dtype=np.float32)
    long[:, ::2] = 1.0
    match = r"4 sequences of 200000 steps needs at least .* GB .* 80% of the 0.1 GB"
    with pytest.raises(MemoryError, match=match):
        make(cls, frontend=None, hidden_size=64).fit(long, Y[:4])
    # In chunks it fits.
    chunked = make(cls, frontend=None, hidden_size=64, tbptt_steps=10, batch_size=4)
    net = chunked.set_params(max_epochs=1).fit(long[:, :40], Y[:4]).net_
    net._check_memory(type("Long", (), {"lengths": np.full(4, 200_000)}), 4)


def test_f103_predictions_are_looked_at_too(cls, monkeypatch):
    model = make(cls, frontend=None, hidden_size=64).fit(X, Y)
    monkeypatch.setattr(_memory, "available_bytes", lambda: 10**8)
    with pytest.raises(MemoryError, match="1 sequences of 300000 steps"):
        model.predict(np.zeros((1, 300_000, 2), dtype=np.float32))


def test_f103_predictions_of_many_long_sequences_take_the_memory_of_few(cls, monkeypatch):
    model = make(cls, frontend=None, hidden_size=64, batch_size=64).fit(X, Y)
    monkeypatch.setattr(_memory, "available_bytes", lambda: 10**8)
    # As one batch they would need four times as much as there is.
    long = np.zeros((64, 5_000, 2), dtype=np.float32)
    assert len(model.predict(long)) == 64


def test_f103_available_memory_is_known_or_unknown(monkeypatch):
    found = _memory.available_bytes()
    assert found is None or found > 2**20
    for name in ("_of_machine", "_of_group"):
        monkeypatch.setattr(_memory, name, lambda: None)
    assert _memory.available_bytes() is None
    # Where nothing tells, nothing is refused.
    _memory.check_memory(make(RNNClassifier).fit(X, Y).net_.module_, 10**6, 10**6, True, "cpu")


# -- devices ----------------------------------------------------------------------------------


def test_f104_devices_that_are_not_there(cls):
    for device, there in (
        ("cuda", torch.cuda.is_available()),
        ("mps", torch.backends.mps.is_available()),
        ("cuda:9", torch.cuda.device_count() > 9),
    ):
        if not there:
            with pytest.raises(ValueError, match=f"device='{device}' is not available.*'auto'"):
                make(cls, device=device).fit(X, Y)
    with pytest.raises(InvalidParameterError, match=r"'gpu'.*'cuda'"):
        make(cls, device="gpu").fit(X, Y)
    used = make(cls, device="auto").fit(X, Y).net_.device
    assert torch.device(used).type == ("cuda" if torch.cuda.is_available() else "cpu")


def mode():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.benchmark,
    )


class Modes(Callback):
    """Note the mode of every step, and let some operation be one without a repeatable form."""

    seen: ClassVar[list] = []

    def __init__(self, put=False):
        self.put = put

    def on_batch_end(self, net, **kwargs):
        Modes.seen.append(mode())
        if self.put:
            torch.zeros(3).put_(torch.tensor([0, 0]), torch.ones(2))


def test_f105_two_deterministic_trainings_are_equal(cls):
    before = mode()
    Modes.seen.clear()
    params = {"num_layers": 2, "dropout": 0.5, "pooling": ("mean", "max", "last", "attention")}
    params |= {"deterministic": True, "callbacks": [Modes()]}
    one, other = (make(cls, **params).fit(RAGGED, Y) for _ in range(2))
    assert set(Modes.seen) == {(True, False, False)}
    assert mode() == before
    for name, value in weights(one).items():
        assert torch.equal(weights(other)[name], value), name
    assert_array_equal(one.predict(RAGGED), other.predict(RAGGED))


def test_f105_what_has_no_deterministic_form_is_an_error(cls):
    before = mode()
    make(cls, callbacks=[Modes(put=True)]).fit(RAGGED, Y)
    with pytest.raises(RuntimeError, match="does not have a deterministic implementation"):
        make(cls, callbacks=[Modes(put=True)], deterministic=True).fit(RAGGED, Y)
    with pytest.raises(ValueError, match=r"cannot end by the clock, got max_time=3\.0"):
        make(cls, deterministic=True, max_time=3.0).fit(RAGGED, Y)
    assert mode() == before


def test_f105_a_forecaster_is_deterministic():
    Modes.seen.clear()
    make_one = partial(RNNForecaster, hidden_size=4, max_epochs=1, dropout=0.5, random_state=0)
    series = np.arange(60.0) + np.random.default_rng(0).normal(size=60)
    model = make_one(deterministic=True, callbacks=[Modes()])
    forecasts = [model.fit(series, fh=[1, 2]).predict() for _ in range(2)]
    assert_array_equal(*forecasts)
    assert set(Modes.seen) == {(True, False, False)}
    with pytest.raises(ValueError, match="cannot end by the clock"):
        make_one(deterministic=True, max_time=3.0).fit(series, fh=[1])


def test_f105_the_mode_is_left_once_the_last_training_ends():
    before = mode()
    one, other = repeatable(True, "cpu"), repeatable(True, "cpu")
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert mode() == (True, False, False)
    other.__exit__(None, None, None)
    assert mode() == before
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        with repeatable(True, "cpu"):
            assert mode() == (True, False, False)
        assert mode() == (True, True, False)
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


def test_f105_cuda_has_to_be_set_up_for_it(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with pytest.raises(ValueError, match=r"needs CUBLAS_WORKSPACE_CONFIG=:4096:8.*is None"):
        repeatable(True, "cuda:0")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    with repeatable(True, "cuda:0"):
        assert mode() == (True, False, False)
    with repeatable(False, "cuda"):
        assert not torch.are_deterministic_algorithms_enabled()


# -- what surrounds a call ----------------------------------------------------------------------


class DefaultType:
    def __enter__(self):
        torch.set_default_dtype(torch.float64)

    def __exit__(self, *error):
        torch.set_default_dtype(torch.float32)


SURROUNDINGS = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "default type": DefaultType,
    "default device": lambda: torch.device("meta"),
}


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_f107_what_surrounds_a_fit_changes_nothing(cls, name):
    def fitted():
        model = make(cls, num_layers=2, dropout=0.5, early_stopping=True).fit(RAGGED, Y)
        return model.predict(RAGGED), model.transform(RAGGED)

    expected = fitted()
    with SURROUNDINGS[name]():
        actual = fitted()
    for one, other in zip(actual, expected, strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_f107_what_surrounds_a_forecast_changes_nothing(name):
    def forecast():
        model = RNNForecaster(window_length=8, hidden_size=4, max_epochs=1, random_state=0)
        return model.fit(np.sin(np.arange(40) / 3), fh=[1, 2]).predict()

    expected = forecast()
    with SURROUNDINGS[name]():
        assert_array_equal(forecast(), expected)


USE = """
import numpy as np
from skrnn import RNNClassifier, RNNForecaster, RNNRegressor
X = np.random.default_rng(0).normal(size=(12, 5, 2))
for model in RNNClassifier, RNNRegressor:
    fitted = model(hidden_size=3, max_epochs=1, verbose=1).fit(X, np.arange(12) % 2)
    fitted.predict(X)
y = np.sin(np.arange(40) / 3)
RNNForecaster(window_length=8, hidden_size=3, max_epochs=1, verbose=1).fit(y, fh=[1]).predict()
"""


def test_f108_warnings_as_errors():
    in_new_process(USE, "-W", "error")


BLOCKED = """
import importlib.abc, importlib.metadata, importlib.util, sys

OPTIONAL = {
    "accelerate", "captum", "dask", "distributed", "matplotlib", "onnx", "onnxruntime", "optuna",
    "polars", "pyarrow", "ray", "rich", "skops", "skpro", "tokenizers", "zarr", "hypothesis",
}

def installed(whole=importlib.metadata.distributions, **context):
    return [found for found in whole(**context) if found.metadata["Name"] not in OPTIONAL]

def find(name, package=None, whole=importlib.util.find_spec):
    return None if name.split(".")[0] in OPTIONAL else whole(name, package)

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in OPTIONAL:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

importlib.util.find_spec = find
sys.meta_path.insert(0, Absent())
importlib.metadata.distributions = installed
"""


def test_f109_core_packages_are_enough(tmp_path):
    code = f"""
import skrnn
from skrnn import metrics, nn, preprocessing, streaming, testing
import skrnn.sktime
skrnn.show_versions()
path = {str(tmp_path / "model.skrnn")!r}
skrnn.save(fitted, path)
assert np.array_equal(skrnn.load(path).predict(X), fitted.predict(X))
from sklearn.model_selection import cross_val_score
cross_val_score(RNNClassifier(hidden_size=3, max_epochs=1), X, np.arange(12) % 2, cv=2)
"""
    in_new_process(BLOCKED + USE + code)


@pytest.mark.parametrize(
    "spoil",
    [
        "import sys; sys.stdout = sys.stderr = None",
        "import sys; sys.stdout.close()",
        "import logging; logging.shutdown()",
        "import os, sys; os.close(1)",
    ],
)
def test_f110_silence_where_nobody_listens(spoil):
    in_new_process(f"{spoil}\n{USE}\nimport os\nos._exit(0)")


def test_f110_the_end_of_the_interpreter_is_quiet():
    done = subprocess.run(
        [sys.executable, "-c", f"{USE}\nimport atexit\natexit.register(lambda: fitted.predict(X))"],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert done.stderr == ""
