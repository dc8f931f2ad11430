"""Steps: what happens to a gradient before the optimizer uses it, and who counts the steps."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

# Steps with a loss or gradient that is not finite are left out; more in a row end the training.
MAX_BAD_STEPS = 3
# Where nobody waits for the numbers of a step, they are read once in so many steps.
STEPS_BETWEEN_READS = 50
# Up to this many numbers, copying all gradients into one tensor costs less than one call for each.
FEW_NUMBERS = 2**18


class Diverged(Exception):
    """Too many steps in a row had a loss or gradient that is not finite."""


class StepGuard:
    """Clip the gradient of every step, and leave out the steps that are not finite.

    Parameters
    ----------
    grad_scaler : torch.amp.GradScaler or None
        Of half precision: it looks after gradients that are not finite by itself.

    waits : bool
        Read the numbers of a step before it is taken. Otherwise they stay on the device: a fused
        optimizer is told there which steps to leave out, and nothing waits for them but every
        `STEPS_BETWEEN_READS` steps, so that the processor runs ahead of the device.
    """

    def __init__(self, grad_scaler: Any, waits: bool) -> None:
        self.grad_scaler = grad_scaler
        self.waits = waits
        self._good: int | Tensor = 0
        self._bad: int | Tensor = 0
        self._most_bad: int | Tensor = 0
        self._unread = 0

    @property
    def good_steps(self) -> int:
        """Number of steps that were finite."""
        return int(self._good)

    @property
    def bad_steps(self) -> int:
        """Number of steps since the last one that was finite."""
        return int(self._bad)

    def begin_training(self) -> None:
        """Forget the bad steps of an earlier training."""
        self._bad = self._most_bad = self._unread = 0

    def check(
        self, optimizer: torch.optim.Optimizer, loss: Tensor, limit: float | None
    ) -> float | Tensor:
        """Clip the gradient, and see to it that nothing is stepped on that is not finite.

        Parameters
        ----------
        optimizer : torch.optim.Optimizer
            What will take the step.

        loss : Tensor
            Loss of the step, without dimensions.

        limit : float or None
            Largest norm of the gradient; None for no limit.

        Returns
        -------
        norm : float or Tensor
            Norm of the gradient before clipping; a tensor where nobody waits for it.

        Raises
        ------
        Diverged
            If more than `MAX_BAD_STEPS` steps in a row were not finite.
        """
        gradients = [p.grad for p in learnable(optimizer) if p.grad is not None]
        norm = _total_norm(gradients, loss)
        if not self.waits:
            finite = self._check_later(gradients, loss, norm, limit)
            # The same flag that torch's gradient scaler hands to a fused optimizer.
            optimizer.found_inf = (~finite).to(torch.float32)  # type: ignore[attr-defined]
            return norm
        if not self._check_now(gradients, loss.item(), norm.item(), limit):
            # Optimizers leave parameters without a gradient as they are.
            clear_gradients(optimizer)
        if self.bad_steps > MAX_BAD_STEPS:
            raise Diverged
        return norm.item()

    def _check_now(
        self, gradients: list[Tensor], loss: float, norm: float, limit: float | None
    ) -> bool:
        finite = math.isfinite(loss) and (math.isfinite(norm) or self.grad_scaler is not None)
        self._count(finite, 0 if finite else self.bad_steps + 1)
        if finite and limit is not None and norm > limit:
            torch._foreach_mul_(gradients, limit / (norm + 1e-6))
        return finite

    def _check_later(
        self, gradients: list[Tensor], loss: Tensor, norm: Tensor, limit: float | None
    ) -> Tensor:
        finite = loss.detach().isfinite() & norm.isfinite()
        bad = torch.where(finite, 0, self._bad + 1)
        self._count(finite, bad)
        self._most_bad = bad.clamp(min=self._most_bad)
        if limit is not None:
            torch._foreach_mul_(gradients, (limit / (norm + 1e-6)).clamp(max=1.0))
        self._unread += 1
        if self._unread >= STEPS_BETWEEN_READS:
            self.read()
        return finite

    def end_training(self, optimizer: torch.optim.Optimizer) -> None:
        """Leave the optimizer without a flag: who steps it by hand must not be held up."""
        vars(optimizer).pop("found_inf", None)

    def _count(self, good: bool | Tensor, bad: int | Tensor) -> None:
        self._good, self._bad = self._good + good, bad

    def read(self) -> None:
        """Wait for the numbers of the steps so far; end the training if too many were bad."""
        self._unread = 0
        most_bad = int(self._most_bad)
        self._good, self._bad, self._most_bad = self.good_steps, self.bad_steps, self.bad_steps
        if most_bad > MAX_BAD_STEPS:
            raise Diverged


def learnable(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """All parameters that an optimizer changes."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def clear_gradients(optimizer: torch.optim.Optimizer) -> None:
    """Take the gradients away, in less time than the optimizer itself needs for it."""
    for parameter in learnable(optimizer):
        parameter.grad = None


def need_not_wait(optimizer: torch.optim.Optimizer, device: torch.device) -> bool:
    """Tell whether steps can be checked on the device: on CUDA, by a fused optimizer."""
    told = getattr(optimizer, "_step_supports_amp_scaling", False)
    return device.type == "cuda" and bool(optimizer.defaults.get("fused")) and told


def read_numbers(rows: list[dict[str, Any]], names: tuple[str, ...]) -> None:
    """Put plain numbers in the place of the named tensors, waiting once for all."""
    places = [(row, k) for row in rows for k in names if isinstance(row.get(k), Tensor)]
    if not places:
        return
    numbers = torch.stack([row[k].double() for row, k in places]).tolist()
    for (row, k), number in zip(places, numbers, strict=True):
        row[k] = number


def _total_norm(gradients: list[Tensor], loss: Tensor) -> Tensor:
    if not gradients:
        return torch.zeros_like(loss, requires_grad=False)
    if loss.device.type == "cpu" and sum(map(Tensor.numel, gradients)) <= FEW_NUMBERS:
        return torch.linalg.vector_norm(torch.cat([gradient.flatten() for gradient in gradients]))
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
