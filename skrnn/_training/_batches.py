"""Batches: whole padded batches built from indices, never sample by sample."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from skrnn._stored import AnySequences, StoredSequences
from skrnn._training._placement import Batch, home_of, one_ahead, sent, takes_all, with_index
from skrnn._training._processes import Alone

# Shuffled samples are sorted by length inside groups of this many batches: padding falls to a few
# per cent while the make-up of every batch still changes from epoch to epoch.
BUCKET_BATCHES = 16
# Lengths are stretched by a random factor up to this much before they are sorted: otherwise the
# batches of a data set no larger than one group would have the same members in every epoch.
LENGTH_JITTER = 0.25
# A batch that is mostly padding (one sequence far longer than the rest) is cut in two.
MAX_PADDING_RATIO = 2.5
# Upper bound on rows x steps of one inference batch, so that long series do not blow up memory.
MAX_INFERENCE_STEPS = 2**20


class SequenceDataset(Dataset):
    """Sequences, targets and weights on one device, cut into batches by index.

    Parameters
    ----------
    sequences : Sequences or StoredSequences
        Inputs. Stored ones are read a batch at a time.

    target : ndarray of shape (n_samples, ...) or (total_steps, ...), or None
        One target per sequence, or one per step when `per_step`.

    weight : ndarray of shape (n_samples,) or (total_steps,), or None
        Weights of the targets.

    per_step : bool
        Whether targets belong to steps.

    dtype : torch.dtype
        Type of inputs and of numeric targets.

    device : torch.device or str
        Where batches are wanted. The whole set is kept there, but for stored inputs and for what
        is too much for a GPU: such batches are built on the CPU and sent.
    """

    def __init__(
        self,
        sequences: AnySequences,
        target: NDArray | None = None,
        weight: NDArray | None = None,
        *,
        per_step: bool = False,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.lengths = sequences.lengths
        self.step_index = sequences.step_index
        self.equal_length = sequences.equal_length
        self.per_step = per_step
        self.dtype, self.device = dtype, with_index(torch.device(device))
        self.stored: StoredSequences | None = None
        self.overlapping = False
        if isinstance(sequences, StoredSequences):
            starts = sequences.offsets[:-1]
            self._place_stored(sequences)
        else:
            self.overlapping, starts = sequences.overlapping, sequences.starts
            self.home = home_of(self.device, sequences.values.size * dtype.itemsize)
            self.values = _as_tensor(sequences.values, dtype, self.home)
        self.first_steps = starts
        self.starts = _as_tensor(starts, torch.int64, self.home)
        self.target = None if target is None else _target_tensor(target, dtype, self.home)
        self.weight = None if weight is None else _as_tensor(weight, dtype, self.home)

    def _place_stored(self, sequences: StoredSequences) -> None:
        """Leave stored sequences where they are, or read all of them to a GPU that has room."""
        shape = int(sequences.offsets[-1]), sequences.n_features
        n_bytes = shape[0] * shape[1] * self.dtype.itemsize
        # Items of a data set may be others in every epoch.
        if not (sequences.reads_ahead and takes_all(self.device, n_bytes)):
            self.stored, self.home, self.values = sequences, torch.device("cpu"), torch.empty(0)
            return
        self.home = self.device
        self.values = torch.empty(shape, dtype=self.dtype, device=self.device)
        for samples, steps in sequences.runs():
            read = sequences.read(np.arange(samples.start, samples.stop)).values
            self.values[steps] = _as_tensor(read, self.dtype, self.device)

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, indices: NDArray[np.integer]) -> Batch:
        """Inputs and targets of the samples at `indices`.

        Returns
        -------
        inputs : dict
            ``x`` of shape (batch, time, features); ``lengths`` unless all samples have the same
            length; ``weight`` of shape (batch,), or (batch, time) per step, if there are weights.

        target : Tensor of shape (batch, ...) or (batch, time, ...)
            Zeros after the end of each sequence. An empty tensor when there is no target.
        """
        index = torch.from_numpy(np.ascontiguousarray(indices))
        # Pageable memory is staged before the call returns, so this is safe and never waits.
        index = index.to(self.home, non_blocking=True)
        inputs: dict[str, Tensor] = {}
        pick: Callable[[Tensor], Tensor]
        if self.equal_length:
            pick = partial(self._blocks, index=index)
            inputs["x"] = self._windows(index) if self.overlapping else self._inputs(indices, pick)
        else:
            lengths = self.lengths[indices]
            alike = bool((lengths == lengths.max(initial=0)).all())
            pick = partial(self._rows, index=index, indices=indices, lengths=lengths)
            inputs["x"] = self._inputs(indices, pick)
            if not alike:
                inputs["lengths"] = torch.from_numpy(lengths)
        if not self.per_step:
            pick = partial(torch.index_select, dim=0, index=index)
        if self.weight is not None:
            inputs["weight"] = pick(self.weight)
        target = torch.empty(len(indices)) if self.target is None else pick(self.target)
        return (inputs, target) if self.home == self.device else sent((inputs, target), self.device)

    def batches(self, plan: Iterable[NDArray]) -> Iterator[Batch]:
        """Batches of the index arrays of a plan; those that have to be sent are built ahead.

        Items of a data set are read when they are asked for: what they are read from may belong to
        the thread that opened it.
        """
        ahead = self.home != self.device and (self.stored is None or self.stored.reads_ahead)
        return one_ahead(self.batch, plan, self.device) if ahead else map(self.batch, plan)

    def uncounted(self, indices: NDArray[np.integer]) -> Batch:
        """Give a batch whose samples count nothing, for a process that has none to compute."""
        inputs, target = self.batch(indices)
        shape = inputs["x"].shape[:2] if self.per_step else inputs["x"].shape[:1]
        inputs["weight"] = inputs["x"].new_zeros(shape, dtype=self.dtype)
        return inputs, target

    def _inputs(self, indices: NDArray[np.integer], pick: Callable[[Tensor], Tensor]) -> Tensor:
        """Steps of a batch, zeros after the end of each sequence."""
        if self.stored is None:
            return pick(self.values)
        return _as_tensor(self.stored.read(indices).to_padded(fill=0), self.dtype, self.home)

    def _blocks(self, flat: Tensor, index: Tensor) -> Tensor:
        """Steps of sequences that have the same length and lie one after the other."""
        return flat.unflatten(0, (len(self), self.equal_length)).index_select(0, index)

    def _windows(self, index: Tensor) -> Tensor:
        """Steps of windows over one series."""
        return self._runs(self.values, self.starts[index], int(self.lengths[0]))

    @staticmethod
    def _runs(flat: Tensor, starts: Tensor, n_steps: int) -> Tensor:
        """Runs of steps, each a row of a view in which rows overlap: one block of memory each."""
        size = flat[0].numel()
        rows = flat.flatten().unfold(0, n_steps * size, size)
        return rows.index_select(0, starts).view(len(starts), n_steps, *flat.shape[1:])

    def _rows(
        self, flat: Tensor, index: Tensor, indices: NDArray[np.integer], lengths: NDArray
    ) -> Tensor:
        """Steps of sequences of different lengths, (batch, time, ...), zeros after their ends."""
        longest, starts = int(lengths.max(initial=0)), self.starts[index]
        # Those of a batch are of similar length: there is little after the end of the shortest.
        shortest = int(lengths.min(initial=longest))
        clock = torch.arange(shortest, longest, device=index.device)
        ended = clock >= torch.from_numpy(lengths).to(index.device, non_blocking=True)[:, None]
        if longest and int(self.first_steps[indices].max()) + longest <= len(flat):
            # They are read on into those after them.
            rows = self._runs(flat, starts, longest)
        else:
            steps = starts[:, None] + torch.arange(longest, device=index.device)
            steps[:, shortest:].masked_fill_(ended, 0)
            rows = flat.index_select(0, steps.flatten()).unflatten(0, steps.shape)
        if longest > shortest:
            rest = rows[:, shortest:]
            rest.masked_fill_(ended.reshape(ended.shape + (1,) * (rows.ndim - 2)), 0)
        return rows


class DealtBatches(ABC):
    """Random batches of one epoch, of which every process gets its share.

    Parameters
    ----------
    dataset : SequenceDataset, or another with ``batch``, ``batches`` and ``uncounted``
        What to draw from.

    batch_size : int
        Samples per batch; the last one may be smaller.

    random_state : numpy.random.RandomState
        Decides the order. Its state moves on with every epoch.

    budget : object with an attribute ``exhausted``, or None
        Ends an epoch early, but not before its first batch, once the time is used up.

    processes : Alone or None, default=None
        Those that share each batch. None is this one only.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        random_state: np.random.RandomState,
        budget: Any = None,
        processes: Alone | None = None,
    ) -> None:
        self.processes = Alone() if processes is None else processes
        self.budget = budget
        self.dataset = dataset
        self.batch_size = batch_size
        self.random_state = random_state

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        plan = self.plan()
        # Processes count the rows of the batch that was dealt out last: nothing is built ahead.
        shared = self.processes.size > 1
        for batch in map(self._share, plan) if shared else self.dataset.batches(plan):
            yield batch
            if self.budget is not None and self.budget.exhausted:
                return

    @abstractmethod
    def plan(self) -> list[NDArray[np.int64]]:
        """Draw the index arrays of one epoch."""

    def lengths_of(self, indices: NDArray) -> NDArray | None:
        """Steps of the samples at `indices`; None where all have the same number."""
        return None

    def _share(self, indices: NDArray) -> Batch:
        own = self.processes.share(indices, self.lengths_of(indices))
        return self.dataset.batch(own) if len(own) else self.dataset.uncounted(indices[:1])


