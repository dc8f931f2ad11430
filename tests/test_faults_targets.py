"""Faults in y, in sample weights and in the hold-out.

Each test carries the number of its row in the table of faults.
"""

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import DataConversionWarning
from sklearn.model_selection import StratifiedKFold, TimeSeriesSplit, cross_val_predict

from skrnn import RNNClassifier, RNNRegressor

TINY = {"hidden_size": 4, "max_epochs": 2, "random_state": 0}
ESTIMATORS = [RNNClassifier, RNNRegressor]


@pytest.fixture(params=ESTIMATORS)
def cls(request):
    return request.param


def tagger(**params):
    return RNNClassifier(return_sequences=True, **{**TINY, **params})


def step_regressor(**params):
    return RNNRegressor(return_sequences=True, **{**TINY, **params})


def codes(X):
    """Return alternating codes, one per sequence."""
    return np.arange(len(X)) % 2


def step_codes(X):
    """Return alternating codes, one per step."""
    return [np.arange(len(x)) % 2 for x in X]


# -- numbers of targets -------------------------------------------------------------------------


@pytest.mark.parametrize("per_step", [False, True])
def test_f29_as_many_targets_as_sequences(cls, ragged, per_step):
    y = step_codes(ragged) if per_step else codes(ragged)
    estimator = cls(return_sequences=per_step, **TINY)
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[24, 23\]"):
        estimator.fit(ragged, y[:-1])


@pytest.mark.parametrize(("make", "what"), [(tagger, "labels"), (step_regressor, "values")])
def test_f30_as_many_targets_as_steps(ragged, make, what):
    X = [np.resize(x, (10, 3)) if i == 4 else x for i, x in enumerate(ragged)]
    y = step_codes(X)
    y[4] = y[4][:-1]
    with pytest.raises(ValueError, match=rf"y\[4\] has 9 {what} for 10 steps"):
        make().fit(X, y)


@pytest.mark.parametrize("make", [tagger, step_regressor])
def test_f30_one_target_per_sequence_where_steps_have_theirs(ragged, make):
    with pytest.raises(ValueError, match=r"y\[0\] is a single value.*return_sequences=True"):
        make().fit(ragged, codes(ragged))


def test_f30_targets_per_step_where_sequences_have_theirs(cls, ragged):
    with pytest.raises(ValueError, match=r"y holds arrays of different lengths.*return_sequences"):
        cls(**TINY).fit(ragged, step_codes(ragged))


# -- labels -------------------------------------------------------------------------------------

TEXTS = np.array(["no", "yes"])
DAYS = np.array(["2020-02-29", "2021-01-01"], dtype="M8[D]")
# How the labels come, and the type the answers have.
LABELS = {
    "list": (lambda c: TEXTS[c].tolist(), "U"),
    "array": (lambda c: TEXTS[c], "U"),
    "object": (lambda c: TEXTS[c].astype(object), "O"),
    "str of pandas": (lambda c: pd.Series(TEXTS[c], dtype="str"), "O"),
    "string of pandas": (lambda c: pd.Series(TEXTS[c], dtype="string"), "O"),
    "category": (lambda c: pd.Series(TEXTS[c], dtype="category"), "O"),
    "categorical of int": (lambda c: pd.Categorical(c + 5), "i"),
    "bool": (lambda c: c == 1, "b"),
    "boolean": (lambda c: pd.Series(c == 1, dtype="boolean"), "b"),
    "negative": (lambda c: c - 7, "i"),
    "large": (lambda c: c + 10**15, "i"),
    "uint8": (lambda c: c.astype(np.uint8), "u"),
    "Int64": (lambda c: pd.Series(c, dtype="Int64"), "i"),
    "int64[pyarrow]": (lambda c: pd.Series(c, dtype="int64[pyarrow]"), "i"),
    "whole floats": (lambda c: c.astype(float), "f"),
    "datetime": (lambda c: DAYS[c], "M"),
    "datetime of pandas": (lambda c: pd.Series(DAYS[c].astype("M8[s]")), "M"),
    "tensor": (torch.tensor, "i"),
    "with an index": (lambda c: pd.Series(c, index=np.arange(len(c)) + 5), "i"),
}


