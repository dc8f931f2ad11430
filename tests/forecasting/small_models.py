"""Models of the forecaster on tiny panels, without the class around them."""

from dataclasses import replace

import numpy as np
import pandas as pd

from skrnn import RNNForecaster
from skrnn._forecasting._ahead import forecast_ahead, spans_ahead
from skrnn._forecasting._history import History
from skrnn._forecasting._inputs import Inputs
from skrnn._forecasting._model import ForecastModel
from skrnn._forecasting._panel import read_panel
from skrnn._forecasting._setup import model_options, sizes_of, training_options

# Neither a logarithm nor a season is taken away.
PLAIN = {"log": False, "deseasonalize": False}
HORIZON = 3
TINY = {
    "hidden_size": 3,
    "max_epochs": 3,
    "batches_per_epoch": 3,
    "window_length": 6,
    "patch_length": 3,
    "sp": 3,
    "dtype": "float64",
    "device": "cpu",
}
LENGTHS = {"a": 40, "b": 25, "c": 33}


def make_panel(values=None, lengths=None):
    """Return a panel; values default to 1000 * series + step, so that each tells where it is."""
    lengths = LENGTHS if lengths is None else lengths
    parts = {}
    for i, (key, n) in enumerate(lengths.items()):
        x = 1000.0 * (i + 1) + np.arange(n) if values is None else values[key]
        parts[key] = pd.DataFrame(np.asarray(x, dtype=float), pd.RangeIndex(5 * i, 5 * i + n))
    return read_panel(pd.concat(parts, names=["key"]))


def between(panel, first, last):
    """Return the steps from tick `first` to tick `last` of every series, both included."""
    first = np.clip(first, panel.first_ticks, panel.last_ticks + 1)
    last = np.broadcast_to(last, first.shape)
    kept = [(panel.ticks(i) >= first[i]) & (panel.ticks(i) <= last[i]) for i in range(len(first))]
    values = [panel.series(i)[rows] for i, rows in enumerate(kept)]
    return replace(
        panel,
        values=np.concatenate(values),
        offsets=np.cumsum([0, *map(len, values)]),
        first_ticks=first,
    )


def tail(panel, n_steps):
    """Return the last steps of every series."""
    return between(panel, panel.last_ticks - n_steps + 1, panel.last_ticks)


def noise_panel(rng, lengths=None, n_columns=1):
    lengths = LENGTHS if lengths is None else lengths
    return make_panel({k: 9 + rng.normal(size=(n, n_columns)) for k, n in lengths.items()}, lengths)


def unfitted(panel, **changes):
    params = {**RNNForecaster(**TINY).get_params(deep=False), **changes}
    inputs = Inputs.learn(panel, None, calendar="auto", past=None, static=None, categorical="auto")
    options = model_options(params, sizes_of(params, panel, HORIZON), inputs)
    return ForecastModel(options, training_options(params), inputs)


def fit(panel, seed=0, **changes):
    model = unfitted(panel, **changes)
    return model.fit(panel, History.of(panel, None, model.inputs).arrays(), seed)


def forecast(model, panel, n_steps=HORIZON, alpha=(0.1, 0.5, 0.9)):
    history = History.of(panel, None, model.inputs)
    features = history.arrays_ahead(spans_ahead(model, panel, n_steps), None)
    steps = forecast_ahead(model, panel, features, n_steps, np.array(alpha))
    return np.concatenate([steps.point[..., None], steps.quantiles], axis=-1)
