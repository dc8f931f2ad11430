"""`RNNRegressor`: numbers, quantiles and intervals, per sequence and per step."""

import copy
import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skrnn import RNNRegressor
from skrnn.nn import Head

LOSSES = [
    "squared_error",
    "absolute_error",
    "huber",
    "quantile",
    "normal",
    "student_t",
    "negative_binomial",
]
WITH_QUANTILES = ["quantile", "normal", "student_t", "negative_binomial"]
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def make(n_samples=80, seed=0):
    """Ragged noise around a level; the target is a linear function of the mean."""
    rng = np.random.default_rng(seed)
    X = [rng.normal(rng.normal(), 0.5, size=(n, 2)) for n in rng.integers(3, 9, size=n_samples)]
    return X, np.array([100 + 20 * x[:, 0].mean() for x in X])


@pytest.fixture(scope="module")
def data():
    return make()


def regressor(**kwargs):
    small = {"hidden_size": 6, "max_epochs": 30, "batch_size": 16, "lr": 0.02}
    return RNNRegressor(**{**small, "early_stopping": False, "random_state": 0, **kwargs})


# -- learning ---------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_learns(loss, data):
    X, y = data
    target = np.round(y) if loss == "negative_binomial" else y
    reg = regressor(loss=loss).fit(X, target)
    assert reg.score(X, target) > 0.7
    assert reg.predict(X).dtype == np.float64
    assert reg.predict(X).shape == (80,)


def test_normalize_y_false_leaves_the_target_alone(data):
    X, y = data
    scaled = (y - y.mean()) / y.std()
    plain = regressor(normalize_y=False).fit(X, scaled)
    scaling = regressor().fit(X, scaled)
    assert_allclose(plain.predict(X), scaling.predict(X), atol=1e-4)


@pytest.mark.parametrize("unit", [1e-6, 1e30])
def test_the_unit_of_the_target_does_not_matter(unit, data):
    X, y = data
    reference = regressor(max_epochs=5).fit(X, y).predict(X)
    scaled = regressor(max_epochs=5).fit(X, unit * y).predict(X)
    assert_allclose(scaled / unit, reference, rtol=1e-4)


@pytest.mark.parametrize("constant", [0.0, -7.25, 1e10])
def test_a_constant_is_predicted_exactly(constant, data):
    X, _ = data
    reg = regressor(max_epochs=2).fit(X, np.full(len(X), constant))
    assert_array_equal(reg.predict(X), constant)


def test_inputs_of_any_size(data):
    X, y = data
    assert regressor().fit([1e30 * x for x in X], y).score([1e30 * x for x in X], y) > 0.7
    reg = regressor(max_epochs=2).fit(X, y)
    assert np.isfinite(reg.predict([np.full((3, 2), 1e30)])).all()


@pytest.mark.parametrize("loss", ["squared_error", "quantile", "normal", "negative_binomial"])
def test_several_outputs(loss, data):
    X, y = data
    Y = np.round(np.column_stack([y, 300 - y, np.full(len(y), 7.0)]))
    reg = regressor(loss=loss, calibrate=False).fit(X, Y)
    predicted = reg.predict(X)
    assert predicted.shape == Y.shape
    for j in range(2):
        assert np.corrcoef(predicted[:, j], Y[:, j])[0, 1] > 0.8
    if loss != "negative_binomial":
        assert_allclose(predicted[:, 2], 7.0)
    if loss in WITH_QUANTILES:
        assert reg.predict_quantiles(X, LEVELS).shape == (len(X), 3, 5)
        assert reg.predict_interval(X).shape == (len(X), 3, 2)
        assert reg.predict_interval(X, [0.5, 0.9]).shape == (len(X), 3, 2, 2)


def test_a_single_output_in_a_matrix_stays_a_number(data):
    X, y = data
    with pytest.warns(UserWarning, match="column-vector"):
        assert regressor(max_epochs=1).fit(X, y[:, None]).predict(X).shape == y.shape


def test_the_number_of_outputs_is_fixed(data):
    X, y = data
    reg = regressor(max_epochs=1, warm_start=True).fit(X, np.column_stack([y, y]))
    with pytest.raises(ValueError, match="y has 1 outputs, expected 2"):
        reg.fit(X, y)


class LogCoshHead(Head):
    """A loss of the user's own."""

    normalizes_target = True

    def loss(self, raw, target):
        difference = raw - target
        return (difference + torch.nn.functional.softplus(-2 * difference)).mean(dim=-1)

    def predict(self, raw):
        return raw


@pytest.mark.parametrize("factory", [LogCoshHead, lambda size, outputs: LogCoshHead(size, outputs)])
def test_a_head_of_ones_own(factory, data):
    X, y = data
    reg = regressor(loss=factory).fit(X, y)
    assert reg.score(X, y) > 0.7
    assert isinstance(reg.net_.module_.head, LogCoshHead)
    with pytest.raises(ValueError, match="early_stopping=True"):
        reg.predict_quantiles(X)


