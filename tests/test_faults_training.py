"""Faults while training: divergence, Ctrl-C, wrong parameters, callbacks that fail.

Each test carries the number of its row in the table of faults.
"""

import os
import pickle
import signal
import threading
import warnings

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.utils._param_validation import InvalidParameterError
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, LRScheduler

from skrnn import RNNClassifier, RNNRegressor

ESTIMATORS = [RNNClassifier, RNNRegressor]
BATCHES = 3  # of 8 of the 24 sequences


@pytest.fixture(params=ESTIMATORS)
def cls(request):
    return request.param


@pytest.fixture
def y(ragged):
    return np.arange(len(ragged)) % 2


def make(cls, **params):
    defaults = {"hidden_size": 4, "max_epochs": 5, "batch_size": 8, "random_state": 0}
    return cls(**{**defaults, **params})


def weights(estimator):
    return {k: v.clone() for k, v in estimator.net_.module_.state_dict().items()}


def assert_same_weights(one, other):
    other = other if isinstance(other, dict) else weights(other)
    for name, value in weights(one).items():
        assert torch.equal(value, other[name]), name


class Spoil(Callback):
    """Put NaN into the batches of some epochs, counted from 1."""

    def __init__(self, epochs=(), batches=None, training=True):
        self.epochs = epochs
        self.batches = batches
        self.training = training

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        here = len(net.history[-1]["batches"]) - 1
        spoiled = self.batches is None or here in self.batches
        if training == self.training and len(net.history) in self.epochs and spoiled:
            batch[0]["x"].fill_(np.nan)


class Note(Callback):
    """Keep the weights at the end of every epoch."""

    kept: list = []

    def on_train_begin(self, net, **kwargs):
        self.kept.clear()

    def on_epoch_end(self, net, **kwargs):
        self.kept.append({k: v.clone() for k, v in net.module_.state_dict().items()})


# -- divergence ---------------------------------------------------------------------------------


def test_f66_one_bad_batch_is_skipped(cls, ragged, y):
    estimator = make(cls, callbacks=[Spoil(epochs=[2], batches=[1])]).fit(ragged, y)
    assert estimator.n_iter_ == 5
    assert all(torch.isfinite(value).all() for value in weights(estimator).values())
    assert np.isfinite(estimator.history_[-1]["train_loss"])


def test_f66_a_bad_batch_does_not_move_the_weights(cls, ragged, y):
    """An epoch of bad batches only ends where it began."""
    params = {"lr_schedule": None, "optimizer": "sgd"}
    note = make(cls, callbacks=[Spoil(epochs=[3]), Note()], max_epochs=4, **params)
    note.fit(ragged, y)
    before, after, last = Note.kept[1], Note.kept[2], Note.kept[3]
    for name, value in before.items():
        assert torch.equal(value, after[name])
    assert any(not torch.equal(value, last[name]) for name, value in before.items())


def test_f66_the_best_finite_weights_come_back(cls, ragged, y):
    spoil = Spoil(epochs=[4, 5, 6, 7])
    estimator = make(cls, max_epochs=10, lr_schedule=None, callbacks=[spoil])
    with pytest.warns(ConvergenceWarning, match=r"diverged at epoch 5.*lower lr.*clip.*scale") as w:
        estimator.fit(ragged, y)
    assert len(w) == 1
    assert estimator.n_iter_ == 4
    assert_same_weights(estimator, make(cls, max_epochs=3, lr_schedule=None).fit(ragged, y))
    assert np.isfinite(estimator.predict(ragged)).all()


def test_f66_the_best_validated_weights_come_back(cls, ragged, y):
    params = {"lr_schedule": None, "lr": 0.1, "validation_split": (ragged[18:], y[18:])}
    estimator = make(cls, max_epochs=9, callbacks=[Spoil(epochs=range(5, 10)), Note()], **params)
    with pytest.warns(ConvergenceWarning, match="diverged at epoch"):
        estimator.fit(ragged[:18], y[:18])
    losses = [row["valid_loss"] for row in estimator.history_[:4]]
    assert_same_weights(estimator, Note.kept[int(np.argmin(losses))])


