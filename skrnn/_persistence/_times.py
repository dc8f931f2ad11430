"""Times: how stamps, frequencies, time zones and pandas' indices are written and read back."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from skrnn._persistence._arrays import Unstorable, read_array, write_array

_UNITS = ("s", "ms", "us", "ns")
# A range takes no room in a file, but what is made of it may hold all of its numbers: beyond so
# many there have to be values for them.
_SHORT_RANGE = 1_000_000


def write_zone(encoder: Any, zone: Any, path: Any) -> Any:
    if isinstance(zone, dt.timezone):
        return [zone.utcoffset(None).total_seconds(), zone.tzname(None)]
    if zone.key is None:
        raise Unstorable("a time zone without a name")
    return zone.key


def read_zone(decoder: Any, written: Any) -> dt.tzinfo:
    if isinstance(written, str):
        return zoneinfo.ZoneInfo(written)
    seconds, name = written
    offset = dt.timedelta(seconds=seconds)
    plain = dt.timezone(offset)
    if plain == dt.UTC and name == "UTC":
        return dt.UTC
    return plain if plain.tzname(None) == name else dt.timezone(offset, str(name))


def write_offset(encoder: Any, offset: Any, path: Any) -> str:
    text = offset.freqstr
    try:
        same = to_offset(text) == offset
    except ValueError:
        same = False
    if not same:
        raise Unstorable(f"the frequency {offset!r}, which has no name of its own in pandas,")
    return text


def read_offset(decoder: Any, written: Any) -> Any:
    if not isinstance(written, str) or len(written) > 40:
        raise ValueError("a frequency that is none")
    return to_offset(written)


def write_stamp(encoder: Any, stamp: Any, path: Any) -> Any:
    return [int(stamp.asm8.view(np.int64)), stamp.unit, encoder.encode(stamp.tz, path)]


def read_stamp(decoder: Any, written: Any) -> Any:
    value, unit, zone = written
    stamp = pd.Timestamp(np.int64(value).view(f"M8[{_unit(unit)}]"))
    zone = decoder.decode(zone)
    return stamp if zone is None else stamp.tz_localize("UTC").tz_convert(zone)


def _unit(unit: Any) -> str:
    if unit not in _UNITS:
        raise ValueError(f"the unit {unit!r}")
    return unit


def write_delta(encoder: Any, delta: Any, path: Any) -> Any:
    return [int(delta.asm8.view(np.int64)), delta.unit]


def read_delta(decoder: Any, written: Any) -> Any:
    value, unit = written
    return pd.Timedelta(np.int64(value).view(f"m8[{_unit(unit)}]"))


def write_datetime(encoder: Any, value: dt.datetime, path: Any) -> Any:
    naive = value.replace(tzinfo=None)
    return [naive.isoformat(), value.fold, encoder.encode(value.tzinfo, path)]


def read_datetime(decoder: Any, written: Any) -> dt.datetime:
    text, fold, zone = written
    return dt.datetime.fromisoformat(text).replace(fold=fold, tzinfo=decoder.decode(zone))


def write_missing(encoder: Any, value: Any, path: Any) -> str:
    return "NaT" if value is pd.NaT else "NA"


def read_missing(decoder: Any, written: Any) -> Any:
    return {"NaT": pd.NaT, "NA": pd.NA}[written]


# -- pandas' indices --------------------------------------------------------------------------


def write_index(encoder: Any, index: pd.Index, path: Any) -> Any:
    kind, content = _content(encoder, index, path)
    names = [encoder.encode(name, path) for name in index.names]
    return [kind, content, names]


def _content(encoder: Any, index: Any, path: Any) -> tuple[str, Any]:
    if isinstance(index, pd.MultiIndex):
        levels = [write_index(encoder, level, path) for level in index.levels]
        codes = [encoder.tensor(np.asarray(code), path) for code in index.codes]
        return "multi", [levels, codes]
    if isinstance(index, pd.RangeIndex):
        return "range", [index.start, index.stop, index.step]
    if isinstance(index, pd.CategoricalIndex):
        codes = encoder.tensor(np.asarray(index.codes), path)
        return "category", [write_index(encoder, index.categories, path), codes, index.ordered]
    if isinstance(index, pd.PeriodIndex):
        freq = write_offset(encoder, index.freq, path)
        return "period", [encoder.tensor(index.asi8, path), freq]
    if isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex):
        kind = "stamps" if isinstance(index, pd.DatetimeIndex) else "deltas"
        zone = encoder.encode(getattr(index, "tz", None), path)
        return kind, [
            encoder.tensor(index.asi8, path), index.unit, zone, encoder.encode(index.freq, path),
        ]  # fmt: skip
    if isinstance(index.dtype, np.dtype):
        return "plain", write_array(encoder, index.to_numpy(), path)
    if isinstance(index.dtype, pd.StringDtype):
        values = index.astype(object).tolist()
        return "text", [encoder.encode(value, path) for value in values]
    raise Unstorable(f"an index of type {index.dtype}")


def read_index(decoder: Any, written: Any) -> pd.Index:
    kind, content, names = written
    index = _INDICES[kind](decoder, content)
    return index.set_names([decoder.decode(name) for name in names])


def read_range(decoder: Any, content: Any) -> pd.Index:
    index = pd.RangeIndex(*(int(n) for n in content))
    if len(index) > max(_SHORT_RANGE, decoder.n_values):
        raise ValueError(f"an index of {len(index)} rows, and no values for them")
    return index


def read_multi(decoder: Any, content: Any) -> pd.Index:
    levels, codes = content
    return pd.MultiIndex(
        levels=[read_index(decoder, level) for level in levels],
        codes=[decoder.tensor(code) for code in codes],
        verify_integrity=True,
    )


def read_category(decoder: Any, content: Any) -> pd.Index:
    categories, codes, ordered = content
    dtype = pd.CategoricalDtype(read_index(decoder, categories), ordered=bool(ordered))
    return pd.CategoricalIndex(pd.Categorical.from_codes(decoder.tensor(codes), dtype=dtype))


def read_period(decoder: Any, content: Any) -> pd.Index:
    ordinals, freq = content
    return pd.PeriodIndex.from_ordinals(decoder.tensor(ordinals), freq=read_offset(decoder, freq))


def read_stamps(decoder: Any, content: Any) -> pd.Index:
    values, unit, zone, freq = content
    stamps = pd.DatetimeIndex(decoder.tensor(values).view(f"M8[{_unit(unit)}]"))
    zone = decoder.decode(zone)
    if zone is not None:
        stamps = stamps.tz_localize("UTC").tz_convert(zone)
    return pd.DatetimeIndex(stamps, freq=decoder.decode(freq))


def read_deltas(decoder: Any, content: Any) -> pd.Index:
    values, unit, _, freq = content
    deltas = decoder.tensor(values).view(f"m8[{_unit(unit)}]")
    return pd.TimedeltaIndex(deltas, freq=decoder.decode(freq))


_INDICES: dict[str, Callable[[Any, Any], pd.Index]] = {
    "multi": read_multi,
    "range": read_range,
    "category": read_category,
    "period": read_period,
    "stamps": read_stamps,
    "deltas": read_deltas,
    "plain": lambda decoder, content: pd.Index(
        values := read_array(decoder, content), dtype=values.dtype, tupleize_cols=False
    ),
    "text": lambda decoder, content: pd.Index(
        [decoder.decode(value) for value in content], dtype="str"
    ),
}


# -- sktime -----------------------------------------------------------------------------------


def write_horizon(encoder: Any, horizon: Any, path: Any) -> Any:
    index = horizon.to_pandas()
    freq = encoder.encode(getattr(horizon, "_freq", None), path)
    return [write_index(encoder, index, path), horizon.is_relative, freq]


def read_horizon(decoder: Any, written: Any) -> Any:
    index, is_relative, freq = written
    horizon = import_module("sktime.forecasting.base").ForecastingHorizon(
        read_index(decoder, index), is_relative=is_relative
    )
    freq = decoder.decode(freq)
    if freq is not None:
        horizon._freq = freq
    return horizon


def read_feature_kind(decoder: Any, written: Any) -> Any:
    return import_module("sktime.datatypes._dtypekind").DtypeKind(written)
