"""Classes: the fixed table of what a file may hold besides plain values.

A file names a class by its key here, and nothing else is ever imported because of a file. To
store one more class, add its line: an estimator is stored by its parameters and its state, any
other class by its state, which for a data class is its fields.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

_OWN = {
    "RNNClassifier": "skrnn._classifier",
    "RNNRegressor": "skrnn._regressor",
    "RNNForecaster": "skrnn._forecaster",
    "sktime.RNNClassifier": "skrnn.sktime._classifier",
    "sktime.RNNRegressor": "skrnn.sktime._regressor",
    # transformers
    "SequenceImputer": "skrnn.preprocessing._imputing",
    "SequencePadder": "skrnn.preprocessing._padding",
    "SequenceScaler": "skrnn.preprocessing._scaling",
    "SequenceTokenizer": "skrnn.preprocessing._tokenizing",
    "SlidingWindow": "skrnn.preprocessing._windowing",
    # what estimators are made of
    "Jitter": "skrnn.nn.augmentation",
    "Mixup": "skrnn.nn.augmentation",
    "Scaling": "skrnn.nn.augmentation",
    "TimeWarp": "skrnn.nn.augmentation",
    "LabelEncoding": "skrnn._targets",
    "TargetScaling": "skrnn._targets",
    "Residuals": "skrnn._conformal",
    # what a forecaster is made of
    "Calendar": "skrnn._forecasting._calendar",
    "HorizonCalibration": "skrnn._forecasting._calibration",
    "Clock": "skrnn._forecasting._clock",
    "CovariateEncoder": "skrnn._forecasting._covariates",
    "_Categories": "skrnn._forecasting._covariates",
    "_Numbers": "skrnn._forecasting._covariates",
    "Guard": "skrnn._forecasting._guard",
    "History": "skrnn._forecasting._history",
    "Inputs": "skrnn._forecasting._inputs",
    "ForecastModel": "skrnn._forecasting._model",
    "ModelOptions": "skrnn._forecasting._options",
    "TrainingOptions": "skrnn._forecasting._options",
    "Panel": "skrnn._forecasting._panel",
    "SeriesTransform": "skrnn._forecasting._transform",
}
# Their attributes are numbers, texts and arrays, with parameters that are as simple.
_OTHERS = {
    "sklearn.Pipeline": "sklearn.pipeline",
    "sklearn.FunctionTransformer": "sklearn.preprocessing",
    "sklearn.LabelEncoder": "sklearn.preprocessing",
    "sklearn.MaxAbsScaler": "sklearn.preprocessing",
    "sklearn.MinMaxScaler": "sklearn.preprocessing",
    "sklearn.RobustScaler": "sklearn.preprocessing",
    "sklearn.StandardScaler": "sklearn.preprocessing",
    "sklearn.SimpleImputer": "sklearn.impute",
    "sklearn.GroupKFold": "sklearn.model_selection",
    "sklearn.GroupShuffleSplit": "sklearn.model_selection",
    "sklearn.KFold": "sklearn.model_selection",
    "sklearn.PredefinedSplit": "sklearn.model_selection",
    "sklearn.ShuffleSplit": "sklearn.model_selection",
    "sklearn.StratifiedGroupKFold": "sklearn.model_selection",
    "sklearn.StratifiedKFold": "sklearn.model_selection",
    "sklearn.StratifiedShuffleSplit": "sklearn.model_selection",
    "sklearn.TimeSeriesSplit": "sklearn.model_selection",
}
_MODULES = {**_OWN, **_OTHERS}

# The types that skops is to trust: all there are in the state of an estimator of ours.
SKOPS_TRUSTED = [
    f"{module}.{name.rpartition('.')[2]}"
    for name, module in _OWN.items()
    if name.startswith(("RNN", "Sequence", "Sliding", "sktime."))
]

# Classes that parameters may name: nothing is made of them before a network is built.
_OPTIMIZERS = (
    "ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "LBFGS", "NAdam",
    "RAdam", "RMSprop", "Rprop", "SGD",
)  # fmt: skip
_SCHEDULERS = (
    "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR",
    "LinearLR", "MultiStepLR", "OneCycleLR", "PolynomialLR", "ReduceLROnPlateau", "StepLR",
)  # fmt: skip
_LAYERS = (
    "ConvFrontend", "GRUDLayer", "MinGRULayer", "MinLSTMLayer", "PatchFrontend", "TorchLayer",
)  # fmt: skip
_CELLS = ("GRUCell", "LSTMCell", "RNNCell")
_NAMED = {
    **{f"torch.optim.{name}": "torch.optim" for name in _OPTIMIZERS},
    **{f"torch.optim.lr_scheduler.{name}": "torch.optim.lr_scheduler" for name in _SCHEDULERS},
    **{f"torch.nn.{name}": "torch.nn" for name in _CELLS},
    **{f"skrnn.nn.{name}": "skrnn.nn" for name in _LAYERS},
}


def class_of(name: str) -> type:
    """Class of a key of the table.

    Raises
    ------
    KeyError
        If it is none.
    """
    return _get(_MODULES, name)


def name_of(kind: type) -> str | None:
    """Key of a class, None if it is not in the table."""
    return _find(_MODULES, kind)


def named_class_of(name: str) -> type:
    """Class that a parameter may name.

    Raises
    ------
    KeyError
        If it is none of those.
    """
    return _get(_NAMED, name)


def name_of_named(kind: type) -> str | None:
    """Key of a class that a parameter may name, None if it may not."""
    return _find(_NAMED, kind)


def _get(table: dict[str, str], name: str) -> Any:
    return getattr(import_module(table[name]), name.rpartition(".")[2])


def _find(table: dict[str, str], kind: type) -> str | None:
    for name, module in table.items():
        # The class exists, and so does the module that holds it.
        short = name.rpartition(".")[2]
        if short == kind.__name__ and getattr(sys.modules.get(module), short, None) is kind:
            return name
    return None
