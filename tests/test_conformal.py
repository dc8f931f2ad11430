"""Calibration: intervals hold what they promise, whatever the head believes."""

from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import norm

from skrnn._conformal import Residuals
from skrnn._numpy.calibration import MAX_VALUES, values_needed


class PointHead:
    """Knows a point only: the raw value."""

    def predict(self, raw):
        return raw


class OverconfidentHead:
    """Believes in a normal distribution a third as wide as the true one."""

    def quantiles(self, raw, alpha):
        return raw[..., None] + torch.from_numpy(norm.ppf(alpha)) / 3


def column(values):
    return torch.tensor(values, dtype=torch.float64).reshape(-1, 1)


def shift(errors, alpha):
    """Move of the calibrated quantiles of a head that predicts 0."""
    residuals = Residuals(column(np.zeros(len(errors))), column(errors))
    return residuals.quantiles(PointHead(), column([0.0]), np.asarray(alpha))[0, 0]


# -- the formula ------------------------------------------------------------------------------

NINE = [4.0, -1.0, 7.0, 0.0, 2.0, -5.0, 9.0, 3.0, -2.0]
# Sorted: -5 -2 -1 0 2 3 4 7 9; the a-quantile of 9 values is number 10 a of them.


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [(0.1, -5), (0.2, -2), (0.4, 0), (0.5, 2), (0.6, 3), (0.8, 7), (0.9, 9)],
)
def test_the_quantile_is_an_order_statistic(alpha, expected):
    assert shift(NINE, [alpha]) == expected


@pytest.mark.parametrize(
    ("alpha", "expected"), [(0.25, -2), (0.39, -1), (0.41, 0), (0.55, 3), (0.61, 4), (0.75, 7)]
)
def test_between_two_errors_it_is_the_outer_one(alpha, expected):
    assert shift(NINE, [alpha]) == expected


@pytest.mark.parametrize(("alpha", "expected"), [(0.01, -5), (0.99, 9)])
def test_beyond_the_errors_it_is_the_extreme_one(alpha, expected):
    assert shift(NINE, [alpha]) == expected


@pytest.mark.parametrize("percent", [1, 3, 5, 10, 33, 50, 60, 75, 95, 99])
def test_the_fewest_values_reach_the_level_with_one_of_themselves(percent):
    alpha = Fraction(percent, 100)

    def is_one_of(n_values):
        rank = (n_values + 1) * alpha
        return floor(rank) >= 1 if alpha < Fraction(1, 2) else ceil(rank) <= n_values

    needed = values_needed(np.array([percent / 100]))
    assert is_one_of(needed)
    assert not any(is_one_of(n_values) for n_values in range(needed))


@pytest.mark.parametrize(("coverage", "needed"), [(0.5, 3), (0.8, 9), (0.9, 19), (0.99, 199)])
def test_the_fewest_values_for_a_coverage(coverage, needed):
    levels = np.array([(1 - coverage) / 2, 0.5, (1 + coverage) / 2])
    assert values_needed(levels) == needed == round(2 / (1 - coverage)) - 1


def test_one_error_moves_every_level():
    assert_array_equal(shift([3.0], [0.05, 0.5, 0.95]), 3.0)


def test_shifts_add_to_what_the_head_predicts():
    residuals = Residuals(column([10.0, 20.0, 30.0]), column([11.0, 19.0, 30.5]))
    bounds = residuals.quantiles(PointHead(), column([100.0, 200.0]), np.array([0.25, 0.5, 0.75]))
    # Errors -1, 0.5, 1.
    assert_allclose(bounds[:, 0], [[99.0, 100.5, 101.0], [199.0, 200.5, 201.0]])


def test_every_output_has_its_own_errors():
    target = torch.tensor([[1.0, -100.0], [2.0, 0.0], [3.0, 100.0]], dtype=torch.float64)
    residuals = Residuals(torch.zeros(3, 2, dtype=torch.float64), target)
    bounds = residuals.quantiles(
        PointHead(), torch.zeros(1, 2, dtype=torch.float64), np.array([0.25, 0.75])
    )
    assert_array_equal(bounds[0], [[1, 3], [-100, 100]])


