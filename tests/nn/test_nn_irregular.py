"""Laws of the irregular input: by hand, by chunks, in padding, and never of later steps."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch

from skrnn.nn import IrregularInput, SequenceNetwork

NAN = float("nan")
WAYS = [(True, None), (True, 1), (False, 1)]


def batch(n=4, time=7, n_features=3, time_channel=None, seed=0, missing=True):
    """Sequences with gaps, and with times where a channel holds them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, time, n_features))
    if missing:
        x[rng.random(x.shape) < 0.4] = NAN
    if time_channel is not None:
        x[:, :, time_channel] = rng.exponential(size=(n, time)).cumsum(axis=1)
    return torch.from_numpy(x)


def spec(mask, time_channel, **more):
    missing = "mask" if mask else None
    common = {"n_features": 3, "hidden_size": 4, "head": "categorical", "n_outputs": 2}
    return {
        **common,
        "missing": missing,
        "time_channel": time_channel,
        "dtype": "float64",
        **more,
    }


def networks_of_all_ways():
    for (mask, channel), per_step in itertools.product(WAYS, [False, True]):
        cells = ["lstm", "gru", "mingru", *(["grud"] if mask else [])]
        for cell in cells:
            pooling = None if per_step else ("mean", "max", "last")
            name = f"{mask}-{channel}-{cell}-{'steps' if per_step else 'pooled'}"
            yield pytest.param(mask, channel, {"cell": cell, "pooling": pooling}, id=name)


NETWORKS = [*networks_of_all_ways()]


@pytest.mark.parametrize("time_channel", [None, 1])
def test_values_masks_and_times_are_those_of_pandas(time_channel):
    x = batch(time_channel=time_channel)
    features, _ = IrregularInput(3, time_channel=time_channel)(x)
    for sequence, got in zip(x.numpy(), features.numpy(), strict=True):
        times = np.arange(len(sequence)) if time_channel is None else sequence[:, time_channel]
        values = pd.DataFrame(np.delete(sequence, [] if time_channel is None else time_channel, 1))
        seen = values.notna().to_numpy()
        at = pd.DataFrame(np.where(seen, times[:, None], NAN)).ffill().shift(1).fillna(times[0])
        expected = np.hstack([values.ffill().fillna(0), seen, times[:, None] - at])
        np.testing.assert_allclose(got, expected, atol=1e-12)


def test_without_a_mask_one_time_is_added():
    x = batch(time_channel=1, missing=False)
    features, _ = IrregularInput(3, mask=False, time_channel=1)(x)
    np.testing.assert_array_equal(features[:, :, :2], x[:, :, [0, 2]])
    steps = np.diff(x[:, :, 1], axis=1, prepend=x[:, :1, 1])
    np.testing.assert_allclose(features[:, :, 2], steps, atol=1e-12)


@pytest.mark.parametrize(("mask", "channel"), WAYS)
def test_chunks_of_any_length_give_the_whole(mask, channel):
    x, irregular = (
        batch(time_channel=channel, missing=mask),
        IrregularInput(3, mask=mask, time_channel=channel),
    )
    whole, last = irregular(x)
    for sizes in ([1] * 7, [3, 4], [2, 0, 5], [0, 7]):
        state, parts = None, []
        for chunk in x.split(sizes, dim=1):
            features, state = irregular(chunk, state)
            parts.append(features)
        torch.testing.assert_close(torch.cat(parts, dim=1), whole)
        torch.testing.assert_close(state, last)


@pytest.mark.parametrize(("mask", "channel", "more"), NETWORKS)
def test_networks_read_by_chunks_as_they_read_the_whole(mask, channel, more):
    network = SequenceNetwork.build(spec(mask, channel, **more)).eval()
    x = batch(time_channel=channel, missing=mask)
    state, outputs = None, []
    for chunk in x.split([1, 4, 2], dim=1):
        output, state = network.advance(chunk, state)
        outputs.append(output)
    torch.testing.assert_close(network.readout(torch.cat(outputs, dim=1)), network(x))


@pytest.mark.parametrize(("mask", "channel", "more"), NETWORKS)
def test_padding_and_batch_mates_change_nothing(mask, channel, more):
    network = SequenceNetwork.build(spec(mask, channel, **more)).eval()
    x = batch(time_channel=channel, missing=mask)
    alone = network(x[:1, :4])
    for padding in (NAN, 1e30, -5.0):
        together = x.clone()
        together[0, 4:] = padding
        torch.testing.assert_close(network(together, [4, 7, 6, 7])[:1, :4], alone)


