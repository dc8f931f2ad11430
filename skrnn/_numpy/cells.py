"""Cells: the steps of the recurrent layers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from skrnn._numpy.carried import Carried, State, zeros

__all__ = ["CELLS", "Cell", "run_cell", "run_layers"]

Weights = Mapping[str, NDArray[Any]]


class Cell(Carried):
    """One recurrent layer in one direction.

    A step is cut in two: `project` is what does not look at the state, for all steps at once, and
    `step` is the rest. The first array of a state is the output.
    """

    size: int
    dtype: Any

    def initial(self, n: int) -> State:
        """State of `n` sequences before their first step."""
        return tuple(zeros(n, self.size, self.dtype) for _ in self.names)

    @abstractmethod
    def project(self, x: NDArray[Any]) -> NDArray[Any]:
        """What the steps x of shape (n, features) bring to their gates, in an array of its own."""

    @abstractmethod
    def step(self, projected: NDArray[Any], state: State) -> State:
        """State after one step; may write into `projected`."""


class _GatedCell(Cell):
    """Weights of torch's layers, transposed, the gates in an order and on a scale of our own.

    The logistic function of `a` is `(1 + tanh(a / 2)) / 2`. With the half in the weights of the
    gates, one call computes the activations of all of them.
    """

    #: Which of torch's blocks is in each place, the gates first.
    order: ClassVar[tuple[int, ...]]
    n_gates: ClassVar[int]

    @classmethod
    def shapes(cls, input_size: int, size: int) -> dict[str, tuple[int, ...]]:
        """Shapes of the weights, by torch's names."""
        rows = len(cls.order) * size
        return {
            "rnn.weight_ih_l0": (rows, input_size),
            "rnn.weight_hh_l0": (rows, size),
            "rnn.bias_ih_l0": (rows,),
            "rnn.bias_hh_l0": (rows,),
        }

    def __init__(self, weights: Weights) -> None:
        self.size = weights["rnn.weight_hh_l0"].shape[1]
        self.dtype = weights["rnn.weight_hh_l0"].dtype
        self.input = self._columns(weights["rnn.weight_ih_l0"].T)
        self.recurrent = self._columns(weights["rnn.weight_hh_l0"].T)
        self.bias = self._columns(weights["rnn.bias_ih_l0"])
        self.recurrent_bias = self._columns(weights["rnn.bias_hh_l0"])
        self.gates = slice(0, self.n_gates * self.size)
        self.half = self.dtype.type(0.5)

    def _columns(self, blocks: NDArray[Any]) -> NDArray[Any]:
        parts = np.split(blocks, len(self.order), axis=-1)
        scaled = [parts[b] * (0.5 if i < self.n_gates else 1.0) for i, b in enumerate(self.order)]
        return np.concatenate(scaled, axis=-1).astype(self.dtype)

    def project(self, x: NDArray[Any]) -> NDArray[Any]:
        projected = x.dot(self.input)
        projected += self.bias
        return projected

    def _logistic(self, activated: NDArray[Any]) -> NDArray[Any]:
        activated *= self.half
        activated += self.half
        return activated


class LSTMCell(_GatedCell):
    """Long short-term memory; torch stacks input, forget, cell and output gate."""

    names = ("h", "c")
    order = (0, 1, 3, 2)
    n_gates = 3

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        self.bias = self.bias + self.recurrent_bias
        h = self.size
        self.write, self.keep, self.read, self.new = (slice(i * h, i * h + h) for i in range(4))

    def step(self, projected: NDArray[Any], state: State) -> State:
        h, c = state
        projected += h.dot(self.recurrent)
        np.tanh(projected, projected)
        self._logistic(projected[:, self.gates])
        c = projected[:, self.keep] * c
        c += projected[:, self.write] * projected[:, self.new]
        h = np.tanh(c)
        h *= projected[:, self.read]
        return h, c


