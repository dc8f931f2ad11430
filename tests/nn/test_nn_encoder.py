"""Laws of the encoder: exact masking without packing."""

import copy
import itertools

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from skrnn.nn import CELLS, Pooling, RecurrentEncoder, RecurrentLayer, cells, length_mask

LENGTHS = torch.tensor([7, 1, 4, 7, 2])
TIME = 7
PACKABLE = list(itertools.product(["gru", "lstm", "rnn"], [1, 2], [False, True]))


class Accumulate(RecurrentLayer):
    """Running sum of a linear map, a layer without a gate."""

    def __init__(self, input_size, hidden_size):
        super().__init__(hidden_size)
        self.linear = nn.Linear(input_size, hidden_size)

    def forward(self, x, state=None):
        output = self.linear(x).cumsum(1) / 10
        output = output if state is None else output + state
        return output, output[:, -1:]


class WholeOnly(Accumulate):
    """A layer that cannot go on."""

    def forward(self, x, state=None):
        return super().forward(x)[0], None


ENCODERS = [*sorted(CELLS), nn.GRUCell, Accumulate]


def packed_twin(encoder, cell, num_layers, bidirectional):
    """The same weights in torch's own multi-layer module."""
    hidden_size = encoder.layers[0].output_size
    options = {"bidirectional": bidirectional, "batch_first": True}
    twin = getattr(nn, cell.upper())(encoder.input_size, hidden_size, num_layers, **options)
    stacks = {"": encoder.layers, "_reverse": encoder.backward_layers}
    state = {
        name.removesuffix("_l0") + f"_l{depth}{direction}": value
        for direction, layers in stacks.items()
        for depth, layer in enumerate(layers)
        for name, value in layer.rnn.state_dict().items()
    }
    twin.load_state_dict(state)
    return twin


def run_packed(twin, x, lengths):
    packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    output, state = twin(packed)
    output, _ = pad_packed_sequence(output, batch_first=True, total_length=x.shape[1])
    return output, state[0] if isinstance(state, tuple) else state


@pytest.mark.parametrize(("cell", "num_layers", "bidirectional"), PACKABLE)
def test_output_and_gradients_equal_packing(cell, num_layers, bidirectional):
    encoder = RecurrentEncoder(3, 5, num_layers, cell=cell, bidirectional=bidirectional)
    twin = packed_twin(encoder, cell, num_layers, bidirectional)
    x = torch.randn(len(LENGTHS), TIME, 3, requires_grad=True)
    expected, _ = run_packed(twin, x, LENGTHS)
    output = encoder(x, LENGTHS)
    torch.testing.assert_close(output, expected, atol=1e-6, rtol=0)
    weight = torch.randn_like(output)
    (gradient,) = torch.autograd.grad((output * weight).sum(), x)
    (wanted,) = torch.autograd.grad((expected * weight).sum(), x)
    torch.testing.assert_close(gradient, wanted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["last", "mean", "max"])
@pytest.mark.parametrize(("cell", "num_layers", "bidirectional"), PACKABLE)
def test_pooling_equals_packing(cell, num_layers, bidirectional, kind):
    encoder = RecurrentEncoder(3, 5, num_layers, cell=cell, bidirectional=bidirectional)
    twin = packed_twin(encoder, cell, num_layers, bidirectional)
    x = torch.randn(len(LENGTHS), TIME, 3)
    packed, state = run_packed(twin, x, LENGTHS)
    if kind == "last":
        expected = torch.cat([*state[-encoder.num_directions :]], dim=1)
    else:
        rows = [row[:length] for row, length in zip(packed, LENGTHS, strict=True)]
        expected = torch.stack([row.mean(0) if kind == "mean" else row.amax(0) for row in rows])
    pooling = Pooling(encoder.output_size, kind, encoder.num_directions)
    for padding_is_zero in (False, True):
        pooled = pooling(encoder(x, LENGTHS), LENGTHS, padding_is_zero=padding_is_zero)
        torch.testing.assert_close(pooled, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ENCODERS)
