"""Laws of front ends."""

from functools import partial

import pytest
import torch

from skrnn.nn import (
    ConvFrontend,
    Frontend,
    PatchFrontend,
    SequenceNetwork,
    TokenEmbedding,
    ValidSteps,
    length_mask,
    make_frontend,
)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.float32])
def test_ids_of_any_type_and_both_shapes_look_up_rows(dtype):
    embedding = TokenEmbedding(5, 3)
    ids = torch.tensor([[4, 1, 0], [2, 2, 3]])
    expected = embedding.embedding.weight[ids]
    assert torch.equal(embedding(ids.to(dtype)), expected)
    assert torch.equal(embedding(ids.to(dtype).unsqueeze(-1)), expected)


def test_padding_is_zero_and_gets_no_gradient():
    embedding = TokenEmbedding(5, 3)
    output = embedding(torch.tensor([[0, 1, 0]]))
    assert bool((output[0, [0, 2]] == 0).all())
    output.sum().backward()
    gradient = embedding.embedding.weight.grad
    assert bool((gradient[0] == 0).all())
    assert bool((gradient[1] == 1).all())


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (7, "token id 7 is outside the vocabulary of 5"),
        (5, "token id 5 is outside the vocabulary of 5"),
        (-1, "token id -1 is outside the vocabulary of 5"),
        (7.0, "token id 7 is outside the vocabulary of 5"),
        (2.5, "token id 2.5 is not a whole number"),
        (float("nan"), "token id nan is not a whole number"),
    ],
)
def test_f024_wrong_token_id_is_named(token, message):
    with pytest.raises(ValueError, match=message):
        TokenEmbedding(5, 3)(torch.tensor([[1, token, 2]]))


def test_wrong_shapes_and_sizes_are_named():
    with pytest.raises(ValueError, match=r"got \(2, 3, 2\)"):
        TokenEmbedding(5, 3)(torch.zeros(2, 3, 2))
    with pytest.raises(ValueError, match="vocabulary_size must be at least 2, got 1"):
        TokenEmbedding(1, 3)
    with pytest.raises(ValueError, match="embedding_dim must be at least 1, got 0"):
        TokenEmbedding(5, 0)


def test_dropout_acts_in_training_only():
    embedding = TokenEmbedding(5, 50, dropout=0.5)
    ids = torch.full((1, 20), 3)
    assert bool((embedding(ids) == 0).any())
    assert not bool((embedding.eval()(ids) == 0).any())


def test_a_dropped_token_is_dropped_at_all_its_places():
    embedding = TokenEmbedding(200, 3, token_dropout=0.5)
    ids = torch.arange(1, 200).repeat(2, 1)
    output, plain = embedding(ids), embedding.embedding(ids)
    dropped = (output == 0).all(dim=2)
    assert torch.equal(dropped[0], dropped[1])
    assert 40 < int(dropped[0].sum()) < 160
    torch.testing.assert_close(output[~dropped], 2 * plain[~dropped])
    assert torch.equal(embedding.eval()(ids), plain)
    with pytest.raises(ValueError, match=r"token_dropout must be in \[0, 1\), got 1"):
        TokenEmbedding(5, 3, token_dropout=1)


# -- front ends over time ----------------------------------------------------------------------

LENGTHS = torch.tensor([9, 1, 0, 4])
TIME = 9
CONV = partial(ConvFrontend, channels=3, kernel_sizes=(3, 7), width=5, block_sizes=(5, 3))
MAKERS = {
    "patch": partial(PatchFrontend, patch_length=4, output_size=5),
    "conv": partial(CONV, block_sizes=(3,)),
    "conv, shortened": partial(CONV, stride=(2, 3)),
    "conv, causal": partial(CONV, block_sizes=(3, 1), depth=1, causal=True),
    "conv, one stage": partial(CONV, depth=0, stride=4),
}
frontends = pytest.mark.parametrize("name", MAKERS)


def network_with(name, **options):
    spec = {"n_features": 2, "hidden_size": 4, "head": "normal", "n_outputs": 1}
    network = SequenceNetwork.build({**spec, "frontend": MAKERS[name], **options})
    with torch.no_grad():
        # Statistics as after some training.
        network(torch.randn(3, TIME, 2))
    return network.eval()


def parts(made):
    return made if isinstance(made, tuple) else (made,)


