"""Targets: labels and numbers, one per sequence or one per step, and their way back."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight

from skrnn._moments import CONSTANT, moments_of_blocks, weighted_moments
from skrnn._sequences import Layout
from skrnn._stored import AnySequences


@dataclass(frozen=True)
class LabelEncoding:
    """Labels and the integers that stand for them.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        Sorted labels, or 0 .. n_labels - 1 for indicator targets.

    multilabel : bool
        Whether targets are indicator matrices of shape (n, n_labels).
    """

    classes: NDArray
    multilabel: bool = False

    @classmethod
    def from_labels(cls, y: NDArray) -> LabelEncoding:
        """Learn the classes of a checked 1-D label array or indicator matrix."""
        if y.ndim == 2:
            return cls(np.arange(y.shape[1]), multilabel=True)
        return cls(_unique(y))

    def encode(self, y: NDArray) -> NDArray:
        """Codes of shape (n,), or the indicators as floats.

        Raises
        ------
        ValueError
            If a label is not one of the classes.
        """
        if self.multilabel:
            if y.ndim != 2 or y.shape[1] != len(self.classes):
                raise ValueError(
                    f"y has shape {y.shape}, expected {len(self.classes)} indicator columns."
                )
            return y.astype(np.float64)
        labels = _unique(y)
        unknown = _unknown(labels, self.classes)
        if unknown:
            raise ValueError(
                f"class {unknown[0]!r} is not in classes {self.classes.tolist()!r} of "
                "the first fit; partial_fit(classes=...) names all classes at its first call."
            )
        position = np.searchsorted(self.classes, labels)
        return position[np.searchsorted(labels, y)]

    def decode(self, probabilities: NDArray) -> NDArray:
        """Labels of the largest probability, or indicators of those above one half."""
        if self.multilabel:
            return (probabilities > 0.5).astype(np.int64)
        return self.classes[probabilities.argmax(axis=-1)]


@dataclass(frozen=True)
class TargetScaling:
    """Mean and scale of numeric targets.

    A constant target has scale 0: it is divided by 1 on the way in and every prediction returns to
    exactly the constant on the way out.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]

    @classmethod
    def fit(cls, y: NDArray[np.float64], weight: NDArray | None) -> TargetScaling:
        """Weighted mean and standard deviation of targets of shape (n, n_outputs)."""
        return cls(*weighted_moments(y, weight))

    def widened(self, y: NDArray[np.float64], weight: NDArray | None) -> TargetScaling:
        """Give outputs that were constant so far the spread they show in `y`."""
        if (self.scale > 0).all():
            return self
        spread = np.sqrt(np.average((y - self.mean) ** 2, axis=0, weights=weight))
        spread = np.where(spread > CONSTANT * np.abs(self.mean), spread, 0.0)
        return replace(self, scale=np.where(self.scale > 0, self.scale, spread))

    @classmethod
    def identity(cls, n_outputs: int) -> TargetScaling:
        """No scaling."""
        return cls(np.zeros(n_outputs), np.ones(n_outputs))

    def transform(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scale targets of shape (n, n_outputs)."""
        scaled = y - self.mean
        return np.divide(scaled, np.where(self.scale > 0, self.scale, 1.0), out=scaled)

    def inverse(self, y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Undo :meth:`transform` on predictions of shape (..., n_outputs)."""
        return y * self.scale + self.mean


def check_labels(y: Any, sequences: Layout, per_step: bool) -> NDArray:
    """Check class labels.

    Returns
    -------
    y : ndarray of shape (n,), (n, n_labels), or (total_steps,) with labels per step

    Raises
    ------
    ValueError
        If labels are missing, mixed, continuous or of the wrong number.
    """
    if per_step:
        arrays = _steps(_require(y), sequences, "y", "labels", _label_array)
        # numpy turns numbers beside text into text.
        texts = {array.dtype.kind in "US" for array in arrays}
        y = np.concatenate([a.astype(object) for a in arrays] if len(texts) > 1 else arrays)
    else:
        y = _label_array(_one_each(_require(y), "y"))
    if y.ndim == 2 and y.shape[1] == 1:
        y = _ravel_column(y)
    y = _check_label_values(y)
    if not per_step:
        check_consistent_length(sequences.lengths, y)
    return y


def check_numbers(y: Any, sequences: Layout, per_step: bool) -> NDArray[np.floating]:
    """Check numeric targets.

    Returns
    -------
    y : ndarray of shape (n,), (n, n_outputs), or (total_steps,) or (total_steps, n_outputs)
        In float64; targets per sequence may stay in float32, which is computed with in float64.
    """
    if per_step:
        arrays = _steps(_require(y), sequences, "y", "values", _float_array)
        return _float_array(np.concatenate(arrays))
    y = _float_array(_one_each(_require(y), "y"), keep_float32=True)
    if y.ndim == 2 and y.shape[1] == 1:
        y = _ravel_column(y)
    check_consistent_length(sequences.lengths, y)
    return y


def check_weights(
    sample_weight: Any, sequences: Layout, per_step: bool
) -> NDArray[np.float64] | None:
    """Check sample weights.

    Returns
    -------
    weight : ndarray of shape (n,) or (total_steps,), or None
        With labels per step, a weight per sequence is repeated over its steps.

    Raises
    ------
    ValueError
        If weights are negative, missing, all zero or of the wrong number.
    """
    if sample_weight is None:
        return None
    if per_step and not isinstance(sample_weight, Real) and _holds_arrays(sample_weight):
        arrays = _steps(sample_weight, sequences, "sample_weight", "weights", _float_array)
        weight = _float_array(np.concatenate(arrays), "sample_weight")
        if (weight < 0).any():
            raise ValueError("Negative values in data passed to `sample_weight`.")
    else:
        weight = _check_sample_weight(
            _one_each(sample_weight, "sample_weight"),
            sequences.lengths,
            dtype=np.float64,
            ensure_non_negative=True,
        )
        weight = np.repeat(weight, sequences.lengths) if per_step else weight
    if not (weight > 0).any():
        raise ValueError("all entries of sample_weight are zero; at least one weight must be > 0.")
    return weight


@dataclass(frozen=True)
class Samples:
    """Checked sequences with their targets and weights, one target per sequence or per step."""

    sequences: AnySequences
    target: NDArray
    weight: NDArray | None
    per_step: bool

    def take(self, indices: NDArray[np.integer]) -> Samples:
        """Samples at `indices`."""
        rows = self.sequences.step_index(indices) if self.per_step else indices
        weight = None if self.weight is None else self.weight[rows]
        return replace(
            self,
            sequences=self.sequences.take(indices),
            target=self.target[rows],
            weight=weight,
        )

    def moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weighted mean and standard deviation of every feature."""
        return moments_of_blocks(self.sequences.blocks(self.weight, self.per_step))

    def one_step_each(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Rows of one random step that counts, for each sequence that has any."""
        n_steps = len(self.target)
        counts = np.ones(n_steps, dtype=bool) if self.weight is None else self.weight > 0
        rows = rng.permutation(np.flatnonzero(counts))
        owner = np.searchsorted(self.sequences.offsets, rows, side="right")
        return rows[np.unique(owner, return_index=True)[1]]

    def counting(self) -> NDArray[np.bool_]:
        """Which sequences :meth:`without_zero_weights` keeps."""
        if self.weight is None:
            return np.ones(len(self.sequences), dtype=bool)
        if not self.per_step:
            return self.weight > 0
        return np.array([part.any() for part in split_steps(self.weight > 0, self.sequences)])

    def without_zero_weights(self) -> Samples:
        """Drop sequences that count nothing at all."""
        if self.weight is None or (self.weight > 0).all():
            return self
        return self.take(np.flatnonzero(self.counting()))


def split_steps(flat: NDArray, sequences: Layout) -> list[NDArray]:
    """Cut an array of one row per step into one array per sequence."""
    return np.split(flat, sequences.offsets[1:-1])


# -- details ----------------------------------------------------------------------------------


def _require(y: Any) -> Any:
    if y is None:
        raise ValueError("This estimator requires y to be passed, but the target y is None.")
    if isinstance(y, Mapping):
        raise TypeError(
            f"y is a {type(y).__name__}; pass a list with the target of each sequence of X, in "
            "their order."
        )
    return y


def _holds_arrays(y: Any) -> bool:
    return np.ndim(next(iter(y), 0)) > 0


def _one_each(values: Any, name: str) -> Any:
    """Refuse one array per sequence where one value per sequence is expected."""
    objects = getattr(getattr(values, "dtype", None), "kind", "") == "O"
    collection = isinstance(values, list | tuple | pd.Series) or objects
    if collection and _holds_arrays(values) and len({np.size(item) for item in values}) > 1:
        raise ValueError(
            f"{name} holds arrays of different lengths, expected one value per sequence. Pass "
            "return_sequences=True to learn from every time step."
        )
    return values


def _ravel_column(y: NDArray) -> NDArray:
    warnings.warn(
        "A column-vector y was passed when a 1d array was expected. Please change the shape of y "
        "to (n_samples,), for example using ravel().",
        DataConversionWarning,
        stacklevel=5,
    )
    return y[:, 0]


def _label_array(y: Any, name: str = "y", sequence: int | None = None) -> NDArray:
    """Labels as numpy, keeping the dtype they came in; missing ones raise."""
    if isinstance(y, pd.Series | pd.Index | pd.Categorical | pd.DataFrame):
        array = np.asarray(y) if isinstance(y, pd.Categorical) else y.to_numpy()
    else:
        array = check_array(y, dtype=None, ensure_2d=False, ensure_all_finite=False, allow_nd=True)
        if array.dtype.kind in "US" and not isinstance(y, np.ndarray):
            # numpy turns numbers and missing values beside text into text.
            items = np.asarray(y, dtype=object)
            all_text = all(isinstance(item, str | bytes) for item in items.flat)
            array = array if all_text else items
    if array.ndim == 0:
        raise ValueError(f"y should be a 1d array, got a scalar {array!r} instead.")
    _check_present(array, name, sequence)
    return array


def _check_present(values: NDArray, name: str, sequence: int | None) -> None:
    """Name the first value that is missing or infinite."""
    if values.dtype.kind not in "OfmM":
        return
    bad = ~np.isfinite(values) if values.dtype.kind == "f" else pd.isna(values)
    if not bad.any():
        return
    row, *column = np.argwhere(bad)[0]
    missing = pd.isna(values[(row, *column)])
    what = "NaN" if missing else f"infinity or a value too large for dtype('{values.dtype}')"
    where = f"sample {row}" if sequence is None else f"sequence {sequence}, step {row}"
    where += "".join(f", column {i}" for i in column)
    raise ValueError(
        f"Input {name} contains {what} at {where}; correct it, or leave out this "
        f"{'sample' if sequence is None else 'sequence'}."
    )


def _check_label_values(y: NDArray) -> NDArray:
    if y.dtype.kind == "c":
        raise ValueError("Complex data not supported in y.")
    if y.dtype == object:
        labels = _unique(y.ravel())
        if all(isinstance(label, Real) for label in labels):
            check_classification_targets(labels.astype(np.float64))
    if y.dtype.kind == "f":
        check_array(y, ensure_2d=False, input_name="y")
        check_classification_targets(y)
    if y.ndim == 2:
        if type_of_target(y) != "multilabel-indicator":
            raise ValueError(
                f"y should be a 1d array or an indicator matrix of zeros and ones, got an array "
                f"of shape {y.shape} instead."
            )
    elif y.ndim != 1:
        raise ValueError(f"y should be a 1d array, got an array of shape {y.shape} instead.")
    return y


def _unique(y: NDArray) -> NDArray:
    try:
        return np.unique(y)
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in y})
        raise ValueError(f"y has labels of mixed types {kinds}; use one type.") from error


