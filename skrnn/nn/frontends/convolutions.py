"""Convolutions over time, at several scales, in front of the recurrent layers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from skrnn.nn.frontends.base import Frontend
from skrnn.nn.lengths import Lengths, ValidSteps
from skrnn.nn.norms import StepNorm

__all__ = ["ConvFrontend"]


class ConvFrontend(Frontend):
    """Convolutions of several widths over time, whose map the recurrent layers read.

    Parameters
    ----------
    input_size : int
        Number of features per time step. Values in `[1, inf)`.

    channels : int, default=16
        Number of features that each width of the first convolutions makes. Values in `[1, inf)`.

    kernel_sizes : tuple of int, default=(9, 19, 39)
        Widths of the first convolutions, in time steps. Odd, in `[1, inf)`.

    width : int, default=64
        Number of features of the blocks. Values in `[1, inf)`.

    depth : int, default=2
        Number of blocks. Values in `[0, inf)`; with 0 the map is that of the first convolutions.

    block_sizes : tuple of int, default=(5, 5)
        Widths of the convolutions in a block, one after the other, in steps of the map. Odd, in
        `[1, inf)`.

    stride : int or tuple of two int, default=1
        Steps of which one is made, by their maximum: after the first convolutions, and after the
        blocks. A single number is the latter. Values in `[1, inf)`.

    causal : bool, default=False
        Whether a step of the map sees no later step of the input. Otherwise it sees as many as
        earlier ones. Where a stride makes one step of several, these are seen together.

    See Also
    --------
    PatchFrontend : Several steps become one, at less cost.

    Notes
    -----
    First, convolutions of all widths side by side read the input, as in a block of InceptionTime
    [1]_. Then the map goes, shortened, through blocks with a shortcut, as in a residual network
    [2]_: the input of a block, brought to its width where needed, is added to what its
    convolutions make. Every convolution is followed by batch normalisation and a ReLU, the last of
    a block after the sum.

    The mean of the map over the valid steps goes beside the pooled states to the head, as in
    LSTM-FCN [3]_; there, unlike here, the recurrent layer does not read the map. The head learns
    from each of the two as if the other were not there: states of recurrent layers fit a small
    training set soon, which would leave the mean of the map nothing to learn.

    Padding enters neither the map nor the statistics of batch normalisation: a sequence's output
    depends in training on the other sequences of its batch through these statistics, in evaluation
    on nothing else.

    References
    ----------
    .. [1] H. Ismail Fawaz et al., "InceptionTime: Finding AlexNet for Time Series Classification",
       Data Mining and Knowledge Discovery 34, 2020. arXiv:1909.04939
    .. [2] Z. Wang, W. Yan, T. Oates, "Time Series Classification from Scratch with Deep Neural
       Networks: A Strong Baseline", IJCNN 2017. arXiv:1611.06455
    .. [3] F. Karim, S. Majumdar, H. Darabi, S. Chen, "LSTM Fully Convolutional Networks for Time
       Series Classification", IEEE Access 6, 2018. arXiv:1709.05206

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import ConvFrontend
    >>> steps, summary = ConvFrontend(3, stride=(2, 2))(torch.ones(2, 10, 3), lengths=[10, 5])
    >>> steps.shape, summary.shape
    (torch.Size([2, 3, 64]), torch.Size([2, 64]))
    """

    def __init__(
        self,
        input_size: int,
        channels: int = 16,
        kernel_sizes: Sequence[int] = (9, 19, 39),
        width: int = 64,
        depth: int = 2,
        block_sizes: Sequence[int] = (5, 5),
        *,
        stride: int | Sequence[int] = 1,
        causal: bool = False,
    ) -> None:
        _check_sizes(kernel_sizes, block_sizes)
        _check_numbers(channels=channels, width=width, depth=depth + 1)
        self_strides = _pair(stride)
        made = channels * len(kernel_sizes)
        size = width if depth else made
        super().__init__(
            size,
            stride=self_strides[0] * self_strides[1],
            summary_size=size,
            summary_alone=True,
        )
        self.strides = self_strides
        self.stem = _SideBySide(input_size, channels, tuple(kernel_sizes), causal)
        sizes = [made] + [width] * (depth - 1)
        self.blocks = nn.ModuleList(
            _Block(size, width, tuple(block_sizes), causal) for size in sizes[:depth]
        )

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
            Its mean over the valid steps, before the second stride; 0 for a sequence of length 0.
        """
        valid = ValidSteps.of(lengths, x)
        if x.shape[0] == 0 or x.shape[1] == 0:
            n_steps = -(-x.shape[1] // self.stride)
            empty = x.new_zeros(x.shape[0], n_steps, self.output_size)
            return empty, x.new_zeros(x.shape[0], self.summary_size)
        # Features next to each other in memory: the layout in which convolutions are fastest on a
        # CPU is that of the input, seen as an image of one row.
        flow = valid.fill(x, 0.0).transpose(1, 2).unsqueeze(2)
        flow = _shortened(self.stem(flow, valid), self.strides[0])
        valid = valid.shortened(self.strides[0])
        for block in self.blocks:
            flow = block(flow, valid)
        n_valid = valid.time if valid.lengths is None else valid.lengths.clamp(min=1).unsqueeze(1)
        summary = flow.sum(dim=(2, 3)) / n_valid
        return _shortened(flow, self.strides[1]).squeeze(2).transpose(1, 2), summary


class _Convolution(nn.Conv2d):
    """Convolution over the last dimension that keeps its length, without a bias."""

    def __init__(self, input_size: int, output_size: int, size: int, causal: bool = False) -> None:
        self.before = size - 1 if causal else 0
        padding = 0 if causal else size // 2
        super().__init__(input_size, output_size, (1, size), padding=(0, padding), bias=False)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(functional.pad(input, (self.before, 0)) if self.before else input)


class _SideBySide(nn.Module):
    """Convolutions of several widths, side by side."""

    def __init__(
        self, input_size: int, channels: int, kernel_sizes: tuple[int, ...], causal: bool
    ) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            _Convolution(input_size, channels, size, causal) for size in kernel_sizes
        )
        self.norm = StepNorm(channels * len(kernel_sizes))

    def forward(self, x: Tensor, valid: ValidSteps) -> Tensor:
        flow = torch.cat([convolution(x) for convolution in self.convolutions], dim=1)
        return _rectified(self.norm(flow, valid), valid)


