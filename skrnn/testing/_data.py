"""Data of the laws: a few short sequences with a target that needs every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_RAGGED = (3, 7, 5, 4, 6, 5, 3, 7, 4, 6, 5, 3)
_EQUAL = (5,) * 12
_N_FEATURES = 2
_N_PROBES = 6


@dataclass(frozen=True)
class Problem:
    """Training data and equal-length sequences to ask about.

    Attributes
    ----------
    X : list of arrays (n_timesteps_i, 2), or array of shape (12, 5, 2)
        Twelve sequences of standard normal values.

    y : ndarray of shape (12,), or list of arrays (n_timesteps_i,)
        Labels 0 and 1, or numbers of unit size.

    probe : list of 6 arrays (5, 2), or array of shape (6, 5, 2)
        Sequences that were not trained on, in the container of `X`.
    """

    X: Any
    y: Any
    probe: Any


def make_problem(classification: bool, per_step: bool, ragged: bool) -> Problem:
    """Draw the data; the same at every call, from a generator of its own."""
    rng = np.random.default_rng(20)
    lengths = _RAGGED if ragged else _EQUAL
    X: Any = [rng.standard_normal((length, _N_FEATURES)) for length in lengths]
    probe: Any = rng.standard_normal((_N_PROBES, _EQUAL[0], _N_FEATURES))
    y = _per_step(X, classification) if per_step else _per_sequence(X, classification)
    if ragged:
        return Problem(X, y, list(probe))
    return Problem(np.stack(X), y, probe)


def weights(n_samples: int) -> NDArray[np.int64]:
    """Return weights 1, 2 and 3 in an order unrelated to that of `make_problem`."""
    return 1 + np.arange(n_samples) * 5 % 7 % 3


def object_array(arrays: Any) -> NDArray[np.object_]:
    """Return a 1-D object array, also of arrays of equal shape."""
    result = np.empty(len(arrays), dtype=object)
    for i, array in enumerate(arrays):
        result[i] = array
    return result


def padded_array(arrays: Any, extra: int = 0) -> NDArray[np.float64]:
    """Return a 3-D array whose trailing steps are NaN beyond the end of a sequence."""
    longest = max(len(a) for a in arrays) + extra
    result = np.full((len(arrays), longest, arrays[0].shape[1]), np.nan)
    for row, array in zip(result, arrays, strict=True):
        row[: len(array)] = array
    return result


def _per_sequence(X: list[NDArray[np.float64]], classification: bool) -> NDArray:
    score = np.array([2 * x[:, 0].mean() + x[-1, 1] for x in X])
    return (score > np.median(score)).astype(np.int64) if classification else score + 1.0


def _per_step(X: list[NDArray[np.float64]], classification: bool) -> list[NDArray]:
    scores = [np.cumsum(x[:, 0]) / np.sqrt(np.arange(1, len(x) + 1)) + x[:, 1] for x in X]
    return [(s > 0).astype(np.int64) if classification else s + 1.0 for s in scores]
