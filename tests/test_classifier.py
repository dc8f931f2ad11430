"""`RNNClassifier`: learns what can be learned, from every kind of input and target."""

import copy

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from torch.optim.lr_scheduler import ExponentialLR

from skrnn import RNNClassifier
from skrnn.nn import RecurrentLayer


def make(n_samples=60, n_features=2, seed=0):
    """Ragged noise; the label is the sign of the mean of the first feature."""
    rng = np.random.default_rng(seed)
    shift = rng.choice([-1.0, 1.0], size=n_samples)
    lengths = rng.integers(3, 9, size=n_samples)
    X = [rng.normal(size=(n, n_features)) for n in lengths]
    for x, s in zip(X, shift, strict=True):
        x[:, 0] += s
    return X, np.where([x[:, 0].mean() > 0 for x in X], "up", "down")


@pytest.fixture(scope="module")
def data():
    return make()


def classifier(**kwargs):
    small = {"hidden_size": 6, "max_epochs": 15, "batch_size": 16, "lr": 0.02}
    return RNNClassifier(**{**small, "random_state": 0, **kwargs})


def padded(X):
    box = np.full((len(X), max(map(len, X)), X[0].shape[1]), np.nan)
    for row, x in zip(box, X, strict=True):
        row[: len(x)] = x
    return box


# -- learning ---------------------------------------------------------------------------------


class LeakyLayer(RecurrentLayer):
    """A layer over whole sequences: the running sum of a linear map, squashed."""

    def __init__(self, input_size, hidden_size):
        super().__init__(hidden_size)
        self.linear = torch.nn.Linear(input_size, hidden_size)

    def forward(self, x, state=None):
        return torch.tanh(self.linear(x).cumsum(dim=1)), None


