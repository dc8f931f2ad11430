"""Sizes: what "auto" stands for keeps its documented bounds."""

import numpy as np
import pytest

from skrnn._forecasting import _sizes

PERIODS = [1, 2, 3, 4, 5, 7, 12, 13, 24, 25, 52, 60, 96, 168, 240]


@pytest.mark.parametrize(("horizon", "patch"), [(1, 4), (6, 6), (13, 13), (48, 24)])
def test_without_a_season_a_patch_is_a_horizon(horizon, patch):
    assert _sizes.patch_length(1, horizon) == patch


@pytest.mark.parametrize("period", [period for period in PERIODS if period > 1])
def test_patches_are_seasons_or_whole_parts_of_them(period):
    patch = _sizes.patch_length(period, 6)
    assert 4 <= patch <= 24
    if 4 <= period <= 24:
        assert patch == period
    parts = [n for n in range(4, 25) if period % n == 0]
    assert patch == max(parts, default=4)


@pytest.mark.parametrize("period", PERIODS)
@pytest.mark.parametrize("horizon", [1, 6, 12, 48, 336])
@pytest.mark.parametrize("median", [12, 30, 144, 10_000])
def test_windows_are_whole_patches_within_their_bounds(period, horizon, median):
    patch = _sizes.patch_length(period, 6)
    window = _sizes.window_length(horizon, period, np.array([1, median, median + 9]), patch)
    assert window % patch == 0
    # The last patch may reach over a bound.
    wanted = min(max((8 if period == 1 else 3.5) * horizon, 3 * period, 12), 720)
    assert window < min(wanted, median / 2) + patch
    assert window >= min(wanted, median / 2)


def test_windows_grow_with_the_horizon_and_the_median_length():
    by_horizon = [_sizes.window_length(h, 12, np.array([1000]), 12) for h in range(1, 60)]
    by_data = [_sizes.window_length(24, 12, np.array([n]), 12) for n in range(1, 400)]
    assert by_horizon == sorted(by_horizon)
    assert by_data == sorted(by_data)
    lengths = np.array([5, 60, 60, 60, 100_000])
    assert _sizes.window_length(24, 12, lengths, 12) == _sizes.window_length(
        24, 12, lengths[1:4], 12
    )


@pytest.mark.parametrize("n_series", [1, 4, 100])
@pytest.mark.parametrize("horizon", [1, 12, 400])
def test_tails_hold_a_horizon_or_a_share_but_never_more_than_a_third(n_series, horizon):
    lengths = np.arange(1, 1 + n_series) * 37 % 501
    tails = _sizes.tail_lengths(lengths, horizon)
    assert tails.dtype == np.int64
    assert bool((tails <= lengths / 3).all())
    share = 0.2
    third = np.floor(lengths / 3)
    assert bool((tails >= np.minimum(horizon, third)).all())
    assert bool((tails >= np.minimum(share * lengths, third)).all())
    assert bool((tails <= np.maximum(horizon, np.ceil(share * lengths))).all())


def test_a_series_gives_a_fifth_or_a_horizon():
    assert _sizes.tail_lengths(np.array([500]), 12).tolist() == [100]
    assert _sizes.tail_lengths(np.full(100, 500), 120).tolist() == [120] * 100


def test_no_series_no_tail():
    assert _sizes.tail_lengths(np.array([], dtype=int), 12).tolist() == []
    assert _sizes.tail_lengths(np.array([0, 1, 2]), 12).tolist() == [0, 0, 0]


@pytest.mark.parametrize("n_windows", [0, 1, 8, 127, 128, 1000, 10**7])
def test_batches_are_powers_of_two_and_an_eighth_of_the_windows(n_windows):
    size = _sizes.batch_size(n_windows)
    assert 16 <= size <= 256
    assert size & (size - 1) == 0
    if 16 < size < 256:
        assert size <= n_windows / 8 < 2 * size
