"""Exported: a fitted estimator as plain values and arrays, from which its answers can be made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from skrnn._fitted import FittedNetMixin
from skrnn._numpy.model import prefix_of
from skrnn.nn.specs import NETWORK_DEFAULTS

__all__ = ["arrays_of", "check_built_in", "check_plain", "options_of"]

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
    "frontend_sizes",
    "head",
    "n_outputs",
    "quantiles",
    "dtype",
)


def check_plain(spec: Mapping[str, Any], verb: str) -> None:
    """Refuse what is computed by torch alone."""
    for name in ("cell", "missing", "time_channel", "character_encoder"):
        value = spec.get(name)
        if value is not None and (name != "cell" or value == "grud"):
            raise ValueError(f"a network with {name}={value!r} cannot {verb} yet; predict with it.")


def check_built_in(estimator: Any, verb: str, frontends: Sequence[str] = ()) -> None:
    """Check that an estimator is fitted and has no parts of the user's own.

    Parameters
    ----------
    estimator : estimator instance
        The estimator.

    verb : str
        What is to be done with it, for messages.

    frontends : sequence of str, default=()
        Front ends that this can be done with.

    Raises
    ------
    TypeError
        If it is no classifier or regressor of ours.

    ValueError
        If it has such parts, or others that torch alone can compute.
    """
    if not isinstance(estimator, FittedNetMixin):
        raise TypeError(
            f"a {type(estimator).__name__} cannot {verb}; pass a fitted RNNClassifier or "
            "RNNRegressor, such as the last step of a pipeline."
        )
    check_is_fitted(estimator)
    spec = estimator._spec
    for name, word in (("cell", "cell"), ("head", "loss"), ("frontend", "frontend")):
        if spec[name] is not None and not isinstance(spec[name], str):
            own = getattr(spec[name], "__name__", type(spec[name]).__name__)
            raise ValueError(f"{word}={own} is of your own and cannot {verb}; use a built-in one.")
    if spec["frontend"] is not None and spec["frontend"] not in frontends:
        raise ValueError(f"a network with frontend={spec['frontend']!r} cannot {verb} yet.")
    check_plain(spec, verb)


def options_of(estimator: Any) -> dict[str, Any]:
    """What is no array: the specification of the networks, and how they answer."""
    spec = {**NETWORK_DEFAULTS, **estimator._spec}
    options = {
        "name": type(estimator).__name__,
        "spec": {name: _plain(spec[name]) for name in USED},
        "n_networks": len(estimator.nets_),
        "empty": estimator.empty,
        "n_channels": _plain(estimator.n_channels),
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
            if name.endswith("num_batches_tracked"):
                continue  # of use for a training only
            arrays[f"{prefix_of(i)}.{name}"] = tensor.detach().cpu().numpy().copy()
    if is_classifier(estimator):
        return arrays
    arrays["scaling.scale"] = estimator._scaling.scale.copy()
    arrays["scaling.mean"] = estimator._scaling.mean.copy()
    if estimator._residuals is not None:
        arrays["residuals.raw"] = estimator._residuals.raw.numpy().copy()
        arrays["residuals.target"] = estimator._residuals.target.numpy().copy()
    return arrays


def _plain(value: Any) -> Any:
    """A value in the types that files know."""
    if isinstance(value, list | tuple):
        return tuple(_plain(item) for item in value)
    return value.item() if isinstance(value, np.generic) else value
