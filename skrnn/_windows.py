"""Windows: the index arithmetic that cuts one series into past and future, without copies."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from numbers import Integral
from operator import index
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval, validate_parameter_constraints
from sklearn.utils.validation import check_array

FLOATS = (np.float64, np.float32)
POSITIVE = Interval(Integral, 1, None, closed="left")


class Windows(NDArrayOperatorsMixin):
    """All windows of a series, as an array that copies nothing.

    What `numpy.lib.stride_tricks.sliding_window_view` is for a whole series, this is for any
    choice of its windows: rows picked by a slice, an index array or a mask, as cross-validation
    does, are windows over the same series again. The estimators and transformers of this package
    read them where they lie. Everything else gets an ordinary array: numpy's functions, arithmetic,
    and an index that reaches into the windows.

    Parameters
    ----------
    series : array-like of shape (n_steps,) or (n_steps, n_features)
        One series, oldest value first, without missing values. It is kept, not copied, where it
        holds floating point numbers row by row.

    window_length : int
        Number of time steps in a window. Values in `[1, inf)`.

    step : int, default=1
        Number of time steps from one window to the next. Values in `[1, inf)`.

    Attributes
    ----------
    series : ndarray of shape (n_steps,) or (n_steps, n_features)
        The whole series, read-only, also after rows were picked.

    window_length : int
        Number of time steps in a window.

    Raises
    ------
    ValueError
        If the series is shorter than a window or holds missing values.

    See Also
    --------
    make_windows : Cut a series into windows and the values that follow them.

    Notes
    -----
    The windows are those of the series as it is when they are read: do not write to it meanwhile.
    A pickle holds the series once.

    Examples
    --------
    >>> import numpy as np
    >>> from skrnn.preprocessing import Windows
    >>> X = Windows(np.arange(6.0), window_length=3)
    >>> X.shape
    (4, 3)
    >>> X[[0, 2]]
    Windows(shape=(2, 3), dtype=float64)
    >>> np.asarray(X[[0, 2]])
    array([[0., 1., 2.],
           [2., 3., 4.]])
    >>> X[:, -1]
    array([2., 3., 4., 5.])
    """

    series: NDArray
    window_length: int
    # A range while the windows are evenly spaced: then one strided view shows them all.
    _starts: range | NDArray[np.int64]

    def __init__(self, series: Any, window_length: int, step: int = 1) -> None:
        validate_parameter_constraints(
            {"window_length": [POSITIVE], "step": [POSITIVE]},
            {"window_length": window_length, "step": step},
            caller_name="Windows",
        )
        values, _ = read_series(series, "Windows")
        n_windows = count_windows(len(values), window_length, step=step)
        if n_windows == 0:
            raise ValueError(
                f"series has {len(values)} steps; a window needs {window_length}. Shorten it."
            )
        self._set(values, range(0, n_windows * step, step), int(window_length))

    def _set(self, series: NDArray, starts: range | NDArray, window_length: int) -> None:
        self.series = series.view()
        self.series.flags.writeable = False
        self._starts = _spaced(starts)
        self.window_length = window_length

    @property
    def starts(self) -> NDArray[np.int64]:
        """First step of each window, an array of shape (n_windows,)."""
        starts = self._starts
        if isinstance(starts, range):
            return np.arange(starts.start, starts.stop, starts.step, dtype=np.int64)
        return starts

    @property
    def shape(self) -> tuple[int, ...]:
        """``(n_windows, window_length)``, and ``n_features`` for a series of columns."""
        return (len(self._starts), self.window_length, *self.series.shape[1:])

    @property
    def ndim(self) -> int:
        """Number of axes: 2, and 3 for a series of columns."""
        return 1 + self.series.ndim

    @property
    def dtype(self) -> np.dtype:
        """Type of the series."""
        return self.series.dtype

    @property
    def size(self) -> int:
        """Number of values in all windows together."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that the windows would take as an array of their own."""
        return self.size * self.dtype.itemsize

    def astype(self, dtype: Any) -> Windows:
        """Make the same windows over the series in another type.

        Parameters
        ----------
        dtype : numpy dtype
            Type of the values.

        Returns
        -------
        windows : Windows
            Windows over a converted copy, or over the same series if it has that type.
        """
        series = self.series.astype(dtype, copy=False)
        return windows_at(series, self._starts, self.window_length)

    def reshape(self, *shape: Any) -> NDArray:
        """Give the windows another shape, as :meth:`numpy.ndarray.reshape` does.

        Parameters
        ----------
        *shape : int or tuple of int
            The new shape.

        Returns
        -------
        array : ndarray
            In most cases a copy.
        """
        return np.asarray(self).reshape(*shape)

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[NDArray]:
        every = self._every()
        return (every[start] for start in self._starts)

    def __repr__(self) -> str:
        return f"Windows(shape={self.shape}, dtype={self.dtype})"

    def __getitem__(self, key: Any) -> Any:
        rows, rest = _split_key(key, self.ndim)
        if rows is None:
            return np.asarray(self)[key]
        if isinstance(rows, int):
            return self._every()[self._starts[rows]][rest]
        picked = self._pick(rows)
        # The rest first: it is a view, and only what it leaves is copied.
        return picked if not rest else self._every()[(slice(None), *rest)][picked._where()]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray:
        windows = self._every()[self._where()]
        is_view = isinstance(self._starts, range)
        converts = dtype is not None and np.dtype(dtype) != windows.dtype
        if copy is False and (converts or not is_view):
            raise ValueError("these windows cannot be an array without a copy; use copy=None.")
        if converts:
            return windows.astype(dtype)
        return windows.copy() if copy and is_view else windows

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(isinstance(out, Windows) for out in kwargs.get("out", ())):
            return NotImplemented
        arrays = [np.asarray(x) if isinstance(x, Windows) else x for x in inputs]
        return getattr(ufunc, method)(*arrays, **kwargs)

    def __setstate__(self, state: dict[str, Any]) -> None:
        # numpy forgets in a pickle, and in a deep copy, that an array is read-only.
        self.__dict__.update(state)
        self.series.flags.writeable = False

    def _pick(self, rows: Any) -> Windows:
        """Keep the windows that a slice, an index array or a mask picks."""
        starts = self._starts
        if not isinstance(rows, slice):
            # numpy's own indexing judges the key.
            rows = np.arange(len(self))[list(rows) if isinstance(rows, tuple) else rows]
            starts = self.starts
        return windows_at(self.series, starts[rows], self.window_length)

    def _every(self) -> NDArray:
        """View of the windows that begin at each step, used or not."""
        series, length = self.series, self.window_length
        shape = (max(len(series) - length + 1, 0), length, *series.shape[1:])
        strides = (series.strides[0], *series.strides)
        return as_strided(series, shape, strides, writeable=False)

    def _where(self) -> slice | NDArray[np.int64]:
        """Where the windows are among those of :meth:`_every`."""
        starts = self._starts
        if not isinstance(starts, range):
            return starts
        if len(starts) == 0:
            return slice(0, 0)
        return slice(starts.start, starts.stop if starts.stop >= 0 else None, starts.step)


