"""Specifications: the plain values that networks are built from, and their defaults."""

from collections.abc import Mapping, Sequence
from typing import TypedDict, TypeVar, cast

import torch

from skrnn.nn.cells import CellLike
from skrnn.nn.frontends import FrontendLike
from skrnn.nn.heads import DEFAULT_QUANTILES, HeadLike

__all__ = ["ForecastSpec", "NetworkSpec"]

Spec = TypeVar("Spec")

DTYPES = {"float32": torch.float32, "float64": torch.float64}


class NetworkSpec(TypedDict):
    """What :meth:`SequenceNetwork.build` reads: plain values by name."""

    n_features: int
    cell: CellLike
    hidden_size: int | Sequence[int]
    num_layers: int
    nonlinearity: str
    bidirectional: bool
    dropout: float
    input_dropout: float
    embedding_dropout: float
    word_dropout: float
    recurrent_dropout: float
    weight_dropout: float
    memory_steps: int | None
    label_smoothing: float
    pooling: str | Sequence[str] | None
    attention_heads: int
    embedding_dim: int | None
    vocabulary_size: int | None
    character_encoder: str | None
    character_dim: int
    character_vocabulary_size: int | None
    missing: str | None
    time_channel: int | None
    frontend: FrontendLike | None
    frontend_stride: int | Sequence[int] | None
    frontend_sizes: Sequence[int] | None
    head: HeadLike
    n_outputs: int
    quantiles: Sequence[float]
    dtype: str


NETWORK_DEFAULTS: dict[str, object] = {
    "cell": "lstm",
    "hidden_size": 64,
    "num_layers": 1,
    "nonlinearity": "tanh",
    "bidirectional": False,
    "dropout": 0.0,
    "input_dropout": 0.0,
    "embedding_dropout": 0.0,
    "word_dropout": 0.0,
    "recurrent_dropout": 0.0,
    "weight_dropout": 0.0,
    "memory_steps": None,
    "label_smoothing": 0.0,
    "pooling": ("mean", "max", "last"),
    "attention_heads": 1,
    "embedding_dim": None,
    "vocabulary_size": None,
    "character_encoder": None,
    "character_dim": 50,
    "character_vocabulary_size": None,
    "missing": None,
    "time_channel": None,
    "frontend": None,
    "frontend_stride": None,
    "frontend_sizes": None,
    "quantiles": DEFAULT_QUANTILES,
    "dtype": "float32",
}


class ForecastSpec(TypedDict):
    """What :meth:`ForecastNetwork.build` reads: plain values by name."""

    window_length: int
    horizon: int
    patch_length: int
    period: int
    scaling: str
    cell: CellLike
    hidden_size: int | Sequence[int]
    num_layers: int
    nonlinearity: str
    dropout: float
    decoder: str
    shortcut: bool
    head: str
    quantiles: Sequence[float]
    past: tuple[int, tuple[int, ...]]
    future: tuple[int, tuple[int, ...]]
    static: tuple[int, tuple[int, ...]]
    dtype: str


FORECAST_DEFAULTS: dict[str, object] = {
    "patch_length": 1,
    "period": 1,
    "scaling": "last",
    "cell": "lstm",
    "hidden_size": 128,
    "num_layers": 1,
    "nonlinearity": "tanh",
    "dropout": 0.0,
    "decoder": "dense",
    "shortcut": True,
    "head": "quantile",
    "quantiles": DEFAULT_QUANTILES,
    "past": (0, ()),
    "future": (0, ()),
    "static": (0, ()),
    "dtype": "float32",
}


def complete(spec: Mapping[str, object], kind: type[Spec], defaults: Mapping[str, object]) -> Spec:
    """Fill a specification up with defaults.

    Parameters
    ----------
    spec : mapping
        Plain values by name.

    kind : type of TypedDict
        The names that may be given, all of which the result holds; "dtype" is among them.

    defaults : mapping
        Values of the names that may be left out.

    Returns
    -------
    dict
        The specification as a `kind`. Of the values only `dtype` is checked.

    Raises
    ------
    ValueError
        If a name is missing or unknown, or `dtype` is no key of `DTYPES`.
    """
    known = set(kind.__annotations__)
    unknown = sorted(set(spec) - known)
    if unknown:
        raise ValueError(
            f"unknown name in the specification of a network: {', '.join(unknown)}; "
            f"expected among {', '.join(sorted(known))}."
        )
    full = {**defaults, **spec}
    missing = sorted(known - set(full))
    if missing:
        raise ValueError(f"the specification of a network lacks {', '.join(missing)}.")
    if full["dtype"] not in DTYPES:
        raise ValueError(f"dtype must be 'float32' or 'float64', got {full['dtype']!r}.")
    return cast("Spec", full)
