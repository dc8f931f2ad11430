"""The heap: kept while somebody trains, as before when nobody does."""

import platform
import subprocess
import sys
import threading

import numpy as np
import pytest

from skrnn import RNNClassifier
from skrnn._training import _heap
from skrnn._training._heap import SWITCH, Heap, kept_heap

glibc_only = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other C libraries have no such settings"
)


@pytest.fixture
def calls(monkeypatch):
    """Record what is set, without setting it."""
    found = []
    monkeypatch.setattr(_heap, "_set", found.append)
    monkeypatch.setattr(_heap, "settings_afterwards", lambda: {"before": 1})
    monkeypatch.setattr(_heap, "_heap", Heap())
    return found


def test_the_last_holder_restores(calls):
    with kept_heap("cpu"):
        with kept_heap("cpu"):
            assert calls == [_heap._KEPT]
        assert calls == [_heap._KEPT]
    assert calls == [_heap._KEPT, {"before": 1}]


def test_an_error_restores(calls):
    with pytest.raises(RuntimeError), kept_heap("cpu"):
        raise RuntimeError
    assert calls[-1] == {"before": 1}


def test_holders_in_threads_are_counted(calls):
    together = threading.Barrier(4)

    def hold():
        with kept_heap("cpu"):
            together.wait(10)

    threads = [threading.Thread(target=hold) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [_heap._KEPT, {"before": 1}]


def test_the_switch_and_other_devices_leave_it_alone(calls, monkeypatch):
    with kept_heap("cuda"):
        pass
    monkeypatch.setenv(SWITCH, "0")
    with kept_heap("cpu"):
        pass
    assert calls == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("MALLOC_TRIM_THRESHOLD_", "0"), ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=1")],
)
def test_what_the_user_tunes_is_left_alone(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert _heap.settings_afterwards.__wrapped__() is None


def test_every_training_holds_it(calls):
    X = np.random.default_rng(0).normal(size=(20, 5, 2))
    RNNClassifier(hidden_size=2, max_epochs=1, device="cpu").fit(X, X[:, 0, 0] > 0)
    assert calls == [_heap._KEPT, {"before": 1}]


SCRIPT = """
from skrnn._training._heap import kept_heap, mmap_threshold, settings_afterwards
before = settings_afterwards()
for _ in range(3):
    with kept_heap("cpu"):
        inside = mmap_threshold()
    after = mmap_threshold()
print(*before.values(), inside, after)
"""


@glibc_only
def test_the_settings_of_the_process_come_back():
    # In a process of its own: looking at the threshold makes it fixed.
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    threshold, trim, pad, inside, after = run.stdout.split()
    assert inside == "None"  # larger than anything that was asked for
    assert abs(int(after) - int(threshold)) <= 4096
    assert int(trim) >= 128 * 1024
    assert int(pad) == 128 * 1024
