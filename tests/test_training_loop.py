"""The training run: schedules, limits, hold-out, optimizers, callbacks and randomness."""

import itertools
import pickle
import random
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GroupKFold, PredefinedSplit, ShuffleSplit
from skorch.callbacks import (
    Callback,
    EarlyStopping,
    EpochScoring,
    GradientNormClipping,
    LRScheduler,
)

from skrnn import RNNClassifier, RNNRegressor
from skrnn._training import SCHEDULES, _precision, split_holdout
from skrnn._training._optimizers import OPTIMIZERS

N_SAMPLES = 60


@pytest.fixture(scope="module")
def data():
    """Sequences of 3 to 8 steps and whether their mean is positive."""
    rng = np.random.default_rng(1)
    X = [rng.normal(size=(n, 2)) for n in rng.integers(3, 9, size=N_SAMPLES)]
    return X, np.array([int(x[:, 0].mean() > 0) for x in X])


def classifier(**kwargs):
    small = {"hidden_size": 4, "max_epochs": 3, "batch_size": 16, "early_stopping": False}
    return RNNClassifier(**{**small, "random_state": 0, **kwargs})


def weights(net):
    return [p.detach().numpy().copy() for p in net.module_.parameters()]


def assert_same_weights(one, other):
    for a, b in zip(weights(one.net_), weights(other.net_), strict=True):
        assert_array_equal(a, b)


class Recorder(Callback):
    """Records the learning rate of every step; `log` survives cloning."""

    def __init__(self, log):
        self.log = log

    def __deepcopy__(self, memo):
        return Recorder(self.log)

    def __sklearn_clone__(self):
        return Recorder(self.log)

    def on_grad_computed(self, net, **kwargs):
        self.log.append(net.optimizer_.param_groups[0]["lr"])


def learning_rates(data, **kwargs):
    log = []
    classifier(callbacks=[("recorder", Recorder(log))], **kwargs).fit(*data)
    return np.array(log)


# -- schedules --------------------------------------------------------------------------------


def test_one_cycle_is_torchs():
    steps = 200
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=steps + 1)
    # torch ends its rise one step before the share it is given.
    for step in range(steps):
        ours = SCHEDULES["one_cycle"](step / steps)
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], abs=0.02)
        optimizer.step()
        schedule.step()
    assert SCHEDULES["one_cycle"](0.0) == pytest.approx(1 / 25)
    assert SCHEDULES["one_cycle"](0.3) == pytest.approx(1.0)
    assert SCHEDULES["one_cycle"](1.0) == pytest.approx(1 / 25e4)


def test_cosine_warms_up_linearly_and_falls_to_zero():
    cosine = SCHEDULES["cosine"]
    assert 0 < cosine(0.0) <= 0.01
    assert cosine(0.025) == pytest.approx(0.5)
    assert cosine(0.05) == pytest.approx(1.0)
    # Half a cosine is halfway down in the middle, and symmetric about it.
    assert cosine(0.05 + 0.475) == pytest.approx(0.5)
    for share in (0.1, 0.2, 0.4):
        assert cosine(0.05 + 0.95 * share) + cosine(1 - 0.95 * share) == pytest.approx(1.0)
    assert cosine(1.0) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_runs_from_the_first_to_the_last_step(name, data):
    # With batches of one size, progress is known before every step.
    rates = learning_rates(data, lr_schedule=name, lr=0.01, max_epochs=10, batch_size=1)
    progress = np.arange(10 * N_SAMPLES) / (10 * N_SAMPLES)
    assert_allclose(rates, [0.01 * SCHEDULES[name](p) for p in progress])
    assert rates[0] < 1e-3
    assert rates.max() == pytest.approx(0.01, rel=0.05)
    assert rates[-1] < 3e-4


@pytest.mark.parametrize("name", SCHEDULES)
def test_outliers_in_length_do_not_end_a_schedule_early(name):
    # Every batch is cut into several: there are more steps than samples / batch_size.
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(n, 1)) for n in (2, 3, 40, 2, 3, 600, 2, 40)]
    rates = learning_rates((X, [0, 1] * 4), lr_schedule=name, lr=0.01, batch_size=8, max_epochs=10)
    assert len(rates) >= 20
    at_half = len(rates) // 2
    assert rates[at_half] == pytest.approx(0.01 * SCHEDULES[name](0.5), rel=0.2)
    assert rates[int(0.8 * len(rates))] > 1e-4


