"""Members: the networks of an ensemble, how they are built and trained, and their plain state."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sklearn.base import clone

from skrnn._forecasting._dataset import WindowDataset
from skrnn._forecasting._net import ForecastNet
from skrnn._forecasting._options import TrainingOptions
from skrnn._training import (
    Outcome,
    Snapshots,
    TrainingPlan,
    building,
    device_or_cpu,
    network_to_state,
    own_randomness,
    own_surroundings,
    resolve_optimizer,
    resolve_precision,
    train,
    with_weights,
)
from skrnn.nn import ForecastNetwork

# Share of the best validation loss by which another epoch may be worse and still count as as good.
AS_GOOD = 0.02


def train_member(
    options: TrainingOptions,
    spec: Mapping[str, Any],
    seed: int,
    train_set: WindowDataset,
    valid_set: WindowDataset | None,
    *,
    batch_size: int,
    start: ForecastNet | None = None,
    epochs: int | None = None,
    max_time: float | None = None,
    checkpoints: Snapshots | None = None,
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

    batch_size : int
        Windows per step.

    start : ForecastNet or None
        A trained net to go on with; None begins with random weights.

    epochs : int or None
        Largest number of epochs; None takes that of `options`.

    max_time : float or None
        Seconds.

    checkpoints : MemberCheckpoints or None
        Where the training is written down, and what it goes on from.

    Returns
    -------
    net : ForecastNet
        The net with its best weights.

    outcome : Outcome
        How the training ended.
    """
    with own_surroundings(), own_randomness(seed, options.resolved_device):
        if start is None:
            with building():
                network = ForecastNetwork.build(spec)
        else:
            network = copy.deepcopy(start.module_)
        net = _make_net(options, network, seed, options.resolved_device, batch_size)
        plan = _plan(options, valid_set is not None, max_time)
        plan.checkpoints = checkpoints
        outcome = train(net, train_set, valid_set, epochs or options.max_epochs, plan)
    return net, outcome


def _make_net(
    options: TrainingOptions,
    network: ForecastNetwork,
    seed: int,
    device: torch.device,
    batch_size: int,
) -> ForecastNet:
    """Put a network into an initialized skorch net."""
    # A device that is missing where a model was loaded takes its mixed precision with it.
    same = device.type == options.resolved_device.type
    precision = options.precision if same else "float32"
    prefixed = {
        f"{prefix}{name}": value
        for prefix in ("optimizer__", "callbacks__")
        for name, value in options.nested.get(prefix, {}).items()
    }
    net = ForecastNet(
        network,
        optimizer=resolve_optimizer(options.optimizer),
        lr=options.lr,
        max_epochs=options.max_epochs,
        batch_size=batch_size,
        gradient_clip_value=options.gradient_clip_value,
        autocast_dtype=resolve_precision(precision, device, options.dtype, options.accelerator),
        callbacks=[clone(callback, safe=False) for callback in options.callbacks or []],
        device=str(device),
        seed=seed,
        processes=options.processes,
        deterministic=options.deterministic,
        train_split=None,
        verbose=0,
        **prefixed,
    )
    return net.initialize()


def _plan(options: TrainingOptions, watched: bool, max_time: float | None) -> TrainingPlan:
    """Schedule and limits of one training."""
    return TrainingPlan(
        lr_schedule=options.lr_schedule,
        lr_schedule_params=dict(options.nested.get("lr_schedule__", {})),
        max_time=max_time,
        patience=options.n_iter_no_change if watched else None,
        tol=options.tol,
        verbose=int(options.verbose),
        n_threads=options.n_threads,
    )


def enough_epochs(net: ForecastNet) -> int:
    """Count the epochs that are worth training for on all data.

    The last one whose validation loss is as good as the best, up to `AS_GOOD`: where the loss stays
    flat, the low learning rates of the end are worth more than what it happens to say.
    """
    losses = np.array([row.get("valid_loss", np.nan) for row in net.history.to_list()])
    if not np.isfinite(losses).any():
        return max(len(losses), 1)
    best = np.nanmin(losses)
    return int(np.flatnonzero(losses <= best + AS_GOOD * abs(best))[-1]) + 1


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
        "batch_size": net.batch_size,
    }


def net_from_state(
    options: TrainingOptions, spec: Mapping[str, Any], state: Mapping[str, Any]
) -> ForecastNet:
    """Make the net again, on the CPU where its device is missing."""
    network = with_weights(ForecastNetwork.build, spec, state["weights"])
    device = device_or_cpu(state["device"])
    net = _make_net(options, network, state["seed"], device, state["batch_size"])
    net.history.extend(state["history"])
    return net
