"""Moving averages whose weights come from the input: what the minimal cells compute."""

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, logsigmoid

from skrnn.nn.eager import blocks, differentiable_gradients, is_batched, is_plain
from skrnn.nn.scans import linear_scan

__all__ = ["moving_average", "moving_average_by_scan"]

#: Below this sum of two sigmoids, their ratio is no longer exact in float32.
LEAST_SUM = 1e-30


def moving_average(
    x: Tensor, initial: Tensor | None, weight: Tensor, bias: Tensor, n_parts: int
) -> Tensor:
    """Move from step to step a share `u` of the way to a candidate: `h += u * (c - h)`.

    Parameters
    ----------
    x : Tensor of shape (batch, time, features)
        The input.

    initial : Tensor of shape (batch, size) or None
        The value before the first step; None is zero.

    weight, bias : Tensor of shape (n_parts * size, features) and (n_parts * size,)
        What makes the parts of the input. The last is `c`. With two parts `u` is the sigmoid of
        the first; with three, forget and input gate, it is the input gate's share in their sum.

    n_parts : int
        2 or 3.

    Returns
    -------
    Tensor of shape (batch, time, size)
        The value at every step.
    """
    inputs = (x, initial, weight, bias)
    fits = x.ndim == 3 and x.numel() > 0
    if initial is not None:
        fits = fits and initial.shape == (x.shape[0], len(bias) // n_parts)
    # What does not fit gets its error, and an empty batch its shape, from the scan.
    if not fits or not is_plain(*inputs):
        return moving_average_by_scan(*inputs, n_parts)
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in inputs):
        output: Tensor = _Average.apply(*inputs, n_parts)
        return output
    return _forward(x, initial, weight, bias, n_parts, keep=False)[0][1:].transpose(0, 1)


def moving_average_by_scan(
    x: Tensor, initial: Tensor | None, weight: Tensor, bias: Tensor, n_parts: int
) -> Tensor:
    """Compute the same with operations that run anywhere."""
    *gates, candidate = linear(x, weight, bias).chunk(n_parts, dim=2)
    # A share near 1 has too few digits in half precision.
    wide = [g.float() if g.dtype.itemsize < 4 else g for g in gates]
    log_odds = -wide[0] if n_parts == 2 else logsigmoid(wide[0]) - logsigmoid(wide[1])
    scanned = linear_scan(log_odds.sigmoid(), (-log_odds).sigmoid() * candidate, initial)
    return scanned.to(x.dtype)


class _Average(torch.autograd.Function):
    """The moving average and its derivatives, in time-major buffers."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        x, initial, weight, bias, ctx.n_parts = inputs
        hidden, update, gates = _forward(x, initial, weight, bias, ctx.n_parts, keep=True)
        ctx.save_for_backward(x, initial, weight, bias, hidden, update, gates)
        return hidden[1:].transpose(0, 1)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        x, initial, weight, bias, hidden, update, gates = ctx.saved_tensors
        if torch.is_grad_enabled() or is_batched(*grads):
            function = partial(moving_average_by_scan, n_parts=ctx.n_parts)
            return *differentiable_gradients(function, (x, initial, weight, bias), grads), None
        pass_ = _Backward(x, weight, hidden, update, gates)
        return *pass_.run(grads[0], ctx.needs_input_grad), None


def _forward(
    x: Tensor, initial: Tensor | None, weight: Tensor, bias: Tensor, n_parts: int, keep: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Compute the values, the initial one first, and what the backward pass reads.

    These are the shares and, with three parts, the gates they come from. They span all steps if
    `keep`, else only one block.
    """
    batch, time, _ = x.shape
    size = len(bias) // n_parts
    steps = blocks(time, batch * size)
    inputs = x.transpose(0, 1).contiguous()
    parts = x.new_empty(n_parts, steps[0].stop, batch, size)
    n_kept = time if keep else steps[0].stop
    update = x.new_empty(n_kept, batch, size)
    gates = x.new_empty(2, n_kept, batch, size) if n_parts == 3 else None
    hidden = x.new_empty(time + 1, batch, size)
    hidden[0] = 0.0 if initial is None else initial
    for step in steps:
        n_steps = step.stop - step.start
        kept = step if keep else slice(n_steps)
        rows, block = inputs[step].flatten(0, 1), parts[:, :n_steps]
        for part, w, b in zip(block, weight.chunk(n_parts), bias.chunk(n_parts), strict=True):
            torch.addmm(b, rows, w.t(), out=part.view(-1, size))
        _share(block, update[kept], None if gates is None else gates[:, kept])
        h, *later = hidden[step.start : step.stop + 1].unbind(0)
        for c, u, after in zip(block[-1].unbind(0), update[kept].unbind(0), later, strict=True):
            h = torch.lerp(h, c, u, out=after)
    return hidden, update, gates


