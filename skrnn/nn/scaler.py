"""Scaler: features are shifted and scaled inside the network."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["FeatureScaler"]


class FeatureScaler(nn.Module):
    """Standardise features with statistics that were computed elsewhere.

    The statistics are buffers, so that they travel with the weights.

    Parameters
    ----------
    mean : Tensor, ndarray or sequence of float of shape (features,)
        What is subtracted. Finite.

    scale : Tensor, ndarray or sequence of float of shape (features,)
        What is divided by, in `[0, inf)`. A constant feature has scale 0 and is divided by 1.

    Notes
    -----
    Computes `(x - mean) / scale`.

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import FeatureScaler
    >>> scaler = FeatureScaler(mean=[1.0, 5.0], scale=[2.0, 0.0])
    >>> scaler(torch.tensor([[[5.0, 5.0]]]))
    tensor([[[2., 0.]]])
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        mean: Tensor | np.ndarray | Sequence[float],
        scale: Tensor | np.ndarray | Sequence[float],
    ) -> None:
        super().__init__()
        n_features = len(mean)
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))
        self.set(mean, scale)

    @classmethod
    def identity(cls, n_features: int) -> "FeatureScaler":
        """Make a scaler that changes nothing.

        Parameters
        ----------
        n_features : int
            Number of features per time step. Values in `[1, inf)`.

        Returns
        -------
        FeatureScaler
            With mean 0 and scale 1.
        """
        return cls(torch.zeros(n_features), torch.ones(n_features))

    def set(
        self,
        mean: Tensor | np.ndarray | Sequence[float],
        scale: Tensor | np.ndarray | Sequence[float],
    ) -> None:
        """Set the statistics, in the type and on the device of the scaler.

        Parameters
        ----------
        mean : Tensor, ndarray or sequence of float of shape (features,)
            What is subtracted. Finite.

        scale : Tensor, ndarray or sequence of float of shape (features,)
            What is divided by, in `[0, inf)`; 0 stands for 1.

        Raises
        ------
        ValueError
            If their number is wrong, or one is not finite or negative.
        """
        checked = {}
        for name, given in (("mean", mean), ("scale", scale)):
            values = torch.as_tensor(given, dtype=torch.float64, device="cpu").detach()
            if values.shape != self.mean.shape:
                raise ValueError(
                    f"{name} has shape {tuple(values.shape)}, expected {tuple(self.mean.shape)}: "
                    f"one value per feature."
                )
            if not bool(values.isfinite().all()):
                raise ValueError(f"{name} must be finite, got {values.tolist()}.")
            checked[name] = values
        if bool((checked["scale"] < 0).any()):
            raise ValueError(f"scale must not be negative, got {checked['scale'].tolist()}.")
        self.mean.copy_(checked["mean"])
        self.scale.copy_(checked["scale"])
        # Also after the cast: a scale too small for the type must not become a division by 0.
        self.scale.masked_fill_(self.scale == 0, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Standardise a batch.

        Parameters
        ----------
        x : Tensor of shape (batch, time, features)
            The sequences.

        Returns
        -------
        Tensor of shape (batch, time, features)
            `(x - mean) / scale`.

        Raises
        ------
        ValueError
            If `x` has another number of features.
        """
        if x.shape[-1] != len(self.mean):
            raise ValueError(
                f"x has {x.shape[-1]} features per time step, expected {len(self.mean)}."
            )
        # In place: the difference is nobody else's.
        return (x - self.mean).div_(self.scale)
