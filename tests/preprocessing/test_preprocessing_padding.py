"""SequencePadder: fills, cuts, and gives back what an estimator reads as the same sequences."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator

from skrnn._validation import validate_sequences
from skrnn.preprocessing import SequencePadder

X = [np.array([[1.0], [2.0], [3.0]]), np.array([[4.0]])]


def test_an_estimator_reads_the_same_sequences_back(ragged: list[np.ndarray]) -> None:
    padded = SequencePadder(max_length=20).fit_transform(ragged)
    assert padded.shape == (len(ragged), 20, 3)
    read = validate_sequences(BaseEstimator(), padded, reset=True)
    for got, expected in zip(read, ragged, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("padding", "truncating", "expected"),
    [
        ("post", "post", [[1, 2], [4, 0]]),
        ("post", "pre", [[2, 3], [4, 0]]),
        ("pre", "post", [[1, 2], [0, 4]]),
        ("pre", "pre", [[2, 3], [0, 4]]),
    ],
)
def test_sides(padding: str, truncating: str, expected: list[list[int]]) -> None:
    padder = SequencePadder(padding, max_length=2, truncating=truncating, value=0)
    np.testing.assert_array_equal(padder.fit_transform(X)[:, :, 0], expected)


def test_padding_before_and_after_are_mirror_images(ragged: list[np.ndarray]) -> None:
    post = SequencePadder(value=0, max_length=5).fit_transform(ragged)
    mirrored = [x[::-1] for x in ragged]
    pre = SequencePadder("pre", truncating="pre", value=0, max_length=5).fit_transform(mirrored)
    np.testing.assert_array_equal(pre, post[:, ::-1])


@pytest.mark.parametrize("value", [None, float("nan")])
def test_nan_in_front_is_refused(value: float | None) -> None:
    with pytest.raises(ValueError, match=r"padding='pre' needs a number.*value=0\.0"):
        SequencePadder("pre", value=value).fit(X)


def test_nan_may_be_asked_for_by_name() -> None:
    np.testing.assert_array_equal(
        SequencePadder(value=np.nan).fit_transform(X), SequencePadder().fit_transform(X)
    )


def test_length_is_learned_and_longer_sequences_warn() -> None:
    padder = SequencePadder().fit(X)
    assert padder.max_length_ == 3
    assert padder.transform(X[1:]).shape == (1, 3, 1)
    with pytest.warns(UserWarning, match="1 of 2 sequences are longer than the 3 time steps"):
        cut = padder.transform([np.ones((5, 1)), np.ones((2, 1))])
    assert cut.shape == (2, 3, 1)


def test_a_chosen_length_cuts_silently() -> None:
    assert SequencePadder(max_length=1).fit_transform(X).shape == (2, 1, 1)


def test_padding_is_idempotent(ragged: list[np.ndarray]) -> None:
    once = SequencePadder().fit_transform(ragged)
    np.testing.assert_array_equal(SequencePadder().fit_transform(once), once)


def test_missing_values_stay() -> None:
    X = [np.array([[1.0], [np.nan], [2.0]]), np.array([[np.nan], [4.0]])]
    padded = SequencePadder().fit_transform(X)[:, :, 0]
    np.testing.assert_array_equal(padded, [[1.0, np.nan, 2.0], [np.nan, 4.0, np.nan]])
    padded = SequencePadder("pre", value=0.0).fit_transform(X)[:, :, 0]
    np.testing.assert_array_equal(padded, [[1.0, np.nan, 2.0], [0.0, np.nan, 4.0]])


def test_ends_without_a_value_become_filling_with_a_warning() -> None:
    X = [np.ones((3, 2)), np.array([[1.0, 1.0], [np.nan, np.nan], [np.nan, 2.0]])]
    assert np.isnan(SequencePadder().fit_transform(X)[1, 1]).all()
    with pytest.warns(UserWarning, match="sequence 1 ends with a step without a value, .* 1 of 2"):
        SequencePadder(max_length=2).fit_transform(X)
    assert SequencePadder(max_length=2, truncating="pre").fit_transform(X).shape == (2, 2, 2)
    filled = SequencePadder(max_length=2, value=0.0).fit_transform(X)
    assert np.isnan(filled[1, 1]).all()
