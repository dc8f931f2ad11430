"""Files of a fitted pipeline: size, time to save and load, first prediction; beside pickle.

python benchmarks/files.py
"""

import argparse
import pickle
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import skops.io
import torch
from precision import vowels
from sklearn.pipeline import Pipeline, make_pipeline

import skrnn
from skrnn import RNNClassifier
from skrnn.preprocessing import SequenceScaler

WAYS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "skrnn.save, skrnn.load": (skrnn.save, skrnn.load),
    "pickle": (
        lambda model, path: Path(path).write_bytes(pickle.dumps(model)),
        lambda path: pickle.loads(Path(path).read_bytes()),
    ),
    "joblib": (joblib.dump, joblib.load),
    "skops": (
        skops.io.dump,
        lambda path: skops.io.load(path, trusted=skrnn.SKOPS_TRUSTED),
    ),
}
# What a new process does with a file; the last one is asked how long it took.
IN_A_PROCESS = {
    "skrnn.save, skrnn.load": "import skrnn; model = skrnn.load(path)",
    "pickle": "import pickle; model = pickle.loads(open(path, 'rb').read())",
    "joblib": "import joblib; model = joblib.load(path)",
    "skops": ("import skops.io, skrnn; model = skops.io.load(path, trusted=skrnn.SKOPS_TRUSTED)"),
}


def milliseconds(call: Callable[[], Any], repeats: int) -> float:
    """Median time of a call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def seconds_in_a_process(way: str, path: Path, x: Path, repeats: int) -> float:
    """Median time from the start of a process to its first prediction."""
    code = f"import sys, numpy as np; path, x = sys.argv[1:]; {IN_A_PROCESS[way]}; "
    command = [sys.executable, "-c", code + "model.predict([np.load(x)])", path, x]
    return milliseconds(lambda: subprocess.run(command, check=True), repeats) / 1000


def row(way: str, model: Pipeline, X: list[np.ndarray], folder: Path, settings: Any) -> str:
    """Measure one way to store the pipeline."""
    save, load = WAYS[way]
    path, x = folder / way.split(".")[0], folder / "x.npy"
    np.save(x, X[0])
    saving = milliseconds(lambda: save(model, path), settings.repeats)
    loading = milliseconds(lambda: load(path), settings.repeats)
    first = milliseconds(lambda: load(path).predict(X[:1]), settings.repeats)
    assert (load(path).predict_proba(X) == model.predict_proba(X)).all()
    total = seconds_in_a_process(way, path, x, settings.processes)
    size = path.stat().st_size / 1000
    return f"| {way} | {size:.1f} | {saving:.1f} | {loading:.1f} | {first:.1f} | {total:.1f} |"


def main() -> None:
    """Print one row per way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--processes", type=int, default=3)
    settings = parser.parse_args()
    warnings.simplefilter("ignore")
    (X, y), (X_test, _) = vowels("train"), vowels("test")
    model = make_pipeline(SequenceScaler(), RNNClassifier(random_state=0)).fit(X, y)
    tensors = model[-1].net_.module_.state_dict().values()
    weights = sum(t.numel() * t.element_size() for t in tensors) / 1000
    versions = f"Python {platform.python_version()}, skrnn {skrnn.__version__}"
    print(
        f"{date.today()}, {platform.machine()}, {versions}, torch {torch.__version__}, "
        f"{torch.get_num_threads()} thread, weights {weights:.1f} kB\n"
    )
    print("| way | kB | save, ms | load, ms | load and first prediction, ms | new process, s |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for way in WAYS:
            print(row(way, model, X_test, Path(folder), settings), flush=True)


if __name__ == "__main__":
    main()
