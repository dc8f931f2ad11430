"""Scaling: bring the features of sequences to a common range."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import _check_sample_weight, check_array, check_is_fitted

from skrnn._containers import to_sequences, windows_to_sequences
from skrnn._sequences import Sequences
from skrnn._windows import Windows
from skrnn.preprocessing._transformer import SequenceTransformer, float_type

# Quartiles of the robust method.
_LOW, _MIDDLE, _HIGH = 0.25, 0.5, 0.75


def _forgets_nothing(scaler: Any) -> bool:
    """Whether the scaling can be undone; the error is what `available_if` shows the user."""
    if scaler.per == "sequence":
        raise AttributeError(
            "SequenceScaler(per='sequence') cannot undo its scaling: the centre and scale of each "
            "sequence are not kept. Use per='dataset'."
        )
    return True


class SequenceScaler(SequenceTransformer):
    """Shift and scale each feature of sequences.

    Parameters
    ----------
    method : {"standard", "minmax", "robust"}, default="standard"
        What becomes of a feature: mean 0 and variance 1, the range `feature_range`, or median 0
        and interquartile range 1.

    per : {"dataset", "sequence"}, default="dataset"
        Over what the statistics run: all time steps of all training sequences, or the time steps
        of each sequence alone. The latter keeps the shape of a sequence and drops its level.

    feature_range : tuple of two floats, default=(0.0, 1.0)
        Smallest and largest value of the result; only for ``method="minmax"``.

    Attributes
    ----------
    center_ : ndarray of shape (`n_channels_in_`,)
        What is subtracted from each feature: its mean, minimum or median. Only for
        ``per="dataset"``.

    scale_ : ndarray of shape (`n_channels_in_`,)
        By what each feature is then divided, 1 for a constant feature. Only for
        ``per="dataset"``.

    n_channels_in_ : int
        Number of features per time step.

    n_features_in_ : int
        Number of columns of a 2-D X, number of features per time step of any other.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, only where X had any.

    See Also
    --------
    SequenceImputer : Fill missing values.
    sklearn.preprocessing.StandardScaler : The same per column of a table.

    Notes
    -----
    A value :math:`x` becomes :math:`(x - c) / s`, plus the lower end of `feature_range` for
    "minmax". Every time step counts the same, so that long sequences weigh more; padding never
    counts. Missing values are left out of the statistics and stay missing.

    The rows of a 2-D X are sequences of one feature: there is one `center_`, not one per column.

    A constant feature (or one never observed) has scale 1 and becomes 0, or the lower end of
    `feature_range`. A feature whose quartiles coincide keeps its scale as well.

    Statistics are computed in float64. Quartiles average the two neighbours where the empirical
    distribution function hits a quantile exactly ("averaged_inverted_cdf" in
    :func:`numpy.quantile`), because only then a weight of 2 equals a sequence seen twice.

    Examples
    --------
    >>> import numpy as np
    >>> from skrnn.preprocessing import SequenceScaler
    >>> X = [np.array([[0.0, 5.0], [2.0, 5.0]]), np.array([[4.0, 5.0]])]
    >>> scaler = SequenceScaler("minmax").fit(X)
    >>> scaler.transform(X)
    [array([[0. , 0. ],
           [0.5, 0. ]]), array([[1., 0.]])]
    >>> scaler.inverse_transform(scaler.transform(X))[1]
    array([[4., 5.]])
    """

    _allow_nan = True
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "method": [StrOptions({"standard", "minmax", "robust"})],
        "per": [StrOptions({"dataset", "sequence"})],
        "feature_range": [tuple],
    }

    def __init__(
        self,
        method: str = "standard",
        *,
        per: str = "dataset",
        feature_range: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        self.method = method
        self.per = per
        self.feature_range = feature_range

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Compute the statistics of each feature.

        Parameters
        ----------
        X : array-like, frame or collection of n_samples sequences
            Sequences; NaN inside them is a missing value.

        y : None, default=None
            Ignored, here for consistency.

        sample_weight : array-like of shape (n_samples,), default=None
            How much each sequence counts. A weight of 0 leaves a sequence out, a weight of 2
            counts it twice. Has no influence with ``per="sequence"``.

        Returns
        -------
        self : SequenceScaler
            The fitted transformer.

        Raises
        ------
        ValueError
            If all weights are zero, if no sequence has a time step, or if `feature_range` is not
            increasing.
        """
        self._check_feature_range()
        sequences = self._read(X, reset=True)
        weight = _step_weights(sequences, sample_weight)
        if len(sequences.values) == 0:
            raise ValueError(
                f"all {len(sequences)} sequences are empty; there is nothing to scale."
            )
        if self.per == "dataset":
            whole = np.array([0, len(sequences.values)])
            # One feature at a time: the copies made on the way are as large as what they are given.
            columns = np.split(sequences.values, sequences.n_features, axis=1)
            both = [self._statistics(column, whole, weight) for column in columns]
            self.center_, self.scale_ = np.concatenate(both, axis=2)[:, 0]
        return self

    def transform(self, X: Any) -> NDArray | list[NDArray] | Windows:
        """Scale sequences.

        Parameters
        ----------
        X : array-like, frame or collection of n_samples sequences
            Sequences; NaN inside them is a missing value.

        Returns
        -------
        X_out : ndarray, or list of ndarray of shape (n_timesteps_i, `n_channels_in_`)
            The scaled sequences: 2-D for 2-D, 3-D for 3-D, a list for any other container.
            Windows for windows, but with ``per="sequence"`` a 3-D or 2-D array.
        """
        check_is_fitted(self)
        sequences = self._read(X, reset=False)
        if self.per == "sequence":
            sequences = sequences.packed()
        center, scale = self._centers_and_scales(sequences)
        scaled = (sequences.values - center) / scale + self._lowest()
        return sequences.with_values(scaled.astype(sequences.values.dtype, copy=False)).restore()

    @available_if(_forgets_nothing)
    def inverse_transform(self, X: Any) -> NDArray | list[NDArray] | Windows:
        """Undo the scaling. Only for ``per="dataset"``.

        Parameters
        ----------
        X : array-like, frame or collection of n_samples sequences
            Scaled sequences.

        Returns
        -------
        X_out : ndarray, or list of ndarray of shape (n_timesteps_i, `n_channels_in_`)
            Sequences in the units of the training data, in the same container form as `transform`.
        """
        check_is_fitted(self)
        sequences = self._read_scaled(X)
        values = (sequences.values - self._lowest()) * self.scale_ + self.center_
        return sequences.with_values(values.astype(sequences.values.dtype, copy=False)).restore()

    def _check_feature_range(self) -> None:
        ends = self.feature_range
        if len(ends) != 2 or not ends[0] < ends[1]:
            raise ValueError(
                f"feature_range={ends!r} must be (minimum, maximum) with minimum < maximum."
            )

    def _lowest(self) -> float:
        return float(self.feature_range[0]) if self.method == "minmax" else 0.0

    def _read_scaled(self, X: Any) -> Sequences:
        # Scaled data come from `transform`, without the names and possibly with another width.
        name, dtype = type(self).__name__, float_type(X)
        sequences = to_sequences(X, name, dtype)
        if isinstance(sequences, Windows):
            sequences = replace(windows_to_sequences(sequences, dtype), form="rows")
        elif not isinstance(sequences, Sequences):
            rows = check_array(X, dtype=dtype, ensure_all_finite="allow-nan", input_name="X")
            sequences = Sequences.from_padded(rows[:, :, None])
            sequences = replace(sequences, form="rows", width=rows.shape[1])
        if sequences.n_features != self.n_channels_in_:
            raise ValueError(
                f"X has {sequences.n_features} features, but {name} is expecting "
                f"{self.n_channels_in_} features as input."
            )
        return sequences

    def _centers_and_scales(self, sequences: Sequences) -> tuple[NDArray, NDArray]:
        """Centre and scale that broadcast to the values of `sequences`."""
        if self.per == "dataset":
            return self.center_, self.scale_
        weight = np.ones(len(sequences.values))
        filled = sequences.lengths[sequences.lengths > 0]
        center, scale = self._statistics(
            sequences.values, np.concatenate([[0], np.cumsum(filled)]), weight
        )
        return np.repeat(center, filled, axis=0), np.repeat(scale, filled, axis=0)

    def _statistics(
        self, values: NDArray, offsets: NDArray, weight: NDArray
    ) -> tuple[NDArray, NDArray]:
        """Centre and scale, (n_segments, n_features), of the filled segments between `offsets`."""
        if len(offsets) == 1:
            return np.zeros((0, values.shape[1])), np.ones((0, values.shape[1]))
        values = np.where(weight[:, None] > 0, values, np.nan).astype(np.float64, copy=False)
        low = np.fmin.reduceat(values, offsets[:-1], axis=0)
        high = np.fmax.reduceat(values, offsets[:-1], axis=0)
        if self.method == "minmax":
            center, scale = low, (high - low) / (self.feature_range[1] - self.feature_range[0])
        elif self.method == "standard":
            center, scale = _mean_and_deviation(values, offsets, weight)
        else:
            center, scale = _median_and_iqr(values, offsets, weight)
        # The mean of equal numbers may differ from them by rounding.
        center = np.where(high > low, center, np.nan_to_num(low))
        rounding = 10 * np.finfo(np.float64).eps * np.fmax(np.abs(low), np.abs(high))
        return center, np.where(scale > rounding, scale, 1.0)


