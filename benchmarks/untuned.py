"""Untuned RNNClassifier and RNNRegressor beside the usual first tries, on archive splits.

    pip install -e . numba
    SKRNN_DATA=/path/to/benchmark/data python benchmarks/untuned.py

Every data set ships with sktime, except FloodModeling1, which is read from the folder SKRNN_DATA
names and left out when there is none. Nothing is tuned: each contender is fitted once per seed
with its defaults on the training part and scored once on the test part. How far a difference of two
RMSEs on one test part is from chance, the spread over test parts drawn from it tells (bootstrap).
"""

import argparse
import gzip
import os
import platform
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import numpy as np
import sktime
import torch
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import RidgeClassifierCV, RidgeCV
from sklearn.metrics import accuracy_score, root_mean_squared_error
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sktime.classification.distance_based import KNeighborsTimeSeriesClassifier
from sktime.datasets import (
    load_basic_motions,
    load_covid_3month,
    load_japanese_vowels,
    load_tecator,
)
from sktime.datatypes import convert_to
from sktime.regression.distance_based import KNeighborsTimeSeriesRegressor

import skrnn
from skrnn import RNNClassifier, RNNRegressor

Sequences = list[np.ndarray]
Split = tuple[Sequences, np.ndarray]
ALPHAS = np.logspace(-3, 5, 25)


def from_sktime(load: Callable, dtype: type = str) -> Iterator[Split]:
    for split in ("train", "test"):
        nested, y = load(split=split, return_X_y=True)
        frames = convert_to(nested, to_type="df-list")
        yield [frame.to_numpy(np.float64) for frame in frames], np.asarray(y).astype(dtype)


def from_archive(folder: str) -> Iterator[Split]:
    """Read the .ts files of the regression archive: channels split by ":", target last."""
    root = Path(os.environ["SKRNN_DATA"]) / "regression" / folder
    for split in ("TRAIN", "TEST"):
        (path,) = root.glob(f"*_{split}.ts.gz")
        with gzip.open(path, "rt", encoding="latin-1") as file:
            lines = [line.strip() for line in file if line.strip()]
        start = [line.lower() for line in lines].index("@data") + 1
        cells = [line.split(":") for line in lines[start:]]
        X = [np.array([c.split(",") for c in row[:-1]], dtype=np.float64).T for row in cells]
        yield X, np.array([row[-1] for row in cells], dtype=np.float64)


def flattened(X: Sequences, width: int) -> np.ndarray:
    """Steps side by side, shorter sequences filled with zeros, longer ones cut."""
    rows = np.zeros((len(X), width, X[0].shape[1]))
    for row, x in zip(rows, X, strict=True):
        row[: min(len(x), width)] = x[:width]
    return rows.reshape(len(X), -1)


def on_flat(model) -> Callable:
    def run(X, y, X_test, seed):
        width = max(map(len, X))
        if "random_state" in model.get_params():
            model.set_params(random_state=seed)
        return model.fit(flattened(X, width), y).predict(flattened(X_test, width))

    return run


def on_sequences(cls, **params) -> Callable:
    return lambda X, y, X_test, seed: cls(random_state=seed, **params).fit(X, y).predict(X_test)


def on_channels_first(model) -> Callable:
    """sktime's distances want (n, channels, steps); ragged data are filled with zeros."""

    def run(X, y, X_test, seed):
        width = max(map(len, X + X_test))
        cubes = [
            flattened(part, width).reshape(len(part), width, -1).swapaxes(1, 2)
            for part in (X, X_test)
        ]
        return model.fit(cubes[0], y).predict(cubes[1])

    return run


