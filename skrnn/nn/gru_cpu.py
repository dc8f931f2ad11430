"""The GRU on the CPU: a whole sequence is one operation of autograd."""

from typing import Any

import torch
from torch import Tensor, nn

from skrnn.nn.eager import Weights, blocks, differentiable_gradients, is_batched

__all__ = ["with_gradients", "without_gradients"]


def with_gradients(
    rnn: nn.RNNBase, x: Tensor, state: Tensor | None, weights: Weights
) -> tuple[Tensor, Tensor]:
    """Compute the output and the state, for a backward pass to come.

    Per step there is one matrix product and five operations in place, backwards one product and
    two. The rest is done for blocks of steps that stay in the cache.
    """
    output, last = _Sequence.apply(x, state, *weights)
    return output, last


def without_gradients(
    rnn: nn.RNNBase, x: Tensor, state: Tensor | None, weights: Weights
) -> tuple[Tensor, Tensor]:
    """Compute the output and the state."""
    hidden, _, _ = _forward(x, state, _doubled(*weights), keep=False)
    return hidden[1:].transpose(0, 1), hidden[-1:].clone()


class _Sequence(torch.autograd.Function):
    """The recurrence and its derivatives, in time-major buffers.

    Second derivatives are those of the vendor's operation.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, state: Tensor | None, *weights: Tensor) -> Any:
        hidden, gates, new = _forward(x, state, _doubled(*weights), keep=True)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, state, *weights, hidden, gates, new)
        return hidden[1:].transpose(0, 1), hidden[-1:].clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        x, state, *weights, hidden, gates, new = ctx.saved_tensors
        if torch.is_grad_enabled() or is_batched(*grads):
            return differentiable_gradients(_vendor, (x, state, *weights), grads)
        pass_ = _Backward(x, _doubled(*weights), hidden, gates, new)
        return pass_.run(grads[0], grads[1], ctx.needs_input_grad)


def _vendor(x: Tensor, state: Tensor | None, *weights: Tensor) -> tuple[Tensor, Tensor]:
    if state is None:
        state = x.new_zeros(1, x.shape[0], weights[1].shape[1])
    return torch.gru(x, state, weights, True, 1, 0.0, False, False, True)


def _doubled(*weights: Tensor) -> Weights:
    """Weights with those of the new gate doubled.

    `tanh(u) = 2 sigmoid(2 u) - 1`, and on the CPU sigmoid takes a fifth of the time of tanh.
    """
    w_ih, w_hh, b_ih, b_hh = weights
    factor = _factor(b_ih)
    return w_ih * factor[:, None], w_hh * factor[:, None], b_ih * factor, b_hh * factor


def _factor(bias: Tensor) -> Tensor:
    factor = torch.ones_like(bias)
    factor[2 * len(bias) // 3 :] = 2.0
    return factor


def _forward(
    x: Tensor, state: Tensor | None, weights: Weights, keep: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the hidden vectors, the initial one first, and what the backward pass reads.

    `gates` holds r, z and the doubled hidden part of the new gate, `new` the new gate. They span
    all steps if `keep`, else only one block.
    """
    batch, time, _ = x.shape
    size = weights[1].shape[1]
    steps = blocks(time, batch * size)
    inputs = x.transpose(0, 1).contiguous()
    n_kept = time if keep else steps[0].stop
    gates, new = x.new_empty(n_kept, batch, 3 * size), x.new_empty(n_kept, batch, size)
    hidden = x.new_empty(time + 1, batch, size)
    hidden[0] = 0.0 if state is None else state[0]
    for step in steps:
        kept = step if keep else slice(step.stop - step.start)
        _project(inputs[step], weights, gates[kept], new[kept])
        _advance(hidden[step.start : step.stop + 1], weights[1].t(), gates[kept], new[kept])
    return hidden, gates, new


def _project(inputs: Tensor, weights: Weights, gates: Tensor, new: Tensor) -> None:
    """Fill in what does not depend on the state."""
    w_ih, _, b_ih, b_hh = weights
    size, both = new.shape[2], 2 * new.shape[2]
    rows, flat = inputs.flatten(0, 1), gates.view(-1, 3 * size)
    torch.addmm((b_ih + b_hh)[:both], rows, w_ih[:both].t(), out=flat[:, :both])
    flat[:, both:] = b_hh[both:]
    torch.addmm(b_ih[both:], rows, w_ih[both:].t(), out=new.view(-1, size))


def _advance(hidden: Tensor, w_hh: Tensor, gates: Tensor, new: Tensor) -> None:
    size = new.shape[2]
    minus_one = new.new_full((), -1.0)
    reset_update = gates[:, :, : 2 * size].unbind(0)
    reset, update, hidden_part = (part.unbind(0) for part in gates.split(size, dim=2))
    states, all_gates = hidden.unbind(0), gates.unbind(0)
    for t, n in enumerate(new.unbind(0)):
        all_gates[t].addmm_(states[t], w_hh)
        reset_update[t].sigmoid_()
        n.addcmul_(reset[t], hidden_part[t]).sigmoid_()
        torch.add(minus_one, n, alpha=2, out=n)
        torch.lerp(n, states[t], update[t], out=states[t + 1])


