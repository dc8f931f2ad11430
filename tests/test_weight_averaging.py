"""Averaged weights: what the averages are, and that they are what is validated and kept."""

import copy
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback

from skrnn import RNNClassifier, RNNForecaster, RNNRegressor
from skrnn.sktime import RNNClassifier as Twin
from skrnn.sktime import RNNRegressor as RegressorTwin

SMALL: dict[str, Any] = {"hidden_size": 3, "max_epochs": 6, "batch_size": 8, "random_state": 0}
EXACT = {**SMALL, "dtype": "float64"}
AVERAGES: dict[str, dict[str, Any]] = {
    "ema": {"weight_averaging": "ema", "net_params": {"weight_averaging__decay": 0.7}},
    "swa": {"weight_averaging": "swa", "net_params": {"weight_averaging__n_epochs": 3}},
}
averages = pytest.mark.parametrize("params", AVERAGES.values(), ids=list(AVERAGES))


def weights(net: Any) -> list[np.ndarray]:
    return [t.detach().numpy().copy() for t in net.module_.state_dict().values()]


class Recorder(Callback):
    """Records the trained weights after every step; clones share the lists."""

    def __init__(self, steps: list[Any], epochs: list[Any]) -> None:
        self.steps, self.epochs = steps, epochs

    def __sklearn_clone__(self) -> "Recorder":
        return self

    def __deepcopy__(self, memo: Any) -> "Recorder":
        return self

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        if training:
            self.steps.append(weights(net))

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        # By now the network has its averages: what it had before came with the last step.
        self.epochs.append(self.steps[-1])


class Pressed(Callback):
    """Ctrl-C in an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt


class Poison(Callback):
    """Make a weight infinite in an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        if training and len(net.history) >= self.epoch:
            with torch.no_grad():
                next(net.module_.parameters()).fill_(torch.inf)


def recorded(X: Any, y: Any, **params: Any) -> tuple[Any, Recorder]:
    recorder = Recorder([], [])
    model = RNNRegressor(callbacks=[("recorder", recorder)], **{**EXACT, **params})
    return model.fit(X, y), recorder


def moving_average(steps: list[list[np.ndarray]], decay: float) -> list[np.ndarray]:
    """Return the average that the formula gives."""
    mean = steps[0]
    for n, step in enumerate(steps[1:], start=1):
        keep = min(decay, (1 + n) / (10 + n))
        mean = [keep * m + (1 - keep) * w for m, w in zip(mean, step, strict=True)]
    return mean


