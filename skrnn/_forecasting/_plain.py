"""Plain: a fitted forecaster as plain values and arrays, for predictors of other libraries."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._forecasting._clock import Clock
from skrnn._forecasting._covariates import _Categories
from skrnn._forecasting._inputs import Inputs
from skrnn._forecasting._model import ForecastModel
from skrnn._forecasting._rolling import Beginning
from skrnn._training import network_to_state
from skrnn.nn.specs import FORECAST_DEFAULTS

_CLOCK = ("kind", "freq", "unit", "step", "phase", "time_of_day")


def plain_forecaster(
    name: str, model: ForecastModel, beginning: Beginning, clock: Clock
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Describe a fitted forecaster.

    Parameters
    ----------
    name : str
        Its class.

    model : ForecastModel
        The fitted model.

    beginning : Beginning
        Where its series end.

    clock : Clock
        What their ticks mean.

    Returns
    -------
    options : dict
        What is no array.

    arrays : dict of ndarray
        Copies of weights, scales and the ends of the series.

    Raises
    ------
    ValueError
        If a part is of the user's own, or a category of X of a type that no file holds.
    """
    cell = model.options.spec["cell"]
    if not isinstance(cell, str):
        raise ValueError(
            f"this {name} cannot be computed without torch: cell={cell.__name__} is of your own, "
            "use a built-in one."
        )
    learned, inputs = beginning.learned, model.inputs
    spec = {**FORECAST_DEFAULTS, **model.options.spec}
    del spec["dropout"]
    options = {
        "name": name,
        "spec": {key: _plain(value) for key, value in spec.items()},
        "n_networks": len(model.nets),
        "n_columns": learned.n_columns,
        "distribution": learned.distribution,
        "missing": beginning.missing,
        "keys": [_key(key) for key in beginning.keys],
        "steps": beginning.steps.tolist(),
        "guard": dict(learned.guard.weights),
        "columns": _columns(inputs),
        "cycles": list(inputs.calendar.cycles),
        "clock": _clock(clock) if inputs.calendar.cycles else None,
    }
    return options, _arrays(model, beginning)


def _arrays(model: ForecastModel, beginning: Beginning) -> dict[str, NDArray[Any]]:
    learned, ends = beginning.learned, beginning.ends
    arrays = {
        "transform.log": learned.transform.log,
        "transform.offset": learned.transform.offset,
        "transform.season": learned.transform.season,
        "least": learned.least,
        "constant": learned.constant,
        "ends.values": ends.values,
        "ends.ticks": ends.ticks,
        "ends.known": beginning.known,
    }
    arrays |= {f"ends.{k}": v for k, v in ends.covariates.items() if k != "future"}
    if learned.calibration is not None:
        arrays["calibration.shift"] = learned.calibration.shift
    for i, net in enumerate(model.nets):
        arrays |= {f"net{i}.{k}": v for k, v in network_to_state(net.module_).items()}
    return {name: np.array(array) for name, array in arrays.items()}


def _columns(inputs: Inputs) -> list[dict[str, Any]]:
    """Columns of X that change in time, and how each is encoded."""
    encoder = inputs.encoder
    if encoder is None:
        return []
    found = []
    for name in [*encoder.known_, *encoder.past_]:
        encoding = encoder.encodings_[name]
        column: dict[str, Any] = {"name": _key(name), "known": name in encoder.known_}
        if isinstance(encoding, _Categories):
            column["categories"] = [_category(value, name) for value in encoding.categories]
        else:
            column |= {"mean": encoding.mean, "scale": encoding.scale}
            column["missing"] = encoding.had_missing
        found.append(column)
    return found


def _clock(clock: Clock) -> dict[str, Any]:
    written = {name: getattr(clock, name) for name in _CLOCK}
    return written | {"tz": None if clock.tz is None else str(clock.tz)}


def _key(key: Hashable) -> Any:
    """Name of a series or column in the types that files know; others as text."""
    if isinstance(key, tuple):
        return [_key(part) for part in key]
    key = key.item() if isinstance(key, np.generic) else key
    return key if key is None or isinstance(key, str | int | float) else str(key)


def _category(value: Any, name: Hashable) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, str | int | float):
        return value
    raise ValueError(
        f"X column {name!r} holds categories of the type {type(value).__name__}, which cannot be "
        "computed without pandas; turn them into text or numbers before fit."
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(_plain(item) for item in value)
    return value.item() if isinstance(value, np.generic) else value