# -- laws -------------------------------------------------------------------------------------

LEVELS = np.array([0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95])


@pytest.mark.parametrize("n_values", [1, 2, 5, 19, 100])
def test_levels_are_in_order_however_they_are_asked_for(n_values):
    rng = np.random.default_rng(n_values)
    raw = column(rng.normal(size=n_values))
    # Errors of the upper levels say that they are far too high, those of the lower too low.
    residuals = Residuals(raw, raw + column(0.01 * rng.normal(size=n_values)))
    new = column(rng.normal(size=6))
    bounds = residuals.quantiles(OverconfidentHead(), new, LEVELS)
    assert bounds.shape == (6, 1, 7)
    assert (np.diff(bounds) >= 0).all()
    shuffled = rng.permutation(7)
    assert_array_equal(
        residuals.quantiles(OverconfidentHead(), new, LEVELS[shuffled]), bounds[..., shuffled]
    )


@pytest.mark.parametrize("head", [PointHead(), OverconfidentHead()])
def test_wider_coverage_holds_the_narrower(head):
    rng = np.random.default_rng(0)
    residuals = Residuals(column(rng.normal(size=40)), column(rng.standard_cauchy(size=40)))
    raw = column(rng.normal(size=5))
    coverages = np.array([0.2, 0.5, 0.8, 0.9, 0.99])
    alpha = np.concatenate([(1 - coverages) / 2, (1 + coverages) / 2])
    lower, upper = np.split(residuals.quantiles(head, raw, alpha)[:, 0], 2, axis=-1)
    assert (np.diff(lower) <= 0).all()
    assert (np.diff(upper) >= 0).all()
    assert (lower <= upper).all()


@pytest.mark.parametrize("head", [PointHead(), OverconfidentHead()], ids=["point", "quantiles"])
@pytest.mark.parametrize(("n_values", "coverage"), [(19, 0.9), (39, 0.9), (30, 0.8), (60, 0.5)])
def test_exchangeable_data_are_covered(head, n_values, coverage):
    rng = np.random.default_rng(0)
    alpha = np.array([(1 - coverage) / 2, (1 + coverage) / 2])
    hits = []
    for _ in range(600):
        raw = column(rng.normal(size=n_values + 20))
        # Skewed noise, which the head does not expect.
        target = raw + column(rng.exponential(size=n_values + 20) - 0.2)
        residuals = Residuals(raw[:n_values], target[:n_values])
        lower, upper = residuals.quantiles(head, raw[n_values:], alpha)[:, 0].T
        truth = target[n_values:, 0].numpy()
        hits.append(((lower <= truth) & (truth <= upper)).mean())
    margin = 4 * np.std(hits) / np.sqrt(len(hits))
    assert np.mean(hits) >= coverage - margin
    # The outward rounding costs at most one error on either side.
    assert np.mean(hits) <= coverage + 2 / (n_values + 1) + margin


@pytest.mark.parametrize("alpha", [0.1, 0.3, 0.5, 0.8])
def test_one_sided_levels_hold_on_their_side(alpha):
    rng = np.random.default_rng(0)
    below = []
    for _ in range(600):
        errors = rng.gumbel(size=45)
        below.append(errors[25:] <= shift(errors[:25], [alpha]))
    share, margin = np.mean(below), 4 * np.std(np.mean(below, axis=1)) / np.sqrt(600)
    if alpha < 0.5:
        assert alpha - 1 / 26 - margin <= share <= alpha + margin
    else:
        assert alpha - margin <= share <= alpha + 1 / 26 + margin


def test_at_most_so_many_errors_are_kept():
    raw = column(np.arange(3.0 * MAX_VALUES))
    kept = Residuals.draw(raw, 2 * raw, np.random.default_rng(0))
    assert len(kept.raw) == MAX_VALUES
    assert len(np.unique(kept.raw)) == MAX_VALUES
    assert_array_equal(kept.target, 2 * kept.raw)
    few = Residuals.draw(raw[:5], raw[:5], np.random.default_rng(0))
    assert_array_equal(few.raw, raw[:5])
