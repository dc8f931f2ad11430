"""How the forecaster is trained: interrupts, time, callbacks and parameters."""

import time

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from skorch.callbacks import Callback
from sktime.datasets import load_airline

from skrnn import RNNForecaster

AHEAD = [1, 2, 3]
TINY = {"hidden_size": 4, "max_epochs": 2, "batches_per_epoch": 4, "random_state": 0}


def make(**params) -> RNNForecaster:
    return RNNForecaster(**{**TINY, **params})


def weights(forecaster) -> torch.Tensor:
    return torch.cat([p.flatten() for p in forecaster.model_.nets[0].module_.parameters()])


@pytest.fixture(scope="module")
def airline() -> pd.Series:
    return load_airline().astype(float)


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
