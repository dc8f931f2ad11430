"""Members: their loss, their mean, their seeds, and what copies of them keep."""

import copy
import pickle

import numpy as np
import pytest
import torch
from small_models import HORIZON, PLAIN, TINY, fit, forecast, noise_panel

from skrnn._forecasting import _model, _sizes
from skrnn._forecasting._baselines import seasonal_naive, theta
from skrnn._forecasting._calibration import LEVELS
from skrnn._forecasting._dataset import OrderedWindows, Origins
from skrnn._forecasting._guard import MEMBERS, Guard


@pytest.fixture
def trainings(monkeypatch):
    """Record the arguments of every training of a network, and its net."""
    found = []
    original = _model.train_member

    def train_member(*args, **kwargs):
        net, outcome = original(*args, **kwargs)
        found.append((args, kwargs, net))
        return net, outcome

    monkeypatch.setattr(_model, "train_member", train_member)
    return found


# --- loss and scales ---------------------------------------------------------------------------


def test_the_loss_is_the_mean_over_all_known_steps(trainings, rng):
    panel = noise_panel(rng)
    panel.values[rng.random(panel.values.shape) < 0.2] = np.nan
    net = fit(panel, refit=False, guard="off", max_epochs=1).nets[0]
    watched = trainings[0][0][4]
    losses, known = 0.0, 0
    with torch.no_grad():
        for inputs, target in OrderedWindows(watched, 7):
            losses += net.module_.loss(net.infer(inputs), target).sum().item()
            known += target.isfinite().sum().item()
    assert net.history[-1]["valid_loss"] == pytest.approx(losses / known, rel=1e-6)


def test_the_scale_of_the_guard_knows_nothing_of_the_tail(rng, monkeypatch):
    found = []
    original = _model.error_scale
    monkeypatch.setattr(_model, "error_scale", lambda *args: found.append(args) or original(*args))
    panel = noise_panel(rng, n_columns=2)
    model = fit(panel, refit=False)
    tails = _sizes.tail_lengths(panel.lengths, HORIZON)
    for i, (seen, period) in enumerate(found):
        np.testing.assert_array_equal(seen, panel.series(i)[: panel.lengths[i] - tails[i]])
        assert period == model.period
    assert len(found) == panel.n_series


def test_the_calibration_is_of_what_is_forecast(rng, monkeypatch):
    found = []
    original = _model.HorizonCalibration.of
    monkeypatch.setattr(
        _model.HorizonCalibration, "of", lambda *args: found.append(args) or original(*args)
    )
    model = fit(noise_panel(rng, {f"s{i}": 150 for i in range(12)}), refit=False)
    truth, quantiles, scale, _ = found[0]
    assert quantiles.shape == (*truth.shape, len(LEVELS))
    moved = model.calibration.apply(quantiles, LEVELS, scale, np.arange(HORIZON))
    inside = (truth >= moved[..., 3]) & (truth <= moved[..., -4])
    assert inside.mean() >= 0.88


# --- members and batches -----------------------------------------------------------------------


def test_forecasts_do_not_depend_on_how_many_are_made(rng):
    panel = noise_panel(rng)
    model = fit(panel, dtype="float32")
    together = forecast(model, panel)
    dataset = model.dataset(
        model._learn(panel, {}, panel.lengths), Origins(panel.lengths, panel.lengths + 1, 1)
    )
    for i in range(3):
        alone = model.distribution(dataset, np.array([i]), np.array([0.1, 0.5, 0.9]), HORIZON)
        every = model.distribution(dataset, np.arange(3), np.array([0.1, 0.5, 0.9]), HORIZON)
        np.testing.assert_array_equal(alone.point[0], every.point[i])
        np.testing.assert_array_equal(alone.quantiles[0], every.quantiles[i])
    assert together.shape == (3, HORIZON, 1, 4)


def test_an_ensemble_forecasts_the_mean_of_its_members(rng):
    panel = noise_panel(rng)
    model = fit(panel, **PLAIN, n_estimators=3, guard="off", calibrate=False)
    whole = forecast(model, panel, alpha=())
    members = []
    for net in model.nets:
        one = copy.copy(model)
        one.nets = [net]
        members.append(forecast(one, panel, alpha=()))
    assert not np.allclose(members[0], members[1])
    np.testing.assert_allclose(whole, np.mean(members, axis=0))