def test_without_a_schedule_the_rate_is_constant(data):
    assert_array_equal(learning_rates(data, lr_schedule=None, lr=0.02), 0.02)


def test_plateau_lowers_the_rate_when_the_loss_stops_falling(data):
    clf = classifier(
        lr_schedule="plateau",
        lr=1e-7,
        max_epochs=6,
        net_params={
            "lr_schedule__patience": 0,
            "lr_schedule__factor": 0.5,
            "lr_schedule__threshold": 0.5,
        },
    )
    rates = [row["event_lr"] for row in clf.fit(*data).history_]
    assert rates[0] == 1e-7
    assert rates[-1] <= 1e-7 / 8


def test_plateau_watches_the_validation_loss_where_there_is_one(data):
    log = []
    clf = classifier(
        lr_schedule="plateau",
        early_stopping=True,
        validation_fraction=0.3,
        callbacks=[("recorder", Recorder(log))],
    )
    clf.fit(*data)
    assert "valid_loss" in clf.history_[0]


def test_a_torch_scheduler_steps_once_per_epoch(data):
    clf = classifier(lr_schedule=torch.optim.lr_scheduler.ExponentialLR, lr=0.01)
    clf.set_params(lr_schedule__gamma=0.1).fit(*data)
    assert_allclose([row["event_lr"] for row in clf.history_], [1e-2, 1e-3, 1e-4])


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"lr_schedule": "cosine", "net_params": {"lr_schedule__gamma": 1}}, "no parameters"),
        ({"lr_schedule": "cosin"}, "lr_schedule"),
        ({"lr_schedule": dict}, "not a torch learning-rate scheduler"),
    ],
)
def test_schedules_that_do_not_exist(params, match, data):
    with pytest.raises(ValueError, match=match):
        classifier(**params).fit(*data)


# -- time -------------------------------------------------------------------------------------


@pytest.fixture
def ticking(monkeypatch):
    """A clock on which a millisecond passes whenever somebody looks at it."""
    ticks = itertools.count()
    clock = SimpleNamespace(perf_counter=lambda: next(ticks) / 1000)
    monkeypatch.setattr("skrnn._training._callbacks.time", clock)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.usefixtures("ticking")
def test_max_time_ends_the_training_and_its_schedule(name, data):
    log = []
    clf = classifier(
        lr_schedule=name,
        max_epochs=100_000,
        max_time=0.4,
        lr=0.01,
        callbacks=[("recorder", Recorder(log))],
    )
    clf.fit(*data)
    assert 10 < clf.n_iter_ < 200
    progress = np.linspace(0, 1, len(log))
    assert_allclose(log, [0.01 * SCHEDULES[name](p) for p in progress], atol=1e-3)
    assert log[-1] < 1e-4
    assert np.isfinite(clf.predict_proba(data[0])).all()


def test_a_real_clock_ends_the_training_too(data):
    clf = classifier(max_epochs=100_000, max_time=0.3).fit(*data)
    assert 1 <= clf.n_iter_ < 10_000


def test_hardly_any_time_trains_one_batch(data):
    log = []
    clf = classifier(max_time=1e-9, batch_size=10, callbacks=[("recorder", Recorder(log))])
    clf.fit(*data)
    assert clf.n_iter_ == 1
    assert len(log) == 1


def test_ample_time_changes_nothing(data):
    clf = classifier(max_time=3600.0).fit(*data)
    assert clf.n_iter_ == 3
    assert_allclose(
        clf.predict_proba(data[0]), classifier().fit(*data).predict_proba(data[0]), rtol=1e-4
    )


# -- early stopping ---------------------------------------------------------------------------


def loss_of(clf, X, y):
    probabilities = clf.predict_proba(X)
    return -np.log(probabilities[np.arange(len(y)), y]).mean()


def overfitting(**kwargs):
    """Random labels: the validation loss soon rises."""
    params = {"early_stopping": True, "lr": 0.1, "lr_schedule": None, "max_epochs": 60}
    return classifier(**{**params, "n_iter_no_change": 4, **kwargs})