class GRUCell(_GatedCell):
    """Gated recurrent unit; torch stacks reset, update and new gate."""

    names = ("h",)
    order = (0, 1, 2)
    n_gates = 2

    def __init__(self, weights: Weights) -> None:
        super().__init__(weights)
        h = self.size
        self.reset, self.update, self.new = (slice(i * h, i * h + h) for i in range(3))

    def step(self, projected: NDArray[Any], state: State) -> State:
        (h,) = state
        recurrent = h.dot(self.recurrent)
        recurrent += self.recurrent_bias
        gates = projected[:, self.gates]
        gates += recurrent[:, self.gates]
        np.tanh(gates, gates)
        self._logistic(gates)
        new = gates[:, self.reset] * recurrent[:, self.new]
        new += projected[:, self.new]
        np.tanh(new, new)
        later = h - new
        later *= gates[:, self.update]
        later += new
        return (later,)


class ElmanCell(_GatedCell):
    """The plain recurrent layer."""

    names = ("h",)
    order = (0,)
    n_gates = 0

    def __init__(self, weights: Weights, nonlinearity: str = "tanh") -> None:
        super().__init__(weights)
        self.bias = self.bias + self.recurrent_bias
        self.relu = nonlinearity == "relu"

    def step(self, projected: NDArray[Any], state: State) -> State:
        projected += state[0].dot(self.recurrent)
        if self.relu:
            return (np.maximum(projected, 0),)
        return (np.tanh(projected),)


class _MinimalCell(Cell):
    """Move a share of the way to a candidate; both come from the input alone."""

    names = ("h",)
    n_parts: ClassVar[int]

    @classmethod
    def shapes(cls, input_size: int, size: int) -> dict[str, tuple[int, ...]]:
        """Shapes of the weights, by torch's names."""
        rows = cls.n_parts * size
        return {"weight": (rows, input_size), "bias": (rows,)}

    def __init__(self, weights: Weights) -> None:
        self.size = len(weights["bias"]) // self.n_parts
        self.dtype = weights["bias"].dtype
        self.input = np.ascontiguousarray(weights["weight"].T)
        self.bias = weights["bias"]

    def project(self, x: NDArray[Any]) -> NDArray[Any]:
        parts = x.dot(self.input)
        parts += self.bias
        *gates, candidate = np.split(parts, self.n_parts, axis=-1)
        return np.concatenate([_logistic(self._log_odds(gates)), candidate], axis=-1)

    @abstractmethod
    def _log_odds(self, gates: list[NDArray[Any]]) -> NDArray[Any]:
        """Log odds of moving."""

    def step(self, projected: NDArray[Any], state: State) -> State:
        share, candidate = projected[:, : self.size], projected[:, self.size :]
        move = candidate - state[0]
        move *= share
        move += state[0]
        return (move,)


class MinGRUCell(_MinimalCell):
    """Minimal gated recurrent unit."""

    n_parts = 2

    def _log_odds(self, gates: list[NDArray[Any]]) -> NDArray[Any]:
        return gates[0]


class MinLSTMCell(_MinimalCell):
    """Minimal long short-term memory: the share of the input gate in the sum of both."""

    n_parts = 3

    def _log_odds(self, gates: list[NDArray[Any]]) -> NDArray[Any]:
        forget, write = gates
        return np.logaddexp(0, -forget) - np.logaddexp(0, -write)


