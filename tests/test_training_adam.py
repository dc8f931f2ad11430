"""Laws of Adam's step on the CPU: it is PyTorch's own."""

import copy

import pytest
import torch
from torch import nn

from skrnn._training import _adam
from skrnn._training._adam import take_step


def twins(optimizer, **options):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    both = network, copy.deepcopy(network)
    return [
        (
            net,
            optimizer(
                [
                    {"params": net[0].parameters()},
                    {"params": net[2].parameters(), "weight_decay": 0.1, "lr": 0.02},
                ],
                lr=0.01,
                **options,
            ),
        )
        for net in both
    ]


def step(pair, take, seed):
    network, optimizer = pair
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    network(x).square().sum().backward()
    take(optimizer)


def same(ours, theirs):
    assert all(map(torch.equal, ours[0].parameters(), theirs[0].parameters()))
    for mine, other in zip(ours[1].state.values(), theirs[1].state.values(), strict=True):
        assert all(torch.equal(mine[key], other[key]) for key in other)


@pytest.fixture
def counted(monkeypatch):
    calls, whole = [], _adam._step_group
    monkeypatch.setattr(_adam, "_step_group", lambda *a: (calls.append(1), whole(*a)))
    return calls


@pytest.mark.parametrize(
    "options",
    [{}, {"weight_decay": 0.1}, {"betas": (0.5, 0.9), "eps": 1e-3}, {"maximize": True}],
    ids=str,
)
@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.AdamW])
def test_a_step_is_that_of_torch_to_the_last_bit(optimizer, options, counted):
    ours, theirs = twins(optimizer, fused=True, **options)
    for seed in range(4):
        step(ours, take_step, seed)
        step(theirs, lambda optimizer: optimizer.step(), seed)
        for _, known in (ours, theirs):
            known.param_groups[0]["lr"] *= 0.5
        same(ours, theirs)
    assert counted, "the short way was not taken"


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (torch.optim.AdamW, {"fused": True, "amsgrad": True}),
        (torch.optim.AdamW, {"fused": False}),
        (torch.optim.AdamW, {"foreach": True}),
        (torch.optim.NAdam, {}),
        (torch.optim.SGD, {}),
    ],
    ids=str,
)
def test_others_take_their_own_step(optimizer, options, counted):
    ours, theirs = twins(optimizer, **options)
    for seed in range(3):
        step(ours, take_step, seed)
        step(theirs, lambda optimizer: optimizer.step(), seed)
    same(ours, theirs)
    assert not counted


def test_parameters_without_a_gradient_stay(counted):
    (network, optimizer), _ = twins(torch.optim.AdamW, fused=True)
    step((network, optimizer), take_step, 0)
    optimizer.zero_grad()
    before = [p.detach().clone() for p in network.parameters()]
    take_step(optimizer)
    assert all(map(torch.equal, before, network.parameters()))
    assert {int(state["step"]) for state in optimizer.state.values()} == {1}


def test_a_state_that_was_loaded_is_gone_on_from(counted):
    ours, theirs = twins(torch.optim.AdamW, fused=True)
    for pair in (ours, theirs):
        step(pair, lambda optimizer: optimizer.step(), 0)
        pair[1].load_state_dict(copy.deepcopy(pair[1].state_dict()))
    step(ours, take_step, 1)
    step(theirs, lambda optimizer: optimizer.step(), 1)
    same(ours, theirs)
    assert counted


def test_hooks_are_called_and_schedulers_see_the_steps():
    (network, optimizer), other = twins(torch.optim.AdamW, fused=True)
    step((network, optimizer), take_step, 0)
    seen = []
    optimizer.register_step_post_hook(lambda *args: seen.append(args))
    step((network, optimizer), take_step, 1)
    assert len(seen) == 1
    scheduler = torch.optim.lr_scheduler.StepLR(other[1], 1)
    step(other, take_step, 0)
    scheduler.step()  # it would warn that nobody has taken a step
