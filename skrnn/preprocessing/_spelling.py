"""Spelling: the characters of tokens as ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray


def shortened(token: Hashable, max_characters: int) -> str:
    """Characters of a token; of a long one those at both ends, where words say what they are."""
    text = str(token)
    if len(text) <= max_characters:
        return text
    n_last = max_characters // 2
    return text[: max_characters - n_last] + text[len(text) - n_last :]


def count_characters(
    documents: Iterable[Iterable[Hashable]], max_characters: int, first_id: int
) -> dict[str, int]:
    """Give ids to the characters of the documents, small ones to the frequent.

    Parameters
    ----------
    documents : iterable of lists of tokens
        What they are counted in.

    max_characters : int
        Number of characters that count of a token.

    first_id : int
        Smallest id.

    Returns
    -------
    characters : dict of str to int
        Ids.
    """
    tokens = Counter(token for document in documents for token in document)
    counts: Counter[str] = Counter()
    for token, count in tokens.items():
        for character in shortened(token, max_characters):
            counts[character] += count
    ordered = sorted(counts, key=lambda character: (-counts[character], character))
    return {character: i for i, character in enumerate(ordered, start=first_id)}


def spell(
    documents: list[list[Hashable]],
    characters: Mapping[str, int],
    max_characters: int,
    unknown: int,
) -> list[NDArray[np.int64]]:
    """Turn the tokens of documents into ids of characters, padded with 0.

    Parameters
    ----------
    documents : list of lists of tokens
        What is spelt.

    characters : mapping of str to int
        Ids.

    max_characters : int
        Number of columns.

    unknown : int
        Id of other characters.

    Returns
    -------
    spelt : list of ndarray of shape (n_tokens_i, max_characters)
        Ids.
    """
    row_of = {token: i for i, token in enumerate({t for tokens in documents for t in tokens})}
    table = np.zeros((len(row_of), max_characters), dtype=np.int64)
    for token, row in row_of.items():
        ids = [characters.get(c, unknown) for c in shortened(token, max_characters)]
        table[row, : len(ids)] = ids
    rows = [np.array([row_of[token] for token in tokens], dtype=np.int64) for tokens in documents]
    return [table[chosen] for chosen in rows]
