"""Contenders of `classification.py`, all with their defaults."""

from collections.abc import Callable
from typing import Any

import numpy as np
from _classification_data import Sequences, Split
from scipy.signal import spectrogram
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import RidgeClassifierCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skrnn import RNNClassifier

ALPHAS = np.logspace(-3, 3, 10)
# Seconds of one training: a set is done within five minutes.
MAX_TIME = 240.0
# Samples of a frame of sound, and from one to the next: 32 and 16 ms.
FRAME, HOP = 256, 128


def log_spectra(sounds: Sequences) -> Sequences:
    """Frames of the logarithm of the power spectrum, without the loudness of the recording."""
    made = []
    for sound in sounds:
        power = spectrogram(sound[:, 0], nperseg=FRAME, noverlap=FRAME - HOP)[2]
        frames = np.log(power.T + 1e-10)
        made.append(frames - frames.mean())
    return made


def network(n_estimators: int) -> Callable[[Split, int], Any]:
    def make(split: Split, seed: int) -> Any:
        options: dict[str, Any] = {"n_estimators": n_estimators, "max_time": MAX_TIME}
        model = RNNClassifier(frontend="auto", random_state=seed, **options)
        if split.name.startswith("FSDD"):
            return make_pipeline(FunctionTransformer(log_spectra), model)
        return model

    return make


class OnTables:
    """A classifier of tables or cubes, on sequences: shorter ones end with zeros."""

    def __init__(self, model: Any, split: Split, *, flat: bool) -> None:
        self.model, self.flat = model, flat
        self.frames = log_spectra if split.name.startswith("FSDD") else list

    def fit(self, X: Sequences, y: np.ndarray) -> "OnTables":
        X = self.frames(X)
        self.width = max(map(len, X))
        self.model.fit(self._cube(X), y)
        return self

    def predict(self, X: Sequences) -> np.ndarray:
        return self.model.predict(self._cube(self.frames(X)))

    def _cube(self, X: Sequences) -> np.ndarray:
        cube = np.zeros((len(X), X[0].shape[1], self.width))
        for row, x in zip(cube, X, strict=True):
            row[:, : len(x)] = x[: self.width].T
        return cube.reshape(len(X), -1) if self.flat else cube


def forest(split: Split, seed: int) -> Any:
    return OnTables(RandomForestClassifier(random_state=seed), split, flat=True)


class Kernels:
    """sktime's MiniRocket, then a ridge classifier: a Pipeline of scikit-learn does not take it."""

    def __init__(self, seed: int) -> None:
        from sktime.transformations.panel.rocket import MiniRocketMultivariate

        self.kernels = MiniRocketMultivariate(random_state=seed)
        self.ridge = make_pipeline(StandardScaler(with_mean=False), RidgeClassifierCV(ALPHAS))

    def fit(self, X: np.ndarray, y: np.ndarray) -> "Kernels":
        self.kernels.fit(X)
        self.ridge.fit(self.kernels.transform(X).to_numpy(), y)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.ridge.predict(self.kernels.transform(X).to_numpy())


def minirocket(split: Split, seed: int) -> Any:
    return OnTables(Kernels(seed), split, flat=False)


def nearest_neighbour(split: Split, seed: int) -> Any:
    from sktime.classification.distance_based import KNeighborsTimeSeriesClassifier

    return OnTables(KNeighborsTimeSeriesClassifier(1, distance="dtw"), split, flat=False)


def lstm_fcn(split: Split, seed: int) -> Any:
    from sktime.classification.deep_learning.lstmfcn import LSTMFCNClassifierTorch

    return OnTables(LSTMFCNClassifierTorch(random_state=seed), split, flat=False)


#: Contenders by name: how each is made, and whether seeds matter to it.
CONTENDERS: dict[str, tuple[Callable[[Split, int], Any], bool]] = {
    "RNNClassifier": (network(1), True),
    "RNNClassifier, 5 networks": (network(5), True),
    "MiniRocket and ridge": (minirocket, True),
    "random forest": (forest, True),
    "1-NN DTW": (nearest_neighbour, False),
    "LSTM-FCN (sktime)": (lstm_fcn, True),
}
