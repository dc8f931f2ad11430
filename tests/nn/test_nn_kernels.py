"""Laws of recurrent layers that are computed past their modules."""

import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_hook

from skrnn.nn import TorchLayer
from skrnn.nn.kernels import run_layer

LAYERS = {
    "lstm": lambda: nn.LSTM(3, 5, batch_first=True),
    "gru": lambda: nn.GRU(3, 5, batch_first=True),
    "tanh": lambda: nn.RNN(3, 5, batch_first=True),
    "relu": lambda: nn.RNN(3, 5, nonlinearity="relu", batch_first=True),
}


def flat(state):
    return state if isinstance(state, tuple) else (state,)


def equal(ours, theirs):
    return all(map(torch.equal, (ours[0], *flat(ours[1])), (theirs[0], *flat(theirs[1]))))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_is_its_module_to_the_last_bit(name, started, training, dtype):
    torch.manual_seed(0)
    rnn = LAYERS[name]().to(dtype).train(training)
    x = torch.randn(4, 6, 3, dtype=dtype)
    with torch.no_grad():
        state = rnn(x)[1] if started else None
    ours, theirs = run_layer(rnn, x, state), rnn(x, state)
    assert equal(ours, theirs)
    if not training:
        return
    weights = list(rnn.parameters())
    gradients = [torch.autograd.grad(out[0].square().sum(), weights) for out in (ours, theirs)]
    assert all(map(torch.equal, *gradients))


def test_hooks_and_subclasses_see_the_call():
    class Doubled(nn.LSTM):
        def forward(self, x, state=None):
            output, state = super().forward(x, state)
            return 2 * output, state

    x, rnn = torch.ones(2, 4, 3), Doubled(3, 5, batch_first=True)
    assert equal(run_layer(rnn, x, None), rnn(x))
    seen, watched = [], nn.LSTM(3, 5, batch_first=True)
    watched.register_forward_hook(lambda *args: seen.append(args))
    run_layer(watched, x, None)
    assert len(seen) == 1


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_a_hook_of_all_modules_sees_the_call(cell):
    seen, layer, x = [], TorchLayer(cell, 3, 5), torch.ones(2, 12, 3)
    handle = register_module_forward_hook(lambda module, *args: seen.append(module))
    try:
        layer(x)
    finally:
        handle.remove()
    assert layer.rnn in seen
    layer(x)
    assert seen.count(layer.rnn) == 1


def test_wrong_input_is_refused_as_by_the_module():
    layer = TorchLayer("lstm", 3, 5)
    with pytest.raises(RuntimeError, match="input"):
        layer(torch.ones(2, 4, 7))


def test_weights_are_those_of_the_moment():
    x, rnn = torch.ones(2, 4, 3), nn.LSTM(3, 5, batch_first=True)
    other = {name: nn.Parameter(torch.zeros_like(p)) for name, p in rnn.named_parameters()}
    with torch.no_grad():
        before, _ = run_layer(rnn, x, None)
        for name, parameter in other.items():
            setattr(rnn, name, parameter)
        after, _ = run_layer(rnn, x, None)
    assert before.abs().sum() > 0
    assert after.abs().sum() == 0
