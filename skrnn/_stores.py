"""Stores: what is read piece by piece, and how: arrays on disk, data sets of torch, Arrow."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._arrow import ArrowFiles, ArrowRows, other_columns
from skrnn._containers import as_steps, cast, padded_lengths, tensor_to_numpy
from skrnn._sequences import Sequences
from skrnn._stored import Store

# Bytes from which an array in memory is read like a file: nothing of it is copied as a whole.
LARGE_ARRAY = 2**30
# The same of a table of list columns, whose numbers take many times as much as Python objects.
LARGE_TABLE = 2**24
# Classes of torch and skorch over items.
_OF_ITEMS = {"Dataset", "DataLoader", "SliceDataset"}


# -- recognising a store ----------------------------------------------------------------------


def find_store(
    X: Any,
    name: str,
    dtype: Any,
    *,
    n_channels: int | None = None,
    tokens: bool = False,
    keep_targets: bool = False,
) -> Store | None:
    """Recognise data that are better read piece by piece.

    Parameters
    ----------
    X : array-like, frame or collection
        Input of an estimator.

    name : str
        Name of that estimator, for messages.

    dtype : numpy dtype
        Type of the values that are read.

    n_channels : int or None, default=None
        Number of features that the rows of a 2-D array are folded from.

    tokens : bool, default=False
        X holds token ids.

    keep_targets : bool, default=False
        Keep the targets that come with the items of a data set.

    Returns
    -------
    store : Store or None
        None when X is read as a whole.

    Raises
    ------
    TypeError
        If X is a stream or a loader.

    ValueError
        If the columns of an Arrow data set hold no sequences.
    """
    if _torch_kinds(X) & _OF_ITEMS:
        return _ItemStore(_check_dataset(X, name), name, dtype, keep_targets)
    if isinstance(X, list | tuple) and len(X) and all(_is_file(item) for item in X):
        return _ItemStore(X, name, dtype)
    kind = type(X).__module__.split(".")[0]
    if kind == "pyarrow" and hasattr(X, "get_fragments"):
        return ArrowFiles(X, dtype)
    if kind == "pyarrow" and hasattr(X, "to_batches") and hasattr(X, "schema"):
        large = X.nbytes >= LARGE_TABLE and X.num_rows and X.num_columns
        return ArrowRows(X, dtype) if large and not other_columns(X.schema) else None
    is_array = isinstance(X, np.ndarray) and (_is_file(X) or X.nbytes >= LARGE_ARRAY)
    if not (is_array or (kind == "zarr" and hasattr(X, "oindex"))):
        return None
    if X.ndim not in (2, 3) or 0 in X.shape or X.dtype.kind not in "biuf":
        return None
    return _ArrayStore(X, dtype, None if tokens else n_channels, tokens)


def in_memory(X: Any, name: str) -> Any:
    """Read what only comes in pieces as a whole; leave everything else alone.

    Parameters
    ----------
    X : array-like, frame or collection
        Input of a transformer.

    name : str
        Name of that transformer, for messages.

    Returns
    -------
    X : array-like, frame or collection
        An array of a zarr array, the inputs of a data set as a list, a table of an Arrow data set.
    """
    if _torch_kinds(X) & _OF_ITEMS:
        items = _check_dataset(X, name)
        return [_pair(items[i])[0] for i in range(len(items))]
    kind = type(X).__module__.split(".")[0]
    if kind == "zarr" and hasattr(X, "oindex"):
        return X[...]
    return X.to_table() if kind == "pyarrow" and hasattr(X, "get_fragments") else X


def targets_beside(X: Any, y: Any, *, read: bool) -> Any:
    """Targets given as y, or those in the items of a data set.

    Parameters
    ----------
    X : array-like, frame or collection
        Input of an estimator.

    y : array-like or None
        Targets, if they are not in X.

    read : bool
        Read them from X; otherwise this only checks that they are not given twice.

    Returns
    -------
    y : array-like, list or None
        Targets. None where there are none, or none were read.

    Raises
    ------
    ValueError
        If both hold targets.
    """
    kinds = _torch_kinds(X)
    is_map = "Dataset" in kinds and "IterableDataset" not in kinds and hasattr(X, "__len__")
    if not (is_map and len(X) and len(_pair(X[0])) == 2):
        return y
    if y is not None:
        raise ValueError(
            "y is given twice: the items of X are pairs (x, y) and y was passed as well. Pass "
            "y=None to learn from those of X, or a data set whose items are x alone."
        )
    # One by one: the inputs come along.
    return [_plain(_pair(X[i])[1]) for i in range(len(X))] if read else None


def _torch_kinds(X: Any) -> set[str]:
    """Names of the classes of torch and skorch that X is of; neither is imported for it."""
    mro = type(X).__mro__
    return {c.__name__ for c in mro if c.__module__.split(".")[0] in ("torch", "skorch")}


def _check_dataset(X: Any, name: str) -> Any:
    kinds = _torch_kinds(X)
    if "DataLoader" in kinds:
        raise TypeError(
            f"{name} got a DataLoader and makes batches of its own; pass its data set, X.dataset."
        )
    if "IterableDataset" in kinds or not hasattr(X, "__len__"):
        raise TypeError(
            f"{name} needs a data set with a length and an index, and {type(X).__name__} is a "
            "stream. Read it piece by piece and pass each piece to partial_fit, or write it to a "
            "file first (numpy.lib.format.open_memmap)."
        )
    if len(X) == 0:
        raise ValueError(
            f"Found array with 0 sample(s) (shape=(0,)) while a minimum of 1 is required by {name}."
        )
    return X


def _is_file(X: Any) -> bool:
    """Whether an array is, or shows a part of, a file that is mapped into memory."""
    if not isinstance(X, np.ndarray):
        return False
    while isinstance(X, np.ndarray):
        X = X.base
    return isinstance(X, mmap.mmap)


# -- arrays -----------------------------------------------------------------------------------


class _ArrayStore(Store):
    """A 2-D or 3-D array of numbers: a memory map, a zarr array, or a large one in memory."""

    def __init__(self, array: Any, dtype: Any, n_channels: int | None, tokens: bool) -> None:
        self.array, self.dtype = array, dtype
        self.pads = array.ndim == 3 or n_channels is not None
        self.form = "rows" if array.ndim == 2 and not tokens else "padded"
        self.n_features = array.shape[2] if array.ndim == 3 else n_channels or 1
        self.width = self.steps = folded(array.shape[1], 1 if array.ndim == 3 else self.n_features)

    def __len__(self) -> int:
        return self.array.shape[0]

    def read(self, indices: NDArray[np.int64]) -> Sequences:
        """Read rows, in one piece where they lie side by side."""
        first, last = int(indices[0]), int(indices[-1])
        if last - first == len(indices) - 1:
            # A copy: what a callback does to its batch must not reach the file.
            rows = np.array(self.array[first : last + 1])
        else:
            rows = np.asarray(getattr(self.array, "oindex", self.array)[indices])
        block = rows.reshape(len(indices), self.steps, self.n_features)
        block = cast(block, first, self.dtype)
        return Sequences.from_padded(block, padded_lengths(block) if self.pads else None)


def folded(n_columns: int, n_channels: int) -> int:
    """Number of steps in a row of folded sequences.

    Parameters
    ----------
    n_columns : int
        Columns of X.

    n_channels : int
        Features per step.

    Returns
    -------
    n_timesteps : int
        Steps.

    Raises
    ------
    ValueError
        If the columns are no whole number of steps.
    """
    if n_columns % n_channels:
        raise ValueError(
            f"X has {n_columns} columns, which is no multiple of n_channels={n_channels}; "
            "row i must be X_i.reshape(-1) of shape (n_timesteps * n_channels,)."
        )
    return n_columns // n_channels


# -- items ------------------------------------------------------------------------------------


class _ItemStore(Store):
    """A data set of torch, or a list of arrays on disk: one sequence per item."""

    # What a data set reads from, such as a data base, may belong to the thread that opened it.
    reads_ahead = False

    def __init__(self, items: Any, name: str, dtype: Any, keep_targets: bool = False) -> None:
        self.items, self.name, self.dtype = items, name, dtype
        x, *targets = _pair(items[0])
        self.paired, self.keep_targets = bool(targets), keep_targets and bool(targets)
        self.n_features = as_steps(x, 0, name, dtype).shape[1]
        self.feature_names = _names(x)
        self._saw_steps = False
        self._last_targets: list[Any] = []

    def __len__(self) -> int:
        return len(self.items)

    def read(self, indices: NDArray[np.int64]) -> Sequences:
        """Read items one by one, or as the data set itself reads several."""
        self._last_targets = []
        items = _each(self.items, indices.tolist())
        arrays = [self._steps(*one) for one in zip(indices, items, strict=True)]
        empty = np.empty((0, self.n_features), dtype=self.dtype)
        return Sequences.from_list([steps if len(steps) else empty for steps in arrays])

    def blocks(self) -> Iterator[tuple[int, Sequences]]:
        """Read everything in order, and keep the targets."""
        targets: list[Any] = []
        for first, block in super().blocks():
            targets += self._last_targets
            yield first, block
        self.targets = targets if self.keep_targets else None

    def _steps(self, i: int, item: Any) -> NDArray:
        x, *targets = _pair(item)
        if bool(targets) != self.paired:
            found, expected = ("a pair (x, y)", "x alone")[:: 1 if targets else -1]
            raise ValueError(f"item {i} of X is {found}, expected {expected} as the first item.")
        if self.keep_targets:
            self._last_targets.append(_plain(targets[0]))
        steps = as_steps(x, int(i), self.name, self.dtype)
        if len(steps) and not self._saw_steps:
            self.n_features, self._saw_steps = steps.shape[1], True
        if len(steps) and steps.shape[1] != self.n_features:
            raise ValueError(
                f"sequence {i} has {steps.shape[1]} features, expected {self.n_features} as in the "
                "first sequence; every sequence is (n_timesteps, n_features)."
            )
        if _names(x) != self.feature_names:
            raise ValueError(
                f"sequence {i} has other column names than the first sequence: {_names(x)} instead "
                f"of {self.feature_names}."
            )
        return steps


def _each(items: Any, indices: Iterable[int]) -> Iterable[Any]:
    """Items at `indices`; data sets of torch may know how to read several together."""
    together: Callable[[list[int]], Iterable[Any]] | None = getattr(items, "__getitems__", None)
    return together(list(indices)) if together else (items[i] for i in indices)


def _pair(item: Any) -> tuple[Any, ...]:
    """An item as ``(x,)`` or ``(x, y)``."""
    if not isinstance(item, tuple | dict):
        return (item,)
    if isinstance(item, dict) or len(item) not in (1, 2):
        raise ValueError(
            f"an item of X is a {type(item).__name__} of {len(item)}, expected x or (x, y); let "
            "the data set return one array and at most one target."
        )
    return item


def _plain(y: Any) -> Any:
    """A target without torch: a scalar or an array."""
    return tensor_to_numpy(y)[()] if type(y).__module__.split(".")[0] == "torch" else y


def _names(x: Any) -> tuple[str, ...] | None:
    columns = getattr(x, "columns", None)
    return None if columns is None or not all(isinstance(c, str) for c in columns) else (*columns,)
