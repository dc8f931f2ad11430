"""Write the golden files of a release: ``python tests/write_golden_files.py``, once per release.

Each file of ``tests/data`` was written by the release in its name and stays as it is; the test in
``test_golden_files.py`` says that it can be loaded, and predicts what was predicted then.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skrnn
from skrnn import RNNClassifier, RNNForecaster, RNNRegressor
from skrnn import sktime as twins
from skrnn.preprocessing import SequenceScaler, SequenceTokenizer

FOLDER = Path(__file__).parent / "data"
SMALL = {"hidden_size": 2, "max_epochs": 2, "random_state": 0}


def sequences():
    """Return ten sequences of two features, made of whole numbers."""
    return [np.arange(2.0 * (n + 2)).reshape(-1, 2) % (n + 3) for n in range(10)]


def series():
    """Return four years of months."""
    index = pd.period_range("2020-01", periods=48, freq="M", name="month")
    return pd.Series(10.0 + np.arange(48) % 12, index=index, name="sold")


def models():
    """Yield name, fitted estimator and what predicts with it, as nested lists."""
    X, numbers = sequences(), np.arange(10.0)
    labels = np.where(numbers % 2, "odd", "even")
    panel = np.stack([x[:2].T for x in X])
    table = np.column_stack([numbers, numbers % 3, numbers**2 % 5])
    yield "classifier", RNNClassifier(**SMALL).fit(X, labels)
    yield "gru", RNNClassifier(**SMALL, cell="gru", pooling="attention").fit(X, labels)
    yield "regressor", RNNRegressor(**SMALL, loss="quantile", calibrate=False).fit(X, numbers)
    yield "forecaster", RNNForecaster(**SMALL, batches_per_epoch=2).fit(series(), fh=[1, 2])
    yield "twin", twins.RNNRegressor(**SMALL).fit(panel, numbers)
    yield "tokenizer", SequenceTokenizer().fit(["one two three", "two three"])
    yield "pipeline", make_pipeline(SequenceScaler(), RNNClassifier(**SMALL)).fit(X, labels)
    yield "scaled", make_pipeline(StandardScaler(), RNNClassifier(**SMALL)).fit(table, labels)


def predictions(name, model):
    """Return what a model predicts for the data above, as nested lists."""
    if name == "forecaster":
        return model.predict_quantiles(alpha=[0.1, 0.5]).to_numpy().tolist()
    if name == "tokenizer":
        return [ids.tolist() for ids in model.transform(["three two", "four"])]
    X = sequences()
    if name == "twin":
        return model.predict(np.stack([x[:2].T for x in X])).tolist()
    if name == "scaled":
        n = np.arange(10.0)
        return model.predict_proba(np.column_stack([n, n % 3, n**2 % 5])).tolist()
    if name == "regressor":
        return model.predict_quantiles(X, [0.1, 0.5, 0.9]).tolist()
    return model.predict_proba(X).tolist()


def main():
    """Write one file per model, and what all of them predict."""
    FOLDER.mkdir(exist_ok=True)
    found = {}
    for name, model in models():
        skrnn.save(model, FOLDER / f"{skrnn.__version__}-{name}.safetensors")
        found[name] = predictions(name, model)
    text = json.dumps(found, indent=0)
    (FOLDER / f"{skrnn.__version__}-predictions.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
