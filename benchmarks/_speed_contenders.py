"""Contenders of `speed.py`: each is a function that does a whole job and returns its seconds.

The yardstick is a training loop in bare PyTorch as an expert writes it by hand: tensors sliced by
index, no loader, fused Adam, clipped gradients, and the network of the estimator under test.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from _speed_processes import peers_elsewhere
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence

from skrnn import RNNClassifier

LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Task:
    """Sequences to classify, and how long to train on them."""

    X: list[np.ndarray] | np.ndarray
    y: np.ndarray
    batch_size: int = 64
    epochs: int = 1
    hidden_size: int = 64

    @property
    def lengths(self) -> np.ndarray:
        return np.array([len(x) for x in self.X])

    @property
    def n_features(self) -> int:
        return self.X[0].shape[1]


def equal_task(n: int, steps: int, features: int = 8, seed: int = 0, **more) -> Task:
    """Noise of one length with two classes."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, steps, features)).astype(np.float32)
    return Task(X, (X[:, :, 0].mean(axis=1) > 0).astype(np.int64), **more)


def ragged_task(n: int = 2048, shortest: int = 10, longest: int = 200, **more) -> Task:
    """Noise of evenly spread lengths with two classes."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(shortest, longest + 1, n)
    X = [rng.normal(size=(length, 8)).astype(np.float32) for length in lengths]
    return Task(X, np.array([int(x[:, 0].mean() > 0) for x in X]), **more)


# --- bare torch ----------------------------------------------------------------------------------


class BareNetwork(nn.Module):
    """One recurrent layer, its last valid output, a linear layer."""

    def __init__(self, cell: str, n_features: int, hidden_size: int) -> None:
        super().__init__()
        layer = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[cell]
        self.rnn = layer(n_features, hidden_size, batch_first=True)
        self.output = nn.Linear(hidden_size, 2)

    def forward(self, x: Tensor, lengths: Tensor | None = None, packed: bool = False) -> Tensor:
        if packed:
            both = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            _, state = self.rnn(both)
            last = (state[0] if isinstance(state, tuple) else state)[-1]
            return self.output(last)
        out, _ = self.rnn(x)
        last = out[:, -1] if lengths is None else out[torch.arange(len(x)), lengths - 1]
        return self.output(last)


class BareBatches:
    """Batches by index: slices of a tensor, or rows padded to the longest of the batch."""

    def __init__(self, task: Task) -> None:
        self.y = torch.from_numpy(task.y)
        self.lengths: Tensor | None = None
        if isinstance(task.X, np.ndarray):
            self.x = torch.from_numpy(task.X)
            return
        self.lengths = torch.from_numpy(task.lengths)
        self.x = torch.zeros(len(task.X), int(self.lengths.max()), task.n_features)
        for row, sequence in zip(self.x, task.X, strict=True):
            row[: len(sequence)] = torch.from_numpy(sequence)

    def __call__(self, index: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        if self.lengths is None:
            return self.x[index], None, self.y[index]
        lengths = self.lengths[index]
        return self.x[index, : int(lengths.max())], lengths, self.y[index]


def bare_fit(task: Task, cell: str = "lstm", packed: bool = False) -> float:
    """Train the bare network."""
    start = time.perf_counter()
    batches = BareBatches(task)
    torch.manual_seed(0)
    network = BareNetwork(cell, task.n_features, task.hidden_size)
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)
    for _ in range(task.epochs):
        for index in torch.randperm(len(task.y)).split(task.batch_size):
            x, lengths, y = batches(index)
            optimizer.zero_grad()
            functional.cross_entropy(network(x, lengths, packed), y).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
    return time.perf_counter() - start


def bare_predict(task: Task, cell: str = "lstm") -> Callable[[], float]:
    """Predict with the bare network, in batches padded to their longest sequence."""
    network = BareNetwork(cell, task.n_features, task.hidden_size).eval()
    batches = BareBatches(task)

    def predict() -> float:
        start = time.perf_counter()
        with torch.inference_mode():
            for index in torch.arange(len(task.y)).split(task.batch_size):
                x, lengths, _ = batches(index)
                network(x, lengths).argmax(1)
        return time.perf_counter() - start

    return predict


# --- ours ----------------------------------------------------------------------------------------


def ours(task: Task, cell: str = "lstm", **params) -> RNNClassifier:
    """The estimator with the bare loop's network and optimizer."""
    return RNNClassifier(
        **{
            "cell": cell,
            "hidden_size": task.hidden_size,
            "frontend": None,
            "bidirectional": False,
            "pooling": "last",
            "early_stopping": False,
            "optimizer": "adam",
            "lr": LEARNING_RATE,
            "max_epochs": task.epochs,
            "batch_size": task.batch_size,
            "random_state": 0,
            **params,
        }
    )


