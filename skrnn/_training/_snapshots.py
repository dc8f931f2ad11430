"""Snapshots: everything that the next epoch of a training depends on, and the way back."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Protocol

import torch
from skorch.callbacks import Callback, LRScheduler

from skrnn._persistence import CannotStore, Encoder
from skrnn._training._callbacks import ProgressLine, ScikitLearnBridge, TimeBudget
from skrnn._training._randomness import random_states, seed_all, set_random_states
from skrnn._training._thread_trial import FasterThreads

# Callbacks that only look, and attributes that every training sets anew.
_LOOKING = (FasterThreads, ProgressLine, ScikitLearnBridge)
_SET_ANEW = ("processes_", "scoring_", "start_", "indexing_", "y_preds_", "y_trues_")
_GUARD = ("_good", "_bad", "_most_bad", "_unread")


class Snapshots(Protocol):
    """Where the snapshots of one training are kept."""

    def begun(self) -> Any:
        """Snapshot of the last whole epoch; None if there was none."""

    def keep(self, epoch: int, state: Any) -> None:
        """Keep the snapshot of an epoch."""

    def restore(self, net: Any) -> bool:
        """Make a net what it was when its training had ended; False if it had not."""

    def finish(self, net: Any) -> None:
        """Keep a net whose training has ended."""


class Checkpoint(Callback):
    """Write a training down after each epoch, and put it back where it was.

    It comes after all others, so that what they have seen of an epoch is part of it.

    Parameters
    ----------
    snapshots : Snapshots
        Where to write.
    """

    def __init__(self, snapshots: Snapshots) -> None:
        self.snapshots = snapshots
        self.begun = snapshots.begun()

    @property
    def n_epochs(self) -> int:
        """Epochs that are over already."""
        return 0 if self.begun is None else len(self.begun["net"]["history"])

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Go back to the last whole epoch, or see whether everything can be written down."""
        begun, self.begun = self.begun, None
        if begun is None:
            try:
                Encoder().encode(plain(training_state(net)), ())
            except CannotStore as error:
                raise ValueError(
                    f"checkpoint_dir cannot keep the state of this training: {error.found}."
                ) from None
        else:
            set_training_state(net, begun)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Write."""
        if net.processes.rank > 0:
            _draw_by_epoch(net)
        self.snapshots.keep(len(net.history), training_state(net))


def training_state(net: Any) -> dict[str, Any]:
    """Everything that the next epoch depends on.

    Raises
    ------
    ValueError
        If a callback does not tell its state.
    """
    return {
        "net": net_state(net),
        "random": random_states(torch.device(net.device)),
        "callbacks": {name: state for name, state, _ in _callback_states(net)},
    }


def set_training_state(net: Any, state: dict[str, Any]) -> None:
    """Put a net that is about to be trained, and its callbacks, where they were."""
    set_net_state(net, state["net"])
    for name, _, restore in _callback_states(net):
        restore(state["callbacks"][name])
    if net.processes.rank == 0:
        set_random_states(state["random"], torch.device(net.device))
    else:
        _draw_by_epoch(net)


def _draw_by_epoch(net: Any) -> None:
    """Draw by the number of the epoch: only the first process writes down what it draws with."""
    number = 1_000_003 * len(net.history) + net.processes.rank
    seed_all((net.seed + number) % 2**31, torch.device(net.device))


def net_state(net: Any) -> dict[str, Any]:
    """Everything that a training changes about a net."""
    guard, scaler = net.guard_, net.grad_scaler_
    return {
        "weights": dict(net.module_.state_dict()),
        "optimizer": net.optimizer_.state_dict(),
        "history": [{k: v for k, v in row.items() if k != "batches"} for row in net.history],
        "order": net.random_state_,
        "guard": [int(getattr(guard, name)) for name in _GUARD],
        "grad_scaler": None if scaler is None else scaler.state_dict(),
    }


def set_net_state(net: Any, state: dict[str, Any]) -> None:
    """Make a net what it was."""
    net.module_.load_state_dict(state["weights"])
    net.optimizer_.load_state_dict(state["optimizer"])
    del net.history[:]
    net.history.extend(state["history"])
    net.random_state_.set_state(state["order"].get_state())
    for name, value in zip(_GUARD, state["guard"], strict=True):
        setattr(net.guard_, name, value)
    if net.grad_scaler_ is not None:
        net.grad_scaler_.load_state_dict(state["grad_scaler"])


def _callback_states(net: Any) -> Iterator[tuple[str, Any, Any]]:
    """Name, state and way back of every callback that has any."""
    for name, callback in net.callbacks_:
        if isinstance(callback, (Checkpoint, *_LOOKING)):
            continue
        if hasattr(callback, "state_dict") and hasattr(callback, "load_state_dict"):
            yield name, callback.state_dict(), callback.load_state_dict
        elif isinstance(callback, TimeBudget):
            yield name, [callback.samples_, callback.elapsed], partial(_set_budget, callback)
        elif isinstance(callback, LRScheduler):
            scheduler = callback.lr_scheduler_
            yield name, scheduler.state_dict(), scheduler.load_state_dict
        elif type(callback).__module__.startswith(("skorch.", "skrnn.")):
            names = [k for k in vars(callback) if k.endswith("_") and not k.endswith(_SET_ANEW)]
            yield name, {k: vars(callback)[k] for k in names}, vars(callback).update
        else:
            kind = type(callback).__name__
            raise ValueError(
                f"the callback {kind} does not tell its state, which checkpoint_dir is to keep; "
                "give it the methods state_dict() and load_state_dict(state), or set "
                "checkpoint_dir=None."
            )


def _set_budget(budget: TimeBudget, state: list[float]) -> None:
    budget.samples_, seconds = state
    budget.start_, budget.told = time.perf_counter() - seconds, seconds


def plain(value: Any) -> Any:
    """The same with plain dicts in the place of ordered ones and the like."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain(item) for item in value)
    return value
