"""State: a fitted net as plain numpy, and back on whatever device there is."""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import nn

from skrnn._training._optimizers import resolve_device
from skrnn._training._randomness import building
from skrnn.nn import SequenceNetwork, drawn_from


def network_to_state(network: nn.Module) -> dict[str, np.ndarray]:
    """All weights and buffers as numpy arrays on the CPU."""
    return {
        name: tensor.detach().cpu().numpy().copy() for name, tensor in network.state_dict().items()
    }


def network_from_state(spec: dict[str, Any], state: dict[str, np.ndarray]) -> SequenceNetwork:
    """Build a network and fill it with the weights of :func:`network_to_state`."""
    # Weights that are overwritten take nothing from a training that is going on.
    with drawn_from(torch.Generator()), building():
        network = SequenceNetwork.build(spec)
    network.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    return network


def device_or_cpu(device: str) -> torch.device:
    """Resolve the device a model was fitted on.

    Another one of its kind does as well; where there is none, the CPU takes its place, with a
    warning.
    """
    try:
        return resolve_device(device)
    except ValueError:
        with suppress(ValueError):
            return resolve_device(torch.device(device).type)
        warnings.warn(
            f"the model was fitted on device={device!r}, which is not available here; it was "
            "loaded on the CPU.",
            UserWarning,
            stacklevel=4,
        )
        return torch.device("cpu")