def test_f66_ends_that_come_too_soon_for_a_stop_are_told(cls, ragged, y):
    with pytest.warns(ConvergenceWarning, match="diverged at epoch 3"):
        estimator = make(cls, batch_size=24, max_epochs=3, callbacks=[Spoil([3])]).fit(ragged, y)
    assert np.isfinite(estimator.predict(ragged)).all()


@pytest.mark.parametrize(("batch_size", "max_epochs"), [(8, 5), (24, 2), (24, 9)])
def test_f66_no_finite_epoch(cls, ragged, y, batch_size, max_epochs):
    """Also where there are too few batches for the training to be stopped."""
    spoil = Spoil(epochs=range(20))
    estimator = make(cls, batch_size=batch_size, max_epochs=max_epochs, callbacks=[spoil])
    with pytest.raises(FloatingPointError, match=r"diverged.*lower lr.*scale"):
        estimator.fit(ragged, y)
    assert not hasattr(estimator, "net_")


@pytest.mark.parametrize("batch_size", [8, 24])
def test_f66_a_learning_rate_that_explodes(ragged, y, batch_size):
    params = {"cell": "rnn", "nonlinearity": "relu", "optimizer": "sgd", "lr": 1e18}
    params |= {"gradient_clip_value": None, "lr_schedule": None, "batch_size": batch_size}
    reg = make(RNNRegressor, **params)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(FloatingPointError, match="diverged"):
            reg.fit(ragged, y)


def test_f66_an_earlier_fit_survives(cls, ragged, y):
    estimator = make(cls).fit(ragged, y)
    before = pickle.dumps(estimator)
    estimator.set_params(callbacks=[Spoil(epochs=range(20))])
    with pytest.raises(FloatingPointError):
        estimator.fit(ragged, y)
    assert pickle.dumps(estimator.set_params(callbacks=None)) == before


# -- gradients ----------------------------------------------------------------------------------


class Norms(Callback):
    """Note the norm of the gradient each step is made with."""

    norms: list = []

    def on_grad_computed(self, net, named_parameters=None, **kwargs):
        total = sum(float((p.grad**2).sum()) for _, p in named_parameters if p.grad is not None)
        self.norms.append(total**0.5)


def test_f67_gradients_are_clipped_and_recorded(ragged):
    Norms.norms.clear()
    reg = make(RNNRegressor, normalize_y=False, callbacks=[Norms()])
    reg.fit(ragged, np.full(24, 1000.0))
    assert reg.gradient_clip_value == 1.0
    assert len(Norms.norms) == 5 * BATCHES
    assert max(Norms.norms) <= 1 + 1e-5
    assert all(row["grad_norm"] > 100 for row in reg.history_)


def test_f67_gradients_are_recorded_without_clipping(ragged):
    Norms.norms.clear()
    reg = make(RNNRegressor, normalize_y=False, gradient_clip_value=None, callbacks=[Norms()])
    reg.fit(ragged, np.full(24, 1000.0))
    means = np.mean(np.reshape(Norms.norms, (5, BATCHES)), axis=1)
    assert_allclose([row["grad_norm"] for row in reg.history_], means, rtol=1e-4)


# -- Ctrl-C -------------------------------------------------------------------------------------


class Interrupt(Callback):
    """Raise the exception of Ctrl-C in an epoch, at a point of it."""

    def __init__(self, epoch, point="on_batch_end"):
        self.epoch = epoch
        self.point = point

    def _at(self, point, net):
        if point == self.point and len(net.history) == self.epoch:
            raise KeyboardInterrupt

    def on_epoch_begin(self, net, **kwargs):
        self._at("on_epoch_begin", net)

    def on_batch_end(self, net, **kwargs):
        self._at("on_batch_end", net)

    def on_epoch_end(self, net, **kwargs):
        self._at("on_epoch_end", net)


