"""Transform: there and back, and choices that follow the data and not their unit."""

import numpy as np
import pytest

from skrnn._forecasting._transform import SeriesTransform, learn_transform

T = np.arange(96)


def learn(*series, period=12, log="auto", deseasonalize="auto", first=None):
    first = np.zeros(len(series), dtype=int) if first is None else np.asarray(first)
    values = [x if x.ndim == 2 else x[:, None] for x in series]
    return learn_transform(values, first, period, log, deseasonalize)


def wave(period=12, n=96):
    return np.sin(2 * np.pi * np.arange(n) / period)


def multiplicative(rng):
    """Return a series that grows tenfold, and whose season and noise grow with it."""
    return np.exp(3 + T * np.log(10) / 96 + 0.3 * wave() + 0.05 * rng.normal(size=96))


def additive(rng):
    """Return a series that grows threefold, and whose season and noise stay."""
    return 100 + 2 * T + 20 * wave() + 3 * rng.normal(size=96)


# --- there and back ----------------------------------------------------------------------------


@pytest.mark.parametrize("log", [True, False, "auto"])
@pytest.mark.parametrize("deseasonalize", [True, False, "auto"])
@pytest.mark.parametrize("first", [0, 5, -31])
def test_back_is_the_inverse_of_forward(rng, log, deseasonalize, first):
    series = [multiplicative(rng), additive(rng) - 500, np.full(40, 2.5)]
    firsts = [first, first + 1, 0]
    transform = learn(*series, log=log, deseasonalize=deseasonalize, first=firsts)
    for i, x in enumerate(series):
        ticks = firsts[i] + np.arange(len(x))
        forward = transform.forward(x[:, None], i, ticks)
        back = transform.backward(forward.T, np.array([i]), np.array([0]), ticks[None])
        np.testing.assert_allclose(back[0], x, rtol=1e-12)


def test_quantiles_come_back_like_points(rng):
    x = np.stack([multiplicative(rng), additive(rng)], axis=1)
    transform = learn(x, first=[7])
    values = rng.normal(size=(2, 5, 3))
    ticks = np.array([[200, 201, 202, 203, 204], [-9, -8, -7, -6, -5]])
    which = np.zeros(2, dtype=int), np.array([0, 1])
    back = transform.backward(values, *which, ticks)
    for k in range(3):
        np.testing.assert_array_equal(
            back[..., k], transform.backward(values[..., k], *which, ticks)
        )


def test_columns_and_series_are_transformed_on_their_own(rng):
    a, b = multiplicative(rng), additive(rng)
    together = learn(np.stack([a, b], axis=1), np.stack([b, a], axis=1))
    assert together.log.tolist() == [[True, False], [False, True]]
    alone = learn(a), learn(b)
    for i in range(2):
        for j in range(2):
            np.testing.assert_array_equal(together.season[i, j], alone[(i + j) % 2].season[0, 0])
    forward = together.forward(np.stack([a, b], axis=1), 0, T)
    np.testing.assert_array_equal(forward[:, 0], alone[0].forward(a[:, None], 0, T)[:, 0])
    np.testing.assert_array_equal(forward[:, 1], alone[1].forward(b[:, None], 0, T)[:, 0])


def test_f053_missing_values_stay_missing(rng):
    x = multiplicative(rng)
    x[[0, 5, 50, 95]] = np.nan
    forward = learn(x, log=True).forward(x[:, None], 0, T)
    np.testing.assert_array_equal(np.isnan(forward[:, 0]), np.isnan(x))


def test_later_values_without_a_logarithm_become_missing(rng):
    transform = learn(multiplicative(rng))
    forward = transform.forward(np.array([[1.0], [0.0], [-2.0]]), 0, np.arange(3))
    assert np.isnan(forward[:, 0]).tolist() == [False, True, True]


def test_forecasts_never_overflow(rng):
    transform = learn(multiplicative(rng))
    back = transform.backward(np.array([[1e300, -1e300]]), *np.zeros((2, 1), int), T[None, :2])
    assert bool(np.isfinite(back).all())


