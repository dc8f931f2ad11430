"""Dataset: windows are what slicing gives, and an epoch holds what it says."""

import numpy as np
import pytest
import torch

from skrnn._forecasting._dataset import (
    Buffers,
    OrderedWindows,
    Origins,
    TrainWindows,
    WindowDataset,
)

LENGTHS = np.array([9, 1, 4, 14])
OFFSETS = np.concatenate([[0], np.cumsum(LENGTHS)])
TOTAL = int(LENGTHS.sum())
COVARIATES = ("past", "future", "static")


def make_buffers(rng, n_columns=1, covariates=()):
    values = rng.normal(size=(TOTAL, n_columns))
    values[rng.random(values.shape) < 0.1] = np.nan
    shapes = {"past": (TOTAL, 2), "future": (TOTAL, 3), "static": (len(LENGTHS), 2)}
    found = {name: rng.normal(size=shapes[name]).astype(np.float32) for name in covariates}
    return Buffers(values, OFFSETS, rng.random((len(LENGTHS), n_columns)), found)


def all_origins(n_columns=1):
    """Return every origin of every series, the one after its end included."""
    return Origins(np.zeros(len(LENGTHS), dtype=int), LENGTHS + 1, n_columns)


def naive_order(origins):
    return [
        (i, origin, column)
        for i in range(len(origins.first))
        for origin in range(origins.first[i], origins.stop[i])
        for column in range(origins.n_columns)
    ]


def cut(rows, start, stop, filler):
    """Slice rows that may reach over both ends."""
    out = np.full((stop - start, *rows.shape[1:]), filler, dtype=rows.dtype)
    for i in range(start, stop):
        if 0 <= i < len(rows):
            out[i - start] = rows[i]
    return out


# --- windows -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n_columns", [1, 3])
@pytest.mark.parametrize(("window", "horizon"), [(1, 1), (4, 3), (20, 30)])
@pytest.mark.parametrize("hidden", [0, 1, 5])
def test_windows_equal_a_loop_over_slices(rng, n_columns, window, horizon, hidden):
    buffers = make_buffers(rng, n_columns, COVARIATES)
    visible = np.maximum(LENGTHS - hidden, 1)
    origins = all_origins(n_columns)
    dataset = WindowDataset(buffers, origins, window, horizon, visible=visible)
    inputs, target = dataset.batch(np.arange(len(origins)))
    for row, (i, origin, column) in enumerate(naive_order(origins)):
        seen = slice(OFFSETS[i], OFFSETS[i] + visible[i])
        y = buffers.values[seen, column]
        past, future = (origin - window, origin), (origin, origin + horizon)
        np.testing.assert_array_equal(inputs["past"][row], cut(y, *past, np.nan))
        np.testing.assert_array_equal(target[row], cut(y, *future, np.nan))
        assert inputs["least"][row] == buffers.least[i, column]
        for name, span in (("past", past), ("future", future)):
            expected = cut(buffers.covariates[name][seen], *span, 0)
            np.testing.assert_array_equal(inputs[f"{name}_covariates"][row], expected)
        static = inputs["static_covariates"][row].numpy()
        np.testing.assert_array_equal(static[:2], buffers.covariates["static"][i])
        assert static[2:].tolist() == ([column + 1] if n_columns > 1 else [])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_are_double_and_covariates_as_asked(rng, dtype):
    buffers = make_buffers(rng, 1, COVARIATES)
    inputs, target = WindowDataset(buffers, all_origins(), 3, 2, dtype=dtype).batch(np.arange(4))
    assert target.dtype == inputs["past"].dtype == inputs["least"].dtype == torch.float64
    assert {inputs[f"{name}_covariates"].dtype for name in COVARIATES} == {dtype}


def test_only_the_inputs_there_are_come(rng):
    inputs, _ = WindowDataset(make_buffers(rng), all_origins(), 3, 2).batch(np.arange(4))
    assert set(inputs) == {"past", "least"}