@pytest.mark.parametrize(("convert", "type_code"), LABELS.values(), ids=LABELS.keys())
def test_f31_labels_of_any_type_come_back(rng, convert, type_code):
    y = codes(range(12))
    X = rng.normal(size=(12, 4, 1)) + 5 * y[:, None, None]
    given = convert(y)
    clf = RNNClassifier(hidden_size=8, max_epochs=30, lr=0.05, random_state=0).fit(X, given)
    predicted = clf.predict(X)
    assert clf.classes_.dtype.kind == predicted.dtype.kind == type_code
    assert_array_equal(predicted, np.asarray(given).astype(predicted.dtype))
    assert_array_equal(clf.classes_, np.unique(np.asarray(given).astype(predicted.dtype)))


@pytest.mark.parametrize(("convert", "type_code"), LABELS.values(), ids=LABELS.keys())
def test_f31_labels_of_any_type_per_step(rng, convert, type_code):
    y = codes(range(6))
    X = [rng.normal(size=(6, 1)) + 5 * y[:, None] for _ in range(12)]
    clf = tagger(hidden_size=8, max_epochs=30, lr=0.05).fit(X, [convert(y)] * 12)
    predicted = clf.predict(X)
    assert clf.classes_.dtype.kind == type_code
    for part in predicted:
        assert_array_equal(part, np.asarray(convert(y)).astype(part.dtype))


MISSING = {
    "None": ["a", None],
    "None in an array": np.array(["a", None], dtype=object),
    "NaN": [0.0, np.nan],
    "NaN beside text": ["a", np.nan],
    "NA": [1, pd.NA],
    "NA of string": pd.Series(["a", pd.NA], dtype="string"),
    "NA of str": pd.Series(["a", None], dtype="str"),
    "NA of Int64": pd.Series([1, None], dtype="Int64"),
    "NaN category": pd.Categorical(["a", None]),
    "NaT": np.array(["2020-01-01", "NaT"], dtype="M8[D]"),
    "NaT of pandas": pd.Series(pd.to_datetime(["2020-01-01", None])),
}


def repeated(labels, n):
    """Repeat two labels in turn, in their container."""
    where = np.arange(n) % 2
    if isinstance(labels, list):
        return [labels[i] for i in where]
    return labels.iloc[where] if isinstance(labels, pd.Series) else labels[where]


@pytest.mark.parametrize("labels", MISSING.values(), ids=MISSING.keys())
def test_f32_missing_labels(ragged, labels):
    with pytest.raises(ValueError, match="Input y contains NaN at sample 1;"):
        RNNClassifier(**TINY).fit(ragged, repeated(labels, 24))
    with pytest.raises(ValueError, match="Input y contains NaN at sequence 0, step 1;"):
        tagger().fit(ragged, [repeated(labels, len(x)) for x in ragged])


@pytest.mark.parametrize(
    "labels", [[1, "a"], np.array([1, "a"], dtype=object), pd.Series([1, "a"]), [True, "a"]]
)
def test_f32_labels_of_mixed_types(ragged, labels):
    with pytest.raises(ValueError, match="mixed types"):
        RNNClassifier(**TINY).fit(ragged, repeated(labels, 24))
    with pytest.raises(ValueError, match="mixed types"):
        tagger().fit(ragged, [repeated(labels, len(x)) for x in ragged])


def test_f32_labels_of_another_type_in_another_sequence(ragged):
    y = [["a"] * len(x) if i % 2 else [1] * len(x) for i, x in enumerate(ragged)]
    with pytest.raises(ValueError, match="mixed types"):
        tagger().fit(ragged, y)


@pytest.mark.parametrize("missing", [np.nan, None, pd.NA])
def test_f32_missing_numbers(ragged, missing):
    y = pd.Series([1.0, missing] * 12, dtype=None if missing is not pd.NA else "Float64")
    with pytest.raises(ValueError, match="Input y contains NaN at sample 1;"):
        RNNRegressor(**TINY).fit(ragged, y)
    with pytest.raises(ValueError, match="Input y contains NaN at sequence 0, step 1;"):
        step_regressor().fit(ragged, [y[: len(x)] for x in ragged])


