"""Contenders of `speed.py` that forecast from windows of one series, or of many."""

import time
from dataclasses import dataclass

import numpy as np
import torch
from _speed_contenders import LEARNING_RATE
from numpy.lib.stride_tricks import sliding_window_view
from torch import nn
from torch.nn import functional

from skrnn import RNNRegressor
from skrnn.preprocessing import make_windows


@dataclass(frozen=True)
class WindowTask:
    """Series of one length, (n_series, n_steps, n_features); the first feature is to predict."""

    series: np.ndarray
    window: int = 48
    horizon: int = 1
    batch_size: int = 64
    epochs: int = 1
    hidden_size: int = 32

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """All windows, (n, window, n_features), and what follows them, (n, horizon)."""
        length = self.window + self.horizon
        rows = sliding_window_view(self.series, length, axis=1).transpose(0, 1, 3, 2)
        rows = rows.reshape(-1, length, self.series.shape[2])
        return rows[:, : self.window], rows[:, self.window :, 0]

    def job(self) -> dict[str, np.ndarray | int]:
        """What a peer in a process of its own needs."""
        X, y = self.pairs()
        sizes = ("window", "horizon", "batch_size", "epochs", "hidden_size")
        values = {name: getattr(self, name) for name in sizes}
        return {"X": X, "y": y, "series": self.series[:, :, 0], **values}


def waves(n_series: int, n_steps: int, n_features: int = 1, **more) -> WindowTask:
    """Noisy waves."""
    series = np.random.default_rng(0).standard_normal(
        (n_series, n_steps, n_features), dtype=np.float32
    )
    series += np.sin(np.arange(n_steps, dtype=np.float32) / 12)[:, None]
    return WindowTask(series, **more)


class BareForecaster(nn.Module):
    """One recurrent layer, its last output, a linear layer."""

    def __init__(self, n_features: int, hidden_size: int, horizon: int) -> None:
        super().__init__()
        self.rnn = nn.LSTM(n_features, hidden_size, batch_first=True)
        self.output = nn.Linear(hidden_size, horizon)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.rnn(x)[0][:, -1])


def bare_windows_fit(task: WindowTask) -> float:
    """Train the bare network on windows that are gathered batch by batch."""
    start = time.perf_counter()
    torch.manual_seed(0)
    values = torch.from_numpy(task.series)
    rows = values.unfold(1, task.window + task.horizon, 1)
    per_series = rows.shape[1]
    network = BareForecaster(values.shape[2], task.hidden_size, task.horizon)
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)
    for _ in range(task.epochs):
        for index in torch.randperm(len(rows) * per_series).split(task.batch_size):
            batch = rows[index // per_series, index % per_series]
            x, y = batch[:, :, : task.window].transpose(1, 2), batch[:, 0, task.window :]
            optimizer.zero_grad()
            functional.mse_loss(network(x), y).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
    return time.perf_counter() - start


def ours_windows_fit(task: WindowTask) -> float:
    """Train our estimator: on a view of one series, on an array of the windows of many."""
    start = time.perf_counter()
    model = RNNRegressor(
        hidden_size=task.hidden_size,
        frontend=None,
        bidirectional=False,
        pooling="last",
        early_stopping=False,
        optimizer="adam",
        lr=LEARNING_RATE,
        max_epochs=task.epochs,
        batch_size=task.batch_size,
        random_state=0,
    )
    if len(task.series) == 1:
        X, y = make_windows(task.series[0], task.window, task.horizon, target=0)
    else:
        X, y = task.pairs()
    model.fit(X, y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y)
    return time.perf_counter() - start
