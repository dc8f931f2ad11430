"""Containers: any accepted collection of sequences becomes `Sequences`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from skrnn._sequences import Sequences


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
    X = _to_numpy(X, name)
    cells = _list_columns(X)
    if cells is not None:
        return _from_cells(*cells, dtype)
    if _is_collection(X):
        return _from_items(list(X), name, dtype)
    if getattr(X, "ndim", None) == 3:
        return _from_3d(X, dtype)
    return X


# -- recognising a container ------------------------------------------------------------------


def _to_numpy(X: Any, name: str) -> Any:
    """Turn tensors and columns of foreign frames into numpy; refuse what cannot hold sequences."""
    kind = type(X).__module__.split(".")[0]
    if kind == "torch":
        return _tensor_to_numpy(X)
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


def _tensor_to_numpy(tensor: Any) -> NDArray:
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
    if not all(_is_nested(column[0]) for column in columns):
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
        items.append(np.column_stack([_cast(cell, i, dtype) for cell in cells]))
    sequences = Sequences.from_list(items)
    return replace(sequences, feature_names=None if names is None else tuple(names))


def _from_items(items: list[Any], name: str, dtype: Any) -> Sequences:
    arrays = [_as_steps(item, i, name, dtype) for i, item in enumerate(items)]
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


def _as_steps(item: Any, i: int, name: str, dtype: Any) -> NDArray:
    """One sequence as (n_timesteps, n_features) of the wanted dtype."""
    if isinstance(item, str | bytes):
        raise TypeError(
            f"{name} got text in sample {i}; turn text into token ids with "
            "skrnn.preprocessing.SequenceTokenizer first."
        )
    if type(item).__module__.split(".")[0] == "torch":
        item = _tensor_to_numpy(item)
    if isinstance(item, pd.DataFrame | pd.Series):
        item = _frame_to_numpy(item, i)
    array = _cast(np.asarray(item), i, dtype)
    if array.ndim == 1:
        return array.reshape(-1, 1)
    if array.ndim != 2:
        raise ValueError(
            f"sequence {i} has {array.ndim} dimensions, expected (n_timesteps, n_features) "
            "or (n_timesteps,)."
        )
    return array


def _frame_to_numpy(frame: Any, i: int) -> NDArray:
    dtypes = frame.dtypes if isinstance(frame, pd.DataFrame) else [frame.dtype]
    if all(isinstance(dtype, np.dtype) for dtype in dtypes):
        return frame.to_numpy()
    # Nullable and arrow columns turn into objects unless a float type is asked for.
    try:
        return frame.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        kinds = sorted({str(dtype) for dtype in dtypes})
        raise ValueError(
            f"sequence {i} has columns of dtype {', '.join(kinds)}; sequences must hold numbers."
        ) from error


def _cast(array: NDArray, i: int, dtype: Any) -> NDArray:
    """Cast numbers to `dtype`, refuse everything else and values that overflow it."""
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
    X = _cast(X, 0, dtype)
    return Sequences.from_padded(X, padded_lengths(X))


def padded_lengths(X: NDArray) -> NDArray[np.int64] | None:
    """Lengths of the sequences in a 3-D array, None when no trailing step is all NaN."""
    width = X.shape[1]
    if X.dtype.kind != "f" or not np.isnan(X[:, -1]).all(axis=-1).any():
        return None
    filled = ~np.isnan(X).all(axis=-1)
    last = width - np.argmax(filled[:, ::-1], axis=1)
    return np.where(filled.any(axis=1), last, 0).astype(np.int64)