@pytest.mark.parametrize(("mask", "channel"), WAYS)
@pytest.mark.parametrize("frontend", ["conv", "patch"])
def test_padding_changes_nothing_behind_a_front_end(mask, channel, frontend):
    more = {"frontend": frontend, "bidirectional": True, "pooling": ("attention", "mean")}
    network = SequenceNetwork.build(spec(mask, channel, **more)).eval()
    x = batch(time_channel=channel, missing=mask)
    together = x.clone()
    together[0, 4:] = NAN
    torch.testing.assert_close(network(together, [4, 7, 6, 7])[:1], network(x[:1, :4]))


@pytest.mark.parametrize(("mask", "channel", "more"), NETWORKS)
def test_later_steps_change_no_earlier_answer(mask, channel, more):
    if more["pooling"] is not None:
        more = {**more, "pooling": None}
    network = SequenceNetwork.build(spec(mask, channel, **more)).eval()
    x = batch(time_channel=channel, missing=mask)
    other = batch(time_channel=channel, missing=mask, seed=1)
    other[:, :4] = x[:, :4]
    torch.testing.assert_close(network(other)[:, :4], network(x)[:, :4])
    assert not torch.allclose(network(other)[:, 4:], network(x)[:, 4:])


@pytest.mark.parametrize(("mask", "channel"), [way for way in WAYS if way[1] is not None])
def test_only_differences_between_stamps_count(mask, channel):
    network = SequenceNetwork.build(spec(mask, channel)).eval()
    x = batch(time_channel=channel, missing=mask)
    moved = x.clone()
    moved[:, :, channel] += torch.arange(4.0)[:, None]
    torch.testing.assert_close(network(moved), network(x))
    slower = x.clone()
    slower[:, :, channel] *= 3
    assert not torch.allclose(network(slower), network(x))


def test_what_lies_under_a_missing_value_has_no_gradient_and_no_effect():
    network = SequenceNetwork.build(spec(True, None)).eval()
    x = batch().requires_grad_()
    network(x).square().sum().backward()
    assert x.grad.isfinite().all()
    assert (x.grad[x.isnan()] == 0).all()
    for parameter in network.parameters():
        assert parameter.grad.isfinite().all()


def test_a_sequence_without_any_observation_is_read():
    network = SequenceNetwork.build(spec(True, None)).eval()
    assert network(torch.full((1, 5, 3), NAN, dtype=torch.float64)).isfinite().all()


def test_input_dropout_leaves_masks_and_times_alone():
    network = SequenceNetwork.build(spec(True, None, input_dropout=0.9)).train()
    x = batch(n=50)
    seen = []
    network.encoder.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    network(x)
    expected, _ = IrregularInput(3)(x)
    torch.testing.assert_close(seen[0][:, :, 3:], expected[:, :, 3:])
    assert (seen[0][:, :, :3] == 0).double().mean() > 0.8


def test_times_are_divided_and_unknown_features_missing():
    irregular, x = IrregularInput(3), batch(missing=False).float()
    irregular.set([2.0, 0.0, 4.0], [True, False, True])
    features, _ = irregular(x)
    assert (features[:, :, [1, 4]] == 0).all()
    torch.testing.assert_close(features[0, 1:3, 6:], torch.tensor([[0.5, 1, 0.25], [0.5, 2, 0.25]]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"missing": "zero"}, "'mask' or None"),
        ({"time_channel": 3}, "none of 3 features"),
        ({"n_features": 1, "missing": "mask", "time_channel": 0}, "only feature"),
        ({"cell": "grud"}, "missing='mask'"),
        ({"cell": "grud", "missing": "mask", "frontend": "conv"}, "frontend=None"),
        ({"missing": "mask", "embedding_dim": 2, "vocabulary_size": 5}, "token ids"),
    ],
)
def test_what_does_not_fit_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        SequenceNetwork.build({**spec(False, None), **changes})


def test_wrong_statistics_are_refused():
    irregular = IrregularInput(2)
    with pytest.raises(ValueError, match=r"shape \(1,\), expected \(2,\)"):
        irregular.set([1.0])
    with pytest.raises(ValueError, match="not negative"):
        irregular.set([1.0, -1.0])
    with pytest.raises(ValueError, match="one entry per value"):
        irregular.set([1.0, 1.0], [True])
    with pytest.raises(ValueError, match="3 features per time step, expected 2"):
        irregular(torch.zeros(1, 1, 3))
