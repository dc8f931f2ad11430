"""Exported: a fitted estimator as plain values and arrays, from which its answers can be made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from skrnn._fitted import FittedNetMixin
from skrnn._numpy.model import prefix_of
from skrnn.nn.specs import NETWORK_DEFAULTS

__all__ = ["arrays_of", "check_built_in", "options_of"]

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
    "character_encoder",
    "character_dim",
    "character_vocabulary_size",
    "missing",
    "time_channel",
    "frontend",
    "frontend_stride",
    "frontend_sizes",
    "head",
    "n_outputs",
    "quantiles",
    "dtype",
)


def check_built_in(estimator: Any, verb: str, refused: Mapping[str, str] | None = None) -> None:
    """Check that an estimator is fitted and has no parts of the user's own.

    Parameters
    ----------
    estimator : estimator instance
        The estimator.

    verb : str
        What is to be done with it, for messages.

    refused : mapping of str or None, default=None
        Built-in losses that this cannot be done with, and why not.

    Raises
    ------
    TypeError
        If it is no classifier or regressor of ours.

    ValueError
        If it has such parts; the message names all of them.
    """
    name = type(estimator).__name__
    if not isinstance(estimator, FittedNetMixin):
        raise TypeError(
            f"a {name} cannot {verb}; pass a fitted RNNClassifier or RNNRegressor, such as the "
            "last step of a pipeline."
        )
    check_is_fitted(estimator)
    spec = estimator._spec
    against = []
    for part, word in (("cell", "cell"), ("head", "loss"), ("frontend", "frontend")):
        if spec[part] is not None and not isinstance(spec[part], str):
            own = getattr(spec[part], "__name__", type(spec[part]).__name__)
            against.append(f"{word}={own} is of your own, use a built-in one")
    if isinstance(spec["head"], str) and spec["head"] in (refused or {}):
        against.append(f"loss={estimator.loss!r} {(refused or {})[spec['head']]}")
    if against:
        raise ValueError(f"this {name} cannot {verb}: {'; '.join(against)}.")


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