def test_hidden_values_and_other_series_change_nothing(rng):
    buffers = make_buffers(rng, 2, ("past", "future"))
    visible = np.array([6, 1, 2, 10])
    origins = Origins(np.zeros(4, dtype=int), visible + 1, 2)
    series = origins.at(np.arange(len(origins)))[0]
    before = WindowDataset(buffers, origins, 5, 4, visible=visible).batch(np.arange(len(origins)))
    changed = Buffers(
        buffers.values.copy(),
        OFFSETS,
        buffers.least,
        {name: x.copy() for name, x in buffers.covariates.items()},
    )
    for i in range(4):
        for x in (changed.values, *changed.covariates.values()):
            x[OFFSETS[i] + visible[i] : OFFSETS[i + 1]] = 1e9
            x[OFFSETS[i] : OFFSETS[i + 1]] += 100.0 * (i == 0)
    after = WindowDataset(changed, origins, 5, 4, visible=visible).batch(np.arange(len(origins)))
    others = series > 0
    np.testing.assert_array_equal(before[1][others], after[1][others])
    for name, x in before[0].items():
        np.testing.assert_array_equal(x[others], after[0][name][others])


def test_a_batch_never_writes_to_the_data(rng):
    buffers = make_buffers(rng, 1, COVARIATES)
    kept = buffers.values.copy()
    dataset = WindowDataset(buffers, all_origins(), 6, 6)
    inputs, target = dataset.batch(np.arange(len(dataset)))
    for x in (*inputs.values(), target):
        x.fill_(7.0)
    np.testing.assert_array_equal(buffers.values, kept)
    np.testing.assert_array_equal(dataset.values.numpy().reshape(kept.shape), kept)


# --- origins -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n_columns", [1, 2, 5])
def test_numbers_go_by_series_then_origin_then_column(n_columns):
    first, stop = np.array([3, 2, 7, 0, 1]), np.array([6, 2, 5, 2, 2])
    origins = Origins(first, stop, n_columns)
    assert origins.counts.tolist() == [3, 0, 0, 2, 1]
    assert len(origins) == 6 * n_columns
    found = zip(*(part.tolist() for part in origins.at(np.arange(len(origins)))), strict=True)
    assert list(found) == naive_order(origins)


@pytest.mark.parametrize("n", [1, 2, 7, 40, 1000])
def test_spread_windows_are_distinct_ordered_and_reach_both_ends(n):
    origins = Origins(np.array([0, 5]), np.array([30, 15]), 1)
    numbers = origins.spread(n)
    assert len(numbers) == min(n, 40)
    assert bool((np.diff(numbers) > 0).all())
    assert numbers[0] == 0
    if n > 1:
        assert numbers[-1] == 39
        assert np.ptp(np.diff(numbers)) <= 1


def test_every_series_is_drawn_equally_often_and_each_of_its_windows():
    origins = Origins(np.array([1, 0, 3]), np.array([3, 0, 103]), 2)
    numbers = origins.draw(40_000, np.random.RandomState(0))
    series, origin, column = origins.at(numbers)
    assert set(series) == {0, 2}
    assert (series == 0).mean() == pytest.approx(0.5, abs=0.015)
    assert (column == 0).mean() == pytest.approx(0.5, abs=0.015)
    assert (origin[series == 0] == 1).mean() == pytest.approx(0.5, abs=0.02)
    counts = np.bincount(origin[series == 2], minlength=103)[3:]
    # 200 draws of each of 100 origins: five standard deviations of a Poisson count.
    assert np.abs(counts - counts.mean()).max() < 5 * np.sqrt(counts.mean())


