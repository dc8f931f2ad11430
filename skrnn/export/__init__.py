"""Export: fitted estimators for places without torch, as numpy and as ONNX.

Importing this module, loading a predictor of numpy and predicting with it need no more than numpy
and safetensors; forecasts with a calendar need pandas.
"""

from skrnn.export._converting import to_numpy
from skrnn.export._files import load_numpy
from skrnn.export._forecasters import NumpyForecaster
from skrnn.export._onnx import to_onnx
from skrnn.export._predictors import NumpyClassifier, NumpyRegressor

__all__ = [
    "NumpyClassifier",
    "NumpyForecaster",
    "NumpyRegressor",
    "load_numpy",
    "to_numpy",
    "to_onnx",
]
