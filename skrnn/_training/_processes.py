"""Processes: one training shared by several of them, each with its share of every batch."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

# Numbers that each process may give in a comparison.
SLOTS = 256
# Sums of this many blocks of an array are compared, so that another order shows as well.
BLOCKS = 8
# Sums are compared as shares of the sum of absolute values: processors round differently.
TOLERANCE = 1e-7
# Text is compared by checksums below this, which stay exact in any arithmetic.
CHECKSUMS = 2**20
# Parameters that may differ: the first process decides, or it does not matter.
FREE = frozenset({"accelerator", "device", "n_jobs", "n_threads", "random_state", "verbose"})


class OtherProcessFailed(RuntimeError):
    """Raised in a process whose training cannot go on because another one failed."""

    def __init__(self) -> None:
        super().__init__(
            "another process ended its training with an error, which is printed there; the "
            "training of all processes has ended."
        )


class Alone:
    """The only process of its training: nothing to deal out, to sum or to agree on."""

    rank, size, local_size = 0, 1, 1

    @contextmanager
    def together(self) -> Iterator[None]:
        """Fail in every process when one fails in the block."""
        yield

    def compare(self, params: Mapping[str, Any], arrays: Mapping[str, NDArray | None]) -> None:
        """Refuse parameters and data that differ between processes."""

    def agreed(self, value: float) -> float:
        """Take the value of the first process."""
        return value

    def anyone(self, wish: bool) -> bool:
        """Whether any process wishes for something."""
        return wish

    def begin(self, module: nn.Module) -> None:
        """Start a training with the weights of the first process."""

    def end(self) -> None:
        """Leave a training that all processes leave."""

    def share(
        self, indices: NDArray[np.int64], lengths: NDArray | None = None
    ) -> NDArray[np.int64]:
        """Samples of a batch that this process computes; there may be none."""
        return indices

    def n_rows(self, batch: Any) -> int:
        """Count the samples of the whole batch, of which `batch` is the share."""
        return len(batch[1])

    def sum_step(
        self, parameters: list[Tensor], loss: Tensor, weight: float | Tensor, seconds: float
    ) -> tuple[Tensor, float | Tensor, float]:
        """Make loss and gradients of a share those of the whole batch.

        Parameters
        ----------
        parameters : list of Tensor
            Their gradients are replaced.

        loss : Tensor
            Mean over the share.

        weight : float or Tensor
            What the share counts in the mean over the batch.

        seconds : float
            Time since the training began.

        Returns
        -------
        loss, weight, seconds : tuple
            Mean over the batch, what it counts, and the time of the first process.
        """
        return loss, weight, seconds


class Processes(Alone):
    """Several processes with the same data, which train one network.

    Every process draws the same batches, computes its share of their rows and takes the same step
    with the sum of all gradients. The gradients travel in one flat tensor: recurrent networks are
    small, so that a wrapper which overlaps the messages of many tensors with the backward pass, as
    DistributedDataParallel does, would send more messages and gain nothing. It would also weigh
    every process alike, whereas shares differ in what they count.

    All messages that may meet have the same size, and their first number says whether the sender
    has failed. A process that fails can therefore tell the others whatever they are waiting for,
    and nobody waits for a message that never comes.

    Parameters
    ----------
    accelerator : accelerate.Accelerator, or any object with the same attributes
        ``process_index``, ``num_processes``, ``device`` and ``reduce`` are used.
    """

    def __init__(self, accelerator: Any) -> None:
        self.accelerator = accelerator
        self.rank: int = accelerator.process_index
        self.size: int = accelerator.num_processes
        # torchrun says how many there are on this machine; else they are taken to be all here.
        self.local_size = int(os.environ.get("LOCAL_WORLD_SIZE", self.size))
        self._rows = 0
        self.end()

    def __reduce__(self) -> tuple[type, tuple]:
        # A copy, here or in a file, belongs to no group of processes.
        return Alone, ()

    # -- messages -----------------------------------------------------------------------------

    def _sum(self, numbers: Tensor, failed: bool = False) -> Tensor:
        """Sum numbers over all processes."""
        message = torch.zeros(self._width, dtype=self._dtype, device=self.accelerator.device)
        message[0] = failed
        message[1 : len(numbers) + 1] = numbers
        total = self.accelerator.reduce(message, reduction="sum")
        if total[0] > 0 and not failed:
            raise OtherProcessFailed
        return total[1 : len(numbers) + 1]

    def _numbers(self, values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=self._dtype, device=self.accelerator.device)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Fail in every process when one fails in the block."""
        try:
            yield
            self._sum(self._numbers([]))
        except OtherProcessFailed:
            raise
        except (Exception, KeyboardInterrupt):
            with suppress(Exception):
                self._sum(self._numbers([]), failed=True)
            raise
        finally:
            self.end()

    def agreed(self, value: float) -> float:
        """Take the value of the first process."""
        return float(self._sum(self._numbers([value if self.rank == 0 else 0.0])))

    def anyone(self, wish: bool) -> bool:
        """Whether any process wishes for something."""
        return bool(self._sum(self._numbers([float(wish)])) > 0)

    # -- before the training ------------------------------------------------------------------

    def compare(self, params: Mapping[str, Any], arrays: Mapping[str, NDArray | None]) -> None:
        """Refuse parameters and data that differ between processes.

        Raises
        ------
        ValueError
            In every process, with the name of the first difference.
        """
        same = {k: [_checksum(v)] for k, v in params.items() if k not in FREE}
        same |= {name: fingerprint(array) for name, array in arrays.items()}
        names = [name for name, numbers in same.items() for _ in numbers]
        table = torch.zeros(self.size, SLOTS, dtype=self._dtype, device=self.accelerator.device)
        table[self.rank, : len(names)] = self._numbers([n for part in same.values() for n in part])
        table = self._sum(table.flatten()).view(self.size, SLOTS)
        differing = ((table - table[0]).abs() > TOLERANCE).nonzero()
        if len(differing):
            rank, slot = differing[0].tolist()
            name, counts = names[slot], [int(table[i, slot]) for i in (0, rank)]
            if name in params:
                what = f"the parameter {name} does not have the same value in process 0 and"
            elif slot == names.index(name) and counts[0] != counts[1]:
                what = f"{name} has {counts[0]} values in process 0 and {counts[1]}"
            else:
                what = f"{name} does not have the same values in process 0 and"
            raise ValueError(
                f"{what} in process {rank}. Every process needs the same parameters and all of the "
                "data, in the same order, also of a validation_split: the rows of each batch are "
                "dealt out among the processes."
            )

    def begin(self, module: nn.Module) -> None:
        """Start a training with the weights of the first process.

        Raises
        ------
        ValueError
            If the network has batch normalisation.
        """
        if any(is_norm(part) and not is_frozen_norm(part) for part in module.modules()):
            raise ValueError(
                f"batch normalisation would learn other statistics in each of {self.size} "
                "processes, which share out every batch; use frontend=None or 'patch', or "
                "accelerator=None."
            )
        # From here on messages have another size, so all processes have to be here.
        self._sum(self._numbers([]))
        weights = [t for t in module.state_dict().values() if t.is_floating_point()]
        sizes = [t.numel() for t in weights]
        # A step sends the flag, all gradients, three numbers and which gradients there are.
        self._width = 4 + sum(sizes) + len(list(module.parameters()))
        self._dtype = weights[0].dtype
        flat = torch.cat([t.flatten().to(self._dtype) for t in weights])
        flat = self._sum(flat if self.rank == 0 else torch.zeros_like(flat))
        for tensor, part in zip(weights, flat.split(sizes), strict=True):
            tensor.copy_(part.view_as(tensor))

    def end(self) -> None:
        """Leave a training that all processes leave."""
        self._width, self._dtype = 1 + self.size * SLOTS, torch.float64

    # -- in every step ------------------------------------------------------------------------

    def share(
        self, indices: NDArray[np.int64], lengths: NDArray | None = None
    ) -> NDArray[np.int64]:
        """Samples of a batch that this process computes; there may be none.

        Longer samples are dealt out first, back and forth, so that all shares take about as long.
        """
        self._rows = len(indices)
        if lengths is not None:
            indices = indices[np.argsort(-lengths, kind="stable")]
        turn, place = np.divmod(np.arange(len(indices)), self.size)
        owner = np.where(turn % 2, self.size - 1 - place, place)
        return indices[owner == self.rank]

    def n_rows(self, batch: Any) -> int:
        """Count the samples of the whole batch, of which `batch` is the share."""
        return self._rows

    def sum_step(
        self, parameters: list[Tensor], loss: Tensor, weight: float | Tensor, seconds: float
    ) -> tuple[Tensor, float | Tensor, float]:
        """Make loss and gradients of a share those of the whole batch, see :class:`Alone`."""
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        numbers = [float(weight), seconds if self.rank == 0 else 0.0]
        numbers += [float(p.grad is not None) for p in parameters]
        flat = torch.cat([*(g.flatten() for g in gradients), loss.detach().reshape(1)])
        summed = self._sum(torch.cat([(flat * numbers[0]).to(self._dtype), self._numbers(numbers)]))
        flat, (total, seconds, *present) = summed[: len(flat)], summed[len(flat) :].tolist()
        flat = flat / max(total, torch.finfo(flat.dtype).tiny)
        parts = flat[:-1].split([p.numel() for p in parameters])
        for parameter, part, exists in zip(parameters, parts, present, strict=True):
            parameter.grad = part.view_as(parameter).to(parameter) if exists else None
        return flat[-1], total, seconds


