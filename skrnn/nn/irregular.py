"""Irregular input: missing values and times between steps become what a network reads."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from skrnn.nn.layers import State

__all__ = ["IrregularInput"]


class IrregularInput(nn.Module):
    """Read sequences with missing values, or with steps at irregular times.

    With a mask, every feature becomes three: its value, which is the last observed one where it is
    missing (NaN) and 0 before the first; 1 where it was observed, else 0; and the time from its
    last observation before this step, or from the first step of the sequence. All values come
    first, then all masks, then all times. No output depends on a later step.

    Without a mask, one feature is added: the time from the step before, 0 at the first one.

    Parameters
    ----------
    n_features : int
        Number of features of the input, the channel of time stamps included. Values in `[1, inf)`.

    mask : bool, default=True
        Whether NaN is a missing value.

    time_channel : int or None, default=None
        The feature that holds the time stamp of every step, which must not decrease. It is read
        through the times only, so that only differences between stamps count. None: steps are one
        unit of time apart. Values in `[0, n_features)`.

    Attributes
    ----------
    n_values : int
        Number of features that are read as values; they come first in the output.

    output_size : int
        Number of features of the output.

    See Also
    --------
    GRUDLayer : A recurrent layer that decays between observations.

    Notes
    -----
    Times are those of GRU-D [1]_. They are divided by the scale that :meth:`set` was given, which
    is 1 before.

    References
    ----------
    .. [1] Z. Che, S. Purushotham, K. Cho, D. Sontag, Y. Liu, "Recurrent Neural Networks for
       Multivariate Time Series with Missing Values", Scientific Reports 8, 2018. arXiv:1606.01865

    Examples
    --------
    The second feature is the time:

    >>> import torch
    >>> from skrnn.nn import IrregularInput
    >>> x = torch.tensor([[[5.0, 0.0], [torch.nan, 0.5], [torch.nan, 2.0], [6.0, 3.0]]])
    >>> features, state = IrregularInput(2, time_channel=1)(x)
    >>> features[0]
    tensor([[5.0000, 1.0000, 0.0000],
            [5.0000, 0.0000, 0.5000],
            [5.0000, 0.0000, 2.0000],
            [6.0000, 1.0000, 3.0000]])
    """

    time_scale: Tensor
    known: Tensor

    def __init__(
        self, n_features: int, *, mask: bool = True, time_channel: int | None = None
    ) -> None:
        super().__init__()
        if time_channel is not None and not 0 <= time_channel < n_features:
            raise ValueError(
                f"time_channel={time_channel} is none of {n_features} features; count them from 0."
            )
        self.n_values = n_features - (time_channel is not None)
        if mask and self.n_values == 0:
            raise ValueError(
                "the only feature holds the times, so that no value can be missing; read it "
                "without a mask."
            )
        self.n_features = n_features
        self.mask = mask
        self.time_channel = time_channel
        n_times = self.n_values if mask else int(time_channel is not None)
        self.output_size = self.n_values * (2 if mask else 1) + n_times
        self.register_buffer("time_scale", torch.ones(n_times))
        self.register_buffer("known", torch.ones(self.n_values, dtype=torch.bool))

    def extra_repr(self) -> str:
        """Return the parameters, for the printed module.

        Returns
        -------
        str
            As given.
        """
        return f"{self.n_features}, mask={self.mask}, time_channel={self.time_channel}"

    def set(
        self,
        time_scale: Tensor | np.ndarray | Sequence[float],
        known: Tensor | np.ndarray | Sequence[bool] | None = None,
    ) -> None:
        """Set what times are divided by, and which features are read.

        Parameters
        ----------
        time_scale : Tensor, ndarray or sequence of float
            One value per time of the output: per value with a mask, else one for the time channel.
            Values in `[0, inf)`; 0 stands for 1.

        known : Tensor, ndarray or sequence of bool of shape (n_values,) or None, default=None
            Features that are read. The others are missing whatever they hold. None: all.

        Raises
        ------
        ValueError
            If a number of values is wrong, or a scale is negative or not finite.
        """
        scale = torch.as_tensor(time_scale, dtype=torch.float64, device="cpu")
        if scale.shape != self.time_scale.shape:
            raise ValueError(
                f"time_scale has shape {tuple(scale.shape)}, expected "
                f"{tuple(self.time_scale.shape)}: one value per time."
            )
        if not bool((scale.isfinite() & (scale >= 0)).all()):
            raise ValueError(f"time_scale must be finite and not negative, got {scale.tolist()}.")
        self.time_scale.copy_(scale)
        self.time_scale.masked_fill_(self.time_scale == 0, 1.0)
        if known is None:
            self.known.fill_(True)
            return
        read = torch.as_tensor(known, dtype=torch.bool, device="cpu")
        if read.shape != self.known.shape:
            raise ValueError(
                f"known has shape {tuple(read.shape)}, expected {tuple(self.known.shape)}: one "
                "entry per value."
            )
        self.known.copy_(read)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Compute what a network reads.

        Parameters
        ----------
        x : Tensor of shape (batch, time, features)
            The sequences; NaN is a missing value. Padding may hold anything.

        state : tuple or None, default=None
            What was returned for the steps before, to go on from there. None starts anew.

        Returns
        -------
        features : Tensor of shape (batch, time, output_size)
            Values, masks and times; values and times without a mask.

        state : tuple of Tensor
            What is remembered of the steps so far: last values and the times since with a mask, and
            the last time stamp with a time channel.

        Raises
        ------
        ValueError
            If `x` has another number of features.
        """
        if x.shape[2] != self.n_features:
            raise ValueError(
                f"x has {x.shape[2]} features per time step, expected {self.n_features}."
            )
        if x.shape[0] == 0 or x.shape[1] == 0:
            features = x.new_zeros(*x.shape[:2], self.output_size)
            return features, () if state is None else state
        # An empty state is that of no steps so far.
        before = tuple(state) if state else None
        values, clock, stamp = self._times(x, before)
        if not self.mask:
            steps = clock.diff(dim=1, prepend=torch.zeros_like(clock[:, :1]))
            return torch.cat([values, steps / self.time_scale], dim=2), stamp
        observed = ~values.isnan() & self.known
        filled, last = self._filled(values, observed, before)
        since, elapsed = self._since(clock, observed, before)
        features = torch.cat([filled, observed.to(x.dtype), since / self.time_scale], dim=2)
        return features, (last, elapsed, *stamp)

    def _times(
        self, x: Tensor, before: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Values, times from the step before this call or else its first, and the last stamp."""
        if self.time_channel is None:
            first = 0 if before is None else 1
            clock = torch.arange(first, first + x.shape[1], device=x.device, dtype=x.dtype)
            return x, clock.reshape(1, -1, 1), ()
        c = self.time_channel
        stamps = x[:, :, c : c + 1]
        start = stamps[:, :1] if before is None else before[-1].transpose(0, 1)
        values = torch.cat([x[:, :, :c], x[:, :, c + 1 :]], dim=2)
        return values, stamps - start, (stamps[:, -1:].transpose(0, 1),)

    @staticmethod
    def _filled(
        values: Tensor, observed: Tensor, before: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, Tensor]:
        """Last observed values, and those after the last step."""
        known = values.masked_fill(~observed, 0.0)
        step = torch.arange(values.shape[1], device=values.device).reshape(1, -1, 1)
        last = torch.where(observed, step, -1).cummax(dim=1).values
        earlier = torch.zeros_like(known[:, :1]) if before is None else before[0].transpose(0, 1)
        filled = known.gather(1, last.clamp(min=0)).where(last >= 0, earlier)
        return filled, filled[:, -1:].transpose(0, 1)

    @staticmethod
    def _since(
        clock: Tensor, observed: Tensor, before: tuple[Tensor, ...] | None
    ) -> tuple[Tensor, Tensor]:
        """Times since the last observation before each step, and up to the last step."""
        clock = clock.expand(observed.shape)
        start = torch.zeros_like(clock[:, :1]) if before is None else -before[1].transpose(0, 1)
        seen = torch.cat([start, torch.where(observed, clock, start)], dim=1).cummax(dim=1).values
        elapsed = clock[:, -1:] - seen[:, -1:]
        return clock - seen[:, :-1], elapsed.transpose(0, 1)
