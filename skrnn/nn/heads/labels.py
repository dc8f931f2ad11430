"""Heads for labels."""

import torch
from torch import Tensor
from torch.nn import functional

from skrnn.nn.heads.base import Head, check_target

__all__ = ["CategoricalHead", "MultilabelHead"]


class CategoricalHead(Head):
    r"""One of several classes.

    Parameters
    ----------
    input_size : int
        Number of features of the representation. Values in `[1, inf)`.

    n_classes : int
        Number of classes. Values in `[1, inf)`.

    Notes
    -----
    The raw values are logits. The loss is the cross entropy
    :math:`-\log \mathrm{softmax}(raw)_{target}`.

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import CategoricalHead
    >>> head = CategoricalHead(4, n_classes=2)
    >>> head.predict(torch.zeros(1, 2))
    tensor([[0.5000, 0.5000]])
    >>> head.loss(torch.zeros(1, 2), torch.tensor([1]))
    tensor([0.6931])
    """

    def __init__(self, input_size: int, n_classes: int) -> None:
        super().__init__(input_size, n_classes)

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Compute the cross entropy of every element.

        Parameters
        ----------
        raw : Tensor of shape (..., n_classes)
            Logits.

        target : Tensor of shape (...), int64
            Number of the true class, in `[0, n_classes)`.

        Returns
        -------
        Tensor of shape (...)
            One value per element.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        if target.shape != raw.shape[:-1]:
            raise ValueError(
                f"target has shape {tuple(target.shape)}, expected {tuple(raw.shape[:-1])}: the "
                f"number of the class of every element."
            )
        rows = raw.reshape(-1, self.n_outputs)
        loss = functional.cross_entropy(rows, target.reshape(-1), reduction="none")
        return loss.view(target.shape)

    def predict(self, raw: Tensor) -> Tensor:
        """Compute the probabilities of the classes.

        Parameters
        ----------
        raw : Tensor of shape (..., n_classes)
            Logits.

        Returns
        -------
        Tensor of shape (..., n_classes)
            Probabilities that sum to 1.
        """
        return raw.softmax(dim=-1)


class MultilabelHead(Head):
    r"""Several labels, each present or not.

    Parameters
    ----------
    input_size : int
        Number of features of the representation. Values in `[1, inf)`.

    n_labels : int
        Number of labels. Values in `[1, inf)`.

    Notes
    -----
    The raw values are logits. The loss is the binary cross entropy
    :math:`-y \log p - (1 - y) \log(1 - p)` with :math:`p = \sigma(raw)`, averaged over labels.

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import MultilabelHead
    >>> head = MultilabelHead(4, n_labels=2)
    >>> head.predict(torch.zeros(1, 2))
    tensor([[0.5000, 0.5000]])
    """

    def __init__(self, input_size: int, n_labels: int) -> None:
        super().__init__(input_size, n_labels)

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Compute the mean binary cross entropy of every element.

        Parameters
        ----------
        raw : Tensor of shape (..., n_labels)
            Logits.

        target : Tensor of shape (..., n_labels)
            1 where the label is present, else 0; of any numeric type.

        Returns
        -------
        Tensor of shape (...)
            The mean over the labels.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        check_target(raw, target, self.n_outputs)
        loss = functional.binary_cross_entropy_with_logits(
            raw, target.to(raw.dtype), reduction="none"
        )
        return loss.mean(dim=-1)

    def predict(self, raw: Tensor) -> Tensor:
        """Compute the probabilities of the labels.

        Parameters
        ----------
        raw : Tensor of shape (..., n_labels)
            Logits.

        Returns
        -------
        Tensor of shape (..., n_labels)
            Probabilities, each in `[0, 1]`.
        """
        return torch.sigmoid(raw)
