"""Laws of the minimal cells: the paper's equations, however they are computed."""

import copy
import math
import pickle

import pytest
import torch
from torch import nn
from torch.nn.functional import linear, logsigmoid

from skrnn.nn import MinGRULayer, MinLSTMLayer, averages, eager

LAYERS = {"mingru": (MinGRULayer, 2), "minlstm": (MinLSTMLayer, 3)}
NAMES = sorted(LAYERS)
# (batch, time, features, hidden size)
SHAPES = [(3, 7, 2, 5), (1, 9, 3, 4), (5, 4, 1, 1), (4, 1, 2, 3), (1, 1, 1, 1), (2, 40, 6, 8)]
TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-12}


def make(name, features, size, dtype=torch.float64):
    layer = LAYERS[name][0](features, size).to(dtype)
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


def batch(shape, dtype=torch.float64):
    n, time, features, size = shape
    x = torch.randn(n, time, features, dtype=dtype, requires_grad=True)
    return x, torch.randn(1, n, size, dtype=dtype, requires_grad=True)


def as_written(layer, x, state=None):
    """The equations of the paper, one step after the other."""
    h, values = x.new_zeros(len(x), layer.output_size) if state is None else state[0], []
    for x_t in x.unbind(1):
        *gates, candidate = linear(x_t, layer.weight, layer.bias).chunk(len(layer.start) + 1, 1)
        if len(gates) == 1:
            update = gates[0].sigmoid()
            h = (1 - update) * h + update * candidate
        else:
            forget, write = (gate.sigmoid() for gate in gates)
            h = forget / (forget + write) * h + write / (forget + write) * candidate
        values.append(h)
    return torch.stack(values, 1), h[None]


def by_scan(layer, x, state=None):
    initial = None if state is None else state[0]
    n_parts = len(layer.start) + 1
    output = averages.moving_average_by_scan(x, initial, layer.weight, layer.bias, n_parts)
    return output, output[:, -1][None]


def with_gradients(function, layer, x, state):
    wanted = [x, *layer.parameters(), *([] if state is None else [state])]
    output, last = function(layer, x, state)
    weight = torch.linspace(-1, 2, output.numel(), dtype=output.dtype).view_as(output)
    value = (output * weight).mean() + last.square().mean()
    return [output, last, *torch.autograd.grad(value, wanted)]


def check(ours, expected, dtype=torch.float64):
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b, atol=TOLERANCES[dtype], rtol=TOLERANCES[dtype])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("block", [1, 24, 2**17])
@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_are_those_of_the_equations(name, block, shape, dtype, monkeypatch):
    monkeypatch.setattr(eager, "BLOCK", block)
    layer, (x, state) = make(name, *shape[2:], dtype), batch(shape, dtype)
    for given in (None, state):
        expected = with_gradients(as_written, layer, x, given)
        for way in (type(layer).__call__, by_scan):
            check(with_gradients(way, layer, x, given), expected, dtype)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_finite_differences(name, monkeypatch):
    monkeypatch.setattr(eager, "BLOCK", 12)
    layer, (x, state) = make(name, 2, 3), batch((2, 5, 2, 3))
    names, values = zip(*layer.named_parameters(), strict=True)

    def run(x, state, *values):
        return torch.func.functional_call(layer, dict(zip(names, values, strict=True)), (x, state))

    assert torch.autograd.gradcheck(run, (x, state, *values))
    assert torch.autograd.gradgradcheck(run, (x, state, *values))


