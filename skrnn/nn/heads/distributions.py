"""Heads for numbers with a continuous distribution."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from skrnn.nn.heads.base import ProbabilisticHead, check_levels, check_target, widened

__all__ = ["NormalHead", "StudentTHead"]

#: Least scale of a normalised target: below it float32 densities are all noise.
MIN_SCALE = 1e-4

_SOFTPLUS_OF_THIS_IS_1 = math.log(math.expm1(1.0))


class NormalHead(ProbabilisticHead):
    r"""Normal distribution.

    Parameters
    ----------
    input_size : int
        Number of features of the representation. Values in `[1, inf)`.

    n_outputs : int
        Number of values predicted at once. Values in `[1, inf)`.

    Notes
    -----
    The raw values are all means, then what softplus makes all scales, which start at 1. The loss is

    .. math:: \tfrac12 \left(\frac{y - \mu}{\sigma}\right)^2 + \log\sigma
              + \tfrac12 \log 2\pi.

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import NormalHead
    >>> head = NormalHead(4, 1)
    >>> head.quantiles(head(torch.zeros(1, 4)), [0.025, 0.975]).round(decimals=2)
    tensor([[[-1.9600,  1.9600]]], grad_fn=<...>)
    """

    def __init__(self, input_size: int, n_outputs: int) -> None:
        super().__init__(input_size, n_outputs, 2 * n_outputs)
        with torch.no_grad():
            self.projection.bias[n_outputs:] = _SOFTPLUS_OF_THIS_IS_1

    def parameters_of(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the parameters of the distribution.

        Parameters
        ----------
        raw : Tensor of shape (..., raw_size)
            Projected representation.

        Returns
        -------
        mean : Tensor of shape (..., n_outputs)
            The mean.

        scale : Tensor of shape (..., n_outputs)
            The standard deviation, greater than 0.
        """
        mean, scale = raw.split(self.n_outputs, dim=-1)
        return mean, functional.softplus(scale) + MIN_SCALE

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Compute the negative log density of every element.

        Parameters
        ----------
        raw : Tensor of shape (..., raw_size)
            Projected representation.

        target : Tensor of shape (..., n_outputs)
            The truth.

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
        mean, scale = self.parameters_of(raw)
        loss = 0.5 * ((target - mean) / scale).square() + scale.log()
        return (loss + 0.5 * math.log(2 * math.pi)).mean(dim=-1)

    def predict(self, raw: Tensor) -> Tensor:
        """Compute the mean.

        Parameters
        ----------
        raw : Tensor of shape (..., raw_size)
            Projected representation.

        Returns
        -------
        Tensor of shape (..., n_outputs)
            The mean.
        """
        return self.parameters_of(raw)[0]

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
            The quantiles, never decreasing in `alpha`.

        Raises
        ------
        ValueError
            If a level is outside `(0, 1)`.
        """
        standard = torch.special.ndtri(torch.from_numpy(check_levels(alpha)))
        mean, scale = (value.unsqueeze(-1) for value in self.parameters_of(raw))
        return mean + scale * standard.to(raw)


class StudentTHead(ProbabilisticHead):
    r"""Student's t distribution, for targets with outliers.

    Parameters
    ----------
    input_size : int
        Number of features of the representation. Values in `[1, inf)`.

    n_outputs : int
        Number of values predicted at once. Values in `[1, inf)`.

    Notes
    -----
    The raw values are all locations, then what softplus makes all scales and all degrees of freedom
    less 2, so that the variance exists. The loss is, with :math:`z = (y - \mu) / \sigma`,

    .. math:: \log\Gamma(\tfrac\nu2) - \log\Gamma(\tfrac{\nu + 1}2)
              + \tfrac12\log\nu\pi + \log\sigma
              + \tfrac{\nu + 1}2 \log\left(1 + \tfrac{z^2}\nu\right).

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import StudentTHead
    >>> head = StudentTHead(4, 1)
    >>> head.predict(torch.tensor([[3.0, 0.0, 0.0]]))
    tensor([[3.]])
    """

    def __init__(self, input_size: int, n_outputs: int) -> None:
        super().__init__(input_size, n_outputs, 3 * n_outputs)
        with torch.no_grad():
            self.projection.bias[n_outputs : 2 * n_outputs] = _SOFTPLUS_OF_THIS_IS_1
            self.projection.bias[2 * n_outputs :] = 4.0  # near 6 degrees of freedom

    def parameters_of(self, raw: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the parameters of the distribution.

        Parameters
        ----------
        raw : Tensor of shape (..., raw_size)
            Projected representation.

        Returns
        -------
        mean : Tensor of shape (..., n_outputs)
            The location, which is the mean.

        scale : Tensor of shape (..., n_outputs)
            The scale, greater than 0.

        df : Tensor of shape (..., n_outputs)
            The degrees of freedom, greater than 2.
        """
        mean, scale, df = raw.split(self.n_outputs, dim=-1)
        # The second term keeps df above 2 in float32, too.
        return mean, functional.softplus(scale) + MIN_SCALE, 2 + functional.softplus(df) + 1e-3

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Compute the negative log density of every element.

        Parameters
        ----------
        raw : Tensor of shape (..., raw_size)
            Projected representation.

        target : Tensor of shape (..., n_outputs)
            The truth.

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
        mean, scale, df = (widened(value) for value in self.parameters_of(raw))
        z = (widened(target) - mean) / scale
        loss = (
            torch.lgamma(df / 2)
            - torch.lgamma((df + 1) / 2)
            + 0.5 * (math.pi * df).log()
            + scale.log()
            + (df + 1) / 2 * torch.log1p(z.square() / df)
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
            The mean.
        """
        return self.parameters_of(raw)[0]

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
            The quantiles, never decreasing in `alpha`. They carry no gradient.

        Raises
        ------
        ValueError
            If a level is outside `(0, 1)`.
        """
        from scipy.special import stdtrit

        mean, scale, df = (
            value.detach().unsqueeze(-1).double().cpu() for value in self.parameters_of(raw)
        )
        standard = torch.from_numpy(stdtrit(df.numpy(), check_levels(alpha)))
        return (mean + scale * standard).to(raw)
