"""Decoders: the last state becomes one representation per step of the horizon, all at once."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["DECODERS", "Decoder", "DenseDecoder", "SegmentDecoder"]

#: Standard deviation of the first weights of a last layer: forecasts start close to the shortcut.
START = 0.02
#: Features of the context that meet each step's covariates.
CONTEXT_SIZE = 16


class Decoder(nn.Module, ABC):
    """Base of decoders: the context becomes a representation of every step of the horizon.

    A new decoder is a subclass with `decode`; how the known future enters is the same for all.

    Parameters
    ----------
    input_size : int
        Number of features of the context. Values in `[1, inf)`.

    horizon : int
        Number of steps. Values in `[1, inf)`.

    output_size : int
        Number of features per step. Values in `[1, inf)`.

    n_covariates : int, default=0
        Number of features known for every step of the horizon. They pass, together with the
        context, through a layer that all steps share.

    Attributes
    ----------
    covariates : torch.nn.ModuleDict or None
        The layers that the known future passes; None without.

    See Also
    --------
    ForecastNetwork : Reads the context from a window and gives the steps to a head.

    Notes
    -----
    A last layer with small first weights lets forecasts start close to the shortcut of the
    network.

    Examples
    --------
    The same representation for every step, so that only the covariates tell steps apart:

    >>> import torch
    >>> from skrnn.nn import Decoder
    >>> class LevelDecoder(Decoder):
    ...     def __init__(self, input_size, horizon, output_size, n_covariates=0):
    ...         super().__init__(input_size, horizon, output_size, n_covariates)
    ...         self.output = torch.nn.Linear(input_size, output_size)
    ...     def decode(self, context):
    ...         return self.output(context).unsqueeze(1).expand(-1, self.horizon, -1)
    >>> LevelDecoder(8, 5, 3, n_covariates=2)(torch.zeros(4, 8), torch.zeros(4, 5, 2)).shape
    torch.Size([4, 5, 3])
    """

    def __init__(
        self, input_size: int, horizon: int, output_size: int, n_covariates: int = 0
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.horizon = horizon
        self.output_size = output_size
        self.covariates: nn.ModuleDict | None = None
        if n_covariates:
            self.covariates = nn.ModuleDict(
                {
                    "context": nn.Linear(input_size, CONTEXT_SIZE),
                    "hidden": nn.Linear(CONTEXT_SIZE + n_covariates, 2 * CONTEXT_SIZE),
                    "output": _small_linear(2 * CONTEXT_SIZE, output_size),
                }
            )

    def forward(self, context: Tensor, future: Tensor | None = None) -> Tensor:
        """Decode a batch.

        Parameters
        ----------
        context : Tensor of shape (batch, input_size)
            What is known at the origin of the forecast.

        future : Tensor of shape (batch, horizon, n_covariates) or None, default=None
            Covariates of the steps to come.

        Returns
        -------
        Tensor of shape (batch, horizon, output_size)
            One representation per step.

        Raises
        ------
        ValueError
            If the covariates are missing.
        """
        steps = self.decode(context)
        if self.covariates is None:
            return steps
        if future is None:
            raise ValueError("the decoder was built for covariates of the future, got none.")
        state = self.covariates["context"](context).unsqueeze(1).expand(-1, future.shape[1], -1)
        hidden = functional.relu(self.covariates["hidden"](torch.cat([state, future], dim=2)))
        return steps + self.covariates["output"](hidden)

    @abstractmethod
    def decode(self, context: Tensor) -> Tensor:
        """Decode the context alone.

        Parameters
        ----------
        context : Tensor of shape (batch, input_size)
            What is known at the origin of the forecast.

        Returns
        -------
        Tensor of shape (batch, horizon, output_size)
            One representation per step, before the covariates are added.
        """


class DenseDecoder(Decoder):
    """One linear map from the context to all steps of the horizon.

    Parameters
    ----------
    input_size : int
        Number of features of the context. Values in `[1, inf)`.

    horizon : int
        Number of steps. Values in `[1, inf)`.

    output_size : int
        Number of features per step. Values in `[1, inf)`.

    n_covariates : int, default=0
        Number of features known for every step of the horizon. They pass, together with the
        context, through a layer that all steps share.

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import DenseDecoder
    >>> DenseDecoder(8, horizon=5, output_size=3)(torch.zeros(2, 8)).shape
    torch.Size([2, 5, 3])
    """

    def __init__(
        self, input_size: int, horizon: int, output_size: int, n_covariates: int = 0
    ) -> None:
        super().__init__(input_size, horizon, output_size, n_covariates)
        self.output = _small_linear(input_size, horizon * output_size)

    def decode(self, context: Tensor) -> Tensor:
        """Map the context to all steps.

        Parameters
        ----------
        context : Tensor of shape (batch, input_size)
            What is known at the origin of the forecast.

        Returns
        -------
        Tensor of shape (batch, horizon, output_size)
            One representation per step, before the covariates are added.
        """
        return self.output(context).unflatten(1, (self.horizon, -1))


class SegmentDecoder(Decoder):
    """One step of a recurrent cell per segment of the horizon, all segments at once [1]_.

    Parameters
    ----------
    input_size : int
        Number of features of the context. Values in `[1, inf)`.

    horizon : int
        Number of steps. Values in `[1, inf)`.

    output_size : int
        Number of features per step. Values in `[1, inf)`.

    n_covariates : int, default=0
        Number of features known for every step of the horizon.

    segment_length : int, default=24
        Steps decoded from one state. Values in `[1, inf)`.

    Notes
    -----
    Every segment starts a GRU cell from the context and feeds it the learned vector of its
    position. Weights are shared by all segments, so that there are fewer of them than in
    :class:`DenseDecoder` when the horizon is long.

    References
    ----------
    .. [1] S. Lin et al., "SegRNN: Segment Recurrent Neural Network for Long-Term Time Series
       Forecasting", 2023. arXiv:2308.11200

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import SegmentDecoder
    >>> SegmentDecoder(8, horizon=5, output_size=3, segment_length=2)(torch.zeros(2, 8)).shape
    torch.Size([2, 5, 3])
    """

    def __init__(
        self,
        input_size: int,
        horizon: int,
        output_size: int,
        n_covariates: int = 0,
        segment_length: int = 24,
    ) -> None:
        super().__init__(input_size, horizon, output_size, n_covariates)
        segment_length = min(segment_length, horizon)
        n_segments = -(-horizon // segment_length)
        self.position = nn.Parameter(0.1 * torch.randn(n_segments, input_size))
        self.cell = nn.GRUCell(input_size, input_size)
        self.output = _small_linear(input_size, segment_length * output_size)

    def decode(self, context: Tensor) -> Tensor:
        """Run the cell once per segment.

        Parameters
        ----------
        context : Tensor of shape (batch, input_size)
            What is known at the origin of the forecast.

        Returns
        -------
        Tensor of shape (batch, horizon, output_size)
            One representation per step, before the covariates are added.
        """
        batch, n_segments = len(context), len(self.position)
        state = self.cell(
            self.position.repeat(batch, 1), context.repeat_interleave(n_segments, dim=0)
        )
        return self.output(state).reshape(batch, -1, self.output_size)[:, : self.horizon]


#: Decoders by name; all are called with (input_size, horizon, output_size, n_covariates).
DECODERS: dict[str, type[Decoder]] = {
    "dense": DenseDecoder,
    "recurrent": SegmentDecoder,
}


def _small_linear(input_size: int, output_size: int) -> nn.Linear:
    linear = nn.Linear(input_size, output_size)
    nn.init.normal_(linear.weight, std=START)
    nn.init.zeros_(linear.bias)
    return linear
