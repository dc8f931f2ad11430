"""Laws of the network: scaler, masking of the whole, building from plain values."""

import copy
import itertools
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from skrnn.nn import (
    CELLS,
    HEADS,
    FeatureScaler,
    Pooling,
    RecurrentEncoder,
    SequenceNetwork,
    TokenEmbedding,
    length_mask,
    make_head,
)

LENGTHS = torch.tensor([6, 1, 4, 0, 3])
TIME = 6
SPEC = {"n_features": 3, "hidden_size": 4, "head": "squared_error", "n_outputs": 2}
ALL_POOLINGS = ("mean", "max", "last", "attention")


def build(**changes):
    return SequenceNetwork.build({**SPEC, **changes})


def batch(dtype=torch.float32):
    return torch.randn(len(LENGTHS), TIME, 3, dtype=dtype)


NETWORKS = list(
    itertools.product([*sorted(CELLS), nn.GRUCell], [False, True], [None, ALL_POOLINGS])
)


@pytest.mark.parametrize(("cell", "bidirectional", "pooling"), NETWORKS)
def test_f012_nan_padding_changes_neither_output_nor_gradient(cell, bidirectional, pooling):
    network = build(cell=cell, bidirectional=bidirectional, pooling=pooling, num_layers=2)
    network.scaler.set([1.0, -2.0, 0.5], [2.0, 0.0, 3.0])
    x, mask = batch(), length_mask(LENGTHS, TIME)
    results = []
    for filler in (0.0, float("nan"), float("inf"), 1e30):
        network.zero_grad()
        raw = network(x.masked_fill(~mask.unsqueeze(-1), filler), LENGTHS)
        raw.square().sum().backward()
        results.append([raw, *(p.grad.clone() for p in network.parameters())])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert bool(b.isfinite().all())
            assert torch.equal(a, b)


@pytest.mark.parametrize(("cell", "bidirectional", "pooling"), NETWORKS)
def test_batch_mates_and_padding_change_nothing(cell, bidirectional, pooling):
    network = build(cell=cell, bidirectional=bidirectional, pooling=pooling, dtype="float64")
    x = batch(torch.float64)
    together = network(x, LENGTHS)
    for i, length in enumerate(LENGTHS):
        alone = network(x[i : i + 1, :length])[0]
        torch.testing.assert_close(together[i, :length] if pooling is None else together[i], alone)


@pytest.mark.parametrize("pooling", [None, *ALL_POOLINGS, ALL_POOLINGS])
@pytest.mark.parametrize("embedding_dim", [None, 5])
def test_every_parameter_gets_a_gradient(pooling, embedding_dim):
    network = build(
        pooling=pooling, embedding_dim=embedding_dim, vocabulary_size=7, bidirectional=True
    )
    x = batch() if embedding_dim is None else torch.randint(1, 7, (len(LENGTHS), TIME, 1))
    network(x, LENGTHS).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert bool((parameter.grad != 0).any()), name


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("head", sorted(HEADS))
def test_build_knows_every_head_and_type(head, dtype):
    pooling = None if head == "crf" else "last"
    network = build(head=head, dtype=dtype, bidirectional=True, pooling=pooling)
    floats = [*network.parameters(), *network.buffers()]
    assert {str(value.dtype) for value in floats} == {f"torch.{dtype}"}
    raw = network(batch(getattr(torch, dtype)), LENGTHS)
    leading = raw.shape[:-1]
    assert leading == (len(LENGTHS), *([TIME] if pooling is None else []))
    assert raw.shape[-1] == network.head.raw_size
    assert network.head.predict(raw).shape == (*leading, 2)


@pytest.mark.parametrize("head", [name for name in sorted(HEADS) if name != "quantile"])
def test_both_types_start_from_the_same_weights(head):
    states = []
    for dtype in ("float32", "float64"):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            states.append(build(head=head, dtype=dtype).state_dict())
    for name, value in states[0].items():
        assert torch.equal(value.double(), states[1][name].double())


def test_encode_is_what_the_head_sees():
    network = build()
    x = batch()
    z = network.encode(x, LENGTHS)
    assert z.shape == (len(LENGTHS), network.pooling.output_size)
    assert torch.equal(network.head(z), network(x, LENGTHS))
    steps = build(pooling=None)
    assert steps.encode(x, LENGTHS).shape == (len(LENGTHS), TIME, 4)
    assert bool((steps.encode(x, LENGTHS)[~length_mask(LENGTHS, TIME)] == 0).all())


