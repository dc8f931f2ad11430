"""Stored: sequences that stay where they are and are read a batch or a block at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._sequences import BLOCK, Form, Layout, Sequences
from skrnn._times import from_start


class Store(ABC):
    """Sequences that are read when they are asked for.

    Attributes
    ----------
    form, width, feature_names
        As of :class:`skrnn._sequences.Sequences`.

    n_features : int
        Number of features per step; of items, as far as they have been read.

    targets : list or None
        Targets that came with the sequences, once :meth:`blocks` has read them all.

    reads_ahead : bool
        Whether another thread than the one that made the store may read it.
    """

    form: Form = "ragged"
    width: int | None = None
    feature_names: tuple[str, ...] | None = None
    n_features: int
    targets: list[Any] | None = None
    reads_ahead: bool = True

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def read(self, indices: NDArray[np.int64]) -> Sequences:
        """Read the sequences at `indices`, which increase, into memory."""

    def blocks(self) -> Iterator[tuple[int, Sequences]]:
        """Read everything in order; with each block comes the number of its first sequence.

        Lengths need not be known: a block holds as many sequences as those before it suggest.
        """
        first, count = 0, 1
        while first < len(self):
            block = self.read(np.arange(first, min(first + count, len(self))))
            yield first, block
            first += len(block)
            count = int(np.clip(BLOCK * len(block) // max(block.values.size, 1), 1, 4 * count))


@dataclass(frozen=True, eq=False)
class StoredSequences(Layout):
    """Sequences of a store, all or some of them, after a first reading of all of it.

    Parameters
    ----------
    store : Store
        Where they are.

    samples : ndarray of shape (n_samples,)
        Their numbers there.

    lengths : ndarray of shape (n_samples,)
        Number of steps of each sequence.

    largest : float
        Largest absolute value in the store.

    largest_in : int
        First sequence of the store that holds it.

    shortened : bool
        Whether steps at the end of a sequence do not belong to it, as the zeros after token ids.

    time_channel : int or None
        The feature that holds time stamps, which are counted from the start of each sequence.
    """

    store: Store
    samples: NDArray[np.int64]
    lengths: NDArray[np.int64]
    largest: float
    largest_in: int
    shortened: bool = False
    time_channel: int | None = None

    @property
    def form(self) -> Form:  # type: ignore[override]
        """The container the data are in."""
        return self.store.form

    @property
    def width(self) -> int | None:  # type: ignore[override]
        """Number of time steps of a 2-D or 3-D container, padding included."""
        return self.store.width

    @property
    def feature_names(self) -> tuple[str, ...] | None:  # type: ignore[override]
        """Names of the features where the container has any."""
        return self.store.feature_names

    @property
    def n_features(self) -> int:
        """Number of features per step."""
        return self.store.n_features

    @property
    def reads_ahead(self) -> bool:
        """Whether another thread than the one that made the store may read it."""
        return self.store.reads_ahead

    def take(self, indices: NDArray[np.integer]) -> StoredSequences:
        """Sequences at `indices`, in that order; nothing is read."""
        return replace(self, samples=self.samples[indices], lengths=self.lengths[indices])

    def read(self, indices: NDArray[np.integer]) -> Sequences:
        """Read the sequences at `indices` into memory, in that order.

        Raises
        ------
        ValueError
            If one has another length than when all were read first.
        """
        samples, position = np.unique(self.samples[indices], return_inverse=True)
        found = self.store.read(samples)
        if not np.array_equal(position, np.arange(len(samples))):
            found = found.take(position)
        lengths = self.lengths[indices]
        wrong = found.lengths < lengths if self.shortened else found.lengths != lengths
        if wrong.any():
            i = int(np.argmax(wrong))
            raise ValueError(
                f"sequence {self.samples[indices][i]} has {found.lengths[i]} steps and had "
                f"{lengths[i]} when X was read first; X must hold the same sequences in every pass."
            )
        if self.time_channel is not None:
            found = from_start(found, self.time_channel)
        return _shorten(found, lengths) if self.shortened else found

    def blocks(
        self, weight: NDArray | None = None, per_step: bool = False
    ) -> Iterator[tuple[NDArray, NDArray | None]]:
        """All values, a run of sequences after the other, and how much each row of them counts."""
        for samples, steps in self.runs():
            values = self.read(np.arange(samples.start, samples.stop)).values
            yield values, self.run_weight(samples, steps, weight, per_step)

    def traces(self) -> dict[str, NDArray]:
        """What tells these sequences from others, by what it is called; nothing is read."""
        lying = {"the samples of X": self.samples, "the lengths of X": self.lengths}
        return {"X": np.array([self.largest, self.largest_in]), **lying}

    def peak(self) -> float:
        """Largest absolute value."""
        return self.largest

    def holder(self, value: float) -> int:
        """First sequence that holds the largest value."""
        assert value == self.largest
        return self.largest_in


AnySequences = Sequences | StoredSequences


def _shorten(sequences: Sequences, lengths: NDArray[np.int64]) -> Sequences:
    if np.array_equal(sequences.lengths, lengths):
        return sequences
    clock = np.arange(len(sequences.values)) - np.repeat(sequences.starts, sequences.lengths)
    values = sequences.values[clock < np.repeat(lengths, sequences.lengths)]
    return Sequences.from_lengths(values, lengths)
