"""Other packages, each in a process of its own: `speed.py` runs this file with their folders.

    PYTHONPATH=FOLDER python benchmarks/_speed_peers.py NAME JOB.npz

prints the seconds of one fit. Networks, batches and epochs are those of the bare loop; the rest
is as the package's documentation shows it. Imports, and a fit to a few samples before, count not.
This file imports nothing of ours, so that a package may bring versions of its own.
"""

import logging
import os
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np

LEARNING_RATE = 1e-3
QUIET = {
    "accelerator": "cpu",
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "enable_checkpointing": False,
    "logger": False,
}


def keras_network(job: dict, n_outputs: int, loss: str) -> object:
    """An LSTM and a linear layer."""
    import keras

    model = keras.Sequential(
        [
            keras.Input(job["X"].shape[1:]),
            keras.layers.LSTM(job["hidden_size"]),
            keras.layers.Dense(n_outputs),
        ]
    )
    losses = {
        "classes": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "numbers": keras.losses.MeanSquaredError(),
    }
    model.compile(keras.optimizers.Adam(LEARNING_RATE, clipnorm=1.0), losses[loss])
    return model


def keras_fit(job: dict) -> None:
    """Keras, on the backend that KERAS_BACKEND names."""
    if job["y"].ndim == 1:
        model = keras_network(job, 2, "classes")
    else:
        model = keras_network(job, job["horizon"], "numbers")
    model.fit(job["X"], job["y"], batch_size=job["batch_size"], epochs=job["epochs"], verbose=0)


def darts_fit(job: dict) -> None:
    """BlockRNNModel on one series or a list of them."""
    from darts import TimeSeries
    from darts.models import BlockRNNModel

    model = BlockRNNModel(
        input_chunk_length=job["window"],
        output_chunk_length=job["horizon"],
        model="LSTM",
        hidden_dim=job["hidden_size"],
        n_rnn_layers=1,
        batch_size=job["batch_size"],
        n_epochs=job["epochs"],
        optimizer_kwargs={"lr": LEARNING_RATE},
        pl_trainer_kwargs={**QUIET, "gradient_clip_val": 1.0},
        random_state=0,
    )
    model.fit([TimeSeries.from_values(row[:, None]) for row in job["series"]])


def neuralforecast_fit(job: dict) -> None:
    """LSTM on a long table; as many steps as the windows fill batches."""
    import pandas as pd
    from neuralforecast import NeuralForecast
    from neuralforecast.losses.pytorch import MSE
    from neuralforecast.models import LSTM

    n_series, n_steps = job["series"].shape
    table = pd.DataFrame(
        {
            "unique_id": np.repeat(np.arange(n_series), n_steps),
            "ds": np.tile(np.arange(n_steps), n_series),
            "y": job["series"].ravel(),
        }
    )
    n_windows = n_series * (n_steps - job["window"] - job["horizon"] + 1)
    model = LSTM(
        h=job["horizon"],
        input_size=job["window"],
        encoder_n_layers=1,
        encoder_hidden_size=job["hidden_size"],
        decoder_layers=1,
        loss=MSE(),
        learning_rate=LEARNING_RATE,
        max_steps=job["epochs"] * -(-n_windows // job["batch_size"]),
        val_check_steps=10**6,
        batch_size=min(n_series, job["batch_size"]),
        windows_batch_size=job["batch_size"],
        random_seed=0,
        **QUIET,
        gradient_clip_val=1.0,
    )
    NeuralForecast(models=[model], freq=1).fit(table)


FITS: dict[str, Callable[[dict], None]] = {
    "keras": keras_fit,
    "keras-tensorflow": keras_fit,
    "darts": darts_fit,
    "neuralforecast": neuralforecast_fit,
}


def few(job: dict) -> dict:
    """The job with as many samples as make two batches."""
    n = 2 * job["batch_size"]
    small = {**job, "X": job["X"][:n], "y": job["y"][:n], "epochs": 1}
    if "series" in job:
        small["series"] = job["series"][:1, : job["window"] + job["horizon"] + n]
    return small


def main() -> None:
    """Fit once to a few samples, then to all, and print the seconds of that."""
    name, path = sys.argv[1:]
    os.environ["KERAS_BACKEND"] = "tensorflow" if name == "keras-tensorflow" else "torch"
    warnings.simplefilter("ignore")
    with np.load(path) as stored:
        job = {k: v if v.ndim else v.item() for k, v in stored.items()}
    logging.disable(logging.WARNING)
    FITS[name](few(job))
    start = time.perf_counter()
    FITS[name](job)
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main()
