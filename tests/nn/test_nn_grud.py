"""Laws of GRU-D: the paper's equations in plain numpy, and what is left without decay."""

import numpy as np
import pytest
import torch
from torch import nn

from skrnn.nn import GRUDLayer, IrregularInput, RecurrentEncoder, make_layer

NAN = float("nan")


def layer_with_random_weights(n_features=3, size=5):
    layer = GRUDLayer(3 * n_features, size).double()
    for parameter in layer.parameters():
        nn.init.normal_(parameter)
    return layer


def gappy(shape=(4, 9, 3), share=0.5, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    x[rng.random(shape) < share] = NAN
    return x


def by_the_paper(layer, x, times):
    """Section 2.3 of Che et al., for one sequence with NaN, of mean 0, at given times."""
    w = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    n_features, size = x.shape[1], layer.output_size
    w_r, w_z, w_h = np.split(w["weight_ih"][:, :n_features], 3)
    v_r, v_z, v_h = np.split(w["weight_ih"][:, n_features:], 3)
    u_r, u_z, u_h = np.split(w["weight_hh"], 3)
    b_r, b_z, b_h = np.split(w["bias"], 3)
    h, last, delta, outputs = np.zeros(size), np.zeros(n_features), np.zeros(n_features), []
    for t, row in enumerate(x):
        if t > 0:
            before = np.isnan(x[t - 1])
            delta = times[t] - times[t - 1] + np.where(before, delta, 0.0)
        m = 1.0 - np.isnan(row)
        gamma_x = np.exp(-np.maximum(0, w["decay_input"] * delta + w["bias_decay_input"]))
        gamma_h = np.exp(-np.maximum(0, w["decay_state"] @ delta + w["bias_decay_state"]))
        x_hat = m * np.nan_to_num(row) + (1 - m) * (gamma_x * last + (1 - gamma_x) * 0.0)
        h_hat = gamma_h * h
        r = sigmoid(w_r @ x_hat + u_r @ h_hat + v_r @ m + b_r)
        z = sigmoid(w_z @ x_hat + u_z @ h_hat + v_z @ m + b_z)
        candidate = np.tanh(w_h @ x_hat + u_h @ (r * h_hat) + v_h @ m + b_h)
        h = (1 - z) * h_hat + z * candidate
        last = np.where(m > 0, np.nan_to_num(row), last)
        outputs.append(h)
    return np.array(outputs)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9, 1.0])
def test_every_step_is_that_of_the_paper(share):
    layer, x = layer_with_random_weights(), gappy(share=share)
    features, _ = IrregularInput(3)(torch.from_numpy(x))
    output, last = layer(features)
    for i, sequence in enumerate(x):
        expected = by_the_paper(layer, sequence, np.arange(len(sequence)))
        np.testing.assert_allclose(output[i].detach(), expected, atol=1e-12)
        np.testing.assert_allclose(last[0, i].detach(), expected[-1], atol=1e-12)


def test_at_irregular_times_as_well():
    layer, x = layer_with_random_weights(), gappy()
    times = np.random.default_rng(1).exponential(size=x.shape[:2]).cumsum(axis=1)
    given = torch.from_numpy(np.concatenate([x, times[:, :, None]], axis=2))
    output, _ = layer(IrregularInput(4, time_channel=3)(given)[0])
    for i, sequence in enumerate(x):
        expected = by_the_paper(layer, sequence, times[i])
        np.testing.assert_allclose(output[i].detach(), expected, atol=1e-12)


def without_decay(layer):
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            if "decay" in name:
                parameter.zero_()
    return layer


