"""`Windows`: the same as the array they stand for, at the price of the series."""

import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    TimeSeriesSplit,
    cross_val_score,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import resample

from skrnn import RNNClassifier, RNNRegressor
from skrnn._sequences import Sequences
from skrnn._windows import windows_at
from skrnn.preprocessing import (
    SequenceImputer,
    SequencePadder,
    SequenceScaler,
    Windows,
    make_windows,
    sequences_to_frame,
)

ROOT = Path(__file__).parents[1]
N_WINDOWS = 12
laws = settings(derandomize=True, deadline=None, max_examples=60)


@pytest.fixture
def series():
    return np.random.default_rng(0).normal(size=(60, 2)).cumsum(axis=0)


def small(cls, **params):
    fixed = {"hidden_size": 3, "max_epochs": 2, "dtype": "float64", "random_state": 0}
    return cls(**{**fixed, **params})


# -- as an array ------------------------------------------------------------------------------

BOUND = st.one_of(st.none(), st.integers(-2 * N_WINDOWS, 2 * N_WINDOWS))
SLICE = st.builds(slice, BOUND, BOUND, st.sampled_from([None, 1, 2, 5, -1, -3]))
INTS = st.lists(st.integers(-N_WINDOWS, N_WINDOWS - 1), max_size=8)
MASK = st.lists(st.booleans(), min_size=N_WINDOWS, max_size=N_WINDOWS)
ROWS = st.one_of(
    SLICE, INTS, INTS.map(lambda i: np.array(i, dtype=np.int64)), MASK, MASK.map(np.array)
)
STEP = st.integers(-3, 2)
WHOLE = st.sampled_from([(), (...,), (slice(None),)])
INSIDE = st.one_of(
    st.tuples(STEP),
    st.tuples(SLICE, st.integers(-2, 1)),
    st.tuples(st.just(...), st.integers(-2, 1)),
    st.just(([0, 2],)),
)


def pair(dims, step=2, start=0):
    """Twelve windows of three steps, and the array they stand for."""
    values = np.arange(60.0) if dims == 2 else np.arange(120.0).reshape(60, 2)
    windows = Windows(values, 3, step)[start : start + N_WINDOWS]
    return windows, np.array(windows)


@laws
@given(st.sampled_from([2, 3]), st.integers(1, 4), ROWS, ROWS, WHOLE)
def test_picking_rows_gives_windows_of_the_same_rows(dims, step, first, second, rest):
    windows, array = pair(dims, step)
    order = np.random.default_rng(0).permutation(N_WINDOWS)
    for key in ((first, *rest), order):
        windows, array = windows[key], array[key]
        assert isinstance(windows, Windows)
        assert windows.shape == array.shape
        assert_array_equal(windows, array)
        if len(array) != N_WINDOWS:
            break
    else:
        assert_array_equal(windows[second], array[second])


@laws
@given(st.sampled_from([2, 3]), ROWS, INSIDE, st.booleans())
def test_an_index_into_windows_gives_an_array(dims, rows, inside, ordered):
    windows, array = pair(dims)
    if not ordered:
        order = np.random.default_rng(0).permutation(N_WINDOWS)
        windows, array = windows[order], array[order]
    key = (rows, *inside)[:dims]
    try:
        expected = array[key]
    except IndexError:
        with pytest.raises(IndexError):
            windows[key]
        return
    assert_array_equal(windows[key], expected)
    assert isinstance(windows[key], Windows) == (expected.shape[1:] == array.shape[1:])


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(
    "key",
    [
        0,
        -1,
        np.int64(3),
        np.array(2),
        (1, ...),
        (2, 1),
        (slice(None), -1),
        (..., 0),
        (..., slice(1)),
    ],
    ids=str,
)
def test_a_number_and_what_reaches_into_windows_give_arrays(dims, key):
    for windows, array in (pair(dims), pair(dims, start=3)):
        assert not isinstance(windows[key], Windows)
        assert_array_equal(windows[key], array[key])


@pytest.mark.parametrize(
    "key",
    [(), ..., None, True, (None, 0), ([0, 1], [1, 2]), np.array([[0, 1], [2, 3]]), (0, [0, 2])],
    ids=str,
)
def test_any_other_index_is_left_to_numpy(key):
    windows, array = pair(3)
    assert_array_equal(windows[key], array[key])
    assert_array_equal(windows[array > 7], array[array > 7])


