"""Enough: the epoch after which a training on few samples makes predictions worse."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch.callbacks import Callback
from torch import Tensor

# Neighbours on each side that the loss of an epoch is averaged with: single epochs at a high
# learning rate jump, and the luckiest of them is not the best.
NEIGHBOURS = 2
# Standard errors by which an epoch may be worse than the best. Of epochs that can hardly be told
# from it the last is taken: where patterns are learned, more training is the safer mistake.
N_STANDARD_ERRORS = 0.5


class RowLosses(Callback):
    """Keep the loss of every held-out sample after every epoch.

    Attributes
    ----------
    epochs_ : list of ndarray of shape (n_samples,)
        The losses, in the order of the validation batches.

    weight_ : ndarray of shape (n_samples,)
        Weights of the samples, in the same order.
    """

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Forget earlier trainings."""
        self.epochs_: list[NDArray] = []
        self._losses: list[Tensor] = []
        self._weights: list[Tensor] = []

    def on_batch_end(
        self,
        net: Any,
        batch: Any = None,
        training: bool = False,
        y_pred: Any = None,
        **kwargs: Any,
    ) -> None:
        """Keep those of a batch that is not learned from."""
        if training:
            return
        inputs, target = batch
        losses = net.losses_of(y_pred, target)
        self._losses.append(losses)
        self._weights.append(inputs.get("weight", torch.ones(len(losses))))

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Put the batches of the epoch together."""
        self.epochs_.append(torch.cat(self._losses).double().cpu().numpy())
        self.weight_ = torch.cat(self._weights).double().cpu().numpy()
        self._losses, self._weights = [], []


def enough_epochs(losses: NDArray, weight: NDArray) -> int | None:
    """Number of epochs after which samples that were held out are predicted worse.

    Parameters
    ----------
    losses : ndarray of shape (n_epochs, n_samples)
        Loss of every held-out sample after every epoch.

    weight : ndarray of shape (n_samples,)
        What the samples count.

    Returns
    -------
    n_epochs : int or None
        The last epoch whose mean loss, averaged with its neighbours, is above the least by no more
        than half a standard error of the difference; None if that is the last of all.
    """
    smooth = _running_mean(losses)
    n_samples = weight.sum() ** 2 / np.square(weight).sum()
    if not np.isfinite(smooth).all() or n_samples <= 1:
        return None
    best = int(np.argmin(np.average(smooth, axis=1, weights=weight)))
    worse = smooth - smooth[best]
    means = np.average(worse, axis=1, weights=weight)
    variances = np.average(np.square(worse - means[:, None]), axis=1, weights=weight)
    as_good = means <= N_STANDARD_ERRORS * np.sqrt(variances / (n_samples - 1))
    last = int(np.flatnonzero(as_good)[-1])
    return last + 1 if last + 1 < len(losses) else None


def _running_mean(losses: NDArray) -> NDArray[np.float64]:
    """Mean over each epoch and its neighbours, fewer at both ends."""
    sums = np.concatenate([np.zeros((1, losses.shape[1])), np.cumsum(losses, axis=0)])
    epochs = np.arange(len(losses))
    first = np.maximum(epochs - NEIGHBOURS, 0)
    end = np.minimum(epochs + NEIGHBOURS + 1, len(losses))
    return (sums[end] - sums[first]) / (end - first)[:, None]
