"""Truncated backpropagation: what chunks change, and that they change nothing else."""

import itertools
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from skorch.callbacks import Callback
from torch import nn
from torch.nn.functional import pad

from skrnn import RNNClassifier, RNNRegressor
from skrnn._training import SCHEDULES, TrainBatches, own_randomness
from skrnn._training._truncation import ChunkBatches, advance, without_graph
from skrnn.nn import RecurrentLayer, generator_of_thread, length_mask
from skrnn.sktime import RNNRegressor as SktimeRegressor

CELLS = ["lstm", "gru", "rnn", "mingru", "minlstm", nn.LSTMCell]
LENGTHS = [11, 3, 7, 12, 1, 12]


@pytest.fixture
def X(rng):
    """Six sequences of 1 to 12 steps."""
    return [rng.normal(size=(n, 2)) for n in LENGTHS]


@pytest.fixture
def y(X):
    return np.array([x.sum() for x in X])


@pytest.fixture
def y_steps(X):
    return [np.cumsum(x[:, 0]) for x in X]


class Memoryless(RecurrentLayer):
    """Reads every step on its own: chunks can change nothing."""

    def __init__(self, input_size, hidden_size):
        super().__init__(hidden_size)
        self.linear = nn.Linear(input_size, hidden_size)

    def forward(self, x, state=None):
        return self.linear(x).tanh(), ()


class Overflowing(nn.Module):
    """Adds inputs up, and is infinite from the first negative one on."""

    def __init__(self, input_size, hidden_size):
        super().__init__()
        self.linear = nn.Linear(input_size, hidden_size)

    def forward(self, x, state=None):
        h = self.linear(x) if state is None else state + self.linear(x)
        return h / (x[:, :1] >= 0)


class Counter(Callback):
    """Records the rate of every step of the optimizer; `rates` survives cloning."""

    def __init__(self, rates):
        self.rates = rates

    def __deepcopy__(self, memo):
        return Counter(self.rates)

    def __sklearn_clone__(self):
        return Counter(self.rates)

    def on_grad_computed(self, net, **kwargs):
        self.rates.append(net.optimizer_.param_groups[0]["lr"])


def make(cls=RNNRegressor, **params):
    small = {"hidden_size": 4, "max_epochs": 1, "early_stopping": False, "dtype": "float64"}
    return cls(**{**small, "bidirectional": "auto", "random_state": 0, **params})


def not_trained(X, y, **params):
    """Fit with steps too small to move a weight, and without a limit to gradients."""
    still = {"lr": 1e-300, "gradient_clip_value": None, "lr_schedule": None}
    return make(**{**still, "tbptt_steps": 5, **params}).fit(X, y)


def dataset_of(model, X, y, weight=None):
    return model._dataset(model._check(X, y, weight, reset=False))


def step(net, batch):
    """Loss and gradients of one step."""
    net.module_.zero_grad()
    net.history.new_epoch()
    net.history.new_batch()
    loss = net.train_step_single(batch)["loss"]
    return [loss, *(p.grad.clone() for p in net.module_.parameters())]


def steps_in_chunks(model, dataset):
    """Loss and gradients of every chunk, without a step of the optimizer."""
    return [step(model.net_, batch) for batch in model.net_.get_iterator(dataset, training=True)]


def detached_output(network, x, n_steps):
    """Output of the encoder, its state detached before every chunk; written by hand."""
    states, outputs = [None] * len(network.encoder.layers), []
    for chunk in x.split(n_steps, dim=1):
        output = network.embedding(chunk) if network.scaler is None else network.scaler(chunk)
        for depth, layer in enumerate(network.encoder.layers):
            if depth:
                output = network.encoder.dropout(output)
            output, state = layer(output, states[depth])
            states[depth] = without_graph(state)
        outputs.append(output)
    return torch.cat(outputs, dim=1)


def reference(model, batch, n_steps, randomness=None):
    """Loss and gradients of one answer per sequence, by hand."""
    network, (inputs, target) = model.net_.module_, batch
    with randomness or nullcontext():
        output = detached_output(network, inputs["x"], n_steps)
    output = output * length_mask(inputs["lengths"], output.shape[1]).unsqueeze(2)
    z = network.dropout(network.pooling(output, inputs["lengths"]))
    losses = network.head.loss(network.head(z), target)
    weight = inputs.get("weight", torch.ones_like(losses))
    loss = (losses * weight).sum() / weight.sum()
    return [loss, *torch.autograd.grad(loss, network.parameters())]


class Batches(list):
    """Batches without a limit in time."""

    budget = None


