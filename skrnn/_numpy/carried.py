"""Carried: what goes from one time step to the next, one row per sequence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Carried", "State", "put", "take"]

#: Arrays whose first axis is that of the sequences. No step writes into them.
State: TypeAlias = tuple[NDArray[Any], ...]


class Carried(ABC):
    """Something that reads one step after the other and remembers what it needs of them."""

    #: What the arrays of the state are called, in their order.
    names: tuple[str, ...] = ()

    @abstractmethod
    def initial(self, n: int) -> State:
        """State of `n` sequences before their first step."""


def take(state: State, rows: Any) -> State:
    """Part of a state that belongs to some sequences."""
    return tuple(part[rows] for part in state)


def put(state: State, rows: Any, newer: State) -> State:
    """State in which that of some sequences is newer."""
    changed = []
    for old, new in zip(state, newer, strict=True):
        whole = old.copy()
        whole[rows] = new
        changed.append(whole)
    return tuple(changed)


def zeros(n: int, size: int, dtype: Any) -> NDArray[Any]:
    """Zeros of shape (n, size)."""
    return np.zeros((n, size), dtype=dtype)
