"""Transformers that prepare sequences: padding, scaling, imputing, windowing, tokens, tables."""

from skrnn._windows import Windows
from skrnn.preprocessing._frames import sequences_from_frame, sequences_to_frame
from skrnn.preprocessing._imputing import SequenceImputer
from skrnn.preprocessing._padding import SequencePadder
from skrnn.preprocessing._scaling import SequenceScaler
from skrnn.preprocessing._tokenizing import SequenceTokenizer
from skrnn.preprocessing._windowing import SlidingWindow, make_windows

__all__ = [
    "SequenceImputer",
    "SequencePadder",
    "SequenceScaler",
    "SequenceTokenizer",
    "SlidingWindow",
    "Windows",
    "make_windows",
    "sequences_from_frame",
    "sequences_to_frame",
]
