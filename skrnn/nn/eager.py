"""Eager passes on the CPU: where a whole sequence may be one operation of autograd."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

__all__ = ["Weights", "blocks", "differentiable_gradients", "is_batched", "is_plain", "is_watched"]

# torch's names: weight_ih, weight_hh, bias_ih, bias_hh, each with its gates stacked, of a GRU as
# r, z, n.
Weights: TypeAlias = tuple[Tensor, Tensor, Tensor, Tensor]

#: Numbers per gate that are worked on at once: few enough to stay in the cache.
BLOCK = 2**17


def is_watched(*tensors: Tensor | None) -> bool:
    """Tell whether somebody traces, exports, batches or differentiates forwards what is computed.

    They must see operations of PyTorch.
    """
    tracing = torch.jit.is_tracing()  # type: ignore[attr-defined]
    if torch.compiler.is_compiling() or tracing or is_batched():
        return True
    given = (tensor for tensor in tensors if tensor is not None)
    return any(forward_ad.unpack_dual(tensor).tangent is not None for tensor in given)


def is_batched(*tensors: Tensor | None) -> bool:
    """Tell whether tensors stand for many, or a transform of torch.func is at work."""
    # torch.autograd.grad(..., is_grads_batched=True) has batches of an older kind.
    return torch._C._are_functorch_transforms_active() or any(
        torch._C._functorch.is_legacy_batchedtensor(tensor)
        for tensor in tensors
        if tensor is not None
    )


def is_plain(*tensors: Tensor | None) -> bool:
    """Tell whether tensors are numbers of one type on the CPU, computed with as they are."""
    if torch.is_autocast_enabled("cpu") or is_watched(*tensors):
        return False
    given = [tensor for tensor in tensors if tensor is not None]
    return all(
        type(tensor) in (Tensor, nn.Parameter)
        and tensor.device.type == "cpu"
        and tensor.dtype in (torch.float32, torch.float64)
        and tensor.dtype == given[0].dtype
        for tensor in given
    )


def blocks(time: int, numbers: int) -> list[slice]:
    """Cut the time into blocks; one step holds `numbers` numbers per gate."""
    step = max(1, BLOCK // numbers)
    return [slice(start, min(start + step, time)) for start in range(0, time, step)]


def differentiable_gradients(
    function: Callable[..., Tensor | tuple[Tensor, ...]],
    inputs: Sequence[Tensor | None],
    gradients: Sequence[Tensor | None],
) -> tuple[Tensor | None, ...]:
    """Compute gradients that can be differentiated again, or are batched.

    Parameters
    ----------
    function : callable
        Called with `inputs`; made of operations that autograd knows.

    inputs : sequence of Tensor or None
        What the gradients are of; None for what was left out.

    gradients : sequence of Tensor or None
        Gradients of the outputs; None where there is none.

    Returns
    -------
    tuple of Tensor or None
        One gradient per input; None where none is needed.
    """
    with torch.enable_grad():
        outputs = function(*inputs)
    pairs = zip(outputs if isinstance(outputs, tuple) else (outputs,), gradients, strict=True)
    known = [(output, gradient) for output, gradient in pairs if gradient is not None]
    wanted = [x for x in inputs if x is not None and x.requires_grad]
    found = torch.autograd.grad(
        [output for output, _ in known],
        wanted,
        [gradient for _, gradient in known],
        create_graph=torch.is_grad_enabled(),
    )
    of_input = {id(x): gradient for x, gradient in zip(wanted, found, strict=True)}
    return tuple(of_input.get(id(x)) for x in inputs)
