"""Accuracy of bf16 beside float32: Japanese vowels, the customary split, some seeds.

python benchmarks/precision.py
"""

import argparse
import platform
import statistics
import warnings
from datetime import date

import numpy as np
import torch
from sktime.datasets import load_japanese_vowels

from skrnn import RNNClassifier


def vowels(split: str) -> tuple[list[np.ndarray], np.ndarray]:
    """Sequences of shape (n_timesteps_i, 12) and their speakers."""
    X, y = load_japanese_vowels(split=split, return_X_y=True)
    sequences = [np.column_stack([np.asarray(cell) for cell in row]) for row in X.to_numpy()]
    # The container pads to the longest sequence.
    return [x[~np.isnan(x).any(axis=1)] for x in sequences], np.asarray(y)


def main() -> None:
    """Print one row per precision."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--hidden-size", type=int, default=128)
    settings = parser.parse_args()
    warnings.simplefilter("ignore")
    train, test = vowels("train"), vowels("test")
    print(
        f"{date.today()}, {platform.machine()}, torch {torch.__version__}, LSTM, "
        f"hidden {settings.hidden_size}, seeds {settings.seeds}\n"
    )
    print("| precision | accuracy, mean | deviation over seeds | lowest | highest |")
    print("|---|---|---|---|---|")
    for precision in ("float32", "bf16"):
        scores = [
            RNNClassifier(
                hidden_size=settings.hidden_size,
                frontend=None,
                precision=precision,
                random_state=seed,
            )
            .fit(*train)
            .score(*test)
            for seed in settings.seeds
        ]
        mean, deviation = statistics.mean(scores), statistics.stdev(scores)
        low, high = min(scores), max(scores)
        print(
            f"| {precision} | {mean:.4f} | {deviation:.4f} | {low:.4f} | {high:.4f} |", flush=True
        )


if __name__ == "__main__":
    main()
