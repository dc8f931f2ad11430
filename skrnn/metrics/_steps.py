"""Metrics of steps: scikit-learn's scores for one label or number per step, on ragged data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    make_scorer,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
)


def sequence_accuracy_score(
    y_true: Any, y_pred: Any, *, sample_weight: Any = None, normalize: bool = True
) -> float:
    """Share of time steps whose label is right.

    Parameters
    ----------
    y_true : sequence of n_samples arrays of shape (n_timesteps_i,)
        True labels, one per step. A list, tuple, object array or 2-D array. Steps of indicator
        labels have shape (n_timesteps_i, n_labels) and count when all labels are right.

    y_pred : sequence of n_samples arrays, shaped as `y_true`
        Predicted labels.

    sample_weight : array-like of shape (n_samples,) or sequence of arrays (n_timesteps_i,), \
            default=None
        Weights of sequences, given to each of their steps, or weights of single steps.

    normalize : bool, default=True
        Return the share of right steps; if False, their number (or the sum of their weights).

    Returns
    -------
    float
        Between 0 and 1 with ``normalize=True``; higher is better.

    Raises
    ------
    ValueError
        If the sequences do not match; the message names the first sequence that differs.

    See Also
    --------
    sequence_accuracy_scorer : The same as ``scoring=`` of a search.

    Notes
    -----
    Every step counts once, so a long sequence counts more than a short one. Pass
    ``sample_weight=[1 / len(y_i) for y_i in y_true]`` to count sequences instead of steps.

    Examples
    --------
    >>> from skrnn.metrics import sequence_accuracy_score
    >>> sequence_accuracy_score([["a", "b"], ["a", "a", "b"]], [["a", "b"], ["a", "b", "a"]])
    0.6
    """
    true, pred, weight = _flatten(y_true, y_pred, sample_weight)
    return float(accuracy_score(true, pred, normalize=normalize, sample_weight=weight))


def sequence_f1_score(
    y_true: Any,
    y_pred: Any,
    *,
    labels: ArrayLike | None = None,
    pos_label: Any = 1,
    average: Literal["macro", "micro", "weighted", "binary", "samples"] | None = "macro",
    sample_weight: Any = None,
    zero_division: Any = "warn",
) -> float | NDArray[np.float64]:
    """F1 score over all time steps.

    Parameters
    ----------
    y_true : sequence of n_samples arrays of shape (n_timesteps_i,)
        True labels, one per step.

    y_pred : sequence of n_samples arrays, shaped as `y_true`
        Predicted labels.

    labels : array-like, default=None
        Labels to average over, for example without the label of "no event".

    pos_label : int, float, bool or str, default=1
        Label to report with ``average="binary"``.

    average : {"macro", "micro", "weighted", "binary", "samples"} or None, default="macro"
        How the scores of the labels become one number; None returns one score per label.

    sample_weight : array-like of shape (n_samples,) or sequence of arrays (n_timesteps_i,), \
            default=None
        Weights of sequences, given to each of their steps, or weights of single steps.

    zero_division : {"warn", 0.0, 1.0, numpy.nan}, default="warn"
        Value of a label that neither occurs nor is predicted; "warn" is 0 with a warning.

    Returns
    -------
    float or ndarray of shape (n_labels,)
        Between 0 and 1; higher is better.

    Raises
    ------
    ValueError
        If the sequences do not match; the message names the first sequence that differs.

    Notes
    -----
    Counts are summed over the steps of all sequences before the ratio is taken. A run of equal
    labels is no unit of its own; for that see :func:`span_f1_score`.

    Examples
    --------
    >>> from skrnn.metrics import sequence_f1_score
    >>> sequence_f1_score([[0, 1], [1, 1, 0]], [[0, 1], [1, 0, 0]])
    0.8
    """
    true, pred, weight = _flatten(y_true, y_pred, sample_weight)
    score = f1_score(
        true,
        pred,
        labels=labels,
        pos_label=pos_label,
        average=average,
        sample_weight=weight,
        zero_division=zero_division,
    )
    return score if average is None else float(score)


def sequence_mean_squared_error(
    y_true: Any, y_pred: Any, *, sample_weight: Any = None, multioutput: Any = "uniform_average"
) -> float | NDArray[np.float64]:
    """Mean squared error over all time steps.

    Parameters
    ----------
    y_true : sequence of n_samples arrays of shape (n_timesteps_i,) or (n_timesteps_i, n_outputs)
        True values, one or more per step.

    y_pred : sequence of n_samples arrays, shaped as `y_true`
        Predicted values.

    sample_weight : array-like of shape (n_samples,) or sequence of arrays (n_timesteps_i,), \
            default=None
        Weights of sequences, given to each of their steps, or weights of single steps.

    multioutput : {"uniform_average", "raw_values"} or array-like of shape (n_outputs,), \
            default="uniform_average"
        How the errors of several outputs become one number.

    Returns
    -------
    float or ndarray of shape (n_outputs,)
        In squared units of y; 0 is best.

    Raises
    ------
    ValueError
        If the sequences do not match; the message names the first sequence that differs.

    Examples
    --------
    >>> from skrnn.metrics import sequence_mean_squared_error
    >>> sequence_mean_squared_error([[1.0, 2.0], [3.0]], [[1.0, 4.0], [1.0]])
    2.6666666666666665
    """
    true, pred, weight = _flatten(y_true, y_pred, sample_weight)
    loss = mean_squared_error(true, pred, sample_weight=weight, multioutput=multioutput)
    return _number(loss)


def sequence_mean_absolute_error(
    y_true: Any, y_pred: Any, *, sample_weight: Any = None, multioutput: Any = "uniform_average"
) -> float | NDArray[np.float64]:
    """Mean absolute error over all time steps.

    Parameters
    ----------
    y_true : sequence of n_samples arrays of shape (n_timesteps_i,) or (n_timesteps_i, n_outputs)
        True values, one or more per step.

    y_pred : sequence of n_samples arrays, shaped as `y_true`
        Predicted values.

    sample_weight : array-like of shape (n_samples,) or sequence of arrays (n_timesteps_i,), \
            default=None
        Weights of sequences, given to each of their steps, or weights of single steps.

    multioutput : {"uniform_average", "raw_values"} or array-like of shape (n_outputs,), \
            default="uniform_average"
        How the errors of several outputs become one number.

    Returns
    -------
    float or ndarray of shape (n_outputs,)
        In units of y; 0 is best.

    Raises
    ------
    ValueError
        If the sequences do not match; the message names the first sequence that differs.

    Examples
    --------
    >>> from skrnn.metrics import sequence_mean_absolute_error
    >>> sequence_mean_absolute_error([[1.0, 2.0], [3.0]], [[1.0, 4.0], [2.0]])
    1.0
    """
    true, pred, weight = _flatten(y_true, y_pred, sample_weight)
    loss = mean_absolute_error(true, pred, sample_weight=weight, multioutput=multioutput)
    return _number(loss)


def sequence_r2_score(
    y_true: Any, y_pred: Any, *, sample_weight: Any = None, multioutput: Any = "uniform_average"
) -> float | NDArray[np.float64]:
    """Coefficient of determination over all time steps.

    Parameters
    ----------
    y_true : sequence of n_samples arrays of shape (n_timesteps_i,) or (n_timesteps_i, n_outputs)
        True values, one or more per step.

    y_pred : sequence of n_samples arrays, shaped as `y_true`
        Predicted values.

    sample_weight : array-like of shape (n_samples,) or sequence of arrays (n_timesteps_i,), \
            default=None
        Weights of sequences, given to each of their steps, or weights of single steps.

    multioutput : {"uniform_average", "raw_values", "variance_weighted"} or array-like, \
            default="uniform_average"
        How the scores of several outputs become one number.

    Returns
    -------
    float or ndarray of shape (n_outputs,)
        1 is best, 0 is as good as the mean of all steps, negative is worse than it.

    Raises
    ------
    ValueError
        If the sequences do not match; the message names the first sequence that differs.

    Notes
    -----
    The reference is the mean over the steps of all sequences, not the mean of each sequence:
    predicting every sequence's own mean already explains the variance between sequences.

    Examples
    --------
    >>> from skrnn.metrics import sequence_r2_score
    >>> sequence_r2_score([[1.0, 2.0], [3.0]], [[1.0, 2.0], [2.0]])
    0.5
    """
    true, pred, weight = _flatten(y_true, y_pred, sample_weight)
    return _number(r2_score(true, pred, sample_weight=weight, multioutput=multioutput))


sequence_accuracy_scorer = make_scorer(sequence_accuracy_score)
# Without pos_label=None the scorer would ask two text labels for a label 1.
sequence_f1_macro_scorer = make_scorer(sequence_f1_score, average="macro", pos_label=None)
sequence_r2_scorer = make_scorer(sequence_r2_score)
sequence_neg_mean_squared_error_scorer = make_scorer(
    sequence_mean_squared_error, greater_is_better=False
)
sequence_neg_mean_absolute_error_scorer = make_scorer(
    sequence_mean_absolute_error, greater_is_better=False
)


def _number(score: Any) -> Any:
    return float(score) if np.ndim(score) == 0 else score


def _flatten(
    y_true: Any, y_pred: Any, sample_weight: Any
) -> tuple[NDArray, NDArray, NDArray[np.float64] | None]:
    true = as_arrays(y_true, "y_true")
    pred = as_arrays(y_pred, "y_pred")
    lengths = [len(a) for a in true]
    check_same_steps(pred, lengths, "y_pred", "sequences")
    if sum(lengths) == 0:
        raise ValueError(
            f"y_true holds {len(true)} sequences and no step; a score needs at least one step."
        )
    weight = None if sample_weight is None else _step_weights(sample_weight, lengths)
    return _concatenate(true, "y_true"), _concatenate(pred, "y_pred"), weight


def as_arrays(y: Any, name: str) -> list[NDArray]:
    """One array per sequence; refuses single values, with their number."""
    if isinstance(y, str | bytes) or not isinstance(y, Iterable):
        raise ValueError(f"{name} must hold one array per sequence, got {type(y).__name__}.")
    arrays = [np.asarray(item) for item in y]
    for i, array in enumerate(arrays):
        if array.ndim == 0:
            raise ValueError(
                f"{name}[{i}] is the single value {array.item()!r}, expected one value per time "
                "step; for one value per sequence use the metrics of sklearn.metrics."
            )
    return arrays


def check_same_steps(
    arrays: Sequence[NDArray], lengths: Sequence[int], name: str, unit: str
) -> None:
    """Refuse arrays that do not have as many steps as the true ones, naming the first."""
    if len(arrays) != len(lengths):
        raise ValueError(f"{name} holds {len(arrays)} {unit}, y_true holds {len(lengths)}.")
    for i, (array, length) in enumerate(zip(arrays, lengths, strict=True)):
        if len(array) != length:
            raise ValueError(f"{name}[{i}] has {len(array)} steps, y_true[{i}] has {length}.")


def _step_weights(sample_weight: Any, lengths: Sequence[int]) -> NDArray[np.float64]:
    weights = [np.asarray(item, dtype=np.float64) for item in sample_weight]
    if all(w.ndim == 0 for w in weights):
        if len(weights) != len(lengths):
            raise ValueError(
                f"sample_weight holds {len(weights)} weights, y_true holds {len(lengths)} "
                "sequences; pass one weight per sequence, or one array of weights per sequence."
            )
        return np.repeat(np.array(weights), lengths)
    for i, w in enumerate(weights):
        if w.ndim != 1:
            raise ValueError(
                f"sample_weight[{i}] has {w.ndim} dimensions, expected 1: one weight per step; "
                "weights of sequences and weights of steps cannot be mixed."
            )
    check_same_steps(weights, lengths, "sample_weight", "sequences")
    return np.concatenate(weights)


def _concatenate(arrays: Sequence[NDArray], name: str) -> NDArray:
    # An empty list becomes an array of floats and would turn integer labels into floats.
    filled = [(i, array) for i, array in enumerate(arrays) if len(array)]
    first, shape = filled[0][0], filled[0][1].shape[1:]
    for i, array in filled:
        if array.shape[1:] != shape:
            raise ValueError(
                f"each step of {name}[{i}] has shape {array.shape[1:]}, but each step of "
                f"{name}[{first}] has shape {shape}; all sequences need the same outputs."
            )
    return np.concatenate([array for _, array in filled])
