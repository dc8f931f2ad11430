"""Where data lie, and batches that are built ahead and sent."""

from __future__ import annotations

import threading

import numpy as np
import pandas as pd
import pytest
import torch

from skrnn import RNNClassifier, RNNForecaster, _sequences
from skrnn._forecasting import _dataset
from skrnn._sequences import Sequences
from skrnn._stored import Store, StoredSequences
from skrnn._training import SequenceDataset, _batches, device_or_cpu, one_ahead
from skrnn._training._placement import home_of, sent, takes_all, with_index

# The same place by another name: everything is sent to it.
ELSEWHERE = torch.device("cpu", 0)


@pytest.fixture
def away(monkeypatch):
    """Data stay behind, as those do that are too much for a GPU."""
    seen = []

    def home(device, n_bytes):
        seen.append(n_bytes)
        return ELSEWHERE

    for module in (_batches, _dataset):
        monkeypatch.setattr(module, "home_of", home)
    return seen


def test_data_live_on_the_device_while_they_fit(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (900, 4000))
    # What torch keeps of what was freed is free.
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 300)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 200)
    gpu, cpu = torch.device("cuda", 0), torch.device("cpu")
    assert home_of(gpu, 500) == gpu
    assert home_of(gpu, 501) == cpu
    assert home_of(cpu, 10**15) == cpu
    assert takes_all(gpu, 500)
    assert not takes_all(gpu, 501)
    assert not takes_all(cpu, 1)


def test_a_gpu_gets_its_number(monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    assert with_index(torch.device("cuda")) == torch.device("cuda", 3)
    assert with_index(torch.device("cuda", 1)) == torch.device("cuda", 1)
    assert with_index(torch.device("cpu")) == torch.device("cpu")


def test_lengths_stay_on_the_cpu():
    inputs = {"x": torch.ones(2, 3, 1), "lengths": torch.tensor([3, 1])}
    moved, target = sent((inputs, torch.ones(2)), torch.device("meta"))
    assert moved["x"].device.type == target.device.type == "meta"
    assert moved["lengths"] is inputs["lengths"]


@pytest.mark.parametrize("n_batches", [0, 1, 5])
def test_batches_come_in_order_and_no_more_than_one_is_waiting(n_batches):
    built = []

    def build(number):
        built.append(number)
        return number

    for count, number in enumerate(one_ahead(build, range(n_batches), ELSEWHERE)):
        assert number == count
        assert len(built) <= count + 2
    assert built == list(range(n_batches))


def test_an_error_comes_where_its_batch_would():
    def build(number):
        if number == 2:
            raise OSError("the disk is gone")
        return number

    batches = one_ahead(build, range(5), ELSEWHERE)
    assert [next(batches), next(batches)] == [0, 1]
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)


def test_the_thread_ends_with_the_batches():
    def threads():
        return [t for t in threading.enumerate() if t.name.startswith("skrnn-batches")]

    batches = one_ahead(lambda number: number, range(5), ELSEWHERE)
    next(batches)
    assert len(threads()) == 1
    batches.close()
    assert threads() == []


@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
def test_where_sequences_lie_changes_nothing(away, monkeypatch, ragged, return_sequences):
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(n, 2)) for n in (rng.integers(2, 9, 30) if ragged else [5] * 30)]
    y = [(x[:, 0] > 0).astype(int) for x in X]
    y = y if return_sequences else np.array([labels[-1] for labels in y])
    weight = rng.uniform(1, 2, 30)

    def fitted():
        model = RNNClassifier(
            hidden_size=3,
            max_epochs=2,
            batch_size=8,
            return_sequences=return_sequences,
            early_stopping=True,
            random_state=0,
        )
        return model.fit(X, y, sample_weight=weight)

    sent_ones = fitted()
    probabilities = sent_ones.predict_proba(X)
    assert away
    monkeypatch.undo()
    for one, other in zip(probabilities, fitted().predict_proba(X), strict=True):
        np.testing.assert_array_equal(one, other)


def test_where_a_panel_lies_changes_nothing(away, monkeypatch):
    rng = np.random.default_rng(0)
    index = pd.period_range("2020-01", periods=60, freq="M")
    y = pd.Series(rng.normal(size=60).cumsum() + 50, index=index)
    X = pd.DataFrame({"x": rng.normal(size=63)}, index=index.append(index[-3:] + 3))

    def forecast():
        model = RNNForecaster(hidden_size=4, max_epochs=2, random_state=0)
        return model.fit(y, X.iloc[:60], fh=[1, 2, 3]).predict(X=X.iloc[60:])

    sent_ones = forecast()
    assert away
    monkeypatch.undo()
    pd.testing.assert_series_equal(sent_ones, forecast())


@pytest.mark.parametrize(
    ("reads_ahead", "device", "ahead"),
    [(True, ELSEWHERE, 1), (True, "cpu", 0), (False, ELSEWHERE, 0)],
)
def test_stored_sequences_are_read_ahead_where_their_store_allows_it(
    monkeypatch, reads_ahead, device, ahead
):
    calls = []

    def spy(build, plan, device):
        calls.append(1)
        return map(build, plan)

    monkeypatch.setattr(_batches, "one_ahead", spy)
    stored = StoredSequences(InMemory(reads_ahead), np.arange(4), np.full(4, 3), 1.0, 0)
    dataset = SequenceDataset(stored, np.arange(4.0), device=device)
    batches = list(dataset.batches([np.array([2, 0]), np.array([1, 3])]))
    assert len(calls) == ahead
    assert [batch[0]["x"][:, 0, 0].tolist() for batch in batches] == [[2, 0], [1, 3]]
    assert [batch[1].tolist() for batch in batches] == [[2, 0], [1, 3]]


class InMemory(Store):
    """Four sequences of three steps that hold their number."""

    n_features = 1

    def __init__(self, reads_ahead):
        self.reads_ahead = reads_ahead

    def __len__(self):
        return 4

    def read(self, indices):
        return Sequences.from_list([np.full((3, 1), float(i)) for i in indices])


@pytest.mark.parametrize("reads_ahead", [True, False])
def test_stored_sequences_are_read_to_a_gpu_that_has_room(monkeypatch, reads_ahead):
    monkeypatch.setattr(_batches, "takes_all", lambda device, n_bytes: n_bytes <= 4 * 3 * 4)
    monkeypatch.setattr(_sequences, "BLOCK", 6)
    stored = StoredSequences(InMemory(reads_ahead), np.arange(4), np.full(4, 3), 1.0, 0)
    dataset = SequenceDataset(stored, np.arange(4.0))
    assert (dataset.stored is None) == reads_ahead
    (batch,) = dataset.batches([np.array([3, 0, 2])])
    assert batch[0]["x"][:, -1, 0].tolist() == [3, 0, 2]


def test_a_model_of_one_gpu_is_loaded_on_another_or_on_the_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert device_or_cpu("cuda:1") == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.warns(UserWarning, match="loaded on the CPU"):
        assert device_or_cpu("cuda:1") == torch.device("cpu")
