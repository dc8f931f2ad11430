"""The transformers keep scikit-learn's contract, and one of their own for containers."""

import hashlib
import os
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from skrnn.preprocessing import (
    SequenceImputer,
    SequencePadder,
    SequenceScaler,
    SequenceTokenizer,
    SlidingWindow,
)

NEIGHBOURS = "a row's window holds the rows before it, so order and neighbours matter"
EXPECTED_FAILURES = {
    "SlidingWindow": {
        "check_methods_sample_order_invariance": NEIGHBOURS,
        "check_methods_subset_invariance": NEIGHBOURS,
    }
}

OF_SEQUENCES = [
    SequencePadder(),
    SequencePadder("pre", max_length=3, truncating="pre", value=0.0),
    SequenceScaler(),
    SequenceScaler("minmax", feature_range=(-1.0, 1.0)),
    SequenceScaler("robust"),
    SequenceScaler(per="sequence"),
    SequenceScaler("minmax", per="sequence"),
    SequenceScaler("robust", per="sequence"),
    SequenceImputer(),
    SequenceImputer("interpolate", add_indicator=True),
    SequenceImputer("mean", add_time_since=True),
    SequenceImputer("constant", fill_value=-1.0, add_indicator=True, add_time_since=True),
]
ALL = [*OF_SEQUENCES, SlidingWindow(), SlidingWindow(1)]


def steps_of(X: Any) -> list[np.ndarray]:
    """Rows of each sequence, padding left out."""
    rows = [np.asarray(x).reshape(len(x), -1) for x in X]
    kept = [np.flatnonzero(~np.isnan(x).all(axis=1)) for x in rows]
    return [x[: k[-1] + 1] if len(k) else x[:0] for x, k in zip(rows, kept, strict=True)]


def assert_same(got: Any, expected: Any, **tolerance: float) -> None:
    assert len(got) == len(expected)
    for a, b in zip(steps_of(got), steps_of(expected), strict=True):
        np.testing.assert_allclose(a, b, **({"rtol": 1e-12, "atol": 1e-12} | tolerance))


def padded(X: list[np.ndarray], width: int = 11) -> np.ndarray:
    box = np.full((len(X), width, X[0].shape[1]), np.nan)
    for row, x in zip(box, X, strict=True):
        row[: len(x)] = x
    return box


def object_array(X: list[np.ndarray]) -> np.ndarray:
    array = np.empty(len(X), dtype=object)
    array[:] = X
    return array


def list_columns(X: list[np.ndarray]) -> dict[str, list[list[float]]]:
    return {f"c{j}": [x[:, j].tolist() for x in X] for j in range(X[0].shape[1])}


CONTAINERS: dict[str, Callable[[list[np.ndarray]], Any]] = {
    "tuple": tuple,
    "object array": object_array,
    "Series": lambda X: pd.Series(list(X)),
    "nested lists": lambda X: [x.tolist() for x in X],
    "tensors": lambda X: [torch.from_numpy(x) for x in X],
    "frames": lambda X: [pd.DataFrame(x, columns=["a", "b", "c"]) for x in X],
    "pandas list columns": lambda X: pd.DataFrame(list_columns(X)),
    "polars list columns": lambda X: pl.DataFrame(list_columns(X)),
    "pyarrow list columns": lambda X: pa.table(list_columns(X)),
    "padded": padded,
}


@pytest.mark.parametrize("transformer", ALL, ids=str)
def test_every_check_of_scikit_learn_passes(transformer: Any) -> None:
    name = type(transformer).__name__
    reads_neighbours = getattr(transformer, "window_length", 1) > 1
    expected = EXPECTED_FAILURES.get(name, {}) if reads_neighbours else {}
    results = check_estimator(
        transformer, on_fail=None, on_skip=None, expected_failed_checks=expected
    )
    by_status: dict[str, set[str]] = {}
    for result in results:
        by_status.setdefault(result["status"], set()).add(result["check_name"])
    if os.environ.get("SCIPY_ARRAY_API") != "1":
        by_status.pop("skipped", None)
    assert by_status.pop("xfail", set()) == set(expected)
    assert set(by_status) == {"passed"}, by_status
    assert len(by_status["passed"]) > 35


