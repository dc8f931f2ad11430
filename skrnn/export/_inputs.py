"""Inputs: sequences as a predictor of numpy reads them, in batches of similar length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._numpy.model import Model

__all__ = ["batches", "read_sequences"]

# Sequences, and steps with their padding, that are computed together.
MAX_ROWS, MAX_STEPS = 256, 2**16


def read_sequences(X: Any, model: Model) -> list[NDArray[Any]]:
    """Read and check sequences.

    Returns
    -------
    sequences : list of ndarray of shape (n_timesteps_i, n_features)
        Of the type of the weights, or float64 with token ids.

    Raises
    ------
    ValueError
        If shapes or values do not fit; the message names the sequence.
    """
    dtype = np.dtype(np.float64) if model.vocabulary_size else model.dtype
    with np.errstate(over="ignore"):
        sequences = [np.asarray(item, dtype=dtype) for item in _items(X, model)]
    if not sequences:
        raise ValueError("X holds no sequences.")
    for i, x in enumerate(sequences):
        if x.ndim == 1 and model.n_features == 1:
            sequences[i] = x = x[:, None]
        if x.ndim != 2 or x.shape[1] != model.n_features:
            raise ValueError(
                f"sequence {i} has shape {x.shape}, expected (n_timesteps, {model.n_features})."
            )
        if model.vocabulary_size:
            sequences[i] = x = _without_padding(x, i, model.vocabulary_size)
        elif not np.isfinite(x).all():
            step, feature = (int(k) for k in np.argwhere(~np.isfinite(x))[0])
            raise ValueError(
                f"X holds NaN, infinity or a value too large for {dtype} at sequence {i}, step "
                f"{step}, feature {feature}; fill or drop it first."
            )
        if len(x) == 0 and not (model.zero_state or model.per_step):
            raise ValueError(
                f"sequence {i} is empty; drop it, or fit with empty='zero_state' to let the "
                "network answer for it from its zero state."
            )
    return sequences


def _items(X: Any, model: Model) -> list[Any]:
    array = X if isinstance(X, np.ndarray) else None
    if hasattr(X, "to_numpy"):
        array = X.to_numpy()
    if array is None:
        return list(X)
    if array.dtype == object:
        if array.ndim != 1:
            raise ValueError(
                f"X has shape {array.shape} and holds objects; pass a list with one array of shape "
                "(n_timesteps, n_features) per sequence."
            )
        return list(array)
    if array.ndim == 2 and model.n_channels is not None:
        n_steps, rest = divmod(array.shape[1], model.n_channels)
        if rest:
            raise ValueError(
                f"X has {array.shape[1]} columns, which are no rows of {model.n_channels} channels."
            )
        array = array.reshape(len(array), n_steps, model.n_channels)
    if array.ndim not in (2, 3):
        raise ValueError(
            f"X has shape {array.shape}, expected (n_samples, n_timesteps, n_features)."
        )
    return list(array) if array.ndim == 2 else [_trimmed(x) for x in array]


def _trimmed(x: NDArray[Any]) -> NDArray[Any]:
    """A sequence without the trailing steps that are all NaN."""
    if x.dtype.kind != "f" or not len(x) or not np.isnan(x[-1]).all():
        return x
    there = np.flatnonzero(~np.isnan(x).all(axis=1))
    return x[: there[-1] + 1 if len(there) else 0]


def _without_padding(ids: NDArray[Any], i: int, vocabulary_size: int) -> NDArray[Any]:
    wrong = ~((ids >= 0) & (ids < vocabulary_size) & (ids == np.floor(ids)))
    if wrong.any():
        raise ValueError(
            f"token id {ids[wrong][0]:g} in sequence {i} is outside the vocabulary of "
            f"{vocabulary_size}; ids are whole numbers, 0 is padding and 1 unknown."
        )
    there = np.flatnonzero(ids[:, 0])
    return ids[: there[-1] + 1 if len(there) else 0]


def batches(
    sequences: list[NDArray[Any]], n_features: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[Any], NDArray[np.int64]]]:
    """Padded batches, the longest sequences first.

    Yields
    ------
    index : ndarray of shape (batch,)
        Which sequences they are.

    x : ndarray of shape (batch, time, n_features)
        The sequences, padded with 0.

    lengths : ndarray of shape (batch,)
        Their lengths, never increasing.
    """
    lengths = np.array([len(x) for x in sequences], dtype=np.int64)
    order, start = np.argsort(-lengths, kind="stable"), 0
    while start < len(order):
        longest = int(lengths[order[start]])
        n_rows = min(MAX_ROWS, max(1, MAX_STEPS // max(longest, 1)))
        index = order[start : start + n_rows]
        x = np.zeros((len(index), longest, n_features), dtype=sequences[index[0]].dtype)
        for row, i in zip(x, index, strict=True):
            row[: lengths[i]] = sequences[i]
        yield index, x, lengths[index]
        start += n_rows
