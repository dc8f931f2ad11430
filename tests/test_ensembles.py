"""Ensembles: several networks from different seeds, whose predictions are averaged."""

import _thread
import pickle
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback

from skrnn import RNNClassifier, RNNRegressor

SMALL: dict[str, Any] = {"hidden_size": 4, "max_epochs": 3, "random_state": 0, "n_threads": 1}
ESTIMATORS = [RNNClassifier, RNNRegressor]
classes = pytest.mark.parametrize("cls", ESTIMATORS)


@pytest.fixture
def y(cls: Any, labels: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return the targets for `ragged`."""
    return labels if cls is RNNClassifier else numbers


def outputs(estimator: Any, X: Any) -> Any:
    return getattr(estimator, "predict_proba", estimator.predict)(X)


def alone(estimator: Any, i: int) -> Any:
    """Return an estimator with one of the networks only."""
    copied = pickle.loads(pickle.dumps(estimator))
    copied.nets_ = [copied.nets_[i]]
    return copied


@classes
def test_predictions_are_the_mean_of_the_members(
    cls: Any, ragged: list[np.ndarray], y: np.ndarray
) -> None:
    model = cls(**SMALL, n_estimators=3).fit(ragged, y)
    assert len(model.nets_) == 3
    assert model.net_ is model.nets_[0]
    members = [outputs(alone(model, i), ragged) for i in range(3)]
    assert not np.array_equal(members[0], members[1])
    np.testing.assert_allclose(outputs(model, ragged), np.mean(members, axis=0), rtol=1e-12)


@classes
def test_the_first_member_is_the_network_alone(
    cls: Any, ragged: list[np.ndarray], y: np.ndarray
) -> None:
    several = cls(**SMALL, n_estimators=2, dropout=0.2).fit(ragged, y)
    one = cls(**SMALL, dropout=0.2).fit(ragged, y)
    np.testing.assert_array_equal(outputs(alone(several, 0), ragged), outputs(one, ragged))
    assert one.nets_ == [one.net_]
    assert one.history_[-1]["train_loss"] == several.history_[-1]["train_loss"]


@pytest.mark.parametrize("loss", ["quantile", "normal", "student_t"])
def test_quantiles_are_averaged_level_by_level(
    loss: str, ragged: list[np.ndarray], numbers: np.ndarray
) -> None:
    y = np.stack([numbers, -numbers], axis=1)
    model = RNNRegressor(**SMALL, n_estimators=2, loss=loss, calibrate=False).fit(ragged, y)
    alpha = [0.1, 0.5, 0.9]
    members = [alone(model, i).predict_quantiles(ragged, alpha) for i in range(2)]
    got = model.predict_quantiles(ragged, alpha)
    np.testing.assert_allclose(got, np.mean(members, axis=0), rtol=1e-12)
    assert (np.diff(got, axis=-1) > 0).all()


@pytest.mark.parametrize("loss", ["quantile", "squared_error"])
def test_intervals_are_calibrated_for_the_mean(
    loss: str, ragged: list[np.ndarray], numbers: np.ndarray
) -> None:
    model = RNNRegressor(**SMALL, n_estimators=2, loss=loss, validation_split=(ragged, numbers))
    model.fit(ragged, numbers)
    assert model.n_calibration_ == len(ragged)
    lower, upper = model.predict_interval(ragged, coverage=0.8).T
    inside = np.mean((lower <= numbers) & (numbers <= upper))
    assert 0.8 <= inside < 1.0


def test_scores_rank_as_probabilities_do(
    ragged: list[np.ndarray], labels: np.ndarray, rng: np.random.Generator
) -> None:
    model = RNNClassifier(**SMALL, n_estimators=2).fit(ragged, labels)
    p = model.predict_proba(ragged)
    np.testing.assert_allclose(model.decision_function(ragged), np.log(p[:, 1] / p[:, 0]))
    three = rng.integers(3, size=len(ragged))
    model.fit(ragged, three)
    scores = model.decision_function(ragged)
    np.testing.assert_allclose(np.exp(scores), model.predict_proba(ragged))
    np.testing.assert_array_equal(model.classes_[scores.argmax(axis=1)], model.predict(ragged))
    model.fit(ragged, np.stack([three == 0, three > 0], axis=1).astype(int))
    p = model.predict_proba(ragged)
    np.testing.assert_allclose(model.decision_function(ragged), np.log(p / (1 - p)))


def test_random_fields_are_averaged_by_their_scores(
    ragged: list[np.ndarray], step_labels: list[np.ndarray]
) -> None:
    model = RNNClassifier(**SMALL, n_estimators=2, return_sequences=True, loss="crf")
    model.fit(ragged, step_labels)
    heads = [net.module_.head for net in model.nets_]
    mean = pickle.loads(pickle.dumps(heads[0]))
    with torch.no_grad():
        for name in ("start", "end", "transitions"):
            values = [head.get_parameter(name) for head in heads]
            mean.get_parameter(name).copy_(sum(values) / 2)
    x = ragged[0]
    with torch.no_grad():
        batch = torch.as_tensor(x[None], dtype=torch.float32)
        raw = sum(net.module_.eval()(batch) for net in model.nets_) / 2
        codes, p = mean.decode(raw)[0], mean.predict(raw)[0]
    np.testing.assert_array_equal(model.predict([x])[0], model.classes_[codes])
    np.testing.assert_allclose(model.predict_proba([x])[0], p, atol=1e-5)
    log_odds = (raw[0, :, 1] - raw[0, :, 0]).numpy()
    np.testing.assert_allclose(model.decision_function([x])[0], log_odds, atol=1e-5)


@pytest.mark.parametrize("return_sequences", [False, True])
@classes
def test_features_of_the_members_lie_side_by_side(
    cls: Any, return_sequences: bool, ragged: list[np.ndarray], y: np.ndarray
) -> None:
    if return_sequences:
        y = [np.full(len(x), value) for x, value in zip(ragged, y, strict=True)]
    model = cls(**SMALL, n_estimators=2, return_sequences=return_sequences).fit(ragged, y)
    both = model.transform(ragged)
    parts = [alone(model, i).transform(ragged) for i in range(2)]
    if return_sequences:
        both, parts = np.concatenate(both), [np.concatenate(part) for part in parts]
    else:
        assert len(model.get_feature_names_out()) == both.shape[1]
    np.testing.assert_array_equal(both, np.concatenate(parts, axis=1))


@classes
def test_copies_predict_the_same(cls: Any, ragged: list[np.ndarray], y: np.ndarray) -> None:
    model = cls(**SMALL, n_estimators=2).fit(ragged, y)
    loaded = pickle.loads(pickle.dumps(model))
    assert len(loaded.nets_) == 2
    assert [len(net.history) for net in loaded.nets_] == [3, 3]
    for other in (loaded, clone(model).fit(ragged, y)):
        np.testing.assert_array_equal(outputs(other, ragged), outputs(model, ragged))


@classes
def test_all_members_go_on(cls: Any, ragged: list[np.ndarray], y: np.ndarray) -> None:
    extra = {"classes": np.unique(y)} if cls is RNNClassifier else {}
    steps = cls(**SMALL, n_estimators=2).partial_fit(ragged, y, **extra).partial_fit(ragged, y)
    assert [len(net.history) for net in steps.nets_] == [2, 2]
    warm = cls(**SMALL, n_estimators=2, warm_start=True).fit(ragged, y)
    before = [net.module_.head.projection.weight.clone() for net in warm.nets_]
    warm.set_params(lr=1e-12, max_epochs=1).fit(ragged, y)
    for weight, net in zip(before, warm.nets_, strict=True):
        torch.testing.assert_close(net.module_.head.projection.weight, weight)
    for go_on in (
        warm.set_params(n_estimators=3).fit,
        steps.set_params(n_estimators=1).partial_fit,
    ):
        with pytest.raises(ValueError, match="there are 2 fitted networks and n_estimators="):
            go_on(ragged, y)
    assert len(warm.nets_) == 2
    assert (
        len(
            cls(**SMALL, n_estimators=2)
            .fit(ragged, y)
            .set_params(n_estimators=1)
            .fit(ragged, y)
            .nets_
        )
        == 1
    )


@classes
def test_side_by_side_is_the_same_as_one_after_the_other(
    cls: Any, ragged: list[np.ndarray], y: np.ndarray
) -> None:
    params = {**SMALL, "n_estimators": 3, "dropout": 0.2, "early_stopping": True}
    expected = outputs(cls(**params).fit(ragged, y), ragged)
    before, n_threads = torch.get_rng_state(), torch.get_num_threads()
    together = cls(**params, n_jobs=2).fit(ragged, y)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == n_threads
    np.testing.assert_array_equal(outputs(together, ragged), expected)
    with joblib.parallel_config(n_jobs=2):
        asked = cls(**params).fit(ragged, y)
    np.testing.assert_array_equal(outputs(asked, ragged), expected)


@classes
def test_counts_are_of_all_networks(
    cls: Any, ragged: list[np.ndarray], y: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    model = cls(**SMALL, n_estimators=3).fit(ragged, y)
    assert model.n_parameters_ == 3 * alone(model, 0).n_parameters_
    model.summary()
    *rows, networks, total = capsys.readouterr().out.splitlines()
    counts = [int(row.split()[-1].replace(",", "")) for row in (*rows, networks, total)]
    assert counts[-2:] == [3, model.n_parameters_]
    assert 3 * sum(counts[:-2]) == model.n_parameters_


@pytest.mark.parametrize("n_estimators", [0, -1, 1.5])
def test_wrong_numbers_are_refused(
    n_estimators: Any, ragged: list[np.ndarray], labels: np.ndarray
) -> None:
    with pytest.raises(ValueError, match="'n_estimators' parameter of RNNClassifier must be"):
        RNNClassifier(**SMALL, n_estimators=n_estimators).fit(ragged, labels)


class At(Callback):
    """Do something at the end, or the begin, of one of the epochs of all networks, counted on."""

    epochs = 0

    def __init__(self, number: int, what: Any) -> None:
        self.number = number
        self.what = what

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Count."""
        At.epochs += 1
        if At.epochs == self.number:
            self.what()


@pytest.fixture(autouse=True)
def counted_anew() -> None:
    At.epochs = 0


def interrupt() -> None:
    raise KeyboardInterrupt


def fail() -> None:
    raise RuntimeError("a fault of a callback")


@pytest.mark.parametrize(
    ("epoch", "epochs_left"),
    # 3 epochs per network: in the first and second of the second network, and in the third one.
    [(4, [3]), (5, [3, 1]), (2, [1]), (9, [3, 3, 2])],
)
@classes
def test_after_ctrl_c_whole_networks_and_whole_epochs_are_left(
    cls: Any, epoch: int, epochs_left: list[int], ragged: list[np.ndarray], y: np.ndarray
) -> None:
    model = cls(**SMALL, n_estimators=3, callbacks=[("at", At(epoch, interrupt))])
    with pytest.raises(KeyboardInterrupt):
        model.fit(ragged, y)
    assert model.interrupted_
    assert [len(net.history) for net in model.nets_] == epochs_left
    assert np.shape(model.predict(ragged)) == (len(ragged),)


@classes
def test_ctrl_c_stops_all_that_run_side_by_side(
    cls: Any, ragged: list[np.ndarray], y: np.ndarray
) -> None:
    params = {**SMALL, "max_epochs": 10_000, "lr_schedule": None}
    model = cls(**params, n_estimators=3, n_jobs=2)
    model.set_params(callbacks=[("at", At(20, _thread.interrupt_main))])
    with pytest.raises(KeyboardInterrupt):
        model.fit(ragged, y)
    assert model.interrupted_
    assert 1 <= len(model.nets_) <= 2
    assert all(0 < len(net.history) < 10_000 for net in model.nets_)
    assert np.shape(model.predict(ragged)) == (len(ragged),)


@pytest.mark.parametrize("n_jobs", [None, 2])
@classes
def test_a_fault_in_one_network_leaves_the_earlier_fit(
    cls: Any, n_jobs: int | None, ragged: list[np.ndarray], y: np.ndarray
) -> None:
    model = cls(**SMALL, n_estimators=2, n_jobs=n_jobs).fit(ragged, y)
    before = outputs(model, ragged)
    model.set_params(callbacks=[("at", At(5, fail))])
    with pytest.raises(RuntimeError, match="a fault of a callback"):
        model.fit(ragged, y)
    np.testing.assert_array_equal(outputs(model, ragged), before)


@classes
def test_ctrl_c_while_going_on_keeps_all_networks(
    cls: Any, ragged: list[np.ndarray], y: np.ndarray
) -> None:
    model = cls(**SMALL, n_estimators=3, warm_start=True).fit(ragged, y)
    model.set_params(callbacks=[("at", At(5, interrupt))])
    third = model.nets_[2]
    with pytest.raises(KeyboardInterrupt):
        model.fit(ragged, y)
    assert len(model.nets_) == 3
    assert model.nets_[2] is third


@classes
def test_a_time_limit_is_shared(cls: Any, ragged: list[np.ndarray], y: np.ndarray) -> None:
    model = cls(**{**SMALL, "max_epochs": 100_000}, n_estimators=2, max_time=0.4).fit(ragged, y)
    spent = [sum(row["dur"] for row in net.history.to_list()) for net in model.nets_]
    assert all(time < 0.4 for time in spent)


def test_attention_is_the_mean_of_that_of_the_networks():
    rng = np.random.default_rng(0)
    X, y = [rng.normal(size=(n, 2)) for n in (3, 5, 4, 6)], [0, 1, 0, 1]
    model = RNNClassifier(
        hidden_size=3, pooling="attention", n_estimators=2, max_epochs=1, random_state=0
    ).fit(X, y)
    nets, mean = model.nets_, model.attention_weights(X)
    each = []
    for net in nets:
        model.nets_ = [net]
        each.append(model.attention_weights(X))
    for got, one, other in zip(mean, *each, strict=True):
        np.testing.assert_allclose(got, (one + other) / 2)
        assert got.sum() == pytest.approx(1)
