"""Model: from a panel to trained networks, their guard and calibration, and back to forecasts."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._forecasting import _sizes
from skrnn._forecasting._calibration import LEVELS, HorizonCalibration
from skrnn._forecasting._dataset import ArrayWindows, Buffers, Origins, WindowDataset
from skrnn._forecasting._guard import Guard, compare, error_scale
from skrnn._forecasting._inputs import Inputs
from skrnn._forecasting._learned import Learned, Windows
from skrnn._forecasting._members import (
    enough_epochs,
    net_from_state,
    net_state,
    train_member,
)
from skrnn._forecasting._net import ForecastNet
from skrnn._forecasting._options import ModelOptions, TrainingOptions
from skrnn._forecasting._panel import Panel
from skrnn._forecasting._scales import is_constant, least_scales
from skrnn._forecasting._transform import learn_transform
from skrnn._parameters import torch_dtype
from skrnn._training import Checkpoints, MemberCheckpoints, Snapshots

# Windows of the validation tail that are looked at after every epoch, and by guard and calibration.
MOST_VALIDATION_WINDOWS = 1024

Covariates = dict[str, NDArray[np.float32]]

_NOWHERE: Iterator[None] = itertools.repeat(None)


@dataclass
class ForecastModel:
    """Networks that forecast all series of a panel.

    Parameters
    ----------
    options : ModelOptions
        What to build.

    training : TrainingOptions
        How to train it.

    inputs : Inputs
        What the networks read beside the series.

    Attributes
    ----------
    nets : list of ForecastNet
        The trained networks.

    transform : SeriesTransform
        Scale on which each series is modelled.

    least : ndarray of shape (n_series, n_columns)
        Least scale of the windows of each series.

    constant : ndarray of bool of shape (n_series, n_columns)
        Which series never changed.

    guard : Guard
        Weights of the networks and of simpler forecasts.

    calibration : HorizonCalibration or None
        Correction of the quantiles.

    interrupted : KeyboardInterrupt or None
        Ctrl-C during training, to be raised again.
    """

    options: ModelOptions
    training: TrainingOptions
    inputs: Inputs
    nets: list[ForecastNet] = field(default_factory=list)
    transform: Any = None
    least: Any = None
    constant: Any = None
    guard: Guard = field(default_factory=Guard)
    calibration: HorizonCalibration | None = None
    interrupted: KeyboardInterrupt | None = None

    @property
    def horizon(self) -> int:
        """Steps that are forecast at once."""
        return self.options.spec["horizon"]

    @property
    def period(self) -> int:
        """Steps in one season."""
        return self.options.spec["period"]

    @property
    def window_length(self) -> int:
        """Steps of the past that are read."""
        return self.options.spec["window_length"]

    def copy(self, accelerator: Any) -> ForecastModel:
        """Model with networks of its own, which trains in the processes of an accelerator."""
        model = copy.copy(self)
        model.training = replace(self.training, accelerator=accelerator)
        return model

    # -- fitting ------------------------------------------------------------------------------

    def fit(
        self,
        panel: Panel,
        covariates: Covariates,
        seed: int,
        checkpoints: Checkpoints | None = None,
    ) -> ForecastModel:
        """Train the networks, then judge and calibrate them on the tail of every series.

        Parameters
        ----------
        panel : Panel
            The series.

        covariates : dict of ndarray
            Features of all steps and series.

        seed : int
            Decides everything random.

        checkpoints : Checkpoints or None, default=None
            Where the training is written down, and what it goes on from.

        Returns
        -------
        self : ForecastModel
            The fitted model.
        """
        tails = self._tails(panel)
        buffers = self._learn(panel, covariates, panel.lengths - tails)
        validation = self._validation_set(buffers, tails)
        again = self._trains_again(tails)
        share = 1 / self.options.n_estimators / (2 if again else 1)
        written = _written(checkpoints)
        first = panel.lengths - tails
        self._train(buffers, first, validation, seed, share=share, written=written)
        if self.interrupted is None:
            self._judge(panel, buffers, validation)
        # Forecasts use the season as it is now, whether or not the networks train on the tail.
        buffers = self._learn(panel, covariates, panel.lengths)
        if again and self.interrupted is None and self.guard.weights["network"] > 0:
            epochs = [enough_epochs(net) for net in self.nets]
            everything = panel.lengths, None, seed
            self._train(buffers, *everything, share=share, epochs=epochs, written=written)
        return self

    def know(self, panel: Panel) -> None:
        """Learn the scales of a panel whose series are forecast, trained on or not."""
        self._learn(panel, {}, panel.lengths)

    def adapt(self, panel: Panel, covariates: Covariates) -> ForecastModel:
        """Judge and calibrate trained networks on another panel, and leave their weights alone."""
        tails = self._tails(panel)
        buffers = self._learn(panel, covariates, panel.lengths - tails)
        self._judge(panel, buffers, self._validation_set(buffers, tails))
        self._learn(panel, covariates, panel.lengths)
        return self

    def update(self, panel: Panel, covariates: Covariates, seed: int) -> ForecastModel:
        """Train the networks further on all of a panel, for a tenth of the epochs."""
        buffers = self._learn(panel, covariates, panel.lengths)
        epochs = [max(self.training.max_epochs // 10, 1)] * len(self.nets)
        share = 1 / len(self.nets)
        started = list(self.nets)
        self._train(buffers, panel.lengths, None, seed, share=share, epochs=epochs, start=started)
        return self

    def _tails(self, panel: Panel) -> NDArray[np.int64]:
        o = self.options
        if o.guard == "off" and not o.calibrate and not o.early_stopping:
            return np.zeros(panel.n_series, dtype=np.int64)
        return _sizes.tail_lengths(panel.lengths, self.horizon)

    def _trains_again(self, tails: NDArray) -> bool:
        return self.options.refit and bool(tails.any())

    def _learn(self, panel: Panel, covariates: Covariates, visible: NDArray) -> Buffers:
        """Learn transforms and least scales from the visible part, and transform everything."""
        seen = [panel.series(i)[: visible[i]] for i in range(panel.n_series)]
        self.transform = learn_transform(
            seen, panel.first_ticks, self.period, self.options.log, self.options.deseasonalize
        )
        values = self.transformed(panel)
        self.constant = np.array([is_constant(part) for part in seen])
        kind = self.options.spec["scaling"]
        self.least = least_scales(values, panel.offsets, visible, kind, self.period)
        return Buffers(values, panel.offsets, self.least, covariates)

    def transformed(self, panel: Panel) -> NDArray[np.float64]:
        """All values of a panel on the scale the networks see."""
        parts = [
            self.transform.forward(panel.series(i), i, panel.ticks(i))
            for i in range(panel.n_series)
        ]
        return np.concatenate(parts) if parts else panel.values

    def dataset(self, buffers: Buffers, origins: Origins, **further: Any) -> WindowDataset:
        """Windows of transformed series, on the device of the networks."""
        device = self.nets[0].device if self.nets else self.training.resolved_device
        dtype = torch_dtype(self.training.dtype)
        return WindowDataset(
            buffers,
            origins,
            self.window_length,
            self.horizon,
            device=device,
            dtype=dtype,
            **further,
        )

    def _validation_set(self, buffers: Buffers, tails: NDArray) -> WindowDataset | None:
        if tails.sum() == 0:
            return None
        first = buffers.lengths - tails
        stop = np.maximum(buffers.lengths - self.horizon + 1, first + 1)
        origins = Origins(first, np.where(tails > 0, stop, first), buffers.n_columns)
        numbers = origins.spread(MOST_VALIDATION_WINDOWS)
        return self.dataset(buffers, origins, numbers=numbers)

    def _train(
        self,
        buffers: Buffers,
        visible: NDArray,
        validation: WindowDataset | None,
        seed: int,
        *,
        share: float,
        epochs: Sequence[int] | None = None,
        start: Sequence[ForecastNet] | None = None,
        written: Iterator[Snapshots | None] = _NOWHERE,
    ) -> None:
        """Train every member on the windows of the visible part."""
        train_set, batch_size = self._train_set(buffers, visible)
        max_time = None if self.training.max_time is None else self.training.max_time * share
        watched = validation if self.options.early_stopping else None
        nets: list[ForecastNet] = []
        for k in range(self.options.n_estimators if start is None else len(start)):
            net, outcome = train_member(
                self.training,
                self.options.spec,
                (seed + k) % np.iinfo(np.int32).max,
                train_set,
                watched,
                batch_size=batch_size,
                start=None if start is None else start[k],
                epochs=None if epochs is None else epochs[k],
                max_time=max_time,
                checkpoints=next(written),
            )
            if outcome.interrupted is not None:
                self.interrupted = outcome.interrupted
                if outcome.restored:
                    nets.append(net)
                break
            nets.append(net)
        # Of members that an interrupt kept from being trained again the ones from before stay.
        self.nets = nets + self.nets[len(nets) :]

    def _train_set(self, buffers: Buffers, visible: NDArray) -> tuple[WindowDataset, int]:
        """Windows whose targets are all visible, or for short series mostly; and their batch."""
        full = visible - self.horizon + 1
        stop = np.minimum(np.maximum(full, visible // 2 + 1), visible)
        origins = Origins(np.ones_like(visible), np.maximum(stop, 1), buffers.n_columns)
        size = self.options.batch_size or _sizes.batch_size(len(origins))
        epoch_size = size * self.options.batches_per_epoch
        train_set = self.dataset(buffers, origins, epoch_size=epoch_size, visible=visible)
        return train_set, size

    # -- judging ------------------------------------------------------------------------------

    def _judge(self, panel: Panel, buffers: Buffers, validation: WindowDataset | None) -> None:
        """Compare with the seasonal naive forecast and calibrate, on the validation tail."""
        self.guard, self.calibration = Guard(), None
        if validation is None or len(validation) == 0:
            return
        numbers = np.asarray(validation.numbers)
        windows = self._run(validation, numbers, LEVELS)
        series, origin, column = validation.origins.at(numbers)
        ticks = (panel.first_ticks[series] + origin)[:, None] + np.arange(self.horizon)

        def in_units(values: NDArray) -> NDArray:
            return self.transform.backward(values, series, column, ticks)

        seen = [panel.series(i)[:stop] for i, stop in enumerate(validation.origins.first)]
        scale = np.array([error_scale(part, self.period) for part in seen])[series, column]
        # Neighbouring origins share most of their steps; every series has one window of its own.
        origins = validation.origins.counts[validation.origins.counts > 0]
        independent = panel.n_columns * float(np.maximum(origins / self.horizon, 1).sum())
        guard = compare(
            in_units(windows.truth),
            {name: in_units(values) for name, values in self.learned.members(windows).items()},
            scale[:, None],
            self.options.guard,
            independent,
        )
        # The guard says whether there is another training, which no process may enter alone.
        agreed = self.training.processes.agreed
        weights = {name: agreed(weight) for name, weight in guard.weights.items()}
        self.guard = replace(guard, weights=weights)
        if self.options.calibrate:
            blended = self.learned.blended(windows)
            # Without a distribution of its own the network has nothing to lean on.
            weight = independent if self.options.distribution else np.inf
            self.calibration = HorizonCalibration.of(
                blended.truth, blended.quantiles, blended.scale, weight
            )

    # -- forecasting --------------------------------------------------------------------------

    @property
    def learned(self) -> Learned:
        """What is known beside the networks."""
        return Learned(
            self.window_length,
            self.horizon,
            self.period,
            self.inputs.n_columns,
            self.options.spec["head"],
            self.options.distribution,
            self.options.counts,
            self.transform,
            self.least,
            self.constant,
            self.guard,
            self.calibration,
        )

    def networks(
        self, arguments: Mapping[str, NDArray], alpha: NDArray, fill: bool = True
    ) -> Windows:
        """Forecasts of the networks from the arguments of their `forward`, as arrays."""
        dtype = torch_dtype(self.training.dtype)
        windows = ArrayWindows(arguments, self.horizon, self.nets[0].device, dtype)
        return self._run(windows, np.arange(len(arguments["past"])), alpha, fill)

    def distribution(
        self, dataset: WindowDataset, numbers: NDArray[np.integer], alpha: NDArray, steps: int
    ) -> Windows:
        """Forecasts of windows, blended and calibrated, for the first `steps` of the horizon."""
        series, _, column = dataset.origins.at(numbers)
        windows = self._run(dataset, numbers, alpha)
        return self.learned.finished(windows, series, column, alpha, steps)

    def _run(
        self,
        dataset: WindowDataset | ArrayWindows,
        numbers: Any,
        alpha: NDArray,
        fill: bool = True,
    ) -> Windows:
        """Mean of the members: forecasts and quantiles."""
        members = [net.forecast(dataset, numbers, alpha, fill) for net in self.nets]
        point = np.mean([member.point for member in members], axis=0)
        quantiles = np.mean([member.quantiles for member in members], axis=0)
        return replace(members[0], point=point, quantiles=quantiles)

    # -- state --------------------------------------------------------------------------------

    def __getstate__(self) -> dict[str, Any]:
        state = {**self.__dict__, "interrupted": None}
        state["nets"] = [net_state(net) for net in self.nets]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.nets = [
            net_from_state(self.training, self.options.spec, saved) for saved in state["nets"]
        ]


def _written(checkpoints: Checkpoints | None) -> Iterator[Snapshots | None]:
    """Where each training of a fit is written down, those on everything after all others."""
    if checkpoints is None:
        return _NOWHERE
    return (MemberCheckpoints(checkpoints, number) for number in itertools.count())
