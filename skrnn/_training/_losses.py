"""Losses: how those of whole sequences become the loss of a batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from skrnn.nn import Head, SequenceHead, length_mask


def mean_over_sequences(head: SequenceHead, raw: Tensor, target: Tensor, inputs: Any) -> Tensor:
    """Weighted mean per step of the loss of whole sequences.

    Labels of steps without weight are not known. A sequence counts with the mean weight of its
    other steps.

    Parameters
    ----------
    head : SequenceHead
        Knows the loss.

    raw : Tensor of shape (batch, time, raw_size)
        Raw values of the head.

    target : Tensor of shape (batch, time)
        The truth.

    inputs : dict
        Inputs of the batch, of which ``lengths`` and ``weight`` are read.

    Returns
    -------
    loss : Tensor
        Loss of the batch, without dimensions.
    """
    lengths, weight = inputs.get("lengths"), inputs.get("weight")
    if weight is None:
        n_steps = raw.shape[0] * raw.shape[1] if lengths is None else int(lengths.sum())
        return head.loss(raw, target, lengths).sum() / max(n_steps, 1)
    weight = weight.to(raw.device)
    # Weights of padding are zero.
    known = weight > 0
    loss = head.loss(raw, target, lengths, None if _all_known(known, lengths) else known)
    mean_weight = weight.sum(dim=1) / known.sum(dim=1).clamp(min=1)
    return (loss * mean_weight).sum() / weight.sum().clamp_min(torch.finfo(loss.dtype).tiny)


def loss_of_answers(head: Head, y_pred: Tensor, y_true: Tensor) -> Tensor:
    """Loss of each sample, or step: the mean over the answers that the network gave to it."""
    answers = y_pred.split(len(y_true))
    if len(answers) == 1:
        return head.loss(y_pred, y_true)
    return torch.stack([head.loss(answer, y_true) for answer in answers]).mean(dim=0)


def loss_weight(loss: Tensor, inputs: Any) -> Tensor | None:
    """Weight of each sample, or step, in the loss of a batch; None if all count the same."""
    weight = inputs.get("weight") if inputs is not None else None
    weight = None if weight is None else weight.to(loss.device)
    lengths = inputs.get("lengths") if inputs is not None else None
    if loss.ndim < 2 or lengths is None:
        return weight
    # Weights of padding are zero already.
    if weight is not None:
        return weight
    return length_mask(lengths, loss.shape[1]).to(loss.device, loss.dtype, non_blocking=True)


def _all_known(known: Tensor, lengths: Tensor | None) -> bool:
    """Whether it is seen, without waiting for a device, that all labels are known."""
    n_steps = known.numel() if lengths is None else int(lengths.sum())
    return known.device.type == "cpu" and int(known.sum()) == n_steps
