"""Laws of batch normalisation over the valid steps."""

import torch

from skrnn.nn import StepNorm, ValidSteps, length_mask

LENGTHS, TIME = torch.tensor([9, 1, 0, 4]), 9


def norm_with_weights():
    norm = StepNorm(6).double()
    with torch.no_grad():
        norm.weight.uniform_(0.5, 2)
        norm.bias.normal_()
    return norm


def maps(batch):
    return torch.randn(batch, 6, 1, TIME, dtype=torch.float64)


def valid_of(x, lengths=None, weight=None):
    valid = ValidSteps.of(lengths, x[:, 0, 0].unsqueeze(2))
    return ValidSteps(valid.lengths, valid.batch, valid.time, weight)


def test_the_statistics_are_those_of_the_valid_steps():
    norm, reference = norm_with_weights(), torch.nn.BatchNorm1d(6).double()
    reference.weight, reference.bias = norm.weight, norm.bias
    x, mask = maps(len(LENGTHS)), length_mask(LENGTHS, TIME)
    rows = x.squeeze(2).transpose(1, 2)[mask]
    made = norm(x, valid_of(x, LENGTHS)).squeeze(2).transpose(1, 2)[mask]
    torch.testing.assert_close(made, reference(rows))
    torch.testing.assert_close(norm.running_mean, rows.mean(0))
    torch.testing.assert_close(norm.running_var, rows.var(0, correction=0))
    whole = maps(3)
    expected = reference(whole.squeeze(2)).unsqueeze(2)
    torch.testing.assert_close(norm(whole), expected)
    torch.testing.assert_close(norm(whole, valid_of(whole)), expected)
    ones = torch.ones(3, dtype=torch.float64)
    torch.testing.assert_close(norm(whole, valid_of(whole, weight=ones)), expected)


def test_a_weight_is_a_number_of_repetitions():
    x, lengths, weight = maps(3), torch.tensor([9, 3, 5]), torch.tensor([1.0, 3.0, 0.0])
    weighted, repeated = norm_with_weights(), norm_with_weights()
    repeated.load_state_dict(weighted.state_dict())
    index = torch.tensor([0, 1, 1, 1])
    made = weighted(x, valid_of(x, lengths, weight))
    twin = repeated(x[index], valid_of(x[index], lengths[index]))
    torch.testing.assert_close(made[:2], twin[:2])
    for a, b in zip(weighted.buffers(), repeated.buffers(), strict=True):
        torch.testing.assert_close(a, b)
    steps = weight[:, None] * length_mask(lengths, TIME)
    torch.testing.assert_close(weighted(x, valid_of(x, lengths, steps)), made)


def test_running_statistics_are_a_mean_at_first_and_follow_then():
    norm = norm_with_weights()
    batches = torch.stack([maps(3) + k for k in range(12)])
    means = batches.mean(dim=(1, 3, 4))
    for k, batch in enumerate(batches[:10], start=1):
        norm(batch)
        torch.testing.assert_close(norm.running_mean, means[:k].mean(0))
    norm(batches[10])
    torch.testing.assert_close(norm.running_mean, 0.9 * means[:10].mean(0) + 0.1 * means[10])


def test_weights_of_zero_leave_finite_numbers():
    norm, x = norm_with_weights(), maps(2)
    made = norm(x, valid_of(x, weight=torch.zeros(2)))
    assert bool(made.isfinite().all())
    assert all(bool(b.isfinite().all()) for b in norm.buffers())
