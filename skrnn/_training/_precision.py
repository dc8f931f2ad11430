"""Precision: mixed arithmetic is left out where it makes a training slower."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import torch
from torch import nn

from skrnn.nn import GRUDLayer, MinGRULayer, MinLSTMLayer

# torch's GRU and simple RNN, and GRU-D, have no bfloat16 kernel for the CPU, only matrix products:
# these pay from here on. Below, and beside our own GRU in float32, bfloat16 takes up to four times
# as long.
LEAST_HIDDEN, LEAST_BATCH = 256, 64
# Whose lines a warning does not name.
_PACKAGES = {"joblib", "sklearn", "skrnn", "sktime"}


def drop_slow_precision(net: Any) -> None:
    """Train in float32, and say so, where bfloat16 would take longer: on many CPUs, for many cells.

    Cells that are not ours are left to the user.

    Parameters
    ----------
    net : SequenceNetClassifier, SequenceNetRegressor or ForecastNet
        Initialized net; its ``autocast_dtype`` may be set to None.
    """
    if net.autocast_dtype is not torch.bfloat16 or torch.device(net.device).type != "cpu":
        return
    reason = _slow_layer(net.module_, net.batch_size)
    if reason is None and not _computes_in_bf16():
        reason = "this processor has no bfloat16 instructions"
    if reason is None:
        return
    net.autocast_dtype = None
    warnings.warn(
        f"precision='bf16' would be slower than float32 here and was not used: {reason}. "
        "precision='float32' does the same without this warning.",
        UserWarning,
        stacklevel=_level_of_caller(),
    )


def _level_of_caller() -> int:
    """Count the frames from the warning up to code that is neither ours nor scikit-learn's."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals["__name__"].split(".")[0] in _PACKAGES:
        level, frame = level + 1, frame.f_back
    return level


def _slow_layer(network: nn.Module, batch_size: int) -> str | None:
    for layer in network.modules():
        if isinstance(layer, MinGRULayer | MinLSTMLayer):
            return "linear recurrences have no matrix product to speed up"
        if isinstance(layer, nn.GRU | nn.RNN | GRUDLayer):
            observes = isinstance(layer, GRUDLayer)
            size: Any = layer.output_size if observes else layer.hidden_size
            name = "grud" if observes else type(layer).__name__.lower()
            if size < LEAST_HIDDEN or batch_size < LEAST_BATCH:
                return (
                    f"on the CPU the cell {name!r} needs a hidden_size of "
                    f"{LEAST_HIDDEN} and a batch_size of {LEAST_BATCH} to gain from it, got "
                    f"{size} and {batch_size}; the cell 'lstm' needs neither"
                )
    return None


def _computes_in_bf16() -> bool:
    # Where torch does not tell, the user is believed.
    capabilities: Any = getattr(torch.cpu, "get_capabilities", dict)()
    known = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
    return not capabilities or any(capabilities.get(name, False) for name in known)