@pytest.fixture(scope="module")
def noise():
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(n, 2)) for n in rng.integers(3, 9, size=50)]
    y = rng.integers(0, 2, size=50)
    return (X[:30], y[:30]), (X[30:], y[30:])


def test_the_best_weights_come_back(noise):
    train, valid = noise
    clf = overfitting(validation_split=valid).fit(*train)
    history = [row["valid_loss"] for row in clf.history_]

    assert np.argmin(history) < len(history) - 1
    assert loss_of(clf, *valid) == pytest.approx(min(history), rel=1e-5)
    assert [row["valid_loss_best"] for row in clf.history_] == [
        loss < min(history[:i], default=np.inf) for i, loss in enumerate(history)
    ]


@pytest.mark.parametrize("patience", [1, 4])
def test_patience_is_counted_from_the_last_improvement(patience, noise):
    train, valid = noise
    clf = overfitting(validation_split=valid, n_iter_no_change=patience, tol=0.0).fit(*train)
    history = [row["valid_loss"] for row in clf.history_]
    assert len(history) < 60
    assert len(history) - 1 - np.argmin(history) == patience


def test_an_improvement_below_tol_is_none(noise):
    train, valid = noise
    clf = overfitting(validation_split=valid, tol=100.0, n_iter_no_change=3).fit(*train)
    # The first epoch improves on nothing at all.
    assert clf.n_iter_ == 4


def test_without_early_stopping_the_last_weights_stay(noise):
    train, valid = noise
    clf = overfitting(validation_split=valid, early_stopping=False, max_epochs=15).fit(*train)
    history = [row["valid_loss"] for row in clf.history_]
    assert len(history) == 15
    assert loss_of(clf, *valid) == pytest.approx(history[-1], rel=1e-5)


def test_without_validation_all_epochs_run(data):
    clf = classifier(n_iter_no_change=1, lr=1e-9, max_epochs=5).fit(*data)
    assert clf.n_iter_ == 5
    assert "valid_loss" not in clf.history_[0]


def test_validation_loss_is_the_mean_over_all_steps():
    # One long sequence among short ones, in several batches: steps count, not sequences.
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(n, 1)) for n in (2, 2, 30, 3, 2, 4, 12, 2)]
    y = [(x[:, 0] > 0).astype(int) for x in X]
    clf = classifier(
        return_sequences=True, validation_split=(X, y), batch_size=3, max_epochs=1
    ).fit(X, y)
    proba, codes = np.concatenate(clf.predict_proba(X)), np.concatenate(y)
    expected = -np.log(proba[np.arange(len(codes)), codes]).mean()
    assert clf.history_[0]["valid_loss"] == pytest.approx(expected, rel=1e-5)


def test_validation_loss_is_weighted():
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(n, 1)) for n in rng.integers(2, 9, size=20)]
    y = np.array([0] * 15 + [1] * 5)
    weight = {0: 1.0, 1: 10.0}
    clf = classifier(class_weight=weight, validation_split=(X, y), batch_size=3, max_epochs=1).fit(
        X, y
    )
    losses = -np.log(clf.predict_proba(X)[np.arange(20), y])
    expected = np.average(losses, weights=[weight[k] for k in y])
    assert clf.history_[0]["valid_loss"] == pytest.approx(expected, rel=1e-5)


# -- hold-out ---------------------------------------------------------------------------------


class Spy:
    """Splits like another splitter and remembers what it saw."""

    def __init__(self, splitter):
        self.splitter = splitter
        self.seen = []

    def split(self, X, y=None, groups=None):
        for train, valid in self.splitter.split(X, y, groups):
            self.seen.append((y, groups, train, valid))
            yield train, valid

    def get_n_splits(self, *args):
        return self.splitter.get_n_splits(*args)


def test_a_splitter_decides(data):
    X, y = data
    spy = Spy(ShuffleSplit(3, test_size=20, random_state=0))
    clf = classifier(early_stopping=True, validation_split=spy, max_epochs=1).fit(X, y)
    labels, _, train, valid = spy.seen[-1]
    assert_array_equal(labels, y)
    assert len(train) == 40
    expected = loss_of(clf, [X[i] for i in valid], y[valid])
    assert clf.history_[0]["valid_loss"] == pytest.approx(expected, rel=1e-5)


