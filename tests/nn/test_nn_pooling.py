"""Laws of pooling."""

import pytest
import torch

from skrnn.nn import POOLINGS, Pooling, length_mask

LENGTHS = torch.tensor([6, 1, 0, 3])
TIME = 6


def by_hand(kind, rows, pooling):
    """One summary from the list of valid parts."""
    half = pooling.input_size // pooling.num_directions
    pooled = []
    for row in rows:
        if len(row) == 0:
            pooled.append(torch.zeros(row.shape[1]))
        elif kind == "mean":
            pooled.append(row.mean(0))
        elif kind == "max":
            pooled.append(row.amax(0))
        elif kind == "last":
            pooled.append(torch.cat([row[-1, :half], row[0, half:]]))
        else:
            scores = pooling.score.weight @ torch.tanh(pooling.attention.weight @ row.T)
            pooled.append((scores.softmax(1) @ row)[0])
    return torch.stack(pooled)


@pytest.mark.parametrize("num_directions", [1, 2])
@pytest.mark.parametrize("kind", POOLINGS)
def test_pooling_equals_the_loop_over_sequences(kind, num_directions):
    pooling = Pooling(4, kind, num_directions)
    output = torch.randn(len(LENGTHS), TIME, 4)
    rows = [row[:length] for row, length in zip(output, LENGTHS, strict=True)]
    torch.testing.assert_close(pooling(output, LENGTHS), by_hand(kind, rows, pooling))
    torch.testing.assert_close(pooling(output), by_hand(kind, list(output), pooling))


@pytest.mark.parametrize("kind", POOLINGS)
def test_f012_nan_padding_changes_neither_value_nor_gradient(kind):
    pooling = Pooling(4, kind, 2)
    output = torch.randn(len(LENGTHS), TIME, 4)
    mask = length_mask(LENGTHS, TIME)
    results = []
    for filler in (0.0, float("nan"), 1e30):
        leaf = output.masked_fill(~mask.unsqueeze(-1), filler).requires_grad_()
        pooled = pooling(leaf, LENGTHS)
        inputs = [leaf, *pooling.parameters()]
        results.append([pooled, *torch.autograd.grad(pooled.square().sum(), inputs)])
        assert bool((results[-1][1][~mask] == 0).all())
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert bool(b.isfinite().all())
            assert torch.equal(a, b)


def test_kinds_are_concatenated_in_order():
    output = torch.randn(len(LENGTHS), TIME, 4)
    kinds = ("max", "last", "mean")
    pooling = Pooling(4, kinds)
    parts = [Pooling(4, kind)(output, LENGTHS) for kind in kinds]
    assert pooling.output_size == 12
    assert torch.equal(pooling(output, LENGTHS), torch.cat(parts, 1))


def test_the_gradient_of_the_maximum_is_that_of_amax():
    x = torch.randn(3, TIME, 4).round().double().requires_grad_()  # rounding makes ties
    weight = torch.randn(3, 4).double()
    pooling = Pooling(4, "max")
    (gradient,) = torch.autograd.grad((pooling(x) * weight).sum(), x)
    (expected,) = torch.autograd.grad((x.amax(1) * weight).sum(), x)
    torch.testing.assert_close(gradient, expected)
    distinct = torch.randn(3, TIME, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: pooling(x, [6, 2, 1]), distinct)
    with torch.no_grad():
        assert torch.equal(pooling(x), x.amax(1))


def test_attention_weights_are_a_distribution_over_valid_steps():
    weights = Pooling(4, "attention").weights(torch.randn(len(LENGTHS), TIME, 4), LENGTHS)
    assert bool((weights >= 0).all())
    assert bool((weights[~length_mask(LENGTHS, TIME)] == 0).all())
    torch.testing.assert_close(weights.sum(1), (LENGTHS > 0).float())


def test_no_time_gives_zeros():
    pooled = Pooling(4, POOLINGS)(torch.zeros(2, 0, 4))
    assert torch.equal(pooled, torch.zeros(2, 16))


@pytest.mark.parametrize("kinds", ["median", (), ("mean", "mean"), ("mean", "median")])
def test_unknown_kinds_are_named(kinds):
    with pytest.raises(ValueError, match="'attention', 'last', 'max', 'mean'"):
        Pooling(4, kinds)


def test_directions_must_divide_the_features():
    with pytest.raises(ValueError, match="num_directions must be 1 or 2"):
        Pooling(5, "last", num_directions=2)


def test_weights_need_attention():
    with pytest.raises(ValueError, match="only with pooling 'attention'"):
        Pooling(4, "mean").weights(torch.zeros(1, 2, 4))


@pytest.mark.parametrize("lengths", [LENGTHS, None])
def test_heads_are_as_many_poolings_by_attention(lengths):
    pooling = Pooling(4, ("mean", "attention"), attention_heads=3)
    output = torch.randn(len(LENGTHS), TIME, 4)
    pooled, weights = pooling(output, lengths), pooling.weights(output, lengths)
    assert pooled.shape == (len(LENGTHS), pooling.output_size) == (len(LENGTHS), 16)
    assert weights.shape == (len(LENGTHS), 3, TIME)
    for head in range(3):
        single = Pooling(4, "attention")
        with torch.no_grad():
            single.attention.weight.copy_(pooling.attention.weight)
            single.score.weight.copy_(pooling.score.weight[head : head + 1])
        part = pooled[:, 4 * (head + 1) : 4 * (head + 2)]
        torch.testing.assert_close(part, single(output, lengths))
        torch.testing.assert_close(weights[:, head], single.weights(output, lengths))


def test_heads_are_at_least_one():
    with pytest.raises(ValueError, match="attention_heads must be at least 1, got 0"):
        Pooling(4, "attention", attention_heads=0)


@pytest.mark.parametrize("num_directions", [1, 2])
def test_last_reads_no_padding(num_directions):
    pooling = Pooling(4, "last", num_directions)
    output, lengths = torch.randn(3, 5, 4), torch.tensor([5, 2, 0])
    expected = pooling(output, lengths)
    for row, length in zip(output, lengths, strict=True):
        row[length:] = float("nan")
    assert not pooling.reads_padding
    assert torch.equal(pooling(output, lengths), expected)
    assert expected[2].abs().sum() == 0