@pytest.mark.parametrize("size", [1e-3, 1.0, 60.0, 300.0, 1e4, 1e12])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", NAMES)
def test_gates_far_out_are_exact(name, dtype, size):
    n_parts = LAYERS[name][1]
    layer = make(name, 2, 4, torch.float64)
    with torch.no_grad():
        layer.weight[:-4] = torch.linspace(-1, -0.5, 2 * len(layer.weight[:-4])).view(-1, 2)
    exact, (x, _) = copy.deepcopy(layer), batch((3, 6, 2, 4))
    layer, x = layer.to(dtype), (x.detach().abs() * size).to(dtype)
    *gates, candidate = linear(x.double(), exact.weight, exact.bias).chunk(n_parts, 2)
    odds = -gates[0] if n_parts == 2 else logsigmoid(gates[0]) - logsigmoid(gates[1])
    h, expected = 0.0, []
    for k, c in zip(odds.unbind(1), candidate.unbind(1), strict=True):
        h = k.sigmoid() * h + (-k).sigmoid() * c
        expected.append(h)
    # Rounding of a large product moves the gates.
    tolerance = 1e-4 if dtype == torch.float32 and size <= 1 else 1e-10
    if dtype == torch.float64 or size <= 1:
        torch.testing.assert_close(
            layer(x)[0].double(), torch.stack(expected, 1), atol=tolerance * size, rtol=tolerance
        )
    x.requires_grad_()
    results = with_gradients(type(layer).__call__, layer, x, None)
    assert all(bool(result.isfinite().all()) for result in results)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_two_gates_that_are_both_nothing_still_share(dtype):
    layer = make("minlstm", 1, 1, dtype)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[-1000.0], [-1000.0], [1.0]]))
        # The odds of forget and input gate are e to 1.
        layer.bias.copy_(torch.tensor([1.0, 0.0, 0.0]))
    x = torch.ones(1, 2, 1, dtype=dtype, requires_grad=True)
    results = [with_gradients(way, layer, x, None) for way in (type(layer).__call__, by_scan)]
    check(*results, dtype)
    share = 1 / (1 + math.e)
    assert results[0][0].flatten().tolist() == pytest.approx([share, share * (2 - share)], rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_a_new_layer_keeps_nine_tenths(name):
    layer = LAYERS[name][0](3, 5)
    output, _ = layer(torch.zeros(1, 4, 3), torch.ones(1, 1, 5))
    torch.testing.assert_close(output[0, :, 0], 0.9 ** torch.arange(1.0, 5.0))
    for part in layer.weight.split(5):
        assert 0.3 * (6 / 8) ** 0.5 < part.abs().max() <= (6 / 8) ** 0.5


@pytest.mark.parametrize("name", NAMES)
def test_the_output_stays_between_the_candidates(name):
    layer, (x, _) = make(name, 2, 5), batch((3, 50, 2, 5))
    candidates = linear(x, layer.weight, layer.bias)[:, :, -5:]
    bound = candidates.abs().cummax(1).values
    assert bool((layer(x)[0].abs() <= bound * (1 + 1e-12)).all())


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("name", NAMES)
def test_without_gradients_the_numbers_are_the_same(name, context, monkeypatch):
    monkeypatch.setattr(eager, "BLOCK", 24)
    layer, (x, state) = make(name, 2, 3), batch((4, 9, 2, 3))
    expected = layer(x, state)
    with context():
        check(layer(x, state), expected)


@pytest.mark.parametrize("frozen", [[0], [1], [0, 1]])
@pytest.mark.parametrize("name", NAMES)
def test_frozen_weights_get_no_gradient(name, frozen):
    layer, (x, _) = make(name, 2, 3), batch((4, 6, 2, 3))
    parameters = [*layer.parameters()]
    for i in frozen:
        parameters[i].requires_grad_(False)
    wanted = [t for t in (x, *parameters) if t.requires_grad]
    results = [
        torch.autograd.grad(way(layer, x)[0].sin().sum(), wanted)
        for way in (type(layer).__call__, as_written)
    ]
    check(*results)


@pytest.mark.parametrize("name", NAMES)
def test_a_strided_input_and_an_expanded_gradient(name):
    layer = make(name, 2, 3)
    flat = torch.randn(2, 9, 5, dtype=torch.float64, requires_grad=True)
    x = flat.permute(2, 1, 0)[::2, 1:]
    results = [
        torch.autograd.grad(way(layer, x)[0].sum(), [flat, *layer.parameters()])
        for way in (type(layer).__call__, as_written)
    ]
    check(*results)


@pytest.mark.parametrize("name", NAMES)
def test_batched_gradients_and_functions(name):
    layer, (x, _) = make(name, 2, 3), batch((4, 6, 2, 3))
    output, _ = layer(x)
    weights = torch.randn(5, *output.shape, dtype=torch.float64)
    together = torch.autograd.grad(output, x, weights, retain_graph=True, is_grads_batched=True)[0]
    alone = [torch.autograd.grad(output, x, w, retain_graph=True)[0] for w in weights]
    check([together], [torch.stack(alone)])
    mapped = torch.func.vmap(lambda x: layer(x[None])[0][0])(x)
    check([mapped], [output])


@pytest.mark.parametrize("name", NAMES)
def test_export_and_autocast_see_operations_of_torch(name):
    layer, (x, _) = make(name, 2, 3, torch.float32), batch((4, 6, 2, 3), torch.float32)
    exported = torch.export.export(layer, (x.detach(),), strict=True)
    torch.testing.assert_close(exported.module()(x.detach())[0], layer(x)[0])
    with torch.autocast("cpu", torch.bfloat16):
        output, _ = layer(x)
    assert output.dtype == torch.float32
    torch.testing.assert_close(output, layer(x)[0], atol=0.05, rtol=0.05)
    output.sum().backward()


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_remembers(name):
    layer = LAYERS[name][0](1, 4).bfloat16()
    output, state = layer(torch.zeros(1, 20, 1).bfloat16(), torch.ones(1, 1, 4).bfloat16())
    assert output.dtype == state.dtype == torch.bfloat16
    torch.testing.assert_close(state.float(), torch.full((1, 1, 4), 0.9**20), atol=0.01, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_are_known_without_numbers(name):
    layer = LAYERS[name][0](2, 3).to("meta")
    output, state = layer(torch.empty(4, 6, 2, device="meta"))
    assert (output.shape, state.shape) == ((4, 6, 3), (1, 4, 3))


@pytest.mark.parametrize(
    ("x", "state", "message"),
    [
        ((2, 0, 2), None, "time >= 1"),
        ((2, 4, 2), (1, 1, 3), r"initial has shape \(1, 3\), expected \(2, 3\)"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_f007_wrong_shapes_are_named(name, x, state, message):
    layer = LAYERS[name][0](2, 3)
    with pytest.raises(ValueError, match=message):
        layer(torch.ones(x), None if state is None else torch.ones(state))


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_batch_keeps_its_shape(name):
    output, state = LAYERS[name][0](2, 3)(torch.ones(0, 4, 2))
    assert (output.shape, state.shape) == ((0, 4, 3), (1, 0, 3))


@pytest.mark.parametrize("name", NAMES)
def test_f022_70_000_steps_equal_their_chunks(name):
    layer, x = LAYERS[name][0](1, 2), torch.randn(1, 70_000, 1)
    whole, _ = layer(x)
    first, state = layer(x[:, :30_000])
    second, _ = layer(x[:, 30_000:], state)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, atol=1e-6, rtol=0)
    whole.sum().backward()


@pytest.mark.parametrize("name", NAMES)
def test_copies_and_pickles(name):
    layer, (x, state) = make(name, 2, 3), batch((4, 6, 2, 3))
    assert [*layer.state_dict()] == ["weight", "bias"]
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert all(map(torch.equal, other(x, state), layer(x, state)))
    assert repr(layer) == f"{type(layer).__name__}(2, 3)"