@pytest.mark.parametrize("pooling", [None, ALL_POOLINGS])
@pytest.mark.parametrize("embedding_dim", [None, 3])
def test_advance_and_readout_are_the_two_halves_of_a_call(pooling, embedding_dim):
    tokens = {"n_features": 1, "embedding_dim": embedding_dim, "vocabulary_size": 7}
    network = build(pooling=pooling, num_layers=2, **(tokens if embedding_dim else {}))
    x = batch()
    if embedding_dim:
        x = torch.randint(7, (*x.shape[:2], 1)).float()
    else:
        network.scaler.set([1.0, -2.0, 0.5], [2.0, 0.0, 3.0])
    x[~length_mask(LENGTHS, TIME)] = torch.nan
    first, state = network.advance(x[:, :4], None, LENGTHS.clamp(max=4))
    second, _ = network.advance(x[:, 4:], state, (LENGTHS - 4).clamp(min=0))
    raw = network.readout(torch.cat([first, second], dim=1), LENGTHS)
    torch.testing.assert_close(raw, network(x, LENGTHS), atol=1e-6, rtol=0)


def test_scaling_inside_equals_scaling_outside():
    network, x = build(), batch() * 5 + 2
    mean, scale = x.mean((0, 1)), x.std((0, 1))
    outside = network((x - mean) / scale, LENGTHS)
    network.scaler.set(mean, scale)
    torch.testing.assert_close(network(x, LENGTHS), outside)


def test_a_constant_feature_is_shifted_only():
    scaler = FeatureScaler(np.array([1.0, 3.0]), np.array([2.0, 0.0]))
    assert scaler(torch.tensor([[3.0, 5.0]])).tolist() == [[1.0, 2.0]]
    tiny = FeatureScaler([0.0], np.array([1e-300]))
    assert tiny(torch.tensor([[4.0]])).item() == 4.0


@pytest.mark.parametrize(
    ("mean", "scale", "message"),
    [
        ([0.0], [1.0, 1.0], "mean has shape"),
        ([0.0, 0.0], [1.0], "scale has shape"),
        ([0.0, float("nan")], [1.0, 1.0], "mean must be finite"),
        ([0.0, 0.0], [1.0, float("inf")], "scale must be finite"),
        ([0.0, 0.0], [1.0, -1.0], "scale must not be negative"),
    ],
)
def test_wrong_statistics_are_named_and_change_nothing(mean, scale, message):
    scaler = FeatureScaler.identity(2)
    with pytest.raises(ValueError, match=message):
        scaler.set(mean, scale)
    assert torch.equal(scaler(torch.ones(1, 2)), torch.ones(1, 2))


def test_tokens_with_nan_padding():
    network = build(n_features=1, embedding_dim=5, vocabulary_size=7)
    assert network.scaler is None
    ids = torch.randint(1, 7, (len(LENGTHS), TIME, 1)).float()
    padded = ids.masked_fill(~length_mask(LENGTHS, TIME).unsqueeze(-1), torch.nan)
    assert torch.equal(network(padded, LENGTHS), network(ids.long().squeeze(-1), LENGTHS))
    assert isinstance(network.embedding, TokenEmbedding)


def test_f024_token_outside_the_vocabulary_is_named():
    network = build(n_features=1, embedding_dim=5, vocabulary_size=5)
    with pytest.raises(ValueError, match="token id 7 is outside the vocabulary of 5"):
        network(torch.full((1, 2, 1), 7.0))


def test_dropout_before_the_head_acts_in_training_only():
    network, x = build(dropout=0.5), batch()
    assert not torch.equal(network(x), network(x))
    assert torch.equal(network.encode(x), network.encode(x))
    network.eval()
    assert torch.equal(network(x), network(x))


