"""Sequences: the one internal form of ragged data, a flat buffer of steps with starts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from skrnn._windows import Windows, windows_at

Form = Literal["rows", "padded", "ragged"]
# Values that are looked at together where all of the data would be too much.
BLOCK = 2**19


class Layout(ABC):
    """What is known of sequences beside their values: how many there are, and how long.

    Attributes
    ----------
    lengths : ndarray of shape (n_samples,)
        Number of steps of each sequence.

    form : {"rows", "padded", "ragged"}
        The container the data came in.

    width : int or None
        Number of time steps of the 2-D or 3-D container, padding included.

    feature_names : tuple of str or None
        Names of the features where the container had any.

    n_features : int
        Number of features per step.
    """

    lengths: NDArray[np.int64]
    form: Form
    width: int | None
    feature_names: tuple[str, ...] | None

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    @abstractmethod
    def n_features(self) -> int:
        """Number of features per step."""

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Where each sequence begins among the steps of all, counted one sequence after the other.

        This is how targets, weights and answers per step are kept, of overlapping sequences as
        well. One entry more than there are sequences: the last is the number of all steps.
        """
        return _offsets(self.lengths)

    @property
    def equal_length(self) -> int | None:
        """The common number of steps, or None when the sequences differ."""
        lengths = self.lengths
        if len(lengths) and bool((lengths == lengths[0]).all()):
            return int(lengths[0])
        return None

    def step_index(self, indices: NDArray[np.integer]) -> NDArray[np.int64]:
        """Positions of all steps of the sequences at `indices`, counted as `offsets` does."""
        lengths = self.lengths[indices]
        ends = np.cumsum(lengths)
        starts_here = np.repeat(ends - lengths, lengths)
        starts_there = np.repeat(self.offsets[:-1][indices], lengths)
        return np.arange(ends[-1] if len(ends) else 0) - starts_here + starts_there

    def runs(self) -> Iterator[tuple[slice, slice]]:
        """Cut the sequences into runs that hold about as many values as `BLOCK`, in their order.

        Yields
        ------
        samples : slice
            At least one sequence.

        steps : slice
            Their steps, counted as `offsets` does.
        """
        offsets = self.offsets
        size = max(BLOCK // max(self.n_features, 1), 1)
        start = 0
        while start < len(self):
            stop = int(np.searchsorted(offsets, offsets[start] + size, side="right")) - 1
            stop = max(stop, start + 1)
            yield slice(start, stop), slice(int(offsets[start]), int(offsets[stop]))
            start = stop

    def run_weight(
        self, samples: slice, steps: slice, weight: NDArray | None, per_step: bool
    ) -> NDArray | None:
        """Weights of the steps of a run, given those of the sequences or of all steps."""
        if weight is None or per_step:
            return weight if weight is None else weight[steps]
        return np.repeat(weight[samples], self.lengths[samples])


@dataclass(frozen=True, eq=False)
class Sequences(Layout):
    """Sequences of any length in one flat buffer.

    Step ``t`` of sequence ``i`` is ``values[starts[i] + t]``. Nothing is ever padded here: padding
    exists only inside a batch and in containers handed back to the user.

    Parameters
    ----------
    values : ndarray of shape (n_steps, n_features)
        All steps that any sequence holds, and no others: whatever is learned from them is learned
        from the sequences. May be a view of user data and is therefore never written to.

    starts : ndarray of shape (n_samples,)
        Where each sequence starts.

    lengths : ndarray of shape (n_samples,)
        Number of steps of each sequence.

    form : {"rows", "padded", "ragged"}, default="ragged"
        The container the data came in: a 2-D array of univariate rows, a 3-D array, or a collection
        of arrays. :meth:`restore` gives the same form back.

    width : int or None, default=None
        Number of time steps of the 2-D or 3-D container, padding included.

    feature_names : tuple of str or None, default=None
        Names of the features where the container had any.

    overlapping : bool, default=False
        Whether the sequences are windows over one series, all of `width` steps: then a step may
        belong to many of them. Otherwise they lie in `values` one after the other.
    """

    values: NDArray
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    form: Form = "ragged"
    width: int | None = None
    feature_names: tuple[str, ...] | None = None
    overlapping: bool = False

    @classmethod
    def from_lengths(
        cls, values: NDArray, lengths: NDArray[np.int64], form: Form = "ragged", width: Any = None
    ) -> Sequences:
        """Cut steps that lie one after the other into sequences of the given lengths."""
        return cls(values, _offsets(lengths)[:-1], lengths, form, width)

    @classmethod
    def from_list(cls, arrays: Sequence[NDArray]) -> Sequences:
        """Concatenate arrays of shape (n_timesteps_i, n_features)."""
        lengths = np.fromiter((len(a) for a in arrays), dtype=np.int64, count=len(arrays))
        return cls.from_lengths(np.concatenate(arrays), lengths)

    @classmethod
    def from_padded(cls, array: NDArray, lengths: NDArray[np.int64] | None = None) -> Sequences:
        """Drop the padding of an array of shape (n_samples, n_timesteps, n_features).

        Without padding the result is a view of `array` where its memory layout allows it.
        """
        n_samples, width, n_features = array.shape
        if lengths is None or bool((lengths == width).all()):
            values = array.reshape(-1, n_features)
            return cls.from_lengths(values, _equal(width, n_samples), "padded", width)
        valid = np.arange(width) < lengths[:, None]
        return cls.from_lengths(array[valid], lengths, "padded", width)

    @classmethod
    def from_windows(cls, windows: Windows) -> Sequences:
        """Read windows where they lie."""
        width = windows.window_length
        values = windows.series.reshape(len(windows.series), -1)
        lengths = _equal(width, len(windows))
        return cls(
            values, windows.starts, lengths, "padded", width, overlapping=True
        )._without_gaps()

    def __getitem__(self, index: int) -> NDArray:
        """Sequence `index`, a view of shape (n_timesteps_i, n_features)."""
        start = self.starts[index]
        return self.values[start : start + self.lengths[index]]

    def __iter__(self) -> Iterator[NDArray]:
        return (self[i] for i in range(len(self)))

    @property
    def n_features(self) -> int:
        """Number of features per step."""
        return self.values.shape[1]

    def take(self, indices: NDArray[np.integer]) -> Sequences:
        """Sequences at `indices`, in that order: a copy, but windows share their series."""
        lengths = self.lengths[indices]
        if self.overlapping:
            taken = replace(
                self, starts=self.starts[indices], lengths=_equal(self.width, len(lengths))
            )
            return taken._without_gaps()
        if self.equal_length:
            # An index of every step may take more memory than the steps.
            whole = self.values.reshape(len(self), self.equal_length, -1)
            values = whole[indices].reshape(-1, self.n_features)
        else:
            values = self.values[self.step_index(indices)]
        return replace(self, values=values, starts=_offsets(lengths)[:-1], lengths=lengths)

    def packed(self) -> Sequences:
        """Lay overlapping sequences one after the other, in a copy; others lie so already."""
        if not self.overlapping:
            return self
        array = np.asarray(self._windows(self.values))
        return replace(
            Sequences.from_padded(array), form=self.form, feature_names=self.feature_names
        )

    def find(self, rows: NDArray[np.bool_]) -> tuple[int, int]:
        """First sequence that holds one of the marked `rows` of values, and its first such step."""
        marked = _offsets(rows)
        i = int(np.argmax(marked[self.starts + self.lengths] > marked[self.starts]))
        start = self.starts[i]
        return i, int(np.argmax(rows[start : start + self.lengths[i]]))

    def step_weight(self, weight: NDArray | None = None, per_step: bool = False) -> NDArray | None:
        """How much each row of `values` counts, given the weights of the sequences or their steps.

        A step counts as often as sequences hold it. None where all rows count once.
        """
        if not self.overlapping:
            return weight if weight is None or per_step else np.repeat(weight, self.lengths)
        if weight is None:
            return self._holders()
        if per_step:
            return self._sum_of_steps(weight)
        counted = weight > 0
        held = replace(self, starts=self.starts[counted], lengths=self.lengths[counted])
        # Sums that come and go leave rounding behind: nothing where nothing counts, and never less
        # than the smallest weight elsewhere.
        least = weight[counted].min(initial=np.inf)
        return np.where(held._holders() > 0, np.maximum(held._holders(weight[counted]), least), 0.0)

    def blocks(
        self, weight: NDArray | None = None, per_step: bool = False
    ) -> Iterator[tuple[NDArray, NDArray | None]]:
        """All values, a run of sequences after the other, and how much each row of them counts."""
        if self.overlapping:
            yield self.values, self.step_weight(weight, per_step)
            return
        for samples, steps in self.runs():
            yield self.values[steps], self.run_weight(samples, steps, weight, per_step)

    def traces(self) -> dict[str, NDArray]:
        """What tells these sequences from others, by what it is called."""
        lying = {"the starts of X": self.starts, "the lengths of X": self.lengths}
        return {"X": self.values, **lying}

    def peak(self) -> float:
        """Largest absolute value."""
        return max(float(self.values.max(initial=0)), -float(self.values.min(initial=0)))

    def holder(self, value: float) -> int:
        """First sequence that holds `value`."""
        return self.find((self.values == value).any(axis=1))[0]

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
        values = self.packed().values
        if self.equal_length == width:
            return values.reshape(len(self), width, self.n_features)
        padded = np.full((len(self), width, self.n_features), fill, dtype=values.dtype)
        padded[np.arange(width) < lengths[:, None]] = values
        return padded

    def restore(self) -> NDArray | list[NDArray] | Windows:
        """Give the data back in the form it came in.

        Returns
        -------
        X : ndarray of shape (n_samples, width), (n_samples, width, n_features), or list of ndarray
            Rows that gained features come back as a 3-D array. Windows come back as windows.
        """
        if self.form == "ragged":
            return self.to_list()
        one_feature = self.form == "rows" and self.n_features == 1
        if self.overlapping:
            return self._windows(self.values[:, 0] if one_feature else self.values)
        padded = self.to_padded(self.width)
        return padded[:, :, 0] if one_feature else padded

    # -- windows ------------------------------------------------------------------------------

    def _windows(self, series: NDArray) -> Windows:
        assert self.width is not None
        return windows_at(series, self.starts, self.width)

    def _without_gaps(self) -> Sequences:
        """Leave out the steps that no window holds."""
        if len(self) == 0:
            return replace(self, values=self.values[:0])
        starts, width = self.starts, self.width
        distances = np.diff(starts)
        if (distances < 0).any():
            starts = np.sort(starts)
            distances = np.diff(starts)
        if (distances <= width).all():
            first, end = starts[0], starts[-1] + width
            moved = self.starts - first if first else self.starts
            return replace(self, values=self.values[first:end], starts=moved)
        held = self._holders() > 0
        position = np.cumsum(held) - 1
        return replace(self, values=self.values[held], starts=position[self.starts])

    def _holders(self, weight: NDArray | None = None) -> NDArray:
        """Number, or weight, of the windows that hold each row of `values`."""
        size = len(self.values) + 1
        change = np.bincount(self.starts, weight, size)
        change -= np.bincount(self.starts + self.lengths, weight, size)
        return np.cumsum(change, out=change)[:-1]

    def _sum_of_steps(self, weight: NDArray) -> NDArray:
        """Sum of the weights of one step in all windows that hold it, for each row of `values`."""
        total = np.zeros(len(self.values))
        for t, column in enumerate(weight.reshape(len(self), -1).T):
            total += np.bincount(self.starts + t, column, len(total))
        return total


def _offsets(lengths: NDArray) -> NDArray[np.int64]:
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def _equal(length: int | None, n_samples: int) -> NDArray[np.int64]:
    """Lengths that are all the same, in the memory of one."""
    return np.broadcast_to(np.int64(length or 0), n_samples)
