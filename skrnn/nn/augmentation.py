"""Augmentation: sequences change at random while a network is trained on them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from skrnn.nn.lengths import ValidSteps

__all__ = ["Augmentation", "Jitter", "Scaling", "TimeWarp"]


class Augmentation(ABC):
    """Base of what an estimator does to the sequences of every training batch.

    Any object with a method `augment` will do. `moves_time` says whether steps leave their places,
    which answers per step would not follow.

    See Also
    --------
    Jitter : Noise.
    Scaling : Other amplitudes.
    TimeWarp : Another course of time.

    Examples
    --------
    Hide a feature of a sequence:

    >>> import torch
    >>> from skrnn.nn import Augmentation, ValidSteps
    >>> class HideFeature(Augmentation):
    ...     def augment(self, x, valid, generator):
    ...         hidden = torch.randint(x.shape[2], (len(x), 1, 1), generator=generator)
    ...         return x.scatter(2, hidden.to(x.device).expand(-1, x.shape[1], 1), 0.0)
    >>> x = torch.ones(1, 2, 3)
    >>> HideFeature().augment(x, ValidSteps.of(None, x), None).sum()
    tensor(4.)
    """

    moves_time: ClassVar[bool] = False

    @abstractmethod
    def augment(self, x: Tensor, valid: ValidSteps, generator: torch.Generator | None) -> Tensor:
        """Change the sequences of a batch.

        Parameters
        ----------
        x : Tensor of shape (batch, time, features)
            The sequences, standardised where the estimator standardises: noise of 0.1 is a tenth of
            a standard deviation. Not to be written to.

        valid : ValidSteps
            Which steps are no padding.

        generator : torch.Generator or None
            Where to draw from, on the CPU. None: torch's global generator.

        Returns
        -------
        Tensor of shape (batch, time, features)
            The changed sequences. The padding may hold anything finite.
        """


@dataclass(frozen=True)
class Jitter(Augmentation):
    """Add normal noise to every value.

    Parameters
    ----------
    scale : float, default=0.05
        Standard deviation of the noise, in those of the features. Values in `[0, inf)`.

    See Also
    --------
    Scaling : One factor for all steps.

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import Jitter, ValidSteps
    >>> x = torch.zeros(4, 100, 2)
    >>> noise = Jitter(0.5).augment(x, ValidSteps.of(None, x), torch.Generator().manual_seed(0))
    >>> round(noise.std().item(), 1)
    0.5
    """

    scale: float = 0.05

    def __post_init__(self) -> None:
        _check_scale(self.scale)

    def augment(self, x: Tensor, valid: ValidSteps, generator: torch.Generator | None) -> Tensor:
        """Add the noise.

        Parameters
        ----------
        x : Tensor of shape (batch, time, features)
            The sequences.

        valid : ValidSteps
            Which steps are no padding.

        generator : torch.Generator or None
            Where to draw from, on the CPU. None: torch's global generator.

        Returns
        -------
        Tensor of shape (batch, time, features)
            The sequences with noise.
        """
        return x + self.scale * _normal(x.shape, x, generator)


@dataclass(frozen=True)
class Scaling(Augmentation):
    """Multiply every feature of a sequence with a factor of its own.

    Parameters
    ----------
    scale : float, default=0.1
        Standard deviation of the logarithm of the factor. Values in `[0, inf)`.

    See Also
    --------
    Jitter : Noise at every step.

    Notes
    -----
    What is multiplied is the distance from the mean of the feature over the training data.

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import Scaling, ValidSteps
    >>> x = torch.tensor([[[1.0], [2.0]]])
    >>> scaled = Scaling().augment(x, ValidSteps.of(None, x), torch.Generator().manual_seed(0))
    >>> (scaled[:, 1] / scaled[:, 0]).item()
    2.0
    """

    scale: float = 0.1

    def __post_init__(self) -> None:
        _check_scale(self.scale)

    def augment(self, x: Tensor, valid: ValidSteps, generator: torch.Generator | None) -> Tensor:
        """Multiply with the factors.

        Parameters
        ----------
        x : Tensor of shape (batch, time, features)
            The sequences.

        valid : ValidSteps
            Which steps are no padding.

        generator : torch.Generator or None
            Where to draw from, on the CPU. None: torch's global generator.

        Returns
        -------
        Tensor of shape (batch, time, features)
            The sequences at another scale.
        """
        return x * (self.scale * _normal((x.shape[0], 1, x.shape[2]), x, generator)).exp()


@dataclass(frozen=True)
class TimeWarp(Augmentation):
    """Let time run faster in some parts of a sequence and slower in others.

    Its first and last step stay where they are, and so does its length. Not for answers per step.

    Parameters
    ----------
    scale : float, default=0.2
        Standard deviation of the logarithm of the speed. Values in `[0, inf)`.

    n_knots : int, default=4
        Number of places, spread over the sequence, at which the speed is drawn; in between it is
        interpolated. Values in `[2, inf)`.

    See Also
    --------
    Jitter : Noise at every step.

    Notes
    -----
    A step takes its value from between two of the old ones, by linear interpolation. The idea is
    that of [1]_, with speeds that cannot become negative.

    References
    ----------
    .. [1] T. T. Um et al., "Data Augmentation of Wearable Sensor Data for Parkinson's Disease
       Monitoring using Convolutional Neural Networks", ICMI 2017. arXiv:1706.00527

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import TimeWarp, ValidSteps
    >>> x = torch.arange(9.0).reshape(1, 9, 1)
    >>> warped = TimeWarp().augment(x, ValidSteps.of([6], x), torch.Generator().manual_seed(0))
    >>> warped[0, [0, 5], 0]
    tensor([0., 5.])
    """

    moves_time: ClassVar[bool] = True
    scale: float = 0.2
    n_knots: int = 4

    def __post_init__(self) -> None:
        _check_scale(self.scale)
        if self.n_knots < 2:
            raise ValueError(f"n_knots must be at least 2, got {self.n_knots}.")

    def augment(self, x: Tensor, valid: ValidSteps, generator: torch.Generator | None) -> Tensor:
        """Take the values of other times.

        Parameters
        ----------
        x : Tensor of shape (batch, time, features)
            The sequences.

        valid : ValidSteps
            Which steps are no padding.

        generator : torch.Generator or None
            Where to draw from, on the CPU. None: torch's global generator.

        Returns
        -------
        Tensor of shape (batch, time, features)
            The sequences in another time.
        """
        batch, time, n_features = x.shape
        speeds = (self.scale * _normal((batch, self.n_knots), x, generator)).exp()
        if batch == 0 or time == 0:
            return x
        if valid.lengths is None:
            last = torch.full((batch, 1), time - 1, device=x.device)
        else:
            last = (valid.lengths - 1).clamp(min=0).unsqueeze(1)
        place = self._places(speeds, last, time)
        before = place.floor().to(torch.int64)
        after = torch.minimum(before + 1, last)
        rows = [index.unsqueeze(2).expand(-1, -1, n_features) for index in (before, after)]
        share = (place - before).unsqueeze(2)
        return x.gather(1, rows[0]).lerp(x.gather(1, rows[1]), share)

    def _places(self, speeds: Tensor, last: Tensor, time: int) -> Tensor:
        """Where in the old time every step comes from, in steps."""
        step = torch.arange(time, device=speeds.device)
        knot = (step / last.clamp(min=1)).clamp(max=1).to(speeds.dtype) * (self.n_knots - 1)
        low = knot.floor().clamp(max=self.n_knots - 2).to(torch.int64)
        speed = speeds.gather(1, low).lerp(speeds.gather(1, low + 1), knot - low)
        way = speed.cumsum(dim=1) - speed[:, :1]
        # A single step has no way to go.
        whole = way.gather(1, last).masked_fill(last == 0, 1.0)
        return torch.minimum(way / whole * last, last.to(way.dtype))


def _check_scale(scale: float) -> None:
    if not scale >= 0:
        raise ValueError(f"scale must not be negative, got {scale}.")


def _normal(size: tuple[int, ...], like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(size, generator=generator, dtype=like.dtype).to(like.device)
