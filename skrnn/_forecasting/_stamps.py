"""Stamps: which time indexes have a next step, and how messages name series and stamps."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Kind = Literal["int", "period", "datetime"]
Ticks = NDArray[np.int64]

_INDEX_TYPES = "a DatetimeIndex, a PeriodIndex or whole numbers"


def in_series(key: Hashable) -> str:
    """Where a message speaks of, with a space in front; nothing for the only series."""
    return "" if key is None else f" in series {key_text(key)}"


def key_text(key: Hashable) -> str:
    """Key as the user would write it."""
    if isinstance(key, tuple):
        return f"({', '.join(key_text(part) for part in key)})"
    return repr(key.item() if isinstance(key, np.generic) else key)


def stamp_text(stamp: Any) -> str:
    """Stamp in a message: dates without midnight."""
    return str(stamp).removesuffix(" 00:00:00")


def index_kind(index: pd.Index) -> Kind:
    """Kind of a time index; refuses what is none."""
    if isinstance(index, pd.PeriodIndex):
        return "period"
    if isinstance(index, pd.DatetimeIndex):
        return "datetime"
    if not isinstance(index, pd.MultiIndex) and pd.api.types.is_integer_dtype(index.dtype):
        return "int"
    raise TypeError(
        f"the time index is a {type(index).__name__} of dtype "
        f"{getattr(index, 'dtype', None)}; use {_INDEX_TYPES}."
    )


def index_numbers(index: pd.Index) -> Ticks:
    """Numbers in the order of the stamps: integers, ordinals of periods, moments in UTC."""
    if index.hasnans:
        raise ValueError("the time index has a missing stamp (NaT); drop that row.")
    if isinstance(index, pd.PeriodIndex | pd.DatetimeIndex):
        return index.asi8
    return index.to_numpy(dtype=np.int64)


def kind_text(kind: Kind) -> str:
    """Kind in a message."""
    return {"int": "whole numbers", "period": "periods", "datetime": "dates"}[kind]


def mixed_text(key: Hashable, freq: str | None, other: Hashable, other_freq: str | None) -> str:
    """Message on two series of one panel."""
    has = "no regular frequency" if other_freq is None else repr(other_freq)
    return (
        f"mixed frequencies: series {key_text(key)} has {freq!r}, series {key_text(other)} has "
        f"{has}; resample them to one frequency."
    )


def scaled(ticks: Ticks, step: int, phase: int) -> Ticks:
    """``ticks * step + phase``; refuses what 64 bits do not hold."""
    largest = max(-int(ticks.min(initial=0)), int(ticks.max(initial=0)))
    if largest * step + phase > np.iinfo(np.int64).max:
        raise ValueError(
            "a time stamp lies beyond what the resolution of the time index can hold; use a "
            "coarser one, for example .as_unit('s')."
        )
    return ticks * step + phase
