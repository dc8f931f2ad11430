"""What one fit over a large panel costs besides the training of the network.

    python benchmarks/panel_overhead.py

makes a panel of the size of M4's hourly series (414 series, 353 500 rows), fits a forecaster to it
and prints where the seconds go: sktime's checks, what is ours outside of training, and training.
Only training takes longer with more epochs: the share of a whole fit follows from its seconds.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median
from unittest import mock

import numpy as np
import pandas as pd
import torch

from skrnn import RNNForecaster
from skrnn._forecasting._model import ForecastModel


class Stopwatch:
    """Adds up the seconds spent in functions."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def on(self, function: Callable) -> Callable:
        """The function, timed."""

        def timed(*args, **kwargs):
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - start

        return timed


def make_panel(n_series: int, n_rows: int) -> pd.DataFrame:
    """Series with a daily season, all of one length but the last, on integer stamps."""
    rng = np.random.default_rng(0)
    lengths = np.full(n_series, n_rows // n_series)
    lengths[-1] += n_rows - lengths.sum()
    step = np.concatenate([np.arange(n) for n in lengths])
    series = np.repeat(np.arange(n_series), lengths)
    values = 10 + np.sin(2 * np.pi * step / 24) + 0.2 * rng.normal(size=n_rows)
    index = pd.MultiIndex.from_arrays([series, step], names=["series", "time"])
    return pd.DataFrame({"y": values}, index)


def measure(y: pd.DataFrame, max_epochs: int) -> dict[str, float]:
    """Seconds of one fit by what they were spent on, and of one predict."""
    inner, training, whole, predict = (Stopwatch() for _ in range(4))
    forecaster = RNNForecaster(sp=24, max_epochs=max_epochs, random_state=0)
    with (
        mock.patch.object(RNNForecaster, "_fit", inner.on(RNNForecaster._fit)),
        mock.patch.object(ForecastModel, "_train", training.on(ForecastModel._train)),
    ):
        whole.on(forecaster.fit)(y, fh=range(1, 49))
    predict.on(forecaster.predict)()
    return {
        "sktime's checks": whole.seconds - inner.seconds,
        "ours outside training": inner.seconds - training.seconds,
        "training": training.seconds,
        "whole fit": whole.seconds,
        "predict": predict.seconds,
    }


def main() -> None:
    """Print the median seconds of each part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=414)
    parser.add_argument("--rows", type=int, default=353_500)
    parser.add_argument("--max-epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    y = make_panel(args.series, args.rows)
    rounds = [measure(y, args.max_epochs) for _ in range(args.rounds)]
    print(f"{args.series} series, {len(y)} rows, {torch.get_num_threads()} thread(s) of torch,")
    print(f"{args.max_epochs} epochs twice (with refit), medians of {args.rounds} rounds, seconds")
    for name in rounds[0]:
        print(f"{name:>24} {median(r[name] for r in rounds):8.2f}")


if __name__ == "__main__":
    main()
