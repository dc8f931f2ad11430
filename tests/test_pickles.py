"""Pickles and what reads them: equal predictions, plain state, nothing of the training data.

Tests with a number are rows of the table of faults.
"""

import copy
import io
import pickle
import pickletools

import cloudpickle
import joblib
import numpy as np
import pytest
import skops.io
import torch
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.pipeline import make_pipeline
from skorch.callbacks import EarlyStopping

import skrnn
from skrnn import RNNClassifier, RNNForecaster, RNNRegressor
from skrnn import sktime as twins
from skrnn.preprocessing import SequenceScaler, SequenceTokenizer

SMALL = {"hidden_size": 4, "max_epochs": 2, "random_state": 0}


def by_joblib(estimator):
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


COPIES = {
    "pickle": lambda estimator: pickle.loads(pickle.dumps(estimator)),
    "joblib": by_joblib,
    "deepcopy": copy.deepcopy,
    "cloudpickle": lambda estimator: cloudpickle.loads(cloudpickle.dumps(estimator)),
    "skops": lambda e: skops.io.loads(skops.io.dumps(e), trusted=skrnn.SKOPS_TRUSTED),
}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(n, 2)) for n in rng.integers(3, 8, size=40)]
    return X, np.array([x[:, 0].sum() for x in X])


@pytest.fixture(
    scope="module",
    params=["classifier", "regressor", "forecaster", "twin", "tokenizer", "pipeline"],
)
def case(request, data, airline):
    """Return a fitted estimator and a function that predicts with it."""
    X, y = data
    panel = np.stack([x[:3].T for x in X])
    few = {**SMALL, "batches_per_epoch": 2}
    if request.param == "classifier":
        clf = RNNClassifier(**SMALL, n_estimators=2).fit(X, np.where(y > 0, "up", "down"))
        return clf, lambda e: e.predict_proba(X)
    if request.param == "regressor":
        reg = RNNRegressor(**SMALL, early_stopping=True).fit(X, y)
        return reg, lambda e: e.predict_interval(X, coverage=0.3)
    if request.param == "forecaster":
        forecaster = RNNForecaster(**few).fit(airline, fh=[1, 2])
        return forecaster, lambda e: e.predict_interval().to_numpy()
    if request.param == "twin":
        return twins.RNNRegressor(**SMALL).fit(panel, y), lambda e: e.predict(panel)
    if request.param == "tokenizer":
        tokenizer = SequenceTokenizer().fit(["one two", "two three"])
        return tokenizer, lambda e: e.transform(["three one four"])[0]
    pipeline = make_pipeline(SequenceScaler(), RNNClassifier(**SMALL)).fit(X, y > 0)
    return pipeline, lambda e: e.predict_proba(X)


@pytest.mark.parametrize("how", list(COPIES))
def test_f079_copies_predict_the_same(how, case):
    estimator, predict = case
    found = COPIES[how](estimator)
    assert type(found) is type(estimator)
    np.testing.assert_array_equal(predict(found), predict(estimator))


def test_f079_pickles_are_small_and_hold_no_sequence(data):
    X, y = data
    for hidden_size in (4, 64):
        params = {**SMALL, "hidden_size": hidden_size}
        for estimator in (RNNClassifier(**params), RNNRegressor(**params, early_stopping=True)):
            estimator.fit(X, y if isinstance(estimator, RNNRegressor) else y > 0)
            tensors = estimator.net_.module_.state_dict().values()
            weights = sum(t.numel() * t.element_size() for t in tensors)
            for content in (pickle.dumps(estimator), cloudpickle.dumps(estimator)):
                assert len(content) <= 1.5 * weights + 20_000
                assert not any(x[:2].tobytes() in content for x in X)
                assert not any(x[:2].astype(np.float32).tobytes() in content for x in X)


def test_f079_the_state_is_numpy_and_plain_values(case):
    estimator, _ = case
    modules = {
        part.split()[0].split(".")[0]
        for opcode, part, _ in pickletools.genops(pickle.dumps(estimator, protocol=2))
        if opcode.name == "GLOBAL"
    }
    # `_codecs` is how protocol 2 writes bytes, `copyreg` how it makes objects.
    assert modules <= {"skrnn", "sklearn", "numpy", "_codecs", "copyreg", "__builtin__"}


def test_f080_a_pickle_of_a_gpu_is_loaded_on_the_cpu(data, monkeypatch):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    X, y = data
    clf = RNNClassifier(**SMALL).fit(X, y > 0)
    expected = clf.predict_proba(X)
    clf.net_.device = "cuda:0"
    content = pickle.dumps(clf)
    with pytest.warns(UserWarning, match=r"fitted on device='cuda:0'.*loaded on the CPU"):
        loaded = pickle.loads(content)
    np.testing.assert_array_equal(loaded.predict_proba(X), expected)


def test_f081_a_pickle_of_another_version_warns(case, monkeypatch):
    estimator, predict = case
    monkeypatch.setattr(skrnn, "__version__", "0.0.7")
    content = pickle.dumps(estimator)
    monkeypatch.undo()
    with pytest.warns(InconsistentVersionWarning, match=r"RNN|Sequence") as caught:
        loaded = pickle.loads(content)
    assert caught[0].message.original_sklearn_version == "0.0.7"
    assert caught[0].message.current_sklearn_version == skrnn.__version__
    np.testing.assert_array_equal(predict(loaded), predict(estimator))


def test_f091_skops_has_to_trust_one_type_per_estimator(case):
    estimator, _ = case
    found = skops.io.get_untrusted_types(data=skops.io.dumps(estimator))
    parts = [step for _, step in getattr(estimator, "steps", [("", estimator)])]
    expected = {f"{type(part).__module__}.{type(part).__qualname__}" for part in parts}
    assert set(found) == expected
    assert set(found) <= set(skrnn.SKOPS_TRUSTED)


def test_callbacks_and_functions_go_through_a_pickle(data):
    X, y = data
    clf = RNNClassifier(**SMALL, callbacks=[EarlyStopping("train_loss", patience=3)])
    loaded = pickle.loads(pickle.dumps(clf.fit(X, y > 0)))
    assert loaded.callbacks[0].patience == 3
    np.testing.assert_array_equal(loaded.predict_proba(X), clf.predict_proba(X))
    assert pickle.loads(pickle.dumps(SequenceTokenizer(tokenizer=str.split))).tokenizer is str.split


def test_a_class_of_the_user_goes_through_a_pickle(data):
    X, y = data
    loaded = pickle.loads(pickle.dumps(Own(**SMALL).fit(X, y > 0)))
    assert type(loaded) is Own
    assert loaded.score(X, y > 0) >= 0


class Own(RNNClassifier):
    def fit(self, X, y):
        self.seen_ = {"callable": max, "self": [type(self)]}
        return super().fit(X, y)
