"""Attention: the weights of the pooling, sequence by sequence."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from skrnn._training._batches import OrderedBatches, SequenceDataset
from skrnn._training._threads import shared_cores


def attention_weights(
    net: Any, dataset: SequenceDataset, batch_size: int
) -> list[NDArray[np.float64]]:
    """Weights of every sequence of a dataset, in its order.

    Returns
    -------
    weights : list of ndarray of shape (n_timesteps_i,) or (n_heads, n_timesteps_i)
    """
    net._set_training(False)
    found: dict[int, NDArray[np.float64]] = {}
    with torch.inference_mode(), shared_cores():
        for indices in OrderedBatches(dataset, batch_size).plan():
            inputs, _ = dataset.batch(indices)
            x = inputs["x"].to(net.device)
            weights = net.in_precision(net.module_.attention, x, inputs.get("lengths"))
            rows = weights.cpu().double().numpy()
            if rows.shape[1] == 1:
                rows = rows[:, 0]
            for i, row in zip(indices.tolist(), rows, strict=True):
                found[i] = row[..., : dataset.lengths[i]].copy()
    return [found[i] for i in range(len(dataset))]
