"""How the forecaster is trained: interrupts, time, callbacks and parameters."""

import time

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from skorch.callbacks import Callback
from sktime.exceptions import NotFittedError

from skrnn import RNNForecaster

AHEAD = [1, 2, 3]
TINY = {"hidden_size": 4, "max_epochs": 2, "batches_per_epoch": 4, "random_state": 0}


def make(**params) -> RNNForecaster:
    return RNNForecaster(**{**TINY, **params})


def weights(forecaster, member=0) -> torch.Tensor:
    return torch.cat([p.flatten() for p in forecaster.model_.nets[member].module_.parameters()])


class Interrupt(Callback):
    """Press Ctrl-C in an epoch, unless it is switched off for all."""

    active = True

    def __init__(self, epoch=1):
        self.epoch = epoch

    def on_batch_end(self, net, **kwargs):
        if Interrupt.active and len(net.history) == self.epoch:
            raise KeyboardInterrupt


def test_an_interrupt_keeps_the_last_whole_epoch(airline):
    # A schedule looks at the number of epochs to come.
    params = {"refit": False, "lr_schedule": None, "guard": "off", "calibrate": False}
    forecaster = make(max_epochs=9, callbacks=[Interrupt(3)], early_stopping=False, **params)
    with pytest.raises(KeyboardInterrupt):
        forecaster.fit(airline, fh=AHEAD)
    assert forecaster.interrupted_
    assert len(forecaster.history_) == 2
    whole = make(max_epochs=2, early_stopping=False, **params).fit(airline, fh=AHEAD)
    assert not whole.interrupted_
    assert_array_equal(forecaster.predict(), whole.predict())


def test_an_interrupt_of_the_first_epoch_leaves_nothing(airline):
    forecaster = make(callbacks=[Interrupt(1)])
    with pytest.raises(KeyboardInterrupt):
        forecaster.fit(airline, fh=AHEAD)
    assert not forecaster.is_fitted


def test_an_interrupt_of_an_update_keeps_a_forecaster(airline, monkeypatch):
    forecaster = make(callbacks=[Interrupt(1)])
    monkeypatch.setattr(Interrupt, "active", False)
    forecaster.fit(airline[:120], fh=AHEAD)
    before = weights(forecaster).clone()
    monkeypatch.setattr(Interrupt, "active", True)
    with pytest.raises(KeyboardInterrupt):
        forecaster.update(airline[120:])
    assert forecaster.interrupted_
    assert torch.equal(weights(forecaster), before)
    assert forecaster.predict().index[0] == pd.Period("1961-01", "M")


class Cut(Callback):
    """Press Ctrl-C in an epoch of one of the trainings, which are counted from 1."""

    trainings = 0
    at = None

    def on_train_begin(self, net, **kwargs):
        Cut.trainings += 1

    def on_batch_end(self, net, **kwargs):
        if Cut.at == (Cut.trainings, len(net.history)):
            raise KeyboardInterrupt


@pytest.fixture
def cut(monkeypatch):
    """Return a function that calls a method and presses Ctrl-C in a training and an epoch."""

    def call(method, *args, at, **kwargs):
        monkeypatch.setattr(Cut, "trainings", 0)
        monkeypatch.setattr(Cut, "at", at)
        with pytest.raises(KeyboardInterrupt):
            method(*args, **kwargs)
        monkeypatch.setattr(Cut, "at", None)

    return call


@pytest.mark.parametrize(
    ("at", "n_nets"), [((2, 1), 1), ((2, 2), 2), ((3, 1), 2), ((4, 1), 3), ((5, 1), 3), ((6, 1), 3)]
)
@pytest.mark.parametrize("loss", ["quantile", "absolute_error"])
def test_an_interrupted_ensemble_goes_on(airline, cut, at, n_nets, loss):
    """Three members are trained, and again with all data; Ctrl-C keeps those that are trained."""
    params = {"guard": "off", "max_epochs": 3, "early_stopping": False, "loss": loss}
    forecaster = make(n_estimators=3, callbacks=[Cut()], **params)
    cut(forecaster.fit, airline[:120], fh=AHEAD, at=at)
    assert forecaster.interrupted_
    assert len(forecaster.model_.nets) == n_nets
    assert np.isfinite(forecaster.predict()).all()
    before = weights(forecaster).clone()
    forecaster.update(airline[120:130])
    assert not forecaster.interrupted_
    assert len(forecaster.model_.nets) == n_nets
    assert not torch.equal(weights(forecaster), before)
    assert forecaster.predict().index[0] == pd.Period("1959-11", "M")


@pytest.mark.parametrize("member", [1, 2, 3])
def test_an_interrupted_update_keeps_all_members(airline, cut, member):
    forecaster = make(n_estimators=3, callbacks=[Cut()]).fit(airline[:120], fh=AHEAD)
    before = [weights(forecaster, i).clone() for i in range(3)]
    cut(forecaster.update, airline[120:], at=(member, 1))
    assert len(forecaster.model_.nets) == 3
    # Those that came first were updated, the others are as they were.
    kept = [torch.equal(weights(forecaster, i), before[i]) for i in range(3)]
    assert kept == [i >= member for i in (1, 2, 3)]
    assert forecaster.predict().index[0] == pd.Period("1961-01", "M")
    assert len(forecaster.update(airline[-3:]).model_.nets) == 3


