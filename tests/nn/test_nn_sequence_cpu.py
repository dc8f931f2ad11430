"""Laws of GRU and RNN on the CPU: the vendor's numbers, and who still gets the vendor's layer."""

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

from skrnn.nn import TorchLayer, cells, eager, gru_cpu, rnn_cpu, sequence_cpu

# (batch, time, features, hidden size)
SHAPES = [(3, 7, 2, 5), (1, 9, 3, 4), (5, 4, 1, 1), (4, 1, 2, 3), (1, 1, 1, 1), (2, 40, 6, 8)]
LAYERS = {
    "gru": ("gru", {}),
    "tanh": ("rnn", {"nonlinearity": "tanh"}),
    "relu": ("rnn", {"nonlinearity": "relu"}),
}
TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-12}


@pytest.fixture(autouse=True)
def however_short(monkeypatch):
    """Take our way for sequences that are faster on the vendor's."""
    for name in ("LEAST_STEPS", "LEAST_SIZE", "LEAST_TOTAL"):
        monkeypatch.setattr(sequence_cpu, name, 1)


@pytest.fixture(params=sorted(LAYERS))
def make(request):
    """Make a layer of one of the kinds."""
    cell, options = LAYERS[request.param]

    def make(features, size, dtype=torch.float64):
        layer = TorchLayer(cell, features, size, **options).to(dtype)
        # Larger weights make a layer explode that nothing bounds.
        std = 0.2 if options.get("nonlinearity") == "relu" else 0.7
        for parameter in layer.parameters():
            nn.init.normal_(parameter, std=std)
        return layer

    return make


@pytest.fixture
def forbidden(monkeypatch):
    """Make our way raise."""

    def fail(*args, **options):
        raise AssertionError("our way was taken")

    for module in (gru_cpu, rnn_cpu):
        monkeypatch.setattr(module, "_forward", fail)


def batch(shape, dtype=torch.float64):
    n, time, features, size = shape
    x = torch.randn(n, time, features, dtype=dtype, requires_grad=True)
    return x, torch.randn(1, n, size, dtype=dtype, requires_grad=True)


def check(ours, theirs, dtype=torch.float64):
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=TOLERANCES[dtype], rtol=TOLERANCES[dtype])


def both_ways(layer, x, state, read, wanted):
    """Outputs and gradients by the layer and by the module it holds."""
    for module in (layer, layer.rnn):
        output, last = module(x, state)
        gradients = torch.autograd.grad(read(output, last), wanted)
        yield [output, last, *gradients]