@pytest.mark.parametrize("transformer", OF_SEQUENCES, ids=str)
@pytest.mark.parametrize("container", CONTAINERS)
def test_f028_every_container_means_the_same(
    transformer: Any, container: str, ragged: list[np.ndarray]
) -> None:
    expected = clone(transformer).fit(ragged).transform(ragged)
    X = CONTAINERS[container](ragged)
    got = clone(transformer).fit(X).transform(X)
    assert_same(got, expected)
    if not isinstance(transformer, SequencePadder):
        assert isinstance(got, np.ndarray if container == "padded" else list)
    if container == "padded" and isinstance(got, np.ndarray) and got.ndim == X.ndim:
        assert got.shape[0] == X.shape[0]


@pytest.mark.parametrize("transformer", OF_SEQUENCES, ids=str)
def test_a_sequence_does_not_depend_on_its_batch_mates(
    transformer: Any, ragged: list[np.ndarray]
) -> None:
    fitted = clone(transformer).fit(ragged)
    together = fitted.transform(ragged)
    alone = [fitted.transform([x])[0] for x in ragged]
    assert_same(alone, together, rtol=0, atol=0)


@pytest.mark.parametrize("transformer", OF_SEQUENCES, ids=str)
def test_f019_input_is_neither_written_nor_kept(transformer: Any, ragged: list[np.ndarray]) -> None:
    for x in ragged:
        x.setflags(write=False)
    box = padded(ragged)
    box.setflags(write=False)
    for X in (ragged, box, ragged[:1] * 3):
        before = hashlib.sha256(np.vstack([x.ravel()[:, None] for x in X]).tobytes()).digest()
        result = clone(transformer).fit(X).transform(X)
        after = hashlib.sha256(np.vstack([x.ravel()[:, None] for x in X]).tobytes()).digest()
        assert before == after
        assert not any(np.shares_memory(a, b) for a, b in zip(result, X, strict=True))
        assert all(part.flags.writeable for part in result)


@pytest.mark.parametrize("transformer", OF_SEQUENCES, ids=str)
@pytest.mark.parametrize(
    "layout",
    [np.asfortranarray, lambda x: x[::-1].copy()[::-1], lambda x: np.repeat(x, 2, axis=1)[:, ::2]],
    ids=["Fortran", "negative strides", "strided"],
)
def test_f020_memory_layout_is_irrelevant(
    transformer: Any, layout: Callable, ragged: list[np.ndarray]
) -> None:
    X = [layout(x) for x in ragged]
    expected = clone(transformer).fit(ragged).transform(ragged)
    assert_same(clone(transformer).fit(X).transform(X), expected, rtol=0, atol=0)


@pytest.mark.parametrize("transformer", OF_SEQUENCES, ids=str)
def test_f017_number_types_mean_the_same(transformer: Any, rng: np.random.Generator) -> None:
    X = [rng.integers(0, 2, size=(n, 2)) for n in (3, 5, 2)]
    expected = clone(transformer).fit(X).transform(X)
    for dtype in (bool, np.int8, np.float16, np.float32):
        converted = [x.astype(dtype) for x in X]
        assert_same(clone(transformer).fit(converted).transform(converted), expected, atol=1e-6)
    nullable = [pd.DataFrame(x, columns=["a", "b"]).astype("Float64") for x in X]
    assert_same(clone(transformer).fit(nullable).transform(nullable), expected)