@pytest.mark.parametrize(
    "key", [12, -13, [0, 12], [True], 1.5, "a", (0, 0, 0, 0), (..., ...), (0, 3)], ids=str
)
def test_an_index_that_numpy_refuses_is_refused(key):
    windows, array = pair(3)
    with pytest.raises(IndexError):
        array[key]
    with pytest.raises(IndexError):
        windows[key]


@pytest.mark.parametrize("dims", [2, 3])
def test_what_it_says_of_itself_is_true_of_the_array(dims):
    windows, array = pair(dims)
    for name in ("shape", "ndim", "dtype", "size", "nbytes"):
        assert getattr(windows, name) == getattr(array, name)
    assert len(windows) == len(array)
    assert repr(windows) == f"Windows(shape={array.shape}, dtype=float64)"
    assert_array_equal(list(windows), list(array))
    assert_array_equal(windows.starts, 2 * np.arange(N_WINDOWS))
    assert_array_equal(windows.reshape(len(windows), -1), array.reshape(len(array), -1))
    assert windows.astype(np.float32).dtype == np.float32
    assert_array_equal(windows.astype(np.float32), array)
    assert np.shares_memory(windows.astype(float).series, windows.series)


def test_a_window_and_evenly_spaced_windows_are_views_that_cannot_be_written_to(series):
    windows = Windows(series, 5)
    spaced = [windows, windows[3:], windows[::-2], windows[[4, 8, 12]], windows[[7]], windows[0:0]]
    for view in (windows[3], next(iter(windows)), *map(np.asarray, spaced)):
        assert np.shares_memory(view, series) or view.size == 0
        assert not view.flags.writeable
    assert not windows.series.flags.writeable
    assert series.flags.writeable


def test_as_an_array_it_keeps_the_promises_of_numpy(series):
    windows = Windows(series, 5)
    apart = windows[[0, 1, 5]]
    assert np.asarray(windows, copy=False).base is not None
    assert not np.shares_memory(np.array(windows), series)
    assert np.array(windows).flags.writeable
    assert np.asarray(windows, dtype=np.float32).dtype == np.float32
    for request in ({"dtype": np.float32}, {}):
        with pytest.raises(ValueError, match="without a copy"):
            np.asarray(apart if not request else windows, copy=False, **request)


def test_arithmetic_and_functions_are_those_of_the_array():
    windows, array = pair(3)
    other, _ = pair(3, start=5)
    for result, expected in (
        (windows + 1, array + 1),
        (2 / (windows + 1), 2 / (array + 1)),
        (-windows, -array),
        (windows - other, array - np.asarray(other)),
        (windows == array, np.ones_like(array, dtype=bool)),
        (array < windows, np.zeros_like(array, dtype=bool)),
        (np.mean(windows, axis=0), array.mean(axis=0)),
        (np.add.reduce(windows), array.sum(axis=0)),
        (np.concatenate([windows, other]), np.concatenate([array, other])),
    ):
        assert isinstance(result, np.ndarray)
        assert_array_equal(result, expected)
    with pytest.raises(TypeError):
        np.add(array, 1, out=windows)


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda w: pickle.loads(pickle.dumps(w))])
def test_copies_are_equal_and_as_light(way):
    windows = Windows(np.random.default_rng(0).normal(size=(500, 2)), 100)
    for some in (windows, windows[[3, 1, 1]]):
        other = way(some)
        assert isinstance(other, Windows)
        assert_array_equal(other, some)
        assert not other.series.flags.writeable
    assert len(pickle.dumps(windows)) < 1.2 * windows.series.nbytes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.arange(5.0), 6), "5 steps; a window needs 6"),
        ((np.arange(5.0), 0), "'window_length' parameter"),
        ((np.arange(5.0), 2, 0), "'step' parameter"),
        ((np.array([1, np.nan]), 1), "series contains NaN at step 1;"),
        ((np.array([[1, 2], [3, np.inf]]), 1), "series contains infinity at step 1, column 1;"),
        ((np.zeros((4, 2, 1)), 1), "dim 3"),
    ],
)
def test_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        Windows(*arguments)


def test_all_windows_of_a_series_hold_those_with_a_target_and_the_rest(series):
    X, _ = make_windows(series, 5, horizon=3, step=2, target=0)
    every = Windows(series, 5, step=2)
    assert len(every) == 28
    assert_array_equal(every[: len(X)], X)
    assert_array_equal(every[-1], series[54:59])


