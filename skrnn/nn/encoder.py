"""Encoder: a padded batch of sequences becomes one vector per time step."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skrnn.nn.cells import CellLike, TorchLayer, make_layer, observes
from skrnn.nn.kernels import has_hooks
from skrnn.nn.layers import EncoderState, State
from skrnn.nn.lengths import Lengths, ValidSteps
from skrnn.nn.randomness import Dropout

__all__ = ["RecurrentEncoder"]


class RecurrentEncoder(nn.Module):
    """Stack of recurrent layers over a padded batch.

    Gives the numbers that :func:`torch.nn.utils.rnn.pack_padded_sequence` would give, without
    packing: what a sequence is encoded to depends neither on its padding nor on its batch mates.

    Parameters
    ----------
    input_size : int
        Number of features per time step. Values in `[1, inf)`.

    hidden_size : int or tuple of int, default=64
        Size of the state, for all layers or for each. Values in `[1, inf)`.

    num_layers : int, default=1
        Number of layers. With a tuple for `hidden_size`, 1 or its length.

    cell : {"lstm", "gru", "rnn", "mingru", "minlstm", "grud"} or callable, default="lstm"
        The recurrent cell: a name in `CELLS`, or a class called with `(input_size, hidden_size)`.
        "grud", like :class:`GRUDLayer`, reads what :class:`IrregularInput` makes, in one direction,
        and layers above its own are those of "gru".

    nonlinearity : {"tanh", "relu"}, default="tanh"
        Activation of the cell "rnn"; the others ignore it.

    dropout : float, default=0.0
        Probability of dropping a feature between two layers. Values in `[0, 1]`.

    bidirectional : bool, default=False
        Read every sequence backwards as well; `[forward, backward]` are concatenated.

    weight_dropout : float, default=0.0
        Probability of dropping a recurrent weight, drawn anew in every call. Values in `[0, 1)`.

    recurrent_dropout : float, default=0.0
        Probability of dropping a feature of the hidden state, where the recurrent weights read it:
        the same ones at all steps of a sequence. Values in `[0, 1)`.

    memory_steps : int or None, default=None
        The largest number of steps over which something is to be remembered, as in
        :func:`make_layer`. Values in `[2, inf)`.

    Attributes
    ----------
    output_size : int
        Number of features of the output.

    num_directions : int
        2 if bidirectional, else 1.

    See Also
    --------
    Pooling : One vector per sequence from the output.

    Notes
    -----
    A forward layer meets the padding only after the valid steps, so it needs no mask. The backward
    layer reads every sequence reversed within its own length, and its output is reversed back.

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import RecurrentEncoder
    >>> encoder = RecurrentEncoder(3, hidden_size=8, num_layers=2, bidirectional=True)
    >>> output = encoder(torch.ones(2, 5, 3), lengths=[5, 2])
    >>> output.shape
    torch.Size([2, 5, 16])
    >>> output[1, 2:].abs().sum().item()
    0.0

    In one direction a sequence may come in chunks:

    >>> encoder = RecurrentEncoder(3, hidden_size=8)
    >>> first, state = encoder.advance(torch.ones(2, 4, 3))
    >>> second, state = encoder.advance(torch.ones(2, 1, 3), state)
    >>> whole = encoder(torch.ones(2, 5, 3))
    >>> torch.allclose(torch.cat([first, second], dim=1), whole, atol=1e-6)
    True
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int | Sequence[int] = 64,
        num_layers: int = 1,
        *,
        cell: CellLike = "lstm",
        nonlinearity: str = "tanh",
        dropout: float = 0.0,
        bidirectional: bool = False,
        weight_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        memory_steps: int | None = None,
    ) -> None:
        super().__init__()
        options = nonlinearity, weight_dropout, recurrent_dropout, memory_steps
        decays = observes(cell)
        if decays and bidirectional:
            raise ValueError(
                f"cell={cell!r} decays with the time since observations before a step, which there "
                "are none of when reading backwards; make it with bidirectional=False."
            )
        self.input_size = input_size
        self.num_directions = 2 if bidirectional else 1
        self.layers = nn.ModuleList()
        self.backward_layers = nn.ModuleList()
        size = input_size
        for width in _layer_sizes(hidden_size, num_layers):
            layer = make_layer(cell, size, width, *options)
            self.layers.append(layer)
            if bidirectional:
                self.backward_layers.append(make_layer(cell, size, width, *options))
            size = layer.output_size * self.num_directions
            # States are never missing.
            cell = "gru" if decays else cell
        self.dropout = Dropout(dropout)
        self.output_size = size

    def forward(
        self,
        x: Tensor,
        lengths: Lengths = None,
        *,
        padding_is_read: bool = True,
        last_only: bool = False,
    ) -> Tensor:
        """Encode a padded batch.

        Parameters
        ----------
        x : Tensor of shape (batch, time, features)
            The sequences; the padding may hold anything, NaN included.

        lengths : Tensor, ndarray, sequence of int or None, default=None
            Number of valid leading steps per sequence, in `[0, time]`. None: all are valid.

        padding_is_read : bool, default=True
            Whether the padding of the output is read. If not, it may hold anything, and without
            gradients up to two passes over the data are saved.

        last_only : bool, default=False
            Give the output at the last of the `time` steps only, which saves the backward pass of
            one direction the gradients of all others.

        Returns
        -------
        Tensor of shape (batch, time, output_size), or (batch, 1, output_size) with `last_only`
            The output of the last layer, 0 at padding.

        Raises
        ------
        ValueError
            If `x` is not 3-D, has another number of features, or the lengths do not fit it.
        """
        self._check(x)
        valid = ValidSteps.of(lengths, x)
        if x.shape[0] == 0 or x.shape[1] == 0:
            steps = min(x.shape[1], 1) if last_only else x.shape[1]
            return x.new_zeros(x.shape[0], steps, self.output_size)
        # With gradients, what padding holds would go into those of the weights.
        clears = padding_is_read or torch.is_grad_enabled()
        reads_back = self.num_directions == 2
        output = valid.fill(x, 0.0) if clears or reads_back else x
        for depth, layer in enumerate(self.layers):
            if depth:
                output = self.dropout(output)
            forward, state = layer(output)
            if reads_back:
                backward, _ = self.backward_layers[depth](valid.reverse(output))
                forward = torch.cat([forward, valid.reverse(backward)], dim=2)
            output = forward
        if last_only and not reads_back and valid.lengths is None:
            return _last_output(self.layers[-1], output, state)
        output = valid.fill(output, 0.0) if clears else output
        return output[:, -1:] if last_only else output

    def advance(
        self, x: Tensor, state: EncoderState | None = None, lengths: Lengths = None
    ) -> tuple[Tensor, EncoderState | None]:
        """Go on reading sequences, in one direction, from the state after their earlier steps.

        Chunks that follow each other give what :meth:`forward` gives for the whole.

        Parameters
        ----------
        x : Tensor of shape (batch, time, features)
            The next steps of the sequences; the padding may hold anything, NaN included.

        state : tuple or None, default=None
            One state per layer, as returned for the steps before, with the sequences in the same
            order. None starts anew.

        lengths : Tensor, ndarray, sequence of int or None, default=None
            Number of valid leading steps per sequence in this chunk, in `[0, time]`. None: all are
            valid. A sequence that ends here has padding in all later chunks.

        Returns
        -------
        output : Tensor of shape (batch, time, output_size)
            The output of the last layer, 0 at padding.

        state : tuple or None
            The state after the chunk, attached to its graph; of no use for a sequence that has
            ended. A chunk without steps or sequences gives back what it was given.

        Raises
        ------
        ValueError
            If the encoder reads in both directions or has a layer that returns no state, if the
            state has another number of layers, or if `x` or `lengths` do not fit as in `forward`.

        Notes
        -----
        With dropout, chunks draw masks of their own, as the steps of :meth:`forward` do.

        Examples
        --------
        Step by step:

        >>> import torch
        >>> from skrnn.nn import RecurrentEncoder
        >>> encoder, state = RecurrentEncoder(3, hidden_size=8).eval(), None
        >>> for step in torch.ones(5, 2, 3):
        ...     output, state = encoder.advance(step.unsqueeze(1), state)
        >>> torch.allclose(output[:, 0], encoder(torch.ones(2, 5, 3))[:, -1], atol=1e-6)
        True
        """
        self._check(x)
        self._check_state(state)
        valid = ValidSteps.of(lengths, x)
        if x.shape[0] == 0 or x.shape[1] == 0:
            return x.new_zeros(x.shape[0], x.shape[1], self.output_size), state
        output, after = valid.fill(x, 0.0), []
        for depth, layer in enumerate(self.layers):
            if depth:
                output = self.dropout(output)
            output, later = layer(output, None if state is None else state[depth])
            if later is None:
                raise ValueError(
                    f"layer {depth}, a {type(layer).__name__}, returned no state and cannot go on "
                    f"from one; return it beside the output, or () if the layer has no memory."
                )
            after.append(later)
        return valid.fill(output, 0.0), tuple(after)

    def _check(self, x: Tensor) -> None:
        if x.ndim != 3:
            raise ValueError(
                f"x must have the dimensions (batch, time, features), got shape {tuple(x.shape)}."
            )
        if x.shape[2] != self.input_size:
            raise ValueError(
                f"x has {x.shape[2]} features per time step, expected {self.input_size}."
            )

    def _check_state(self, state: EncoderState | None) -> None:
        if self.num_directions == 2:
            raise ValueError(
                "a bidirectional encoder reads every sequence from its end as well and cannot go "
                "on from a state; make it with bidirectional=False."
            )
        if state is not None and len(state) != len(self.layers):
            raise ValueError(
                f"the state is that of {len(state)} layers, but there are {len(self.layers)}; hand "
                f"on what advance returned for the steps before."
            )


