"""Streamed: a fitted estimator becomes a model that reads step by step, with parts of torch in it.

Built-in cells and heads are computed in numpy. Those of the user's own stay modules of torch.
"""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from skrnn._exported import arrays_of, options_of
from skrnn._numpy.carried import State, take
from skrnn._numpy.cells import Cell
from skrnn._numpy.model import Model
from skrnn._numpy.network import shapes_before_layers
from skrnn._parameters import torch_dtype
from skrnn.nn import RecurrentLayer
from skrnn.streaming._base import Stream
from skrnn.streaming._making import StreamMixin, check_causal

__all__ = ["EstimatorStreamMixin", "streamed"]

S = TypeVar("S", bound=Stream)


class EstimatorStreamMixin(StreamMixin[S]):
    """Gives an estimator the method `stream`."""

    def _model_to_stream(self) -> Model:
        return streamed(self)


def streamed(estimator: Any) -> Model:
    """Make a model that can stream of a fitted estimator.

    Raises
    ------
    ValueError
        If something stands against reading step by step.
    """
    check_is_fitted(estimator)
    spec = estimator._spec
    check_causal(spec, type(estimator).__name__)
    options = options_of(estimator)
    layers = head = None
    if not isinstance(spec["cell"], str):
        given = options["spec"]
        layers = [_own_layers(net.module_.encoder.layers, given) for net in estimator.nets_]
    if not isinstance(spec["head"], str):
        head = _own_head(estimator._head())
    return Model.build(options, arrays_of(estimator), layers, head)


class OwnLayer(Cell):
    """A recurrent layer of the user's own, one step at a time.

    The arrays of its state are the output, whether a sequence has had a step (the layer knows its
    zero state, nobody else does), and the tensors that the layer returned, the axis of the
    sequences first.

    Parameters
    ----------
    layer : RecurrentLayer
        The layer.

    input_size : int
        Number of features that it reads.

    dtype : torch.dtype
        Type of its weights.
    """

    def __init__(self, layer: RecurrentLayer, input_size: int, dtype: torch.dtype) -> None:
        self.layer = copy.deepcopy(layer).cpu().eval()
        self.size = layer.output_size
        one, two = (self._probe(n, input_size, dtype) for n in (1, 2))
        self.in_tuple = isinstance(one, tuple)
        pairs = list(zip(_leaves(one), _leaves(two), strict=True))
        self.axes = [_axis(*pair) for pair in pairs]
        self.templates = [
            self._first(leaf, axis) for (leaf, _), axis in zip(pairs, self.axes, strict=True)
        ]
        self.names = ("output", "started", *(f"state{i}" for i in range(len(pairs))))
        self.dtype = np.dtype(str(dtype).removeprefix("torch."))

    def _probe(self, n: int, input_size: int, dtype: torch.dtype) -> Any:
        with torch.inference_mode():
            _, state = self.layer(torch.zeros(n, 1, input_size, dtype=dtype))
        if state is None:
            raise ValueError(
                f"the layer {type(self.layer).__name__} returns no state and cannot go on from "
                "one; return it beside the output, or () if the layer has no memory."
            )
        return state

    def initial(self, n: int) -> State:
        if n > 1 and None in self.axes:
            i = self.axes.index(None)
            raise ValueError(
                f"tensor {i} in the state of {type(self.layer).__name__} has the shape "
                f"{self.templates[i].shape[1:]} for any number of sequences; give it an axis of "
                "them, or use n_streams=1."
            )
        blank = [np.zeros((n, *one.shape[1:]), one.dtype) for one in self.templates]
        return np.zeros((n, self.size), self.dtype), np.zeros(n, dtype=bool), *blank

    def project(self, x: NDArray[Any]) -> NDArray[Any]:
        return x

    def step(self, projected: NDArray[Any], state: State) -> State:
        started = state[1]
        if started.all():
            return self._run(projected, state)
        if not started.any():
            return self._run(projected, None)
        later, first = np.flatnonzero(started), np.flatnonzero(~started)
        both = self._run(projected[later], take(state, later)), self._run(projected[first], None)
        order = np.argsort(np.concatenate([later, first]))
        return tuple(np.concatenate(parts)[order] for parts in zip(*both, strict=True))

    def _run(self, x: NDArray[Any], state: State | None) -> State:
        with torch.inference_mode():
            before = None if state is None else self._tensors(state[2:])
            output, after = self.layer(torch.from_numpy(np.ascontiguousarray(x))[:, None], before)
        leaves = zip(_leaves(after), self.axes, strict=True)
        return (
            output[:, 0].numpy(),
            np.ones(len(x), dtype=bool),
            *(self._first(leaf, axis) for leaf, axis in leaves),
        )

    def _tensors(self, arrays: State) -> Any:
        leaves = []
        for array, axis in zip(arrays, self.axes, strict=True):
            tensor = torch.tensor(array)  # a copy, as the layer may write into it
            leaves.append(tensor[0] if axis is None else tensor.movedim(0, axis))
        return tuple(leaves) if self.in_tuple else leaves[0]

    @staticmethod
    def _first(leaf: torch.Tensor, axis: int | None) -> NDArray[Any]:
        return (leaf[None] if axis is None else leaf.movedim(axis, 0)).numpy()


class OwnHead:
    """A head of the user's own.

    Parameters
    ----------
    head : torch.nn.Module
        In float64, on the CPU.
    """

    def __init__(self, head: torch.nn.Module) -> None:
        self.head: Any = head

    def predict(self, raw: NDArray[np.float64]) -> NDArray[np.float64]:
        """Predictions of shape (n, n_outputs)."""
        with torch.inference_mode():
            return self.head.predict(torch.from_numpy(raw)).numpy()


class OwnDistributionHead(OwnHead):
    """One that knows quantiles as well."""

    def quantiles(
        self, raw: NDArray[np.float64], levels: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Quantiles of shape (n, n_outputs, n_levels)."""
        with torch.inference_mode():
            return self.head.quantiles(torch.from_numpy(raw), levels).numpy()


def _own_layers(layers: Any, spec: Any) -> list[OwnLayer]:
    size = shapes_before_layers(spec)[1]
    made = []
    for layer in layers:
        made.append(OwnLayer(layer, size, torch_dtype(spec["dtype"])))
        size = layer.output_size
    return made


def _own_head(head: Any) -> OwnHead:
    return (OwnDistributionHead if hasattr(head, "quantiles") else OwnHead)(head)


def _leaves(state: Any) -> tuple[torch.Tensor, ...]:
    return state if isinstance(state, tuple) else (state,)


def _axis(one: torch.Tensor, two: torch.Tensor) -> int | None:
    """Axis that is as long as there are sequences, where there is one such."""
    if one.ndim != two.ndim:
        return None
    differ = [i for i in range(one.ndim) if one.shape[i] != two.shape[i]]
    if len(differ) != 1 or (one.shape[differ[0]], two.shape[differ[0]]) != (1, 2):
        return None
    return differ[0]