@frontends
@pytest.mark.parametrize("bidirectional", [False, True])
def test_an_output_depends_neither_on_padding_nor_on_batch_mates(name, bidirectional):
    network = network_with(name, bidirectional=bidirectional)
    x = torch.randn(len(LENGTHS), TIME, 2)
    together = network(x, LENGTHS)
    for i, n_steps in enumerate(LENGTHS.tolist()):
        alone = network(x[i : i + 1, :n_steps])
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-6, rtol=0)
    longer = torch.nn.functional.pad(x, (0, 0, 0, 30), value=torch.nan)
    torch.testing.assert_close(network(longer, LENGTHS), together, atol=1e-6, rtol=0)
    mates = torch.cat([x[:1], 50 * torch.randn(3, TIME, 2)])
    torch.testing.assert_close(network(mates, LENGTHS)[:1], together[:1], atol=1e-6, rtol=0)


@frontends
def test_f012_nan_padding_changes_neither_value_nor_gradient_in_training(name):
    frontend = MAKERS[name](2)
    x, mask = torch.randn(len(LENGTHS), TIME, 2), length_mask(LENGTHS, TIME).unsqueeze(2)
    results = []
    for filler in (0.0, torch.nan, 1e30):
        leaf = x.masked_fill(~mask, filler).requires_grad_()
        made = parts(frontend(leaf, LENGTHS))
        loss = sum(part.square().sum() for part in made)
        results.append([*made, *torch.autograd.grad(loss, [leaf, *frontend.parameters()])])
        assert bool((results[-1][len(made)][~mask.expand_as(x)] == 0).all())
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert bool(b.isfinite().all())
            assert torch.equal(a, b)


@frontends
def test_more_padding_changes_nothing_in_training(name):
    short, long = MAKERS[name](2).double(), MAKERS[name](2).double()
    long.load_state_dict(short.state_dict())
    x = torch.randn(len(LENGTHS), TIME, 2, dtype=torch.float64)
    a = parts(short(x, LENGTHS))
    b = parts(long(torch.nn.functional.pad(x, (0, 0, 0, 8)), LENGTHS))
    kept = ValidSteps.of(LENGTHS, x).shortened(short.stride)
    for u, v in zip(a, b, strict=True):
        if u.ndim == 3:
            u, v = kept.fill(u, 0.0), kept.fill(v[:, : kept.time], 0.0)
        torch.testing.assert_close(u, v)
    for u, v in zip(short.buffers(), long.buffers(), strict=True):
        torch.testing.assert_close(u, v)


