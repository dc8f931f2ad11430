"""Packing: the state of an estimator in a pickle is plain values and arrays of numpy.

Whoever looks into a pickle, or reads it with a list of trusted types, meets one class: the
estimator's own. What cannot be plain, such as a callback, is kept beside as it is.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from sklearn.exceptions import InconsistentVersionWarning

from skrnn._persistence._decoder import Decoder
from skrnn._persistence._encoder import Encoder

_KEY = "_packed"


def packed(state: dict[str, Any], params: Iterable[str]) -> dict[str, Any]:
    """Make a state plain, apart from the parameters, which are the user's.

    Parameters
    ----------
    state : dict
        All attributes.

    params : iterable of str
        Names of those that are parameters.

    Returns
    -------
    state : dict
        For :func:`unpacked`.
    """
    kept = {name: state[name] for name in params if name in state}
    encoder = Encoder(others=[])
    nodes = {k: encoder.encode(v, (k,)) for k, v in state.items() if k not in kept}
    content = {
        "version": import_module("skrnn").__version__,
        # One text: what looks at every value of a state one by one has little to do.
        "document": json.dumps({"nodes": nodes, "objects": encoder.objects}, allow_nan=False),
        "tensors": encoder.tensors,
        "others": encoder.others,
    }
    return {**kept, _KEY: content}


def unpacked(state: dict[str, Any], kind: type) -> dict[str, Any]:
    """Attributes of a state that was packed, with a warning if another version did it.

    Parameters
    ----------
    state : dict
        What :func:`packed` gave, or any other state.

    kind : type
        Class of the estimator.

    Returns
    -------
    state : dict
        All attributes.
    """
    content = state.get(_KEY)
    if content is None:
        return state
    here = import_module("skrnn").__version__
    if content["version"] != here:
        warnings.warn(
            InconsistentVersionWarning(
                estimator_name=kind.__name__,
                current_sklearn_version=here,
                original_sklearn_version=content["version"],
            ),
            stacklevel=3,
        )
    document = json.loads(content["document"])
    decoder = Decoder(document["objects"], content["tensors"], others=content["others"])
    kept = {name: value for name, value in state.items() if name != _KEY}
    return {**kept, **{k: decoder.decode(node) for k, node in document["nodes"].items()}}
