"""Members: the networks of an ensemble, how they are built and trained, and their plain state."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from skrnn._forecasting._dataset import WindowDataset
from skrnn._forecasting._net import ForecastNet
from skrnn._forecasting._options import TrainingOptions
from skrnn._training import (
    Outcome,
    device_or_cpu,
    network_to_state,
    own_randomness,
    train,
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
