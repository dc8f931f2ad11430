"""scikit-learn's callbacks see every epoch, alone and inside searches, and may stop a training."""

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skrnn import RNNClassifier, RNNRegressor
from skrnn.preprocessing import SequenceScaler

# Since scikit-learn 1.9; with older versions there is nothing to test.
callback = pytest.importorskip("sklearn.callback")

EPOCHS = 4


def net(**params: Any) -> RNNClassifier:
    return RNNClassifier(hidden_size=4, max_epochs=EPOCHS, random_state=0, **params)


class StopAfter:
    """Stop at the end of an epoch; remember what happened."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs
        self.events: list[str] = []

    def setup(self, estimator: Any, context: Any) -> None:
        self.events.append("setup")

    def teardown(self, estimator: Any, context: Any) -> None:
        self.events.append("teardown")

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        self.events.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        self.events.append(f"end {context.task_name}")
        return self.events.count("end epoch") == self.epochs


class Failing(StopAfter):
    """Raise at the end of an epoch."""

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        if super().on_fit_task_end(estimator, context):
            raise RuntimeError("on purpose")
        return False


@pytest.mark.parametrize("estimator", [net(), RNNRegressor(hidden_size=4, max_epochs=EPOCHS)])
def test_a_score_is_logged_for_every_epoch(
    estimator: Any, ragged: list[np.ndarray], numbers: np.ndarray, labels: np.ndarray
) -> None:
    y = labels if isinstance(estimator, RNNClassifier) else numbers
    metric = "accuracy" if y is labels else "r2"
    monitor = callback.ScoringMonitor(scoring=metric)
    estimator = clone(estimator).set_callbacks(monitor).fit(ragged, y)
    rows = [row for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert [row["task_id"] for row in rows] == list(range(EPOCHS))
    assert all(np.isfinite(row[metric]) for row in rows)
    # No weights are taken back without early stopping: the last score is that of the result.
    assert rows[-1][metric] == pytest.approx(estimator.score(ragged, y), abs=1e-6)


def test_weights_of_the_samples_count_in_the_logged_scores(
    ragged: list[np.ndarray], labels: np.ndarray
) -> None:
    weight = np.where(labels == "up", 9.0, 1.0)
    monitor = callback.ScoringMonitor(scoring="accuracy")
    fitted = net().set_callbacks(monitor).fit(ragged, labels, sample_weight=weight)
    last = monitor.get_logs().data[-1]
    assert last["accuracy"] == pytest.approx(fitted.score(ragged, labels, sample_weight=weight))


def test_watching_changes_nothing(ragged: list[np.ndarray], labels: np.ndarray) -> None:
    watched = net(dropout=0.5).set_callbacks(callback.ScoringMonitor(scoring="neg_log_loss"))
    np.testing.assert_array_equal(
        watched.fit(ragged, labels).predict_proba(ragged),
        net(dropout=0.5).fit(ragged, labels).predict_proba(ragged),
    )


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_monitor_logs_every_fit_of_a_search(
    n_jobs: int | None, ragged: list[np.ndarray], labels: np.ndarray
) -> None:
    monitor = callback.ScoringMonitor(scoring="accuracy")
    chain = make_pipeline(SequenceScaler(), net().set_callbacks(monitor))
    grid = {"rnnclassifier__hidden_size": [2, 3]}
    search = GridSearchCV(chain, grid, cv=2, n_jobs=n_jobs, error_score="raise")
    search.fit(ragged, labels)
    logs = monitor.get_logs(select="all")
    epochs = [row for log in logs for row in log.data if row["task_name"] == "epoch"]
    assert len(epochs) == (2 * 2 + 1) * EPOCHS
    assert all(0 <= row["accuracy"] <= 1 for row in epochs)
    assert len({row["parent_task_id_path"] for row in epochs}) == 5


def test_a_progress_bar_runs_along(
    ragged: list[np.ndarray], labels: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    net().set_callbacks(callback.ProgressBar()).fit(ragged, labels)
    assert "RNNClassifier - fit" in capsys.readouterr().out


def test_a_progress_bar_of_a_search_reaches_the_network(
    rng: np.random.Generator, labels: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    chain = make_pipeline(StandardScaler(), net())
    search = GridSearchCV(chain, {"rnnclassifier__hidden_size": [2, 3]}, cv=2)
    search.set_callbacks(callback.ProgressBar(max_propagation_depth=None))
    search.fit(rng.normal(size=(len(labels), 5)), labels)
    printed = capsys.readouterr().out
    assert "GridSearchCV" in printed
    assert "RNNClassifier" in printed


def test_a_callback_that_returns_true_stops_the_training(
    ragged: list[np.ndarray], labels: np.ndarray
) -> None:
    stop = StopAfter(2)
    fitted = net().set_callbacks(stop).fit(ragged, labels)
    assert fitted.n_iter_ == len(fitted.history_) == 2
    assert stop.events == [
        "setup",
        "begin fit",
        *["begin epoch", "end epoch"] * 2,
        "end fit",
        "teardown",
    ]
    assert not fitted.interrupted_
    assert fitted.predict(ragged).shape == labels.shape


def test_a_failing_callback_is_torn_down_and_leaves_the_earlier_fit(
    ragged: list[np.ndarray], labels: np.ndarray
) -> None:
    fitted = net().fit(ragged, labels)
    before = fitted.predict_proba(ragged)
    failing = Failing(2)
    with pytest.raises(RuntimeError, match="on purpose"):
        fitted.set_callbacks(failing).fit(ragged, labels)
    assert failing.events[-1] == "teardown"
    np.testing.assert_array_equal(fitted.predict_proba(ragged), before)
    fitted.set_callbacks().fit(ragged, labels)
    np.testing.assert_array_equal(fitted.predict_proba(ragged), before)


def test_callbacks_survive_clone(ragged: list[np.ndarray], labels: np.ndarray) -> None:
    stop = StopAfter(1)
    assert clone(net().set_callbacks(stop)).fit(ragged, labels).n_iter_ == 1


class CountNets(StopAfter):
    """Remember with how many networks the estimator predicts after each task."""

    def on_fit_task_end(self, estimator: Any, context: Any, *, fitted_estimator: Any) -> bool:
        self.events.append(f"{context.task_name} {len(fitted_estimator.nets_)}")
        return False


def test_of_an_ensemble_the_first_network_is_followed(
    ragged: list[np.ndarray], labels: np.ndarray
) -> None:
    watcher = CountNets(0)
    net(n_estimators=2, n_jobs=2).set_callbacks(watcher).fit(ragged, labels)
    ends = [event for event in watcher.events if event[-1].isdigit()]
    assert ends == ["epoch 1"] * EPOCHS + ["fit 2"]