def test_without_gaps_and_decay_it_is_a_gated_recurrent_unit():
    """torch.nn.GRU, where the reset gate of both is open: only its place differs."""
    layer = without_decay(layer_with_random_weights())
    x = torch.from_numpy(gappy(share=0.0))
    size, n_features = layer.output_size, 3
    with torch.no_grad():
        layer.bias[:size] = 1e3
        gru = nn.GRU(n_features, size, batch_first=True).double()
        # What is read of a mask of ones is a bias, and torch keeps with z what GRU-D writes with.
        of_mask = layer.weight_ih[:, n_features:].sum(dim=1) + layer.bias
        sign = torch.ones(3 * size, dtype=torch.float64)
        sign[size : 2 * size] = -1
        gru.weight_ih_l0.copy_(sign[:, None] * layer.weight_ih[:, :n_features])
        gru.weight_hh_l0.copy_(sign[:, None] * layer.weight_hh)
        gru.bias_ih_l0.copy_(sign * of_mask)
        gru.bias_hh_l0.zero_()
        ours, _ = layer(IrregularInput(3)(x)[0])
        torch.testing.assert_close(ours, gru(x)[0], atol=1e-10, rtol=0)


def test_without_decay_the_times_change_nothing():
    layer = without_decay(layer_with_random_weights())
    features, _ = IrregularInput(3)(torch.from_numpy(gappy()))
    later = features.clone()
    later[:, :, 6:] *= 7
    torch.testing.assert_close(layer(later)[0], layer(features)[0])


def test_a_state_fades_while_nothing_is_observed():
    """With rates above 0 and no input, the state halves as often as time asks for."""
    layer = without_decay(layer_with_random_weights(1, 2))
    with torch.no_grad():
        layer.weight_ih.zero_()
        layer.weight_hh.zero_()
        layer.bias.zero_()
        layer.bias[2:4] = -1e3  # nothing is written
        layer.decay_state.fill_(np.log(2))
    features = torch.tensor([[[0.0, 0.0, 1.0], [0.0, 0.0, 3.0]]], dtype=torch.float64)
    output, _ = layer(features, torch.ones(1, 1, 2, dtype=torch.float64))
    torch.testing.assert_close(output[0, :, 0], torch.tensor([1 / 2, 1 / 16], dtype=torch.float64))


def test_gradients_are_those_of_finite_differences():
    layer = layer_with_random_weights(2, 3)
    features, _ = IrregularInput(2)(torch.from_numpy(gappy((2, 4, 2))))
    weights = dict(layer.named_parameters())

    def output(*values):
        return torch.func.functional_call(
            layer, dict(zip(weights, values, strict=True)), (features,)
        )[0]

    assert torch.autograd.gradcheck(output, tuple(weights.values()))


def test_new_layers_can_learn_every_rate_of_decay():
    """A rate below 0 would be cut off at 0, without a gradient."""
    features, _ = IrregularInput(3)(torch.from_numpy(gappy(share=0.7)).float())
    layer = GRUDLayer(9, 4)
    layer(features)[0].square().sum().backward()
    for rates in (layer.decay_input, layer.decay_state):
        assert (rates > 0).all()
        assert (rates.grad != 0).all()


def test_in_mixed_precision_it_is_about_the_same():
    features, _ = IrregularInput(3)(torch.from_numpy(gappy()).float())
    layer = GRUDLayer(9, 4)
    with torch.autocast("cpu", torch.bfloat16):
        mixed, _ = layer(features)
    torch.testing.assert_close(mixed.float(), layer(features)[0], atol=0.05, rtol=0)


def test_layers_above_read_states_with_a_gated_recurrent_unit():
    encoder = RecurrentEncoder(6, (4, 5), cell="grud")
    assert isinstance(encoder.layers[0], GRUDLayer)
    assert isinstance(encoder.layers[1].rnn, nn.GRU)


def test_mixed_precision_is_close_and_keeps_the_type_of_the_state():
    torch.manual_seed(0)
    layer, x = GRUDLayer(6, 8), gappy((3, 5, 2))
    features, _ = IrregularInput(2)(torch.from_numpy(x).float())
    with torch.autocast("cpu", torch.bfloat16):
        output, state = layer(features)
    assert output.dtype == state.dtype == torch.float32
    torch.testing.assert_close(output, layer(features)[0], atol=0.02, rtol=0)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="input_size=4"):
        make_layer("grud", 4, 8)
    with pytest.raises(ValueError, match="bidirectional=False"):
        RecurrentEncoder(6, cell="grud", bidirectional=True)
    with pytest.raises(ValueError, match="recurrent_dropout"):
        make_layer("grud", 6, 8, recurrent_dropout=0.1)
