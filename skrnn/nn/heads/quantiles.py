"""Head for quantiles that cannot cross."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from skrnn.nn.heads.base import ProbabilisticHead, check_levels, check_target

__all__ = ["DEFAULT_QUANTILES", "QuantileHead"]

DEFAULT_QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)


class QuantileHead(ProbabilisticHead):
    r"""Quantiles of a number, without assuming a distribution.

    Parameters
    ----------
    input_size : int
        Number of features of the representation. Values in `[1, inf)`.

    n_outputs : int
        Number of values predicted at once. Values in `[1, inf)`.

    quantiles : sequence of float, default=(0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
        The learned levels, strictly increasing in `(0, 1)`.

    Notes
    -----
    The raw values are the quantile nearest to the median and, outward from it on both sides,
    distances made positive by softplus: quantiles cannot cross. They start as those of a standard
    normal distribution. The loss is twice the pinball loss [1]_

    .. math:: \max(\alpha e, (\alpha - 1) e), \quad e = target - q_\alpha,

    averaged over levels, so that the level 0.5 alone would give the absolute error.

    Levels between two learned ones are interpolated, and levels beyond the outermost extrapolated,
    linearly in the standard normal quantile :math:`\Phi^{-1}(\alpha)`: tails are those of a
    normal distribution through the two outermost quantiles, and a normal distribution is
    reproduced exactly.

    References
    ----------
    .. [1] R. Koenker, G. Bassett, "Regression Quantiles", Econometrica 46(1), 1978.
       doi.org/10.2307/1913643

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import QuantileHead
    >>> head = QuantileHead(4, 1, quantiles=(0.1, 0.5, 0.9))
    >>> raw = head(torch.zeros(1, 4))
    >>> head.quantiles(raw, [0.025, 0.5, 0.975]).round(decimals=2) + 0.0
    tensor([[[-1.9600,  0.0000,  1.9600]]], grad_fn=<...>)
    """

    alpha: Tensor

    def __init__(
        self,
        input_size: int,
        n_outputs: int,
        quantiles: Sequence[float] = DEFAULT_QUANTILES,
    ) -> None:
        levels = check_levels(quantiles)
        if not bool((np.diff(levels) > 0).all()):
            raise ValueError(f"quantiles must be strictly increasing, got {tuple(quantiles)}.")
        super().__init__(input_size, n_outputs, n_outputs * len(levels))
        self.levels = tuple(levels.tolist())
        self.register_buffer("alpha", torch.tensor(self.levels), persistent=False)
        self.center = int(np.abs(levels - 0.5).argmin())
        normal = torch.special.ndtri(torch.from_numpy(levels))
        start = normal.diff().expm1().log()  # softplus(start) is the distance
        center = normal[self.center : self.center + 1]
        bias = torch.cat([start[: self.center], center, start[self.center :]])
        with torch.no_grad():
            self.projection.bias.copy_(bias.repeat(n_outputs))

    def values(self, raw: Tensor) -> Tensor:
        """Compute the learned quantiles.

        Parameters
        ----------
        raw : Tensor of shape (..., raw_size)
            Projected representation.

        Returns
        -------
        Tensor of shape (..., n_outputs, n_quantiles)
            The quantiles, never decreasing in the last dimension.
        """
        raw = raw.unflatten(-1, (self.n_outputs, len(self.levels)))
        below, center, above = raw.tensor_split((self.center, self.center + 1), dim=-1)
        up = center + functional.softplus(above).cumsum(dim=-1)
        down = center - functional.softplus(below).flip(-1).cumsum(dim=-1).flip(-1)
        return torch.cat([down, center, up], dim=-1)

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Compute twice the mean pinball loss of every element.

        Parameters
        ----------
        raw : Tensor of shape (..., raw_size)
            Projected representation.

        target : Tensor of shape (..., n_outputs)
            The truth.

        Returns
        -------
        Tensor of shape (...)
            The mean over levels and outputs.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        check_target(raw, target, self.n_outputs)
        error = target.unsqueeze(-1) - self.values(raw)
        return 2 * torch.maximum(self.alpha * error, (self.alpha - 1) * error).mean(dim=(-2, -1))

    def predict(self, raw: Tensor) -> Tensor:
        """Compute the median.

        Parameters
        ----------
        raw : Tensor of shape (..., raw_size)
            Projected representation.

        Returns
        -------
        Tensor of shape (..., n_outputs)
            The median, interpolated where it is not learned; with a single level, that quantile.
        """
        alpha = self.levels if len(self.levels) == 1 else (0.5,)
        return self.quantiles(raw, alpha).squeeze(-1)

    def quantiles(self, raw: Tensor, alpha: Sequence[float]) -> Tensor:
        """Compute quantiles at any level.

        Parameters
        ----------
        raw : Tensor of shape (..., raw_size)
            Projected representation.

        alpha : sequence of float
            Levels in `(0, 1)`, in any order.

        Returns
        -------
        Tensor of shape (..., n_outputs, n_alpha)
            The quantiles, never decreasing in `alpha`; at learned levels the learned ones.

        Raises
        ------
        ValueError
            If a level is outside `(0, 1)`, or the only learned level is another one.
        """
        levels = check_levels(alpha)
        values = self.values(raw)
        if len(self.levels) == 1:
            if set(levels.tolist()) != set(self.levels):
                raise ValueError(
                    f"only the quantile {self.levels[0]} was learned, got {tuple(alpha)}; "
                    f"learn two or more to interpolate."
                )
            return values.expand(*values.shape[:-1], len(levels))
        left = np.searchsorted(self.levels, levels, side="right") - 1
        low = torch.from_numpy(left.clip(0, len(self.levels) - 2))
        knots = torch.special.ndtri(torch.tensor(self.levels, dtype=torch.float64))
        at = torch.special.ndtri(torch.from_numpy(levels))
        weight = ((at - knots[low]) / (knots[low + 1] - knots[low])).to(values)
        low = low.to(values.device)
        return torch.lerp(values[..., low], values[..., low + 1], weight)