def assert_close(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


def last(steps: list[list[np.ndarray]], n: int) -> list[np.ndarray]:
    return [np.mean(tensors, axis=0) for tensors in zip(*steps[-n:], strict=True)]


# -- what the averages are --------------------------------------------------------------------


@pytest.mark.parametrize("decay", [0.1, 0.5, 0.999])
def test_ema_is_its_formula(ragged: list, numbers: np.ndarray, decay: float) -> None:
    params = {"weight_averaging": "ema", "net_params": {"weight_averaging__decay": decay}}
    model, seen = recorded(ragged, numbers, **params)
    assert_close(weights(model.net_), moving_average(seen.steps, decay))


@pytest.mark.parametrize(("n_epochs", "n"), [(1, 1), (3, 3), (50, 6), (0.5, 3), (0.25, 2)])
def test_swa_is_the_mean_of_the_last_epochs(
    ragged: list, numbers: np.ndarray, n_epochs: float, n: int
) -> None:
    params = {"weight_averaging": "swa", "net_params": {"weight_averaging__n_epochs": n_epochs}}
    model, seen = recorded(ragged, numbers, **params)
    assert_close(weights(model.net_), last(seen.epochs, n))


@pytest.mark.parametrize(("name", "setting"), [("ema", {"decay": 0}), ("swa", {"n_epochs": 1})])
def test_an_average_of_nothing_else_is_the_last_weights(
    ragged: list, labels: np.ndarray, name: str, setting: dict[str, Any]
) -> None:
    plain = RNNClassifier(**SMALL).fit(ragged, labels)
    given = {f"weight_averaging__{key}": value for key, value in setting.items()}
    model = RNNClassifier(weight_averaging=name, net_params=given, **SMALL).fit(ragged, labels)
    assert np.array_equal(model.predict_proba(ragged), plain.predict_proba(ragged))


@averages
def test_weights_that_stand_still_average_to_themselves(
    ragged: list, labels: np.ndarray, params: dict[str, Any]
) -> None:
    still = {**SMALL, "optimizer": "sgd", "lr": 1e-300}
    plain = RNNClassifier(**still).fit(ragged, labels)
    model = RNNClassifier(**params, **still).fit(ragged, labels)
    for a, b in zip(weights(model.net_), weights(plain.net_), strict=True):
        assert np.array_equal(a, b)


@averages
def test_the_training_itself_is_the_same(
    ragged: list, labels: np.ndarray, params: dict[str, Any]
) -> None:
    rows = [
        RNNClassifier(**given, **SMALL, dropout=0.2, early_stopping=True).fit(ragged, labels)
        for given in ({}, params)
    ]
    plain, averaged = ([row["train_loss"] for row in model.history_] for model in rows)
    assert plain == averaged
    assert [r["valid_loss"] for r in rows[0].history_] != [
        r["valid_loss"] for r in rows[1].history_
    ]


@averages
def test_it_is_reproducible_and_survives_cloning_and_pickling(
    ragged: list, labels: np.ndarray, params: dict[str, Any]
) -> None:
    model = RNNClassifier(**params, **SMALL).fit(ragged, labels)
    expected = model.predict_proba(ragged)
    assert np.array_equal(clone(model).fit(ragged, labels).predict_proba(ragged), expected)
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict_proba(ragged), expected)
    assert model.get_params()["weight_averaging"] == params["weight_averaging"]


