"""Guard: a network is believed only where it is better than simpler forecasts."""

import numpy as np
import pytest

from skrnn._forecasting._guard import MEMBERS, PARTS, Guard, compare, error_scale

MODES = ("blend", "fallback", "off")
NETWORK = {"network": 1.0, "theta": 0.0, "seasonal_naive": 0.0}
NAIVE = {"network": 0.0, "theta": 0.0, "seasonal_naive": 1.0}


def tail(rng, n=200, horizon=4):
    """Return the truth and three forecasts of it that are all noise."""
    return rng.normal(size=(n, horizon)), members_of(*rng.normal(size=(3, n, horizon)))


def members_of(network, theta, naive):
    return {"network": network, "theta": theta, "seasonal_naive": naive}


def weigh(truth, members, mode, scale=None):
    return compare(truth, members, np.ones((len(truth), 1)) if scale is None else scale, mode)


def mixed(members, weights):
    return sum(weights[name] * members[name] for name in MEMBERS)


# --- weights -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_errors_are_mean_absolute_errors_on_the_scale_of_each_window(rng, mode):
    truth, members = tail(rng)
    scale = rng.uniform(0.5, 5.0, size=(len(truth), 1))
    guard = weigh(truth, members, mode, scale)
    for name in MEMBERS:
        expected = np.mean(np.abs(truth - members[name]) / scale)
        assert guard.errors[name] == pytest.approx(expected)
    blend = np.abs(truth - mixed(members, guard.weights)) / scale
    assert guard.errors["blend"] == pytest.approx(blend.mean())
    assert guard.n_windows == len(truth)
    assert guard.passed == (guard.errors["network"] <= guard.errors["seasonal_naive"])


@pytest.mark.parametrize("mode", MODES)
def test_weights_are_those_allowed_and_sum_to_one(rng, mode):
    for _ in range(50):
        truth, members = tail(rng, 6)
        guard = weigh(truth, members, mode)
        assert tuple(guard.weights) == MEMBERS
        assert sum(guard.weights.values()) == pytest.approx(1.0)
        parts = [weight * PARTS for weight in guard.weights.values()]
        assert parts == [round(part) for part in parts]
        assert min(parts) >= 0
        if mode == "fallback":
            assert guard.weights in (NETWORK, NAIVE)
        if mode == "off":
            assert guard.weights == NETWORK
        else:
            assert guard.errors["blend"] <= guard.errors["seasonal_naive"]


def test_no_other_blend_has_a_smaller_error(rng):
    truth, members = tail(rng)
    guard = weigh(truth, members, "blend")
    for i in range(PARTS + 1):
        for j in range(PARTS + 1 - i):
            weights = dict(zip(MEMBERS, (i / 4, j / 4, 1 - (i + j) / 4), strict=True))
            error = np.abs(truth - mixed(members, weights)).mean()
            assert guard.errors["blend"] <= error + 1e-12


@pytest.mark.parametrize("best", MEMBERS)
@pytest.mark.parametrize("mode", ["blend", "fallback"])
def test_the_clearly_best_forecast_wins(rng, mode, best):
    truth, members = tail(rng)
    members = {name: truth + (0.01 if name == best else 3) * e for name, e in members.items()}
    weights = weigh(truth, members, mode).weights
    if mode == "blend" or best != "theta":
        assert weights[best] == 1.0
    else:
        assert weights["theta"] == 0.0


@pytest.mark.parametrize("other", ["theta", "seasonal_naive"])
def test_opposite_errors_are_blended_but_never_by_fallback(rng, other):
    truth, members = tail(rng)
    error = members["network"]
    members = dict.fromkeys(MEMBERS, truth + 9) | {"network": truth + error, other: truth - error}
    weights = weigh(truth, members, "blend").weights
    assert weights["network"] == weights[other] == 0.5
    assert weigh(truth, members, "fallback").weights in (NETWORK, NAIVE)


@pytest.mark.parametrize("mode", ["blend", "fallback"])
def test_noise_is_seldom_believed(rng, mode):
    """A network no better than the naive forecast passes by chance: about one time in six."""
    believed = 0
    for _ in range(300):
        truth, members = tail(rng, 40, 1)
        naive = members["seasonal_naive"]
        # Blends of independent errors are truly better, so the errors are the same but for noise.
        network = naive + 0.05 * rng.normal(size=naive.shape)
        believed += weigh(truth, members_of(network, naive, naive), mode).weights["network"] > 0
    assert believed / 300 < 0.25


@pytest.mark.parametrize("mode", ["blend", "fallback"])
def test_one_lucky_window_among_few_is_not_believed(mode):
    naive, network = np.ones((12, 12)), np.ones((12, 12))
    network[3] = 0.0
    members = members_of(network, naive, naive)
    guard = compare(np.zeros((12, 12)), members, np.ones((12, 1)), mode, n_independent=2)
    assert guard.weights == NAIVE