@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.parametrize("before", ["nothing", "fit", "pretrain", "pretrain and fit"])
def test_an_interrupted_pretraining_is_no_fit(airline, cut, epoch, before):
    panel = pd.concat({i: airline.to_frame("v") + i for i in range(2)}, names=["id"])
    forecaster = make(callbacks=[Cut()], max_epochs=20)  # which goes on for 2 epochs
    if "pretrain" in before:
        forecaster.pretrain(panel, fh=AHEAD)
    if "fit" in before:
        forecaster.fit(airline, fh=AHEAD)
    cut(forecaster.pretrain, panel, fh=AHEAD, at=(1, epoch))
    assert forecaster.interrupted_
    assert not forecaster.is_fitted
    with pytest.raises(NotFittedError):
        forecaster.predict(fh=AHEAD)
    forecast = forecaster.fit(airline, fh=AHEAD).predict()
    assert np.isfinite(forecast).all()
    # Whatever is left of it is used, then and ever after.
    assert_array_equal(forecaster.fit(airline, fh=AHEAD).predict(), forecast)


def test_an_interrupt_ends_a_search(airline):
    search = GridSearchCV(
        make(callbacks=[Interrupt(1)]), {"hidden_size": [3, 4]}, cv=TimeSeriesSplit(3)
    )
    with pytest.raises(KeyboardInterrupt):
        search.fit(airline)


@pytest.mark.parametrize("n_estimators", [1, 2])
def test_training_ends_in_time(airline, n_estimators):
    forecaster = make(
        max_time=1.0, max_epochs=10**6, early_stopping=False, n_estimators=n_estimators
    )
    start = time.perf_counter()
    forecaster.fit(airline, fh=AHEAD)
    assert time.perf_counter() - start < 3
    assert np.isfinite(forecaster.predict()).all()


class Count(Callback):
    """Count epochs for one parameter of a search."""

    epochs = 0

    def __init__(self, step=1):
        self.step = step

    def on_epoch_end(self, net, **kwargs):
        Count.epochs += self.step


def test_callbacks_are_called_and_not_changed(airline):
    Count.epochs, callback = 0, Count(step=10)
    make(callbacks=[callback], refit=False, max_epochs=3).fit(airline)
    assert Count.epochs == 30
    assert vars(callback) == {"step": 10}


def test_history_has_a_row_per_epoch(airline):
    history = make(max_epochs=3, refit=False).fit(airline).history_
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert all(np.isfinite([row["train_loss"], row["valid_loss"]]).all() for row in history)


@pytest.mark.parametrize("hidden_size", [(8, 4, 4), [8, 4, 4], (6,)])
def test_sizes_of_layers_say_how_many_there_are(airline, hidden_size):
    forecaster = make(hidden_size=hidden_size, guard="off").fit(airline, fh=AHEAD)
    assert np.isfinite(forecaster.predict()).all()
    parameters = forecaster.model_.nets[0].module_.named_parameters()
    recurrent = [tuple(p.shape) for name, p in parameters if "weight_hh" in name]
    assert recurrent == [(4 * size, size) for size in hidden_size]


def test_parameters_with_double_underscores(airline):
    forecaster = make().set_params(optimizer__weight_decay=0.3, lr_schedule="plateau")
    forecaster.set_params(lr_schedule__factor=0.5)
    assert forecaster.get_params()["optimizer__weight_decay"] == 0.3
    optimizer = forecaster.fit(airline).model_.nets[0].optimizer_
    assert optimizer.param_groups[0]["weight_decay"] == 0.3
    with pytest.raises(ValueError, match="net_params has the key 'optimiser__eps'"):
        make(net_params={"optimiser__eps": 1e-3}).fit(airline)


def test_a_typo_is_an_error():
    with pytest.raises(TypeError, match="hiden_size"):
        make(hiden_size=3)
    with pytest.raises(ValueError, match="hiden_size"):
        make().set_params(hiden_size=3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cell", "ltsm"),
        ("loss", "mse"),
        ("guard", "on"),
        ("gaps", "fill"),
        ("missing", "drop"),
        ("short", "skip"),
        ("duplicates", "first"),
        ("decoder", "lstm"),
        ("scaling", "minmax"),
        ("window_length", 0),
        ("horizon", -1),
        ("sp", "monthly"),
        ("max_epochs", 0),
        ("lr", 0.0),
        ("n_estimators", 0),
    ],
)
def test_a_wrong_value_is_an_error(airline, name, value):
    with pytest.raises(ValueError, match=rf"The '{name}' parameter of RNNForecaster"):
        make(**{name: value}).fit(airline)


@pytest.mark.parametrize("params", [{}, {"guard": "off", "calibrate": False}])
def test_a_single_quantile_is_refused_before_the_training(airline, params):
    forecaster = make(quantiles=(0.5,), callbacks=[Interrupt()], **params)
    with pytest.raises(ValueError, match=r"two or more quantiles.*got \(0\.5,\).*absolute_error"):
        forecaster.fit(airline, fh=AHEAD)