@averages
@pytest.mark.parametrize(
    "further",
    [
        {"tbptt_steps": 2},
        {"tbptt_steps": 2, "return_sequences": True},
        {"max_time": 1e-9},
        {"optimizer": "lbfgs", "max_epochs": 2},
        {"precision": "bf16"},
    ],
    ids=["chunks", "chunks of steps", "max_time", "lbfgs", "bf16"],
)
@pytest.mark.filterwarnings("ignore:precision='bf16'")
def test_it_goes_with(
    ragged: list, step_numbers: list, params: dict[str, Any], further: dict[str, Any]
) -> None:
    per_step = further.get("return_sequences")
    y = step_numbers if per_step else np.array([steps[-1] for steps in step_numbers])
    steps: list[Any] = []
    model = RNNRegressor(
        callbacks=[("recorder", Recorder(steps, []))], **{**SMALL, **params, **further}
    ).fit(ragged, y)
    if params["weight_averaging"] == "ema":
        expected = moving_average([[w.astype(float) for w in step] for step in steps], 0.7)
        for a, b in zip(weights(model.net_), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    outputs = model.predict(ragged)
    assert np.isfinite(np.concatenate(outputs) if per_step else outputs).all()


# -- what is validated and kept ---------------------------------------------------------------


@averages
def test_the_averages_are_validated_and_the_best_is_kept(
    ragged: list, numbers: np.ndarray, params: dict[str, Any]
) -> None:
    rng = np.random.default_rng(1)
    split = ragged[:6], rng.permutation(numbers)[:6]
    model = RNNRegressor(
        **params, **{**EXACT, "max_epochs": 40, "lr": 0.03}, validation_split=split
    ).fit(ragged, numbers)
    losses = [row["valid_loss"] for row in model.history_]
    assert np.argmin(losses) < len(losses) - 1
    dataset = model._dataset(model._check(*split, None, reset=False))
    (batch,) = model.net_.get_iterator(dataset, training=False)
    loss = model.net_.validation_step(batch)["loss"].item()
    assert loss == pytest.approx(min(losses), rel=1e-9)


@averages
def test_callbacks_find_the_averages_at_the_end_of_an_epoch(
    ragged: list, numbers: np.ndarray, params: dict[str, Any]
) -> None:
    found: list[Any] = []

    class Look(Callback):
        def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
            found.append(weights(net))

    model = RNNRegressor(callbacks=[Look()], **params, **EXACT).fit(ragged, numbers)
    assert_close(found[-1], weights(model.net_))


@averages
@pytest.mark.parametrize("cls", [RNNClassifier, RNNRegressor])
def test_ctrl_c_keeps_the_average_of_the_last_whole_epoch(
    ragged: list, labels: np.ndarray, numbers: np.ndarray, cls: Any, params: dict[str, Any]
) -> None:
    y = labels if cls is RNNClassifier else numbers
    constant = {**EXACT, "lr_schedule": None, **params}
    model = cls(callbacks=[Pressed(4)], **constant)
    with pytest.raises(KeyboardInterrupt):
        model.fit(ragged, y)
    assert model.interrupted_
    assert model.n_iter_ == 3
    whole = cls(**{**constant, "max_epochs": 3}).fit(ragged, y)
    assert_close(weights(model.net_), weights(whole.net_))


@averages
def test_divergence_restores_a_finite_average(
    ragged: list, numbers: np.ndarray, params: dict[str, Any]
) -> None:
    constant = {**EXACT, "lr_schedule": None, **params}
    model = RNNRegressor(callbacks=[Poison(3)], **{**constant, "max_epochs": 20})
    with pytest.warns(ConvergenceWarning, match="diverged"):
        model.fit(ragged, numbers)
    whole = RNNRegressor(**{**constant, "max_epochs": 2}).fit(ragged, numbers)
    assert_close(weights(model.net_), weights(whole.net_))
    with pytest.raises(FloatingPointError, match="diverged"):
        RNNRegressor(callbacks=[Poison(1)], **constant).fit(ragged, numbers)


@averages
def test_every_network_of_an_ensemble_has_its_own(
    ragged: list, numbers: np.ndarray, params: dict[str, Any]
) -> None:
    one = RNNRegressor(**params, **EXACT).fit(ragged, numbers)
    two = RNNRegressor(**params, **EXACT, n_estimators=2).fit(ragged, numbers)
    assert_close(weights(two.nets_[0]), weights(one.net_))
    assert not np.allclose(weights(two.nets_[1])[2], weights(one.net_)[2])


def test_statistics_of_batch_normalisation_are_averaged(ragged: list, numbers: np.ndarray) -> None:
    """They are counted among the weights, and their counters stay whole."""
    params = {"weight_averaging": "swa", "net_params": {"weight_averaging__n_epochs": 4}}
    model, seen = recorded(ragged, numbers, frontend="conv", max_epochs=4, **params)
    names = list(model.net_.module_.state_dict())
    mean, final = last(seen.epochs, 4), weights(model.net_)
    statistics = [i for i, name in enumerate(names) if "running" in name]
    assert statistics
    assert_close([final[i] for i in statistics], [mean[i] for i in statistics])
    counters = [i for i, name in enumerate(names) if "num_batches" in name]
    assert all(final[i] == seen.steps[-1][i] for i in counters)


# -- going on ---------------------------------------------------------------------------------


def test_partial_fit_goes_on_with_the_average(ragged: list, numbers: np.ndarray) -> None:
    steps: list[Any] = []
    epochs: list[Any] = []
    for params, expected in [
        (AVERAGES["ema"], lambda: moving_average(steps, 0.7)),
        (AVERAGES["swa"], lambda: last(epochs, 3)),
    ]:
        steps.clear()
        epochs.clear()
        model = RNNRegressor(callbacks=[Recorder(steps, epochs)], **params, **EXACT)
        for _ in range(5):
            model.partial_fit(ragged, numbers)
            # Reading changes nothing.
            model.predict(ragged)
        assert_close(weights(model.net_), expected())


@averages
def test_partial_fit_trains_on_its_own_weights(
    ragged: list, numbers: np.ndarray, params: dict[str, Any]
) -> None:
    plain, averaged = RNNRegressor(**EXACT), RNNRegressor(**params, **EXACT)
    for _ in range(4):
        plain.partial_fit(ragged, numbers)
        averaged.partial_fit(ragged, numbers)
    losses = [[row["train_loss"] for row in model.history_] for model in (plain, averaged)]
    assert losses[0] == losses[1]


@averages
def test_an_average_begins_anew_with_other_weights(
    ragged: list, numbers: np.ndarray, params: dict[str, Any]
) -> None:
    model = RNNRegressor(**params, **EXACT)
    for _ in range(3):
        model.partial_fit(ragged, numbers)
    state = {k: 0.5 * v for k, v in model.net_.module_.state_dict().items()}
    model.net_.module_.load_state_dict(state)
    plain = copy.deepcopy(model).set_params(weight_averaging=None, net_params=None)
    steps: list[Any] = []
    for one in (model, plain):
        one.net_.callbacks_.append(("recorder", Recorder(steps, [])))
        one.partial_fit(ragged, numbers)
    # The first step came from the halved weights, not from those trained before.
    assert np.abs(steps[0][2] - state[[*state][2]].numpy()).max() < 0.1
    assert_close(
        weights(model.net_),
        moving_average(steps[: len(steps) // 2], 0.7)
        if params["weight_averaging"] == "ema"
        else steps[len(steps) // 2 - 1],
    )


@averages
def test_warm_start_begins_with_the_averaged_weights(
    ragged: list, numbers: np.ndarray, params: dict[str, Any]
) -> None:
    model = RNNRegressor(**params, **EXACT, warm_start=True).fit(ragged, numbers)
    before = model.predict(ragged)
    model.set_params(lr=1e-12).fit(ragged, numbers)
    np.testing.assert_allclose(model.predict(ragged), before, atol=1e-8)


def test_fit_leaves_no_copies_of_weights_behind(ragged: list, numbers: np.ndarray) -> None:
    model = RNNRegressor(weight_averaging="swa", **SMALL).fit(ragged, numbers)
    assert model.net_.average_ is None


# -- settings ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"weight_averaging": "mean"}, "'weight_averaging' parameter of RNNClassifier"),
        (
            {"weight_averaging": "ema", "net_params": {"weight_averaging__n_epochs": 2}},
            r"weight_averaging='ema' has the parameters \['decay'\], got \['n_epochs'\]",
        ),
        (
            {"net_params": {"weight_averaging__decay": 0.5}},
            r"weight_averaging=None has no parameters, got \['decay'\]",
        ),
        (
            {"weight_averaging": "ema", "net_params": {"weight_averaging__decay": 1.0}},
            r"weight_averaging__decay must be in \[0, 1\), got 1.0",
        ),
        (
            {"weight_averaging": "swa", "net_params": {"weight_averaging__n_epochs": 1.5}},
            "weight_averaging__n_epochs must be a whole number.*got 1.5",
        ),
    ],
)
def test_wrong_settings(
    ragged: list, labels: np.ndarray, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        RNNClassifier(**params, **SMALL).fit(ragged, labels)


def test_set_params_reaches_its_settings(airline: pd.Series) -> None:
    model = RNNClassifier(weight_averaging="ema").set_params(weight_averaging__decay=0.9)
    assert model.get_params()["weight_averaging__decay"] == 0.9
    with pytest.raises(ValueError, match="has the key 'weight_averaging__decay'"):
        RNNForecaster(net_params={"weight_averaging__decay": 0.9}).fit(airline, fh=[1])


@pytest.mark.parametrize("cls", [Twin, RegressorTwin])
def test_twins_hand_it_on(cls: Any, rng: np.random.Generator) -> None:
    X = rng.normal(size=(20, 2, 6))
    y = np.arange(20.0) if cls is RegressorTwin else np.array(["a", "b"] * 10)
    twin = cls(weight_averaging="swa", **SMALL).set_params(weight_averaging__n_epochs=1)
    plain = cls(**SMALL).fit(X, y)
    assert np.array_equal(twin.fit(X, y).predict(X), plain.predict(X))
    assert twin.rnn_.weight_averaging == "swa"
