"""Fitting: one seed for all processes, and the folder in which the training is written down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from skrnn._forecasting._history import History
from skrnn._forecasting._model import ForecastModel
from skrnn._resuming import is_written
from skrnn._training import Checkpoints, processes_of


def fit_model(model: ForecastModel, history: History, params: Mapping[str, Any]) -> ForecastModel:
    """Fit a model, or go on where a fit of the same data and parameters was cut short.

    Parameters
    ----------
    model : ForecastModel
        Not fitted.

    history : History
        What it learns from.

    params : mapping
        Parameters of the forecaster.

    Returns
    -------
    model : ForecastModel
        The same, fitted. After Ctrl-C, and after an error, what was written down is kept.
    """
    seed = agreed_seed(history, params)
    if not is_written(params["checkpoint_dir"], params["resume"]):
        return model.fit(history.panel, history.arrays(), seed)
    checkpoints = Checkpoints(
        params["checkpoint_dir"],
        # What `fh` asks for is learned as the horizon.
        {**params, "horizon": model.horizon},
        compared(history),
        params["resume"],
        processes_of(params["accelerator"]),
        seed,
    )
    try:
        model.fit(history.panel, history.arrays(), checkpoints.seed, checkpoints)
    except BaseException:
        checkpoints.close()
        raise
    if model.interrupted is None:
        checkpoints.remove()
    else:
        checkpoints.close()
    return model


def agreed_seed(history: History, params: Mapping[str, Any]) -> int:
    """Seed of the first process, when all of them are about to train on the same data."""
    processes = processes_of(params["accelerator"])
    processes.compare(params, compared(history) if processes.size > 1 else {})
    seed = check_random_state(params["random_state"]).randint(np.iinfo(np.int32).max)
    return int(processes.agreed(seed))


def compared(history: History) -> dict[str, NDArray[Any] | None]:
    """All that a training reads, by what it is called."""
    panel, arrays = history.panel, history.arrays()
    return {
        "y": panel.values,
        "the lengths of the series": panel.lengths,
        "the index of y": panel.first_ticks,
        **{f"X ({name})": arrays.get(name) for name in ("past", "future", "static")},
    }
