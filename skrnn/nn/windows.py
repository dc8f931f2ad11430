"""Windows: each one is brought to its own level and scale, and back."""

import torch
from torch import Tensor, nn

__all__ = ["SCALINGS", "WindowScaler", "last_observed"]

#: What a window is measured by: (location, scale).
SCALINGS = ("last", "mean", "instance", "none")

#: Share of the standard deviation in the scale "last". Differences alone vanish on an exact season.
SPREAD_SHARE = 0.1


class WindowScaler(nn.Module):
    r"""Location and scale of every window, from its observed values.

    Parameters
    ----------
    kind : {"last", "mean", "instance", "none"}, default="last"
        * "last": the last observed value, and how far values one season apart differ;
        * "mean": 0, and the mean absolute value;
        * "instance": mean and standard deviation;
        * "none": 0 and 1.

    period : int, default=1
        Steps in one season, read by "last". Values in `[1, inf)`.

    Notes
    -----
    With :math:`m` steps in a season and the standard deviation :math:`\sigma`, the scale of "last"
    is :math:`\operatorname{mean}_t |y_t - y_{t-m}| + \sigma / 10`. Its first term is what the mean
    absolute scaled error divides by [1]_. Where no two values are a season apart, :math:`m = 1`.

    A least scale per window may be given, taken from the whole series: a window that happens to be
    flat says little about what comes next.

    References
    ----------
    .. [1] R. J. Hyndman, A. B. Koehler, "Another look at measures of forecast accuracy",
       International Journal of Forecasting 22(4), 2006. doi.org/10.1016/j.ijforecast.2006.03.001

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import WindowScaler
    >>> location, scale = WindowScaler("instance")(torch.tensor([[1.0, 5.0, float("nan")]]))
    >>> location, scale
    (tensor([[3.]]), tensor([[2.]]))
    """

    def __init__(self, kind: str = "last", period: int = 1) -> None:
        super().__init__()
        if kind not in SCALINGS:
            raise ValueError(f"kind must be one of {', '.join(map(repr, SCALINGS))}, got {kind!r}.")
        if period < 1:
            raise ValueError(f"period must be at least 1, got {period}.")
        self.kind = kind
        self.period = period

    def forward(self, past: Tensor, least: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Measure windows.

        Parameters
        ----------
        past : Tensor of shape (batch, time)
            Values; NaN where nothing was observed.

        least : Tensor of shape (batch,) or None, default=None
            Least scale of each window.

        Returns
        -------
        location : Tensor of shape (batch, 1)
            What is subtracted.

        scale : Tensor of shape (batch, 1)
            What is divided by; 0 for a window of constant values.
        """
        seen = past.isfinite()
        values = past.where(seen, 0.0)
        count = seen.sum(dim=1, keepdim=True).clamp(min=1)
        zero = values.new_zeros(len(values), 1)
        if self.kind == "none":
            return zero, zero + 1
        if self.kind == "mean":
            location, scale = zero, values.abs().sum(dim=1, keepdim=True) / count
        else:
            mean = values.sum(dim=1, keepdim=True) / count
            variance = ((values - mean).square() * seen).sum(dim=1, keepdim=True) / count
            location, scale = mean, variance.sqrt()
            if self.kind == "last":
                location = last_observed(past)
                scale = SPREAD_SHARE * scale + self._mean_change(past)
        return location, scale if least is None else torch.maximum(scale, least.unsqueeze(1))

    def _mean_change(self, past: Tensor) -> Tensor:
        """Mean absolute change over one season, over one step where no two are a season apart."""
        change = _mean_difference(past, 1)
        if self.period == 1 or past.shape[1] <= self.period:
            return change.nan_to_num()
        seasonal = _mean_difference(past, self.period)
        return seasonal.where(seasonal.isfinite(), change).nan_to_num()


def _mean_difference(past: Tensor, lag: int) -> Tensor:
    return (past[:, lag:] - past[:, :-lag]).abs().nanmean(dim=1, keepdim=True)


def last_observed(past: Tensor) -> Tensor:
    """Take the last value of every window that is not missing.

    Parameters
    ----------
    past : Tensor of shape (batch, time)
        Values; NaN where nothing was observed.

    Returns
    -------
    Tensor of shape (batch, 1)
        The values; 0 where a window has none.

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import last_observed
    >>> last_observed(torch.tensor([[1.0, 2.0, float("nan")]]))
    tensor([[2.]])
    """
    steps = torch.arange(1, past.shape[1] + 1, device=past.device)
    where = (past.isfinite() * steps).argmax(dim=1, keepdim=True)
    return past.where(past.isfinite(), 0.0).gather(1, where)
