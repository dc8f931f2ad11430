"""Front ends as nodes of ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._numpy.frontends import ConvFrontend, PatchFrontend
from skrnn.export._graph import FLOAT, INT, Graph

__all__ = ["made_by"]

# Makes what is known of the steps of an array of shape (batch, time, ...), given their numbers.
StepsOf = Callable[[Graph, str, str], Any]


def made_by(
    graph: Graph, frontend: ConvFrontend | PatchFrontend, x: str, steps: Any, steps_of: StepsOf
) -> tuple[str, Any, str | None]:
    """Write a front end over X of shape (batch, time, features).

    Returns
    -------
    made : str
        What the recurrent layers read, (batch, shorter, size).

    steps : Steps
        What is known of its steps.

    summary : str or None
        What goes past them to the head, (batch, size).
    """
    mask = graph.add("Transpose", steps.mask, perm=[1, 0, 2])
    x = graph.add("Where", mask, x, graph.constant(0.0))
    if isinstance(frontend, PatchFrontend):
        return _patches(
            graph, frontend, graph.joined([x, graph.cast(mask, FLOAT)]), steps, steps_of
        )
    return _convolutions(graph, frontend, x, steps, steps_of)


def _shorter(graph: Graph, lengths: str, stride: int) -> str:
    more = graph.add("Add", lengths, graph.constant(stride - 1, INT))
    return graph.add("Div", more, graph.constant(stride, INT))


def _patches(
    graph: Graph, frontend: PatchFrontend, x: str, steps: Any, steps_of: StepsOf
) -> tuple[str, Any, None]:
    stride = frontend.stride
    time = graph.add("Gather", graph.add("Shape", x), graph.integers(1))
    missing = graph.add("Mod", graph.add("Neg", time), graph.integers(stride))
    pads = graph.joined([graph.integers(0, 0, 0, 0), missing, graph.integers(0)], axis=0)
    shape = graph.integers(0, -1, len(frontend.projection))
    x = graph.add("Reshape", graph.add("Pad", x, pads), shape)
    made = graph.add("Relu", graph.linear(x, frontend.projection.T, frontend.bias))
    return made, steps_of(graph, made, _shorter(graph, steps.given, stride)), None


def _convolutions(
    graph: Graph, frontend: ConvFrontend, x: str, steps: Any, steps_of: StepsOf
) -> tuple[str, Any, str]:
    """The map, features before time as the operators want them, and its mean."""
    flow = graph.add("Transpose", x, perm=[0, 2, 1])
    flow = graph.joined([_convolved(graph, frontend, flow, *one) for one in frontend.stem], axis=1)
    flow = _shortened(graph, _rectified(graph, flow, steps), frontend.strides[0])
    lengths = _shorter(graph, steps.given, frontend.strides[0])
    steps = steps_of(graph, graph.add("Transpose", flow, perm=[0, 2, 1]), lengths)
    for convolutions, shortcut in frontend.blocks:
        before = flow if shortcut is None else _convolved(graph, frontend, flow, *shortcut)
        for depth, one in enumerate(convolutions):
            flow = _rectified(graph, flow, steps) if depth else flow
            flow = _convolved(graph, frontend, flow, *one)
        flow = _rectified(graph, graph.add("Add", flow, before), steps)
    summary = graph.add("Div", graph.sum(flow, 2), steps.counts)
    flow = _shortened(graph, flow, frontend.strides[1])
    made = graph.add("Transpose", flow, perm=[0, 2, 1])
    return made, steps_of(graph, made, _shorter(graph, lengths, frontend.strides[1])), summary


def _convolved(
    graph: Graph, frontend: ConvFrontend, x: str, taps: NDArray[Any], shift: NDArray[Any]
) -> str:
    size = len(taps)
    before = size - 1 if frontend.causal else size // 2
    weight = graph.constant(np.ascontiguousarray(taps.transpose(2, 1, 0)))
    pads = [before, size - 1 - before]
    return graph.add("Conv", x, weight, graph.constant(shift), pads=pads, kernel_shape=[size])


def _rectified(graph: Graph, flow: str, steps: Any) -> str:
    mask = graph.add("Transpose", steps.mask, perm=[1, 2, 0])
    return graph.add("Where", mask, graph.add("Relu", flow), graph.constant(0.0))


def _shortened(graph: Graph, flow: str, stride: int) -> str:
    if stride == 1:
        return flow
    sizes = {"kernel_shape": [stride], "strides": [stride]}
    return graph.add("MaxPool", flow, ceil_mode=1, **sizes)
