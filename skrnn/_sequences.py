"""Sequences: the one internal form of ragged data, a flat buffer of steps with offsets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Form = Literal["rows", "padded", "ragged"]


@dataclass(frozen=True, eq=False)
class Sequences:
    """Sequences of any length in one flat buffer.

    Step ``t`` of sequence ``i`` is ``values[offsets[i] + t]``. Nothing is ever padded here: padding
    exists only inside a batch and in containers handed back to the user.

    Parameters
    ----------
    values : ndarray of shape (total_steps, n_features)
        All steps of all sequences, one sequence after the other. May be a view of user data and is
        therefore never written to.

    offsets : ndarray of shape (n_samples + 1,)
        Where each sequence starts; the last entry is ``total_steps``.

    form : {"rows", "padded", "ragged"}, default="ragged"
        The container the data came in: a 2-D array of univariate rows, a 3-D array, or a collection
        of arrays. :meth:`restore` gives the same form back.

    width : int or None, default=None
        Number of time steps of the 2-D or 3-D container, padding included.

    feature_names : tuple of str or None, default=None
        Names of the features where the container had any.
    """

    values: NDArray
    offsets: NDArray[np.int64]
    form: Form = "ragged"
    width: int | None = None
    feature_names: tuple[str, ...] | None = None

    @classmethod
    def from_list(cls, arrays: Sequence[NDArray]) -> Sequences:
        """Concatenate arrays of shape (n_timesteps_i, n_features)."""
        lengths = np.fromiter((len(a) for a in arrays), dtype=np.int64, count=len(arrays))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(np.concatenate(arrays), offsets)

    @classmethod
    def from_padded(cls, array: NDArray, lengths: NDArray[np.int64] | None = None) -> Sequences:
        """Drop the padding of an array of shape (n_samples, n_timesteps, n_features).

        Without padding the result is a view of `array` where its memory layout allows it.
        """
        n_samples, width, n_features = array.shape
        if lengths is None or bool((lengths == width).all()):
            offsets = np.arange(n_samples + 1, dtype=np.int64) * width
            return cls(array.reshape(-1, n_features), offsets, "padded", width)
        valid = np.arange(width) < lengths[:, None]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return cls(array[valid], offsets, "padded", width)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> NDArray:
        """Sequence `index`, a view of shape (n_timesteps_i, n_features)."""
        return self.values[self.offsets[index] : self.offsets[index + 1]]

    def __iter__(self) -> Iterator[NDArray]:
        return (self[i] for i in range(len(self)))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of steps of each sequence."""
        return np.diff(self.offsets)

    @property
    def n_features(self) -> int:
        """Number of features per step."""
        return self.values.shape[1]

    @property
    def equal_length(self) -> int | None:
        """The common number of steps, or None when the sequences differ."""
        lengths = self.lengths
        if len(lengths) and bool((lengths == lengths[0]).all()):
            return int(lengths[0])
        return None

    def take(self, indices: NDArray[np.integer]) -> Sequences:
        """Copy of the sequences at `indices`, in that order."""
        if len(indices) == 0:
            return replace(self, values=self.values[:0], offsets=np.zeros(1, dtype=np.int64))
        lengths = self.lengths[indices]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return replace(self, values=self.values[self.step_index(indices)], offsets=offsets)

    def step_index(self, indices: NDArray[np.integer]) -> NDArray[np.int64]:
        """Positions in `values` of all steps of the sequences at `indices`."""
        lengths = self.lengths[indices]
        ends = np.cumsum(lengths)
        starts_here = np.repeat(ends - lengths, lengths)
        starts_there = np.repeat(self.offsets[:-1][indices], lengths)
        return np.arange(ends[-1] if len(ends) else 0) - starts_here + starts_there

    def with_values(self, values: NDArray) -> Sequences:
        """Return the same sequences with other values per step, and possibly other features."""
        names = self.feature_names if values.shape[1] == self.n_features else None
        return replace(self, values=values, feature_names=names)

    def to_list(self) -> list[NDArray]:
        """Views of shape (n_timesteps_i, n_features), one per sequence."""
        return list(self)

    def to_padded(self, width: int | None = None, fill: float = np.nan) -> NDArray:
        """Array of shape (n_samples, width, n_features), `fill` after the end of each sequence."""
        lengths = self.lengths
        longest = int(lengths.max()) if len(lengths) else 0
        width = longest if width is None else width
        if self.equal_length == width:
            return self.values.reshape(len(self), width, self.n_features)
        padded = np.full((len(self), width, self.n_features), fill, dtype=self.values.dtype)
        padded[np.arange(width) < lengths[:, None]] = self.values
        return padded

    def restore(self) -> NDArray | list[NDArray]:
        """Give the data back in the form it came in.

        Returns
        -------
        X : ndarray of shape (n_samples, width), (n_samples, width, n_features), or list of ndarray
            Rows that gained features come back as a 3-D array.
        """
        if self.form == "ragged":
            return self.to_list()
        padded = self.to_padded(self.width)
        if self.form == "rows" and self.n_features == 1:
            return padded[:, :, 0]
        return padded
