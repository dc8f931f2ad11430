"""Parameters: the limits of every shared one, and skorch's double-underscore names."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from torch import nn

from skrnn._persistence import StateMixin
from skrnn._vectors import embedding_shape
from skrnn.nn import (
    CELLS,
    CHARACTER_ENCODERS,
    FRONTENDS,
    OBSERVING_CELLS,
    POOLINGS,
    ConvFrontend,
    NegativeBinomialHead,
)
from skrnn.nn.cells import observes
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

# frontend="auto" leaves sequences up to this length as they are, the longer one is for patches.
SHORT_FOR_CONV, SHORT_FOR_PATCHES = 12, 100
# Up to this length, about that of the widest convolution, narrow ones see more.
SHORT_FOR_WIDE, NARROW_SIZES = 40, (3, 5, 9)
# Patches make about so many steps of a sequence of the median length.
STEPS_TO_READ = 64
# Convolutions make about so many, for their blocks and for the recurrent layers.
STEPS_OF_MAP, STEPS_OF_MAP_TO_READ = 128, 32
# Convolutions run over every step: frontend="auto" takes patches for longer sequences, and where
# all of them together have more steps, on which an epoch would take a core some ten seconds.
LONGEST_FOR_CONV, MOST_FOR_CONV = 2000, 4_000_000

# max_epochs="auto" is so many epochs, and with convolutions as many as make the number of steps of
# the optimizer that they need, within limits: few samples make few steps, many make long epochs.
EPOCHS = 100
STEPS_FOR_CONV, LEAST_EPOCHS_FOR_CONV, MOST_EPOCHS_FOR_CONV = 1000, 20, 600

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


def check_combinations(estimator: Any) -> None:
    """Check what a table of limits per parameter cannot say.

    Raises
    ------
    ValueError
        If parameters contradict each other or a sequence parameter holds a wrong value.
    """
    sizes = estimator.hidden_size
    if not isinstance(sizes, Integral):
        if not sizes or not all(isinstance(s, Integral) and int(s) > 0 for s in sizes):
            raise ValueError(
                f"hidden_size={sizes!r} must hold one positive integer per layer, as (64, 32)."
            )
        if estimator.num_layers not in (1, len(sizes)):
            raise ValueError(
                f"hidden_size={sizes!r} has {len(sizes)} layers, but "
                f"num_layers={estimator.num_layers}; leave num_layers at 1."
            )
    kinds = (estimator.pooling,) if isinstance(estimator.pooling, str) else estimator.pooling
    if not kinds or any(kind not in POOLINGS for kind in kinds):
        raise ValueError(f"pooling={estimator.pooling!r} must name one or more of {POOLINGS}.")
    split = estimator.validation_split
    if isinstance(split, tuple) and len(split) != 2:
        raise ValueError(
            "validation_split must be a splitter or a pair (X_val, y_val), got a tuple of length "
            f"{len(split)}."
        )
    if estimator.tbptt_steps is not None:
        _check_chunks(estimator)
    if getattr(estimator, "loss", None) == "crf":
        _check_whole_sequences(estimator)
    _check_frontend(estimator)
    _check_augmentation(estimator)
    _check_tokens(estimator)
    _check_decay(estimator)
    _check_irregular(estimator)
    _check_frozen(estimator)
    check_repeatable(estimator.deterministic, estimator.max_time)
    schedule = estimator.lr_schedule
    if inspect.isclass(schedule) and not issubclass(schedule, torch.optim.lr_scheduler.LRScheduler):
        raise ValueError(f"lr_schedule={schedule!r} is not a torch learning-rate scheduler class.")


def check_repeatable(deterministic: bool, max_time: float | None) -> None:
    """Refuse a training that is to be the same in every run and to end by the clock.

    Raises
    ------
    ValueError
        If it is.
    """
    if deterministic and max_time is not None:
        raise ValueError(
            f"deterministic=True cannot end by the clock, got max_time={max_time}; set "
            "max_time=None and a max_epochs that takes about as long."
        )


def _check_chunks(estimator: Any) -> None:
    """Check what does not go with sequences that are trained in chunks."""
    if estimator.bidirectional != "auto" and estimator.bidirectional:
        raise ValueError(
            f"bidirectional=True reads every sequence from its end as well and cannot be trained "
            f"in chunks, got tbptt_steps={estimator.tbptt_steps}; leave bidirectional at 'auto', "
            "which is one direction then, or set tbptt_steps=None."
        )
    several = getattr(estimator.accelerator, "num_processes", 1) > 1
    if several and estimator.return_sequences:
        raise ValueError(
            "tbptt_steps with return_sequences=True cannot be shared out among processes: the "
            "sequences of their shares differ in length and so in chunks; train in one process, "
            "with accelerator=None."
        )


def _check_whole_sequences(estimator: Any) -> None:
    """Check what does not go with labels that are chosen for all steps of a sequence together."""
    if not estimator.return_sequences:
        raise ValueError(
            "loss='crf' chooses the labels of all steps of a sequence together; set "
            "return_sequences=True, or loss='cross_entropy' for one label per sequence."
        )
    if estimator.tbptt_steps is not None:
        raise ValueError(
            "loss='crf' needs whole sequences and cannot be trained in chunks, got "
            f"tbptt_steps={estimator.tbptt_steps}; set tbptt_steps=None or loss='cross_entropy'."
        )
    if estimator.label_smoothing:
        raise ValueError(
            "loss='crf' compares whole sequences of labels, of which none can be smoothed, got "
            f"label_smoothing={estimator.label_smoothing}; set label_smoothing=0 or "
            "loss='cross_entropy'."
        )
    if estimator.class_weight is not None:
        raise ValueError(
            "loss='crf' is the loss of a whole sequence, in which the steps of one class have no "
            f"weight of their own, got class_weight={estimator.class_weight!r}; set "
            "class_weight=None or loss='cross_entropy', or weigh sequences with sample_weight."
        )


def _check_frontend(estimator: Any) -> None:
    frontend = estimator.frontend
    if frontend == "patch" and estimator.return_sequences:
        raise ValueError(
            "frontend='patch' makes one step of several, and return_sequences=True asks for an "
            "answer at every step; use frontend='conv' or None, or return_sequences=False."
        )
    if frontend not in (None, "auto") and estimator.tbptt_steps is not None:
        raise ValueError(
            f"frontend={frontend!r} reads across the ends of chunks, and "
            f"tbptt_steps={estimator.tbptt_steps} trains in chunks; use frontend=None, or leave "
            "tbptt_steps at None (a front end makes long sequences shorter by itself)."
        )


def _check_augmentation(estimator: Any) -> None:
    given = estimator.augmentation
    if given is None:
        return
    if reads_tokens(estimator):
        raise ValueError(
            f"augmentation changes numbers, and {_name_of_tokens(estimator)} says that X holds "
            "token ids; use augmentation=None and, for example, embedding_dropout."
        )
    several = given if isinstance(given, list | tuple) else [given]
    for one in several:
        if not hasattr(one, "augment") and not hasattr(one, "mix"):
            raise ValueError(
                f"augmentation={given!r} holds {one!r}, which has no method augment or mix."
            )
        if estimator.return_sequences and getattr(one, "moves_time", False):
            raise ValueError(
                f"augmentation={one!r} moves steps in time, and the answers of "
                "return_sequences=True would not follow; use one that leaves them in place."
            )
    _check_mixing(estimator, [one for one in several if hasattr(one, "mix")])


def _check_frozen(estimator: Any) -> None:
    frozen = estimator.freeze
    if isinstance(frozen, tuple | list) and not all(isinstance(name, str) for name in frozen):
        raise ValueError(f"freeze={frozen!r} must hold beginnings of names, as ('encoder',).")


def _check_mixing(estimator: Any, mixing: list[Any]) -> None:
    """Check what does not go with sequences that are mixed."""
    if len(mixing) > 1:
        raise ValueError(
            f"augmentation={estimator.augmentation!r} mixes sequences twice, and answers are mixed "
            f"in pairs; leave one of {mixing!r}."
        )
    if mixing and estimator.return_sequences:
        raise ValueError(
            f"augmentation={mixing[0]!r} mixes two sequences whose steps do not correspond, and "
            "return_sequences=True asks for an answer at every step; use one that changes each "
            "sequence by itself, as Jitter."
        )
    if mixing and estimator.loss in ("negative_binomial", NegativeBinomialHead):
        raise ValueError(
            f"augmentation={mixing[0]!r} mixes the answers, and loss='negative_binomial' needs "
            "counts, which their means are not; use another loss or augmentation."
        )


def reads_tokens(estimator: Any) -> bool:
    """Whether the parameters say that X holds token ids."""
    return estimator.embedding_dim is not None or estimator.embedding is not None


def _name_of_tokens(estimator: Any) -> str:
    """What says that X holds token ids."""
    given = estimator.embedding_dim
    return f"embedding_dim={given}" if estimator.embedding is None else "embedding"


def embedding_size(estimator: Any) -> int | None:
    """Size of the vector of a token; None where X holds numbers."""
    if estimator.embedding is None:
        return estimator.embedding_dim
    return embedding_shape(estimator.embedding)[1]


def _check_tokens(estimator: Any) -> None:
    encoder = estimator.character_encoder
    if encoder is not None and not reads_tokens(estimator):
        raise ValueError(
            f"character_encoder={encoder!r} reads characters beside the ids of words, and X holds "
            "numbers as long as embedding_dim and embedding are None; set embedding_dim."
        )
    if estimator.embedding is None:
        return
    shape = embedding_shape(estimator.embedding)
    for name, size in zip(("vocabulary_size", "embedding_dim"), shape, strict=True):
        given = getattr(estimator, name)
        if given not in (None, size):
            raise ValueError(
                f"{name}={given} does not go with embedding, which holds {shape[0]} vectors of "
                f"size {shape[1]} (ids 0 and 1 included); leave {name} at None."
            )


def _check_decay(estimator: Any) -> None:
    """Check what does not go with a cell that decays between observations."""
    cell = estimator.cell
    asked = f"cell={cell!r}" if isinstance(cell, str) else f"cell={cell.__name__}"
    if reads_forward_only(cell):
        if estimator.missing != "mask":
            raise ValueError(
                f"{asked} reads which values were observed, and when; set missing='mask' (X "
                "may be complete), or use another cell, as 'gru'."
            )
        if estimator.bidirectional != "auto" and estimator.bidirectional:
            raise ValueError(
                f"{asked} decays with the time since earlier observations and reads forward "
                "only; leave bidirectional at 'auto', or use another cell with missing='mask'."
            )
        if estimator.frontend not in (None, "auto"):
            raise ValueError(
                f"{asked} reads values and masks themselves, got frontend="
                f"{estimator.frontend!r}; use frontend=None, or another cell."
            )


def _check_irregular(estimator: Any) -> None:
    """Check what does not go with missing values and time stamps."""
    asked = {
        "missing": estimator.missing == "mask",
        "time_channel": estimator.time_channel is not None,
    }
    for name in (name for name, is_asked in asked.items() if is_asked):
        value = getattr(estimator, name)
        if reads_tokens(estimator):
            raise ValueError(
                f"{name}={value!r} is for numbers, and {_name_of_tokens(estimator)} says that X "
                "holds token ids; leave one of them at its default."
            )
        given = estimator.augmentation
        for one in given if isinstance(given, list | tuple) else [given]:
            if getattr(one, "moves_time", False) or hasattr(one, "mix"):
                raise ValueError(
                    f"augmentation={one!r} takes values from between steps or sequences, which "
                    f"does not go with {name}={value!r}; use one that changes values in place."
                )


def spec_of_slots(estimator: Any) -> dict[str, Any]:
    """Say what an estimator asks for beyond cells, layers and pooling, as in a spec."""
    names = ["input_dropout", "recurrent_dropout", "weight_dropout", "embedding_dropout"]
    others = ["word_dropout", "attention_heads", "memory_steps"]
    others += ["character_encoder", "character_dim"]
    values = {name: getattr(estimator, name) for name in [*names, *others]}
    return {**frontend_spec(estimator), **values}


def reads_forward_only(cell: Any) -> bool:
    """Whether a cell must not read sequences from their end."""
    return observes(cell)


def resolve_frontend(estimator: Any, lengths: NDArray[np.integer]) -> dict[str, Any]:
    """Say what front end an estimator gets with sequences of these lengths, as in a spec."""
    frontend, median = estimator.frontend, float(np.median(lengths))
    if frontend == "auto":
        # Processes that share a batch have no statistics of the whole of it.
        several = getattr(estimator.accelerator, "num_processes", 1) > 1
        as_they_are = (
            median <= (SHORT_FOR_PATCHES if several else SHORT_FOR_CONV)
            or reads_forward_only(estimator.cell)
            or estimator.return_sequences
            or estimator.tbptt_steps is not None
            or reads_tokens(estimator)
        )
        patch = several or median > LONGEST_FOR_CONV or lengths.sum() > MOST_FOR_CONV
        frontend = None if as_they_are else "patch" if patch else "conv"
    stride: Any = None
    sizes = None
    if frontend == "patch":
        stride = max(int(np.ceil(median / STEPS_TO_READ)), 2)
    elif frontend == "conv":
        first = max(int(np.ceil(median / STEPS_OF_MAP)), 1)
        stride = first, max(int(np.ceil(median / first / STEPS_OF_MAP_TO_READ)), 1)
        stride = 1 if estimator.return_sequences else stride
        sizes = NARROW_SIZES if median <= SHORT_FOR_WIDE else None
    return {"frontend": frontend, "frontend_stride": stride, "frontend_sizes": sizes}


def resolve_epochs(estimator: Any, n_samples: int, network: nn.Module) -> int:
    """Say how many epochs a training on so many samples has at most."""
    if estimator.max_epochs != "auto":
        return int(estimator.max_epochs)
    if not isinstance(getattr(network, "frontend", None), ConvFrontend):
        return EPOCHS
    n_steps = -(-n_samples // estimator.batch_size)
    epochs = -(-STEPS_FOR_CONV // n_steps)
    return min(max(epochs, LEAST_EPOCHS_FOR_CONV), MOST_EPOCHS_FOR_CONV)


def frontend_spec(estimator: Any) -> dict[str, Any]:
    """What was learned from the lengths, unless somebody asks for something else by now."""
    asked, resolved = estimator._frontend
    if asked == estimator.frontend:
        return resolved
    return {**resolved, "frontend": estimator.frontend}


def torch_dtype(name: str) -> torch.dtype:
    """Torch type of the parameter ``dtype``."""
    return DTYPES[name]


def numpy_dtype(name: str) -> Callable[..., Any]:
    """Numpy type of the parameter ``dtype``."""
    return {"float32": np.float32, "float64": np.float64}[name]