@pytest.mark.parametrize("weights", [(0.0, 0.0, 1.0), (0.5, 0.0, 0.5), (0.25, 0.75, 0.0)])
def test_the_guard_moves_the_whole_distribution(rng, weights):
    panel = noise_panel(rng)
    model = fit(panel, **PLAIN, calibrate=False, refit=False, guard="off")
    alone = forecast(model, panel)
    model.guard = Guard(dict(zip(MEMBERS, weights, strict=True)))
    blended = forecast(model, panel)
    past = np.stack([panel.series(i)[-TINY["window_length"] :, 0] for i in range(3)])
    members = alone[:, :, 0, 0], theta(past, HORIZON), seasonal_naive(past, HORIZON, 3)
    expected = sum(weight * member for weight, member in zip(weights, members, strict=True))
    np.testing.assert_allclose(blended[:, :, 0, 0], expected)
    moved = (blended - alone)[:, :, 0]
    np.testing.assert_allclose(moved, np.broadcast_to(moved[..., :1], moved.shape), atol=1e-9)


def test_seeds_reproduce_and_differ(rng):
    panel = noise_panel(rng)
    torch.manual_seed(5)
    first = forecast(fit(panel, guard="off"), panel)
    torch.manual_seed(6)
    np.testing.assert_array_equal(forecast(fit(panel, guard="off"), panel), first)
    assert not np.allclose(forecast(fit(panel, seed=1, guard="off"), panel), first)


@pytest.mark.parametrize("seed", [0, np.iinfo(np.int32).max - 1])
def test_members_have_seeds_of_their_own(trainings, rng, seed):
    fit(noise_panel(rng), seed=seed, n_estimators=3, refit=False)
    assert len({args[2] for args, _, _ in trainings}) == 3


# --- pretrained, updated and pickled -----------------------------------------------------------


def weights(model):
    return [p.detach().clone() for net in model.nets for p in net.module_.parameters()]


def test_adapting_leaves_the_weights_alone(rng):
    model = fit(noise_panel(rng))
    before = weights(model)
    other = noise_panel(rng, {"x": 50, "y": 60})
    model.adapt(other, {})
    assert all(torch.equal(a, b) for a, b in zip(before, weights(model), strict=True))
    assert model.transform.log.shape == model.least.shape == (2, 1)
    assert bool(np.isfinite(forecast(model, other)).all())


def test_updating_trains_on_from_the_weights_there_are(trainings, rng):
    panel = noise_panel(rng)
    model = fit(panel, max_epochs=20, refit=False, n_estimators=2)
    before, n_before = weights(model), len(trainings)
    copied = copy.copy(model)
    copied.update(panel, {}, 3)
    again = trainings[n_before:]
    assert [kwargs["epochs"] for _, kwargs, _ in again] == [2, 2]
    assert all(kwargs["start"] is not None for _, kwargs, _ in again)
    changes = [(a - b).abs().max() for a, b in zip(before, weights(copied), strict=True)]
    assert 0 < max(changes) < 0.5
    # What it was copied from keeps its weights.
    assert all(torch.equal(a, b) for a, b in zip(before, weights(model), strict=True))


@pytest.mark.parametrize("changes", [{}, {"n_estimators": 2, "loss": "student_t", "log": True}])
@pytest.mark.parametrize("way", ["pickle", "copy", "deepcopy"])
def test_copies_forecast_the_same_and_keep_their_history(rng, changes, way):
    panel = noise_panel(rng)
    model = fit(panel, **changes)
    ways = {
        "pickle": lambda m: pickle.loads(pickle.dumps(m)),
        "copy": copy.copy,
        "deepcopy": copy.deepcopy,
    }
    state = torch.random.get_rng_state()
    other = ways[way](model)
    assert torch.equal(torch.random.get_rng_state(), state)
    np.testing.assert_array_equal(forecast(other, panel), forecast(model, panel))
    assert other.guard == model.guard
    for a, b in zip(model.nets, other.nets, strict=True):
        assert a is not b
        assert a.history[:, "train_loss"] == b.history[:, "train_loss"]


def test_a_pickle_holds_plain_values(rng):
    state = fit(noise_panel(rng)).__getstate__()

    def leaves(value):
        if isinstance(value, dict):
            return [leaf for part in value.values() for leaf in leaves(part)]
        if isinstance(value, (list, tuple)):
            return [leaf for part in value for leaf in leaves(part)]
        return [value]

    kinds = {type(leaf) for leaf in leaves(state["nets"])}
    assert kinds <= {np.ndarray, np.float64, str, int, float, bool, type(None)}
