"""Small sequences of words: the id of each, then the ids of its characters."""

from typing import Any

import numpy as np

#: Ids of words and of characters there are.
N_WORDS, N_CHARACTERS = 9, 12
#: What an estimator reads them with.
WORDS: dict[str, Any] = {
    "embedding_dim": 3,
    "character_dim": 4,
    "vocabulary_size": N_WORDS,
    "character_vocabulary_size": N_CHARACTERS,
}


def spelt(n: int = 20, width: int = 5, seed: int = 0) -> list[np.ndarray]:
    """Sequences of 1 to 6 words of up to `width` characters, some without any."""
    rng = np.random.default_rng(seed)
    X = []
    for length in rng.integers(1, 7, size=n):
        x = np.zeros((length, 1 + width), dtype=np.int64)
        x[:, 0] = rng.integers(1, N_WORDS, size=length)
        for row in x:
            n_characters = rng.integers(0, width + 1)
            row[1 : 1 + n_characters] = rng.integers(1, N_CHARACTERS, size=n_characters)
        X.append(x)
    return X
