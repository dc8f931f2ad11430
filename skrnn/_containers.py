"""Containers: any accepted collection of sequences becomes `Sequences`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skrnn._sequences import Sequences
from skrnn._windows import Windows

# Columns of dates and durations, in the words of numpy, pandas, polars and Arrow.
_DATES = re.compile("date|time|duration|period", re.IGNORECASE)
_FROM_TABLE = "skrnn.preprocessing.sequences_from_frame"


def to_sequences(X: Any, name: str, dtype: Any) -> Sequences | Any:
    """Convert a collection, a frame of list columns or a 3-D array; leave 2-D input alone.

    Parameters
    ----------
    X : array-like, frame or collection
        Input of an estimator.

    name : str
        Name of that estimator, for messages.

    dtype : numpy dtype
        Type of the values.

    Returns
    -------
    sequences : Sequences or array-like
        Converted sequences, or X itself when it is a matrix of numbers, whose checks are
        scikit-learn's.
    """
    if isinstance(X, Windows):
        if len(X):
            return windows_to_sequences(X, dtype) if X.ndim == 3 else X
        X = np.asarray(X)
    X = _to_numpy(X, name)
    cells = _list_columns(X)
    if cells is not None:
        return _from_cells(*cells, dtype)
    if _is_collection(X):
        return _from_items(list(X), name, dtype)
    n_axes = getattr(X, "ndim", 0)
    if n_axes == 3:
        return _from_3d(X, dtype)
    if n_axes > 3:
        raise ValueError(
            f"Found array with dim {n_axes}, while dim <= 3 is required by {name}; the axes are "
            "(n_samples, n_timesteps, n_features)."
        )
    return X


def windows_to_sequences(X: Windows, dtype: Any) -> Sequences:
    """Read windows where they lie, with values of the wanted dtype."""
    sequences = Sequences.from_windows(X)
    return sequences.with_values(cast(sequences.values, 0, dtype))


# -- recognising a container ------------------------------------------------------------------


def _to_numpy(X: Any, name: str) -> Any:
    """Turn tensors and columns of foreign frames into numpy; refuse what cannot hold sequences."""
    _refuse_what_is_no_list(X, name)
    kind = type(X).__module__.split(".")[0]
    if kind == "torch":
        return tensor_to_numpy(X)
    if kind == "awkward":
        raise TypeError(f"{name} does not accept awkward arrays; pass ak.to_list(X) instead.")
    if kind in ("polars", "pyarrow") and not hasattr(X, "columns"):
        return X.to_pylist() if kind == "pyarrow" else X.to_list()
    if isinstance(X, pd.DataFrame) and isinstance(X.index, pd.MultiIndex):
        raise TypeError(
            f"{name} got a long table with a MultiIndex. Turn it into sequences with "
            "skrnn.preprocessing.sequences_from_frame, or use skrnn.sktime."
        )
    if isinstance(X, list | tuple | pd.Series) or getattr(X, "ndim", None) == 1:
        _refuse_nothing_and_text(X, name)
    if isinstance(X, pd.Series) and X.dtype != object and not _is_list_dtype(X.dtype):
        return X.to_numpy()
    if isinstance(X, list | tuple) and _is_box(X):
        return np.asarray(X)
    return X


def _refuse_what_is_no_list(X: Any, name: str) -> None:
    """Refuse groups of a table, dicts, and iterables without positions."""
    if "GroupBy" in type(X).__name__:
        raise TypeError(
            f"{name} got the groups of a table; turn the table itself into a list of sequences "
            f"with {_FROM_TABLE}."
        )
    # Some sparse matrices are dicts as well.
    if hasattr(X, "shape") or hasattr(X, "__array__"):
        return
    if isinstance(X, Mapping):
        raise TypeError(
            f"{name} got a {type(X).__name__}; pass a list of sequences. If its values are the "
            "sequences, that is list(X.values())."
        )
    if isinstance(X, Iterable) and not hasattr(X, "__getitem__"):
        raise TypeError(f"{name} got a {type(X).__name__}; pass a list of sequences, as list(X).")


def _refuse_nothing_and_text(X: Any, name: str) -> None:
    if len(X) == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape=(0,)) while a minimum of 1 is required by {name}."
        )
    if all(isinstance(item, str | bytes) for item in X):
        raise TypeError(
            f"{name} got text; turn it into token ids with "
            "skrnn.preprocessing.SequenceTokenizer first."
        )


def _is_box(X: list[Any] | tuple[Any, ...]) -> bool:
    """Whether nested lists form a regular (n_samples, n_timesteps, n_features) block."""
    if not all(isinstance(item, list | tuple) for item in X):
        return False
    shapes = {_nested_shape(item) for item in X}
    return len(shapes) == 1 and isinstance(shape := shapes.pop(), tuple) and len(shape) == 2


def tensor_to_numpy(tensor: Any) -> NDArray:
    """Array of the values of a tensor, wherever it lies."""
    tensor = tensor.detach().cpu()
    # numpy has no bfloat16.
    return (tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor).numpy()


def _is_list_dtype(dtype: Any) -> bool:
    return "list" in str(dtype).lower()


def _is_nested(item: Any) -> bool:
    """Whether a list item is itself a sequence of steps rather than a number or a text."""
    return not isinstance(item, str | bytes) and (
        isinstance(item, list | tuple) or getattr(item, "ndim", 0) > 0 or hasattr(item, "columns")
    )


def _is_collection(X: Any) -> bool:
    """Whether X is a one-dimensional collection of sequences.

    Lists of lists of numbers stay array-likes as in scikit-learn, unless they are ragged.
    """
    if isinstance(X, np.ndarray):
        return X.ndim == 1 and X.dtype == object and len(X) > 0 and _is_nested(X[0])
    if isinstance(X, pd.Series):
        return len(X) > 0 and _is_nested(X.iloc[0])
    if not isinstance(X, list | tuple) or len(X) == 0:
        return False
    if all(isinstance(item, list | tuple) for item in X):
        return len({_nested_shape(item) for item in X}) > 1
    return any(_is_nested(item) for item in X)


def _nested_shape(item: Any) -> Any:
    """Shape of nested lists; ragged or array-holding ones have a shape of their own."""
    try:
        array = np.asarray(item)
    except ValueError:
        return object()
    return array.shape if array.ndim < 3 else object()


def _list_columns(X: Any) -> tuple[list[list[NDArray]], list[str] | None] | None:
    """Columns and names of a frame (or 2-D object array) whose cells hold one series each."""
    if isinstance(X, np.ndarray):
        if X.ndim != 2 or X.dtype != object or X.size == 0 or not _is_nested(X[0, 0]):
            return None
        return [[np.asarray(cell) for cell in column] for column in X.T], None
    if not hasattr(X, "columns") or len(X) == 0:
        return None
    kind = type(X).__module__.split(".")[0]
    if kind == "pyarrow":
        names = list(X.column_names)
        columns = [X.column(name).to_pylist() for name in names]
    elif kind == "polars":
        names, columns = list(X.columns), [X[name].to_list() for name in X.columns]
    elif isinstance(X, pd.DataFrame):
        names = list(X.columns)
        if not any(X[c].dtype == object or _is_list_dtype(X[c].dtype) for c in names):
            return None
        columns = [X[name].tolist() for name in names]
    else:
        return None
    nested = [_is_nested(column[0]) for column in columns]
    if not all(nested):
        if any(nested):
            raise ValueError(
                f"column {names[nested.index(False)]!r} of X holds no sequences, as column "
                f"{names[nested.index(True)]!r} does; leave it out."
            )
        return None
    named = names if all(isinstance(name, str) for name in names) else None
    return [[np.asarray(cell) for cell in column] for column in columns], named


# -- converting a container -------------------------------------------------------------------


def _from_cells(columns: list[list[NDArray]], names: list[str] | None, dtype: Any) -> Sequences:
    items = []
    for i, cells in enumerate(zip(*columns, strict=True)):
        lengths = {len(cell) for cell in cells}
        if len(lengths) > 1:
            raise ValueError(
                f"sequence {i} has features of different lengths {sorted(lengths)}; "
                "all list columns of a row must hold the same number of steps."
            )
        items.append(np.column_stack([cast(cell, i, dtype) for cell in cells]))
    sequences = Sequences.from_list(items)
    return replace(sequences, feature_names=None if names is None else tuple(names))


def _from_items(items: list[Any], name: str, dtype: Any) -> Sequences:
    if _are_alike(items):
        # Thousands of short arrays are checked and cast in the time of one.
        sequences = Sequences.from_list(items)
        return sequences.with_values(cast(sequences.values, 0, dtype))
    arrays = [as_steps(item, i, name, dtype) for i, item in enumerate(items)]
    filled = [array for array in arrays if len(array)]
    width = filled[0].shape[1] if filled else arrays[0].shape[1]
    for i, array in enumerate(arrays):
        if len(array) == 0:
            arrays[i] = np.empty((0, width), dtype=array.dtype)
        elif array.shape[1] != width:
            raise ValueError(
                f"sequence {i} has {array.shape[1]} features, expected {width} as in the first "
                "sequence; every sequence is (n_timesteps, n_features)."
            )
    return replace(Sequences.from_list(arrays), feature_names=_common_names(items))


def _are_alike(items: list[Any]) -> bool:
    """Whether all items are matrices of numbers of one type and width."""
    if not all(type(item) is np.ndarray and item.ndim == 2 for item in items):
        return False
    kinds = {(item.dtype, item.shape[1]) for item in items}
    return len(kinds) == 1 and items[0].dtype.kind in "biuf"


def as_steps(item: Any, i: int, name: str, dtype: Any) -> NDArray:
    """One sequence as (n_timesteps, n_features) of the wanted dtype."""
    if isinstance(item, str | bytes):
        raise TypeError(
            f"{name} got text in sample {i}; turn text into token ids with "
            "skrnn.preprocessing.SequenceTokenizer first."
        )
    if type(item).__module__.split(".")[0] == "torch":
        item = tensor_to_numpy(item)
    try:
        array = cast(_to_array(item, i), i, dtype)
    except (TypeError, ValueError) as error:
        _refuse_column_of_sequence(item, i, error)
        raise
    if array.ndim == 1:
        return array.reshape(-1, 1)
    if array.ndim != 2:
        raise ValueError(
            f"sequence {i} has {array.ndim} dimensions, expected (n_timesteps, n_features) "
            "or (n_timesteps,)."
        )
    return array


def _to_array(item: Any, i: int) -> NDArray:
    """One sequence as an array of any type."""
    if isinstance(item, pd.DataFrame | pd.Series):
        return _frame_to_numpy(item, i)
    # Beside numbers, polars would turn dates into numbers.
    _refuse_column_of_sequence(item, i)
    try:
        return np.asarray(item)
    except ValueError as error:
        parts = ", ".join(type(part).__name__ for part in islice(item, 2))
        raise ValueError(
            f"sequence {i} is no array but a {type(item).__name__} of {parts}, ...; every sequence "
            "is (n_timesteps, n_features)."
        ) from error


def _frame_to_numpy(frame: Any, i: int) -> NDArray:
    dtypes = frame.dtypes if isinstance(frame, pd.DataFrame) else [frame.dtype]
    if all(isinstance(dtype, np.dtype) for dtype in dtypes):
        return frame.to_numpy()
    _refuse_column_of_sequence(frame, i)
    # Nullable and arrow columns turn into objects unless a float type is asked for.
    try:
        return frame.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        kinds = sorted({str(dtype) for dtype in dtypes})
        raise ValueError(
            f"sequence {i} has dtype {', '.join(kinds)}; sequences must hold numbers."
        ) from error


def cast(array: NDArray, i: int, dtype: Any) -> NDArray:
    """Cast numbers to `dtype` and refuse everything else; what overflows becomes infinite."""
    if array.dtype.kind in "biuf":
        with np.errstate(over="ignore"):
            cast = array.astype(dtype, copy=False)
    elif array.size == 0:
        return array.astype(dtype)
    elif array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported (sequence {i}).")
    elif array.dtype.kind == "O":
        try:
            cast = array.astype(dtype)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"sequence {i} has dtype object with values that are not numbers; "
                "encode categories and text as numbers first."
            ) from error
    else:
        raise ValueError(f"sequence {i} has dtype {array.dtype}; sequences must hold numbers.")
    return cast


def _common_names(items: Iterable[Any]) -> tuple[str, ...] | None:
    """Column names shared by a collection of frames."""
    names = None
    for i, item in enumerate(items):
        columns = getattr(item, "columns", None)
        if columns is None or not all(isinstance(column, str) for column in columns):
            return None
        if names is not None and tuple(columns) != names:
            raise ValueError(
                f"sequence {i} has columns {list(columns)}, expected {list(names)} as in the "
                "first sequence."
            )
        names = tuple(columns)
    return names


# -- columns that hold no numbers -------------------------------------------------------------


@contextmanager
def naming_the_column(X: Any) -> Iterator[None]:
    """Name the column of a table that holds no numbers, when reading the table fails.

    Parameters
    ----------
    X : array-like or frame
        Table of one univariate sequence per row. About arrays nothing is said.

    Raises
    ------
    ValueError
        If a column holds no numbers.
    """
    _refuse_column_of_table(X)
    try:
        yield
    except (TypeError, ValueError) as error:
        if "feature names" not in str(error):
            _refuse_column_of_table(X, error)
        raise


def _refuse_column_of_table(X: Any, error: Exception | None = None) -> None:
    found = _column_without_numbers(X, dates_only=error is None)
    if found is not None:
        reason = "" if error is None else f" ({error})"
        raise ValueError(
            f"column {found[0]!r} of X has dtype {found[1]}; sequences must hold numbers{reason}. "
            "Each row of a 2-D X is a sequence; turn a long table, which has a row per time step, "
            f"into sequences with {_FROM_TABLE}."
        ) from error


def _refuse_column_of_sequence(item: Any, i: int, error: Exception | None = None) -> None:
    found = _column_without_numbers(item, dates_only=error is None)
    if found is not None:
        raise ValueError(
            f"sequence {i} has a column {found[0]!r} of dtype {found[1]}; sequences must hold "
            "numbers. Encode it as numbers or leave it out, or turn the long table into sequences "
            f"with {_FROM_TABLE}, which leaves out ids and times."
        ) from error


def _column_without_numbers(frame: Any, dates_only: bool) -> tuple[Any, Any] | None:
    """Name and type of the first column of a frame that holds dates or else no numbers."""
    kind = type(frame).__module__.split(".")[0] if hasattr(frame, "columns") else None
    if kind in ("pandas", "polars"):
        columns = zip(frame.columns, frame.dtypes, strict=True)
    elif kind == "pyarrow":
        columns = zip(frame.column_names, frame.schema.types, strict=True)
    else:
        return None
    for j, (name, dtype) in enumerate(columns):
        if _DATES.search(str(dtype)):
            return name, dtype
        if not dates_only:
            values = np.asarray(frame.iloc[:, j] if kind == "pandas" else frame[name])
            if not _are_numbers(values):
                return name, dtype
    return None


def _are_numbers(values: NDArray) -> bool:
    if values.dtype.kind in "biufc":
        return True
    try:
        # The missing values of pandas are no floats by themselves.
        pd.Series(values).to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        return False
    return True


# -- blocks -----------------------------------------------------------------------------------


def _from_3d(X: NDArray, dtype: Any) -> Sequences:
    n_samples, width, n_features = X.shape
    if n_samples == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 is required."
        )
    if width == 0:
        raise ValueError(f"Found array with 0 time steps (shape={X.shape}).")
    if n_features == 0:
        raise ValueError(f"Found array with 0 feature(s) (shape={X.shape}).")
    if X.dtype.kind not in "biufc" and X.dtype != object:
        raise ValueError(f"X has dtype {X.dtype}; sequences must hold numbers.")
    X = cast(X, 0, dtype)
    return Sequences.from_padded(X, padded_lengths(X))


def padded_lengths(X: NDArray) -> NDArray[np.int64] | None:
    """Lengths of the sequences in a 3-D array, None when no trailing step is all NaN."""
    width = X.shape[1]
    if X.dtype.kind != "f" or not np.isnan(X[:, -1]).all(axis=-1).any():
        return None
    filled = ~np.isnan(X).all(axis=-1)
    last = width - np.argmax(filled[:, ::-1], axis=1)
    return np.where(filled.any(axis=1), last, 0).astype(np.int64)