@pytest.mark.parametrize("y", [[0.0, np.inf] * 12, [0.0, -np.inf] * 12])
def test_f32_infinite_targets(cls, ragged, y):
    with pytest.raises(ValueError, match=r"Input y contains infinity .* at sample 1;"):
        cls(**TINY).fit(ragged, y)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_f32_where_a_target_is_missing(ragged, value):
    y = np.zeros((24, 2))
    y[7, 1] = value
    with pytest.raises(ValueError, match="at sample 7, column 1;"):
        RNNRegressor(**TINY).fit(ragged, y)
    steps = [np.zeros(len(x)) for x in ragged]
    steps[5][1] = value
    for make in (tagger, step_regressor):
        with pytest.raises(ValueError, match="at sequence 5, step 1;"):
            make().fit(ragged, steps)


def test_f32_targets_by_name(cls, ragged):
    y = {f"r{i}": i % 2 for i in range(24)}
    for per_step in (False, True):
        with pytest.raises(TypeError, match="y is a dict; pass a list"):
            cls(return_sequences=per_step, **TINY).fit(ragged, y)


def test_f32_no_targets(cls, ragged):
    for per_step in (False, True):
        with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
            cls(return_sequences=per_step, **TINY).fit(ragged, None)


CONTINUOUS = np.linspace(0, 1, 24)


@pytest.mark.parametrize(
    "y",
    [
        CONTINUOUS,
        CONTINUOUS.tolist(),
        CONTINUOUS.astype(object),
        pd.Series(CONTINUOUS),
        pd.Series(CONTINUOUS, dtype="Float64"),
        np.column_stack([CONTINUOUS, CONTINUOUS]),
    ],
    ids=["array", "list", "object", "series", "Float64", "2-D"],
)
def test_f33_numbers_are_no_labels(ragged, y):
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        RNNClassifier(**TINY).fit(ragged, y)


def test_f33_numbers_per_step_are_no_labels(ragged, step_numbers):
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        tagger().fit(ragged, step_numbers)


@pytest.mark.parametrize("params", [{}, {"early_stopping": True}, {"class_weight": "balanced"}])
def test_f34_a_single_class(ragged, params):
    clf = RNNClassifier(**TINY, **params).fit(ragged, ["a"] * 24)
    assert_array_equal(clf.predict_proba(ragged), np.ones((24, 1)))
    assert_array_equal(clf.predict(ragged), ["a"] * 24)
    clf = tagger(**params).fit(ragged, [["a"] * len(x) for x in ragged])
    for part, x in zip(clf.predict_proba(ragged), ragged, strict=True):
        assert_array_equal(part, np.ones((len(x), 1)))


def test_f35_a_class_missing_in_a_fold(ragged):
    y = np.array(["a", "b", "c"])[np.arange(24) % 3]
    seen = np.isin(y, ["a", "c"])
    X = [x for x, keep in zip(ragged, seen, strict=True) if keep]
    clf = RNNClassifier(**TINY).fit(X, y[seen])
    assert_array_equal(clf.classes_, ["a", "c"])
    probabilities = clf.predict_proba(ragged)
    assert probabilities.shape == (24, 2)
    assert_array_equal(clf.predict(ragged), clf.classes_[probabilities.argmax(axis=1)])


def test_f35_columns_follow_the_classes_of_all_folds(ragged):
    y = np.array(["a"] * 11 + ["b"] * 12 + ["c"])

    class OneWithoutC(StratifiedKFold):
        def split(self, X, y=None, groups=None):
            yield np.arange(23), np.array([23])
            yield np.append(np.arange(0, 23, 2), 23), np.arange(1, 23, 2)
            yield np.append(np.arange(1, 23, 2), 23), np.arange(0, 23, 2)

        def get_n_splits(self, *args):
            return 3

    clf = RNNClassifier(**TINY)
    cv = OneWithoutC()
    with pytest.warns(RuntimeWarning, match="Number of classes in training fold"):
        probabilities = cross_val_predict(clf, ragged, y, cv=cv, method="predict_proba")
    assert probabilities.shape == (24, 3)
    assert probabilities[23, 2] == 0
    assert_allclose(probabilities.sum(axis=1), 1)


# -- hold-out -----------------------------------------------------------------------------------


def test_f36_a_class_of_one_member_is_not_stratified(ragged):
    y = ["a"] * 23 + ["b"]
    with pytest.warns(UserWarning, match="single member") as caught:
        clf = RNNClassifier(early_stopping=True, **TINY).fit(ragged, y)
    assert len(caught) == 1
    assert "valid_loss" in clf.history_[0]
    assert set(clf.classes_) == {"a", "b"}


