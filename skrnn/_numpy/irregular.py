"""Irregular input: missing values and time stamps become values, masks and times."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._numpy.carried import Carried, State, zeros

__all__ = ["IrregularInput", "make_irregular", "shapes_of_irregular"]

Weights = Mapping[str, NDArray[Any]]


class IrregularInput(Carried):
    """What :class:`skrnn.nn.IrregularInput` computes, whole or step by step.

    Parameters
    ----------
    weights : mapping of ndarray
        The scale of times, and which features are read.

    mask : bool
        Whether NaN is a missing value.

    time_channel : int or None
        The feature that holds times, counted from the first step of a sequence.
    """

    def __init__(self, weights: Weights, mask: bool, time_channel: int | None) -> None:
        self.mask, self.time_channel = mask, time_channel
        self.time_scale, self.known = weights["time_scale"], weights["known"]
        self.dtype = self.time_scale.dtype
        n_values = len(self.known)
        self.columns = [i for i in range(n_values + 1) if i != time_channel]
        if not mask:
            self.names = ("clock",)
        else:
            self.names = ("last", "seen") if time_channel is not None else ("last", "seen", "clock")

    def whole(self, x: NDArray[Any]) -> NDArray[Any]:
        """Features of sequences of shape (batch, time, features); no step depends on a later one.

        What comes after the end of a sequence may be anything but infinite.
        """
        values, clock = self._values(x), self._clock(x)
        if not self.mask:
            steps = np.diff(clock, axis=1, prepend=np.zeros_like(clock[:, :1]))
            return self._joined(values, steps)
        observed = ~np.isnan(values) & self.known
        step = np.arange(x.shape[1])[:, None]
        last = np.maximum.accumulate(np.where(observed, step, -1), axis=1)
        filled = np.take_along_axis(values, last.clip(min=0), axis=1)
        filled[last < 0] = 0
        seen = np.zeros((len(x), x.shape[1] + 1, values.shape[2]), dtype=self.dtype)
        seen[:, 1:] = np.where(observed, clock, 0)
        seen = np.maximum.accumulate(seen, axis=1)
        return self._joined(filled, observed, clock - seen[:, :-1])

    def initial(self, n: int) -> State:
        if not self.mask:
            return (zeros(n, 1, self.dtype),)
        n_values = len(self.known)
        # Steps are counted in float64, which does not run out of whole numbers.
        clock = () if self.time_channel is not None else (zeros(n, 1, np.float64),)
        return zeros(n, n_values, self.dtype), zeros(n, n_values, np.float64), *clock

    def step(self, x: NDArray[Any], state: State) -> tuple[NDArray[Any], State]:
        """Features of one more step of shape (n, features), and the state after it."""
        values = self._values(x)
        clock = state[-1] if self.time_channel is None else self._clock(x)
        if not self.mask:
            return self._joined(values, clock - state[0]), (clock,)
        observed = ~np.isnan(values) & self.known
        last, seen = np.where(observed, values, state[0]), np.where(observed, clock, state[1])
        features = self._joined(last, observed, clock - state[1])
        return features, (last, seen) if self.time_channel is not None else (last, seen, clock + 1)

    def _values(self, x: NDArray[Any]) -> NDArray[Any]:
        return x if self.time_channel is None else x[..., self.columns]

    def _clock(self, x: NDArray[Any]) -> NDArray[Any]:
        if self.time_channel is None:
            return np.arange(x.shape[1], dtype=self.dtype)[None, :, None]
        return x[..., self.time_channel, None]

    def _joined(self, *parts: NDArray[Any]) -> NDArray[Any]:
        *before, times = parts
        scaled = times.astype(self.dtype, copy=False) / self.time_scale
        return np.concatenate([*before, scaled], axis=-1, dtype=self.dtype, casting="unsafe")


def make_irregular(spec: Mapping[str, Any], weights: Weights) -> IrregularInput | None:
    """Make what reads missing values and times; None where there are none."""
    if spec["missing"] is None and spec["time_channel"] is None:
        return None
    return IrregularInput(weights, spec["missing"] is not None, spec["time_channel"])


def shapes_of_irregular(spec: Mapping[str, Any]) -> tuple[dict[str, tuple[int, ...]], int]:
    """Shapes of what was learned about times and gaps, and how many features come out."""
    mask, timed = spec["missing"] is not None, spec["time_channel"] is not None
    n_values = spec["n_features"] - timed
    if not (mask or timed):
        return {}, n_values
    n_times = n_values if mask else 1
    shapes: dict[str, tuple[int, ...]] = {"time_scale": (n_times,), "known": (n_values,)}
    return shapes, n_values * (2 if mask else 1) + n_times
