"""Truncated backpropagation: long sequences are trained on in chunks that hand on the state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from skrnn._training._augmentation import AugmentedBatches
from skrnn._training._batches import TrainBatches
from skrnn._training._placement import Batch
from skrnn._training._randomness import own_randomness
from skrnn.nn import EncoderState, generator_of_thread


class Chunk(dict[str, Tensor]):
    """Inputs of some steps in a row of all sequences of a batch, as in the batch.

    Attributes
    ----------
    before : tuple or None
        State of the encoder after the steps before; None at the start of the sequences.

    after : tuple or None
        State after these steps, without a graph; set by :func:`advance`.

    n_samples : float
        Share of these steps in the work on the batch, in sequences.
    """

    before: EncoderState | None = None
    after: EncoderState | None = None
    n_samples: float = 0.0


def cut(inputs: dict[str, Tensor], n_steps: int) -> Iterator[tuple[slice, Chunk]]:
    """Cut the inputs of a batch into chunks; the state goes from each to the next.

    Yields
    ------
    part : slice
        The steps of the chunk.

    chunk : Chunk
        Its inputs. Whoever takes it calls :func:`advance` before the next one.
    """
    time, state = inputs["x"].shape[1], None
    for start in range(0, time, n_steps):
        part = slice(start, min(start + n_steps, time))
        chunk = Chunk(x=inputs["x"][:, part])
        if "lengths" in inputs:
            chunk["lengths"] = (inputs["lengths"] - start).clamp(0, part.stop - start)
        if inputs.get("weight") is not None and inputs["weight"].ndim > 1:
            chunk["weight"] = inputs["weight"][:, part]
        chunk.before = state
        yield part, chunk
        state = chunk.after


def advance(net: Any, chunk: Chunk) -> Tensor:
    """Output of the encoder for a chunk, whose state afterwards is kept without its graph."""
    x = chunk["x"].to(net.device, non_blocking=True)
    output, after = net.module_.advance(x, chunk.before, chunk.get("lengths"))
    chunk.after = without_graph(after)
    return output


def answer(net: Any, chunk: Chunk) -> Tensor:
    """Raw values of the head for every step of a chunk."""
    output: Tensor = net.module_.readout(advance(net, chunk), chunk.get("lengths"))
    return output


def without_graph(state: Any) -> Any:
    """The same state, through which no gradient flows."""
    if isinstance(state, Tensor):
        return state.detach()
    if not isinstance(state, tuple):
        return state
    parts = [without_graph(part) for part in state]
    return type(state)(*parts) if hasattr(state, "_fields") else tuple(parts)


def is_finite(state: Any) -> bool:
    """Whether all numbers of a state are finite."""
    if isinstance(state, tuple):
        return all(is_finite(part) for part in state)
    return not isinstance(state, Tensor) or bool(state.isfinite().all())


class ChunkBatches:
    """Random batches of sequences with an answer per step, each cut into chunks.

    Every chunk is a batch of its own to the net, which makes one step of the optimizer with it.
    Chunks in which no step has a weight are only read, for the state of the next one.

    Parameters
    ----------
    batches : TrainBatches or AugmentedBatches
        Whole batches.

    net : SequenceNetMixin
        Knows the length of a chunk, reads those without weight and trains on the others.
    """

    def __init__(self, batches: TrainBatches | AugmentedBatches, net: Any) -> None:
        self.batches = batches
        self.net = net

    def __iter__(self) -> Iterator[Batch]:
        budget = self.batches.budget
        for inputs, target in self.batches:
            if inputs["x"].shape[1] <= self.net.tbptt_steps:
                yield inputs, target
                continue
            for batch in self._chunks(inputs, target):
                yield batch
                if budget is not None and budget.exhausted:
                    return

    def _chunks(self, inputs: dict[str, Tensor], target: Tensor) -> Iterator[Batch]:
        rows, time = inputs["x"].shape[:2]
        n_steps = self.net.tbptt_steps
        counts = _counts(inputs, n_steps)
        n_left, counted_to = sum(counts), 0
        for (part, chunk), counted in zip(cut(inputs, n_steps), counts, strict=True):
            if n_left == 0:
                return
            if not counted:
                self.net.read_on(chunk)
                continue
            n_left -= 1
            end = part.stop if n_left else time
            chunk.n_samples = rows * (end - counted_to) / time
            counted_to = end
            yield chunk, target[:, part]
            if self.net.guard_.bad_steps and not is_finite(chunk.after):
                # The step was skipped, and those of the other chunks would have to be.
                return


def _counts(inputs: dict[str, Tensor], n_steps: int) -> list[bool]:
    """Whether a step of each chunk has a weight."""
    time = inputs["x"].shape[1]
    if "weight" not in inputs:
        return [True] * -(-time // n_steps)
    weighted = (inputs["weight"] > 0).any(dim=0).cpu()
    return [bool(part.any()) for part in weighted.split(n_steps)]


def backward_in_chunks(
    net: Any, inputs: dict[str, Tensor], target: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of the loss of whole sequences, with the memory of one chunk.

    The encoder runs twice: without gradients for its output, from which the loss and the gradient
    of that output come; then chunk by chunk, each sending its part of that gradient back to its
    start. Both runs draw the same dropout.

    Parameters
    ----------
    net : SequenceNetMixin
        Knows the network, the loss, the precision and the length of a chunk.

    inputs : dict
        Inputs of a batch.

    target : Tensor of shape (batch, ...)
        Its targets.

    Returns
    -------
    loss : Tensor
        Loss of the batch.

    raw : Tensor of shape (batch, raw_size)
        Raw values of the head.
    """
    device = torch.device(net.device)
    seed = int(torch.randint(2**31, (), generator=generator_of_thread()))
    with own_randomness(seed, device), torch.no_grad():
        output: Any = _read_all(net, inputs)
    output.requires_grad_()
    raw = net.in_precision(net.module_.readout, output, inputs.get("lengths"))
    loss = net.get_loss(raw, target, X=inputs, training=True)
    net.backward(loss)
    with own_randomness(seed, device):
        for part, chunk in cut(inputs, net.tbptt_steps):
            _send_back(net, chunk, output.grad[:, part])
    return loss, raw


def _read_all(net: Any, inputs: dict[str, Tensor]) -> Tensor:
    """Output of the encoder for all steps of a batch."""
    rows, time = inputs["x"].shape[:2]
    whole = torch.empty(0)
    for part, chunk in cut(inputs, net.tbptt_steps):
        output = net.in_precision(advance, net, chunk)
        if part.start == 0:
            whole = output.new_empty(rows, time, output.shape[2])
        whole[:, part] = output
    return whole


def _send_back(net: Any, chunk: Chunk, gradient: Tensor) -> None:
    """Add what a chunk gives to the gradients of the weights."""
    # Many steps get no gradient at all where the pooling takes the last one.
    with torch.set_grad_enabled(bool(gradient.any())):
        output = net.in_precision(advance, net, chunk)
    if output.requires_grad:
        output.backward(gradient)
