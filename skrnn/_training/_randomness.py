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
        self._n_users: dict[torch.device, int] = {}
        self._before: dict[torch.device, torch.Tensor] = {}

    @contextmanager
    def held(self, device: torch.device, seed: int) -> Iterator[None]:
        """Seed the generator of a device inside the block."""
        with self.lock:
            # A training inside of another, in the same thread, hands back what it found.
            inside = generator_of_thread() is not None
            here = _state(device)
            if not self._n_users.get(device):
                self._before[device] = here
            self._n_users[device] = self._n_users.get(device, 0) + 1
            _seed(device, seed)
        try:
            yield
        finally:
            with self.lock:
                self._n_users[device] -= 1
                if not self._n_users[device]:
                    _restore(device, self._before.pop(device))
                elif inside:
                    _restore(device, here)


_CPU = torch.device("cpu")
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
    with _generators.held(_CPU, seed + 1), drawn_from(torch.Generator().manual_seed(seed)):
        if device.type not in ("cuda", "mps"):
            yield
            return
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", torch.cuda.current_device())
        with _generators.held(device, seed):
            yield


def draw_differently(number: int, device: torch.device) -> None:
    """Let a process inside of :func:`own_randomness` go on with draws that others do not have."""
    own = generator_of_thread()
    if own is not None:
        own.manual_seed(own.initial_seed() + number)
    for place in {_CPU, device}:
        _seed(place, torch.initial_seed() + number)


def random_states(device: torch.device) -> dict[str, torch.Tensor]:
    """States of all generators that a training in this thread draws from."""
    own = generator_of_thread()
    states = {"cpu": _state(_CPU)} | ({} if own is None else {"thread": own.get_state()})
    return states if device.type == "cpu" else {**states, "device": _state(device)}


def set_random_states(states: dict[str, torch.Tensor], device: torch.device) -> None:
    """Let all generators of this training go on from where they were."""
    own = generator_of_thread()
    if own is not None and "thread" in states:
        own.set_state(states["thread"])
    _restore(_CPU, states["cpu"])
    if device.type != "cpu" and "device" in states:
        _restore(device, states["device"])


def seed_all(seed: int, device: torch.device) -> None:
    """Seed all generators that a training in this thread draws from."""
    own = generator_of_thread()
    if own is not None:
        own.manual_seed(seed)
    for place in {_CPU, device}:
        _seed(place, seed + 1)


@contextmanager
def building() -> Iterator[None]:
    """Make networks inside the block, one thread at a time.

    The initial weights come from the generator of this thread, see :func:`own_randomness`; without
    one from torch's global generator. That one is afterwards as it was before. They are drawn in
    float32, whatever torch's default type is.
    """
    own = generator_of_thread()
    with _generators.lock:
        before, dtype = _state(_CPU), torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)
        if own is not None:
            torch.default_generator.set_state(own.get_state())
        try:
            yield
            if own is not None:
                own.set_state(_state(_CPU))
        finally:
            torch.set_default_dtype(dtype)
            _restore(_CPU, before)


def _state(device: torch.device) -> torch.Tensor:
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.mps.get_rng_state() if device.type == "mps" else torch.get_rng_state()


def _restore(device: torch.device, state: torch.Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    elif device.type == "mps":
        torch.mps.set_rng_state(state)
    else:
        torch.set_rng_state(state)


def _seed(device: torch.device, seed: int) -> None:
    # torch.manual_seed would reseed the generators of every device there is.
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)
