"""Known vectors: a table for a vocabulary from vectors of words that were learned elsewhere."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from skrnn._vectors import is_keyed


def table_of_vectors(
    vocabulary: Mapping[Hashable, int], vectors: Any, missing: str, random_state: Any
) -> NDArray[np.floating]:
    """Make a table with one row per id, from 0 to the largest.

    Parameters
    ----------
    vocabulary : mapping of token to int
        Ids, from 2 on.

    vectors : keyed vectors or mapping of word to vector
        What is known.

    missing : {"mean", "random"}
        What tokens get that are not known.

    random_state : int, RandomState instance or None
        Draws them.

    Returns
    -------
    table : ndarray of shape (len(vocabulary) + 2, dim)
        Row 0 is zero, row 1 the mean of what was found.

    Raises
    ------
    ValueError
        If no token is known, vectors differ in size or are not finite.
    """
    known = vectors.key_to_index if is_keyed(vectors) else vectors
    source = {i: _name(token, known) for token, i in vocabulary.items()}
    found = {i: name for i, name in source.items() if name is not None}
    if not found:
        raise ValueError(
            f"none of the {len(vocabulary)} tokens has a vector: the vocabulary holds "
            f"{_some(vocabulary)}, the vectors are of {_some(known)}."
        )
    rows = _rows(vectors, found)
    mean = rows.mean(axis=0)
    table = np.empty((len(vocabulary) + 2, rows.shape[1]), dtype=rows.dtype)
    table[:] = mean
    if missing == "random":
        random = check_random_state(random_state)
        table += random.normal(size=table.shape) * rows.std(axis=0)
        table[1] = mean
    table[list(found)] = rows
    table[0] = 0
    return table


def _name(token: Hashable, known: Any) -> Hashable | None:
    """Name under which a token is known: its own, or that in lower case."""
    if token in known:
        return token
    lower = token.lower() if isinstance(token, str) else token
    return lower if lower in known else None


def _rows(vectors: Any, found: dict[int, Hashable]) -> NDArray[np.floating]:
    arrays = [np.asarray(vectors[name]) for name in found.values()]
    for name, array in zip(found.values(), arrays, strict=True):
        if array.shape != arrays[0].shape or array.ndim != 1:
            raise ValueError(
                f"the vector of {name!r} has the shape {array.shape}, expected (dim,), and "
                f"{arrays[0].shape} as the first one."
            )
        if not np.isfinite(array).all():
            raise ValueError(f"the vector of {name!r} holds numbers that are not finite.")
    rows = np.stack(arrays)
    return rows.astype(np.result_type(rows.dtype, np.float32), copy=False)


def _some(words: Any) -> str:
    first = [repr(word) for word, _ in zip(words, range(3), strict=False)]
    return ", ".join(first) + (" and others" if len(words) > len(first) else "")
