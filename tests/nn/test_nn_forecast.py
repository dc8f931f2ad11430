"""Laws of the forecast network: units, missing values, causes and quantiles."""

import copy
import itertools
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from skrnn.nn import (
    CELLS,
    DECODERS,
    SCALINGS,
    Forecast,
    ForecastNetwork,
    ForecastSpec,
    NegativeBinomialHead,
)

WINDOW, HORIZON, PERIOD = 12, 5, 4
SPEC = {
    "window_length": WINDOW,
    "horizon": HORIZON,
    "patch_length": 3,
    "period": PERIOD,
    "hidden_size": 6,
    "dtype": "float64",
}
REAL_HEADS = (
    "quantile",
    "absolute_error",
    "squared_error",
    "huber",
    "normal",
    "student_t",
)
COVARIATES = {"past": (2, (5,)), "future": (1, (3, 4)), "static": (0, (6,))}
ALPHA = [0.01, 0.1, 0.5, 0.9, 0.99]


def build(trained=True, **changes):
    """Return a network; `trained` moves its weights, for the start forgives much."""
    network = ForecastNetwork.build({**SPEC, **changes}).eval()
    if trained:
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
    return network


def windows(n=6, dtype=torch.float64):
    return 10 + torch.randn(n, WINDOW, dtype=dtype).cumsum(1)


def features(name, n=6):
    numbers, codes = COVARIATES[name]
    steps = {"past": (WINDOW,), "future": (HORIZON,), "static": ()}[name]
    parts = [torch.randn(n, *steps, numbers)]
    parts += [torch.randint(0, k, (n, *steps, 1)).float() for k in codes]
    return torch.cat(parts, dim=-1).double()


def all_features(n=6):
    return {f"{name}_covariates": features(name, n) for name in COVARIATES}


