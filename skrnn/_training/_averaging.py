"""Averaging: a training whose weights are averaged, with the averages validated and kept."""

from __future__ import annotations

import math
from abc import abstractmethod
from numbers import Integral, Real
from typing import Any

import torch
from skorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn, get_swa_multi_avg_fn


class WeightAverage(Callback):
    """Put averaged weights in the place of the trained ones whenever the network is not training.

    The optimizer never sees them: with the first batch of the next epoch the network has its own
    weights back. Buffers of numbers, such as the running statistics of batch normalisation, are
    averaged like weights; counters are not.
    """

    mean_: list[Tensor] | None
    own_: list[Tensor] | None

    @abstractmethod
    def reset(self) -> None:
        """Forget all weights."""

    def end_step(self, weights: list[Tensor]) -> None:
        """See the weights after a step of the training, which will change; by default do not."""

    def end_epoch(self, weights: list[Tensor]) -> None:
        """See the weights at the end of an epoch, which nobody changes; by default do not."""

    @property
    @abstractmethod
    def settings(self) -> tuple[Any, ...]:
        """What a later training has to have in common to go on with the average."""

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Begin anew, unless the network still has the average of an earlier training."""
        known = "own_" in vars(self) and self.own_ is not None and self.mean_ is not None
        same = known and all(map(torch.equal, floating(net.module_), self.mean_ or []))
        if net.processes.anyone(not same):
            self.mean_ = self.own_ = None
            self.reset()

    @torch.no_grad()
    def on_batch_begin(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Change the weights where the training goes on, and where the validation begins."""
        if not training:
            self._show(net)
        elif self.own_ is not None:
            torch._foreach_copy_(floating(net.module_), self.own_)
            self.own_ = None

    @torch.no_grad()
    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """See the weights after a step."""
        if training:
            self.end_step(floating(net.module_))

    @torch.no_grad()
    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Let all that happens at the end of an epoch happen to the averaged weights."""
        self._show(net)

    def _show(self, net: Any) -> None:
        if self.own_ is not None:
            return
        weights = floating(net.module_)
        own = [tensor.clone() for tensor in weights]
        self.end_epoch(own)
        if self.mean_ is not None:
            torch._foreach_copy_(weights, self.mean_)
            self.own_ = own


class MovingAverage(WeightAverage):
    """Exponential moving average of the weights after every step.

    Parameters
    ----------
    decay : float, default=0.999
        Share of the average that a step leaves. Values in ``[0, 1)``. After ``n`` steps it is
        ``(1 + n) / (10 + n)`` at most, so that short trainings forget their beginning too.
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"weight_averaging__decay must be in [0, 1), got {decay}.")
        self.decay = decay

    @property
    def settings(self) -> tuple[Any, ...]:
        """What a later training has to have in common to go on with the average."""
        return "ema", self.decay

    def reset(self) -> None:
        """Forget all weights."""
        self.n_steps_ = 0

    def end_step(self, weights: list[Tensor]) -> None:
        """Move the average towards the weights."""
        if self.mean_ is None:
            self.mean_ = [tensor.clone() for tensor in weights]
        else:
            decay = min(self.decay, (1 + self.n_steps_) / (10 + self.n_steps_))
            get_ema_multi_avg_fn(decay)(self.mean_, weights, self.n_steps_)
        self.n_steps_ += 1


class LastEpochs(WeightAverage):
    """Arithmetic mean of the weights at the ends of the last epochs.

    Parameters
    ----------
    n_epochs : int or float, default=0.25
        Number of epochs, or with a float in ``(0, 1)`` their share of the epochs so far, rounded
        up. So many copies of the weights are kept.
    """

    def __init__(self, n_epochs: int | float = 0.25) -> None:
        whole = isinstance(n_epochs, Integral) and n_epochs >= 1
        if not whole and not (isinstance(n_epochs, Real) and 0 < n_epochs < 1):
            raise ValueError(
                "weight_averaging__n_epochs must be a whole number from 1 on, or a share of the "
                f"epochs in (0, 1), got {n_epochs!r}."
            )
        self.n_epochs: int | float = n_epochs

    @property
    def settings(self) -> tuple[Any, ...]:
        """What a later training has to have in common to go on with the average."""
        return "swa", self.n_epochs

    def reset(self) -> None:
        """Forget all weights."""
        self.last_: list[list[Tensor]] = []
        self.n_seen_ = 0

    def end_epoch(self, weights: list[Tensor]) -> None:
        """Average the weights of this epoch and those before."""
        self.n_seen_ += 1
        share = self.n_epochs < 1
        kept = math.ceil(self.n_epochs * self.n_seen_) if share else int(self.n_epochs)
        self.last_ = [*self.last_, weights][-kept:]
        mean = [tensor.clone() for tensor in self.last_[0]]
        for count, further in enumerate(self.last_[1:], start=1):
            get_swa_multi_avg_fn()(mean, further, count)
        self.mean_ = mean


AVERAGES: dict[str, type[WeightAverage]] = {"ema": MovingAverage, "swa": LastEpochs}


def average_of_weights(name: str | None, params: dict[str, Any], net: Any) -> WeightAverage | None:
    """Make what averages the weights of a net, or find it where an earlier training left it.

    Parameters
    ----------
    name : {"ema", "swa"} or None
        What the weights become.

    params : dict
        Keyword arguments of the class.

    net : SequenceNetMixin
        About to be trained.

    Returns
    -------
    average : WeightAverage or None
        A callback; None without a name.

    Raises
    ------
    ValueError
        If there is no such parameter, or its value is out of range.
    """
    known = {"ema": {"decay"}, "swa": {"n_epochs"}}.get(name or "", set())
    unknown = sorted(set(params) - known)
    if unknown:
        has = f"the parameters {sorted(known)}" if known else "no parameters"
        raise ValueError(f"weight_averaging={name!r} has {has}, got {unknown}.")
    if name is None:
        return None
    average = AVERAGES[name](**params)
    earlier = vars(net).get("average_")
    return earlier if earlier is not None and earlier.settings == average.settings else average


def floating(module: nn.Module) -> list[Tensor]:
    """All weights and buffers of a module that are no whole numbers, to read and to write."""
    tensors = [*module.parameters(), *module.buffers()]
    return [tensor.detach() for tensor in tensors if tensor.is_floating_point()]
