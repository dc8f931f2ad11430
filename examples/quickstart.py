"""Who is speaking? Tune a recurrent classifier on utterances of different lengths.

The data are 640 utterances of two Japanese vowels by nine speakers, 7 to 29 time steps of 12
features each (Kudo, Toyama and Shimbo, 1999). They come with sktime: nothing is downloaded.
"""

import sys
from time import perf_counter

from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline
from sktime.datasets import load_japanese_vowels

from skrnn import RNNClassifier
from skrnn.preprocessing import SequenceScaler

try:
    import matplotlib.pyplot as plt
except ImportError:
    sys.exit('The picture needs matplotlib: pip install -e ".[plot]"')


def load(split):
    """Return a list of (n_timesteps, 12) arrays and the speaker of each."""
    frames, speakers = load_japanese_vowels(split=split, return_type="df-list")
    return [frame.to_numpy() for frame in frames], speakers


def draw(search, X_test, y_test, path):
    """Save the learning curve of the best model and its confusion matrix."""
    history = search.best_estimator_["rnn"].history_
    figure, (left, right) = plt.subplots(ncols=2, figsize=(11, 4.5), layout="constrained")
    for key, label in [("train_loss", "training part"), ("valid_loss", "held-out part")]:
        if key in history[0]:
            left.plot([row["epoch"] for row in history], [row[key] for row in history], label=label)
    left.set(xlabel="epoch", ylabel="loss", title="Training of the best model")
    left.legend()
    ConfusionMatrixDisplay.from_estimator(search, X_test, y_test, ax=right, colorbar=False)
    right.set(xlabel="predicted speaker", ylabel="true speaker", title="Test utterances")
    figure.savefig(path, dpi=120)


def main():
    X_train, y_train = load("train")
    X_test, y_test = load("test")
    lengths = [len(x) for x in X_train + X_test]
    print(f"{len(X_train)} training and {len(X_test)} test utterances", end=", ")
    print(f"{min(lengths)} to {max(lengths)} time steps of {X_train[0].shape[1]} features")

    classifier = RNNClassifier(max_epochs=50, random_state=0)
    model = Pipeline([("scale", SequenceScaler()), ("rnn", classifier)])
    grid = {"rnn__hidden_size": [32, 64]}
    folds = StratifiedKFold(n_splits=3, shuffle=True, random_state=0)
    start = perf_counter()
    search = GridSearchCV(model, grid, cv=folds, n_jobs=2).fit(X_train, y_train)
    settings, scores = search.cv_results_["params"], search.cv_results_["mean_test_score"]
    print(f"Searched {len(settings)} settings in {perf_counter() - start:.0f} s:")
    for setting, score in zip(settings, scores, strict=True):
        print(f"  {setting}: cross-validated accuracy {score:.3f}")
    print(f"Test accuracy of the best: {search.score(X_test, y_test):.3f}")

    draw(search, X_test, y_test, "quickstart.png")
    print("Saved quickstart.png")


if __name__ == "__main__":
    main()
