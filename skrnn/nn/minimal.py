"""Minimal cells: their gates look at the input only, so that long sequences train fast."""

from math import log
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from skrnn.nn.averages import moving_average
from skrnn.nn.layers import RecurrentLayer, State, draw_keeping

__all__ = ["MinGRULayer", "MinLSTMLayer"]

#: Share of the state that a new layer keeps at a step with the input 0.
KEPT_AT_START = 0.9


class _MinimalLayer(RecurrentLayer):
    """What both layers share.

    `weight` and `bias` stack the gates and, last, the candidate.
    """

    #: Log odds of keeping the state, shared out to the biases of the gates.
    start: ClassVar[tuple[float, ...]]

    def __init__(self, input_size: int, hidden_size: int, memory_steps: int | None = None) -> None:
        super().__init__(hidden_size)
        self.input_size = input_size
        self.memory_steps = memory_steps
        n_parts = len(self.start) + 1
        self.weight = nn.Parameter(torch.empty(n_parts * hidden_size, input_size))
        self.bias = nn.Parameter(torch.empty(n_parts * hidden_size))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the weights anew from torch's generator."""
        for part in self.weight.split(self.output_size):
            nn.init.xavier_uniform_(part)
        odds = torch.full((self.output_size,), log(KEPT_AT_START / (1 - KEPT_AT_START)))
        if self.memory_steps is not None:
            odds = draw_keeping(self.output_size, self.memory_steps)
        for bias, share in zip(self.bias.split(self.output_size), (*self.start, 0.0), strict=True):
            bias.copy_(share * odds)

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
            The input, `time >= 1`.

        state : Tensor of shape (1, batch, output_size) or None, default=None
            The state after earlier steps, as returned; None starts from zero.

        Returns
        -------
        output : Tensor of shape (batch, time, output_size)
            The hidden vector at every step.

        state : Tensor of shape (1, batch, output_size)
            The hidden vector after the last step.
        """
        initial = None if state is None else cast("Tensor", state)[0]
        n_parts = len(self.start) + 1
        output = moving_average(x, initial, self.weight, self.bias, n_parts)
        return output, output[:, -1].unsqueeze(0)


class MinGRULayer(_MinimalLayer):
    r"""Minimal gated recurrent unit: a moving average whose weights the input sets.

    Parameters
    ----------
    input_size : int
        Number of features per time step. Values in `[1, inf)`.

    hidden_size : int
        Size of the state. Values in `[1, inf)`.

    memory_steps : int or None, default=None
        The largest number of steps over which something is to be remembered. Values in `[2, inf)`.

    See Also
    --------
    MinLSTMLayer : With a forget gate and an input gate.
    linear_scan : The recurrence.

    Notes
    -----
    The GRU without what looks at the state before [1]_:

    .. math::

        z_t &= \operatorname{sigmoid}(W_z x_t + b_z) \\
        \tilde h_t &= W_h x_t + b_h \\
        h_t &= (1 - z_t) h_{t-1} + z_t \tilde h_t

    Within a layer, how a step is read does not depend on the steps before it. A second layer, which
    reads the states of the first, makes up for that.

    Input matrices start Xavier-uniform. At an input of 0 a new layer keeps 0.9 of its state, a
    memory of ten steps: :math:`b_z = -\log 9`, :math:`b_h = 0`. Half, what a bias of 0 gives,
    forgets after two steps, and gradients over longer distances start near 0. With `memory_steps`
    :math:`T` the features keep theirs over 2 to :math:`T` steps [2]_: :math:`b_z = -\log u` with
    :math:`u` uniform in :math:`[1, T - 1]`.

    On the CPU a whole sequence is one operation of autograd. On other devices, while tracing and
    exporting, it goes through :func:`linear_scan`.

    References
    ----------
    .. [1] L. Feng, F. Tung, M. O. Ahmed, Y. Bengio, H. Hajimirsadeghi, "Were RNNs All We
       Needed?", 2024. arxiv.org/abs/2410.01201
    .. [2] C. Tallec, Y. Ollivier, "Can recurrent neural networks warp time?", ICLR 2018.
       arxiv.org/abs/1804.11188

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import MinGRULayer
    >>> output, state = MinGRULayer(3, 8)(torch.ones(2, 5, 3))
    >>> output.shape, state.shape
    (torch.Size([2, 5, 8]), torch.Size([1, 2, 8]))
    """

    # The gate is that of the candidate: its bias speaks against keeping.
    start = (-1.0,)


class MinLSTMLayer(_MinimalLayer):
    r"""Minimal long short-term memory: forget and input gate share out a moving average.

    Parameters
    ----------
    input_size : int
        Number of features per time step. Values in `[1, inf)`.

    hidden_size : int
        Size of the state. Values in `[1, inf)`.

    memory_steps : int or None, default=None
        The largest number of steps over which something is to be remembered. Values in `[2, inf)`.

    See Also
    --------
    MinGRULayer : With one gate, and faster.
    linear_scan : The recurrence.

    Notes
    -----
    The LSTM without what looks at the state before, its gates normalised to a sum of 1 [1]_:

    .. math::

        f_t &= \operatorname{sigmoid}(W_f x_t + b_f), \quad
        i_t = \operatorname{sigmoid}(W_i x_t + b_i) \\
        \tilde h_t &= W_h x_t + b_h \\
        h_t &= \frac{f_t}{f_t + i_t} h_{t-1} + \frac{i_t}{f_t + i_t} \tilde h_t

    Where both gates are too small for the type, the shares come from their logarithms.

    Input matrices start Xavier-uniform. At an input of 0 a new layer keeps 0.9 of its state, a
    memory of ten steps: :math:`b_f = \log 9`, :math:`b_i = -\log 9`, :math:`b_h = 0`, so that
    :math:`f = 0.9` and :math:`i = 0.1`. With `memory_steps` :math:`T` the features keep theirs over
    2 to :math:`T` steps [2]_: :math:`b_f = -b_i = \log u` with :math:`u` uniform in
    :math:`[1, T - 1]`.

    On the CPU a whole sequence is one operation of autograd. On other devices, while tracing and
    exporting, it goes through :func:`linear_scan`.

    References
    ----------
    .. [1] L. Feng, F. Tung, M. O. Ahmed, Y. Bengio, H. Hajimirsadeghi, "Were RNNs All We
       Needed?", 2024. arxiv.org/abs/2410.01201
    .. [2] C. Tallec, Y. Ollivier, "Can recurrent neural networks warp time?", ICLR 2018.
       arxiv.org/abs/1804.11188

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import MinLSTMLayer
    >>> output, state = MinLSTMLayer(3, 8)(torch.ones(2, 5, 3))
    >>> output.shape, state.shape
    (torch.Size([2, 5, 8]), torch.Size([1, 2, 8]))
    """

    start = (1.0, -1.0)
