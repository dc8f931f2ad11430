"""Inputs: sequences as a predictor of numpy reads them, in batches of similar length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._numpy.checking import back_in_time, faults, wrong_ids
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
    with np.errstate(over="ignore"):
        sequences = [np.asarray(item, dtype=model.given_dtype) for item in _items(X, model)]
    if not sequences:
        raise ValueError("X holds no sequences.")
    for i, x in enumerate(sequences):
        if x.ndim == 1 and model.n_features == 1:
            sequences[i] = x = x[:, None]
        if x.ndim != 2 or x.shape[1] != model.n_features:
            raise ValueError(
                f"sequence {i} has shape {x.shape}, expected (n_timesteps, {model.n_features})."
            )
        sequences[i] = x = _read_ids(x, i, model) if model.vocabulary_size else _read(x, i, model)
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


def _read(x: NDArray[Any], i: int, model: Model) -> NDArray[Any]:
    """Numbers, of which times are counted from the first step."""
    if model.time_channel is not None:
        x = _timed(x, i, model.time_channel, model.dtype)
    wrong = faults(x, model)
    if wrong.any():
        step, feature = (int(k) for k in np.argwhere(wrong)[0])
        nan = "" if model.missing else "NaN, "
        raise ValueError(
            f"X holds {nan}infinity or a value too large for {x.dtype} at sequence {i}, step "
            f"{step}, feature {feature}; fill or drop it first."
        )
    return x


def _timed(x: NDArray[Any], i: int, channel: int, dtype: Any) -> NDArray[Any]:
    times = x[:, channel]
    for wrong, what in (
        (~np.isfinite(times), "has the time {0:g} at step {1}; every step needs a time"),
        (back_in_time(times), "goes back in time to {0:g} at step {1}; sort its steps by time"),
    ):
        if wrong.any():
            step = int(wrong.argmax())
            said = what.format(times[step], step)
            raise ValueError(f"sequence {i} {said} (time channel {channel}).")
    counted = x.copy()
    counted[:, channel] -= times[:1]
    with np.errstate(over="ignore"):
        return counted.astype(dtype)


def _read_ids(ids: NDArray[Any], i: int, model: Model) -> NDArray[Any]:
    """Ids without the padding at the end."""
    wrong = wrong_ids(ids, model, lowest=0)
    if wrong.any():
        step, feature = (int(k) for k in np.argwhere(wrong)[0])
        what, size = ("character", model.character_vocabulary_size)
        if feature == 0:
            what, size = "token", model.vocabulary_size
        raise ValueError(
            f"{what} id {ids[step, feature]:g} in sequence {i} is outside the vocabulary of "
            f"{size}; ids are whole numbers, 0 is padding and 1 unknown."
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
        # Sequences without steps have one of padding.
        longest = max(int(lengths[order[start]]), 1)
        n_rows = min(MAX_ROWS, max(1, MAX_STEPS // longest))
        index = order[start : start + n_rows]
        x = np.zeros((len(index), longest, n_features), dtype=sequences[index[0]].dtype)
        for row, i in zip(x, index, strict=True):
            row[: lengths[i]] = sequences[i]
        yield index, x, lengths[index]
        start += n_rows
