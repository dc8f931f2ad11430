"""Training and prediction beside a loop in bare PyTorch, and beside other packages.

    python benchmarks/speed.py                     # every case
    python benchmarks/speed.py --case fit ragged   # some of them
    OMP_NUM_THREADS=1 python benchmarks/speed.py   # with one thread for all contenders
    python benchmarks/speed.py --case others --peer-path keras=FOLDER darts=FOLDER

Contenders of a case take turns for `--rounds` rounds; the table gives medians and their ratio to
the first one, which is the yardstick. Ratios are worth comparing, seconds are those of one machine.
With one thread each contender has a process of its own, but in cases that start processes.

keras, keras-tensorflow, darts and neuralforecast run in processes of their own, from folders that
`pip install --target FOLDER ...` makes, so that their dependencies need not fit ours; FOLDER may
be several, separated as in PYTHONPATH. Starting the process and imports are not timed.
"""

import argparse
import os
import platform
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from datetime import date
from statistics import median

import numpy as np
import torch
from _speed_contenders import (
    Task,
    bare_fit,
    bare_predict,
    equal_task,
    one_by_one,
    ours,
    ours_fit,
    ours_predict,
    peers,
    ragged_task,
    sktime_fit,
)
from _speed_processes import FOLDERS, in_own_process, peers_elsewhere, side_by_side
from _speed_windows import WindowTask, bare_windows_fit, ours_windows_fit, waves
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor
from sklearn.model_selection import GridSearchCV

import skrnn
from skrnn import RNNClassifier

Contenders = dict[str, Callable[[], float]]
BARE = "bare torch"
SPIN = "import torch\ntorch.set_num_threads(1)\na = torch.randn(300, 300)\nwhile True: a @ a"


def fit() -> Iterator[tuple[str, Contenders]]:
    """Train on sequences of one length."""
    for batch_size in (32, 64, 256):
        task = equal_task(10_000, 50, batch_size=batch_size)
        yield (
            f"fit: 10 000 x 50 x 8, hidden 64, batch {batch_size}",
            {BARE: lambda task=task: bare_fit(task), "skrnn": lambda task=task: ours_fit(task)},
        )
    task = equal_task(1_500, 512)
    yield (
        "fit: 1 500 x 512 x 8, hidden 64, batch 64",
        {BARE: lambda: bare_fit(task), "skrnn": lambda: ours_fit(task)},
    )


def ragged() -> Iterator[tuple[str, Contenders]]:
    """Train on sequences of 10 to 200 steps."""
    task = ragged_task()
    yield (
        "fit: 2 048 sequences of 10 to 200 steps, 8 features, hidden 64, batch 64",
        {
            BARE + ", padded to the longest of the batch": lambda: bare_fit(task),
            BARE + ", packed": lambda: bare_fit(task, packed=True),
            "skrnn": lambda: ours_fit(task),
        },
    )


def predict() -> Iterator[tuple[str, Contenders]]:
    """Predict labels."""
    equal, uneven = equal_task(10_000, 50), ragged_task()
    yield (
        "predict: 10 000 x 50 x 8, hidden 64, batch 64",
        {BARE: bare_predict(equal), "skrnn": ours_predict(equal)},
    )
    yield (
        "predict: 2 048 sequences of 10 to 200 steps, hidden 64, batch 64",
        {BARE + ", padded": bare_predict(uneven), "skrnn": ours_predict(uneven)},
    )


def overhead() -> Iterator[tuple[str, Contenders]]:
    """Train once through 200 samples: what is not training shows."""
    task = equal_task(200, 50)
    yield (
        "fit: 200 x 50 x 8, one epoch (the difference is set-up and tear-down)",
        {BARE: lambda: bare_fit(task), "skrnn": lambda: ours_fit(task)},
    )


def busy() -> Iterator[tuple[str, Contenders]]:
    """Train alone, and beside a process that keeps a core busy."""
    task = equal_task(10_000, 50, batch_size=64)

    def beside(job: Callable[[], float]) -> Callable[[], float]:
        def run() -> float:
            neighbour = subprocess.Popen([sys.executable, "-c", SPIN])
            try:
                time.sleep(4)  # until it has imported what it needs
                return job()
            finally:
                neighbour.kill()
                neighbour.wait()

        return run

    yield (
        "fit beside a busy process: 10 000 x 50 x 8, hidden 64, batch 64",
        {
            "skrnn, alone": lambda: ours_fit(task),
            "skrnn, beside it": beside(lambda: ours_fit(task)),
            BARE + ", beside it": beside(lambda: bare_fit(task)),
        },
    )


