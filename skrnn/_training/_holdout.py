"""Hold-out: which samples watch the training instead of taking part in it."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import (
    GroupShuffleSplit,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedShuffleSplit,
)

# With fewer samples than this nothing can be held out.
MIN_SAMPLES = 5

Split = tuple[NDArray[np.int64], NDArray[np.int64]]


def split_holdout(
    n_samples: int,
    labels: NDArray | None,
    *,
    fraction: float,
    splitter: Any,
    groups: Any,
    seed: int,
) -> Split | None:
    """Indices of the training part and of the validation part.

    Parameters
    ----------
    n_samples : int
        Number of samples.

    labels : ndarray of shape (n_samples,) or None
        Class codes to stratify by.

    fraction : float
        Share of the validation part.

    splitter : cross-validation splitter or None
        Its last split is taken.

    groups : array-like of shape (n_samples,) or None
        Samples of one group are never on both sides.

    seed : int
        Decides the split.

    Returns
    -------
    split : tuple of ndarray, or None
        None, with a warning, when there are too few samples.

    Raises
    ------
    ValueError
        If there is a single sample.
    """
    if n_samples == 1:
        raise ValueError(
            f"1 sample cannot be split into a training and a validation part (validation_fraction="
            f"{fraction}); pass early_stopping=False or validation_split=(X_val, y_val)."
        )
    if n_samples < MIN_SAMPLES:
        warnings.warn(
            f"{n_samples} samples are too few for a validation part; training on all of them "
            "without early stopping.",
            UserWarning,
            stacklevel=5,
        )
        return None
    if splitter is not None:
        stratify = np.zeros(n_samples) if labels is None else labels
        # The last split of a splitter in time order is the one with the most training data.
        *_, (train, valid) = splitter.split(np.zeros(n_samples), stratify, groups)
        return np.sort(train), np.sort(valid)
    train, valid = next(_default_split(labels, n_samples, fraction, groups, seed))
    return np.sort(train), np.sort(valid)


def _default_split(
    labels: NDArray | None, n_samples: int, fraction: float, groups: Any, seed: int
) -> Any:
    zeros = np.zeros(n_samples)
    if groups is not None:
        n_groups = len(np.unique(np.asarray(groups)))
        if n_groups == 1:
            raise ValueError(
                "all samples are in one group, which cannot be split into a training and a "
                "validation part; pass early_stopping=False or validation_split=(X_val, y_val)."
            )
        if labels is not None and _smallest_class(labels) > 1:
            # More folds than a class has members would leave some without it.
            folds = min(max(round(1 / fraction), 2), n_groups, _smallest_class(labels))
            return StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(
                zeros, labels, groups
            )
        return GroupShuffleSplit(1, test_size=fraction, random_state=seed).split(
            zeros, zeros, groups
        )
    n_valid = min(max(round(fraction * n_samples), 1), n_samples - 1)
    if labels is not None:
        n_classes = len(np.unique(labels))
        if _smallest_class(labels) > 1 and n_samples - n_valid >= n_classes:
            n_valid = max(n_valid, n_classes)
            return StratifiedShuffleSplit(1, test_size=n_valid, random_state=seed).split(
                zeros, labels
            )
        warnings.warn(
            "a class has a single member, or the training part would have fewer samples than "
            "there are classes; the validation part is drawn without stratification.",
            UserWarning,
            stacklevel=6,
        )
    return ShuffleSplit(1, test_size=n_valid, random_state=seed).split(zeros)


def _smallest_class(labels: NDArray) -> int:
    return int(np.unique(labels, return_counts=True)[1].min())