READ = {
    "output": lambda output, last: output * torch.linspace(-1, 2, output.numel()).view_as(output),
    "last": lambda output, last: last**2,
    "both": lambda output, last: output.sin() * last[0].unsqueeze(1),
    "one step": lambda output, last: output[:, output.shape[1] // 2] ** 2,
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("read", sorted(READ))
@pytest.mark.parametrize("block", [1, 24, 2**17])
def test_values_and_gradients_are_the_vendors(make, shape, read, block, dtype, monkeypatch):
    monkeypatch.setattr(eager, "BLOCK", block)
    layer, (x, state) = make(*shape[2:], dtype), batch(shape, dtype)
    for given in (None, state):
        wanted = [x, *layer.parameters(), *([] if given is None else [given])]
        results = both_ways(layer, x, given, lambda *out: READ[read](*out).sum(), wanted)
        check(*results, dtype)


def test_a_usual_size_in_float32(make):
    layer, (x, state) = make(8, 64, torch.float32), batch((64, 50, 8, 64), torch.float32)
    layer.reset_parameters()
    # The mean, so that a gradient is of the size of an output.
    results = both_ways(layer, x, state, lambda *out: READ["both"](*out).mean(), [x, state])
    check(*results, torch.float32)


def test_gradients_are_those_of_finite_differences(make, monkeypatch):
    monkeypatch.setattr(eager, "BLOCK", 12)
    layer, (x, state) = make(2, 3), batch((2, 5, 2, 3))
    names, values = zip(*layer.named_parameters(), strict=True)

    def run(x, state, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x, state))

    assert torch.autograd.gradcheck(run, (x, state, *values))
    assert torch.autograd.gradgradcheck(run, (x, state, *values))


@pytest.mark.parametrize("frozen", [[0], [1], [2, 3], [0, 1, 2, 3], [0, 2], []])
@pytest.mark.parametrize("of_input", [False, True])
def test_frozen_weights_get_no_gradient(make, frozen, of_input):
    layer, (x, state) = make(2, 3), batch((4, 6, 2, 3))
    parameters = [*layer.parameters()]
    for i in frozen:
        parameters[i].requires_grad_(False)
    x.requires_grad_(of_input)
    state.requires_grad_(False)
    wanted = [t for t in (x, *parameters) if t.requires_grad]
    if wanted:
        check(*both_ways(layer, x, state, lambda *out: READ["both"](*out).sum(), wanted))
        layer(x)[0].sum().backward()
    else:
        assert not layer(x)[0].requires_grad
    assert [p.grad is None for p in parameters] == [i in frozen for i in range(4)]


def test_a_strided_input_and_an_expanded_gradient(make):
    layer = make(2, 3)
    flat = torch.randn(2, 9, 5, dtype=torch.float64, requires_grad=True)
    x = flat.permute(2, 1, 0)[::2, 1:]
    wanted = [flat, *layer.parameters()]
    check(*both_ways(layer, x, None, lambda output, last: output.sum(), wanted))


def test_second_derivatives_are_the_vendors(make):
    layer, (x, state) = make(2, 3), batch((4, 6, 2, 3))
    wanted = [x, state, *layer.parameters()]
    results = []
    for module in (layer, layer.rnn):
        output, last = module(x, state)
        value = (output.sin() * last[0].unsqueeze(1)).sum()
        (slope,) = torch.autograd.grad(value, x, create_graph=True)
        results.append(torch.autograd.grad(slope.square().sum(), wanted))
    check(*results)


def test_batched_gradients_are_those_one_by_one(make):
    layer, (x, _) = make(2, 3), batch((4, 6, 2, 3))
    output, _ = layer(x)
    weights = torch.randn(5, *output.shape, dtype=torch.float64)
    together = torch.autograd.grad(output, x, weights, retain_graph=True, is_grads_batched=True)[0]
    alone = [torch.autograd.grad(output, x, w, retain_graph=True)[0] for w in weights]
    check([together], [torch.stack(alone)])


def test_a_backward_pass_can_be_repeated(make):
    layer, (x, state) = make(2, 3), batch((4, 6, 2, 3))
    value = READ["both"](*layer(x, state)).sum()
    first, second = (torch.autograd.grad(value, x, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("shape", SHAPES)
def test_without_gradients_the_numbers_are_the_same(make, shape, context, monkeypatch):
    monkeypatch.setattr(eager, "BLOCK", 24)
    layer, (x, state) = make(*shape[2:]), batch(shape)
    expected = layer(x, state)
    with context():
        check(layer(x, state), expected)
        check(layer(x, state), layer.rnn(x, state))


def test_the_state_is_no_part_of_the_output(make):
    layer, (x, _) = make(2, 3), batch((4, 6, 2, 3))
    with torch.no_grad():
        output, state = layer(x)
        state += 1
        check([output], [layer.rnn(x)[0]])


def test_an_output_that_was_overwritten_is_noticed(make):
    layer, (x, _) = make(2, 3), batch((4, 6, 2, 3))
    output, _ = layer(x)
    with pytest.raises(RuntimeError, match="modified inplace"):
        output *= 2


def test_weights_copies_and_pickles_are_the_vendors(make):
    layer, (x, state) = make(2, 3), batch((4, 6, 2, 3))
    assert type(layer.rnn) in (nn.GRU, nn.RNN)
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    assert [*layer.state_dict()] == [f"rnn.{name}" for name in names]
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert all(map(torch.equal, other(x, state), layer(x, state)))


def test_chunks_hand_on_the_state(make, monkeypatch):
    layer, (x, state) = make(2, 3), batch((4, 11, 2, 3))
    whole = layer.rnn(x, state)
    monkeypatch.setattr(cells, "MAX_STEPS", 4)
    check(layer(x, state), whole)


def test_nan_goes_where_it_goes_in_the_vendors_layer(make):
    layer, (x, _) = make(2, 3), batch((4, 6, 2, 3))
    with torch.no_grad():
        x[1, 3, 0] = torch.nan
        assert torch.equal(layer(x)[0].isnan(), layer.rnn(x)[0].isnan())


# --- who gets the vendor's layer ---------------------------------------------------------------


def test_a_plain_call_does_not(make, forbidden):
    layer, (x, _) = make(2, 3), batch((4, 6, 2, 3))
    with pytest.raises(AssertionError, match="our way"):
        layer(x)
    with pytest.raises(AssertionError, match="our way"), torch.no_grad():
        layer(x)


def test_hooks_do(make, forbidden):
    calls = []
    for register in ("forward_hook", "forward_pre_hook", "full_backward_hook"):
        layer, (x, _) = make(2, 3), batch((4, 6, 2, 3))
        getattr(layer.rnn, f"register_{register}")(lambda *args: calls.append(1))
        layer(x)[0].sum().backward()
    assert len(calls) == 3


def test_other_cells_and_types_do(forbidden):
    x = torch.randn(4, 6, 2)
    TorchLayer("lstm", 2, 3)(x)
    for cell in ("gru", "rnn"):
        TorchLayer(cell, 2, 3).bfloat16()(x.bfloat16())
        TorchLayer(cell, 2, 3).to("meta")(x.to("meta"))


def test_autocast_does(make, forbidden):
    layer, (x, _) = make(2, 3, torch.float32), batch((4, 6, 2, 3), torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        output, _ = layer(x)
    output.sum().backward()


def test_export_does(make, forbidden):
    layer, (x, _) = make(2, 3, torch.float32), batch((4, 6, 2, 3), torch.float32)
    exported = torch.export.export(layer, (x.detach(),), strict=True)
    torch.testing.assert_close(exported.module()(x.detach())[0], layer.rnn(x)[0])


# torch's own code for such derivatives uses torch.jit, until torch drops it.
@pytest.mark.filterwarnings("ignore:`torch.jit.*` is deprecated:DeprecationWarning")
def test_derivatives_in_forward_mode_do(make, forbidden):
    layer, (x, _) = make(2, 3), batch((4, 6, 2, 3))
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, torch.ones_like(x))
        tangent = forward_ad.unpack_dual(layer(dual)[0]).tangent
    assert tangent is not None


def test_function_transforms_do(make, forbidden):
    layer, (x, _) = make(2, 3), batch((4, 6, 2, 3))
    weights = dict(layer.named_parameters())

    def loss(weights):
        return torch.func.functional_call(layer, weights, (x,))[0].sum()

    gradients = torch.func.grad(loss)(weights)
    expected = torch.autograd.grad(layer.rnn(x)[0].sum(), [*weights.values()])
    check([*gradients.values()], expected)


@pytest.mark.parametrize(
    ("x", "state"),
    [
        (torch.zeros(2, 4, 5), None),
        (torch.zeros(2, 4, 2), torch.zeros(1, 3, 3)),
        (torch.zeros(2, 4, 2).double(), None),
        (torch.zeros(2, 0, 2), None),
    ],
)
@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_wrong_arguments_do_for_their_errors(x, state, cell, forbidden):
    with pytest.raises((RuntimeError, ValueError)):
        TorchLayer(cell, 2, 3)(x, state)


@pytest.mark.parametrize(("cell", "module"), [("gru", gru_cpu), ("rnn", rnn_cpu)])
def test_short_sequences_do(cell, module, forbidden, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(module, "_forward", None)
    TorchLayer(cell, 2, 3)(torch.zeros(2, 2, 2))
    with torch.no_grad():
        TorchLayer(cell, 2, 3)(torch.zeros(2, 50, 2))


@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_the_gradients_of_both_biases_are_tensors_of_their_own(cell):
    layer = TorchLayer(cell, 2, 3)
    layer(torch.randn(4, 6, 2))[0].sum().backward()
    first, second = (layer.rnn.get_parameter(f"bias_{part}_l0").grad for part in ("ih", "hh"))
    before = second.clone()
    first.zero_()
    assert torch.equal(second, before)