def is_valid(batch):
    """Whether a chunk has a step that is not padding."""
    return "lengths" not in batch[0] or bool(batch[0]["lengths"].any())


def assert_same(got, wanted, atol=1e-10):
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, atol=atol, rtol=0)


def weights(model):
    return [p.detach().numpy() for p in model.net_.module_.parameters()]


# -- one answer per sequence ------------------------------------------------------------------


@pytest.mark.parametrize("n_steps", [1, 5, 11])
@pytest.mark.parametrize("cell", CELLS)
def test_gradients_stop_where_chunks_start(cell, n_steps, X, y):
    model = not_trained(X, y, cell=cell, num_layers=2, tbptt_steps=n_steps)
    batch = dataset_of(model, X, y).batch(np.arange(6))
    assert_same(step(model.net_, batch), reference(model, batch, n_steps))


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention", ("attention", "max")])
@pytest.mark.parametrize("loss", ["squared_error", "quantile", "normal"])
def test_any_pooling_loss_and_weight_goes_with_chunks(pooling, loss, X, y, rng):
    model = not_trained(X, y, pooling=pooling, loss=loss)
    batch = dataset_of(model, X, y, rng.random(6)).batch(np.arange(6))
    assert_same(step(model.net_, batch), reference(model, batch, 5))


def test_both_readings_draw_the_same_dropout(X, y):
    ids = [np.arange(len(x)) % 5 + 1 for x in X]
    model = not_trained(ids, y, embedding_dim=3, num_layers=2, dropout=0.5)
    batch = dataset_of(model, ids, y).batch(np.arange(6))
    device = torch.device("cpu")
    with own_randomness(3, device):
        got = step(model.net_, batch)
    with own_randomness(3, device):
        seed = int(torch.randint(2**31, (), generator=generator_of_thread()))
        wanted = reference(model, batch, 5, own_randomness(seed, device))
    assert_same(got, wanted)
    assert float(got[0]) != pytest.approx(float(step(model.net_, batch)[0]), rel=1e-6)


@pytest.mark.parametrize("n_steps", [1, 5])
def test_chunks_change_nothing_for_a_layer_without_memory(n_steps, X, y):
    model = not_trained(X, y, cell=Memoryless, num_layers=2)
    batch = dataset_of(model, X, y).batch(np.arange(6))
    model.net_.tbptt_steps = n_steps
    in_chunks = step(model.net_, batch)
    model.net_.tbptt_steps = None
    assert_same(in_chunks, step(model.net_, batch))


def test_scaled_losses_give_the_same_gradients(X, y):
    model = not_trained(X, y, dtype="float32")
    batch = dataset_of(model, X, y).batch(np.arange(6))
    wanted = step(model.net_, batch)
    model.net_.grad_scaler_ = torch.amp.GradScaler("cpu")
    assert_same(step(model.net_, batch), wanted, atol=1e-6)


def test_one_batch_is_one_step(X, y):
    for n_steps in (1, 5, None):
        rates = []
        make(tbptt_steps=n_steps, callbacks=[Counter(rates)], batch_size=6).fit(X[:1] * 6, y)
        assert len(rates) == 1


# -- an answer per step -----------------------------------------------------------------------