def ours_fit(task: Task, cell: str = "lstm", **params) -> float:
    """Train our estimator."""
    start = time.perf_counter()
    ours(task, cell, **params).fit(task.X, task.y)
    return time.perf_counter() - start


def ours_predict(task: Task, cell: str = "lstm") -> Callable[[], float]:
    """Predict with our estimator, all checks included."""
    model = ours(task, cell, max_epochs=1)
    few = slice(0, max(2 * task.batch_size, 64))

    def predict() -> float:
        if not hasattr(model, "classes_"):
            model.fit(task.X[few], task.y[few])
        start = time.perf_counter()
        model.predict(task.X)
        return time.perf_counter() - start

    return predict


# --- others, where they are installed ------------------------------------------------------------


def skorch_fit(task: Task, cell: str = "lstm") -> float:
    """skorch as its documentation shows it, on arrays of one length."""
    from skorch import NeuralNetClassifier

    start = time.perf_counter()
    network = BareNetwork(cell, task.n_features, task.hidden_size)
    net = NeuralNetClassifier(
        network,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=LEARNING_RATE,
        max_epochs=task.epochs,
        batch_size=task.batch_size,
        train_split=None,
        verbose=0,
    )
    net.fit(task.X, task.y)
    return time.perf_counter() - start


def sktime_fit(name: str, task: Task) -> float:
    """One of sktime's own recurrent classifiers on PyTorch, with our sizes."""
    from sktime.classification import deep_learning

    model = getattr(deep_learning, name)
    sizes = {"hidden_dim": task.hidden_size, "n_layers": 1, "num_epochs": task.epochs}
    known = model.get_param_names()
    params = {k: v for k, v in {**sizes, "batch_size": task.batch_size}.items() if k in known}
    start = time.perf_counter()
    model(**params).fit(np.ascontiguousarray(task.X.transpose(0, 2, 1)), task.y)
    return time.perf_counter() - start


def peers(task: Task) -> Iterator[tuple[str, Callable[[], float]]]:
    """The other packages, here or in the folders that were named."""
    yield "skorch", lambda: skorch_fit(task)
    job = {name: getattr(task, name) for name in ("X", "y", "batch_size", "epochs", "hidden_size")}
    yield from peers_elsewhere(("keras", "keras-tensorflow"), lambda: job)


def one_by_one(task: Task) -> tuple[Callable[[], float], Callable[[], float]]:
    """Seconds per prediction of one sequence, of the bare network and of ours."""
    network = BareNetwork("lstm", task.n_features, task.hidden_size).eval()
    model = ours(task)
    n = 300

    def bare() -> float:
        start = time.perf_counter()
        with torch.inference_mode():
            for x in task.X[:n]:
                network(torch.from_numpy(x)[None]).argmax(1)
        return (time.perf_counter() - start) / n

    def own() -> float:
        if not hasattr(model, "classes_"):
            model.fit(task.X[:64], task.y[:64])
        start = time.perf_counter()
        for x in task.X[:n]:
            model.predict(x[None])
        return (time.perf_counter() - start) / n

    return bare, own
