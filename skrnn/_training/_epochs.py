"""Epochs: skorch's loop over the batches, without what steps of small networks cannot afford."""

from __future__ import annotations

from typing import Any

import torch
from skorch.callbacks import Callback
from skorch.utils import TeeGenerator
from torch import Tensor

from skrnn._training._adam import take_step
from skrnn._training._optimizers import OPTIMIZERS
from skrnn._training._processes import Alone
from skrnn._training._steps import StepGuard, clear_gradients, read_numbers
from skrnn.nn import SequenceNetwork

# They ask for the loss once per step, so that it may be computed before they are called.
ASK_ONCE = frozenset(OPTIMIZERS.values()) - {torch.optim.LBFGS}


class EpochMixin:
    """Mix into a skorch net that has a `StepGuard` and knows the processes of its training."""

    module_: SequenceNetwork
    callbacks_: list[tuple[str, Any]]
    optimizer_: torch.optim.Optimizer
    grad_scaler_: Any
    guard_: StepGuard
    history: Any
    processes: Alone
    batch_weight_: float | Tensor

    def weight_of(self, batch: Any) -> float | Tensor:
        """Weight of a batch: what its mean loss was divided by."""
        return _total_weight(batch[0], self.module_.pooling is None)

    def notify(self, method_name: str, **cb_kwargs: Any) -> None:
        """Call a method of the net and of all callbacks that have one of their own."""
        getattr(self, method_name)(self, **cb_kwargs)
        for callback in self._listeners(method_name):
            getattr(callback, method_name)(self, **cb_kwargs)

    def _listeners(self, method_name: str) -> list[Any]:
        # Most callbacks have nothing to do with a batch, and asking each takes longer than a step
        # of a small network may. So they are asked once per epoch.
        known, length, listeners = self.__dict__.get("heard_", (None, 0, {}))
        if known is not self.callbacks_ or length != len(known):
            listeners = {}
            self.__dict__["heard_"] = (self.callbacks_, len(self.callbacks_), listeners)
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
        loss, weight, size = (f"{prefix}_{name}" for name in ("loss", "weight", "batch_size"))
        self.__dict__.pop("heard_", None)
        rows = self.history[-1]["batches"]
        before = len(rows)
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            row = rows[-1]
            row[loss] = self._number(step["loss"])
            # How much the batch counts in the mean loss of the epoch.
            row[weight] = self._number(self.batch_weight_ if training else self.weight_of(batch))
            row[size] = self.processes.n_rows(batch) if training else len(batch[1])
            if training:
                row["grad_norm"] = step.pop("grad_norm")
            self.notify("on_batch_end", batch=batch, training=training, **step)
        if not self.guard_.waits:
            names = (f"{prefix}_loss", f"{prefix}_weight", "grad_norm")
            read_numbers(self.history[-1]["batches"], names)
            self.guard_.read()
        self.history.record(f"{prefix}_batch_count", len(rows) - before)

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Take one step: where the optimizer asks for the loss once, without the detour it takes.

        Returns
        -------
        step : dict
            ``loss`` and ``y_pred`` of the batch.
        """
        if type(self.optimizer_) not in ASK_ONCE or self.grad_scaler_ is not None:
            return super().train_step(batch, **fit_params)  # type: ignore[misc]
        clear_gradients(self.optimizer_)
        step = self.train_step_single(batch, **fit_params)  # type: ignore[attr-defined]
        if self._listeners("on_grad_computed"):
            named = TeeGenerator(self.get_all_learnable_params())  # type: ignore[attr-defined]
            self.notify("on_grad_computed", named_parameters=named, batch=batch, training=True)
        take_step(self.optimizer_)
        return step

    def _number(self, value: float | Tensor) -> float | Tensor:
        """Read a number now, unless nobody is to wait for it."""
        if not isinstance(value, Tensor):
            return value
        return value.item() if self.guard_.waits else value.detach()


def _total_weight(inputs: dict[str, Tensor], per_step: bool) -> float | Tensor:
    if "weight" in inputs:
        return inputs["weight"].sum()
    rows, steps = inputs["x"].shape[:2]
    if not per_step:
        return float(rows)
    return float(inputs["lengths"].sum() if "lengths" in inputs else rows * steps)


def _listens(callback: Any, method_name: str) -> bool:
    own = method_name in vars(callback)
    return own or getattr(type(callback), method_name) is not getattr(Callback, method_name, None)
