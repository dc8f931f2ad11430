"""What one step of a stream costs, and predictions without torch, beside what they replace.

    python benchmarks/latency.py

prints three tables, of an LSTM with 64 units and 8 features on one thread of the CPU:

* microseconds of one step, of 1 stream and of 64 side by side, beside one call of a bare
  `torch.nn.LSTMCell`, and beside a loop of torch around it that does the same work: scaling,
  pooling, the head and its probabilities;
* memory in use after 1000 and after `--steps` steps of a stream (what Python and numpy allocated,
  and what the process holds);
* milliseconds of predicting one sequence and a batch of 64, of 100 steps, with the estimator, with
  numpy and with onnxruntime, and the seconds that each needs to start: import, load, predict once.

Every number is the median of `--repeats` runs (of starts, five); those of a table take turns, so
that a busy machine slows all of them.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from skrnn import RNNClassifier, RNNRegressor
from skrnn.export import to_numpy, to_onnx

N_FEATURES, HIDDEN, N_CLASSES = 8, 64, 5


def fitted(kind: type, **params) -> RNNClassifier | RNNRegressor:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 20, N_FEATURES))
    model = kind(hidden_size=HIDDEN, frontend=None, max_epochs=1, random_state=0, **params)
    if kind is RNNRegressor:
        return model.fit(X, list(X[:, :, 0]))
    return model.fit(X, np.arange(40) % N_CLASSES)


def bare_cell(n_streams: int) -> Callable[[], object]:
    cell = torch.nn.LSTMCell(N_FEATURES, HIDDEN)
    x, state = torch.randn(n_streams, N_FEATURES), None

    def step() -> None:
        nonlocal state
        state = cell(x, state)

    return step


def same_work(n_streams: int) -> Callable[[], object]:
    """Scale, step, pool (mean, max, last), project, probabilities, label: plain torch."""
    cell = torch.nn.LSTMCell(N_FEATURES, HIDDEN)
    head = torch.nn.Linear(3 * HIDDEN, N_CLASSES)
    mean, scale = torch.zeros(N_FEATURES), torch.ones(N_FEATURES)
    x, state, count = torch.randn(n_streams, N_FEATURES), None, 0
    total, largest = torch.zeros(n_streams, HIDDEN), torch.full((n_streams, HIDDEN), -torch.inf)

    def step() -> torch.Tensor:
        nonlocal state, total, largest, count
        state = cell((x - mean) / scale, state)
        h, count = state[0], count + 1
        total, largest = total + h, torch.maximum(largest, h)
        raw = head(torch.cat([total / count, largest, h], dim=1))
        return raw.double().softmax(dim=1).argmax(dim=1)

    return step


def medians(runs: dict[str, Callable[[], object]], calls: int, repeats: int) -> dict[str, float]:
    """Median seconds of a call, the runs taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            for _ in range(calls):
                run()
            seconds[name].append((time.perf_counter() - start) / calls)
    return {name: statistics.median(found) for name, found in seconds.items()}


def steps(repeats: int) -> None:
    pooled = fitted(RNNClassifier, bidirectional=False)
    per_step = fitted(RNNRegressor, return_sequences=True)
    print(
        f"{'microseconds of a step':44}{'1 stream':>12}{'ratio':>7}{'64 streams':>12}{'ratio':>7}"
    )
    columns = []
    for n_streams, calls in ((1, 2000), (64, 400)):
        x = np.random.default_rng(0).normal(size=(n_streams, N_FEATURES)).astype(np.float32)
        one, two = pooled.stream(n_streams), per_step.stream(n_streams)
        with torch.inference_mode():
            runs = {
                "torch.nn.LSTMCell": bare_cell(n_streams),
                "torch, the work of the classifier": same_work(n_streams),
                "classifier (mean, max, last): update": lambda s=one, x=x: s.update(x),
                "classifier (mean, max, last): step": lambda s=one, x=x: s.step(x),
                "regressor, one number per step: step": lambda s=two, x=x: s.step(x),
            }
            columns.append(medians(runs, calls, repeats))
    for name in columns[0]:
        cells = ""
        for column in columns:
            ratio = column[name] / column["torch.nn.LSTMCell"]
            cells += f"{1e6 * column[name]:12.1f}{ratio:7.2f}"
        print(f"{name:44}{cells}")


def memory(n_steps: int) -> None:
    stream = fitted(RNNClassifier, bidirectional=False).stream()
    x = np.ones(N_FEATURES, dtype=np.float32)

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    for _ in range(1000):
        stream.step(x)
    tracemalloc.start()
    for _ in range(1000):
        stream.step(x)
    traced, held = tracemalloc.get_traced_memory()[0], resident()
    for _ in range(n_steps):
        stream.step(x)
    more = tracemalloc.get_traced_memory()[0] - traced, resident() - held
    tracemalloc.stop()
    print(f"\nbytes more after {n_steps} steps: {more[0]} allocated, {more[1]} held by the process")


def predictions(repeats: int) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    print(f"\n{'milliseconds of predicting 100 steps':44}{'1 sequence':>12}{'64':>12}")
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        for name, params in (("one direction", {"bidirectional": False}), ("both directions", {})):
            model = fitted(RNNClassifier, **params)
            predictor = to_numpy(model)
            to_onnx(model, Path(folder) / "m.onnx")
            session = onnxruntime.InferenceSession(Path(folder) / "m.onnx", options)
            columns = []
            for n in (1, 64):
                X = rng.normal(size=(n, 100, N_FEATURES)).astype(np.float32)
                inputs = {"X": X, "lengths": np.full(n, 100)}
                runs = {
                    "estimator": lambda m=model, X=X: m.predict_proba(X),
                    "numpy": lambda m=predictor, X=X: m.predict_proba(X),
                    "onnxruntime": lambda m=session, i=inputs: m.run(None, i),
                }
                columns.append(medians(runs, 10 if n == 1 else 3, repeats))
            for run in columns[0]:
                row = f"{run}, {name}"
                print(f"{row:44}{1e3 * columns[0][run]:12.2f}{1e3 * columns[1][run]:12.2f}")
        starts(model, Path(folder))


def starts(model: RNNClassifier, folder: Path) -> None:
    """Seconds from nothing to the first prediction, in processes of their own."""
    model.save(folder / "estimator")
    to_numpy(model).save(folder / "numpy")
    make = "import numpy as np; X = np.zeros((1, 100, 8), dtype=np.float32)\n"
    codes = {
        "estimator": f"import skrnn; skrnn.load({str(folder / 'estimator')!r}).predict(X)",
        "numpy": "from skrnn.export import load_numpy\n"
        f"load_numpy({str(folder / 'numpy')!r}).predict(X)",
        "onnxruntime": "import onnxruntime\n"
        f"session = onnxruntime.InferenceSession({str(folder / 'm.onnx')!r})\n"
        "session.run(None, {'X': X, 'lengths': np.array([100])})",
    }
    sizes = {"estimator": "estimator", "numpy": "numpy", "onnxruntime": "m.onnx"}
    print(f"\n{'from nothing to the first prediction':44}{'seconds':>12}{'file, kB':>12}")
    for name, code in codes.items():
        found = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", make + code], check=True)
            found.append(time.perf_counter() - start)
        size = (folder / sizes[name]).stat().st_size / 1000
        print(f"{name:44}{statistics.median(found):12.2f}{size:12.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    steps(arguments.repeats)
    memory(arguments.steps)
    predictions(arguments.repeats)


if __name__ == "__main__":
    main()
