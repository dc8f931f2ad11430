"""Base of front ends: what the encoder reads instead of the time steps themselves."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from skrnn.nn.lengths import ValidSteps

__all__ = ["Frontend"]


class Frontend(nn.Module, ABC):
    """Base of front ends: time steps become the steps that the recurrent layers read.

    Subclass it to give :class:`SequenceNetwork`, or the parameter `frontend` of an estimator, one
    of your own: the class is called with `(input_size,)`.

    Parameters
    ----------
    output_size : int
        Number of features of the output. Values in `[1, inf)`.

    stride : int, default=1
        Time steps in one step of the output. Values in `[1, inf)`.

    summary_size : int, default=0
        Number of features of the summary of a sequence, which goes beside the pooled states to the
        head. 0: there is none.

    summary_alone : bool, default=False
        Whether the head learns to answer from the summary alone, and from the pooled states alone.
        Its answer is the mean of both then, on the scale of its raw values.

    See Also
    --------
    PatchFrontend : Several steps become one.
    ConvFrontend : Convolutions over time.

    Notes
    -----
    The input holds 0 at padding. A convolution that pads with zeros sees the same after the last
    valid step as after the end of the batch, so one of them is exact without a mask. After it the
    padding holds something else: before the next one call `valid.fill(x, 0.0)`.

    Examples
    --------
    Every step with its change since the one before:

    >>> import torch
    >>> from skrnn.nn import Frontend, SequenceNetwork
    >>> class Changes(Frontend):
    ...     def __init__(self, input_size):
    ...         super().__init__(2 * input_size)
    ...     def forward(self, x, valid):
    ...         before = torch.nn.functional.pad(x, (0, 0, 1, 0))[:, :-1]
    ...         return torch.cat([x, x - before], dim=2)
    >>> spec = {"n_features": 3, "frontend": Changes, "head": "categorical", "n_outputs": 2}
    >>> SequenceNetwork.build(spec).encoder.input_size
    6
    """

    def __init__(
        self,
        output_size: int,
        *,
        stride: int = 1,
        summary_size: int = 0,
        summary_alone: bool = False,
    ) -> None:
        super().__init__()
        if stride < 1:
            raise ValueError(f"stride must be at least 1 time step, got {stride}.")
        self.output_size = output_size
        self.stride = stride
        self.summary_size = summary_size
        self.summary_alone = summary_alone

    @abstractmethod
    def forward(self, x: Tensor, valid: ValidSteps) -> Tensor | tuple[Tensor, Tensor]:
        """Compute what the encoder reads.

        Parameters
        ----------
        x : Tensor of shape (batch, time, features)
            The input, 0 at padding.

        valid : ValidSteps
            Which of its steps are no padding.

        Returns
        -------
        features : Tensor of shape (batch, ceil(time / stride), output_size)
            The steps for the encoder. Those that hold no valid step may be anything.

        summary : Tensor of shape (batch, summary_size)
            Only with a `summary_size`, as the second of a pair: features of the whole sequence.
        """
