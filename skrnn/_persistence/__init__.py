"""Persistence: estimators and states in one file that holds data and never code."""

from skrnn._persistence._atomic import write_atomically
from skrnn._persistence._container import NotOurFile, pack, unpack
from skrnn._persistence._decoder import Decoder
from skrnn._persistence._encoder import Encoder
from skrnn._persistence._saving import FileMixin, load, save

__all__ = [
    "Decoder",
    "Encoder",
    "FileMixin",
    "NotOurFile",
    "load",
    "pack",
    "save",
    "unpack",
    "write_atomically",
]
