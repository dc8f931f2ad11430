"""Start: where the streams of a fitted forecaster begin, and how they read what comes."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skrnn._forecasting._ahead import ends_of, spans_ahead
from skrnn._forecasting._clock import Clock
from skrnn._forecasting._inputs import Inputs
from skrnn._forecasting._model import ForecastModel
from skrnn._forecasting._record import Record
from skrnn._forecasting._rolling import Beginning, digest_of
from skrnn._training import network_to_state


@dataclass(frozen=True)
class StampFeatures:
    """Features of steps, from their time stamps and from rows of X.

    Parameters
    ----------
    inputs : Inputs
        Which features there are.

    clock : Clock
        Clock of the series.
    """

    inputs: Inputs
    clock: Clock

    @property
    def columns(self) -> list[Hashable]:
        """Columns of X that a step that has happened needs."""
        encoder = self.inputs.encoder
        return [] if encoder is None else [*encoder.known_, *encoder.past_]

    @property
    def columns_ahead(self) -> list[Hashable]:
        """Columns of X that a step to come needs."""
        return self.inputs.known

    def read(
        self, name: str, ticks: NDArray[np.integer], X: Any, columns: list[Hashable]
    ) -> NDArray[np.float32]:
        """Features of steps at `ticks`, whose columns of X are the columns of a 2-D array."""
        frame = None if X is None else pd.DataFrame(X, columns=columns)
        rows = self.inputs.rows(name, self.clock, ticks.ravel(), frame)
        return rows.reshape(*ticks.shape, rows.shape[1])


def moves_on(fh: Any) -> bool:
    """Whether a forecasting horizon is of numbers of steps from 1 on."""
    steps = fh.to_pandas()
    numbers = fh.is_relative and pd.api.types.is_integer_dtype(steps.dtype)
    return bool(numbers and (steps > 0).all())


def steps_ahead(fh: Any, horizon: int) -> NDArray[np.int64]:
    """Steps of a forecasting horizon that moves on with its series.

    Raises
    ------
    ValueError
        If it does not, or reaches into the past.
    """
    if fh is None:
        return np.arange(1, horizon + 1)
    steps = fh.to_pandas()
    if not moves_on(fh):
        raise ValueError(
            "a stream forecasts steps from 1 on, counted from the newest one, got "
            f"fh={steps.tolist()}; pass such steps as stream(fh=[1, 2, 3])."
        )
    return steps.to_numpy(dtype=np.int64)


def beginning_of(
    record: Record, model: ForecastModel, steps: NDArray[np.int64], missing: bool
) -> Beginning:
    """Where streams begin: at the ends of the series of a record."""
    history = record.recent
    panel = history.panel
    covariates = history.arrays_ahead(spans_ahead(model, panel, 0), None)
    ends = ends_of(model, panel, covariates, record.earlier)
    known = np.array(
        [
            [_last(ends.values[i, :, j], record, i, j) for j in range(panel.n_columns)]
            for i in range(panel.n_series)
        ]
    )
    return Beginning(
        learned=model.learned,
        # The number of streams stays the same, and with it the shape of a batch.
        networks=partial(model.networks, fill=False),
        ends=ends,
        known=known,
        features=StampFeatures(model.inputs, panel.clock),
        steps=steps,
        keys=panel.keys,
        digest=digest_of([network_to_state(net.module_) for net in model.nets], model.learned),
        missing=missing,
    )


def _last(window: NDArray[np.float64], record: Record, i: int, j: int) -> float:
    known = window[np.isfinite(window)]
    return float(known[-1]) if len(known) else record.earlier(i, j)