class Linear(nn.Module):
    """A user's encoder that leaves numbers at padding."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 4)

    def forward(self, x, lengths=None):
        return self.linear(x) + 1


def test_any_encoder_with_the_same_call_fits():
    network = SequenceNetwork(Linear(), Pooling(4, ALL_POOLINGS), make_head("normal", 16, 1))
    x = batch()
    short = network(x[:1, :4])
    torch.testing.assert_close(network(x[:1], [4]), short)
    with pytest.raises(ValueError, match="a Linear cannot go on from a state; use an encoder with"):
        network.advance(x)


def test_copies_give_the_same_numbers():
    network, x = build(bidirectional=True, pooling=ALL_POOLINGS), batch()
    network.scaler.set([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    raw = network(x, LENGTHS)
    loaded = build(bidirectional=True, pooling=ALL_POOLINGS)
    loaded.load_state_dict(network.state_dict())
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network)), loaded):
        assert torch.equal(other(x, LENGTHS), raw)


@pytest.mark.parametrize(
    "lengths", [[6] * 5, (6, 6, 6, 6, 6), np.full(5, 6.0), torch.full((5,), 6)]
)
def test_f007_full_lengths_equal_no_lengths(lengths):
    network, x = build(bidirectional=True, pooling=ALL_POOLINGS), batch()
    assert torch.equal(network(x, lengths), network(x))


@pytest.mark.parametrize(
    ("shape", "lengths", "message"),
    [
        ((2, 4, 5), None, "x has 5 features per time step, expected 3"),
        ((2, 4, 1), None, "x has 1 features per time step, expected 3"),
        ((2, 4, 3), [4, 9], r"lengths\[1\]=9 exceeds 4 time steps"),
        ((2, 4, 3), [-1, 4], r"lengths\[0\]=-1 is negative"),
        ((2, 4, 3), [4, 2.5], r"lengths\[1\]=2.5 is not a whole number"),
        ((2, 4, 3), [4, 4, 4], "3 lengths for 2 sequences"),
    ],
)
def test_f007_wrong_input_is_named(shape, lengths, message):
    with pytest.raises(ValueError, match=message):
        build()(torch.zeros(shape), lengths)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hiden_size": 3}, "unknown name in the specification of a network: hiden_size"),
        ({"dtype": "float16"}, "dtype must be 'float32' or 'float64', got 'float16'"),
        ({"embedding_dim": 3}, "embedding_dim needs vocabulary_size"),
        ({"cell": "ltsm"}, "unknown cell 'ltsm'"),
        ({"head": "mse"}, "unknown loss 'mse'"),
        ({"pooling": "sum"}, "pooling must be"),
    ],
)
def test_f072_wrong_specifications_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        build(**changes)


def test_f072_a_missing_name_is_named():
    with pytest.raises(ValueError, match="lacks head, n_outputs"):
        SequenceNetwork.build({"n_features": 3})


def test_an_untrained_network_learns():
    torch.manual_seed(0)
    network = SequenceNetwork.build({**SPEC, "n_outputs": 1, "hidden_size": 8})
    x, lengths = torch.randn(64, 8, 3), torch.randint(1, 9, (64,))
    target = Pooling(3, "last")(x, lengths)[:, :1]
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    losses = []
    for _ in range(80):
        optimizer.zero_grad()
        loss = network.head.loss(network(x, lengths), target).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_lengths_are_checked_once_per_call(monkeypatch):
    from skrnn.nn import lengths as module

    calls = []
    check = module.check_lengths
    monkeypatch.setattr(module, "check_lengths", lambda *args: calls.append(1) or check(*args))
    build(bidirectional=True, num_layers=2)(batch(), LENGTHS)
    assert len(calls) == 1


def test_a_full_batch_gives_the_encoders_own_numbers():
    encoder = RecurrentEncoder(3, 4)
    network = SequenceNetwork(encoder, None, make_head("normal", 4, 1))
    x = batch()
    assert torch.equal(network.encode(x), encoder(x))


def test_input_dropout_drops_values_of_the_scaled_input_in_training_only():
    network, seen = build(input_dropout=0.5), []
    network.scaler.set([1.0] * 3, [2.0] * 3)
    network.encoder.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    x = torch.full((4, 50, 3), 5.0)
    network(x)
    network.eval()(x)
    assert set(seen[0].unique().tolist()) == {0.0, 4.0}
    assert set(seen[1].unique().tolist()) == {2.0}


@pytest.mark.parametrize("frontend", [None, "conv", "patch"])
def test_attention_of_the_network_is_a_distribution_over_valid_steps(frontend):
    options = {"pooling": ("last", "attention"), "attention_heads": 2, "frontend_stride": 4}
    network, x = build(frontend=frontend, **options).eval(), batch()
    weights, mask = network.attention(x, LENGTHS), length_mask(LENGTHS, TIME)
    assert weights.shape == (len(LENGTHS), 2, TIME)
    assert bool((weights >= 0).all())
    assert not bool(weights.masked_select(~mask.unsqueeze(1)).any())
    expected = (LENGTHS > 0).float().unsqueeze(1).expand(-1, 2)
    torch.testing.assert_close(weights.sum(dim=2), expected)
    longest = int(LENGTHS.argmax())
    if frontend is not None:
        torch.testing.assert_close(weights[longest, :, 0], weights[longest, :, 3])


def test_a_network_without_pooling_has_no_attention():
    with pytest.raises(ValueError, match="there is no pooling"):
        build(pooling=None).attention(batch())
