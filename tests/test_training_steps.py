"""The guard of the steps: clipping, steps that are left out, and numbers that are read late."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn

from skrnn import RNNClassifier
from skrnn._training import _net, _steps
from skrnn._training._steps import Diverged, StepGuard, read_numbers


def problem(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(40, 6, 2)).astype(np.float32)
    return X, (X[:, :, 0].mean(axis=1) > 0).astype(int)


def fitted(**params) -> RNNClassifier:
    settings = {"hidden_size": 3, "max_epochs": 4, "batch_size": 8, "random_state": 0, "lr": 0.05}
    return RNNClassifier(**{**settings, **params}).fit(*problem())


@pytest.fixture
def nobody_waits(monkeypatch):
    """Check steps on the device, as on CUDA, but on the CPU."""
    monkeypatch.setattr(_net, "need_not_wait", lambda optimizer, device: True)


def one_weight(value: float = 1.0) -> tuple[nn.Parameter, torch.optim.Optimizer]:
    weight = nn.Parameter(torch.tensor([value]))
    return weight, torch.optim.AdamW([weight], lr=0.1, fused=True)


@pytest.mark.parametrize("waits", [True, False])
def test_the_norm_is_that_before_clipping_and_the_gradient_that_of_torch(waits):
    weights = [nn.Parameter(torch.full((2, 3), 2.0)), nn.Parameter(torch.full((4,), -1.0))]
    twins = [nn.Parameter(w.detach().clone()) for w in weights]
    guard = StepGuard(None, waits)
    for group in (weights, twins):
        sum((w**2).sum() for w in group).backward()
    expected = nn.utils.clip_grad_norm_(twins, 0.5)
    norm = guard.check(torch.optim.SGD(weights, fused=True), torch.tensor(1.0), 0.5)
    assert float(norm) == pytest.approx(expected.item())
    for weight, twin in zip(weights, twins, strict=True):
        torch.testing.assert_close(weight.grad, twin.grad)


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("bad", ["loss", "gradient"])
def test_a_step_that_is_not_finite_leaves_weights_and_optimizer_alone(waits, bad):
    weight, optimizer = one_weight()
    guard = StepGuard(None, waits)
    for gradient in (0.5, torch.nan if bad == "gradient" else 0.5):
        before = weight.detach().clone()
        weight.grad = torch.tensor([gradient])
        loss = torch.nan if bad == "loss" and guard.good_steps else 1.0
        guard.check(optimizer, torch.tensor(loss), 1.0)
        optimizer.step()
    assert torch.equal(weight, before)
    assert float(optimizer.state[weight]["step"]) == 1
    assert (guard.good_steps, guard.bad_steps) == (1, 1)


@pytest.mark.parametrize("waits", [True, False])
def test_too_many_bad_steps_in_a_row_end_the_training(waits):
    weight, optimizer = one_weight()
    guard = StepGuard(None, waits)

    def bad_steps():
        for _ in range(_steps.STEPS_BETWEEN_READS):
            weight.grad = torch.tensor([torch.inf])
            guard.check(optimizer, torch.tensor(1.0), None)
            optimizer.step()

    with pytest.raises(Diverged):
        bad_steps()
    assert torch.equal(weight, torch.tensor([1.0]))


def test_a_run_of_bad_steps_is_seen_when_it_is_read_late():
    weight, optimizer = one_weight()
    guard = StepGuard(None, waits=False)
    for gradient in [torch.nan] * (_steps.MAX_BAD_STEPS + 1) + [0.1]:
        weight.grad = torch.tensor([gradient])
        guard.check(optimizer, torch.tensor(1.0), None)
    with pytest.raises(Diverged):
        guard.read()


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_reading_late_changes_nothing(nobody_waits, monkeypatch, optimizer):
    late = fitted(optimizer=optimizer, early_stopping=True)
    assert not late.net_.guard_.waits
    monkeypatch.undo()
    now = fitted(optimizer=optimizer, early_stopping=True)
    assert now.net_.guard_.waits
    for name, weight in now.net_.module_.state_dict().items():
        torch.testing.assert_close(late.net_.module_.state_dict()[name], weight)
    for mine, other in zip(late.history_, now.history_, strict=True):
        for name in ("train_loss", "valid_loss", "grad_norm"):
            assert type(mine[name]) is float
            assert mine[name] == pytest.approx(other[name], rel=1e-5)


def test_a_loss_that_is_not_finite_is_left_out_without_waiting(nobody_waits):
    model = fitted(callbacks=[SpoiltGradient()])
    assert model.net_.guard_.good_steps == 4 * 5 - 2
    assert np.isfinite(model.predict_proba(problem()[0])).all()


class SpoiltGradient(Callback):
    """Put NaN into the gradient of the second and third step of the training."""

    def on_train_begin(self, net, **kwargs):
        self.steps_, check = 0, net.guard_.check

        def spoilt(optimizer, loss, limit):
            self.steps_ += 1
            if self.steps_ in (2, 3):
                next(net.module_.parameters()).grad.fill_(torch.nan)
            return check(optimizer, loss, limit)

        net.guard_.check = spoilt

    def on_train_end(self, net, **kwargs):
        del net.guard_.check


def test_named_numbers_are_read_once_for_all_and_others_stay():
    mine = torch.ones(3)
    rows = [{"a": torch.tensor(1.5), "b": 2, "c": mine}, {}, {"a": torch.tensor(True), "c": mine}]
    read_numbers(rows, ("a", "b"))
    assert [row.get("a") for row in rows] == [1.5, None, 1.0]
    assert rows[0]["b"] == 2
    assert rows[0]["c"] is mine


class Records(Callback):
    """Record a tensor per batch, of a size that differs."""

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        net.history.record_batch("sizes", torch.ones(len(batch[1])))


@pytest.mark.parametrize("late", [True, False])
def test_what_callbacks_record_stays_as_it_is(late, monkeypatch):
    monkeypatch.setattr(_net, "need_not_wait", lambda optimizer, device: late)
    model = fitted(callbacks=[Records()], batch_size=12)
    rows = model.net_.history[-1]["batches"]
    # Forty samples in batches of twelve at most, all of one size.
    assert [len(row["sizes"]) for row in rows] == [10, 10, 10, 10]


def test_nothing_of_a_training_is_left_on_the_net(nobody_waits):
    model = fitted()
    assert "heard_" not in vars(model.net_)
    assert not hasattr(model.net_.optimizer_, "found_inf")
    assert isinstance(clone(model.net_), type(model.net_))


def test_a_callback_that_takes_the_place_of_another_is_heard():
    class Batches(Callback):
        def on_train_begin(self, net, **kwargs):
            self.n_ = 0

        def on_batch_end(self, net, **kwargs):
            self.n_ += 1

    class Replaces(Callback):
        def on_epoch_end(self, net, **kwargs):
            names = [name for name, _ in net.callbacks_]
            self.new_ = Batches()
            self.new_.on_train_begin(net)
            net.callbacks_[names.index("old")] = ("old", self.new_)

    model = fitted(callbacks=[("old", Batches()), ("replaces", Replaces())], max_epochs=2)
    seen = dict(model.net_.callbacks_)
    assert seen["old"].n_ == 5
    assert seen["replaces"].new_.n_ == 0


def test_only_callbacks_with_something_to_do_are_called_and_late_ones_too():
    class Counts(Callback):
        def on_train_begin(self, net, **kwargs):
            self.batches_ = 0

        def on_batch_end(self, net, training=False, **kwargs):
            self.batches_ += training

    class AddsAnother(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 2:
                self.added_ = Counts()
                self.added_.on_train_begin(net)
                net.callbacks_.append(("added", self.added_))

    first, second = Counts(), AddsAnother()
    model = fitted(callbacks=[("first", first), ("second", second)], max_epochs=3)
    seen = dict(model.net_.callbacks_)
    assert seen["first"].batches_ == 3 * 5
    assert seen["second"].added_.batches_ == 5


@pytest.mark.parametrize("limit", [None, 0.1])
def test_partial_fit_takes_the_steps_of_fit(limit):
    X, y = problem()
    settings = {
        "hidden_size": 3,
        "batch_size": len(y),
        "lr_schedule": None,
        "early_stopping": False,
        "gradient_clip_value": limit,
        "dtype": "float64",
        "random_state": 0,
    }
    whole = RNNClassifier(**settings, max_epochs=3).fit(X, y)
    pieces = RNNClassifier(**settings)
    for _ in range(3):
        pieces.partial_fit(X, y, classes=[0, 1])
    for name, weight in whole.net_.module_.state_dict().items():
        torch.testing.assert_close(pieces.net_.module_.state_dict()[name], weight)
