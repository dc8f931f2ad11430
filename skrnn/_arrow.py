"""Arrow: tables and data sets of list columns, a row per sequence, read some rows at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._containers import cast
from skrnn._sequences import Sequences
from skrnn._stored import Store

# Lists of numbers, in Arrow's words.
_LISTS = re.compile(r"(large_|fixed_size_)?list<[^:]*: (double|float|halffloat|u?int\d+|bool)\b")


def other_columns(schema: Any) -> list[Any]:
    """Columns that do not hold one list of numbers in each row.

    Parameters
    ----------
    schema : pyarrow.Schema
        Schema of a table.

    Returns
    -------
    fields : list of pyarrow.Field
        None of them means that all columns are features.
    """
    return [field for field in schema if not _LISTS.match(str(field.type))]


class ArrowRows(Store):
    """A table in memory, or in a file that is mapped into it.

    Parameters
    ----------
    table : pyarrow.Table
        List columns only.

    dtype : numpy dtype
        Type of the values that are read.

    first : int, default=0
        Number of its first sequence, for messages.
    """

    def __init__(self, table: Any, dtype: Any, first: int = 0) -> None:
        # Batches are views, and taking rows from one copies nothing but these.
        self.batches = [batch for batch in table.to_batches() if batch.num_rows]
        self.dtype, self.first = dtype, first
        self.feature_names = tuple(table.schema.names)
        self.n_features = len(table.schema.names)
        self.bounds = np.cumsum([0, *(batch.num_rows for batch in self.batches)])

    def __len__(self) -> int:
        return int(self.bounds[-1])

    def read(self, indices: NDArray[np.int64]) -> Sequences:
        """Read rows, batch by batch."""
        parts = [
            self._sequences(self.batches[k].take(rows), start + rows)
            for k, start, rows in _shares(self.bounds, indices)
        ]
        return _joined(parts)

    def _sequences(self, rows: Any, indices: NDArray[np.int64]) -> Sequences:
        numbers = self.first + indices
        columns = list(zip(rows.schema.names, rows.columns, strict=True))
        for name, column in columns:
            if column.null_count:
                i = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
                raise ValueError(
                    f"sequence {numbers[i]} has no value in column {name!r}; leave the row out, or "
                    "store a list without steps."
                )
        lengths = np.stack([_lengths(column) for _, column in columns], axis=1)
        wrong = (lengths != lengths[:, :1]).any(axis=1)
        if wrong.any():
            i = int(np.argmax(wrong))
            raise ValueError(
                f"sequence {numbers[i]} has features of different lengths "
                f"{sorted(set(lengths[i].tolist()))}; all list columns of a row must hold the same "
                "number of steps."
            )
        values = [column.flatten().to_numpy(zero_copy_only=False) for _, column in columns]
        arrays = [cast(column, int(numbers[0]), self.dtype) for column in values]
        return Sequences.from_lengths(np.column_stack(arrays), lengths[:, 0])


class ArrowFiles(Store):
    """A data set of files: a row group of Parquet, or a file of another format, at a time.

    Parameters
    ----------
    dataset : pyarrow.dataset.Dataset
        List columns only.

    dtype : numpy dtype
        Type of the values that are read.

    Raises
    ------
    ValueError
        If a column holds something else, or the data set is a filtered one.
    """

    def __init__(self, dataset: Any, dtype: Any) -> None:
        self.schema, self.dtype = dataset.schema, dtype
        others = other_columns(self.schema)
        if others:
            raise ValueError(
                f"column {others[0].name!r} of X has type {others[0].type} and holds no sequences "
                "of numbers; leave it out with X.replace_schema(...)."
            )
        if not self.schema.names:
            raise ValueError(f"Found array with 0 feature(s) ({type(dataset).__name__}).")
        try:
            pieces = list(_pieces(dataset))
        except ValueError as error:
            raise ValueError(
                "X is a filtered data set, whose rows have no numbers; pass the table of its rows, "
                "X.to_table(), or write them to a file first."
            ) from error
        self.feature_names = tuple(self.schema.names)
        self.n_features = len(self.feature_names)
        self.pieces = [piece for piece, _ in pieces]
        self.bounds = np.cumsum([0, *(n_rows for _, n_rows in pieces)])
        self._open: tuple[int, ArrowRows] | None = None

    def __len__(self) -> int:
        return int(self.bounds[-1])

    def read(self, indices: NDArray[np.int64]) -> Sequences:
        """Read rows, piece by piece."""
        shares = _shares(self.bounds, indices)
        return _joined([self._rows(k).read(rows) for k, _, rows in shares])

    def _rows(self, k: int) -> ArrowRows:
        # A pass in order asks for the same piece many times.
        if self._open is None or self._open[0] != k:
            self._open = None
            table = self.pieces[k].to_table(schema=self.schema)
            self._open = k, ArrowRows(table, self.dtype, int(self.bounds[k]))
        return self._open[1]


def _pieces(dataset: Any) -> Iterator[tuple[Any, int]]:
    """Parts that are read as a whole, with their numbers of rows."""
    for fragment in dataset.get_fragments():
        if hasattr(fragment, "split_by_row_group"):
            for piece in fragment.split_by_row_group():
                # Such a piece counts the rows of its file when it is asked for its own.
                yield piece, sum(group.num_rows for group in piece.row_groups)
        else:
            yield fragment, fragment.count_rows()


def _shares(
    bounds: NDArray, indices: NDArray[np.int64]
) -> Iterator[tuple[int, int, NDArray[np.int64]]]:
    """Which rows of which piece are asked for: the piece, where it begins, and rows in it."""
    owner = np.searchsorted(bounds, indices, side="right") - 1
    for k in np.unique(owner):
        yield int(k), int(bounds[k]), indices[owner == k] - bounds[k]


def _joined(parts: list[Sequences]) -> Sequences:
    if len(parts) == 1:
        return parts[0]
    values = np.concatenate([part.values for part in parts])
    return Sequences.from_lengths(values, np.concatenate([part.lengths for part in parts]))


def _lengths(column: Any) -> NDArray[np.int64]:
    size = getattr(column.type, "list_size", None)
    if size is not None:
        return np.full(len(column), size, dtype=np.int64)
    return column.value_lengths().to_numpy().astype(np.int64)
