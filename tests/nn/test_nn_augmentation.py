"""Laws of augmentation."""

import pytest
import torch

from skrnn.nn import Jitter, Scaling, TimeWarp, ValidSteps

LENGTHS = torch.tensor([12, 7, 1, 0])
TIME = 12
KINDS = {"jitter": Jitter(0.3), "scaling": Scaling(0.3), "warp": TimeWarp(0.5)}
kinds = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))


def generator():
    return torch.Generator().manual_seed(0)


def augment(kind, x, lengths=None):
    return kind.augment(x, ValidSteps.of(lengths, x), generator())


@kinds
def test_the_generator_decides_and_the_input_is_left_alone(kind):
    x = torch.randn(len(LENGTHS), TIME, 2)
    before, state = x.clone(), torch.get_rng_state()
    first = augment(kind, x, LENGTHS)
    assert first.shape == x.shape
    assert torch.equal(augment(kind, x, LENGTHS), first)
    assert not torch.allclose(first[:2], x[:2])
    assert torch.equal(x, before)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(kind.augment(x, ValidSteps.of(LENGTHS, x), None), first)


@kinds
def test_what_is_finite_stays_finite(kind):
    for shape in ((len(LENGTHS), TIME, 2), (0, TIME, 2), (2, 0, 2), (2, 1, 2)):
        lengths = LENGTHS if shape[0] == len(LENGTHS) else None
        assert bool(augment(kind, torch.randn(shape), lengths).isfinite().all())


@pytest.mark.parametrize("cls", [Jitter, Scaling, TimeWarp])
def test_a_scale_of_zero_changes_nothing(cls):
    x, mask = torch.randn(len(LENGTHS), TIME, 2), ValidSteps.of(LENGTHS, torch.ones(4, TIME)).mask
    torch.testing.assert_close(augment(cls(0.0), x, LENGTHS)[mask], x[mask])
    with pytest.raises(ValueError, match=r"scale must not be negative, got -0\.1"):
        cls(-0.1)


def test_a_factor_is_that_of_a_sequence_and_a_feature():
    factor = augment(KINDS["scaling"], torch.ones(3, TIME, 2))
    assert bool((factor > 0).all())
    assert bool((factor == factor[:, :1]).all())
    assert len(factor[:, 0].unique()) == 6


def test_a_warp_keeps_ends_and_order_of_every_sequence():
    x = torch.arange(float(TIME)).view(1, TIME, 1).expand(len(LENGTHS), TIME, 1)
    warped = augment(KINDS["warp"], x, LENGTHS)
    for row, n_steps in zip(warped[:3, :, 0], LENGTHS.tolist(), strict=False):
        torch.testing.assert_close(row[[0, n_steps - 1]], torch.tensor([0.0, n_steps - 1]))
        assert bool((row[:n_steps].diff() > 0).all())


def test_a_warp_does_not_depend_on_padding():
    x = torch.randn(2, 6, 2)
    longer = torch.nn.functional.pad(x, (0, 0, 0, 5), value=9.0)
    expected = augment(KINDS["warp"], x, [6, 4])
    warped = augment(KINDS["warp"], longer, [6, 4])
    torch.testing.assert_close(warped[0, :6], expected[0])
    torch.testing.assert_close(warped[1, :4], expected[1, :4])


def test_a_warp_needs_two_knots():
    with pytest.raises(ValueError, match="n_knots must be at least 2, got 1"):
        TimeWarp(n_knots=1)
