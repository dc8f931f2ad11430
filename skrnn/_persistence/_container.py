"""Container: one safetensors file with a checked JSON document in its metadata."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from importlib import import_module
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import save as to_safetensors

# Files of another major format cannot be read; a higher minor one only adds what may be ignored.
MAJOR, MINOR = 1, 0
# The header is read into Python objects, which take many times its size.
MAX_HEADER = 32 * 2**20
MAX_ITEMS = 4_000_000
MAX_DIMENSIONS = 32
_MAX_DIGITS = 20
_VERSION = re.compile(r"[0-9A-Za-z.+!-]{1,40}")
_DTYPES = {
    "BOOL": "bool",
    **{f"I{n}": f"int{n}" for n in (8, 16, 32, 64)},
    **{f"U{n}": f"uint{n}" for n in (8, 16, 32, 64)},
    **{f"F{n}": f"float{n}" for n in (16, 32, 64)},
}


class NotOurFile(ValueError):
    """What was read is no whole file of ours."""


class NewerFormat(ValueError):
    """What was read was written by a later skrnn."""


def pack(document: Mapping[str, Any], tensors: Mapping[str, NDArray]) -> bytes:
    """Make the content of a file.

    Parameters
    ----------
    document : mapping
        What JSON can hold.

    tensors : mapping of str to ndarray
        Arrays of numbers by name.

    Returns
    -------
    content : bytes
        A safetensors file. Its metadata hold the format, the version of skrnn, the document and
        the sha256 of all of them and of every array.
    """
    arrays = {name: _plain(tensors[name]) for name in sorted(tensors)}
    metadata = {
        "format": f"skrnn {MAJOR}.{MINOR}",
        "version": str(import_module("skrnn").__version__),
        "document": json.dumps(document, allow_nan=False, separators=(",", ":")),
    }
    listing = {name: [_dtype_name(a), list(a.shape)] for name, a in arrays.items()}
    metadata["sha256"] = _digest(metadata, listing, arrays)
    content = to_safetensors(arrays, metadata)
    size = int.from_bytes(content[:8], "little")
    # The library writes the metadata in another order every time.
    header = json.loads(content[8 : 8 + size])
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER or _n_items(text) > MAX_ITEMS:
        raise ValueError(
            f"there is more to store than the {MAX_HEADER} bytes or {MAX_ITEMS} items that a file "
            "may have beside its arrays; nothing was written."
        )
    return len(text).to_bytes(8, "little") + text + content[8 + size :]


def unpack(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """Read and check the content of a file.

    Nothing is allocated by what the file says, only by how large it is.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    document : dict
        As it was packed, with the version that packed it as "written_by".

    tensors : dict of str to ndarray
        The arrays, read-only.

    Raises
    ------
    NotOurFile
        If it is no such file or not whole.

    NewerFormat
        If a later skrnn wrote it.

    OSError
        If it cannot be read.
    """
    content = Path(path).read_bytes()
    header = _header(content)
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or "format" not in metadata:
        raise NotOurFile("its header holds nothing of skrnn")
    _check_format(metadata)
    listing = {name: _entry(name, entry) for name, entry in header.items()}
    tensors = _tensors(content, listing)
    expected = metadata.pop("sha256", None)
    if set(metadata) != {"format", "version", "document"}:
        raise NotOurFile("its metadata are not those of skrnn")
    if _digest(metadata, listing, tensors) != expected:
        raise NotOurFile("its sha256 is another one, so that it was changed after it was written")
    document = _from_json(metadata["document"])
    if not isinstance(document, dict):
        raise NotOurFile("its document is no object")
    return {**document, "written_by": metadata["version"]}, tensors


def _header(content: bytes) -> dict[str, Any]:
    if len(content) < 8:
        raise NotOurFile(f"it has {len(content)} bytes")
    size = int.from_bytes(content[:8], "little")
    if size > min(MAX_HEADER, len(content) - 8):
        raise NotOurFile(f"its header would have {size} bytes, it has {len(content)} in all")
    header = _from_json(content[8 : 8 + size])
    if not isinstance(header, dict):
        raise NotOurFile("its header is no object")
    return header


def _from_json(text: str | bytes) -> Any:
    """Read JSON with as many items, and numbers with as many digits, as a file of ours has."""
    if not isinstance(text, str | bytes):
        raise NotOurFile("its document is no text")
    if _n_items(text) > MAX_ITEMS:
        raise NotOurFile(f"it has more than {MAX_ITEMS} items")
    try:
        return json.loads(text, parse_int=_integer, parse_constant=_no_constant)
    except RecursionError as error:
        raise NotOurFile("it is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise NotOurFile("its header is no text") from error
    except json.JSONDecodeError as error:
        raise NotOurFile(f"its header is no JSON ({error})") from error


def _n_items(text: str | bytes) -> int:
    if isinstance(text, str):
        return sum(text.count(mark) for mark in ",[{")
    return sum(text.count(mark) for mark in (b",", b"[", b"{"))


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise NotOurFile(f"it holds a number of {len(digits)} digits")
    return int(digits)


def _no_constant(name: str) -> Any:
    raise NotOurFile(f"it holds {name}, which is no JSON")


def _check_format(metadata: Mapping[str, Any]) -> None:
    found = re.fullmatch(r"skrnn ([0-9]{1,6})\.([0-9]{1,6})", str(metadata["format"]))
    if found is None:
        raise NotOurFile("its format is not known")
    version = metadata.get("version")
    if not isinstance(version, str) or _VERSION.fullmatch(version) is None:
        raise NotOurFile("it does not say which version wrote it")
    if int(found[1]) > MAJOR:
        here = import_module("skrnn").__version__
        raise NewerFormat(
            f"it was written by skrnn {version} in format {found[1]}, and this is skrnn {here}, "
            f"which reads formats up to {MAJOR}; update skrnn."
        )


def _entry(name: str, entry: Any) -> list[Any]:
    """Type and shape of a tensor; whether its bytes are there is checked where they are read."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise NotOurFile(f"tensor {name!r} is not described")
    dtype, shape = entry["dtype"], entry["shape"]
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise NotOurFile(f"tensor {name!r} has the type {dtype!r}")
    sizes = isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)
    if not sizes or len(shape) > MAX_DIMENSIONS:
        raise NotOurFile(f"tensor {name!r} has no shape")
    return [dtype, shape]


