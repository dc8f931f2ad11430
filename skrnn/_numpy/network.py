"""Network: what a fitted network computes, for whole sequences or one step at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._numpy.carried import Carried, State, put, take
from skrnn._numpy.cells import CELLS, Cell, run_layers
from skrnn._numpy.frontends import (
    PatchFrontend,
    make_frontend,
    shapes_of_frontend,
    summary_size,
)
from skrnn._numpy.heads import FURTHER, raw_size
from skrnn._numpy.irregular import make_irregular, shapes_of_irregular
from skrnn._numpy.pooling import Pool, make_pool
from skrnn._numpy.reading import make_reader, shapes_of_reader

__all__ = ["Network", "layer_sizes", "shapes_before_layers", "shapes_of", "under"]

Arrays = dict[str, NDArray[Any]]


class Network:
    """All from the scaler or embedding to the projection of a head.

    Parameters
    ----------
    spec : mapping
        What :meth:`skrnn.nn.SequenceNetwork.build` reads.

    weights : dict of ndarray
        The weights, in the names of its ``state_dict``.

    layers : sequence of Cell or None, default=None
        Layers that are no built-in cells, in place of those of the spec.
    """

    def __init__(
        self, spec: Mapping[str, Any], weights: Arrays, layers: Sequence[Cell] | None = None
    ) -> None:
        self.dtype = np.dtype(spec["dtype"])
        #: Makes what the next stage reads of steps as they are given.
        self.read = make_reader(spec, weights)
        self.irregular = make_irregular(spec, under("irregular", weights))
        self.frontend = make_frontend(spec, under("frontend", weights))
        self.layers = _cells(spec, weights, "layers") if layers is None else list(layers)
        self.backward = _cells(spec, weights, "backward_layers") if spec["bidirectional"] else []
        self.pools: list[Pool] = []
        size = self.layers[-1].size * (2 if self.backward else 1)
        for kind in spec["pooling"] or ():
            self.pools.append(make_pool(kind, size, self.dtype, under("pooling", weights)))
        # What every step goes through in a stream; a patch goes on when it is complete.
        self.patches = self.frontend if isinstance(self.frontend, PatchFrontend) else None
        named: dict[str, Any] = {"irregular": self.irregular}
        if self.patches is None:
            named["frontend"] = self.frontend
        named = {name: stage for name, stage in named.items() if stage is not None}
        self.stages = list(named.values())
        if self.patches is not None:
            named["patches"] = self.patches
        self.before_layers = len(named)
        named |= {f"layer{depth}": layer for depth, layer in enumerate(self.layers)}
        #: All that carries something from step to step, in the order of its states.
        self.carried: dict[str, Carried] = named | dict(
            zip(spec["pooling"] or (), self.pools, strict=True)
        )
        self.digest = _digest(weights)
        self.projection = np.ascontiguousarray(weights["head.projection.weight"].T)
        self.bias = weights["head.projection.bias"]

    # -- whole sequences ----------------------------------------------------------------------

    def encode(self, x: NDArray[Any], lengths: NDArray[np.integer]) -> NDArray[Any]:
        """Representations of sequences, or of their steps.

        Parameters
        ----------
        x : ndarray of shape (batch, time, features)
            The sequences, the longest first, `time >= 1`; 0 after the end of each.

        lengths : ndarray of shape (batch,)
            Number of steps of each, never increasing; the longest may be shorter than `time`.

        Returns
        -------
        ndarray of shape (batch, size) or (batch, time, size)
            The representation; the padding of steps holds 0.
        """
        h, summary = self.read(x), None
        if self.irregular is not None:
            h = self.irregular.whole(h)
        if self.frontend is not None:
            h, lengths, summary = self.frontend.whole(h, lengths)
        h = run_layers(self.layers, self.backward, h.swapaxes(0, 1), lengths)
        if not self.pools:
            return h.swapaxes(0, 1)
        pooled = [pool.whole(h, lengths, bool(self.backward)) for pool in self.pools]
        return self._join(pooled if summary is None else [*pooled, summary])

    def raw(self, representation: NDArray[Any]) -> NDArray[np.float64]:
        """Raw values of the head from representations of shape (..., size)."""
        raw = representation.dot(self.projection)
        raw += self.bias
        return raw.astype(np.float64)

    # -- step by step -------------------------------------------------------------------------

    def initial(self, n: int) -> list[State]:
        """States of `n` sequences before their first step."""
        return [part.initial(n) for part in self.carried.values()]

    def step(self, x: NDArray[Any], states: Sequence[State]) -> list[State]:
        """States after one more step of shape (n, features)."""
        newer: list[State] = []
        h = self.read(x)
        if not self.before_layers:
            return self._onward(h, states)
        for stage in self.stages:
            h, state = stage.step(h, states[len(newer)])
            newer.append(state)
        if self.patches is None:
            return newer + self._onward(h, states[len(newer) :])
        patch, *onward = states[len(newer) :]
        patch = self.patches.step(h, patch)
        complete = patch[1] == self.patches.stride
        if complete.any():
            onward = self._read_patches(self.patches, patch, complete, onward)
            patch = put(patch, complete, self.patches.initial(int(complete.sum())))
        return [*newer, patch, *onward]

    def representation(self, states: Sequence[State]) -> NDArray[Any]:
        """Representations of sequences that have had a step, or of their newest step."""
        onward = states[len(self.stages) :] if self.before_layers else states
        if self.patches is not None:
            patch, *onward = onward
            begun = patch[1] > 0
            if begun.any():
                # Filled up with nothing, as at the end of a sequence; the state stays before it.
                onward = self._read_patches(self.patches, patch, begun, onward)
        if not self.pools:
            return onward[-1][0]
        first = len(self.layers)
        values = [pool.value(state) for pool, state in zip(self.pools, onward[first:], strict=True)]
        return self._join(values)

    def _onward(self, h: NDArray[Any], states: Sequence[State]) -> list[State]:
        """States of layers and pools after one more step of theirs."""
        newer: list[State] = []
        for layer, state in zip(self.layers, states, strict=False):
            state = layer.step(layer.project(h), state)
            newer.append(state)
            h = state[0]
        for pool, state in zip(self.pools, states[len(newer) :], strict=True):
            newer.append(pool.step(h, state))
        return newer

    def _read_patches(
        self, patches: PatchFrontend, state: State, rows: NDArray[np.bool_], onward: Sequence[State]
    ) -> list[State]:
        """States of layers and pools after the patches of some sequences."""
        newer = self._onward(patches.made(state[0][rows]), [take(one, rows) for one in onward])
        return [put(old, rows, new) for old, new in zip(onward, newer, strict=True)]

    def _join(self, values: list[NDArray[Any]]) -> NDArray[Any]:
        return np.concatenate(values, axis=1, dtype=self.dtype, casting="same_kind")


def under(prefix: str, weights: Arrays) -> Arrays:
    """Weights below a prefix, without it."""
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in weights.items() if k.startswith(start)}


def _digest(weights: Arrays) -> bytes:
    """Hash of all weights."""
    found = sha256()
    for name in sorted(weights):
        found.update(name.encode())
        found.update(np.ascontiguousarray(weights[name]).tobytes())
    return found.digest()


def layer_sizes(spec: Mapping[str, Any]) -> list[int]:
    """Size of each recurrent layer."""
    size = spec["hidden_size"]
    return list(size) if isinstance(size, list | tuple) else [size] * spec["num_layers"]


def cell_names(spec: Mapping[str, Any]) -> list[str]:
    """Cell of each layer; states are never missing, so that those above "grud" are of "gru"."""
    first = spec["cell"]
    return [first, *["gru" if first == "grud" else first] * (len(layer_sizes(spec)) - 1)]


def _cells(spec: Mapping[str, Any], weights: Arrays, name: str) -> list[Cell]:
    options = {"nonlinearity": spec["nonlinearity"]} if spec["cell"] == "rnn" else {}
    found = enumerate(cell_names(spec))
    return [CELLS[cell](under(f"encoder.{name}.{i}", weights), **options) for i, cell in found]


def shapes_before_layers(spec: Mapping[str, Any]) -> tuple[dict[str, tuple[int, ...]], int]:
    """Shapes of all weights before the layers, and how many features these read."""
    shapes, size = shapes_of_reader(spec)
    if spec["embedding_dim"] is None:
        of_irregular, size = shapes_of_irregular(spec)
        shapes |= {f"irregular.{name}": shape for name, shape in of_irregular.items()}
    of_frontend, size = shapes_of_frontend(spec, size)
    return shapes | {f"frontend.{name}": shape for name, shape in of_frontend.items()}, size


def shapes_of(spec: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of all weights of a network of built-in parts, by their names."""
    shapes, size = shapes_before_layers(spec)
    directions = ("layers", "backward_layers") if spec["bidirectional"] else ("layers",)
    for depth, (cell, width) in enumerate(zip(cell_names(spec), layer_sizes(spec), strict=True)):
        for direction in directions:
            for name, shape in CELLS[cell].shapes(size, width).items():
                shapes[f"encoder.{direction}.{depth}.{name}"] = shape
        size = width * len(directions)
    if spec["pooling"] is not None:
        n_summaries, heads = len(spec["pooling"]), spec["attention_heads"]
        if "attention" in spec["pooling"]:
            shapes["pooling.attention.weight"] = (size, size)
            shapes["pooling.score.weight"] = (heads, size)
            n_summaries += heads - 1
        size = size * n_summaries + summary_size(spec)
    head, n_outputs = spec["head"], spec["n_outputs"]
    rows = raw_size(head, n_outputs, spec["quantiles"])
    shapes["head.projection.weight"] = (rows, size)
    shapes["head.projection.bias"] = (rows,)
    for name, n_axes in FURTHER.get(head, {}).items():
        shapes[f"head.{name}"] = (n_outputs,) * n_axes
    return shapes