def test_a_head_of_ones_own_survives_a_pickle(data):
    X, y = data
    reg = regressor(loss=LogCoshHead, max_epochs=2).fit(X, y)
    assert_array_equal(pickle.loads(pickle.dumps(reg)).predict(X), reg.predict(X))


def test_counts_must_be_counts(data):
    X, y = data
    for wrong in (y + 0.5, -np.round(y)):
        with pytest.raises(ValueError, match="needs counts"):
            regressor(loss="negative_binomial").fit(X, wrong)


# -- one answer per step ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def steps(data):
    X, _ = data
    return X, [50 + 5 * np.cumsum(x[:, 0]) / np.arange(1, len(x) + 1) for x in X]


def test_numbers_per_step(steps):
    X, y = steps
    reg = regressor(return_sequences=True).fit(X, y)
    predicted = reg.predict(X)
    assert [p.shape for p in predicted] == [(len(x),) for x in X]
    flat, truth = np.concatenate(predicted), np.concatenate(y)
    r2 = 1 - ((flat - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
    assert reg.score(X, y) == pytest.approx(r2)
    assert r2 > 0.8


def test_quantiles_per_step_and_output(steps):
    X, y = steps
    Y = [np.column_stack([part, -part]) for part in y]
    reg = regressor(return_sequences=True, loss="normal", calibrate=False, max_epochs=2).fit(X, Y)
    assert [p.shape for p in reg.predict(X)] == [(len(x), 2) for x in X]
    assert [q.shape for q in reg.predict_quantiles(X, LEVELS)] == [(len(x), 2, 5) for x in X]
    assert [i.shape for i in reg.predict_interval(X)] == [(len(x), 2, 2) for x in X]


def test_calibrated_intervals_per_step(steps):
    X, y = steps
    reg = regressor(return_sequences=True, early_stopping=True, validation_fraction=0.3).fit(X, y)
    assert reg.n_calibration_ == round(0.3 * len(X))  # one step of each held-out sequence
    hits = [
        (low <= part) & (part <= high)
        for (low, high), part in zip((i.T for i in reg.predict_interval(X, 0.8)), y, strict=True)
    ]
    assert np.concatenate(hits).mean() > 0.7


# -- quantiles and intervals ------------------------------------------------------------------


@pytest.mark.parametrize("calibrated", [True, False])
@pytest.mark.parametrize("loss", LOSSES)
def test_quantiles_are_in_order_and_intervals_are_pairs_of_them(loss, calibrated, data):
    X, y = data
    target = np.round(y)
    params = {"early_stopping": calibrated, "calibrate": calibrated, "validation_fraction": 0.25}
    reg = regressor(loss=loss, max_epochs=4, **params).fit(X, target)
    if not calibrated and loss not in WITH_QUANTILES:
        with pytest.raises(ValueError, match="no validation part was held out"):
            reg.predict_interval(X)
        return
    quantiles = reg.predict_quantiles(X, LEVELS)
    assert quantiles.shape == (80, 5)
    assert (np.diff(quantiles) >= 0).all()
    assert_allclose(reg.predict_interval(X, 0.9), reg.predict_quantiles(X, (0.05, 0.95)))
    both = reg.predict_interval(X, [0.5, 0.9])
    assert both.shape == (80, 2, 2)
    pairs = reg.predict_quantiles(X, (0.25, 0.05, 0.75, 0.95))
    assert_allclose(both, pairs.reshape(80, 2, 2))
    assert (both[:, 0, 1] <= both[:, 0, 0]).all()
    assert (both[:, 1, 0] <= both[:, 1, 1]).all()


def test_intervals_cover_new_data():
    rng = np.random.default_rng(0)

    def noisy(n_samples, seed):
        X, y = make(n_samples, seed)
        return X, y + 10 * rng.exponential(size=n_samples)

    reg = regressor(early_stopping=True, validation_fraction=0.5, max_epochs=10, hidden_size=3)
    reg.fit(*noisy(400, 1))
    X, y = noisy(600, 2)
    for coverage in (0.5, 0.8, 0.9):
        low, high = reg.predict_interval(X, coverage).T
        share = ((low <= y) & (y <= high)).mean()
        assert share == pytest.approx(coverage, abs=0.08)


def test_calibrate_false_believes_the_head(data):
    X, y = data
    params = {
        "loss": "normal",
        "early_stopping": True,
        "max_epochs": 3,
        "validation_fraction": 0.25,
    }
    believed = regressor(calibrate=False, **params).fit(X, y)
    corrected = regressor(calibrate=True, **params).fit(X, y)
    assert believed.n_calibration_ == 0
    assert corrected.n_calibration_ == 20
    assert_array_equal(believed.predict(X), corrected.predict(X))
    head = copy.deepcopy(believed.net_.module_.head).double()
    raw = head(torch.from_numpy(believed.transform(X)))
    own = head.quantiles(raw, LEVELS).detach().numpy()[:, 0] * y.std() + y.mean()
    quantiles = believed.predict_quantiles(X, LEVELS)
    # y is scaled by its training part.
    assert np.corrcoef(own.ravel(), quantiles.ravel())[0, 1] > 0.9999
    assert np.abs(corrected.predict_quantiles(X, LEVELS) - quantiles).max() > 0.1


def test_validation_data_of_ones_own_calibrate(data):
    X, y = data
    valid = make(50, seed=3)
    reg = regressor(validation_split=valid, early_stopping="auto", max_epochs=4).fit(X, y)
    assert reg.n_calibration_ == 50
    low, high = reg.predict_interval(valid[0], 0.9).T
    # 51 times 0.05 rounds down to the second smallest and up to the second largest error.
    assert ((valid[1] < low) | (valid[1] > high)).sum() == 2


CALLS = [
    lambda reg, X: reg.predict_interval(X, 0.9),
    lambda reg, X: reg.predict_interval(X, [0.5, 0.9]),
    lambda reg, X: reg.predict_quantiles(X, [0.95]),
    lambda reg, X: reg.predict_quantiles(X, [0.5, 0.05]),
]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("loss", WITH_QUANTILES)
def test_nothing_held_out_warns(call, loss, data):
    X, y = data
    reg = regressor(loss=loss, max_epochs=1).fit(X, np.round(y))
    with pytest.warns(UserWarning, match="no sequences were held out.*early_stopping") as caught:
        call(reg, X)
    assert len(caught) == 1
    assert caught[0].filename == __file__


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("loss", ["squared_error", "quantile"])
def test_too_little_held_out_warns(call, loss, data):
    X, y = data
    valid = make(19, seed=3)
    params = {"loss": loss, "max_epochs": 1, "early_stopping": "auto"}
    call(regressor(validation_split=valid, **params).fit(X, y), X)
    few = tuple(part[:18] for part in valid)
    reg = regressor(validation_split=few, **params).fit(X, y)
    with pytest.warns(UserWarning, match=r"needs 19 held-out .* there are 18; .*validation_fr"):
        call(reg, X)
    # What needs less is not spoken of, nor what the user has chosen.
    reg.predict_interval(X, 0.8)
    call(reg.set_params(calibrate=False), X)


def test_more_coverage_than_there_can_be_warns(data):
    X, y = data
    reg = regressor(validation_split=make(20, seed=3), early_stopping="auto", max_epochs=1)
    with pytest.warns(UserWarning, match="needs 1999 held-out .* At most 1000 are used"):
        reg.fit(X, y).predict_interval(X, 0.999)


def test_what_is_not_held_out_is_covered_too_seldom():
    """The warning is about this: the target is noise, learned by heart."""
    rng = np.random.default_rng(0)
    X, y = list(rng.normal(size=(400, 6, 2))), rng.normal(size=400)
    reg = regressor(loss="normal", hidden_size=16, max_epochs=100).fit(X[:50], y[:50])
    with pytest.warns(UserWarning, match="far less than they claim"):
        low, high = reg.predict_interval(X[50:], 0.9).T
    assert ((low <= y[50:]) & (y[50:] <= high)).mean() < 0.5
    reg.set_params(early_stopping=True, validation_fraction=0.4).fit(X[:50], y[:50])
    low, high = reg.predict_interval(X[50:], 0.9).T
    assert ((low <= y[50:]) & (y[50:] <= high)).mean() > 0.8


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda reg, X: reg.predict_quantiles(X, [0.0, 0.5]), r"levels in \(0, 1\)"),
        (lambda reg, X: reg.predict_quantiles(X, [1.5]), r"levels in \(0, 1\)"),
        (lambda reg, X: reg.predict_quantiles(X, 0.5), r"levels in \(0, 1\)"),
        (lambda reg, X: reg.predict_interval(X, 1.0), r"coverage must lie in \(0, 1\)"),
        (lambda reg, X: reg.predict_interval(X, [0.5, -0.1]), r"coverage must lie in \(0, 1\)"),
    ],
)
def test_levels_that_do_not_exist(call, match, data):
    X, y = data
    reg = regressor(loss="normal", max_epochs=1).fit(X, y)
    with pytest.raises(ValueError, match=match):
        call(reg, X)