# --- epochs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 7, 16, 1000])
@pytest.mark.parametrize("epoch_size", [None, 10_000])
def test_every_window_comes_once_where_they_fit(rng, batch_size, epoch_size):
    dataset = WindowDataset(make_buffers(rng, 2), all_origins(2), 3, 2, epoch_size=epoch_size)
    windows = TrainWindows(dataset, batch_size, np.random.RandomState(0))
    plan = windows.plan()
    assert len(plan) == len(windows)
    assert max(map(len, plan)) <= batch_size
    assert max(map(len, plan)) - min(map(len, plan)) <= 1
    assert sorted(np.concatenate(plan)) == list(range(len(dataset)))
    if len(dataset) > batch_size > 1:
        assert np.concatenate(plan).tolist() != np.concatenate(windows.plan()).tolist()


def test_an_epoch_without_room_is_drawn_anew():
    origins = Origins(np.zeros(2, dtype=int), np.array([2, 500]), 1)
    lengths = np.array([3, 501])
    buffers = Buffers(np.arange(504.0)[:, None], np.array([0, 3, 504]), np.zeros((2, 1)))
    assert buffers.lengths.tolist() == lengths.tolist()
    dataset = WindowDataset(buffers, origins, 3, 1, epoch_size=60)
    assert len(dataset) == 60
    windows = TrainWindows(dataset, 8, np.random.RandomState(0))
    plans = [np.concatenate(windows.plan()) for _ in range(50)]
    assert {len(plan) for plan in plans} == {60}
    share = np.mean([(origins.at(plan)[0] == 0).mean() for plan in plans])
    assert share == pytest.approx(0.5, abs=0.05)
    assert plans[0].tolist() != plans[1].tolist()


@pytest.mark.parametrize("epoch_size", [None, 12])
def test_seeds_reproduce_epochs(rng, epoch_size):
    dataset = WindowDataset(make_buffers(rng), all_origins(), 3, 2, epoch_size=epoch_size)

    def epochs(seed):
        windows = TrainWindows(dataset, 5, np.random.RandomState(seed))
        return [np.concatenate(windows.plan()).tolist() for _ in range(3)]

    assert epochs(3) == epochs(3)
    assert epochs(3) != epochs(4)


def test_batches_are_those_of_the_plan(rng):
    dataset = WindowDataset(make_buffers(rng), all_origins(), 3, 2)
    batches = list(TrainWindows(dataset, 5, np.random.RandomState(1)))
    plan = TrainWindows(dataset, 5, np.random.RandomState(1)).plan()
    for (inputs, target), numbers in zip(batches, plan, strict=True):
        expected = dataset.batch(numbers)
        np.testing.assert_array_equal(inputs["past"], expected[0]["past"])
        np.testing.assert_array_equal(target, expected[1])


def test_a_used_up_budget_ends_the_epoch_after_its_first_batch(rng):
    class Exhausted:
        exhausted = True

    dataset = WindowDataset(make_buffers(rng), all_origins(), 3, 2)
    assert len(list(TrainWindows(dataset, 5, np.random.RandomState(0), Exhausted()))) == 1


@pytest.mark.parametrize("batch_size", [1, 4, 100])
@pytest.mark.parametrize("numbers", [None, np.array([3, 9, 20])])
def test_ordered_windows_come_in_order(rng, batch_size, numbers):
    dataset = WindowDataset(make_buffers(rng), all_origins(), 3, 2, numbers=numbers)
    target = torch.cat([target for _, target in OrderedWindows(dataset, batch_size)])
    every = np.arange(len(dataset.origins)) if numbers is None else numbers
    assert len(dataset) == len(every)
    np.testing.assert_array_equal(target, dataset.batch(every)[1])


def test_ordered_windows_of_a_short_epoch_are_a_spread_sample(rng):
    dataset = WindowDataset(make_buffers(rng), all_origins(), 3, 2, epoch_size=10)
    target = torch.cat([target for _, target in OrderedWindows(dataset, 4)])
    np.testing.assert_array_equal(target, dataset.batch(dataset.origins.spread(10))[1])
