"""Dataset: windows of a panel, cut by index from flat buffers, never copied before their batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from skrnn._training import Batch, DealtBatches, home_of, one_ahead, sent, with_index


@dataclass(frozen=True)
class Buffers:
    """All series of a panel one after the other, with what belongs to them.

    Parameters
    ----------
    values : ndarray of shape (total_steps, n_columns)
        The series in float64; NaN where one is missing.

    offsets : ndarray of shape (n_series + 1,)
        Series ``i`` holds the steps from ``offsets[i]`` to ``offsets[i + 1]``.

    least : ndarray of shape (n_series, n_columns)
        Least scale of the windows of each series.

    covariates : dict
        ``"past"`` and ``"future"`` of shape (total_steps, n_features), ``"static"`` of shape
        (n_series, n_features); those that exist.
    """

    values: NDArray[np.float64]
    offsets: NDArray[np.int64]
    least: NDArray[np.float64]
    covariates: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def n_columns(self) -> int:
        """Number of series at each time."""
        return self.values.shape[1]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Steps of each series."""
        return np.diff(self.offsets)


@dataclass(frozen=True)
class Origins:
    """Which windows there are: for each series the origins from `first` up to, not with, `stop`.

    The origin is the first step of the future, counted from the start of its series. Windows are
    numbered by series, then origin, then column.
    """

    first: NDArray[np.int64]
    stop: NDArray[np.int64]
    n_columns: int

    @property
    def counts(self) -> NDArray[np.int64]:
        """Origins of each series."""
        return np.maximum(self.stop - self.first, 0)

    def __len__(self) -> int:
        return int(self.counts.sum()) * self.n_columns

    def at(self, number: NDArray[np.integer]) -> tuple[NDArray, NDArray, NDArray]:
        """Series, origin and column of windows given by number."""
        ends = np.cumsum(self.counts)
        row, column = np.divmod(number, self.n_columns)
        series = np.searchsorted(ends, row, side="right")
        return series, row - (ends - self.counts)[series] + self.first[series], column

    def draw(self, n: int, random_state: np.random.RandomState) -> NDArray[np.int64]:
        """Draw windows: every series with the same probability, then every origin."""
        counts = self.counts
        series = random_state.choice(np.flatnonzero(counts), n)
        row = (random_state.random_sample(n) * counts[series]).astype(np.int64)
        column = random_state.randint(self.n_columns, size=n)
        return ((np.cumsum(counts) - counts)[series] + row) * self.n_columns + column

    def spread(self, n: int) -> NDArray[np.int64]:
        """Take at most `n` windows, evenly spread over all."""
        total = len(self)
        return np.unique(np.linspace(0, total - 1, min(n, total)).round().astype(np.int64))