def test_f012_padding_changes_nothing_nan_included(cell, bidirectional):
    encoder = RecurrentEncoder(3, 4, 2, cell=cell, bidirectional=bidirectional)
    x = torch.randn(len(LENGTHS), TIME, 3)
    padding = ~length_mask(LENGTHS, TIME).unsqueeze(-1)
    results = []
    for filler in (0.0, 1e30, float("nan"), float("-inf")):
        encoder.zero_grad()
        output = encoder(x.masked_fill(padding, filler), LENGTHS)
        output.square().sum().backward()
        results.append([output, *(p.grad.clone() for p in encoder.parameters())])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert bool(b.isfinite().all())
            assert torch.equal(a, b)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ENCODERS)
def test_batch_mates_and_more_padding_change_nothing(cell, bidirectional):
    encoder = RecurrentEncoder(3, 4, 2, cell=cell, bidirectional=bidirectional).double()
    x = torch.randn(len(LENGTHS), TIME, 3, dtype=torch.float64)
    together = encoder(x, LENGTHS)
    longer = encoder(nn.functional.pad(x, (0, 0, 0, 9)), LENGTHS)
    torch.testing.assert_close(longer[:, :TIME], together)
    order = torch.randperm(len(x))
    torch.testing.assert_close(encoder(x[order], LENGTHS[order]), together[order])
    for i, length in enumerate(LENGTHS):
        alone = encoder(x[i : i + 1, :length])
        torch.testing.assert_close(alone[0], together[i, :length])


@pytest.mark.parametrize("cell", ENCODERS)
def test_a_unidirectional_output_is_causal(cell):
    encoder = RecurrentEncoder(3, 4, 2, cell=cell)
    x = torch.randn(2, TIME, 3, requires_grad=True)
    for t in range(TIME):
        (gradient,) = torch.autograd.grad(encoder(x)[:, t].sum(), x)
        assert bool((gradient[:, t + 1 :] == 0).all())
        assert bool((gradient[:, t] != 0).any())


@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ENCODERS)
def test_every_parameter_gets_a_gradient(cell, bidirectional, lengths):
    encoder = RecurrentEncoder(3, 4, 2, cell=cell, bidirectional=bidirectional)
    encoder(torch.randn(len(LENGTHS), TIME, 3), lengths).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert bool((parameter.grad != 0).any()), name


