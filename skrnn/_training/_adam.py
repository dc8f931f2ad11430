"""Adam on the CPU: the fused step itself, without what PyTorch does around it.

A step of a small network takes a millisecond or two; profiling, grouping by device and other checks
of :meth:`torch.optim.Adam.step` take some four per cent of that.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import optimizer as base

KNOWN = (torch.optim.Adam, torch.optim.AdamW)


def take_step(optimizer: torch.optim.Optimizer) -> None:
    """Let an optimizer take its step, with the same result as `optimizer.step()`."""
    if not _is_plain(optimizer):
        optimizer.step()
        return
    groups = [(group, _gather(optimizer, group)) for group in optimizer.param_groups]
    if any(lists is None for _, lists in groups):
        optimizer.step()
        return
    with torch.no_grad():
        for group, lists in groups:
            if lists and lists[0]:
                _step_group(group, lists)


def _is_plain(optimizer: torch.optim.Optimizer) -> bool:
    """Whether nobody watches the steps of an optimizer, changes them or has any left out."""
    if type(optimizer) not in KNOWN or not optimizer.param_groups[0]["fused"]:
        return False
    own = vars(optimizer)
    if any(name in own for name in ("step", "found_inf", "grad_scale")):
        return False
    if optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
        return False
    return not (base._global_optimizer_pre_hooks or base._global_optimizer_post_hooks)


def _gather(optimizer: torch.optim.Optimizer, group: dict[str, Any]) -> list[list[Tensor]] | None:
    """Parameters with a gradient, and what the kernel needs of each; None if it is not for them."""
    if group["amsgrad"] or not group["fused"] or isinstance(group["lr"], Tensor):
        return None
    lists: list[list[Tensor]] = [[], [], [], [], []]
    parameters, gradients, means, squares, steps = lists
    for parameter in group["params"]:
        gradient = parameter.grad
        if gradient is None:
            continue
        if parameter.device.type != "cpu" or gradient.is_sparse:
            return None
        if parameters and parameter.dtype != parameters[0].dtype:
            return None
        state = optimizer.state.get(parameter)
        if not state:
            # As in PyTorch's own first step.
            optimizer._init_group(group, [], [], [], [], [], [])  # type: ignore[attr-defined]
            state = optimizer.state[parameter]
        parameters.append(parameter)
        gradients.append(gradient)
        means.append(state["exp_avg"])
        squares.append(state["exp_avg_sq"])
        steps.append(state["step"])
    return lists


def _step_group(group: dict[str, Any], lists: list[list[Tensor]]) -> None:
    parameters, gradients, means, squares, steps = lists
    beta1, beta2 = group["betas"]
    fused = torch._fused_adamw_ if group["decoupled_weight_decay"] else torch._fused_adam_
    torch._foreach_add_(steps, 1)
    fused(
        parameters,
        gradients,
        means,
        squares,
        [],
        steps,
        lr=group["lr"],
        beta1=float(beta1),
        beta2=float(beta2),
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        amsgrad=False,
        maximize=group["maximize"],
    )
