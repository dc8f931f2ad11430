"""Laws of linear scans: one recurrence, by steps and in parallel."""

import pytest
import torch

from skrnn.nn import linear_scan, scans

WAYS = {
    "public": linear_scan,
    "sequential": scans.sequential_scan,
    "parallel": scans.parallel_scan,
}
TOLERANCES = {torch.float32: 1e-6, torch.float64: 1e-12}
TIMES = [1, 2, 3, 4, 5, 7, 8, 9, 31, 100]


def inputs(time, dtype=torch.float64, n=3, features=2, requires_grad=False):
    a = torch.rand(n, time, features, dtype=dtype)
    b, initial = torch.randn_like(a), torch.randn(n, features, dtype=dtype)
    return tuple(x.requires_grad_(requires_grad) for x in (a, b, initial))


def by_loop(a, b, initial):
    h, values = initial, []
    for a_t, b_t in zip(a.unbind(1), b.unbind(1), strict=True):
        h = a_t * h + b_t
        values.append(h)
    return torch.stack(values, 1)


def with_gradients(function, given):
    output = function(*given)
    weight = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    return [output, *torch.autograd.grad((output * weight).sum(), given)]


def check(ours, expected, dtype=torch.float64):
    for x, y in zip(ours, expected, strict=True):
        torch.testing.assert_close(x, y, atol=TOLERANCES[dtype] * 10, rtol=TOLERANCES[dtype])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("way", sorted(WAYS))
def test_every_way_equals_the_loop(way, time, dtype):
    given = inputs(time, dtype)
    expected = by_loop(*given)
    torch.testing.assert_close(
        WAYS[way](*given), expected, atol=TOLERANCES[dtype] * 2, rtol=TOLERANCES[dtype]
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("way", ["public", "parallel"])
def test_gradients_equal_those_of_the_loop(way, time, dtype):
    given = inputs(time, dtype, requires_grad=True)
    check(with_gradients(WAYS[way], given), with_gradients(by_loop, given), dtype)


@pytest.mark.parametrize("time", [1, 2, 7])
def test_gradients_of_other_devices_equal_those_of_the_loop(time, monkeypatch):
    monkeypatch.setattr(scans, "sequential_scan", scans.parallel_scan)
    given = inputs(time, requires_grad=True)
    check(with_gradients(linear_scan, given), with_gradients(by_loop, given))


@pytest.mark.parametrize("time", [1, 2, 5])
def test_gradients_are_those_of_finite_differences(time):
    given = inputs(time, requires_grad=True)
    assert torch.autograd.gradcheck(linear_scan, given)
    assert torch.autograd.gradgradcheck(linear_scan, given)


@pytest.mark.parametrize("way", ["public", "parallel"])
def test_coefficients_at_their_limits(way):
    a = torch.tensor([1.0, 0.0, 1.0, -1.0, 1.0])[None, :, None].expand(2, 5, 3)
    given = [x.contiguous().requires_grad_() for x in (a, torch.ones(2, 5, 3), torch.ones(2, 3))]
    expected = torch.tensor([2.0, 1.0, 2.0, -1.0, 0.0])
    output, *gradients = with_gradients(WAYS[way], given)
    assert bool((output == expected[:, None]).all())
    check([output, *gradients], with_gradients(by_loop, given), torch.float32)


def test_long_memory_does_not_overflow():
    # A sum of logarithms would: 0.5 ** 200 000 is no number.
    a, b = torch.full((1, 200_000, 1), 0.5), torch.ones(1, 200_000, 1)
    for way in ("public", "parallel"):
        initial = torch.zeros(1, 1)
        torch.testing.assert_close(WAYS[way](a, b, initial)[:, -1], torch.full((1, 1), 2.0))


def test_no_initial_value_is_zero():
    a, b, initial = inputs(6)
    assert torch.equal(linear_scan(a, b), linear_scan(a, b, torch.zeros_like(initial)))


def test_the_inputs_stay_as_they_were():
    given = inputs(6)
    copies = [x.clone() for x in given]
    linear_scan(*given)
    assert all(map(torch.equal, given, copies))


def test_half_precision_is_computed_in_single():
    a, b, initial = inputs(50, torch.bfloat16)
    output = linear_scan(a, b, initial)
    assert output.dtype == torch.bfloat16
    assert torch.equal(output, linear_scan(a.float(), b.float(), initial.float()).bfloat16())


def test_types_are_promoted():
    a, b, _ = inputs(5, torch.float32)
    assert linear_scan(a, b.double()).dtype == torch.float64


def test_batches_of_functions_and_gradients():
    a, b, initial = inputs(6, requires_grad=True)
    mapped = torch.func.vmap(lambda *x: linear_scan(*(v[None] for v in x))[0])(a, b, initial)
    torch.testing.assert_close(mapped, by_loop(a, b, initial))
    gradients = torch.func.grad(lambda a: linear_scan(a, b, initial).sum())(a)
    (expected,) = torch.autograd.grad(by_loop(a, b, initial).sum(), a)
    torch.testing.assert_close(gradients, expected)
    output = linear_scan(a, b, initial)
    weights = torch.randn(4, *output.shape, dtype=output.dtype)
    together = torch.autograd.grad(output, a, weights, retain_graph=True, is_grads_batched=True)[0]
    alone = [torch.autograd.grad(output, a, w, retain_graph=True)[0] for w in weights]
    torch.testing.assert_close(together, torch.stack(alone))


def test_export_sees_operations_of_torch():
    class Scan(torch.nn.Module):
        def forward(self, a, b):
            return linear_scan(a, b)

    a, b, _ = inputs(6)
    exported = torch.export.export(Scan(), (a, b), strict=True)
    torch.testing.assert_close(exported.module()(a, b), linear_scan(a, b))


@pytest.mark.parametrize(
    ("a", "b", "initial", "message"),
    [
        ((2, 3, 4), (2, 3, 5), None, r"got \(2, 3, 4\) and \(2, 3, 5\)"),
        ((2, 3), (2, 3), None, "same shape"),
        ((2, 0, 4), (2, 0, 4), None, "time >= 1"),
        ((2, 3, 4), (2, 3, 4), (1, 2, 4), r"initial has shape \(1, 2, 4\), expected \(2, 4\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(a, b, initial, message):
    with pytest.raises(ValueError, match=message):
        linear_scan(torch.ones(a), torch.ones(b), None if initial is None else torch.ones(initial))