@pytest.mark.parametrize("quantiles", [(0.5, 0.5), (0.9, 0.1), (0.0, 0.5), ()])
def test_quantiles_that_cannot_be_learned(quantiles, data):
    with pytest.raises(ValueError, match="quantile"):
        regressor(loss="quantile", quantiles=quantiles, max_epochs=1).fit(*data)


# -- calibration and its lifetime -------------------------------------------------------------


def test_a_failed_fit_keeps_the_calibration(data):
    X, y = data
    reg = regressor(early_stopping=True, max_epochs=2).fit(X, y)
    before = reg.predict_interval(X, 0.5)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        reg.fit(X, y[:-1])
    assert_array_equal(reg.predict_interval(X, 0.5), before)


def test_a_fit_without_hold_out_forgets_the_calibration(data):
    X, y = data
    reg = regressor(early_stopping=True, max_epochs=2).fit(X, y)
    reg.set_params(early_stopping=False).fit(X, y)
    assert reg.n_calibration_ == 0
    with pytest.raises(ValueError, match="no validation part"):
        reg.predict_interval(X)


def test_other_weights_void_the_calibration(data):
    X, y = data
    reg = regressor(early_stopping=True, max_epochs=2).fit(X, y)
    reg.partial_fit(X, y)
    assert reg.n_calibration_ == 0
    with pytest.raises(ValueError, match="no validation part"):
        reg.predict_interval(X)


