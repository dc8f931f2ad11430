"""Surroundings: torch as it is by default, whatever the caller has set around a call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

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