def test_scikit_learn_splits_and_fits_it(series):
    series = series[:, 0].copy()
    X, y = make_windows(series, 5)
    parts = train_test_split(X, y, random_state=0)
    assert all(isinstance(part, Windows) for part in parts[:2])
    assert np.shares_memory(parts[0].series, series)
    expected = train_test_split(np.array(X), y, random_state=0)
    for part, array in zip(parts, expected, strict=True):
        assert_array_equal(part, array)
    assert isinstance(resample(X, random_state=0), Windows)
    scores = [
        cross_val_score(LinearRegression(), data, y, cv=KFold(3, shuffle=True, random_state=0))
        for data in (X, np.array(X))
    ]
    assert_array_equal(*scores)


# -- inside: overlapping sequences ------------------------------------------------------------


@st.composite
def overlapping(draw):
    """Sequences made of any windows of a series, and the windows."""
    length, n_steps = draw(st.integers(1, 5)), draw(st.integers(5, 25))
    starts = draw(st.lists(st.integers(0, n_steps - length), min_size=1, max_size=12))
    series = np.arange(2.0 * n_steps).reshape(-1, 2)
    windows = windows_at(series, np.array(starts), length)
    return Sequences.from_windows(windows), windows


@laws
@given(overlapping(), st.data())
def test_overlapping_sequences_are_the_windows(case, data):
    sequences, windows = case
    array = np.asarray(windows)
    assert sequences.equal_length == windows.window_length
    for sequence, window in zip(sequences, windows, strict=True):
        assert_array_equal(sequence, window)
    assert_array_equal(sequences.restore(), array)
    assert_array_equal(sequences.to_padded(), array)
    packed = Sequences.from_padded(array)
    assert_array_equal(sequences.packed().values, packed.values)
    assert_array_equal(sequences.offsets, packed.offsets)
    indices = np.array(data.draw(st.lists(st.integers(0, len(windows) - 1), max_size=9)), dtype=int)
    assert_array_equal(sequences.take(indices).restore(), array[indices])
    assert_array_equal(sequences.step_index(indices), packed.step_index(indices))


@laws
@given(overlapping())
def test_values_are_the_steps_of_the_windows_and_no_others(case):
    sequences, windows = case
    kept = np.unique(np.asarray(windows).reshape(-1, 2), axis=0)
    assert_array_equal(np.unique(sequences.values, axis=0), kept)
    assert len(sequences.values) == len(kept)
    some = sequences.take(np.arange(0, len(windows), 2))
    assert len(some.values) == len(np.unique(np.asarray(windows)[::2].reshape(-1, 2), axis=0))


@laws
@given(overlapping(), st.data())
def test_a_step_counts_as_often_as_windows_hold_it(case, data):
    sequences, windows = case
    n, length = windows.shape[:2]
    weight = np.array(
        data.draw(st.lists(st.sampled_from([0.0, 0.1, 1.0, 3.0]), min_size=n, max_size=n))
    )
    per_step = np.repeat(weight, length) * np.tile(np.arange(1.0, length + 1), n)
    first = np.asarray(windows)[:, :, 0].ravel()
    for given_weight, is_per_step, flat in (
        (None, False, np.ones(n * length)),
        (weight, False, np.repeat(weight, length)),
        (per_step, True, per_step),
    ):
        expected = [flat[first == value].sum() for value in sequences.values[:, 0]]
        found = sequences.step_weight(given_weight, is_per_step)
        assert_allclose(found, expected, rtol=1e-12, atol=0)


@laws
@given(overlapping(), st.data())
def test_the_first_marked_step_is_the_first_of_the_array(case, data):
    sequences, windows = case
    value = data.draw(st.sampled_from(sequences.values[:, 0].tolist()))
    i, t = sequences.find(sequences.values[:, 0] == value)
    assert_array_equal((i, t), np.argwhere(np.asarray(windows)[:, :, 0] == value)[0])


def test_taking_windows_copies_no_steps(series):
    sequences = Sequences.from_windows(Windows(series, 5))
    assert np.shares_memory(sequences.values, series)
    assert np.shares_memory(sequences.take(np.arange(10, 20)).values, series)
    assert len(sequences.take(np.arange(10, 20)).values) == 14
    shuffled = np.random.default_rng(0).permutation(len(sequences))
    assert np.shares_memory(sequences.take(shuffled).values, series)


# -- in the estimators ------------------------------------------------------------------------

