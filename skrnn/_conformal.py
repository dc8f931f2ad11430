"""Conformal calibration: predicted quantiles corrected by the errors on held-out data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

# More held-out values than this do not make quantiles noticeably better.
MAX_VALUES = 1000


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
        """Calibrated quantiles of shape (n, n_outputs, n_alpha), on the scale of the targets.

        Lower levels are rounded down and upper levels up to the next observed error, which makes
        a pair of them cover at least its share of exchangeable data.
        """
        errors = np.sort(self.target.numpy()[..., None] - _predicted(head, self.raw, alpha), axis=0)
        n_values = len(errors)
        exact = (n_values + 1) * alpha
        rank = np.where(alpha < 0.5, np.floor(exact + 1e-9), np.ceil(exact - 1e-9)).astype(int)
        rank = np.clip(rank, 1, n_values) - 1
        shift = np.take_along_axis(errors, rank[None, None, :], axis=0)[0]
        shifted = _predicted(head, raw, alpha) + shift
        # Levels move by different amounts: sorting keeps them in order.
        order = np.argsort(alpha, kind="stable")
        shifted[..., order] = np.sort(shifted[..., order], axis=-1)
        return shifted


def values_needed(alpha: NDArray) -> int:
    """Fewest held-out values from which all these levels can be calibrated.

    Parameters
    ----------
    alpha : ndarray of shape (n_alpha,)
        Levels in ``(0, 1)``.

    Returns
    -------
    n_values : int
        With fewer, the largest error seen stands in for the exact bound, which is infinite: the
        quantile is taken over the errors and infinity (R. Tibshirani et al., "Conformal Prediction
        Under Covariate Shift", 2019, lemma 1).
    """
    tail = float(np.minimum(alpha, 1 - alpha).min())
    return int(np.ceil((1 - 1e-9) / tail)) - 1


def _predicted(head: Any, raw: Tensor, alpha: NDArray) -> NDArray:
    if hasattr(head, "quantiles"):
        return head.quantiles(raw, alpha).detach().numpy()
    point = head.predict(raw).detach().numpy()
    return np.repeat(point[..., None], len(alpha), axis=-1)
