"""PyTorch's kernels of recurrent layers, called past their modules."""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as every

from skrnn.nn.layers import State

__all__ = ["has_hooks", "run_kernel", "run_layer"]


def has_hooks(module: nn.Module) -> bool:
    """Tell whether somebody is to be called when a module is, or when any module is."""
    before, after = module._forward_pre_hooks, module._forward_hooks
    own = before or after or module._backward_pre_hooks or module._backward_hooks
    return bool(own) or every._has_any_global_hook()


def run_layer(rnn: nn.RNNBase, x: Tensor, state: State | None) -> tuple[Tensor, State]:
    """Compute `rnn(x, state)`: on the CPU without the checks that take longer than a short step.

    Parameters
    ----------
    rnn : torch.nn.LSTM, GRU or RNN
        A layer in one direction, batch first.

    x : Tensor of shape (batch, time, features)
        The input, `time >= 1`.

    state : Tensor, tuple of Tensor or None
        The state after earlier steps; None starts from zero.

    Returns
    -------
    output : Tensor of shape (batch, time, hidden_size)
        The hidden vector at every step.

    state : Tensor or tuple of Tensor
        As from the layer.
    """
    # A subclass may compute something else, and who traces or watches must see the module.
    known = type(rnn) in (nn.LSTM, nn.GRU, nn.RNN) and not has_hooks(rnn)
    fits = x.ndim == 3 and x.shape[2] == rnn.input_size and x.device.type == "cpu"
    if not known or not fits or not x.shape[0] or torch.compiler.is_compiling():
        return rnn(x, state)
    if torch.jit.is_tracing():  # type: ignore[attr-defined]
        return rnn(x, state)
    weights: Any = rnn.weight_ih_l0, rnn.weight_hh_l0, rnn.bias_ih_l0, rnn.bias_hh_l0
    return run_kernel(rnn, x, state, weights)


def run_kernel(
    rnn: nn.RNNBase, x: Tensor, state: State | None, weights: tuple[Tensor, ...]
) -> tuple[Tensor, State]:
    """Compute what a layer computes, with weights that need not be its own.

    Parameters
    ----------
    rnn : torch.nn.LSTM, GRU or RNN
        A layer in one direction, batch first.

    x : Tensor of shape (batch, time, features)
        The input, `time >= 1`.

    state : Tensor, tuple of Tensor or None
        The state after earlier steps; None starts from zero.

    weights : tuple of Tensor
        Input and recurrent weights, input and recurrent biases.

    Returns
    -------
    output : Tensor of shape (batch, time, hidden_size)
        The hidden vector at every step.

    state : Tensor or tuple of Tensor
        As from the layer.
    """
    if x.device.type == "cpu":
        return _call(rnn, x, state, weights)
    with warnings.catch_warnings():
        # Weights that were just made cannot lie in one piece.
        warnings.filterwarnings("ignore", message="RNN module weights are not part of single")
        return _call(rnn, x, state, weights)


def _call(
    rnn: nn.RNNBase, x: Tensor, state: State | None, weights: tuple[Tensor, ...]
) -> tuple[Tensor, State]:
    options = True, 1, 0.0, rnn.training, False, True
    start: State = x.new_zeros(1, x.shape[0], rnn.hidden_size) if state is None else state
    if isinstance(rnn, nn.LSTM):
        both = start if isinstance(start, tuple) else (start, start)
        output, h, c = torch.lstm(x, both, weights, *options)
        return output, (h, c)
    function: Callable[..., tuple[Tensor, Tensor]] = torch.gru
    if isinstance(rnn, nn.RNN):
        function = torch.rnn_relu if rnn.nonlinearity == "relu" else torch.rnn_tanh
    return function(x, start, weights, *options)
