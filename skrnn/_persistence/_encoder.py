"""Encoder: any value that a file may hold becomes a JSON document and arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._persistence._arrays import Unstorable
from skrnn._persistence._classes import name_of
from skrnn._persistence._leaves import LEAVES, SKTIME_LEAVES, Leaf

MAX_DEPTH = 64
SMALLEST, LARGEST = -(2**63), 2**64 - 1
_MAX_NAME = 200
_HOMES = ("builtins", "datetime", "numpy", "pandas", "torch", "zoneinfo")

Path = tuple[Any, ...]


class CannotStore(TypeError):
    """What a file cannot hold, and where it was found."""

    def __init__(self, what: Unstorable, path: Path) -> None:
        self.found = f"{text_of(path) or 'what is to be saved'} is {what}"
        super().__init__(
            f"{self.found}, which no file of skrnn holds: loading one never runs code or guesses. "
            "Set it to something plain, or store it by a name that you also give to load: "
            "custom_objects={'name': ...}."
        )


class Encoder:
    """Turns values into nodes of JSON, and their arrays into tensors beside them.

    Parameters
    ----------
    custom : mapping of str to object, default={}
        What is stored by name only, and to be given again when it is read.

    others : list or None, default=None
        Where to put what JSON cannot hold; None refuses it.

    Attributes
    ----------
    objects : list of dict
        Instances of the classes of the table, in the order they were met. An instance met twice is
        stored once.

    tensors : dict of str to ndarray
        Arrays by name.
    """

    def __init__(
        self, custom: Mapping[str, Any] | None = None, others: list[Any] | None = None
    ) -> None:
        self.others = others
        self.objects: list[Any] = []
        self.tensors: dict[str, NDArray] = {}
        self._custom = {id(value): name for name, value in (custom or {}).items()}
        self._seen: dict[int, Any] = {}
        # Numbers of objects are unique only while the objects live.
        self._alive: list[Any] = []
        self._depth = 0

    def encode(self, value: Any, path: Path) -> Any:
        """Node of a value.

        Parameters
        ----------
        value : object
            The value.

        path : tuple
            Where it was found, for names and messages.

        Returns
        -------
        node : object
            What JSON can hold.

        Raises
        ------
        TypeError
            If it is of a type that a file does not hold; the message says where it is.
        """
        self._depth += 1
        try:
            if self._depth > MAX_DEPTH:
                raise Unstorable(f"something nested more than {MAX_DEPTH} deep")
            return self._encode(value, path)
        except Unstorable as error:
            if self.others is not None:
                self.others.append(value)
                return {"other": len(self.others) - 1}
            raise CannotStore(error, path) from error
        finally:
            self._depth -= 1

    def _encode(self, value: Any, path: Path) -> Any:
        kind = type(value)
        if id(value) in self._custom:
            return {"custom": self._custom[id(value)]}
        if value is None or kind is bool or kind is str:
            return value
        if kind is int:
            if not SMALLEST <= value <= LARGEST:
                raise Unstorable("an integer of more than 64 bits")
            return value
        if kind is float:
            return value if math.isfinite(value) else {"float": str(value)}
        if kind in (list, tuple, set, frozenset):
            nodes = [self.encode(item, (*path, i)) for i, item in enumerate(value)]
            return nodes if kind is list else {kind.__name__: nodes}
        if kind is dict:
            return self._mapping(value, path)
        name = name_of(kind)
        if name is not None:
            return {"object": self._object(value, name, path)}
        tag, leaf = _leaf_of(value)
        return {tag: leaf.write(self, value, path)}

    def _mapping(self, value: dict[Any, Any], path: Path) -> Any:
        if all(type(key) is str for key in value):
            return {"dict": {k: self.encode(v, (*path, k)) for k, v in value.items()}}
        pairs = value.items()
        return {"items": [[self.encode(k, path), self.encode(v, (*path, k))] for k, v in pairs]}

    def _object(self, value: Any, name: str, path: Path) -> int:
        if id(value) in self._seen:
            number = self._seen[id(value)]
            if self.objects[number] is None:
                raise Unstorable(f"a {name} that holds itself")
            return number
        number = self._seen[id(value)] = len(self.objects)
        self.objects.append(None)
        self._alive.append(value)
        params = params_of(value)
        state = {k: v for k, v in state_of(value).items() if k not in params}
        self.objects[number] = {
            "class": name,
            "params": {k: self.encode(v, (*path, k)) for k, v in params.items()},
            "state": {k: self.encode(v, (*path, k)) for k, v in state.items()},
        }
        return number

    def tensor(self, array: NDArray, path: Path) -> str:
        """Put an array beside the document, once however often it is met.

        Returns
        -------
        name : str
            Its name there.
        """
        if id(array) in self._seen:
            return self._seen[id(array)]
        wanted = ".".join(str(part) for part in path)[:_MAX_NAME] or "value"
        name, number = wanted, 0
        while name in self.tensors:
            number += 1
            name = f"{wanted}#{number}"
        self.tensors[name] = array
        self._seen[id(array)] = name
        self._alive.append(array)
        return name


def params_of(value: Any) -> dict[str, Any]:
    """Parameters that the constructor of an estimator takes; none of other objects."""
    if hasattr(value, "_params_to_store"):
        return value._params_to_store()
    if isinstance(value, type) or not hasattr(value, "get_params"):
        return {}
    params = value.get_params(deep=False)
    # The cache of a Pipeline is a folder of pickles on this machine.
    return {**params, "memory": None} if "memory" in params else params


def state_of(value: Any) -> dict[str, Any]:
    """All attributes that a copy of an object has to have."""
    if hasattr(value, "_state_to_store"):
        return value._state_to_store()
    state = value.__getstate__() or {}
    if is_dataclass(value):
        # A data class may have cached what follows from its fields.
        return {field.name: state[field.name] for field in fields(value)}
    return dict(state)


def text_of(path: Path) -> str:
    """A path in Python's words: ``callbacks[0]``."""
    text = ""
    for part in path:
        if isinstance(part, str) and part.isidentifier():
            text += f".{part}" if text else part
        else:
            text += f"[{part!r}]"
    return text


def _leaf_of(value: Any) -> tuple[str, Leaf]:
    for tag, leaf in LEAVES.items():
        if isinstance(value, leaf.types):
            if isinstance(value, type) or not _is_own_subclass(value):
                return tag, leaf
            break
    kind = type(value)
    if kind.__module__.startswith("sktime."):
        for tag, (name, leaf) in SKTIME_LEAVES.items():
            if kind.__name__ == name:
                return tag, leaf
    named = value if hasattr(value, "__qualname__") else kind
    what = "the class" if isinstance(value, type) else "the function"
    what = what if named is value else "an object of"
    raise Unstorable(f"{what} {named.__module__}.{named.__qualname__}")


def _is_own_subclass(value: Any) -> bool:
    """Whether a subclass would lose what it adds, as somebody else's or a masked array."""
    if isinstance(value, np.ndarray):
        return type(value) not in (np.ndarray, np.memmap)
    return type(value).__module__.split(".")[0] not in _HOMES