def _share(parts: Tensor, update: Tensor, gates: Tensor | None) -> None:
    if gates is None:
        torch.sigmoid(parts[0], out=update)
        return
    forget, write = torch.sigmoid(parts[:2], out=gates)
    torch.add(forget, write, out=update)
    if update.amin() < LEAST_SUM:
        torch.sigmoid(logsigmoid(parts[1]) - logsigmoid(parts[0]), out=update)
    else:
        torch.div(write, update, out=update)


class _Backward:
    """One backward pass, in blocks of steps that stay in the cache."""

    def __init__(
        self, x: Tensor, weight: Tensor, hidden: Tensor, update: Tensor, gates: Tensor | None
    ) -> None:
        self.inputs = x.transpose(0, 1).contiguous()
        self.hidden, self.update, self.gates = hidden, update, gates
        time, batch, size = update.shape
        n_parts = len(weight) // size
        self.weights = weight.chunk(n_parts)
        self.steps = blocks(time, batch * size)
        n_steps = self.steps[0].stop
        # The gradient of the values, that of the one before the block first.
        self.d_hidden = x.new_zeros(n_steps + 1, batch, size)
        self.d_parts = x.new_empty(n_parts, n_steps, batch, size)
        self.rest, self.one = x.new_empty(n_steps, batch, size), x.new_ones(())
        # Transposed: a product with few columns is slow.
        self.d_weights = x.new_zeros(n_parts, x.shape[2], size)
        self.d_biases = x.new_zeros(n_parts, size)

    def run(self, d_output: Tensor, needed: tuple[bool, ...]) -> tuple[Tensor | None, ...]:
        d_inputs = torch.zeros_like(self.inputs) if needed[0] else None
        for step in reversed(self.steps):
            n_steps = step.stop - step.start
            d_hidden = self.d_hidden[: n_steps + 1]
            d_hidden[1:] = d_output[:, step].transpose(0, 1)
            d_hidden[-1] += d_hidden[0]
            d_hidden[0] = 0.0
            self._walk(d_hidden, torch.sub(self.one, self.update[step], out=self.rest[:n_steps]))
            self._parts(step, d_hidden[1:], self.d_parts[:, :n_steps])
            self._collect(step, self.d_parts[:, :n_steps], d_inputs)
        return (
            None if d_inputs is None else d_inputs.transpose(0, 1),
            self.d_hidden[0] if needed[1] else None,
            self.d_weights.transpose(1, 2).flatten(0, 1),
            self.d_biases.flatten(),
        )

    @staticmethod
    def _walk(d_hidden: Tensor, rest: Tensor) -> None:
        d_states = d_hidden.unbind(0)
        for t, keep in reversed([*enumerate(rest.unbind(0))]):
            d_states[t].addcmul_(d_states[t + 1], keep)

    def _parts(self, step: slice, d_hidden: Tensor, d_parts: Tensor) -> None:
        """Fill in the gradients of the parts."""
        update, rest = self.update[step], self.rest[: len(d_hidden)]
        torch.mul(d_hidden, update, out=d_parts[-1])
        # The way to the candidate times the share is what was gone.
        after = self.hidden[step.start + 1 : step.stop + 1]
        d_odds = torch.sub(after, self.hidden[step], out=d_parts[0]).mul_(rest).mul_(d_hidden)
        if self.gates is not None:
            forget, write = self.gates[:, step]
            torch.addcmul(d_odds, d_odds, write, value=-1, out=d_parts[1])
            torch.sub(torch.mul(d_odds, forget, out=rest), d_odds, out=d_parts[0])

    def _collect(self, step: slice, d_parts: Tensor, d_inputs: Tensor | None) -> None:
        """Add what one block gives to the gradients of the weights."""
        rows = self.inputs[step].flatten(0, 1)
        self.d_biases += d_parts.sum((1, 2))
        for d_part, d_weight, weight in zip(
            d_parts.flatten(1, 2), self.d_weights, self.weights, strict=True
        ):
            d_weight.addmm_(rows.t(), d_part)
            if d_inputs is not None:
                d_inputs[step].view_as(rows).addmm_(d_part, weight)