@pytest.mark.parametrize("n_samples", [2, 3, 4])
def test_f36_too_few_samples_to_hold_out(cls, ragged, n_samples):
    X = ragged[:n_samples]
    with pytest.warns(UserWarning, match=f"{n_samples} samples are too few") as caught:
        estimator = cls(early_stopping=True, **TINY).fit(X, codes(X))
    assert len(caught) == 1
    assert "valid_loss" not in estimator.history_[0]


def test_f36_one_sample_cannot_be_held_out(cls, ragged):
    with pytest.raises(ValueError, match="validation_fraction"):
        cls(early_stopping=True, **TINY).fit(ragged[:1], [0])
    cls(**TINY).fit(ragged[:1], [0])


@pytest.mark.filterwarnings("ignore:a class has a single member:UserWarning")
@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("n_samples", [5, 6, 24])
def test_f36_both_parts_have_samples_whatever_the_fraction(cls, ragged, n_samples, fraction):
    X = ragged[:n_samples]
    estimator = cls(early_stopping=True, validation_fraction=fraction, **TINY)
    estimator.fit(X, codes(X))
    assert np.isfinite(estimator.history_[0]["train_loss"])
    assert np.isfinite(estimator.history_[0]["valid_loss"])


@pytest.mark.parametrize("per_step", [False, True])
def test_f37_a_splitter_by_time_keeps_the_order(cls, rng, per_step):
    """Sequence i is all i: what the network was scaled with shows which samples it trained on."""
    X = [np.full((t, 1), i, dtype=float) for i, t in enumerate(rng.integers(2, 6, size=20))]
    y = step_codes(X) if per_step else codes(X)
    seen = []

    class ByTime(TimeSeriesSplit):
        def split(self, X, y=None, groups=None):
            for train, valid in super().split(X, y, groups):
                seen.append((train, valid))
                yield train, valid

    estimator = cls(validation_split=ByTime(3), return_sequences=per_step, **TINY).fit(X, y)
    train, valid = seen[-1]
    assert train.max() < valid.min()
    trained_on = np.concatenate([X[i] for i in train])
    assert estimator.net_.module_.scaler.mean.item() == pytest.approx(trained_on.mean(), rel=1e-6)
    assert "valid_loss" in estimator.history_[0]
    if cls is RNNRegressor:
        assert estimator.n_calibration_ == len(valid)


def test_f37_a_validation_part_of_ones_own_is_never_trained_on(cls, ragged):
    params = {"validation_split": (ragged[18:], codes(ragged[18:])), **TINY}
    estimator = cls(**params).fit(ragged[:18], codes(ragged[:18]))
    mean = np.concatenate(ragged[:18]).mean(axis=0)
    assert_allclose(estimator.net_.module_.scaler.mean.numpy(), mean, atol=1e-6)


# -- labels that look special, and new ones -----------------------------------------------------


def test_f38_a_label_of_minus_100_is_a_class(rng):
    y = np.array([-100, 3])[codes(range(12))]
    X = rng.normal(size=(12, 4, 1)) + y[:, None, None] / 20
    params = {"hidden_size": 8, "max_epochs": 30, "lr": 0.05, "random_state": 0}
    clf = RNNClassifier(**params).fit(X, y)
    assert_array_equal(clf.predict(X), y)
    renamed = RNNClassifier(**params).fit(X, codes(X))
    assert_array_equal(renamed.predict_proba(X), clf.predict_proba(X))


def test_f38_a_label_of_minus_100_per_step(ragged):
    y = step_codes(ragged)
    clf = tagger().fit(ragged, [np.array([-100, 3])[part] for part in y])
    for a, b in zip(
        clf.predict_proba(ragged), tagger().fit(ragged, y).predict_proba(ragged), strict=True
    ):
        assert_array_equal(a, b)


def test_f39_a_new_class_in_partial_fit(ragged):
    y = np.array(["a", "b"])[codes(ragged)]
    clf = RNNClassifier(**TINY).partial_fit(ragged, y, classes=["a", "b"])
    before = clf.predict_proba(ragged)
    with pytest.raises(ValueError, match=r"class 'c' is not in classes \['a', 'b'\]"):
        clf.partial_fit(ragged, np.where(y == "b", "c", y))
    assert_array_equal(clf.predict_proba(ragged), before)


