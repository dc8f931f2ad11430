"""Streaming: answers after every time step, in constant time and memory.

What :meth:`skrnn.RNNClassifier.stream` and :meth:`skrnn.RNNRegressor.stream` return.
"""

from skrnn.streaming._streams import ClassifierStream, RegressorStream

__all__ = ["ClassifierStream", "RegressorStream"]
