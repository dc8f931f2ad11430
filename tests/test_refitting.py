"""Going on with a fitted estimator: what may change, what is kept, and what says no."""

import copy
import pickle
import re

import numpy as np
import pytest
import torch

from skrnn import RNNClassifier, RNNRegressor

TINY = {"hidden_size": 4, "max_epochs": 2, "random_state": 0}


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(size=(60, 6, 2))


@pytest.fixture
def y(X):
    return X[:, :, 0].sum(axis=1)


def test_a_constant_first_batch_does_not_freeze_the_scale(X, y):
    reg = RNNRegressor(**TINY).partial_fit(X[:1], y[:1])
    np.testing.assert_allclose(reg.predict(X), y[0])
    for _ in range(5):
        reg.partial_fit(X, y)
    assert np.ptp(reg.predict(X)) > 0


def test_a_constant_fit_does_not_freeze_a_warm_start(X, y):
    reg = RNNRegressor(warm_start=True, **TINY).fit(X, np.ones(60)).fit(X, y)
    assert np.ptp(reg.predict(X)) > 0


def test_held_out_samples_of_no_weight_do_not_judge(X, y):
    valid = np.arange(40, 60)
    weight = np.ones(60)
    weight[50:] = 0
    spoilt = np.where(weight > 0, y, 1000.0)

    class Fixed:
        def split(self, X, y=None, groups=None):
            yield np.arange(40), valid

    reg = RNNRegressor(validation_split=Fixed(), **TINY)
    losses = [
        reg.fit(X, target, sample_weight=weight).history_[-1]["valid_loss"]
        for target in (y, spoilt)
    ]
    assert losses[0] == losses[1]
    assert reg.n_calibration_ == 10
    weight[40:] = 0
    with pytest.raises(ValueError, match="zero in the validation part"):
        reg.fit(X, y, sample_weight=weight)


def test_class_weights_come_from_the_training_part(X):
    y = np.repeat([0, 1], [45, 15])
    pair = (X[:20], np.repeat([0, 1], [2, 18]))
    balanced = RNNClassifier(class_weight="balanced", validation_split=pair, **TINY).fit(X, y)
    by_hand = RNNClassifier(class_weight={0: 60 / 90, 1: 2.0}, validation_split=pair, **TINY)
    by_hand.fit(X, y)
    for ours, theirs in zip(balanced.history_, by_hand.history_, strict=True):
        assert ours["valid_loss"] == pytest.approx(theirs["valid_loss"], rel=1e-5)


def test_a_weight_may_name_a_class_that_comes_later(X):
    clf = RNNClassifier(class_weight={2: 5.0}, **TINY)
    clf.partial_fit(X[:10], np.arange(10) % 2, classes=[0, 1, 2])
    assert clf.partial_fit(X[:10], np.arange(10) % 3).classes_.tolist() == [0, 1, 2]


def test_partial_fit_takes_up_a_new_optimizer_and_its_settings(X, y):
    reg = RNNRegressor(**TINY).partial_fit(X, y)
    first = reg.net_.optimizer_
    steps = [state["step"].item() for state in first.state.values()]
    reg.partial_fit(X, y)
    # The same settings keep its state.
    assert [s["step"].item() for s in reg.net_.optimizer_.state.values()] == [2 * n for n in steps]
    reg.set_params(optimizer__weight_decay=0.3).partial_fit(X, y)
    assert [g["weight_decay"] for g in reg.net_.optimizer_.param_groups] == [0.3, 0.0]
    reg.set_params(net_params=None).partial_fit(X, y)
    assert reg.net_.optimizer_.param_groups[0]["weight_decay"] == 0.01
    reg.set_params(optimizer="sgd", optimizer__momentum=0.9, lr=0.1).partial_fit(X, y)
    assert type(reg.net_.optimizer_) is torch.optim.SGD
    assert reg.net_.optimizer_.param_groups[0]["momentum"] == 0.9
    assert reg.net_.optimizer_.param_groups[0]["lr"] == 0.1
    assert reg.n_iter_ == 5
    assert (
        type(pickle.loads(pickle.dumps(reg)).partial_fit(X, y).net_.optimizer_) is torch.optim.SGD
    )
    with pytest.raises(ValueError, match="optimizer__beta is not a parameter of SGD"):
        reg.set_params(optimizer__beta=1).partial_fit(X, y)


