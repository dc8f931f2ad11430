"""Recurrent layers on the CPU that are faster as one operation per sequence than in PyTorch."""

from collections.abc import Sequence
from types import ModuleType
from typing import cast

import torch
from torch import Tensor, nn

from skrnn.nn import gru_cpu, rnn_cpu
from skrnn.nn.eager import Weights, is_plain
from skrnn.nn.kernels import has_hooks

__all__ = ["run_on_cpu"]

_OWN: dict[type, ModuleType] = {nn.GRU: gru_cpu, nn.RNN: rnn_cpu}

# Below them, what a call costs before its first step is more than the steps gain: in the number of
# steps with gradients, without in the numbers per step and in all.
LEAST_STEPS, LEAST_SIZE, LEAST_TOTAL = 4, 2**11, 2**15


def run_on_cpu(
    rnn: nn.RNNBase, x: Tensor, state: object, weights: Sequence[Tensor] | None = None
) -> tuple[Tensor, Tensor] | None:
    """Compute what `rnn(x, state)` computes, with other weights where some are given.

    Parameters
    ----------
    rnn : torch.nn.LSTM, GRU or RNN
        A layer in one direction, batch first.

    x : Tensor of shape (batch, time, features)
        The input, `time >= 1`.

    state : Tensor, tuple of Tensor or None
        The state after earlier steps; None starts from zero.

    weights : sequence of Tensor or None, default=None
        Input and recurrent weights, input and recurrent biases; None takes the layer's own.

    Returns
    -------
    tuple of Tensor or None
        Output and state, as from the layer. None if the call is for the layer: it is neither a
        plain GRU nor a plain RNN on the CPU, the arguments are wrong, somebody watches, or it is
        faster there.
    """
    # A subclass may compute something else, and hooks must see the call.
    own = _OWN.get(type(rnn))
    if own is None or has_hooks(rnn) or not isinstance(state, Tensor | None):
        return None
    weights = cast("Weights", tuple(rnn.all_weights[0] if weights is None else weights))
    inputs = (x, state, *weights)
    if not is_plain(*inputs) or not _fits(rnn, x, state):
        return None
    if torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in inputs):
        return None if x.shape[1] < LEAST_STEPS else own.with_gradients(rnn, x, state, weights)
    size = x.shape[0] * rnn.hidden_size
    if size < LEAST_SIZE or size * x.shape[1] < LEAST_TOTAL:
        return None
    return cast("tuple[Tensor, Tensor]", own.without_gradients(rnn, x, state, weights))


def _fits(rnn: nn.RNNBase, x: Tensor, state: Tensor | None) -> bool:
    if x.ndim != 3 or x.numel() == 0 or x.shape[2] != rnn.input_size:
        return False
    return state is None or state.shape == (1, x.shape[0], rnn.hidden_size)
