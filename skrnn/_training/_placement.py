"""Placement: where the data of a training lie, and how batches come from there to the device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

Batch = tuple[dict[str, Tensor], Tensor]

#: Data that take no more than this share of a GPU's free memory are kept there as a whole.
RESIDENT_SHARE = 0.5


def home_of(device: torch.device, n_bytes: int) -> torch.device:
    """Where data are kept and batches are built: the device, or the CPU where they do not fit."""
    if device.type != "cuda":
        return device
    free, _ = torch.cuda.mem_get_info(device)
    # What torch has freed and keeps for later is free to us.
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return device if n_bytes <= RESIDENT_SHARE * free else torch.device("cpu")


def takes_all(device: torch.device, n_bytes: int) -> bool:
    """Whether data that are not in memory should be read to the device as a whole."""
    return device.type == "cuda" and home_of(device, n_bytes) == device


def with_index(device: torch.device) -> torch.device:
    """Give a CUDA device its number: which one is meant without it differs between threads."""
    if device.type != "cuda" or device.index is not None:
        return device
    return torch.device("cuda", torch.cuda.current_device())


def sent(batch: Batch, device: torch.device) -> Batch:
    """Send a batch to a device; nobody waits for it to arrive.

    Lengths stay on the CPU, where a network reads them first.
    """
    inputs, target = batch
    moved = {k: v if k == "lengths" else _sent(v, device) for k, v in inputs.items()}
    return moved, _sent(target, device)


def _sent(tensor: Tensor, device: torch.device) -> Tensor:
    # Only from pinned memory can a GPU fetch data while the processor goes on.
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def one_ahead(
    build: Callable[[Any], Batch], plan: Iterable[Any], device: torch.device
) -> Iterator[Batch]:
    """Build the batches of a plan in order, the next one in a thread while one is in use."""
    # The thread sends in the stream in which the batches are used.
    stream = torch.cuda.current_stream(device) if device.type == "cuda" else None

    def build_in_stream(indices: Any) -> Batch:
        with torch.cuda.stream(stream):
            return build(indices)

    with ThreadPoolExecutor(1, thread_name_prefix="skrnn-batches") as thread:
        coming = None
        try:
            for indices in plan:
                ready, coming = coming, thread.submit(build_in_stream, indices)
                if ready is not None:
                    yield ready.result()
            if coming is not None:
                yield coming.result()
        finally:
            thread.shutdown(wait=True, cancel_futures=True)
