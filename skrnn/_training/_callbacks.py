"""Callbacks: schedule, time budget, best weights, progress and the bridge to scikit-learn's."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback, PassthroughScoring

# Epochs whose weights or validation loss are not finite, or in which no step was possible, are
# passed over; more in a row end the training.
MAX_FAILURES = 3


class StopTraining(Exception):
    """Raised by a callback to end the training after a whole epoch."""


class StopElsewhere(StopTraining):
    """Raised because the training has ended in another process."""


class MeanLoss(PassthroughScoring):
    """Average the loss of an epoch over all that counts, whatever batch it was in.

    The net records with every batch how many sequences or steps, or how much weight, it held.
    """

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Record the mean."""
        self.processes_ = net.processes
        super().on_epoch_end(net, **kwargs)

    def get_avg_score(self, history: Any) -> float:
        """Mean over the batches of the last epoch."""
        counted = "train_weight" if self.on_train else "valid_weight"
        weights, losses = zip(*history[-1, "batches", :, [counted, self.name]], strict=True)
        mean = float(np.average(losses, weights=weights if sum(weights) > 0 else None))
        # Every process validates on everything, and one of them decides what comes of it.
        return mean if self.on_train else self.processes_.agreed(mean)


class TimeBudget(Callback):
    """Know how far the training is, in samples and in seconds.

    Parameters
    ----------
    epochs : int
        Planned number of epochs.

    max_time : float or None
        Seconds.
    """

    def __init__(self, epochs: int, max_time: float | None = None) -> None:
        self.epochs = epochs
        self.max_time = max_time

    def on_train_begin(self, net: Any, X: Any = None, **kwargs: Any) -> None:
        """Start the clock and count the samples to come."""
        self.start_ = time.perf_counter()
        self.processes_, self.told = net.processes, 0.0
        self.samples_ = 0.0
        self.total_samples_ = max(len(X) * self.epochs, 1)

    def on_batch_end(
        self, net: Any, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        """Count the samples of one step: how many steps there are depends on their lengths."""
        if training:
            self.samples_ += net.samples_of(batch)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Learn the time of the first process: what it decides by is decided by all."""
        self.told = self.processes_.agreed(self.clock)

    @property
    def clock(self) -> float:
        """Seconds since the training began in this process."""
        return time.perf_counter() - self.start_

    @property
    def elapsed(self) -> float:
        """Seconds since the training began; in several processes as of the last step."""
        return self.clock if self.processes_.size == 1 else self.told

    @property
    def exhausted(self) -> bool:
        """Whether the time is used up."""
        return self.max_time is not None and self.elapsed >= self.max_time

    @property
    def progress(self) -> float:
        """Share of the training that is over, in samples or in time, whichever is more."""
        share = self.samples_ / self.total_samples_
        if self.max_time is not None:
            share = max(share, self.elapsed / self.max_time)
        return min(share, 1.0)


class StopOnTime(Callback):
    """Stop after the epoch in which the time was used up.

    Parameters
    ----------
    budget : TimeBudget
        Knows the time.
    """

    def __init__(self, budget: TimeBudget) -> None:
        self.budget = budget

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Raise `StopTraining` when the time is used up."""
        if self.budget.exhausted:
            raise StopTraining


class Schedule(Callback):
    """Set the learning rate before every step as a function of progress.

    Parameters
    ----------
    factor : callable
        Maps progress in [0, 1] to the share of the learning rate.

    budget : TimeBudget
        Knows the progress; with a time limit the schedule ends on time.
    """

    def __init__(self, factor: Callable[[float], float], budget: TimeBudget) -> None:
        self.factor = factor
        self.budget = budget

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Remember the learning rate of each group."""
        self.base_ = [group["lr"] for group in net.optimizer_.param_groups]

    def on_batch_begin(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Set the learning rate of this step."""
        if training:
            factor = self.factor(self.budget.progress)
            for group, lr in zip(net.optimizer_.param_groups, self.base_, strict=True):
                group["lr"] = lr * factor

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Record the learning rate of the last step."""
        net.history.record("lr", net.optimizer_.param_groups[0]["lr"])


class BestWeights(Callback):
    """Keep the weights of the last and of the best whole epoch, and stop when none gets better.

    Parameters
    ----------
    patience : int or None
        Epochs without improvement before the training stops. With None it never stops and the last
        weights are kept, whatever the validation loss.

    tol : float
        Smallest decrease of the validation loss that counts as an improvement.
    """

    def __init__(self, patience: int | None, tol: float) -> None:
        self.patience = patience
        self.tol = tol

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Forget earlier trainings."""
        self.best_: dict[str, torch.Tensor] | None = None
        self.last_: dict[str, torch.Tensor] | None = None
        self.best_loss_, self.reference_, self.waited_ = np.inf, np.inf, 0
        self.seen_, self.good_steps_, self.failures_ = len(net.history), net.guard_.good_steps, 0

    def on_epoch_end(self, net: Any, dataset_valid: Any = None, **kwargs: Any) -> None:
        """Copy the weights; raise `StopTraining` after `patience` epochs without improvement."""
        self.keep(net, dataset_valid)
        if self.patience is not None and self.waited_ >= self.patience:
            raise StopTraining
        if self.failures_ > MAX_FAILURES:
            raise StopTraining

    def keep(self, net: Any, dataset_valid: Any = None) -> None:
        """Copy the weights at the end of an epoch and compare it with the best one."""
        self.seen_ = len(net.history)
        weights = {k: v.detach().clone() for k, v in net.module_.state_dict().items()}
        # Weights that the last step could not use are not trusted.
        learned = net.guard_.good_steps > self.good_steps_ and net.guard_.bad_steps == 0
        self.good_steps_ = net.guard_.good_steps
        finite = learned and all(torch.isfinite(v).all() for v in weights.values())
        watched = dataset_valid is not None and self.patience is not None
        loss = net.history[-1, "valid_loss"] if watched else 0.0
        if watched:
            net.history.record("valid_loss_best", bool(loss < self.best_loss_))
        self.failures_ = 0 if finite and np.isfinite(loss) else self.failures_ + 1
        if self.failures_:
            return
        self.last_ = weights
        if not watched:
            return
        if loss < self.best_loss_:
            self.best_, self.best_loss_ = weights, loss
        if loss < self.reference_ - self.tol:
            self.reference_, self.waited_ = loss, 0
        else:
            self.waited_ += 1

    def restore(self, net: Any) -> bool:
        """Load the best weights, or without a validation set the last; False if there are none."""
        weights = self.last_ if self.best_ is None else self.best_
        self.best_ = self.last_ = None
        if weights is None:
            return False
        net.module_.load_state_dict(weights)
        return True


class ProgressLine(Callback):
    """Print one line per epoch with the time left, in the first process.

    Parameters
    ----------
    budget : TimeBudget
        Knows the progress.

    sink : callable, default=print
        Receives each line.
    """

    def __init__(self, budget: TimeBudget, sink: Callable[[str], Any] = print) -> None:
        self.budget = budget
        self.sink = sink

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Print the line."""
        if net.processes.rank > 0:
            return
        row = net.history[-1]
        parts = [f"epoch {row['epoch']}/{self.budget.epochs}"]
        parts += [f"{k} {row[k]:.4f}" for k in ("train_loss", "valid_loss") if k in row]
        parts.append(f"lr {net.optimizer_.param_groups[0]['lr']:.2g}")
        progress = max(self.budget.progress, 1e-9)
        left = self.budget.elapsed * (1 - progress) / progress
        parts.append(f"{row['dur']:.1f} s, at most {left:.0f} s left")
        # Without a console, or with one that has gone, there is nobody to read it.
        with suppress(OSError, ValueError):
            self.sink("  ".join(parts))


class StopTogether(Callback):
    """Stop in every process when a callback has stopped the training in one."""

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Raise `StopElsewhere` where another process has stopped."""
        if net.processes.anyone(False):
            raise StopElsewhere


class ScikitLearnBridge(Callback):
    """Report every epoch to scikit-learn's callbacks; one of them may stop the training.

    Parameters
    ----------
    estimator : estimator instance
        The estimator in whose `fit` this happens.

    context : sklearn.callback.CallbackContext
        Context of that fit.

    data : dict
        ``X``, ``y`` and ``metadata`` as the user gave them, handed on to the callbacks.
    """

    def __init__(self, estimator: Any, context: Any, data: dict[str, Any]) -> None:
        self.estimator = estimator
        self.context = context
        self.data = data

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Open the task of this epoch."""
        self.task_ = self.context.subcontext(task_name="epoch")
        self.task_.call_on_fit_task_begin(estimator=self.estimator, **self.data)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Close it, with everything a callback needs to predict with the net as it is now."""
        stop = self.task_.call_on_fit_task_end(
            estimator=self.estimator, reconstruction_attributes={"nets_": [net]}, **self.data
        )
        if stop:
            raise StopTraining
