"""Laws of the window scaler: what it measures, and what cannot change it."""

import numpy as np
import pytest
import torch

from skrnn.nn import SCALINGS, WindowScaler, last_observed

NAN = float("nan")
MEASURES = [("last", 1), ("last", 3), ("mean", 1), ("instance", 1), ("none", 1)]


def holey(rng, n=6, steps=12):
    """Return windows with holes, one of them empty and one with a single value."""
    past = torch.from_numpy(rng.normal(5.0, 2.0, size=(n, steps)))
    past[torch.from_numpy(rng.random((n, steps)) < 0.3)] = NAN
    past[0] = NAN
    past[1] = NAN
    past[1, 4] = 3.5
    return past


def seen_differences(x, lag):
    return [abs(x[t] - x[t - lag]) for t in range(lag, len(x)) if np.isfinite(x[t] - x[t - lag])]


def by_hand(x, kind, period):
    """Location and scale of one window by their definition."""
    seen = [v for v in x if np.isfinite(v)]
    if kind == "none":
        return 0.0, 1.0
    if not seen:
        return 0.0, 0.0
    if kind == "mean":
        return 0.0, np.mean(np.abs(seen))
    if kind == "instance":
        return np.mean(seen), np.std(seen)
    changes = seen_differences(x, period) or seen_differences(x, 1)
    return seen[-1], (np.mean(changes) if changes else 0.0) + np.std(seen) / 10


@pytest.mark.parametrize(("kind", "period"), MEASURES)
def test_measures_are_those_of_the_definition(rng, kind, period):
    past = holey(rng)
    location, scale = WindowScaler(kind, period)(past)
    assert location.shape == scale.shape == (len(past), 1)
    expected = np.array([by_hand(x, kind, period) for x in past.numpy()])
    np.testing.assert_allclose(torch.cat([location, scale], 1), expected, rtol=1e-12, atol=1e-12)


def test_every_kind_is_measured_above():
    assert {kind for kind, _ in MEASURES} == set(SCALINGS)


@pytest.mark.parametrize(("kind", "period"), MEASURES[:4])
@pytest.mark.parametrize("factor", [1e-6, 3.0, 1e12])
def test_f056_measures_follow_the_unit(rng, kind, period, factor):
    past, scaler = holey(rng), WindowScaler(kind, period)
    location, scale = scaler(past)
    torch.testing.assert_close(scaler(past * factor), (location * factor, scale * factor))


@pytest.mark.parametrize("kind", ["last", "instance"])
@pytest.mark.parametrize("shift", [-7.0, 1e6])
def test_f056_location_follows_the_level_and_scale_ignores_it(rng, kind, shift):
    past, scaler = holey(rng)[1:], WindowScaler(kind)
    location, scale = scaler(past)
    moved, same = scaler(past + shift)
    torch.testing.assert_close(moved, location + shift)
    torch.testing.assert_close(same, scale, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("kind", "period"), MEASURES)
def test_nothing_before_the_start_changes_nothing(rng, kind, period):
    past, scaler = holey(rng), WindowScaler(kind, period)
    longer = torch.cat([torch.full((len(past), 5), NAN), past], dim=1)
    for a, b in zip(scaler(past), scaler(longer), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", ["last", "instance"])
def test_f055_constant_windows_have_scale_zero(kind):
    _, scale = WindowScaler(kind, 2)(torch.full((3, 7), 1.25, dtype=torch.float64))
    assert bool((scale == 0).all())


def test_an_exact_season_keeps_a_scale():
    season = torch.tensor([0.0, 4.0, -1.0], dtype=torch.float64).repeat(4)[None]
    _, scale = WindowScaler("last", 3)(season)
    assert scale.item() == pytest.approx(season.std(unbiased=False).item() / 10)


@pytest.mark.parametrize(("kind", "period"), MEASURES[:4])
def test_least_scale_is_a_floor(rng, kind, period):
    past, scaler = holey(rng), WindowScaler(kind, period)
    location, scale = scaler(past)
    least = torch.linspace(0, 5, len(past), dtype=torch.float64)
    same, floored = scaler(past, least)
    assert torch.equal(same, location)
    assert torch.equal(floored, scale.maximum(least[:, None]))


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_a_window_no_longer_than_a_season_uses_single_steps(steps):
    past = torch.arange(float(steps))[None] * 2
    _, scale = WindowScaler("last", 4)(past)
    change = 2.0 if steps > 1 else 0.0
    assert scale.item() == pytest.approx(change + past.std(unbiased=False).item() / 10)


def test_two_values_no_season_apart_fall_back_to_single_steps():
    past = torch.tensor([[NAN, NAN, NAN, NAN, 1.0, 4.0]])
    _, scale = WindowScaler("last", 3)(past)
    assert scale.item() == pytest.approx(3.0 + 1.5 / 10)


def test_last_observed_equals_a_loop(rng):
    past = holey(rng, n=20)
    expected = [next((v for v in reversed(x) if np.isfinite(v)), 0.0) for x in past.tolist()]
    assert last_observed(past).flatten().tolist() == expected


def test_windows_do_not_meet(rng):
    past, scaler = holey(rng), WindowScaler("last", 3)
    together = torch.cat(scaler(past), 1)
    alone = torch.cat([torch.cat(scaler(past[i : i + 1]), 1) for i in range(len(past))])
    assert torch.equal(together, alone)


@pytest.mark.parametrize(("kind", "period"), [("max", 1), ("last", 0), ("last", -2)])
def test_unknown_kinds_and_periods_are_refused(kind, period):
    with pytest.raises(ValueError, match="must be"):
        WindowScaler(kind, period)
