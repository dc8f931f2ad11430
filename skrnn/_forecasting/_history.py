"""History: everything a fitted forecaster remembers, the series and their covariates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skrnn._forecasting._explain import missing_rows
from skrnn._forecasting._inputs import Inputs
from skrnn._forecasting._model import Covariates
from skrnn._forecasting._panel import Panel, panel_index, rows_between


@dataclass(frozen=True)
class History:
    """Series with what is known beside them.

    Parameters
    ----------
    panel : Panel
        The series.

    inputs : Inputs
        How X is read.

    covariates : Panel or None
        Encoded columns of X that change in time.

    statics : ndarray of shape (n_series, n_features)
        Encoded columns of X that do not.
    """

    panel: Panel
    inputs: Inputs
    covariates: Panel | None
    statics: NDArray[np.float32]

    @classmethod
    def of(cls, panel: Panel, X: pd.DataFrame | None, inputs: Inputs) -> History:
        """Read X for a panel.

        Raises
        ------
        ValueError
            If X is missing although the inputs have columns of it.
        """
        if X is None and inputs.encoder is not None:
            raise ValueError(f"fitted with X columns {inputs.encoder.columns_}; got no X.")
        inputs.refuse_unread(X)
        covariates = _until_the_end(inputs.read(X, panel.clock, past=True), panel)
        return cls(panel, inputs, covariates, inputs.statics(X, panel.keys))

    def extend(self, newer: Panel, X: pd.DataFrame | None, gaps: Any) -> History:
        """Add newer steps, and series that were not known before."""
        if self.inputs.encoder is not None:
            index = panel_index([newer.ticks(i) for i in range(newer.n_series)], newer)
            absent = missing_rows(index[:0] if X is None else X.index, index)
            if absent:
                raise ValueError(
                    f"fitted with X columns {self.inputs.encoder.columns_}; X has no rows for "
                    f"{absent}."
                )
        self.inputs.refuse_unread(X)
        panel = self.panel.extend(newer, gaps)
        more = _until_the_end(self.inputs.read(X, panel.clock, past=True), panel)
        covariates = self.covariates
        if covariates is not None and more is not None:
            covariates = covariates.extend(more, "mask")
        fresh = self.inputs.statics(X, panel.keys)
        statics = np.zeros((panel.n_series, self.statics.shape[1]), dtype=np.float32)
        old = {key: i for i, key in enumerate(self.panel.keys)}
        for i, key in enumerate(panel.keys):
            if key in old:
                statics[i] = self.statics[old[key]]
            elif fresh.shape[1]:
                statics[i] = fresh[i]
        return replace(self, panel=panel, covariates=covariates, statics=statics)

    def take(self, indices: NDArray[np.integer]) -> History:
        """Part with the series at `indices` only."""
        return replace(self, panel=self.panel.take(indices), statics=self.statics[indices])

    def arrays(self) -> Covariates:
        """Features of all steps of all series."""
        return self._arrays((self.panel.first_ticks, self.panel.lengths), None)

    def arrays_ahead(self, spans: tuple[NDArray, NDArray], future: Panel | None) -> Covariates:
        """Features of spans of time that reach into the future.

        Before the start of a series they are 0, as in the windows the networks were trained on.
        """
        arrays = self._arrays(spans, future)
        first, n_steps = spans
        ticks = np.repeat(first - (np.cumsum(n_steps) - n_steps), n_steps)
        before = ticks + np.arange(len(ticks)) < np.repeat(self.panel.first_ticks, n_steps)
        for name in ("past", "future"):
            if name in arrays:
                arrays[name][before] = 0.0
        return arrays

    def _arrays(self, spans: tuple[NDArray, NDArray], future: Panel | None) -> Covariates:
        panel = self.panel
        return self.inputs.arrays(
            panel.clock, spans, panel.keys, self.covariates, future, self.statics
        )


def _until_the_end(covariates: Panel | None, panel: Panel) -> Panel | None:
    """Covariates up to the last step of their series: of later ones only a forecast is told."""
    if covariates is None:
        return None
    first = covariates.first_ticks
    ends = dict(zip(panel.keys, panel.last_ticks.tolist(), strict=True))
    last = [ends.get(k, tick - 1) for k, tick in zip(covariates.keys, first.tolist(), strict=True)]
    stop = np.clip(np.array(last) + 1 - first, 0, covariates.lengths)
    known = np.flatnonzero(stop > 0)
    return rows_between(covariates, np.zeros_like(stop), stop).take(known) if len(known) else None
