"""Laws of the decoders: shapes, and who hears of which covariate."""

import pytest
import torch
from torch import nn

from skrnn.nn import (
    DECODERS,
    CovariateEmbedding,
    Decoder,
    DenseDecoder,
    ForecastNetwork,
    QuantileHead,
    RecurrentEncoder,
    SegmentDecoder,
    WindowScaler,
)

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


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("dense", ["output.bias", "output.weight"]),
        (
            "recurrent",
            [
                *(f"cell.{kind}_{part}" for kind in ("bias", "weight") for part in ("hh", "ih")),
                "output.bias",
                "output.weight",
                "position",
            ],
        ),
    ],
)
def test_names_of_weights_stay_so_that_files_load(name, own):
    layers = ("context", "hidden", "output")
    shared = [f"covariates.{layer}.{part}" for layer in layers for part in ("bias", "weight")]
    assert sorted(make(name).state_dict()) == own
    assert sorted(make(name, 2).state_dict()) == sorted([*own, *shared])


# --- a decoder of one's own --------------------------------------------------------------------


class LevelDecoder(Decoder):
    """A user's decoder: the same representation for every step."""

    def __init__(self, input_size, horizon, output_size, n_covariates=0):
        super().__init__(input_size, horizon, output_size, n_covariates)
        self.output = nn.Linear(input_size, output_size)

    def decode(self, context):
        return self.output(context).unsqueeze(1).expand(-1, self.horizon, -1)


def test_the_base_adds_the_covariates_to_what_a_decoder_decodes():
    decoder, (context, future) = LevelDecoder(SIZE, HORIZON, OUTPUT, 2).double(), inputs()
    effect = decoder(context, future) - decoder.decode(context)
    changed = future.clone()
    changed[:, 2] += 1.0
    moved = decoder(context, changed) - decoder.decode(context) != effect
    assert moved.any(dim=2).any(dim=0).nonzero().flatten().tolist() == [2]
    with pytest.raises(ValueError, match="covariates of the future, got none"):
        decoder(context)
    plain = LevelDecoder(SIZE, HORIZON, OUTPUT).double()
    assert torch.equal(plain(context), plain.decode(context))


@pytest.mark.parametrize("n_covariates", [0, 2])
def test_a_network_with_a_decoder_of_ones_own_learns(n_covariates):
    torch.manual_seed(0)
    encoder, n = RecurrentEncoder(2, 8), 16
    embedding = CovariateEmbedding(n_covariates, ())
    network = ForecastNetwork(
        12,
        HORIZON,
        encoder,
        LevelDecoder(encoder.output_size, HORIZON, OUTPUT, n_covariates),
        QuantileHead(OUTPUT, 1),
        WindowScaler("last"),
        covariates={"future": embedding} if n_covariates else None,
    )
    past, target = torch.randn(n, 12).cumsum(1), torch.randn(n, HORIZON)
    future = torch.randn(n, HORIZON, n_covariates) if n_covariates else None

    def loss():
        return network.loss(network(past, future_covariates=future), target).mean()

    start = loss().item()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    for _ in range(20):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert loss().item() < start
    for name, parameter in network.decoder.named_parameters():
        assert parameter.grad is not None, name
    assert network.predict(network(past, future_covariates=future)).shape == (n, HORIZON)


def test_a_decoder_without_decode_is_refused():
    with pytest.raises(TypeError, match="abstract"):
        Decoder(SIZE, HORIZON, OUTPUT)
