"""Explanations: why sktime refuses y or X, in one sentence, and what to do about it."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from numbers import Number
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas.api.types import infer_dtype, is_integer_dtype, is_numeric_dtype

from skrnn._forecasting._rows import check_order, split_index
from skrnn._forecasting._stamps import index_kind, index_numbers, key_text, kind_text, stamp_text

_PANDAS = pd.Series | pd.DataFrame
# What somebody may take for a series, but what has no time index.
_NO_CONTAINERS = list | tuple | dict | set | str | Number
_NESTED = pd.Series | pd.DataFrame | np.ndarray
_MOST_LISTED = 5
# Text is meant as dates, or as numbers, if at least this share of it can be read so.
_MOST = 0.5
_LIKE_NUMBER = r"\W*\d[\d.,' ]*\W*"
# pandas reads much more than this as dates: '1,234' is the month January of a year 234.
_LIKE_DATE = (
    r"\s*(\d{4}[-/]\d{1,2}\b|\d{4}\.\d{1,2}\.\d{1,2}\b|\d{8}\b|\d{4}-?Q[1-4]"
    r"|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})\b)"
    r"|.*[A-Za-z]{3,}.*\b\d{4}\b"
)
_DAY_FIRST = r"\s*(1[3-9]|2\d|3[01])[-/.]\d{1,2}[-/.]\d{2}"


@contextmanager
def explained(y: Any, X: Any = None) -> Iterator[None]:
    """Say what is wrong with y or X where sktime refuses them, if that is known."""
    try:
        yield
    except (TypeError, ValueError) as error:
        cause = explain(y, X)
        if cause is None:
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(cause) from error


def explain(y: Any, X: Any = None) -> str | None:
    """Find what is wrong with data that sktime refuses.

    Parameters
    ----------
    y, X : any
        The data as the user passed them.

    Returns
    -------
    cause : str or None
        What is wrong and what to do; None when no cause is known.
    """
    for data, name in ((y, "y"), (X, "X")):
        cause = None if data is None else _fault(data, name)
        if cause is not None:
            return cause
    if isinstance(y, _PANDAS) and isinstance(X, _PANDAS):
        return apart(y.index, X.index)
    if isinstance(y, _PANDAS) and isinstance(X, np.ndarray):
        return (
            "X is a NumPy array, which has no times, but y has them; pass X as a DataFrame with "
            "the index of y."
        )
    return None


def apart(index: pd.Index, given: pd.Index) -> str | None:
    """Message on an index of X that does not go with that of y; None where it does."""
    times, given_times = index.get_level_values(-1), given.get_level_values(-1)
    alike = _times_text(times) == _times_text(given_times)
    if index.nlevels > given.nlevels == 1 and alike:
        return (
            f"X has times only, but y has {_levels_text(index)}; repeat X for every series, with "
            "pd.concat({key: X for key in y.index.droplevel(-1).unique()})."
        )
    if index.nlevels != given.nlevels:
        return (
            f"X has {_levels_text(given)}, but y has {_levels_text(index)}; give X those of y, "
            "with .set_index or .loc."
        )
    if not alike:
        return (
            f"X is indexed by {_times_text(given_times)}, y by {_times_text(times)}; "
            f"{_conversion(times, given_times)}."
        )
    absent = missing_rows(given, index)
    return f"X has no rows for {absent}." if absent else None


def missing_rows(given: pd.Index, needed: pd.Index) -> str:
    """List rows that are needed and not given.

    Parameters
    ----------
    given : Index
        Rows of X: times, or series and times.

    needed : Index
        Rows that X must have.

    Returns
    -------
    text : str
        The first five missing times, or pairs of series and time, and how many more there are;
        empty when none is missing.

    Examples
    --------
    >>> missing_rows(pd.RangeIndex(3), pd.RangeIndex(10))
    '3, 4, 5, 6, 7 and 2 more'
    """
    periods = [isinstance(rows.get_level_values(-1), pd.PeriodIndex) for rows in (given, needed)]
    # Not all versions of pandas can look for dates among periods.
    comparable = given.nlevels == needed.nlevels and periods[0] == periods[1]
    missing = needed[~needed.isin(given)] if comparable else needed
    listed = [
        f"({key_text(row[:-1] if len(row) > 2 else row[0])}, {stamp_text(row[-1])})"
        if isinstance(row, tuple)
        else stamp_text(row)
        for row in missing[:_MOST_LISTED]
    ]
    more = len(missing) - len(listed)
    return ", ".join(listed) + (f" and {more} more" if more else "")


def _fault(data: Any, name: str) -> str | None:
    """What is wrong with y or X by itself."""
    if not isinstance(data, _PANDAS):
        return _container_fault(data, name)
    if isinstance(data, pd.Series):
        if data.index.nlevels > 1:
            as_frame = ".to_frame()" if data.name is None else f"data[[{key_text(data.name)}]]"
            return (
                f"{name} is a Series with {_levels_text(data.index)}; pass several series as a "
                f"DataFrame, as {as_frame}."
            )
        values_fault = _values_fault(data, name) if name == "y" else None
    else:
        if data.size and isinstance(data.iloc[0, 0], _NESTED):
            return None
        if not data.columns.is_unique:
            repeated = data.columns[data.columns.duplicated()].unique().tolist()
            return f"{name} has more than one column named {repeated}; rename or drop them."
        values_fault = _columns_fault(data) if name == "y" and _has_times(data.index) else None
    if not _has_times(data.index):
        return _levels_fault(data.index, name)
    return values_fault or _order_fault(data.index, name)


def _container_fault(data: Any, name: str) -> str | None:
    """Message on what has no time index, or one that only pandas could tell."""
    is_panel = isinstance(data, list | tuple) and any(isinstance(d, _NESTED) for d in data)
    if is_panel or not (isinstance(data, _NO_CONTAINERS) or hasattr(data, "to_pandas")):
        return None
    kind = f"{type(data).__module__.split('.')[0]}.{type(data).__name__}"
    return (
        f"{name} is of type {kind.removeprefix('builtins.')}; pass a pandas Series or DataFrame "
        "with the times as its index, or a NumPy array."
    )


# --- the index ---------------------------------------------------------------------------------


def _has_times(index: pd.Index) -> bool:
    """Whether the last level of an index holds times."""
    return _is_time(index.get_level_values(-1))


def _levels_fault(index: pd.Index, name: str) -> str:
    """Message on an index whose only or last level holds no times."""
    content = _content(index.get_level_values(-1))
    if index.nlevels == 1:
        text = f"the index of {name} holds {content.what}; "
        if content.conversion is None:
            return text + "make the times the index: dates, periods or whole numbers."
        return text + f"use {name}.index = {content.conversion.format(f'{name}.index')}."
    others = [_content(index.get_level_values(i)).dated for i in range(index.nlevels - 1)]
    if not content.dated and any(others):
        at = others.index(True)
        order = [*range(at), *range(at + 1, index.nlevels), at]
        names = order if None in index.names else [index.names[i] for i in order]
        how = "swaplevel()" if index.nlevels == 2 else f"reorder_levels({names})"
        return (
            f"{name} has {_levels_text(index)}, but the times have to be the last level; use "
            f"{name}.{how}.sort_index()."
        )
    text = f"the last level of the index of {name} holds {content.what}; "
    if content.conversion is None:
        return text + "it has to hold the times, as after .set_index(['shop', 'date'])."
    column = f"table[{key_text(index.names[-1] or 'date')}]"
    return text + f"before .set_index, use {column} = {content.conversion.format(column)}."


def _order_fault(index: pd.Index, name: str) -> str | None:
    """Message on times that are missing or go back."""
    try:
        stamps, series, keys = split_index(index)
        order = np.argsort(series, kind="stable")
        stamps, series = stamps.take(order), series[order]
        numbers = index_numbers(stamps)
        back = np.flatnonzero(np.diff(numbers) < 0)
        if keys is None and len(back) and not stamps.is_unique:
            row = int(back[0])
            return (
                f"the times of {name} repeat and go back, {stamp_text(stamps[row])} is followed by "
                f"{stamp_text(stamps[row + 1])}; for many series put what names them before the "
                "time, with .set_index(['shop', 'date']), otherwise use .sort_index()."
            )
        check_order(stamps, series, (None,) if keys is None else tuple(keys), "last")
    except (TypeError, ValueError) as error:
        return f"{name}: {error}"
    return None


def _is_time(times: pd.Index) -> bool:
    known = isinstance(times, pd.DatetimeIndex | pd.PeriodIndex)
    return known or (is_integer_dtype(times.dtype) and not isinstance(times, pd.MultiIndex))


def _levels_text(index: pd.Index) -> str:
    if index.nlevels == 1:
        return f"one index level, of {_times_text(index)}"
    if None in index.names:
        return f"{index.nlevels} index levels"
    return f"the index levels {list(index.names)}"


def _times_text(times: pd.Index) -> str:
    if isinstance(times, pd.PeriodIndex):
        return f"periods of {times.freqstr!r}"
    if isinstance(times, pd.DatetimeIndex):
        return "dates without time zone" if times.tz is None else f"dates in {times.tz}"
    return kind_text(index_kind(times))


def _conversion(times: pd.Index, given: pd.Index) -> str:
    """How to give X times of the kind of those of y."""
    if isinstance(times, pd.PeriodIndex) and isinstance(given, pd.DatetimeIndex):
        return f"convert X with .to_period({times.freqstr!r})"
    if isinstance(times, pd.DatetimeIndex) and isinstance(given, pd.PeriodIndex):
        return "convert X with .to_timestamp()"
    if isinstance(times, pd.DatetimeIndex) and isinstance(given, pd.DatetimeIndex):
        zone = None if times.tz is None else str(times.tz)
        method = "tz_localize" if given.tz is None else "tz_convert"
        return f"convert X with .{method}({zone!r})"
    return "make a column of such times the index of X, with .set_index"


# --- the values --------------------------------------------------------------------------------


def _values_fault(column: pd.Series, where: str) -> str | None:
    """Message on values that are no numbers but may be meant as such."""
    if is_numeric_dtype(column.dtype) or len(column) == 0:
        return None
    if infer_dtype(column, skipna=True) == "decimal":
        return f"{where} holds objects of type Decimal; convert them with .astype(float)."
    content = _content(pd.Index(column))
    return (
        f"{where} holds {content.what}, expected numbers; convert it with pd.to_numeric, or let "
        "pd.read_csv do so with decimal=, thousands= or na_values=."
    )


def _columns_fault(frame: pd.DataFrame) -> str | None:
    """Message on columns of y that are no numbers: times, names of series or spoilt numbers."""
    contents = {
        column: _content(pd.Index(frame[column]))
        for column, dtype in zip(frame.columns, frame.dtypes, strict=True)
        if not is_numeric_dtype(dtype)
    }
    if not contents or len(frame) == 0:
        return None
    dated = [column for column in contents if contents[column].dated]
    if dated and frame.index.nlevels == 1 and is_integer_dtype(frame.index.dtype):
        return _table_fault(frame, contents, dated[0])
    column = next(iter(contents))
    where = f"column {key_text(column)} of y"
    if contents[column].like_numbers:
        return _values_fault(frame[column], where)
    if contents[column].dated:
        return f"{where} holds {contents[column].what}, expected numbers; leave it out."
    text = f"{where} is categorical, it holds {contents[column].what}; leave it out"
    if frame.index.nlevels > 1:
        return text + "."
    how = f"y.set_index({key_text(column)}, append=True).swaplevel().sort_index()"
    return f"{text}, or where it names the series use {how}."


def _table_fault(frame: pd.DataFrame, contents: dict[Hashable, _Content], time: Hashable) -> str:
    """Message on a table that has its times in a column."""
    names = [column for column, content in contents.items() if not content.dated]
    numbers = [column for column in frame.columns if column not in contents]
    several = bool(names) or bool(frame[time].duplicated().any())
    levels = key_text(time)
    if several:
        levels = f"[{key_text(names[0]) if names else '...'}, {levels}]"
    example = f"y.set_index({levels})"
    if numbers and (names or not several):
        example += f"[[{key_text(numbers[0])}]]"
    text = f"column {key_text(time)} of y holds {contents[time].what}, expected numbers; "
    conversion = contents[time].conversion
    if conversion and conversion != "{}":
        column = f"y[{key_text(time)}]"
        text += f"use {column} = {conversion.format(column)}, then "
    text += "make it the index"
    if several:
        text += ", after the columns that name the series"
    certain = len(names) == several and len(numbers) <= 1
    return f"{text}{', with' if certain else ', as in'} {example}."


# --- what text and objects mean ----------------------------------------------------------------


class _Content(NamedTuple):
    """What an index or a column holds.

    `conversion` makes times of it, None where there are none in it.
    """

    what: str
    conversion: str | None = None
    dated: bool = False
    like_numbers: bool = False


def _content(values: pd.Index) -> _Content:
    if isinstance(values, pd.DatetimeIndex | pd.PeriodIndex):
        return _Content("dates", "{}", dated=True)
    dtype = values.dtype
    kind = infer_dtype(values.astype(object), skipna=True)
    if kind == "string":
        return _text_content(values)
    if kind == "date":
        return _Content("datetime.date objects", "pd.to_datetime({})", dated=True)
    if kind in ("datetime", "datetime64"):
        if _as_dates(values) is not None:
            return _Content(f"dates of dtype {dtype}", "pd.DatetimeIndex({})", dated=True)
        return _Content("dates of several time zones", "pd.to_datetime({}, utc=True)", dated=True)
    if kind == "period":
        return _Content(f"periods of dtype {dtype}", "pd.PeriodIndex({})", dated=True)
    if kind == "integer" or (kind == "floating" and _are_whole(values)):
        return _Content(f"whole numbers of dtype {dtype}", "{}.astype(int)", like_numbers=True)
    example = next((value for value in values if not pd.isna(value)), None)
    like_numbers = kind in ("floating", "decimal")
    return _Content(f"{kind} values such as {key_text(example)}", like_numbers=like_numbers)


def _text_content(values: pd.Index) -> _Content:
    """What text means: dates, numbers, or just text."""
    text = pd.Series(values.dropna().astype(str))
    dates, how = _dates_in(text)
    if dates.notna().mean() >= _MOST:
        odd = text[dates.isna()]
        what = "dates as text"
        if len(odd):
            what += f" and {odd.iloc[0]!r}, which is none (mend or drop that row)"
        elif _as_dates(pd.Index(text)) is None and not how:
            what, how = "dates as text with several offsets from UTC", ", utc=True"
        return _Content(what, f"pd.to_datetime({{}}{how})", dated=True)
    numbers = pd.to_numeric(text, errors="coerce")
    if numbers.notna().all():
        whole = "{}.astype(int)" if _are_whole(numbers) else None
        return _Content("numbers as text", whole, like_numbers=True)
    if text.str.fullmatch(_LIKE_NUMBER).mean() >= _MOST:
        return _Content(f"text such as {text[numbers.isna()].iloc[0]!r}", like_numbers=True)
    return _Content(f"text such as {text.iloc[0]!r}")


def _dates_in(text: pd.Series) -> tuple[pd.Series, str]:
    """Dates in UTC, missing where text is none, and the argument that reading them takes."""
    day_first = bool(text.str.match(_DAY_FIRST).any())
    with warnings.catch_warnings(action="ignore"):
        dates = pd.to_datetime(text, errors="coerce", utc=True, dayfirst=day_first)
    return dates.where(text.str.match(_LIKE_DATE)), ", dayfirst=True" if day_first else ""


def _as_dates(values: pd.Index) -> pd.DatetimeIndex | None:
    """Index of dates; None where pandas makes none without being told a time zone."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return pd.DatetimeIndex(pd.to_datetime(values))
    except (TypeError, ValueError):
        return None


def _are_whole(values: pd.Index | pd.Series) -> bool:
    return bool((values.to_numpy(dtype=float, na_value=np.nan) % 1 == 0).all())
