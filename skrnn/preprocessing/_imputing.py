"""Imputing: fill missing values inside sequences."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skrnn._sequences import Sequences
from skrnn._windows import Windows
from skrnn.preprocessing._transformer import SequenceTransformer


class SequenceImputer(SequenceTransformer):
    """Fill missing values inside sequences, and say where they were.

    Parameters
    ----------
    strategy : {"forward", "interpolate", "mean", "constant"}, default="forward"
        What a missing value becomes:

        - "forward": the last observed value of the sequence; before the first observation the
          training mean. Looks at the past only.
        - "interpolate": a straight line between the neighbouring observations; before the first
          and after the last one the nearest observation. Looks at the future, so never use it
          where later steps are unknown at prediction time.
        - "mean": the mean of the feature in the training data.
        - "constant": `fill_value`.

    fill_value : float, default=0.0
        What missing values become with ``strategy="constant"``, finite.

    add_indicator : bool, default=False
        Append one feature per feature that is 1 where the value was missing, else 0.

    add_time_since : bool, default=False
        Append one feature per feature with the number of time steps since the last observation:
        0 where the value was observed. Before the first observation counting starts as if there
        had been one just before the sequence.

    Attributes
    ----------
    mean_ : ndarray of shape (`n_channels_in_`,)
        Mean of each feature over all observed time steps of the training data; NaN where
        ``strategy="constant"`` met a feature without observations.

    n_channels_in_ : int
        Number of features per time step of X.

    n_features_in_ : int
        Number of columns of a 2-D X, number of features per time step of any other.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, only where X had any.

    See Also
    --------
    SequenceScaler : Scale sequences; keeps missing values, so it may come first.
    sklearn.impute.SimpleImputer : Fill the columns of a table, without an order of rows.

    Notes
    -----
    Trailing time steps of a 3-D array that are NaN in all features are padding and stay NaN. In a
    list every time step counts, the last ones too. A NaN in a 2-D X is always a missing value.

    A sequence without any observation of a feature is filled with the training mean by the
    strategies "forward" and "interpolate".

    Indicators and times since the last observation are the inputs that [1]_ found to help recurrent
    networks most; they are appended for all features, in this order: values, indicators, times. A
    2-D X then becomes 3-D.

    References
    ----------
    .. [1] Z. Che, S. Purushotham, K. Cho, D. Sontag, Y. Liu, "Recurrent Neural Networks for
       Multivariate Time Series with Missing Values", Scientific Reports 8, 2018.
       doi.org/10.1038/s41598-018-24271-9

    Examples
    --------
    >>> import numpy as np
    >>> from skrnn.preprocessing import SequenceImputer
    >>> X = [np.array([[1.0], [np.nan], [np.nan], [4.0]])]
    >>> SequenceImputer().fit_transform(X)[0].ravel()
    array([1., 1., 1., 4.])
    >>> SequenceImputer("interpolate", add_time_since=True).fit_transform(X)[0]
    array([[1., 0.],
           [2., 1.],
           [3., 2.],
           [4., 0.]])
    """

    _allow_nan = True
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "strategy": [StrOptions({"forward", "interpolate", "mean", "constant"})],
        "fill_value": [Interval(Real, None, None, closed="neither")],
        "add_indicator": ["boolean"],
        "add_time_since": ["boolean"],
    }

    def __init__(
        self,
        strategy: str = "forward",
        *,
        fill_value: float = 0.0,
        add_indicator: bool = False,
        add_time_since: bool = False,
    ) -> None:
        self.strategy = strategy
        self.fill_value = fill_value
        self.add_indicator = add_indicator
        self.add_time_since = add_time_since

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Compute the mean of each feature.

        Parameters
        ----------
        X : array-like, frame or collection of n_samples sequences
            Sequences; NaN inside them is a missing value.

        y : None, default=None
            Ignored, here for consistency.

        Returns
        -------
        self : SequenceImputer
            The fitted transformer.

        Raises
        ------
        ValueError
            If a feature is never observed, unless ``strategy="constant"``.
        """
        sequences = self._read(X, reset=True)
        values = sequences.values
        weight = sequences.step_weight()
        if weight is None:
            observed = (~np.isnan(values)).sum(axis=0)
            total = np.nansum(values, axis=0, dtype=np.float64)
        else:
            observed, total = weight @ ~np.isnan(values), weight @ np.nan_to_num(values)
        if self.strategy != "constant" and (observed == 0).any():
            feature = int(np.argmin(observed))
            name = sequences.feature_names[feature] if sequences.feature_names else feature
            raise ValueError(
                f"feature {name!r} has no observed value; drop it, or use strategy='constant'."
            )
        self.mean_ = np.where(observed > 0, total, np.nan) / np.maximum(observed, 1)
        return self

    def transform(self, X: Any) -> NDArray | list[NDArray] | Windows:
        """Fill missing values.

        Parameters
        ----------
        X : array-like, frame or collection of n_samples sequences
            Sequences; NaN inside them is a missing value.

        Returns
        -------
        X_out : ndarray, or list of ndarray of shape (n_timesteps_i, n_features_out)
            The filled sequences: 2-D for 2-D, 3-D for 3-D, a list for any other container.
            Windows for windows, as nothing is missing in them.
            ``n_features_out`` is `n_channels_in_` times one plus the number of appended kinds.
        """
        check_is_fitted(self)
        sequences = self._read(X, reset=False)
        if sequences.overlapping and not np.isnan(sequences.values).any():
            return self._beside_zeros(sequences).restore()
        sequences = sequences.packed()
        missing = np.isnan(sequences.values)
        parts = [self._filled(sequences, missing)]
        if self.add_indicator:
            parts.append(missing)
        if self.add_time_since:
            previous = np.maximum(_previous(sequences, missing), _starts(sequences) - 1)
            parts.append(np.arange(len(missing))[:, None] - previous)
        values = np.hstack(parts).astype(sequences.values.dtype, copy=False)
        return sequences.with_values(values).restore()

    def _beside_zeros(self, sequences: Sequences) -> Sequences:
        """What becomes of sequences without missing values."""
        zeros = [np.zeros_like(sequences.values)] * (self.add_indicator + self.add_time_since)
        return sequences.with_values(np.hstack([sequences.values, *zeros]))

    def _filled(self, sequences: Sequences, missing: NDArray) -> NDArray:
        """Copy of the values without missing ones."""
        values = sequences.values
        if self.strategy == "constant":
            return np.where(missing, values.dtype.type(self.fill_value), values)
        mean = np.broadcast_to(self.mean_.astype(values.dtype), values.shape)
        if self.strategy == "mean" or len(values) == 0:
            return np.where(missing, mean, values)
        before = _previous(sequences, missing)
        has_before = before >= _starts(sequences)
        past = np.take_along_axis(values, np.maximum(before, 0), axis=0)
        if self.strategy == "forward":
            return np.where(has_before, past, mean)
        after = _next(sequences, missing)
        has_after = after < _ends(sequences)
        future = np.take_along_axis(values, np.minimum(after, len(values) - 1), axis=0)
        step = np.arange(len(values))[:, None]
        share = (step - before) / np.maximum(after - before, 1)
        # Between two observations, else the only one there is, else the mean.
        line = np.where(missing, past * (1 - share) + future * share, values)
        one_sided = np.where(has_before, past, np.where(has_after, future, mean))
        return np.where(has_before & has_after, line, one_sided).astype(values.dtype, copy=False)


def _starts(sequences: Sequences) -> NDArray[np.int64]:
    """First step of the sequence each step belongs to, (total_steps, 1)."""
    return np.repeat(sequences.offsets[:-1], sequences.lengths)[:, None]


def _ends(sequences: Sequences) -> NDArray[np.int64]:
    """Step after the last of the sequence each step belongs to, (total_steps, 1)."""
    return np.repeat(sequences.offsets[1:], sequences.lengths)[:, None]


def _previous(sequences: Sequences, missing: NDArray) -> NDArray[np.int64]:
    """Last observed step up to each step; lies before the sequence when there is none in it."""
    step = np.arange(len(missing))[:, None]
    return np.maximum.accumulate(np.where(missing, -1, step), axis=0)


def _next(sequences: Sequences, missing: NDArray) -> NDArray[np.int64]:
    """First observed step from each step on; lies after the sequence when there is none in it."""
    step = np.arange(len(missing))[:, None]
    reverse = np.where(missing, len(missing), step)[::-1]
    return np.minimum.accumulate(reverse, axis=0)[::-1]
