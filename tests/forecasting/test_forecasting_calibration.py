"""Calibration: intervals hold what they promise on exchangeable data, and never cross."""

import numpy as np
import pytest
from scipy.special import ndtri

from skrnn._forecasting._calibration import ENOUGH_ERRORS, LEVELS, HorizonCalibration, in_order

MEDIAN = np.flatnonzero(LEVELS == 0.5)[0]


def predicted(n, horizon, spread=1.0, shift=0.0):
    """Return the quantiles of a normal distribution with this spread, the same for all windows."""
    return np.broadcast_to(shift + spread * ndtri(LEVELS), (n, horizon, len(LEVELS)))


def learn(truth, quantiles, scale=None):
    return HorizonCalibration.of(
        truth, quantiles, np.ones((len(truth), 1)) if scale is None else scale
    )


# --- coverage ----------------------------------------------------------------------------------


@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("draw", ["normal", "exponential", "standard_cauchy"])
def test_intervals_cover_exchangeable_data(rng, spread, draw):
    """Split conformal prediction: each tail misses at most its share, on average over samples."""
    n, repeats = 100, 300
    below, above = np.zeros(len(LEVELS)), np.zeros(len(LEVELS))
    for _ in range(repeats):
        sample = getattr(rng, draw)(size=(n + 50, 1))
        sample -= np.median(sample[:n])
        calibration = learn(sample[:n], predicted(n, 1, spread))
        # Without the sort, which only widens what the levels say one by one.
        moved = predicted(50, 1, spread) + calibration.shift
        missed = sample[n:, :, None] - moved
        below += (missed < 0).mean(axis=(0, 1)) / repeats
        above += (missed > 0).mean(axis=(0, 1)) / repeats
    inside = (1 / n < LEVELS) & (1 - 1 / n > LEVELS) & (LEVELS != 0.5)
    lower, upper = inside & (LEVELS < 0.5), inside & (LEVELS > 0.5)
    assert bool((below[lower] < LEVELS[lower] + 0.012).all())
    assert bool((above[upper] < 1 - LEVELS[upper] + 0.012).all())
    # And not by being endless: ranks are at most one off.
    assert bool((below[lower] > LEVELS[lower] - 1 / n - 0.012).all())
    assert bool((above[upper] > 1 - LEVELS[upper] - 1 / n - 0.012).all())


@pytest.mark.parametrize("n", [3, 19, 40, 200, 999])
def test_ranks_are_those_of_split_conformal_prediction(rng, n):
    truth = rng.normal(size=(n, 1))
    shift = learn(truth, np.zeros((n, 1, len(LEVELS)))).shift[0]
    ordered = np.sort(truth[:, 0])
    for level, moved in zip(LEVELS, shift, strict=True):
        if level == 0.5:
            continue
        below = int(np.floor(round((n + 1) * level, 6)))
        rank = below if level < 0.5 else n + 1 - int(np.floor(round((n + 1) * (1 - level), 6)))
        assert moved == ordered[min(max(rank, 1), n) - 1]


def test_right_quantiles_of_much_data_hardly_move(rng):
    n = 20_000
    shift = learn(rng.normal(size=(n, 2)), predicted(n, 2)).shift
    assert np.abs(shift).max() < 0.1


def test_the_median_stays(rng):
    shift = learn(5 + rng.normal(size=(50, 3)), predicted(50, 3)).shift
    assert bool((shift[:, MEDIAN] == 0).all())
    assert bool((shift[:, :MEDIAN] > 0).any())


def test_a_spread_of_its_own_for_every_step(rng):
    n, spread = 2 * ENOUGH_ERRORS, np.array([0.1, 1.0, 10.0])
    truth = rng.normal(size=(n, 3)) * spread
    shift = learn(truth, np.zeros((n, 3, len(LEVELS)))).shift
    for h in range(3):
        alone = learn(truth[:, h : h + 1], np.zeros((n, 1, len(LEVELS)))).shift[0]
        np.testing.assert_array_equal(shift[h], alone)


def test_steps_with_few_errors_share_those_of_their_neighbours(rng):
    n, horizon = 40, 6
    truth = rng.normal(size=(n, horizon))
    shift = learn(truth, np.zeros((n, horizon, len(LEVELS)))).shift
    # Three steps of 40 errors are enough together; at an end there are two on one side only.
    for h, near in ((0, slice(0, 3)), (2, slice(1, 4)), (5, slice(3, 6))):
        pooled = truth[:, near].reshape(-1, 1)
        alone = learn(pooled, np.zeros((len(pooled), 1, len(LEVELS)))).shift[0]
        np.testing.assert_array_equal(shift[h], alone)


def test_too_few_errors_for_all_are_pooled_over_the_horizon(rng):
    truth = rng.normal(size=(4, 5))
    shift = learn(truth, np.zeros((4, 5, len(LEVELS)))).shift
    np.testing.assert_array_equal(shift, np.broadcast_to(shift[0], shift.shape))


