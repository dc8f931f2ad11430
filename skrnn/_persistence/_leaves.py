"""Leaves: the table of all types of values that a file may hold.

A leaf is written as an object of JSON with one key, its tag. Arrays of numbers go beside the
document; all else is in it.
"""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from skrnn._persistence._arrays import (
    Unstorable,
    read_array,
    read_dtype,
    read_random_state,
    read_scalar,
    read_tensor,
    read_torch_dtype,
    write_array,
    write_dtype,
    write_random_state,
    write_scalar,
    write_tensor,
)
from skrnn._persistence._classes import name_of_named, named_class_of
from skrnn._persistence._times import (
    read_datetime,
    read_delta,
    read_feature_kind,
    read_horizon,
    read_index,
    read_missing,
    read_offset,
    read_stamp,
    read_zone,
    write_datetime,
    write_delta,
    write_horizon,
    write_index,
    write_missing,
    write_offset,
    write_stamp,
    write_zone,
)


@dataclass(frozen=True)
class Leaf:
    """How values of some types are written and read.

    Parameters
    ----------
    types : tuple of type
        The types.

    write : callable
        Maps an encoder, a value and where it is to what JSON can hold.

    read : callable
        Maps a decoder and what was written to the value. Errors of any type are errors of the file.
    """

    types: tuple[type, ...]
    write: Callable[[Any, Any, Any], Any]
    read: Callable[[Any, Any], Any]


def _write_named(encoder: Any, kind: type, path: Any) -> str:
    name = name_of_named(kind)
    if name is None:
        raise Unstorable(f"the class {kind.__module__}.{kind.__qualname__}")
    return name


LEAVES: dict[str, Leaf] = {
    "array": Leaf((np.ndarray,), write_array, read_array),
    "scalar": Leaf((np.generic,), write_scalar, read_scalar),
    "dtype": Leaf((np.dtype,), write_dtype, read_dtype),
    "random_state": Leaf((np.random.RandomState,), write_random_state, read_random_state),
    "tensor": Leaf((torch.Tensor,), write_tensor, read_tensor),
    "torch.dtype": Leaf((torch.dtype,), lambda e, value, path: str(value), read_torch_dtype),
    "torch.device": Leaf(
        (torch.device,), lambda e, value, path: str(value), lambda d, text: torch.device(text)
    ),
    "missing": Leaf((type(pd.NaT), type(pd.NA)), write_missing, read_missing),
    "zone": Leaf((zoneinfo.ZoneInfo, dt.timezone), write_zone, read_zone),
    "stamp": Leaf((pd.Timestamp,), write_stamp, read_stamp),
    "delta": Leaf((pd.Timedelta,), write_delta, read_delta),
    "period": Leaf(
        (pd.Period,),
        lambda e, value, path: [value.ordinal, write_offset(e, value.freq, path)],
        lambda d, pair: pd.Period(ordinal=int(pair[0]), freq=read_offset(d, pair[1])),
    ),
    "offset": Leaf((pd.DateOffset,), write_offset, read_offset),
    "datetime": Leaf((dt.datetime,), write_datetime, read_datetime),
    "date": Leaf(
        (dt.date,),
        lambda e, value, path: value.isoformat(),
        lambda d, text: dt.date.fromisoformat(text),
    ),
    "timedelta": Leaf(
        (dt.timedelta,),
        lambda e, value, path: [value.days, value.seconds, value.microseconds],
        lambda d, parts: dt.timedelta(*(int(part) for part in parts)),
    ),
    "bytes": Leaf(
        (bytes,), lambda e, value, path: value.hex(), lambda d, text: bytes.fromhex(text)
    ),
    "index": Leaf((pd.Index,), write_index, read_index),
    "class": Leaf((type,), _write_named, lambda d, name: named_class_of(name)),
}
# sktime takes seconds to import: its classes are known by name until one is met.
SKTIME_LEAVES: dict[str, tuple[str, Leaf]] = {
    "horizon": ("ForecastingHorizon", Leaf((), write_horizon, read_horizon)),
    "feature_kind": (
        "DtypeKind",
        Leaf((), lambda e, value, path: value.value, read_feature_kind),
    ),
}