def test_a_splitter_turns_automatic_early_stopping_on(data):
    split = PredefinedSplit(np.arange(N_SAMPLES) % 2 - 1)
    clf = classifier(early_stopping="auto", validation_split=split).fit(*data)
    assert "valid_loss" in clf.history_[0]


def test_a_splitter_sees_the_groups(data):
    groups = np.arange(N_SAMPLES) // 3
    spy = Spy(GroupKFold(4))
    classifier(early_stopping=True, validation_split=spy, max_epochs=1).fit(*data, groups=groups)
    _, seen, train, valid = spy.seen[-1]
    assert_array_equal(seen, groups)
    assert not set(groups[train]) & set(groups[valid])


SIZES = [(8, 8, 16), (40, 10, 10), (60, 2, 12), (200, 5, 40), (12, 6, 4)]


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize(("n_samples", "n_small", "n_groups"), SIZES)
def test_groups_are_never_on_both_sides(n_samples, n_small, n_groups, labelled):
    rng = np.random.default_rng(0)
    labels = np.zeros(n_samples, dtype=int)
    labels[: n_small // 2] = 1
    groups = rng.permutation(np.arange(n_samples) % n_groups)
    for seed in range(5):
        train, valid = split_holdout(
            n_samples,
            rng.permutation(labels) if labelled else None,
            fraction=0.1,
            splitter=None,
            groups=groups.tolist(),
            seed=seed,
        )
        assert len(train)
        assert len(valid)
        assert not set(groups[train]) & set(groups[valid])
        assert_array_equal(np.sort(np.concatenate([train, valid])), np.arange(n_samples))


def test_a_single_group_cannot_be_split(data):
    with pytest.raises(ValueError, match="group"):
        classifier(early_stopping=True).fit(*data, groups=np.zeros(N_SAMPLES))


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_the_hold_out_is_stratified(fraction):
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    train, valid = split_holdout(100, labels, fraction=fraction, splitter=None, groups=None, seed=0)
    assert len(valid) == 100 * fraction
    assert not set(train) & set(valid)
    assert_allclose(np.bincount(labels[valid]), fraction * np.array([60, 30, 10]), atol=1)


def test_every_class_is_on_both_sides():
    labels = np.repeat(np.arange(6), 3)
    train, valid = split_holdout(18, labels, fraction=0.1, splitter=None, groups=None, seed=0)
    assert set(labels[train]) == set(labels[valid]) == set(range(6))


def test_the_hold_out_follows_the_seed():
    splits = [
        split_holdout(50, None, fraction=0.2, splitter=None, groups=None, seed=seed)[1]
        for seed in (0, 0, 1)
    ]
    assert_array_equal(splits[0], splits[1])
    assert set(splits[0]) != set(splits[2])


def test_a_class_with_one_member_is_not_stratified():
    labels = np.array([0] * 9 + [1])
    with pytest.warns(UserWarning, match="single member"):
        train, valid = split_holdout(10, labels, fraction=0.2, splitter=None, groups=None, seed=0)
    assert (len(train), len(valid)) == (8, 2)


@pytest.mark.parametrize("n_samples", [2, 4])
def test_too_few_samples_all_train(n_samples, data):
    X, y = data[0][:n_samples], np.arange(n_samples) % 2
    with pytest.warns(UserWarning, match="too few for a validation part"):
        clf = classifier(early_stopping=True).fit(X, y)
    assert "valid_loss" not in clf.history_[0]


@pytest.mark.parametrize(("n_samples", "held_out"), [(19, False), (20, True)])
@pytest.mark.parametrize("estimator", [RNNClassifier, RNNRegressor])
def test_auto_holds_out_from_a_number_of_samples_on(estimator, n_samples, held_out, monkeypatch):
    monkeypatch.setattr("skrnn._base.HOLDOUT_FROM", 20)
    X, y = np.random.default_rng(0).normal(size=(n_samples, 2)), np.arange(n_samples) % 2
    est = estimator(hidden_size=1, cell="rnn", max_epochs=1, random_state=0)
    assert ("valid_loss" in est.fit(X, y).history_[0]) is held_out


# -- optimizers -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_optimizer_by_name_and_by_class(name, data):
    params = {"lr": {"lbfgs": 1.0, "sgd": 0.1, "adadelta": 1.0}.get(name, 0.01)}
    if name == "lbfgs":
        # Its line search asks for the true gradient of one function.
        params |= {"net_params": {"optimizer__line_search_fn": "strong_wolfe"}}
        params |= {"gradient_clip_value": None, "batch_size": N_SAMPLES, "lr_schedule": None}
    by_name = classifier(optimizer=name, **params).fit(*data)
    by_class = classifier(optimizer=OPTIMIZERS[name], **params).fit(*data)
    assert_same_weights(by_name, by_class)
    losses = [row["train_loss"] for row in by_name.history_]
    assert losses[-1] < losses[0]


def test_the_usual_optimizers_are_there():
    usual = {"adam", "adamw", "sgd", "rmsprop", "nadam", "radam", "adagrad", "lbfgs", "rprop"}
    assert usual <= set(OPTIMIZERS)


def test_names_do_not_depend_on_case(data):
    assert_same_weights(
        classifier(optimizer="AdamW").fit(*data), classifier(optimizer="adamw").fit(*data)
    )


@pytest.mark.parametrize("name", ["adamm", "sparseadam", "muon"])
def test_an_unknown_optimizer_lists_the_known_ones(name, data):
    with pytest.raises(ValueError, match=rf"optimizer='{name}' .*'adamw'.*'sgd'"):
        classifier(optimizer=name).fit(*data)


def test_a_parameter_the_optimizer_does_not_have(data):
    with pytest.raises(ValueError, match=r"optimizer__wait_decay .* AdamW.*weight_decay"):
        classifier().set_params(optimizer__wait_decay=0.1).fit(*data)


def test_parameters_reach_the_optimizer(data):
    clf = classifier(optimizer="sgd").set_params(optimizer__momentum=0.5, optimizer__nesterov=True)
    group = clf.fit(*data).net_.optimizer_.param_groups[0]
    assert group["momentum"] == 0.5
    assert group["nesterov"] is True


def test_weight_decay_spares_biases_and_recurrent_weights(data):
    clf = classifier(num_layers=2, bidirectional=True).set_params(optimizer__weight_decay=0.3)
    net = clf.fit(*data).net_
    decay = {
        id(p): group["weight_decay"]
        for group in net.optimizer_.param_groups
        for p in group["params"]
    }
    for name, parameter in net.module_.named_parameters():
        free = "bias" in name or "weight_hh" in name
        assert decay[id(parameter)] == (0.0 if free else 0.3), name


@pytest.mark.parametrize("params", [{"optimizer": "adam"}, {"optimizer__weight_decay": 0}])
def test_without_weight_decay_there_is_one_group(data, params):
    clf = classifier().set_params(**params).fit(*data)
    (group,) = clf.net_.optimizer_.param_groups
    assert group["weight_decay"] == 0
    assert len(group["params"]) == len([*clf.net_.module_.parameters()])


def test_weight_decay_shrinks_what_it_does_not_spare(data):
    plain = classifier(max_epochs=10, optimizer="adamw").fit(*data)
    decayed = classifier(max_epochs=10).set_params(optimizer__weight_decay=30.0).fit(*data)
    norm = [torch.linalg.norm(c.net_.module_.head.projection.weight) for c in (decayed, plain)]
    assert norm[0] < 0.5 * norm[1]


# -- gradients --------------------------------------------------------------------------------


def test_the_norm_of_the_gradient_is_recorded(data):
    # Without any change of the weights the norm is the same in every epoch of one batch.
    clf = classifier(lr=1e-30, batch_size=N_SAMPLES, lr_schedule=None).fit(*data)
    norms = [row["grad_norm"] for row in clf.history_]
    assert norms[0] > 0
    assert_allclose(norms, norms[0], rtol=1e-4)


def test_clipping_bounds_the_step(data):
    def change(limit):
        clf = classifier(
            optimizer="sgd",
            lr=1.0,
            lr_schedule=None,
            batch_size=N_SAMPLES,
            max_epochs=1,
            gradient_clip_value=limit,
        )
        seed = classifier(optimizer="sgd", lr=1e-30, batch_size=N_SAMPLES, max_epochs=1).fit(*data)
        pairs = zip(weights(clf.fit(*data).net_), weights(seed.net_), strict=True)
        moved = np.sqrt(sum(((a - b) ** 2).sum() for a, b in pairs))
        return moved, clf.history_[0]["grad_norm"]

    free, norm = change(None)
    assert free == pytest.approx(norm, rel=1e-3)
    clipped, recorded = change(norm / 10)
    assert recorded == pytest.approx(norm, rel=1e-4)
    assert clipped == pytest.approx(norm / 10, rel=1e-3)
    assert change(10 * norm)[0] == pytest.approx(free, rel=1e-4)


# -- precision --------------------------------------------------------------------------------


@pytest.fixture
def bf16(monkeypatch):
    """Let the processor have instructions for bfloat16, or not."""

    def say(there):
        monkeypatch.setattr(_precision, "_computes_in_bf16", lambda: there)

    say(True)
    return say


def test_bf16_trains_and_predicts_close_to_float32(data, bf16):
    X, _ = data
    full = classifier(max_epochs=10).fit(*data)
    half = classifier(max_epochs=10, precision="bf16").fit(*data)
    assert all(p.dtype == torch.float32 for p in half.net_.module_.parameters())
    assert_allclose(half.predict_proba(X), full.predict_proba(X), atol=0.05)
    assert np.abs(half.predict_proba(X) - full.predict_proba(X)).max() > 0


@pytest.mark.parametrize(
    ("cell", "match"),
    [
        ("gru", "cell 'gru' needs a hidden_size of 256"),
        ("rnn", "cell 'rnn' needs a hidden_size of 256"),
        ("mingru", "linear recurrences"),
        ("minlstm", "linear recurrences"),
        ("grud", "cell 'grud' needs a hidden_size of 256"),
    ],
)
def test_bf16_that_would_be_slower_is_left_out_with_a_warning(cell, match, data, bf16):
    params = {"cell": cell, "missing": "mask" if cell == "grud" else "error"}
    with pytest.warns(UserWarning, match=match) as caught:
        half = classifier(**params, precision="bf16").fit(*data)
    assert caught[0].filename == __file__
    full = classifier(**params).fit(*data)
    assert_same_weights(half, full)
    assert_array_equal(half.predict_proba(data[0]), full.predict_proba(data[0]))
    copied = pickle.loads(pickle.dumps(half))
    assert_array_equal(copied.predict_proba(data[0]), full.predict_proba(data[0]))


def test_bf16_without_instructions_for_it_is_left_out_with_a_warning(data, bf16):
    bf16(False)
    with pytest.warns(UserWarning, match="no bfloat16 instructions"):
        half = classifier(precision="bf16").fit(*data)
    assert_same_weights(half, classifier().fit(*data))


def test_large_gru_layers_may_use_bf16(data, bf16):
    large = classifier(cell="gru", hidden_size=256, batch_size=64, precision="bf16", max_epochs=1)
    assert large.fit(*data).net_.autocast_dtype is torch.bfloat16


def test_a_processor_that_tells_nothing_is_believed(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    assert _precision._computes_in_bf16()
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True}, raising=False)
    assert not _precision._computes_in_bf16()


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"precision": "fp16", "device": "cpu"}, "needs a CUDA device"),
        ({"precision": "bf16", "dtype": "float64"}, "needs dtype='float32'"),
        ({"precision": "half"}, "precision"),
        ({"device": "toaster"}, "not a torch device"),
    ],
)
def test_precisions_and_devices_that_do_not_exist(params, match, data):
    with pytest.raises(ValueError, match=match):
        classifier(**params).fit(*data)