def cells() -> Iterator[tuple[str, Contenders]]:
    """Train other cells."""
    for steps, n in ((50, 10_000), (512, 1_500)):
        task = equal_task(n, steps)
        yield (
            f"fit, GRU: {n} x {steps} x 8, hidden 64, batch 64",
            {
                f"{BARE}, nn.GRU": lambda task=task: bare_fit(task, "gru"),
                "skrnn, gru": lambda task=task: ours_fit(task, "gru"),
            },
        )
        yield (
            f"fit, RNN: {n} x {steps} x 8, hidden 64, batch 64",
            {
                f"{BARE}, nn.RNN": lambda task=task: bare_fit(task, "rnn"),
                "skrnn, rnn": lambda task=task: ours_fit(task, "rnn"),
            },
        )
    for steps, n in ((512, 1_500), (2048, 400)):
        task = equal_task(n, steps)
        yield (
            f"fit, linear recurrences: {n} x {steps} x 8, hidden 64, batch 64",
            {
                f"{BARE}, nn.LSTM": lambda task=task: bare_fit(task, "lstm"),
                "skrnn, lstm": lambda task=task: ours_fit(task, "lstm"),
                "skrnn, mingru": lambda task=task: ours_fit(task, "mingru"),
                "skrnn, minlstm": lambda task=task: ours_fit(task, "minlstm"),
            },
        )


def precision() -> Iterator[tuple[str, Contenders]]:
    """Train with 16-bit products on the CPU."""
    for hidden_size in (64, 128, 256):
        task = equal_task(2_000, 50, hidden_size=hidden_size)
        yield (
            f"fit, precision: 2 000 x 50 x 8, hidden {hidden_size}, batch 64",
            {
                "skrnn, float32": lambda task=task: ours_fit(task),
                "skrnn, bf16": lambda task=task: ours_fit(task, precision="bf16"),
            },
        )


def others() -> Iterator[tuple[str, Contenders]]:
    """Train the same network in other packages."""
    task = equal_task(10_000, 50)
    yield (
        "fit, other packages: LSTM, 10 000 x 50 x 8, hidden 64, batch 64",
        {BARE: lambda: bare_fit(task), "skrnn": lambda: ours_fit(task), **dict(peers(task))},
    )
    for cell, name in (("gru", "GRUClassifier"), ("rnn", "SimpleRNNClassifierTorch")):
        yield (
            f"fit, other packages: {cell.upper()}, 10 000 x 50 x 8, hidden 64, batch 64",
            {
                BARE: lambda cell=cell: bare_fit(task, cell),
                "skrnn": lambda cell=cell: ours_fit(task, cell),
                f"sktime {name}": lambda name=name: sktime_fit(name, task),
            },
        )


def _forecasters(title: str, task: WindowTask) -> tuple[str, Contenders]:
    others = peers_elsewhere(
        ("keras", "keras-tensorflow", "darts", "neuralforecast"), lambda: task.job()
    )
    return title, {
        BARE: lambda: bare_windows_fit(task),
        "skrnn": lambda: ours_windows_fit(task),
        **dict(others),
    }


def windows() -> Iterator[tuple[str, Contenders]]:
    """Train on the windows of one series, in other packages too."""
    for horizon in (1, 24):
        yield _forecasters(
            f"fit, windows of 48 of 20 000 steps, horizon {horizon}, hidden 32, batch 64",
            waves(1, 20_000, horizon=horizon),
        )


def long() -> Iterator[tuple[str, Contenders]]:
    """Train on the windows of a long series."""
    task = waves(1, 1_000_000, 8, batch_size=1024)
    yield (
        "fit, windows of 48 of 1 000 000 x 8 steps, horizon 1, hidden 32, batch 1 024",
        {BARE: lambda: bare_windows_fit(task), "skrnn": lambda: ours_windows_fit(task)},
    )


