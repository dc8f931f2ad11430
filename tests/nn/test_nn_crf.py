"""Laws of the conditional random field: equal to the sum, maximum and mean over all paths."""

from itertools import pairwise, product

import pytest
import torch

from skrnn.nn import CategoricalHead, CRFHead

N_CLASSES = 3
LENGTHS = torch.tensor([4, 0, 1, 3, 2])
TIME = 4
N_SEQUENCES = len(LENGTHS)


def random_head(dtype=torch.float64):
    head = CRFHead(5, N_CLASSES)
    with torch.no_grad():
        for parameter in (head.start, head.end, head.transitions):
            parameter.normal_()
    return head.to(dtype)


def random_batch(dtype=torch.float64):
    raw = torch.randn(N_SEQUENCES, TIME, N_CLASSES, dtype=dtype)
    return raw, torch.randint(N_CLASSES, (N_SEQUENCES, TIME))


def score(head, raw, path):
    """Score of one path through one sequence of at least one step."""
    steps = sum(raw[t, label] for t, label in enumerate(path))
    moves = sum(head.transitions[a, b] for a, b in pairwise(path))
    return steps + moves + head.start[path[0]] + head.end[path[-1]]


def all_paths(head, raw):
    """All paths through one sequence and their log probabilities."""
    paths = [*product(range(N_CLASSES), repeat=len(raw))]
    return paths, torch.stack([score(head, raw, path) for path in paths]).log_softmax(dim=0)


def brute_loss(head, raw, target, lengths, known=None):
    losses = []
    for i, length in enumerate(lengths.tolist()):
        if length == 0:
            losses.append(raw.new_zeros(()))
            continue
        paths, log_p = all_paths(head, raw[i, :length])
        asked = [t for t in range(length) if known is None or known[i, t]]
        fits = [all(path[t] == target[i, t] for t in asked) for path in paths]
        losses.append(-log_p[torch.tensor(fits)].logsumexp(dim=0))
    return torch.stack(losses)


def gradients(head, loss, raw):
    return torch.autograd.grad(loss.sum(), [raw, head.start, head.end, head.transitions])


@pytest.mark.parametrize("lengths", [LENGTHS, torch.full((N_SEQUENCES,), TIME)])
def test_loss_and_gradients_are_those_of_all_paths(lengths):
    head, (raw, target) = random_head(), random_batch()
    raw.requires_grad_()
    loss, expected = head.loss(raw, target, lengths), brute_loss(head, raw, target, lengths)
    torch.testing.assert_close(loss, expected)
    pairs = zip(gradients(head, loss, raw), gradients(head, expected, raw), strict=True)
    for got, wanted in pairs:
        torch.testing.assert_close(got, wanted)


def test_unknown_labels_are_summed_over():
    head, (raw, target) = random_head(), random_batch()
    raw.requires_grad_()
    known = torch.tensor([[1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 1, 1], [0, 1, 0, 0], [1, 1, 0, 1]])
    loss = head.loss(raw, target, LENGTHS, known.bool())
    expected = brute_loss(head, raw, target, LENGTHS, known)
    torch.testing.assert_close(loss, expected)
    assert loss[2].abs() < 1e-12
    pairs = zip(gradients(head, loss, raw), gradients(head, expected, raw), strict=True)
    for got, wanted in pairs:
        torch.testing.assert_close(got, wanted)
    other = torch.where(known.bool(), target, (target + 1) % N_CLASSES)
    torch.testing.assert_close(head.loss(raw, other, LENGTHS, known), expected)
    everything = head.loss(raw, target, LENGTHS, torch.ones_like(known))
    torch.testing.assert_close(everything, head.loss(raw, target, LENGTHS))


def test_decode_finds_the_best_of_all_paths():
    head = random_head()
    for _ in range(5):
        raw, _ = random_batch()
        decoded = head.decode(raw, LENGTHS)
        for i, length in enumerate(LENGTHS.tolist()):
            assert decoded[i, length:].tolist() == [0] * (TIME - length)
            if length:
                paths, log_p = all_paths(head, raw[i, :length])
                assert tuple(decoded[i, :length].tolist()) == paths[int(log_p.argmax())]


def test_probabilities_are_shares_of_all_paths():
    head, (raw, _) = random_head(), random_batch()
    predicted = head.predict(raw, LENGTHS)
    for i, length in enumerate(LENGTHS.tolist()):
        assert bool((predicted[i, length:] == 0).all())
        if not length:
            continue
        paths, log_p = all_paths(head, raw[i, :length])
        expected = torch.zeros(length, N_CLASSES, dtype=raw.dtype)
        for path, p in zip(paths, log_p.exp(), strict=True):
            expected[torch.arange(length), torch.tensor(path)] += p
        torch.testing.assert_close(predicted[i, :length], expected)


