"""Base of heads: a representation becomes a prediction, and the head knows its loss."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from skrnn.nn.lengths import Lengths

__all__ = ["Head", "ProbabilisticHead", "SequenceHead"]


class Head(nn.Module, ABC):
    """Base of heads: projection, loss and prediction in one place.

    A new likelihood is a subclass with `loss` and `predict`.

    Parameters
    ----------
    input_size : int
        Number of features of the representation. Values in `[1, inf)`.

    n_outputs : int
        Number of values predicted at once. Values in `[1, inf)`.

    raw_size : int or None, default=None
        Number of values the projection makes; None makes `n_outputs`.

    Attributes
    ----------
    projection : torch.nn.Linear
        From the representation to the raw values; Xavier-uniform weights, zero bias.

    normalizes_target : bool
        Whether the head expects a target with mean 0 and standard deviation 1.

    Examples
    --------
    Log-cosh, a smooth absolute error:

    >>> import torch
    >>> from skrnn.nn import Head
    >>> class LogCoshHead(Head):
    ...     normalizes_target = True
    ...     def loss(self, raw, target):
    ...         return (raw - target).cosh().log().mean(dim=-1)
    ...     def predict(self, raw):
    ...         return raw
    >>> LogCoshHead(4, 1).loss(torch.zeros(2, 1), torch.zeros(2, 1))
    tensor([0., 0.])
    """

    normalizes_target: ClassVar[bool] = False

    def __init__(self, input_size: int, n_outputs: int, raw_size: int | None = None) -> None:
        super().__init__()
        if n_outputs < 1:
            raise ValueError(f"a head needs at least 1 output, got {n_outputs}.")
        self.input_size = input_size
        self.n_outputs = n_outputs
        self.raw_size = n_outputs if raw_size is None else raw_size
        self.projection = nn.Linear(input_size, self.raw_size)
        nn.init.xavier_uniform_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)

    def forward(self, z: Tensor) -> Tensor:
        """Project a representation.

        Parameters
        ----------
        z : Tensor of shape (..., input_size)
            The representation.

        Returns
        -------
        Tensor of shape (..., raw_size)
            What `loss` and `predict` read.
        """
        return self.projection(z)

    def initialize(self, target: Tensor) -> None:
        """Learn constants from the targets, before training.

        Parameters
        ----------
        target : Tensor of shape (..., n_outputs)
            The targets to be learned. Most heads need nothing from them.
        """

    @abstractmethod
    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of every element.

        Parameters
        ----------
        raw : Tensor of shape (..., raw_size)
            Projected representation.

        target : Tensor of shape (..., n_outputs)
            The truth.

        Returns
        -------
        Tensor of shape (...)
            The mean over the outputs, not reduced over the leading dimensions.
        """

    def mean_loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Compute the mean of the loss over all elements.

        Parameters
        ----------
        raw : Tensor of shape (..., raw_size)
            Projected representation.

        target : Tensor of shape (..., n_outputs)
            The truth.

        Returns
        -------
        Tensor of shape ()
            The mean of `loss`.
        """
        return self.loss(raw, target).mean()

    @abstractmethod
    def predict(self, raw: Tensor) -> Tensor:
        """Compute the point prediction.

        Parameters
        ----------
        raw : Tensor of shape (..., raw_size)
            Projected representation.

        Returns
        -------
        Tensor of shape (..., n_outputs)
            The prediction.
        """


class ProbabilisticHead(Head):
    """Base of heads for numbers that know a whole distribution.

    Parameters
    ----------
    input_size : int
        Number of features of the representation. Values in `[1, inf)`.

    n_outputs : int
        Number of values predicted at once. Values in `[1, inf)`.

    raw_size : int or None, default=None
        Number of values the projection makes; None makes `n_outputs`.
    """

    normalizes_target: ClassVar[bool] = True

    @abstractmethod
    def quantiles(self, raw: Tensor, alpha: Sequence[float]) -> Tensor:
        """Compute quantiles of the predicted distribution.

        Parameters
        ----------
        raw : Tensor of shape (..., raw_size)
            Projected representation.

        alpha : sequence of float
            Levels in `(0, 1)`, in any order.

        Returns
        -------
        Tensor of shape (..., n_outputs, n_alpha)
            The quantiles, never decreasing in `alpha`.
        """


class SequenceHead(Head):
    """Base of heads whose steps depend on each other: loss and prediction are of whole sequences.

    Parameters
    ----------
    input_size : int
        Number of features of the representation. Values in `[1, inf)`.

    n_outputs : int
        Number of classes of a step. Values in `[1, inf)`.

    raw_size : int or None, default=None
        Number of values the projection makes per step; None makes `n_outputs`.
    """

    @abstractmethod
    def loss(
        self, raw: Tensor, target: Tensor, lengths: Lengths = None, known: Tensor | None = None
    ) -> Tensor:
        """Compute the loss of every sequence.

        Parameters
        ----------
        raw : Tensor of shape (batch, time, raw_size)
            Projected representation of every step; the padding may hold anything.

        target : Tensor of shape (batch, time)
            The truth at every step; the padding may hold anything of its type.

        lengths : Tensor, ndarray, sequence of int or None, default=None
            Number of valid leading steps per sequence, in `[0, time]`. None: all are valid.

        known : Tensor of shape (batch, time) or None, default=None
            False at steps whose target is not known. None: all are known.

        Returns
        -------
        Tensor of shape (batch,)
            The sum over the steps of a sequence, 0 for one without steps.
        """

    @abstractmethod
    def predict(self, raw: Tensor, lengths: Lengths = None) -> Tensor:
        """Compute the prediction for every step, each on its own.

        Parameters
        ----------
        raw : Tensor of shape (batch, time, raw_size)
            Projected representation of every step.

        lengths : Tensor, ndarray, sequence of int or None, default=None
            Number of valid leading steps per sequence, in `[0, time]`. None: all are valid.

        Returns
        -------
        Tensor of shape (batch, time, n_outputs)
            Given the whole sequence; 0 at padding.
        """

    @abstractmethod
    def decode(self, raw: Tensor, lengths: Lengths = None) -> Tensor:
        """Find the best answer for all steps of a sequence together.

        Parameters
        ----------
        raw : Tensor of shape (batch, time, raw_size)
            Projected representation of every step.

        lengths : Tensor, ndarray, sequence of int or None, default=None
            Number of valid leading steps per sequence, in `[0, time]`. None: all are valid.

        Returns
        -------
        Tensor of shape (batch, time), int64
            Number of the class of every step; 0 at padding.
        """


def check_levels(alpha: Sequence[float] | np.ndarray) -> np.ndarray:
    """Check levels of quantiles.

    Parameters
    ----------
    alpha : sequence of float
        Levels in `(0, 1)`.

    Returns
    -------
    ndarray of shape (n_alpha,)
        The levels as float64.

    Raises
    ------
    ValueError
        If a level is outside `(0, 1)` or there is none.
    """
    levels = np.asarray(alpha, dtype=np.float64)
    if levels.ndim != 1 or levels.size == 0:
        raise ValueError(f"quantile levels must be a sequence of numbers, got {alpha!r}.")
    wrong = levels[~((levels > 0) & (levels < 1))]
    if wrong.size:
        raise ValueError(f"quantile levels must lie strictly between 0 and 1, got {wrong[0]}.")
    return levels


def check_target(raw: Tensor, target: Tensor, n_outputs: int) -> None:
    """Check that a numeric target fits the raw values, which would broadcast silently.

    Parameters
    ----------
    raw : Tensor of shape (..., raw_size)
        Projected representation.

    target : Tensor of shape (..., n_outputs)
        The truth.

    n_outputs : int
        Number of values predicted at once.

    Raises
    ------
    ValueError
        If the shapes do not fit.
    """
    expected = (*raw.shape[:-1], n_outputs)
    if tuple(target.shape) != expected:
        raise ValueError(f"target has shape {tuple(target.shape)}, expected {expected}.")


def widened(x: Tensor) -> Tensor:
    """Cast to float64 where the device has it: log-gamma differences cancel in float32.

    Parameters
    ----------
    x : Tensor
        Any floating tensor.

    Returns
    -------
    Tensor
        The same values.
    """
    return x if x.device.type == "mps" else x.to(torch.float64)