# --- units and missing values ------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1e-9, 1e9])
def test_f056_errors_are_kept_on_the_scale_of_their_window(rng, factor):
    n = 150
    unit = np.where(np.arange(n) % 2, 1.0, factor)[:, None]
    truth, quantiles = rng.normal(size=(n, 2)), predicted(n, 2)
    same = learn(truth, quantiles)
    mixed = learn(truth * unit, quantiles * unit[..., None], unit)
    np.testing.assert_allclose(mixed.shift, same.shift, rtol=1e-9, atol=1e-9)
    moved = mixed.apply(quantiles * factor, LEVELS, np.full((n, 1), factor), np.arange(2))
    expected = factor * same.apply(quantiles, LEVELS, np.ones((n, 1)), np.arange(2))
    np.testing.assert_allclose(moved, expected, rtol=1e-9)


def test_f053_missing_truth_does_not_count(rng):
    n = 2 * ENOUGH_ERRORS
    truth, quantiles = rng.normal(size=(n, 1)), predicted(n, 1)
    gappy = np.concatenate([truth, np.full((30, 1), np.nan)])
    more = predicted(n + 30, 1)
    np.testing.assert_array_equal(learn(gappy, more).shift, learn(truth, quantiles).shift)


def test_f055_constant_windows_do_not_count(rng):
    n = 2 * ENOUGH_ERRORS
    truth, quantiles = rng.normal(size=(n, 1)), predicted(n, 1)
    scale = np.ones((n + 30, 1))
    scale[n:] = 0.0
    more = np.concatenate([truth, np.full((30, 1), 1e9)])
    shift = learn(more, predicted(n + 30, 1), scale).shift
    np.testing.assert_array_equal(shift, learn(truth, quantiles).shift)


@pytest.mark.parametrize("truth", [np.full((5, 2), np.nan), np.empty((0, 2))])
def test_without_errors_nothing_moves(truth):
    assert bool((learn(truth, predicted(len(truth), 2)).shift == 0).all())


def test_windows_may_come_in_any_order(rng):
    truth, quantiles = rng.normal(size=(60, 4)), rng.normal(size=(60, 4, len(LEVELS)))
    order = rng.permutation(60)
    shuffled = learn(truth[order], quantiles[order])
    np.testing.assert_array_equal(shuffled.shift, learn(truth, quantiles).shift)


# --- applying ----------------------------------------------------------------------------------


@pytest.mark.parametrize("trial", range(10))
def test_f064_moved_quantiles_never_cross(trial):
    rng = np.random.default_rng(trial)
    calibration = learn(rng.normal(size=(30, 4)), np.sort(rng.normal(size=(30, 4, len(LEVELS)))))
    alpha = rng.uniform(0.001, 0.999, size=23)
    quantiles = rng.normal(size=(6, 4, 23))
    moved = calibration.apply(quantiles, alpha, rng.random((6, 1)), np.arange(4))
    assert bool((np.diff(moved[..., np.argsort(alpha)]) >= 0).all())


def test_known_levels_move_by_what_was_learned_and_others_by_less_than_their_neighbours(rng):
    calibration = learn(3 * rng.normal(size=(300, 2)), predicted(300, 2))
    at = predicted(1, 2)
    moved = calibration.apply(at, LEVELS, np.ones((1, 1)), np.arange(2)) - at
    np.testing.assert_allclose(moved[0], calibration.shift, atol=1e-12)
    between = (LEVELS[1:] + LEVELS[:-1]) / 2
    shift = calibration.apply(np.zeros((1, 2, 16)), between, np.ones((1, 1)), np.arange(2))[0]
    low = np.minimum(calibration.shift[:, 1:], calibration.shift[:, :-1])
    high = np.maximum(calibration.shift[:, 1:], calibration.shift[:, :-1])
    assert bool(((shift >= low - 1e-12) & (shift <= high + 1e-12)).all())


def test_levels_beyond_the_last_move_like_the_last(rng):
    calibration = learn(3 * rng.normal(size=(300, 1)), predicted(300, 1))
    moved = calibration.apply(
        np.zeros((1, 1, 2)), np.array([1e-6, 1 - 1e-6]), np.ones((1, 1)), np.arange(1)
    )
    np.testing.assert_allclose(moved[0, 0], calibration.shift[0, [0, -1]])


def test_steps_say_which_shift_is_meant(rng):
    calibration = learn(rng.normal(size=(200, 5)) * np.arange(1, 6), predicted(200, 5))
    every = calibration.apply(predicted(2, 5), LEVELS, np.ones((2, 1)), np.arange(5))
    some = calibration.apply(predicted(2, 2), LEVELS, np.ones((2, 1)), np.array([1, 4]))
    np.testing.assert_array_equal(some, every[:, [1, 4]])


def test_in_order_sorts_by_level_and_keeps_the_values(rng):
    values, alpha = rng.normal(size=(7, 3, 11)), rng.permutation(np.linspace(0.05, 0.95, 11))
    kept = values.copy()
    ordered = in_order(values, alpha)
    np.testing.assert_array_equal(values, kept)
    np.testing.assert_array_equal(np.sort(values), ordered[..., np.argsort(alpha)])
    np.testing.assert_array_equal(in_order(ordered, alpha), ordered)
    assert in_order(values[..., :0], alpha[:0]).shape == (7, 3, 0)