# --- logarithm ---------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [1, 12])
def test_a_logarithm_is_taken_of_what_changes_by_shares(rng, period):
    for _ in range(20):
        assert learn(multiplicative(rng), period=period).log.item()
        assert not learn(additive(rng), period=period).log.item()


def test_a_logarithm_is_chosen_by_the_likelihood_of_box_and_cox(rng):
    """Compare with the definition: sums of squares of x and of log(x) times the geometric mean."""
    for _ in range(50):
        x = np.exp(rng.normal(scale=0.1, size=60).cumsum() + 1) + rng.uniform(0, 3)
        shares = np.exp(np.log(x).mean()) * (np.log(x[4:]) - np.log(x[:-4]))
        expected = np.square(shares).sum() < np.square(x[4:] - x[:-4]).sum()
        assert learn(x, period=4).log.item() == expected


@pytest.mark.parametrize("log", [True, "auto"])
def test_what_is_negative_or_often_zero_has_no_logarithm(rng, log):
    for low in ({3: -1.0}, {3: -1.0, 4: 0.0}, dict.fromkeys(range(0, 96, 10), 0.0)):
        x = multiplicative(rng)
        x[[*low]] = [*low.values()]
        assert not learn(x, log=log).log.item()
    assert not learn(np.zeros(96), log=log).log.item()


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_a_few_zeros_are_lifted_by_the_smallest_positive_value(rng, scale):
    x = scale * multiplicative(rng)
    x[[3, 40]] = 0
    x[50] = np.nan
    transform = learn(x, log=True, deseasonalize=False)
    assert transform.log.item()
    assert transform.offset.item() == np.nanmin(x[x > 0])
    forward = transform.forward(x[:, None], 0, T)
    np.testing.assert_allclose(forward[:, 0], np.log(x + transform.offset.item()))
    back = transform.backward(forward.T, *np.zeros((2, 1), int), T[None])
    np.testing.assert_allclose(back[0], x, rtol=1e-12, atol=1e-12 * scale)
    assert transform.backward(np.array([[-1e300]]), *np.zeros((2, 1), int), T[None, :1]).item() == 0


def test_counts_are_lifted_by_one(rng):
    x = rng.poisson(np.linspace(4, 40, 400))
    x[[5, 6]] = 0, 1
    assert learn(x, log=True).offset.item() == 1


def test_whether_a_few_zeros_are_lifted_is_chosen_by_the_likelihood_too(rng):
    walk = np.exp(rng.normal(scale=0.3, size=96).cumsum())
    smooth = 100 + rng.normal(size=96)
    for x, expected in ((np.rint(5 * walk / walk.min()) - 5, True), (smooth - smooth.min(), False)):
        assert x.min() == 0
        assert learn(x, period=1).log.item() == expected


def test_true_and_false_are_obeyed(rng):
    assert learn(additive(rng), log=True).log.item()
    assert not learn(multiplicative(rng), log=False).log.item()


# --- season ------------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [2, 3, 4, 7, 12])
@pytest.mark.parametrize("deseasonalize", [True, "auto"])
@pytest.mark.parametrize("first", [0, 1, 10, -5])
def test_an_exact_season_is_found_exactly(rng, period, deseasonalize, first):
    season = rng.normal(size=period)
    season -= season.mean()
    ticks = first + np.arange(6 * period + 1)
    x = 5 + 0.01 * ticks + season[ticks % period]
    found = learn(x, period=period, log=False, deseasonalize=deseasonalize, first=[first])
    np.testing.assert_allclose(found.season[0, 0], season, atol=1e-10)
    rest = found.forward(x[:, None], 0, ticks)[:, 0]
    np.testing.assert_allclose(np.diff(rest), 0.01, atol=1e-10)


def test_an_exact_multiplicative_season_is_found_in_the_logarithm():
    x = np.exp(1 + 0.02 * T + 0.4 * wave())
    found = learn(x)
    assert found.log.item()
    np.testing.assert_allclose(found.season[0, 0], 0.4 * wave(n=12), atol=1e-10)