def read_series(series: Any, caller: str) -> tuple[NDArray, list[Any]]:
    """Check one series of finite numbers.

    Parameters
    ----------
    series : array-like of shape (n_steps,) or (n_steps, n_features)
        A series.

    caller : str
        Who asks, for messages.

    Returns
    -------
    values : ndarray of shape (n_steps,) or (n_steps, n_features)
        Floating point numbers in C order: `series` itself where it is that already.

    names : list
        Names of the columns of a frame.

    Raises
    ------
    ValueError
        If a value is missing or infinite, or the series has more than two dimensions.
    """
    if type(series).__module__.split(".")[0] == "pyarrow":
        series = series.to_pandas()
    values = check_array(
        series,
        dtype=FLOATS,
        order="C",
        ensure_2d=False,
        ensure_all_finite=False,
        input_name="series",
        estimator=caller,
    )
    names = list(getattr(series, "columns", []))
    _check_finite(values, names)
    return values, names


def _check_finite(values: NDArray, names: list[Any]) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        # No mask as large as the data where all is well; a sum that overflows is looked at.
        if np.isfinite(values.sum()):
            return
    bad = ~np.isfinite(values)
    if not bad.any():
        return
    step, *column = np.argwhere(bad)[0].tolist()
    what = "NaN" if np.isnan(values[(step, *column)]) else "infinity"
    where = "".join(f", column {(names[i] if names else i)!r}" for i in column)
    raise ValueError(
        f"Input series contains {what} at step {step}{where}; fill it, or window the parts before "
        "and after it."
    )


