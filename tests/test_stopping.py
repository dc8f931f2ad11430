"""Few samples: a regressor stops where more epochs would make its predictions worse."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from skorch.callbacks import Callback

from skrnn import RNNClassifier, RNNRegressor
from skrnn._stopping import FEWEST, N_HELD_OUT, N_PARTS, held_out
from skrnn._training import StopTraining, enough_epochs

SMALL = {
    "hidden_size": 8,
    "bidirectional": False,
    "pooling": "mean",
    "lr": 0.05,
    "max_epochs": 30,
    "random_state": 0,
    "n_threads": 1,
}


@pytest.fixture(scope="module")
def noise():
    rng = np.random.default_rng(0)
    return rng.normal(size=(80, 6, 2)), rng.normal(size=80)


@pytest.fixture(scope="module")
def clean():
    X = np.random.default_rng(1).normal(size=(80, 6, 1))
    return X, X[:, -2:, 0].sum(axis=1)


def weights(model):
    return [w.numpy() for w in model.net_.module_.state_dict().values()]


def assert_same(one, other):
    for a, b in zip(weights(one), weights(other), strict=True):
        assert_array_equal(a, b)


def make(**params):
    return RNNRegressor(**{**SMALL, **params})


def to_the_end(**params):
    return make(early_stopping=False, **params)


# -- the law ----------------------------------------------------------------------------------


def test_noise_is_hardly_learned():
    worse = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        X, y, X_new, y_new = (rng.normal(size=s) for s in ((60, 4, 2), 60, (400, 4, 2), 400))
        models = [model.fit(X, y) for model in (make(), to_the_end())]
        errors = [np.mean((model.predict(X_new) - y_new) ** 2) for model in models]
        worse.append(np.array(errors) - np.mean((y.mean() - y_new) ** 2))
    stopped, to_end = np.mean(worse, axis=0)
    assert to_end > 0.2
    assert stopped < 0.6 * to_end


def test_what_goes_on_getting_better_is_trained_to_the_end(clean):
    model = make().fit(*clean)
    assert model.n_iter_ == SMALL["max_epochs"]
    assert_same(model, to_the_end().fit(*clean))


class StopAfter(Callback):
    def __init__(self, n_epochs):
        self.n_epochs = n_epochs

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.n_epochs:
            raise StopTraining


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"loss": "normal", "n_estimators": 2},
        {"lr_schedule": "plateau", "dropout": 0.2},
        {"weight_averaging": "ema", "cell": "gru"},
    ],
    ids=lambda params: "-".join(params) or "defaults",
)
def test_a_stopped_training_is_the_beginning_of_a_whole_one(params, noise):
    model = make(**params).fit(*noise)
    assert 1 <= model.n_iter_ < SMALL["max_epochs"]
    cut = to_the_end(**params, callbacks=[StopAfter(model.n_iter_)]).fit(*noise)
    assert_same(model, cut)
    assert len(model.nets_) == len(cut.nets_)


def test_the_scale_of_the_target_changes_nothing(noise):
    X, y = noise
    one = make(dtype="float64").fit(X, y)
    other = make(dtype="float64").fit(X, 1000 * y - 7)
    assert one.n_iter_ == other.n_iter_
    assert_allclose(other.predict(X), 1000 * one.predict(X) - 7, rtol=1e-6, atol=1e-4)


def test_a_fit_repeats_itself(noise):
    model = make()
    first = weights(model.fit(*noise))
    for a, b in zip(first, weights(model.fit(*noise)), strict=True):
        assert_array_equal(a, b)


# -- when it is not looked for ----------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [{"early_stopping": False}, {"max_time": 1000.0}],
    ids=lambda params: next(iter(params)),
)
def test_parameters_that_leave_the_end_to_the_user(params, noise):
    assert make(**params).fit(*noise).n_iter_ == SMALL["max_epochs"]


def test_very_few_samples_are_trained_to_the_end(noise):
    X, y = (part[: FEWEST - 1] for part in noise)
    assert_same(make().fit(X, y), to_the_end().fit(X, y))


def test_classifiers_and_answers_per_step_are_trained_to_the_end(noise):
    X, y = noise
    params = {**SMALL, "max_epochs": 12}
    assert RNNClassifier(**params).fit(X, y > 0).n_iter_ == 12
    steps = np.random.default_rng(0).normal(size=X.shape[:2])
    assert RNNRegressor(**params, return_sequences=True).fit(X, steps).n_iter_ == 12


def test_a_warm_start_goes_on_for_all_epochs(noise):
    model = make(warm_start=True).fit(*noise)
    assert model.n_iter_ < SMALL["max_epochs"]
    assert model.set_params(max_epochs=5).fit(*noise).n_iter_ == 5


# -- what else takes part ---------------------------------------------------------------------


class Count(Callback):
    seen: list = []

    def on_train_begin(self, net, **kwargs):
        Count.seen.append(net)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def test_callbacks_see_one_training(noise):
    Count.seen.clear()
    model = make(callbacks=[("count", Count())]).fit(*noise)
    assert len(Count.seen) == 1
    assert_same(model, make().fit(*noise))


def test_a_resumed_fit_stops_at_the_same_epoch(noise, tmp_path):
    X, y = noise
    y = y + 0.3 * X[:, -1].sum(axis=1)
    straight = make().fit(X, y)
    assert 2 < straight.n_iter_ < SMALL["max_epochs"]

    class Cut(Count):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == straight.n_iter_ - 1:
                raise MemoryError

    with pytest.raises(MemoryError):
        make(checkpoint_dir=tmp_path, callbacks=[Cut()]).fit(X, y)
    resumed = make(checkpoint_dir=tmp_path, callbacks=[Cut()])
    Cut.on_epoch_end = Callback.on_epoch_end
    assert_same(resumed.fit(X, y, resume=True), straight)


def test_sequences_without_weight_are_as_if_they_were_not_there(noise):
    X, y = noise
    weight = np.ones(len(y))
    weight[:20] = 0
    groups = np.arange(len(y)) // 4
    one = make().fit(X, y, sample_weight=weight, groups=groups)
    other = make().fit(X[20:], y[20:], sample_weight=weight[20:], groups=groups[20:])
    assert_same(one, other)


def test_an_interrupt_while_looking_keeps_the_earlier_fit(noise, monkeypatch):
    model = make(max_epochs=2).fit(*noise)
    before = weights(model)

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("skrnn._training._enough.RowLosses.on_epoch_end", interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit(*noise)
    for a, b in zip(before, weights(model), strict=True):
        assert_array_equal(a, b)


# -- parts ------------------------------------------------------------------------------------


def test_parts_are_held_out_whole_groups_at_a_time():
    groups = np.random.default_rng(0).permutation(np.arange(100) // 7)
    parts = held_out(100, groups, seed=0)
    assert len(parts) == N_HELD_OUT
    for held in parts:
        assert not set(groups[held]) & set(np.delete(groups, held))
    assert held_out(100, np.arange(100) % (N_PARTS - 1), seed=0) == []
    assert held_out(FEWEST - 1, None, seed=0) == []
    one, other = held_out(100, None, seed=0)
    assert len(one) == len(other) == 20
    assert not set(one) & set(other)


def course(means, spread=0.1):
    """Losses of 20 samples around a mean for each epoch, half above it and half below."""
    return np.array(means)[:, None] + spread * np.array([-1, 1] * 10)


EQUAL = np.ones(20)


def test_what_falls_to_the_end_is_trained_to_the_end():
    assert enough_epochs(course(2 - np.arange(30) / 20), EQUAL) is None
    assert enough_epochs(course(np.ones(30)), EQUAL) is None


def test_what_rises_ends_at_the_bottom():
    valley = course(1 + np.square(np.arange(30) - 9) / 100)
    assert enough_epochs(valley, EQUAL) == 10
    # One lucky epoch is no bottom.
    lucky = valley.copy()
    lucky[22] -= 0.5
    assert enough_epochs(lucky, EQUAL) == 10


def test_of_epochs_that_cannot_be_told_apart_the_last_is_taken():
    # More training is better for half of the samples and worse for the others, on the whole worse.
    rise, halves = np.arange(30)[:, None] / 30, np.array([-1, 1] * 10)
    assert enough_epochs(1 + rise * (0.2 + 0.5 * halves), EQUAL) == 1
    assert enough_epochs(1 + rise * (0.2 + 2.0 * halves), EQUAL) is None


def test_what_says_nothing_decides_nothing():
    assert enough_epochs(course([1, 3]), np.array([1.0, *np.zeros(19)])) is None
    assert enough_epochs(course([1, np.nan, 1]), EQUAL) is None
    assert enough_epochs(course([1.0]), EQUAL) is None


def test_the_unit_of_weights_decides_nothing():
    rng = np.random.default_rng(0)
    for _ in range(20):
        losses, weight = rng.gamma(2, size=(12, 15)), rng.uniform(0.1, 2, size=15)
        assert enough_epochs(losses, weight) == enough_epochs(losses, 50 * weight)
        assert enough_epochs(losses, weight) == enough_epochs(9 * losses, weight)