def panel() -> Iterator[tuple[str, Contenders]]:
    """Train one network on the windows of many series, in other packages too."""
    yield _forecasters(
        "fit, windows of 48 of 1 000 series of 72 steps, horizon 1, hidden 32, batch 64",
        waves(1_000, 72),
    )


def latency() -> Iterator[tuple[str, Contenders]]:
    """Predict one sequence at a time."""
    bare, own = one_by_one(equal_task(300, 50))
    yield (
        "predict one sequence of 50 x 8, hidden 64, seconds per call",
        {BARE: bare, "skrnn, checks included": own},
    )


def search() -> Iterator[tuple[str, Contenders]]:
    """Search a grid with one process and with two, and what two processes can do here at all."""
    task: Task = equal_task(3_000, 50, batch_size=32)
    # The slow settings first: no process is left alone with one of them.
    grid = {"hidden_size": [64, 32], "lr": [3e-4, 1e-3, 3e-3, 1e-2, 3e-2]}

    def run(n_jobs: int, running: bool = False) -> float:
        # Workers outlive a search.
        get_reusable_executor().shutdown(wait=True)
        if running:
            ours_fit(task, max_epochs=1)
            few = (equal_task(64, 50) for _ in range(2 * n_jobs))
            Parallel(n_jobs)(delayed(ours_fit)(small) for small in few)
        start = time.perf_counter()
        model: RNNClassifier = ours(task, max_epochs=20)
        GridSearchCV(model, grid, cv=5, n_jobs=n_jobs, refit=False).fit(task.X, task.y)
        return time.perf_counter() - start

    yield (
        "grid search: 10 settings, 5 folds, 20 epochs of 2 400 x 50 x 8",
        {
            "n_jobs=1": lambda: run(1),
            "n_jobs=2": lambda: run(2),
            "n_jobs=2, workers running": lambda: run(2, running=True),
        },
    )
    yield (
        "side by side: 5 epochs of 10 000 x 50 x 8 in each process, one thread",
        {f"{BARE}, one process": lambda: side_by_side(1), "two processes": lambda: side_by_side(2)},
    )


CASES = {f.__name__: f for f in (fit, ragged, predict, overhead, busy, cells, precision, others)}
CASES |= {f.__name__: f for f in (windows, long, panel, latency, search)}
# Those that start processes themselves cannot be in one of their own.
START_PROCESSES = {"busy", "search", "others", "windows", "panel"}


def report(title: str, contenders: Contenders, rounds: int, warm: bool) -> None:
    """Let the contenders take turns, and print one table."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    if warm:
        for run in contenders.values():
            run()  # caches and lazy imports
    for _ in range(rounds):
        for name, run in contenders.items():
            times[name].append(run())
    medians = {name: median(values) for name, values in times.items()}
    first = next(iter(medians.values()))
    print(f"\n### {title}\n\n| contender | median, s | ratio | rounds |\n|---|---|---|---|")
    for name, value in medians.items():
        print(f"| {name} | {value:.4g} | {value / first:.2f} | {rounds} |", flush=True)


def machine() -> str:
    """The line that every table needs."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{date.today()}, {platform.machine()}, {cores} cores, {torch.get_num_threads()} thread(s) "
        f"of torch, Python {platform.python_version()}, torch {torch.__version__}, "
        f"skrnn {skrnn.__version__}, numpy {np.__version__}"
    )


def main() -> None:
    """Run the cases that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--case", nargs="+", choices=CASES, default=[*CASES])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-path", nargs="+", default=[], metavar="NAME=FOLDER")
    args = parser.parse_args()
    FOLDERS.update(pair.split("=", 1) for pair in args.peer_path)
    warnings.simplefilter("ignore")
    print(machine())
    for name in args.case:
        for title, contenders in CASES[name]():
            # A process that was forked has one thread of torch.
            if name not in START_PROCESSES and torch.get_num_threads() == 1 and hasattr(os, "fork"):
                contenders = {key: in_own_process(run) for key, run in contenders.items()}
            rounds = min(args.rounds, 3) if name == "search" else args.rounds
            report(title, contenders, rounds, warm=rounds > 1 and name != "search")


if __name__ == "__main__":
    main()
