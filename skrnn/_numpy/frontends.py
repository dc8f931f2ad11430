"""Front ends: several time steps become one before the recurrent layers read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["PATCH_SIZE", "PatchFrontend"]

#: Features that a patch of `skrnn.nn.PatchFrontend` has unless told otherwise.
PATCH_SIZE = 64


class PatchFrontend:
    """Cut sequences into patches, each of which becomes one step.

    Parameters
    ----------
    weights : mapping of ndarray
        The projection.

    stride : int
        Steps of a patch.
    """

    def __init__(self, weights: Mapping[str, NDArray[Any]], stride: int) -> None:
        self.stride = stride
        self.projection = np.ascontiguousarray(weights["projection.weight"].T)
        self.bias = weights["projection.bias"]

    def whole(
        self, x: NDArray[Any], lengths: NDArray[np.integer]
    ) -> tuple[NDArray[Any], NDArray[np.integer]]:
        """Patches of sequences of shape (batch, time, features), and how many each has.

        The last patch of a sequence is filled up with zeros; one more feature says which of its
        steps are there.
        """
        batch, time, n_features = x.shape
        n_patches = -(-time // self.stride)
        steps = np.zeros((batch, n_patches * self.stride, n_features + 1), dtype=x.dtype)
        there = np.arange(time) < lengths[:, None]
        steps[:, :time, :-1] = np.where(there[:, :, None], x, 0)
        steps[:, :time, -1] = there
        patches = steps.reshape(batch, n_patches, self.stride * (n_features + 1))
        made = patches.dot(self.projection)
        made += self.bias
        return np.maximum(made, 0), -(-lengths // self.stride)