# -- skorch's callbacks -----------------------------------------------------------------------


def test_early_stopping_of_skorch_keeps_the_weights_of_its_last_epoch(data):
    stop = EarlyStopping(monitor="train_loss", threshold=10.0, patience=3, sink=lambda _: None)
    params = {"lr_schedule": None, "max_epochs": 50}
    clf = classifier(callbacks=[stop], **params).fit(*data)
    # The first epoch is an improvement on nothing, three without one follow.
    assert clf.n_iter_ == 4
    assert not clf.interrupted_
    assert_same_weights(clf, classifier(**{**params, "max_epochs": 4}).fit(*data))


def test_early_stopping_of_skorch_loads_its_own_best(noise):
    train, valid = noise
    params = {"validation_split": valid, "lr": 0.1, "lr_schedule": None, "max_epochs": 40}
    stop = EarlyStopping(patience=5, load_best=True, sink=lambda _: None)
    clf = classifier(callbacks=[stop], **params).fit(*train)
    history = [row["valid_loss"] for row in clf.history_]
    assert len(history) < 40
    # Its threshold is relative: what hardly improves is no improvement.
    assert loss_of(clf, *valid) == pytest.approx(min(history), rel=1e-3)
    assert loss_of(clf, *valid) < history[-1]


def test_accuracy_per_epoch(data):
    X, y = data
    score = EpochScoring("accuracy", lower_is_better=False, name="acc")
    clf = classifier(callbacks=[score], validation_split=(X, y), max_epochs=4).fit(X, y)
    assert clf.history_[-1]["acc"] == pytest.approx(clf.score(X, y))
    assert all(0 <= row["acc"] <= 1 for row in clf.history_)


