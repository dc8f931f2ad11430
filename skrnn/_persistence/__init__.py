"""Persistence: estimators and states in one file that holds data and never code."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skrnn._persistence._atomic import locked, write_atomically
    from skrnn._persistence._classes import SKOPS_TRUSTED
    from skrnn._persistence._container import NotOurFile, pack, unpack
    from skrnn._persistence._decoder import Decoder
    from skrnn._persistence._encoder import CannotStore, Encoder
    from skrnn._persistence._saving import FileMixin, StateMixin, load, save

__all__ = [
    "SKOPS_TRUSTED",
    "CannotStore",
    "Decoder",
    "Encoder",
    "FileMixin",
    "NotOurFile",
    "StateMixin",
    "load",
    "locked",
    "pack",
    "save",
    "unpack",
    "write_atomically",
]

_MODULES = {
    "CannotStore": "_encoder",
    "Decoder": "_decoder",
    "Encoder": "_encoder",
    "FileMixin": "_saving",
    "NotOurFile": "_container",
    "SKOPS_TRUSTED": "_classes",
    "StateMixin": "_saving",
    "load": "_saving",
    "locked": "_atomic",
    "pack": "_container",
    "save": "_saving",
    "unpack": "_container",
    "write_atomically": "_atomic",
}


def __getattr__(name: str) -> Any:
    # What predicts with numpy alone reads files without torch and pandas.
    if name not in _MODULES:
        raise AttributeError(f"module 'skrnn._persistence' has no attribute {name!r}")
    return getattr(import_module(f"skrnn._persistence.{_MODULES[name]}"), name)
