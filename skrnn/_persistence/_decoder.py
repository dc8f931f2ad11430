"""Decoder: values from a document and its arrays, and nothing that they do not describe."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from numpy.typing import NDArray

from skrnn._persistence._classes import class_of
from skrnn._persistence._encoder import MAX_DEPTH
from skrnn._persistence._leaves import LEAVES, SKTIME_LEAVES

_READERS = {
    **{tag: leaf.read for tag, leaf in LEAVES.items()},
    **{tag: leaf.read for tag, (_, leaf) in SKTIME_LEAVES.items()},
}
_COLLECTIONS = {"tuple": tuple, "set": set, "frozenset": frozenset}
_FLOATS = ("nan", "inf", "-inf")


class Missing(ValueError):
    """An object that was stored by name only was not given to whoever reads the file."""


class Decoder:
    """Turns the nodes of an :class:`Encoder` back into values.

    Whatever a document says, only classes of the table are made, of values that came with it.

    Parameters
    ----------
    objects : sequence of dict
        Instances as the encoder described them.

    tensors : mapping of str to ndarray
        Arrays by name.

    custom : mapping of str to object, default={}
        What was stored by name only.

    others : sequence, default=()
        What was kept beside the document.

    Attributes
    ----------
    n_values : int
        Number of values in all arrays.
    """

    def __init__(
        self,
        objects: Sequence[Any],
        tensors: Mapping[str, NDArray],
        custom: Mapping[str, Any] | None = None,
        others: Sequence[Any] = (),
    ) -> None:
        self._objects = objects
        self._tensors = tensors
        self._custom = custom or {}
        self._others = others
        self.n_values = sum(array.size for array in tensors.values())
        self._made: dict[int, Any] = {}
        self._arrays: dict[str, NDArray] = {}
        self._depth = 0

    def decode(self, node: Any) -> Any:
        """Value of a node.

        Raises
        ------
        ValueError, TypeError, KeyError
            If it describes none.
        """
        self._depth += 1
        try:
            if self._depth > MAX_DEPTH:
                raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
            return self._decode(node)
        finally:
            self._depth -= 1

    def _decode(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self.decode(item) for item in node]
        if not isinstance(node, dict):
            return node
        ((tag, content),) = node.items()
        if tag in _COLLECTIONS:
            return _COLLECTIONS[tag](self.decode(item) for item in content)
        if tag == "dict":
            return {key: self.decode(value) for key, value in content.items()}
        if tag == "items":
            return {self.decode(key): self.decode(value) for key, value in content}
        if tag == "float":
            return float(_FLOATS[_FLOATS.index(content)])
        if tag == "object":
            return self._object(content)
        if tag == "other":
            return self._others[content]
        if tag == "custom":
            return self._given(content)
        return _READERS[tag](self, content)

    def tensor(self, name: str) -> NDArray:
        """An array that may be written to, the same one for the same name."""
        if name not in self._arrays:
            array = self._tensors[name]
            self._arrays[name] = array.astype(array.dtype.newbyteorder("="), order="C")
        return self._arrays[name]

    def _given(self, name: str) -> Any:
        if name not in self._custom:
            raise Missing(
                f"it was saved with custom_objects={{{name!r}: ...}}, which is to be given to load "
                "as well"
            )
        return self._custom[name]

    def _object(self, number: int) -> Any:
        if type(number) is not int or not 0 <= number < len(self._objects):
            raise ValueError(f"it has no object {number!r}")
        if number not in self._made:
            # Whoever asks for it while it is being made holds itself.
            self._made[number] = None
            self._made[number] = self._make(**self._objects[number])
        if self._made[number] is None:
            raise ValueError(f"object {number} holds itself")
        return self._made[number]

    def _make(self, **described: Any) -> Any:
        kind = class_of(described["class"])
        params = {name: self.decode(node) for name, node in described["params"].items()}
        state = {name: self.decode(node) for name, node in described["state"].items()}
        _check_names(kind, state)
        if params.get("memory") is not None:
            raise ValueError("a Pipeline names a cache, which would be a folder of pickles")
        if hasattr(kind, "get_params"):
            made = kind(**params)
        elif params:
            raise ValueError(f"a {kind.__name__} has no parameters")
        else:
            made = object.__new__(kind)
            state = _with_defaults(kind, state) if is_dataclass(kind) else state
        _set_state(made, state)
        return made


def _set_state(made: Any, state: dict[str, Any]) -> None:
    for name in ("_restore_state", "__setstate__"):
        if hasattr(made, name):
            getattr(made, name)(state)
            return
    made.__dict__.update(state)


def _check_names(kind: type, state: dict[str, Any]) -> None:
    """Refuse attributes that would take the place of a method."""
    for name in state:
        found = inspect.getattr_static(kind, name, None)
        # Properties and the methods that an estimator has at times are descriptors.
        if callable(found) or hasattr(found, "__get__"):
            raise ValueError(f"{name!r} is no attribute of a {kind.__name__}")


def _with_defaults(kind: Any, state: dict[str, Any]) -> dict[str, Any]:
    """State of a data class whose later fields an older file does not know."""
    full = {}
    for field in fields(kind):
        if field.name in state:
            full[field.name] = state.pop(field.name)
        elif field.default is not MISSING:
            full[field.name] = field.default
        elif field.default_factory is not MISSING:
            full[field.name] = field.default_factory()
        else:
            raise ValueError(f"a {kind.__name__} lacks {field.name!r}")
    if state:
        raise ValueError(f"a {kind.__name__} has no {next(iter(state))!r}")
    return full
