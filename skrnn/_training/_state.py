"""State: a fitted net as plain numpy, and back on whatever device there is."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from math import prod
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from skrnn._training._optimizers import resolve_device
from skrnn._training._randomness import building
from skrnn.nn import SequenceNetwork, drawn_from

Network = TypeVar("Network", bound=nn.Module)

# What is made while a network is built: its weights, and what their initial values are drawn with.
_FACTORIES = frozenset(
    [
        *("arange", "empty", "eye", "full", "linspace", "ones", "rand", "randn", "zeros"),
        *("new_empty", "new_full", "new_ones", "new_zeros"),
    ]
)
SLACK, SMALL = 8, 100_000


def network_to_state(network: nn.Module) -> dict[str, np.ndarray]:
    """All weights and buffers as numpy arrays on the CPU."""
    return {
        name: tensor.detach().cpu().numpy().copy() for name, tensor in network.state_dict().items()
    }


def network_from_state(spec: dict[str, Any], state: dict[str, np.ndarray]) -> SequenceNetwork:
    """Build a network and fill it with the weights of :func:`network_to_state`.

    Raises
    ------
    ValueError
        If the weights are not those of such a network, or not finite.
    """
    return with_weights(SequenceNetwork.build, spec, state)


def with_weights(
    build: Callable[[Mapping[str, Any]], Network],
    spec: Mapping[str, Any],
    weights: Mapping[str, np.ndarray],
) -> Network:
    """Build a network of a specification around weights that may have come from anywhere.

    Nothing larger than the weights is allocated, whatever the specification says.

    Parameters
    ----------
    build : callable
        Makes the network.

    spec : mapping
        Plain values.

    weights : mapping of str to ndarray
        All of its weights and buffers.

    Returns
    -------
    network : Module
        With these weights.

    Raises
    ------
    ValueError
        If weights are missing, too many, of another shape or not finite.
    """
    for name, array in weights.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"the weights {name!r} are not all finite")
    sizes = spec.get("hidden_size")
    n_layers = max(spec.get("num_layers", 1), len(sizes) if isinstance(sizes, list | tuple) else 1)
    if n_layers > max(len(weights), 1):
        raise ValueError(f"there are {len(weights)} weights for {n_layers} layers")
    # Weights that are overwritten take nothing from a training that is going on.
    with drawn_from(torch.Generator()), building(), Bounded(weights):
        network = build(spec)
    expected = network.state_dict()
    wrong = sorted(set(expected) ^ set(weights))
    if wrong:
        what = "missing" if wrong[0] in expected else "too many"
        raise ValueError(f"the weights {wrong[0]!r} are {what}")
    for name, tensor in expected.items():
        if tuple(tensor.shape) != weights[name].shape:
            raise ValueError(
                f"the weights {name!r} have the shape {weights[name].shape}, expected "
                f"{tuple(tensor.shape)}"
            )
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    return network


class Bounded(TorchFunctionMode):
    """Lets a network be built that is not larger than the weights it is to get.

    Parameters
    ----------
    weights : mapping of str to ndarray
        The weights.
    """

    def __init__(self, weights: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self._left = SLACK * (sum(array.size for array in weights.values()) + SMALL)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__name__", "") in _FACTORIES:
            self._left -= _n_elements(args, kwargs or {})
            if self._left < 0:
                raise ValueError("the network is larger than its weights")
        return func(*args, **(kwargs or {}))


def _n_elements(args: tuple, kwargs: Mapping[str, Any]) -> int:
    """Elements of the tensor that a function of torch is about to make."""
    sizes = [kwargs["size"]] if "size" in kwargs else [a for a in args if not torch.is_tensor(a)]
    if sizes and isinstance(sizes[0], list | tuple):
        sizes = list(sizes[0])
    return prod(abs(int(size)) for size in sizes if isinstance(size, int | float))


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