class TrainBatches(DealtBatches):
    """Every sample once per epoch, in random batches of similar length.

    Samples are shuffled, roughly sorted by length inside large groups, cut into batches, and the
    batches are shuffled again. Data of equal length is simply shuffled.
    """

    def lengths_of(self, indices: NDArray) -> NDArray | None:
        """Steps of the samples at `indices`."""
        return self.dataset.lengths[indices]

    def plan(self) -> list[NDArray[np.int64]]:
        """Draw the index arrays of one epoch."""
        order = self.random_state.permutation(len(self.dataset))
        if self.dataset.equal_length is not None:
            return _dealt(order, self.batch_size)
        lengths = self.dataset.lengths
        rough = lengths * self.random_state.uniform(1, 1 + LENGTH_JITTER, size=len(lengths))
        batches = []
        for group in _cut(order, self.batch_size * BUCKET_BATCHES):
            group = group[np.argsort(rough[group], kind="stable")]
            for indices in _dealt(group, self.batch_size):
                batches.extend(split_outliers(indices, lengths))
        return [batches[i] for i in self.random_state.permutation(len(batches))]


class OrderedBatches:
    """All samples once, the long ones first, always in the same order.

    Parameters
    ----------
    dataset : SequenceDataset
        What to read.

    batch_size : int
        Samples per batch.

    most_steps : int or None, default=None
        Upper bound on rows x steps of a batch. None is `MAX_INFERENCE_STEPS`.
    """

    def __init__(
        self, dataset: SequenceDataset, batch_size: int, most_steps: int | None = None
    ) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.most_steps = MAX_INFERENCE_STEPS if most_steps is None else most_steps

    def __iter__(self) -> Iterator[Batch]:
        yield from self.dataset.batches(self.plan())

    def rows_of(self, longest: int) -> int:
        """Rows of a full batch whose longest sequence has so many steps."""
        rows = self.batch_size
        while rows > 1 and rows * longest > self.most_steps:
            rows //= 2
        return rows

    def plan(self) -> list[NDArray[np.int64]]:
        """List the index arrays, bounded in rows x steps."""
        lengths = self.dataset.lengths
        order = np.argsort(lengths, kind="stable")
        batches: list[NDArray[np.int64]] = []
        start = 0
        while start < len(order):
            rows = self.batch_size
            while rows > self.rows_of(int(lengths[order[start : start + rows][-1]])):
                rows //= 2
            part = order[start : start + rows]
            whole = self.dataset.equal_length is not None
            batches.extend([part] if whole else split_outliers(part, lengths))
            start += rows
        # What the longest batch needs of memory is there for all others.
        return batches[::-1]


