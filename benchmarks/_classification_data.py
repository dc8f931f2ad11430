"""Data of `classification.py`: archive splits, and digits spoken by six people.

Everything is read from the folder that the environment variable SKRNN_DATA names.
"""

import gzip
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

Sequences = list[np.ndarray]

# Sets whose test part lacks its first row in the files.
NEAR = ("Crop", "ECG5000", "FreezerRegularTrain", "FreezerSmallTrain", "TwoPatterns", "Wafer")
MULTIVARIATE = ("JapaneseVowels", "BasicMotions", "ERing", "SelfRegulationSCP1")


class DataMissing(Exception):
    """The folder of the benchmark data, or a file in it, is not there."""


@dataclass(frozen=True)
class Split:
    """One data set: sequences of shape (steps, features) and labels, to learn from and to score."""

    name: str
    X: Sequences
    y: np.ndarray
    X_test: Sequences
    y_test: np.ndarray


def path_of(*parts: str) -> Path:
    root = os.environ.get("SKRNN_DATA")
    if root is None:
        raise DataMissing("SKRNN_DATA does not name the folder of the benchmark data")
    path = Path(root).joinpath(*parts)
    if not path.exists():
        raise DataMissing(f"{path} is not there")
    return path


def ucr_names() -> list[str]:
    """The univariate sets, those that take longest last."""
    index = pd.read_csv(path_of("classification", "ucr2018", "INDEX.csv"))
    size = (index["n_train"] + index["n_test"]) * index["T"]
    names = list(index["name"][size.argsort(kind="stable")])
    return [*names, *NEAR]


def read_ucr(name: str) -> Split:
    """A univariate set; trailing NaN is padding."""
    folder = "ucr2018_near" if name in NEAR else "ucr2018"
    X, y = _table(path_of("classification", folder, name, f"{name}_TRAIN.tsv.gz"))
    if name in NEAR:
        path = path_of("classification", folder, name, f"{name}_TEST_minus_first_row.npz")
        with np.load(path) as stored:
            X_test, y_test = stored["X"].astype(np.float64), stored["y"]
    else:
        X_test, y_test = _table(path_of("classification", folder, name, f"{name}_TEST.tsv.gz"))
    return Split(name, _without_padding(X), y, _without_padding(X_test), y_test)


def _table(path: Path) -> tuple[np.ndarray, np.ndarray]:
    values = pd.read_csv(path, sep="\t", header=None).to_numpy(np.float64)
    return values[:, 1:], values[:, 0]


def _without_padding(X: np.ndarray) -> Sequences:
    lengths = X.shape[1] - np.isnan(X)[:, ::-1].argmin(axis=1)
    return [row[:n, None] for row, n in zip(X, lengths, strict=True)]


def read_multivariate(name: str) -> Split:
    """A multivariate set, in whichever of the archive's formats it is there."""
    read = {"ERing": _quoted, "SelfRegulationSCP1": _file_per_channel}.get(name, _ts)
    (X, y), (X_test, y_test) = (read(name, part) for part in ("TRAIN", "TEST"))
    return Split(name, X, y, X_test, y_test)


def _lines(path: Path) -> list[str]:
    with gzip.open(path, "rt", encoding="latin-1") as file:
        lines = [line.strip() for line in file if line.strip()]
    return lines[[line.lower() for line in lines].index("@data") + 1 :]


def _ts(name: str, part: str) -> tuple[Sequences, np.ndarray]:
    """Channels split by ":", label last."""
    path = path_of("classification", "multivariate", name, f"{name}_{part}.ts.gz")
    cells = [line.split(":") for line in _lines(path)]
    X = [np.array([c.split(",") for c in row[:-1]], dtype=np.float64).T for row in cells]
    return X, np.array([row[-1] for row in cells])


def _quoted(name: str, part: str) -> tuple[Sequences, np.ndarray]:
    r"""Channels split by a written \n inside quotes, label last."""
    path = path_of("classification", "multivariate", name, f"{name}_{part}.arff.gz")
    cells = [line.rsplit(",", 1) for line in _lines(path)]
    rows = [values.strip("'\"").split("\\n") for values, _ in cells]
    X = [np.array([c.split(",") for c in row], dtype=np.float64).T for row in rows]
    return X, np.array([label for _, label in cells])


def _file_per_channel(name: str, part: str) -> tuple[Sequences, np.ndarray]:
    tables = [
        [line.split(",") for line in _lines(path_of("classification", "multivariate", name, file))]
        for file in (f"{name}Dimension{k}_{part}.arff.gz" for k in range(1, 7))
    ]
    channels = [np.array([row[:-1] for row in table], dtype=np.float64) for table in tables]
    return list(np.stack(channels, axis=2)), np.array([row[-1] for row in tables[0]])


def read_digits(speaker: str | None = None) -> Split:
    """Spoken digits as samples at 8 kHz: recordings 0 to 4 of each digit and speaker are the test.

    With a `speaker`, all recordings of that one are the test instead, and of the others none.
    """
    with np.load(path_of("audio", "fsdd", "fsdd.npz")) as stored:
        whole, lengths = stored["samples"], stored["length"]
        digit, who, index = stored["digit"], stored["speaker"], stored["index"]
    parts = np.split(whole, np.cumsum(lengths)[:-1])
    sounds = [part[:, None].astype(np.float64) / 2**15 for part in parts]
    test = index < 5 if speaker is None else who == speaker
    name = "FSDD" if speaker is None else f"FSDD without {speaker}"
    pick = [[sounds[i] for i in np.flatnonzero(chosen)] for chosen in (~test, test)]
    return Split(name, pick[0], digit[~test], pick[1], digit[test])


def speakers() -> list[str]:
    """The people who speak the digits."""
    with np.load(path_of("audio", "fsdd", "fsdd.npz")) as stored:
        return sorted({str(name) for name in stored["speaker"]})


# --- published figures ---------------------------------------------------------------------------


def published(names: list[str]) -> dict[str, pd.Series]:
    """Accuracies by data set of methods whose results their authors published, mean of all runs."""
    nets = pd.read_csv(path_of("reference_results", "dl4tsc_results-ucr-128.csv"))
    nets = nets[nets["dataset_name"].isin(names)]
    ensemble = pd.read_csv(path_of("reference_results", "inceptiontime_results-128.csv"))
    ensemble = ensemble[ensemble["dataset_name"].isin(names)]
    means = {
        label: nets[nets["classifier_name"] == key].groupby("dataset_name")["accuracy"].mean()
        for key, label in {"resnet": "ResNet", "fcn": "FCN"}.items()
    }
    means["InceptionTime"] = ensemble.groupby("dataset_name")["accuracy"].mean()
    return means
