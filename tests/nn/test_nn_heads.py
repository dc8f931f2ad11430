"""Laws of heads: exact losses, ordered quantiles, matching predictions."""

import numpy as np
import pytest
import torch
from scipy import special, stats

from skrnn.nn import (
    HEADS,
    CategoricalHead,
    Head,
    MultilabelHead,
    NegativeBinomialHead,
    NormalHead,
    PointHead,
    ProbabilisticHead,
    QuantileHead,
    StudentTHead,
    make_head,
)

ALPHA = [0.001, 0.025, 0.1, 0.3, 0.5, 0.7, 0.9, 0.975, 0.999]
# What reads whole sequences has laws of its own, in test_nn_crf.py.
BY_ELEMENT = sorted(set(HEADS) - {"crf"})
NUMERIC = sorted(set(BY_ELEMENT) - {"categorical", "multilabel"})
PROBABILISTIC = ["negative_binomial", "normal", "quantile", "student_t"]


def head_of(name, n_outputs=2):
    return make_head(name, 4, n_outputs)


def target_of(name, shape, n_outputs=2):
    if name == "categorical":
        return torch.randint(0, n_outputs, shape)
    if name in ("multilabel", "negative_binomial"):
        return torch.randint(0, 2, (*shape, n_outputs)).float()
    return torch.randn(*shape, n_outputs)


def to_numpy(*tensors):
    return [tensor.detach().numpy() for tensor in tensors]


@pytest.mark.parametrize("shape", [(), (5,), (5, 3), (0,)])
@pytest.mark.parametrize("name", BY_ELEMENT)
def test_shapes_hold_for_any_leading_dimensions(name, shape):
    head = head_of(name)
    raw = head(torch.randn(*shape, 4))
    assert raw.shape == (*shape, head.raw_size)
    assert head.loss(raw, target_of(name, shape)).shape == shape
    assert head.predict(raw).shape == (*shape, 2)
    if isinstance(head, ProbabilisticHead):
        assert head.quantiles(raw, ALPHA).shape == (*shape, 2, len(ALPHA))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", BY_ELEMENT)
def test_the_type_is_kept_and_every_parameter_gets_a_gradient(name, dtype):
    head = head_of(name).to(dtype)
    raw = head(torch.randn(8, 4, dtype=dtype))
    target = target_of(name, (8,))
    loss = head.loss(raw, target if name == "categorical" else target.to(dtype))
    assert loss.dtype == head.predict(raw).dtype == dtype
    if isinstance(head, ProbabilisticHead):
        assert head.quantiles(raw, ALPHA).dtype == dtype
    loss.sum().backward()
    for parameter in head.parameters():
        assert bool((parameter.grad != 0).any())


@pytest.mark.parametrize("name", BY_ELEMENT)
def test_the_loss_of_an_element_does_not_see_the_others(name):
    head = head_of(name)
    raw, target = torch.randn(6, head.raw_size), target_of(name, (6,))
    together = head.loss(raw, target)
    alone = torch.stack([head.loss(r, t) for r, t in zip(raw, target, strict=True)])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("name", [*NUMERIC, "multilabel"])
def test_a_target_that_would_broadcast_is_refused(name):
    head = head_of(name, n_outputs=1)
    with pytest.raises(ValueError, match=r"target has shape \(5,\), expected \(5, 1\)"):
        head.loss(torch.zeros(5, head.raw_size), torch.zeros(5))


@pytest.mark.parametrize("name", BY_ELEMENT)
def test_extreme_raw_values_stay_finite(name):
    head = head_of(name)
    for size in (-60.0, 60.0):
        raw = torch.full((3, head.raw_size), size, requires_grad=True)
        loss = head.loss(raw, target_of(name, (3,)))
        (gradient,) = torch.autograd.grad(loss.sum(), raw)
        assert bool(loss.isfinite().all())
        assert bool(gradient.isfinite().all())
        assert bool(head.predict(raw).isfinite().all())


def test_categorical_is_cross_entropy():
    head = CategoricalHead(4, 3)
    raw, target = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    expected = -special.log_softmax(raw.numpy(), axis=1)[np.arange(5), target.numpy()]
    np.testing.assert_allclose(head.loss(raw, target), expected, rtol=1e-5)
    np.testing.assert_allclose(head.predict(raw), special.softmax(raw.numpy(), 1), rtol=1e-5)
    with pytest.raises(ValueError, match="the number of the class"):
        head.loss(raw, torch.zeros(5, 3))