def count_windows(n_steps: int, window_length: int, horizon: int = 0, step: int = 1) -> int:
    """Count the windows of a series that are followed by `horizon` more steps.

    Parameters
    ----------
    n_steps : int
        Length of the series.

    window_length : int
        Steps in a window.

    horizon : int, default=0
        Steps needed after each window.

    step : int, default=1
        Distance between the starts of two windows.

    Returns
    -------
    n_windows : int
        ``floor((n_steps - window_length - horizon) / step) + 1``, and 0 when not even one fits.

    Examples
    --------
    >>> count_windows(10, window_length=4, horizon=2, step=2)
    3
    """
    return max(0, (n_steps - window_length - horizon) // step + 1)


def windows_at(series: NDArray, starts: range | NDArray, window_length: int) -> Windows:
    """Windows over a checked array that begin at the given steps.

    Parameters
    ----------
    series : ndarray of shape (n_steps,) or (n_steps, n_features)
        A series.

    starts : range or ndarray of shape (n_windows,)
        First step of each window.

    window_length : int
        Steps in a window.

    Returns
    -------
    windows : Windows
        Windows over `series` itself.

    Examples
    --------
    >>> import numpy as np
    >>> np.asarray(windows_at(np.arange(5), range(0, 4, 2), 2))
    array([[0, 1],
           [2, 3]])
    """
    windows = Windows.__new__(Windows)
    windows._set(series, starts, window_length)
    return windows


def _spaced(starts: range | NDArray) -> range | NDArray:
    """Evenly spaced starts as a range, others as they are."""
    if isinstance(starts, range):
        return starts
    if len(starts) < 2:
        return range(int(starts[0]), int(starts[0]) + 1) if len(starts) else range(0)
    step = int(starts[1] - starts[0])
    if step == 0 or bool((np.diff(starts) != step).any()):
        return starts
    return range(int(starts[0]), int(starts[-1]) + (1 if step > 0 else -1), step)


def _split_key(key: Any, ndim: int) -> tuple[Any, tuple[Any, ...]]:
    """What an index picks among the windows, and what it cuts out of each.

    Returns
    -------
    rows : int, slice, array-like or None
        None where only an array can answer.

    rest : tuple of int and slice
        Empty where the windows stay whole.
    """
    parts = list(key) if isinstance(key, tuple) else [key]
    dots = [i for i, part in enumerate(parts) if part is Ellipsis]
    if dots:
        parts[dots[0] : dots[0] + 1] = [slice(None)] * (ndim + 1 - len(parts))
    rows, *rest = parts or [slice(None)]
    while rest and isinstance(rest[-1], slice) and rest[-1] == slice(None):
        rest.pop()
    basic = all(isinstance(part, slice) or _is_int(part) for part in rest)
    if not basic or len(dots) > 1 or len(parts) > ndim or not _picks_rows(rows):
        return None, ()
    return (index(rows) if _is_int(rows) else rows), tuple(rest)


def _picks_rows(rows: Any) -> bool:
    """Whether a part of an index is an int, a slice, or a list of ints or bools."""
    return isinstance(rows, slice) or _is_int(rows) or np.ndim(rows) == 1


def _is_int(part: Any) -> bool:
    if isinstance(part, np.ndarray):
        return part.ndim == 0 and part.dtype.kind in "iu"
    return isinstance(part, Integral) and not isinstance(part, bool)
