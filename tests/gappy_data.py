"""Small ragged sequences with gaps, and with times."""

import numpy as np

NAN = float("nan")


def gappy(n: int = 24, share: float = 0.4, seed: int = 0) -> list[np.ndarray]:
    """Ragged sequences with gaps, in every step at least one value."""
    rng = np.random.default_rng(seed)
    X = [rng.normal(3.0, 2.0, size=(length, 3)) for length in rng.integers(2, 9, size=n)]
    for x in X:
        missing = rng.random(x.shape) < share
        missing[np.arange(len(x)), rng.integers(3, size=len(x))] = False
        x[missing] = NAN
    return X


def timed(X: list[np.ndarray], start: float = 0.0) -> list[np.ndarray]:
    """Return the sequences with a last feature of time stamps."""
    rng = np.random.default_rng(1)
    return [np.column_stack([x, start + rng.exponential(size=len(x)).cumsum()]) for x in X]


def labels(X: list[np.ndarray]) -> np.ndarray:
    return np.array([len(x) % 2 for x in X])
