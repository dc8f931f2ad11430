"""Heads for labels."""

import torch
from torch import Tensor
from torch.nn import functional

from skrnn.nn.dropped import check_share
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

    label_smoothing : float, default=0.0
        How far targets are from certain in training. Values in `[0, 1)`.

    Notes
    -----
    The raw values are logits. The loss is the cross entropy
    :math:`-\log \mathrm{softmax}(raw)_{target}`. In training the target has the probability
    :math:`1 - s + s / K` and each other of the :math:`K` classes :math:`s / K`, with
    `label_smoothing` :math:`s` [1]_; the loss in evaluation is the plain one.

    References
    ----------
    .. [1] C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna, "Rethinking the Inception
       Architecture for Computer Vision", CVPR 2016. arXiv:1512.00567

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

    def __init__(self, input_size: int, n_classes: int, label_smoothing: float = 0.0) -> None:
        super().__init__(input_size, n_classes)
        self.label_smoothing = check_share("label_smoothing", label_smoothing)

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
        return self._cross_entropy(raw, target, "none").view(target.shape)

    def mean_loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Compute the mean of the cross entropy, in one operation.

        Parameters
        ----------
        raw : Tensor of shape (..., n_classes)
            Logits.

        target : Tensor of shape (...), int64
            Number of the true class, in `[0, n_classes)`.

        Returns
        -------
        Tensor of shape ()
            The mean of `loss`.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        return self._cross_entropy(raw, target, "mean")

    def _cross_entropy(self, raw: Tensor, target: Tensor, reduction: str) -> Tensor:
        if target.shape != raw.shape[:-1]:
            raise ValueError(
                f"target has shape {tuple(target.shape)}, expected {tuple(raw.shape[:-1])}: the "
                f"number of the class of every element."
            )
        return functional.cross_entropy(
            raw.reshape(-1, self.n_outputs),
            target.reshape(-1),
            reduction=reduction,
            label_smoothing=self.label_smoothing if self.training else 0.0,
        )

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

    label_smoothing : float, default=0.0
        How far targets are from certain in training. Values in `[0, 1)`.

    Notes
    -----
    The raw values are logits. The loss is the binary cross entropy
    :math:`-y \log p - (1 - y) \log(1 - p)` with :math:`p = \sigma(raw)`, averaged over labels. In
    training :math:`y (1 - s) + s / 2` is in the place of :math:`y`, with `label_smoothing`
    :math:`s`.

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import MultilabelHead
    >>> head = MultilabelHead(4, n_labels=2)
    >>> head.predict(torch.zeros(1, 2))
    tensor([[0.5000, 0.5000]])
    """

    def __init__(self, input_size: int, n_labels: int, label_smoothing: float = 0.0) -> None:
        super().__init__(input_size, n_labels)
        self.label_smoothing = check_share("label_smoothing", label_smoothing)

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
        target = target.to(raw.dtype)
        if self.training and self.label_smoothing:
            target = target * (1 - self.label_smoothing) + self.label_smoothing / 2
        loss = functional.binary_cross_entropy_with_logits(raw, target, reduction="none")
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
