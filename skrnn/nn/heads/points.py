"""Heads for numbers, one value each."""

from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from skrnn.nn.heads.base import Head, check_target

__all__ = ["PointHead"]

LOSSES = ("absolute_error", "huber", "squared_error")


class PointHead(Head):
    r"""One number per output.

    Parameters
    ----------
    input_size : int
        Number of features of the representation. Values in `[1, inf)`.

    n_outputs : int
        Number of values predicted at once. Values in `[1, inf)`.

    loss : {"squared_error", "absolute_error", "huber"}, default="squared_error"
        What is minimised.

    delta : float, default=1.0
        Where "huber" turns from quadratic to linear, in units of the target as the head sees it.
        Values in `(0, inf)`.

    Notes
    -----
    With the error :math:`e = raw - target`: :math:`e^2`, :math:`|e|`, or [1]_
    :math:`e^2 / 2` for :math:`|e| \le \delta` and :math:`\delta (|e| - \delta / 2)` beyond.

    References
    ----------
    .. [1] P. J. Huber, "Robust Estimation of a Location Parameter", Annals of Mathematical
       Statistics 35(1), 1964. doi.org/10.1214/aoms/1177703732

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import PointHead
    >>> PointHead(4, 1, loss="absolute_error").loss(torch.zeros(1, 1), torch.tensor([[-3.0]]))
    tensor([3.])
    """

    normalizes_target: ClassVar[bool] = True

    def __init__(
        self, input_size: int, n_outputs: int, loss: str = "squared_error", delta: float = 1.0
    ) -> None:
        super().__init__(input_size, n_outputs)
        if loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(map(repr, LOSSES))}, got {loss!r}.")
        if not delta > 0:
            raise ValueError(f"delta must be greater than 0, got {delta}.")
        self.loss_name = loss
        self.delta = delta

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Compute the loss of every element.

        Parameters
        ----------
        raw : Tensor of shape (..., n_outputs)
            The prediction.

        target : Tensor of shape (..., n_outputs)
            The truth.

        Returns
        -------
        Tensor of shape (...)
            The mean over the outputs.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        check_target(raw, target, self.n_outputs)
        if self.loss_name == "squared_error":
            loss = (raw - target).square()
        elif self.loss_name == "absolute_error":
            loss = (raw - target).abs()
        else:
            loss = functional.huber_loss(raw, target, reduction="none", delta=self.delta)
        return loss.mean(dim=-1)

    def predict(self, raw: Tensor) -> Tensor:
        """Return the raw values, which are the prediction.

        Parameters
        ----------
        raw : Tensor of shape (..., n_outputs)
            The prediction.

        Returns
        -------
        Tensor of shape (..., n_outputs)
            The same.
        """
        return raw
