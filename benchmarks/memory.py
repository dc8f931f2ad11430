"""What long series cost in memory: as windows, with the time to make batches, and in chunks.

    python benchmarks/memory.py

makes a float32 series of 1 000 000 steps and 8 columns, fits a small network to its windows of 168
steps, once as `make_windows` gives them and once copied into an array, each in a process of its
own, and prints the peak of the memory above what was in use before the fit (Linux only: it is read
from /proc). The same fit to a series of a few thousand steps says how much of that belongs to the
network and its batches. Below it are the seconds of one shuffled pass over all windows in batches.

The last table is of one long sequence, labelled at every step or once: the peak of a training for
one epoch on the whole of it, and in chunks of `--chunk` steps (`tbptt_steps`).

The median of the memory (of the array a single run) and the least of the seconds are printed.
`--columns` predicts one column (the default) or all of them, `--max-time` bounds the seconds of
training, and `--steps`, `--window` and `--long` make other series. `--only chunks` or
`--only windows` leaves the rest out.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

from skrnn import RNNClassifier, RNNRegressor
from skrnn._sequences import Sequences
from skrnn._training import SequenceDataset
from skrnn.preprocessing import make_windows

MEGA = 1e6
BATCH_OF_PASS = 256


def make_series(n_steps: int, n_features: int) -> np.ndarray:
    """Noisy waves in float32, made in place."""
    series = np.random.default_rng(0).standard_normal((n_steps, n_features), dtype=np.float32)
    series += np.sin(np.arange(n_steps, dtype=np.float32) / 12)[:, None]
    return series


# -- memory -----------------------------------------------------------------------------------


def in_use(field: str) -> float:
    """Resident memory of this process (VmRSS), or its peak (VmHWM), in MB."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    (line,) = (line for line in lines if line.startswith(field))
    return int(line.split()[1]) * 1024 / MEGA


def peak_of(call: Callable[[], object]) -> float:
    """MB in use at most during a call, above what was in use before it."""
    Path("/proc/self/clear_refs").write_text("5", "utf-8")  # forget the peak so far
    before = in_use("VmRSS")
    call()
    return in_use("VmHWM") - before


def model(options: argparse.Namespace, **params) -> RNNRegressor:
    """The network of the comparison."""
    fixed = {"hidden_size": 4, "max_epochs": 1, "batch_size": options.batch_size}
    fixed |= {"frontend": None, "random_state": 0, "device": "cpu"}
    return RNNRegressor(**{**fixed, **params})


def memory_of_fit(options: argparse.Namespace) -> dict[str, float]:
    """Peak of one fit, and what the data in use before it amount to."""
    target = None if options.columns == "all" else 0
    # What is loaded at the first fit of a process is none of the data's business.
    X, y = make_windows(make_series(600, options.features), 24, target=target)
    model(options, batch_size=32).fit(X, y)

    n_steps = 16 * options.batch_size if options.contender == "short" else options.steps
    series = make_series(n_steps, options.features)
    X, y = make_windows(series, options.window, target=target)
    network = model(options, max_time=options.max_time)

    def fit() -> None:
        network.fit(np.array(X) if options.contender == "array" else X, y)

    return {"peak": peak_of(fit), "series": series.nbytes / MEGA, "target": y.nbytes / MEGA}


def memory_of_long_fit(options: argparse.Namespace) -> dict[str, float]:
    """Peak of one epoch on one long sequence; `contender` is "steps" or "once", whole or cut."""
    labels, _, cut = options.contender.partition("-")

    def fit(series: np.ndarray) -> None:
        fixed = {"hidden_size": 32, "max_epochs": 1, "random_state": 0, "device": "cpu"}
        fixed |= {
            "frontend": None,
            "bidirectional": False,
            "tbptt_steps": options.chunk if cut else None,
        }
        if labels == "once":
            RNNRegressor(**fixed).fit([series], [0.0])
        else:
            RNNClassifier(return_sequences=True, **fixed).fit([series], [series[:, 0] > 0])

    fit(make_series(2 * options.chunk, options.features))
    series = make_series(options.long, options.features)
    start = time.perf_counter()
    peak = peak_of(lambda: fit(series))
    return {"peak": peak, "series": series.nbytes / MEGA, "seconds": time.perf_counter() - start}


# -- time -------------------------------------------------------------------------------------


