"""Front ends: what the recurrent layers read instead of the time steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._numpy.carried import Carried, State

__all__ = ["ConvFrontend", "PatchFrontend", "make_frontend", "shapes_of_frontend", "summary_size"]

# What the front ends of `skrnn.nn` have unless told otherwise, and those given by name always.
PATCH_SIZE = 64
CHANNELS, KERNEL_SIZES, WIDTH, BLOCK_SIZES, DEPTH = 16, (9, 19, 39), 64, (5, 5), 2
EPSILON = 1e-5

Weights = Mapping[str, NDArray[Any]]
Read = tuple[NDArray[Any], NDArray[np.integer], NDArray[Any] | None]


class PatchFrontend(Carried):
    """Cut sequences into patches, each of which becomes one step.

    Parameters
    ----------
    weights : mapping of ndarray
        The projection.

    stride : int
        Steps of a patch.
    """

    def __init__(self, weights: Mapping[str, NDArray[Any]], stride: int) -> None:
        self.stride = stride
        self.projection = np.ascontiguousarray(weights["projection.weight"].T)
        self.bias = weights["projection.bias"]

    def whole(self, x: NDArray[Any], lengths: NDArray[np.integer]) -> Read:
        """Patches of sequences of shape (batch, time, features), how many each has, and nothing.

        The last patch of a sequence is filled up with zeros; one more feature says which of its
        steps are there.
        """
        batch, time, n_features = x.shape
        n_patches = -(-time // self.stride)
        steps = np.zeros((batch, n_patches * self.stride, n_features + 1), dtype=x.dtype)
        there = np.arange(time) < lengths[:, None]
        steps[:, :time, :-1] = np.where(there[:, :, None], x, 0)
        steps[:, :time, -1] = there
        patches = steps.reshape(batch, n_patches, self.stride * (n_features + 1))
        return self.made(patches), -(-lengths // self.stride), None

    def made(self, patches: NDArray[Any]) -> NDArray[Any]:
        """What the layers read of patches, whose steps are side by side in the last axis."""
        made = patches.dot(self.projection)
        made += self.bias
        return np.maximum(made, 0)

    # A stream keeps the patch that is not complete, and how many steps it has.

    names = ("patch", "count")

    def initial(self, n: int) -> State:
        patch = np.zeros((n, len(self.projection)), dtype=self.projection.dtype)
        return patch, np.zeros(n, dtype=np.int64)

    def step(self, x: NDArray[Any], state: State) -> State:
        """State after one more step of shape (n, features), which must have a place."""
        patch, count = state[0].copy(), state[1]
        places = patch.reshape(len(x), self.stride, -1)
        everyone = np.arange(len(x))
        places[everyone, count, :-1] = x
        places[everyone, count, -1] = 1
        return patch, count + 1


class ConvFrontend(Carried):
    """Convolutions of several widths, and blocks of convolutions with a shortcut.

    Only those that are causal and keep every step can go step by step.

    Parameters
    ----------
    weights : mapping of ndarray
        Of `skrnn.nn.ConvFrontend`.

    strides : tuple of two int
        Steps of which one is made after the first convolutions, and after the blocks.

    causal : bool
        Whether a step sees no later one.
    """

    def __init__(self, weights: Weights, strides: tuple[int, int], causal: bool) -> None:
        self.strides, self.causal = strides, causal
        self.stem = []
        scale, shift = _affine(weights, "stem.norm")
        for i, name in enumerate(_numbered(weights, "stem.convolutions.{}.weight")):
            part = slice(i * CHANNELS, (i + 1) * CHANNELS)
            self.stem.append((_taps(weights[name], scale[part]), shift[part]))
        self.blocks = [
            _block(weights, f"blocks.{depth}")
            for depth, _ in enumerate(_numbered(weights, "blocks.{}.norms.0.weight"))
        ]
        # A convolution in a stream needs the steps before the newest that it sees.
        inputs = [max((taps for taps, _ in self.stem), key=len)]
        inputs += [taps for convolutions, _ in self.blocks for taps, _ in convolutions]
        self.before = [(len(taps) - 1, taps.shape[1]) for taps in inputs]
        self.names = tuple(f"convolution{i}" for i in range(len(inputs)))

    def whole(self, x: NDArray[Any], lengths: NDArray[np.integer]) -> Read:
        """The map of sequences of shape (batch, time, features), its lengths and its mean."""
        x = _masked(x, lengths)
        flow = np.concatenate([self._convolved(x, *one) for one in self.stem], axis=2)
        flow = _shortened(_rectified(flow, lengths), self.strides[0])
        lengths = -(-lengths // self.strides[0])
        for convolutions, shortcut in self.blocks:
            before = flow if shortcut is None else self._convolved(flow, *shortcut)
            for depth, one in enumerate(convolutions):
                flow = self._convolved(_rectified(flow, lengths) if depth else flow, *one)
            flow = _rectified(flow + before, lengths)
        summary = flow.sum(axis=1, dtype=np.float64) / np.maximum(lengths, 1)[:, None]
        return _shortened(flow, self.strides[1]), -(-lengths // self.strides[1]), summary

    def initial(self, n: int) -> State:
        dtype = self.stem[0][0].dtype
        return tuple(np.zeros((n, *shape), dtype=dtype) for shape in self.before)

    def step(self, x: NDArray[Any], state: State) -> tuple[NDArray[Any], State]:
        """The map at one more step of shape (n, features), and the state after it."""
        windows: list[NDArray[Any]] = []

        def seen(flow: NDArray[Any]) -> NDArray[Any]:
            windows.append(np.concatenate([state[len(windows)], flow[:, None]], axis=1))
            return windows[-1]

        window = seen(x)
        flow = np.concatenate([_newest(window, *one) for one in self.stem], axis=1)
        flow = np.maximum(flow, 0)
        for convolutions, shortcut in self.blocks:
            before = flow if shortcut is None else _newest(flow[:, None], *shortcut)
            for depth, one in enumerate(convolutions):
                flow = _newest(seen(np.maximum(flow, 0) if depth else flow), *one)
            flow = np.maximum(flow + before, 0)
        return flow, tuple(window[:, 1:] for window in windows)

    def _convolved(self, x: NDArray[Any], taps: NDArray[Any], shift: NDArray[Any]) -> NDArray[Any]:
        """One convolution, as a sum of products with the steps at each distance."""
        size, time = len(taps), x.shape[1]
        before = size - 1 if self.causal else size // 2
        padded = np.zeros((x.shape[0], time + size - 1, x.shape[2]), dtype=x.dtype)
        padded[:, before : before + time] = x
        output = np.zeros((x.shape[0], time, taps.shape[2]), dtype=x.dtype)
        output += shift
        for i, tap in enumerate(taps):
            output += padded[:, i : i + time].dot(tap)
        return output


def _newest(window: NDArray[Any], taps: NDArray[Any], shift: NDArray[Any]) -> NDArray[Any]:
    """A convolution at the last step of a window of shape (n, time, features)."""
    seen = window[:, -len(taps) :].reshape(len(window), -1)
    newest = seen.dot(taps.reshape(seen.shape[1], -1))
    newest += shift
    return newest.astype(window.dtype, copy=False)


def _affine(weights: Weights, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Batch normalisation with its running statistics: a factor and what is added."""
    spread = np.sqrt(weights[f"{name}.running_var"] + EPSILON)
    scale = weights[f"{name}.weight"] / spread
    return scale, weights[f"{name}.bias"] - weights[f"{name}.running_mean"] * scale


