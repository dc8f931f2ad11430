"""Layers: what every recurrent layer must do."""

from abc import ABC, abstractmethod
from typing import TypeAlias

import torch
from torch import Tensor, nn

__all__ = ["EncoderState", "RecurrentLayer", "State"]

State: TypeAlias = Tensor | tuple[Tensor, ...]

#: One state per layer of an encoder, the first layer first.
EncoderState: TypeAlias = tuple[State, ...]


def draw_keeping(n_features: int, memory_steps: int) -> Tensor:
    """Draw log odds of keeping the state for a step, so that it is forgotten after 2 to many steps.

    Parameters
    ----------
    n_features : int
        Size of the state.

    memory_steps : int
        The largest number of steps after which a feature is forgotten. Values in `[2, inf)`.

    Returns
    -------
    Tensor of shape (n_features,)
        The logarithm of numbers uniform in `[1, memory_steps - 1]`.

    Raises
    ------
    ValueError
        If there are less than two steps.
    """
    if memory_steps < 2:
        raise ValueError(f"memory_steps must be at least 2, got {memory_steps}.")
    return torch.empty(n_features).uniform_(1, memory_steps - 1).log()


class RecurrentLayer(nn.Module, ABC):
    """Base of recurrent layers: one layer, one direction.

    Subclass it to give :class:`RecurrentEncoder` a layer of your own: the class is called with
    `(input_size, hidden_size)`. The output at a step may depend on earlier steps only.

    Parameters
    ----------
    output_size : int
        Number of features of the output. Values in `[1, inf)`.

    See Also
    --------
    CellLayer : Makes a layer of a module that computes one step.

    Examples
    --------
    A running sum of a linear map:

    >>> import torch
    >>> from skrnn.nn import RecurrentEncoder, RecurrentLayer
    >>> class RunningSum(RecurrentLayer):
    ...     def __init__(self, input_size, hidden_size):
    ...         super().__init__(hidden_size)
    ...         self.linear = torch.nn.Linear(input_size, hidden_size)
    ...     def forward(self, x, state=None):
    ...         output = 0.1 * self.linear(x).cumsum(1)
    ...         if state is not None:
    ...             output = output + state
    ...         return output, output[:, -1:]
    >>> RecurrentEncoder(3, 8, cell=RunningSum)(torch.ones(2, 5, 3)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(self, output_size: int) -> None:
        super().__init__()
        self.output_size = output_size

    @abstractmethod
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
            The output at every step.

        state : Tensor, tuple of Tensor or None
            The state after the last step, with which the next call goes on; an empty tuple from a
            layer without memory. None from a layer that reads whole sequences only.
        """
