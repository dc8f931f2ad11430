"""Recovery: small tasks with a known answer are solved."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from skrnn import RNNClassifier, RNNRegressor


def autoregressive(n_samples, length, coefficient, seed):
    """AR(1) series with unit noise; the target is the next value."""
    rng = np.random.default_rng(seed)
    x = np.zeros((n_samples, length + 1))
    x[:, 0] = rng.normal(size=n_samples) / np.sqrt(1 - coefficient**2)
    for t in range(length):
        x[:, t + 1] = coefficient * x[:, t] + rng.normal(size=n_samples)
    return x[:, :-1, None], x[:, -1]


def test_one_step_ahead_of_an_autoregression():
    # The best prediction is coefficient * last value, and its error has variance 1.
    X, y = autoregressive(400, 10, 0.8, seed=0)
    X_test, y_test = autoregressive(2000, 10, 0.8, seed=1)
    reg = RNNRegressor(
        cell="gru",
        hidden_size=4,
        bidirectional=False,
        pooling="last",
        max_epochs=40,
        lr=0.02,
        random_state=0,
    )
    reg.fit(X, y)
    predicted = reg.predict(X_test)
    best = np.mean((y_test - 0.8 * X_test[:, -1, 0]) ** 2)
    assert np.mean((y_test - predicted) ** 2) < 1.08 * best
    slope = np.polyfit(X_test[:, -1, 0], predicted, 1)[0]
    assert slope == pytest.approx(0.8, abs=0.1)


def test_quantiles_of_noise_that_grows_with_the_input():
    # y is normal with mean 0 and standard deviation exp(level).
    rng = np.random.default_rng(0)
    level = rng.uniform(-1, 1, size=800)
    X = np.repeat(level[:, None, None], 4, axis=1)
    y = np.exp(level) * rng.normal(size=800)
    reg = RNNRegressor(
        loss="normal",
        hidden_size=8,
        max_epochs=40,
        lr=0.02,
        early_stopping=False,
        calibrate=False,
        random_state=0,
    )
    reg.fit(X, y)
    probe = np.array([-0.8, 0.0, 0.8])
    low, high = reg.predict_interval(np.repeat(probe[:, None, None], 4, axis=1), 0.6827).T
    assert_allclose((high - low) / 2, np.exp(probe), rtol=0.3)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_parity(cell):
    # Every step matters, and no linear function of the steps tells anything.
    bits = (np.arange(2**4)[:, None] >> np.arange(4)) & 1
    X, y = np.tile(bits, (6, 1))[:, :, None].astype(float), np.tile(bits.sum(axis=1) % 2, 6)
    clf = RNNClassifier(
        cell=cell, hidden_size=12, pooling="last", max_epochs=120, lr=0.02, random_state=0
    )
    clf.fit(X, y)
    assert (clf.predict(X) == y).all()


def test_adding_marked_numbers():
    # The second feature marks the two numbers to be added (Hochreiter and Schmidhuber, 1997).
    rng = np.random.default_rng(0)
    X = []
    for length in rng.integers(6, 10, size=300):
        x = np.column_stack([rng.uniform(size=length), np.zeros(length)])
        x[rng.choice(length, 2, replace=False), 1] = 1
        X.append(x)
    y = np.array([x[x[:, 1] == 1, 0].sum() for x in X])
    reg = RNNRegressor(hidden_size=12, max_epochs=60, lr=0.02, early_stopping=False, random_state=0)
    assert reg.fit(X[:240], y[:240]).score(X[240:], y[240:]) > 0.8


@pytest.mark.parametrize("delay", [1, 2])
def test_the_label_of_a_step_is_that_of_an_earlier_one(delay):
    rng = np.random.default_rng(0)
    X = [rng.choice([-1.0, 1.0], size=(n, 1)) for n in rng.integers(5, 12, size=80)]
    y = [np.concatenate([np.full(delay, -1), x[:-delay, 0]]).astype(int) for x in X]
    clf = RNNClassifier(
        cell="gru", hidden_size=10, return_sequences=True, max_epochs=40, lr=0.02, random_state=0
    )
    clf.fit(X[:60], y[:60])
    assert clf.score(X[60:], y[60:]) > 0.98


def test_only_both_directions_see_the_future():
    # The label of a step is the sign of the next one: a look into the future.
    rng = np.random.default_rng(0)
    X = [rng.choice([-1.0, 1.0], size=(n, 1)) for n in rng.integers(5, 12, size=80)]
    y = [np.concatenate([x[1:, 0], [1]]).astype(int) for x in X]
    params = {"cell": "gru", "hidden_size": 8, "return_sequences": True, "max_epochs": 30}
    scores = [
        RNNClassifier(bidirectional=both, lr=0.02, random_state=0, **params)
        .fit(X[:60], y[:60])
        .score(X[60:], y[60:])
        for both in (False, True)
    ]
    assert scores[0] < 0.75
    assert scores[1] > 0.98


def test_the_order_of_steps_can_be_all_there_is():
    # Rising and falling series hold the same values.
    rng = np.random.default_rng(0)
    rising = np.sort(rng.normal(size=(80, 6)), axis=1)
    y = rng.integers(0, 2, size=80)
    X = np.where(y[:, None] == 1, rising, rising[:, ::-1])
    clf = RNNClassifier(hidden_size=8, max_epochs=25, lr=0.02, random_state=0)
    assert clf.fit(X[:60], y[:60]).score(X[60:], y[60:]) > 0.9