FOLDS = {
    "all": slice(None),
    "shuffled": next(KFold(3, shuffle=True, random_state=0).split(np.zeros(50)))[0],
    "with a hole": list(KFold(3).split(np.zeros(50)))[1][0],
    "in time order": list(TimeSeriesSplit(3).split(np.zeros(50)))[1][0],
    "the end": list(TimeSeriesSplit(3).split(np.zeros(50)))[1][1],
    "far apart": np.array([3, 20, 21, 45, 20, 3, 46, 4]),
}
LAST = TimeSeriesSplit(2)
REGRESSORS = {
    "plain": {},
    "held out": {"early_stopping": True},
    "held out in time order": {"early_stopping": True, "validation_split": LAST},
    "unscaled": {"standardize": False, "normalize_y": False},
    "one way": {"bidirectional": False, "pooling": "last"},
    "float32": {"dtype": "float32"},
}


def cut(series, fold):
    """Windows of a fold, with steps outside of it that nobody may look at."""
    series = series.copy()
    X, y = make_windows(series, 8, target=0, horizon=3)
    X, y = X[FOLDS[fold]], y[FOLDS[fold]]
    array = np.array(X)
    inside = np.zeros(len(series), dtype=bool)
    inside[X.starts[:, None] + np.arange(8)] = True
    series[~inside] = np.nan
    return X, array, y