CLASSIFIERS = {
    "RNNClassifier": (on_sequences(RNNClassifier), True),
    "1-NN DTW": (on_channels_first(KNeighborsTimeSeriesClassifier(1, distance="dtw")), False),
    "random forest": (on_flat(RandomForestClassifier()), True),
    "ridge": (on_flat(make_pipeline(StandardScaler(), RidgeClassifierCV(ALPHAS))), False),
    "most frequent": (on_flat(DummyClassifier()), False),
}
REGRESSORS = {
    "RNNRegressor": (on_sequences(RNNRegressor), True),
    "five networks averaged": (on_sequences(RNNRegressor, n_estimators=5), True),
    "1-NN DTW": (on_channels_first(KNeighborsTimeSeriesRegressor(1, distance="dtw")), False),
    "random forest": (on_flat(RandomForestRegressor()), True),
    "ridge": (on_flat(make_pipeline(StandardScaler(), RidgeCV(ALPHAS))), False),
    "mean": (on_flat(DummyRegressor()), False),
}
DATA = {
    "JapaneseVowels": (lambda: from_sktime(load_japanese_vowels), CLASSIFIERS),
    "BasicMotions": (lambda: from_sktime(load_basic_motions), CLASSIFIERS),
    "Covid3Month": (lambda: from_sktime(load_covid_3month, float), REGRESSORS),
    "FloodModeling1": (lambda: from_archive("tser_FloodModeling1"), REGRESSORS),
    "Tecator": (lambda: from_sktime(load_tecator, float), REGRESSORS),
}


def spread_of_difference(first: np.ndarray, other: np.ndarray) -> str:
    """Middle 95 % of the difference of RMSEs over test parts drawn with replacement.

    `first` and `other` hold the squared error of each test sample, the mean over seeds.
    """
    drawn = np.random.default_rng(0).integers(0, len(first), (10_000, len(first)))
    difference = np.sqrt(first[drawn].mean(axis=1)) - np.sqrt(other[drawn].mean(axis=1))
    low, high = np.quantile(difference, [0.025, 0.975])
    return f"{low:+.5f} to {high:+.5f}"


def compare(name: str, seeds: int) -> None:
    load, contenders = DATA[name]
    (X, y), (X_test, y_test) = load()
    classify = contenders is CLASSIFIERS
    metric = accuracy_score if classify else root_mean_squared_error
    lengths = [len(x) for x in X]
    print(
        f"\n### {name}: {len(X)} train, {len(X_test)} test, {min(lengths)} to {max(lengths)} "
        f"steps, {X[0].shape[1]} features\n"
    )
    head = "mean accuracy" if classify else "mean RMSE"
    more = "" if classify else " RMSE of RNNRegressor less that |"
    print(f"| contender | {head} | standard deviation | runs | median seconds |{more}")
    print("|---|---|---|---|---|" + "---|" * bool(more))
    first = None
    for contender, (run, random) in contenders.items():
        predictions, seconds = [], []
        for seed in range(seeds if random else 1):
            start = time.perf_counter()
            predictions.append(run(X, y, X_test, seed))
            seconds.append(time.perf_counter() - start)
        scores = [metric(y_test, predicted) for predicted in predictions]
        row = (
            f"| {contender} | {np.mean(scores):.5f} | {np.std(scores):.5f} | {len(scores)} | "
            f"{np.median(seconds):.1f} |"
        )
        if not classify:
            errors = np.mean([(y_test - predicted) ** 2 for predicted in predictions], axis=0)
            row += " |" if first is None else f" {spread_of_difference(first, errors)} |"
            first = errors if first is None else first
        print(row, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="*", choices=DATA, default=list(DATA))
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="sktime")
    torch.set_num_threads(1)
    print(
        f"{date.today()}, {platform.machine()}, 1 thread, Python {platform.python_version()}, "
        f"skrnn {skrnn.__version__}, torch {torch.__version__}, sktime {sktime.__version__}"
    )
    for name in options.data:
        if name == "FloodModeling1" and "SKRNN_DATA" not in os.environ:
            print(f"\n### {name}: left out, SKRNN_DATA is not set")
            continue
        compare(name, options.seeds)


if __name__ == "__main__":
    main()
