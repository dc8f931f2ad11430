"""Cells: one recurrent layer, in one direction."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn

from skrnn.nn.dropped import DroppedRun, check_share
from skrnn.nn.grud import GRUDLayer
from skrnn.nn.kernels import run_layer
from skrnn.nn.layers import RecurrentLayer, State, draw_keeping
from skrnn.nn.minimal import MinGRULayer, MinLSTMLayer
from skrnn.nn.sequence_cpu import run_on_cpu

__all__ = [
    "CELLS",
    "MAX_STEPS",
    "OBSERVING_CELLS",
    "CellLayer",
    "CellLike",
    "RecurrentLayer",
    "State",
    "TorchLayer",
    "make_layer",
]

CellLike: TypeAlias = str | Callable[[int, int], nn.Module]

#: Longest stretch of time steps given to one call of a vendor kernel; cuDNN fails beyond 65 535.
MAX_STEPS = 16384

NONLINEARITIES = ("tanh", "relu")


class CellLayer(RecurrentLayer):
    """Unroll a step cell over time.

    Parameters
    ----------
    cell : torch.nn.Module
        Computes one step in the convention of :class:`torch.nn.LSTMCell`: `cell(x_t, state)`, with
        `x_t` of shape (batch, features), returns the hidden vector `h` of shape
        (batch, output_size), or a tuple whose first entry is `h`. What it returns is the state of
        the next step; None stands for its zero state.

    output_size : int
        Number of features of `h`. Values in `[1, inf)`.

    See Also
    --------
    TorchLayer : The built-in cells, as vendor kernels over the whole sequence.

    Notes
    -----
    The loop runs in Python, so that a step costs at least a few microseconds per operation.

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import CellLayer
    >>> layer = CellLayer(torch.nn.LSTMCell(3, 8), output_size=8)
    >>> output, (h, c) = layer(torch.ones(2, 5, 3))
    >>> output.shape, bool((output[:, -1] == h).all())
    (torch.Size([2, 5, 8]), True)
    """

    def __init__(self, cell: nn.Module, output_size: int) -> None:
        super().__init__(output_size)
        self.cell = cell

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State | None]:
        """Run the cell over all time steps.

        Parameters
        ----------
        x : Tensor of shape (batch, time, features)
            The input, `time >= 1`.

        state : Tensor, tuple of Tensor or None, default=None
            The state after earlier steps; None starts from the cell's zero state.

        Returns
        -------
        output : Tensor of shape (batch, time, output_size)
            The hidden vector at every step.

        state : Tensor or tuple of Tensor
            What the cell returned at the last step.

        Raises
        ------
        ValueError
            If the cell returns a hidden vector of another shape.
        """
        hidden: list[Tensor] = []
        # unbind, because indexing x[:, t] makes the backward pass quadratic in time.
        for x_t in x.unbind(1):
            state = self.cell(x_t, state)
            hidden.append(state[0] if isinstance(state, tuple) else cast("Tensor", state))
            if len(hidden) == 1:
                self._check_step(hidden[0], x.shape[0])
        return torch.stack(hidden, dim=1), state

    def _check_step(self, h: object, batch: int) -> None:
        if isinstance(h, Tensor) and h.shape == (batch, self.output_size):
            return
        got = f"shape {tuple(h.shape)}" if isinstance(h, Tensor) else type(h).__name__
        raise ValueError(
            f"{type(self.cell).__name__} returned {got} for one step, expected a hidden "
            f"vector of shape {(batch, self.output_size)}, or a tuple with it first."
        )


class TorchLayer(RecurrentLayer):
    r"""One of PyTorch's recurrent layers, well initialised and of any length.

    Parameters
    ----------
    cell : {"lstm", "gru", "rnn"}
        The layer: :class:`torch.nn.LSTM`, :class:`torch.nn.GRU` or :class:`torch.nn.RNN`.

    input_size : int
        Number of features per time step. Values in `[1, inf)`.

    hidden_size : int
        Size of the state. Values in `[1, inf)`.

    nonlinearity : {"tanh", "relu"}, default="tanh"
        Activation of the plain recurrent layer; the others ignore it.

    weight_dropout : float, default=0.0
        Probability of dropping a recurrent weight in training, drawn anew in every call. Values in
        `[0, 1)`.

    recurrent_dropout : float, default=0.0
        Probability of dropping a feature of the hidden state, where the recurrent weights read it,
        in training: the same ones at all steps of a sequence. Values in `[0, 1)`.

    memory_steps : int or None, default=None
        The largest number of steps over which something is to be remembered; not of the plain
        recurrent layer. Values in `[2, inf)`.

    Notes
    -----
    Every gate's recurrent matrix is orthogonal [1]_, its input matrix Xavier-uniform and its bias
    zero, but for the LSTM's forget gate, whose bias is 1 [2]_. PyTorch adds two biases, so
    only `bias_ih` gets it. With `memory_steps` :math:`T`, the bias of the gate that keeps the state
    is :math:`b = \log u` with :math:`u` uniform in :math:`[1, T - 1]`, which forgets after 2 to
    :math:`T` steps, and that of the LSTM's input gate is :math:`-b` [5]_.

    Sequences longer than `MAX_STEPS` go through in chunks that hand on the state; outputs and
    gradients are the same.

    `weight_dropout` is the DropConnect of [3]_: the weights change and the vendor's kernel stays.
    `recurrent_dropout` is the variational dropout of [4]_. No kernel knows it, so that training
    goes step by step in Python, several times slower; evaluation does not.

    On the CPU a GRU is computed by a faster way of our own with the same results, second
    derivatives included. Hooks of the module `rnn`, autocast, tracing, export and `torch.func`
    get :class:`torch.nn.GRU` itself.

    References
    ----------
    .. [1] A. M. Saxe, J. L. McClelland, S. Ganguli, "Exact solutions to the nonlinear dynamics of
       learning in deep linear neural networks", ICLR 2014. arxiv.org/abs/1312.6120
    .. [2] R. Jozefowicz, W. Zaremba, I. Sutskever, "An Empirical Exploration of Recurrent Network
       Architectures", ICML 2015. proceedings.mlr.press/v37/jozefowicz15
    .. [3] S. Merity, N. S. Keskar, R. Socher, "Regularizing and Optimizing LSTM Language Models",
       ICLR 2018. arxiv.org/abs/1708.02182
    .. [4] Y. Gal, Z. Ghahramani, "A Theoretically Grounded Application of Dropout in Recurrent
       Neural Networks", NIPS 2016. arxiv.org/abs/1512.05287
    .. [5] C. Tallec, Y. Ollivier, "Can recurrent neural networks warp time?", ICLR 2018.
       arxiv.org/abs/1804.11188

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import TorchLayer
    >>> output, state = TorchLayer("gru", 3, 8)(torch.ones(2, 5, 3))
    >>> output.shape
    torch.Size([2, 5, 8])
    """

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        nonlinearity: str = "tanh",
        weight_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        memory_steps: int | None = None,
    ) -> None:
        super().__init__(hidden_size)
        self.weight_dropout = check_share("weight_dropout", weight_dropout)
        self.recurrent_dropout = check_share("recurrent_dropout", recurrent_dropout)
        self.memory_steps = memory_steps
        if nonlinearity not in NONLINEARITIES:
            raise ValueError(f"nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}.")
        self.rnn: nn.RNNBase
        if cell == "rnn":
            self.rnn = nn.RNN(input_size, hidden_size, nonlinearity=nonlinearity, batch_first=True)
        elif cell == "gru":
            self.rnn = nn.GRU(input_size, hidden_size, batch_first=True)
        elif cell == "lstm":
            self.rnn = nn.LSTM(input_size, hidden_size, batch_first=True)
        else:
            raise ValueError(f"cell must be 'gru', 'lstm' or 'rnn', got {cell!r}.")
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the weights anew from torch's generator."""
        hidden_size = self.output_size
        weights = dict(self.rnn.named_parameters())
        for gate in weights["weight_hh_l0"].split(hidden_size):
            nn.init.orthogonal_(gate)
        for gate in weights["weight_ih_l0"].split(hidden_size):
            nn.init.xavier_uniform_(gate)
        nn.init.zeros_(weights["bias_ih_l0"])
        nn.init.zeros_(weights["bias_hh_l0"])
        keep: float | Tensor = 1.0
        if self.memory_steps is not None:
            keep = draw_keeping(hidden_size, self.memory_steps)
        # PyTorch stacks the gates of an LSTM as input, forget, cell, output, those of a GRU as
        # reset, update, new. The second is what keeps the state in both.
        gates = weights["bias_ih_l0"].view(-1, hidden_size)
        if isinstance(self.rnn, nn.LSTM) or self.memory_steps is not None:
            gates[1] = keep
        if isinstance(self.rnn, nn.LSTM) and self.memory_steps is not None:
            gates[0] = -keep

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State | None]:
        """Run over all time steps.

        Parameters
        ----------
        x : Tensor of shape (batch, time, features)
            The input, `time >= 1`.

        state : Tensor, tuple of Tensor or None, default=None
            The state after earlier steps, as returned; None starts from zero.

        Returns
        -------
        output : Tensor of shape (batch, time, output_size)
            The hidden vector at every step.

        state : Tensor or tuple of Tensor
            `h` of shape (1, batch, output_size), for the LSTM the tuple `(h, c)` of two such.

        Raises
        ------
        ValueError
            If the state is that of another number of sequences.
        """
        if state is not None:
            self._check_state(x, state)
        run = self._run
        if self.training and (self.weight_dropout or self.recurrent_dropout):
            run = DroppedRun(self.rnn, x, self.weight_dropout, self.recurrent_dropout)
        if x.shape[1] <= MAX_STEPS:
            return run(x, state)
        outputs: list[Tensor] = []
        for chunk in x.split(MAX_STEPS, dim=1):
            output, state = run(chunk, state)
            outputs.append(output)
        return torch.cat(outputs, dim=1), state

    def _check_state(self, x: Tensor, state: State) -> None:
        expected = (1, x.shape[0], self.output_size)
        for part in state if isinstance(state, tuple) else (state,):
            if part.shape != expected:
                raise ValueError(
                    f"the state has shape {tuple(part.shape)}, expected {expected}: hand on that "
                    f"of the same sequences, in their order."
                )

    def _run(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        found = run_on_cpu(self.rnn, x, state)
        return run_layer(self.rnn, x, state) if found is None else found


#: The cells known by name; a new one is called with (input_size, hidden_size).
CELLS: dict[str, Callable[..., RecurrentLayer]] = {
    "gru": partial(TorchLayer, "gru"),
    "lstm": partial(TorchLayer, "lstm"),
    "mingru": MinGRULayer,
    "minlstm": MinLSTMLayer,
    "rnn": partial(TorchLayer, "rnn"),
}


#: The cells that read what an :class:`IrregularInput` with a mask makes, by name.
OBSERVING_CELLS: dict[str, Callable[[int, int], RecurrentLayer]] = {"grud": GRUDLayer}


def observes(cell: CellLike) -> bool:
    """Say whether a cell reads what an :class:`IrregularInput` with a mask makes.

    Parameters
    ----------
    cell : str or callable
        A name, or a class.

    Returns
    -------
    bool
        True for the names in `OBSERVING_CELLS`, for :class:`GRUDLayer` and its subclasses.
    """
    if isinstance(cell, str):
        return cell in OBSERVING_CELLS
    return isinstance(cell, type) and issubclass(cell, GRUDLayer)


#: The cells whose state goes through weights that can be dropped, and those with a gate to keep it.
DROPPING = ("gru", "lstm", "rnn")
KEEPING = ("gru", "lstm", "mingru", "minlstm")


def make_layer(
    cell: CellLike,
    input_size: int,
    hidden_size: int,
    nonlinearity: str = "tanh",
    weight_dropout: float = 0.0,
    recurrent_dropout: float = 0.0,
    memory_steps: int | None = None,
) -> RecurrentLayer:
    """Make one recurrent layer from the name or the class of its cell.

    Parameters
    ----------
    cell : {"lstm", "gru", "rnn", "mingru", "minlstm", "grud"} or callable
        A name in `CELLS` or `OBSERVING_CELLS`, or a class called with
        `(input_size, hidden_size)`: a :class:`RecurrentLayer`, or a step cell such as
        :class:`torch.nn.GRUCell`.

    input_size : int
        Number of features per time step. Values in `[1, inf)`.

    hidden_size : int
        Size of the state. Values in `[1, inf)`.

    nonlinearity : {"tanh", "relu"}, default="tanh"
        Activation of the cell "rnn"; the others ignore it.

    weight_dropout : float, default=0.0
        Probability of dropping a recurrent weight of "lstm", "gru" and "rnn". Values in `[0, 1)`.

    recurrent_dropout : float, default=0.0
        Probability of dropping a feature of their hidden state in all steps. Values in `[0, 1)`.

    memory_steps : int or None, default=None
        The largest number of steps over which "lstm", "gru", "mingru" or "minlstm" is to remember
        something, which decides how their gates start. Values in `[2, inf)`.

    Returns
    -------
    RecurrentLayer
        The layer.

    Raises
    ------
    ValueError
        If the name is unknown, or a dropout or a memory is asked for that the cell does not have.

    TypeError
        If `cell` is neither a name nor makes a module that can be unrolled.

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import make_layer
    >>> make_layer(torch.nn.GRUCell, 3, 8)
    CellLayer(
      (cell): GRUCell(3, 8)
    )
    """
    drops = {"weight_dropout": weight_dropout, "recurrent_dropout": recurrent_dropout}
    drops = {name: share for name, share in drops.items() if share}
    if drops and cell not in DROPPING:
        raise ValueError(
            f"{' and '.join(drops)} drop what 'gru', 'lstm' and 'rnn' multiply with their state, "
            f"got cell={cell!r}; use one of these cells, or leave the dropout at 0."
        )
    if memory_steps is not None and cell not in KEEPING:
        raise ValueError(
            f"memory_steps={memory_steps} decides how the gates of {', '.join(KEEPING)} start, got "
            f"cell={cell!r}; use one of these cells, or leave it at None."
        )
    if isinstance(cell, str):
        known = {**CELLS, **OBSERVING_CELLS}
        if cell not in known:
            names = ", ".join(repr(name) for name in sorted(known))
            raise ValueError(f"unknown cell {cell!r}: expected one of {names}, or a cell class.")
        options: dict[str, Any] = {"nonlinearity": nonlinearity} if cell == "rnn" else {}
        if memory_steps is not None:
            options["memory_steps"] = memory_steps
        return known[cell](input_size, hidden_size, **options, **drops)
    return _layer_of_class(cell, input_size, hidden_size)


def _layer_of_class(cell: Any, input_size: int, hidden_size: int) -> RecurrentLayer:
    if isinstance(cell, nn.Module) or not callable(cell):
        raise TypeError(
            f"cell must be a name or a class called with (input_size, hidden_size), got the "
            f"object {type(cell).__name__}; give its class, for example torch.nn.GRUCell."
        )
    built = cell(input_size, hidden_size)
    if isinstance(built, RecurrentLayer):
        return built
    if isinstance(built, nn.RNNBase):
        raise TypeError(
            f"torch.nn.{type(built).__name__} runs over whole sequences and is not a step cell; "
            f"use cell={type(built).__name__.lower()!r} instead."
        )
    if not isinstance(built, nn.Module):
        raise TypeError(f"cell must make a torch.nn.Module, got {type(built).__name__}.")
    return CellLayer(built, hidden_size)
