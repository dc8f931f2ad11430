"""Small data for the tests: ragged sequences, series and panels."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sktime.datasets import load_airline

from skrnn._training import Checkpoints

N_FEATURES = 3
DAYS = pd.date_range("2024-01-01", periods=70, freq="D", name="day")


@pytest.fixture
def rng() -> np.random.Generator:
    """Return a generator that starts at the same place in every test."""
    return np.random.default_rng(0)


@pytest.fixture
def ragged(rng: np.random.Generator) -> list[np.ndarray]:
    """Return 24 sequences of 2 to 9 steps and 3 features, float64."""
    return [rng.normal(size=(n_steps, N_FEATURES)) for n_steps in rng.integers(2, 10, size=24)]


@pytest.fixture
def labels(ragged: list[np.ndarray]) -> np.ndarray:
    """Return a label for each sequence of `ragged`: whether its first feature is mostly positive.

    Both labels occur at least five times.
    """
    means = np.array([x[:, 0].mean() for x in ragged])
    return np.where(means > np.median(means), "up", "down")


@pytest.fixture
def numbers(ragged: list[np.ndarray]) -> np.ndarray:
    """Return a number for each sequence of `ragged`: the mean of its second feature."""
    return np.array([x[:, 1].mean() for x in ragged])


@pytest.fixture
def step_labels(ragged: list[np.ndarray]) -> list[np.ndarray]:
    """Return a label for each time step of `ragged`: the sign of the third feature."""
    return [np.where(x[:, 2] > 0, "high", "low") for x in ragged]


@pytest.fixture
def step_numbers(ragged: list[np.ndarray]) -> list[np.ndarray]:
    """Return a number for each time step of `ragged`: the running mean of the first feature."""
    return [np.cumsum(x[:, 0]) / np.arange(1, len(x) + 1) for x in ragged]


@pytest.fixture(scope="session")
def airline() -> pd.Series:
    """Return the 144 months of airline passengers."""
    return load_airline().astype(float)


@pytest.fixture
def panel(rng: np.random.Generator) -> pd.DataFrame:
    """Return four series of 60 days."""
    table = rng.normal(size=(4, 60)).cumsum(axis=1)
    parts = {f"s{i}": pd.DataFrame({"sold": row}, DAYS[:60]) for i, row in enumerate(table)}
    return pd.concat(parts, names=["id"])


@pytest.fixture
def cover(rng: np.random.Generator) -> Callable[[int, int], pd.DataFrame]:
    """Return a function that makes covariates of `panel` from one day up to another of 70."""
    table = pd.concat(
        {f"s{i}": pd.DataFrame({"promo": rng.normal(size=70)}, DAYS[:70]) for i in range(4)},
        names=["id"],
    )
    day = table.index.get_level_values("day")
    return lambda first, last: table[day.isin(DAYS[first:last])]


class Cut(Exception):
    """Stands in for a kill."""


@pytest.fixture
def cut_short(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object], int], None]:
    """Return a function that begins a fit and cuts it short once so many files are written."""
    write = Checkpoints._write

    def cut_short(fit: Callable[[], object], n_files: int) -> None:
        written = []

        def write_or_fail(self: Checkpoints, *args: Any) -> None:
            if len(written) == n_files:
                raise Cut
            written.append(args)
            write(self, *args)

        monkeypatch.setattr(Checkpoints, "_write", write_or_fail)
        with pytest.raises(Cut):
            fit()
        monkeypatch.setattr(Checkpoints, "_write", write)

    return cut_short
