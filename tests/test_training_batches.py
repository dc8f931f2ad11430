"""Batches: every sample once, little padding, honest shuffling and nothing mixed up."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from skrnn._sequences import Sequences
from skrnn._training import OrderedBatches, SequenceDataset, TrainBatches
from skrnn._training._batches import MAX_PADDING_RATIO, split_outliers
from skrnn._windows import windows_at


def dataset_of(lengths, **kwargs):
    """Sequence ``i`` holds the number ``i`` at every step, and so does its target."""
    arrays = [np.full((n, 1), float(i)) for i, n in enumerate(lengths)]
    sequences = Sequences.from_list(arrays)
    target = np.arange(len(lengths), dtype=np.float64)[:, None]
    if kwargs.get("per_step"):
        target = np.repeat(target, lengths, axis=0)
    return SequenceDataset(sequences, target, **kwargs)


def plan(dataset, batch_size, seed=0):
    return TrainBatches(dataset, batch_size, np.random.RandomState(seed))


RAGGED = np.random.default_rng(0).integers(1, 30, size=101)
EQUAL = np.full(101, 7)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=70), st.integers(1, 9), st.integers(0, 99)
)
def test_every_sample_once_per_epoch(lengths, batch_size, seed):
    batches = plan(dataset_of(lengths), batch_size, seed).plan()
    assert_array_equal(np.sort(np.concatenate(batches)), np.arange(len(lengths)))
    assert max(map(len, batches)) <= batch_size
    ordered = OrderedBatches(dataset_of(lengths), batch_size).plan()
    assert_array_equal(np.sort(np.concatenate(ordered)), np.arange(len(lengths)))


@pytest.mark.parametrize("n_samples", [1, 16, 17, 33, 100])
def test_no_batch_is_much_smaller_than_the_others(n_samples):
    for lengths in (EQUAL[:n_samples], RAGGED[:n_samples]):
        batches = plan(dataset_of(lengths), 16).plan()
        sizes = [len(batch) for batch in batches]
        if lengths.std() == 0 or len(sizes) == -(-n_samples // 16):  # none was cut by length
            assert len(sizes) == -(-n_samples // 16)
            assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("lengths", [RAGGED, EQUAL], ids=["ragged", "equal"])
def test_batches_have_other_members_in_every_epoch(lengths):
    # All samples fit into one group that is sorted by length.
    batches = plan(dataset_of(lengths), 8)
    epochs = [{frozenset(b.tolist()) for b in batches.plan()} for _ in range(3)]
    assert all(len(epoch) >= 13 for epoch in epochs)
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert len(epochs[one] & epochs[other]) <= 3


@pytest.mark.parametrize("lengths", [RAGGED, EQUAL], ids=["ragged", "equal"])
def test_the_order_of_batches_is_random(lengths):
    order = [np.mean(lengths[b]) for b in plan(dataset_of(lengths), 8).plan()]
    if lengths is RAGGED:
        assert abs(np.corrcoef(order, np.arange(len(order)))[0, 1]) < 0.9
    first = [plan(dataset_of(lengths), 8, seed).plan()[0].tolist() for seed in range(3)]
    assert first[0] != first[1] != first[2]


@pytest.mark.parametrize("lengths", [RAGGED, EQUAL], ids=["ragged", "equal"])
def test_the_same_seed_draws_the_same_epochs(lengths):
    one, two = plan(dataset_of(lengths), 8, 3), plan(dataset_of(lengths), 8, 3)
    for _ in range(2):
        for a, b in zip(one.plan(), two.plan(), strict=True):
            assert_array_equal(a, b)


def test_padding_of_uniform_lengths_is_small():
    lengths = np.random.default_rng(0).integers(10, 201, size=2000)
    batches = plan(dataset_of(lengths), 32).plan()
    steps = sum(len(b) * lengths[b].max() for b in batches)
    assert steps / lengths.sum() <= 1.2


def test_an_outlier_does_not_pad_the_others():
    lengths = np.full(64, 10)
    lengths[5] = 10_000
    dataset = dataset_of(lengths)
    for batches in (plan(dataset, 32).plan(), OrderedBatches(dataset, 32).plan()):
        steps = sum(len(b) * lengths[b].max() for b in batches)
        assert steps <= MAX_PADDING_RATIO * lengths.sum()
        assert [5] in [b.tolist() for b in batches]


@settings(derandomize=True, deadline=None, max_examples=80)
@given(st.lists(st.integers(0, 5000), min_size=1, max_size=40))
def test_splitting_keeps_members_and_bounds_the_padding(lengths):
    lengths = np.array(lengths)
    parts = split_outliers(np.arange(len(lengths)), lengths)
    assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(lengths)))
    for part in parts:
        assert (np.diff(part) > 0).all()
        assert len(part) * lengths[part].max() <= MAX_PADDING_RATIO * max(lengths[part].sum(), 1)


def test_similar_lengths_stay_together():
    indices = np.array([3, 1, 0, 2])
    (whole,) = split_outliers(indices, np.array([4, 5, 9, 6]))
    assert_array_equal(whole, indices)


def test_ordered_batches_put_answers_back_in_order():
    dataset = dataset_of(RAGGED)
    batches = OrderedBatches(dataset, 8)
    answers = np.full(len(RAGGED), -1.0)
    for indices, (inputs, target) in zip(batches.plan(), batches, strict=True):
        answers[indices] = inputs["x"][:, 0, 0].numpy()
        assert_array_equal(target[:, 0].numpy(), indices)
    assert_array_equal(answers, np.arange(len(RAGGED)))


@settings(derandomize=True, deadline=None, max_examples=80)
@given(st.lists(st.integers(0, 90), min_size=1, max_size=70), st.integers(1, 20))
def test_ordered_batches_are_bounded_in_steps(lengths, batch_size):
    lengths = np.array(lengths)
    ordered = OrderedBatches(dataset_of(lengths), batch_size, most_steps=60)
    batches = ordered.plan()
    assert_array_equal(np.sort(np.concatenate(batches)), np.arange(len(lengths)))
    for batch in batches:
        longest = lengths[batch].max()
        # One sequence is the least a batch can hold; it is filled up to what its length tells.
        assert len(batch) <= ordered.rows_of(longest) <= max(60 // max(longest, 1), 1, len(batch))
        assert len(batch) * longest <= 60 or len(batch) == 1


class Budget:
    """Lets a number of batches through."""

    def __init__(self, batches):
        self.left = batches

    @property
    def exhausted(self):
        self.left -= 1
        return self.left <= 0


@pytest.mark.parametrize(("batches", "expected"), [(0, 1), (1, 1), (3, 3), (99, 13)])
def test_a_budget_ends_an_epoch_after_a_batch_at_the_earliest(batches, expected):
    dataset = dataset_of(EQUAL)
    run = TrainBatches(dataset, 8, np.random.RandomState(0), Budget(batches))
    assert len(list(run)) == expected
    assert len(run) == 13


# -- one batch --------------------------------------------------------------------------------


def test_a_batch_of_different_lengths():
    inputs, target = dataset_of([2, 4, 1], weight=np.array([1.0, 2.0, 3.0])).batch(np.array([2, 0]))
    assert_array_equal(inputs["x"][:, :, 0], [[2, 0], [0, 0]])
    assert_array_equal(inputs["lengths"], [1, 2])
    assert_array_equal(inputs["weight"], [3, 1])
    assert_array_equal(target, [[2], [0]])


def test_a_batch_per_step_is_zero_after_the_end():
    dataset = dataset_of([2, 4, 3], per_step=True, weight=np.arange(1.0, 10.0))
    inputs, target = dataset.batch(np.array([1, 2]))
    assert_array_equal(inputs["weight"], [[3, 4, 5, 6], [7, 8, 9, 0]])
    assert_array_equal(target[:, :, 0], [[1, 1, 1, 1], [2, 2, 2, 0]])


def test_a_batch_of_one_length_has_no_lengths():
    for dataset, indices in ((dataset_of(EQUAL), [4, 2]), (dataset_of([3, 3, 5]), [0, 1])):
        inputs, _ = dataset.batch(np.array(indices))
        assert set(inputs) == {"x"}


def test_a_batch_never_shows_a_value_of_another_sequence():
    dataset = dataset_of(RAGGED)
    for indices, (inputs, _) in zip(
        (run := plan(dataset, 8)).plan(), plan(dataset, 8), strict=True
    ):
        x = inputs["x"][:, :, 0].numpy()
        for row, i in zip(x, indices, strict=True):
            assert (row[: RAGGED[i]] == i).all()
            assert (row[RAGGED[i] :] == 0).all()
    assert len(run) <= len(run.plan())


@pytest.mark.parametrize("per_step", [False, True])
def test_batches_of_overlapping_windows_are_those_of_copies(per_step):
    rng = np.random.default_rng(0)
    series = rng.normal(size=(40, 3))
    # The last window ends where the series does.
    windows = windows_at(series, np.array([5, 3, 35, 4, 35, 0]), 5)
    array = np.asarray(windows)
    rows = 30 if per_step else 6
    given = (rng.normal(size=(rows, 2)), rng.uniform(size=rows))
    one = SequenceDataset(Sequences.from_windows(windows), *given, per_step=per_step)
    other = SequenceDataset(Sequences.from_padded(array), *given, per_step=per_step)
    for indices in ([2, 0, 4, 4], [5], []):
        found, expected = (data.batch(np.array(indices, dtype=np.int64)) for data in (one, other))
        assert_array_equal(found[0]["x"], array[indices].astype(np.float32))
        assert found[0].keys() == expected[0].keys() == {"x", "weight"}
        assert_array_equal(found[0]["weight"], expected[0]["weight"])
        assert_array_equal(found[1], expected[1])


def test_integer_targets_are_long_and_numbers_have_the_type_of_the_network():
    sequences = Sequences.from_list([np.ones((2, 1)), np.ones((3, 1))])
    codes = SequenceDataset(sequences, np.array([0, 1], dtype=np.int32), dtype=torch.float64)
    assert codes.target.dtype == torch.int64
    assert codes.values.dtype == torch.float64
    numbers = SequenceDataset(sequences, np.array([[0.5], [1.5]]))
    assert numbers.target.dtype == numbers.values.dtype == torch.float32


def test_values_of_the_right_type_are_shared_and_never_written_to():
    values = np.ones((4, 2), dtype=np.float32)
    values.setflags(write=False)
    dataset = SequenceDataset(Sequences.from_lengths(values, np.array([1, 3])))
    assert dataset.values.data_ptr() == values.ctypes.data
    inputs, target = dataset.batch(np.array([0, 1]))
    assert_array_equal(inputs["x"][0, 1:], 0)
    assert target.shape == (2,)
    assert_array_equal(values, 1)
