"""Files of forecasters: their description is checked before anything is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._forecasting._calibration import LEVELS
from skrnn._numpy.cells import CELLS
from skrnn._numpy.forecast import DECODERS, SCALINGS, shapes_of_forecast, vector_size
from skrnn._numpy.heads import HEADS
from skrnn._numpy.model import prefix_of
from skrnn._numpy.network import layer_sizes
from skrnn.export._checks import check_layers, check_levels, is_size, require
from skrnn.export._forecast_features import sizes_of

__all__ = ["checked_forecaster"]

LOSSES = (
    "absolute_error",
    "huber",
    "negative_binomial",
    "normal",
    "quantile",
    "squared_error",
    "student_t",
)
CYCLES = ("day of week", "day of year", "hour of day", "month of year")
MEMBERS = ("network", "seasonal_naive", "theta")
#: Steps ahead that a file may ask for.
MOST_STEPS = 10**6


def checked_forecaster(
    document: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> dict[str, Any]:
    """Options of a forecaster, whose arrays are all there and none besides.

    Raises
    ------
    NotOurFile
        If the description is none, or the arrays do not fit it.
    """
    options = {k: v for k, v in document.items() if k not in ("kind", "written_by")}
    spec = options["spec"] = _checked_spec(options["spec"], len(arrays))
    n_networks = options["n_networks"]
    require(is_size(n_networks) and n_networks <= len(arrays), "n_networks", n_networks)
    require(isinstance(options["name"], str), "name", options["name"])
    require(is_size(options["n_columns"]), "n_columns", options["n_columns"])
    for name in ("distribution", "missing"):
        require(type(options[name]) is bool, name, options[name])
    keys = options["keys"]
    require(isinstance(keys, list) and len(keys) > 0 and all(map(_is_key, keys)), "keys", keys)
    steps = options["steps"]
    good = isinstance(steps, list) and len(steps) > 0 and all(map(is_size, steps))
    require(good and max(steps) <= MOST_STEPS, "steps", steps)
    _check_guard(options["guard"])
    _check_features(options, spec)
    expected = _expected(options, arrays)
    found = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    for name in sorted(set(found) | set(expected)):
        require(found.get(name) == expected.get(name), name, found.get(name))
    _check_values(options, arrays)
    return options


def _checked_spec(spec: dict[str, Any], n_arrays: int) -> dict[str, Any]:
    check_layers(spec)
    # Every layer has weights; what has none is not even listed.
    require(spec["num_layers"] <= n_arrays, "num_layers", spec["num_layers"])
    require(len(layer_sizes(spec)) <= n_arrays, "hidden_size", spec["hidden_size"])
    for name in ("window_length", "horizon", "patch_length", "period"):
        require(is_size(spec[name]), name, spec[name])
    whole = spec["window_length"] % spec["patch_length"] == 0
    require(whole, "patch_length", spec["patch_length"])
    tables: dict[str, Any] = {
        "cell": [name for name in CELLS if name != "grud"],
        "head": [name for name in LOSSES if name in HEADS],
        "dtype": ("float32", "float64"),
        "nonlinearity": ("tanh", "relu"),
        "decoder": DECODERS,
        "scaling": SCALINGS,
    }
    for name, table in tables.items():
        require(isinstance(spec[name], str) and spec[name] in table, name, spec[name])
    require(type(spec["shortcut"]) is bool, "shortcut", spec["shortcut"])
    check_levels(spec["quantiles"])
    for name in ("past", "future", "static"):
        size = spec[name]
        require(isinstance(size, list) and len(size) == 2, name, size)
        numbers, codes = size
        require(type(numbers) is int and numbers >= 0, name, size)
        good = isinstance(codes, list) and len(codes) <= n_arrays and all(map(is_size, codes))
        require(good, name, size)
        spec[name] = (numbers, tuple(codes))
    return spec


def _check_guard(guard: Any) -> None:
    good = isinstance(guard, dict) and sorted(guard) == sorted(MEMBERS)
    require(good and all(type(w) is float and 0 <= w <= 1 for w in guard.values()), "guard", guard)


def _check_features(options: Mapping[str, Any], spec: Mapping[str, Any]) -> None:
    columns, cycles, clock = options["columns"], options["cycles"], options["clock"]
    require(isinstance(cycles, list) and all(cycle in CYCLES for cycle in cycles), "cycles", cycles)
    require(isinstance(columns, list), "columns", columns)
    for column in columns:
        numbers = {"mean": float, "scale": float, "missing": bool}
        kinds = {"known": bool, **({} if "categories" in column else numbers)}
        require(_is_key(column["name"]), "columns", column)
        require(all(type(column[k]) is kind for k, kind in kinds.items()), "columns", column)
        if "categories" in column:
            categories = column["categories"]
            good = isinstance(categories, list)
            good = good and all(isinstance(value, str | int | float) for value in categories)
            require(good, "columns", column)
        else:
            require(column["scale"] > 0, "columns", column)
    for name, size in sizes_of(columns, cycles).items():
        require(spec[name] == size, name, spec[name])
    if not cycles:
        require(clock is None, "clock", clock)
        return
    of_clock = {
        "kind": str,
        "freq": str,
        "unit": str,
        "step": int,
        "phase": int,
        "time_of_day": int,
    }
    require(isinstance(clock, dict) and set(clock) == {*of_clock, "tz"}, "clock", clock)
    require(all(type(clock[name]) is kind for name, kind in of_clock.items()), "clock", clock)
    good = clock["kind"] in ("period", "datetime") and clock["unit"] in ("s", "ms", "us", "ns")
    require(good and (clock["tz"] is None or isinstance(clock["tz"], str)), "clock", clock)


def _expected(
    options: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> dict[str, tuple[tuple[int, ...], Any]]:
    """Shape and type of every array."""
    spec, dtype = options["spec"], np.dtype(options["spec"]["dtype"])
    shapes = shapes_of_forecast(spec)
    expected: dict[str, tuple[tuple[int, ...], Any]] = {
        f"{prefix_of(i)}.{name}": (shape, dtype)
        for i in range(options["n_networks"])
        for name, shape in shapes.items()
    }
    n_series, n_columns = len(options["keys"]), options["n_columns"]
    float64, each = np.dtype(np.float64), (n_series, n_columns)
    expected |= {
        "transform.log": (each, np.dtype(bool)),
        "transform.offset": (each, float64),
        "transform.season": ((*each, spec["period"]), float64),
        "least": (each, float64),
        "constant": (each, np.dtype(bool)),
        "ends.values": ((n_series, spec["window_length"], n_columns), float64),
        "ends.ticks": ((n_series,), np.dtype(np.int64)),
        "ends.known": (each, float64),
    }
    float32 = np.dtype(np.float32)
    if vector_size(spec["past"]):
        width = spec["past"][0] + len(spec["past"][1])
        expected["ends.past"] = ((n_series, spec["window_length"], width), float32)
    if vector_size(spec["static"]):
        # The column of a window is the last of its categories.
        width = spec["static"][0] + len(spec["static"][1]) - (n_columns > 1)
        expected["ends.static"] = ((n_series, width), float32)
    if "calibration.shift" in arrays:
        expected["calibration.shift"] = ((spec["horizon"], len(LEVELS)), float64)
    return expected


def _check_values(options: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Check what is looked up with values of arrays."""
    for name, size in (("past", options["spec"]["past"]), ("static", options["spec"]["static"])):
        if f"ends.{name}" in arrays:
            codes = arrays[f"ends.{name}"][..., size[0] :]
            limits = np.array(size[1][: codes.shape[-1]])
            good = bool(((codes >= 0) & (codes < limits)).all())
            require(good, f"ends.{name}", "a code of no category")
    if options["n_columns"] > 1:
        codes_of_columns = options["spec"]["static"][1][-1:]
        require(codes_of_columns == (options["n_columns"] + 1,), "n_columns", options["n_columns"])


def _is_key(key: Any) -> bool:
    if isinstance(key, list):
        return all(map(_is_key, key))
    return key is None or isinstance(key, str | int | float)
