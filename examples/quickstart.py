"""Who is speaking, and how many will fly? A classifier is tuned, and a series forecast.

The first data are 640 utterances of two Japanese vowels by nine speakers, 7 to 29 time steps of 12
features each (Kudo, Toyama and Shimbo, 1999). The second are airline passengers in each month of
1949 to 1960 (Box and Jenkins, 1976). Both come with sktime: nothing is downloaded.
"""

import sys
from time import perf_counter

from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline
from sktime.datasets import load_airline, load_japanese_vowels

from skrnn import RNNClassifier, RNNForecaster
from skrnn.preprocessing import SequenceScaler

try:
    import matplotlib.pyplot as plt
except ImportError:
    sys.exit('The pictures need matplotlib: pip install -e ".[plot]"')

HORIZON = 12  # months


def load(split):
    """Return a list of (n_timesteps, 12) arrays and the speaker of each."""
    frames, speakers = load_japanese_vowels(split=split, return_type="df-list")
    return [frame.to_numpy() for frame in frames], speakers


def draw_search(search, X_test, y_test, path):
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


def draw_forecast(passengers, forecast, interval, path):
    """Save the last years of the series, the forecast and its intervals."""
    figure, axis = plt.subplots(figsize=(9, 4.5), layout="constrained")
    shown = passengers[-5 * HORIZON :]
    axis.plot(shown.index.to_timestamp(), shown, "k", label="passengers")
    months = forecast.index.to_timestamp()
    for coverage in (0.95, 0.8):
        bounds = interval.xs(coverage, axis=1, level=1).to_numpy().T
        axis.fill_between(months, *bounds, color="C0", alpha=0.25, label=f"{coverage:.0%} interval")
    axis.plot(months, forecast, "C0", label="forecast")
    axis.set(ylabel="thousands", title="Airline passengers")
    axis.legend(loc="upper left")
    figure.savefig(path, dpi=120)


def classify():
    """Tune a recurrent classifier on utterances of different lengths."""
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

    draw_search(search, X_test, y_test, "quickstart.png")
    print("Saved quickstart.png")


def forecast():
    """Forecast the last year of a series from the years before it."""
    passengers = load_airline()
    past, truth = passengers[:-HORIZON], passengers[-HORIZON:]
    start = perf_counter()
    forecaster = RNNForecaster(random_state=0).fit(past, fh=range(1, HORIZON + 1))
    seconds = perf_counter() - start
    predicted = forecaster.predict()
    naive = past[-HORIZON:].to_numpy()  # the same months of the year before
    print(f"\n{HORIZON} months of airline passengers forecast from {len(past)}, in {seconds:.0f} s")
    print("Mean absolute percentage error:")
    print(f"  RNNForecaster: {100 * (abs(predicted - truth) / truth).mean():.1f} %")
    print(f"  seasonal naive: {100 * (abs(naive - truth) / truth).mean():.1f} %")

    interval = forecaster.predict_interval(coverage=[0.8, 0.95])
    for coverage in (0.8, 0.95):
        lower, upper = interval.xs(coverage, axis=1, level=1).to_numpy().T
        inside = int(((lower <= truth) & (truth <= upper)).sum())
        print(f"Months inside the {coverage:.0%} interval: {inside} of {HORIZON}")
    draw_forecast(passengers, predicted, interval, "quickstart_forecast.png")
    print("Saved quickstart_forecast.png")


if __name__ == "__main__":
    classify()
    forecast()
