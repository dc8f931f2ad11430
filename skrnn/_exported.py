"""Exported: a fitted estimator as plain values and arrays, from which its answers can be made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray
from sklearn.base import is_classifier

from skrnn._numpy.model import prefix_of
from skrnn.nn.specs import NETWORK_DEFAULTS

__all__ = ["arrays_of", "check_plain", "options_of"]

#: What of the specification of a network its answers depend on.
USED = (
    "n_features",
    "cell",
    "hidden_size",
    "num_layers",
    "nonlinearity",
    "bidirectional",
    "pooling",
    "attention_heads",
    "embedding_dim",
    "vocabulary_size",
    "frontend",
    "frontend_stride",
    "head",
    "n_outputs",
    "quantiles",
    "dtype",
)


def check_plain(spec: Mapping[str, Any], verb: str) -> None:
    """Refuse what is computed by torch alone."""
    for name in ("cell", "missing", "time_channel"):
        value = spec.get(name)
        if value is not None and (name != "cell" or value == "grud"):
            raise ValueError(f"a network with {name}={value!r} cannot {verb} yet; predict with it.")


def options_of(estimator: Any) -> dict[str, Any]:
    """What is no array: the specification of the networks, and how they answer."""
    spec = {**NETWORK_DEFAULTS, **estimator._spec}
    options = {
        "name": type(estimator).__name__,
        "spec": {name: spec[name] for name in USED},
        "n_networks": len(estimator.nets_),
        "empty": estimator.empty,
        "n_channels": estimator.n_channels,
    }
    if is_classifier(estimator):
        return options | {
            "classes": estimator.classes_,
            "multilabel": estimator._encoding.multilabel,
        }
    return options | {
        "one_output": estimator._y_is_1d,
        "loss": estimator.loss if isinstance(estimator.loss, str) else estimator.loss.__name__,
        "calibrate": bool(estimator.calibrate),
    }


def arrays_of(estimator: Any) -> dict[str, NDArray[Any]]:
    """Copies of the weights, and of what else was learned from the data."""
    arrays = {}
    for i, net in enumerate(estimator.nets_):
        for name, tensor in net.module_.state_dict().items():
            arrays[f"{prefix_of(i)}.{name}"] = tensor.detach().cpu().numpy().copy()
    if is_classifier(estimator):
        return arrays
    arrays["scaling.scale"] = estimator._scaling.scale.copy()
    arrays["scaling.mean"] = estimator._scaling.mean.copy()
    if estimator._residuals is not None:
        arrays["residuals.raw"] = estimator._residuals.raw.numpy().copy()
        arrays["residuals.target"] = estimator._residuals.target.numpy().copy()
    return arrays
