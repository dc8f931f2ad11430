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

    def __init__(self, model: Any, *, flat: bool) -> None:
        self.model, self.flat = model, flat

    def fit(self, X: Sequences, y: np.ndarray) -> "OnTables":
        self.width = max(map(len, X))
        self.model.fit(self._cube(X), y)
        return self

    def predict(self, X: Sequences) -> np.ndarray:
        return self.model.predict(self._cube(X))

    def _cube(self, X: Sequences) -> np.ndarray:
        cube = np.zeros((len(X), X[0].shape[1], self.width))
        for row, x in zip(cube, X, strict=True):
            row[:, : len(x)] = x[: self.width].T
        return cube.reshape(len(X), -1) if self.flat else cube


def forest(split: Split, seed: int) -> Any:
    return OnTables(RandomForestClassifier(random_state=seed), flat=True)


def minirocket(split: Split, seed: int) -> Any:
    from sktime.transformations.panel.rocket import MiniRocketMultivariate

    kernels = MiniRocketMultivariate(random_state=seed)
    ridge = make_pipeline(StandardScaler(with_mean=False), RidgeClassifierCV(ALPHAS))
    return OnTables(make_pipeline(kernels, ridge), flat=False)


def nearest_neighbour(split: Split, seed: int) -> Any:
    from sktime.classification.distance_based import KNeighborsTimeSeriesClassifier

    return OnTables(KNeighborsTimeSeriesClassifier(1, distance="dtw"), flat=False)


def lstm_fcn(split: Split, seed: int) -> Any:
    from sktime.classification.deep_learning import LSTMFCNClassifierTorch

    return OnTables(LSTMFCNClassifierTorch(random_state=seed), flat=False)


#: Contenders by name: how each is made, and whether seeds matter to it.
CONTENDERS: dict[str, tuple[Callable[[Split, int], Any], bool]] = {
    "RNNClassifier": (network(1), True),
    "RNNClassifier, 5 networks": (network(5), True),
    "MiniRocket and ridge": (minirocket, True),
    "random forest": (forest, True),
    "1-NN DTW": (nearest_neighbour, False),
    "LSTM-FCN (sktime)": (lstm_fcn, True),
}
