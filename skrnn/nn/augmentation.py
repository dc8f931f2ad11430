"""Augmentation: sequences change at random while a network is trained on them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from skrnn.nn.lengths import ValidSteps

__all__ = ["Augmentation", "Jitter", "Mixing", "Mixup", "Scaling", "TimeWarp"]


class Augmentation(ABC):
    """Base of what an estimator does to the sequences of every training batch.

    Any object with a method `augment` will do. `moves_time` says whether steps leave their places,
    which answers per step would not follow.

    See Also
    --------
    Jitter : Noise.
    Scaling : Other amplitudes.
    TimeWarp : Another course of time.
    Mixing : Base of what changes the answers too.

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
        batch, time, _ = x.shape
        speeds = (self.scale * _normal((batch, self.n_knots), x, generator)).exp()
        if batch == 0 or time == 0:
            return x
        last = _last_steps(valid, x)
        return _read_at(self._places(speeds, last, time), last, x)

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


class Mixing(ABC):
    """Base of what an estimator makes of pairs of sequences and of their answers.

    Any object with a method `mix` will do. The answer for a mixture is the same mixture of the two
    answers: numbers are mixed, and of labels each counts by its share in the loss. Weights of
    samples are mixed too.

    See Also
    --------
    Mixup : Weighted means of two sequences.
    Augmentation : Base of what leaves the answers as they are.

    Examples
    --------
    Put the end of another sequence in the place of a sequence's own, if all are equally long:

    >>> import torch
    >>> from skrnn.nn import Mixing, ValidSteps
    >>> class CutMix(Mixing):
    ...     def mix(self, x, valid, generator):
    ...         partner = torch.randperm(len(x), generator=generator)
    ...         cut = int(torch.randint(x.shape[1], (), generator=generator))
    ...         mixed = torch.cat([x[:, :cut], x[partner, cut:]], dim=1)
    ...         return mixed, partner, torch.full((len(x),), cut / x.shape[1])
    >>> x = torch.rand(4, 10, 2)
    >>> mixed, partner, share = CutMix().mix(x, ValidSteps.of(None, x), None)
    >>> mixed.shape, partner.shape, share.shape
    (torch.Size([4, 10, 2]), torch.Size([4]), torch.Size([4]))
    """

    @abstractmethod
    def mix(
        self, x: Tensor, valid: ValidSteps, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mix every sequence of a batch with another one.

        Parameters
        ----------
        x : Tensor of shape (batch, time, features)
            The sequences, as for :meth:`Augmentation.augment`. Not to be written to.

        valid : ValidSteps
            Which steps are no padding.

        generator : torch.Generator or None
            Where to draw from, on the CPU. None: torch's global generator.

        Returns
        -------
        mixed : Tensor of shape (batch, time, features)
            The mixtures, as long as the sequences. The padding may hold anything finite.

        partner : Tensor of shape (batch,), int64
            Number of the sequence that each was mixed with, in the batch.

        share : Tensor of shape (batch,)
            How much of each mixture is the sequence itself, in `[0, 1]`.
        """


@dataclass(frozen=True)
class Mixup(Mixing):
    """Train on weighted means of two sequences, whose answer is the mean of their answers [1]_.

    Parameters
    ----------
    alpha : float, default=0.2
        Both parameters of the beta distribution of the share: near 0 most mixtures are nearly one
        of the two, at 1 all shares are equally likely. Values in `(0, inf)`.

    See Also
    --------
    Jitter : Noise at every step.

    Notes
    -----
    The two come from one batch. The one with the larger share stays where it is; the other one is
    read at the pace at which both end together, by linear interpolation, so that every step is the
    mean of two values that were observed, whatever the lengths. A sequence without steps is mixed
    with nothing.

    References
    ----------
    .. [1] H. Zhang, M. Cisse, Y. N. Dauphin, D. Lopez-Paz, "mixup: Beyond Empirical Risk
       Minimization", ICLR 2018. arXiv:1710.09412

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import Mixup, ValidSteps
    >>> x = torch.tensor([[[0.0], [0.0], [0.0]], [[1.0], [2.0], [9.0]]])
    >>> valid = ValidSteps.of([3, 2], x)
    >>> mixed, partner, share = Mixup(1.0).mix(x, valid, torch.Generator().manual_seed(1))
    >>> partner
    tensor([1, 0])
    >>> torch.allclose(mixed[0, :, 0], (1 - share[0]) * torch.tensor([1.0, 1.5, 2.0]))
    True
    """

    alpha: float = 0.2

    def __post_init__(self) -> None:
        if not self.alpha > 0:
            raise ValueError(f"alpha must be positive, got {self.alpha}.")

    def mix(
        self, x: Tensor, valid: ValidSteps, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mix every sequence of a batch with another one.

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
        mixed : Tensor of shape (batch, time, features)
            The mixtures, as long as the sequences.

        partner : Tensor of shape (batch,), int64
            Number of the sequence that each was mixed with, in the batch.

        share : Tensor of shape (batch,)
            How much of each mixture is the sequence itself, in `[0.5, 1]`.
        """
        batch, time, _ = x.shape
        partner = torch.randperm(batch, generator=generator).to(x.device)
        share = self._shares(batch, generator).to(x)
        if batch == 0 or time == 0:
            return x, partner, torch.ones_like(share)
        last = _last_steps(valid, x)
        if valid.lengths is not None:
            empty = (valid.lengths == 0) | (valid.lengths[partner] == 0)
            share = share.masked_fill(empty, 1.0)
        step = torch.arange(time, device=x.device)
        pace = last[partner] / last.clamp(min=1)
        place = torch.minimum(step * pace.to(x.dtype), last[partner])
        other = _read_at(place, last[partner], x[partner])
        return other.lerp(x, share.view(-1, 1, 1)), partner, share

    def _shares(self, number: int, generator: torch.Generator | None) -> Tensor:
        """Draw the larger ones of two shares."""
        shape = torch.full((number, 2), float(self.alpha), dtype=torch.float64)
        # A gamma variable of shape a is one of shape a + 1 times u^(1/a), whose logarithm is a
        # number also where a is small; two of them in proportion have the beta distribution.
        uniform = torch.rand(number, 2, generator=generator, dtype=torch.float64)
        log = torch._standard_gamma(shape + 1, generator=generator).log() + uniform.log() / shape
        return log.softmax(dim=1).amax(dim=1)


def _last_steps(valid: ValidSteps, x: Tensor) -> Tensor:
    """Place of the last valid step of every sequence, of shape (batch, 1); 0 if there is none."""
    if valid.lengths is None:
        return torch.full((x.shape[0], 1), x.shape[1] - 1, device=x.device)
    return (valid.lengths - 1).clamp(min=0).unsqueeze(1)


def _read_at(place: Tensor, last: Tensor, x: Tensor) -> Tensor:
    """Values of sequences between their steps, by linear interpolation.

    Parameters
    ----------
    place : Tensor of shape (batch, time)
        Where in the time of `x` every step comes from, in steps.

    last : Tensor of shape (batch, 1)
        Place of the last step that may be read.

    x : Tensor of shape (batch, time, features)
        The sequences.
    """
    before = place.floor().to(torch.int64)
    after = torch.minimum(before + 1, last)
    rows = [index.unsqueeze(2).expand(-1, -1, x.shape[2]) for index in (before, after)]
    share = (place - before).unsqueeze(2)
    return x.gather(1, rows[0]).lerp(x.gather(1, rows[1]), share)


def _check_scale(scale: float) -> None:
    if not scale >= 0:
        raise ValueError(f"scale must not be negative, got {scale}.")


def _normal(size: tuple[int, ...], like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(size, generator=generator, dtype=like.dtype).to(like.device)
