"""Randomness: draws that depend on the seed alone, also where several threads train at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from skrnn.nn import drawn_from, generator_of_thread


class GlobalGenerators:
    """Torch's global generators, put back once nobody uses them any more.

    Trainings in several threads overlap: only the first of them sees what was there before.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._n_users: dict[int | None, int] = {}
        self._before: dict[int | None, torch.Tensor] = {}

    @contextmanager
    def held(self, index: int | None, seed: int) -> Iterator[None]:
        """Seed the generator of the CPU (None) or of a CUDA device inside the block."""
        with self.lock:
            if not self._n_users.get(index):
                self._before[index] = _state(index)
            self._n_users[index] = self._n_users.get(index, 0) + 1
            _seed(index, seed)
        try:
            yield
        finally:
            with self.lock:
                self._n_users[index] -= 1
                if not self._n_users[index]:
                    _restore(index, self._before.pop(index))


_generators = GlobalGenerators()


def _forget_other_threads() -> None:
    global _generators
    _generators = GlobalGenerators()


# A child of a fork must not wait for a thread that it does not have.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_other_threads)


@contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch inside the block and leave its global generators as they were.

    Weights made in :func:`building` and the dropout of :mod:`skrnn.nn` on the CPU come from a
    generator of the block. Other modules and other devices know torch's global generators only:
    those are seeded too, but other threads may draw from them at the same time.
    """
    # Not the seed of the block: masks of other modules would repeat those of our own.
    with _generators.held(None, seed + 1), drawn_from(torch.Generator().manual_seed(seed)):
        if device.type != "cuda":
            yield
            return
        index = torch.cuda.current_device() if device.index is None else device.index
        with _generators.held(index, seed):
            yield


@contextmanager
def building() -> Iterator[None]:
    """Make networks inside the block, one thread at a time.

    The initial weights come from the generator of this thread, see :func:`own_randomness`; without
    one from torch's global generator. That one is afterwards as it was before.
    """
    own = generator_of_thread()
    with _generators.lock:
        before = _state(None)
        if own is not None:
            torch.default_generator.set_state(own.get_state())
        try:
            yield
            if own is not None:
                own.set_state(_state(None))
        finally:
            _restore(None, before)


def _state(index: int | None) -> torch.Tensor:
    return torch.default_generator.get_state() if index is None else torch.cuda.get_rng_state(index)


def _restore(index: int | None, state: torch.Tensor) -> None:
    if index is None:
        torch.default_generator.set_state(state)
    else:
        torch.cuda.set_rng_state(state, index)


def _seed(index: int | None, seed: int) -> None:
    # torch.manual_seed would reseed the generators of every device there is.
    if index is None:
        torch.default_generator.manual_seed(seed)
    else:
        with torch.cuda.device(index):
            torch.cuda.manual_seed(seed)
