"""Arrays: how values of numpy and torch are written and read back."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

# Texts of an array take the room of the longest one.
_MAX_TEXT_BYTES = 2**28
_WHOLE = [f"{kind}{n}" for kind in ("int", "uint") for n in (8, 16, 32, 64)]
_NUMBERS = frozenset(["bool", *_WHOLE, "float16", "float32", "float64"])
_UNITS = ("s", "ms", "us", "ns", "ps", "fs", "as", "m", "h", "D", "W", "M", "Y", "generic")


class Unstorable(TypeError):
    """A value that no leaf can hold."""


# -- numpy ------------------------------------------------------------------------------------


def write_array(encoder: Any, array: NDArray, path: Any) -> Any:
    kind = array.dtype.kind
    if array.dtype.name in _NUMBERS:
        return encoder.tensor(array, path)
    if kind in "mM":
        units = np.datetime_data(array.dtype)
        plain = array.view(np.int64) if array.dtype.isnative else array.astype(f"<{kind}8")
        return [encoder.tensor(plain, path), kind, list(units)]
    if kind in "US":
        texts = array.reshape(-1).tolist()
        return [[encoder.encode(t, path) for t in texts], kind, list(array.shape)]
    if kind == "O":
        values = array.reshape(-1).tolist()
        return [[encoder.encode(v, path) for v in values], kind, list(array.shape)]
    raise Unstorable(f"an array of type {array.dtype}")


def read_array(decoder: Any, written: Any) -> NDArray:
    if isinstance(written, str):
        return decoder.tensor(written)
    values, kind, more = written
    if kind in ("m", "M"):
        return decoder.tensor(values).view(_time_dtype(kind, *more))
    items = [decoder.decode(value) for value in values]
    shape = tuple(int(n) for n in more)
    if any(n < 0 for n in shape) or math.prod(shape) != len(items):
        raise ValueError(f"{len(items)} items for the shape {shape}")
    if kind == "O":
        array = np.empty(len(items), dtype=object)
        array[:] = items
        return array.reshape(shape)
    wanted = {"U": str, "S": bytes}[kind]
    if not all(type(item) is wanted for item in items):
        raise ValueError("an array of texts holds something else")
    width = max((len(item) for item in items), default=1) or 1
    if 4 * width * len(items) > _MAX_TEXT_BYTES:
        raise ValueError("an array of texts is too large")
    return np.array(items, dtype=f"{kind}{width}").reshape(shape)


def write_scalar(encoder: Any, value: Any, path: Any) -> Any:
    kind = value.dtype.kind
    if value.dtype.name in _NUMBERS or kind in "US":
        return [value.dtype.kind + str(value.dtype.itemsize), encoder.encode(value.item(), path)]
    if kind in "mM":
        unit, count = np.datetime_data(value.dtype)
        return [kind, int(value.view(np.int64)), unit, count]
    raise Unstorable(f"a value of numpy's type {value.dtype}")


def read_scalar(decoder: Any, written: Any) -> Any:
    name, value, *more = written
    if more:
        return np.int64(value).view(_time_dtype(name, *more))
    value = decoder.decode(value)
    if name[0] in "US":
        return {"U": np.str_, "S": np.bytes_}[name[0]](value)
    dtype = np.dtype(name)
    if dtype.name not in _NUMBERS:
        raise ValueError(f"a value of type {name}")
    return dtype.type(value)


def _time_dtype(kind: str, unit: str, count: int) -> np.dtype:
    if kind not in ("m", "M") or unit not in _UNITS:
        raise ValueError(f"times of type {kind!r} in the unit {unit!r}")
    return np.dtype(f"{kind}8") if unit == "generic" else np.dtype(f"{kind}8[{int(count)}{unit}]")


def write_dtype(encoder: Any, dtype: np.dtype, path: Any) -> str:
    if dtype.name in _NUMBERS or dtype.kind in "OUS":
        return dtype.str
    raise Unstorable(f"the type {dtype}")


def read_dtype(decoder: Any, written: Any) -> np.dtype:
    if len(written) > 12 or written[1:2] not in tuple("biufOUS"):
        raise ValueError(f"the type {written!r}")
    return np.dtype(written)


def write_random_state(encoder: Any, state: np.random.RandomState, path: Any) -> Any:
    name, keys, position, has_gauss, gauss = state.get_state(legacy=True)
    if name != "MT19937":
        raise Unstorable(f"a RandomState of {name}")
    return [encoder.tensor(keys, path), position, has_gauss, encoder.encode(gauss, path)]


def read_random_state(decoder: Any, written: Any) -> np.random.RandomState:
    keys, position, has_gauss, gauss = written
    state = np.random.RandomState(0)
    state.set_state(
        ("MT19937", decoder.tensor(keys), int(position), int(has_gauss), decoder.decode(gauss))
    )
    return state


# -- torch ------------------------------------------------------------------------------------


def write_tensor(encoder: Any, tensor: torch.Tensor, path: Any) -> str:
    array = tensor.detach().cpu()
    if array.dtype is torch.bfloat16:
        raise Unstorable("a tensor of type bfloat16")
    return encoder.tensor(array.numpy(), path)


def read_tensor(decoder: Any, written: Any) -> torch.Tensor:
    return torch.from_numpy(decoder.tensor(written))


def read_torch_dtype(decoder: Any, written: Any) -> torch.dtype:
    return {str(t): t for t in (torch.float16, torch.bfloat16, torch.float32, torch.float64)}[
        written
    ]
