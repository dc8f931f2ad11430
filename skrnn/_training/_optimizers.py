"""Optimizers, learning-rate schedules, devices and precisions by name."""

from __future__ import annotations

import fnmatch
import inspect
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from sklearn.utils._param_validation import InvalidParameterError
from torch import nn

# Fraction of the training spent on the linear warm-up of the cosine schedule.
WARM_UP = 0.05
# Values of torch.optim.lr_scheduler.OneCycleLR: length of the rise, first and last divisor.
ONE_CYCLE_RISE, ONE_CYCLE_START, ONE_CYCLE_END = 0.3, 25.0, 1e4

# SparseAdam takes sparse gradients only and Muon matrices only, so that no network here, with its
# dense gradients and biases, can be trained by them; the base class is none.
_UNUSABLE = {"Optimizer", "SparseAdam", "Muon"}

# Where PyTorch keeps the method that its compiler does not see.
_HIDDEN = "__dynamo_disable"

OPTIMIZERS: dict[str, type[torch.optim.Optimizer]] = {
    name.lower(): value
    for name, value in vars(torch.optim).items()
    if inspect.isclass(value) and issubclass(value, torch.optim.Optimizer) and name not in _UNUSABLE
}


def resolve_optimizer(optimizer: str | type) -> type[torch.optim.Optimizer]:
    """Optimizer class of a name such as ``"adamw"``; classes pass through.

    Raises
    ------
    InvalidParameterError
        If torch has no optimizer of that name.
    """
    if not isinstance(optimizer, str):
        return optimizer
    try:
        return OPTIMIZERS[optimizer.lower()]
    except KeyError:
        raise InvalidParameterError(
            f"optimizer={optimizer!r} is not one of {sorted(OPTIMIZERS)} and no optimizer class."
        ) from None