@pytest.mark.parametrize("transformer", ALL, ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floating_types_are_kept(transformer: Any, dtype: type, rng: np.random.Generator) -> None:
    X = rng.normal(size=(6, 12)).astype(dtype)
    assert clone(transformer).fit(X).transform(X).dtype == dtype
    if not isinstance(transformer, SlidingWindow):
        result = clone(transformer).fit(list(X)).transform(list(X))
        assert all(x.dtype == dtype for x in result)


@pytest.mark.parametrize("transformer", OF_SEQUENCES, ids=str)
def test_f027_renamed_or_reordered_features_are_refused(
    transformer: Any, ragged: list[np.ndarray]
) -> None:
    frames = [pd.DataFrame(x, columns=["a", "b", "c"]) for x in ragged]
    fitted = clone(transformer).fit(frames)
    assert list(fitted.feature_names_in_) == ["a", "b", "c"]
    for names in (["a", "b", "d"], ["b", "a", "c"]):
        with pytest.raises(ValueError, match="feature names should match"):
            fitted.transform([frame.set_axis(names, axis=1) for frame in frames])


@pytest.mark.parametrize("transformer", OF_SEQUENCES, ids=str)
def test_f009_another_number_of_features_is_refused(
    transformer: Any, ragged: list[np.ndarray]
) -> None:
    fitted = clone(transformer).fit(ragged)
    with pytest.raises(ValueError, match=r"X has 2 features, but .* is expecting 3 features"):
        fitted.transform([x[:, :2] for x in ragged])


@pytest.mark.parametrize("transformer", OF_SEQUENCES, ids=str)
def test_f013_infinity_is_refused_with_its_place(
    transformer: Any, ragged: list[np.ndarray]
) -> None:
    ragged[4][1, 2] = np.inf
    with pytest.raises(ValueError, match=r"infinity .* sequence 4, step 1, feature 2"):
        clone(transformer).fit(ragged)


@pytest.mark.parametrize("transformer", OF_SEQUENCES, ids=str)
def test_f002_an_empty_sequence_stays_empty(transformer: Any, ragged: list[np.ndarray]) -> None:
    X = [*ragged, np.empty((0, 3))]
    result = clone(transformer).fit(X).transform(X)
    if not isinstance(transformer, SequencePadder):
        assert len(result[-1]) == 0
    assert_same(result[:-1], clone(transformer).fit(ragged).transform(ragged))


@pytest.mark.parametrize("transformer", [SequencePadder(), SequenceScaler()], ids=str)
def test_f004_only_empty_sequences_are_refused(transformer: Any) -> None:
    with pytest.raises(ValueError, match="all 2 sequences are empty"):
        transformer.fit([np.empty((0, 3)), np.empty((0, 3))])


@pytest.mark.parametrize("transformer", ALL, ids=str)
def test_clone_pickle_and_set_params(transformer: Any, rng: np.random.Generator) -> None:
    X = rng.normal(size=(7, 15))
    fitted = clone(transformer).fit(X)
    expected = fitted.transform(X)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(X), expected)
    copied = clone(fitted)
    with pytest.raises(NotFittedError):
        copied.transform(X)
    again = type(transformer)().set_params(**transformer.get_params())
    np.testing.assert_array_equal(again.fit(X).transform(X), expected)


@pytest.mark.parametrize("transformer", ALL, ids=str)
def test_global_pandas_output_leaves_sequences_alone(
    transformer: Any, rng: np.random.Generator
) -> None:
    assert not hasattr(transformer, "set_output")
    with sklearn.config_context(transform_output="pandas"):
        assert isinstance(clone(transformer).fit_transform(rng.normal(size=(4, 12))), np.ndarray)


def test_tags_tell_the_truth(rng: np.random.Generator) -> None:
    X = rng.normal(size=(5, 6))
    X[2, 3] = np.nan
    for transformer in ALL:
        if transformer.__sklearn_tags__().input_tags.allow_nan:
            clone(transformer).fit(X).transform(X)
        else:
            with pytest.raises(ValueError, match="contains NaN"):
                clone(transformer).fit(X)


def test_they_chain_on_ragged_lists(ragged: list[np.ndarray]) -> None:
    ragged[3][0, 1] = np.nan
    chain = make_pipeline(SequenceScaler(), SequenceImputer(add_indicator=True), SequencePadder())
    result = chain.fit_transform(ragged)
    assert result.shape == (len(ragged), max(map(len, ragged)), 6)
    assert chain.transform(ragged[:2]).shape[1:] == result.shape[1:]
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(chain)).transform(ragged[:2]), chain.transform(ragged[:2])
    )


def test_text_to_padded_ids_in_a_pipeline() -> None:
    chain = make_pipeline(SequenceTokenizer(), SequencePadder(value=0))
    ids = chain.fit_transform(["the cat sat", "the dog"])
    np.testing.assert_array_equal(ids[:, :, 0], [[2, 3, 5], [2, 4, 0]])
    np.testing.assert_array_equal(chain.transform(["the dog barked"])[:, :, 0], [[2, 4, 1]])
