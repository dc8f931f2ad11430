"""Threads: how many of them a training on the CPU may use, and what was set before."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from numbers import Integral

import joblib
import torch
from joblib.parallel import LokyBackend, get_active_backend
from skorch.callbacks import Callback

from skrnn._training._thread_trial import FasterThreads, set_threads

# Whether this process is a fork of one that had imported skrnn.
_forked = False


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
                set_threads(count)
        try:
            yield
        finally:
            with self._lock:
                self._n_users -= 1
                overlapped = self._n_users == 0 and self._before != before
                set_threads(self._before if overlapped else before)


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


def _one_thread_after_fork() -> None:
    global _forked, _setting
    _forked, _setting = True, ThreadSetting()
    # The child has none of the threads that OpenMP would wait for.
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_one_thread_after_fork)
