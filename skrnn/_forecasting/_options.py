"""Options: the forecaster's parameters, by what they are about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from sklearn.base import clone

from skrnn._forecasting._net import ForecastNet
from skrnn._training import TrainingPlan, resolve_device, resolve_optimizer, resolve_precision
from skrnn.nn import ForecastNetwork


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
    batch_size: int
    gradient_clip_value: float | None
    max_time: float | None
    n_iter_no_change: int
    tol: float
    callbacks: Any
    device: Any
    dtype: str
    precision: str
    verbose: int
    nested: Mapping[str, Mapping[str, Any]]

    @property
    def resolved_device(self) -> torch.device:
        """Device of this machine that the parameter stands for."""
        return resolve_device(self.device)

    def make_net(
        self, network: ForecastNetwork, seed: int, device: torch.device | None = None
    ) -> ForecastNet:
        """Put a network into an initialized skorch net."""
        # A device that is missing where a model was loaded takes its mixed precision with it.
        moved = device is not None and device != self.resolved_device
        precision = "float32" if moved else self.precision
        device = self.resolved_device if device is None else device
        prefixed = {
            f"{prefix}{name}": value
            for prefix in ("optimizer__", "callbacks__")
            for name, value in self.nested.get(prefix, {}).items()
        }
        net = ForecastNet(
            network,
            optimizer=resolve_optimizer(self.optimizer),
            lr=self.lr,
            max_epochs=self.max_epochs,
            batch_size=self.batch_size,
            gradient_clip_value=self.gradient_clip_value,
            autocast_dtype=resolve_precision(precision, device, self.dtype),
            callbacks=[clone(callback, safe=False) for callback in self.callbacks or []],
            device=str(device),
            seed=seed,
            train_split=None,
            verbose=0,
            **prefixed,
        )
        return net.initialize()

    def plan(self, watched: bool, max_time: float | None) -> TrainingPlan:
        """Schedule and limits of one training."""
        return TrainingPlan(
            lr_schedule=self.lr_schedule,
            lr_schedule_params=dict(self.nested.get("lr_schedule__", {})),
            max_time=max_time,
            patience=self.n_iter_no_change if watched else None,
            tol=self.tol,
            verbose=int(self.verbose),
        )
