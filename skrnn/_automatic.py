"""Automatic values: what "auto" and the parameters together ask for, given the data."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from skrnn._vectors import embedding_shape
from skrnn.nn import ConvFrontend
from skrnn.nn.cells import observes

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


def reads_tokens(estimator: Any) -> bool:
    """Whether the parameters say that X holds token ids."""
    return estimator.embedding_dim is not None or estimator.embedding is not None


def name_of_tokens(estimator: Any) -> str:
    """What says that X holds token ids."""
    given = estimator.embedding_dim
    return f"embedding_dim={given}" if estimator.embedding is None else "embedding"


def embedding_size(estimator: Any) -> int | None:
    """Size of the vector of a token; None where X holds numbers."""
    if estimator.embedding is None:
        return estimator.embedding_dim
    return embedding_shape(estimator.embedding)[1]


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