def test_partial_fit_takes_up_another_precision(X, y):
    reg = RNNRegressor(**TINY).partial_fit(X, y).set_params(precision="bf16").partial_fit(X, y)
    assert reg.net_.autocast_dtype is torch.bfloat16


def test_partial_fit_takes_up_a_new_learning_rate(X, y):
    reg = RNNRegressor(**TINY).partial_fit(X, y)
    before = reg.predict(X)
    reg.set_params(lr=1e-12, batch_size=7, gradient_clip_value=0.5).partial_fit(X, y)
    np.testing.assert_allclose(reg.predict(X), before, atol=1e-6)
    assert (reg.net_.batch_size, reg.net_.gradient_clip_value) == (7, 0.5)


@pytest.mark.parametrize(
    "change",
    [{"dtype": "float64"}, {"return_sequences": True}, {"embedding_dim": 3}, {"hidden_size": 9}],
)
def test_parameters_set_after_fit_leave_predictions_alone(X, y, change):
    reg = RNNRegressor(**TINY).fit(X, y)
    before = reg.predict(X)
    reg.set_params(**change)
    np.testing.assert_array_equal(reg.predict(X), before)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(reg)).predict(X), before)


@pytest.mark.parametrize(
    "change", [{"hidden_size": 9}, {"cell": "gru"}, {"loss": "quantile"}, {"dtype": "float64"}]
)
def test_another_network_cannot_go_on(X, y, change):
    (name,) = change
    reg = RNNRegressor(warm_start=True, **TINY).fit(X, y)
    before = reg.predict(X)
    name = {"loss": "head"}.get(name, name)
    for go_on in (reg.fit, reg.partial_fit):
        reg.set_params(**change)
        with pytest.raises(ValueError, match=rf"other settings of .*{re.escape(name)}"):
            go_on(X, y)
    np.testing.assert_array_equal(reg.predict(X), before)


def test_padding_of_rectangular_targets_never_counts(X):
    padded = X.copy()
    padded[:, 4:] = np.nan
    y = np.where(np.arange(6) < 4, X[:, :, 0], 99.0)
    reg = RNNRegressor(return_sequences=True, **TINY).fit(padded, y)
    assert reg.score(padded, y) == pytest.approx(reg.score(X[:, :4], y[:, :4]))
    labels = (y > 0).astype(int)
    clf = RNNClassifier(return_sequences=True, **TINY).fit(padded, labels)
    assert clf.score(padded, labels) == pytest.approx(clf.score(X[:, :4], labels[:, :4]))


def test_the_epoch_that_stops_early_is_printed(X, y, capsys):
    params = {"early_stopping": True, "n_iter_no_change": 2, "tol": 10.0, "verbose": 1}
    reg = RNNRegressor(**{**TINY, "max_epochs": 40}, **params).fit(X, y)
    assert len(capsys.readouterr().out.splitlines()) == reg.n_iter_ < 40


def test_ctrl_c_while_calibrating_keeps_the_training(X, y, monkeypatch):
    def interrupted(self, validation):
        if validation is not None:
            raise KeyboardInterrupt

    monkeypatch.setattr(RNNRegressor, "_calibrate", interrupted)
    reg = RNNRegressor(early_stopping=True, **TINY)
    with pytest.raises(KeyboardInterrupt):
        reg.fit(X, y)
    assert reg.interrupted_
    assert reg.predict(X).shape == (60,)


def test_a_fit_on_the_cpu_leaves_generators_of_other_devices_alone(X, y, monkeypatch):
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    monkeypatch.setattr(torch.cuda, "manual_seed", seeded.append)
    copy.deepcopy(RNNRegressor(device="cpu", **TINY).fit(X, y))
    assert seeded == []
