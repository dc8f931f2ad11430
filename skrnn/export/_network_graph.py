"""Network graph: a network of built-in parts as nodes of ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from skrnn._numpy.frontends import make_frontend
from skrnn._numpy.network import cell_names, layer_sizes, under
from skrnn.export._frontend_graph import made_by
from skrnn.export._graph import Graph
from skrnn.export._layers_graph import Steps, run_layers, steps_of
from skrnn.export._pooling_graph import pooled
from skrnn.export._reading_graph import read

__all__ = ["raw_of", "steps_of"]

Weights = dict[str, NDArray[Any]]


def raw_of(graph: Graph, spec: Mapping[str, Any], weights: Weights, x: str, steps: Steps) -> str:
    """Write a network: from X of shape (batch, time, ...) to the raw values of its head."""
    h, summary = read(graph, spec, weights, x, steps), None
    frontend = make_frontend(spec, under("frontend", weights))
    if frontend is not None:
        h, steps, summary = made_by(graph, frontend, h, steps, steps_of)
    h, encoder = graph.add("Transpose", h, perm=[1, 0, 2]), under("encoder", weights)
    h = run_layers(graph, cell_names(spec), encoder, h, steps, spec["nonlinearity"])
    if spec["pooling"] is None:
        z = graph.add("Transpose", h, perm=[1, 0, 2])
    else:
        half = layer_sizes(spec)[-1] if spec["bidirectional"] else None
        of_pooling = under("pooling", weights)
        parts = [pooled(graph, kind, of_pooling, h, steps, half) for kind in spec["pooling"]]
        z = graph.joined(parts if summary is None else [*parts, summary])
    return graph.linear(z, weights["head.projection.weight"], weights["head.projection.bias"])