def batches_of(options: argparse.Namespace) -> Callable[[], Iterable]:
    """Get ready to make the batches of one shuffled epoch."""
    series = make_series(options.steps, options.features)
    X, _ = make_windows(series, options.window, target=0)

    def order() -> list[np.ndarray]:
        return np.array_split(np.random.default_rng(0).permutation(len(X)), len(X) // BATCH_OF_PASS)

    if options.contender == "view":
        view = sliding_window_view(series, options.window, axis=0).transpose(0, 2, 1)
        return lambda: (torch.from_numpy(np.ascontiguousarray(view[rows])) for rows in order())
    if options.contender == "tensor":
        tensor = torch.from_numpy(np.array(X))
        return lambda: (tensor[torch.from_numpy(rows)] for rows in order())
    array = options.contender == "array"
    sequences = Sequences.from_padded(np.array(X)) if array else Sequences.from_windows(X)
    dataset = SequenceDataset(sequences)
    return lambda: (dataset.batch(rows) for rows in order())


def seconds_of_pass(options: argparse.Namespace) -> dict[str, float]:
    """Seconds to make all batches of one shuffled epoch, and to get ready for it."""
    torch.set_num_threads(1)
    start = time.perf_counter()
    batches = batches_of(options)
    seconds = {"ready": time.perf_counter() - start, "pass": np.inf}
    for _ in range(options.rounds):
        start = time.perf_counter()
        for _ in batches():
            pass
        seconds["pass"] = min(seconds["pass"], time.perf_counter() - start)
    return seconds


# -- the report -------------------------------------------------------------------------------


def measure(job: str, contender: str) -> dict[str, float]:
    """Run one measurement in a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], "--job", job, "--contender", contender]
    # What a training keeps for its next step depends on its batches, and varies.
    environment = {**os.environ, "SKRNN_KEEP_HEAP": "0"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def report_chunks(options: argparse.Namespace) -> None:
    """Print the table of one long sequence."""
    series = f"one sequence of {options.long:,} steps"
    print(f"{series:<44}{'MB':>8}{'s':>8}")
    for labels, told in (("steps", "a label per step"), ("once", "one answer")):
        for cut, how in (("", "whole"), ("-cut", f"tbptt_steps={options.chunk}")):
            runs = [measure("long", labels + cut) for _ in range(options.rounds)]
            peak, seconds = (median(run[name] for run in runs) for name in ("peak", "seconds"))
            print(f"{told + ', ' + how:<44}{peak:>8.0f}{seconds:>8.1f}")


def report_windows(options: argparse.Namespace) -> None:
    """Print both tables of windows."""
    labels = {"windows": "make_windows", "array": "copied into an array", "short": "a short series"}
    results: dict[str, list[dict[str, float]]] = {name: [] for name in labels}
    for i in range(options.rounds):
        for name in labels:
            if i == 0 or name != "array":
                results[name].append(measure("memory", name))
    peaks = {name: median(run["peak"] for run in runs) for name, runs in results.items()}
    first = results["windows"][0]
    size = first["series"]
    print(f"series: {size:.0f} MB, target: {first['target']:.0f} MB")
    print(f"{'memory of fit above the data':<32}{'MB':>8}{'x series':>10}{'less batches':>14}")
    for name, label in labels.items():
        data = (peaks[name] - peaks["short"]) / size
        print(f"{label:<32}{peaks[name]:>8.0f}{peaks[name] / size:>10.2f}{data:>14.2f}")

    labels = {
        "windows": "make_windows",
        "view": "numpy's view, copied",
        "array": "array, our batches",
        "tensor": "array, indexed by torch",
    }
    seconds = {name: measure("time", name) for name in labels}
    title = f"one pass, batches of {BATCH_OF_PASS}"
    print(f"\n{title:<32}{'ready s':>8}{'pass s':>10}{'ratio':>14}")
    for name, label in labels.items():
        ready, least = seconds[name].values()
        print(f"{label:<32}{ready:>8.2f}{least:>10.2f}{least / seconds['tensor']['pass']:>14.2f}")


def main() -> None:
    """Read the options; measure one thing, or everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--features", type=int, default=8)
    parser.add_argument("--window", type=int, default=168)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--columns", choices=["one", "all"], default="one")
    parser.add_argument("--max-time", type=float, default=5.0)
    parser.add_argument("--long", type=int, default=200_000)
    parser.add_argument("--chunk", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["windows", "chunks"])
    parser.add_argument("--job", choices=["memory", "time", "long"], help=argparse.SUPPRESS)
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    options = parser.parse_args()
    jobs = {"memory": memory_of_fit, "time": seconds_of_pass, "long": memory_of_long_fit}
    if options.job is not None:
        print(json.dumps(jobs[options.job](options)))
        return
    if options.only != "chunks":
        report_windows(options)
    if options.only != "windows":
        report_chunks(options)


if __name__ == "__main__":
    main()
