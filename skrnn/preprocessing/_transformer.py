"""What the transformers of sequences share: how they read X and what they say about themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from skrnn._persistence import FileMixin
from skrnn._sequences import Sequences
from skrnn._stores import in_memory
from skrnn._validation import validate_sequences


def float_type(X: Any) -> type[np.floating]:
    """Type in which X is transformed: float32 when all of X is float32, else float64.

    Parameters
    ----------
    X : array-like, frame or collection
        Input of a transformer.

    Returns
    -------
    dtype : numpy dtype
        ``numpy.float32`` or ``numpy.float64``.
    """
    if isinstance(X, list | tuple) or (isinstance(X, np.ndarray) and X.dtype == object):
        found = {_type_name(item) for item in X}
    else:
        found = {_type_name(X)}
    return np.float32 if found == {"float32"} else np.float64


def _type_name(X: Any) -> str:
    dtypes = getattr(X, "dtypes", getattr(X, "dtype", None))
    names = {str(dtype) for dtype in np.atleast_1d(np.asarray(dtypes, dtype=object))}
    return names.pop().removeprefix("torch.") if len(names) == 1 else "mixed"


class SequenceTransformer(FileMixin, TransformerMixin, BaseEstimator):
    """Base of transformers that read any container of sequences and give the same form back."""

    # Whether NaN inside a sequence is a missing value that the transformer understands.
    _allow_nan = False

    def _read(self, X: Any, *, reset: bool) -> Sequences:
        X = in_memory(X, type(self).__name__)
        # A sequence without steps stays one: what it means is the final estimator's decision.
        sequences = validate_sequences(
            self,
            X,
            reset=reset,
            dtype=float_type(X),
            allow_nan=self._allow_nan,
            allow_empty=True,
        )
        assert isinstance(sequences, Sequences)
        return sequences

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self._allow_nan
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
