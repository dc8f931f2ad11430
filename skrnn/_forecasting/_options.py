"""Options: the forecaster's parameters, by what they are about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from skrnn._training import Alone, processes_of, resolve_device


@dataclass(frozen=True)
class ModelOptions:
    """The parameters of the forecaster that are not about training.

    `spec` is what :meth:`skrnn.nn.ForecastNetwork.build` reads; the others are parameters of the
    forecaster of the same names, with "auto" resolved where it depends on sizes only.
    """

    spec: dict[str, Any]
    log: bool | str
    deseasonalize: bool | str
    guard: str
    calibrate: bool
    refit: bool
    n_estimators: int
    batch_size: int | None
    batches_per_epoch: int
    early_stopping: bool
    counts: bool
    distribution: bool


@dataclass(frozen=True)
class TrainingOptions:
    """The parameters of the forecaster that say how a network is trained.

    Parameters are those of the forecaster of the same names; `nested` holds the ones with double
    underscores by their prefix.
    """

    optimizer: Any
    lr: float
    lr_schedule: Any
    max_epochs: int
    gradient_clip_value: float | None
    max_time: float | None
    n_iter_no_change: int
    tol: float
    callbacks: Any
    device: Any
    n_threads: int | str | None
    dtype: str
    precision: str
    verbose: int
    nested: Mapping[str, Mapping[str, Any]]
    accelerator: Any = None
    deterministic: bool = False

    @property
    def resolved_device(self) -> torch.device:
        """Device of this machine that the parameters stand for."""
        return resolve_device(self.device, self.accelerator)

    @property
    def processes(self) -> Alone:
        """Processes that train together."""
        return processes_of(self.accelerator)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "accelerator": None}