class LeakyCell(torch.nn.Module):
    """A step cell of the user's own."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.linear = torch.nn.Linear(input_size + hidden_size, hidden_size)
        self.hidden_size = hidden_size

    def forward(self, x, state=None):
        h = x.new_zeros(len(x), self.hidden_size) if state is None else state
        return 0.5 * h + 0.5 * torch.tanh(self.linear(torch.cat([x, h], dim=1)))


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"cell": "gru"},
        {"cell": "rnn"},
        {"cell": "rnn", "nonlinearity": "relu"},
        {"cell": torch.nn.GRUCell},
        {"cell": LeakyCell},
        {"cell": LeakyLayer},
        {"bidirectional": True},
        {"num_layers": 2, "dropout": 0.1},
        {"hidden_size": (8, 4)},
        {"pooling": "attention"},
        {"pooling": "last"},
        {"pooling": ["mean"]},
        {"dtype": "float64"},
        {"gradient_clip_value": None},
    ],
    ids=str,
)
def test_learns(params, data):
    X, y = data
    clf = classifier(**params).fit(X, y)
    assert clf.score(X, y) > 0.9
    assert clf.score(*make(seed=1)) > 0.8


def test_layers_have_the_sizes_asked_for(data):
    net = classifier(hidden_size=(8, 4), max_epochs=1, bidirectional=True).fit(*data).net_.module_
    recurrent = [p.shape for name, p in net.named_parameters() if "weight_hh" in name]
    assert sorted(recurrent) == [(16, 4), (16, 4), (32, 8), (32, 8)]


def test_predictions_have_the_type_of_the_labels(data):
    X, y = data
    for labels in (y, y == "up", np.where(y == "up", 7, -3), np.where(y == "up", 1.0, 2.0)):
        clf = classifier(max_epochs=1).fit(X, labels)
        assert_array_equal(clf.classes_, np.unique(labels))
        assert clf.predict(X).dtype == labels.dtype
        assert set(clf.predict(X)) <= set(labels)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_scores_probabilities_and_labels_agree(n_classes, data):
    X, _ = data
    y = np.arange(len(X)) % n_classes
    clf = classifier(max_epochs=2).fit(X, y)
    proba, scores = clf.predict_proba(X), clf.decision_function(X)

    assert proba.shape == (len(X), n_classes)
    assert proba.dtype == np.float64
    assert_allclose(proba.sum(axis=1), 1)
    assert_allclose(clf.predict_log_proba(X), np.log(proba))
    assert_array_equal(clf.predict(X), clf.classes_[proba.argmax(axis=1)])
    if n_classes == 2:
        assert_allclose(scores, np.log(proba[:, 1] / proba[:, 0]), atol=1e-9)
        assert_array_equal(scores > 0, clf.predict(X) == 1)
    else:
        exponential = np.exp(scores - scores.max(axis=1, keepdims=True))
        assert_allclose(exponential / exponential.sum(axis=1, keepdims=True), proba)


def test_a_single_class_is_certain(data):
    X, _ = data
    clf = classifier(max_epochs=2).fit(X, ["only"] * len(X))
    assert_array_equal(clf.predict(X), "only")
    assert_array_equal(clf.predict_proba(X), np.ones((len(X), 1)))
    assert clf.score(X, ["only"] * len(X)) == 1


def test_several_labels_at_once():
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(n, 3)) for n in rng.integers(3, 8, size=80)]
    y = np.array([(x.mean(axis=0) > 0).astype(int) for x in X])
    clf = classifier(max_epochs=40).fit(X, y)
    proba = clf.predict_proba(X)

    assert_array_equal(clf.classes_, [0, 1, 2])
    assert proba.shape == (80, 3)
    assert ((proba > 0.5) == y).mean() > 0.9
    assert_array_equal(clf.predict(X), proba > 0.5)
    assert_array_equal(clf.decision_function(X) > 0, proba > 0.5)
    assert clf.score(X, y) == (clf.predict(X) == y).all(axis=1).mean()


# -- one answer per step ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def steps(data):
    X, _ = data
    return X, [np.where(np.cumsum(x[:, 0]) > 0, "high", "low") for x in X]


def test_labels_per_step(steps):
    X, y = steps
    clf = classifier(return_sequences=True, max_epochs=25).fit(X, y)
    predicted, proba = clf.predict(X), clf.predict_proba(X)

    assert [len(p) for p in predicted] == [len(x) for x in X]
    for labels, p in zip(predicted, proba, strict=True):
        assert p.shape == (len(labels), 2)
        assert_array_equal(labels, clf.classes_[p.argmax(axis=1)])
    right = np.concatenate([p == t for p, t in zip(predicted, y, strict=True)])
    assert clf.score(X, y) == pytest.approx(right.mean())
    assert right.mean() > 0.9
    for scores, logs, p in zip(
        clf.decision_function(X), clf.predict_log_proba(X), proba, strict=True
    ):
        assert_allclose(scores, np.log(p[:, 1] / p[:, 0]), atol=1e-9)
        assert_allclose(logs, np.log(p))


def test_hidden_states_per_step_and_per_sequence(steps, data):
    X, y = steps
    per_step = classifier(return_sequences=True, max_epochs=1, bidirectional=True).fit(X, y)
    assert [h.shape for h in per_step.transform(X)] == [(len(x), 12) for x in X]
    per_sequence = classifier(max_epochs=1, pooling=("mean", "last"), bidirectional=False).fit(
        *data
    )
    assert per_sequence.transform(X).shape == (len(X), 12)
    assert len(per_sequence.get_feature_names_out()) == 12


def test_weights_of_steps_decide(steps):
    X, _ = steps
    # Each step has both labels, in two copies of the data; the weights pick one.
    lie = [np.full(len(x), 0) for x in X] + [np.full(len(x), 1) for x in X]
    first = [np.arange(len(x)) < 2 for x in X]
    weight = [f.astype(float) for f in first] + [(~f).astype(float) for f in first]
    clf = classifier(return_sequences=True, max_epochs=30).fit(X + X, lie, sample_weight=weight)
    right = np.concatenate([p == ~f for p, f in zip(clf.predict(X), first, strict=True)])
    assert right.mean() > 0.9


def test_empty_sequences_get_no_answers_per_step(steps):
    X, y = steps
    clf = classifier(return_sequences=True, max_epochs=1).fit(X, y)
    answers = clf.predict([X[0], np.empty((0, 2)), X[1]])
    assert [len(a) for a in answers] == [len(X[0]), 0, len(X[1])]
    assert_array_equal(answers[0], clf.predict(X[:1])[0])


# -- weights ----------------------------------------------------------------------------------


def test_class_weight_is_a_sample_weight(data):
    X, y = data
    weight = np.where(y == "up", 3.0, 0.5)
    by_class = classifier(class_weight={"up": 3.0, "down": 0.5}, max_epochs=4).fit(X, y)
    by_sample = classifier(max_epochs=4).fit(X, y, sample_weight=weight)
    assert_array_equal(by_class.predict_proba(X), by_sample.predict_proba(X))


def test_balanced_weights_are_inverse_frequencies(data):
    X, _ = data
    y = np.arange(len(X)) % 4 == 0
    weight = np.where(y, len(y) / (2 * y.sum()), len(y) / (2 * (~y).sum()))
    balanced = classifier(class_weight="balanced", max_epochs=4).fit(X, y)
    by_sample = classifier(max_epochs=4).fit(X, y, sample_weight=weight)
    assert_allclose(balanced.predict_proba(X), by_sample.predict_proba(X), rtol=1e-5)


def test_class_weight_multiplies_sample_weight(data):
    X, y = data
    weight = np.random.default_rng(0).uniform(0.5, 2, size=len(X))
    both = classifier(class_weight={"up": 3.0}, max_epochs=4).fit(X, y, sample_weight=weight)
    one = classifier(max_epochs=4).fit(X, y, sample_weight=weight * np.where(y == "up", 3, 1))
    assert_array_equal(both.predict_proba(X), one.predict_proba(X))


def test_balanced_weights_per_step(steps):
    X, y = steps
    clf = classifier(class_weight="balanced", return_sequences=True, max_epochs=1).fit(X, y)
    flat = np.concatenate(y)
    weight = {k: len(flat) / (2 * (flat == k).sum()) for k in ("high", "low")}
    by_step = classifier(return_sequences=True, max_epochs=1).fit(
        X, y, sample_weight=[[weight[k] for k in labels] for labels in y]
    )
    for a, b in zip(clf.predict_proba(X), by_step.predict_proba(X), strict=True):
        assert_allclose(a, b, rtol=1e-5)


def test_a_class_without_weight_is_no_class_to_balance(data):
    X, _ = data
    y = np.arange(len(X)) % 3
    seen = y < 2
    clf = classifier(class_weight="balanced", max_epochs=3).fit(X, y, sample_weight=seen * 1.0)
    assert_array_equal(clf.classes_, [0, 1, 2])
    assert clf.predict_proba(X).shape == (len(X), 3)


@pytest.mark.parametrize("weight", [0.1, 1.0, 10.0])
def test_sequences_that_say_nothing_leave_the_weighted_frequencies(weight):
    X, y = np.ones((40, 3, 1)), np.arange(40) % 4 == 0
    clf = classifier(class_weight={True: weight}, batch_size=40, max_epochs=60, lr=0.05).fit(X, y)
    expected = weight * 10 / (weight * 10 + 30)
    assert_allclose(clf.predict_proba(X)[:, 1], expected, atol=0.03)


def test_several_labels_have_no_class_weight(data):
    X, _ = data
    with pytest.raises(ValueError, match="class_weight is for one label"):
        classifier(class_weight="balanced").fit(X, np.eye(2, dtype=int)[np.arange(len(X)) % 2])


# -- inputs -----------------------------------------------------------------------------------


def test_folded_rows_are_the_block(data):
    X, y = data
    box = padded(X)
    block = classifier(max_epochs=3).fit(box, y)
    folded = classifier(max_epochs=3, n_channels=2).fit(box.reshape(len(X), -1), y)
    ragged = classifier(max_epochs=3).fit(X, y)
    rows = box.reshape(len(X), -1)
    assert_array_equal(block.predict_proba(box), folded.predict_proba(rows))
    assert_array_equal(block.predict_proba(box), ragged.predict_proba(X))
    assert folded.n_features_in_ == rows.shape[1]
    assert folded.n_channels_in_ == block.n_channels_in_ == 2


def test_an_empty_sequence_is_refused_or_answered_from_the_zero_state(data):
    X, y = data
    holey = [np.empty((0, 2)), *X[1:]]
    with pytest.raises(ValueError, match="sequence 0 is empty"):
        classifier().fit(holey, y)
    clf = classifier(empty="zero_state").fit(holey, y)
    proba = clf.predict_proba(holey)
    assert np.isfinite(proba).all()
    # The zero state pools to zeros: only the bias of the head is left.
    bias = clf.net_.module_.head.projection.bias.detach().double()
    assert_allclose(proba[0], torch.softmax(bias, dim=0), rtol=1e-6)
    assert_allclose(clf.predict_proba([np.empty((0, 2))] * 3), proba[[0, 0, 0]], rtol=1e-6)


def test_nothing_but_empty_sequences_teaches_nothing():
    with pytest.raises(ValueError, match="empty"):
        classifier(empty="zero_state").fit([np.empty((0, 2))] * 6, [0, 1] * 3)


@pytest.mark.parametrize("scale", [1e30, 1e-30])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_unit_of_the_input_does_not_matter(scale, dtype, data):
    X, y = data
    clf = classifier(dtype=dtype).fit([scale * x for x in X], y)
    assert clf.score([scale * x for x in X], y) > 0.9


def test_values_never_seen_get_finite_answers(data):
    X, y = data
    clf = classifier(max_epochs=2).fit(X, y)
    for value in (1e30, -1e30, 3e38):
        assert np.isfinite(clf.predict_proba([np.full((4, 2), value)])).all()


def test_a_constant_feature_does_no_harm(data):
    X, y = data
    X = [np.column_stack([x, np.full(len(x), 7.0)]) for x in X]
    assert classifier().fit(X, y).score(X, y) > 0.9


def test_large_values_without_scaling_are_reported(data):
    X, y = data
    with pytest.warns(UserWarning, match="standardize=False"):
        classifier(standardize=False, max_epochs=1).fit([1e9 * x for x in X], y)


# -- tokens -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokens():
    """Whether token 2 occurs."""
    rng = np.random.default_rng(0)
    X = [rng.integers(3, 9, size=n) for n in rng.integers(2, 7, size=80)]
    for x in X[::2]:
        x[rng.integers(len(x))] = 2
    return X, np.arange(80) % 2 == 0


def test_tokens(tokens):
    X, y = tokens
    clf = classifier(embedding_dim=4, max_epochs=40).fit(X, y)
    assert clf.score(X, y) > 0.9
    assert clf.vocabulary_size_ == 9
    assert clf.net_.module_.scaler is None


def test_zeros_after_the_last_token_are_padding(tokens):
    X, y = tokens
    clf = classifier(embedding_dim=4, max_epochs=3).fit(X, y)
    expected = clf.predict_proba(X)
    box = np.zeros((len(X), 11), dtype=int)
    for row, x in zip(box, X, strict=True):
        row[: len(x)] = x
    assert_array_equal(clf.predict_proba(box), expected)
    assert_array_equal(clf.predict_proba(box[:, :, None]), expected)
    assert_array_equal(clf.predict_proba([[*x.tolist(), 0, 0] for x in X]), expected)
    assert_array_equal(
        classifier(embedding_dim=4, max_epochs=3).fit(box, y).predict_proba(box), expected
    )


def test_tokens_outside_the_vocabulary(tokens):
    X, y = tokens
    clf = classifier(embedding_dim=4, max_epochs=1).fit(X, y)
    with pytest.raises(ValueError, match="id 99 in sequence 1 is outside the vocabulary of 9"):
        clf.predict([[3], [4, 99]])
    wide = classifier(embedding_dim=4, max_epochs=1, vocabulary_size=100).fit(X, y)
    assert wide.predict([[3], [4, 99]]).shape == (2,)
    with pytest.raises(ValueError, match="outside the vocabulary of 5"):
        classifier(embedding_dim=4, vocabulary_size=5).fit(X, y)


# -- going on ---------------------------------------------------------------------------------


def test_a_warm_start_goes_on_from_the_weights(data):
    X, y = data
    clf = classifier(warm_start=True).fit(X, y)
    before = clf.predict_proba(X)
    clf.set_params(lr=1e-12, max_epochs=1).fit(X, y)
    assert_allclose(clf.predict_proba(X), before, atol=1e-5)
    clf.set_params(lr=0.02, max_epochs=10).fit(X, y)
    assert clf.history_[0]["train_loss"] < 0.5
    assert clf.n_iter_ == 10
    cold = classifier(warm_start=True).fit(X, y)
    assert_array_equal(cold.predict_proba(X), before)


def test_a_warm_start_keeps_features_and_classes(data):
    X, y = data
    clf = classifier(warm_start=True, max_epochs=1).fit(X, y)
    before = clf.predict_proba(X)
    with pytest.raises(ValueError, match="3 features"):
        clf.fit([np.ones((4, 3))] * 4, ["up", "down"] * 2)
    with pytest.raises(ValueError, match="class 'sideways' is not in classes"):
        clf.fit(X[:2], ["up", "sideways"])
    assert_array_equal(clf.predict_proba(X), before)


def test_a_stream_is_learned_in_parts(data):
    X, y = data
    clf = classifier()
    for _ in range(20):
        for start in range(0, len(X), 20):
            part = slice(start, start + 20)
            clf.partial_fit(X[part], y[part], classes=["up", "down"])
    assert clf.n_iter_ == 60
    assert clf.score(X, y) > 0.9


def test_the_first_part_may_lack_a_class(data):
    X, y = data
    down = np.flatnonzero(y == "down")
    clf = classifier().partial_fit([X[i] for i in down], y[down], classes=["up", "down"])
    assert_array_equal(clf.classes_, ["down", "up"])
    clf.partial_fit(X, y)
    assert clf.predict_proba(X).shape == (len(X), 2)


def test_parts_follow_the_seed_and_leave_copies_alone(data):
    X, y = data
    one = classifier().partial_fit(X, y, classes=["up", "down"])
    other = classifier().partial_fit(X, y, classes=["up", "down"])
    kept = copy.deepcopy(one)
    before = one.predict_proba(X)
    one.partial_fit(X, y)
    assert_array_equal(one.predict_proba(X), other.partial_fit(X, y).predict_proba(X))
    assert_array_equal(kept.predict_proba(X), before)


@pytest.mark.parametrize(
    ("calls", "match"),
    [
        ([{}], "classes must be passed on the first call"),
        ([{"classes": ["up", "down"]}, {"classes": ["a", "b"]}], "not the same as on the last"),
        ([{"classes": ["up", "left"]}], "class 'down' is not in classes"),
    ],
)
def test_parts_that_do_not_fit(calls, match, data):
    clf = classifier()
    for call in calls[:-1]:
        clf.partial_fit(*data, **call)
    with pytest.raises(ValueError, match=match):
        clf.partial_fit(*data, **calls[-1])


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle", "plateau", ExponentialLR])
def test_parts_after_a_fit_are_learned_at_the_full_rate(schedule, data):
    # The schedule of the fit ended at a rate of almost zero.
    X, y = data
    clf = classifier(lr_schedule=schedule, max_epochs=4)
    clf.set_params(net_params={"lr_schedule__gamma": 1e-3} if schedule is ExponentialLR else None)
    clf.fit(X, y)
    assert [group["lr"] for group in clf.net_.optimizer_.param_groups] == [0.02, 0.02]
    before = clf.predict_proba(X)
    clf.partial_fit(X, y)
    assert clf.n_iter_ == 5
    assert np.abs(clf.predict_proba(X) - before).max() > 1e-2


# -- validation -------------------------------------------------------------------------------


def test_validation_data_of_ones_own(data):
    X, y = data
    valid = make(30, seed=2)
    clf = classifier(validation_split=valid).fit(X, y)
    proba = clf.predict_proba(valid[0])
    truth = np.searchsorted(clf.classes_, valid[1])
    loss = -np.log(proba[np.arange(30), truth]).mean()
    assert min(row["valid_loss"] for row in clf.history_) == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize(
    ("valid", "match"),
    [
        (([np.ones((3, 5))], ["up"]), "5 features"),
        (([np.ones((3, 2))], ["sideways"]), "'sideways' is not in classes"),
        (([np.ones((3, 2))], ["up", "up"]), "inconsistent numbers of samples"),
        (([np.ones((3, 2))],), "tuple of length 1"),
    ],
)
def test_validation_data_that_do_not_fit(valid, match, data):
    with pytest.raises(ValueError, match=match):
        classifier(validation_split=valid).fit(*data)


def test_a_failed_fit_leaves_the_last_one(data):
    X, y = data
    clf = classifier(max_epochs=1).fit(X, y)
    before = clf.predict_proba(X)
    state = set(vars(clf))
    for wrong in ([x[:, :1] for x in X], X[:-1], [np.full_like(x, np.nan) for x in X]):
        with pytest.raises(ValueError, match=r"."):
            clf.fit(wrong, np.arange(len(wrong)) / 3 if wrong is not X[:-1] else y)
    assert_array_equal(clf.predict_proba(X), before)
    assert set(vars(clf)) == state


def test_the_users_data_are_not_touched(data):
    X, y = copy.deepcopy(data)
    box, labels = padded(X), y.copy()
    for array in (box, labels, *X):
        array.setflags(write=False)
    classifier(max_epochs=1).fit(box, labels).predict(box)
    classifier(max_epochs=1, early_stopping=True).fit(X, labels).predict(X)
    assert clone(classifier()).fit(X[:6], labels[:6]).n_iter_ == 15