@pytest.mark.parametrize("mode", ["blend", "fallback"])
def test_many_series_of_one_window_each_speak_for_more(mode):
    """A gain of 0.3 with a deviation of 1 is 2.3 standard errors of 60 windows, and 0.7 of 5."""
    gain = 0.3 + np.tile([-1.0, 1.0], 30)[:, None]
    truth, naive = np.zeros((60, 12)), np.full((60, 12), 9.0)
    members = members_of(naive - gain, naive, naive)
    many, few = (
        compare(truth, members, np.ones((60, 1)), mode, n_independent=n).weights["network"]
        for n in (60, 5)
    )
    assert many > 0.9
    assert few == 0.0


def test_few_windows_speak_for_less(rng):
    truth, members = tail(rng)
    members = {name: truth + (0.01 if name == "network" else 3) * e for name, e in members.items()}
    few, many = (
        compare(truth, members, np.ones((len(truth), 1)), "blend", n_independent=n).weights
        for n in (2, 1000)
    )
    assert 0.5 < few["network"] < many["network"] < 1.0
    assert sum(few.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("mode", ["blend", "fallback"])
def test_equal_forecasts_leave_the_naive_one(rng, mode):
    truth, members = tail(rng)
    naive = members["seasonal_naive"]
    assert weigh(truth, members_of(naive, naive, naive), mode).weights == NAIVE


@pytest.mark.parametrize("mode", MODES)
def test_f056_weights_ignore_the_unit(rng, mode):
    truth, members = tail(rng, 30)
    members["network"] = 0.5 * (truth + members["network"])
    found = [
        weigh(c * truth, {k: c * v for k, v in members.items()}, mode, np.full((30, 1), c)).weights
        for c in (1e-9, 1.0, 1e9)
    ]
    assert found[0] == found[1] == found[2]


# --- what does not count -----------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("whole", [False, True])
def test_f053_missing_steps_do_not_count(rng, mode, whole):
    truth, members = tail(rng, 40)
    missing = np.zeros(truth.shape, dtype=bool)
    missing[10:20, :: 1 if whole else 2] = True
    gappy = weigh(np.where(missing, np.nan, truth), members, mode)
    for name in MEMBERS:
        expected = np.abs(truth - members[name])[~missing].mean()
        assert gappy.errors[name] == pytest.approx(expected)
    if whole:
        rest = ~missing[:, 0]
        without = weigh(truth[rest], {k: v[rest] for k, v in members.items()}, mode)
        assert (gappy.weights, gappy.n_windows) == (without.weights, 30)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lacking", ["scale", "theta", "seasonal_naive"])
def test_f055_windows_without_scale_or_a_forecast_do_not_count(rng, mode, lacking):
    truth, members = tail(rng, 40)
    rest = np.arange(40) >= 10
    expected = weigh(truth[rest], {k: v[rest] for k, v in members.items()}, mode)
    scale = np.ones((40, 1))
    if lacking == "scale":
        scale[~rest] = 0.0
    else:
        members[lacking] = np.where(rest[:, None], members[lacking], np.nan)
    guard = weigh(truth, members, mode, scale)
    assert guard.weights == expected.weights
    assert guard.errors == pytest.approx(expected.errors)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("lacking", ["truth", "scale"])
def test_nothing_to_compare_leaves_the_network_alone(rng, mode, lacking):
    truth, members = tail(rng, 3)
    scale = np.full((3, 1), float(lacking != "scale"))
    guard = weigh(truth * (np.nan if lacking == "truth" else 1.0), members, mode, scale)
    assert guard == Guard()
    assert guard.weights == NETWORK
    assert guard.passed


def test_blend_is_the_weighted_mean(rng):
    _, members = tail(rng, 5)
    for weights in (NETWORK, NAIVE, {"network": 0.25, "theta": 0.5, "seasonal_naive": 0.25}):
        blended = Guard(weights).blend(members)
        np.testing.assert_allclose(blended, mixed(members, weights), atol=1e-12)


def test_the_network_stands_in_for_forecasts_there_are_not(rng):
    _, members = tail(rng, 5)
    members["seasonal_naive"][2] = np.nan
    blended = Guard(NAIVE).blend(members)
    np.testing.assert_array_equal(blended[2], members["network"][2])
    np.testing.assert_array_equal(blended[3], members["seasonal_naive"][3])
    blended[:] = 0.0
    assert bool((members["network"] != 0).all())


def test_the_scale_of_errors_is_that_of_mase(rng):
    x = rng.normal(size=(40, 2))
    x[rng.random(x.shape) < 0.1] = np.nan
    np.testing.assert_allclose(error_scale(x, 3), np.nanmean(np.abs(x[3:] - x[:-3]), axis=0))


def test_the_scale_of_errors_is_never_zero():
    season = np.tile([1.0, 2.0, 4.0], 5)[:, None]
    assert error_scale(season, 3)[0] == pytest.approx(np.abs(np.diff(season[:, 0])).mean())
    assert error_scale(np.ones((9, 1)), 3)[0] == 1
    assert error_scale(np.ones((2, 1)), 3)[0] == 1
