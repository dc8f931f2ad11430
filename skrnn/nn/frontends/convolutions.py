"""Convolutions over time, at several scales, in front of the recurrent layers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from skrnn.nn.frontends.base import Frontend
from skrnn.nn.lengths import Lengths, ValidSteps

__all__ = ["ConvFrontend"]


class ConvFrontend(Frontend):
    """Convolutions of several widths over time, whose map the recurrent layers read.

    Parameters
    ----------
    input_size : int
        Number of features per time step. Values in `[1, inf)`.

    channels : int, default=32
        Number of features that each width of a block makes. Values in `[1, inf)`.

    kernel_sizes : tuple of int, default=(9, 19, 39)
        Widths of the convolutions of a block, in time steps. Odd, in `[1, inf)`.

    depth : int, default=3
        Number of blocks. Values in `[1, inf)`.

    stride : int, default=1
        Steps of the map in one step of the output, the maximum of which is taken. Values in
        `[1, inf)`.

    causal : bool, default=False
        Whether a step of the map sees no later step of the input. Otherwise it sees as many as
        earlier ones.

    See Also
    --------
    PatchFrontend : Several steps become one, at less cost.

    Notes
    -----
    A block is one of InceptionTime's [1]_ without its pooling: the input, reduced to `channels`
    features where it has more, goes through the convolutions side by side, then through batch
    normalisation and a ReLU. The input is added to what the last block makes. The mean of the map
    over the valid steps goes beside the pooled states to the head, as in LSTM-FCN [2]_; there,
    unlike here, the recurrent layer does not read the map.

    Padding enters neither the map nor the statistics of batch normalisation: a sequence's output
    depends in training on the other sequences of its batch through these statistics, in evaluation
    on nothing else. The running statistics are the mean over the first ten batches, and from then
    on move a tenth of the way to those of every batch. Weights of samples do not enter them.

    References
    ----------
    .. [1] H. Ismail Fawaz et al., "InceptionTime: Finding AlexNet for Time Series Classification",
       Data Mining and Knowledge Discovery 34, 2020. arXiv:1909.04939
    .. [2] F. Karim, S. Majumdar, H. Darabi, S. Chen, "LSTM Fully Convolutional Networks for Time
       Series Classification", IEEE Access 6, 2018. arXiv:1709.05206

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import ConvFrontend
    >>> steps, summary = ConvFrontend(3, stride=4)(torch.ones(2, 10, 3), lengths=[10, 5])
    >>> steps.shape, summary.shape
    (torch.Size([2, 3, 96]), torch.Size([2, 96]))
    """

    def __init__(
        self,
        input_size: int,
        channels: int = 32,
        kernel_sizes: Sequence[int] = (9, 19, 39),
        depth: int = 3,
        *,
        stride: int = 1,
        causal: bool = False,
    ) -> None:
        kernel_sizes = tuple(kernel_sizes)
        if not kernel_sizes or any(size < 1 or size % 2 == 0 for size in kernel_sizes):
            raise ValueError(f"kernel_sizes must be odd, as (9, 19, 39), got {kernel_sizes}.")
        if channels < 1 or depth < 1:
            raise ValueError(
                f"channels and depth must be at least 1, got channels={channels}, depth={depth}."
            )
        width = channels * len(kernel_sizes)
        super().__init__(width, stride=stride, summary_size=width)
        sizes = [input_size] + [width] * (depth - 1)
        self.blocks = nn.ModuleList(_Block(size, channels, kernel_sizes, causal) for size in sizes)
        self.shortcut = nn.Conv1d(input_size, width, 1, bias=False)
        self.norm = _MaskedBatchNorm(width)

    def forward(self, x: Tensor, lengths: Lengths = None) -> tuple[Tensor, Tensor]:
        """Compute the map and its mean.

        Parameters
        ----------
        x : Tensor of shape (batch, time, features)
            The sequences; the padding may hold anything, NaN included.

        lengths : Tensor, ndarray, sequence of int or None, default=None
            Number of valid leading steps per sequence, in `[0, time]`. None: all are valid.

        Returns
        -------
        features : Tensor of shape (batch, ceil(time / stride), output_size)
            The map; 0 at padding.

        summary : Tensor of shape (batch, output_size)
            Its mean over the valid steps, before every `stride` of them become one; 0 for a
            sequence of length 0.
        """
        valid = ValidSteps.of(lengths, x)
        batch, time = x.shape[:2]
        if batch == 0 or time == 0:
            n_steps = -(-time // self.stride)
            empty = x.new_zeros(batch, n_steps, self.output_size)
            return empty, x.new_zeros(batch, self.summary_size)
        start = valid.fill(x, 0.0).transpose(1, 2)
        mask = None if valid.mask is None else valid.mask.to(x.dtype).unsqueeze(1)
        flow = start
        for depth, block in enumerate(self.blocks):
            flow = block(flow if depth == 0 else _rectified(flow, mask), mask)
        flow = _rectified(flow + self.norm(self.shortcut(start), mask), mask)
        n_valid = time if valid.lengths is None else valid.lengths.clamp(min=1).unsqueeze(1)
        return self._shortened(flow).transpose(1, 2), flow.sum(dim=2) / n_valid

    def _shortened(self, flow: Tensor) -> Tensor:
        if self.stride == 1:
            return flow
        # Nothing is negative, so that zeros at the end change no maximum.
        whole = functional.pad(flow, (0, -flow.shape[2] % self.stride))
        return functional.max_pool1d(whole, self.stride)


def _rectified(flow: Tensor, mask: Tensor | None) -> Tensor:
    flow = functional.relu(flow)
    return flow if mask is None else flow * mask


class _Block(nn.Module):
    """Convolutions side by side, and batch normalisation; channels before time."""

    def __init__(
        self, input_size: int, channels: int, kernel_sizes: tuple[int, ...], causal: bool
    ) -> None:
        super().__init__()
        self.causal = causal
        self.kernel_sizes = kernel_sizes
        self.reduce = None
        if input_size > channels:
            self.reduce = nn.Conv1d(input_size, channels, 1, bias=False)
            input_size = channels
        self.convolutions = nn.ModuleList(
            nn.Conv1d(input_size, channels, size, bias=False) for size in kernel_sizes
        )
        self.norm = _MaskedBatchNorm(channels * len(kernel_sizes))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if self.reduce is not None:
            x = self.reduce(x)
        parts = []
        for size, convolution in zip(self.kernel_sizes, self.convolutions, strict=True):
            padding = (size - 1, 0) if self.causal else (size // 2, size // 2)
            parts.append(convolution(functional.pad(x, padding)))
        return self.norm(torch.cat(parts, dim=1), mask)


class _MaskedBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of (batch, channels, time) with statistics of the valid steps only."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, input: Tensor, mask: Tensor | None = None) -> Tensor:
        if not self.training:
            return super().forward(input)
        n_steps = input.shape[0] * input.shape[2]
        if mask is None and n_steps > 1:
            # With a share of 1 they become what the batch has.
            mean, variance = torch.zeros_like(self.running_mean), torch.ones_like(self.running_var)
            output = functional.batch_norm(
                input, mean, variance, self.weight, self.bias, True, 1.0, self.eps
            )
            self._follow(mean, variance)
            return output
        return self._normalized(input, input.new_ones(()) if mask is None else mask)

    def _normalized(self, x: Tensor, mask: Tensor) -> Tensor:
        x, mask = x.to(self.weight.dtype), mask.to(self.weight.dtype)
        n_valid = mask.expand(x.shape[0], 1, x.shape[2]).sum()
        share = mask / n_valid.clamp(min=1)
        mean = (x * share).sum(dim=(0, 2))
        centred = x - mean[:, None]
        variance = (centred.square() * share).sum(dim=(0, 2))
        self._follow(mean.detach(), variance.detach() * n_valid / (n_valid - 1).clamp(min=1))
        scale = self.weight * (variance + self.eps).rsqrt()
        return centred * scale[:, None] + self.bias[:, None]

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics: their plain mean at first, short trainings need them too."""
        self.num_batches_tracked += 1
        share = (1 / self.num_batches_tracked).clamp(min=self.momentum).to(mean.dtype)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)
