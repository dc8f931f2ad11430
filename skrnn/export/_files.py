"""Files of predictors: arrays and a checked description, never code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._numpy.cells import CELLS
from skrnn._numpy.heads import HEADS
from skrnn._numpy.model import prefix_of
from skrnn._numpy.network import shapes_of
from skrnn._numpy.pooling import POOLS
from skrnn._numpy.reading import CHARACTER_ENCODERS
from skrnn._persistence._atomic import write_atomically
from skrnn._persistence._container import NotOurFile, pack, unpack
from skrnn.export._checks import check_layers, check_levels, is_size, require

__all__ = ["load_numpy", "write_predictor"]

KIND, FORECASTER = "numpy predictor", "numpy forecaster"
DTYPES = ("float32", "float64")


def write_predictor(
    options: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], path: str | os.PathLike[str]
) -> None:
    """Write what a predictor is made of."""
    kind = FORECASTER if "steps" in options else KIND
    document, stored = {"kind": kind, **options}, dict(arrays)
    if "classes" in options:
        document["classes"] = _write_classes(options["classes"], stored)
    write_atomically(path, pack(document, stored))


def load_numpy(path: str | os.PathLike[str]) -> Any:
    """Load a predictor that was saved, without torch.

    Parameters
    ----------
    path : str or path-like
        A file that :meth:`NumpyClassifier.save`, :meth:`NumpyRegressor.save` or
        :meth:`NumpyForecaster.save` wrote.

    Returns
    -------
    predictor : NumpyClassifier, NumpyRegressor or NumpyForecaster
        The predictor.

    Raises
    ------
    ValueError
        If it is no such file, was cut off or changed, or a later skrnn wrote it.

    OSError
        If the file cannot be read.

    See Also
    --------
    to_numpy : Makes a predictor of a fitted estimator.

    Notes
    -----
    Loading runs nothing and imports nothing that the file names. Everything in the file is checked
    before it is used: its sha256, the description against a table of what may be in it, and the
    shapes of the weights against the description.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from skrnn import RNNRegressor
    >>> from skrnn.export import load_numpy, to_numpy
    >>> X = np.random.default_rng(0).normal(size=(40, 6, 2))
    >>> reg = RNNRegressor(hidden_size=8, max_epochs=3, random_state=0).fit(X, X[:, -1, 0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     to_numpy(reg).save(Path(folder) / "model.safetensors")
    ...     predictor = load_numpy(Path(folder) / "model.safetensors")
    >>> np.allclose(predictor.predict(X), reg.predict(X), atol=1e-5)
    True
    """
    # The classes write files, and so import this module.
    from skrnn.export._forecast_files import checked_forecaster
    from skrnn.export._forecasters import NumpyForecaster
    from skrnn.export._predictors import NumpyClassifier, NumpyRegressor

    document, found = unpack(path)
    arrays = {name: array.astype(array.dtype.newbyteorder("=")) for name, array in found.items()}
    if document.get("kind") not in (KIND, FORECASTER):
        raise NotOurFile(
            f"{os.fspath(path)!r} holds no predictor of numpy; read files of estimators with "
            "skrnn.load."
        )
    try:
        if document["kind"] == FORECASTER:
            return NumpyForecaster(checked_forecaster(document, arrays), arrays)
        options = _checked(document, arrays)
    except (KeyError, TypeError, AttributeError) as error:
        raise NotOurFile(f"{os.fspath(path)!r} describes no predictor: {error!r}.") from error
    return (NumpyClassifier if "classes" in options else NumpyRegressor)(options, arrays)


def _checked(document: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Options of a predictor, whose arrays are all there and none besides."""
    options = {k: v for k, v in document.items() if k not in ("kind", "written_by")}
    spec = options["spec"] = _checked_spec(options["spec"])
    n_networks, n_outputs = options["n_networks"], spec["n_outputs"]
    require(is_size(n_networks) and n_networks <= len(arrays), "n_networks", n_networks)
    # Every layer has weights; what has none is not even listed.
    n_layers, sizes = spec["num_layers"], spec["hidden_size"]
    require(n_networks * n_layers <= len(arrays), "num_layers", n_layers)
    n_layers = len(sizes) if isinstance(sizes, tuple) else n_layers
    require(n_networks * n_layers <= len(arrays), "hidden_size", sizes)
    require(options["empty"] in ("error", "zero_state"), "empty", options["empty"])
    require(isinstance(options["name"], str), "name", options["name"])
    require(is_size(options["n_channels"], or_none=True), "n_channels", options["n_channels"])
    dtype = np.dtype(spec["dtype"])
    # All weights are of one type; which features are known is no weight.
    expected = {
        f"{prefix_of(i)}.{name}": (shape, np.dtype(bool) if name == "irregular.known" else dtype)
        for i in range(n_networks)
        for name, shape in shapes_of(spec).items()
    }
    if "classes" in options:
        require(type(options["multilabel"]) is bool, "multilabel", options["multilabel"])
        options["classes"] = _read_classes(options["classes"], arrays)
        require(options["classes"].shape == (n_outputs,), "classes", options["classes"].shape)
    else:
        for name in ("one_output", "calibrate"):
            require(type(options[name]) is bool, name, options[name])
        require(isinstance(options["loss"], str), "loss", options["loss"])
        float64 = np.dtype(np.float64)
        expected |= {f"scaling.{name}": ((n_outputs,), float64) for name in ("scale", "mean")}
        if "residuals.raw" in arrays:
            raw_size = n_networks * len(arrays["net0.head.projection.bias"])
            n_values = len(arrays["residuals.raw"])
            expected["residuals.raw"] = ((n_values, raw_size), float64)
            expected["residuals.target"] = ((n_values, n_outputs), float64)
    found = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    for name in sorted(set(found) | set(expected)):
        require(found.get(name) == expected.get(name), name, found.get(name))
    return options


def _checked_spec(spec: dict[str, Any]) -> dict[str, Any]:
    check_layers(spec)
    for name in ("n_features", "attention_heads", "n_outputs"):
        require(is_size(spec[name]), name, spec[name])
    tables: dict[str, Any] = {
        "cell": CELLS,
        "head": HEADS,
        "dtype": DTYPES,
        "nonlinearity": ("tanh", "relu"),
    }
    for name, table in tables.items():
        require(isinstance(spec[name], str) and spec[name] in table, name, spec[name])
    pooling = spec["pooling"]
    kinds = [] if pooling is None else pooling
    known = isinstance(kinds, list) and all(isinstance(k, str) and k in POOLS for k in kinds)
    require(known and (pooling is None or len(kinds) > 0), "pooling", pooling)
    spec["pooling"] = None if pooling is None else tuple(kinds)
    require(type(spec["bidirectional"]) is bool, "bidirectional", spec["bidirectional"])
    check_levels(spec["quantiles"])
    _check_ids(spec)
    _check_irregular(spec)
    _check_frontend(spec)
    return spec


def _check_ids(spec: dict[str, Any]) -> None:
    encoder = spec["character_encoder"]
    tokens, characters = spec["embedding_dim"] is not None, encoder is not None
    for name in ("embedding_dim", "vocabulary_size"):
        require(is_size(spec[name], or_none=not tokens), name, spec[name])
    known = encoder is None or (isinstance(encoder, str) and encoder in CHARACTER_ENCODERS)
    require(known and (tokens or not characters), "character_encoder", encoder)
    for name in ("character_dim", "character_vocabulary_size"):
        require(is_size(spec[name], or_none=not characters), name, spec[name])
    good = not tokens or (spec["n_features"] > 1 if characters else spec["n_features"] == 1)
    require(good, "n_features", spec["n_features"])


def _check_irregular(spec: dict[str, Any]) -> None:
    missing, channel, n_features = (spec[k] for k in ("missing", "time_channel", "n_features"))
    tokens = spec["embedding_dim"] is not None
    require(missing is None or (missing == "mask" and not tokens), "missing", missing)
    good = type(channel) is int and 0 <= channel < n_features and not tokens
    # With a mask there is a value beside the time.
    good = good and (missing is None or n_features > 1)
    require(channel is None or good, "time_channel", channel)
    decays = spec["cell"] == "grud"
    good = missing is not None and spec["frontend"] is None and not spec["bidirectional"]
    require(good or not decays, "cell", spec["cell"])


def _check_frontend(spec: dict[str, Any]) -> None:
    name, stride, sizes = (spec[key] for key in ("frontend", "frontend_stride", "frontend_sizes"))
    require(name in (None, "patch", "conv"), "frontend", name)
    good = is_size(stride, or_none=name != "patch")
    if name == "conv" and isinstance(stride, list):
        good = len(stride) == 2 and all(map(is_size, stride))
    require(good, "frontend_stride", stride)
    good = sizes is None or (isinstance(sizes, list) and 0 < len(sizes) < 100)
    require(good and all(map(is_size, sizes or [])), "frontend_sizes", sizes)


def _write_classes(classes: NDArray[Any], arrays: dict[str, NDArray[Any]]) -> Any:
    if classes.dtype.kind in "biuf" and classes.dtype.itemsize <= 8:
        arrays["classes"] = classes
        return None
    values = classes.tolist()
    if not all(isinstance(value, str | int | float | bool) for value in values):
        kinds = sorted({type(value).__name__ for value in values})
        raise TypeError(
            f"labels of the type {', '.join(kinds)} cannot be written to a file; use text or "
            "numbers as labels."
        )
    return {"text": classes.dtype.kind == "U", "values": values}


def _read_classes(written: Any, arrays: dict[str, NDArray[Any]]) -> NDArray[Any]:
    if written is None:
        return arrays.pop("classes")
    values = written["values"]
    require(isinstance(values, list), "classes", values)
    if written["text"] is True:
        require(all(isinstance(value, str) for value in values), "classes", values)
        return np.array(values, dtype=np.str_)
    require(all(isinstance(v, str | int | float) for v in values), "classes", values)
    classes = np.empty(len(values), dtype=object)
    classes[:] = values
    return classes
