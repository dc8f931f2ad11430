"""Laws of dropout inside the recurrence."""

import warnings

import pytest
import torch

from skrnn.nn import RecurrentEncoder, TorchLayer, drawn_from, make_layer
from skrnn.nn.cells import MAX_STEPS
from skrnn.nn.dropped import DroppedRun
from skrnn.nn.kernels import run_kernel

CELLS = ("lstm", "gru", "rnn")
DROPS = ("weight_dropout", "recurrent_dropout")


def seeded():
    return drawn_from(torch.Generator().manual_seed(0))


def flat(state):
    return state if isinstance(state, tuple) else (state,)


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("started", [False, True])
def test_with_nothing_dropped_every_way_is_the_kernel(cell, nonlinearity, started):
    layer = TorchLayer(cell, 3, 4, nonlinearity).double()
    x = torch.randn(2, 7, 3, dtype=torch.float64)
    state = layer(torch.randn(2, 2, 3, dtype=torch.float64))[1] if started else None
    expected, after = layer(x, state)
    weights = list(layer.parameters())
    gradients = torch.autograd.grad(expected.square().sum(), weights, retain_graph=True)
    stepwise = DroppedRun(layer.rnn, x, 0.0, 0.0)
    stepwise.mask = torch.ones(2, 4, dtype=torch.float64)
    dropped = DroppedRun(layer.rnn, x, 0.0, 0.0)
    for same, _ in (dropped(x, state), run_kernel(layer.rnn, x, state, dropped.weights)):
        torch.testing.assert_close(same, expected)
    output, end = stepwise(x, state)
    torch.testing.assert_close(output, expected)
    for a, b in zip(flat(end), flat(after), strict=True):
        torch.testing.assert_close(a, b)
    same = torch.autograd.grad(output.square().sum(), weights)
    torch.testing.assert_close(same, gradients)


@pytest.mark.parametrize("cell", CELLS)
def test_dropped_weights_are_a_layer_with_these_weights(cell):
    layer, reference = TorchLayer(cell, 3, 4, weight_dropout=0.5), TorchLayer(cell, 3, 4)
    reference.load_state_dict(layer.state_dict())
    before = layer.rnn.weight_hh_l0.detach().clone()
    x = torch.randn(2, 7, 3)
    with seeded():
        output, _ = layer(x)
    with seeded():
        weights = DroppedRun(layer.rnn, x, 0.5, 0.0).weights[1]
    with torch.no_grad():
        reference.rnn.weight_hh_l0.copy_(weights)
    torch.testing.assert_close(output, reference(x)[0])
    assert torch.equal(layer.rnn.weight_hh_l0, before)
    assert set((weights / before).detach().round(decimals=4).unique().tolist()) == {0.0, 2.0}
    output.sum().backward()
    assert bool((layer.rnn.weight_hh_l0.grad[weights == 0] == 0).all())


def test_the_state_loses_the_same_features_at_all_steps_of_a_sequence():
    layer = TorchLayer("rnn", 4, 4, "relu", recurrent_dropout=0.5)
    with torch.no_grad():
        # The state counts the steps: it adds 1 to what is handed on.
        layer.rnn.weight_hh_l0.copy_(torch.eye(4))
        layer.rnn.weight_ih_l0.copy_(torch.eye(4))
    output, _ = layer(torch.ones(8, 3, 4))
    kept = output[:, 2] > 1
    assert bool(kept.any())
    assert not bool(kept.all())
    assert not bool((kept == kept[:1]).all())
    # A feature that is kept is doubled at every step.
    doubled = torch.tensor([1.0, 3.0, 7.0]).view(1, 3, 1).expand(8, 3, 4)
    expected = doubled.where(kept.unsqueeze(1), torch.ones(()))
    torch.testing.assert_close(output, expected)


def test_a_gru_hands_on_what_it_drops_for_its_gates():
    layer = TorchLayer("gru", 1, 3, recurrent_dropout=0.999)
    with torch.no_grad():
        # The update gate is shut: what is carried on stays.
        layer.rnn.bias_ih_l0[3:6] = 50.0
    state = torch.randn(1, 2, 3)
    torch.testing.assert_close(layer(torch.randn(2, 5, 1), state)[1], state)


@pytest.mark.parametrize("drop", DROPS)
@pytest.mark.parametrize("cell", CELLS)
def test_dropping_is_for_training_and_follows_the_generator(cell, drop):
    encoder = RecurrentEncoder(3, 8, cell=cell, bidirectional=True, **{drop: 0.5})
    plain = RecurrentEncoder(3, 8, cell=cell, bidirectional=True)
    plain.load_state_dict(encoder.state_dict())
    x = torch.randn(2, 6, 3)
    assert not torch.equal(encoder(x), encoder(x))
    state = torch.get_rng_state()
    with seeded():
        first = encoder(x)
    with seeded():
        assert torch.equal(encoder(x), first)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(encoder.eval()(x), plain.eval()(x))


@pytest.mark.parametrize("drop", DROPS)
@pytest.mark.parametrize("cell", CELLS)
def test_padding_plays_no_part(cell, drop):
    encoder = RecurrentEncoder(2, 3, cell=cell, **{drop: 0.5}).double()
    x = torch.randn(2, 4, 2, dtype=torch.float64)
    with seeded():
        short = encoder(x, [4, 2])
    with seeded():
        long = encoder(torch.nn.functional.pad(x, (0, 0, 0, 5), value=torch.nan), [4, 2])
    torch.testing.assert_close(long[:, :4], short)


@pytest.mark.parametrize("drop", DROPS)
def test_a_sequence_of_any_length_has_one_mask(drop, monkeypatch):
    layer, x = TorchLayer("lstm", 2, 3, **{drop: 0.5}), torch.randn(2, 9, 2)
    with seeded():
        whole = layer(x)[0]
    assert x.shape[1] < MAX_STEPS
    monkeypatch.setattr("skrnn.nn.cells.MAX_STEPS", 4)
    with seeded():
        torch.testing.assert_close(layer(x)[0], whole)


@pytest.mark.parametrize("drop", DROPS)
@pytest.mark.parametrize("cell", ["mingru", torch.nn.GRUCell], ids=["mingru", "class"])
def test_other_cells_have_nothing_to_drop(cell, drop):
    with pytest.raises(ValueError, match=f"{drop} drop what 'gru', 'lstm' and 'rnn' multiply"):
        make_layer(cell, 2, 3, **{drop: 0.1})


@pytest.mark.parametrize("drop", DROPS)
@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_wrong_shares_are_named(share, drop):
    with pytest.raises(ValueError, match=rf"{drop} must be in \[0, 1\), got {share}"):
        TorchLayer("lstm", 2, 3, **{drop: share})


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("cell", CELLS)
def test_on_cuda_dropped_weights_warn_of_nothing(cell):
    layer = TorchLayer(cell, 3, 4, weight_dropout=0.5).cuda()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(torch.randn(2, 5, 3, device="cuda"))[0].sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in layer.parameters())
