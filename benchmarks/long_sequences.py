"""Long sequences: a sum over 1 000 steps, symbols copied over 200, digits read pixel by pixel.

    python benchmarks/long_sequences.py --task adding copy copy-plain
    SKRNN_DATA=/path/to/benchmark/data python benchmarks/long_sequences.py --task mnist

The sequences of the first two tasks are drawn anew, those of the test with a seed of their own. The
digits are read from the folder SKRNN_DATA names.
"""

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import clone

import skrnn
from skrnn import RNNClassifier, RNNRegressor

Split = tuple[np.ndarray, np.ndarray]
Result = Iterator[tuple[str, float, float]]
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


def draw_copies(n: int, steps: int, seed: int) -> tuple[list, list, list]:
    """Sequences with 10 to so many blanks, as many per octave, and the weights of their steps."""
    rng = np.random.default_rng(10_000 + seed)
    lengths = np.exp(rng.uniform(np.log(10), np.log(steps + 1), n)).astype(int)
    X, y, weights = [], [], []
    for length, count in zip(*np.unique(lengths, return_counts=True), strict=True):
        sequences, answers = draw_copy(count, length, 10_000 * (seed + 1) + length)
        X.extend(sequences)
        y.extend(answers)
        # What is to be told are the last steps; the others are there to be remembered over.
        weight = np.full(length + 2 * COPIED, 0.5)
        weight[-COPIED:] = 10
        weights += [weight] * count
    return X, y, weights


def adding(seed: int) -> Result:
    """Squared error over 1 000 steps; the mean of the targets has 1/6."""
    model = RNNRegressor(batch_size=64, max_epochs=10, random_state=seed)
    X, y = draw_adding(4000, 1000, seed)
    X_test, y_test = draw_adding(1000, 1000, 1000 + seed)
    yield from fitted(model, X, y, lambda m: float(np.mean((m.predict(X_test) - y_test) ** 2)))


def copying(seed: int, memory_steps: int | None = 300) -> Result:
    """Share of the repeated symbols that are right after 200 steps."""
    X, y, weights = draw_copies(40_000, 200, seed)
    X_test, y_test = draw_copy(2000, 200, 2000 + seed)
    tagger = RNNClassifier(
        return_sequences=True,
        embedding_dim=16,
        hidden_size=128,
        lr=0.01,
        max_epochs=12,
        early_stopping=False,
        memory_steps=memory_steps,
        random_state=seed,
    )

    def right(model: RNNClassifier) -> float:
        said = np.stack(model.predict(list(X_test)))
        return float(np.mean(said[:, -COPIED:] == y_test[:, -COPIED:]))

    yield from fitted(tagger, X, y, right, sample_weight=weights)


def copying_as_ever(seed: int) -> Result:
    """The same, with gates that start as they do by default."""
    yield from copying(seed, memory_steps=None)


def digits(seed: int) -> Result:
    """Accuracy on the 10 000 test images of MNIST, 784 steps of a pixel each."""
    with np.load(Path(os.environ["SKRNN_DATA"]) / "image/mnist/mnist.npz") as file:
        X, y = pixels(file["x_train"]), file["y_train"]
        X_test, y_test = pixels(file["x_test"]), file["y_test"]
    for n_images, max_epochs in ((10_000, 10), (60_000, 6)):
        model = RNNClassifier(
            frontend="conv", batch_size=64, max_epochs=max_epochs, random_state=seed
        )
        found = fitted(model, X[:n_images], y[:n_images], lambda m: m.score(X_test, y_test))
        for text, score, seconds in found:
            yield f"{text}, {n_images} images", score, seconds


def pixels(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1, 1).astype(np.float32)


def fitted(model: Any, X: Any, y: Any, score: Callable, **fit_params: Any) -> Result:
    """Fit a clone, and say what it was, how it scores and how long it took."""
    start = time.perf_counter()
    twin = clone(model).fit(X, y, **fit_params)
    seconds = time.perf_counter() - start
    yield " ".join(repr(model).split()), score(twin), seconds


TASKS: dict[str, tuple[Callable[[int], Result], str]] = {
    "adding": (adding, "mean squared error"),
    "copy": (copying, "share of symbols"),
    "copy-plain": (copying_as_ever, "share of symbols"),
    "mnist": (digits, "accuracy"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", nargs="*", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"{date.today()}, {platform.machine()}, 1 thread, Python {platform.python_version()}, "
        f"skrnn {skrnn.__version__}, torch {torch.__version__}"
    )
    for name in options.task:
        task, measure = TASKS[name]
        if name == "mnist" and "SKRNN_DATA" not in os.environ:
            print(f"\n### {name}: left out, SKRNN_DATA is not set")
            continue
        print(f"\n### {name}: {task.__doc__.splitlines()[0]}\n")
        print(f"| estimator | seed | {measure} | seconds of fit |")
        print("|---|---|---|---|")
        for seed in options.seeds:
            for text, score, seconds in task(seed):
                print(f"| `{text}` | {seed} | {score:.5f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
