"""Reading: numbers are scaled, token ids and their characters become vectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._numpy.cells import CELLS, Cell, run_layers
from skrnn._numpy.pooling import Last, Max

__all__ = ["CHARACTER_ENCODERS", "make_reader", "shapes_of_reader"]

Weights = Mapping[str, NDArray[Any]]

#: What reads the characters of a word.
CHARACTER_ENCODERS = ("conv", "gru", "lstm")
#: Characters that a convolution sees at a time.
CHARACTER_KERNEL = 3


class Scaler:
    """Read numbers as `(x - mean) / scale`."""

    def __init__(self, weights: Weights) -> None:
        self.mean, self.scale = weights["scaler.mean"], weights["scaler.scale"]

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        read = x - self.mean
        read /= self.scale
        return read


class Words:
    """Read the first id of every step as the vector of a word, and the others as its characters."""

    def __init__(self, spec: Mapping[str, Any], weights: Weights) -> None:
        self.characters: Any = None
        name = "embedding."
        if spec["character_encoder"] is not None:
            kind = ConvolvedCharacters if spec["character_encoder"] == "conv" else ReadCharacters
            self.characters, name = kind(spec, weights), "embedding.words."
        self.table = weights[f"{name}embedding.weight"]

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        ids = x.astype(np.int64)
        vectors = self.table[ids[..., 0]]
        if self.characters is None:
            return vectors
        words = ids[..., 1:].reshape(-1, ids.shape[-1] - 1)
        # Many words occur several times, and one of them is the padding.
        words, places = np.unique(words, axis=0, return_inverse=True)
        spelt = self.characters(words)[places.reshape(ids.shape[:-1])]
        return np.concatenate([vectors, spelt], axis=-1)


class _Characters(ABC):
    """One vector per word, of ids (n_words, n_characters) that are 0 after its end."""

    def __init__(self, spec: Mapping[str, Any], weights: Weights) -> None:
        prefix = "embedding.characters."
        self.table = weights[f"{prefix}embedding.weight"]
        self.size = self.table.shape[1]
        self.weights = {
            name.removeprefix(prefix): array
            for name, array in weights.items()
            if name.startswith(prefix)
        }
        self.prepare(spec["character_encoder"])

    @abstractmethod
    def prepare(self, encoder: str) -> None:
        """Make what reads the characters."""

    def __call__(self, words: NDArray[np.int64]) -> NDArray[Any]:
        position = np.arange(1, words.shape[1] + 1)
        lengths = ((words != 0) * position).max(axis=1, initial=0)
        # The longest words first, as the layers want them.
        order = np.argsort(-lengths, kind="stable")
        longest = max(int(lengths.max(initial=0)), 1)
        vectors = self.read(self.table[words[order, :longest]].swapaxes(0, 1), lengths[order])
        back = np.empty_like(vectors)
        back[order] = vectors
        return back

    @abstractmethod
    def read(self, x: NDArray[Any], lengths: NDArray[np.integer]) -> NDArray[Any]:
        """Vectors of words from those of their characters, (n_characters, n_words, size)."""


class ReadCharacters(_Characters):
    """The last states of a layer in each direction."""

    def prepare(self, encoder: str) -> None:
        self.layers, self.backward = (
            [self._layer(encoder, f"recurrent.{direction}.0.")]
            for direction in ("layers", "backward_layers")
        )
        self.last = Last(2 * self.size, self.table.dtype)

    def _layer(self, encoder: str, prefix: str) -> Cell:
        found = {k.removeprefix(prefix): v for k, v in self.weights.items() if k.startswith(prefix)}
        return CELLS[encoder](found)

    def read(self, x: NDArray[Any], lengths: NDArray[np.integer]) -> NDArray[Any]:
        return self.last.whole(run_layers(self.layers, self.backward, x, lengths), lengths, True)


class ConvolvedCharacters(_Characters):
    """The largest values of convolutions over neighbours."""

    def prepare(self, encoder: str) -> None:
        weight = self.weights["convolutions.0.weight"]
        self.taps = np.ascontiguousarray(weight.transpose(2, 1, 0))
        self.bias = self.weights["convolutions.0.bias"]
        self.highest = Max(self.size, self.table.dtype)

    def read(self, x: NDArray[Any], lengths: NDArray[np.integer]) -> NDArray[Any]:
        n, before = len(x), (len(self.taps) - 1) // 2
        padded = np.zeros((n + len(self.taps) - 1, *x.shape[1:]), dtype=x.dtype)
        padded[before : before + n] = x
        flow = sum(padded[i : i + n].dot(tap) for i, tap in enumerate(self.taps)) + self.bias
        # A word without characters has the vector 0.
        flow = np.where((np.arange(n)[:, None] < lengths)[:, :, None], flow, x.dtype.type(0))
        return np.maximum(self.highest.whole(flow, lengths, False), 0)


def make_reader(spec: Mapping[str, Any], weights: Weights) -> Scaler | Words:
    """Make what reads the steps as they are given."""
    return Scaler(weights) if spec["embedding_dim"] is None else Words(spec, weights)


def shapes_of_reader(spec: Mapping[str, Any]) -> tuple[dict[str, tuple[int, ...]], int]:
    """Shapes of the weights of a reader, and how many features it makes."""
    size: int | None = spec["embedding_dim"]
    if size is None:
        n_features = spec["n_features"]
        return {"scaler.mean": (n_features,), "scaler.scale": (n_features,)}, n_features
    table = spec["vocabulary_size"], size
    if spec["character_encoder"] is None:
        return {"embedding.embedding.weight": table}, size
    prefix, width = "embedding.characters.", spec["character_dim"]
    shapes: dict[str, tuple[int, ...]] = {
        "embedding.words.embedding.weight": table,
        f"{prefix}embedding.weight": (spec["character_vocabulary_size"], width),
    }
    if spec["character_encoder"] == "conv":
        shapes[f"{prefix}convolutions.0.weight"] = (width, width, CHARACTER_KERNEL)
        shapes[f"{prefix}convolutions.0.bias"] = (width,)
        return shapes, size + width
    for direction in ("layers", "backward_layers"):
        for name, shape in CELLS[spec["character_encoder"]].shapes(width, width).items():
            shapes[f"{prefix}recurrent.{direction}.0.{name}"] = shape
    return shapes, size + 2 * width