def _taps(weight: NDArray[Any], scale: NDArray[Any]) -> NDArray[Any]:
    """Weights (outputs, inputs, 1, size), scaled, as (size, inputs, outputs)."""
    scaled = weight[:, :, 0] * scale[:, None, None]
    return np.ascontiguousarray(scaled.transpose(2, 1, 0).astype(weight.dtype))


def _block(weights: Weights, name: str) -> Any:
    """Convolutions of a block, and its shortcut or None, each with what is added."""

    def one(convolution: str, norm: str) -> tuple[NDArray[Any], NDArray[Any]]:
        scale, shift = _affine(weights, f"{name}.{norm}")
        return _taps(weights[f"{name}.{convolution}.weight"], scale), shift

    found = _numbered(weights, f"{name}.norms.{{}}.weight")
    convolutions = [one(f"convolutions.{i}", f"norms.{i}") for i, _ in enumerate(found)]
    has_shortcut = f"{name}.shortcut.weight" in weights
    return convolutions, one("shortcut", "shortcut_norm") if has_shortcut else None


def _numbered(weights: Weights, name: str) -> list[str]:
    """Names with the numbers 0, 1, 2, ... as far as there are weights."""
    found: list[str] = []
    while name.format(len(found)) in weights:
        found.append(name.format(len(found)))
    return found