@frontends
def test_without_steps_or_sequences_there_is_nothing_to_read(name):
    frontend = MAKERS[name](2)
    for shape in ((2, 0, 2), (0, TIME, 2)):
        steps, *summary = parts(frontend(torch.zeros(shape)))
        expected = (shape[0], -(-shape[1] // frontend.stride), frontend.output_size)
        assert steps.shape == expected
        assert all(part.shape == (shape[0], frontend.summary_size) for part in summary)


def test_patches_are_those_of_the_loop():
    frontend = MAKERS["patch"](2)
    x = torch.randn(2, TIME, 2)
    made = frontend(x, [9, 6])
    for i, n_steps in enumerate([9, 6]):
        for k, start in enumerate(range(0, n_steps, 4)):
            patch = torch.zeros(4, 3)
            stop = min(start + 4, n_steps)
            patch[: stop - start] = torch.cat([x[i, start:stop], torch.ones(stop - start, 1)], 1)
            expected = frontend.projection(patch.flatten()).relu()
            torch.testing.assert_close(made[i, k], expected)


@pytest.mark.parametrize("lengths", [None, [1, 0]])
def test_a_single_step_can_be_trained_on(lengths):
    frontend = MAKERS["conv"](2)
    x = torch.randn(1 if lengths is None else 2, 1, 2)
    steps, summary = frontend(x, lengths)
    (steps.sum() + summary.sum()).backward()
    assert all(bool(p.grad.isfinite().all()) for p in frontend.parameters())
    assert all(bool(b.isfinite().all()) for b in frontend.buffers())


def test_the_summary_is_the_mean_of_the_map_and_a_stride_takes_maxima():
    fine = network_with("conv").frontend
    coarse = partial(MAKERS["conv"], stride=4)(2).eval()
    coarse.load_state_dict(fine.state_dict())
    x = torch.randn(2, TIME, 2)
    (steps, summary), (maxima, same) = fine(x, [9, 6]), coarse(x, [9, 6])
    torch.testing.assert_close(summary[1], steps[1, :6].mean(0))
    torch.testing.assert_close(summary, same)
    for k, start in enumerate((0, 4)):
        torch.testing.assert_close(maxima[1, k], steps[1, start : min(start + 4, 6)].amax(0))
    assert not bool(maxima[1, 2].any())


def test_the_first_stride_takes_maxima_of_the_first_convolutions():
    options = {"channels": 3, "kernel_sizes": (3, 7), "depth": 0}
    fine, coarse = ConvFrontend(2, **options), ConvFrontend(2, **options, stride=(4, 1))
    coarse.load_state_dict(fine.state_dict())
    x = torch.randn(2, TIME, 2)
    steps, (maxima, summary) = fine(x, [9, 6])[0], coarse(x, [9, 6])
    torch.testing.assert_close(maxima[0, 2], steps[0, 8:].amax(0))
    torch.testing.assert_close(maxima[1, 1], steps[1, 4:6].amax(0))
    torch.testing.assert_close(summary[1], maxima[1, :2].mean(0))


def test_a_block_adds_its_input_to_what_its_convolutions_make():
    front = ConvFrontend(2, 3, (3,), width=3, depth=1, block_sizes=(3, 1)).eval()
    x = torch.randn(2, 2, 1, TIME)
    with torch.no_grad():
        for norm in front.blocks[0].norms:
            norm.weight.uniform_(0.5, 2)
        flow = front.stem(x, ValidSteps.of(None, x[:, 0, 0].unsqueeze(2)))
        first, second = front.blocks[0].convolutions
        one, two = front.blocks[0].norms
        expected = (flow + two(second(one(first(flow)).relu()))).relu()
        made, _ = front(x.squeeze(2).transpose(1, 2))
    torch.testing.assert_close(made, expected.squeeze(2).transpose(1, 2))


def test_only_a_causal_map_leaves_earlier_steps_alone():
    x = torch.randn(1, TIME, 2)
    later = x + torch.nn.functional.pad(torch.ones(1, TIME - 5, 2), (0, 0, 5, 0))
    for name, causal in {"conv": False, "conv, causal": True}.items():
        frontend = network_with(name).frontend
        same = torch.equal(frontend(x)[0][:, :5], frontend(later)[0][:, :5])
        assert same == causal


def test_the_convolutions_of_one_output_per_step_look_back_only():
    spec = {"n_features": 2, "frontend": "conv", "head": "normal", "n_outputs": 1}
    for pooling, bidirectional in ((None, True), ("mean", False), (None, False)):
        options = {"pooling": pooling, "bidirectional": bidirectional}
        network = SequenceNetwork.build({**spec, **options}).eval()
        x = torch.randn(1, TIME, 2)
        later = torch.cat([x[:, :5], torch.zeros(1, TIME - 5, 2)], dim=1)
        steps, others = network.frontend(x)[0], network.frontend(later)[0]
        blind = torch.equal(steps[:, :5], others[:, :5])
        assert blind == (options == {"pooling": None, "bidirectional": False})


class Changes(Frontend):
    """A user's front end."""

    def __init__(self, input_size, stride=1):
        super().__init__(2 * input_size, stride=stride)

    def forward(self, x, valid):
        before = torch.nn.functional.pad(x, (0, 0, 1, 0))[:, :-1]
        return torch.cat([x, x - before], dim=2)


def test_a_front_end_of_the_user_reads_what_was_scaled():
    spec = {"n_features": 2, "hidden_size": 4, "head": "normal", "n_outputs": 1}
    network = SequenceNetwork.build({**spec, "frontend": Changes})
    network.scaler.set([1.0, 2.0], [2.0, 2.0])
    x = torch.randn(2, 5, 2)
    scaled = (x - torch.tensor([1.0, 2.0])) / 2
    changes = scaled.diff(dim=1, prepend=torch.zeros(2, 1, 2))
    expected = network.encoder(torch.cat([scaled, changes], dim=2))
    torch.testing.assert_close(network.encode(x), network.pooling(expected))


class WithMean(Frontend):
    """A summary to answer from."""

    def __init__(self, input_size, alone=True):
        super().__init__(input_size, summary_size=input_size, summary_alone=alone)

    def forward(self, x, valid):
        return x, x.mean(dim=1)


def test_the_answer_is_the_mean_of_those_learned_from_states_and_from_summary_alone():
    spec = {"n_features": 2, "hidden_size": 4, "head": "categorical", "n_outputs": 3}
    network = SequenceNetwork.build({**spec, "frontend": WithMean})
    x = torch.randn(5, TIME, 2)
    answers = network.train()(x)
    assert network.n_answers == 2
    assert answers.shape == (10, 3)
    states, summary = answers.split(5)
    others = network(x.flip(1))
    torch.testing.assert_close(others[5:], summary)
    assert not torch.allclose(others[:5], states)
    mean = network.eval()(x)
    assert network.n_answers == 1
    assert mean.shape == (5, 3)
    torch.testing.assert_close(mean, (states + summary) / 2)
    torch.testing.assert_close(mean, network.head(network.encode(x)))


def test_a_summary_that_is_not_alone_is_learned_from_together():
    spec = {"n_features": 2, "hidden_size": 4, "head": "categorical", "n_outputs": 3}
    network = SequenceNetwork.build({**spec, "frontend": partial(WithMean, alone=False)})
    x = torch.randn(5, TIME, 2)
    assert network.n_answers == 1
    torch.testing.assert_close(network.train()(x), network.eval()(x))


def test_tokens_go_through_a_front_end():
    spec = {"n_features": 1, "embedding_dim": 5, "vocabulary_size": 7, "hidden_size": 4}
    network = SequenceNetwork.build(
        {**spec, "frontend": "conv", "head": "categorical", "n_outputs": 2}
    ).eval()
    ids = torch.randint(1, 7, (2, 6, 1))
    torch.testing.assert_close(network(ids, [6, 3])[1:], network(ids[1:, :3]), atol=1e-6, rtol=0)


def test_a_front_end_that_shortens_needs_pooling():
    spec = {"n_features": 2, "head": "normal", "n_outputs": 1, "pooling": None}
    with pytest.raises(ValueError, match=r"frontend=PatchFrontend .* return_sequences=True"):
        SequenceNetwork.build({**spec, "frontend": "patch", "frontend_stride": 3})
    assert SequenceNetwork.build({**spec, "frontend": "patch", "frontend_stride": 1})


def test_steps_of_another_shape_than_promised_are_named():
    spec = {"n_features": 2, "head": "normal", "n_outputs": 1}
    network = SequenceNetwork.build({**spec, "frontend": partial(Changes, stride=2)})
    with pytest.raises(ValueError, match=r"made steps of shape \(2, 5, 4\), expected \(2, 3, 4\)"):
        network(torch.zeros(2, 5, 2))


def test_a_network_with_a_front_end_reads_no_chunks():
    with pytest.raises(ValueError, match=r"frontend=PatchFrontend cannot read .* by chunks"):
        network_with("patch").advance(torch.zeros(1, 3, 2))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: make_frontend("wave", 2), ValueError, "unknown front end 'wave'.*'conv', 'patch'"),
        (lambda: make_frontend(Changes(2), 2), TypeError, "the object Changes; give its class"),
        (lambda: make_frontend(lambda n: torch.nn.Linear(n, n), 2), TypeError, "got Linear"),
        (lambda: ConvFrontend(2, kernel_sizes=(3, 4)), ValueError, r"must be odd.*got \(3, 4\)"),
        (lambda: ConvFrontend(2, block_sizes=(2,)), ValueError, r"must be odd.*got \(2,\)"),
        (lambda: ConvFrontend(2, channels=0), ValueError, "channels=0"),
        (lambda: ConvFrontend(2, width=0), ValueError, "width=0"),
        (lambda: ConvFrontend(2, depth=-1), ValueError, "depth must be at least 0.*depth=-1"),
        (lambda: ConvFrontend(2, stride=0), ValueError, "stride must be at least 1"),
        (lambda: ConvFrontend(2, stride=(1, 2, 3)), ValueError, r"or two such, got \(1, 2, 3\)"),
        (lambda: PatchFrontend(2, 0), ValueError, "patch_length must be at least 1"),
    ],
)
def test_what_makes_no_front_end_is_named(make, error, message):
    with pytest.raises(error, match=message):
        make()
