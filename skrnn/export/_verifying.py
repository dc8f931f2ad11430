"""Verifying: what a runtime computes from a graph is what the estimator predicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["verify"]

TOLERANCE = 1e-5
# Lengths of the sequences of the batches that are compared, and how many values have a gap.
BATCHES = ([1], [4, 4, 4], [9, 1, 6, 3, 9])
SHARE_MISSING = 0.3

Run = Callable[[dict[str, NDArray[Any]]], NDArray[Any]]


def verify(model: Any, estimator: Any, options: Mapping[str, Any]) -> None:
    """Compare a model of ONNX with the estimator it was made of.

    Raises
    ------
    RuntimeError
        If they differ.
    """
    name, run = _runtime(model)
    rng = np.random.default_rng(0)
    for lengths in BATCHES:
        sequences = [_random(estimator, options, n, rng) for n in lengths]
        found = run(inputs_of(sequences, options))
        expected, unit = _expected(estimator, sequences, options)
        for row, (one, n) in enumerate(zip(expected, lengths, strict=True)):
            got = found[row] if options["spec"]["pooling"] else found[row, :n]
            worst = float((np.abs(got - one) / (unit + np.abs(one))).max())
            if not worst <= TOLERANCE:
                raise RuntimeError(
                    f"{name} computes something else from the graph than the estimator predicts: "
                    f"by {worst:.2g} for a sequence of {n} steps, more than {TOLERANCE}. Nothing "
                    "was written."
                )


def inputs_of(sequences: list[NDArray[Any]], options: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Inputs of the graph: padded sequences and their lengths."""
    spec = options["spec"]
    lengths = np.array([len(x) for x in sequences], dtype=np.int64)
    if spec["embedding_dim"] is None:
        X = np.full((len(sequences), lengths.max(), spec["n_features"]), np.nan, dtype=np.float32)
    else:
        ids = () if spec["n_features"] == 1 else (spec["n_features"],)
        X = np.zeros((len(sequences), lengths.max(), *ids), dtype=np.int64)
    for row, x in zip(X, sequences, strict=True):
        row[: len(x)] = x
    return {"X": X, "lengths": lengths}


def _random(
    estimator: Any, options: Mapping[str, Any], n: int, rng: np.random.Generator
) -> NDArray[Any]:
    """A sequence like those of the training."""
    spec = options["spec"]
    if spec["embedding_dim"] is not None:
        return _random_words(spec, n, rng)
    module = estimator.net_.module_
    mean, scale = (
        part.detach().cpu().numpy() for part in (module.scaler.mean, module.scaler.scale)
    )
    x = (mean + scale * rng.normal(size=(n, spec["n_features"]))).astype(np.float32)
    if spec["missing"] is not None:
        x[rng.random(x.shape) < SHARE_MISSING] = np.nan
    if spec["time_channel"] is not None:
        unit = float(module.irregular.time_scale.mean())
        x[:, spec["time_channel"]] = (unit * rng.exponential(size=n)).cumsum()
    return x


def _random_words(spec: Mapping[str, Any], n: int, rng: np.random.Generator) -> NDArray[Any]:
    words = rng.integers(1, spec["vocabulary_size"], size=n)
    if spec["character_encoder"] is None:
        return words
    width = spec["n_features"] - 1
    characters = rng.integers(1, spec["character_vocabulary_size"], size=(n, width))
    ended = np.arange(width) >= rng.integers(0, width + 1, size=n)[:, None]
    return np.column_stack([words, np.where(ended, 0, characters)])


def _expected(
    estimator: Any, sequences: list[NDArray[Any]], options: Mapping[str, Any]
) -> tuple[list[NDArray[Any]], Any]:
    """Predictions, one array per sequence, and the unit in which they may differ."""
    if "classes" in options:
        return list(estimator.predict_proba(sequences)), 1.0
    n_outputs = options["spec"]["n_outputs"]
    found = [np.asarray(y).reshape(-1, n_outputs) for y in estimator.predict(sequences)]
    scale = estimator._scaling.scale
    unit = np.where(scale > 0, scale, 1.0)
    return [y[0] if options["spec"]["pooling"] else y for y in found], unit


def _runtime(model: Any) -> tuple[str, Run]:
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        reference: Any = ReferenceEvaluator(model)
        return "the reference of onnx", lambda inputs: reference.run(None, inputs)[0]
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return "onnxruntime", lambda inputs: session.run(None, inputs)[0]
