"""Layers as nodes of ONNX, the time first, and what they need to know of the steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._numpy.network import under
from skrnn.export._graph import FLOAT, INT, Graph

__all__ = ["Steps", "masked", "run_layers", "steps_of"]

Weights = dict[str, NDArray[Any]]

# Operator, and torch's blocks of weights in its order: LSTM i, o, f, c; GRU z, r, h.
OPERATORS = {"lstm": ("LSTM", (0, 3, 1, 2)), "gru": ("GRU", (1, 0, 2)), "rnn": ("RNN", (0,))}
# Parts of the input that the minimal cells compute.
N_PARTS = {"mingru": 2, "minlstm": 3}
DIRECTIONS = ("layers", "backward_layers")


@dataclass(frozen=True)
class Steps:
    """Names of what is known of the steps of a batch.

    Parameters
    ----------
    given : str
        Numbers of steps, (batch,) of int64.

    mask : str
        Which steps are no padding, (time, batch, 1).

    lengths : str
        Numbers of steps, at least 1.

    short_lengths : str
        The same in int32, as the recurrent operators ask for.

    counts : str
        The same as floats, (batch, 1).

    none : str
        Which sequences have no step, (batch, 1).

    position : str
        Number of each step, (time, 1).

    batch : str
        Number of sequences, (1,).
    """

    given: str
    mask: str
    lengths: str
    short_lengths: str
    counts: str
    none: str
    position: str
    batch: str


def steps_of(graph: Graph, x: str, lengths: str) -> Steps:
    """Work out what is known of the steps of X of shape (batch, time, ...)."""
    shape = graph.add("Shape", x)
    time = graph.add("Gather", shape, graph.constant(1, INT))
    zero, one = graph.constant(0, INT), graph.constant(1, INT)
    position = graph.axis_added(graph.add("Range", zero, time, one), 1)
    mask = graph.axis_added(graph.add("Less", position, lengths), 2)
    at_least_one = graph.add("Max", lengths, one)
    return Steps(
        given=lengths,
        mask=mask,
        lengths=at_least_one,
        short_lengths=graph.cast(at_least_one, np.int32),
        counts=graph.axis_added(graph.cast(at_least_one, FLOAT), 1),
        none=graph.axis_added(graph.add("Less", lengths, one), 1),
        position=position,
        batch=graph.add("Gather", shape, graph.integers(0)),
    )


def masked(graph: Graph, h: str, steps: Steps) -> str:
    """Set what comes after the end of sequences to 0."""
    return graph.add("Where", steps.mask, h, graph.constant(0.0))


def run_layers(
    graph: Graph, cells: list[str], weights: Weights, x: str, steps: Steps, nonlinearity: str
) -> str:
    """Write layers, one after the other: (time, batch, features) to (time, batch, size).

    Parameters
    ----------
    graph : Graph
        Where they go.

    cells : list of str
        The cell of each layer.

    weights : dict of ndarray
        Those of an encoder. Where there are some for it, every sequence is read from its end too.

    x : str
        What the first layer reads.

    steps : Steps
        What is known of the steps.

    nonlinearity : str
        Activation of the cell "rnn".

    Returns
    -------
    output : str
        That of the last layer, both directions side by side; 0 after the end of sequences.
    """
    h = masked(graph, x, steps)
    for depth, cell in enumerate(cells):
        forward, backward = (under(f"{name}.{depth}", weights) for name in DIRECTIONS)
        parts = [_layer(graph, cell, forward, h, steps, nonlinearity)]
        if backward:
            turned = _turned(graph, h, steps)
            backwards = _layer(graph, cell, backward, turned, steps, nonlinearity)
            parts.append(_turned(graph, backwards, steps))
        h = masked(graph, graph.joined(parts), steps)
    return h


def _turned(graph: Graph, h: str, steps: Steps) -> str:
    return graph.add("ReverseSequence", h, steps.lengths, time_axis=0, batch_axis=1)


def _layer(
    graph: Graph, cell: str, weights: Weights, x: str, steps: Steps, nonlinearity: str
) -> str:
    """One layer in one direction: (time, batch, features) to (time, batch, size)."""
    if cell in N_PARTS:
        return _minimal(graph, N_PARTS[cell], weights, x, steps)
    if cell == "grud":
        return _decaying(graph, weights, x, steps)
    operator, order = OPERATORS[cell]

    def blocks(name: str) -> NDArray[Any]:
        parts = np.split(weights[f"rnn.{name}_l0"], len(order))
        return np.concatenate([parts[i] for i in order])

    attributes: dict[str, Any] = {"hidden_size": weights["rnn.weight_hh_l0"].shape[1]}
    if operator == "GRU":
        # The reset gate is applied to the product, as in torch.
        attributes["linear_before_reset"] = 1
    if operator == "RNN":
        attributes["activations"] = ["Relu" if nonlinearity == "relu" else "Tanh"]
    bias = np.concatenate([blocks("bias_ih"), blocks("bias_hh")])
    arrays = [graph.constant(a[None]) for a in (blocks("weight_ih"), blocks("weight_hh"), bias)]
    y = graph.add(operator, x, *arrays, steps.short_lengths, **attributes)
    return graph.add("Squeeze", y, graph.integers(1))


def _minimal(graph: Graph, n_parts: int, weights: Weights, x: str, steps: Steps) -> str:
    """A moving average whose weights come from the input, as a scan."""
    size = len(weights["bias"]) // n_parts
    parts = graph.linear(x, weights["weight"], weights["bias"])
    first, *rest = [graph.part(parts, i * size, i * size + size) for i in range(n_parts)]
    if n_parts == 2:
        log_odds = first
    else:
        # Forget and input gate: the share of the latter, from their logarithms.
        small = [graph.add("Softplus", graph.add("Neg", gate)) for gate in (first, rest[0])]
        log_odds = graph.add("Sub", *small)
    share, candidate = graph.add("Sigmoid", log_odds), rest[-1]

    def step(body: Graph, carried: list[str], here: list[str]) -> tuple[list[str], list[str]]:
        later = _moved(body, carried[0], here[0], here[1])
        return [later], [later]

    return graph.scan(step, [graph.zeros(steps.batch, size)], [share, candidate])[0]


def _moved(graph: Graph, h: str, share: str, goal: str) -> str:
    """`h + share * (goal - h)`."""
    return graph.add("Add", h, graph.add("Mul", share, graph.add("Sub", goal, h)))


def _decaying(graph: Graph, weights: Weights, x: str, steps: Steps) -> str:
    """A gated unit whose input and state decay, of values, masks and times side by side."""
    size, n = weights["decay_state"].shape
    values, mask, since = (graph.part(x, i * n, i * n + n) for i in range(3))

    def decay(slowed: str) -> str:
        return graph.add("Exp", graph.add("Neg", graph.add("Relu", slowed)))

    slowed = graph.add("Mul", since, graph.constant(weights["decay_input"]))
    kept = decay(graph.add("Add", slowed, graph.constant(weights["bias_decay_input"])))
    observed = graph.add("Greater", mask, graph.constant(0.0))
    kept = graph.add("Where", observed, graph.constant(1.0), kept)
    read = graph.joined([graph.add("Mul", values, kept), mask])
    read = graph.linear(read, weights["weight_ih"], weights["bias"])
    keeps = decay(graph.linear(since, weights["decay_state"], weights["bias_decay_state"]))
    of_gates, of_candidate = np.split(weights["weight_hh"], [2 * size])

    def step(body: Graph, carried: list[str], here: list[str]) -> tuple[list[str], list[str]]:
        h = body.add("Mul", carried[0], here[1])
        gates = body.add("Add", body.part(here[0], 0, 2 * size), body.linear(h, of_gates))
        gates = body.add("Sigmoid", gates)
        reset, write = body.part(gates, 0, size), body.part(gates, size, 2 * size)
        new = body.linear(body.add("Mul", reset, h), of_candidate)
        new = body.add("Tanh", body.add("Add", body.part(here[0], 2 * size, 3 * size), new))
        later = _moved(body, h, write, new)
        return [later], [later]

    return graph.scan(step, [graph.zeros(steps.batch, size)], [read, keeps])[0]
