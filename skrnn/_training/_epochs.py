"""Epochs: skorch's loop over the batches, without what steps of small networks cannot afford."""

from __future__ import annotations

from typing import Any

from skorch.callbacks import Callback
from torch import Tensor

from skrnn._training._processes import Alone
from skrnn._training._steps import StepGuard, read_numbers


class EpochMixin:
    """Mix into a skorch net that has a `StepGuard` and knows the processes of its training."""

    callbacks_: list[tuple[str, Any]]
    guard_: StepGuard
    history: Any
    processes: Alone

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Call a method of the net and of all callbacks that have one of their own."""
        getattr(self, method_name)(self, **cb_kwargs)
        for callback in self._listeners(method_name):
            getattr(callback, method_name)(self, **cb_kwargs)

    def _listeners(self, method_name: str) -> list[Any]:
        # Most callbacks have nothing to do with a batch, and asking each takes longer than a step
        # of a small network may.
        known, listeners = self.__dict__.get("heard_", (None, {}))
        callbacks = [id(callback) for _, callback in self.callbacks_]
        if callbacks != known:
            listeners = {}
            self.__dict__["heard_"] = (callbacks, listeners)
        if method_name not in listeners:
            listeners[method_name] = [
                callback for _, callback in self.callbacks_ if _listens(callback, method_name)
            ]
        return listeners[method_name]

    def run_single_epoch(
        self, iterator: Any, training: bool, prefix: str, step_fn: Any, **fit_params: Any
    ) -> None:
        """Go through all batches once; where nobody waits for numbers, read them at the end."""
        if iterator is None:
            return
        count = 0
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            self.history.record_batch(f"{prefix}_loss", self._number(step["loss"]))
            rows = self.processes.n_rows(batch) if training else len(batch[1])
            self.history.record_batch(f"{prefix}_batch_size", rows)
            self.notify("on_batch_end", batch=batch, training=training, **step)
            count += 1
        if not self.guard_.waits:
            names = (f"{prefix}_loss", f"{prefix}_weight", "grad_norm")
            read_numbers(self.history[-1]["batches"], names)
            self.guard_.read()
        self.history.record(f"{prefix}_batch_count", count)

    def _number(self, value: float | Tensor) -> float | Tensor:
        """Read a number now, unless nobody is to wait for it."""
        if not isinstance(value, Tensor):
            return value
        return value.item() if self.guard_.waits else value.detach()


def _listens(callback: Any, method_name: str) -> bool:
    own = method_name in vars(callback)
    return own or getattr(type(callback), method_name) is not getattr(Callback, method_name, None)