class PressCtrlC(Callback):
    """Send the signal of Ctrl-C a moment after the end of an epoch."""

    def __init__(self, epoch=3):
        self.epoch = epoch

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.epoch:
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()


@pytest.fixture
def ctrl_c():
    """Make sure that the signal means KeyboardInterrupt, as in an interactive session."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


POINTS = [("on_batch_end", 2), ("on_epoch_end", 3)]


@pytest.mark.parametrize(("point", "n_whole"), POINTS)
def test_f68_an_interrupt_keeps_the_last_whole_epoch(cls, ragged, y, point, n_whole):
    estimator = make(cls, callbacks=[Interrupt(3, point)], lr_schedule=None)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(ragged, y)
    assert estimator.interrupted_
    assert estimator.n_iter_ == len(estimator.history_) == n_whole
    reference = make(cls, max_epochs=n_whole, lr_schedule=None).fit(ragged, y)
    assert_same_weights(estimator, reference)
    assert_array_equal(estimator.predict(ragged), reference.predict(ragged))
    assert not reference.interrupted_


@pytest.mark.parametrize(("point", "n_whole"), POINTS)
def test_f68_an_interrupt_keeps_the_best_whole_epoch(cls, ragged, y, point, n_whole):
    params = {"lr_schedule": None, "lr": 0.1, "validation_split": (ragged[18:], y[18:])}
    estimator = make(cls, callbacks=[Note(), Interrupt(3, point)], **params)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(ragged[:18], y[:18])
    losses = [row["valid_loss"] for row in estimator.history_]
    assert len(losses) == n_whole
    assert_same_weights(estimator, Note.kept[int(np.argmin(losses))])


def test_f68_an_interrupted_estimator_is_whole(cls, ragged, y):
    estimator = make(cls, callbacks=[Interrupt(3)], early_stopping=True)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(ragged, y)
    again = pickle.loads(pickle.dumps(estimator))
    assert again.interrupted_
    assert_array_equal(again.predict(ragged), estimator.predict(ragged))
    estimator.transform(ragged)
    estimator.score(ragged, y)
    estimator.set_params(callbacks=None).fit(ragged, y)
    assert not estimator.interrupted_
    assert estimator.n_iter_ == 5


def test_f68_an_interrupt_of_the_first_epoch_leaves_nothing(cls, ragged, y):
    stop = EarlyStopping(load_best=True, monitor="train_loss")
    for callbacks in ([Interrupt(1, "on_epoch_begin")], [Interrupt(1)], [Interrupt(1), stop]):
        estimator = make(cls, callbacks=callbacks)
        with pytest.raises(KeyboardInterrupt):
            estimator.fit(ragged, y)
        with pytest.raises(NotFittedError):
            estimator.predict(ragged)


def test_f68_an_interrupt_of_the_first_epoch_keeps_an_earlier_fit(cls, ragged, y):
    estimator = make(cls).fit(ragged, y)
    before = pickle.dumps(estimator)
    with pytest.raises(KeyboardInterrupt):
        estimator.set_params(callbacks=[Interrupt(1)]).fit(ragged, y)
    assert pickle.dumps(estimator.set_params(callbacks=None)) == before


def test_f68_an_interrupt_before_the_training_keeps_an_interrupted_fit(cls, ragged, y):
    estimator = make(cls, callbacks=[Interrupt(3)])
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(ragged, y)
    before = estimator.predict(ragged)

    class Slow(list):
        def __iter__(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        estimator.fit(Slow(x[:, :2] for x in ragged), y)
    assert estimator.interrupted_
    assert_array_equal(estimator.predict(ragged), before)


def test_f68_an_interrupt_of_partial_fit_keeps_the_earlier_weights(cls, ragged, y):
    estimator = make(cls).fit(ragged, y)
    before = weights(estimator)
    estimator.net_.callbacks_.append(("interrupt", Interrupt(6)))
    with pytest.raises(KeyboardInterrupt):
        estimator.partial_fit(ragged, y)
    assert_same_weights(estimator, before)


def test_f68_ctrl_c_in_fit(cls, ragged, y, ctrl_c):
    estimator = make(cls, max_epochs=100_000, max_time=30, callbacks=[PressCtrlC()])
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(ragged, y)
    assert estimator.interrupted_
    assert 3 <= estimator.n_iter_ < 100_000
    assert all("train_loss" in row for row in estimator.history_)
    assert np.isfinite(estimator.predict(ragged)).all()


def test_f68_ctrl_c_stops_a_search(cls, ragged, y, ctrl_c):
    started = []

    class Count(Callback):
        def on_train_begin(self, net, **kwargs):
            started.append(1)

    estimator = make(cls, max_epochs=100_000, max_time=30, callbacks=[Count(), PressCtrlC()])
    search = GridSearchCV(estimator, {"lr": [0.01, 0.02]}, cv=2)
    with pytest.raises(KeyboardInterrupt):
        search.fit(ragged, y)
    assert len(started) == 1
    assert not hasattr(search, "best_estimator_")


def test_f68_early_stopping_of_skorch_is_no_interrupt(cls, ragged, y):
    stop = EarlyStopping(monitor="train_loss", patience=2, threshold=1e9, sink=lambda _: None)
    estimator = make(cls, max_epochs=20, callbacks=[stop]).fit(ragged, y)
    assert not estimator.interrupted_
    assert estimator.n_iter_ == 3
    search = GridSearchCV(estimator, {"lr": [0.01, 0.02]}, cv=2).fit(ragged, y)
    assert not search.best_estimator_.interrupted_


# -- parameters ---------------------------------------------------------------------------------

WRONG = [
    ("max_epochs", 0, r"\[1, inf\)"),
    ("max_epochs", -1, r"\[1, inf\)"),
    ("max_epochs", 2.5, "int"),
    ("lr", 0.0, r"\(0.0, inf\)"),
    ("lr", -0.1, r"\(0.0, inf\)"),
    ("lr", float("nan"), r"\(0.0, inf\)"),
    ("batch_size", 0, r"\[1, inf\)"),
    ("dropout", 1.5, r"\[0.0, 1.0\)"),
    ("dropout", -0.1, r"\[0.0, 1.0\)"),
    ("hidden_size", 0, r"\[1, inf\)"),
    ("hidden_size", "8", r"\[1, inf\)"),
    ("num_layers", 0, r"\[1, inf\)"),
    ("cell", "ltsm", "'gru'.*'lstm'|'lstm'.*'gru'"),
    ("nonlinearity", "selu", "relu"),
    ("pooling", "average", "mean"),
    ("device", "cdua", "'auto', 'cpu', 'cuda'"),
    ("optimizer", "adamq", "'adamw'"),
    ("lr_schedule", "cosin", "cosine"),
    ("early_stopping", "yes", "auto"),
    ("validation_fraction", 1.0, r"\(0.0, 1.0\)"),
    ("gradient_clip_value", 0.0, r"\(0.0, inf\)"),
    ("max_time", 0, r"\(0.0, inf\)"),
    ("dtype", "float16", "float32"),
    ("precision", "int8", "bf16"),
    ("empty", "drop", "zero_state"),
]


@pytest.mark.parametrize(("name", "value", "allowed"), WRONG)
def test_f72_wrong_parameters(cls, ragged, y, name, value, allowed):
    estimator = make(cls, **{name: value})
    with pytest.raises(InvalidParameterError, match=f"(?s){name}.*({allowed})"):
        estimator.fit(ragged, y)
    with pytest.raises(NotFittedError):
        estimator.predict(ragged)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"hidden_size": (4, 0)}, "hidden_size.*one positive integer per layer"),
        ({"hidden_size": ()}, "hidden_size.*one positive integer per layer"),
        ({"hidden_size": (4, 4), "num_layers": 3}, "num_layers=3; leave num_layers at 1"),
        ({"pooling": ("mean", "median")}, "pooling.*'attention', 'last', 'max', 'mean'"),
        ({"pooling": ()}, "pooling.*'attention', 'last', 'max', 'mean'"),
        ({"validation_split": ([],)}, "validation_split.*length 1"),
        ({"net_params": {"weight_decay": 1}}, "net_params has the key 'weight_decay'"),
        ({"net_params": {"optimizer__decay": 1}}, "optimizer__decay.*weight_decay"),
    ],
)
def test_f72_wrong_combinations(cls, ragged, y, params, match):
    with pytest.raises(ValueError, match=match):
        make(cls, **params).fit(ragged, y)


def test_f72_a_parameter_that_does_not_exist(cls):
    with pytest.raises(TypeError, match="hiden_size"):
        cls(hiden_size=4)
    with pytest.raises(ValueError, match="Invalid parameter 'hiden_size'"):
        cls().set_params(hiden_size=4)


@pytest.mark.parametrize("batch_size", [24, 25, 1000])
def test_f73_batches_larger_than_the_data(cls, ragged, y, batch_size):
    expected = make(cls, batch_size=24).fit(ragged, y)
    estimator = make(cls, batch_size=batch_size).fit(ragged, y)
    assert_same_weights(estimator, expected)


@pytest.mark.parametrize("batch_size", [1, 23])
def test_f73_a_last_batch_of_one(cls, ragged, y, batch_size):
    estimator = make(cls, batch_size=batch_size, max_epochs=2).fit(ragged, y)
    assert all(np.isfinite(row["train_loss"]) for row in estimator.history_)
    assert_allclose(
        estimator.transform(ragged[:1]), estimator.transform(ragged)[:1], rtol=0, atol=1e-6
    )


def test_f74_a_warm_start_with_other_features(cls, ragged, y):
    estimator = make(cls, warm_start=True).fit(ragged, y)
    before = pickle.dumps(estimator)
    with pytest.raises(ValueError, match=r"X has 2 features, but RNN.* is expecting 3 features"):
        estimator.fit([x[:, :2] for x in ragged], y)
    with pytest.raises(ValueError, match=r"X has 2 features, but RNN.* is expecting 3 features"):
        estimator.partial_fit([x[:, :2] for x in ragged], y)
    assert pickle.dumps(estimator) == before


def test_f74_a_warm_start_with_other_targets(ragged, y):
    clf = make(RNNClassifier, warm_start=True).fit(ragged, y)
    with pytest.raises(ValueError, match="class 2 is not in classes"):
        clf.fit(ragged, y + 1)
    reg = make(RNNRegressor, warm_start=True).fit(ragged, y)
    with pytest.raises(ValueError, match="y has 2 outputs, expected 1"):
        reg.fit(ragged, np.column_stack([y, y]))


def test_f74_a_new_fit_takes_other_features(cls, ragged, y):
    estimator = make(cls).fit(ragged, y)
    X = [x[:, :2] for x in ragged]
    assert_same_weights(estimator.fit(X, y), make(cls).fit(X, y))
    assert estimator.n_features_in_ == 2


METHODS = {
    RNNClassifier: ["predict", "predict_proba", "predict_log_proba", "decision_function"],
    RNNRegressor: ["predict", "predict_quantiles", "predict_interval"],
}


def test_f75_using_it_before_fit(cls, ragged, y):
    estimator = cls()
    for method in [*METHODS[cls], "transform"]:
        with pytest.raises(NotFittedError):
            getattr(estimator, method)(ragged)
    with pytest.raises(NotFittedError):
        estimator.score(ragged, y)
    for method in ("summary", "get_feature_names_out"):
        with pytest.raises(NotFittedError):
            getattr(estimator, method)()


# -- callbacks ----------------------------------------------------------------------------------

ABSENT = {
    "EarlyStopping": lambda: EarlyStopping(monitor="valid_acc"),
    "EarlyStopping without validation": EarlyStopping,
    "LRScheduler": lambda: LRScheduler("ReduceLROnPlateau", monitor="valid_acc"),
    "Checkpoint": lambda: Checkpoint(monitor="valid_acc"),
}


@pytest.mark.parametrize("monitor", ABSENT.values(), ids=ABSENT.keys())
def test_f76_a_monitor_that_is_absent(cls, ragged, y, monitor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"valid_(acc|loss).*\['dur', .*'train_loss'.*\]"):
        make(cls, callbacks=[monitor()]).fit(ragged, y)


def watched(cls, ragged, y, spoiled_epochs, **params):
    spoil = Spoil(spoiled_epochs, training=False)
    callbacks = [spoil, Note(), *params.pop("callbacks", [])]
    split = (ragged[18:], y[18:])
    params = {"lr_schedule": None, "validation_split": split, "callbacks": callbacks, **params}
    return make(cls, **params).fit(ragged[:18], y[:18])


def test_f76_one_validation_loss_that_is_not_finite(cls, ragged, y):
    estimator = watched(cls, ragged, y, [2])
    assert estimator.n_iter_ == 5
    losses = [row["valid_loss"] for row in estimator.history_]
    assert np.isnan(losses[1])
    assert_same_weights(estimator, Note.kept[int(np.nanargmin(losses))])


def test_f76_validation_losses_that_stay_nan_end_the_training(cls, ragged, y):
    with pytest.warns(ConvergenceWarning, match="diverged at epoch") as caught:
        estimator = watched(cls, ragged, y, range(3, 100), max_epochs=99)
    assert len(caught) == 1
    assert estimator.n_iter_ < 10
    losses = [row["valid_loss"] for row in estimator.history_]
    assert_same_weights(estimator, Note.kept[int(np.nanargmin(losses))])


def test_f76_no_validation_loss_is_finite(cls, ragged, y):
    with pytest.raises(FloatingPointError, match="diverged"):
        watched(cls, ragged, y, range(100))


def test_f76_early_stopping_of_skorch_on_nan(cls, ragged, y):
    stop = EarlyStopping(patience=2, sink=lambda _: None)
    with pytest.warns(ConvergenceWarning, match="diverged at epoch 4"):
        estimator = watched(cls, ragged, y, range(3, 100), callbacks=[stop], max_epochs=20)
    assert estimator.n_iter_ == 4
    assert np.isfinite(estimator.predict(ragged)).all()


class OwnError(Exception):
    pass


POINTS_OF_FAILURE = [
    "on_train_begin",
    "on_epoch_begin",
    "on_batch_begin",
    "on_batch_end",
    "on_grad_computed",
    "on_epoch_end",
    "on_train_end",
]


def failing(point, error):
    """Return a callback that raises an error of the user's own at one point of the training."""

    def fail(self, net, *args, **kwargs):
        raise error("mine")

    return type("Failing", (Callback,), {point: fail})()


