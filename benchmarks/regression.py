"""Numbers from sequences: remaining life of engines, and sets of the regression archive.

    pip install -e . numba
    SKRNN_DATA=/path/to/benchmark/data python benchmarks/regression.py

C-MAPSS FD001: 100 engines that run until they fail, and 100 that are cut off before; how many
cycles are left, at most 125? Settings of the network are chosen on a third of the training engines,
left out for that, and the test part is scored once. Then Covid3Month, FloodModeling1 and
Tecator with the defaults, as in `untuned.py`.
"""

import argparse
import os
import platform
import time
import warnings
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import sktime
import torch
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import RidgeCV
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from untuned import ALPHAS, compare

import skrnn
from skrnn import RNNRegressor
from skrnn.preprocessing import sequences_from_frame

CAP = 125
WINDOW, STEP = 30, 3
WHOLE = {"batch_size": 8, "early_stopping": False}
# What is compared on engines that are left out; "whole" ones answer at every cycle of a life.
SETTINGS = {
    "whole lives": {"max_epochs": 25, **WHOLE},
    "whole lives, two layers": {"num_layers": 2, "max_epochs": 25, **WHOLE},
    "whole lives, convolutions": {
        "frontend": "conv",
        "dropout": 0.3,
        "lr": 0.003,
        "max_epochs": 15,
        **WHOLE,
    },
    "windows": {
        "dropout": 0.2,
        "lr": 0.002,
        "max_epochs": 8,
        "batch_size": 64,
        "early_stopping": False,
    },
}

Engines = list[np.ndarray]


def engines(part: str) -> Engines:
    path = Path(os.environ["SKRNN_DATA"]) / "regression" / "cmapss_FD001" / f"{part}_FD001.txt.gz"
    table = pd.read_csv(path, sep=r"\s+", header=None)
    if part == "RUL":
        return table[0].to_numpy(float)
    table = table.rename(columns={0: "engine", 1: "cycle"})
    frames, _ = sequences_from_frame(table, id="engine", time="cycle")
    return [frame.to_numpy() for frame in frames]


def life_left(X: Engines) -> Engines:
    return [np.minimum(CAP, np.arange(len(x))[::-1]).astype(float) for x in X]


def windows(X: Engines, step: int = STEP) -> tuple[np.ndarray, np.ndarray]:
    """The last cycles before every third one, and the life left at their end."""
    left = life_left(X)
    ends = [(i, end) for i, x in enumerate(X) for end in range(WINDOW, len(x) + 1, step)]
    rows = np.stack([X[i][end - WINDOW : end] for i, end in ends])
    return rows, np.array([left[i][end - 1] for i, end in ends])


def lives(name: str, X: Engines, X_test: Engines, seed: int) -> np.ndarray:
    """Network: predictions at the end of each engine of `X_test`."""
    model = RNNRegressor(**SETTINGS[name], random_state=seed)
    if name.startswith("whole"):
        model.set_params(return_sequences=True).fit(X, life_left(X))
        return np.array([y[-1] for y in model.predict(X_test)])
    return model.fit(*windows(X)).predict(np.stack([x[-WINDOW:] for x in X_test]))


def on_windows(model, X: Engines, X_test: Engines) -> np.ndarray:
    rows, y = windows(X)
    model.fit(rows.reshape(len(rows), -1), y)
    return model.predict(np.stack([x[-WINDOW:] for x in X_test]).reshape(len(X_test), -1))


def cut_off(X: Engines, seed: int) -> tuple[Engines, np.ndarray]:
    """Engines at random moments of their lives, eight of each."""
    rng = np.random.default_rng(seed)
    cut, left = [], []
    for x, y in zip(X, life_left(X), strict=True):
        for end in rng.integers(WINDOW + 1, len(x), size=8):
            cut.append(x[:end])
            left.append(y[end - 1])
    return cut, np.array(left)


def choose(X: Engines) -> str:
    """Name of the settings that are best for a third of the engines, which were left out."""
    train, judge = next(ShuffleSplit(1, test_size=1 / 3, random_state=0).split(X))
    cut, left = cut_off([X[i] for i in judge], seed=0)
    scores = {}
    for name in SETTINGS:
        found = lives(name, [X[i] for i in train], cut, seed=0)
        scores[name] = root_mean_squared_error(left, np.clip(found, 0, CAP))
        print(f"left-out engines, {name}: RMSE {scores[name]:.2f}", flush=True)
    return min(scores, key=scores.get)


def nasa_score(y: np.ndarray, found: np.ndarray) -> float:
    """Late warnings cost more than early ones (Saxena et al., 2008)."""
    late = found - y
    return float(np.where(late < 0, np.exp(-late / 13) - 1, np.exp(late / 10) - 1).sum())


def cmapss(seeds: int, settings: str | None) -> None:
    X, X_test, y = engines("train"), engines("test"), engines("RUL")
    best = settings or choose(X)
    print(f"\n### C-MAPSS FD001, {best}\n")
    print(
        "| contender | RMSE, life capped | sd | RMSE, life as it is | NASA score | runs | seconds |"
    )
    print("|---|---|---|---|---|---|---|")
    contenders = {
        f"RNNRegressor ({best})": (lambda seed: lives(best, X, X_test, seed), seeds),
        "gradient boosting": (
            lambda seed: on_windows(HistGradientBoostingRegressor(random_state=seed), X, X_test),
            1,
        ),
        "random forest": (
            lambda seed: on_windows(
                RandomForestRegressor(max_features=1 / 3, random_state=seed), X, X_test
            ),
            1,
        ),
        "ridge": (
            lambda seed: on_windows(make_pipeline(StandardScaler(), RidgeCV(ALPHAS)), X, X_test),
            1,
        ),
    }
    capped = np.minimum(y, CAP)
    for name, (run, n_runs) in contenders.items():
        rows = []
        for seed in range(n_runs):
            start = time.perf_counter()
            found = np.clip(run(seed), 0, CAP)
            seconds = time.perf_counter() - start
            errors = [root_mean_squared_error(true, found) for true in (capped, y)]
            rows.append([*errors, nasa_score(capped, found), seconds])
        mean, deviation = np.mean(rows, axis=0), np.std(rows, axis=0)
        print(
            f"| {name} | {mean[0]:.2f} | {deviation[0]:.2f} | {mean[1]:.2f} | {mean[2]:.0f} | "
            f"{n_runs} | {mean[3]:.0f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    archive = ["Covid3Month", "FloodModeling1", "Tecator"]
    parser.add_argument("--data", nargs="*", default=["cmapss", *archive])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--settings", choices=SETTINGS, help="instead of choosing anew")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="sktime")
    torch.set_num_threads(1)
    print(
        f"{date.today()}, {platform.machine()}, 1 thread, Python {platform.python_version()}, "
        f"skrnn {skrnn.__version__}, torch {torch.__version__}, sktime {sktime.__version__}"
    )
    for name in options.data:
        if name == "cmapss":
            cmapss(options.seeds, options.settings)
        else:
            compare(name, options.seeds)


if __name__ == "__main__":
    main()