class _Backward:
    """One backward pass.

    Every gradient before a gate is the gradient of the hidden vector times a factor that does not
    depend on it. The factors of a block are computed at once; the loop multiplies.
    """

    def __init__(
        self, x: Tensor, weights: Weights, hidden: Tensor, gates: Tensor, new: Tensor
    ) -> None:
        self.inputs = x.transpose(0, 1).contiguous()
        self.w_ih, self.w_hh = weights[:2]
        self.hidden, self.gates, self.new = hidden, gates, new
        time, batch, size = new.shape
        self.steps = blocks(time, batch * size)
        n_steps = self.steps[0].stop
        # The gradient of the hidden vectors, that of the one before the block first.
        self.d_hidden = new.new_zeros(n_steps + 1, batch, size)
        self.d_gates = new.new_empty(n_steps, batch, 3, size)
        self.factor = new.new_empty(n_steps, batch, size)
        # Transposed: a product with few columns is slow.
        self.d_w_ih = new.new_zeros(self.w_ih.shape[1], 3 * size)
        self.d_w_hh = new.new_zeros(size, 3 * size)
        self.d_b_ih, self.d_b_hh = new.new_zeros(3 * size), new.new_zeros(3 * size)

    def run(
        self, d_output: Tensor | None, d_state: Tensor | None, needed: tuple[bool, ...]
    ) -> tuple[Tensor | None, ...]:
        d_inputs = torch.empty_like(self.inputs) if needed[0] else None
        if d_state is not None:
            self.d_hidden[0] = d_state[0]
        for step in reversed(self.steps):
            n_steps = step.stop - step.start
            d_hidden, d_gates = self.d_hidden[: n_steps + 1], self.d_gates[:n_steps]
            if d_output is None:
                d_hidden[1:] = 0.0
            else:
                d_hidden[1:] = d_output[:, step].transpose(0, 1)
            d_hidden[-1] += d_hidden[0]
            d_hidden[0] = 0.0
            self._factors(step, d_gates, self.factor[:n_steps])
            self._walk(self.gates[step], d_hidden, d_gates)
            self._collect(step, d_hidden[1:], d_gates, d_inputs)
        if d_inputs is not None:
            d_inputs = d_inputs.transpose(0, 1)
        d_initial = self.d_hidden[:1] if needed[1] else None
        factor = _factor(self.d_b_ih)
        of_weights = [d_w.mul_(factor).t() for d_w in (self.d_w_ih, self.d_w_hh)]
        of_biases = [d_b.mul_(factor) for d_b in (self.d_b_ih, self.d_b_hh)]
        return (d_inputs, d_initial, *of_weights, *of_biases)

    def _factors(self, step: slice, d_gates: Tensor, new_factor: Tensor) -> None:
        """Fill in the factors of r, z and the hidden part, and that of the input part."""
        reset, update, hidden_part = self.gates[step].chunk(3, dim=2)
        new, after = self.new[step], self.hidden[step.start + 1 : step.stop + 1]
        of_reset, of_update, of_hidden_part = d_gates.unbind(2)
        half = new.new_full((), 0.5)
        torch.addcmul(half, new, new, value=-0.5, out=new_factor)
        new_factor.addcmul_(new_factor, update, value=-1)
        torch.mul(new_factor, reset, out=of_hidden_part)
        torch.mul(of_hidden_part, hidden_part, out=of_reset)
        of_reset.addcmul_(of_reset, reset, value=-1)
        torch.sub(after, new, out=of_update)
        of_update.addcmul_(of_update, update, value=-1)

    def _walk(self, gates: Tensor, d_hidden: Tensor, d_gates: Tensor) -> None:
        update = gates.chunk(3, dim=2)[1].unbind(0)
        d_states, d_states_of_gates = d_hidden.unbind(0), d_hidden.unsqueeze(2).unbind(0)
        per_gate, flat = d_gates.unbind(0), d_gates.flatten(2).unbind(0)
        for t in reversed(range(len(update))):
            per_gate[t].mul_(d_states_of_gates[t + 1])
            d_states[t].addcmul_(d_states[t + 1], update[t]).addmm_(flat[t], self.w_hh)

    def _collect(
        self, step: slice, d_hidden: Tensor, d_gates: Tensor, d_inputs: Tensor | None
    ) -> None:
        """Add what one block gives to the gradients of the weights."""
        rows = d_gates.view(-1, self.d_b_ih.shape[0])
        self.d_w_hh.addmm_(self.hidden[step].flatten(0, 1).t(), rows)
        self.d_b_hh += rows.sum(0)
        # From here on those of the input part, which the reset gate does not touch.
        torch.mul(d_hidden, self.factor[: len(d_hidden)], out=d_gates[:, :, 2])
        self.d_w_ih.addmm_(self.inputs[step].flatten(0, 1).t(), rows)
        self.d_b_ih += rows.sum(0)
        if d_inputs is not None:
            torch.mm(rows, self.w_ih, out=d_inputs[step].view(-1, d_inputs.shape[2]))