class _Block(nn.Module):
    """Convolutions one after the other, and a shortcut past them."""

    def __init__(
        self, input_size: int, width: int, kernel_sizes: tuple[int, ...], causal: bool
    ) -> None:
        super().__init__()
        sizes = [input_size] + [width] * (len(kernel_sizes) - 1)
        self.convolutions = nn.ModuleList(
            _Convolution(size, width, kernel_size, causal)
            for size, kernel_size in zip(sizes, kernel_sizes, strict=True)
        )
        self.norms = nn.ModuleList(StepNorm(width) for _ in kernel_sizes)
        self.shortcut = _Convolution(input_size, width, 1) if input_size != width else None
        self.shortcut_norm = StepNorm(width) if input_size != width else None

    def forward(self, x: Tensor, valid: ValidSteps) -> Tensor:
        flow = x
        for depth, (convolution, norm) in enumerate(
            zip(self.convolutions, self.norms, strict=True)
        ):
            flow = norm(convolution(_rectified(flow, valid) if depth else flow), valid)
        if self.shortcut is not None and self.shortcut_norm is not None:
            x = self.shortcut_norm(self.shortcut(x), valid)
        return _rectified(flow + x, valid)


def _rectified(flow: Tensor, valid: ValidSteps) -> Tensor:
    flow = functional.relu(flow)
    return flow if valid.mask is None else flow * valid.mask[:, None, None].to(flow.dtype)


def _shortened(flow: Tensor, stride: int) -> Tensor:
    if stride == 1:
        return flow
    # Nothing is negative, so that zeros at the end change no maximum.
    whole = functional.pad(flow, (0, -flow.shape[3] % stride))
    return functional.max_pool2d(whole, (1, stride))


def _pair(stride: int | Sequence[int]) -> tuple[int, int]:
    pair = (1, stride) if isinstance(stride, int) else tuple(stride)
    if len(pair) != 2 or min(pair) < 1:
        raise ValueError(f"stride must be at least 1 time step, or two such, got {stride}.")
    return pair


def _check_sizes(*sizes: Sequence[int]) -> None:
    for given in sizes:
        if not given or any(size < 1 or size % 2 == 0 for size in given):
            raise ValueError(
                f"kernel_sizes and block_sizes must be odd, as (9, 19, 39), got {tuple(given)}."
            )


def _check_numbers(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            least, number = (0, number - 1) if name == "depth" else (1, number)
            raise ValueError(f"{name} must be at least {least}, got {name}={number}.")
