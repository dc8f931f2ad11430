"""Conformal calibration: predicted quantiles corrected by the errors on held-out data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from skrnn._numpy.calibration import MAX_VALUES, calibrated


@dataclass(frozen=True)
class Residuals:
    """Raw outputs and scaled targets of held-out samples.

    Any level can be calibrated from them later: the predicted quantile of level ``a`` moves by the
    ``a``-quantile of its own error on the held-out samples.

    Parameters
    ----------
    raw : Tensor of shape (n_values, raw_size)
        What the head reads.

    target : Tensor of shape (n_values, n_outputs)
        Scaled truth.
    """

    raw: Tensor
    target: Tensor

    @classmethod
    def draw(cls, raw: Tensor, target: Tensor, rng: np.random.Generator) -> Residuals:
        """Keep at most `MAX_VALUES` random rows."""
        if len(raw) <= MAX_VALUES:
            return cls(raw, target)
        rows = rng.choice(len(raw), MAX_VALUES, replace=False)
        return cls(raw[rows], target[rows])

    def quantiles(self, head: Any, raw: Tensor, alpha: NDArray) -> NDArray:
        """Calibrated quantiles of shape (n, n_outputs, n_alpha), on the scale of the targets."""
        errors = self.target.numpy()[..., None] - _predicted(head, self.raw, alpha)
        return calibrated(errors, _predicted(head, raw, alpha), alpha)


def _predicted(head: Any, raw: Tensor, alpha: NDArray) -> NDArray:
    if hasattr(head, "quantiles"):
        return head.quantiles(raw, alpha).detach().numpy()
    point = head.predict(raw).detach().numpy()
    return np.repeat(point[..., None], len(alpha), axis=-1)