@pytest.mark.parametrize("point", POINTS_OF_FAILURE)
@pytest.mark.parametrize("error", [OwnError, KeyError, ValueError, StopIteration])
def test_f77_a_callback_that_fails(cls, ragged, y, point, error):
    estimator = make(cls, max_epochs=2, callbacks=[failing(point, error)])
    with pytest.raises(error) as caught:
        estimator.fit(ragged, y)
    assert caught.type is error
    assert caught.value.args == ("mine",)
    with pytest.raises(NotFittedError):
        estimator.predict(ragged)
    left = {name for name in vars(estimator) if name.endswith("_") and "callback" not in name}
    assert not left


@pytest.mark.parametrize("point", POINTS_OF_FAILURE)
@pytest.mark.parametrize("warm_start", [False, True])
def test_f77_the_previous_fit_is_kept_to_the_byte(cls, ragged, y, point, warm_start):
    estimator = make(cls, max_epochs=2, early_stopping=True, warm_start=warm_start)
    estimator.fit(ragged, y)
    before = pickle.dumps(estimator)
    estimator.set_params(callbacks=[failing(point, OwnError)])
    with pytest.raises(OwnError):
        estimator.fit(ragged, y)
    assert pickle.dumps(estimator.set_params(callbacks=None)) == before


def test_f77_a_history_asked_by_the_user_fails_as_it_is(cls, ragged, y):
    class Asks(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history[-1, "my_score"]

    with pytest.raises(KeyError, match="my_score"):
        make(cls, callbacks=[Asks()]).fit(ragged, y)


def test_f77_bad_data_keep_the_previous_fit_to_the_byte(cls, ragged, y):
    estimator = make(cls, early_stopping=True).fit(ragged, y)
    before = pickle.dumps(estimator)
    bad = [np.full((3, 5), np.nan)] * 24
    for X, target in ((bad, y), ([x[:, :2] for x in ragged], y[:-1]), (ragged, None), ([], [])):
        with pytest.raises(ValueError, match=r".+"):
            estimator.fit(X, target)
    assert pickle.dumps(estimator) == before


# -- repetition ---------------------------------------------------------------------------------

OPTIONS = [
    {},
    {"dropout": 0.3, "num_layers": 2, "bidirectional": True},
    {"early_stopping": True, "pooling": "attention"},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("per_step", [False, True])
def test_f78_fit_is_idempotent(cls, ragged, options, per_step):
    y = [np.arange(len(x)) % 2 for x in ragged] if per_step else np.arange(24) % 2
    estimator = make(cls, return_sequences=per_step, **options).fit(ragged, y)
    before = weights(estimator)
    history = [{k: v for k, v in row.items() if k != "dur"} for row in estimator.history_]
    assert_same_weights(estimator.fit(ragged, y), before)
    again = [{k: v for k, v in row.items() if k != "dur"} for row in estimator.history_]
    assert again == history
    assert_same_weights(clone(estimator).fit(ragged, y), before)


def test_f78_a_clone_has_no_state(cls, ragged, y):
    estimator = make(cls, callbacks=[Note()]).set_params(optimizer__weight_decay=0.1)
    estimator.fit(ragged, y)
    copy = clone(estimator)
    assert not [name for name in vars(copy) if name.endswith("_")]
    assert copy.get_params()["optimizer__weight_decay"] == 0.1
    with pytest.raises(NotFittedError):
        copy.predict(ragged)


def test_f78_fit_does_not_change_the_parameters(cls, ragged, y):
    estimator = make(cls, callbacks=[Note()], hidden_size=(4, 3), early_stopping=True)
    before = {k: pickle.dumps(v) for k, v in estimator.get_params().items()}
    estimator.fit(ragged, y)
    assert {k: pickle.dumps(v) for k, v in estimator.get_params().items()} == before


def test_f78_set_params_after_fit_waits_for_the_next_fit(cls, ragged, y):
    estimator = make(cls).fit(ragged, y)
    predicted = estimator.predict(ragged)
    estimator.set_params(hidden_size=6, cell="gru", lr=0.1, pooling="last")
    assert_array_equal(estimator.predict(ragged), predicted)
    assert_array_equal(pickle.loads(pickle.dumps(estimator)).predict(ragged), predicted)
    params = {"hidden_size": 6, "cell": "gru", "lr": 0.1, "pooling": "last"}
    assert_same_weights(estimator.fit(ragged, y), make(cls, **params).fit(ragged, y))
