"""The trial of threads: a few steps of a training tell how many threads it should use."""

from __future__ import annotations

import os
import time
from statistics import median
from typing import Any

import torch
from skorch.callbacks import Callback

# Below this many multiplications per step (parameters x rows x time steps) a second thread never
# pays, and one thread gives the same digits in every run.
SMALL_STEP = 3e7
# Timed steps per number of threads, and steps after which the trial is repeated.
TIMED_STEPS, STEPS_BETWEEN_TRIALS = 3, 1000
# Seconds with one thread before the others are tried: shorter looks at idle cores tell nothing,
# as the system counts in hundredths of a second.
LOOK_SECONDS = 0.1
# Another program that wants the cores shows in steps that take this much longer. The first step
# with a number of threads may take longer still, since threads are started in it.
SLOWER, SLOWER_AT_FIRST = 1.5, 3.0


class FasterThreads(Callback):
    """Time a few steps with one thread, two, four and so on, and go on with the fastest.

    A second thread halves the time of a large step on an idle machine. Beside a busy program it can
    make the step a hundred times slower, as threads wait for each other actively. So the training
    begins with one thread, looks how many cores are idle meanwhile, tries no more threads than
    that, and gives a number up at its first slow step. It looks again now and then, and when steps
    become slower. Small steps are not timed: they take one thread.

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
        self.n_steps_ = 0
        self._look(warm_up=1)

    def _look(self, warm_up: int = 0) -> None:
        self.looks_, self.warm_up_ = True, warm_up
        self.idle_, self.since_ = idle_seconds(), time.perf_counter()
        self.count_ = 1
        self.trial_: list[int] = []
        self.times_: dict[int, list[float]] = {1: []}
        self.settled_: float | None = None
        self.pace_: list[float] = []

    def on_batch_begin(
        self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        """Set the number of threads of a step, and start the clock."""
        if not training:
            return
        self.work_ = self.parameters_ * net.steps_of(batch[0])
        set_threads(1 if self.work_ < SMALL_STEP else self.count_)
        self.start_ = time.perf_counter()

    def on_batch_end(
        self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        """Record the time; at the end of a trial go on with the fastest number."""
        if not training or self.work_ < SMALL_STEP:
            return
        self.n_steps_ += 1
        if self.warm_up_:
            self.warm_up_ -= 1
            return
        # Batches of sequences differ in length.
        pace = (time.perf_counter() - self.start_) / self.work_
        if self.settled_ is not None:
            self.pace_.append(pace)
            if self.n_steps_ % STEPS_BETWEEN_TRIALS == 0:
                self._look()
            return
        self.times_[self.count_].append(pace)
        if self.looks_:
            self._look_on()
        else:
            self._try_on(pace)

    def _look_on(self) -> None:
        seconds = time.perf_counter() - self.since_
        if len(self.times_[1]) < TIMED_STEPS or seconds < LOOK_SECONDS:
            return
        self.looks_ = False
        idle, before = idle_seconds(), self.idle_
        known = idle is not None and before is not None
        most = 1 + round((idle - before) / seconds) if known else self.most  # type: ignore[operator]
        counts = [2**k for k in range(1, self.most.bit_length()) if 2**k < self.most] + [self.most]
        counts = [count for count in counts if count <= most]
        self.times_.update({count: [] for count in counts})
        # In turns, so that a disturbance does not hit one of them only.
        self.trial_ = counts * TIMED_STEPS
        self._next()

    def _try_on(self, pace: float) -> None:
        first = len(self.times_[self.count_]) == 1
        if pace > (SLOWER_AT_FIRST if first else SLOWER) * median(self.times_[1]):
            # More threads would only be worse.
            self.trial_ = [count for count in self.trial_ if count < self.count_]
        self._next()

    def _next(self) -> None:
        if self.trial_:
            self.count_ = self.trial_.pop(0)
            return
        paces = {count: median(times) for count, times in self.times_.items() if times}
        self.count_ = min(paces, key=lambda count: paces[count])
        self.settled_, self.pace_ = paces[self.count_], []

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Look again if the steps of this epoch were slower than those of the trial."""
        if self.settled_ and self.pace_ and median(self.pace_) > SLOWER * self.settled_:
            self._look()
        self.pace_ = []


def idle_seconds() -> float | None:
    """Time that the cores of this process have had nothing to do, summed; None where unknown."""
    try:
        with open("/proc/stat") as file:
            fields = [line.split() for line in file if line.startswith("cpu")]
        cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
        rows = [[int(number) for number in row[1:]] for row in fields if row[0] in cores]
        ticks = os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError):
        return None
    # Some sandboxes give zeros. The fourth and fifth number: idle, and waiting for a disk.
    return sum(sum(row[3:5]) for row in rows) / ticks if any(map(sum, rows)) else None


def set_threads(count: int) -> None:
    """Let torch use a number of threads."""
    if count != torch.get_num_threads():
        torch.set_num_threads(count)
