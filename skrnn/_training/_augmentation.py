"""Augmentation: the batches of a training, changed at random."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from skrnn._training._batches import TrainBatches
from skrnn._training._placement import Batch
from skrnn.nn import FeatureScaler, ValidSteps, generator_of_thread


class AugmentedBatches:
    """Batches whose sequences went through one or several augmentations.

    Parameters
    ----------
    batches : TrainBatches
        What is changed.

    augmentation : object with a method ``augment`` or ``mix``, or list of such objects
        Applied one after the other.

    scaler : FeatureScaler
        Augmentations see what the network sees behind it.

    time_channel : int or None, default=None
        Feature that holds times, which stay as they are.
    """

    def __init__(
        self,
        batches: TrainBatches,
        augmentation: Any,
        scaler: FeatureScaler,
        time_channel: int | None = None,
    ) -> None:
        several = isinstance(augmentation, list | tuple)
        self.batches = batches
        self.augmentations = augmentation if several else [augmentation]
        self.scaler = scaler
        self.time_channel = time_channel

    @property
    def budget(self) -> Any:
        """What ends an epoch early."""
        return self.batches.budget

    def __iter__(self) -> Iterator[Batch]:
        generator = generator_of_thread()
        for inputs, target in self.batches:
            x = self.scaler(inputs["x"].to(self.scaler.mean.device, non_blocking=True))
            valid = ValidSteps.of(inputs.get("lengths"), x)
            pairs = None
            for augmentation in self.augmentations:
                if hasattr(augmentation, "mix"):
                    x, *pairs = augmentation.mix(x, valid, generator)
                else:
                    x = augmentation.augment(x, valid, generator)
                _check_shape(augmentation, x, inputs["x"])
            inputs = {**inputs, "x": self._back(x, inputs["x"])}
            yield (inputs, target) if pairs is None else mixed_answers(inputs, target, *pairs)

    def _back(self, x: Tensor, before: Tensor) -> Tensor:
        """The changed sequences as the network is given them, at the times they had."""
        x = x * self.scaler.scale + self.scaler.mean
        if self.time_channel is not None:
            x[:, :, self.time_channel] = before[:, :, self.time_channel].to(x.device)
        return x


def _check_shape(augmentation: Any, x: Tensor, before: Tensor) -> None:
    if x.shape != before.shape:
        method = "mix" if hasattr(augmentation, "mix") else "augment"
        raise ValueError(
            f"{type(augmentation).__name__}.{method} made a batch of shape {tuple(x.shape)} of "
            f"one of shape {tuple(before.shape)}; sequences must keep their number, length and "
            "features."
        )


def mixed_answers(
    inputs: dict[str, Tensor], target: Tensor, partner: Tensor, share: Tensor
) -> Batch:
    """Mix the answers and the weights of a batch as its sequences were mixed.

    Parameters
    ----------
    inputs : dict
        Inputs of the batch.

    target : Tensor of shape (batch, ...)
        Numbers are mixed. Of labels those of the partners are put beside, as ``other_target``,
        with the ``share`` of the own ones in the loss.

    partner : Tensor of shape (batch,)
        Whom each sequence was mixed with.

    share : Tensor of shape (batch,)
        How much of the mixture is the sequence itself.

    Returns
    -------
    batch : tuple (inputs, target)
        The batch with the answers of the mixtures.
    """
    partner = partner.to(target.device)
    share = share.to(target.device)
    other = target[partner]
    if target.is_floating_point():
        across = share.view(-1, *[1] * (target.ndim - 1)).to(target.dtype)
        target = other.lerp(target, across)
    weight = inputs.get("weight")
    if weight is not None:
        share = share.to(weight.dtype)
        mean = weight[partner].lerp(weight, share)
        inputs = {**inputs, "weight": mean}
        share = share * weight / mean.clamp(min=torch.finfo(mean.dtype).tiny)
    if not target.is_floating_point():
        inputs = {**inputs, "other_target": other, "share": share}
    return inputs, target


def augmented(batches: TrainBatches, net: Any) -> TrainBatches | AugmentedBatches:
    """Batches as the net wants them for training: changed, if it has an augmentation."""
    if net.augmentation is None:
        return batches
    module = net.module_
    time_channel = None if module.irregular is None else module.irregular.time_channel
    return AugmentedBatches(batches, net.augmentation, module.scaler, time_channel)
