"""Laws of recurrent layers: equations, start values, custom cells, chunks."""

import numpy as np
import pytest
import torch
from torch import nn

from skrnn import RNNClassifier
from skrnn.nn import CELLS, CellLayer, RecurrentLayer, TorchLayer, cells, make_layer

N_GATES = {"rnn": 1, "gru": 3, "lstm": 4}
STEP_CELLS = {"rnn": nn.RNNCell, "gru": nn.GRUCell, "lstm": nn.LSTMCell}
TORCH_CELLS = sorted(STEP_CELLS)


class MinimalGate(nn.Module):
    """User-written step cell: h' = h + f (tanh(U x) - h), f = sigmoid(W x + V h)."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.hidden_size = hidden_size
        self.u = nn.Linear(input_size, hidden_size)
        self.w = nn.Linear(input_size, hidden_size)
        self.v = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        h = x.new_zeros(len(x), self.hidden_size) if state is None else state
        gate = torch.sigmoid(self.w(x) + self.v(h))
        return h + gate * (torch.tanh(self.u(x)) - h)


class MinimalLayer(RecurrentLayer):
    """The same cell, written as a layer."""

    def __init__(self, input_size, hidden_size):
        super().__init__(hidden_size)
        self.cell = MinimalGate(input_size, hidden_size)

    def forward(self, x, state=None):
        output = []
        for x_t in x.unbind(1):
            state = self.cell(x_t, state)
            output.append(state)
        return torch.stack(output, 1), state


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def numpy_step(cell, p, x, h, c):
    """One step as written in the documentation of torch.nn, gate by gate."""
    ih = np.split(p["weight_ih_l0"] @ x + p["bias_ih_l0"], N_GATES[cell])
    hh = np.split(p["weight_hh_l0"] @ h + p["bias_hh_l0"], N_GATES[cell])
    if cell == "rnn":
        return np.tanh(ih[0] + hh[0]), None
    if cell == "gru":
        reset, update = sigmoid(ih[0] + hh[0]), sigmoid(ih[1] + hh[1])
        new = np.tanh(ih[2] + reset * hh[2])
        return (1 - update) * new + update * h, None
    write, forget, out = (sigmoid(ih[k] + hh[k]) for k in (0, 1, 3))
    c = forget * c + write * np.tanh(ih[2] + hh[2])
    return out * np.tanh(c), c


@pytest.mark.parametrize("cell", TORCH_CELLS)
def test_one_step_is_the_written_equation(cell):
    layer = TorchLayer(cell, 3, 4).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    p = {name: value.detach().numpy() for name, value in layer.rnn.named_parameters()}
    x = torch.randn(1, 2, 3, dtype=torch.float64)
    output, _ = layer(x)
    h, c = np.zeros(4), np.zeros(4)
    for t in range(2):
        h, c = numpy_step(cell, p, x[0, t].numpy(), h, c)
        np.testing.assert_allclose(output[0, t].detach().numpy(), h, atol=1e-12)


@pytest.mark.parametrize("cell", TORCH_CELLS)
def test_start_values(cell):
    layer = TorchLayer(cell, 3, 5)
    for block in layer.rnn.weight_hh_l0.split(5):
        torch.testing.assert_close(block @ block.T, torch.eye(5))
    limit = (6 / (3 + 5)) ** 0.5
    assert layer.rnn.weight_ih_l0.abs().max() <= limit
    biases = (layer.rnn.bias_ih_l0 + layer.rnn.bias_hh_l0).split(5)
    for gate, bias in enumerate(biases):
        expected = 1.0 if cell == "lstm" and gate == 1 else 0.0
        assert bool((bias == expected).all())


@pytest.mark.parametrize("cell", sorted(CELLS))
def test_the_same_seed_draws_the_same_weights(cell):
    states = []
    for _ in range(2):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            states.append(make_layer(cell, 3, 5).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("cell", TORCH_CELLS)
def test_torch_step_cells_equal_the_built_in(cell):
    built_in, custom = make_layer(cell, 3, 4), make_layer(STEP_CELLS[cell], 3, 4)
    assert isinstance(custom, CellLayer)
    custom.cell.load_state_dict(
        {name.removesuffix("_l0"): value for name, value in built_in.rnn.state_dict().items()}
    )
    x = torch.randn(2, 6, 3)
    torch.testing.assert_close(custom(x)[0], built_in(x)[0], atol=1e-6, rtol=1e-5)


def test_user_written_step_cell_and_layer_agree():
    by_cell, by_layer = make_layer(MinimalGate, 3, 4), make_layer(MinimalLayer, 3, 4)
    assert isinstance(by_layer, MinimalLayer)
    by_layer.load_state_dict(by_cell.state_dict())
    x = torch.randn(2, 6, 3)
    torch.testing.assert_close(by_cell(x)[0], by_layer(x)[0])


@pytest.mark.parametrize("cell", [*sorted(CELLS), nn.LSTMCell, MinimalGate])
def test_the_state_carries_on(cell):
    layer = make_layer(cell, 3, 4)
    x = torch.randn(2, 7, 3)
    first, state = layer(x[:, :3])
    second, _ = layer(x[:, 3:], state)
    whole, _ = layer(x)
    torch.testing.assert_close(torch.cat([first, second], 1), whole, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("cell", sorted(CELLS))
@pytest.mark.parametrize("time", [8, 9, 11])
def test_f022_chunks_equal_the_whole(cell, time, monkeypatch):
    layer = make_layer(cell, 3, 4).double()
    x = torch.randn(2, time, 3, dtype=torch.float64, requires_grad=True)
    inputs = [x, *layer.parameters()]
    results = []
    for max_steps in (4, 10**6):
        monkeypatch.setattr(cells, "MAX_STEPS", max_steps)
        output, state = layer(x)
        last = state[0] if isinstance(state, tuple) else state
        gradients = torch.autograd.grad(output.square().sum() + last.sum(), inputs)
        results.append([output, last, *gradients])
    for chunked, whole in zip(*results, strict=True):
        torch.testing.assert_close(chunked, whole, atol=1e-10, rtol=1e-10)


def test_f022_70_000_steps_equal_one_call():
    layer = TorchLayer("lstm", 1, 2)
    x = torch.randn(1, 70_000, 1)
    with torch.no_grad():
        torch.testing.assert_close(layer(x)[0], layer.rnn(x)[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("cell", sorted(CELLS))
def test_the_state_has_one_entry_per_sequence(cell):
    _, state = make_layer(cell, 3, 4)(torch.randn(2, 7, 3))
    for part in state if isinstance(state, tuple) else (state,):
        assert part.shape == (1, 2, 4)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", sorted(CELLS))
def test_every_cell_trains_in_an_estimator(cell, bidirectional, ragged, labels):
    params = {"hidden_size": 4, "num_layers": 2, "max_epochs": 1, "lr": 0.1, "random_state": 0}
    classifier = RNNClassifier(cell, bidirectional=bidirectional, early_stopping=False, **params)
    probabilities = classifier.fit(ragged, labels).predict_proba(ragged)
    assert probabilities.shape == (len(ragged), 2)
    assert bool(np.isfinite(probabilities).all())
    assert np.ptp(probabilities[:, 0]) > 0


def test_relu_is_for_the_plain_cell():
    assert make_layer("rnn", 2, 3, "relu").rnn.nonlinearity == "relu"
    assert bool((make_layer("rnn", 2, 3, "relu")(torch.randn(2, 5, 2))[0] >= 0).all())
    make_layer("lstm", 2, 3, "relu")
    with pytest.raises(ValueError, match="nonlinearity must be 'tanh' or 'relu', got 'gelu'"):
        make_layer("rnn", 2, 3, "gelu")


def test_f072_unknown_cell_lists_the_names():
    names = "'gru', 'grud', 'lstm', 'mingru', 'minlstm', 'rnn'"
    with pytest.raises(ValueError, match=f"unknown cell 'ltsm': expected one of {names}, or"):
        make_layer("ltsm", 2, 3)
    with pytest.raises(ValueError, match="cell must be 'gru', 'lstm' or 'rnn', got 'ltsm'"):
        TorchLayer("ltsm", 2, 3)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (nn.LSTM, "use cell='lstm' instead"),
        (nn.GRUCell(2, 3), "give its class"),
        (3, "give its class"),
        (lambda input_size, hidden_size: "nothing", "must make a torch.nn.Module"),
    ],
)
def test_f072_what_is_no_cell_is_refused(cell, message):
    with pytest.raises(TypeError, match=message):
        make_layer(cell, 2, 3)


def test_a_cell_of_another_size_is_named():
    layer = CellLayer(nn.GRUCell(2, 3), output_size=4)
    with pytest.raises(ValueError, match=r"GRUCell returned shape \(5, 3\) for one step"):
        layer(torch.zeros(5, 1, 2))


def kept_after_a_step(cell, memory_steps, n_features=500):
    """Share of its state that a new layer keeps when nothing comes in."""
    torch.manual_seed(0)
    layer = make_layer(cell, 2, n_features, memory_steps=memory_steps)
    if cell == "gru":
        layer.rnn.weight_hh_l0.data.zero_()
    full = torch.ones(1, 1, n_features)
    state = (torch.zeros_like(full), full) if cell == "lstm" else full
    _, state = layer(torch.zeros(1, 1, 2), state)
    return (state[1] if cell == "lstm" else state).detach().squeeze().double()


@pytest.mark.parametrize("cell", cells.KEEPING)
@pytest.mark.parametrize("memory_steps", [2, 30, 1000])
def test_a_new_layer_forgets_after_2_to_memory_steps(cell, memory_steps):
    steps = 1 / (1 - kept_after_a_step(cell, memory_steps))
    assert 2 - 1e-3 < steps.min() < 2 + 0.05 * memory_steps
    assert 0.95 * memory_steps < steps.max() < memory_steps * (1 + 1e-3)
    # All lengths of memory are as frequent.
    torch.testing.assert_close(
        steps.mean(), steps.new_tensor(1 + memory_steps / 2), rtol=0.1, atol=0
    )


def test_the_input_gate_of_a_long_memory_opposes_its_forget_gate():
    bias = make_layer("lstm", 2, 8, memory_steps=50).rnn.bias_ih_l0
    torch.testing.assert_close(bias[:8], -bias[8:16])


def test_a_memory_is_of_cells_that_keep_their_state():
    with pytest.raises(ValueError, match=r"memory_steps=9 decides.*cell='rnn'"):
        make_layer("rnn", 2, 8, memory_steps=9)
    with pytest.raises(ValueError, match="memory_steps must be at least 2, got 1"):
        make_layer("lstm", 2, 8, memory_steps=1)


@pytest.mark.parametrize("cell", cells.KEEPING)
def test_estimators_start_every_layer_with_its_memory(cell):
    X = list(np.random.default_rng(0).normal(size=(6, 4, 2)))
    params = {"cell": cell, "hidden_size": 4, "num_layers": 2, "memory_steps": 1000, "lr": 1e-9}
    model = RNNClassifier(max_epochs=1, random_state=0, **params).fit(X, [0, 1] * 3)
    encoder = model.net_.module_.encoder
    for layer in [*encoder.layers, *encoder.backward_layers]:
        bias = layer.bias if cell.startswith("min") else layer.rnn.bias_ih_l0
        assert bias.abs().max() > 3.5
