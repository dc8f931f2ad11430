"""Answers: raw values of a head become what an estimator returns."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._numpy.calibration import calibrated, complaint, levels_of

__all__ = ["ClassAnswers", "NumberAnswers"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ClassAnswers:
    """Labels and probabilities.

    Parameters
    ----------
    head : Head
        Makes probabilities.

    classes : ndarray of shape (n_classes,)
        Labels, or the numbers of them for indicators.

    multilabel : bool
        Whether several labels may be present at once.
    """

    head: Any
    classes: NDArray[Any]
    multilabel: bool

    def labels(self, raw: Floats) -> NDArray[Any]:
        """Labels of the largest probability, or indicators of those above one half."""
        if self.multilabel:
            return (self.head.predict(raw) > 0.5).astype(np.int64)
        return self.classes[self.head.ranking(raw).argmax(axis=-1)]


@dataclass(frozen=True, eq=False)
class NumberAnswers:
    """Numbers, quantiles and intervals.

    Parameters
    ----------
    head : Head
        Makes predictions on the scale of the training.

    scale, mean : ndarray of shape (n_outputs,)
        From there to that of y.

    one_output : bool
        Whether y had no axis of outputs.

    loss : str
        For messages.

    calibrate : bool
        Whether quantiles should be calibrated.

    raw, target : ndarray of shape (n_values, raw_size) and (n_values, n_outputs), or None
        Held-out raw values and targets.
    """

    head: Any
    scale: Floats
    mean: Floats
    one_output: bool
    loss: str
    calibrate: bool
    raw: Floats | None = None
    target: Floats | None = None

    def numbers(self, raw: Floats) -> Floats:
        """Predictions of shape (n,) or (n, n_outputs)."""
        return self._without_axis(self.head.predict(raw) * self.scale + self.mean)

    def quantiles(self, raw: Floats, alpha: Any) -> Floats:
        """Quantiles of shape (n, n_alpha) or (n, n_outputs, n_alpha)."""
        return self._without_axis(self._quantiles(raw, np.asarray(alpha, dtype=np.float64)))

    def intervals(self, raw: Floats, coverage: Any) -> Floats:
        """Intervals of shape (n, 2) or (n, n_outputs, 2); several coverages add an axis."""
        both = levels_of(coverage)
        bounds = self._quantiles(raw, both)
        bounds = bounds.reshape(*bounds.shape[:-1], 2, len(both) // 2)
        return self._without_axis(bounds[..., 0] if np.ndim(coverage) == 0 else bounds)

    def warn_of_quantiles(self, alpha: Any, stacklevel: int) -> None:
        """Check levels, and warn where too little was held out to calibrate them."""
        levels = self._checked(np.asarray(alpha, dtype=np.float64))
        self._warn(levels, "quantiles", f"alpha={levels.tolist()}", stacklevel)

    def warn_of_intervals(self, coverage: Any, stacklevel: int) -> None:
        """Check coverages, and warn where too little was held out to calibrate them."""
        self._warn(self._checked(levels_of(coverage)), "intervals", f"{coverage=}", stacklevel)

    def _without_axis(self, y: Floats) -> Floats:
        return y[:, 0] if self.one_output else y

    def _checked(self, alpha: Floats) -> Floats:
        if alpha.ndim != 1 or ((alpha <= 0) | (alpha >= 1)).any():
            raise ValueError(
                f"alpha must be a list of levels in (0, 1), as [0.5], got {alpha.tolist()!r}."
            )
        if self.raw is None and not hasattr(self.head, "quantiles"):
            raise ValueError(
                f"loss={self.loss!r} predicts points and no validation part was held out to "
                "measure their errors. Fit with early_stopping=True and calibrate=True, or with "
                "loss='quantile', 'normal' or 'student_t'."
            )
        return alpha

    def _quantiles(self, raw: Floats, alpha: Floats) -> Floats:
        scaled = self._predicted(raw, self._checked(alpha))
        if self.raw is not None and self.target is not None:
            errors = self.target[..., None] - self._predicted(self.raw, alpha)
            scaled = calibrated(errors, scaled, alpha)
        return scaled * self.scale[:, None] + self.mean[:, None]

    def _predicted(self, raw: Floats, alpha: Floats) -> Floats:
        if hasattr(self.head, "quantiles"):
            return self.head.quantiles(raw, alpha)
        return np.repeat(self.head.predict(raw)[..., None], len(alpha), axis=-1)

    def _warn(self, alpha: Floats, what: str, asked: str, stacklevel: int) -> None:
        message = complaint(0 if self.raw is None else len(self.raw), alpha, what, asked)
        if self.calibrate and message is not None:
            warnings.warn(message, UserWarning, stacklevel=stacklevel + 2)
