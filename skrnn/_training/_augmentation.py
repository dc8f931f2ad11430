"""Augmentation: the batches of a training, changed at random."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

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

    augmentation : object with a method ``augment``, or list of such objects
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
            for augmentation in self.augmentations:
                x = augmentation.augment(x, valid, generator)
            if x.shape != inputs["x"].shape:
                raise ValueError(
                    f"{type(augmentation).__name__}.augment made a batch of shape "
                    f"{tuple(x.shape)} of one of shape {tuple(inputs['x'].shape)}; sequences must "
                    "keep their number, length and features."
                )
            yield {**inputs, "x": self._back(x, inputs["x"])}, target

    def _back(self, x: Tensor, before: Tensor) -> Tensor:
        """The changed sequences as the network is given them, at the times they had."""
        x = x * self.scaler.scale + self.scaler.mean
        if self.time_channel is not None:
            x[:, :, self.time_channel] = before[:, :, self.time_channel].to(x.device)
        return x


def augmented(batches: TrainBatches, net: Any) -> TrainBatches | AugmentedBatches:
    """Batches as the net wants them for training: changed, if it has an augmentation."""
    if net.augmentation is None:
        return batches
    module = net.module_
    time_channel = None if module.irregular is None else module.irregular.time_channel
    return AugmentedBatches(batches, net.augmentation, module.scaler, time_channel)