def _unknown(labels: NDArray, classes: NDArray) -> list[Any]:
    """Labels that are no classes."""
    kinds = {"text" if a.dtype.kind in "US" else a.dtype == object for a in (labels, classes)}
    if kinds != {False} and kinds != {"text"}:
        # numpy compares text with anything else as text.
        known = set(classes.tolist())
        return [label for label in labels.tolist() if label not in known]
    return labels[~np.isin(labels, classes)].tolist()


def _float_array(
    y: Any, name: str = "y", sequence: int | None = None, *, keep_float32: bool = False
) -> NDArray:
    if getattr(getattr(y, "dtype", None), "kind", "") in ("m", "M"):
        raise ValueError(f"{name} has dtype {y.dtype}, expected numbers.")
    if isinstance(y, pd.Series | pd.DataFrame):
        y = y.to_numpy(dtype=np.float64, na_value=np.nan)
    dtypes = (np.float64, np.float32) if keep_float32 else np.float64
    array = check_array(y, dtype=dtypes, ensure_2d=False, ensure_all_finite=False, input_name=name)
    _check_present(array, name, sequence)
    return array


def _steps(y: Any, sequences: Layout, name: str, what: str, convert: Any) -> list[NDArray]:
    """One array per sequence, each as long as its sequence."""
    items = list(y)
    check_consistent_length(sequences.lengths, items)
    # A rectangular y beside padded X has entries for the padding, which do not count.
    padded = isinstance(y, np.ndarray) and y.ndim >= 2 and y.shape[1] == sequences.width
    arrays = []
    for i, (item, length) in enumerate(zip(items, sequences.lengths, strict=True)):
        if np.ndim(item) == 0:
            raise ValueError(
                f"{name}[{i}] is a single value; with return_sequences=True {name} is a list with "
                f"one array of {what} per step for each sequence."
            )
        if length == 0 and len(item) == 0:
            continue
        item = item[:length] if padded else item
        if len(item) != length:
            raise ValueError(f"{name}[{i}] has {len(item)} {what} for {length} steps.")
        arrays.append(convert(item, name, i))
    return arrays


def compared(training: Samples, validation: Samples | None) -> dict[str, NDArray | None]:
    """All that a training reads, by what it is called: processes compare it."""
    kinds = training.sequences.traces()
    found: dict[str, NDArray | None] = {}
    for part, samples in (("training", training), ("validation", validation)):
        seen: dict[str, NDArray | None] = {
            "y": None if samples is None else samples.target,
            "sample_weight": None if samples is None else samples.weight,
        }
        seen |= dict.fromkeys(kinds) if samples is None else samples.sequences.traces()
        found |= {f"{name} of the {part} part": array for name, array in seen.items()}
    return found
