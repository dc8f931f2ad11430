"""Head for counts."""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from skrnn._numpy.counts import quantiles_of_counts
from skrnn.nn.heads.base import ProbabilisticHead, check_levels, check_target, widened

__all__ = ["NegativeBinomialHead"]

#: Least dispersion; with a mean below 1000 nobody can tell it from a Poisson distribution.
MIN_DISPERSION = 1e-6


class NegativeBinomialHead(ProbabilisticHead):
    r"""Negative binomial distribution, for counts.

    Parameters
    ----------
    input_size : int
        Number of features of the representation. Values in `[1, inf)`.

    n_outputs : int
        Number of values predicted at once. Values in `[1, inf)`.

    Attributes
    ----------
    log_scale : Tensor of shape (n_outputs,)
        Logarithm of the mean of the training targets, set by `initialize`: the mean starts there.

    Notes
    -----
    The raw values are the logarithms of all means less `log_scale`, then what softplus makes all
    dispersions. With mean :math:`m`, dispersion :math:`\alpha` and :math:`r = 1 / \alpha` the
    variance is :math:`m + \alpha m^2`, and the loss [1]_

    .. math:: \log\Gamma(r) + \log\Gamma(y + 1) - \log\Gamma(y + r)
              + r \log\left(1 + \tfrac mr\right) + y \log\left(1 + \tfrac rm\right).

    References
    ----------
    .. [1] J. M. Hilbe, "Negative Binomial Regression", 2nd ed., Cambridge University Press, 2011.
       doi.org/10.1017/CBO9780511973420

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import NegativeBinomialHead
    >>> head = NegativeBinomialHead(4, 1)
    >>> head.initialize(torch.tensor([[2.0], [4.0]]))
    >>> head.predict(torch.zeros(1, 2))
    tensor([[3.]])
    """

    normalizes_target: ClassVar[bool] = False
    log_scale: Tensor

    def __init__(self, input_size: int, n_outputs: int) -> None:
        super().__init__(input_size, n_outputs, 2 * n_outputs)
        self.register_buffer("log_scale", torch.zeros(n_outputs))
        with torch.no_grad():
            self.projection.bias[n_outputs:] = math.log(math.expm1(1.0))  # softplus makes it 1

    def initialize(self, target: Tensor) -> None:
        """Set where the means start.

        Parameters
        ----------
        target : Tensor of shape (..., n_outputs)
            The counts to be learned.

        Raises
        ------
        ValueError
            If a target is not a count: negative, not whole or not finite.
        """
        target = target.detach().reshape(-1, self.n_outputs).double()
        wrong = target[~((target >= 0) & (target == target.round()) & target.isfinite())]
        if wrong.numel():
            raise ValueError(
                f"the negative binomial loss needs counts 0, 1, 2, ..., got {wrong[0].item()}; "
                f"use the loss 'normal' or 'student_t' for other numbers."
            )
        # Counts that are all zero: less than one event in all of them.
        least = 1 / (2 * max(len(target), 1))
        self.log_scale.copy_(target.mean(dim=0).nan_to_num().clamp(min=least).log())

    def parameters_of(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the parameters of the distribution.

        Parameters
        ----------
        raw : Tensor of shape (..., raw_size)
            Projected representation.

        Returns
        -------
        log_mean : Tensor of shape (..., n_outputs)
            The logarithm of the mean.

        dispersion : Tensor of shape (..., n_outputs)
            The dispersion, greater than 0.
        """
        log_mean, dispersion = raw.split(self.n_outputs, dim=-1)
        return log_mean + self.log_scale, functional.softplus(dispersion) + MIN_DISPERSION

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Compute the negative log probability of every element.

        Parameters
        ----------
        raw : Tensor of shape (..., raw_size)
            Projected representation.

        target : Tensor of shape (..., n_outputs)
            The counts.

        Returns
        -------
        Tensor of shape (...)
            The mean over the outputs.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        check_target(raw, target, self.n_outputs)
        log_mean, dispersion = (widened(value) for value in self.parameters_of(raw))
        count = widened(target)
        r = 1 / dispersion
        log_ratio = log_mean + dispersion.log()  # of the mean to r, which cannot overflow
        loss = (
            torch.lgamma(r)
            + torch.lgamma(count + 1)
            - torch.lgamma(count + r)
            + r * functional.softplus(log_ratio)
            + count * functional.softplus(-log_ratio)
        )
        return loss.mean(dim=-1).to(raw.dtype)

    def predict(self, raw: Tensor) -> Tensor:
        """Compute the mean.

        Parameters
        ----------
        raw : Tensor of shape (..., raw_size)
            Projected representation.

        Returns
        -------
        Tensor of shape (..., n_outputs)
            The mean, at most the largest number of its type.
        """
        log_mean, _ = self.parameters_of(raw)
        return log_mean.exp().clamp(max=torch.finfo(raw.dtype).max)

    def quantiles(self, raw: Tensor, alpha: Sequence[float]) -> Tensor:
        """Compute quantiles.

        Parameters
        ----------
        raw : Tensor of shape (..., raw_size)
            Projected representation.

        alpha : sequence of float
            Levels in `(0, 1)`, in any order.

        Returns
        -------
        Tensor of shape (..., n_outputs, n_alpha)
            The least count whose distribution function reaches `alpha`. Carries no gradient.

        Raises
        ------
        ValueError
            If a level is outside `(0, 1)`.
        """
        levels = check_levels(alpha)
        log_mean, dispersion = (
            value.detach().unsqueeze(-1).double().cpu().numpy() for value in self.parameters_of(raw)
        )
        count = quantiles_of_counts(log_mean, dispersion, levels)
        return torch.from_numpy(count).clamp(max=torch.finfo(raw.dtype).max).to(raw)
