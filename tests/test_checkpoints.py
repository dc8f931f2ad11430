"""Checkpoints: a fit that was cut short and resumed ends where an uninterrupted one does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import parallel_config
from numpy.testing import assert_array_equal
from sklearn.model_selection import GridSearchCV, GroupShuffleSplit, ShuffleSplit
from skorch.callbacks import Callback, EarlyStopping, EpochScoring

import skrnn
from skrnn import RNNClassifier, RNNRegressor, nn
from skrnn._persistence import unpack
from skrnn._training import Checkpoints

SMALL = {"hidden_size": 4, "max_epochs": 6, "batch_size": 8, "random_state": 0, "dropout": 0.2}


@pytest.fixture
def cut_fit(cut_short):
    """Return a function that begins a fit and cuts it short."""

    def cut_fit(estimator, *data, n_files=3, **further):
        cut_short(lambda: estimator.fit(*data, **further), n_files)
        return estimator

    return cut_fit


def files_in(folder):
    return [path for path in Path(folder).rglob("*") if path.is_file()]


def state_of(estimator):
    return [
        tensor
        for net in estimator.nets_
        for tensor in [*net.module_.state_dict().values(), net.random_state_.get_state()[1]]
    ]


def history_of(estimator):
    return [{k: v for k, v in row.items() if k != "dur"} for row in estimator.history_]


def assert_same_fit(resumed, straight):
    """Assert equal weights, generators and histories."""
    for one, other in zip(state_of(resumed), state_of(straight), strict=True):
        assert_array_equal(one, other)
    assert history_of(resumed) == history_of(straight)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"early_stopping": True, "n_iter_no_change": 2, "max_epochs": 12},
        {"lr_schedule": "plateau", "optimizer": "sgd"},
        {"lr_schedule": "one_cycle", "optimizer": "lbfgs"},
        {"lr_schedule": torch.optim.lr_scheduler.StepLR, "lr_schedule__step_size": 2},
        {"weight_averaging": "ema"},
        {"weight_averaging": "swa", "early_stopping": True},
        {"n_estimators": 3},
        {"tbptt_steps": 3},
        {"augmentation": nn.Jitter(0.3), "recurrent_dropout": 0.2},
        {"frontend": "conv", "weight_dropout": 0.1, "dtype": "float64"},
        {"callbacks": [("score", EpochScoring("accuracy")), EarlyStopping("train_loss")]},
        {"random_state": np.random.RandomState(3)},
        {"validation_split": ShuffleSplit(1, random_state=0)},
        {"max_time": 1000.0, "class_weight": "balanced"},
    ],
    ids=lambda params: "-".join(params) or "defaults",
)
def test_f069_a_resumed_fit_equals_an_uninterrupted_one(params, ragged, labels, tmp_path, cut_fit):
    def make(**further):
        given = {**SMALL, **params, **further}
        if not isinstance(given["random_state"], int):
            # A generator is used up by a fit.
            given["random_state"] = np.random.RandomState(3)
        return RNNClassifier().set_params(**given)

    straight = make().fit(ragged, labels)
    cut_fit(make(checkpoint_dir=tmp_path), ragged, labels, n_files=3)
    assert files_in(tmp_path)
    resumed = make(checkpoint_dir=tmp_path).fit(ragged, labels, resume=True)
    assert_same_fit(resumed, straight)
    assert files_in(tmp_path) == []


def test_a_checkpoint_is_no_estimator(ragged, labels, tmp_path, cut_fit):
    cut_fit(RNNClassifier(**SMALL, checkpoint_dir=tmp_path), ragged, labels, n_files=1)
    found = next(tmp_path.rglob("*.safetensors"))
    with pytest.raises(ValueError, match=r"cannot be loaded: it is a checkpoint .*resume=True"):
        skrnn.load(found)


@pytest.mark.parametrize("n_files", [1, 6, 7, 8, 13])
def test_f069_an_ensemble_is_resumed_at_any_network(n_files, ragged, labels, tmp_path, cut_fit):
    params = {**SMALL, "n_estimators": 2}
    straight = RNNClassifier(**params).fit(ragged, labels)
    params["checkpoint_dir"] = tmp_path
    cut_fit(RNNClassifier(**params), ragged, labels, n_files=n_files)
    assert_same_fit(RNNClassifier(**params).fit(ragged, labels, resume=True), straight)


def test_f069_a_fit_may_be_cut_several_times(ragged, numbers, tmp_path, cut_fit):
    params = {**SMALL, "early_stopping": True}
    straight = RNNRegressor(**params).fit(ragged, numbers)
    params["checkpoint_dir"] = os.fspath(tmp_path)
    cut_fit(RNNRegressor(**params), ragged, numbers, n_files=2)
    for _ in range(2):
        cut_fit(RNNRegressor(**params), ragged, numbers, n_files=1, resume=True)
    resumed = RNNRegressor(**params).fit(ragged, numbers, resume=True)
    assert_same_fit(resumed, straight)
    assert_array_equal(
        resumed.predict_quantiles(ragged, [0.5]), straight.predict_quantiles(ragged, [0.5])
    )


def test_f069_a_warm_start_is_resumed(ragged, labels, tmp_path, cut_fit):
    params = {**SMALL, "warm_start": True}
    straight = RNNClassifier(**params).fit(ragged, labels).fit(ragged[4:], labels[4:])
    first = RNNClassifier(**params, checkpoint_dir=tmp_path).fit(ragged, labels)
    cut_fit(first, ragged[4:], labels[4:])
    other = RNNClassifier(**params, checkpoint_dir=tmp_path)
    with pytest.raises(ValueError, match="other data"):
        other.fit(ragged[4:], labels[4:], resume=True)
    assert_same_fit(first.fit(ragged[4:], labels[4:], resume=True), straight)


def test_f069_a_fit_from_other_weights_is_resumed(ragged, labels, tmp_path, cut_fit):
    sources = [RNNClassifier(**{**SMALL, "random_state": i}).fit(ragged, labels) for i in (1, 2)]
    params = {**SMALL, "n_estimators": 2}
    straight = RNNClassifier(**params, pretrained=sources[0]).fit(ragged, labels)
    params["checkpoint_dir"] = tmp_path
    cut_fit(RNNClassifier(**params, pretrained=sources[0]), ragged, labels)
    with pytest.raises(ValueError, match=r"written for pretrained=|of pretrained network 0"):
        RNNClassifier(**params, pretrained=sources[1]).fit(ragged, labels, resume=True)
    resumed = RNNClassifier(**params, pretrained=sources[0]).fit(ragged, labels, resume=True)
    assert_same_fit(resumed, straight)


def test_f069_labels_per_step_and_groups_are_resumed(ragged, step_labels, tmp_path, cut_fit):
    params = {
        **SMALL,
        "return_sequences": True,
        "early_stopping": True,
        "validation_split": GroupShuffleSplit(1, test_size=0.3, random_state=0),
    }
    groups = np.arange(len(ragged)) // 3
    straight = RNNClassifier(**params).fit(ragged, step_labels, groups=groups)
    params["checkpoint_dir"] = tmp_path
    cut_fit(RNNClassifier(**params), ragged, step_labels, groups=groups)
    with pytest.raises(ValueError, match="groups is not the same"):
        RNNClassifier(**params).fit(ragged, step_labels, groups=groups[::-1], resume=True)
    resumed = RNNClassifier(**params).fit(ragged, step_labels, groups=groups, resume=True)
    assert_same_fit(resumed, straight)


def test_checkpoints_change_nothing(ragged, labels, tmp_path):
    straight = RNNClassifier(**SMALL).fit(ragged, labels)
    watched = RNNClassifier(**SMALL, checkpoint_dir=tmp_path / "new" / "folder")
    assert_same_fit(watched.fit(ragged, labels), straight)
    assert_same_fit(watched.fit(ragged, labels, resume="auto"), straight)


@pytest.mark.slow
def test_f069_a_fit_that_was_killed_is_resumed(tmp_path):
    # Half of the kills come at any time, half while a file is written or removed.
    script = Path(__file__).with_name("killed_at_random.py")
    paths = [os.fspath(Path(skrnn.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
    }
    command = [sys.executable, os.fspath(script), os.fspath(tmp_path), "20"]
    subprocess.run(command, env=environment, check=True, timeout=250)
    kills = json.loads((tmp_path / "found.json").read_text())
    assert len(kills) == 20
    assert [kill for kill in kills if not kill["same"] or kill["rest"]] == []
    # Most came after an epoch and before the end.
    assert sum(bool(kill["files"]) for kill in kills) > 10


# -- what does not fit ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": 5}, "written for hidden_size=4, and this fit has hidden_size=5"),
        ({"random_state": 1}, "random_state=0, and this fit has random_state=1"),
        ({"cell": "gru"}, "cell='lstm', and this fit has cell='gru'"),
        ({"cell": nn.MinGRULayer}, r"cell='lstm', and this fit has cell=.*MinGRULayer"),
        ({"max_epochs": 7}, "max_epochs=6, and this fit has max_epochs=7"),
    ],
    ids=str,
)
def test_f070_other_parameters_are_refused_by_name(
    change, message, ragged, labels, tmp_path, cut_fit
):
    cut_fit(RNNClassifier(**SMALL, checkpoint_dir=tmp_path), ragged, labels)
    other = RNNClassifier(**{**SMALL, **change}, checkpoint_dir=tmp_path)
    with pytest.raises(ValueError, match=message):
        other.fit(ragged, labels, resume=True)
    assert not other.__sklearn_is_fitted__()
    RNNClassifier(**SMALL, checkpoint_dir=tmp_path).fit(ragged, labels, resume=True)


def test_f070_other_data_are_refused(ragged, labels, tmp_path, cut_fit):
    clf = cut_fit(RNNClassifier(**SMALL, checkpoint_dir=tmp_path), ragged, labels)
    changed = [x + (i == 5) for i, x in enumerate(ragged)]
    for X, y, name in (
        (changed, labels, "X of the training part"),
        (ragged, labels[::-1], "y of the training part"),
        (ragged[:-1], labels[:-1], "y of the training part"),
    ):
        with pytest.raises(ValueError, match=f"other data: {name} is not the same"):
            clf.fit(X, y, resume=True)
    with pytest.raises(ValueError, match="sample_weight of the training part"):
        clf.fit(ragged, labels, sample_weight=np.arange(24.0), resume=True)


class Vectors:
    """Vectors by word, as gensim keeps them."""

    def __init__(self, vectors):
        self.key_to_index = {f"w{i}": i for i in range(len(vectors))}
        self.vectors = vectors

    def __getitem__(self, word):
        return self.vectors[self.key_to_index[word]]


@pytest.mark.parametrize("kind", [Vectors, np.asarray, pd.DataFrame, torch.from_numpy])
def test_f070_other_vectors_are_refused(kind, rng, labels, tmp_path, cut_fit):
    ids = [rng.integers(2, 90, size=5) for _ in labels]
    table = rng.normal(size=(100, 30))
    changed = table.copy()
    changed[50, 15] += 1
    params = {**SMALL, "embedding": kind(table), "checkpoint_dir": tmp_path}
    cut_fit(RNNClassifier(**params), ids, labels)
    other = RNNClassifier(**{**params, "embedding": kind(changed)})
    with pytest.raises(ValueError, match="other data: embedding is not the same"):
        other.fit(ids, labels, resume=True)
    straight = RNNClassifier(**SMALL, embedding=kind(table)).fit(ids, labels)
    same = RNNClassifier(**{**params, "embedding": kind(table.copy())})
    assert_same_fit(same.fit(ids, labels, resume=True), straight)


def test_f070_another_split_is_refused(ragged, labels, tmp_path, cut_fit):
    params = {**SMALL, "validation_split": ShuffleSplit(1, test_size=0.4)}
    clf = cut_fit(RNNClassifier(**params, checkpoint_dir=tmp_path), ragged, labels)
    with pytest.raises(ValueError, match=r"another validation part.*random_state"):
        clf.fit(ragged, labels, resume=True)
    data = {**SMALL, "validation_split": (ragged[:6], labels[:6])}
    clf = cut_fit(RNNClassifier(**data, checkpoint_dir=tmp_path), ragged, labels)
    clf.set_params(validation_split=(ragged[6:12], labels[6:12]))
    with pytest.raises(ValueError, match="another validation part"):
        clf.fit(ragged, labels, resume=True)


def test_f071_a_broken_newest_file_falls_back_to_the_one_before(ragged, labels, tmp_path, cut_fit):
    straight = RNNClassifier(**SMALL).fit(ragged, labels)
    clf = cut_fit(RNNClassifier(**SMALL, checkpoint_dir=tmp_path), ragged, labels, n_files=4)
    newest, before = sorted(tmp_path.rglob("*.safetensors"), reverse=True)
    assert "epoch-000004" in newest.name
    newest.write_bytes(newest.read_bytes()[:-5])
    with pytest.warns(UserWarning, match=r"epoch-000004.* cannot be read.*before it is taken"):
        assert_same_fit(clf.fit(ragged, labels, resume=True), straight)
    assert not before.exists()


def test_f071_without_a_whole_file_there_is_nothing_to_resume(ragged, labels, tmp_path, cut_fit):
    clf = RNNClassifier(**SMALL, checkpoint_dir=tmp_path)
    with pytest.raises(ValueError, match="there is no checkpoint in checkpoint_dir"):
        clf.fit(ragged, labels, resume=True)
    cut_fit(clf, ragged, labels)
    for path in tmp_path.rglob("*.safetensors"):
        path.write_bytes(b"broken")
    with pytest.raises(ValueError, match="can be read; remove it"):
        clf.fit(ragged, labels, resume=True)
    with pytest.raises(ValueError, match="set checkpoint_dir"):
        RNNClassifier(**SMALL).fit(ragged, labels, resume=True)
    with pytest.raises(ValueError, match="resume must be True, False or 'auto', got 'yes'"):
        clf.fit(ragged, labels, resume="yes")


def test_f082_checkpoints_hold_no_pickle(ragged, labels, tmp_path, cut_fit):
    cut_fit(RNNClassifier(**SMALL, checkpoint_dir=tmp_path), ragged, labels)
    for path in tmp_path.rglob("*.safetensors"):
        document, _ = unpack(path)
        assert document["state"]
        assert not any(x[:2].tobytes() in path.read_bytes() for x in ragged)


def test_f089_the_directory_is_checked_before_the_training(ragged, labels, tmp_path):
    (tmp_path / "file").touch()
    for wrong in (tmp_path / "file", tmp_path / "file" / "below", "/proc/self/none", "x" * 300):
        clf = RNNClassifier(**SMALL, checkpoint_dir=wrong, callbacks=[Never()])
        with pytest.raises(OSError, match=r"file|proc|xxx"):
            clf.fit(ragged, labels)
    other = RNNClassifier(**SMALL, checkpoint_dir=tmp_path / "Prüfpunkte 模型" / "CON")
    other.fit(ragged, labels)


class Never(Callback):
    def on_train_begin(self, net, **kwargs):
        raise AssertionError("the training has begun")

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def test_f099_the_fits_of_a_search_have_folders_of_their_own(ragged, labels, tmp_path):
    grid = {"hidden_size": [3, 4], "lr": [0.01, 0.1]}
    plain = GridSearchCV(RNNClassifier(**SMALL), grid, cv=2).fit(ragged, labels)
    watched = RNNClassifier(**SMALL, checkpoint_dir=tmp_path)
    with parallel_config(backend="threading"):
        search = GridSearchCV(watched, grid, cv=2, n_jobs=2).fit(ragged, labels)
    scores = "mean_test_score"
    assert_array_equal(search.cv_results_[scores], plain.cv_results_[scores])
    assert os.listdir(tmp_path) == []


def test_f099_the_same_fit_twice_at_once_uses_two_folders(tmp_path):
    one = Checkpoints(tmp_path, {"a": 1}, {}, False, skrnn._training.Alone(), 0)
    other = Checkpoints(tmp_path, {"a": 1}, {}, False, skrnn._training.Alone(), 0)
    assert one.folder != other.folder
    one.close()
    again = Checkpoints(tmp_path, {"a": 1}, {}, "auto", skrnn._training.Alone(), 0)
    assert again.folder == one.folder
    again.remove()
    other.remove()
    assert os.listdir(tmp_path) == []


# -- callbacks --------------------------------------------------------------------------------


class Counter(Callback):
    """Counts epochs."""

    def initialize(self):
        self.count = 0
        return self

    def on_epoch_end(self, net, **kwargs):
        self.count += 1
        net.history.record("count", self.count)


class Resumable(Counter):
    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


def test_callbacks_that_tell_their_state_are_resumed(ragged, labels, tmp_path, cut_fit):
    params = {**SMALL, "callbacks": [Resumable()], "checkpoint_dir": tmp_path}
    cut_fit(RNNClassifier(**params), ragged, labels)
    resumed = RNNClassifier(**params).fit(ragged, labels, resume=True)
    assert [row["count"] for row in resumed.history_] == [1, 2, 3, 4, 5, 6]


def test_callbacks_that_do_not_are_refused(ragged, labels, tmp_path):
    clf = RNNClassifier(**SMALL, callbacks=[Counter()], checkpoint_dir=tmp_path)
    with pytest.raises(ValueError, match=r"Counter does not tell its state.*state_dict\(\)"):
        clf.fit(ragged, labels)
    assert files_in(tmp_path) == [] or all(p.name == "lock" for p in files_in(tmp_path))
    RNNClassifier(**SMALL, callbacks=[Counter()]).fit(ragged, labels)
