"""Irregular: what a network learns of times and missing values before it is trained."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skrnn._training._batches import OrderedBatches, SequenceDataset
from skrnn.nn import IrregularInput, ValidSteps

# Sequences looked at together.
_ROWS = 64


def learn_times(irregular: IrregularInput, dataset: SequenceDataset) -> None:
    """Set the scale of times, and which features are ever observed.

    Times are divided by the root of their mean square over all steps that count.

    Parameters
    ----------
    irregular : IrregularInput
        A new one, on the CPU.

    dataset : SequenceDataset
        The training part, with its weights.
    """
    n_values, n_times = irregular.n_values, len(irregular.time_scale)
    squares = torch.zeros(n_times, dtype=torch.float64)
    observed = torch.zeros(n_values, dtype=torch.float64)
    total = 0.0
    for inputs, _ in OrderedBatches(dataset, _ROWS):
        features, _ = irregular(inputs["x"])
        weight = _step_weight(inputs, features.double())
        total += float(weight.sum())
        squares += (weight * features[:, :, -n_times:].double() ** 2).sum(dim=(0, 1))
        if irregular.mask:
            masks = features[:, :, n_values : 2 * n_values].double()
            observed += (weight * masks).sum(dim=(0, 1))
    known = observed > 0 if irregular.mask else None
    irregular.set((squares / total).sqrt() if total else squares, known)


def learn_unseen(irregular: IrregularInput, dataset: SequenceDataset) -> NDArray[np.intp]:
    """Read features from now on that are observed for the first time.

    Times keep their scale: with it the network has learned what it knows.

    Parameters
    ----------
    irregular : IrregularInput
        With a mask. Is changed.

    dataset : SequenceDataset
        Further training data, with their weights.

    Returns
    -------
    new : ndarray of int
        The positions of these features in the input.
    """
    fresh = IrregularInput(irregular.n_features, time_channel=irregular.time_channel)
    learn_times(fresh, dataset)
    known = irregular.known.cpu()
    new = fresh.known & ~known
    irregular.set(irregular.time_scale, known | fresh.known)
    columns = [i for i in range(irregular.n_features) if i != irregular.time_channel]
    return np.array(columns)[new.numpy()]


def _step_weight(inputs: dict[str, Tensor], features: Tensor) -> Tensor:
    """How much every step of a batch counts, (batch, time, 1)."""
    weight = features.new_ones(features.shape[:2])
    if "weight" in inputs:
        given = inputs["weight"].double()
        weight = given if given.ndim == 2 else given[:, None] * weight
    return ValidSteps.of(inputs.get("lengths"), features).fill(weight, 0.0)[:, :, None]
