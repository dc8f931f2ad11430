"""Threads of a training: the faster number is found, and what was set before comes back."""

import multiprocessing
import threading
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
import torch

from skrnn import RNNClassifier
from skrnn._training import _thread_trial, _threads
from skrnn._training._thread_trial import FasterThreads, idle_seconds
from skrnn._training._threads import own_threads, shared_cores, thread_callbacks


class Machine:
    """Stands in for torch's threads and the clock: a step lasts as long as it is told to."""

    def __init__(self):
        self.count, self.now, self.seconds = 2, 0.0, {}
        self.idle_cores: int | None = 5

    def idle(self):
        return None if self.idle_cores is None else self.idle_cores * self.now

    def step(self, callback, rows=10**6):
        net, batch = SimpleNamespace(steps_of=lambda inputs: rows), ({}, None)
        callback.on_batch_begin(net, batch=batch, training=True)
        self.now += self.seconds[self.count] * rows / 10**6
        callback.on_batch_end(net, batch=batch, training=True)
        return self.count


@pytest.fixture
def machine(monkeypatch):
    found = Machine()
    monkeypatch.setattr(_threads.torch, "get_num_threads", lambda: found.count)
    monkeypatch.setattr(
        _threads.torch, "set_num_threads", lambda count: setattr(found, "count", count)
    )
    monkeypatch.setattr(_thread_trial.time, "perf_counter", lambda: found.now)
    monkeypatch.setattr(_thread_trial, "idle_seconds", found.idle)
    return found


def started(most):
    callback = FasterThreads(most)
    callback.on_train_begin(SimpleNamespace(module_=torch.nn.Linear(10, 10)))
    return callback


@pytest.mark.parametrize("idle_cores", [5, None])
@pytest.mark.parametrize("best", [1, 2, 4, 6])
def test_the_fastest_number_is_kept(machine, best, idle_cores):
    machine.seconds = {n: 1.0 if n == best else 1.4 for n in (1, 2, 4, 6)}
    machine.idle_cores = idle_cores
    callback = started(6)
    used = [machine.step(callback) for _ in range(40)]
    assert used[:4] == [1] * 4
    assert set(used[4:13]) == {2, 4, 6}
    assert set(used[13:]) == {best}


@pytest.mark.parametrize(
    ("idle_cores", "tried"), [(0, {1}), (1, {1, 2}), (2, {1, 2}), (3, {1, 2, 4})]
)
def test_no_more_threads_are_tried_than_cores_are_idle(machine, idle_cores, tried):
    machine.seconds = {1: 1.0, 2: 0.5, 4: 0.3, 6: 0.2}
    machine.idle_cores = idle_cores
    callback = started(6)
    assert {machine.step(callback) for _ in range(40)} == tried


@pytest.mark.parametrize(("seconds", "n_tried"), [(2.0, 2), (4.0, 1)])
def test_a_number_is_given_up_at_its_first_slow_step(machine, seconds, n_tried):
    # Threads may have to be started in the first one.
    machine.seconds = {1: 1.0, 2: seconds, 4: 1.0, 6: 1.0}
    callback = started(6)
    used = [machine.step(callback) for _ in range(40)]
    assert used.count(2) == n_tried
    assert set(used[-20:]) == {1}


def test_a_short_look_at_idle_cores_is_made_longer(machine):
    machine.seconds = {1: 0.015, 2: 0.01}
    callback = started(2)
    used = [machine.step(callback) for _ in range(20)]
    assert used.index(2) == 7


def test_idle_time_is_known_on_linux_or_not_at_all():
    before = idle_seconds()
    assert before is None or (before >= 0 and idle_seconds() >= before)


def test_batches_of_other_sizes_are_compared_by_their_work(machine):
    machine.seconds = {1: 1.0, 2: 1.5}
    callback = started(2)
    used = [machine.step(callback, rows) for rows in (10**6, 9 * 10**6, 10**6) * 10]
    assert set(used[7:]) == {1}


def test_small_steps_take_one_thread(machine):
    machine.seconds = {1: 9.0, 2: 1.0}
    callback = started(2)
    assert {machine.step(callback, rows=100) for _ in range(20)} == {1}