@pytest.mark.parametrize("bidirectional", [False, True])
def test_f022_chunked_encoder_equals_the_whole(bidirectional, monkeypatch):
    encoder = RecurrentEncoder(3, 4, 2, bidirectional=bidirectional)
    x = torch.randn(len(LENGTHS), TIME, 3)
    whole = encoder(x, LENGTHS)
    monkeypatch.setattr(cells, "MAX_STEPS", 2)
    torch.testing.assert_close(encoder(x, LENGTHS), whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("cell", [*ENCODERS, nn.LSTMCell])
def test_chunks_equal_the_whole_where_they_end_as_well(cell, num_layers):
    encoder = RecurrentEncoder(3, 5, num_layers, cell=cell)
    x = torch.randn(len(LENGTHS), TIME, 3)
    x[~length_mask(LENGTHS, TIME)] = torch.nan
    whole = encoder(x, LENGTHS)
    for sizes in ((3, 4), (1,) * TIME, (5, 1, 1), (TIME,)):
        outputs, state, start = [], None, 0
        for chunk in x.split(sizes, dim=1):
            lengths = (LENGTHS - start).clamp(0, chunk.shape[1])
            output, state = encoder.advance(chunk, state, lengths)
            outputs.append(output)
            start += chunk.shape[1]
        torch.testing.assert_close(torch.cat(outputs, 1), whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("cell", ENCODERS)
def test_gradients_go_back_through_the_state(cell):
    encoder = RecurrentEncoder(3, 4, 2, cell=cell).double()
    x = torch.randn(2, TIME, 3, dtype=torch.float64)
    first, state = encoder.advance(x[:, :4])
    second, _ = encoder.advance(x[:, 4:], state)
    parameters = [*encoder.parameters()]
    wanted = torch.autograd.grad(encoder(x).square().sum(), parameters)
    got = torch.autograd.grad(torch.cat([first, second], 1).square().sum(), parameters)
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b)


def test_a_chunk_of_no_steps_or_sequences_hands_the_state_on():
    encoder = RecurrentEncoder(3, 4)
    assert encoder.advance(torch.zeros(2, 0, 3))[1] is None
    _, state = encoder.advance(torch.zeros(2, 5, 3))
    output, after = encoder.advance(torch.zeros(2, 0, 3), state)
    assert output.shape == (2, 0, 4)
    assert after is state
    assert encoder.advance(torch.zeros(0, 5, 3))[0].shape == (0, 5, 4)


def test_one_chunk_drops_out_what_the_whole_does():
    encoder = RecurrentEncoder(3, 8, 3, dropout=0.5)
    x = torch.randn(2, TIME, 3)
    with torch.random.fork_rng(devices=[]):
        whole = encoder(x, [7, 3])
    assert torch.equal(encoder.advance(x, lengths=[7, 3])[0], whole)
    assert not torch.equal(encoder.advance(x, lengths=[7, 3])[0], whole)


@pytest.mark.parametrize(
    ("options", "state", "message"),
    [
        ({"bidirectional": True}, None, "bidirectional encoder .* bidirectional=False"),
        ({"cell": WholeOnly}, None, "layer 0, a WholeOnly, returned no state"),
        ({}, (None, None), "the state is that of 2 layers, but there are 1"),
        ({}, 3, r"state has shape \(1, 3, 4\), expected \(1, 2, 4\)"),
        ({"cell": "gru"}, 3, r"state has shape \(1, 3, 4\), expected \(1, 2, 4\)"),
    ],
)
def test_f072_what_cannot_go_on_is_named(options, state, message):
    encoder = RecurrentEncoder(3, 4, **options)
    if isinstance(state, int):
        _, state = encoder.advance(torch.zeros(state, 5, 3))
    with pytest.raises(ValueError, match=message):
        encoder.advance(torch.zeros(2, 5, 3), state)


@pytest.mark.parametrize("cell", ENCODERS)
def test_length_0_gives_zeros(cell):
    encoder = RecurrentEncoder(3, 4, cell=cell, bidirectional=True)
    x = torch.randn(3, TIME, 3)
    output = encoder(x, [TIME, 0, 2])
    assert bool((output[1] == 0).all())
    assert bool((encoder(x, [0, 0, 0]) == 0).all())


@pytest.mark.parametrize("shape", [(2, 0, 3), (0, 5, 3), (0, 0, 3)])
@pytest.mark.parametrize("cell", ENCODERS)
def test_empty_batches_and_no_time(cell, shape):
    encoder = RecurrentEncoder(3, 4, 2, cell=cell, bidirectional=True)
    assert encoder(torch.zeros(shape)).shape == (*shape[:2], 8)
    assert encoder(torch.zeros(shape), [0] * shape[0]).shape == (*shape[:2], 8)


def test_a_width_per_layer():
    encoder = RecurrentEncoder(3, (6, 4), bidirectional=True)
    assert [layer.output_size for layer in encoder.layers] == [6, 4]
    assert encoder(torch.zeros(2, 5, 3)).shape == (2, 5, encoder.output_size) == (2, 5, 8)
    assert len(RecurrentEncoder(3, (6, 4), num_layers=2).layers) == 2


def test_dropout_acts_between_layers_only():
    x = torch.randn(2, TIME, 3)
    one = RecurrentEncoder(3, 8, dropout=0.9)
    assert torch.equal(one(x), one(x))
    two = RecurrentEncoder(3, 8, 2, dropout=0.9)
    assert not torch.equal(two(x), two(x))
    assert torch.equal(two.eval()(x), two(x))


def test_a_copy_gives_the_same_numbers():
    encoder = RecurrentEncoder(3, 4, 2, bidirectional=True)
    x = torch.randn(2, TIME, 3)
    assert torch.equal(copy.deepcopy(encoder)(x, [7, 3]), encoder(x, [7, 3]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden_size": 0}, "hidden_size must be at least 1"),
        ({"hidden_size": ()}, "hidden_size"),
        ({"num_layers": 0}, "num_layers must be at least 1"),
        ({"hidden_size": (4, 4), "num_layers": 3}, "2 layers but num_layers=3"),
        ({"cell": "ltsm"}, "unknown cell 'ltsm'"),
    ],
)
def test_f072_wrong_parameters_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        RecurrentEncoder(3, **options)


@pytest.mark.parametrize(
    ("shape", "lengths", "message"),
    [
        ((2, 4, 5), None, "x has 5 features per time step, expected 3"),
        ((2, 4), None, r"\(batch, time, features\), got shape \(2, 4\)"),
        ((2, 4, 3), [4, 9], r"lengths\[1\]=9 exceeds 4 time steps"),
        ((2, 4, 3), [4], "1 lengths for 2 sequences"),
    ],
)
def test_f007_wrong_input_is_named(shape, lengths, message):
    with pytest.raises(ValueError, match=message):
        RecurrentEncoder(3, 4)(torch.zeros(shape), lengths)
    with pytest.raises(ValueError, match=message):
        RecurrentEncoder(3, 4).advance(torch.zeros(shape), None, lengths)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "mingru", "minlstm"])
