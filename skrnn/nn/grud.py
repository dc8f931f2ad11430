"""GRU-D: a gated recurrent unit whose input and state decay between observations."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, relu

from skrnn.nn.layers import RecurrentLayer, State

__all__ = ["GRUDLayer"]

#: Largest rate of decay of a new layer, per unit of the time since the last observation.
FASTEST_AT_START = 0.2


class GRUDLayer(RecurrentLayer):
    r"""Gated recurrent unit that decays with the time since the last observation (GRU-D).

    Parameters
    ----------
    input_size : int
        Three times the number of features: values, mask and time since the last observation, side
        by side, as :class:`IrregularInput` makes them. Values in `[3, inf)`.

    hidden_size : int
        Size of the state. Values in `[1, inf)`.

    See Also
    --------
    IrregularInput : Makes the input.
    TorchLayer : Gated units without decay.

    Notes
    -----
    The layer of [1]_. At each step there is a mask :math:`m`, 1 where a feature was observed, the
    time :math:`\delta` since its observation before that, and its value :math:`x`, which is the
    last observed one where the mask is 0. Features have the mean 0. Input and state decay,

    .. math::

        \gamma_x &= \exp(-\max(0, w_x \odot \delta_t + b_x)), \quad
        \gamma_h = \exp(-\max(0, W_h \delta_t + b_h)) \\
        \hat x_t &= m_t \odot x_t + (1 - m_t) \odot \gamma_x \odot x_t, \quad
        \hat h_{t-1} = \gamma_h \odot h_{t-1}

    and a gated recurrent unit reads the decayed input and the mask:

    .. math::

        r_t &= \operatorname{sigmoid}(W_r [\hat x_t, m_t] + U_r \hat h_{t-1} + b_r) \\
        z_t &= \operatorname{sigmoid}(W_z [\hat x_t, m_t] + U_z \hat h_{t-1} + b_z) \\
        \tilde h_t &= \tanh(W [\hat x_t, m_t] + U (r_t \odot \hat h_{t-1}) + b) \\
        h_t &= (1 - z_t) \odot \hat h_{t-1} + z_t \odot \tilde h_t

    The reset gate acts before the recurrent matrix and :math:`z` is the share that is written, as
    in the paper; :class:`torch.nn.GRU` does both the other way round. Input matrices start
    Xavier-uniform, recurrent ones orthogonal, biases at 0, and rates of decay uniform between 0
    and 0.2.

    `weight_ih` and `weight_hh` stack the parts for r, z and the candidate.

    References
    ----------
    .. [1] Z. Che, S. Purushotham, K. Cho, D. Sontag, Y. Liu, "Recurrent Neural Networks for
       Multivariate Time Series with Missing Values", Scientific Reports 8, 2018. arXiv:1606.01865

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import GRUDLayer, IrregularInput
    >>> x = torch.tensor([[[1.0, torch.nan], [torch.nan, 2.0], [3.0, torch.nan]]])
    >>> irregular = IrregularInput(2)
    >>> output, state = GRUDLayer(irregular.output_size, 8)(irregular(x)[0])
    >>> output.shape, state.shape
    (torch.Size([1, 3, 8]), torch.Size([1, 1, 8]))
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(hidden_size)
        if input_size < 3 or input_size % 3:
            raise ValueError(
                "GRU-D reads values, mask and time since the last observation of every feature, "
                f"three times their number, got input_size={input_size}; put a "
                "skrnn.nn.IrregularInput before it."
            )
        self.input_size = input_size
        n_features = input_size // 3
        self.weight_ih = nn.Parameter(torch.empty(3 * hidden_size, 2 * n_features))
        self.weight_hh = nn.Parameter(torch.empty(3 * hidden_size, hidden_size))
        self.bias = nn.Parameter(torch.empty(3 * hidden_size))
        self.decay_input = nn.Parameter(torch.empty(n_features))
        self.bias_decay_input = nn.Parameter(torch.empty(n_features))
        self.decay_state = nn.Parameter(torch.empty(hidden_size, n_features))
        self.bias_decay_state = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the weights anew from torch's generator."""
        for part in self.weight_ih.split(self.output_size):
            nn.init.xavier_uniform_(part)
        for part in self.weight_hh.split(self.output_size):
            nn.init.orthogonal_(part)
        for bias in (self.bias, self.bias_decay_input, self.bias_decay_state):
            nn.init.zeros_(bias)
        # A rate below 0 would not be one, and has no gradient.
        nn.init.uniform_(self.decay_input, 0, FASTEST_AT_START)
        nn.init.uniform_(self.decay_state, 0, FASTEST_AT_START / self.decay_state.shape[1])

    def extra_repr(self) -> str:
        """Return the sizes, for the printed module.

        Returns
        -------
        str
            Input and hidden size.
        """
        return f"{self.input_size}, {self.output_size}"

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, Tensor]:
        """Run over all time steps.

        Parameters
        ----------
        x : Tensor of shape (batch, time, features)
            Values, masks and times since the last observation, `time >= 1`.

        state : Tensor of shape (1, batch, output_size) or None, default=None
            The state after earlier steps, as returned; None starts from zero.

        Returns
        -------
        output : Tensor of shape (batch, time, output_size)
            The hidden vector at every step.

        state : Tensor of shape (1, batch, output_size)
            The hidden vector after the last step.
        """
        values, mask, since = x.chunk(3, dim=2)
        kept = torch.exp(-relu(self.decay_input * since + self.bias_decay_input))
        decayed = values * torch.where(mask > 0, 1.0, kept)
        keeps = torch.exp(-relu(linear(since, self.decay_state, self.bias_decay_state)))
        read = linear(torch.cat([decayed, mask], dim=2), self.weight_ih, self.bias)
        size = self.output_size
        of_gates, of_candidate = self.weight_hh.t().split([2 * size, size], dim=1)
        h = x.new_zeros(len(x), size) if state is None else cast("Tensor", state)[0]
        hidden: list[Tensor] = []
        for read_t, keep in zip(read.unbind(1), keeps.unbind(1), strict=True):
            h = h * keep
            gates, candidate = read_t.split([2 * size, size], dim=1)
            reset, write = torch.sigmoid(gates + h @ of_gates).chunk(2, dim=1)
            new = torch.tanh(candidate + (reset * h) @ of_candidate)
            # Mixed precision multiplies in a shorter type than that of the state.
            h = h.lerp(new.to(h.dtype), write.to(h.dtype))
            hidden.append(h)
        return torch.stack(hidden, dim=1), h.unsqueeze(0)
