"""Heap: what a training step frees is kept for the next one, for the length of a training."""

from __future__ import annotations

import ctypes
import os
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch

#: Environment variable that switches this off with the value "0".
SWITCH = "SKRNN_KEEP_HEAP"

# Names of glibc's mallopt, see its manual page.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_KIB, _MIB = 1 << 10, 1 << 20
_DEFAULT_PAD = 128 * _KIB
_KEPT = {
    _M_MMAP_THRESHOLD: 1 << 30,
    _M_TRIM_THRESHOLD: (1 << 31) - 1,
    _M_TOP_PAD: 64 * _MIB,
}
_TUNABLES = ("mmap_threshold", "mmap_max", "trim_threshold", "top_pad")
# What older versions of glibc allow at most.
_LARGEST_OF_OLD = 32 * _MIB


class _MallInfo(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena",
            "ordblks",
            "smblks",
            "hblks",
            "hblkhd",
            "usmblks",
            "fsmblks",
            "uordblks",
            "fordblks",
            "keepcost",
        )
    ]


class Heap:
    """glibc's heap, told to keep freed memory as long as somebody holds it.

    glibc gives large blocks back to the system as soon as they are free, and every step of a
    training makes the system clear them and hand them out again. That takes half of the time of a
    step with large activations.

    The setting is one of the process: holders are counted, and the last one gives the memory back
    and leaves the thresholds where glibc itself would have moved them. Nothing is done where
    another allocator or another C library is in use, or where the user tunes malloc with
    environment variables.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_holders = 0

    def hold(self) -> None:
        """Keep freed memory from now on."""
        with self._lock:
            self._n_holders += 1
            if self._n_holders == 1 and settings_afterwards() is not None:
                _set(_KEPT)

    def release(self) -> None:
        """Stop keeping memory if this was the last holder."""
        with self._lock:
            self._n_holders -= 1
            left = settings_afterwards() if self._n_holders == 0 else None
            if left is not None:
                _set(left)
                _libc().malloc_trim(0)


_heap = Heap()
# A child of a fork must not wait for a thread that it does not have.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: setattr(_heap, "_lock", threading.Lock()))


@contextmanager
def kept_heap(device: torch.device | str) -> Iterator[None]:
    """Keep freed memory inside the block, on the CPU."""
    if torch.device(device).type != "cpu" or os.environ.get(SWITCH) == "0":
        yield
        return
    _heap.hold()
    try:
        yield
    finally:
        _heap.release()


def _libc() -> Any:
    return ctypes.CDLL(None)


@cache
def settings_afterwards() -> dict[int, int] | None:
    """Settings after a training; None where they cannot be known or are not ours to change."""
    if platform.libc_ver()[0] != "glibc" or not hasattr(_libc(), "mallinfo2"):
        return None
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if any(f"MALLOC_{name.upper()}_" in os.environ or name in tunables for name in _TUNABLES):
        return None
    threshold = mmap_threshold()
    if threshold is None:
        return None
    # glibc moves both together, up to a limit, until somebody sets one of them: then both are fixed
    # for the rest of the process. So they are left where a training would have moved them.
    threshold = max(threshold, _LARGEST_OF_OLD)
    trim = 2 * threshold
    return {_M_MMAP_THRESHOLD: threshold, _M_TRIM_THRESHOLD: trim, _M_TOP_PAD: _DEFAULT_PAD}


def mmap_threshold() -> int | None:
    """Size from which a block gets memory of its own, which freeing it gives back.

    glibc raises it as a program goes on and has no call that tells it. It is found by asking for
    blocks: they are never touched, so that they take no memory.
    """
    libc = _libc()
    libc.mallinfo2.restype = _MallInfo
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    low, high, blocks = 0, 2 * _LARGEST_OF_OLD, []
    found = False
    while high - low > 4 * _KIB:
        size = (low + high) // 2
        n_mapped = libc.mallinfo2().hblks
        blocks.append(libc.malloc(size))
        if libc.mallinfo2().hblks > n_mapped:
            high, found = size, True
        else:
            low = size
    # Freeing a block with memory of its own would raise the threshold: first it is made fixed.
    if found:
        _set({_M_MMAP_THRESHOLD: high})
    for block in blocks:
        libc.free(block)
    return high if found else None


def _set(settings: dict[int, int]) -> None:
    libc = _libc()
    for name, value in settings.items():
        if not libc.mallopt(name, value) and name == _M_MMAP_THRESHOLD:
            libc.mallopt(name, min(value, _LARGEST_OF_OLD))
