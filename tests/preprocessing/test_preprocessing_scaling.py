"""SequenceScaler: what it promises about its statistics, as laws."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skrnn.preprocessing import SequenceScaler

METHODS = ["standard", "minmax", "robust"]


def stacked(X: Any) -> np.ndarray:
    return np.vstack(list(X))


@pytest.mark.parametrize("per", ["dataset", "sequence"])
def test_what_each_method_promises(per: str, ragged: list[np.ndarray]) -> None:
    ragged = [x for x in ragged if len(x) > 3]

    def scaled(method: str, **more: Any) -> list[np.ndarray]:
        result = SequenceScaler(method, per=per, **more).fit_transform(ragged)
        return [stacked(result)] if per == "dataset" else result

    for x in scaled("standard"):
        np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(x.std(axis=0), 1, rtol=1e-12)
    for x in scaled("minmax", feature_range=(-2.0, 3.0)):
        np.testing.assert_allclose(x.min(axis=0), -2, rtol=1e-12)
        np.testing.assert_allclose(x.max(axis=0), 3, rtol=1e-12)
    for x in scaled("robust"):
        low, middle, high = np.quantile(
            x, [0.25, 0.5, 0.75], axis=0, method="averaged_inverted_cdf"
        )
        np.testing.assert_allclose(middle, 0, atol=1e-12)
        np.testing.assert_allclose(high - low, 1, rtol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("named", [False, True])
def test_inverse_transform_is_the_inverse(
    method: str, named: bool, ragged: list[np.ndarray]
) -> None:
    X: Any = [pd.DataFrame(x, columns=["a", "b", "c"]) for x in ragged] if named else ragged
    scaler = SequenceScaler(method, feature_range=(-1.0, 4.0)).fit(X)
    back = scaler.inverse_transform(scaler.transform(X))
    for got, expected in zip(back, ragged, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_inverse_transform_of_rows_and_boxes(method: str, rng: np.random.Generator) -> None:
    rows = pd.DataFrame(rng.normal(size=(5, 4)), columns=list("abcd"))
    scaler = SequenceScaler(method).fit(rows)
    np.testing.assert_allclose(scaler.inverse_transform(scaler.transform(rows)), rows, atol=1e-12)
    box = rng.normal(size=(3, 4, 2))
    box[1, 2:] = np.nan
    scaler = SequenceScaler(method).fit(box)
    np.testing.assert_allclose(scaler.inverse_transform(scaler.transform(box)), box, atol=1e-12)
    with pytest.raises(ValueError, match="X has 3 features, but SequenceScaler is expecting 2"):
        scaler.inverse_transform(np.zeros((2, 4, 3)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("per", ["dataset", "sequence"])
def test_units_do_not_matter(method: str, per: str, ragged: list[np.ndarray]) -> None:
    factor, shift = np.array([1e-6, 2.0, 1e6]), np.array([0.0, -5.0, 1e3])
    expected = SequenceScaler(method, per=per).fit_transform(ragged)
    other_units = [x * factor + shift for x in ragged]
    got = SequenceScaler(method, per=per).fit_transform(other_units)
    np.testing.assert_allclose(stacked(got), stacked(expected), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_weight_two_is_seen_twice_and_weight_zero_is_unseen(
    method: str, ragged: list[np.ndarray], rng: np.random.Generator
) -> None:
    weight = rng.integers(0, 4, size=len(ragged))
    repeated = [x for x, w in zip(ragged, weight, strict=True) for _ in range(w)]
    weighted = SequenceScaler(method).fit(ragged, sample_weight=weight)
    seen = SequenceScaler(method).fit(repeated)
    np.testing.assert_allclose(weighted.center_, seen.center_, rtol=1e-12)
    np.testing.assert_allclose(weighted.scale_, seen.scale_, rtol=1e-12)


def test_zero_and_negative_weights_are_refused(ragged: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match=r"(?i)weights.*zero"):
        SequenceScaler().fit(ragged, sample_weight=np.zeros(len(ragged)))
    with pytest.raises(ValueError, match="Negative values"):
        SequenceScaler().fit(ragged, sample_weight=-np.ones(len(ragged)))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("per", ["dataset", "sequence"])
@pytest.mark.parametrize("constant", [0.0, 0.1, -7.3e9, 1e-300])
def test_f016_a_constant_feature_becomes_zero(
    method: str, per: str, constant: float, ragged: list[np.ndarray]
) -> None:
    X = [np.column_stack([x[:, 0], np.full(len(x), constant)]) for x in ragged]
    scaler = SequenceScaler(method, per=per).fit(X)
    assert np.all(stacked(scaler.transform(X))[:, 1] == 0)
    if per == "dataset":
        assert scaler.scale_[1] == 1
        assert scaler.center_[1] == constant
        np.testing.assert_array_equal(
            stacked(scaler.inverse_transform(scaler.transform(X)))[:, 1], constant
        )


def test_f016_rounding_of_the_mean_does_not_show() -> None:
    X = [np.full((n, 1), 0.1) for n in range(1, 200)]
    result = SequenceScaler(per="sequence").fit_transform(X)
    assert all((x == 0).all() for x in result)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("per", ["dataset", "sequence"])
def test_missing_values_do_not_count_and_stay(
    method: str, per: str, ragged: list[np.ndarray]
) -> None:
    X = [np.vstack([x, x[:1]]) for x in ragged]
    for x in X:
        x[-1] = np.nan
    got = SequenceScaler(method, per=per).fit_transform(X)
    expected = SequenceScaler(method, per=per).fit_transform(ragged)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a[:-1], b, rtol=1e-12, atol=1e-12)
        assert np.isnan(a[-1]).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("per", ["dataset", "sequence"])
def test_a_feature_without_observations_stays_missing(method: str, per: str) -> None:
    X = [np.array([[1.0, np.nan], [2.0, np.nan], [4.0, np.nan]])]
    result = SequenceScaler(method, per=per).fit_transform(X)[0]
    assert np.isfinite(result[:, 0]).all()
    assert np.isnan(result[:, 1]).all()


def test_per_sequence_is_the_dataset_of_one_sequence(ragged: list[np.ndarray]) -> None:
    for method in METHODS:
        got = SequenceScaler(method, per="sequence").fit_transform(ragged)
        for a, x in zip(got, ragged, strict=True):
            np.testing.assert_allclose(a, SequenceScaler(method).fit_transform([x])[0], atol=1e-12)


def test_per_sequence_has_no_inverse(ragged: list[np.ndarray]) -> None:
    scaler = SequenceScaler(per="sequence").fit(ragged)
    assert not hasattr(scaler, "inverse_transform")
    assert hasattr(SequenceScaler(), "inverse_transform")
    # scikit-learn states the refusal and raises it from the reason.
    with pytest.raises(AttributeError, match="has no attribute 'inverse_transform'") as caught:
        _ = scaler.inverse_transform
    assert "cannot undo" in str(caught.value.__cause__)


@pytest.mark.parametrize("ends", [(1.0, 0.0), (1.0, 1.0), (0.0, 1.0, 2.0), (float("nan"), 1.0)])
def test_feature_range_must_increase(ends: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="minimum < maximum"):
        SequenceScaler("minmax", feature_range=ends).fit([[[1.0], [2.0]], [[1.0]]])


def test_a_long_series_far_from_zero_keeps_its_digits(rng: np.random.Generator) -> None:
    x = rng.normal(size=(200_000, 1)) + 1e7
    scaler = SequenceScaler().fit([x])
    np.testing.assert_allclose(scaler.center_, x.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(scaler.scale_, x.std(axis=0), rtol=1e-9)


@given(
    st.lists(st.lists(st.integers(-9, 9), min_size=1, max_size=6), min_size=1, max_size=5),
    st.data(),
)
def test_quartiles_equal_numpy_on_repeated_values(rows: list[list[int]], data: Any) -> None:
    weight = data.draw(st.lists(st.integers(1, 4), min_size=len(rows), max_size=len(rows)))
    repeated = np.concatenate([row * w for row, w in zip(rows, weight, strict=True)])
    X = [np.array(row, dtype=float)[:, None] for row in rows]
    scaler = SequenceScaler("robust").fit(X, sample_weight=weight)
    low, middle, high = np.quantile(repeated, [0.25, 0.5, 0.75], method="averaged_inverted_cdf")
    assert scaler.center_[0] == middle
    assert scaler.scale_[0] == (high - low or 1)