def test_steps_that_become_slower_are_tried_again(machine):
    machine.seconds = {1: 1.5, 2: 1.0}
    callback = started(2)
    assert [machine.step(callback) for _ in range(20)][-1] == 2
    callback.on_epoch_end(None)
    machine.seconds = {1: 1.5, 2: 9.0}
    assert machine.step(callback) == 2
    callback.on_epoch_end(None)
    assert [machine.step(callback) for _ in range(10)][-1] == 1


def test_now_and_then_it_is_tried_again(machine, monkeypatch):
    monkeypatch.setattr(_thread_trial, "STEPS_BETWEEN_TRIALS", 20)
    machine.seconds = {1: 1.0, 2: 9.0}
    callback = started(2)
    assert [machine.step(callback) for _ in range(19)][-1] == 1
    machine.seconds = {1: 1.0, 2: 0.5}
    assert [machine.step(callback) for _ in range(20)][-1] == 2


def test_nothing_is_looked_for_where_cores_are_shared(monkeypatch):
    monkeypatch.setattr(_threads.torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(_threads.joblib, "cpu_count", lambda: 6)
    (callback,) = thread_callbacks("auto", "cpu")
    assert callback.most == 6
    assert thread_callbacks("auto", "cuda") == thread_callbacks(None, "cpu") == []
    assert thread_callbacks(2, "cpu") == []
    found = []
    worker = threading.Thread(target=lambda: found.append(thread_callbacks("auto", "cpu")))
    worker.start()
    worker.join()
    assert found == [[]]
    monkeypatch.setattr(_threads.joblib, "cpu_count", lambda: 1)
    assert thread_callbacks("auto", "cpu") == []


def test_what_was_set_before_comes_back(machine):
    with own_threads(3):
        assert machine.count == 3
    assert machine.count == 2
    with pytest.raises(RuntimeError), own_threads(3):
        raise RuntimeError
    assert machine.count == 2
    with own_threads("auto"):
        machine.count = 1
    assert machine.count == 2


def test_trainings_that_overlap_leave_the_number_for_new_threads_alone():
    inside, leave, found = threading.Event(), threading.Event(), []

    def first():
        with own_threads(3):
            inside.set()
            leave.wait(30)

    def second():
        inside.wait(30)
        with own_threads(2):
            leave.set()
            threads[0].join()

    def look():
        found.append(torch.get_num_threads())

    for work in ([look], [first, second], [look]):
        threads = [threading.Thread(target=job) for job in work]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found[0] == found[1]


@pytest.mark.parametrize("n_threads", ["auto", 1, 2, None])
def test_a_task_of_joblib_takes_no_more_than_its_share(n_threads):
    def job():
        with own_threads(n_threads):
            inside = torch.get_num_threads()
        with shared_cores():
            return inside, torch.get_num_threads()

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with joblib.parallel_config(backend="threading"):
            found = joblib.Parallel(2)(joblib.delayed(job)() for _ in range(4))
        own = job()
    finally:
        torch.set_num_threads(before)
    assert set(found) == {(2 if n_threads is None else 1, 1)}
    assert own == (1 if n_threads == 1 else 2, 2)


@pytest.mark.parametrize("n_threads", ["auto", 1, 2, None])
def test_a_fit_leaves_the_number_of_threads_alone(n_threads):
    X = np.random.default_rng(0).normal(size=(40, 5, 2))
    before = torch.get_num_threads()
    model = RNNClassifier(hidden_size=3, max_epochs=2, n_threads=n_threads, device="cpu")
    model.fit(X, X[:, 0, 0] > 0)
    assert torch.get_num_threads() == before


def _fit_in_child(connection, n_threads):
    X = np.random.default_rng(0).normal(size=(400, 20, 2))
    model = RNNClassifier(hidden_size=32, max_epochs=1, n_threads=n_threads, device="cpu")
    model.fit(X, X[:, 0, 0] > 0).predict(X)
    connection.send(torch.get_num_threads())


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork"
)
@pytest.mark.parametrize("n_threads", ["auto", 2])
def test_f094_a_fit_in_a_forked_child_ends(n_threads):
    X = np.random.default_rng(0).normal(size=(400, 20, 2))
    RNNClassifier(hidden_size=32, max_epochs=1, n_threads=2, device="cpu").fit(X, X[:, 0, 0] > 0)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_fit_in_child, args=(sender, n_threads))
    child.start()
    try:
        assert receiver.poll(60)
        assert receiver.recv() == 1
    finally:
        child.kill()
        child.join()