def _step_weights(sequences: Sequences, sample_weight: Any) -> NDArray:
    """Weight of each time step."""
    weight = sample_weight
    if weight is not None:
        weight = _check_sample_weight(
            weight, np.empty(len(sequences)), dtype=np.float64, ensure_non_negative=True
        )
        if not (weight > 0).any():
            raise ValueError(
                "Sample weights must contain at least one non-zero number; all weights are zero."
            )
    rows = sequences.step_weight(weight)
    return np.ones(len(sequences.values)) if rows is None else rows


def _mean_and_deviation(
    values: NDArray, offsets: NDArray, weight: NDArray
) -> tuple[NDArray, NDArray]:
    starts, lengths = offsets[:-1], np.diff(offsets)
    observed = ~np.isnan(values) * weight[:, None]
    total = np.maximum(np.add.reduceat(observed, starts, axis=0), np.finfo(np.float64).tiny)
    values = np.nan_to_num(values)
    mean = np.add.reduceat(observed * values, starts, axis=0) / total
    squares = (values - np.repeat(mean, lengths, axis=0)) ** 2
    return mean, np.sqrt(np.add.reduceat(observed * squares, starts, axis=0) / total)


def _median_and_iqr(values: NDArray, offsets: NDArray, weight: NDArray) -> tuple[NDArray, NDArray]:
    quartiles = np.zeros((3, len(offsets) - 1, values.shape[1]))
    for i, (start, end) in enumerate(pairwise(offsets)):
        for feature in range(values.shape[1]):
            quartiles[:, i, feature] = _quartiles(values[start:end, feature], weight[start:end])
    low, middle, high = quartiles
    return middle, high - low


def _quartiles(values: NDArray, weight: NDArray) -> NDArray:
    """Weighted quartiles of the observed values; zeros when there are none."""
    observed = ~np.isnan(values)
    values, weight = values[observed], weight[observed]
    if len(values) == 0:
        return np.zeros(3)
    order = np.argsort(values)
    values, reached = values[order], np.cumsum(weight[order])
    wanted = np.array([_LOW, _MIDDLE, _HIGH]) * reached[-1]
    below = np.searchsorted(reached, wanted, side="left")
    above = np.searchsorted(reached, wanted, side="right")
    return (values[below] + values[above]) / 2
