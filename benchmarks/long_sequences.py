"""Long sequences: a sum over 1 000 steps, symbols copied over 200, digits read pixel by pixel.

    python benchmarks/long_sequences.py --task adding copy
    SKRNN_DATA=/path/to/benchmark/data python benchmarks/long_sequences.py --task mnist

The sequences of the first two tasks are drawn anew, those of the test with a seed of their own. The
digits are read from the folder SKRNN_DATA names.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterable
from datetime import date
from pathlib import Path

import numpy as np
import torch

import skrnn
from skrnn import RNNClassifier, RNNRegressor

Split = tuple[np.ndarray, np.ndarray]
SYMBOLS, COPIED = 8, 10  # as in the task of Hochreiter and Schmidhuber
FIRST = 2  # token ids 0 and 1 are padding and unknown words
BLANK, GO = FIRST + SYMBOLS, FIRST + SYMBOLS + 1


def draw_adding(n: int, steps: int, seed: int) -> Split:
    """Numbers, two of which are marked, one in each half: the target is their sum."""
    rng = np.random.default_rng(seed)
    X = np.zeros((n, steps, 2), dtype=np.float32)
    X[:, :, 0] = rng.random((n, steps))
    rows = np.arange(n)
    marked = rng.integers(0, steps // 2, n), rng.integers(steps // 2, steps, n)
    y = np.zeros(n)
    for step in marked:
        X[rows, step, 1] = 1
        y += X[rows, step, 0]
    return X, y


def draw_copy(n: int, steps: int, seed: int) -> Split:
    """Ten symbols, blanks, a sign to go, and as many steps as there are symbols to repeat."""
    rng = np.random.default_rng(seed)
    symbols = rng.integers(FIRST, BLANK, (n, COPIED))
    X = np.full((n, steps + 2 * COPIED), BLANK)
    X[:, :COPIED] = symbols
    X[:, -COPIED - 1] = GO
    y = np.full_like(X, BLANK)
    y[:, -COPIED:] = symbols
    return X, y


def adding(seed: int) -> Iterable[tuple[str, float]]:
    """Squared error over 1 000 steps; the mean of the targets has 1/6."""
    model = RNNRegressor(batch_size=64, max_epochs=10, random_state=seed)
    model.fit(*draw_adding(4000, 1000, seed))
    X, y = draw_adding(1000, 1000, 1000 + seed)
    yield "RNNRegressor(batch_size=64, max_epochs=10)", float(np.mean((model.predict(X) - y) ** 2))


def mnist_part(n_train: int) -> tuple[Split, Split]:
    """The first images of the training part and the whole test part, a pixel per step."""
    with np.load(Path(os.environ["SKRNN_DATA"]) / "image/mnist/mnist.npz") as file:
        train = file["x_train"][:n_train], file["y_train"][:n_train]
        test = file["x_test"], file["y_test"]
    (X, y), (X_test, y_test) = (
        (images.reshape(len(images), -1, 1).astype(np.float32), labels) for images, labels in (train, test)
    )
    return (X, y), (X_test, y_test)
