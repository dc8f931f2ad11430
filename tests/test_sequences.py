"""`Sequences`: what goes in comes out, in any order and in any form."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skrnn._containers import padded_lengths
from skrnn._sequences import Sequences


def numbered(lengths, n_features=2):
    """Arrays in which every value occurs once."""
    ends = np.cumsum(lengths)
    values = np.arange(sum(lengths) * n_features, dtype=np.float64).reshape(-1, n_features)
    return np.split(values, ends[:-1]) if len(lengths) else []


lengths_strategy = st.lists(st.integers(0, 7), min_size=1, max_size=12)
property_test = settings(derandomize=True, deadline=None, max_examples=60)


@property_test
@given(lengths_strategy, st.integers(1, 3))
def test_a_list_comes_back_as_it_went_in(lengths, n_features):
    arrays = numbered(lengths, n_features)
    sequences = Sequences.from_list(arrays)

    assert len(sequences) == len(arrays)
    assert_array_equal(sequences.lengths, lengths)
    assert sequences.n_features == n_features
    for i, (there, back) in enumerate(zip(arrays, sequences.to_list(), strict=True)):
        assert_array_equal(back, there)
        assert_array_equal(sequences[i], there)
    for there, back in zip(arrays, sequences.restore(), strict=True):
        assert_array_equal(back, there)


@property_test
@given(lengths_strategy, st.data())
def test_take_is_indexing_of_a_list(lengths, data):
    arrays = numbered(lengths)
    indices = np.array(
        data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=15)), dtype=np.int64
    )
    sequences = Sequences.from_list(arrays)
    taken = sequences.take(indices)

    assert len(taken) == len(indices)
    for i, x in zip(indices, taken, strict=True):
        assert_array_equal(x, arrays[i])
    assert_array_equal(sequences.values[sequences.step_index(indices)], taken.values)


@property_test
@given(lengths_strategy, st.data())
def test_two_takes_are_one(lengths, data):
    sequences = Sequences.from_list(numbered(lengths))
    index = st.integers(0, len(lengths) - 1)
    first = np.array(data.draw(st.lists(index, min_size=1, max_size=9)))
    second = np.array(data.draw(st.lists(st.integers(0, len(first) - 1), max_size=9)), dtype=int)

    twice, once = sequences.take(first).take(second), sequences.take(first[second])
    assert_array_equal(twice.values, once.values)
    assert_array_equal(twice.offsets, once.offsets)


@property_test
@given(st.lists(st.integers(1, 7), min_size=1, max_size=9), st.integers(0, 3))
def test_padding_and_back(lengths, extra):
    sequences = Sequences.from_list(numbered(lengths))
    width = max(lengths) + extra
    padded = sequences.to_padded(width)

    assert padded.shape == (len(lengths), width, 2)
    assert np.isnan(padded).sum() == 2 * (len(lengths) * width - sum(lengths))
    back = Sequences.from_padded(padded, padded_lengths(padded))
    assert_array_equal(back.values, sequences.values)
    assert_array_equal(back.offsets, sequences.offsets)
    assert_array_equal(back.restore(), padded)


@property_test
@given(lengths_strategy)
def test_padding_holds_the_fill_and_nothing_else(lengths):
    sequences = Sequences.from_list(numbered(lengths))
    padded = sequences.to_padded(8, fill=-1.0)
    for row, x in zip(padded, sequences, strict=True):
        assert_array_equal(row[: len(x)], x)
        assert (row[len(x) :] == -1).all()


def test_equal_lengths_are_used_without_a_copy():
    X = np.random.default_rng(0).normal(size=(4, 5, 3))
    sequences = Sequences.from_padded(X)
    assert np.shares_memory(sequences.values, X)
    assert np.shares_memory(sequences.to_padded(), X)
    assert np.shares_memory(sequences.restore(), X)
    assert np.shares_memory(sequences[2], X)


def test_full_lengths_mean_no_padding():
    X = np.ones((3, 4, 2))
    assert np.shares_memory(Sequences.from_padded(X, np.full(3, 4)).values, X)


def test_taking_copies():
    X = np.zeros((3, 4, 2))
    taken = Sequences.from_padded(X).take(np.array([0, 1, 2]))
    assert not np.shares_memory(taken.values, X)


def test_taking_nothing():
    taken = Sequences.from_list(numbered([3, 2])).take(np.array([], dtype=np.int64))
    assert len(taken) == 0
    assert taken.to_list() == []
    assert taken.n_features == 2
    assert taken.to_padded().shape == (0, 0, 2)


@pytest.mark.parametrize(
    ("lengths", "expected"), [([3, 3, 3], 3), ([3, 2], None), ([5], 5), ([0, 0], 0)]
)
def test_equal_length(lengths, expected):
    assert Sequences.from_list(numbered(lengths)).equal_length == expected


def test_rows_come_back_as_rows():
    X = np.arange(12.0).reshape(3, 4)
    rows = Sequences.from_lengths(X.reshape(-1, 1), np.full(3, 4), "rows", 4)
    assert_array_equal(rows.restore(), X)


def test_rows_that_gained_a_feature_come_back_in_three_dimensions():
    X = np.arange(12.0).reshape(3, 4)
    rows = Sequences.from_lengths(X.reshape(-1, 1), np.full(3, 4), "rows", 4)
    wide = rows.with_values(np.column_stack([rows.values, -rows.values]))
    assert_array_equal(wide.restore(), np.stack([X, -X], axis=2))


def test_names_stay_only_with_their_features():
    named = replace(Sequences.from_list([np.ones((3, 2))]), feature_names=("a", "b"))
    assert named.with_values(np.zeros((3, 2))).feature_names == ("a", "b")
    assert named.with_values(np.zeros((3, 1))).feature_names is None
    assert named.take(np.array([0])).feature_names == ("a", "b")


def test_a_padded_sequence_without_steps_keeps_its_place():
    X = np.full((3, 4, 2), np.nan)
    X[0], X[2, :2] = 1.0, 2.0
    sequences = Sequences.from_padded(X, padded_lengths(X))
    assert_array_equal(sequences.lengths, [4, 0, 2])
    assert_array_equal(sequences.restore(), X)


def test_only_trailing_steps_are_padding():
    X = np.ones((2, 5, 2))
    X[0, 0] = np.nan
    X[0, 3:] = np.nan
    X[1, 4, 0] = np.nan
    assert_array_equal(padded_lengths(X), [3, 5])


def test_without_trailing_nan_there_is_nothing_to_count():
    X = np.ones((2, 3, 1))
    X[0, 1] = np.nan
    assert padded_lengths(X) is None
    assert padded_lengths(np.ones((2, 3, 1), dtype=int)) is None
