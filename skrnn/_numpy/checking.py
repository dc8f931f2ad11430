"""Checking: what in the given steps no network can read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._numpy.model import Model

__all__ = ["back_in_time", "faults", "wrong_ids"]


def faults(x: NDArray[Any], model: Model) -> NDArray[np.bool_]:
    """Which numbers of shape (..., n_features) cannot be read: NaN may be a missing value."""
    if not model.missing:
        return ~np.isfinite(x)
    wrong = np.isinf(x)
    if model.time_channel is not None:
        wrong[..., model.time_channel] |= np.isnan(x[..., model.time_channel])
    return wrong


def wrong_ids(ids: NDArray[Any], model: Model, lowest: int) -> NDArray[np.bool_]:
    """Which numbers of shape (..., n_features) are no ids.

    Those of tokens come first and are not below `lowest`; those of characters may be 0.
    """
    assert model.vocabulary_size is not None
    wrong = (ids < 0) | (ids != np.floor(ids)) | np.isnan(ids)
    tokens = ids[..., 0]
    wrong[..., 0] |= (tokens < lowest) | (tokens >= model.vocabulary_size)
    if model.character_vocabulary_size is not None:
        wrong[..., 1:] |= ids[..., 1:] >= model.character_vocabulary_size
    return wrong


def back_in_time(times: NDArray[Any]) -> NDArray[np.bool_]:
    """Which times of shape (..., n_timesteps) are earlier than the one before."""
    back = np.zeros(times.shape, dtype=bool)
    back[..., 1:] = np.diff(times, axis=-1) < 0
    return back