def test_accuracy_of_training_per_epoch(data):
    score = EpochScoring("accuracy", lower_is_better=False, on_train=True, name="acc")
    clf = classifier(callbacks=[("acc", score)], max_epochs=4).fit(*data)
    assert all(0 <= row["acc"] <= 1 for row in clf.history_)


def test_error_of_a_regressor_per_epoch(data):
    X, y = data
    score = EpochScoring("neg_mean_squared_error", lower_is_better=False, name="mse")
    reg = RNNRegressor(
        hidden_size=4, max_epochs=2, callbacks=[score], validation_split=(X, y), random_state=0
    )
    reg.fit(X, y)
    # Targets are scaled inside.
    best = np.argmin([row["valid_loss"] for row in reg.history_])
    expected = -np.mean((reg.predict(X) - y) ** 2) / np.var(y)
    assert reg.history_[best]["mse"] == pytest.approx(expected, rel=1e-4)


def test_gradient_clipping_of_skorch(data):
    params = {"optimizer": "sgd", "lr": 1.0, "lr_schedule": None, "batch_size": N_SAMPLES}
    ours = classifier(gradient_clip_value=0.01, **params).fit(*data)
    theirs = classifier(
        gradient_clip_value=None,
        callbacks=[GradientNormClipping(gradient_clip_value=0.01)],
        **params,
    ).fit(*data)
    for a, b in zip(weights(ours.net_), weights(theirs.net_), strict=True):
        assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_scheduler_of_skorch(data):
    scheduler = LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    log = []
    clf = classifier(
        callbacks=[scheduler, Recorder(log)], lr_schedule=None, batch_size=N_SAMPLES, lr=0.08
    )
    clf.fit(*data)
    # Batches of different lengths may be cut in two.
    assert sorted(set(log), reverse=True) == pytest.approx([0.08, 0.04, 0.02])