def split_outliers(indices: NDArray, lengths: NDArray) -> list[NDArray]:
    """Cut a batch whose padding outweighs its steps into a short and a long part.

    The order is kept inside each part. Batches without extreme lengths come back whole.
    """
    here = lengths[indices]
    longest = int(here.max(initial=0))
    if longest * len(here) <= MAX_PADDING_RATIO * max(int(here.sum()), 1):
        return [indices]
    long = here > longest // 2
    return [*split_outliers(indices[~long], lengths), indices[long]]


def largest_batch(lengths: NDArray, batch_size: int) -> tuple[int, int]:
    """Rows and padded steps of the largest batch that there may be."""
    if len(lengths) > batch_size:
        lengths = np.partition(lengths, len(lengths) - batch_size)[-batch_size:]
    parts = split_outliers(np.arange(len(lengths)), lengths)
    shapes = [(len(part), int(lengths[part].max(initial=0))) for part in parts]
    return max(shapes, key=lambda shape: shape[0] * shape[1], default=(0, 0))


def _cut(indices: NDArray, size: int) -> list[NDArray]:
    return [indices[i : i + size] for i in range(0, len(indices), size)]


def _dealt(indices: NDArray, size: int) -> list[NDArray]:
    """Cut into as many parts as `_cut` does, but of the same size, give or take one.

    A last batch of two or three samples would move the weights as far as the others do.
    """
    return np.array_split(indices, max(-(-len(indices) // size), 1))


def _as_tensor(array: NDArray, dtype: torch.dtype, device: Any) -> Tensor:
    """Tensor on the device; shares memory with `array` on the CPU, which is only read."""
    array = np.ascontiguousarray(array)
    if array.flags.writeable:
        return torch.from_numpy(array).to(device=device, dtype=dtype)
    # Filters of warnings belong to the process: what threads read from a file is writable.
    with warnings.catch_warnings():
        # Read-only arrays (memory maps, pandas 3) are fine: nothing here ever writes.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array).to(device=device, dtype=dtype)


def _target_tensor(target: NDArray, dtype: torch.dtype, device: Any) -> Tensor:
    if target.dtype.kind in "iu":
        return _as_tensor(target, torch.int64, device)
    return _as_tensor(target, dtype, device)
