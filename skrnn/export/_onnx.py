"""ONNX: a fitted estimator becomes a graph that any runtime of ONNX computes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._numpy.heads import normal_quantiles
from skrnn._numpy.model import prefix_of
from skrnn._numpy.network import under
from skrnn._persistence._atomic import write_atomically
from skrnn.export._graph import FLOAT, INT, Graph
from skrnn.export._network_graph import raw_of, steps_of
from skrnn.export._verifying import verify

__all__ = ["to_onnx"]

Weights = dict[str, NDArray[Any]]

#: Losses that no graph can answer with, and why not.
REFUSED = {"crf": "has no operator for best paths, use to_numpy or loss='cross_entropy'"}


def to_onnx(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Write a fitted classifier or regressor as an ONNX model.

    Parameters
    ----------
    estimator : RNNClassifier or RNNRegressor
        Fitted, of built-in cells, front ends and losses other than ``"crf"``.

    path : str or path-like
        The file. One that exists is replaced.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.

    TypeError
        If it is another kind of estimator.

    ValueError
        If it has parts that the graph cannot hold, which the message names.

    RuntimeError
        If a runtime does not compute from the graph what the estimator predicts. No file is
        written then.

    ImportError
        If the package onnx is not installed.

    See Also
    --------
    to_numpy : Predicts with numpy alone, with quantiles and streams too.

    Notes
    -----
    The graph has the inputs ``X``, float32 of shape (batch, time, n_features) or with token ids
    int64 of shape (batch, time), with those of characters (batch, time, 1 + n_characters), and
    ``lengths``, int64 of shape (batch,): the number of steps of each sequence. What lies behind
    them changes nothing. With ``missing="mask"`` NaN is a missing value. The feature that
    `time_channel` names holds times as in the estimator; float32 cannot tell large ones apart, so
    count them from the first step of each sequence. Its output is ``probabilities``, in the
    order of ``classes_`` that the metadata of the file hold as JSON, or ``prediction``. With
    ``return_sequences=True`` the output is per step and the one at padding means nothing.
    Computations are in float32.

    The operators are those of opset 17. Before the file is written, the graph is computed on three
    batches of random sequences, by onnxruntime if it is installed, else by the reference of onnx,
    and compared with the estimator: up to 1e-5, for numbers in units of the standard deviation of
    the training targets.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from skrnn import RNNClassifier
    >>> from skrnn.export import to_onnx
    >>> X = np.random.default_rng(0).normal(size=(40, 6, 2))
    >>> y = X[:, :, 0].sum(axis=1) > 0
    >>> clf = RNNClassifier(hidden_size=8, max_epochs=3, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     to_onnx(clf, Path(folder) / "model.onnx")
    ...     (Path(folder) / "model.onnx").stat().st_size > 1000
    True
    """
    # Whoever loads a predictor of numpy imports this module too, without torch and scikit-learn.
    from skrnn._exported import arrays_of, check_built_in, options_of

    check_built_in(estimator, "be written as ONNX", REFUSED)
    options = options_of(estimator)
    _check_installed()
    model = _model(options, arrays_of(estimator))
    verify(model, estimator, options)
    write_atomically(path, model.SerializeToString())


def _check_installed() -> None:
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise ImportError("to_onnx needs the package onnx: pip install 'skrnn[onnx]'.") from error


def _model(options: Mapping[str, Any], arrays: Weights) -> Any:
    from onnx import TensorProto, helper

    spec, graph = options["spec"], Graph()
    tokens = spec["embedding_dim"] is not None
    lone = tokens and spec["n_features"] == 1
    shape = ["batch", "time"] if lone else ["batch", "time", spec["n_features"]]
    kind = TensorProto.INT64 if tokens else TensorProto.FLOAT
    inputs = [
        helper.make_tensor_value_info("X", kind, shape),
        helper.make_tensor_value_info("lengths", TensorProto.INT64, ["batch"]),
    ]
    steps = steps_of(graph, "X", "lengths")
    answers = []
    for i in range(options["n_networks"]):
        weights = under(prefix_of(i), arrays)
        raw = raw_of(graph, spec, weights, "X", steps)
        answers.append(_answer(graph, spec, under("head", weights), raw))
    answer = answers[0] if len(answers) == 1 else graph.add("Mean", *answers)
    name, metadata = "probabilities", {"estimator": options["name"]}
    if "classes" in options:
        metadata["classes"] = json.dumps(options["classes"].tolist(), default=str)
        graph.add("Identity", answer, output=name)
    else:
        name = "prediction"
        scaled = graph.add("Mul", answer, graph.constant(arrays["scaling.scale"]))
        graph.add("Add", scaled, graph.constant(arrays["scaling.mean"]), output=name)
    lead = ["batch"] if spec["pooling"] else ["batch", "time"]
    output = helper.make_tensor_value_info(name, TensorProto.FLOAT, [*lead, spec["n_outputs"]])
    return graph.model(inputs, [output], metadata)


def _answer(graph: Graph, spec: Mapping[str, Any], weights: Weights, raw: str) -> str:
    """Write the prediction of a head."""
    head, n_outputs = spec["head"], spec["n_outputs"]
    if head == "categorical":
        return graph.add("Softmax", raw, axis=-1)
    if head == "multilabel":
        return graph.add("Sigmoid", raw)
    if head == "quantile":
        return _median(graph, spec, raw)
    first = graph.part(raw, 0, n_outputs)
    if head == "negative_binomial":
        return graph.add("Exp", graph.add("Add", first, graph.constant(weights["log_scale"])))
    return first


def _median(graph: Graph, spec: Mapping[str, Any], raw: str) -> str:
    """Write the median of learned quantiles, a sum of the raw values and their softplus."""
    n_outputs, levels = spec["n_outputs"], np.asarray(spec["quantiles"])
    center, coefficients = _of_median(levels)
    shape = [0] * (1 if spec["pooling"] else 2) + [n_outputs, len(levels)]
    raw = graph.add("Reshape", raw, graph.integers(*shape))
    middle = graph.add("Gather", raw, graph.constant(center, INT), axis=-1)
    distances = graph.add("MatMul", graph.add("Softplus", raw), graph.constant(coefficients, FLOAT))
    return graph.add("Add", middle, distances)


def _of_median(levels: NDArray[Any]) -> tuple[int, NDArray[Any]]:
    """Which learned quantile is nearest to the median, and how much of each distance to add."""
    n = len(levels)
    center = int(np.abs(levels - 0.5).argmin())
    if n == 1:
        return 0, np.zeros(1)
    # Row j holds how much of each distance lies between the middle and quantile j.
    index, j = np.arange(n), np.arange(n)[:, None]
    above = ((index > center) & (index <= j)).astype(float)
    below = ((index < center) & (index >= j)).astype(float)
    rows = above - below
    low = int(np.clip(np.searchsorted(levels, 0.5, side="right") - 1, 0, n - 2))
    knots = normal_quantiles(levels)
    weight = (0.0 - knots[low]) / (knots[low + 1] - knots[low])
    return center, rows[low] + weight * (rows[low + 1] - rows[low])
