"""What `test_processes.py` trains: alone in its own process, and in two under torchrun."""

import copy
import json
import pickle
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from skorch.callbacks import Callback, EarlyStopping, EpochScoring

from skrnn import RNNClassifier, RNNForecaster, RNNRegressor

SMALL = {"hidden_size": 3, "max_epochs": 3, "batch_size": 5, "random_state": 0, "dtype": "float64"}


def equal_length(n_samples: int = 22) -> tuple[np.ndarray, np.ndarray]:
    """Return sequences of four steps with three classes."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_samples, 4, 2))
    return X, np.array(["a", "b", "c"])[np.digitize(X[:, :, 0].sum(axis=1), [-1, 1])]


def ragged() -> tuple[list[np.ndarray], np.ndarray]:
    """Return sequences of 1 to 9 steps, and one of 60 that gets a batch of its own."""
    rng = np.random.default_rng(1)
    lengths = [*rng.integers(1, 10, size=20), 60]
    X = [rng.normal(size=(length, 2)) for length in lengths]
    return X, np.array([x[:, 0].mean() for x in X])


def panel() -> pd.DataFrame:
    """Return three series of 40 days with a value missing."""
    rng = np.random.default_rng(2)
    days = pd.date_range("2024-01-01", periods=40, freq="D", name="day")
    season = np.sin(np.arange(40) / 7 * 2 * np.pi)
    parts = {f"s{i}": pd.DataFrame({"y": season + rng.normal(0, 0.3, 40)}, days) for i in range(3)}
    table = pd.concat(parts, names=["id"])
    table.iloc[5] = np.nan
    return table


def fitted_classifier(accelerator: Any, data: Any, fit: Any = None, **params: Any) -> Any:
    """Return a fitted classifier with parameters in place of `SMALL`."""
    model = RNNClassifier(accelerator=accelerator, **{**SMALL, **params})
    return model.fit(*data, **(fit or {}))


def weighted(accelerator: Any) -> Any:
    X, numbers = ragged()
    weight = np.linspace(0, 2, len(X))
    params = {"class_weight": "balanced", "bidirectional": False}
    return fitted_classifier(accelerator, (X, numbers > 0), {"sample_weight": weight}, **params)


def per_step(accelerator: Any) -> Any:
    X, _ = ragged()
    weight = [np.linspace(0.5, 1, len(x)) for x in X]
    y = [x[:, 0] > 0 for x in X]
    fit = {"sample_weight": weight}
    return fitted_classifier(accelerator, (X, y), fit, return_sequences=True)


def tagger(accelerator: Any) -> Any:
    X, numbers = ragged()
    y = [x[:, 0] > 0 for x in X]
    params = {"return_sequences": True, "loss": "crf"}
    return fitted_classifier(accelerator, (X, y), {"sample_weight": numbers**2}, **params)


def regressor(accelerator: Any) -> Any:
    params = {**SMALL, "early_stopping": True, "lr_schedule": "plateau", "loss": "quantile"}
    return RNNRegressor(accelerator=accelerator, **params).fit(*ragged())


def forecaster(accelerator: Any, **params: Any) -> Any:
    small = {"hidden_size": 3, "max_epochs": 3, "batches_per_epoch": 5, "batch_size": 7}
    model = RNNForecaster(accelerator=accelerator, random_state=0, **{**small, **params})
    return model.fit(panel(), fh=[1, 2])


def updated_forecaster(accelerator: Any) -> Any:
    table = panel()
    early = table[table.index.get_level_values("day") < "2024-02-05"]
    late = table[table.index.get_level_values("day") >= "2024-02-05"]
    model = RNNForecaster(
        accelerator=accelerator, hidden_size=3, max_epochs=10, batches_per_epoch=2, random_state=0
    )
    return model.fit(early, fh=[1]).update(late)


def continued(accelerator: Any, **params: Any) -> Any:
    model = RNNClassifier(accelerator=accelerator, **SMALL, **params)
    X, y = equal_length()
    for _ in range(2):
        model.partial_fit(X, y, classes=["a", "b", "c"])
    return model


#: Every one of these gives the same weights in one process and in two.
CASES: dict[str, Callable[[Any], Any]] = {
    "equal length": lambda a: fitted_classifier(a, equal_length()),
    "ragged": lambda a: fitted_classifier(a, (ragged()[0], ragged()[1] > 0)),
    "weighted": weighted,
    "averaged": lambda a: fitted_classifier(
        a, equal_length(), weight_averaging="swa", early_stopping=True
    ),
    "averaged further": lambda a: continued(a, weight_averaging="ema"),
    "per step": per_step,
    "per sequence of labels": tagger,
    "two networks": lambda a: fitted_classifier(a, equal_length(), n_estimators=2, n_jobs=2),
    "batches of one": lambda a: fitted_classifier(a, equal_length(5), batch_size=1),
    "float32": lambda a: fitted_classifier(a, equal_length(), optimizer="sgd", dtype="float32"),
    "lbfgs": lambda a: fitted_classifier(
        a, equal_length(), optimizer="lbfgs", lr=0.01, max_epochs=1
    ),
    "partial_fit": continued,
    "regressor": regressor,
    "forecaster": forecaster,
    "forecaster, updated": updated_forecaster,
}


def summary(model: Any) -> dict[str, Any]:
    """Return weights and history of a fitted estimator as plain lists."""
    nets = model.model_.nets if hasattr(model, "model_") else model.nets_
    parts = [w for net in nets for w in net.module_.state_dict().values()]
    weights = torch.cat([w.flatten().double() for w in parts])
    differ = ("dur", "own", "own_best")
    rows = [{k: v for k, v in row.items() if k not in differ} for row in model.history_]
    return {"weights": weights.tolist(), "history": rows}


# -- what only several processes show ---------------------------------------------------------


class Own(Callback):
    """A callback that is used itself and not a copy of it."""

    def __sklearn_clone__(self) -> "Own":
        return self


class Recorder(Own):
    """Keep the output of every step, and how many threads computed it."""

    def __init__(self) -> None:
        self.outputs, self.threads = [], []

    def on_batch_end(self, net, batch=None, training=False, y_pred=None, **kwargs):
        if training:
            self.outputs.append(y_pred.tolist())
            self.threads.append(torch.get_num_threads())


class Damage(Own):
    """Put NaN into the batches of one process, given by their number."""

    def __init__(self, here: bool, batches: range) -> None:
        self.here, self.batches, self.number = here, batches, -1

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        self.number += training
        if training and self.here and self.number in self.batches:
            batch[0]["x"][0] = torch.nan


class Failing(Own):
    """Raise in the third step of one process."""

    def __init__(self, here: bool, point: str) -> None:
        self.here, self.point, self.number = here, point, 0

    def on_batch_end(self, net, **kwargs):
        self.number += 1
        if self.here and self.point != "end" and self.number == 3:
            raise OSError("disk full") if self.point == "step" else KeyboardInterrupt

    def on_train_end(self, net, **kwargs):
        if self.here and self.point == "end":
            raise OSError("disk full")


def message_of(fit: Callable[[], Any]) -> str:
    """Return the type and text of the error that a fit raises."""
    try:
        fit()
    except (Exception, KeyboardInterrupt) as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


def errors(accelerator: Any, rank: int) -> dict[str, str]:
    """Return what each of these raises in this process."""
    X, y = equal_length()
    broken = X.copy()
    broken[3, 0, 0] = np.nan if rank else 0.0

    def fit(data: Any, **params: Any) -> Callable[[], Any]:
        return lambda: fitted_classifier(accelerator, data, **params)

    other = slice(rank, None)
    return {
        "number of samples": message_of(fit((X[other], y[other]))),
        "order": message_of(fit((X[:: 1 - 2 * rank], y[:: 1 - 2 * rank]))),
        "labels": message_of(fit((X, np.where(y == "a", "b" if rank else "a", y)))),
        "batch size": message_of(fit((X, y), batch_size=4 + rank)),
        "validation": message_of(fit((X, y), validation_split=(X[rank:9], y[rank:9]))),
        "broken in one": message_of(fit((broken, y))),
        "callback in a step": message_of(fit((X, y), callbacks=[Failing(rank == 1, "step")])),
        "Ctrl-C": message_of(fit((X, y), callbacks=[Failing(rank == 1, "interrupt")])),
        "callback at the end": message_of(fit((X, y), callbacks=[Failing(rank == 1, "end")])),
        "diverged": message_of(fit((X, y), callbacks=[Damage(rank == 1, range(99))])),
        "series": message_of(
            lambda: RNNForecaster(accelerator=accelerator, hidden_size=3).fit(
                panel() * (1 + rank), fh=[1]
            )
        ),
    }


def out_of_time(accelerator: Any, rank: int) -> dict[str, Any]:
    """Return the summary of a training with a time limit, whose clock stands in one process."""
    clock = SimpleNamespace(perf_counter=(lambda: 0.0) if rank else time.perf_counter)
    with patch("skrnn._training._callbacks.time", clock):
        return summary(
            fitted_classifier(accelerator, equal_length(), max_time=0.1, max_epochs=10**6)
        )


def stopping(accelerator: Any, rank: int) -> dict[str, Any]:
    """Return summaries of trainings that end early."""
    X, y = equal_length()
    noise = np.random.default_rng(3).permutation(y)
    early = {"early_stopping": True, "max_epochs": 40, "n_iter_no_change": 2, "lr": 0.1}
    score = EpochScoring(
        lambda net, X, y: len(net.history) * (-1 if rank else 1), lower_is_better=False, name="own"
    )
    own = [score, EarlyStopping("own", patience=2, lower_is_better=False)]
    shown = {"validation_split": (X[:6], y[:6]), "early_stopping": False}
    return {
        "early stopping": summary(fitted_classifier(accelerator, (X, noise), **early)),
        "of one process": summary(
            fitted_classifier(accelerator, (X, y), callbacks=own, max_epochs=20, **shown)
        ),
        "max_time": out_of_time(accelerator, rank),
        "skipped step": summary(
            fitted_classifier(accelerator, (X, y), callbacks=[Damage(rank == 1, range(1, 2))])
        ),
        "random_state=None": summary(fitted_classifier(accelerator, (X, y), random_state=None)),
    }


def scores(accelerator: Any) -> list[float]:
    """Return the accuracies of a cross-validation."""
    model = RNNClassifier(accelerator=accelerator, **SMALL)
    return cross_val_score(model, *equal_length(), cv=2).tolist()


def behaviour(accelerator: Any, rank: int) -> dict[str, Any]:
    """Return what else this process sees."""
    X, y = equal_length(2)
    X[1] = X[0]
    recorder = Recorder()
    printed = StringIO()
    with redirect_stdout(printed):
        params = {"dropout": 0.5, "verbose": 1, "n_threads": 64, "callbacks": [recorder]}
        model = fitted_classifier(accelerator, (X, y), **params)
    # Only one process predicts: there is nobody to wait for.
    alone = model.predict_proba(X).tolist() if accelerator.is_main_process else None
    model.set_params(callbacks=None)
    copies = {"pickle": pickle.loads(pickle.dumps(model)), "deepcopy": copy.deepcopy(model)}
    return {
        "outputs": recorder.outputs,
        "threads": max(recorder.threads),
        "printed": printed.getvalue(),
        "alone": alone,
        "scores": scores(accelerator),
        "dropout": summary(model),
        "copies": {
            name: [
                twin.accelerator is None,
                np.array_equal(twin.predict_proba(X), model.predict_proba(X)),
            ]
            for name, twin in copies.items()
        },
        "clone shares": clone(model).accelerator is accelerator,
        "pickled forecaster": pickle.loads(
            pickle.dumps(forecaster(accelerator, max_epochs=1))
        ).accelerator
        is None,
    }


def main(folder: Path) -> None:
    """Write all that this process has seen into a file of its own."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    rank = accelerator.process_index
    np.random.seed(rank)  # noqa: NPY002 - what random_state=None draws from
    found = {
        "world": SimpleNamespace(rank=rank, size=accelerator.num_processes).__dict__,
        "cases": {name: summary(case(accelerator)) for name, case in CASES.items()},
        "errors": errors(accelerator, rank),
        "stopping": stopping(accelerator, rank),
        "behaviour": behaviour(accelerator, rank),
    }
    (folder / f"{rank}.json").write_text(json.dumps(found))
    # A process that ends while its group is still there may abort.
    accelerator.wait_for_everyone()
    accelerator.end_training()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
