"""Normalisation: features of a map brought to mean 0 and variance 1 over the valid steps."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from skrnn.nn.lengths import ValidSteps

__all__ = ["StepNorm"]


class StepNorm(nn.BatchNorm2d):
    """Batch normalisation of (batch, features, 1, time) with statistics of the valid steps only.

    Parameters
    ----------
    num_features : int
        Number of features. Values in `[1, inf)`.

    See Also
    --------
    ConvFrontend : Convolutions with this normalisation.

    Notes
    -----
    A sequence of weight 2 counts in the statistics as one that is there twice. The running
    statistics are the plain mean over the first ten batches, as short trainings need them too, and
    from then on move a tenth of the way to those of every batch. The variance is that of the batch,
    in training and after it.

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import StepNorm, ValidSteps
    >>> x = torch.tensor([[1.0, 3.0, 50.0]]).reshape(1, 1, 1, 3)
    >>> StepNorm(1)(x, ValidSteps.of([2], torch.zeros(1, 3, 1)))[..., :2].detach().flatten()
    tensor([-1.0000,  1.0000])
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features)

    def forward(self, input: Tensor, valid: ValidSteps | None = None) -> Tensor:
        """Normalise a map.

        Parameters
        ----------
        input : Tensor of shape (batch, features, 1, time)
            The map; its padding may hold any finite number.

        valid : ValidSteps or None, default=None
            Which of its steps are no padding, and what they weigh. None: all are valid.

        Returns
        -------
        Tensor of shape (batch, features, 1, time)
            The normalised map; its padding holds any finite number.
        """
        if not self.training:
            return super().forward(input)
        counts = None if valid is None else valid.counts(input)
        if counts is not None or input.shape[0] * input.shape[3] == 1:
            counts = input.new_ones(1, 1) if counts is None else counts
            return self._normalized(input, counts[:, None, None])
        # With a share of 1 they become what the batch has.
        mean, variance = torch.zeros_like(self.running_mean), torch.ones_like(self.running_var)
        output = functional.batch_norm(
            input, mean, variance, self.weight, self.bias, True, 1.0, self.eps
        )
        n_steps = input.shape[0] * input.shape[3]
        self._follow(mean, variance * (n_steps - 1) / n_steps)
        return output

    def _normalized(self, x: Tensor, counts: Tensor) -> Tensor:
        x, counts = x.to(self.weight.dtype), counts.to(self.weight.dtype)
        share = counts / counts.sum().clamp_min(torch.finfo(counts.dtype).tiny)
        mean = (x * share).sum(dim=(0, 2, 3))
        centred = x - mean[:, None, None]
        variance = (centred.square() * share).sum(dim=(0, 2, 3))
        self._follow(mean.detach(), variance.detach())
        scale = self.weight * (variance + self.eps).rsqrt()
        return centred * scale[:, None, None] + self.bias[:, None, None]

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics."""
        self.num_batches_tracked += 1
        share = (1 / self.num_batches_tracked).clamp(min=self.momentum).to(mean.dtype)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)