@pytest.mark.parametrize("period", [4, 5])
def test_the_season_is_that_of_the_classical_decomposition(rng, period):
    """A centred moving average, half weights at both ends of an even season; means by phase."""
    x = rng.normal(size=43).cumsum()
    half = period // 2
    rest = {step: [] for step in range(period)}
    for t in range(half, len(x) - half):
        if period % 2:
            trend = x[t - half : t + half + 1].mean()
        else:
            ends = (x[t - half] + x[t + half]) / 2
            trend = (x[t - half + 1 : t + half].sum() + ends) / period
        rest[t % period].append(x[t] - trend)
    means = np.array([np.mean(rest[step]) for step in range(period)])
    found = learn(x, period=period, log=False, deseasonalize=True).season[0, 0]
    np.testing.assert_allclose(found, means - means.mean(), atol=1e-12)


def test_a_season_is_clear_by_the_test_of_the_m4_competition(rng):
    """Compare with its definition on series that are near the limit."""
    found = []
    for _ in range(100):
        x = rng.normal(size=60) + rng.uniform(0, 1) * wave(6, 60)
        change = np.diff(x) - np.diff(x).mean()
        acf = [np.dot(change[k:], change[:-k]) / np.dot(change, change) for k in range(1, 7)]
        limit = 1.645 * np.sqrt((1 + 2 * np.square(acf[:-1]).sum()) / len(x))
        season = learn(x, period=6, log=False).season
        assert (season != 0).any() == (acf[-1] > limit)
        found.append((season != 0).any())
    assert 5 <= sum(found) <= 95


def test_walks_without_a_season_keep_none(rng):
    walks = [rng.normal(size=120).cumsum() for _ in range(100)]
    with_season = (learn(*walks).season != 0).any(axis=(1, 2))
    assert with_season.mean() < 0.15


@pytest.mark.parametrize("n", [0, 1, 2, 12, 35])
@pytest.mark.parametrize("deseasonalize", [True, "auto"])
def test_fewer_than_three_seasons_say_nothing(n, deseasonalize):
    x = 5 + wave(n=n)
    assert bool((learn(x, deseasonalize=deseasonalize).season == 0).all())


@pytest.mark.parametrize("deseasonalize", [True, "auto"])
def test_seasons_sum_to_zero(rng, deseasonalize):
    season = learn(multiplicative(rng), deseasonalize=deseasonalize).season
    assert season.sum() == pytest.approx(0, abs=1e-12)
    assert bool((season != 0).any())


def test_f053_a_season_is_found_around_gaps():
    x = 3 + 0.1 * T + wave()
    x[[4, 31, 32, 77]] = np.nan
    found = learn(x, log=False)
    np.testing.assert_allclose(found.season[0, 0], wave(n=12), atol=0.1)


# --- units and odd series ----------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1e-150, 1e-6, 7.0, 1e150])
@pytest.mark.parametrize("kind", [multiplicative, additive])
def test_f056_choices_ignore_the_unit(rng, factor, kind):
    for _ in range(10):
        x = kind(rng)
        plain, scaled = learn(x), learn(factor * x)
        assert plain.log.tolist() == scaled.log.tolist()
        unit = 1.0 if plain.log.item() else factor
        np.testing.assert_allclose(scaled.season, plain.season * unit, rtol=1e-6, atol=1e-9 * unit)


@pytest.mark.parametrize("level", [-1e6, 1e6])
def test_f056_a_level_moves_no_season(rng, level):
    x = additive(rng)
    plain, moved = learn(x, log=False), learn(x + level, log=False)
    np.testing.assert_allclose(moved.season, plain.season, atol=1e-8)


@pytest.mark.parametrize("x", [np.full(60, 4.0), np.zeros(60), np.full(60, np.nan), np.zeros(0)])
def test_f055_constant_and_empty_series_pass_unchanged(x):
    transform = learn(x)
    assert isinstance(transform, SeriesTransform)
    assert transform.period == 12
    ticks = np.arange(len(x))
    forward = transform.forward(x[:, None], 0, ticks)
    back = transform.backward(forward.T, *np.zeros((2, 1), int), ticks[None])
    np.testing.assert_allclose(back[0], x, rtol=1e-12)


def test_the_data_are_never_written_to(rng):
    x = multiplicative(rng)[:, None]
    kept = x.copy()
    learn(x).forward(x, 0, T)
    np.testing.assert_array_equal(x, kept)
