"""Laws of lengths, masks and reversal."""

import numpy as np
import pytest
import torch

from skrnn.nn import ValidSteps, check_lengths, length_mask, reverse_within_length


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([1, 4, 9], r"lengths\[2\]=9 exceeds 4 time steps"),
        ([-1, 4, 4], r"lengths\[0\]=-1 is negative"),
        ([1, 2.5, 4], r"lengths\[1\]=2.5 is not a whole number"),
        ([1, float("nan"), 4], r"lengths\[1\]=nan is not a whole number"),
        ([1, float("inf"), 4], r"lengths\[1\]=inf is not a whole number"),
        ([1, 2, 3, 4], "4 lengths for 3 sequences"),
        ([[1, 2, 3]], "one dimension"),
        (["1", "2", "3"], "whole numbers"),
        ([True, True, False], "whole numbers"),
    ],
)
@pytest.mark.parametrize("kind", ["list", "array", "tensor"])
def test_f007_lengths_that_do_not_fit_are_named(lengths, message, kind):
    if kind == "array":
        lengths = np.asarray(lengths)
    elif kind == "tensor":
        lengths = lengths if isinstance(lengths[0], str) else torch.tensor(lengths)
    with pytest.raises(ValueError, match=message):
        check_lengths(lengths, batch=3, time=4)


@pytest.mark.parametrize(
    "lengths",
    [
        [0, 2, 4],
        (0.0, 2.0, 4.0),
        np.array([0, 2, 4], dtype=np.uint8),
        np.array([0, 2, 4], dtype=np.float32),
        torch.tensor([0.0, 2.0, 4.0]),
        torch.tensor([0, 2, 4], dtype=torch.int32),
    ],
)
def test_f007_whole_numbers_of_any_type_are_cast(lengths):
    checked = check_lengths(lengths, batch=3, time=4)
    assert checked.dtype == torch.int64
    assert checked.tolist() == [0, 2, 4]


def test_an_empty_batch_has_no_lengths():
    assert check_lengths([], batch=0, time=4).shape == (0,)


def test_the_mask_counts_the_lengths():
    lengths = torch.tensor([0, 3, 5])
    mask = length_mask(lengths, 5)
    assert torch.equal(mask.sum(1), lengths)
    assert bool((mask[:, :-1] >= mask[:, 1:]).all())


@pytest.mark.parametrize("lengths", [None, [4, 4, 4], [4, 0, 2]])
def test_reversal_equals_the_loop_and_is_its_own_inverse(lengths):
    x = torch.randn(3, 4, 2)
    expected = x.clone()
    for row, length in zip(expected, lengths or [4] * 3, strict=True):
        row[:length] = row[:length].flip(0)
    once = reverse_within_length(x, lengths)
    assert torch.equal(once, expected)
    assert torch.equal(reverse_within_length(once, lengths), x)


def test_the_gradient_of_reversal_is_the_reversal():
    x = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: reverse_within_length(x, [4, 0, 2]), x)


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 2)])
def test_fill_replaces_padding_and_nothing_else(shape):
    x = torch.randn(shape)
    valid = ValidSteps.of([4, 0, 2], x)
    mask = length_mask(torch.tensor([4, 0, 2]), 4)
    filled = valid.fill(x.masked_fill(~mask.view(3, 4, *[1] * (x.ndim - 2)), torch.nan), -1.0)
    assert torch.equal(filled[mask], x[mask])
    assert bool((filled[~mask] == -1).all())


def test_full_lengths_need_no_mask():
    x = torch.randn(3, 4, 2)
    for lengths in (None, [4, 4, 4]):
        valid = ValidSteps.of(lengths, x)
        assert valid.mask is None
        assert valid.fill(x, 0.0) is x


def test_valid_steps_of_another_batch_are_refused():
    valid = ValidSteps.of([1, 2], torch.zeros(2, 3, 1))
    with pytest.raises(ValueError, match="belong to a batch of shape"):
        ValidSteps.of(valid, torch.zeros(2, 4, 1))
