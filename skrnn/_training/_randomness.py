"""Randomness: torch's generators seeded for a while, and left as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch


@contextmanager
def own_randomness(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch inside the block and leave its global generators as they were."""
    on_cuda = device.type == "cuda"
    index = torch.cuda.current_device() if on_cuda and device.index is None else device.index
    on_mps = _own_mps(seed) if device.type == "mps" else nullcontext()
    with torch.random.fork_rng(devices=[index] if on_cuda else []), on_mps:
        # torch.manual_seed would reseed the generators of every device there is.
        torch.default_generator.manual_seed(seed)
        if on_cuda:
            with torch.cuda.device(index):
                torch.cuda.manual_seed(seed)
        yield


@contextmanager
def _own_mps(seed: int) -> Iterator[None]:
    # fork_rng asks for the state of one device of several, which there are none of.
    before = torch.mps.get_rng_state()
    torch.mps.manual_seed(seed)
    try:
        yield
    finally:
        torch.mps.set_rng_state(before)
