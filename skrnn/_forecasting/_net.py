"""The skorch net over a `ForecastNetwork`, and what it predicts for many windows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skorch import NeuralNetRegressor
from torch import Tensor

from skrnn._forecasting._dataset import (
    ArrayWindows,
    OrderedWindows,
    TrainWindows,
    WindowDataset,
)
from skrnn._forecasting._learned import Windows
from skrnn._training import (
    SequenceNetMixin,
    own_surroundings,
    repeatable,
    run_in_parts,
    shared_cores,
)
from skrnn.nn import Forecast, ForecastNetwork

# Windows of one inference batch; batches are filled up to it, so that the forecast of a series
# does not depend on how many others there are.
INFERENCE_BATCH_SIZE = 256


class ForecastNet(SequenceNetMixin, NeuralNetRegressor):
    """skorch net over a :class:`skrnn.nn.ForecastNetwork`; the data are a :class:`WindowDataset`.

    Parameters
    ----------
    module : ForecastNetwork
        Network to train.

    **kwargs : dict
        Parameters of :class:`skrnn._training.SequenceNetMixin` and of skorch.
    """

    module_: ForecastNetwork  # type: ignore[assignment]

    def __init__(self, module: ForecastNetwork, **kwargs: Any) -> None:
        super().__init__(module, **kwargs)  # type: ignore[arg-type]

    def get_iterator(self, dataset: Any, training: bool = False) -> Any:
        """Random batches for training, ordered ones otherwise."""
        if training:
            return TrainWindows(
                dataset, self.batch_size, self.random_state_, self.time_budget_, self.processes
            )
        return OrderedWindows(dataset, INFERENCE_BATCH_SIZE)

    def infer(self, x: dict[str, Tensor], **fit_params: Any) -> Forecast:  # type: ignore[override]
        """Forecast of one batch."""
        if self.autocast_dtype is None:
            return self.module_(**x)
        with torch.autocast(torch.device(self.device).type, self.autocast_dtype):
            forecast = self.module_(**x)
        return forecast._replace(raw=forecast.raw.float(), shift=forecast.shift.float())

    def steps_of(self, inputs: dict[str, Tensor]) -> int:
        """Count the patches that the recurrence reads."""
        return inputs["past"].numel() // self.module_.patch_length

    def get_loss(
        self, y_pred: Any, y_true: Tensor, X: Any = None, training: bool = False
    ) -> Tensor:
        """Mean of the network's loss over all steps whose truth is known."""
        loss = self.module_.loss(y_pred, y_true)
        return loss.sum() / _n_known(y_true).clamp(min=1)

    def weight_of(self, batch: Any) -> Tensor:
        """Count the steps that the mean loss of a batch is over."""
        return _n_known(batch[1])

    def forecast(
        self,
        dataset: WindowDataset | ArrayWindows,
        numbers: NDArray[np.integer],
        alpha: NDArray[np.float64],
        fill: bool = True,
    ) -> Windows:
        """Forecasts of windows given by number, in batches that are filled up or not."""
        parts = []
        self._set_training(False)
        starts = range(0, len(numbers), INFERENCE_BATCH_SIZE)
        own = repeatable(self.deterministic, self.device)
        with own_surroundings(), own, torch.inference_mode(), shared_cores():
            for i in starts:
                part = numbers[i : i + INFERENCE_BATCH_SIZE]
                filler = np.repeat(part[-1:], (INFERENCE_BATCH_SIZE - len(part)) * fill)
                inputs, target = dataset.batch(np.concatenate([part, filler]))
                forecast = run_in_parts(self, self.infer, inputs)
                quantiles = self.module_.quantiles(forecast, alpha.tolist()) if len(alpha) else None
                batch = (
                    self.module_.predict(forecast),
                    target.new_zeros(*target.shape, 0) if quantiles is None else quantiles,
                    forecast.scale,
                    inputs["past"],
                    target,
                )
                parts.append([tensor[: len(part)].cpu().double().numpy() for tensor in batch])
        return Windows(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _n_known(target: Tensor) -> Tensor:
    return target.isfinite().sum()
