"""SequenceImputer: compared with pandas sequence by sequence, and constructed gaps."""

import numpy as np
import pandas as pd
import pytest

from skrnn.preprocessing import SequenceImputer

NAN = np.nan


@pytest.fixture
def gappy(ragged: list[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Return the ragged sequences with half of their values missing."""
    for x in ragged:
        x[rng.random(x.shape) < 0.5] = NAN
    return ragged


def test_forward_equals_pandas(gappy: list[np.ndarray]) -> None:
    mean = np.nanmean(np.vstack(gappy), axis=0)
    for got, x in zip(SequenceImputer().fit_transform(gappy), gappy, strict=True):
        expected = pd.DataFrame(x).ffill().fillna(pd.Series(mean))
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_interpolate_equals_pandas(gappy: list[np.ndarray]) -> None:
    mean = np.nanmean(np.vstack(gappy), axis=0)
    for got, x in zip(SequenceImputer("interpolate").fit_transform(gappy), gappy, strict=True):
        expected = pd.DataFrame(x).interpolate(limit_direction="both").fillna(pd.Series(mean))
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


def test_mean_and_constant(gappy: list[np.ndarray]) -> None:
    mean = np.nanmean(np.vstack(gappy), axis=0)
    imputer = SequenceImputer("mean").fit(gappy)
    np.testing.assert_allclose(imputer.mean_, mean, rtol=1e-12)
    constant = SequenceImputer("constant", fill_value=-3.0).fit_transform(gappy)
    for a, b, x in zip(imputer.transform(gappy), constant, gappy, strict=True):
        np.testing.assert_allclose(a, np.where(np.isnan(x), mean, x), rtol=1e-12)
        np.testing.assert_array_equal(b, np.where(np.isnan(x), -3.0, x))


@pytest.mark.parametrize("strategy", ["forward", "interpolate", "mean", "constant"])
def test_observed_values_are_untouched_and_nothing_is_missing(
    strategy: str, gappy: list[np.ndarray]
) -> None:
    for got, x in zip(SequenceImputer(strategy).fit_transform(gappy), gappy, strict=True):
        assert np.isfinite(got).all()
        np.testing.assert_array_equal(got[~np.isnan(x)], x[~np.isnan(x)])


def test_forward_never_looks_ahead(gappy: list[np.ndarray]) -> None:
    imputer = SequenceImputer(add_indicator=True, add_time_since=True).fit(gappy)
    for x in gappy:
        whole = imputer.transform([x])[0]
        for t in range(1, len(x)):
            np.testing.assert_array_equal(imputer.transform([x[:t]])[0], whole[:t])


def test_indicator_and_time_since_last_observation() -> None:
    X = [np.array([[NAN, 1.0], [5.0, NAN], [NAN, NAN], [NAN, 2.0]])]
    result = SequenceImputer(add_indicator=True, add_time_since=True).fit_transform(X)[0]
    np.testing.assert_array_equal(result[:, :2], [[5, 1], [5, 1], [5, 1], [5, 2]])
    np.testing.assert_array_equal(result[:, 2:4], [[1, 0], [0, 1], [1, 1], [1, 0]])
    np.testing.assert_array_equal(result[:, 4:], [[1, 0], [0, 1], [1, 2], [2, 0]])


def test_padding_of_a_box_stays_padding_and_gaps_are_filled() -> None:
    box = np.array([[[1.0], [NAN], [3.0], [NAN]], [[4.0], [5.0], [NAN], [NAN]]])
    result = SequenceImputer().fit_transform(box)[:, :, 0]
    np.testing.assert_array_equal(result, [[1, 1, 3, NAN], [4, 5, NAN, NAN]])


def test_every_step_of_a_list_counts() -> None:
    result = SequenceImputer().fit_transform([np.array([1.0, NAN]), np.array([2.0])])
    np.testing.assert_array_equal(result[0].ravel(), [1, 1])


def test_rows_are_filled_to_their_end_and_gain_a_third_axis() -> None:
    rows = np.array([[1.0, NAN, 3.0, NAN], [NAN, 5.0, 7.0, 8.0]])
    np.testing.assert_array_equal(
        SequenceImputer().fit_transform(rows), [[1, 1, 3, 3], [24 / 5, 5, 7, 8]]
    )
    result = SequenceImputer(add_time_since=True).fit_transform(rows)
    assert result.shape == (2, 4, 2)
    np.testing.assert_array_equal(result[:, :, 1], [[0, 1, 0, 1], [1, 0, 0, 0]])


def test_a_feature_never_observed_is_named() -> None:
    frame = pd.DataFrame({"speed": [1.0, 2.0], "depth": [NAN, NAN]})
    with pytest.raises(ValueError, match="feature 'depth' has no observed value"):
        SequenceImputer().fit([frame])
    filled = SequenceImputer("constant", fill_value=9.0).fit_transform([frame])[0]
    np.testing.assert_array_equal(filled, [[1, 9], [2, 9]])


def test_a_sequence_never_observed_takes_the_training_mean() -> None:
    for strategy in ("forward", "interpolate"):
        imputer = SequenceImputer(strategy).fit([[[1.0], [3.0]], [[5.0]]])
        np.testing.assert_array_equal(imputer.transform([[[NAN], [NAN]], [[5.0]]])[0], [[3], [3]])