@pytest.mark.parametrize("n_steps", [1, 5, 11])
@pytest.mark.parametrize("cell", CELLS)
def test_every_chunk_gives_its_own_loss_and_gradient(cell, n_steps, X, y_steps):
    model = not_trained(
        X, y_steps, cell=cell, num_layers=2, tbptt_steps=n_steps, return_sequences=True
    )
    # Of equal length, so that one batch holds them all.
    X = [np.resize(x, (12, 2)) for x in X]
    dataset = dataset_of(model, X, [np.arange(12.0)] * 6)
    chunks = steps_in_chunks(model, dataset)
    assert len(chunks) == -(-12 // n_steps)
    network, (inputs, target) = model.net_.module_, dataset.batch(np.arange(6))
    raw = network.head(detached_output(network, inputs["x"], n_steps))
    losses = network.head.loss(raw, target)
    for got, part in zip(chunks, losses.split(n_steps, dim=1), strict=True):
        loss = part.mean()
        gradients = torch.autograd.grad(loss, network.parameters(), retain_graph=True)
        assert_same(got, [loss, *gradients])


def test_ended_sequences_and_padding_count_nothing(X, y_steps, rng):
    model = not_trained(X, y_steps, return_sequences=True)
    w = [rng.random(len(x)) for x in X]
    for weight in (None, w):
        inputs, target = dataset_of(model, X, y_steps, weight).batch(np.arange(6))
        more = {"x": pad(inputs["x"], (0, 0, 0, 8), value=9.0), "lengths": inputs["lengths"]}
        if weight is not None:
            more["weight"] = pad(inputs["weight"], (0, 8))
        losses = []
        for batch in ((inputs, target), (more, pad(target, (0, 0, 0, 8), value=9.0))):
            run = ChunkBatches(Batches([batch]), model.net_)
            losses.append([step(model.net_, chunk) for chunk in run if is_valid(chunk)])
        for got, wanted in zip(losses[1], losses[0], strict=True):
            assert_same(got, wanted)


def test_chunks_without_weight_make_no_step_but_are_read(X, y_steps):
    model = not_trained(X, y_steps, return_sequences=True)
    x, target = [np.resize(X[0], (20, 2))] * 2, [np.arange(20.0)] * 2
    everywhere = steps_in_chunks(model, dataset_of(model, x, target))
    weight = np.ones(20)
    weight[5:10] = weight[15:] = 0
    somewhere = steps_in_chunks(model, dataset_of(model, x, target, [weight, weight]))
    assert len(everywhere) == 4
    assert len(somewhere) == 2
    assert_same(somewhere[0], everywhere[0])
    assert_same(somewhere[1], everywhere[2])


def test_nothing_leaks_from_batch_to_batch(X, y_steps):
    model = not_trained(X, y_steps, return_sequences=True, batch_size=1)
    together = steps_in_chunks(model, dataset_of(model, X, y_steps))
    alone = [
        chunk
        for x, target in zip(X, y_steps, strict=True)
        for chunk in steps_in_chunks(model, dataset_of(model, [x], [target]))
    ]
    by_loss = [sorted(chunks, key=lambda chunk: float(chunk[0])) for chunks in (together, alone)]
    for got, wanted in zip(*by_loss, strict=True):
        assert_same(got, wanted)


def test_a_state_that_overflows_ends_its_batch_only(rng):
    X = [rng.random((20, 1)) for _ in range(3)]
    X[1][7] = -1.0
    y = [x[:, 0] for x in X]
    params = {"cell": Overflowing, "standardize": False, "tbptt_steps": 5, "batch_size": 1}
    model = make(return_sequences=True, max_epochs=3, callbacks=[Counter(rates := [])], **params)
    model.fit(X, y)
    # Two whole sequences, and one up to the chunk whose step is skipped.
    assert len(rates) == 3 * (4 + 4 + 2)
    assert all(np.isfinite(w).all() for w in weights(model))


# -- the training around it -------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["lstm", "mingru"])
@pytest.mark.parametrize("per_step", [False, True])
def test_a_chunk_that_covers_all_steps_is_ordinary_training(cell, per_step, X, y, y_steps):
    params = {"cell": cell, "num_layers": 2, "dropout": 0.3, "return_sequences": per_step}
    params |= {"bidirectional": False, "max_epochs": 3, "batch_size": 4}
    target = y_steps if per_step else y
    whole = make(**params).fit(X, target)
    for n_steps in (12, 13, 1000):
        covered = make(tbptt_steps=n_steps, **params).fit(X, target)
        for a, b in zip(weights(covered), weights(whole), strict=True):
            assert_array_equal(a, b)
    batch = dataset_of(whole, X, target).batch(np.arange(6))
    gradients = []
    for n_steps in (12, None):
        whole.net_.tbptt_steps = n_steps
        with own_randomness(0, torch.device("cpu")):
            gradients.append(step(whole.net_, batch))
    assert_same(*gradients, atol=1e-6)


@pytest.mark.parametrize("per_step", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_loss_of_an_epoch_is_the_mean_over_all_that_counts(
    per_step, weighted, X, y, y_steps, rng
):
    target = y_steps if per_step else y
    weight = ([rng.random(len(x)) for x in X] if per_step else rng.random(6)) if weighted else None
    losses = []
    for n_steps in (None, 1, 5):
        params = {"lr": 1e-300, "tbptt_steps": n_steps, "return_sequences": per_step}
        model = make(bidirectional=False, batch_size=2, **params)
        losses.append(model.fit(X, target, sample_weight=weight).history_[0]["train_loss"])
    assert_allclose(losses, losses[0], rtol=1e-10)


def test_schedules_follow_the_steps_of_the_chunks(X):
    params = {"max_epochs": 3, "lr": 0.01, "lr_schedule": "cosine", "return_sequences": True}
    model = make(tbptt_steps=5, callbacks=[Counter(rates := [])], **params)
    model.fit([np.resize(X[0], (100, 2))] * 2, [np.arange(100.0)] * 2)
    progress = np.arange(60) / 60
    assert_allclose(rates, [0.01 * SCHEDULES["cosine"](p) for p in progress], atol=1e-12)


def test_progress_covers_steps_without_weight(X):
    weight = np.ones(100)
    weight[:20] = weight[40:60] = weight[90:] = 0
    params = {"max_epochs": 2, "lr": 0.01, "lr_schedule": "cosine", "return_sequences": True}
    model = make(tbptt_steps=10, callbacks=[Counter(rates := [])], **params)
    model.fit([np.resize(X[0], (100, 2))], [np.arange(100.0)], sample_weight=[weight])
    epoch = np.array([0.0, 0.3, 0.4, 0.7, 0.8])
    progress = np.concatenate([epoch, 1 + epoch]) / 2
    assert_allclose(rates, [0.01 * SCHEDULES["cosine"](p) for p in progress], atol=1e-12)


def test_a_time_limit_ends_an_epoch_between_chunks(X, y_steps):
    model = not_trained(X, y_steps, return_sequences=True)
    dataset = dataset_of(model, [np.resize(X[0], (50, 2))], [np.arange(50.0)])
    taken = []
    budget = type("Budget", (), {"exhausted": property(lambda self: len(taken) >= 3)})()
    batches = TrainBatches(dataset, 1, np.random.RandomState(0), budget)
    for chunk, _ in ChunkBatches(batches, model.net_):
        advance(model.net_, chunk)
        taken.append(chunk)
    assert len(taken) == 3


@pytest.mark.parametrize("per_step", [False, True])
def test_gradients_are_clipped(per_step, X, y, y_steps):
    params = {"optimizer": "sgd", "lr": 1.0, "lr_schedule": None, "batch_size": 6}
    params |= {"tbptt_steps": 5, "return_sequences": per_step, "normalize_y": False}
    models = []
    for n_epochs in (1, 2):
        model = make(gradient_clip_value=1e-3, max_epochs=n_epochs, **params)
        models.append(model.fit(X, [100 * t for t in y_steps] if per_step else 100 * y))
    n_steps = models[1].history_[1]["train_batch_count"]
    moved = sum(((a - b) ** 2).sum() for a, b in zip(*map(weights, models), strict=True)) ** 0.5
    assert 0 < moved <= 1e-3 * n_steps * (1 + 1e-6)


@pytest.mark.parametrize("per_step", [False, True])
def test_mixed_precision(per_step, X, y, y_steps):
    losses = []
    for precision in ("float32", "bf16"):
        params = {"dtype": "float32", "precision": precision, "return_sequences": per_step}
        model = make(tbptt_steps=5, max_epochs=3, dropout=0.2, num_layers=2, **params)
        model.fit(X, y_steps if per_step else y)
        losses.append([row["train_loss"] for row in model.history_])
    assert_allclose(losses[1], losses[0], rtol=0.05)


@pytest.mark.parametrize("per_step", [False, True])
def test_token_ids_are_read_in_chunks(per_step, X):
    ids = [np.arange(len(x)) % 5 + 1 for x in X]
    y = [i % 2 for i in ids] if per_step else [0, 1] * 3
    params = {"embedding_dim": 3, "tbptt_steps": 5, "return_sequences": per_step}
    model = make(RNNClassifier, max_epochs=30, lr=0.05, **params).fit(ids, y)
    if per_step:
        assert model.score(ids, y) > 0.9
    losses = [row["train_loss"] for row in model.history_]
    assert losses[-1] < losses[0]


def test_what_lies_within_reach_is_learned(rng):
    X = [rng.normal(size=(60, 1)) for _ in range(20)]
    y = [np.where(np.r_[0, x[:-1, 0]] > 0, "up", "down") for x in X]
    params = {"return_sequences": True, "tbptt_steps": 10, "max_epochs": 25, "lr": 0.02}
    assert make(RNNClassifier, hidden_size=8, **params).fit(X, y).score(X, y) > 0.9


@pytest.mark.parametrize("optimizer", ["lbfgs", "sgd", "rprop"])
@pytest.mark.parametrize("per_step", [False, True])
def test_optimizers_that_ask_again_start_from_the_same_state(optimizer, per_step, X, y, y_steps):
    params = {"optimizer": optimizer, "lr": 0.01, "lr_schedule": None, "max_epochs": 5}
    model = make(tbptt_steps=5, return_sequences=per_step, batch_size=6, **params)
    losses = [row["train_loss"] for row in model.fit(X, y_steps if per_step else y).history_]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("per_step", [False, True])
def test_70_000_steps(per_step):
    x = np.sin(np.arange(70_000) / 20)[:, None]
    params = {"hidden_size": 2, "dtype": "float32", "return_sequences": per_step}
    model = make(RNNRegressor, tbptt_steps=10_000, **params)
    model.fit([x, x[:9]], [x[:, 0], x[:9, 0]] if per_step else [0.0, 1.0])
    assert np.isfinite(model.history_[0]["train_loss"])


@pytest.mark.parametrize("per_step", [False, True])
def test_what_is_kept_for_gradients_does_not_grow_with_the_sequences(per_step, rng):
    def most_kept(n_timesteps, n_steps):
        kept = itertools.count()
        alive, most = set(), 0

        class Kept:
            def __init__(self, tensor):
                nonlocal most
                self.tensor, self.key = tensor, next(kept)
                alive.add(self.key)
                most = max(most, len(alive))

            def __del__(self):
                alive.discard(self.key)

        x = rng.normal(size=(n_timesteps, 1))
        model = make(cell=nn.GRUCell, tbptt_steps=n_steps, return_sequences=per_step)
        with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
            model.fit([x, x], [x[:, 0]] * 2 if per_step else [0.0, 1.0])
        return most

    assert most_kept(80, 10) == most_kept(40, 10) < most_kept(40, None) / 2


# -- parameters -------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [RNNRegressor, SktimeRegressor])
def test_auto_means_one_direction(cls, X, y):
    params = {"hidden_size": 4, "max_epochs": 1, "random_state": 0}
    for n_steps, directions in ((None, 2), (5, 1), (1000, 1)):
        model = cls(tbptt_steps=n_steps, **params)
        if cls is SktimeRegressor:
            model = model.fit(np.stack([np.resize(x, (12, 2)).T for x in X]), y).rnn_
        else:
            model.fit(X, y)
        assert model.net_.tbptt_steps == n_steps
        assert model.net_.module_.encoder.num_directions == directions


@pytest.mark.parametrize("both", [True, np.True_])
def test_two_directions_are_refused(both, X, y):
    message = r"bidirectional=True .* tbptt_steps=5; leave bidirectional at 'auto'"
    with pytest.raises(ValueError, match=message):
        make(bidirectional=both, tbptt_steps=5).fit(X, y)


@pytest.mark.parametrize("n_steps", [0, -1, 2.5, "auto"])
def test_f072_wrong_numbers_are_named(n_steps, X, y):
    with pytest.raises(ValueError, match="'tbptt_steps' parameter of RNNRegressor"):
        make(tbptt_steps=n_steps).fit(X, y)


def test_a_layer_that_returns_no_state_is_refused(X, y):
    class WholeOnly(Memoryless):
        def forward(self, x, state=None):
            return super().forward(x)[0], None

    with pytest.raises(ValueError, match="layer 0, a WholeOnly, returned no state"):
        make(cell=WholeOnly, tbptt_steps=5).fit(X, y)


def test_partial_fit_and_warm_start_go_on_in_chunks(X, y_steps):
    rates = []
    params = {"return_sequences": True, "callbacks": [Counter(rates)], "batch_size": 1}
    model = make(warm_start=True, **params)
    model.partial_fit(X[:1], y_steps[:1])
    assert len(rates) == 1
    model.set_params(tbptt_steps=5).partial_fit(X[:1], y_steps[:1])
    assert len(rates) == 1 + 3
    model.set_params(tbptt_steps=1).fit(X[:1], y_steps[:1])
    assert len(rates) == 1 + 3 + 11
    assert (
        model.set_params(tbptt_steps=None).partial_fit(X[:1], y_steps[:1]).net_.tbptt_steps is None
    )


def test_the_generator_of_a_mac_is_seeded_and_given_back(monkeypatch):
    state = [7]
    fake = {
        "get_rng_state": lambda: state[0],
        "set_rng_state": lambda value: state.__setitem__(0, value),
        "manual_seed": lambda seed: state.__setitem__(0, seed),
    }
    for name, function in fake.items():
        monkeypatch.setattr(torch.mps, name, function)
    with own_randomness(3, torch.device("mps")):
        assert state == [3]
    assert state == [7]


class TwoProcesses:
    """What skrnn asks of an accelerator, in the first of two processes that hears no other."""

    process_index, num_processes, mixed_precision = 0, 2, "no"
    device = torch.device("cpu")

    def reduce(self, tensor, reduction):
        return tensor


def test_chunks_are_not_shared_out_among_processes(X, y_steps):
    model = make(tbptt_steps=5, return_sequences=True, accelerator=TwoProcesses())
    with pytest.raises(ValueError, match="cannot be shared out among processes"):
        model.fit(X, y_steps)