def _masked(x: NDArray[Any], lengths: NDArray[np.integer]) -> NDArray[Any]:
    there = np.arange(x.shape[1]) < lengths[:, None]
    return np.where(there[:, :, None], x, x.dtype.type(0))


def _rectified(flow: NDArray[Any], lengths: NDArray[np.integer]) -> NDArray[Any]:
    return _masked(np.maximum(flow, 0), lengths)


def _shortened(flow: NDArray[Any], stride: int) -> NDArray[Any]:
    """The largest of every `stride` steps; nothing is negative."""
    if stride == 1:
        return flow
    batch, time, size = flow.shape
    n_steps = -(-time // stride)
    whole = np.zeros((batch, n_steps * stride, size), dtype=flow.dtype)
    whole[:, :time] = flow
    return whole.reshape(batch, n_steps, stride, size).max(axis=2)


def make_frontend(spec: Mapping[str, Any], weights: Weights) -> ConvFrontend | PatchFrontend | None:
    """Make the front end of a network; None where there is none."""
    if spec["frontend"] is None:
        return None
    if spec["frontend"] == "patch":
        return PatchFrontend(weights, spec["frontend_stride"])
    causal = spec["pooling"] is None and not spec["bidirectional"]
    return ConvFrontend(weights, _pair(spec["frontend_stride"]), causal)


def _pair(stride: Any) -> tuple[int, int]:
    if isinstance(stride, list | tuple):
        return stride[0], stride[1]
    return 1, stride or 1


def shapes_of_frontend(spec: Mapping[str, Any], size: int) -> tuple[dict[str, Any], int]:
    """Shapes of the weights of a front end that reads `size` features, and what it makes."""
    if spec["frontend"] is None:
        return {}, size
    if spec["frontend"] == "patch":
        shape = PATCH_SIZE, spec["frontend_stride"] * (size + 1)
        return {"projection.weight": shape, "projection.bias": (PATCH_SIZE,)}, PATCH_SIZE
    shapes: dict[str, tuple[int, ...]] = {}

    def norm(name: str, n_features: int) -> None:
        for part in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{name}.{part}"] = (n_features,)

    kernel_sizes = spec["frontend_sizes"] or KERNEL_SIZES
    for i, kernel_size in enumerate(kernel_sizes):
        shapes[f"stem.convolutions.{i}.weight"] = (CHANNELS, size, 1, kernel_size)
    size = CHANNELS * len(kernel_sizes)
    norm("stem.norm", size)
    for depth in range(DEPTH):
        block = f"blocks.{depth}"
        if size != WIDTH:
            shapes[f"{block}.shortcut.weight"] = (WIDTH, size, 1, 1)
            norm(f"{block}.shortcut_norm", WIDTH)
        for i, kernel_size in enumerate(BLOCK_SIZES):
            shapes[f"{block}.convolutions.{i}.weight"] = (WIDTH, size, 1, kernel_size)
            norm(f"{block}.norms.{i}", WIDTH)
            size = WIDTH
    return shapes, size


def summary_size(spec: Mapping[str, Any]) -> int:
    """Features that the front end puts beside the pooled states."""
    return WIDTH if spec["frontend"] == "conv" and spec["pooling"] is not None else 0
