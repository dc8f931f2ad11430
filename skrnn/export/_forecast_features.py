"""Features of steps, as a predictor of numpy makes them: columns of X, and the calendar."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ArrayFeatures", "calendar_clock", "sizes_of"]

_LARGEST = float(np.finfo(np.float32).max)


class ArrayFeatures:
    """Features of steps from their ticks and from arrays of X.

    Parameters
    ----------
    columns : sequence of dict
        Of the columns of X that change in time: `name`, `known` (whether in advance), and either
        `mean`, `scale` and `missing` of numbers, or `categories`.

    cycles : sequence of str
        What is read of the calendar.

    clock : dict or None
        What ticks mean, as :func:`calendar_clock` reads it; None without a calendar.
    """

    def __init__(
        self,
        columns: Sequence[Mapping[str, Any]],
        cycles: Sequence[str],
        clock: Mapping[str, Any] | None,
    ) -> None:
        # Those that are known in advance come first, as the networks read them.
        self._encodings = sorted(columns, key=lambda column: not column["known"])
        self._cycles, self._clock = tuple(cycles), clock
        self._stamps: Any = None

    @property
    def columns(self) -> list[Hashable]:
        """Columns of X that a step that has happened needs."""
        return [column["name"] for column in self._encodings]

    @property
    def columns_ahead(self) -> list[Hashable]:
        """Columns of X that a step to come needs."""
        return [column["name"] for column in self._encodings if column["known"]]

    def read(
        self, name: str, ticks: NDArray[np.integer], X: Any, columns: Sequence[Hashable]
    ) -> NDArray[np.float32]:
        """Features of steps at `ticks`, whose columns of X are the columns of a 2-D array."""
        n_rows = ticks.size
        numbers: list[NDArray[Any]] = [self._calendar(ticks.ravel())]
        codes: list[NDArray[Any]] = []
        for i, column in enumerate(self._encodings):
            if name == "future" and not column["known"]:
                continue
            given = None if X is None or i >= len(columns) else X[:, i]
            is_category = "categories" in column
            encode = _codes if is_category else _numbers
            (codes if is_category else numbers).append(encode(column, given, n_rows))
        rows = np.concatenate([*numbers, *codes], axis=1).astype(np.float32)
        return rows.reshape(*ticks.shape, rows.shape[1])

    def _calendar(self, ticks: NDArray[np.integer]) -> NDArray[np.float32]:
        if not self._cycles or len(ticks) == 0:
            return np.zeros((len(ticks), 2 * len(self._cycles)), dtype=np.float32)
        if self._stamps is None:
            self._stamps = _stamps_of(self._clock, self._cycles)
        clock, calendar = self._stamps
        # Series share most of their stamps.
        unique, where = np.unique(ticks, return_inverse=True)
        return calendar.features(clock.stamps(unique))[where]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_stamps": None}


def sizes_of(
    columns: Sequence[Mapping[str, Any]], cycles: Sequence[str]
) -> dict[str, tuple[int, tuple[int, ...]]]:
    """How many numbers, and codes for each category, the features of the past and future hold."""
    ordered = sorted(columns, key=lambda column: not column["known"])
    sizes = {}
    for name in ("past", "future"):
        read = [column for column in ordered if name == "past" or column["known"]]
        codes = [len(c["categories"]) + 1 for c in read if "categories" in c]
        numbers = [1 + c["missing"] for c in read if "categories" not in c]
        sizes[name] = (2 * len(cycles) + sum(numbers), tuple(codes))
    return sizes


def calendar_clock(written: Mapping[str, Any]) -> Any:
    """Clock of a description in plain values, made with pandas."""
    from pandas.tseries.frequencies import to_offset

    from skrnn._forecasting._clock import Clock

    period = written["kind"] == "period"
    offset = to_offset(written["freq"], is_period=True) if period else to_offset(written["freq"])
    return Clock(**{**written, "offset": offset})


def _stamps_of(clock: Mapping[str, Any] | None, cycles: Sequence[str]) -> tuple[Any, Any]:
    """Clock and calendar, for which there has to be pandas."""
    try:
        from skrnn._forecasting._calendar import Calendar

        return calendar_clock(clock or {}), Calendar(tuple(cycles))
    except ImportError as error:
        raise ImportError(
            f"this forecaster reads the calendar ({', '.join(cycles)}), which needs pandas; run "
            "`pip install pandas`, or fit with calendar=False to do without."
        ) from error


def _numbers(column: Mapping[str, Any], given: Any, n_rows: int) -> NDArray[np.float64]:
    """Standardised numbers, and whether they are missing where they may be."""
    width = 1 + column["missing"]
    if given is None:
        return np.zeros((n_rows, width))
    try:
        values = np.array([np.nan if value is None else value for value in given], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"X column {column['name']!r} does not hold numbers, as it did in fit."
        ) from error
    if (np.abs(values) > _LARGEST).any():
        raise ValueError(
            f"X column {column['name']!r} holds infinity or a value too large for float32; replace "
            "or scale it."
        )
    missing = np.isnan(values)
    if missing.any() and not column["missing"]:
        raise ValueError(
            f"X column {column['name']!r} has no value in row {int(missing.argmax())}, and none "
            "was missing in fit. Fill it in X."
        )
    standardized = np.where(missing, 0.0, (values - column["mean"]) / column["scale"])
    return np.stack([standardized, missing.astype(np.float64)][:width], axis=1)


def _codes(column: Mapping[str, Any], given: Any, n_rows: int) -> NDArray[np.float64]:
    """Place of each category from 1 on; 0 for those that were not seen in fit."""
    if given is None:
        return np.zeros((n_rows, 1))
    places = {category: i + 1 for i, category in enumerate(column["categories"])}
    found = [places.get(value, 0) for value in np.asarray(given).tolist()]
    return np.array(found, dtype=np.float64).reshape(n_rows, 1)
