"""Persistence: estimators and states in one file that holds data and never code."""

from skrnn._persistence._atomic import locked, write_atomically
from skrnn._persistence._container import NotOurFile, pack, unpack
from skrnn._persistence._decoder import Decoder
from skrnn._persistence._encoder import CannotStore, Encoder
from skrnn._persistence._saving import FileMixin, load, save

__all__ = [
    "CannotStore",
    "Decoder",
    "Encoder",
    "FileMixin",
    "NotOurFile",
    "load",
    "locked",
    "pack",
    "save",
    "unpack",
    "write_atomically",
]