def _last_output(layer: nn.Module, output: Tensor, state: State | None) -> Tensor:
    """Output at the last step: of a layer of PyTorch the state, with the gradient of one step."""
    # A subclass may make another output of its state, and a hook reads or changes the output.
    if type(layer) is not TorchLayer or state is None or _is_watched(layer):
        return output[:, -1:]
    return (state[0] if isinstance(state, tuple) else state).transpose(0, 1)


def _is_watched(layer: TorchLayer) -> bool:
    return has_hooks(layer) or has_hooks(layer.rnn)


def _layer_sizes(hidden_size: int | Sequence[int], num_layers: int) -> tuple[int, ...]:
    if num_layers < 1:
        raise ValueError(f"num_layers must be at least 1, got {num_layers}.")
    if isinstance(hidden_size, Sequence):
        sizes = tuple(hidden_size)
    else:
        sizes = (int(hidden_size),) * num_layers
    if num_layers not in (1, len(sizes)):
        raise ValueError(
            f"hidden_size gives {len(sizes)} layers but num_layers={num_layers}; "
            f"leave num_layers at 1 or set it to {len(sizes)}."
        )
    if not sizes or min(sizes) < 1:
        raise ValueError(f"hidden_size must be at least 1 in every layer, got {hidden_size}.")
    return sizes