# --- units -------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", REAL_HEADS)
@pytest.mark.parametrize("decoder", sorted(DECODERS))
@pytest.mark.parametrize(("factor", "shift"), [(3.0, 0.0), (1e-5, -2.0), (1.0, 1e6), (1e9, 1e12)])
def test_f056_forecasts_follow_unit_and_level(head, decoder, factor, shift):
    network, past = build(head=head, decoder=decoder), windows()
    before, after = network(past), network(factor * past + shift)
    tolerance = 1e-6 * (abs(shift) * 1e-6 + factor)
    point = factor * network.predict(before) + shift
    torch.testing.assert_close(network.predict(after), point, rtol=1e-6, atol=tolerance)
    quantiles = factor * network.quantiles(before, ALPHA) + shift
    torch.testing.assert_close(
        network.quantiles(after, ALPHA), quantiles, rtol=1e-6, atol=tolerance
    )
    target = 10 + torch.randn(6, HORIZON).double()
    moved = network.loss(after, factor * target + shift)
    torch.testing.assert_close(moved, network.loss(before, target), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("level", [1e6, -1e9])
def test_f056_a_far_level_costs_no_precision_in_single(level):
    network = build(dtype="float32")
    past = windows()
    near = network.predict(network(past))
    far = network.predict(network(past + level)) - level
    assert far.dtype == torch.float64
    torch.testing.assert_close(far, near, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("scaling", ["mean", "none"])
def test_mean_scaling_follows_the_unit_and_no_scaling_does_not(scaling):
    network, past = build(scaling=scaling), windows()
    same = torch.allclose(network.predict(network(7 * past)), 7 * network.predict(network(past)))
    assert same == (scaling == "mean")


@pytest.mark.parametrize("head", [*REAL_HEADS, "negative_binomial"])
@pytest.mark.parametrize("scaling", SCALINGS)
def test_f055_constant_windows_are_continued(head, scaling):
    network = build(trained=False, head=head, scaling=scaling)
    past = torch.full((2, WINDOW), 3.25, dtype=torch.float64)
    forecast = network(past)
    values = network.quantiles(forecast, ALPHA)
    assert bool(values.isfinite().all())
    assert bool(network.loss(forecast, torch.full((2, HORIZON), 3.0).double()).isfinite().all())
    if head != "negative_binomial" and scaling in ("last", "instance"):
        trained = build(head=head, scaling=scaling, shortcut=False)
        point = trained.predict(trained(past))
        torch.testing.assert_close(point, torch.full_like(point, 3.25), rtol=0, atol=1e-6)


def test_f055_counts_of_zero_stay_zero():
    network = build(head="negative_binomial", scaling="mean", shortcut=False)
    forecast = network(torch.zeros(2, WINDOW, dtype=torch.float64))
    assert network.predict(forecast).abs().max() < 1e-6
    assert bool((network.quantiles(forecast, ALPHA) == 0).all())


def test_counts_follow_the_unit_through_their_mean():
    network = build(head="negative_binomial", scaling="mean", shortcut=False)
    assert isinstance(network.head, NegativeBinomialHead)
    past = torch.poisson(torch.full((6, WINDOW), 4.0)).double() + 1
    mean = network.predict(network(past))
    torch.testing.assert_close(network.predict(network(50 * past)), 50 * mean)
    quantiles = network.quantiles(network(past), ALPHA)
    assert torch.equal(quantiles, quantiles.round())
    assert bool((quantiles >= 0).all())


def test_counts_are_scored_as_counts():
    network = build(head="negative_binomial", scaling="mean", shortcut=False)
    forecast = network(torch.poisson(torch.full((6, WINDOW), 4.0)).double() + 1)
    target = torch.poisson(torch.full((6, HORIZON), 4.0)).double()
    raw = forecast.raw.clone()
    raw[..., 0] += forecast.scale.log()
    expected = network.head.loss(raw, target.unsqueeze(2))
    torch.testing.assert_close(network.loss(forecast, target), expected)


@pytest.mark.parametrize("head", ["normal", "student_t"])
def test_the_density_is_scored_on_the_scale_of_the_window(head):
    network, past = build(head=head, shortcut=False), windows()
    forecast, target = network(past), 10 + torch.randn(6, HORIZON).double()
    scaled = (target - forecast.location) / forecast.scale
    expected = network.head.loss(forecast.raw, scaled.unsqueeze(2))
    torch.testing.assert_close(network.loss(forecast, target), expected)


def test_a_least_scale_is_used():
    network, past = build(), windows()
    forecast = network(past, torch.full((6,), 1e3, dtype=torch.float64))
    assert bool((forecast.scale == 1e3).all())


# --- what a forecast hears ---------------------------------------------------------------------


@pytest.mark.parametrize("cell", sorted(CELLS))
@pytest.mark.parametrize("decoder", sorted(DECODERS))
@pytest.mark.parametrize("shortcut", [True, False])
def test_every_step_hears_every_observation(cell, decoder, shortcut):
    # No scaling: else the location alone would carry the last value everywhere.
    network = build(cell=cell, decoder=decoder, shortcut=shortcut, scaling="none")
    past = torch.randn(1, WINDOW, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda p: network.predict(network(p)), past)
    assert bool((jacobian[0, :, 0] != 0).all())


@pytest.mark.parametrize("head", [*REAL_HEADS, "negative_binomial"])
def test_rows_of_a_batch_do_not_meet(head):
    network = build(head=head, **COVARIATES)
    past, given = windows().abs(), all_features()
    past[2, 3:5] = torch.nan
    together = network.quantiles(network(past, **given), ALPHA)
    for i in range(len(past)):
        one = {name: x[i : i + 1] for name, x in given.items()}
        alone = network.quantiles(network(past[i : i + 1], **one), ALPHA)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("decoder", sorted(DECODERS))
@pytest.mark.parametrize("step", range(HORIZON))
def test_future_covariates_reach_only_their_step(decoder, step):
    network, past, given = build(decoder=decoder, **COVARIATES), windows(), all_features()
    before = network.predict(network(past, **given))
    given["future_covariates"] = given["future_covariates"].clone()
    given["future_covariates"][:, step, 0] += 1.0
    moved = (network.predict(network(past, **given)) != before).any(dim=0)
    assert moved.nonzero().flatten().tolist() == [step]


@pytest.mark.parametrize("name", ["past", "static"])
def test_past_and_static_covariates_reach_every_step(name):
    network, past, given = build(**COVARIATES), windows(), all_features()
    before = network.predict(network(past, **given))
    changed = given[f"{name}_covariates"].clone()
    # The category is the last feature: another code for everyone, on the first step of the past.
    where = (slice(None), 0, -1) if name == "past" else (slice(None), -1)
    changed[where] = (changed[where] + 1) % COVARIATES[name][1][-1]
    given[f"{name}_covariates"] = changed
    assert bool((network.predict(network(past, **given)) != before).all())


@pytest.mark.parametrize("name", sorted(COVARIATES))
def test_covariates_that_were_announced_must_come(name):
    network = build(**{name: COVARIATES[name]})
    with pytest.raises(ValueError, match=f"built for {name}_covariates, got none"):
        network(windows())


@pytest.mark.parametrize("head", [*REAL_HEADS, "negative_binomial"])
@pytest.mark.parametrize("decoder", sorted(DECODERS))
def test_every_parameter_gets_a_gradient(head, decoder):
    network = build(head=head, decoder=decoder, num_layers=2, **COVARIATES)
    shortcut = network.shortcut if head == "negative_binomial" else None
    forecast = network(windows().abs(), **all_features())
    network.loss(forecast, torch.full((6, HORIZON), 12.0).double()).sum().backward()
    unused = set() if shortcut is None else {id(p) for p in shortcut.parameters()}
    for name, parameter in network.named_parameters():
        if id(parameter) not in unused:
            assert parameter.grad is not None, name
            assert bool((parameter.grad != 0).any()), name


# --- missing values ----------------------------------------------------------------------------


@pytest.mark.parametrize("head", [*REAL_HEADS, "negative_binomial"])
@pytest.mark.parametrize("scaling", SCALINGS)
def test_f053_missing_values_never_make_nan(rng, head, scaling):
    network = build(head=head, scaling=scaling)
    past = windows(20).abs()
    past[torch.from_numpy(rng.random(past.shape) < 0.5)] = torch.nan
    past[0], past[1, :-1], past[2, 1:] = torch.nan, torch.nan, torch.nan
    target = torch.full((20, HORIZON), 9.0).double()
    target[torch.from_numpy(rng.random(target.shape) < 0.5)] = torch.nan
    forecast = network(past)
    loss = network.loss(forecast, target)
    loss.sum().backward()
    assert bool(network.quantiles(forecast, ALPHA).isfinite().all())
    assert bool(network.predict(forecast).isfinite().all())
    assert bool(loss.isfinite().all())
    grads = [p.grad for p in network.parameters() if p.grad is not None]
    assert all(bool(grad.isfinite().all()) for grad in grads)


def test_a_missing_value_is_not_the_value_zero():
    network, past = build(scaling="none"), windows()
    zero, missing = past.clone(), past.clone()
    zero[:, 5], missing[:, 5] = 0.0, torch.nan
    assert bool((network.predict(network(zero)) != network.predict(network(missing))).all())


@pytest.mark.parametrize("head", [*REAL_HEADS, "negative_binomial"])
def test_missing_targets_cost_nothing(head):
    network, past = build(head=head, scaling="mean"), windows().abs()
    forecast = network(past)
    target = torch.full((6, HORIZON), 8.0).double()
    target[0], target[2, 3] = torch.nan, torch.nan
    seen = target.isfinite()
    loss = network.loss(forecast, target)
    assert bool((loss[~seen] == 0).all())
    torch.testing.assert_close(loss[seen], network.loss(forecast, target.nan_to_num(8.0))[seen])
    assert bool((network.loss(forecast, torch.full_like(target, torch.nan)) == 0).all())


# --- the shortcut ------------------------------------------------------------------------------


@pytest.mark.parametrize("period", [1, 3, 4, 12, 13])
@pytest.mark.parametrize("horizon", [1, 5, 30])
def test_the_shortcut_starts_as_the_seasonal_naive_forecast(period, horizon):
    network = build(trained=False, period=period, horizon=horizon)
    past = windows()
    forecast = network(past)
    start = forecast.shift * forecast.scale + forecast.location
    lag = period if period <= WINDOW else 1
    expected = past[:, -lag:].repeat(1, horizon)[:, :horizon]
    torch.testing.assert_close(start, expected)


def test_without_a_shortcut_forecasts_start_at_the_location():
    network = build(trained=False, shortcut=False, head="absolute_error")
    forecast = network(windows())
    start = (network.predict(forecast) - forecast.location) / forecast.scale
    assert start.abs().max() < 1.0
    assert bool((forecast.shift == 0).all())


# --- quantiles ---------------------------------------------------------------------------------


@pytest.mark.parametrize("head", [*REAL_HEADS, "negative_binomial"])
@pytest.mark.parametrize("seed", range(8))
def test_f064_quantiles_never_cross(head, seed):
    torch.manual_seed(seed)
    network = build(head=head, scaling="mean")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter))
    levels = np.linspace(0.005, 0.995, 67)
    values = network.quantiles(network(windows().abs()), levels)
    assert values.shape == (6, HORIZON, 67)
    assert bool((values.diff(dim=2) >= 0).all())
    order = np.random.default_rng(seed).permutation(67)
    assert torch.equal(network.quantiles(network(windows(0)), levels[order]), values[:0])


