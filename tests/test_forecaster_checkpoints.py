"""Checkpoints of what sktime governs: the forecaster and the twins go on where they were cut."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.utils._param_validation import InvalidParameterError
from test_checkpoints import files_in

import skrnn
from skrnn import RNNForecaster
from skrnn._persistence import unpack
from skrnn._training import Checkpoints
from skrnn.sktime import RNNClassifier, RNNRegressor

SMALL = {
    "hidden_size": 3,
    "max_epochs": 4,
    "batches_per_epoch": 3,
    "window_length": 6,
    "dropout": 0.2,
    "random_state": 0,
    "n_threads": 1,
    "short": "pad",
}


@pytest.fixture
def series():
    rng = np.random.default_rng(0)
    t = np.arange(60)
    values = 20 + np.sin(t / 7 * 2 * np.pi) + rng.normal(0, 0.2, 60)
    return pd.Series(values, pd.date_range("2024-01-01", periods=60, freq="D"))


@pytest.fixture
def panel(series):
    parts = {f"s{i}": (series * (i + 1)).iloc[5 * i :].to_frame("y") for i in range(3)}
    return pd.concat(parts, names=["id", "day"])


def covariates(y):
    return pd.DataFrame({"x": np.cos(np.arange(len(y)))}, y.index)


def forecasts(forecaster, X=None):
    point = forecaster.predict(fh=[1, 2, 3, 4, 5], X=X)
    quantiles = forecaster.predict_quantiles(fh=[1, 2, 3, 4, 5], X=X, alpha=[0.1, 0.5, 0.9])
    return np.column_stack([np.asarray(point).reshape(len(point), -1), quantiles])


def assert_same_model(resumed, straight):
    for one, other in zip(resumed.model_.nets, straight.model_.nets, strict=True):
        for name, tensor in one.module_.state_dict().items():
            assert_array_equal(tensor, other.module_.state_dict()[name])
        assert_array_equal(one.random_state_.get_state()[1], other.random_state_.get_state()[1])
        rows = [
            [{k: v for k, v in row.items() if k not in ("dur", "batches")} for row in net.history]
            for net in (one, other)
        ]
        assert rows[0] == rows[1]
    assert resumed.guard_ == straight.guard_
    assert_array_equal(forecasts(resumed), forecasts(straight))


# -- forecaster -------------------------------------------------------------------------------


# Files of a fit: four epochs of the first training and its end, then those of the one on all data.
@pytest.mark.parametrize("n_files", [1, 4, 5, 6, 9])
def test_f069_a_forecaster_is_resumed_at_any_epoch(n_files, series, tmp_path, cut_short):
    params = {**SMALL, "guard": "off"}
    straight = RNNForecaster(**params).fit(series, fh=[1, 2, 3])
    watched = RNNForecaster(**params, checkpoint_dir=tmp_path)
    cut_short(lambda: watched.fit(series, fh=[1, 2, 3]), n_files)
    assert files_in(tmp_path)
    resumed = RNNForecaster(**params, checkpoint_dir=tmp_path, resume=True)
    assert_same_model(resumed.fit(series, fh=[1, 2, 3]), straight)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    "params",
    [
        {"n_estimators": 2},
        {"guard": "blend", "n_iter_no_change": 1},
        {"refit": False, "cell": "gru", "decoder": "recurrent"},
        {"loss": "normal", "lr_schedule": "plateau", "optimizer": "sgd"},
        {"dtype": "float64", "max_time": 1000.0},
        {"early_stopping": False, "calibrate": False, "batches_per_epoch": 50},
    ],
    ids=lambda params: "-".join(params),
)
def test_f069_a_forecaster_of_a_panel_is_resumed(params, panel, tmp_path, cut_short):
    params = {**SMALL, "guard": "off", **params}
    straight = RNNForecaster(**params).fit(panel, fh=[1, 2])
    params["checkpoint_dir"] = os.fspath(tmp_path)
    cut_short(lambda: RNNForecaster(**params).fit(panel, fh=[1, 2]), 3)
    resumed = RNNForecaster(**params, resume="auto").fit(panel, fh=[1, 2])
    assert_same_model(resumed, straight)
    assert files_in(tmp_path) == []


def begin_and_kill(fit, folder, seconds):
    """Fit in a forked process, and kill it some time after it has written a file."""
    seen = {path.name for path in files_in(folder)}
    child = os.fork()
    if child == 0:
        try:
            fit()
        finally:
            os._exit(0)
    deadline = time.monotonic() + 120
    while {path.name for path in files_in(folder)} <= {*seen, "lock"}:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] in (0, signal.SIGKILL)


def test_f069_a_forecaster_that_was_killed_is_resumed(panel, tmp_path):
    params = {**SMALL, "max_epochs": 12, "n_estimators": 2, "guard": "off"}
    straight = RNNForecaster(**params).fit(panel, fh=[1, 2])
    watched = RNNForecaster(**params, checkpoint_dir=tmp_path, resume="auto")
    for seconds in np.random.default_rng().uniform(0, 0.2, size=2):  # at any moment
        begin_and_kill(lambda: watched.fit(panel, fh=[1, 2]), tmp_path, seconds)
    assert_same_model(watched.fit(panel, fh=[1, 2]), straight)
    assert files_in(tmp_path) == []


def test_f069_a_pretraining_is_resumed(series, panel, tmp_path, cut_short):
    straight = RNNForecaster(**SMALL).pretrain(panel, fh=[1, 2]).fit(series, fh=[1, 2])
    watched = RNNForecaster(**SMALL, checkpoint_dir=tmp_path)
    cut_short(lambda: watched.pretrain(panel, fh=[1, 2]), 7)
    resumed = RNNForecaster(**SMALL, checkpoint_dir=tmp_path, resume=True)
    # Fitting pretrained networks trains nothing, and so resumes nothing.
    assert_same_model(resumed.pretrain(panel, fh=[1, 2]).fit(series, fh=[1, 2]), straight)


def test_checkpoints_change_no_forecast(panel, tmp_path):
    straight = RNNForecaster(**SMALL).fit(panel)
    watched = RNNForecaster(**SMALL, checkpoint_dir=tmp_path / "new" / "folder", resume="auto")
    assert_same_model(watched.fit(panel), straight)
    assert_same_model(watched.fit(panel), straight)
    # An update is short and writes nothing.
    newer = panel.groupby("id").tail(1).reset_index()
    newer["day"] += pd.Timedelta(days=1)
    watched.update(newer.set_index(["id", "day"]))
    assert files_in(tmp_path) == []


def test_ctrl_c_leaves_the_checkpoints_of_a_forecaster(series, tmp_path, monkeypatch):
    params = {**SMALL, "guard": "off"}
    straight = RNNForecaster(**params).fit(series, fh=[1, 2])
    watched = RNNForecaster(**params, checkpoint_dir=tmp_path, resume="auto")
    keep = Checkpoints.keep

    def interrupt(self, member, epoch, state):
        keep(self, member, epoch, state)
        if epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoints, "keep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        watched.fit(series, fh=[1, 2])
    monkeypatch.undo()
    assert watched.interrupted_
    assert_same_model(watched.fit(series, fh=[1, 2]), straight)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 5}, "written for hidden_size=3, and this fit has hidden_size=5"),
        ({"guard": "off"}, "guard='blend', and this fit has guard='off'"),
        ({"fh": [1, 2, 3]}, "horizon=2, and this fit has horizon=3"),
    ],
    ids=str,
)
def test_f070_other_parameters_of_a_forecaster_are_refused(
    change, message, panel, tmp_path, cut_short
):
    cut_short(lambda: RNNForecaster(**SMALL, checkpoint_dir=tmp_path).fit(panel, fh=[1, 2]), 2)
    fh = change.pop("fh", [1, 2])
    other = RNNForecaster(**{**SMALL, **change}, checkpoint_dir=tmp_path, resume=True)
    with pytest.raises(ValueError, match=message):
        other.fit(panel, fh=fh)
    assert not other.is_fitted


def test_f070_other_data_of_a_forecaster_are_refused(panel, tmp_path, cut_short):
    X = covariates(panel)
    cut_short(lambda: RNNForecaster(**SMALL, checkpoint_dir=tmp_path).fit(panel, X, fh=[1, 2]), 2)
    watched = RNNForecaster(**SMALL, checkpoint_dir=tmp_path, resume=True)
    later = panel.reset_index()
    later["day"] += pd.Timedelta(days=1)
    later = later.set_index(["id", "day"])
    for y, other, name in (
        (panel + 1e-9, X, "y"),
        (panel.loc[["s0", "s1"]], X.loc[["s0", "s1"]], "y"),
        (later, X.set_axis(later.index), "the index of y"),
        (panel, X**2, r"X \(past\)"),
    ):
        with pytest.raises(ValueError, match=f"other data: {name} is not the same"):
            watched.fit(y, other, fh=[1, 2])
    assert watched.fit(panel, X, fh=[1, 2]).is_fitted


def test_f071_a_broken_newest_file_of_a_forecaster_falls_back(series, tmp_path, cut_short):
    straight = RNNForecaster(**SMALL).fit(series, fh=[1, 2])
    watched = RNNForecaster(**SMALL, checkpoint_dir=tmp_path, resume=True)
    with pytest.raises(ValueError, match="there is no checkpoint in checkpoint_dir"):
        watched.fit(series, fh=[1, 2])
    begun = RNNForecaster(**SMALL, checkpoint_dir=tmp_path)
    cut_short(lambda: begun.fit(series, fh=[1, 2]), 3)
    newest, _ = sorted(tmp_path.rglob("*.safetensors"), reverse=True)
    newest.write_bytes(newest.read_bytes()[:-5])
    with pytest.warns(UserWarning, match=r"cannot be read.*before it is taken"):
        watched.fit(series, fh=[1, 2])
    assert_same_model(watched, straight)


def test_f071_a_forecaster_without_a_directory_cannot_resume(series):
    with pytest.raises(ValueError, match="set checkpoint_dir"):
        RNNForecaster(**SMALL, resume=True).fit(series, fh=[1])
    with pytest.raises(InvalidParameterError, match="'resume' parameter"):
        RNNForecaster(**SMALL, resume="yes").fit(series, fh=[1])


def test_f082_checkpoints_of_a_forecaster_hold_no_data(series, tmp_path, cut_short):
    cut_short(lambda: RNNForecaster(**SMALL, checkpoint_dir=tmp_path).fit(series, fh=[1]), 2)
    for path in tmp_path.rglob("*.safetensors"):
        document, _ = unpack(path)
        assert document["state"]
        assert series.to_numpy()[:4].tobytes() not in path.read_bytes()


def test_f089_the_directory_of_a_forecaster_is_checked_first(series, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        RNNForecaster(**SMALL, checkpoint_dir=tmp_path / "file").fit(series, fh=[1])


# -- twins ------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [RNNClassifier, RNNRegressor])
def test_f069_a_twin_is_resumed(cls, tmp_path: Path, cut_short):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(24, 2, 6))
    y = X[:, 0].sum(axis=1)
    y = y if cls is RNNRegressor else np.where(y > 0, "up", "down")
    params = {"hidden_size": 3, "max_epochs": 5, "batch_size": 8, "dropout": 0.2, "random_state": 0}
    params |= {"n_estimators": 2, "n_threads": 1}
    straight = cls(**params).fit(X, y)
    cut_short(lambda: cls(**params, checkpoint_dir=tmp_path).fit(X, y), 7)
    with pytest.raises(ValueError, match="other data"):
        cls(**params, checkpoint_dir=tmp_path, resume=True).fit(X[:12], y[:12])
    resumed = cls(**params, checkpoint_dir=tmp_path, resume=True).fit(X, y)
    assert list(tmp_path.rglob("*.safetensors")) == []
    assert_array_equal(resumed.predict(X), straight.predict(X))
    for one, other in zip(resumed.rnn_.nets_, straight.rnn_.nets_, strict=True):
        for name, tensor in one.module_.state_dict().items():
            assert_array_equal(tensor, other.module_.state_dict()[name])
    # The estimator within is scikit-learn's, and told by `fit`.
    assert isinstance(resumed.rnn_, skrnn.RNNClassifier | skrnn.RNNRegressor)
    again = cls(**params, checkpoint_dir=tmp_path, resume="auto").fit(X, y)
    assert_array_equal(again.predict(X), straight.predict(X))
    with pytest.raises(ValueError, match="resume must be True, False or 'auto'"):
        cls(**params, checkpoint_dir=tmp_path, resume="yes").fit(X, y)