def assert_same_model(one, other, rtol=1e-10):
    for a, b in zip(
        one.net_.module_.state_dict().values(),
        other.net_.module_.state_dict().values(),
        strict=True,
    ):
        assert_allclose(a, b, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("fold", FOLDS)
@pytest.mark.parametrize("variant", REGRESSORS)
def test_a_regressor_learns_and_predicts_the_same(series, fold, variant):
    X, array, y = cut(series, fold)
    one, other = (small(RNNRegressor, **REGRESSORS[variant]) for _ in range(2))
    one.fit(X, y)
    other.fit(array, y)
    rtol = 1e-5 if variant == "float32" else 1e-10
    assert_same_model(one, other, rtol)
    assert_allclose(one.predict(X), other.predict(array), rtol=rtol, atol=rtol)
    assert_allclose(one.predict(array), other.predict(X), rtol=rtol, atol=rtol)
    assert_allclose(one.transform(X), other.transform(array), rtol=rtol, atol=rtol)
    assert one.score(X, y) == pytest.approx(other.score(array, y), rel=10 * rtol)
    assert one.n_features_in_ == other.n_features_in_


@pytest.mark.parametrize("fold", FOLDS)
def test_weights_of_windows_are_weights_of_their_steps(series, fold):
    X, array, y = cut(series, fold)
    weight = np.random.default_rng(0).choice([0.0, 0.3, 1.0, 2.0], size=len(y))
    weight[0] = 1.0
    one, other = small(RNNRegressor), small(RNNRegressor)
    assert_same_model(one.fit(X, y, weight), other.fit(array, y, weight))
    one, other = small(RNNRegressor), small(RNNRegressor)
    for _ in range(2):
        one.partial_fit(X, y, weight)
        other.partial_fit(array, y, weight)
    assert_same_model(one, other)


@pytest.mark.parametrize("fold", FOLDS)
@pytest.mark.parametrize("params", [{}, {"early_stopping": True}, {"class_weight": "balanced"}])
def test_a_classifier_learns_and_predicts_the_same(series, fold, params):
    X, array, y = cut(series, fold)
    labels = np.where(y[:, 0] > np.median(y[:, 0]), "up", "down")
    one = small(RNNClassifier, **params).fit(X, labels)
    other = small(RNNClassifier, **params).fit(array, labels)
    assert_same_model(one, other)
    assert_allclose(one.predict_proba(X), other.predict_proba(array), rtol=1e-10)
    assert_array_equal(one.predict(X), other.predict(array))


@pytest.mark.parametrize("fold", FOLDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_targets_per_step_are_those_of_each_window(series, fold, weighted):
    X, array, _ = cut(series, fold)
    y = [window[:, 0] * 2 for window in array]
    rng = np.random.default_rng(0)
    weight = [rng.choice([0.0, 0.5, 1.0], size=8) for _ in y] if weighted else None
    params = {"return_sequences": True, "early_stopping": True}
    one = small(RNNRegressor, **params).fit(X, y, weight)
    other = small(RNNRegressor, **params).fit(array, y, weight)
    assert_same_model(one, other)
    assert_allclose(one.predict(X), other.predict(array), rtol=1e-10)
    assert one.score(X, y) == pytest.approx(other.score(array, y))
    # Targets may be windows themselves.
    if not weighted:
        targets = windows_at(np.asarray(X.series[:, 0] * 2), X.starts, 8)
        assert_same_model(small(RNNRegressor, **params).fit(X, targets), other)


@pytest.mark.parametrize("step", [1, 8, 11])
def test_windows_of_one_column_are_rows(step):
    steps = np.sin(np.arange(120.0))
    X, y = make_windows(steps, 8, step=step)
    array = np.array(X)
    one, other = small(RNNRegressor).fit(X, y), small(RNNRegressor).fit(array, y)
    assert_same_model(one, other)
    assert one.n_features_in_ == other.n_features_in_ == 8
    assert_allclose(one.predict(X), other.predict(array), rtol=1e-10)
    messages = []
    for model, wider in ((one, Windows(steps, 9)), (other, np.array(Windows(steps, 9)))):
        with pytest.raises(
            ValueError, match="9 features, but RNNRegressor is expecting 8"
        ) as caught:
            model.predict(wider)
        messages.append(str(caught.value))
    assert messages[0] == messages[1]
    folded = {"n_channels": 2}
    assert_same_model(
        small(RNNRegressor, **folded).fit(X, y), small(RNNRegressor, **folded).fit(array, y)
    )


@pytest.mark.parametrize("ids", [np.arange(1.0, 6), np.arange(5.0)], ids=["no zero", "padded"])
def test_windows_of_token_ids(ids):
    X, y = make_windows(np.random.default_rng(0).choice(ids, size=60), 6)
    array = np.array(X)
    params = {"embedding_dim": 2, "empty": "zero_state"}
    one = small(RNNRegressor, **params).fit(X, y)
    assert_same_model(one, small(RNNRegressor, **params).fit(array, y))
    assert_allclose(one.predict(X), one.predict(array), rtol=1e-10)


def messages_of(call, *inputs):
    texts = []
    for X in inputs:
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - what it says is compared
            call(X)
        texts.append(str(caught.value))
    return texts


def test_faults_are_found_where_the_array_has_them(series):
    X, y = make_windows(series, 8, target=0)
    X, y = X[::-3], y[::-3]
    for fault in (np.nan, np.inf):
        series[30:32, 1] = fault
        found, expected = messages_of(lambda X: small(RNNRegressor).fit(X, y), X, np.array(X))
        assert found == expected
        assert "sequence" in found
    found, expected = messages_of(
        small(RNNRegressor).fit(np.ones((9, 8, 2)), np.ones(9)).predict, X, np.array(X)
    )
    assert found == expected
    ids = np.ones(40)
    X, y = make_windows(ids, 5)
    for fault, params in ((1.5, {}), (-1, {}), (9, {"vocabulary_size": 4})):
        ids[17], ids[19] = fault, fault + 1
        model = small(RNNRegressor, embedding_dim=2, **params)
        found, expected = messages_of(lambda X, model=model: model.fit(X, y), X, np.array(X))
        assert found == expected
    found, expected = messages_of(lambda X: small(RNNRegressor).fit(X, []), X[[]], np.array(X[[]]))
    assert found == expected


def test_large_values_outside_the_windows_warn_of_nothing(series):
    X, y = make_windows(series, 8, target=0)
    series[:20], series[-10:] = 1e9, -1e9
    small(RNNRegressor, standardize=False).fit(X[20:35], y[20:35])
    with pytest.warns(UserWarning, match=r"values up to 1e\+09"):
        small(RNNRegressor, standardize=False).fit(X[20:], y[20:])


# -- in the transformers ----------------------------------------------------------------------

TRANSFORMERS = [
    SequenceScaler(),
    SequenceScaler("minmax", feature_range=(-1.0, 2.0)),
    SequenceScaler("robust"),
    SequenceScaler(per="sequence"),
    SequenceScaler("robust", per="sequence"),
    SequenceImputer(),
    SequenceImputer("mean", add_indicator=True, add_time_since=True),
    SequencePadder(max_length=5, truncating="pre"),
]


@pytest.mark.parametrize("fold", FOLDS)
@pytest.mark.parametrize("transformer", TRANSFORMERS, ids=str)
def test_a_transformer_learns_and_gives_the_same(series, fold, transformer):
    X, array, _ = cut(series, fold)
    found, expected = transformer.fit_transform(X), transformer.fit_transform(array)
    assert_allclose(found, expected, rtol=1e-10, atol=1e-12)
    shares = (
        not isinstance(transformer, SequencePadder)
        and getattr(transformer, "per", "") != "sequence"
    )
    assert isinstance(found, Windows) == shares


@pytest.mark.parametrize("fold", FOLDS)
@pytest.mark.parametrize("method", ["standard", "minmax", "robust"])
def test_a_scaler_counts_windows_by_their_weight(series, fold, method):
    X, array, y = cut(series, fold)
    weight = np.random.default_rng(0).integers(0, 3, size=len(y)).astype(float)
    weight[0] = 1.0
    one = SequenceScaler(method).fit(X, sample_weight=weight)
    other = SequenceScaler(method).fit(array, sample_weight=weight)
    assert_allclose(one.center_, other.center_, rtol=1e-10)
    assert_allclose(one.scale_, other.scale_, rtol=1e-10)
    back = one.inverse_transform(one.transform(X))
    assert isinstance(back, Windows)
    assert_allclose(back, array, rtol=1e-10, atol=1e-12)


def test_a_scaler_gives_rows_back_as_rows():
    X = Windows(np.arange(20.0), 4)
    scaler = SequenceScaler().fit(X)
    assert scaler.transform(X).shape == X.shape
    assert_allclose(scaler.inverse_transform(scaler.transform(X)), X)


def test_windows_become_a_long_table(series):
    X = Windows(series, 5)[::7]
    assert sequences_to_frame(X).equals(sequences_to_frame(np.array(X)))


# -- never the big array ----------------------------------------------------------------------


@pytest.fixture
def no_arrays(monkeypatch):
    """Let nobody turn windows of more than one step into an array."""
    as_array = Windows.__array__

    def refuse(*args, **kwargs):
        raise AssertionError("windows were copied")

    def refuse_long(self, dtype=None, copy=None):
        return as_array(self, dtype, copy) if self.window_length == 1 else refuse()

    monkeypatch.setattr(Windows, "__array__", refuse_long)
    monkeypatch.setattr(Sequences, "packed", refuse)
    monkeypatch.setattr(Sequences, "step_index", refuse)


@pytest.mark.usefixtures("no_arrays")
@pytest.mark.parametrize("dims", [2, 3])
def test_a_search_in_time_order_copies_no_windows(series, dims):
    X, y = make_windows(series if dims == 3 else series[:, 0], 8, target=0 if dims == 3 else None)
    weight = np.ones(len(y))
    model = small(RNNRegressor, early_stopping=True)
    pipe = make_pipeline(FunctionTransformer(), SequenceImputer(), SequenceScaler(), model)
    cv = TimeSeriesSplit(2, gap=7)
    search = GridSearchCV(pipe, {"rnnregressor__hidden_size": [2, 3]}, cv=cv, error_score="raise")
    search.fit(X, y, rnnregressor__sample_weight=weight)
    search.predict(X[5:])
    model.fit(X, y).predict_interval(X, coverage=0.5)
    model.partial_fit(X, y)
    labels = np.where(y > y.mean(), "up", "down")
    cross_val_score(small(RNNClassifier), X, labels, cv=KFold(3, shuffle=True), error_score="raise")


IN_LITTLE_MEMORY = """
import resource
from pathlib import Path
import numpy as np
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from skrnn import RNNRegressor
from skrnn.preprocessing import SequenceScaler, make_windows

model = RNNRegressor(hidden_size=2, max_time=0.2, early_stopping=False, random_state=0)
X, y = make_windows(np.sin(np.arange(200.0)), 20)
model.fit(X, y)  # loads what a first fit loads
series = np.random.default_rng(0).normal(size=(200_000, 4)).astype(np.float32)
X, y = make_windows(series, 1_000, target=0)
page_counts = Path("/proc/self/statm").read_text("utf-8").split()
used = int(page_counts[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, used + 2**30))
assert X.nbytes > 2 * 2**30
pipe = make_pipeline(SequenceScaler(), model)
search = GridSearchCV(
    pipe, {"rnnregressor__hidden_size": [1, 2]}, cv=TimeSeriesSplit(2, test_size=40, gap=9),
    refit=False, error_score="raise",
)
print(len(search.fit(X, y).cv_results_["params"]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says how much memory is in use")
def test_a_search_fits_where_the_array_would_not():
    run = subprocess.run(
        [sys.executable, "-c", IN_LITTLE_MEMORY], capture_output=True, text=True, cwd=ROOT
    )
    assert run.stdout.split() == ["2"], run.stderr
