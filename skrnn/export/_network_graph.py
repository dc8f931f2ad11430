"""Network graph: a network of built-in parts as nodes of ONNX, the time first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._numpy.frontends import make_frontend
from skrnn._numpy.network import layer_sizes, under
from skrnn.export._frontend_graph import made_by
from skrnn.export._graph import FLOAT, INT, Graph

__all__ = ["Steps", "raw_of", "steps_of"]

Weights = dict[str, NDArray[Any]]

LOWEST = float(np.finfo(np.float32).min)
# Operator, and torch's blocks of weights in its order: LSTM i, o, f, c; GRU z, r, h.
OPERATORS = {"lstm": ("LSTM", (0, 3, 1, 2)), "gru": ("GRU", (1, 0, 2)), "rnn": ("RNN", (0,))}
# Parts of the input that the minimal cells compute.
N_PARTS = {"mingru": 2, "minlstm": 3}


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


def raw_of(graph: Graph, spec: Mapping[str, Any], weights: Weights, x: str, steps: Steps) -> str:
    """Write a network: from X of shape (batch, time, ...) to the raw values of its head."""
    h, summary = _read(graph, spec, weights, x), None
    frontend = make_frontend(spec, under("frontend", weights))
    if frontend is not None:
        h, steps, summary = made_by(graph, frontend, h, steps, steps_of)
    h = _masked(graph, graph.add("Transpose", h, perm=[1, 0, 2]), steps)
    for depth in range(len(layer_sizes(spec))):
        parts = [_layer(graph, spec, under(f"encoder.layers.{depth}", weights), h, steps)]
        if spec["bidirectional"]:
            turned = _turned(graph, h, steps)
            found = under(f"encoder.backward_layers.{depth}", weights)
            backwards = _layer(graph, spec, found, turned, steps)
            parts.append(_turned(graph, backwards, steps))
        h = _masked(graph, graph.joined(parts), steps)
    if spec["pooling"] is None:
        z = graph.add("Transpose", h, perm=[1, 0, 2])
    else:
        kinds = spec["pooling"]
        parts = [_pooled(graph, kind, spec, weights, h, steps) for kind in kinds]
        z = graph.joined(parts if summary is None else [*parts, summary])
    return graph.linear(z, weights["head.projection.weight"], weights["head.projection.bias"])


def _read(graph: Graph, spec: Mapping[str, Any], weights: Weights, x: str) -> str:
    if spec["embedding_dim"] is not None:
        table = graph.constant(weights["embedding.embedding.weight"])
        return graph.add("Gather", table, x)
    centred = graph.add("Sub", x, graph.constant(weights["scaler.mean"]))
    return graph.add("Div", centred, graph.constant(weights["scaler.scale"]))


def _masked(graph: Graph, h: str, steps: Steps) -> str:
    return graph.add("Where", steps.mask, h, graph.constant(0.0))


def _turned(graph: Graph, h: str, steps: Steps) -> str:
    return graph.add("ReverseSequence", h, steps.lengths, time_axis=0, batch_axis=1)


# -- layers -----------------------------------------------------------------------------------


def _layer(graph: Graph, spec: Mapping[str, Any], weights: Weights, x: str, steps: Steps) -> str:
    """One layer in one direction: (time, batch, features) to (time, batch, size)."""
    if spec["cell"] in N_PARTS:
        return _minimal(graph, N_PARTS[spec["cell"]], weights, x, steps)
    operator, order = OPERATORS[spec["cell"]]

    def blocks(name: str) -> NDArray[Any]:
        parts = np.split(weights[f"rnn.{name}_l0"], len(order))
        return np.concatenate([parts[i] for i in order])

    attributes: dict[str, Any] = {"hidden_size": weights["rnn.weight_hh_l0"].shape[1]}
    if operator == "GRU":
        # The reset gate is applied to the product, as in torch.
        attributes["linear_before_reset"] = 1
    if operator == "RNN":
        attributes["activations"] = ["Relu" if spec["nonlinearity"] == "relu" else "Tanh"]
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
    shape = graph.joined([steps.batch, graph.integers(size)], axis=0)
    start = graph.add("Expand", graph.constant(0.0), shape)
    return graph.scan(_moving_average(size), start, share, candidate)


def _moving_average(size: int) -> Any:
    """Body of the scan: `h + share * (candidate - h)`."""
    from onnx import TensorProto, helper

    def value(name: str) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, size])

    nodes = [
        helper.make_node("Sub", ["candidate", "h"], ["way"]),
        helper.make_node("Mul", ["way", "share"], ["move"]),
        helper.make_node("Add", ["h", "move"], ["later"]),
        helper.make_node("Identity", ["later"], ["seen"]),
    ]
    inputs = [value("h"), value("share"), value("candidate")]
    return helper.make_graph(nodes, "step", inputs, [value("later"), value("seen")])


# -- pooling ----------------------------------------------------------------------------------


def _pooled(
    graph: Graph, kind: str, spec: Mapping[str, Any], weights: Weights, h: str, steps: Steps
) -> str:
    """One summary, (time, batch, size) to (batch, ...); 0 for a sequence without a step."""
    if kind == "mean":
        return graph.add("Div", graph.sum(h, 0), steps.counts)
    if kind == "last":
        return _last(graph, spec, h, steps)
    if kind == "attention":
        return _attention(graph, under("pooling", weights), h, steps)
    lowest = graph.add("Where", steps.mask, h, graph.constant(LOWEST))
    highest = graph.add("ReduceMax", lowest, axes=[0], keepdims=0)
    return graph.add("Where", steps.none, graph.constant(0.0), highest)


def _last(graph: Graph, spec: Mapping[str, Any], h: str, steps: Steps) -> str:
    before = graph.add("Sub", steps.lengths, graph.constant(1, INT))
    newest = graph.axis_added(graph.add("Equal", steps.position, before), 2)
    last = graph.sum(graph.add("Where", newest, h, graph.constant(0.0)), 0)
    if not spec["bidirectional"]:
        return last
    size = layer_sizes(spec)[-1]
    first = graph.add("Gather", h, graph.constant(0, INT), axis=0)
    return graph.joined([graph.part(last, 0, size), graph.part(first, size, 2 * size)])


def _attention(graph: Graph, weights: Weights, h: str, steps: Steps) -> str:
    scores = graph.add("Tanh", graph.linear(h, weights["attention.weight"]))
    scores = graph.linear(scores, weights["score.weight"])
    scores = graph.add("Where", steps.mask, scores, graph.constant(LOWEST))
    share = graph.add("Softmax", scores, axis=0)
    share = graph.add("Where", steps.mask, share, graph.constant(0.0))
    # (batch, heads, time) times (batch, time, size)
    share = graph.add("Transpose", share, perm=[1, 2, 0])
    summary = graph.add("MatMul", share, graph.add("Transpose", h, perm=[1, 0, 2]))
    return graph.add("Flatten", summary, axis=1)