def test_calibration_survives_a_pickle(data):
    X, y = data
    reg = regressor(early_stopping=True, max_epochs=2).fit(X, y)
    back = pickle.loads(pickle.dumps(reg))
    assert_array_equal(back.predict_interval(X, 0.5), reg.predict_interval(X, 0.5))


# -- going on ---------------------------------------------------------------------------------


def test_a_stream_is_learned_in_parts(data):
    X, y = data
    reg = regressor(loss="normal", calibrate=False)
    for _ in range(15):
        for start in range(0, len(X), 40):
            reg.partial_fit(X[start : start + 40], y[start : start + 40])
    assert reg.n_iter_ == 30
    assert reg.score(X, y) > 0.7
    assert (np.diff(reg.predict_quantiles(X, LEVELS)) > 0).all()


def test_parts_without_quantiles_say_so(data):
    X, y = data
    with pytest.raises(ValueError, match="no validation part"):
        regressor().partial_fit(X, y).predict_quantiles(X)


def test_scaling_comes_from_the_first_part(data):
    X, y = data
    reg = regressor().partial_fit(X, y)
    scaling = reg._scaling
    reg.partial_fit(X, 1000 * y)
    assert reg._scaling is scaling


def test_a_warm_start_goes_on(data):
    X, y = data
    reg = regressor(warm_start=True).fit(X, y)
    before = reg.predict(X)
    reg.set_params(lr=1e-12, max_epochs=1).fit(X, y)
    assert_allclose(reg.predict(X), before, rtol=1e-5)


# -- weights and inputs -----------------------------------------------------------------------


def test_weights_decide_between_contradictions():
    X, y = np.ones((40, 3, 1)), np.repeat([10.0, 20.0], 20)
    reg = regressor(max_epochs=60, batch_size=40, lr=0.05)
    reg.fit(X, y, sample_weight=np.repeat([1.0, 3.0], 20))
    assert_allclose(reg.predict(X), 17.5, atol=0.1)
    reg.fit(X, y, sample_weight=np.repeat([0.0, 3.0], 20))
    assert_allclose(reg.predict(X), 20.0)


@pytest.mark.parametrize("loss", ["squared_error", "quantile"])
def test_folded_rows_are_the_block(loss, data):
    X, y = data
    box = np.full((len(X), 9, 2), np.nan)
    for row, x in zip(box, X, strict=True):
        row[: len(x)] = x
    rows = box.reshape(len(X), -1)
    block = regressor(max_epochs=2, loss=loss).fit(box, y)
    folded = regressor(max_epochs=2, loss=loss, n_channels=2).fit(rows, y)
    assert_array_equal(block.predict(box), folded.predict(rows))


def test_an_empty_sequence_is_answered_from_the_zero_state(data):
    X, y = data
    reg = regressor(empty="zero_state", max_epochs=2).fit([np.empty((0, 2)), *X[1:]], y)
    answers = reg.predict([np.empty((0, 2)), X[0], np.empty((0, 2))])
    assert np.isfinite(answers).all()
    assert answers[0] == answers[2]
    with pytest.raises(ValueError, match="sequence 1 is empty"):
        regressor(max_epochs=1).fit(X, y).predict([X[0], np.empty((0, 2))])


def test_numbers_from_tokens():
    rng = np.random.default_rng(0)
    X = [rng.integers(2, 6, size=n) for n in rng.integers(2, 9, size=100)]
    y = np.array([np.mean(x == 2) for x in X])
    reg = regressor(embedding_dim=3, max_epochs=40).fit(X, y)
    assert reg.score(X, y) > 0.8
    assert_array_equal(reg.predict([[*x, 0, 0] for x in X]), reg.predict(X))
