"""Patches: several time steps become one."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from skrnn.nn.frontends.base import Frontend
from skrnn.nn.lengths import Lengths, ValidSteps

__all__ = ["PatchFrontend"]


class PatchFrontend(Frontend):
    r"""Cut sequences into patches of some steps, each of which becomes one step.

    Parameters
    ----------
    input_size : int
        Number of features per time step. Values in `[1, inf)`.

    patch_length : int, default=8
        Time steps of a patch. Values in `[1, inf)`.

    output_size : int, default=64
        Number of features of a patch. Values in `[1, inf)`.

    See Also
    --------
    ConvFrontend : Convolutions over time.

    Notes
    -----
    A patch :math:`X` of :math:`p` steps becomes :math:`\mathrm{ReLU}(W [X, m] + b)`, as the
    segments of [1]_. The last patch of a sequence is filled up with zeros; :math:`m` holds a 1 for
    each of the :math:`p` steps that is valid. The recurrent layers run :math:`p` times fewer steps.

    References
    ----------
    .. [1] S. Lin, W. Lin, W. Wu, F. Zhao, R. Mo, H. Zhang, "SegRNN: Segment Recurrent Neural
       Network for Long-Term Time Series Forecasting", 2023. arXiv:2308.11200

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import PatchFrontend
    >>> PatchFrontend(3, patch_length=4)(torch.ones(2, 10, 3), lengths=[10, 5]).shape
    torch.Size([2, 3, 64])
    """

    def __init__(self, input_size: int, patch_length: int = 8, output_size: int = 64) -> None:
        if patch_length < 1:
            raise ValueError(f"patch_length must be at least 1 time step, got {patch_length}.")
        super().__init__(output_size, stride=patch_length)
        self.input_size = input_size
        self.projection = nn.Linear(patch_length * (input_size + 1), output_size)
        nn.init.xavier_uniform_(self.projection.weight)
        nn.init.zeros_(self.projection.bias)

    def forward(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        """Make patches.

        Parameters
        ----------
        x : Tensor of shape (batch, time, features)
            The sequences; the padding may hold anything, NaN included.

        lengths : Tensor, ndarray, sequence of int or None, default=None
            Number of valid leading steps per sequence, in `[0, time]`. None: all are valid.

        Returns
        -------
        Tensor of shape (batch, ceil(time / patch_length), output_size)
            The patches. One without a valid step holds a constant.
        """
        valid = ValidSteps.of(lengths, x)
        mask = x.new_ones(x.shape[:2]) if valid.mask is None else valid.mask.to(x.dtype)
        steps = torch.cat([valid.fill(x, 0.0), mask.unsqueeze(2)], dim=2)
        missing = -steps.shape[1] % self.stride
        if missing:
            steps = functional.pad(steps, (0, 0, 0, missing))
        n_patches = steps.shape[1] // self.stride
        patches = steps.reshape(x.shape[0], n_patches, self.stride * steps.shape[2])
        return functional.relu(self.projection(patches))
