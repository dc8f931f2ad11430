"""Parameters: the limits of every shared one, and skorch's double-underscore names."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from skrnn._persistence import StateMixin
from skrnn._vectors import embedding_shape
from skrnn.nn import (
    CELLS,
    CHARACTER_ENCODERS,
    FRONTENDS,
    OBSERVING_CELLS,
    POOLINGS,
)
from skrnn.nn.specs import DTYPES

CONSTRAINTS: dict[str, Any] = {
    "cell": [StrOptions({*CELLS, *OBSERVING_CELLS}), type],
    "hidden_size": [Interval(Integral, 1, None, closed="left"), tuple, list],
    "num_layers": [Interval(Integral, 1, None, closed="left")],
    "nonlinearity": [StrOptions({"tanh", "relu"})],
    "bidirectional": ["boolean", StrOptions({"auto"})],
    "dropout": [Interval(Real, 0, 1, closed="left")],
    "input_dropout": [Interval(Real, 0, 1, closed="left")],
    "recurrent_dropout": [Interval(Real, 0, 1, closed="left")],
    "weight_dropout": [Interval(Real, 0, 1, closed="left")],
    "memory_steps": [Interval(Integral, 2, None, closed="left"), None],
    "embedding_dropout": [Interval(Real, 0, 1, closed="left")],
    "word_dropout": [Interval(Real, 0, 1, closed="left")],
    "pooling": [StrOptions(set(POOLINGS)), tuple, list],
    "attention_heads": [Interval(Integral, 1, None, closed="left")],
    "embedding_dim": [Interval(Integral, 1, None, closed="left"), None],
    "vocabulary_size": [Interval(Integral, 2, None, closed="left"), None],
    "embedding": ["array-like", HasMethods(["__getitem__"]), None],
    "character_encoder": [StrOptions(set(CHARACTER_ENCODERS)), None],
    "character_dim": [Interval(Integral, 1, None, closed="left")],
    "character_vocabulary_size": [Interval(Integral, 2, None, closed="left"), None],
    "frontend": [StrOptions({*FRONTENDS, "auto"}), callable, None],
    "return_sequences": ["boolean"],
    "pretrained": [HasMethods(["get_params"]), str, os.PathLike, None],
    "freeze": [str, tuple, list, None],
    "standardize": ["boolean"],
    "missing": [StrOptions({"error", "mask"})],
    "time_channel": [Integral, str, None],
    "n_channels": [Interval(Integral, 1, None, closed="left"), None],
    "n_estimators": [Interval(Integral, 1, None, closed="left")],
    "n_jobs": [Integral, None],
    "empty": [StrOptions({"error", "zero_state"})],
    "optimizer": [str, type],
    "lr": [Interval(Real, 0, None, closed="neither")],
    "lr_schedule": [StrOptions({"cosine", "one_cycle", "plateau"}), type, None],
    "max_epochs": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "gradient_clip_value": [Interval(Real, 0, None, closed="neither"), None],
    "tbptt_steps": [Interval(Integral, 1, None, closed="left"), None],
    "augmentation": [HasMethods(["augment"]), HasMethods(["mix"]), list, tuple, None],
    "weight_averaging": [StrOptions({"ema", "swa"}), None],
    "max_time": [Interval(Real, 0, None, closed="neither"), None],
    "early_stopping": ["boolean", StrOptions({"auto"})],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "validation_split": [HasMethods(["split"]), tuple, None],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "callbacks": [list, tuple, None],
    "net_params": [dict, None],
    "checkpoint_dir": [str, os.PathLike, None],
    "warm_start": ["boolean"],
    "device": [str, torch.device],
    "accelerator": [HasMethods(["reduce"]), None],
    "n_threads": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"}), None],
    "dtype": [StrOptions({"float32", "float64"})],
    "precision": [StrOptions({"float32", "bf16", "fp16"})],
    "deterministic": ["boolean"],
    "random_state": ["random_state"],
    "verbose": ["verbose"],
}

PREFIXES = ("optimizer__", "callbacks__", "lr_schedule__")
# Those of classifier and regressor.
LONGER_PREFIXES = (*PREFIXES, "weight_averaging__")


class NetParamsMixin:
    """Parameters with double underscores, kept in the dict parameter ``net_params``.

    scikit-learn wants every parameter in the signature of ``__init__`` and skorch names them
    ``optimizer__weight_decay``. A dict that ``set_params`` fills serves both, and a mistyped
    parameter is still an error.
    """

    net_params: dict[str, Any] | None
    _prefixes: ClassVar[tuple[str, ...]] = LONGER_PREFIXES

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Get the parameters of this estimator.

        Parameters
        ----------
        deep : bool, default=True
            Also give the double-underscore parameters that were set.

        Returns
        -------
        params : dict
            Parameter names mapped to their values.
        """
        params = super().get_params(deep=deep)  # type: ignore[misc]
        if deep:
            params = {name: value for name, value in params.items() if "__" not in name}
            if isinstance(self.net_params, dict):
                params.update(self.net_params)
        return params

    def set_params(self, **params: Any) -> Any:
        """Set parameters of this estimator, its optimizer, schedule and callbacks.

        Parameters
        ----------
        **params : dict
            Parameters of the constructor, and names such as ``optimizer__weight_decay``,
            ``lr_schedule__factor`` or ``callbacks__name__parameter``.

        Returns
        -------
        self : estimator instance
            This estimator.
        """
        inside = [name for name in params if name.startswith("pretrained__")]
        if inside:
            raise ValueError(
                f"{inside[0]} would change another estimator: what pretrained holds is only read; "
                "set its parameters before it is fitted."
            )
        nested = {
            name: params.pop(name) for name in list(params) if name.startswith(self._prefixes)
        }
        if nested:
            # A new dict: clone compares parameters by identity.
            params["net_params"] = {**(params.get("net_params", self.net_params) or {}), **nested}
        super().set_params(**params)  # type: ignore[misc]
        return self

    def _net_params(self, prefix: str) -> dict[str, Any]:
        """Double-underscore parameters of one prefix, without the prefix."""
        return params_of_prefix(self.net_params, prefix, self._prefixes)


