"""Threads: how many of them a training on the CPU uses, found by timing a few of its steps."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from numbers import Integral
from statistics import median
from typing import Any

import joblib
import torch
from joblib.parallel import LokyBackend, get_active_backend
from skorch.callbacks import Callback

# Below this many multiplications per step (parameters x rows x time steps) a second thread never
# pays, and one thread gives the same digits in every run.
SMALL_STEP = 3e7
# Timed steps per number of threads, and steps after which the trial is repeated.
TIMED_STEPS, STEPS_BETWEEN_TRIALS = 3, 1000
# Another program that wants the cores shows in steps that take this much longer.
SLOWER = 1.5

# Whether this process is a fork of one that had imported skrnn.
_forked = False


class FasterThreads(Callback):
    """Time a few steps with one thread, two, four and so on, and go on with the fastest.

    A second thread halves the time of a large step on an idle machine and multiplies it beside a
    busy program, as threads wait for each other actively. The trial is therefore repeated now and
    then, and when steps become slower. Small steps are not timed: they take one thread.

    Parameters
    ----------
    most : int
        Largest number of threads.
    """

    def __init__(self, most: int) -> None:
        self.most = most

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Plan the first trial, after a step that makes buffers."""
        self.parameters_ = sum(p.numel() for p in net.module_.parameters())
        self.settled_: float | None = None
        self.pace_: list[float] = []
        self.n_steps_ = 0
        self._plan_trial(warm_up=1)

    def _plan_trial(self, warm_up: int = 0) -> None:
        counts = [2**k for k in range(self.most.bit_length()) if 2**k < self.most] + [self.most]
        # In turns, so that a disturbance does not hit one of them only.
        self.trial_ = [0] * warm_up + counts * TIMED_STEPS
        self.times_: dict[int, list[float]] = {count: [] for count in counts}

    def on_batch_begin(
        self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        """Set the number of threads of a step in a trial, and start the clock."""
        if not training:
            return
        self.work_ = self.parameters_ * net.steps_of(batch[0])
        if self.trial_ and self.work_ < SMALL_STEP:
            _set(1)
        elif self.trial_ and self.trial_[0]:
            _set(self.trial_[0])
        self.start_ = time.perf_counter()

    def on_batch_end(
        self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        """Record the time; at the end of a trial go on with the fastest."""
        if not training or self.work_ < SMALL_STEP:
            return
        # Batches of sequences differ in length.
        pace = (time.perf_counter() - self.start_) / self.work_
        self.n_steps_ += 1
        if self.trial_:
            count = self.trial_.pop(0)
            if count:
                self.times_[count].append(pace)
            if not self.trial_:
                self._settle()
            return
        self.pace_.append(pace)
        if self.n_steps_ % STEPS_BETWEEN_TRIALS == 0:
            self._plan_trial()

    def _settle(self) -> None:
        paces = {count: median(times) for count, times in self.times_.items()}
        best = min(paces, key=lambda count: paces[count])
        self.settled_, self.pace_ = paces[best], []
        _set(best)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Plan another trial if the steps of this epoch were slower than those of the last one."""
        if self.settled_ and self.pace_ and median(self.pace_) > SLOWER * self.settled_:
            self._plan_trial()
        self.pace_ = []


def thread_callbacks(
    n_threads: int | str | None, device: torch.device | str, n_processes: int = 1
) -> list[Callback]:
    """Callbacks that look for a number of threads: one for "auto" on the CPU, else none.

    In a thread or process that shares the cores with others, such as a worker of a search, nothing
    is looked for: the number there is left as it is. Processes that train together on one machine
    share its cores.
    """
    most = min(torch.get_num_threads(), _cores(n_processes))
    alone = threading.current_thread() is threading.main_thread()
    if n_threads != "auto" or torch.device(device).type != "cpu" or most == 1 or not alone:
        return []
    return [FasterThreads(most)]


class ThreadSetting:
    """Torch's number of threads, put back once the last training that changed it has ended.

    Torch keeps a number per thread, and one that new threads start with: the last one set, by
    whichever thread. Where trainings overlap, only the first of them saw what was there before.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_users = 0
        self._before = 0

    @contextmanager
    def use(self, count: int | None) -> Iterator[None]:
        """Use a number of threads inside the block; None starts with the one there is."""
        before = torch.get_num_threads()
        with self._lock:
            if self._n_users == 0:
                self._before = before
            self._n_users += 1
            if count is not None:
                _set(count)
        try:
            yield
        finally:
            with self._lock:
                self._n_users -= 1
                overlapped = self._n_users == 0 and self._before != before
                _set(self._before if overlapped else before)


_setting = ThreadSetting()


def own_threads(n_threads: int | str | None, n_processes: int = 1) -> AbstractContextManager[None]:
    """Use a number of threads inside the block, and what was set before afterwards.

    A worker, or one of several processes that train together on one machine, uses no more than its
    share of the cores, whatever the number.
    """
    most = None if n_threads is None else share_of_worker()
    if n_processes > 1:
        cores = _cores(n_processes)
        most = cores if most is None else min(most, cores)
    if isinstance(n_threads, Integral):
        return _setting.use(int(n_threads) if most is None else min(int(n_threads), most))
    return _setting.use(None if most is None else min(torch.get_num_threads(), most))


def shared_cores() -> AbstractContextManager[None]:
    """Use no more threads inside the block than a worker may; elsewhere nothing is changed."""
    most = share_of_worker()
    if most is None or most == torch.get_num_threads():
        return nullcontext()
    return _setting.use(most)


def share_of_worker() -> int | None:
    """Threads of a task that runs beside others, as in a parallel search; None if it does not."""
    backend, _ = get_active_backend()
    level = getattr(backend, "nesting_level", 0) or 0
    if threading.current_thread() is not threading.main_thread():
        # Its neighbours are threads of this process. A task of dask is at level 0, but in a
        # thread that was given a backend; a thread of the user's own has the default one.
        return 1 if level or not isinstance(backend, LokyBackend) else None
    if level or _forked or multiprocessing.parent_process() is not None:
        # Who started this process has set its number.
        return torch.get_num_threads()
    return None


def _cores(n_processes: int) -> int:
    return max(joblib.cpu_count() // n_processes, 1)


def _set(count: int) -> None:
    if count != torch.get_num_threads():
        torch.set_num_threads(count)


def _one_thread_after_fork() -> None:
    global _forked, _setting
    _forked, _setting = True, ThreadSetting()
    # The child has none of the threads that OpenMP would wait for.
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_one_thread_after_fork)
