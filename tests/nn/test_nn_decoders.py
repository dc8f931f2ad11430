"""Laws of the decoders: shapes, and who hears of which covariate."""

import pytest
import torch
from torch import nn

from skrnn.nn import DECODERS, DenseDecoder, SegmentDecoder

SIZE, HORIZON, OUTPUT = 4, 7, 3
NAMES = sorted(DECODERS)


def make(name, n_covariates=0, horizon=HORIZON):
    decoder = DECODERS[name](SIZE, horizon, OUTPUT, n_covariates)
    # Larger weights than those of the start, so that effects are seen.
    for parameter in decoder.parameters():
        nn.init.normal_(parameter, std=0.5)
    return decoder.double()


def inputs(n_covariates=2, n=5, horizon=HORIZON):
    context = torch.randn(n, SIZE, dtype=torch.float64)
    return context, torch.randn(n, horizon, n_covariates, dtype=torch.float64)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("horizon", [1, 2, 24, 25, 50])
@pytest.mark.parametrize("n_covariates", [0, 1, 3])
def test_one_representation_per_step(name, horizon, n_covariates):
    context, future = inputs(n_covariates, horizon=horizon)
    steps = make(name, n_covariates, horizon)(context, future if n_covariates else None)
    assert steps.shape == (5, horizon, OUTPUT)
    assert bool(steps.isfinite().all())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("step", range(HORIZON))
def test_covariates_of_a_step_reach_only_that_step(name, step):
    decoder, (context, future) = make(name, 2), inputs()
    changed = future.clone()
    changed[:, step] += 1.0
    moved = (decoder(context, changed) != decoder(context, future)).any(dim=2).any(dim=0)
    assert moved.nonzero().flatten().tolist() == [step]


@pytest.mark.parametrize("name", NAMES)
def test_equal_covariates_move_all_steps_alike(name):
    decoder, (context, future) = make(name, 2), inputs()
    future = future[:, :1].expand(-1, HORIZON, -1)
    effect = decoder(context, future) - decoder(context, future + 1.0)
    torch.testing.assert_close(effect, effect[:, :1].expand_as(effect))


@pytest.mark.parametrize("name", NAMES)
def test_the_context_reaches_every_step(name):
    decoder, (context, future) = make(name, 2), inputs()
    for feature in range(SIZE):
        changed = context.clone()
        changed[:, feature] += 1.0
        moved = (decoder(changed, future) != decoder(context, future)).any(dim=2)
        assert bool(moved.all())


@pytest.mark.parametrize("name", NAMES)
def test_the_effect_of_covariates_depends_on_the_context(name):
    decoder, (context, future) = make(name, 2), inputs()
    effect = decoder(context, future + 1) - decoder(context, future)
    elsewhere = decoder(context + 1, future + 1) - decoder(context + 1, future)
    assert not torch.allclose(effect, elsewhere)


@pytest.mark.parametrize("name", NAMES)
def test_rows_of_a_batch_do_not_meet(name):
    decoder, (context, future) = make(name, 2), inputs()
    alone = torch.cat([decoder(context[i : i + 1], future[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(decoder(context, future), alone)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_covariates", [0, 2])
def test_every_parameter_gets_a_gradient(name, n_covariates):
    decoder, (context, future) = make(name, n_covariates), inputs()
    decoder(context, future if n_covariates else None).square().sum().backward()
    for parameter_name, parameter in decoder.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert bool((parameter.grad != 0).any()), parameter_name


@pytest.mark.parametrize("name", NAMES)
def test_covariates_that_were_announced_must_come(name):
    with pytest.raises(ValueError, match="covariates of the future, got none"):
        make(name, 2)(torch.zeros(1, SIZE, dtype=torch.float64))


@pytest.mark.parametrize("name", NAMES)
def test_forecasts_start_small(name):
    decoder = DECODERS[name](SIZE, HORIZON, OUTPUT, 2)
    context, future = torch.randn(200, SIZE), torch.randn(200, HORIZON, 2)
    assert decoder(context, future).std() < 0.2


def test_dense_is_one_linear_map():
    decoder, (context, _) = make("dense"), inputs()
    zero = decoder(torch.zeros_like(context))
    a, b = decoder(context) - zero, decoder(2 * context) - zero
    torch.testing.assert_close(2 * a, b)
    assert isinstance(decoder, DenseDecoder)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 100])
def test_segments_equal_a_loop_over_segments(length):
    decoder = SegmentDecoder(SIZE, HORIZON, OUTPUT, segment_length=length).double()
    context, _ = inputs()
    parts = [
        decoder.output(decoder.cell(vector.expand(5, -1), context)).unflatten(1, (-1, OUTPUT))
        for vector in decoder.position
    ]
    torch.testing.assert_close(decoder(context), torch.cat(parts, dim=1)[:, :HORIZON])
    assert len(decoder.position) == -(-HORIZON // min(length, HORIZON))


def test_segments_need_fewer_weights_for_a_long_horizon():
    dense, segments = (
        sum(p.numel() for p in DECODERS[name](64, 720, 32).parameters())
        for name in ("dense", "recurrent")
    )
    assert segments < dense / 10
