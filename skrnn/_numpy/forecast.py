"""Forecast: from windows of the past to the distribution of the steps to come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._numpy.cells import CELLS, GRUCell, run_layers
from skrnn._numpy.heads import FURTHER, DistributionHead, make_head, raw_size
from skrnn._numpy.network import Arrays, layer_sizes, under

__all__ = ["DECODERS", "SCALINGS", "ForecastNetwork", "shapes_of_forecast", "vector_size"]

# As in skrnn.nn.
STEP_SIZE, CONTEXT_SIZE, SEGMENT_LENGTH, MAX_EMBEDDING = 32, 16, 24, 16
SPREAD_SHARE = 0.1

DECODERS = ("dense", "recurrent")
SCALINGS = ("instance", "last", "mean", "none")


class ForecastNetwork:
    """What :class:`skrnn.nn.ForecastNetwork` computes.

    Parameters
    ----------
    spec : mapping
        What its ``build`` reads.

    weights : dict of ndarray
        The weights, in the names of its ``state_dict``.
    """

    def __init__(self, spec: Mapping[str, Any], weights: Arrays) -> None:
        self.spec = spec
        self.dtype = np.dtype(spec["dtype"])
        self.window_length, self.horizon = spec["window_length"], spec["horizon"]
        options = {"nonlinearity": spec["nonlinearity"]} if spec["cell"] == "rnn" else {}
        self.layers = [
            CELLS[spec["cell"]](under(f"encoder.layers.{i}", weights), **options)
            for i in range(len(layer_sizes(spec)))
        ]
        self.covariates = {
            name: _Embedding(spec[name][0], under(f"covariates.{name}", weights))
            for name in ("past", "future", "static")
            if vector_size(spec[name])
        }
        decoder = _DenseDecoder if spec["decoder"] == "dense" else _SegmentDecoder
        self.decode = decoder(under("decoder", weights), self.horizon)
        known = under("decoder.covariates", weights)
        self.known = _KnownFuture(known) if known else None
        self.projection = _Linear(under("head.projection", weights))
        self.head = make_head(spec["head"], 1, spec["quantiles"], under("head", weights))
        self.shortcut = _Linear(under("shortcut", weights)) if spec["shortcut"] else None
        self.naive = naive_steps(spec["window_length"], spec["horizon"], spec["period"])

    def __call__(
        self, arguments: Mapping[str, NDArray[Any]], alpha: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Forecast a batch of windows.

        Parameters
        ----------
        arguments : mapping of str to ndarray
            Those of :meth:`skrnn.nn.ForecastNetwork.forward`.

        alpha : ndarray of shape (n_alpha,)
            Levels of the quantiles.

        Returns
        -------
        point, quantiles, scale : ndarray of shape (batch, horizon), with a last axis (n_alpha,), \
and (batch, 1)
            On the scale of the windows that were given.
        """
        past = arguments["past"]
        location, scale = measure(
            past, arguments["least"], self.spec["scaling"], self.spec["period"]
        )
        seen = np.isfinite(past)
        unit = np.where(scale > 0, scale, 1.0)
        x = np.where(seen, (past - location) / unit, 0.0).astype(self.dtype)
        context = self._context(x, seen, arguments)
        steps = self.decode(context)
        if self.known is not None:
            steps = steps + self.known(context, self._embed("future", arguments))
        raw = self.projection(steps)
        counts = self.spec["head"] == "negative_binomial"
        if counts:
            raw[..., 0] += np.log(unit).astype(self.dtype)
        raw = raw.astype(np.float64)
        shift = np.zeros((len(x), 1))
        if self.shortcut is not None:
            shift = (x[:, self.naive] + self.shortcut(x)).astype(np.float64)

        def in_units(values: NDArray) -> NDArray:
            if counts:
                # A window of zeros has no scale: its forecast is zero, whatever the head says.
                return values * (scale > 0)[:, :, None]
            return (values + shift[:, :, None]) * scale[:, :, None] + location[:, :, None]

        point = self.head.predict(raw)
        quantiles = np.repeat(point, len(alpha), axis=2)
        if isinstance(self.head, DistributionHead) and len(alpha):
            quantiles = self.head.quantiles(raw, alpha)[:, :, 0]
        return in_units(point)[..., 0], in_units(quantiles), scale

    def _context(
        self, x: NDArray[Any], seen: NDArray[np.bool_], arguments: Mapping[str, NDArray[Any]]
    ) -> NDArray[Any]:
        """What is known at the origins."""
        tokens = np.stack([x, seen.astype(self.dtype)], axis=2)
        if "past" in self.covariates:
            tokens = np.concatenate([tokens, self._embed("past", arguments)], axis=2)
        n_patches = self.window_length // self.spec["patch_length"]
        tokens = tokens.reshape(len(x), n_patches, -1).swapaxes(0, 1)
        context = run_layers(self.layers, [], tokens, np.full(len(x), n_patches))[-1]
        if "static" in self.covariates:
            context = np.concatenate([context, self._embed("static", arguments)], axis=1)
        return context

    def _embed(self, name: str, arguments: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        return self.covariates[name](arguments[f"{name}_covariates"]).astype(self.dtype)


class _Embedding:
    """Numbers pass, categories become learned vectors."""

    def __init__(self, n_numbers: int, weights: Arrays) -> None:
        self.n_numbers = n_numbers
        self.tables = [weights[f"tables.{i}.weight"] for i in range(len(weights))]

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        codes = x[..., self.n_numbers :].astype(np.int64)
        vectors = [table[codes[..., i]] for i, table in enumerate(self.tables)]
        return np.concatenate([x[..., : self.n_numbers], *vectors], axis=-1)


def measure(
    past: NDArray[np.float64], least: NDArray[np.float64], kind: str, period: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Location and scale of every window, as of :class:`skrnn.nn.WindowScaler`."""
    seen = np.isfinite(past)
    values = np.where(seen, past, 0.0)
    count = np.maximum(seen.sum(axis=1, keepdims=True), 1)
    zero = np.zeros((len(past), 1))
    if kind == "none":
        return zero, zero + 1
    if kind == "mean":
        location, scale = zero, np.abs(values).sum(axis=1, keepdims=True) / count
    else:
        mean = values.sum(axis=1, keepdims=True) / count
        variance = (np.square(values - mean) * seen).sum(axis=1, keepdims=True) / count
        location, scale = mean, np.sqrt(variance)
        if kind == "last":
            last = np.argmax(seen * np.arange(1, past.shape[1] + 1), axis=1)[:, None]
            location = np.take_along_axis(values, last, axis=1)
            scale = SPREAD_SHARE * scale + _mean_change(past, period)
    return location, np.maximum(scale, least[:, None])


def _mean_change(past: NDArray[np.float64], period: int) -> NDArray[np.float64]:
    """Mean absolute change over one season, over one step where no two are a season apart."""
    change = _mean_difference(past, 1)
    if period > 1 and past.shape[1] > period:
        seasonal = _mean_difference(past, period)
        change = np.where(np.isfinite(seasonal), seasonal, change)
    return np.nan_to_num(change)


def _mean_difference(past: NDArray[np.float64], lag: int) -> NDArray[np.float64]:
    change = np.abs(past[:, lag:] - past[:, :-lag])
    known = np.isfinite(change)
    count = known.sum(axis=1, keepdims=True)
    total = np.where(known, change, 0.0).sum(axis=1, keepdims=True)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def naive_steps(window_length: int, horizon: int, period: int) -> NDArray[np.int64]:
    """Step of the window that the seasonal naive forecast repeats, for each of the horizon."""
    step = np.arange(horizon) % period
    naive = window_length - period + step if period <= window_length else step * 0 - 1
    return naive % window_length


class _Linear:
    """A linear map."""

    def __init__(self, weights: Arrays) -> None:
        self.columns = np.ascontiguousarray(weights["weight"].T)
        self.bias = weights["bias"]

    def __call__(self, x: NDArray[Any]) -> NDArray[Any]:
        return x.dot(self.columns) + self.bias


class _DenseDecoder:
    """Representations of the steps of the horizon from the context: one linear map."""

    def __init__(self, weights: Arrays, horizon: int) -> None:
        self.output, self.horizon = _Linear(under("output", weights)), horizon

    def __call__(self, context: NDArray[Any]) -> NDArray[Any]:
        return self._steps(self.output(context), len(context))

    def _steps(self, made: NDArray[Any], n_windows: int) -> NDArray[Any]:
        return made.reshape(n_windows, -1, STEP_SIZE)[:, : self.horizon]


class _SegmentDecoder(_DenseDecoder):
    """The same from one step of a cell per segment of the horizon."""

    def __init__(self, weights: Arrays, horizon: int) -> None:
        super().__init__(weights, horizon)
        self.position = weights["position"]
        self.cell = GRUCell({f"rnn.{k}_l0": v for k, v in under("cell", weights).items()})

    def __call__(self, context: NDArray[Any]) -> NDArray[Any]:
        positions = np.tile(self.position, (len(context), 1))
        state = np.repeat(context, len(self.position), axis=0)
        (state,) = self.cell.step(self.cell.project(positions), (state,))
        return self._steps(self.output(state), len(context))


class _KnownFuture:
    """What covariates of the steps to come add to their representations."""

    def __init__(self, weights: Arrays) -> None:
        self.context, self.hidden, self.output = (
            _Linear(under(name, weights)) for name in ("context", "hidden", "output")
        )

    def __call__(self, context: NDArray[Any], future: NDArray[Any]) -> NDArray[Any]:
        state = np.repeat(self.context(context)[:, None], future.shape[1], axis=1)
        return self.output(np.maximum(self.hidden(np.concatenate([state, future], axis=2)), 0))


def vector_size(size: tuple[int, tuple[int, ...]]) -> int:
    """Features that so many numbers and categories become."""
    return size[0] + sum(min(MAX_EMBEDDING, (n + 1) // 2) for n in size[1])


def shapes_of_forecast(spec: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of all weights of a network of built-in parts, by their names."""
    shapes: dict[str, tuple[int, ...]] = {}
    sizes = {name: vector_size(spec[name]) for name in ("past", "future", "static")}
    size = spec["patch_length"] * (2 + sizes["past"])
    for depth, width in enumerate(layer_sizes(spec)):
        for name, shape in CELLS[spec["cell"]].shapes(size, width).items():
            shapes[f"encoder.layers.{depth}.{name}"] = shape
        size = width
    context, horizon = size + sizes["static"], spec["horizon"]
    steps = horizon
    if spec["decoder"] == "recurrent":
        steps = min(SEGMENT_LENGTH, horizon)
        shapes["decoder.position"] = (-(-horizon // steps), context)
        for name in ("weight_ih", "weight_hh"):
            shapes[f"decoder.cell.{name}"] = (3 * context, context)
        for name in ("bias_ih", "bias_hh"):
            shapes[f"decoder.cell.{name}"] = (3 * context,)
    linear = {"decoder.output": (steps * STEP_SIZE, context)}
    if sizes["future"]:
        linear["decoder.covariates.context"] = (CONTEXT_SIZE, context)
        linear["decoder.covariates.hidden"] = (2 * CONTEXT_SIZE, CONTEXT_SIZE + sizes["future"])
        linear["decoder.covariates.output"] = (STEP_SIZE, 2 * CONTEXT_SIZE)
    linear["head.projection"] = (raw_size(spec["head"], 1, spec["quantiles"]), STEP_SIZE)
    if spec["shortcut"]:
        linear["shortcut"] = (horizon, spec["window_length"])
    for name, shape in linear.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name in sizes:
        for i, n in enumerate(spec[name][1]):
            shapes[f"covariates.{name}.tables.{i}.weight"] = (n, min(MAX_EMBEDDING, (n + 1) // 2))
    for name, n_axes in FURTHER.get(spec["head"], {}).items():
        shapes[f"head.{name}"] = (1,) * n_axes
    return shapes
