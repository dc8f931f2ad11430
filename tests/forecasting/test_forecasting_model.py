"""Model: who sees what in training, and when it is done again."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_models import HORIZON, PLAIN, TINY, fit, forecast, make_panel, noise_panel

from skrnn._forecasting import _model, _net, _sizes
from skrnn._forecasting._dataset import OrderedWindows, TrainWindows
from skrnn._forecasting._guard import Guard
from skrnn._forecasting._members import enough_epochs


@pytest.fixture
def seen(monkeypatch):
    """Record the batches of training and of validation, and every training of a network."""
    record = SimpleNamespace(train=[], valid=[], trainings=[])

    def spy(base, batches):
        class Spy(base):
            def __iter__(self):
                for batch in super().__iter__():
                    batches.append(batch)
                    yield batch

        return Spy

    def train_member(*args, **kwargs):
        net, outcome = original(*args, **kwargs)
        record.trainings.append((args, kwargs, net))
        return net, outcome

    original = _model.train_member
    monkeypatch.setattr(_net, "TrainWindows", spy(TrainWindows, record.train))
    monkeypatch.setattr(_net, "OrderedWindows", spy(OrderedWindows, record.valid))
    monkeypatch.setattr(_model, "train_member", train_member)
    return record


def joined(batches):
    """Past and target of all windows of some batches, one after the other in time."""
    rows = [torch.cat([inputs["past"], target], dim=1) for inputs, target in batches]
    return torch.cat(rows).numpy()


# --- who sees what -----------------------------------------------------------------------------


@pytest.mark.parametrize("refit", [False, "auto", True])
def test_training_never_sees_the_tail_and_validation_starts_with_it(seen, refit):
    panel = make_panel()
    tails = _sizes.tail_lengths(panel.lengths, HORIZON)
    assert bool((tails >= HORIZON).all())
    fit(panel, **PLAIN, refit=refit, guard="fallback")
    first = seen.train[: len(seen.train) // len(seen.trainings)]
    trained, validated = joined(first), joined(seen.valid)
    for i, (n, tail) in enumerate(zip(panel.lengths, tails, strict=True)):
        start = 1000.0 * (i + 1)
        own = trained[(trained // 1000 == i + 1).any(axis=1)]
        assert np.nanmin(own) == start
        assert np.nanmax(own) == start + n - tail - 1
        own = validated[(validated // 1000 == i + 1).any(axis=1)]
        past, target = np.split(own, [TINY["window_length"]], axis=1)
        assert np.nanmin(target) == start + n - tail
        assert np.nanmax(target) == start + n - 1
        assert bool((np.nanmax(past, axis=1) < np.nanmin(target, axis=1)).all())


def test_windows_run_on_in_time(seen):
    fit(make_panel(), **PLAIN)
    for rows in (joined(seen.train), joined(seen.valid)):
        steps = np.diff(rows, axis=1)
        assert bool((steps[np.isfinite(steps)] == 1).all())


def test_what_comes_in_the_tail_changes_nothing_in_training(seen, rng):
    """Nor do the logarithm, the season and the scales that were learned for it."""
    plain = noise_panel(rng)
    tails = _sizes.tail_lengths(plain.lengths, HORIZON)
    values = {}
    for i, key in enumerate(plain.keys):
        x = plain.series(i).copy()
        x[len(x) - tails[i] :] = -1e4 * np.arange(1, tails[i] + 1)[:, None]
        values[key] = x
    batches = []
    for panel in (plain, make_panel(values)):
        seen.train.clear()
        model = fit(panel, refit=False, early_stopping=False, log="auto")
        batches.append(list(seen.train))
    for (inputs, target), (other, other_target) in zip(*batches, strict=True):
        np.testing.assert_array_equal(target, other_target)
        for name, x in inputs.items():
            np.testing.assert_array_equal(x, other[name])
    # Forecasts use the whole series: the logarithm of what fell below zero is gone.
    assert not model.transform.log.any()


def test_without_use_for_a_tail_all_is_trained_on(seen):
    panel = make_panel()
    model = fit(panel, **PLAIN, guard="off", calibrate=False, early_stopping=False)
    assert seen.valid == []
    assert len(seen.trainings) == 1
    trained = joined(seen.train)
    for i, n in enumerate(panel.lengths):
        own = trained[(trained // 1000 == i + 1).any(axis=1)]
        assert np.nanmax(own) == 1000.0 * (i + 1) + n - 1
    assert model.calibration is None
    assert model.guard.weights["network"] == 1


def test_targets_of_training_are_whole_horizons_where_series_are_long(seen):
    fit(make_panel(), **PLAIN)
    first = seen.train[: len(seen.train) // len(seen.trainings)]
    for _, target in first:
        assert bool(target.isfinite().all())


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_f052_short_series_are_trained_on_what_they_have(seen, n):
    panel = make_panel(lengths={"a": n, "b": n + 1})
    model = fit(panel, **PLAIN, max_epochs=1)
    assert len(joined(seen.train)) > 0
    for _, target in seen.train:
        assert bool(target.isfinite().any(dim=1).all())
    assert bool(np.isfinite(forecast(model, panel)).all())


@pytest.mark.parametrize("kind", ["missing tail", "constant", "all zero"])
def test_odd_series_of_a_panel_warn_of_nothing(rng, kind):
    panel = noise_panel(rng)
    values = {key: panel.series(i).copy() for i, key in enumerate(panel.keys)}
    if kind == "missing tail":
        values["b"][-9:] = np.nan
    else:
        values["b"][:] = 4.5 if kind == "constant" else 0.0
    panel = make_panel(values)
    found = forecast(fit(panel), panel)
    assert bool(np.isfinite(found).all())
    if kind != "missing tail":
        np.testing.assert_allclose(found[1], values["b"][0, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ({f"s{i}": 9 for i in range(20)}, 20),  # a tail of one horizon: one window
        ({f"s{i}": 150 for i in range(4)}, 4 * 28 / HORIZON),  # a tail of 30 steps
        ({"a": 150, "b": 9, "c": 2}, 28 / HORIZON + 1),
    ],
)
@pytest.mark.parametrize("n_columns", [1, 2])
def test_every_series_has_a_window_of_its_own(rng, monkeypatch, lengths, expected, n_columns):
    found = []
    original = _model.compare
    monkeypatch.setattr(_model, "compare", lambda *args: found.append(args) or original(*args))
    fit(noise_panel(rng, lengths, n_columns), max_epochs=1, refit=False)
    assert found[0][4] == pytest.approx(n_columns * expected)


# --- trained again -----------------------------------------------------------------------------


def many(n):
    return {f"s{i:03d}": 60 for i in range(n)}


@pytest.mark.parametrize(
    ("lengths", "refit", "trainings"),
    [({"a": 100}, True, 2), (many(40), True, 2), ({"a": 100}, False, 1), (many(40), False, 1)],
)
def test_the_tail_is_trained_on_at_the_end(seen, lengths, refit, trainings):
    panel = make_panel(lengths=lengths)
    model = fit(panel, **PLAIN, refit=refit, guard="off", n_estimators=2)
    assert len(seen.trainings) == 2 * trainings
    assert [net for _, _, net in seen.trainings][-2:] == model.nets
    watched = [args[4] is not None for args, _, _ in seen.trainings]
    assert watched == [True, True, False, False][: 2 * trainings]
    epochs = [kwargs["epochs"] for _, kwargs, _ in seen.trainings]
    best = [enough_epochs(net) for _, _, net in seen.trainings[:2]]
    assert epochs == [None, None, *best][: 2 * trainings]
    # Series differ by more than they are long: the step within a series is what is left.
    steps = joined(seen.train) % 1000
    tail = _sizes.tail_lengths(panel.lengths, HORIZON)[0]
    assert np.nanmax(steps) == panel.lengths[0] - 1 - (tail if trainings == 1 else 0)


def test_what_the_guard_turned_down_is_not_trained_again(seen, monkeypatch):
    naive = Guard({"network": 0.0, "theta": 0.0, "seasonal_naive": 1.0})
    monkeypatch.setattr(_model, "compare", lambda *args: naive)
    panel = make_panel()
    model = fit(panel, **PLAIN, refit=True)
    assert len(seen.trainings) == 1
    last = [panel.series(i)[-3:, 0] for i in range(3)]
    np.testing.assert_allclose(forecast(model, panel)[:, :, 0, 0], last)


def test_an_exact_season_is_guarded_too():
    """The naive forecast has no error there, and no network has less."""
    panel = make_panel({"a": np.tile([1.0, 5.0, 3.0], 30)}, {"a": 90})
    model = fit(panel, **PLAIN)
    assert model.guard.weights["network"] == 0
    np.testing.assert_allclose(forecast(model, panel)[0, :, 0, 0], [1.0, 5.0, 3.0], atol=1e-9)


@pytest.mark.parametrize("refit", [False, True])
def test_time_is_shared_by_all_trainings(seen, refit):
    fit(make_panel(), **PLAIN, max_time=60.0, n_estimators=3, guard="off", refit=refit)
    shares = [kwargs["max_time"] for _, kwargs, _ in seen.trainings]
    assert len(shares) == (6 if refit else 3)
    assert sum(shares) == pytest.approx(60.0)


@pytest.mark.parametrize(
    ("losses", "epoch"),
    [
        ([3, 1, 2], 2),
        ([1, 1], 2),
        ([1, 1.5, 1.01, 1.5], 3),
        ([-1, -2, -1.99, -1], 3),
        ([np.nan, 2], 2),
        ([np.nan], 1),
        ([], 1),
    ],
)
def test_enough_epochs_end_with_the_last_good_one(losses, epoch):
    rows = [{"valid_loss": loss} for loss in losses]
    assert enough_epochs(SimpleNamespace(history=SimpleNamespace(to_list=lambda: rows))) == epoch
    rows = [{"train_loss": loss} for loss in losses]
    net = SimpleNamespace(history=SimpleNamespace(to_list=lambda: rows))
    assert enough_epochs(net) == max(len(losses), 1)
