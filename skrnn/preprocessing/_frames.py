"""Frames: long tables, a row per time step, become sequences and back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils._param_validation import StrOptions, validate_parameter_constraints
from sklearn.utils.validation import check_array

from skrnn._containers import to_sequences
from skrnn._sequences import Sequences

_STEP = "step"


@overload
def sequences_from_frame(
    df: Any,
    *,
    id: str,
    time: str | None = ...,
    time_feature: bool = ...,
    features: Sequence[str] | None = ...,
    target: None = ...,
    target_per: str = ...,
) -> tuple[list[pd.DataFrame], pd.Index]: ...


@overload
def sequences_from_frame(
    df: Any,
    *,
    id: str,
    time: str | None = ...,
    time_feature: bool = ...,
    features: Sequence[str] | None = ...,
    target: str,
    target_per: str = ...,
) -> tuple[list[pd.DataFrame], pd.Index, NDArray | list[NDArray]]: ...


def sequences_from_frame(
    df: Any,
    *,
    id: str,
    time: str | None = None,
    time_feature: bool = False,
    features: Sequence[str] | None = None,
    target: str | None = None,
    target_per: str = "sequence",
) -> Any:
    """Cut a long table, one row per time step, into sequences.

    Parameters
    ----------
    df : frame of shape (n_rows, n_columns)
        A pandas, polars or pyarrow table. Named levels of a pandas index may be used like columns.

    id : str
        Column that says which sequence a row belongs to.

    time : str or None, default=None
        Column to order the rows of a sequence by. None keeps their order in the table.

    time_feature : bool, default=False
        Whether the times are the first feature as well, under their name, for the parameter
        `time_channel` of the estimators. Dates and durations become seconds, counted from the first
        step of the sequence.

    features : sequence of str or None, default=None
        Columns that make up a time step, all numeric. None takes all but `id`, `time` and `target`.

    target : str or None, default=None
        Column to return as y, not a feature.

    target_per : {"sequence", "step"}, default="sequence"
        Whether y has one value per sequence, which then must be the same in all its rows, or one
        per time step.

    Returns
    -------
    X : list of DataFrame of shape (n_timesteps_i, n_features)
        The sequences, in the order in which their ids first occur. Their index is the time, or the
        number of the step. Estimators read the column names and name them in errors.

    ids : Index of shape (n_samples,)
        The id of each sequence, in the dtype and with the name of the column.

    y : ndarray of shape (n_samples,) or list of ndarray of shape (n_timesteps_i,)
        The target; only if `target` is given.

    Raises
    ------
    TypeError
        If `df` is not a table.

    ValueError
        If a column is missing, an id or time is missing or a pair of them occurs twice, a feature
        or a time that shall be one is not numeric, or a target per sequence is not the same in all
        its rows.

    See Also
    --------
    sequences_to_frame : The way back.

    Examples
    --------
    >>> import pandas as pd
    >>> from skrnn.preprocessing import sequences_from_frame
    >>> df = pd.DataFrame({
    ...     "ship": ["b", "a", "b"], "hour": [2, 1, 1], "speed": [5.0, 7.0, 6.0], "ok": [1, 0, 1],
    ... })
    >>> X, ids, y = sequences_from_frame(df, id="ship", time="hour", target="ok")
    >>> X[0]
          speed
    hour
    1       6.0
    2       5.0
    >>> list(ids), y
    (['b', 'a'], array([1, 0]))
    """
    validate_parameter_constraints(
        {"target_per": [StrOptions({"sequence", "step"})], "time_feature": ["boolean"]},
        {"target_per": target_per, "time_feature": time_feature},
        caller_name="sequences_from_frame",
    )
    if time_feature and time is None:
        raise ValueError("time_feature=True needs the column of times; name it as time.")
    used = [name for name in (id, time, target) if name is not None]
    df = _to_pandas(df, used)
    chosen = [c for c in df.columns if c not in used] if features is None else list(features)
    _check_columns(df, [*used, *chosen])
    _check_features(df, chosen, may_be_empty=time_feature)
    _check_keys(df, id, time)
    codes, ids = pd.factorize(df[id])
    order = _row_order(df, codes, time)
    bounds = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(ids)))])
    table = df[chosen].iloc[order]
    table.index = _step_index(df, order, bounds, time)
    if time_feature:
        table.insert(0, time, _as_numbers(table.index, bounds))
    X = [table.iloc[start:end] for start, end in pairwise(bounds)]
    ids = pd.Index(ids, name=id)
    if target is None:
        return X, ids
    values = df[target].to_numpy()[order]
    pieces = [values[start:end].copy() for start, end in pairwise(bounds)]
    return X, ids, (pieces if target_per == "step" else _one_each(pieces, ids, target))


def sequences_to_frame(
    X: Any,
    ids: Any = None,
    *,
    id: str | None = None,
    time: str | None = None,
    features: Sequence[str] | None = None,
    output: str = "pandas",
) -> Any:
    """Stack sequences in a long table, one row per time step.

    Parameters
    ----------
    X : array-like, frame or collection of n_samples sequences
        Anything the estimators accept. Padding gives no rows.

    ids : array-like of shape (n_samples,) or None, default=None
        The id of each sequence, all different. None numbers them from 0.

    id : str or None, default=None
        Name of the column of ids. None takes the name of `ids`, or "id".

    time : str or None, default=None
        Name of the column of times. None takes the name of the index of frames, or "step".

    features : sequence of str or None, default=None
        Names of the columns of features. None takes those of frames, or "x0", "x1", and so on.

    output : {"pandas", "polars", "pyarrow"}, default="pandas"
        Library of the result.

    Returns
    -------
    df : frame of shape (n_steps, 2 + n_features)
        Columns of ids, times and features. Times are the index of frames, and the number of the
        step from 0 for anything else.

    Raises
    ------
    ValueError
        If the number of ids or of feature names does not fit, an id occurs twice, or two columns
        have the same name.

    See Also
    --------
    sequences_from_frame : The way back.

    Examples
    --------
    >>> import numpy as np
    >>> from skrnn.preprocessing import sequences_to_frame
    >>> sequences_to_frame([np.array([[1.0], [2.0]]), np.array([[3.0]])], ["a", "b"])
      id  step   x0
    0  a     0  1.0
    1  a     1  2.0
    2  b     0  3.0
    """
    validate_parameter_constraints(
        {"output": [StrOptions({"pandas", "polars", "pyarrow"})]},
        {"output": output},
        caller_name="sequences_to_frame",
    )
    table, lengths = _stack(X)
    labels = pd.RangeIndex(len(lengths)) if ids is None else pd.Index(ids)
    _check_ids(labels, len(lengths))
    if features is not None:
        if len(features) != table.shape[1]:
            raise ValueError(
                f"{len(features)} feature names for sequences of {table.shape[1]} features."
            )
        table.columns = list(features)
    id_name = id or labels.name or "id"
    time_name = time or table.index.name or _STEP
    names = [id_name, time_name, *table.columns]
    repeated = sorted({str(name) for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(f"several columns would be named {repeated}; set id, time or features.")
    steps = table.index
    table = table.reset_index(drop=True)
    table.insert(0, id_name, labels.repeat(lengths))
    table.insert(1, time_name, steps)
    return _to_library(table, output)


# -- tables of other libraries ------------------------------------------------------------------


def _to_pandas(df: Any, used: list[str]) -> pd.DataFrame:
    """Frame whose columns include the named levels of its index, where those are asked for."""
    if type(df).__module__.split(".")[0] in ("polars", "pyarrow") and hasattr(df, "to_pandas"):
        return df.to_pandas()
    if not isinstance(df, pd.DataFrame):
        raise TypeError(f"Expected a pandas, polars or pyarrow table, got {type(df).__name__}.")
    levels = [name for name in used if name in df.index.names and name not in df.columns]
    return df.reset_index(level=levels) if levels else df


def _to_library(table: pd.DataFrame, output: str) -> Any:
    if output == "polars":
        import polars

        return polars.from_pandas(table)
    if output == "pyarrow":
        import pyarrow

        return pyarrow.Table.from_pandas(table, preserve_index=False)
    return table


# -- reading a long table -----------------------------------------------------------------------


def _check_columns(df: pd.DataFrame, wanted: list[str]) -> None:
    absent = [name for name in wanted if name not in df.columns]
    if absent:
        raise ValueError(
            f"columns {absent} are not among {list(df.columns)} or the named levels of the index."
        )
    repeated = [name for name in wanted if wanted.count(name) > 1]
    if repeated:
        raise ValueError(
            f"column {repeated[0]!r} has two roles; id, time, target and features must differ."
        )


def _check_features(df: pd.DataFrame, features: list[str], may_be_empty: bool) -> None:
    if not features and not may_be_empty:
        raise ValueError("no column is left for the features.")
    for name in features:
        if not pd.api.types.is_numeric_dtype(df[name].dtype):
            raise ValueError(
                f"feature {name!r} has dtype {df[name].dtype}; encode it as numbers, or choose "
                "other columns with features."
            )


def _check_keys(df: pd.DataFrame, id: str, time: str | None) -> None:
    if len(df) == 0:
        raise ValueError("the table has no rows.")
    for name in (id, time):
        n_missing = 0 if name is None else int(df[name].isna().sum())
        if n_missing:
            raise ValueError(f"column {name!r} has {n_missing} missing values; drop those rows.")
    if time is None:
        return
    twice = df.duplicated([id, time])
    if twice.any():
        row = df.loc[twice.to_numpy(), [id, time]].iloc[0]
        raise ValueError(
            f"duplicate time {row[time]} in sequence {row[id]!r} ({int(twice.sum())} duplicates in "
            "all); aggregate or drop them first."
        )


def _row_order(df: pd.DataFrame, codes: NDArray, time: str | None) -> NDArray[np.intp]:
    """Positions of the rows, by sequence and then by time."""
    order = np.arange(len(df)) if time is None else np.asarray(df[time].array.argsort())
    return order[np.argsort(codes[order], kind="stable")]


def _step_index(
    df: pd.DataFrame, order: NDArray[np.intp], bounds: NDArray[np.int64], time: str | None
) -> pd.Index:
    if time is not None:
        return pd.Index(df[time].iloc[order], name=time)
    lengths = np.diff(bounds)
    return pd.Index(np.arange(bounds[-1]) - np.repeat(bounds[:-1], lengths), name=_STEP)


def _as_numbers(times: pd.Index, bounds: NDArray[np.int64]) -> NDArray:
    """Times as they are, or of dates and durations the seconds from the start of the sequence."""
    if isinstance(times, pd.DatetimeIndex | pd.TimedeltaIndex):
        lengths = np.diff(bounds)
        since = times - times[np.repeat(bounds[:-1], lengths)]
        return since.total_seconds().to_numpy()
    if not pd.api.types.is_numeric_dtype(times.dtype):
        raise ValueError(
            f"the times {times.name!r} have dtype {times.dtype}, which is no feature; make them "
            "numbers or dates, or leave time_feature=False."
        )
    return times.to_numpy()


def _one_each(pieces: list[NDArray], ids: pd.Index, target: str) -> NDArray:
    """First value of each piece, which must be its only one."""
    for piece, label in zip(pieces, ids, strict=True):
        values = pd.unique(piece)
        if len(values) > 1:
            raise ValueError(
                f"target {target!r} has several values in sequence {label!r}: "
                f"{values[0]!r}, {values[1]!r}; use target_per='step'."
            )
    return np.array([piece[0] for piece in pieces])


# -- writing a long table -----------------------------------------------------------------------


def _stack(X: Any) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """All steps in one frame with the times as its index, and the lengths of the sequences."""
    if isinstance(X, list | tuple) and X and all(isinstance(x, pd.DataFrame) for x in X):
        _check_same_columns(X)
        # Empty frames may carry other dtypes, and they add no rows.
        return pd.concat([x for x in X if len(x)] or X[:1]), np.array(
            [len(x) for x in X], dtype=np.int64
        )
    sequences = to_sequences(X, "sequences_to_frame", np.float64)
    if not isinstance(sequences, Sequences):
        rows = check_array(X, dtype=np.float64, ensure_all_finite=False, input_name="X")
        sequences = Sequences.from_padded(rows[:, :, None])
    sequences = sequences.packed()
    names = sequences.feature_names or [f"x{i}" for i in range(sequences.n_features)]
    starts = np.repeat(sequences.offsets[:-1], sequences.lengths)
    index = pd.Index(np.arange(len(sequences.values)) - starts)
    # A copy: the table must not be a window into the user's arrays.
    return pd.DataFrame(sequences.values.copy(), columns=names, index=index), sequences.lengths


def _check_same_columns(frames: Sequence[pd.DataFrame]) -> None:
    expected = list(frames[0].columns)
    for i, frame in enumerate(frames):
        if list(frame.columns) != expected:
            raise ValueError(
                f"sequence {i} has columns {list(frame.columns)}, expected {expected} as in the "
                "first sequence."
            )


def _check_ids(labels: pd.Index, n_samples: int) -> None:
    if len(labels) != n_samples:
        raise ValueError(f"{len(labels)} ids for {n_samples} sequences.")
    if not labels.is_unique:
        raise ValueError(f"id {labels[labels.duplicated()][0]!r} occurs twice.")
