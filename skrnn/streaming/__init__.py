"""Streaming: answers after every time step, in constant time and memory.

What :meth:`skrnn.RNNClassifier.stream`, :meth:`skrnn.RNNRegressor.stream` and
:meth:`skrnn.RNNForecaster.stream` return.
"""

from skrnn.streaming._forecasts import ForecasterStream
from skrnn.streaming._streams import ClassifierStream, RegressorStream

__all__ = ["ClassifierStream", "ForecasterStream", "RegressorStream"]