def test_callbacks_have_names_and_parameters(data):
    def build():
        return classifier(
            callbacks=[
                ("stop", EarlyStopping(monitor="train_loss", patience=20, threshold=10.0)),
                ("score", EpochScoring("accuracy", lower_is_better=False)),
            ],
            max_epochs=8,
        )

    assert build().fit(*data).n_iter_ == 8
    quiet = build().set_params(callbacks__stop__patience=2, callbacks__stop__sink=lambda _: None)
    assert quiet.fit(*data).n_iter_ == 3
    assert dict(quiet.net_.callbacks_)["stop"].patience == 2
    assert quiet.callbacks[0][1].patience == 20


def test_a_callback_name_that_does_not_exist(data):
    with pytest.raises(ValueError, match=r"callbacks__missing__patience .*'epoch_timer'"):
        classifier().set_params(callbacks__missing__patience=2).fit(*data)


def test_the_users_callbacks_are_not_touched(data):
    stop = EarlyStopping(monitor="train_loss", patience=2, threshold=10.0, sink=lambda _: None)
    before = dict(vars(stop))
    callbacks = [stop]
    clf = classifier(callbacks=callbacks, max_epochs=6).fit(*data)
    assert clf.n_iter_ == 3
    assert vars(stop) == before
    assert clf.callbacks is callbacks
    assert callbacks == [stop]
    assert clf.fit(*data).n_iter_ == 3


def test_training_leaves_only_the_users_callbacks_on_the_net(data):
    names = [name for name, _ in classifier().fit(*data).net_.callbacks_]
    assert "time_budget" not in names
    assert "valid_loss" in names


# -- output -----------------------------------------------------------------------------------