def test_padding_and_batch_mates_change_nothing():
    head, (raw, target) = random_head(), random_batch()
    padded = torch.cat([raw, torch.full((N_SEQUENCES, 3, N_CLASSES), torch.nan)], dim=1)
    for i, length in enumerate(LENGTHS.tolist()):
        padded[i, length:] = torch.nan
    labels = torch.cat([target, torch.ones(N_SEQUENCES, 3, dtype=torch.int64)], dim=1)
    known = torch.ones_like(labels)
    padded.requires_grad_()
    losses = head.loss(padded, labels, LENGTHS)
    assert torch.equal(losses, head.loss(raw, target, LENGTHS))
    torch.testing.assert_close(head.loss(padded, labels, LENGTHS, known), losses)
    (gradient,) = torch.autograd.grad(losses.sum(), padded)
    predicted, decoded = head.predict(padded, LENGTHS), head.decode(padded, LENGTHS)
    for i, length in enumerate(LENGTHS.tolist()):
        assert bool((gradient[i, length:] == 0).all())
        alone = raw[i : i + 1, :length]
        torch.testing.assert_close(losses[i : i + 1], head.loss(alone, target[i : i + 1, :length]))
        torch.testing.assert_close(predicted[i : i + 1, :length], head.predict(alone))
        assert torch.equal(decoded[i : i + 1, :length], head.decode(alone))


def test_without_scores_of_its_own_it_is_the_cross_entropy():
    head, (raw, target) = CRFHead(5, N_CLASSES).double(), random_batch()
    softmax = CategoricalHead(5, N_CLASSES)
    torch.testing.assert_close(head.loss(raw, target), softmax.loss(raw, target).sum(1))
    torch.testing.assert_close(head.predict(raw), softmax.predict(raw))
    assert torch.equal(head.decode(raw), raw.argmax(-1))


def test_every_parameter_gets_a_gradient():
    head = random_head(torch.float32)
    _, target = random_batch()
    head.loss(head(torch.randn(N_SEQUENCES, TIME, 5)), target, LENGTHS).sum().backward()
    for parameter in head.parameters():
        assert bool((parameter.grad != 0).any())


@pytest.mark.parametrize("size", [60.0, 3000.0])
def test_float32_stays_finite_and_exact_over_many_steps(size):
    head = random_head(torch.float32)
    raw = torch.randn(2, 400, N_CLASSES) * size
    target = torch.randint(N_CLASSES, (2, 400))
    raw.requires_grad_()
    loss = head.loss(raw, target)
    (gradient,) = torch.autograd.grad(loss.sum(), raw)
    assert bool(gradient.isfinite().all())
    wide = random_head()
    wide.load_state_dict(head.state_dict())
    expected = wide.loss(raw.double(), target)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-3)
    sums = head.predict(raw).sum(-1)
    torch.testing.assert_close(sums, torch.ones_like(sums))


def test_half_precision_is_summed_in_float32():
    head = random_head(torch.float32)
    raw, target = random_batch(torch.float32)
    loss = head.loss(raw.bfloat16(), target, LENGTHS)
    assert loss.dtype == head.predict(raw.bfloat16(), LENGTHS).dtype == torch.bfloat16
    exact = head.loss(raw.bfloat16().float(), target, LENGTHS)
    torch.testing.assert_close(loss.float(), exact, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0)])
def test_nothing_gives_nothing(shape):
    head = random_head(torch.float32)
    raw, target = torch.zeros(*shape, N_CLASSES), torch.zeros(shape, dtype=torch.int64)
    lengths = torch.zeros(shape[0], dtype=torch.int64)
    assert torch.equal(head.loss(raw, target, lengths), torch.zeros(shape[0]))
    assert head.predict(raw, lengths).shape == (*shape, N_CLASSES)
    assert head.decode(raw, lengths).shape == shape


def test_one_class_is_certain():
    head = CRFHead(5, 1)
    raw, target = torch.randn(2, 3, 1), torch.zeros(2, 3, dtype=torch.int64)
    assert torch.equal(head.loss(raw, target), torch.zeros(2))
    assert torch.equal(head.predict(raw), torch.ones(2, 3, 1))


def test_wrong_shapes_are_named():
    head = random_head(torch.float32)
    with pytest.raises(ValueError, match=r"raw has shape \(2, 3\), expected \(batch, time, 3\)"):
        head.loss(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64))
    raw = torch.zeros(2, 4, N_CLASSES)
    with pytest.raises(ValueError, match=r"target has shape \(2,\), expected \(2, 4\)"):
        head.loss(raw, torch.zeros(2, dtype=torch.int64))
    target = torch.zeros(2, 4, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"known has shape \(2, 3\), expected \(2, 4\)"):
        head.loss(raw, target, known=torch.ones(2, 3))
    with pytest.raises(ValueError, match=r"lengths\[1\]=5 exceeds 4"):
        head.decode(raw, [4, 5])