@pytest.mark.parametrize(
    ("classes", "new"), [([0, 1], 2), (["0", "1"], 0), (["a", "b"], 0), ([0, 1], "a")]
)
def test_f39_a_class_that_was_not_announced(ragged, classes, new):
    with pytest.raises(ValueError, match=f"class {new!r} is not in classes"):
        RNNClassifier(**TINY).partial_fit(ragged, [new] * 24, classes=classes)


def test_f39_partial_fit_needs_the_classes_first(ragged):
    clf = RNNClassifier(**TINY)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        clf.partial_fit(ragged, codes(ragged))
    clf.partial_fit(ragged, codes(ragged), classes=[0, 1])
    with pytest.raises(ValueError, match="is not the same as on the last call to partial_fit"):
        clf.partial_fit(ragged, codes(ragged), classes=[0, 2])


def test_f39_partial_fit_of_a_tagger(ragged):
    clf = tagger().partial_fit(ragged, step_codes(ragged), classes=[0, 1])
    with pytest.raises(ValueError, match="class 2 is not in classes"):
        clf.partial_fit(ragged, [part + 1 for part in step_codes(ragged)])


# -- weights ------------------------------------------------------------------------------------

WRONG_WEIGHTS = {
    "too few": (np.ones(23), r"sample_weight.shape == \(23,\), expected \(24,\)"),
    "negative": (-np.ones(24), "Negative values in data passed to `sample_weight`"),
    "NaN": (np.full(24, np.nan), "sample_weight contains NaN"),
    "infinity": (np.full(24, np.inf), "sample_weight contains infinity"),
    "zero": (np.zeros(24), "(?i)(sample.weight.*zero)"),
}


@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize(("weight", "match"), WRONG_WEIGHTS.values(), ids=WRONG_WEIGHTS.keys())
def test_f40_wrong_weights(cls, ragged, per_step, weight, match):
    y = step_codes(ragged) if per_step else codes(ragged)
    with pytest.raises(ValueError, match=match):
        cls(return_sequences=per_step, **TINY).fit(ragged, y, sample_weight=weight)


def test_f40_weights_have_one_dimension(cls, ragged):
    with pytest.raises(ValueError, match="Sample weights must be 1D array or scalar"):
        cls(**TINY).fit(ragged, codes(ragged), sample_weight=np.ones((24, 2)))
    with pytest.raises(ValueError, match="sample_weight holds arrays of different lengths"):
        cls(**TINY).fit(ragged, codes(ragged), sample_weight=step_codes(ragged))


@pytest.mark.parametrize("make", [tagger, step_regressor])
@pytest.mark.parametrize(
    ("value", "match"),
    [
        (-1.0, "Negative values"),
        (np.nan, "Input sample_weight contains NaN at sequence 0, step 0;"),
        (0.0, "(?i)sample_weight.*zero"),
    ],
)
def test_f40_wrong_weights_of_steps(ragged, make, value, match):
    weight = [np.full(len(x), value) for x in ragged]
    with pytest.raises(ValueError, match=match):
        make().fit(ragged, step_codes(ragged), sample_weight=weight)


@pytest.mark.parametrize("make", [tagger, step_regressor])
def test_f40_as_many_weights_as_steps(ragged, make):
    weight = [np.ones(len(x) - (i == 4)) for i, x in enumerate(ragged)]
    with pytest.raises(ValueError, match=r"sample_weight\[4\] has \d+ weights for \d+ st"):
        make().fit(ragged, step_codes(ragged), sample_weight=weight)


def shifted(values):
    return pd.Series(list(values), index=np.arange(len(values)) + 5)


@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("collect", [list, tuple, shifted])
def test_f40_containers_of_weights(cls, ragged, per_step, collect):
    y = step_codes(ragged) if per_step else codes(ragged)
    weight = np.arange(24) % 3 + 0.5
    estimator = cls(return_sequences=per_step, **TINY)
    expected = estimator.fit(ragged, y, sample_weight=weight).transform(ragged)
    given = estimator.fit(ragged, y, sample_weight=collect(weight)).transform(ragged)
    for one, other in zip(expected, given, strict=True):
        assert_array_equal(one, other)