def test_verbose_prints_a_line_per_epoch(data, capsys):
    clf = classifier(verbose=1, early_stopping=True, validation_fraction=0.2).fit(*data)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == clf.n_iter_ == 3
    for i, (line, row) in enumerate(zip(lines, clf.history_, strict=True)):
        assert line.startswith(f"epoch {i + 1}/3")
        assert f"train_loss {row['train_loss']:.4f}" in line
        assert f"valid_loss {row['valid_loss']:.4f}" in line
        assert line.endswith("s left")


def test_training_is_silent(data, capsys):
    classifier().fit(*data)
    out = capsys.readouterr()
    assert out.out == out.err == ""


def test_the_history_is_plain(data):
    history = classifier().fit(*data).history_
    assert [row["epoch"] for row in history] == [1, 2, 3]
    for row in history:
        assert {"train_loss", "grad_norm", "lr", "dur"} <= set(row)
        assert all(type(v) in (int, float, bool) for v in row.values())


# -- randomness -------------------------------------------------------------------------------


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_no_global_state_is_touched(dropout, data):
    states = (
        lambda: torch.get_rng_state().numpy().tolist(),
        lambda: np.random.get_state()[1].tolist(),  # noqa: NPY002 - this is what we protect
        random.getstate,
        torch.get_num_threads,
        torch.get_default_dtype,
        torch.is_grad_enabled,
        torch.are_deterministic_algorithms_enabled,
        lambda: list(warnings.filters),
    )
    before = [state() for state in states]
    clf = classifier(dropout=dropout, early_stopping=True).fit(*data)
    clf.predict(data[0])
    clf.partial_fit(*data)
    assert [state() for state in states] == before


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_the_same_seed_gives_the_same_bits(dropout, data):
    params = {"dropout": dropout, "num_layers": 2, "early_stopping": True}
    one = classifier(**params).fit(*data)
    torch.rand(3)
    np.random.random(3)  # noqa: NPY002
    random.random()
    other = classifier(**params).fit(*data)
    assert_same_weights(one, other)
    assert_same_weights(one, one.fit(*data))
    assert_array_equal(one.predict_proba(data[0]), other.predict_proba(data[0]))
    changed = classifier(**params, random_state=1)
    assert np.abs(changed.fit(*data).predict_proba(data[0]) - one.predict_proba(data[0])).max() > 0


def test_dropout_acts_in_training_only(data):
    X, y = data
    plain, dropped = classifier().fit(X, y), classifier(dropout=0.5).fit(X, y)
    assert np.abs(plain.predict_proba(X) - dropped.predict_proba(X)).max() > 0
    assert_array_equal(dropped.predict_proba(X), dropped.predict_proba(X))


def test_without_a_seed_numpys_decides(data):
    def fitted(seed):
        np.random.seed(seed)  # noqa: NPY002
        return classifier(random_state=None).fit(*data).predict_proba(data[0])

    first = fitted(3)
    assert_array_equal(fitted(3), first)
    assert np.abs(fitted(4) - first).max() > 0


def test_a_generator_moves_on(data):
    def fitted(state):
        return classifier(random_state=state).fit(*data).predict_proba(data[0])

    state = np.random.RandomState(0)
    first, second = fitted(state), fitted(state)
    assert np.abs(first - second).max() > 0
    assert_array_equal(fitted(np.random.RandomState(0)), first)


class AnotherFit(Callback):
    """Fit, copy and load other models in the middle of a training."""

    def __init__(self, data):
        self.data = data

    def on_epoch_end(self, net, **kwargs):
        other = classifier(max_epochs=1, dropout=0.5).fit(*self.data)
        pickle.loads(pickle.dumps(other))


class OwnDropout(torch.nn.Module):
    """A cell of the user's that draws from torch's global generator."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.cell, self.drop = torch.nn.GRUCell(input_size, hidden_size), torch.nn.Dropout(0.5)

    def forward(self, x, state):
        return self.cell(self.drop(x), state)


@pytest.mark.parametrize("cell", ["lstm", OwnDropout])
def test_another_fit_inside_of_a_training_changes_nothing(cell, data):
    settings = {"cell": cell, "dropout": 0.5}
    alone = classifier(**settings).fit(*data)
    with_another = classifier(**settings, callbacks=[AnotherFit(data)]).fit(*data)
    assert_same_weights(alone, with_another)
