"""Vectors: tables of vectors that were learned elsewhere, one row per token id."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Ids of padding and of unknown tokens.
SPECIAL_IDS = 2


def is_keyed(vectors: Any) -> bool:
    """Whether an object knows vectors by their words, as gensim's KeyedVectors."""
    return hasattr(vectors, "key_to_index")


def words_of(vectors: Any) -> list[Hashable]:
    """Words of keyed vectors, in the order of their rows.

    Raises
    ------
    ValueError
        If the rows are not numbered from 0 on.
    """
    words = sorted(vectors.key_to_index, key=vectors.key_to_index.__getitem__)
    rows = [vectors.key_to_index[word] for word in words]
    if not words or rows != list(range(len(words))):
        raise ValueError(
            f"key_to_index of the {type(vectors).__name__} has {len(words)} words, whose rows are "
            "not numbered 0, 1, 2 and so on; give an array with one row per token id instead."
        )
    return words


def rows_of(vectors: Any) -> Any:
    """Rows of keyed vectors, in the order of `words_of`."""
    rows = getattr(vectors, "vectors", None)
    if rows is not None:
        return _as_array(rows)
    return np.stack([np.asarray(vectors[word]) for word in words_of(vectors)])


def embedding_shape(embedding: Any) -> tuple[int, int]:
    """Number of token ids and of features per vector.

    Parameters
    ----------
    embedding : array-like of shape (vocabulary_size, embedding_dim) or keyed vectors
        The parameter of an estimator. To keyed vectors the two special ids are added.

    Returns
    -------
    vocabulary_size, embedding_dim : int
        The shape.

    Raises
    ------
    ValueError
        If it is no table of numbers.
    """
    keyed = is_keyed(embedding)
    table = rows_of(embedding) if keyed else _as_array(embedding)
    special = SPECIAL_IDS if keyed else 0
    if table.ndim != 2 or table.dtype.kind not in "biuf":
        raise ValueError(
            f"embedding has the shape {table.shape} and the type {table.dtype}, expected numbers "
            "of shape (vocabulary_size, embedding_dim): a row per token id, that of padding first, "
            "as from SequenceTokenizer.embedding_matrix."
        )
    if keyed and len(words_of(embedding)) != len(table):
        raise ValueError(
            f"embedding has {len(words_of(embedding))} words in key_to_index and {len(table)} "
            "vectors; every word needs one."
        )
    if len(table) + special < SPECIAL_IDS or table.shape[1] == 0:
        raise ValueError(
            f"embedding has the shape {table.shape}; it needs rows for the ids 0 (padding) and 1 "
            "(unknown), and at least one column."
        )
    return len(table) + special, table.shape[1]


def embedding_table(embedding: Any, dtype: Any) -> NDArray:
    """Make the first weights of an embedding, a copy.

    Parameters
    ----------
    embedding : array-like of shape (vocabulary_size, embedding_dim) or keyed vectors
        The parameter of an estimator. Keyed vectors begin at id 2, and their mean is the vector of
        unknown tokens.

    dtype : numpy dtype
        Type of the weights.

    Returns
    -------
    table : ndarray of shape (vocabulary_size, embedding_dim)
        Row 0 is zero.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    shape = embedding_shape(embedding)
    keyed = is_keyed(embedding)
    first = SPECIAL_IDS if keyed else 0
    table = np.zeros(shape, dtype=dtype)
    # What is too large for the type becomes infinite, and is named.
    with np.errstate(over="ignore"):
        table[first:] = rows_of(embedding) if keyed else _as_array(embedding)
    table[0] = 0
    wrong = ~np.isfinite(table).all(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        value = table[row][~np.isfinite(table[row])][0]
        whose = f"of the word {words_of(embedding)[row - first]!r}" if keyed else f"in row {row}"
        raise ValueError(
            f"embedding holds {value} {whose}; replace what is not finite, for example by the mean "
            "of the other vectors."
        )
    if keyed:
        table[1] = table[first:].mean(axis=0)
    return table


def _as_array(table: Any) -> Any:
    """An array as it is; anything else as one."""
    if type(table).__module__.split(".")[0] == "torch":
        table = table.detach().cpu()
    return np.asarray(table)
