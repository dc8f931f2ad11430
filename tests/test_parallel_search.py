"""Parallel searches: the same results as one job, no more threads than cores, and no waiting.

Whole searches run in a process of their own, so that one that waits for ever is a failure.
"""

import json
import os
import subprocess
import sys

import joblib
import numpy as np
import pytest
import torch

from skrnn import RNNClassifier, RNNForecaster

N_SAMPLES = 24

SEARCH = """
import json, sys
from contextlib import contextmanager
import joblib, numpy as np, torch
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback
from skrnn import RNNClassifier


class Watch(Callback):
    def on_batch_end(self, net, **kwargs):
        net.history.record_batch("threads", torch.get_num_threads())


def scores(model, X, y):
    used = [batch["threads"] for row in model.net_.history for batch in row["batches"]]
    proba = model.predict_proba(X)
    return {"score": float(np.log(proba[np.arange(len(y)), y]).mean()), "threads": max(used)}


def search(n_threads):
    model = RNNClassifier(
        num_layers=2, dropout=0.5, max_epochs=2, callbacks=[Watch()], n_threads=n_threads,
        random_state=0, device="cpu",
    )
    grid = {"hidden_size": [3, 5], "lr": [0.01, 0.1]}
    return GridSearchCV(
        model, grid, cv=2, n_jobs=2, scoring=scores, refit="score", error_score="raise"
    )


def results(found):
    names = [f"split{i}_test_score" for i in range(2)]
    return found.best_params_, [found.cv_results_[name].tolist() for name in names]


@contextmanager
def workers(backend):
    if backend == "ray":
        import ray
        from ray.util.joblib import register_ray

        register_ray()
        ray.init(num_cpus=2, include_dashboard=False)
        with joblib.parallel_config(backend="ray"):
            yield
        ray.shutdown()
    elif backend.startswith("dask"):
        from distributed import Client, LocalCluster

        n = 2 if backend == "dask processes" else 1
        cluster = LocalCluster(
            n_workers=n, threads_per_worker=2 // n, processes=n == 2, dashboard_address=None
        )
        with cluster, Client(cluster), joblib.parallel_config(backend="dask"):
            yield
    else:
        with joblib.parallel_config(backend=backend):
            yield


def main(backend):
    X = np.random.default_rng(0).normal(size=(24, 6, 2))
    y = (X[:, :, 0].mean(axis=1) > 0).astype(int)
    with joblib.parallel_config(backend="sequential"):
        expected = results(search(1).fit(X, y))
    # OpenMP has its threads in this process before others are forked from it.
    RNNClassifier(hidden_size=32, max_epochs=1, n_threads=2, device="cpu").fit(X, y)
    before = torch.random.get_rng_state()
    threads = []
    with workers(backend):
        for n_threads in ("auto", 64):
            found = search(n_threads).fit(X, y)
            threads += [found.cv_results_[f"split{i}_test_threads"].max() for i in range(2)]
            actual = results(found)
            assert actual[0] == expected[0], (actual, expected)
            np.testing.assert_allclose(actual[1], expected[1], rtol=1e-6)
    assert torch.equal(torch.random.get_rng_state(), before)
    print(json.dumps({"threads": int(max(threads)), "cores": joblib.cpu_count()}))


if __name__ == "__main__":
    main(sys.argv[1])
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("search") / "search.py"
    path.write_text(SEARCH, encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    "backend",
    [
        "threading",
        "loky",
        pytest.param(
            "multiprocessing",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="this system cannot fork"),
        ),
        "dask threads",
        "dask processes",
        "ray",
    ],
)
def test_f095_every_backend_finds_what_one_job_finds(script, backend):
    if backend.startswith("dask"):
        pytest.importorskip("distributed", reason="dask's workers need distributed")
    if backend == "ray":
        pytest.importorskip("ray", reason="ray is too large for the test extra")
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    run = subprocess.run(
        [sys.executable, script, backend],
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["threads"] * 2 <= max(found["cores"], 2)


def data(seed=0):
    X = np.random.default_rng(seed).normal(size=(N_SAMPLES, 6, 2))
    return X, (X[:, :, 0].mean(axis=1) > 0).astype(int)


def proba(seed):
    model = RNNClassifier(
        hidden_size=4, num_layers=2, dropout=0.5, max_epochs=3, random_state=seed, device="cpu"
    )
    return model.fit(*data()).predict_proba(data()[0])


def test_threads_do_not_draw_from_each_other():
    before = torch.random.get_rng_state()
    expected = [proba(seed) for seed in range(4)]
    with joblib.parallel_config(backend="threading"):
        actual = joblib.Parallel(4)(joblib.delayed(proba)(seed) for seed in range(4))
    np.testing.assert_allclose(actual, expected, rtol=1e-6)
    assert torch.equal(torch.random.get_rng_state(), before)


def forecast(seed):
    y = np.sin(np.arange(60) / 3)
    model = RNNForecaster(
        window_length=8, hidden_size=4, num_layers=2, dropout=0.3, max_epochs=2, refit=False,
        random_state=seed, device="cpu",
    )  # fmt: skip
    return model.fit(y, fh=[1, 2]).predict().ravel()


def test_forecasters_in_threads_do_not_draw_from_each_other():
    before = torch.random.get_rng_state()
    expected = [forecast(seed) for seed in range(3)]
    with joblib.parallel_config(backend="threading"):
        actual = joblib.Parallel(3)(joblib.delayed(forecast)(seed) for seed in range(3))
    np.testing.assert_allclose(actual, expected, rtol=1e-6)
    assert torch.equal(torch.random.get_rng_state(), before)
