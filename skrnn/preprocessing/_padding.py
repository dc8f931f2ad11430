"""Padding: sequences of any length become one 3-D array."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skrnn._sequences import Sequences
from skrnn.preprocessing._transformer import SequenceTransformer


class SequencePadder(SequenceTransformer):
    """Make all sequences equally long and stack them in one 3-D array.

    Short sequences are filled up, long ones are cut. The estimators of this package need no
    padding; it serves tools that only take one array, and `max_length` serves to cut sequences.

    Parameters
    ----------
    padding : {"post", "pre"}, default="post"
        Where filling goes: after the sequence or before it.

    max_length : int or None, default=None
        Number of time steps of the result, in `[1, inf)`. None takes the length of the longest
        sequence seen in `fit`; a longer one met later is cut, with a warning.

    truncating : {"post", "pre"}, default="post"
        Where a long sequence loses steps: at its end or at its start.

    value : float or None, default=None
        What the filling consists of. None is NaN, which the estimators of this package recognise
        as padding when it comes last; it is therefore refused with ``padding="pre"``. With a
        number the result no longer says where a sequence ends.

    Attributes
    ----------
    max_length_ : int
        Number of time steps of the result.

    n_channels_in_ : int
        Number of features per time step.

    n_features_in_ : int
        Number of columns of a 2-D X, number of features per time step of any other.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, only where X had any.

    See Also
    --------
    SequenceScaler : Scale the features before padding, so that the filling does not count.
    SequenceImputer : Fill missing values, which this class leaves as they are.

    Notes
    -----
    The length is fixed in `fit`, so that the result for a sequence does not depend on the other
    sequences in the same call.

    NaN in front of a sequence could not be told from missing values at its start. For
    ``padding="pre"`` choose a number that means "nothing" on the scale of the data, for example 0
    behind a :class:`SequenceScaler`.

    Missing values (NaN) stay, for an estimator with ``missing="mask"``. Steps without any value at
    the end of a sequence cannot be told from NaN as filling, of which there is a warning.

    Examples
    --------
    >>> from skrnn.preprocessing import SequencePadder
    >>> X = [[[1.0], [2.0], [3.0]], [[4.0]]]
    >>> SequencePadder().fit_transform(X)[:, :, 0]
    array([[ 1.,  2.,  3.],
           [ 4., nan, nan]])
    >>> SequencePadder(padding="pre", max_length=2, value=0).fit_transform(X)[:, :, 0]
    array([[1., 2.],
           [0., 4.]])
    """

    _allow_nan = True
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "padding": [StrOptions({"post", "pre"})],
        "max_length": [Interval(Integral, 1, None, closed="left"), None],
        "truncating": [StrOptions({"post", "pre"})],
        "value": [Interval(Real, None, None, closed="neither"), "nan", None],
    }

    def __init__(
        self,
        padding: str = "post",
        *,
        max_length: int | None = None,
        truncating: str = "post",
        value: float | None = None,
    ) -> None:
        self.padding = padding
        self.max_length = max_length
        self.truncating = truncating
        self.value = value

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the length of the longest sequence.

        Parameters
        ----------
        X : array-like, frame or collection of n_samples sequences
            Sequences; NaN is a missing value.

        y : None, default=None
            Ignored, here for consistency.

        Returns
        -------
        self : SequencePadder
            The fitted transformer.

        Raises
        ------
        ValueError
            If filling in front of the sequences is asked for without a number to fill in, or if
            no sequence has a time step.
        """
        if self.padding == "pre" and np.isnan(self._fill()):
            raise ValueError(
                "padding='pre' needs a number: NaN in front of a sequence would be missing values, "
                "not padding. Set value=0.0, or use padding='post'."
            )
        sequences = self._read(X, reset=True)
        longest = int(sequences.lengths.max())
        if longest == 0:
            raise ValueError(f"all {len(sequences)} sequences are empty; there is nothing to pad.")
        self.max_length_ = longest if self.max_length is None else int(self.max_length)
        return self

    def transform(self, X: Any) -> NDArray:
        """Pad and cut sequences.

        Parameters
        ----------
        X : array-like, frame or collection of n_samples sequences
            Sequences; NaN is a missing value.

        Returns
        -------
        X_out : ndarray of shape (n_samples, n_timesteps, n_channels)
            The same sequences in one array; always a copy.
        """
        check_is_fitted(self)
        sequences = self._read(X, reset=False)
        if self.max_length is None:
            self._warn_of_cuts(sequences.lengths)
        self._warn_of_silent_ends(sequences)
        return self._fill_array(sequences)

    def _fill(self) -> float:
        return np.nan if self.value is None else float(self.value)

    def _warn_of_cuts(self, lengths: NDArray[np.int64]) -> None:
        n_cut = int((lengths > self.max_length_).sum())
        if n_cut:
            warnings.warn(
                f"{n_cut} of {len(lengths)} sequences are longer than the {self.max_length_} time "
                "steps seen in fit and were cut; set max_length to choose the length yourself.",
                UserWarning,
                stacklevel=3,
            )

    def _warn_of_silent_ends(self, sequences: Sequences) -> None:
        if not np.isnan(self._fill()):
            return
        kept, skipped = self._kept(sequences.lengths)
        there = np.flatnonzero(kept)
        ends = (sequences.starts + skipped + kept - 1)[there]
        silent = there[np.isnan(sequences.values[ends]).all(axis=1)]
        if len(silent):
            warnings.warn(
                f"what is kept of sequence {silent[0]} ends with a step without a value, as that "
                f"of {len(silent)} of {len(kept)}, and NaN is the filling: these steps are read as "
                "filling. Set value to a number to tell them apart.",
                UserWarning,
                stacklevel=3,
            )

    def _kept(self, lengths: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How many steps of each sequence are kept, and how many before them are not."""
        kept = np.minimum(lengths, self.max_length_)
        return kept, lengths - kept if self.truncating == "pre" else np.zeros_like(kept)

    def _fill_array(self, sequences: Sequences) -> NDArray:
        width = self.max_length_
        kept, skipped = self._kept(sequences.lengths)
        ends = np.cumsum(kept)
        # Position of each kept step inside its kept part.
        step = np.arange(ends[-1]) - np.repeat(ends - kept, kept)
        filled_before = width - kept if self.padding == "pre" else np.zeros_like(kept)
        shape = (len(sequences), width, sequences.n_features)
        padded = np.full(shape, self._fill(), dtype=sequences.values.dtype)
        row = np.repeat(np.arange(len(sequences)), kept)
        source = step + np.repeat(sequences.starts + skipped, kept)
        padded[row, step + np.repeat(filled_before, kept)] = sequences.values[source]
        return padded
