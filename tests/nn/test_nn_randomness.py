"""Dropout draws what torch's does, from the generator of its thread where one is named."""

import threading

import pytest
import torch
from torch import nn

from skrnn.nn import Dropout, drawn_from, generator_of_thread


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_it_draws_what_torch_draws(p, dtype):
    x = torch.randn(7, 5).to(dtype).requires_grad_()
    torch.manual_seed(3)
    expected = nn.Dropout(p)(x)
    with drawn_from(torch.Generator().manual_seed(3)):
        actual = Dropout(p)(x)
    assert torch.equal(actual, expected)
    (wanted,) = torch.autograd.grad(expected.sum(), x)
    (gradient,) = torch.autograd.grad(actual.sum(), x)
    assert torch.equal(gradient, wanted)


def test_without_a_generator_it_is_torchs():
    x = torch.ones(50)
    torch.manual_seed(3)
    expected = nn.Dropout(0.5)(x)
    torch.manual_seed(3)
    assert torch.equal(Dropout(0.5)(x), expected)


def test_evaluation_drops_nothing_and_draws_nothing():
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    with drawn_from(generator):
        x = torch.ones(50)
        assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(generator.get_state(), before)


def test_the_global_generator_is_not_used_inside():
    before = torch.random.get_rng_state()
    with drawn_from(torch.Generator().manual_seed(0)):
        Dropout(0.5)(torch.ones(50))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_blocks_nest_and_belong_to_their_thread():
    one, two, seen = torch.Generator(), torch.Generator(), []
    with drawn_from(one):
        with drawn_from(two):
            assert generator_of_thread() is two
        assert generator_of_thread() is one
        thread = threading.Thread(target=lambda: seen.append(generator_of_thread()))
        thread.start()
        thread.join()
    assert seen == [None]
    assert generator_of_thread() is None
