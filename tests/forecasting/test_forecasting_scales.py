"""Scales of many series are those of each."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skrnn._forecasting import _scales
from skrnn.nn import SCALINGS, WindowScaler


@pytest.mark.parametrize("kind", SCALINGS)
def test_series_of_all_lengths_are_measured_as_if_alone(kind, monkeypatch):
    monkeypatch.setattr(_scales, "STEPS_AT_ONCE", 40)
    rng = np.random.default_rng(0)
    visible = rng.integers(0, 20, 60)
    offsets = np.concatenate([[0], np.cumsum(visible + rng.integers(0, 3, 60))])
    values = rng.normal(size=(offsets[-1], 2))
    values[rng.random(values.shape) < 0.1] = np.nan
    least = _scales.least_scales(values, offsets, visible, kind, 4)
    for i, stop in enumerate(visible):
        past = torch.from_numpy(values[offsets[i] : offsets[i] + stop].T.copy())
        alone = WindowScaler(kind, 4)(past)[1][:, 0].numpy() if stop else np.zeros(2)
        expected = np.zeros(2) if kind == "none" else _scales.LEAST_SCALE * alone
        assert_allclose(least[i], expected, rtol=1e-12)


def test_a_column_is_constant_that_holds_one_value_beside_gaps():
    values = np.array([[1.0, 1.0, np.nan], [np.nan, 2.0, np.nan], [1.0, 1.0, np.nan]])
    assert_array_equal(_scales.is_constant(values), [True, False, False])