class AcceleratorMixin(StateMixin):
    """Parameters that clones share: ``accelerator``, ``embedding`` and ``pretrained``.

    An accelerator stands for processes that run now. Pickles and other copies come back without
    one: theirs are other processes. An embedding is large, and only ever read. What is pretrained
    is only read too, and its clone would not be fitted.
    """

    accelerator: Any
    _shared: ClassVar[tuple[str, ...]] = ("accelerator",)

    def __sklearn_clone__(self) -> Any:
        shared = {name: getattr(self, name) for name in self._shared}
        bare = object.__new__(type(self))
        bare.__dict__.update(self.__dict__, **dict.fromkeys(shared))
        twin = BaseEstimator.__sklearn_clone__(bare)
        twin.__dict__.update(shared)
        return twin

    def _state_to_store(self) -> dict[str, Any]:
        return {**super()._state_to_store(), "accelerator": None}

    def _params_to_store(self) -> dict[str, Any]:
        """Parameters for a file, which holds no data and knows no processes."""
        params = {**self.get_params(deep=False), "accelerator": None}  # type: ignore[attr-defined]
        if isinstance(params.get("validation_split"), tuple):
            warnings.warn(
                "validation_split=(X_val, y_val) holds data, and no file of an estimator does; "
                "what is loaded has validation_split=None.",
                UserWarning,
                stacklevel=2,
            )
            params["validation_split"] = None
        if params.get("embedding") is not None:
            warnings.warn(
                "embedding is not written to a file, which holds the vectors that were learned; "
                "what is loaded has embedding=None and, for fitting anew, the sizes of it.",
                UserWarning,
                stacklevel=2,
            )
            rows, size = embedding_shape(params["embedding"])
            params |= {"embedding": None, "vocabulary_size": rows, "embedding_dim": size}
        return params


def params_of_prefix(
    net_params: Mapping[str, Any] | None, prefix: str, known: tuple[str, ...]
) -> dict[str, Any]:
    """Parameters of the dict ``net_params`` that start with one prefix, without it."""
    params = net_params or {}
    unknown = [name for name in params if not str(name).startswith(known)]
    if unknown:
        raise ValueError(f"net_params has the key {unknown[0]!r}; keys start with one of {known}.")
    return {
        name.removeprefix(prefix): value
        for name, value in params.items()
        if name.startswith(prefix)
    }


def torch_dtype(name: str) -> torch.dtype:
    """Torch type of the parameter ``dtype``."""
    return DTYPES[name]


def numpy_dtype(name: str) -> Callable[..., Any]:
    """Numpy type of the parameter ``dtype``."""
    return {"float32": np.float32, "float64": np.float64}[name]