def test_padding_that_nobody_reads_changes_no_valid_step(cell, bidirectional):
    torch.manual_seed(0)
    encoder = RecurrentEncoder(3, (8, 5), cell=cell, bidirectional=bidirectional).eval()
    x, lengths = torch.randn(64, 20, 3), torch.randint(1, 21, (64,))
    mask = length_mask(lengths, 20)
    x[~mask] = float("nan")
    with torch.no_grad():
        expected = encoder(x, lengths)
        output = encoder(x, lengths, padding_is_read=False)
    assert torch.equal(output[mask], expected[mask])
    # With gradients padding is cleared in any case: it would reach those of the weights.
    encoder(x, lengths, padding_is_read=False)[mask].sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in encoder.parameters())


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("cell", ENCODERS)
def test_the_last_output_alone_is_that_of_all(cell, ragged, bidirectional):
    torch.manual_seed(0)
    encoder = RecurrentEncoder(3, (8, 5), cell=cell, bidirectional=bidirectional)
    x, lengths = torch.randn(5, TIME, 3), LENGTHS if ragged else None
    target = torch.randn(5, 1, encoder.output_size)
    found = []
    for output in (encoder(x, lengths)[:, -1:], encoder(x, lengths, last_only=True)):
        encoder.zero_grad()
        (output * target).sum().backward()
        found.append([output, *(p.grad for p in encoder.parameters())])
    assert all(torch.allclose(a, b, rtol=0, atol=1e-6) for a, b in zip(*found, strict=True))
    assert encoder(x[:, :0], last_only=True).shape == (5, 0, encoder.output_size)


@pytest.mark.parametrize("options", [{"weight_dropout": 0.5}, {"recurrent_dropout": 0.5}])
@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_the_last_output_alone_knows_what_is_dropped(cell, options):
    encoder, x = RecurrentEncoder(3, 8, cell=cell, **options), torch.randn(5, TIME, 3)
    torch.manual_seed(1)
    whole = encoder(x)[:, -1:]
    torch.manual_seed(1)
    assert torch.equal(encoder(x, last_only=True), whole)


@pytest.mark.parametrize("part", ["layer", "layer.rnn"])
def test_the_last_output_alone_is_what_a_hook_makes_of_it(part):
    encoder, x = RecurrentEncoder(3, 8), torch.randn(5, TIME, 3)
    watched = encoder.layers[-1] if part == "layer" else encoder.layers[-1].rnn
    watched.register_forward_hook(lambda module, given, made: (made[0] * 0, made[1]))
    assert torch.equal(encoder(x, last_only=True), encoder(x)[:, -1:])


def test_a_hook_finds_the_gradient_of_the_output_when_only_the_last_is_asked_for():
    encoder, x, seen = RecurrentEncoder(3, 8), torch.randn(5, TIME, 3), []
    encoder.layers[-1].register_forward_hook(lambda module, given, made: seen.append(made[0]))
    output = encoder(x, last_only=True)
    (gradient,) = torch.autograd.grad(output.sum(), seen)
    assert gradient[:, :-1].eq(0).all()
    assert gradient[:, -1].eq(1).all()
