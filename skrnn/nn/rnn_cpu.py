"""The simple recurrent layer on the CPU: a whole sequence is one operation of autograd."""

from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from skrnn.nn.eager import Weights, blocks, differentiable_gradients, is_batched

__all__ = ["with_gradients", "without_gradients"]


def with_gradients(
    rnn: nn.RNNBase, x: Tensor, state: Tensor | None, weights: Weights
) -> tuple[Tensor, Tensor]:
    """Compute the output and the state, for a backward pass to come.

    Per step there is one matrix product and two or three operations in place, backwards one product
    and one multiplication. The rest is done for all steps, or blocks of them, at once.
    """
    output, last = _Sequence.apply(_is_relu(rnn), x, state, *weights)
    return output, last


def without_gradients(
    rnn: nn.RNNBase, x: Tensor, state: Tensor | None, weights: Weights
) -> tuple[Tensor, Tensor]:
    """Compute the output and the state."""
    hidden = _forward(_is_relu(rnn), x, state, weights)
    return hidden[1:].transpose(0, 1), hidden[-1:].clone()


def _is_relu(rnn: nn.RNNBase) -> bool:
    return getattr(rnn, "nonlinearity", "tanh") == "relu"


class _Sequence(torch.autograd.Function):
    """The recurrence and its derivatives, in time-major buffers.

    Second derivatives are those of the vendor's operation.
    """

    @staticmethod
    def forward(ctx: Any, relu: bool, x: Tensor, state: Tensor | None, *weights: Tensor) -> Any:
        hidden = _forward(relu, x, state, weights)
        ctx.set_materialize_grads(False)
        ctx.relu = relu
        ctx.save_for_backward(x, state, *weights, hidden)
        return hidden[1:].transpose(0, 1), hidden[-1:].clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        x, state, *weights, hidden = ctx.saved_tensors
        if torch.is_grad_enabled() or is_batched(*grads):
            vendor = partial(_vendor, ctx.relu)
            return None, *differentiable_gradients(vendor, (x, state, *weights), grads)
        d_hidden = _walk_back(ctx.relu, hidden, weights[1], *grads)
        rows = d_hidden[1:].flatten(0, 1)
        inputs = x.transpose(0, 1).flatten(0, 1)
        needed = ctx.needs_input_grad[1:]
        d_x = None
        if needed[0]:
            d_x = (rows @ weights[0]).unflatten(0, (x.shape[1], x.shape[0])).transpose(0, 1)
        d_bias = rows.sum(0)
        # Transposed: a product with few columns is slow.
        d_w_ih = (inputs.t() @ rows).t()
        d_w_hh = (hidden[:-1].flatten(0, 1).t() @ rows).t()
        return (
            None,
            d_x,
            d_hidden[:1] if needed[1] else None,
            d_w_ih,
            d_w_hh,
            d_bias,
            d_bias.clone(),
        )


def _vendor(relu: bool, x: Tensor, state: Tensor | None, *weights: Tensor) -> tuple[Tensor, Tensor]:
    if state is None:
        state = x.new_zeros(1, x.shape[0], weights[1].shape[1])
    function = torch.rnn_relu if relu else torch.rnn_tanh
    return function(x, state, weights, True, 1, 0.0, False, False, True)


def _forward(relu: bool, x: Tensor, state: Tensor | None, weights: tuple[Tensor, ...]) -> Tensor:
    """Hidden vectors of shape (time + 1, batch, size), the initial one first."""
    w_ih, w_hh, b_ih, b_hh = weights
    batch, time, _ = x.shape
    bias = b_ih + b_hh
    if not relu:
        # tanh(u) = 2 sigmoid(2 u) - 1, and on the CPU sigmoid takes a fifth of the time of tanh.
        w_ih, w_hh, bias = 2 * w_ih, 2 * w_hh, 2 * bias
    hidden = x.new_empty(time + 1, batch, len(bias))
    hidden[0] = 0.0 if state is None else state[0]
    inputs = x.transpose(0, 1).flatten(0, 1)
    torch.addmm(bias, inputs, w_ih.t(), out=hidden[1:].view(-1, len(bias)))
    minus_one, w_hh = x.new_full((), -1.0), w_hh.t()
    for before, h in pairwise(hidden.unbind(0)):
        h.addmm_(before, w_hh)
        if relu:
            h.relu_()
        else:
            torch.add(minus_one, h.sigmoid_(), alpha=2, out=h)
    return hidden


def _walk_back(
    relu: bool, hidden: Tensor, w_hh: Tensor, d_output: Tensor | None, d_state: Tensor | None
) -> Tensor:
    """Gradients of what goes into the nonlinearity, those of the initial state first."""
    time = len(hidden) - 1
    d_hidden = torch.zeros_like(hidden)
    if d_output is not None:
        d_hidden[1:] = d_output.transpose(0, 1)
    if d_state is not None:
        d_hidden[-1] += d_state[0]
    steps = d_hidden.unbind(0)
    for block in reversed(blocks(time, hidden[0].numel())):
        after = hidden[block.start + 1 : block.stop + 1]
        slope = (after > 0).to(after.dtype) if relu else 1 - after * after
        for t, factor in zip(reversed(range(block.start, block.stop)), slope.flip(0), strict=True):
            steps[t].addmm_(steps[t + 1].mul_(factor), w_hh)
    return d_hidden
