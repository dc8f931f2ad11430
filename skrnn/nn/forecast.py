"""Forecast: the network from a window of the past to the distribution of every step to come."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from skrnn.nn.covariates import CovariateEmbedding
from skrnn.nn.decoders import DECODERS, Decoder
from skrnn.nn.encoder import RecurrentEncoder
from skrnn.nn.heads import Head, ProbabilisticHead, make_head
from skrnn.nn.randomness import Dropout
from skrnn.nn.specs import DTYPES, FORECAST_DEFAULTS, ForecastSpec, complete
from skrnn.nn.windows import WindowScaler

__all__ = ["Forecast", "ForecastNetwork"]

#: Features per step of the horizon that the head reads.
STEP_SIZE = 32


class Forecast(NamedTuple):
    """Raw values for the steps to come, and the scale they are on.

    Parameters
    ----------
    raw : Tensor of shape (batch, horizon, raw_size)
        What the head reads.

    shift : Tensor of shape (batch, horizon) or (batch, 1)
        What the shortcut predicts, on the scale of the window.

    location : Tensor of shape (batch, 1)
        Location of the window.

    scale : Tensor of shape (batch, 1)
        Scale of the window.

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import ForecastNetwork
    >>> forecast = ForecastNetwork.build({"window_length": 8, "horizon": 3})(torch.ones(2, 8))
    >>> forecast.location
    tensor([[1.],
            [1.]])
    """

    raw: Tensor
    shift: Tensor
    location: Tensor
    scale: Tensor


class ForecastNetwork(nn.Module):
    """Network from the past of a series to the distribution of all steps of a horizon at once.

    A window is scaled by itself, cut into patches, read by a recurrent encoder, and decoded from
    its last state. A linear shortcut from the window to the horizon starts as the seasonal naive
    forecast, and the recurrent part learns what that misses.

    Parameters
    ----------
    window_length : int
        Steps of the past. A multiple of `patch_length`.

    horizon : int
        Steps of the future. Values in `[1, inf)`.

    encoder : torch.nn.Module
        Called with (batch, patches, features), as :class:`RecurrentEncoder`.

    decoder : Decoder
        Makes one representation per step from the context and the covariates of the future; `head`
        reads it.

    head : Head
        Makes the raw values of one step, and knows their loss.

    scaler : WindowScaler
        Measures windows. Heads that expect normalised targets get them scaled; counts stay counts
        and the scale enters through the logarithm of their mean.

    patch_length : int, default=1
        Steps of one patch. Values in `[1, inf)`.

    period : int, default=1
        Steps in one season, for the start of the shortcut. Values in `[1, inf)`.

    shortcut : bool, default=True
        Whether there is a linear shortcut. Without it forecasts start at the location.

    covariates : dict of CovariateEmbedding, default=None
        Embeddings by the name of their input: "past", "future" and "static".

    dropout : float, default=0.0
        Probability of dropping a feature of the context. Values in `[0, 1]`.

    See Also
    --------
    RecurrentEncoder : The recurrent layers.
    WindowScaler : Location and scale of a window.
    Decoder : From the context to the horizon.

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import ForecastNetwork
    >>> network = ForecastNetwork.build({"window_length": 8, "horizon": 3, "patch_length": 4})
    >>> forecast = network(torch.arange(16.0).reshape(2, 8))
    >>> network.quantiles(forecast, [0.1, 0.5, 0.9]).shape
    torch.Size([2, 3, 3])
    """

    def __init__(
        self,
        window_length: int,
        horizon: int,
        encoder: nn.Module,
        decoder: Decoder,
        head: Head,
        scaler: WindowScaler,
        patch_length: int = 1,
        period: int = 1,
        shortcut: bool = True,
        covariates: Mapping[str, CovariateEmbedding] | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if window_length % patch_length:
            raise ValueError(
                f"window_length={window_length} is no multiple of patch_length={patch_length}."
            )
        self.window_length = window_length
        self.horizon = horizon
        self.patch_length = patch_length
        self.period = period
        self.encoder = encoder
        self.decoder = decoder
        self.head = head
        self.scaler = scaler
        self.covariates = nn.ModuleDict(covariates)
        self.dropout = Dropout(dropout)
        self.shortcut = _zero_linear(window_length, horizon) if shortcut else None
        step = torch.arange(horizon) % period
        naive = window_length - period + step if period <= window_length else step * 0 - 1
        self.register_buffer("naive", naive % window_length, persistent=False)

    naive: Tensor

    @classmethod
    def build(cls, spec: Mapping[str, object]) -> "ForecastNetwork":
        """Build a network from plain values.

        Parameters
        ----------
        spec : mapping
            `window_length` and `horizon`, and what differs from the defaults among `patch_length`,
            `period`, `scaling`, `cell`, `hidden_size`, `num_layers`, `nonlinearity`, `dropout`,
            `decoder` (a name in `DECODERS`), `shortcut`, `head` (a name in `HEADS`), `quantiles`,
            `dtype`, and `past`, `future` and `static`: how many numbers, and how many codes for
            each category, the covariates of that name hold.

        Returns
        -------
        ForecastNetwork
            With random weights from torch's generator.

        Raises
        ------
        ValueError
            If a name is missing or unknown, or a value is out of its range.
        """
        full = complete(spec, ForecastSpec, FORECAST_DEFAULTS)
        covariates = {
            name: CovariateEmbedding(full[name][0], full[name][1])
            for name in ("past", "future", "static")
            if full[name] != (0, ())
        }
        sizes = {name: embedding.output_size for name, embedding in covariates.items()}
        encoder = RecurrentEncoder(
            full["patch_length"] * (2 + sizes.get("past", 0)),
            full["hidden_size"],
            full["num_layers"],
            cell=full["cell"],
            nonlinearity=full["nonlinearity"],
            dropout=full["dropout"],
        )
        if full["decoder"] not in DECODERS:
            raise ValueError(f"unknown decoder {full['decoder']!r}: expected one of {[*DECODERS]}.")
        context_size = encoder.output_size + sizes.get("static", 0)
        network = cls(
            full["window_length"],
            full["horizon"],
            encoder,
            DECODERS[full["decoder"]](
                context_size, full["horizon"], STEP_SIZE, sizes.get("future", 0)
            ),
            make_head(full["head"], STEP_SIZE, 1, full["quantiles"]),
            WindowScaler(full["scaling"], full["period"]),
            full["patch_length"],
            full["period"],
            full["shortcut"],
            covariates,
            full["dropout"],
        )
        return network.to(DTYPES[full["dtype"]])

    def forward(
        self,
        past: Tensor,
        least: Tensor | None = None,
        past_covariates: Tensor | None = None,
        future_covariates: Tensor | None = None,
        static_covariates: Tensor | None = None,
    ) -> Forecast:
        """Forecast a batch of windows.

        Parameters
        ----------
        past : Tensor of shape (batch, window_length)
            Values up to the origin; NaN before the start of a series and where one is missing.
            Best in float64: the level is taken off before it is cast.

        least : Tensor of shape (batch,) or None, default=None
            Least scale of each window.

        past_covariates : Tensor of shape (batch, window_length, n_past) or None, default=None
            Covariates of the same steps.

        future_covariates : Tensor of shape (batch, horizon, n_future) or None, default=None
            Covariates of the steps to come.

        static_covariates : Tensor of shape (batch, n_static) or None, default=None
            What is known about each series.

        Returns
        -------
        Forecast
            What `loss`, `predict` and `quantiles` read.
        """
        location, scale = self.scaler(past, least)
        seen = past.isfinite()
        x = self._scale(past, location, scale).where(seen, 0.0).to(self._dtype)
        tokens = torch.stack([x, seen.to(x)], dim=2)
        if "past" in self.covariates:
            tokens = torch.cat([tokens, self._embed("past", past_covariates)], dim=2)
        tokens = tokens.unflatten(1, (-1, self.patch_length)).flatten(2)
        # Any other module is called as the class says.
        only = {"last_only": True} if type(self.encoder) is RecurrentEncoder else {}
        context = self.encoder(tokens, **only)[:, -1]
        if "static" in self.covariates:
            context = torch.cat([context, self._embed("static", static_covariates)], dim=1)
        future = None
        if "future" in self.covariates:
            future = self._embed("future", future_covariates)
        raw = self.head(self.decoder(self.dropout(context), future))
        shift = x.new_zeros(len(x), 1)
        if self.shortcut is not None:
            shift = x[:, self.naive] + self.shortcut(x)
        return Forecast(raw, shift, location, scale)

    def loss(self, forecast: Forecast, target: Tensor) -> Tensor:
        """Compute the loss of every step on the scale of its window.

        Parameters
        ----------
        forecast : Forecast
            What `forward` returned.

        target : Tensor of shape (batch, horizon)
            The truth; NaN where it is not known.

        Returns
        -------
        Tensor of shape (batch, horizon)
            The loss; 0 where the target is missing and in windows of constant values, which have
            no scale.
        """
        usable = target.isfinite() & (forecast.scale > 0)
        raw, scaled = self._on_head_scale(forecast, target)
        scaled = scaled.where(usable, 0.0).to(raw.dtype)
        loss = self.head.loss(raw.where(usable.unsqueeze(2), 0.0), scaled.unsqueeze(2))
        return loss * usable

    def predict(self, forecast: Forecast) -> Tensor:
        """Compute the point forecast in the units of the series.

        Parameters
        ----------
        forecast : Forecast
            What `forward` returned.

        Returns
        -------
        Tensor of shape (batch, horizon)
            The point forecast.
        """
        raw, _ = self._on_head_scale(forecast)
        return self._in_units(self.head.predict(raw), forecast).squeeze(2)

    def quantiles(self, forecast: Forecast, alpha: Sequence[float]) -> Tensor:
        """Compute quantiles in the units of the series.

        Parameters
        ----------
        forecast : Forecast
            What `forward` returned.

        alpha : sequence of float
            Levels in `(0, 1)`, in any order.

        Returns
        -------
        Tensor of shape (batch, horizon, n_alpha)
            The quantiles, never decreasing in `alpha`. A head without a distribution gives its
            point forecast for every level.
        """
        raw, _ = self._on_head_scale(forecast)
        if isinstance(self.head, ProbabilisticHead):
            values = self.head.quantiles(raw, alpha).squeeze(2)
        else:
            values = self.head.predict(raw).expand(-1, -1, len(alpha))
        return self._in_units(values, forecast)

    @property
    def _dtype(self) -> torch.dtype:
        return self.head.projection.weight.dtype

    @property
    def _counts(self) -> bool:
        return isinstance(self.head, ProbabilisticHead) and not self.head.normalizes_target

    @staticmethod
    def _scale(values: Tensor, location: Tensor, scale: Tensor) -> Tensor:
        return (values - location) / scale.where(scale > 0, 1.0)

    def _embed(self, name: str, given: Tensor | None) -> Tensor:
        if given is None:
            raise ValueError(f"the network was built for {name}_covariates, got none.")
        return self.covariates[name](given)

    def _on_head_scale(
        self, forecast: Forecast, target: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Raw values and targets as the head expects them."""
        raw, shift, location, scale = forecast
        scaled = raw.new_zeros(()) if target is None else target
        if self._counts:
            # Counts have a logarithmic link: the scale of the window is added to its output.
            log_scale = scale.where(scale > 0, 1.0).log().to(raw).unsqueeze(2)
            return torch.cat([raw[..., :1] + log_scale, raw[..., 1:]], dim=2), scaled
        if target is not None:
            # What the shortcut says is subtracted from the truth: the head learns the rest.
            scaled = self._scale(target, location, scale).to(raw) - shift
        return raw, scaled

    def _in_units(self, values: Tensor, forecast: Forecast) -> Tensor:
        if self._counts:
            # A window of zeros has no scale: its forecast is zero, whatever the head says.
            return values.to(forecast.scale) * (forecast.scale > 0).unsqueeze(2)
        values = (values + forecast.shift.unsqueeze(2)).to(forecast.scale)
        return values * forecast.scale.unsqueeze(2) + forecast.location.unsqueeze(2)


def _zero_linear(input_size: int, output_size: int) -> nn.Linear:
    linear = nn.Linear(input_size, output_size)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