def _tensors(content: bytes, listing: Mapping[str, list[Any]]) -> dict[str, NDArray]:
    try:
        found = dict(safetensors.deserialize(content))
    except safetensors.SafetensorError as error:
        raise NotOurFile(str(error)) from error
    tensors = {}
    for name, (dtype, shape) in listing.items():
        array = np.frombuffer(found[name]["data"], dtype=np.dtype(_DTYPES[dtype]).newbyteorder("<"))
        if len(array) != prod(shape):
            raise NotOurFile(f"tensor {name!r} has {len(array)} values for the shape {shape}")
        tensors[name] = array.reshape(shape)
    return tensors


def _plain(array: NDArray) -> NDArray:
    """The array in the order and the bytes of the file."""
    return np.array(array, dtype=array.dtype.newbyteorder("<"), order="C", copy=None)


def _dtype_name(array: NDArray) -> str:
    return next(name for name, dtype in _DTYPES.items() if array.dtype == dtype)


def _digest(
    metadata: Mapping[str, str], listing: Mapping[str, Any], tensors: Mapping[str, NDArray]
) -> str:
    """The sha256 of everything but itself."""
    digest = hashlib.sha256()

    def add(part: Any) -> None:
        # With its length, so that nothing can move from one part to the next.
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)

    for name in ("format", "version", "document"):
        add(metadata[name].encode())
    for name in sorted(tensors):
        add(json.dumps([name, *listing[name]]).encode())
        add(np.ascontiguousarray(tensors[name]).reshape(-1).view(np.uint8))
    return digest.hexdigest()