class WindowDataset(Dataset):
    """Windows on one device, given by number.

    Parameters
    ----------
    buffers : Buffers
        The series.

    numbers : ndarray or None
        The windows there are, in order; None for all of `origins`.

    origins : Origins
        What the numbers mean.

    window_length, horizon : int
        Steps of the past and of the future.

    visible : ndarray of shape (n_series,) or None
        Leading steps of each series that may be seen; None for all.

    epoch_size : int or None
        Most windows of an epoch of training; None for no limit.

    device : torch.device or str
        Where batches are wanted. The whole panel is kept there, unless it is too much for a GPU:
        then batches are built on the CPU and sent.

    dtype : torch.dtype
        Type of the covariates.
    """

    def __init__(
        self,
        buffers: Buffers,
        origins: Origins,
        window_length: int,
        horizon: int,
        *,
        numbers: NDArray | None = None,
        visible: NDArray | None = None,
        epoch_size: int | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.origins = origins
        self.numbers = numbers
        self.epoch_size = epoch_size
        self.device = with_index(torch.device(device))
        n_bytes = buffers.values.nbytes + sum(x.nbytes for x in buffers.covariates.values())
        home = self.home = home_of(self.device, n_bytes)
        precise = _precise(self.device)
        self.n_columns = buffers.n_columns
        self.values = torch.as_tensor(buffers.values, dtype=precise, device=home).flatten()
        self.least = torch.as_tensor(buffers.least, dtype=precise, device=home)
        self.start = torch.as_tensor(buffers.offsets[:-1], device=home)
        visible = buffers.lengths if visible is None else visible
        self.end = self.start + torch.as_tensor(visible, device=home)
        self.covariates = {
            name: torch.as_tensor(values, dtype=dtype, device=home)
            for name, values in buffers.covariates.items()
        }
        self.past = torch.arange(-window_length, 0, device=home)
        self.future = torch.arange(horizon, device=home)

    def __len__(self) -> int:
        """Windows of one epoch."""
        total = len(self.origins) if self.numbers is None else len(self.numbers)
        return total if self.epoch_size is None else min(total, self.epoch_size)

    def batch(self, numbers: NDArray[np.integer]) -> Batch:
        """Inputs of the network and the truth for windows given by number.

        Returns
        -------
        inputs : dict
            The arguments of :meth:`skrnn.nn.ForecastNetwork.forward`.

        target : Tensor of shape (batch, horizon)
            NaN beyond the end of a series and where a value is missing.
        """
        series, origin, column = (
            torch.from_numpy(np.asarray(part, dtype=np.int64)).to(self.home, non_blocking=True)
            for part in self.origins.at(numbers)
        )
        bounds = self.start[series].unsqueeze(1), self.end[series].unsqueeze(1)
        origin = origin.unsqueeze(1) + bounds[0]
        past, future = origin + self.past, origin + self.future
        inputs = {
            "past": self._values(past, column, bounds),
            "least": self.least[series, column],
        }
        for name, steps in (("past", past), ("future", future)):
            if name in self.covariates:
                inputs[f"{name}_covariates"] = self._rows(self.covariates[name], steps, bounds)
        if "static" in self.covariates:
            inputs["static_covariates"] = self._static(series, column)
        batch = inputs, self._values(future, column, bounds)
        return batch if self.home == self.device else sent(batch, self.device)

    def batches(self, plan: Iterable[NDArray]) -> Iterator[Batch]:
        """Batches of windows given by number; those that have to be sent are built ahead."""
        if self.home == self.device:
            return map(self.batch, plan)
        return one_ahead(self.batch, plan, self.device)

    def uncounted(self, numbers: NDArray[np.integer]) -> Batch:
        """Give a batch whose windows count nothing, for a process that has none to compute."""
        inputs, target = self.batch(numbers)
        return inputs, target.fill_(torch.nan)

    def _values(self, steps: Tensor, column: Tensor, bounds: tuple[Tensor, Tensor]) -> Tensor:
        index = _inside(steps, bounds) * self.n_columns + column.unsqueeze(1)
        values = self.values.index_select(0, index.flatten()).view(steps.shape)
        return values.masked_fill_((steps < bounds[0]) | (steps >= bounds[1]), torch.nan)

    @staticmethod
    def _rows(flat: Tensor, steps: Tensor, bounds: tuple[Tensor, Tensor]) -> Tensor:
        rows = flat.index_select(0, _inside(steps, bounds).flatten()).unflatten(0, steps.shape)
        outside = (steps < bounds[0]) | (steps >= bounds[1])
        return rows.masked_fill_(outside.unsqueeze(2), 0.0)

    def _static(self, series: Tensor, column: Tensor) -> Tensor:
        static = self.covariates["static"][series]
        if self.n_columns > 1:
            # Which column a window is of is a category of its own; code 0 is an unknown one.
            static = torch.cat([static, (column + 1).to(static).unsqueeze(1)], dim=1)
        return static


class ArrayWindows:
    """Windows that are given as arrays.

    Parameters
    ----------
    arguments : mapping of str to ndarray
        Those of :meth:`skrnn.nn.ForecastNetwork.forward`, a row for each window.

    horizon : int
        Steps of the future, of which the truth is not known.

    device : torch.device or str
        Where batches are wanted.

    dtype : torch.dtype
        Type of the covariates.
    """

    def __init__(
        self,
        arguments: Mapping[str, NDArray],
        horizon: int,
        device: torch.device | str,
        dtype: torch.dtype,
    ) -> None:
        device = torch.device(device)
        self.horizon = horizon
        self.inputs = {
            name: torch.as_tensor(
                np.ascontiguousarray(values),
                dtype=_precise(device) if name in ("past", "least") else dtype,
                device=device,
            )
            for name, values in arguments.items()
        }

    def batch(self, numbers: NDArray[np.integer]) -> Batch:
        """Inputs of the network and the truth, as of :class:`WindowDataset`."""
        past = self.inputs["past"]
        rows = torch.from_numpy(np.asarray(numbers, dtype=np.int64)).to(past.device)
        inputs = {name: values.index_select(0, rows) for name, values in self.inputs.items()}
        return inputs, past.new_full((len(rows), self.horizon), torch.nan)


class TrainWindows(DealtBatches):
    """Random batches of one epoch.

    Where the epoch has room for all windows each comes once, in random order. Else windows are
    drawn anew in every epoch: each series with the same probability, however long it is, then each
    of its windows.
    """

    def plan(self) -> list[NDArray[np.int64]]:
        """Draw the windows of one epoch."""
        if len(self.dataset) == len(self.dataset.origins):
            order = self.random_state.permutation(len(self.dataset))
        else:
            order = self.dataset.origins.draw(len(self.dataset), self.random_state)
        return np.array_split(order, len(self))


class OrderedWindows:
    """All windows of a dataset once, in order; a sample where an epoch has no room for all.

    Parameters
    ----------
    dataset : WindowDataset
        What to read.

    batch_size : int
        Windows per batch.
    """

    def __init__(self, dataset: WindowDataset, batch_size: int) -> None:
        self.dataset = dataset
        self.batch_size = batch_size

    def __iter__(self) -> Iterator[Batch]:
        numbers = self.dataset.numbers
        if numbers is None:
            numbers = self.dataset.origins.spread(len(self.dataset))
        starts = range(0, len(numbers), self.batch_size)
        yield from self.dataset.batches(numbers[i : i + self.batch_size] for i in starts)


def _precise(device: torch.device) -> torch.dtype:
    """Levels are taken off in double precision, where the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64


def _inside(steps: Tensor, bounds: tuple[Tensor, Tensor]) -> Tensor:
    return torch.minimum(torch.maximum(steps, bounds[0]), bounds[1] - 1)
