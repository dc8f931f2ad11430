"""Heads: raw values become predictions, in float64."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._numpy.carried import Carried, State
from skrnn._numpy.counts import quantiles_of_counts

__all__ = ["HEADS", "Head", "PathHead", "make_head", "mean_of_heads", "raw_size"]

Floats = NDArray[np.float64]
Weights = Mapping[str, NDArray[Any]]

# As in skrnn.nn: what keeps scales, degrees of freedom and dispersions away from their limits.
MIN_SCALE, MIN_DF, MIN_DISPERSION = 1e-4, 2 + 1e-3, 1e-6
LARGEST = float(np.finfo(np.float64).max)


class Head:
    """One value per output: the raw values themselves."""

    #: Raw values per output.
    width = 1

    def __init__(self, n_outputs: int, weights: Weights) -> None:
        self.n_outputs = n_outputs

    def _split(self, raw: Floats) -> list[Floats]:
        return np.split(raw, self.width, axis=-1)

    def predict(self, raw: Floats) -> Floats:
        """Predictions of shape (n, n_outputs) from raw values of shape (n, raw_size)."""
        return raw


class CategoricalHead(Head):
    """Probabilities that sum to 1."""

    def ranking(self, raw: Floats) -> Floats:
        """Something that is largest where the probability is."""
        return raw

    def predict(self, raw: Floats) -> Floats:
        p = np.exp(raw - raw.max(axis=-1, keepdims=True))
        p /= p.sum(axis=-1, keepdims=True)
        return p


class MultilabelHead(Head):
    """Probabilities, each by itself."""

    def predict(self, raw: Floats) -> Floats:
        return 0.5 * np.tanh(0.5 * raw) + 0.5


class DistributionHead(Head, ABC):
    """A distribution, of which the quantiles are known as well."""

    @abstractmethod
    def quantiles(self, raw: Floats, levels: Floats) -> Floats:
        """Quantiles of shape (n, n_outputs, n_levels)."""


class NormalHead(DistributionHead):
    """Mean and standard deviation."""

    width = 2

    def predict(self, raw: Floats) -> Floats:
        return self._split(raw)[0]

    def quantiles(self, raw: Floats, levels: Floats) -> Floats:
        mean, scale = self._split(raw)
        return mean[..., None] + (softplus(scale) + MIN_SCALE)[..., None] * normal_quantiles(levels)


class StudentTHead(DistributionHead):
    """Location, scale and degrees of freedom."""

    width = 3

    def predict(self, raw: Floats) -> Floats:
        return self._split(raw)[0]

    def quantiles(self, raw: Floats, levels: Floats) -> Floats:
        from scipy.special import stdtrit

        mean, scale, df = (part[..., None] for part in self._split(raw))
        standard = stdtrit(softplus(df) + MIN_DF, levels)
        return mean + (softplus(scale) + MIN_SCALE) * standard


class NegativeBinomialHead(DistributionHead):
    """Mean and dispersion of counts."""

    width = 2

    def __init__(self, n_outputs: int, weights: Weights) -> None:
        super().__init__(n_outputs, weights)
        self.log_scale = weights["log_scale"].astype(np.float64)

    def predict(self, raw: Floats) -> Floats:
        with np.errstate(over="ignore"):
            return np.exp(self._split(raw)[0] + self.log_scale).clip(max=LARGEST)

    def quantiles(self, raw: Floats, levels: Floats) -> Floats:
        log_mean, dispersion = self._split(raw)
        log_mean, dispersion = log_mean + self.log_scale, softplus(dispersion) + MIN_DISPERSION
        counts = quantiles_of_counts(log_mean[..., None], dispersion[..., None], levels)
        return counts.clip(max=LARGEST)


class QuantileHead(DistributionHead):
    """Learned quantiles: the one nearest to the median, and positive distances from it."""

    def __init__(self, n_outputs: int, weights: Weights, levels: Sequence[float]) -> None:
        super().__init__(n_outputs, weights)
        self.levels = np.asarray(levels, dtype=np.float64)
        self.width = len(self.levels)
        self.center = int(np.abs(self.levels - 0.5).argmin())
        self.knots = normal_quantiles(self.levels)

    def _values(self, raw: Floats) -> Floats:
        raw = raw.reshape(*raw.shape[:-1], self.n_outputs, self.width)
        below, center, above = np.split(raw, [self.center, self.center + 1], axis=-1)
        up = center + softplus(above).cumsum(axis=-1)
        down = center - softplus(below)[..., ::-1].cumsum(axis=-1)[..., ::-1]
        return np.concatenate([down, center, up], axis=-1)

    def predict(self, raw: Floats) -> Floats:
        levels = self.levels if self.width == 1 else np.array([0.5])
        return self.quantiles(raw, levels)[..., 0]

    def quantiles(self, raw: Floats, levels: Floats) -> Floats:
        values = self._values(raw)
        if self.width == 1:
            if set(levels.tolist()) != set(self.levels.tolist()):
                raise ValueError(
                    f"only the quantile {self.levels[0]} was learned, got {levels.tolist()}; "
                    f"learn two or more to interpolate."
                )
            return np.repeat(values, len(levels), axis=-1)
        low = np.searchsorted(self.levels, levels, side="right") - 1
        low = low.clip(0, self.width - 2)
        weight = (normal_quantiles(levels) - self.knots[low]) / np.diff(self.knots)[low]
        return values[..., low] + weight * (values[..., low + 1] - values[..., low])


class PathHead(Head, Carried):
    """Labels of all steps together; the state is what the best and all paths so far are worth.

    After a step, the best path and the probabilities of its last label are those of the sequence
    so far: the scores of an end are added.
    """

    names = ("best", "all")

    def __init__(self, n_outputs: int, weights: Weights) -> None:
        super().__init__(n_outputs, weights)
        self.start, self.end, self.transitions = (
            weights[name].astype(np.float64) for name in ("start", "end", "transitions")
        )

    def initial(self, n: int) -> State:
        # A first step has no label before it: it adds nothing but its start.
        nothing = np.full((n, self.n_outputs), -np.inf)
        return nothing, nothing

    def scores(self, raw: Floats) -> Floats:
        """Scores of the classes of every step, the same for all paths but for a constant."""
        raw = raw - raw.max(axis=-1, keepdims=True)
        return raw - np.log(np.exp(raw).sum(axis=-1, keepdims=True))

    def step(self, raw: Floats, state: State) -> State:
        """State after a step with raw values of shape (n, n_outputs)."""
        best, everything = state
        scores, first = self.scores(raw), np.isneginf(best[:, :1])
        best = np.where(first, self.start, (best[:, :, None] + self.transitions).max(axis=1))
        paths = log_sum_exp(everything[:, :, None] + self.transitions)
        return best + scores, np.where(first, self.start, paths) + scores

    def newest_label(self, state: State) -> NDArray[np.int64]:
        """Last label of the best path."""
        return (state[0] + self.end).argmax(axis=1)

    def newest_proba(self, state: State) -> Floats:
        """Probabilities of the last label."""
        scores = self.scores(state[1] + self.end)
        return np.exp(scores)

    def decode(self, raw: Floats) -> NDArray[np.int64]:
        """Best path of one sequence of raw values of shape (time, n_outputs)."""
        if len(raw) == 0:
            return np.zeros(0, dtype=np.int64)
        scores = self.scores(raw)
        best, origins = self.start + scores[0], []
        for score in scores[1:]:
            paths = best[:, None] + self.transitions
            origins.append(paths.argmax(axis=0))
            best = paths.max(axis=0) + score
        path = [int((best + self.end).argmax())]
        for origin in reversed(origins):
            path.append(int(origin[path[-1]]))
        return np.array(path[::-1], dtype=np.int64)

    def marginals(self, raw: Floats) -> Floats:
        """Probabilities of the labels of each step of one sequence."""
        if len(raw) == 0:
            return raw[:, : self.n_outputs]
        scores = self.scores(raw)
        before, after = np.empty_like(scores), np.empty_like(scores)
        before[0], after[-1] = self.start + scores[0], self.end
        for t in range(1, len(scores)):
            paths = before[t - 1][None, :, None] + self.transitions
            before[t] = log_sum_exp(paths)[0] + scores[t]
        for t in range(len(scores) - 2, -1, -1):
            paths = (scores[t + 1] + after[t + 1])[None, :, None] + self.transitions.T
            after[t] = log_sum_exp(paths)[0]
        return np.exp(self.scores(before + after))


class MeanHead(Head):
    """The mean of what the heads of several networks predict from their parts of the raw values."""

    def __init__(self, heads: Sequence[Any]) -> None:
        self.heads = list(heads)

    def _parts(self, raw: Floats) -> list[Floats]:
        return np.split(raw, len(self.heads), axis=-1)

    def ranking(self, raw: Floats) -> Floats:
        """Something that is largest where the mean probability is: itself."""
        return self.predict(raw)

    def predict(self, raw: Floats) -> Floats:
        pairs = zip(self.heads, self._parts(raw), strict=True)
        return np.mean([head.predict(part) for head, part in pairs], axis=0)


class MeanDistributionHead(MeanHead, DistributionHead):
    """The mean of distributions, level by level."""

    def quantiles(self, raw: Floats, levels: Floats) -> Floats:
        pairs = zip(self.heads, self._parts(raw), strict=True)
        return np.mean([head.quantiles(part, levels) for head, part in pairs], axis=0)


class MeanPathHead(PathHead):
    """The random field whose scores are the means of those of several."""

    def __init__(self, heads: Sequence[Any]) -> None:
        self.n_heads, self.n_outputs = len(heads), heads[0].n_outputs
        for name in ("start", "end", "transitions"):
            setattr(self, name, np.mean([getattr(head, name) for head in heads], axis=0))

    def scores(self, raw: Floats) -> Floats:
        if raw.shape[-1] != self.n_outputs:
            raw = raw.reshape(*raw.shape[:-1], self.n_heads, -1).mean(axis=-2)
        return super().scores(raw)


#: The heads by the names of skrnn.nn.
HEADS: dict[str, Callable[..., Head]] = {
    "absolute_error": Head,
    "categorical": CategoricalHead,
    "crf": PathHead,
    "huber": Head,
    "multilabel": MultilabelHead,
    "negative_binomial": NegativeBinomialHead,
    "normal": NormalHead,
    "quantile": QuantileHead,
    "squared_error": Head,
    "student_t": StudentTHead,
}

#: Weights beyond those of the projection, with how many axes of the number of outputs they have.
FURTHER = {"crf": {"start": 1, "end": 1, "transitions": 2}, "negative_binomial": {"log_scale": 1}}


def make_head(name: str, n_outputs: int, quantiles: Sequence[float], weights: Weights) -> Head:
    """Make the head of a name in `HEADS`."""
    if name == "quantile":
        return QuantileHead(n_outputs, weights, quantiles)
    return HEADS[name](n_outputs, weights)


def raw_size(name: str, n_outputs: int, quantiles: Sequence[float]) -> int:
    """Number of raw values that a head reads."""
    width = len(quantiles) if name == "quantile" else HEADS[name].width  # type: ignore[attr-defined]
    return n_outputs * width


def mean_of_heads(heads: Sequence[Any]) -> Any:
    """Make a head that averages: a single one as it is."""
    if len(heads) == 1:
        return heads[0]
    if isinstance(heads[0], PathHead):
        return MeanPathHead(heads)
    return (MeanDistributionHead if hasattr(heads[0], "quantiles") else MeanHead)(heads)


def softplus(x: Floats) -> Floats:
    """Compute `log(1 + exp(x))`."""
    return np.logaddexp(0.0, x)


def log_sum_exp(paths: Floats) -> Floats:
    """Logarithm of the sum of exponentials over the second axis; -inf of nothing but -inf."""
    highest = paths.max(axis=1)
    safe = np.where(np.isneginf(highest), 0.0, highest)
    with np.errstate(divide="ignore"):
        return safe + np.log(np.exp(paths - safe[:, None]).sum(axis=1))


def normal_quantiles(levels: Floats) -> Floats:
    """Quantiles of the standard normal distribution."""
    inverse = NormalDist().inv_cdf
    return np.array([inverse(level) for level in np.asarray(levels).tolist()])
