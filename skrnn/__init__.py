"""Recurrent neural networks as scikit-learn estimators, for sequences of any length."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skrnn import export, metrics, nn, preprocessing, sktime, streaming, testing
    from skrnn._classifier import RNNClassifier
    from skrnn._persistence import SKOPS_TRUSTED, load, save
    from skrnn._regressor import RNNRegressor
    from skrnn._show_versions import show_versions

__version__ = "0.1.0"

__all__ = [
    "SKOPS_TRUSTED",
    "RNNClassifier",
    "RNNForecaster",
    "RNNRegressor",
    "__version__",
    "export",
    "load",
    "metrics",
    "nn",
    "preprocessing",
    "save",
    "show_versions",
    "sktime",
    "streaming",
    "testing",
]

_HOMES = {
    "RNNClassifier": "skrnn._classifier",
    "RNNForecaster": "skrnn._forecaster",
    "RNNRegressor": "skrnn._regressor",
    "SKOPS_TRUSTED": "skrnn._persistence",
    "load": "skrnn._persistence",
    "save": "skrnn._persistence",
    "show_versions": "skrnn._show_versions",
}
_SUBMODULES = frozenset(
    {"export", "metrics", "nn", "preprocessing", "sktime", "streaming", "testing"}
)


def __getattr__(name: str) -> Any:
    # PEP 562: torch and sktime take seconds to import, so a name costs only when it is used.
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    elif name in _SUBMODULES:
        value = import_module(f"skrnn.{name}")
    else:
        raise AttributeError(f"module 'skrnn' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