@pytest.mark.parametrize("head", ["quantile", "normal", "absolute_error"])
def test_the_point_is_the_median_where_there_is_one(head):
    network = build(head=head)
    forecast = network(windows())
    torch.testing.assert_close(
        network.quantiles(forecast, [0.5])[..., 0], network.predict(forecast)
    )


def test_levels_may_come_in_any_order():
    network = build()
    forecast = network(windows())
    ordered = network.quantiles(forecast, ALPHA)
    assert torch.equal(network.quantiles(forecast, ALPHA[::-1]), ordered.flip(2))


# --- building ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("cell", "decoder"), [*itertools.product(sorted(CELLS), sorted(DECODERS))])
def test_build_knows_every_cell_and_decoder(dtype, cell, decoder):
    network = build(dtype=dtype, cell=cell, decoder=decoder)
    assert {str(p.dtype) for p in network.parameters()} == {f"torch.{dtype}"}
    forecast = network(windows())
    assert isinstance(forecast, Forecast)
    assert network.predict(forecast).shape == (6, HORIZON)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch_length": 5}, "no multiple of patch_length=5"),
        ({"decoder": "attention"}, "unknown decoder 'attention'"),
        ({"colour": 1}, "unknown name .* colour"),
        ({"dtype": "float16"}, "dtype must be"),
        ({"scaling": "max"}, "kind must be one of"),
        ({"head": "poison"}, "poison"),
    ],
)
def test_what_cannot_be_built_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        ForecastNetwork.build({**SPEC, **changes})


@pytest.mark.parametrize("name", ["window_length", "horizon"])
def test_names_without_a_default_are_asked_for(name):
    assert name in ForecastSpec.__annotations__
    with pytest.raises(ValueError, match=f"lacks {name}"):
        ForecastNetwork.build({key: value for key, value in SPEC.items() if key != name})


def test_copies_and_pickles_forecast_the_same():
    network = build(**COVARIATES)
    past, given = windows(), all_features()
    expected = network.predict(network(past, **given))
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert torch.equal(other.predict(other(past, **given)), expected)


class OwnEncoder(nn.Module):
    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.layer = nn.GRU(input_size, hidden_size, batch_first=True, dtype=torch.float64)

    def forward(self, x):
        return self.layer(x)[0]


def test_the_encoder_may_be_any_module():
    network = build()
    network.encoder = OwnEncoder(2 * network.patch_length, network.encoder.output_size)
    assert bool(network(windows()).raw.isfinite().all())


def test_dropout_works_on_the_context_in_training_only():
    network, past = build(dropout=0.5), windows()
    assert torch.equal(network(past).raw, network(past).raw)
    network.train()
    assert not torch.equal(network(past).raw, network(past).raw)
    assert isinstance(network.dropout, nn.Dropout)
