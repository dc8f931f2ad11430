"""Dropout inside the recurrence: of recurrent weights, and of the state they read."""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from skrnn.nn.kernels import run_kernel
from skrnn.nn.layers import State
from skrnn.nn.randomness import dropout_mask
from skrnn.nn.sequence_cpu import run_on_cpu

__all__ = ["DroppedRun", "check_share"]

Step = Callable[[Tensor, Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]


def check_share(name: str, share: float) -> float:
    """Check a probability of dropping.

    Parameters
    ----------
    name : str
        Of the parameter.

    share : float
        The probability.

    Returns
    -------
    float
        The same.

    Raises
    ------
    ValueError
        If it is not in `[0, 1)`.
    """
    if not 0 <= share < 1:
        raise ValueError(f"{name} must be in [0, 1), got {share}.")
    return share


class DroppedRun:
    """One call of a recurrent layer in training, with the masks drawn for it.

    Parameters
    ----------
    rnn : torch.nn.LSTM, GRU or RNN
        A layer in one direction, batch first.

    x : Tensor of shape (batch, time, features)
        The input; it may then come in chunks.

    weight_dropout : float
        Probability of dropping a recurrent weight. Values in `[0, 1)`.

    recurrent_dropout : float
        Probability of dropping a feature of the hidden state that the recurrent weights read.
        Values in `[0, 1)`.
    """

    def __init__(
        self, rnn: nn.RNNBase, x: Tensor, weight_dropout: float, recurrent_dropout: float
    ) -> None:
        w_hh: Tensor
        w_ih, w_hh, b_ih, b_hh = rnn.all_weights[0]
        if weight_dropout:
            w_hh = w_hh * dropout_mask(w_hh.shape, weight_dropout, w_hh)
        self.rnn = rnn
        self.weights: tuple[Tensor, ...] = (w_ih, w_hh, b_ih, b_hh)
        self.mask = None
        if recurrent_dropout:
            self.mask = dropout_mask((x.shape[0], rnn.hidden_size), recurrent_dropout, w_hh)

    def __call__(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Run over the time steps of a chunk.

        Parameters
        ----------
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
        if self.mask is not None:
            return self._unroll(x, state, self.mask)
        found = run_on_cpu(self.rnn, x, state, self.weights)
        return run_kernel(self.rnn, x, state, self.weights) if found is None else found

    def _unroll(self, x: Tensor, state: State | None, mask: Tensor) -> tuple[Tensor, State]:
        w_ih, w_hh, b_ih, b_hh = self.weights
        zero = x.new_zeros(x.shape[0], self.rnn.hidden_size)
        if isinstance(self.rnn, nn.LSTM):
            step: Step = _lstm_step
            parts = (zero, zero) if state is None else tuple(part[0] for part in state)
        else:
            step = _gru_step if isinstance(self.rnn, nn.GRU) else self._rnn_step
            parts = (zero,) if state is None else (cast("Tensor", state)[0],)
        outputs = []
        # unbind, because indexing x[:, t] makes the backward pass quadratic in time.
        for x_t in functional.linear(x, w_ih, b_ih).unbind(1):
            parts = step(x_t, functional.linear(parts[0] * mask, w_hh, b_hh), parts)
            outputs.append(parts[0])
        after = tuple(part.unsqueeze(0) for part in parts)
        return torch.stack(outputs, dim=1), after if len(after) == 2 else after[0]

    def _rnn_step(self, x: Tensor, h: Tensor, before: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        relu = cast("nn.RNN", self.rnn).nonlinearity == "relu"
        return (torch.relu(x + h) if relu else torch.tanh(x + h),)


def _lstm_step(x: Tensor, h: Tensor, before: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    i, f, g, o = (x + h).chunk(4, dim=1)
    c = torch.sigmoid(f) * before[1] + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def _gru_step(x: Tensor, h: Tensor, before: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    x_r, x_z, x_n = x.chunk(3, dim=1)
    h_r, h_z, h_n = h.chunk(3, dim=1)
    n = torch.tanh(x_n + torch.sigmoid(x_r + h_r) * h_n)
    return (n + torch.sigmoid(x_z + h_z) * (before[0] - n),)
