"""Scans: linear recurrences over time."""

from typing import Any

import torch
from torch import Tensor

from skrnn.nn.eager import is_watched

__all__ = ["linear_scan"]


def linear_scan(a: Tensor, b: Tensor, initial: Tensor | None = None) -> Tensor:
    r"""Solve a linear recurrence over time, each feature on its own.

    Parameters
    ----------
    a : Tensor of shape (batch, time, features)
        The coefficients, `time >= 1`. Values in `[-1, 1]` keep the result in bounds.

    b : Tensor of shape (batch, time, features)
        What is added at each step.

    initial : Tensor of shape (batch, features) or None, default=None
        The value before the first step; None starts from zero.

    Returns
    -------
    Tensor of shape (batch, time, features)
        The value at every step, in the type that `a` and `b` promote to.

    Raises
    ------
    ValueError
        If the shapes do not fit each other.

    See Also
    --------
    MinGRULayer : A layer that is such a recurrence.

    Notes
    -----
    Computes :math:`h_t = a_t h_{t-1} + b_t`. On the CPU the steps follow each other. On other
    devices pairs of steps are joined until one is left [1]_, which takes twice the operations in
    :math:`2 \log_2 T` rounds. Both work with the numbers themselves, not their logarithms, so any
    sign is allowed and no coefficient is divided by. Half precision is computed in float32.

    References
    ----------
    .. [1] G. E. Blelloch, "Prefix Sums and Their Applications", CMU-CS-90-190, 1990.
       www.cs.cmu.edu/~guyb/papers/Ble93.pdf

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import linear_scan
    >>> a, b = torch.full((1, 4, 1), 0.5), torch.ones(1, 4, 1)
    >>> linear_scan(a, b).flatten()
    tensor([1.0000, 1.5000, 1.7500, 1.8750])
    """
    if a.ndim != 3 or a.shape != b.shape or a.shape[1] == 0:
        raise ValueError(
            f"a and b must have the same shape (batch, time, features) with time >= 1, got "
            f"{tuple(a.shape)} and {tuple(b.shape)}."
        )
    if initial is not None and initial.shape != (a.shape[0], a.shape[2]):
        raise ValueError(
            f"initial has shape {tuple(initial.shape)}, expected {(a.shape[0], a.shape[2])}: one "
            f"value per sequence and feature."
        )
    dtype = torch.promote_types(a.dtype, b.dtype)
    wide = torch.float32 if dtype.itemsize < 4 else dtype
    start = initial if initial is not None else a.new_zeros(a.shape[0], a.shape[2])
    a, b, start = a.to(wide), b.to(wide), start.to(wide)
    if is_watched(a, b, start):
        return parallel_scan(a, b, start).to(dtype)
    output: Tensor = _LinearScan.apply(a, b, start)
    return output.to(dtype)


def sequential_scan(a: Tensor, b: Tensor, initial: Tensor) -> Tensor:
    """Compute the recurrence step by step, in place and without gradients."""
    coefficients = a.transpose(0, 1)
    values = b.new_empty(b.shape[1], b.shape[0], b.shape[2]).copy_(b.transpose(0, 1))
    h = initial
    for a_t, h_t in zip(coefficients.unbind(0), values.unbind(0), strict=True):
        h = h_t.addcmul_(a_t, h)
    return values.transpose(0, 1)


def parallel_scan(a: Tensor, b: Tensor, initial: Tensor) -> Tensor:
    """Compute the recurrence in a logarithmic number of rounds, of operations autograd knows."""
    first = torch.addcmul(b[:, :1], a[:, :1], initial.unsqueeze(1))
    return _scan_pairs(a, torch.cat([first, b[:, 1:]], dim=1))


def _scan_pairs(a: Tensor, b: Tensor) -> Tensor:
    """Solve for every second step, by steps joined in pairs, and fill in the others."""
    time = a.shape[1]
    if time == 1:
        return b
    a_odd, b_odd = a[:, 1::2], b[:, 1::2]
    n_pairs = a_odd.shape[1]
    a_even, b_even = a[:, ::2], b[:, ::2]
    joined = torch.addcmul(b_odd, a_odd, b_even[:, :n_pairs])
    odd = _scan_pairs(a_odd * a_even[:, :n_pairs], joined)
    n_later = b_even.shape[1] - 1
    later = torch.addcmul(b_even[:, 1:], a_even[:, 1:], odd[:, :n_later])
    even = torch.cat([b_even[:, :1], later], dim=1)
    paired = torch.stack([even[:, :n_pairs], odd], dim=2).flatten(1, 2)
    return paired if time == 2 * n_pairs else torch.cat([paired, even[:, -1:]], dim=1)


class _LinearScan(torch.autograd.Function):
    """The recurrence; its gradient is a recurrence backwards in time."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, initial: Tensor) -> Tensor:
        scan = sequential_scan if a.device.type == "cpu" else parallel_scan
        output = scan(a, b, initial)
        ctx.save_for_backward(a, initial, output)
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, Tensor, Tensor]:
        a, initial, output = ctx.saved_tensors
        # The gradient at a step is its own, and that at the next step times the coefficient there.
        shifted = torch.cat([torch.zeros_like(a[:, :1]), a[:, 1:].flip(1)], dim=1)
        d_b = linear_scan(shifted, grads[0].flip(1)).flip(1)
        before = torch.cat([initial.unsqueeze(1), output[:, :-1]], dim=1)
        return d_b * before, d_b, a[:, 0] * d_b[:, 0]