def optimizer_defaults(optimizer: type, params: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments of the optimizer, checked against its signature.

    The fused implementation is the fastest one on CPU and CUDA and is used where the class has it
    and the caller did not choose another.

    Raises
    ------
    ValueError
        If a keyword does not exist.
    """
    known = inspect.signature(optimizer).parameters
    if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known.values()):
        for name in params:
            if name not in known and name != "param_groups":
                raise ValueError(
                    f"optimizer__{name} is not a parameter of {optimizer.__name__}; it has "
                    f"{sorted(set(known) - {'params'})}."
                )
    if "fused" in known and not {"fused", "foreach", "differentiable", "capturable"} & set(params):
        return {**params, "fused": True}
    return params


@contextmanager
def no_compiler_loaded() -> Iterator[None]:
    """Make optimizers without the import of PyTorch's compiler, which takes a second or two.

    PyTorch hides some methods of optimizers from its compiler, and loads it to do so when they are
    first called. Where nobody has loaded it there is nothing to hide from. If a version of PyTorch
    does this in another way, it is done in that way.
    """
    method = getattr(torch.optim.Optimizer.add_param_group, "__wrapped__", None)
    if method is None or "torch._dynamo" in sys.modules or hasattr(method, _HIDDEN):
        yield
        return
    setattr(method, _HIDDEN, method)
    try:
        yield
    finally:
        with suppress(AttributeError):
            delattr(method, _HIDDEN)


def parameter_groups(
    network: nn.Module,
    optimizer: type,
    weight_decay: float | None,
    patterns: Sequence[tuple[str, dict[str, Any]]] = (),
) -> list[dict[str, Any]]:
    """Split parameters: only input and output weights decay, not biases and recurrent weights.

    Shrinking recurrent weights shortens the memory of the network, shrinking biases only shifts it.

    Parameters
    ----------
    network : Module
        Has the parameters, of which those that want no gradient are left out.

    optimizer : type
        Class of the optimizer.

    weight_decay : float or None
        That of the weights that decay; None is the optimizer's own.

    patterns : sequence of tuple (str, dict)
        Settings of parameters whose names match a pattern, as skorch's ``param_groups``. What an
        earlier pattern took is not there for the later ones. A weight decay among the settings is
        that of all the parameters.

    Returns
    -------
    groups : list of dict
        What the optimizer is made of; first the parameters that no pattern took.

    Raises
    ------
    ValueError
        If a pattern matches nothing, has unknown settings, or the optimizer takes one group only.
    """
    named = {name: p for name, p in network.named_parameters() if p.requires_grad}
    if issubclass(optimizer, torch.optim.LBFGS):
        if patterns:
            raise ValueError(
                "optimizer='lbfgs' takes all parameters alike and no optimizer__param_groups; use "
                "another optimizer."
            )
        # It takes a single group and knows no weight decay.
        return [{"params": list(named.values())}]
    special: list[dict[str, Any]] = []
    for pattern, settings in patterns:
        matching = [name for name in named if fnmatch.fnmatchcase(name, pattern)]
        _check_group(pattern, settings, matching, list(named), optimizer)
        taken = {name: named.pop(name) for name in matching}
        own = {"params": list(taken.values()), **settings}
        groups = _split(taken, optimizer, weight_decay)
        special += [own] if "weight_decay" in settings else [{**g, **settings} for g in groups]
    return [*(_split(named, optimizer, weight_decay) if named else []), *special]


def _check_group(
    pattern: str, settings: dict[str, Any], matching: list[str], names: list[str], optimizer: type
) -> None:
    """Check one of the groups that a user asks for."""
    if not matching:
        parts = list(dict.fromkeys(name.split(".")[0] for name in names))
        raise ValueError(
            f"optimizer__param_groups has the pattern {pattern!r}, and no parameter that is left "
            f"to learn has such a name; there are those of {parts}, as {names[:1]}."
        )
    known = set(inspect.signature(optimizer).parameters) - {"params"}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise ValueError(
            f"optimizer__param_groups has the setting {unknown[0]!r} for {pattern!r}, which "
            f"{optimizer.__name__} does not have; it has {sorted(known)}."
        )


def _split(
    named: dict[str, nn.Parameter], optimizer: type, weight_decay: float | None
) -> list[dict[str, Any]]:
    """Split parameters into those that decay and those that do not."""
    extra = {} if weight_decay is None else {"weight_decay": weight_decay}
    usual = inspect.signature(optimizer).parameters.get("weight_decay")
    if weight_decay == 0 or (weight_decay is None and usual is not None and usual.default == 0):
        # Without decay there is nothing to split, and every group costs a step of its own.
        return [{"params": list(named.values()), **extra}]
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in named.items():
        recurrent = "weight_hh" in name
        (free if parameter.ndim < 2 or recurrent else decayed).append(parameter)
    groups = [{"params": decayed, **extra}, {"params": free, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def cosine(progress: float) -> float:
    """Linear warm-up, then half a cosine down to zero; `progress` in [0, 1]."""
    if progress < WARM_UP:
        return max(progress / WARM_UP, 1e-2)
    return 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


def one_cycle(progress: float) -> float:
    """Rise from 1/25 to 1 and fall to almost zero, both along cosines [1]_.

    References
    ----------
    .. [1] L. N. Smith, N. Topin, "Super-Convergence", 2017. arXiv:1708.07120
    """
    start, end = 1 / ONE_CYCLE_START, 1 / (ONE_CYCLE_START * ONE_CYCLE_END)
    if progress < ONE_CYCLE_RISE:
        low, high, share = start, 1.0, 1 - progress / ONE_CYCLE_RISE
    else:
        low, high = end, 1.0
        share = (progress - ONE_CYCLE_RISE) / (1 - ONE_CYCLE_RISE)
    return low + (high - low) * 0.5 * (1 + math.cos(math.pi * share))


SCHEDULES: dict[str, Callable[[float], float]] = {"cosine": cosine, "one_cycle": one_cycle}


def resolve_device(device: str | torch.device, accelerator: Any = None) -> torch.device:
    """Device of a name; ``"auto"`` is the accelerator's, or CUDA when present, else the CPU.

    Raises
    ------
    ValueError
        If the device does not exist on this machine, or is of another type than the accelerator's.
    """
    if accelerator is not None:
        own = torch.device(accelerator.device)
        # accelerate numbers CPUs, which torch's files do not know.
        own = torch.device("cpu") if own.type == "cpu" else own
        if str(device) != "auto" and resolve_device(device).type != own.type:
            raise ValueError(
                f"device={str(device)!r} is not the device of the accelerator, {str(own)!r}; use "
                "device='auto'."
            )
        return own
    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError:
        raise InvalidParameterError(
            f"device={device!r} is not a torch device; use 'auto', 'cpu', 'cuda', 'cuda:0' or "
            "'mps'."
        ) from None
    missing = {
        "cuda": (resolved.index or 0) >= torch.cuda.device_count(),
        "mps": not torch.backends.mps.is_available(),
    }.get(resolved.type, False)
    if missing:
        raise ValueError(
            f"device={device!r} is not available: torch {torch.__version__} sees no "
            f"{str(resolved).upper()} here; use 'auto' or 'cpu'."
        )
    return resolved


def resolve_precision(
    precision: str, device: torch.device, dtype: str, accelerator: Any = None
) -> torch.dtype | None:
    """Autocast dtype of a precision name, None for full precision.

    Raises
    ------
    ValueError
        If the device, the parameter dtype or the accelerator cannot go with it.
    """
    mixed = "no" if accelerator is None else str(accelerator.mixed_precision)
    if mixed not in ("no", precision):
        raise ValueError(
            f"precision={precision!r} is not the mixed_precision={mixed!r} of the accelerator; "
            "make them the same, or leave mixed_precision at 'no'."
        )
    if precision == "float32":
        return None
    if dtype != "float32":
        raise ValueError(
            f"precision={precision!r} needs dtype='float32', got dtype={dtype!r}; mixed precision "
            "keeps its weights in float32."
        )
    if precision == "fp16" and device.type != "cuda":
        raise ValueError(
            f"precision='fp16' needs a CUDA device, got {device.type!r}; use 'bf16' or 'float32'."
        )
    return {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
