"""Reading as nodes of ONNX: numbers with gaps and times, token ids and their characters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._numpy.network import under
from skrnn.export._graph import FLOAT, INT, Graph
from skrnn.export._layers_graph import Steps, run_layers, steps_of
from skrnn.export._pooling_graph import highest, last

__all__ = ["read"]

Weights = dict[str, NDArray[Any]]


def read(graph: Graph, spec: Mapping[str, Any], weights: Weights, x: str, steps: Steps) -> str:
    """Write what makes of X what front end and layers read, (batch, time, size)."""
    if spec["embedding_dim"] is not None:
        return _words(graph, spec, under("embedding", weights), x)
    centred = graph.add("Sub", x, graph.constant(weights["scaler.mean"]))
    scaled = graph.add("Div", centred, graph.constant(weights["scaler.scale"]))
    if spec["missing"] is None and spec["time_channel"] is None:
        return scaled
    h = graph.add("Transpose", scaled, perm=[1, 0, 2])
    found = under("irregular", weights)
    h = _irregular(graph, found, h, steps, spec["time_channel"], spec["missing"] is not None)
    return graph.add("Transpose", h, perm=[1, 0, 2])


# -- gaps and times ---------------------------------------------------------------------------


def _irregular(
    graph: Graph, weights: Weights, x: str, steps: Steps, time_channel: int | None, mask: bool
) -> str:
    """Values, masks and times of X of shape (time, batch, features)."""
    values, clock = x, graph.axis_added(graph.cast(steps.position, FLOAT), 2)
    if time_channel is not None:
        columns = [i for i in range(len(weights["known"]) + 1) if i != time_channel]
        values = graph.add("Gather", x, graph.integers(*columns), axis=2)
        stamps = graph.add("Gather", x, graph.integers(time_channel), axis=2)
        clock = graph.add("Sub", stamps, graph.add("Gather", stamps, graph.integers(0), axis=0))
    if not mask:
        edges = graph.integers(0), graph.integers(-1), graph.integers(0)
        before = graph.add("Gather", clock, graph.integers(0), axis=0)
        before = graph.joined([before, graph.add("Slice", clock, *edges)], axis=0)
        parts, since = [values], graph.add("Sub", clock, before)
    else:
        unknown = graph.constant(~weights["known"], np.bool_)
        missing = graph.add("Or", graph.add("IsNaN", values), unknown)
        given = graph.add("Where", missing, graph.constant(0.0), values)
        observed = graph.cast(graph.add("Not", missing), FLOAT)
        clock = graph.add("Expand", clock, graph.add("Shape", values))
        start = graph.zeros(steps.batch, len(weights["known"]))
        filled, since = graph.scan(_carried_on, [start, start], [given, observed, clock])
        parts = [filled, observed]
    return graph.joined([*parts, graph.add("Div", since, graph.constant(weights["time_scale"]))])


def _carried_on(body: Graph, carried: list[str], here: list[str]) -> tuple[list[str], list[str]]:
    """Carry the last value of a feature and when it was observed; make the value and the time."""
    (last_value, seen), (given, observed, clock) = carried, here
    is_new = body.add("Greater", observed, body.constant(0.0))
    value = body.add("Where", is_new, given, last_value)
    return [value, body.add("Where", is_new, clock, seen)], [value, body.add("Sub", clock, seen)]


# -- words ------------------------------------------------------------------------------------


def _words(graph: Graph, spec: Mapping[str, Any], weights: Weights, x: str) -> str:
    if spec["character_encoder"] is None:
        return graph.add("Gather", graph.constant(weights["embedding.weight"]), x)
    first = graph.add("Gather", x, graph.constant(0, INT), axis=2)
    vectors = graph.add("Gather", graph.constant(weights["words.embedding.weight"]), first)
    spelt, size = _characters(graph, spec, under("characters", weights), x)
    shape = graph.joined([graph.add("Shape", first), graph.integers(size)], axis=0)
    return graph.joined([vectors, graph.add("Reshape", spelt, shape)])


def _characters(graph: Graph, spec: Mapping[str, Any], weights: Weights, x: str) -> tuple[str, int]:
    """Vectors of all words one below the other, and their size."""
    n_ids, size = spec["n_features"], spec["character_dim"]
    ids = graph.add("Reshape", graph.part(x, 1, n_ids), graph.integers(-1, n_ids - 1))
    there = graph.add("Not", graph.add("Equal", ids, graph.constant(0, INT)))
    position = graph.add("Mul", graph.cast(there, INT), graph.integers(*range(1, n_ids)))
    lengths = graph.add("ReduceMax", position, axes=[1], keepdims=0)
    given = graph.add("Gather", graph.constant(weights["embedding.weight"]), ids)
    steps = steps_of(graph, given, lengths)
    if spec["character_encoder"] == "conv":
        return _convolved(graph, weights, given, steps), size
    h, recurrent = graph.add("Transpose", given, perm=[1, 0, 2]), under("recurrent", weights)
    h = run_layers(graph, [spec["character_encoder"]], recurrent, h, steps, "tanh")
    return last(graph, h, steps, size), 2 * size


def _convolved(graph: Graph, weights: Weights, given: str, steps: Steps) -> str:
    weight = weights["convolutions.0.weight"]
    beside = weight.shape[2] - 1
    flow = graph.add(
        "Conv",
        graph.add("Transpose", given, perm=[0, 2, 1]),
        graph.constant(weight),
        graph.constant(weights["convolutions.0.bias"]),
        pads=[beside // 2, beside - beside // 2],
        kernel_shape=[weight.shape[2]],
    )
    flow = graph.add("Transpose", flow, perm=[2, 0, 1])
    return graph.add("Relu", highest(graph, flow, steps))