def is_norm(part: nn.Module) -> bool:
    """Whether a module is batch normalisation, which learns statistics of batches."""
    return isinstance(part, nn.modules.batchnorm._BatchNorm)


def is_frozen_norm(part: nn.Module) -> bool:
    """Whether a module is batch normalisation that learns nothing, statistics included."""
    parameters = list(part.parameters(recurse=False))
    return is_norm(part) and bool(parameters) and not any(p.requires_grad for p in parameters)


def processes_of(accelerator: Any) -> Alone:
    """Processes of an accelerator; none but this one without an accelerator."""
    # What is no accelerator at all is refused with the other parameters.
    if getattr(accelerator, "num_processes", 1) == 1:
        return Alone()
    return _processes_of(accelerator)


# One object per accelerator: all parts of a fit have to know the size of its messages.
_processes_of = lru_cache(maxsize=8)(Processes)


def fingerprint(values: NDArray | None) -> list[float]:
    """Numbers that differ where arrays do: how many values there are, their size, sums of blocks.

    Parameters
    ----------
    values : ndarray or None
        Numbers, of which those that are missing are only counted, or text.

    Returns
    -------
    numbers : list of float
        Of the same length for every array.
    """
    blocks = [] if values is None else np.array_split(values, BLOCKS)
    if values is not None and values.dtype.kind not in "biuf":
        texts = [_checksum(" ".join(map(str, block.ravel()))) for block in blocks]
        return [float(values.size), 0.0, *texts]
    known = [block[np.isfinite(block)] for block in blocks]
    total = float(sum(np.abs(block).sum(dtype=np.float64) for block in known))
    sums = [float(block.sum(dtype=np.float64)) / (total or 1.0) for block in known]
    count = float(sum(len(block) for block in known))
    return [count, float(np.log(total or 1.0)), *(sums or [0.0] * BLOCKS)]


def _checksum(value: Any) -> float:
    """Checksum of a plain value; 0 for others, whose text may name a place in memory."""
    return float(zlib.crc32(repr(value).encode()) % CHECKSUMS) if _is_plain(value) else 0.0


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(_is_plain(item) for item in value)
    if isinstance(value, dict):
        return all(_is_plain(item) for item in value.values())
    return value is None or isinstance(value, bool | int | float | str)