@pytest.mark.parametrize("make", [tagger, step_regressor])
@pytest.mark.parametrize("collect", [list, tuple, shifted])
def test_f40_containers_of_weights_of_steps(ragged, make, collect):
    y = step_codes(ragged)
    whole = np.arange(24) % 3 + 0.5
    steps = collect([np.full(len(x), w) for x, w in zip(ragged, whole, strict=True)])
    expected = make().fit(ragged, y, sample_weight=whole).transform(ragged)
    given = make().fit(ragged, y, sample_weight=steps).transform(ragged)
    for one, other in zip(expected, given, strict=True):
        assert_array_equal(one, other)


def test_f40_no_weight_left_in_the_training_part(cls, ragged):
    weight = np.zeros(24)
    weight[-1] = 1
    with pytest.raises(ValueError, match="sample_weight are zero in the training part"):
        cls(validation_split=ByHalf(), **TINY).fit(ragged, codes(ragged), sample_weight=weight)


class ByHalf:
    """Train on the first half and hold out the second."""

    def split(self, X, y=None, groups=None):
        half = len(X) // 2
        yield np.arange(half), np.arange(half, len(X))


# -- shapes and types of targets ----------------------------------------------------------------


@pytest.mark.parametrize("collect", [np.asarray, pd.DataFrame])
def test_f41_a_column_of_targets(cls, ragged, collect):
    y = codes(ragged)
    expected = cls(**TINY).fit(ragged, y).predict(ragged)
    with pytest.warns(DataConversionWarning, match="column-vector y") as caught:
        estimator = cls(**TINY).fit(ragged, collect(y[:, None]))
    assert len(caught) == 1
    assert_array_equal(estimator.predict(ragged), expected)
    assert estimator.predict(ragged).shape == (24,)


def test_f41_columns_of_labels_per_step(ragged):
    y = step_codes(ragged)
    with pytest.warns(DataConversionWarning, match="column-vector y") as caught:
        clf = tagger().fit(ragged, [part[:, None] for part in y])
    assert len(caught) == 1
    assert [part.shape for part in clf.predict(ragged)] == [(len(x),) for x in ragged]


def test_f41_several_outputs(ragged):
    y = np.column_stack([codes(ragged), np.arange(24.0)])
    reg = RNNRegressor(**TINY).fit(ragged, y)
    assert reg.predict(ragged).shape == (24, 2)
    reg = step_regressor().fit(ragged, [x[:, :2] for x in ragged])
    assert [part.shape for part in reg.predict(ragged)] == [(len(x), 2) for x in ragged]


def test_f41_targets_of_three_dimensions(cls, ragged):
    with pytest.raises(ValueError, match=r"dim|1d array"):
        cls(**TINY).fit(ragged, np.ones((24, 2, 2)))


NUMBERS = {
    "int64": lambda y: y,
    "uint8": lambda y: y.astype(np.uint8),
    "bool": lambda y: y.astype(bool),
    "float16": lambda y: y.astype(np.float16),
    "object": lambda y: y.astype(object),
    "list": lambda y: y.tolist(),
    "Int64": lambda y: pd.Series(y, dtype="Int64"),
    "int64[pyarrow]": lambda y: pd.Series(y, dtype="int64[pyarrow]"),
}


@pytest.mark.parametrize("convert", NUMBERS.values(), ids=NUMBERS.keys())
def test_f42_whole_numbers_are_numbers(ragged, convert):
    y = codes(ragged)
    expected = RNNRegressor(**TINY).fit(ragged, y.astype(float)).predict(ragged)
    predicted = RNNRegressor(**TINY).fit(ragged, convert(y)).predict(ragged)
    assert predicted.dtype == np.float64
    assert_array_equal(predicted, expected)


def test_f42_whole_numbers_per_step(ragged):
    for part in step_regressor().fit(ragged, step_codes(ragged)).predict(ragged):
        assert part.dtype == np.float64
        assert not np.isin(part, [0.0, 1.0]).all()


@pytest.mark.parametrize(
    ("y", "match"),
    [
        (["a", "b"] * 12, "could not convert string to float"),
        (np.zeros(24, dtype="M8[s]"), r"dtype datetime64\[s\]"),
        (pd.Series(np.zeros(24, dtype="M8[s]")), r"dtype datetime64\[s\]"),
        (np.zeros(24, dtype=complex), "Complex data not supported"),
    ],
    ids=["text", "datetime", "datetime of pandas", "complex"],
)
def test_f42_targets_that_are_no_numbers(ragged, y, match):
    with pytest.raises(ValueError, match=match):
        RNNRegressor(**TINY).fit(ragged, y)