class GRUDCell(Cell):
    """The gated recurrent unit whose input and state decay between observations.

    It reads values, masks and times side by side.
    """

    names = ("h",)

    @classmethod
    def shapes(cls, input_size: int, size: int) -> dict[str, tuple[int, ...]]:
        """Shapes of the weights, by torch's names."""
        n = input_size // 3
        return {
            "weight_ih": (3 * size, 2 * n),
            "weight_hh": (3 * size, size),
            "bias": (3 * size,),
            "decay_input": (n,),
            "bias_decay_input": (n,),
            "decay_state": (size, n),
            "bias_decay_state": (size,),
        }

    def __init__(self, weights: Weights) -> None:
        self.size, self.n_features = weights["decay_state"].shape
        self.dtype = weights["bias"].dtype
        self.input = np.ascontiguousarray(weights["weight_ih"].T)
        self.bias = weights["bias"]
        recurrent = weights["weight_hh"].T
        self.of_gates = np.ascontiguousarray(recurrent[:, : 2 * self.size])
        self.of_candidate = np.ascontiguousarray(recurrent[:, 2 * self.size :])
        self.decay_input, self.bias_input = weights["decay_input"], weights["bias_decay_input"]
        self.decay_state = np.ascontiguousarray(weights["decay_state"].T)
        self.bias_state = weights["bias_decay_state"]

    def project(self, x: NDArray[Any]) -> NDArray[Any]:
        n = self.n_features
        values, mask, since = x[:, :n], x[:, n : 2 * n], x[:, 2 * n :]
        kept = np.exp(-np.maximum(self.decay_input * since + self.bias_input, 0))
        decayed = values * np.where(mask > 0, self.dtype.type(1), kept)
        read = np.concatenate([decayed, mask], axis=1).dot(self.input) + self.bias
        keeps = np.exp(-np.maximum(since.dot(self.decay_state) + self.bias_state, 0))
        return np.concatenate([read, keeps], axis=1)

    def step(self, projected: NDArray[Any], state: State) -> State:
        size = self.size
        h = state[0] * projected[:, 3 * size :]
        gates = _logistic(projected[:, : 2 * size] + h.dot(self.of_gates))
        new = (gates[:, :size] * h).dot(self.of_candidate)
        new += projected[:, 2 * size : 3 * size]
        np.tanh(new, new)
        new -= h
        new *= gates[:, size:]
        new += h
        return (new,)


def _logistic(a: NDArray[Any]) -> NDArray[Any]:
    half = a.dtype.type(0.5)
    return half * np.tanh(half * a) + half


#: The cells by the name that the estimators give them.
CELLS: dict[str, type[Any]] = {
    "gru": GRUCell,
    "grud": GRUDCell,
    "lstm": LSTMCell,
    "mingru": MinGRUCell,
    "minlstm": MinLSTMCell,
    "rnn": ElmanCell,
}


def run_cell(cell: Cell, x: NDArray[Any], active: NDArray[np.integer]) -> NDArray[Any]:
    """Run a cell over whole sequences.

    Parameters
    ----------
    cell : Cell
        The layer.

    x : ndarray of shape (time, batch, features)
        The sequences, the longest first.

    active : ndarray of shape (time,)
        How many sequences have each step: they are the first ones.

    Returns
    -------
    output : ndarray of shape (time, batch, cell.size)
        0 after the end of a sequence.
    """
    time, batch, n_features = x.shape
    made = cell.project(x.reshape(time * batch, n_features))
    projected = made.reshape(time, batch, made.shape[1])
    output = np.zeros((time, batch, cell.size), dtype=cell.dtype)
    state = cell.initial(batch)
    for t, n in enumerate(active.tolist()):
        if n < len(state[0]):
            state = tuple(part[:n] for part in state)
        state = cell.step(projected[t, :n], state)
        output[t, :n] = state[0]
    return output


def run_layers(
    layers: Sequence[Cell],
    backward: Sequence[Cell],
    h: NDArray[Any],
    lengths: NDArray[np.integer],
) -> NDArray[Any]:
    """Run layers over whole sequences, one after the other.

    Parameters
    ----------
    layers, backward : sequence of Cell
        Those that read forward, and as many or none that read every sequence from its end.

    h : ndarray of shape (time, batch, features)
        The sequences, the longest first.

    lengths : ndarray of shape (batch,)
        Number of steps of each, never increasing.

    Returns
    -------
    output : ndarray of shape (time, batch, size)
        Of the last layer, both directions side by side; 0 after the end of a sequence.
    """
    time, batch = h.shape[:2]
    steps = np.arange(time)[:, None]
    active = (steps < lengths).sum(axis=1)
    there = np.where(steps < lengths, lengths - 1 - steps, steps)
    everyone = np.arange(batch)
    for depth, layer in enumerate(layers):
        output = run_cell(layer, h, active)
        if backward:
            reverse = run_cell(backward[depth], h[there, everyone], active)
            output = np.concatenate([output, reverse[there, everyone]], axis=2)
        h = output
    return h
