"""Targets: labels and numbers find their way to the network and back."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import DataConversionWarning

from skrnn import _moments
from skrnn._moments import weighted_moments
from skrnn._sequences import Sequences
from skrnn._targets import (
    LabelEncoding,
    TargetScaling,
    check_labels,
    check_numbers,
    check_weights,
    split_steps,
)


@pytest.fixture
def sequences():
    """Three sequences of 2, 3 and 1 steps."""
    return Sequences.from_list([np.zeros((n, 2)) for n in (2, 3, 1)])


# -- labels -----------------------------------------------------------------------------------

LABELS = {
    "strings": np.array(["b", "a", "b"]),
    "objects": np.array(["b", "a", "b"], dtype=object),
    "integers": np.array([7, -3, 7]),
    "small integers": np.array([1, 0, 1], dtype=np.uint8),
    "booleans": np.array([True, False, True]),
    "whole floats": np.array([2.0, 1.0, 2.0]),
    "dates": np.array(["2020-01-02", "2020-01-01", "2020-01-02"], dtype="datetime64[D]"),
    "list": ["b", "a", "b"],
    "tuple": (1, 0, 1),
    "series": pd.Series([7, -3, 7], index=[9, 4, 4]),
    "string series": pd.Series(["b", "a", "b"], dtype="string"),
    "nullable series": pd.Series([1, 0, 1], dtype="Int64"),
    "categorical": pd.Categorical(["b", "a", "b"], categories=["b", "a", "unused"]),
    "categorical series": pd.Series(["b", "a", "b"], dtype="category"),
    "polars": pl.Series(["b", "a", "b"]),
}


@pytest.mark.parametrize("name", LABELS)
def test_labels_come_back(name, sequences):
    y = check_labels(LABELS[name], sequences, per_step=False)
    encoding = LabelEncoding.from_labels(y)
    codes = encoding.encode(y)

    assert_array_equal(codes, [1, 0, 1])
    assert_array_equal(encoding.decode(np.eye(2)[codes]), np.asarray(LABELS[name]))
    assert encoding.classes.dtype == y.dtype


@settings(derandomize=True, deadline=None, max_examples=50)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=20))
def test_codes_are_positions_among_the_sorted_labels(labels):
    y = np.array(labels)
    encoding = LabelEncoding.from_labels(y)
    assert_array_equal(encoding.classes, sorted(set(labels)))
    assert_array_equal(encoding.classes[encoding.encode(y)], y)


def test_labels_per_step_are_one_array(sequences):
    y = [["b", "a"], np.array(["long", "a", "b"]), pd.Series(["a"])]
    flat = check_labels(y, sequences, per_step=True)
    assert_array_equal(flat, ["b", "a", "long", "a", "b", "a"])
    for part, there in zip(split_steps(flat, sequences), y, strict=True):
        assert_array_equal(part, there)


def test_a_rectangle_of_labels_beside_padded_sequences():
    X = np.zeros((2, 4, 1))
    padded = Sequences.from_padded(X, np.array([4, 2]))
    flat = check_labels(np.array([[1, 2, 3, 4], [5, 6, -1, -1]]), padded, per_step=True)
    assert_array_equal(flat, [1, 2, 3, 4, 5, 6])


def test_indicators(sequences):
    y = check_labels(np.array([[1, 0], [0, 1], [1, 1]]), sequences, per_step=False)
    encoding = LabelEncoding.from_labels(y)
    assert encoding.multilabel
    assert_array_equal(encoding.encode(y), y)
    assert_array_equal(encoding.decode(np.array([[0.9, 0.2], [0.5, 0.6]])), [[1, 0], [0, 1]])
    with pytest.raises(ValueError, match="expected 2 indicator columns"):
        encoding.encode(np.zeros((3, 4)))


@pytest.mark.parametrize(
    ("classes", "label"),
    [(["a", "c"], "b"), (["a", "c"], "d"), ([0, 2], 1), ([0, 2], 9), ([0, 2], -1)],
)
def test_a_label_outside_the_classes_is_named(classes, label):
    with pytest.raises(ValueError, match=rf"class .*{label}.* is not in classes"):
        LabelEncoding(np.array(classes)).encode(np.array([classes[0], label]))


@pytest.mark.parametrize(
    ("classes", "y"),
    [(["a", "b"], [0, 1]), ([0, 1], ["a", "b"]), ([0, 1], np.array(["a", 1], dtype=object))],
)
def test_labels_of_another_type_are_outside_the_classes(classes, y):
    with pytest.raises(ValueError, match=r"is not in classes|mixed types"):
        LabelEncoding(np.array(classes)).encode(np.array(y))


def test_a_column_of_labels_is_flattened_with_a_warning(sequences):
    with pytest.warns(DataConversionWarning):
        y = check_labels(np.array([["b"], ["a"], ["b"]]), sequences, per_step=False)
    assert_array_equal(y, ["b", "a", "b"])


@pytest.mark.parametrize(
    ("y", "match"),
    [
        (None, "requires y to be passed"),
        ([1, 2], "inconsistent numbers of samples"),
        ([0.5, 1.5, 2.5], "Unknown label type"),
        ([0.0, np.nan, 1.0], "NaN"),
        (np.array(["a", None, "b"], dtype=object), "NaN at sample 1;"),
        (pd.Series(["a", pd.NA, "b"], dtype="string"), "NaN at sample 1;"),
        (pd.Categorical(["a", None, "b"]), "NaN at sample 1;"),
        (np.array([1j, 2, 3]), "[Cc]omplex"),
        (np.array([[1, 2], [3, 4], [5, 6]]), "indicator matrix"),
        (np.zeros((3, 2, 2), dtype=int), "1d array"),
    ],
)
def test_what_are_no_labels(y, match, sequences):
    with pytest.raises(ValueError, match=match):
        check_labels(y, sequences, per_step=False)


def test_labels_of_mixed_types(sequences):
    y = np.array(["a", 1, 2.5], dtype=object)
    with pytest.raises(ValueError, match=r"mixed types \['float', 'int', 'str'\]"):
        LabelEncoding.from_labels(check_labels(y, sequences, per_step=False))


@pytest.mark.parametrize(
    ("y", "match"),
    [
        ([0, 1, 0], r"y\[0\] is a single value"),
        ([[0, 1], [0, 1], [0]], r"y\[1\] has 2 labels for 3 steps"),
        ([[0, 1], [0, 1, 1]], "inconsistent numbers of samples"),
        (None, "requires y to be passed"),
    ],
)
def test_what_are_no_labels_per_step(y, match, sequences):
    with pytest.raises(ValueError, match=match):
        check_labels(y, sequences, per_step=True)


# -- numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "y",
    [
        [1, 2, 3],
        np.array([1.0, 2.0, 3.0], dtype=np.float32),
        pd.Series([1, 2, 3], dtype="Int64"),
        pl.Series([1, 2, 3]),
        np.array([1, 2, 3], dtype=object),
    ],
    ids=["list", "float32", "nullable", "polars", "objects"],
)
def test_numbers(y, sequences):
    checked = check_numbers(y, sequences, per_step=False)
    # Single precision is kept, not copied: it is computed with in double precision anyway.
    assert checked.dtype == (np.float32 if getattr(y, "dtype", None) == np.float32 else np.float64)
    assert_array_equal(checked, [1, 2, 3])


def test_several_numbers_per_sequence_and_per_step(sequences):
    y = np.arange(6.0).reshape(3, 2)
    assert_array_equal(check_numbers(pd.DataFrame(y), sequences, per_step=False), y)
    steps = [np.full((n, 2), n) for n in (2, 3, 1)]
    assert_array_equal(check_numbers(steps, sequences, per_step=True), np.concatenate(steps))


def test_a_column_of_numbers_is_flattened_with_a_warning(sequences):
    with pytest.warns(DataConversionWarning):
        assert check_numbers(np.ones((3, 1)), sequences, per_step=False).shape == (3,)


@pytest.mark.parametrize(
    ("y", "match"),
    [
        (None, "requires y to be passed"),
        ([1.0, 2.0], "inconsistent numbers of samples"),
        ([1.0, np.nan, 2.0], "y contains NaN"),
        ([1.0, np.inf, 2.0], "y contains infinity"),
        (pd.Series([1, pd.NA, 2], dtype="Int64"), "y contains NaN"),
    ],
)
def test_what_are_no_numbers(y, match, sequences):
    with pytest.raises(ValueError, match=match):
        check_numbers(y, sequences, per_step=False)


# -- weights ----------------------------------------------------------------------------------


def test_weights_of_sequences_count_for_all_their_steps(sequences):
    weight = [1.0, 0.0, 2.0]
    assert_array_equal(check_weights(weight, sequences, per_step=False), weight)
    assert_array_equal(check_weights(weight, sequences, per_step=True), [1, 1, 0, 0, 0, 2])


def test_weights_of_steps(sequences):
    steps = [[1, 2], [3, 0, 4], [5]]
    assert_array_equal(check_weights(steps, sequences, per_step=True), [1, 2, 3, 0, 4, 5])


def test_no_weights(sequences):
    assert check_weights(None, sequences, per_step=True) is None


@pytest.mark.parametrize(
    ("weight", "per_step", "match"),
    [
        ([1.0, -1.0, 1.0], False, "Negative values"),
        ([1.0, np.nan, 1.0], False, "NaN"),
        ([1.0, 1.0], False, "shape"),
        ([0.0, 0.0, 0.0], False, "zero"),
        ([[1, 1], [1, -1, 1], [1]], True, "Negative values"),
        ([[0, 0], [0, 0, 0], [0]], True, "all entries of sample_weight are zero"),
        ([[1, 1], [1, 1], [1]], True, r"has 2 weights for 3 steps"),
    ],
)
def test_what_are_no_weights(weight, per_step, match, sequences):
    with pytest.raises(ValueError, match=match):
        check_weights(weight, sequences, per_step=per_step)


# -- scaling ----------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 2, 7, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_integer_weight_is_a_repetition(block, dtype, monkeypatch):
    monkeypatch.setattr(_moments, "_BLOCK", block)
    rng = np.random.default_rng(0)
    values = rng.normal(3.0, 2.0, size=(23, 2)).astype(dtype)
    # Whole blocks without weight are among them.
    weight = rng.integers(0, 4, size=23)
    weight[:8] = 0
    repeated = np.repeat(values, weight, axis=0).astype(np.float64)

    mean, scale = weighted_moments(values, weight.astype(np.float64))
    assert_allclose(mean, repeated.mean(axis=0), rtol=1e-12)
    assert_allclose(scale, repeated.std(axis=0), rtol=1e-12)


@pytest.mark.parametrize("block", [1, 5, 1000])
def test_moments_without_weights_are_numpys(block, monkeypatch):
    monkeypatch.setattr(_moments, "_BLOCK", block)
    values = np.random.default_rng(0).normal(-1.0, 5.0, size=(17, 3))
    mean, scale = weighted_moments(values, None)
    assert_allclose(mean, values.mean(axis=0), rtol=1e-12)
    assert_allclose(scale, values.std(axis=0), rtol=1e-12)


def test_moments_far_from_zero():
    values = 1e9 + np.array([[0.0], [1.0], [2.0], [3.0]])
    mean, scale = weighted_moments(values, None)
    assert mean == 1e9 + 1.5
    assert_allclose(scale, np.std([0, 1, 2, 3]), rtol=1e-9)


@pytest.mark.parametrize("constant", [0.0, 5.0, -0.1, 1e-30, 1e30])
def test_a_constant_has_no_scale_and_comes_back_exactly(constant):
    y = np.full((11, 1), constant)
    scaling = TargetScaling.fit(y, np.linspace(0.1, 1, 11))
    assert scaling.scale == 0
    assert_allclose(scaling.transform(y), 0, atol=1e-12 * max(abs(constant), 1))
    assert_allclose(scaling.inverse(np.array([[-3.0], [7.0]])), constant, rtol=1e-12)


def test_scaling_comes_back():
    y = np.random.default_rng(0).normal([1, -20], [1e-3, 1e5], size=(50, 2))
    scaling = TargetScaling.fit(y, None)
    scaled = scaling.transform(y)
    assert_allclose(scaled.mean(axis=0), 0, atol=1e-12)
    assert_allclose(scaled.std(axis=0), 1)
    assert_allclose(scaling.inverse(scaled), y)


def test_no_scaling():
    y = np.ones((2, 3))
    assert_array_equal(TargetScaling.identity(3).transform(y), y)
    assert_array_equal(TargetScaling.identity(3).inverse(y), y)
