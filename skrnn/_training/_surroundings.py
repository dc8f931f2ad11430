"""Surroundings: torch as it is by default, whatever the caller has set around a call."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

import torch


@contextmanager
def own_surroundings() -> Iterator[None]:
    """Compute inside the block as outside of `no_grad`, `inference_mode` and a default device."""
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        # Every call of torch takes longer inside of such a block.
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


class DeterministicMode:
    """Torch's deterministic mode, left as it was once nobody needs it any more.

    It is one for all threads: where trainings overlap, only the first of them saw what was there
    before.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_users = 0
        self._before = False, False, False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be in the mode inside the block."""
        with self._lock:
            if self._n_users == 0:
                self._before = (
                    torch.are_deterministic_algorithms_enabled(),
                    torch.is_deterministic_algorithms_warn_only_enabled(),
                    torch.backends.cudnn.benchmark,
                )
                # What a benchmark finds to be the fastest may be another one in the next run.
                torch.backends.cudnn.benchmark = False
                torch.use_deterministic_algorithms(True)
            self._n_users += 1
        try:
            yield
        finally:
            with self._lock:
                self._n_users -= 1
                if self._n_users == 0:
                    mode, warn_only, torch.backends.cudnn.benchmark = self._before
                    torch.use_deterministic_algorithms(mode, warn_only=warn_only)


_mode = DeterministicMode()


def repeatable(deterministic: bool, device: torch.device | str) -> AbstractContextManager[None]:
    """Compute inside the block with operations that give the same bits in every run, if asked to.

    Raises
    ------
    ValueError
        If CUDA is not set up for it.
    """
    if not deterministic:
        return nullcontext()
    # As torch.nn.LSTM says of cuDNN and cuBLAS.
    setting = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    if torch.device(device).type == "cuda" and setting not in (":4096:8", ":16:8"):
        raise ValueError(
            f"deterministic=True on {device} needs CUBLAS_WORKSPACE_CONFIG=:4096:8 in the "
            f"environment before Python starts, and it is {setting!r}; set it, or use "
            "deterministic=False."
        )
    return _mode.held()
