"""Members: the networks of an ensemble, how they are built and trained, and their plain state."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.base import clone

from skrnn._forecasting._dataset import WindowDataset
from skrnn._forecasting._net import ForecastNet
from skrnn._training import (
    Outcome,
    TrainingPlan,
    device_or_cpu,
    network_to_state,
    own_randomness,
    resolve_device,
    resolve_optimizer,
    resolve_precision,
    train,
)
from skrnn.nn import ForecastNetwork


@dataclass(frozen=True)
class TrainingOptions:
    """The parameters of the forecaster that say how a network is trained.

    Parameters are those of the forecaster of the same names; `nested` holds the ones with double
    underscores by their prefix.
    """

    optimizer: Any
    lr: float
    lr_schedule: Any
    max_epochs: int
    batch_size: int
    gradient_clip_value: float | None
    max_time: float | None
    n_iter_no_change: int
    tol: float
    callbacks: Any
    device: Any
    dtype: str
    precision: str
    verbose: int
    nested: Mapping[str, Mapping[str, Any]]

    @property
    def resolved_device(self) -> torch.device:
        """Device of this machine that the parameter stands for."""
        return resolve_device(self.device)

    def make_net(
        self, network: ForecastNetwork, seed: int, device: torch.device | None = None
    ) -> ForecastNet:
        """Put a network into an initialized skorch net."""
        # A device that is missing where a model was loaded takes its mixed precision with it.
        moved = device is not None and device != self.resolved_device
        precision = "float32" if moved else self.precision
        device = self.resolved_device if device is None else device
        prefixed = {
            f"{prefix}{name}": value
            for prefix in ("optimizer__", "callbacks__")
            for name, value in self.nested.get(prefix, {}).items()
        }
        net = ForecastNet(
            network,
            optimizer=resolve_optimizer(self.optimizer),
            lr=self.lr,
            max_epochs=self.max_epochs,
            batch_size=self.batch_size,
            gradient_clip_value=self.gradient_clip_value,
            autocast_dtype=resolve_precision(precision, device, self.dtype),
            callbacks=[clone(callback, safe=False) for callback in self.callbacks or []],
            device=str(device),
            seed=seed,
            train_split=None,
            verbose=0,
            **prefixed,
        )
        return net.initialize()

    def plan(self, watched: bool, max_time: float | None) -> TrainingPlan:
        """Schedule and limits of one training."""
        return TrainingPlan(
            lr_schedule=self.lr_schedule,
            lr_schedule_params=dict(self.nested.get("lr_schedule__", {})),
            max_time=max_time,
            patience=self.n_iter_no_change if watched else None,
            tol=self.tol,
            verbose=int(self.verbose),
        )


def train_member(
    options: TrainingOptions,
    spec: Mapping[str, Any],
    seed: int,
    train_set: WindowDataset,
    valid_set: WindowDataset | None,
    *,
    start: ForecastNet | None = None,
    epochs: int | None = None,
    max_time: float | None = None,
) -> tuple[ForecastNet, Outcome]:
    """Train one network.

    Parameters
    ----------
    options : TrainingOptions
        How to train.

    spec : mapping
        What :meth:`skrnn.nn.ForecastNetwork.build` reads.

    seed : int
        Decides weights, draws and dropout.

    train_set, valid_set : WindowDataset
        Windows to fit and to watch.

    start : ForecastNet or None
        A trained net to go on with; None begins with random weights.

    epochs : int or None
        Largest number of epochs; None takes that of `options`.

    max_time : float or None
        Seconds.

    Returns
    -------
    net : ForecastNet
        The net with its best weights.

    outcome : Outcome
        How the training ended.
    """
    with own_randomness(seed, options.resolved_device):
        network = ForecastNetwork.build(spec) if start is None else copy.deepcopy(start.module_)
        net = options.make_net(network, seed)
        plan = options.plan(valid_set is not None, max_time)
        outcome = train(net, train_set, valid_set, epochs or options.max_epochs, plan)
    return net, outcome


def best_epoch(net: ForecastNet) -> int:
    """Count the epochs up to the one whose weights were kept."""
    losses = [row.get("valid_loss", np.nan) for row in net.history.to_list()]
    if not losses or not np.isfinite(losses).any():
        return max(len(losses), 1)
    return int(np.nanargmin(losses)) + 1


def net_state(net: ForecastNet) -> dict[str, Any]:
    """State of a net in plain values and numpy arrays."""
    history = [
        {name: value for name, value in row.items() if name != "batches"}
        for row in net.history.to_list()
    ]
    return {
        "weights": network_to_state(net.module_),
        "history": history,
        "device": str(net.device),
        "seed": net.seed,
    }


def net_from_state(
    options: TrainingOptions, spec: Mapping[str, Any], state: Mapping[str, Any]
) -> ForecastNet:
    """Make the net again, on the CPU where its device is missing."""
    with torch.random.fork_rng(devices=[]):
        network = ForecastNetwork.build(spec)
    network.load_state_dict({k: torch.from_numpy(v) for k, v in state["weights"].items()})
    net = options.make_net(network, state["seed"], device_or_cpu(state["device"]))
    net.history.extend(state["history"])
    return net