def test_multilabel_is_binary_cross_entropy():
    head = MultilabelHead(4, 3)
    raw, target = torch.randn(5, 3), torch.randint(0, 2, (5, 3))
    p, y = special.expit(raw.numpy()), target.numpy()
    expected = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(1)
    np.testing.assert_allclose(head.loss(raw, target), expected, rtol=1e-5)
    np.testing.assert_allclose(head.predict(raw), p, rtol=1e-5)


@pytest.mark.parametrize(
    ("loss", "formula"),
    [
        ("squared_error", lambda e: e**2),
        ("absolute_error", abs),
        ("huber", lambda e: special.huber(0.7, e)),
    ],
)
def test_point_losses_are_their_formulas(loss, formula):
    head = PointHead(4, 2, loss, delta=0.7)
    raw, target = torch.randn(5, 2), torch.randn(5, 2)
    expected = formula((raw - target).numpy()).mean(1)
    np.testing.assert_allclose(head.loss(raw, target), expected, rtol=1e-5)
    assert torch.equal(head.predict(raw), raw)


def test_normal_is_the_log_density():
    head = NormalHead(4, 2)
    raw, target = torch.randn(50, 4) * 3, torch.randn(50, 2)
    mean, scale = to_numpy(*head.parameters_of(raw))
    expected = -stats.norm.logpdf(target.numpy(), mean, scale).mean(1)
    np.testing.assert_allclose(head.loss(raw, target), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(head.predict(raw), mean)
    quantiles = head.double().quantiles(raw.double(), ALPHA).numpy()
    cdf = stats.norm.cdf(quantiles, mean[..., None], scale[..., None])
    np.testing.assert_allclose(cdf, np.broadcast_to(ALPHA, cdf.shape), rtol=1e-4)


@pytest.mark.parametrize("df_raw", [-20.0, 0.0, 10.0, 1e4])
def test_student_t_is_the_log_density(df_raw):
    head = StudentTHead(4, 2)
    raw, target = torch.randn(50, 6) * 3, torch.randn(50, 2) * 5
    raw[:, 4:] += df_raw
    mean, scale, df = to_numpy(*head.parameters_of(raw))
    assert (df > 2).all()
    expected = -stats.t.logpdf(target.numpy(), df.astype(float), mean, scale).mean(1)
    np.testing.assert_allclose(head.loss(raw, target), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(head.predict(raw), mean)
    quantiles = head.double().quantiles(raw.double(), ALPHA).numpy()
    cdf = stats.t.cdf(quantiles, df[..., None], mean[..., None], scale[..., None])
    np.testing.assert_allclose(cdf, np.broadcast_to(ALPHA, cdf.shape), rtol=1e-4)


@pytest.mark.parametrize("dispersion_raw", [-30.0, -5.0, 0.0, 5.0])
@pytest.mark.parametrize("mean", [1e-12, 0.05, 3.0, 2000.0])
def test_negative_binomial_is_the_log_mass(mean, dispersion_raw):
    head = NegativeBinomialHead(4, 2).double()
    head.initialize(torch.full((3, 2), 7.0))
    raw = torch.randn(40, 4, dtype=torch.float64) * 0.3
    raw[:, :2] += np.log(mean / 7)
    raw[:, 2:] += dispersion_raw
    log_mean, dispersion = to_numpy(*head.parameters_of(raw))
    n, m = 1 / dispersion, np.exp(log_mean)
    count = stats.nbinom.rvs(n, n / (n + m), random_state=0)
    expected = -stats.nbinom.logpmf(count, n, n / (n + m)).mean(1)
    loss = head.loss(raw, torch.from_numpy(count).double())
    np.testing.assert_allclose(loss, expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(head.predict(raw), m)
    quantiles = head.quantiles(raw, ALPHA).numpy()
    wanted = stats.nbinom.ppf(ALPHA, n[..., None], (n / (n + m))[..., None])
    np.testing.assert_array_equal(quantiles, wanted)


def test_negative_binomial_starts_at_the_mean_of_each_output():
    head = NegativeBinomialHead(4, 2)
    head.initialize(torch.tensor([[1.0, 0.0], [3.0, 0.0]]))
    start = head.predict(torch.zeros(1, 4))[0]
    torch.testing.assert_close(start, torch.tensor([2.0, 0.25]))
    for wrong in (-1.0, 2.5, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="needs counts"):
            head.initialize(torch.tensor([[1.0, wrong]]))


def test_quantile_loss_is_the_pinball_loss():
    quantiles = (0.1, 0.5, 0.8)
    head = QuantileHead(4, 2, quantiles)
    raw, target = torch.randn(5, 6), torch.randn(5, 2)
    error = (target.unsqueeze(-1) - head.values(raw)).numpy()
    pinball = np.where(error > 0, np.array(quantiles) * error, (np.array(quantiles) - 1) * error)
    np.testing.assert_allclose(head.loss(raw, target), 2 * pinball.mean((1, 2)), rtol=1e-5)
    median = QuantileHead(4, 1, (0.5,))
    raw, target = torch.randn(5, 1), torch.randn(5, 1)
    torch.testing.assert_close(median.loss(raw, target), (raw - target).abs().mean(1))
    assert torch.equal(median.predict(raw), raw)


@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("name", PROBABILISTIC)
def test_quantiles_never_cross(name, scale):
    head = head_of(name)
    alpha = np.linspace(0.002, 0.998, 120)
    with torch.no_grad():
        values = head.quantiles(torch.randn(200, head.raw_size) * scale, alpha)
    assert bool(values.isfinite().all())
    assert bool((values.diff(dim=-1) >= 0).all())


@pytest.mark.parametrize("quantiles", [(0.05, 0.5, 0.9), (0.2, 0.8), (0.6, 0.7, 0.8), (0.01, 0.3)])
def test_quantile_head_keeps_learned_levels_and_starts_normal(quantiles):
    head = QuantileHead(4, 2, quantiles).double()
    raw = torch.randn(9, head.raw_size, dtype=torch.float64)
    assert torch.equal(head.quantiles(raw, quantiles), head.values(raw))
    assert torch.equal(head.quantiles(raw, quantiles[::-1]), head.values(raw).flip(-1))
    assert torch.equal(head.predict(raw), head.quantiles(raw, [0.5])[..., 0])
    start = head.quantiles(head(torch.zeros(1, 4, dtype=torch.float64)), ALPHA)[0]
    np.testing.assert_allclose(
        stats.norm.cdf(start.detach()), np.tile(ALPHA, (2, 1)), rtol=1e-4, atol=1e-6
    )


def test_quantile_head_learns_the_quantiles_of_a_sample():
    sample = torch.from_numpy(stats.gamma.rvs(2, size=400, random_state=0)).unsqueeze(1)
    head = QuantileHead(1, 1).double()
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    z = torch.zeros(len(sample), 1, dtype=torch.float64)
    for _ in range(400):
        optimizer.zero_grad()
        head.loss(head(z), sample).mean().backward()
        optimizer.step()
    learned = head.values(head(z[:1])).detach().numpy().ravel()
    np.testing.assert_allclose(np.mean(sample.numpy() <= learned, axis=0), head.levels, atol=0.02)


@pytest.mark.parametrize("name", PROBABILISTIC)
@pytest.mark.parametrize("alpha", [[0.0], [0.5, 1.0], [-0.1], [float("nan")], [], 0.5])
def test_wrong_levels_are_named(name, alpha):
    head = head_of(name)
    with pytest.raises(ValueError, match="quantile levels must"):
        head.quantiles(torch.zeros(1, head.raw_size), alpha)


@pytest.mark.parametrize("quantiles", [(0.5, 0.5), (0.9, 0.1), (0.0, 0.5), ()])
def test_wrong_learned_levels_are_named(quantiles):
    with pytest.raises(ValueError, match="quantile"):
        QuantileHead(4, 1, quantiles)


def test_one_learned_level_cannot_be_interpolated():
    head = QuantileHead(4, 1, (0.9,))
    assert torch.equal(head.predict(torch.ones(2, 1)), torch.ones(2, 1))
    with pytest.raises(ValueError, match=r"only the quantile 0\.9 was learned"):
        head.quantiles(torch.zeros(1, 1), [0.5])


def test_only_what_lives_on_the_targets_scale_is_not_normalized():
    not_normalized = {name for name in HEADS if not head_of(name).normalizes_target}
    assert not_normalized == {"categorical", "crf", "multilabel", "negative_binomial"}


class ScaledHead(Head):
    """A user's head: squared error of the exponential."""

    def loss(self, raw, target):
        return (raw.exp() - target).square().mean(-1)

    def predict(self, raw):
        return raw.exp()


def test_a_head_of_ones_own_and_wrong_ones():
    assert isinstance(make_head(ScaledHead, 4, 2), ScaledHead)
    with pytest.raises(ValueError, match="unknown loss 'squared_eror': expected one of 'absolute_"):
        make_head("squared_eror", 4, 1)
    with pytest.raises(TypeError, match=r"must make a skrnn\.nn\.Head, got Linear"):
        make_head(torch.nn.Linear, 4, 1)
    with pytest.raises(TypeError, match="got the object ScaledHead"):
        make_head(ScaledHead(4, 1), 4, 1)
    with pytest.raises(ValueError, match="at least 1 output"):
        make_head("normal", 4, 0)
    with pytest.raises(ValueError, match="loss must be one of"):
        PointHead(4, 1, "l1")
    with pytest.raises(ValueError, match="delta must be greater than 0"):
        PointHead(4, 1, "huber", delta=0)


@pytest.mark.parametrize("dispersion_raw", [-30.0, -5.0, 0.0])
@pytest.mark.parametrize("mean", [0.9e6, 1.1e6])
def test_quantiles_of_large_counts_are_exact_to_a_hundredth_of_a_deviation(mean, dispersion_raw):
    head = NegativeBinomialHead(4, 1).double()
    raw = torch.tensor([np.log(mean), dispersion_raw], dtype=torch.float64)
    n = 1 / head.parameters_of(raw)[1].numpy()
    wanted = stats.nbinom.ppf(ALPHA, n, n / (n + mean))
    deviation = np.sqrt(mean + mean**2 / n)
    assert np.abs(head.quantiles(raw, ALPHA).numpy()[0] - wanted).max() < 0.01 * deviation


@pytest.mark.parametrize("shape", [(5,), (2, 3)])
def test_smoothed_labels_are_the_loss_of_mixed_targets(shape):
    """Cross entropy is linear in the target: s = 0.3 over 4 classes is 0.775 and 3 times 0.075."""
    head, plain = CategoricalHead(3, 4, label_smoothing=0.3), CategoricalHead(3, 4)
    raw, target = torch.randn(*shape, 4), torch.randint(4, shape)
    losses = torch.stack([plain.loss(raw, torch.full_like(target, k)) for k in range(4)], dim=-1)
    share = torch.full_like(losses, 0.075).scatter(-1, target.unsqueeze(-1), 0.775)
    torch.testing.assert_close(head.loss(raw, target), (losses * share).sum(-1))
    head.eval()
    assert torch.equal(head.loss(raw, target), plain.loss(raw, target))


def test_smoothed_indicators_are_the_loss_of_mixed_targets():
    head, plain = MultilabelHead(3, 4, label_smoothing=0.2), MultilabelHead(3, 4)
    raw, target = torch.randn(5, 4), torch.randint(2, (5, 4)).float()
    expected = 0.9 * plain.loss(raw, target) + 0.1 * plain.loss(raw, 1 - target)
    torch.testing.assert_close(head.loss(raw, target), expected)
    head.eval()
    assert torch.equal(head.loss(raw, target), plain.loss(raw, target))


def test_labels_are_smoothed_where_there_are_labels():
    assert make_head("categorical", 3, 2, label_smoothing=0.1).label_smoothing == 0.1
    with pytest.raises(ValueError, match=r"label_smoothing=0.1 is for 'categorical'.*got 'normal'"):
        make_head("normal", 3, 2, label_smoothing=0.1)
    with pytest.raises(ValueError, match=r"label_smoothing must be in \[0, 1\), got 1"):
        CategoricalHead(3, 2, label_smoothing=1)
