"""Pooling as nodes of ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn.export._graph import INT, Graph
from skrnn.export._layers_graph import Steps

__all__ = ["highest", "last", "pooled"]

Weights = dict[str, NDArray[Any]]

LOWEST = float(np.finfo(np.float32).min)


def pooled(
    graph: Graph, kind: str, weights: Weights, h: str, steps: Steps, half: int | None
) -> str:
    """Write one summary, (time, batch, size) to (batch, ...); 0 for a sequence without a step.

    `weights` are those of the pooling. Of two directions, `half` is the size of one.
    """
    if kind == "mean":
        return graph.add("Div", graph.sum(h, 0), steps.counts)
    if kind == "last":
        return last(graph, h, steps, half)
    if kind == "attention":
        return _attention(graph, weights, h, steps)
    return highest(graph, h, steps)


def highest(graph: Graph, h: str, steps: Steps) -> str:
    """Write the largest of each feature."""
    lowest = graph.add("Where", steps.mask, h, graph.constant(LOWEST))
    largest = graph.add("ReduceMax", lowest, axes=[0], keepdims=0)
    return graph.add("Where", steps.none, graph.constant(0.0), largest)


def last(graph: Graph, h: str, steps: Steps, half: int | None) -> str:
    """Write the output of each direction where it has read the whole sequence."""
    before = graph.add("Sub", steps.lengths, graph.constant(1, INT))
    newest = graph.axis_added(graph.add("Equal", steps.position, before), 2)
    found = graph.sum(graph.add("Where", newest, h, graph.constant(0.0)), 0)
    if half is None:
        return found
    first = graph.add("Gather", h, graph.constant(0, INT), axis=0)
    return graph.joined([graph.part(found, 0, half), graph.part(first, half, 2 * half)])


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
