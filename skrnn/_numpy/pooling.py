"""Pooling: one vector per sequence, of all its steps at once or as they come."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._numpy.carried import Carried, State, zeros

__all__ = ["POOLS", "Pool", "make_pool"]


class Pool(Carried):
    """One kind of summary.

    Sums over many steps are kept in float64: those of float32 would drift.
    """

    def __init__(self, size: int, dtype: Any) -> None:
        self.size = size
        self.dtype = dtype

    @abstractmethod
    def whole(self, output: NDArray[Any], lengths: NDArray[np.integer], both: bool) -> NDArray[Any]:
        """Summaries of outputs of shape (time, batch, size), `time >= 1`; 0 without a step.

        Outputs are 0 after the end of a sequence. With `both`, the second half of the features was
        read backwards.
        """

    @abstractmethod
    def step(self, h: NDArray[Any], state: State) -> State:
        """State after a step with the outputs `h` of shape (n, size)."""

    @abstractmethod
    def value(self, state: State) -> NDArray[Any]:
        """Summaries of sequences that have had a step."""


class Mean(Pool):
    """The mean of all outputs."""

    names = ("sum", "count")

    def initial(self, n: int) -> State:
        return zeros(n, self.size, np.float64), zeros(n, 1, np.float64)

    def whole(self, output: NDArray[Any], lengths: NDArray[np.integer], both: bool) -> NDArray[Any]:
        return output.sum(axis=0, dtype=np.float64) / np.maximum(lengths, 1)[:, None]

    def step(self, h: NDArray[Any], state: State) -> State:
        # A sum of two types would cast in small pieces.
        return state[0] + h.astype(np.float64), state[1] + 1.0

    def value(self, state: State) -> NDArray[Any]:
        return state[0] / state[1]


class Max(Pool):
    """The largest of each feature."""

    names = ("max",)

    def initial(self, n: int) -> State:
        return (np.full((n, self.size), -np.inf, dtype=self.dtype),)

    def whole(self, output: NDArray[Any], lengths: NDArray[np.integer], both: bool) -> NDArray[Any]:
        ended = np.arange(len(output))[:, None] >= np.maximum(lengths, 1)
        return np.where(ended[:, :, None], -np.inf, output).max(axis=0)

    def step(self, h: NDArray[Any], state: State) -> State:
        return (np.maximum(state[0], h),)

    def value(self, state: State) -> NDArray[Any]:
        return state[0]


class Last(Pool):
    """The newest output, of each direction where it has read the whole sequence."""

    names = ("last",)

    def initial(self, n: int) -> State:
        return (zeros(n, self.size, self.dtype),)

    def whole(self, output: NDArray[Any], lengths: NDArray[np.integer], both: bool) -> NDArray[Any]:
        last = output[np.maximum(lengths, 1) - 1, np.arange(len(lengths))]
        if not both:
            return last
        half = self.size // 2
        return np.concatenate([last[:, :half], output[0, :, half:]], axis=1)

    def step(self, h: NDArray[Any], state: State) -> State:
        return (h,)

    def value(self, state: State) -> NDArray[Any]:
        return state[0]


class Attention(Pool):
    """Means whose weights are a softmax over the steps, one for each head."""

    names = ("highest", "weight", "weighted")

    def __init__(self, size: int, dtype: Any, attention: NDArray[Any], score: NDArray[Any]) -> None:
        super().__init__(size, dtype)
        self.attention = np.ascontiguousarray(attention.T)
        self.score = np.ascontiguousarray(score.T)
        self.n_heads = len(score)

    def scores(self, output: NDArray[Any]) -> NDArray[np.float64]:
        """Scores of outputs of shape (n, size), one per head."""
        return np.tanh(output.dot(self.attention)).dot(self.score).astype(np.float64)

    def initial(self, n: int) -> State:
        weighted = np.zeros((n, self.n_heads, self.size))
        return np.full((n, self.n_heads), -np.inf), zeros(n, self.n_heads, np.float64), weighted

    def whole(self, output: NDArray[Any], lengths: NDArray[np.integer], both: bool) -> NDArray[Any]:
        time, batch, size = output.shape
        scores = self.scores(output.reshape(-1, size)).reshape(time, batch, self.n_heads)
        ended = np.arange(time)[:, None] >= np.maximum(lengths, 1)
        scores[ended] = -np.inf
        weights = np.exp(scores - scores.max(axis=0))
        weights /= weights.sum(axis=0)
        return np.einsum("tbh,tbs->bhs", weights, output).reshape(batch, -1)

    def step(self, h: NDArray[Any], state: State) -> State:
        before, weight, weighted = state
        scores = self.scores(h)
        highest = np.maximum(before, scores)
        # What was summed up so far is on the scale of the highest score so far.
        old, new = np.exp(before - highest), np.exp(scores - highest)
        weighted = weighted * old[:, :, None] + new[:, :, None] * h[:, None, :]
        return highest, weight * old + new, weighted

    def value(self, state: State) -> NDArray[Any]:
        return (state[2] / state[1][:, :, None]).reshape(len(state[2]), -1)


#: The poolings by the name that the estimators give them; attention has weights.
POOLS: dict[str, type[Pool]] = {"attention": Attention, "last": Last, "max": Max, "mean": Mean}


def make_pool(kind: str, size: int, dtype: Any, weights: dict[str, NDArray[Any]]) -> Pool:
    """Make the pool of a name; `weights` are those of the pooling, of which attention has some."""
    if kind == "attention":
        return Attention(size, dtype, weights["attention.weight"], weights["score.weight"])
    return POOLS[kind](size, dtype)
