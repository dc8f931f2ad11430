"""Containers: whatever holds the sequences, they are the same sequences."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator

from skrnn._containers import to_sequences
from skrnn._sequences import Sequences
from skrnn._validation import validate_sequences

LENGTHS = (3, 1, 4)
NAMES = ("load", "speed")


class Reader(BaseEstimator):
    """Stands for any estimator."""


def arrays(n_features=2):
    rng = np.random.default_rng(0)
    # Quarters are exact in every float type.
    return [np.round(4 * rng.normal(size=(n, n_features))) / 4 for n in LENGTHS]


def objects(items):
    box = np.empty(len(items), dtype=object)
    box[:] = items
    return box


def padded(items, width=6):
    box = np.full((len(items), width, items[0].shape[1]), np.nan)
    for row, x in zip(box, items, strict=True):
        row[: len(x)] = x
    return box


def columns(items):
    return {name: [x[:, j].tolist() for x in items] for j, name in enumerate(NAMES)}


def object_matrix(items):
    box = np.empty((len(items), len(NAMES)), dtype=object)
    for i, x in enumerate(items):
        for j in range(len(NAMES)):
            box[i, j] = x[:, j]
    return box


MULTIVARIATE = {
    "list of arrays": list,
    "tuple of arrays": tuple,
    "list of nested lists": lambda items: [x.tolist() for x in items],
    "list of tuples": lambda items: [tuple(map(tuple, x)) for x in items],
    "list of float32": lambda items: [x.astype(np.float32) for x in items],
    "list of fortran arrays": lambda items: [np.asfortranarray(x) for x in items],
    "list of read-only arrays": lambda items: [np.broadcast_to(x, x.shape) for x in items],
    "list of object arrays": lambda items: [x.astype(object) for x in items],
    "list of tensors": lambda items: [torch.from_numpy(x) for x in items],
    "list of tensors with gradient": lambda items: [
        torch.from_numpy(x).requires_grad_() for x in items
    ],
    "list of frames": lambda items: [pd.DataFrame(x, columns=NAMES) for x in items],
    "list of nullable frames": lambda items: [
        pd.DataFrame(x, columns=NAMES).astype("Float64") for x in items
    ],
    "list of polars frames": lambda items: [pl.DataFrame(x, schema=NAMES) for x in items],
    "object array": objects,
    "series of arrays": pd.Series,
    "series of frames": lambda items: pd.Series([pd.DataFrame(x) for x in items]),
    "padded array": padded,
    "padded tensor": lambda items: torch.from_numpy(padded(items)),
    "pandas list columns": lambda items: pd.DataFrame(columns(items)),
    "pandas columns of arrays": lambda items: pd.DataFrame(
        {name: [x[:, j] for x in items] for j, name in enumerate(NAMES)}
    ),
    "pandas columns of series": lambda items: pd.DataFrame(
        {name: [pd.Series(x[:, j]) for x in items] for j, name in enumerate(NAMES)}
    ),
    "pandas arrow columns": lambda items: pd.DataFrame(columns(items)).astype(
        pd.ArrowDtype(pa.list_(pa.float64()))
    ),
    "polars list columns": lambda items: pl.DataFrame(columns(items)),
    "arrow list columns": lambda items: pa.table(columns(items)),
    "object matrix": object_matrix,
}

UNIVARIATE = {
    "list of arrays": lambda items: [x[:, 0] for x in items],
    "list of lists": lambda items: [x[:, 0].tolist() for x in items],
    "list of series": lambda items: [pd.Series(x[:, 0]) for x in items],
    "list of columns": list,
    "list of tensors": lambda items: [torch.from_numpy(x[:, 0]) for x in items],
    "object array": lambda items: objects([x[:, 0] for x in items]),
    "object array of lists": lambda items: objects([x[:, 0].tolist() for x in items]),
    "series of lists": lambda items: pd.Series([x[:, 0].tolist() for x in items]),
    "series of arrow lists": lambda items: pd.Series(
        [x[:, 0].tolist() for x in items], dtype=pd.ArrowDtype(pa.list_(pa.float64()))
    ),
    "polars series": lambda items: pl.Series([x[:, 0].tolist() for x in items]),
    "arrow array": lambda items: pa.array([x[:, 0].tolist() for x in items]),
    "arrow chunks": lambda items: pa.chunked_array([[x[:, 0].tolist() for x in items]]),
    "padded array": padded,
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", MULTIVARIATE)
def test_every_container_holds_the_same_sequences(name, dtype):
    expected = arrays()
    sequences = to_sequences(MULTIVARIATE[name](expected), "Reader", dtype)

    assert isinstance(sequences, Sequences)
    assert sequences.values.dtype == dtype
    assert_array_equal(sequences.lengths, LENGTHS)
    assert_array_equal(sequences.values, np.concatenate(expected))


@pytest.mark.parametrize("name", UNIVARIATE)
def test_every_container_of_one_feature(name):
    expected = arrays(1)
    sequences = to_sequences(UNIVARIATE[name](expected), "Reader", np.float64)
    assert_array_equal(sequences.lengths, LENGTHS)
    assert_array_equal(sequences.values, np.concatenate(expected))


@pytest.mark.parametrize(
    "name",
    [
        "list of frames",
        "list of nullable frames",
        "list of polars frames",
        "pandas list columns",
        "polars list columns",
        "arrow list columns",
        "pandas arrow columns",
    ],
)
def test_frames_bring_names(name):
    sequences = to_sequences(MULTIVARIATE[name](arrays()), "Reader", np.float64)
    assert sequences.feature_names == NAMES


@pytest.mark.parametrize("name", MULTIVARIATE)
def test_no_container_is_written_to(name):
    box = MULTIVARIATE[name](arrays())
    sequences = to_sequences(box, "Reader", np.float32)
    sequences.values[:] = 0.0
    again = to_sequences(box, "Reader", np.float32)
    assert_array_equal(again.values, np.concatenate(arrays()).astype(np.float32))


BLOCK = np.arange(24.0).reshape(4, 3, 2)


@pytest.mark.parametrize(
    "box",
    [
        BLOCK,
        BLOCK.tolist(),
        tuple(tuple(map(tuple, x)) for x in BLOCK),
        torch.from_numpy(BLOCK),
        BLOCK.astype(np.int32),
        BLOCK.astype(object),
    ],
    ids=["array", "nested lists", "nested tuples", "tensor", "integers", "objects"],
)
def test_blocks_of_equal_length(box):
    sequences = to_sequences(box, "Reader", np.float64)
    assert sequences.form == "padded"
    assert sequences.equal_length == 3
    assert_array_equal(sequences.to_padded(), BLOCK)


def test_a_block_of_the_right_type_is_not_copied():
    assert np.shares_memory(to_sequences(BLOCK, "Reader", np.float64).values, BLOCK)


@pytest.mark.parametrize(
    "matrix",
    [
        np.ones((3, 4)),
        [[1.0, 2.0], [3.0, 4.0]],
        torch.ones(3, 4),
        pd.DataFrame(np.ones((3, 4))),
        pl.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]}),
    ],
    ids=["array", "lists", "tensor", "pandas", "polars"],
)
def test_a_matrix_of_numbers_holds_one_univariate_sequence_per_row(matrix):
    sequences = validate_sequences(Reader(), matrix, reset=True)
    assert sequences.form == "rows"
    assert sequences.n_features == 1
    assert_array_equal(sequences.restore(), np.asarray(matrix))


def test_folded_rows_are_padded_blocks():
    box = padded(arrays(), width=5)
    folded = validate_sequences(Reader(), box.reshape(3, -1), reset=True, n_channels=2)
    assert_array_equal(folded.lengths, LENGTHS)
    assert_array_equal(folded.values, np.concatenate(arrays()))


def test_empty_sequences_take_the_width_of_the_others():
    sequences = to_sequences([np.empty(0), np.ones((2, 3)), []], "Reader", np.float64)
    assert_array_equal(sequences.lengths, [0, 2, 0])
    assert sequences.n_features == 3


def test_token_ids_end_with_their_last_nonzero():
    ids = [[5, 0, 3, 0, 0], [2, 2, 2, 2, 2], [4, 0, 0, 0, 0]]
    for box in (ids, np.array(ids), np.array(ids, dtype=np.float32), [[5, 0, 3], [2] * 5, [4]]):
        sequences = validate_sequences(Reader(), box, reset=True, tokens=True)
        assert sequences.values.dtype == np.int64
        assert_array_equal(sequences.lengths, [3, 5, 1])
        assert_array_equal(sequences.values[:, 0], [5, 0, 3, 2, 2, 2, 2, 2, 4])


@pytest.mark.parametrize(
    ("box", "error", "match"),
    [
        ([np.ones((2, 2)), np.ones((2, 3))], ValueError, "sequence 1 has 3 features, expected 2"),
        ([np.ones((2, 2, 2)), np.ones(2)], ValueError, "sequence 0 has 3 dimensions"),
        (["some text", "more"], TypeError, "SequenceTokenizer"),
        ([np.ones(2), "text"], TypeError, "text in sample 1"),
        ([np.array(["a", "b"]), np.ones(2)], ValueError, "must hold numbers"),
        ([np.array([1.0, "b"], dtype=object), np.ones(3)], ValueError, "not numbers"),
        ([np.ones(2) * 1j, np.ones(3)], ValueError, "Complex data not supported"),
        ([], ValueError, "minimum of 1 is required"),
        (np.empty((0, 3, 2)), ValueError, r"0 sample\(s\)"),
        (np.empty((3, 0, 2)), ValueError, "0 time steps"),
        (np.empty((3, 2, 0)), ValueError, r"0 feature\(s\)"),
        (np.full((2, 2, 2), "a"), ValueError, "must hold numbers"),
        (
            pd.DataFrame({"a": [[1.0, 2.0]], "b": [[1.0]]}),
            ValueError,
            "sequence 0 has features of different lengths",
        ),
        (
            pd.DataFrame({"a": [1.0, 2.0]}, index=pd.MultiIndex.from_tuples([(0, 0), (0, 1)])),
            TypeError,
            "sequences_from_frame",
        ),
        (
            [pd.DataFrame({"a": [1.0]}), pd.DataFrame({"b": [1.0]})],
            ValueError,
            "sequence 1 has columns",
        ),
    ],
)
def test_refusals(box, error, match):
    with pytest.raises(error, match=match):
        to_sequences(box, "Reader", np.float64)


@pytest.mark.parametrize(
    ("box", "match"),
    [
        ([[1.0, -3.0], [2.0]], "token id -3 in sequence 0"),
        ([[1.0], [2.0, 2.5]], "token id 2.5 in sequence 1"),
        (np.ones((2, 3, 2)), "one id per step, got 2"),
    ],
)
def test_what_is_no_token(box, match):
    with pytest.raises(ValueError, match=match):
        validate_sequences(Reader(), box, reset=True, tokens=True)


def test_columns_that_fold_into_no_channels():
    with pytest.raises(ValueError, match="no multiple of n_channels=3"):
        validate_sequences(Reader(), np.ones((2, 4)), reset=True, n_channels=3)
