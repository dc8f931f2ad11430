"""Files: what is saved comes back as it was, and what is no data is refused by name."""

import datetime as dt
import inspect
import os
import subprocess
import sys
import zoneinfo

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
import torch
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sktime.forecasting.base import ForecastingHorizon

import skrnn
from skrnn import RNNClassifier, RNNForecaster, RNNRegressor, nn, preprocessing
from skrnn import sktime as twins
from skrnn._persistence import Decoder, Encoder, _classes, pack, unpack
from skrnn.preprocessing import SequenceScaler, SequenceTokenizer

SMALL = {"hidden_size": 4, "max_epochs": 2, "random_state": 0}
FORECASTER = {**SMALL, "batches_per_epoch": 2, "short": "pad"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def through_a_file(estimator, path, **options):
    skrnn.save(estimator, path, **options)
    return skrnn.load(path, **options)


def assert_same(first, second):
    """Assert equality to the last bit."""
    if isinstance(first, list):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert_same(one, other)
    elif isinstance(first, pd.DataFrame):
        pd.testing.assert_frame_equal(first, second, check_exact=True)
    else:
        assert_array_equal(first, second)


def assert_same_parameters(first, second):
    one, other = first.get_params(deep=False), second.get_params(deep=False)
    assert list(one) == list(other)
    assert repr(one) == repr(other)


# -- what comes back --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"cell": "gru", "num_layers": 2, "hidden_size": (4, 3), "pooling": "attention"},
        {"dtype": "float64", "standardize": False, "class_weight": {"up": 2.0, "down": 1.0}},
        {"n_estimators": 2, "frontend": "conv", "optimizer__weight_decay": 0.1},
        {"augmentation": [nn.Jitter(0.1), nn.TimeWarp()], "optimizer": torch.optim.SGD},
        {"augmentation": nn.Mixup(0.3), "weight_averaging": "ema"},
        {"validation_split": StratifiedKFold(2), "lr_schedule": "plateau"},
    ],
    ids=lambda params: "-".join(params) or "defaults",
)
def test_a_classifier_comes_back(params, ragged, labels, path):
    clf = RNNClassifier(**SMALL).set_params(**params).fit(ragged, labels)
    loaded = through_a_file(clf, path)
    assert type(loaded) is RNNClassifier
    assert_same_parameters(clf, loaded)
    assert_same(clf.predict_proba(ragged), loaded.predict_proba(ragged))
    assert_same(clf.predict(ragged), loaded.predict(ragged))
    assert loaded.history_ == clf.history_
    assert loaded.n_features_in_ == clf.n_features_in_


@pytest.mark.parametrize(
    "params",
    [
        {"early_stopping": True},
        {"loss": "quantile", "quantiles": (0.1, 0.5, 0.9)},
        {"loss": "student_t", "random_state": np.random.RandomState(0)},
    ],
    ids=lambda params: params.get("loss", "squared"),
)
def test_a_regressor_comes_back_with_its_intervals(params, ragged, numbers, path):
    reg = RNNRegressor(**{**SMALL, **params, "calibrate": False}).fit(ragged, numbers)
    loaded = through_a_file(reg, path)
    assert_same(reg.predict(ragged), loaded.predict(ragged))
    if "loss" in params:
        assert_same(reg.predict_interval(ragged), loaded.predict_interval(ragged))


def test_calibration_comes_back(ragged, numbers, path):
    reg = RNNRegressor(**SMALL, early_stopping=True).fit(ragged * 4, np.tile(numbers, 4))
    loaded = through_a_file(reg, path)
    assert_same(
        reg.predict_interval(ragged, coverage=0.5), loaded.predict_interval(ragged, coverage=0.5)
    )


@pytest.mark.parametrize("loss", ["cross_entropy", "crf"])
def test_labels_per_step_come_back(loss, ragged, step_labels, path):
    clf = RNNClassifier(**SMALL, return_sequences=True, loss=loss).fit(ragged, step_labels)
    assert_same(clf.predict(ragged), through_a_file(clf, path).predict(ragged))


@pytest.mark.parametrize(
    "classes",
    [
        ["a", "längeres Wort"],
        [False, True],
        [-3, 2**40],
        [0, 1],
        np.array([1, 2], dtype=np.uint8),
        np.array(["2024-01-01", "2024-01-02"], dtype="datetime64[D]"),
        np.array(["x", "y"], dtype=object),
        [b"no", b"yes"],
        np.array([1.0, 2.0]),
        pd.to_datetime(["2024-01-01 10:00", "2024-01-02 11:30"]).to_numpy(),
    ],
    ids=str,
)
def test_labels_of_any_plain_kind_come_back(classes, ragged, path):
    y = np.asarray(classes)[np.arange(len(ragged)) % 2]
    clf = RNNClassifier(**SMALL).fit(ragged, y)
    loaded = through_a_file(clf, path)
    assert_same(clf.predict(ragged), loaded.predict(ragged))
    assert loaded.classes_.dtype == clf.classes_.dtype
    assert [type(c) for c in loaded.classes_.tolist()] == [type(c) for c in clf.classes_.tolist()]


def test_names_of_features_come_back(rng, path):
    X = pd.DataFrame(rng.normal(size=(20, 4)), columns=["t0", "t1", "t2", "t3"])
    clf = RNNClassifier(**SMALL).fit(X, np.arange(20) % 2)
    loaded = through_a_file(clf, path)
    assert loaded.feature_names_in_.tolist() == list(X.columns)
    assert_same(clf.predict(X), loaded.predict(X))


@pytest.mark.parametrize("cls", [twins.RNNClassifier, twins.RNNRegressor])
def test_the_twins_come_back(cls, rng, path):
    X = rng.normal(size=(12, 2, 6))
    twin = cls(**SMALL).fit(X, np.arange(12) % 2)
    twin.save(path)
    loaded = skrnn.load(path)
    assert type(loaded) is cls
    assert_same(twin.predict(X), loaded.predict(X))


def test_twins_and_forecasters_write_the_files_of_sktime_too(airline, tmp_path):
    forecaster = RNNForecaster(**FORECASTER).fit(airline, fh=[1])
    forecaster.save(tmp_path / "model")
    assert (tmp_path / "model.zip").exists()
    with pytest.raises(ValueError, match=r"end.*\.safetensors"):
        forecaster.save(tmp_path / "other", custom_objects={})


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"loss": "student_t", "n_estimators": 2, "cell": "gru"},
        {"loss": "absolute_error", "scaling": "instance", "guard": "off"},
    ],
    ids=lambda params: params.get("loss", "defaults"),
)
def test_a_forecaster_comes_back(params, airline, path):
    forecaster = RNNForecaster(**{**FORECASTER, **params}).fit(airline[:100], fh=[1, 2, 5])
    loaded = through_a_file(forecaster, path)
    assert_same(forecaster.predict_interval(), loaded.predict_interval())
    assert_same(forecaster.predict(fh=[-3, 30]), loaded.predict(fh=[-3, 30]))
    assert loaded.cutoff.equals(forecaster.cutoff)
    assert loaded.guard_ == forecaster.guard_
    for one in (forecaster, loaded):
        one.update(airline[100:110], update_params=False)
    assert_same(forecaster.predict(), loaded.predict())


def test_a_forecaster_of_a_panel_comes_back_with_its_covariates(panel, cover, path):
    forecaster = RNNForecaster(**FORECASTER).fit(panel, X=cover(0, 60), fh=[1, 3])
    loaded = through_a_file(forecaster, path)
    assert_same(forecaster.predict(X=cover(60, 63)), loaded.predict(X=cover(60, 63)))
    assert_same(forecaster.future_frame(), loaded.future_frame())


def test_a_pretrained_forecaster_holds_no_series_and_can_be_fitted(panel, airline, path):
    forecaster = RNNForecaster(**FORECASTER).pretrain(panel)
    loaded = through_a_file(forecaster, path)
    assert panel.to_numpy()[7].tobytes() not in path.read_bytes()
    one = panel.loc["s1"]
    assert_same(forecaster.fit(one, fh=[1]).predict(), loaded.fit(one, fh=[1]).predict())


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(5, 65),
        pd.period_range("2000", periods=60, freq="Q-JAN"),
        pd.date_range("2024-03-01", periods=60, freq="h", tz="Europe/Berlin"),
        pd.date_range("2024-01-31", periods=60, freq="BME"),
        pd.date_range("2024-01-01", periods=60, freq="B", unit="s"),
        pd.date_range("2024-01-01 06:30", periods=60, freq="D", tz="UTC"),
    ],
    ids=lambda index: str(index.dtype),
)
def test_the_clock_comes_back(index, rng, path):
    y = pd.Series(rng.normal(size=60), index=index, name="y")
    forecaster = RNNForecaster(**FORECASTER).fit(y, fh=[1, 2])
    expected, found = forecaster.predict(), through_a_file(forecaster, path).predict()
    pd.testing.assert_series_equal(expected, found, check_exact=True, check_freq=True)


@pytest.mark.parametrize("name", ["SequencePadder", "SequenceScaler", "SequenceImputer"])
def test_transformers_come_back(name, ragged, path):
    transformer = getattr(preprocessing, name)().fit(ragged)
    transformer.save(path)
    assert_same(list(transformer.transform(ragged)), list(skrnn.load(path).transform(ragged)))


def test_a_vocabulary_comes_back_in_order(path):
    texts = ["to be or not to be", "that is"]
    tokenizer = through_a_file(SequenceTokenizer(ngram_range=(1, 2)).fit(texts), path)
    expected = SequenceTokenizer(ngram_range=(1, 2)).fit(texts)
    assert list(tokenizer.vocabulary_.items()) == list(expected.vocabulary_.items())
    windows = preprocessing.SlidingWindow(3).fit(np.zeros((9, 1)))
    assert through_a_file(windows, path).window_length == 3


def test_a_pipeline_comes_back(ragged, labels, path):
    pipeline = make_pipeline(SequenceScaler(), RNNClassifier(**SMALL)).fit(ragged, labels)
    loaded = through_a_file(pipeline, path)
    assert list(loaded.named_steps) == list(pipeline.named_steps)
    assert_same(pipeline.predict_proba(ragged), loaded.predict_proba(ragged))


def test_the_cache_of_a_pipeline_stays_out(ragged, labels, path, tmp_path):
    steps = [("scale", SequenceScaler()), ("rnn", RNNClassifier(**SMALL))]
    pipeline = Pipeline(steps, memory=str(tmp_path / "cache")).fit(ragged, labels)
    loaded = through_a_file(pipeline, path)
    assert loaded.memory is None
    assert_same(pipeline.predict_proba(ragged), loaded.predict_proba(ragged))


def test_simple_steps_of_scikit_learn_come_back(rng, path):
    X, y = rng.normal(size=(20, 6)), np.arange(20) % 3
    pipeline = make_pipeline(StandardScaler(), FunctionTransformer(), RNNClassifier(**SMALL))
    loaded = through_a_file(pipeline.fit(X, y), path)
    assert_same(pipeline.predict_proba(X), loaded.predict_proba(X))


@pytest.mark.parametrize("frozen", [False, True])
def test_what_a_network_began_with_comes_back(frozen, ragged, labels, path):
    source = RNNClassifier(**SMALL).fit(ragged, labels)
    clf = RNNClassifier(**SMALL, pretrained=FrozenEstimator(source) if frozen else source)
    loaded = through_a_file(clf.fit(ragged, labels), path)
    assert_same(clf.predict_proba(ragged), loaded.predict_proba(ragged))
    found = loaded.pretrained.estimator if frozen else loaded.pretrained
    assert_same(source.predict_proba(ragged), found.predict_proba(ragged))


def test_estimators_that_are_not_fitted_come_back_too(path):
    loaded = through_a_file(RNNClassifier(hidden_size=(3, 4), lr=0.1), path)
    assert loaded.hidden_size == (3, 4)
    assert not loaded.__sklearn_is_fitted__()


# -- what goes on -----------------------------------------------------------------------------


def test_training_goes_on_after_loading(ragged, labels, path):
    clf = RNNClassifier(**SMALL, warm_start=True).fit(ragged, labels)
    one, other = (through_a_file(clf, path) for _ in range(2))
    for loaded in (one, other):
        loaded.partial_fit(ragged, labels).fit(ragged, labels)
    assert_same(one.predict_proba(ragged), other.predict_proba(ragged))
    assert not np.array_equal(one.predict_proba(ragged), clf.predict_proba(ragged))


def test_a_warm_start_goes_on_as_without_a_file(ragged, labels, path):
    # `fit` begins with a fresh optimizer anyway.
    clf = RNNClassifier(**SMALL, warm_start=True).fit(ragged, labels)
    loaded = through_a_file(clf, path)
    expected = clf.fit(ragged, labels).predict_proba(ragged)
    assert_same(expected, loaded.fit(ragged, labels).predict_proba(ragged))


def test_saving_changes_nothing(ragged, labels, path):
    clf = RNNClassifier(**SMALL).fit(ragged, labels)
    before = {name: id(value) for name, value in vars(clf).items()}
    clf.save(path)
    assert {name: id(value) for name, value in vars(clf).items()} == before
    first = path.read_bytes()
    clf.save(path)
    assert path.read_bytes() == first  # the same every time


def test_a_file_can_be_read_by_safetensors(ragged, labels, path):
    clf = RNNClassifier(**SMALL).fit(ragged, labels)
    clf.save(path)
    tensors = safetensors.numpy.load_file(path)
    for name, tensor in clf.net_.module_.state_dict().items():
        assert_array_equal(tensors[f"_net_state.weights.{name}"], tensor.numpy())


def test_a_path_may_be_text_and_hold_any_letter(ragged, labels, tmp_path):
    target = os.fspath(tmp_path / "Überblick 模型.safetensors")
    clf = RNNClassifier(**SMALL).fit(ragged, labels)
    assert_same(clf.predict(ragged), through_a_file(clf, target).predict(ragged))
    assert os.listdir(tmp_path) == ["Überblick 模型.safetensors"]


def test_another_process_reads_the_file(ragged, labels, path, tmp_path):
    clf = RNNClassifier(**SMALL).fit(ragged, labels)
    clf.save(path)
    np.save(tmp_path / "x.npy", ragged[0])
    code = (
        "import numpy as np, skrnn, sys; clf = skrnn.load(sys.argv[1]); "
        "print(clf.predict_proba([np.load(sys.argv[2])]).tolist())"
    )
    command = [sys.executable, "-W", "error", "-c", code, path, tmp_path / "x.npy"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed.strip() == str(clf.predict_proba(ragged[:1]).tolist())


# -- what is no data --------------------------------------------------------------------------


def shout(x):
    return x


class OwnClassifier(RNNClassifier):
    pass


@pytest.mark.parametrize(
    ("estimator", "where"),
    [
        (RNNClassifier(callbacks=[shout]), r"callbacks\[0\] is the function .*shout"),
        (RNNClassifier(frontend=shout), "frontend is the function"),
        (RNNClassifier(cell=OwnClassifier), "cell is the class .*OwnClassifier"),
        (SequenceTokenizer(tokenizer=shout), "tokenizer is the function"),
        (
            make_pipeline(FunctionTransformer(shout), RNNClassifier()),
            r"steps\[0\]\[1\]\.func is the function",
        ),
        (make_pipeline(LogisticRegression()), r"steps\[0\]\[1\] is .* sklearn.*LogisticRegression"),
        (RNNClassifier(random_state=2**70), "random_state is an integer of more than 64 bits"),
        (RNNClassifier(net_params={"optimizer__x": [1j]}), r"optimizer__x\[0\] is .*complex"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_data_is_refused_by_name(estimator, where, path):
    with pytest.raises(TypeError, match=where):
        skrnn.save(estimator, path)
    assert not path.exists()


def test_other_objects_are_refused(ragged, labels, path):
    for other in (LogisticRegression(), OwnClassifier(), 3, RNNClassifier):
        with pytest.raises(TypeError, match="cannot be saved"):
            skrnn.save(other, path)
    search = GridSearchCV(RNNClassifier(**SMALL), {"lr": [0.1]}, cv=2).fit(ragged, labels)
    with pytest.raises(TypeError, match="best_estimator_"):
        skrnn.save(search, path)
    through_a_file(search.best_estimator_, path)


def test_custom_objects_are_stored_by_name(ragged, labels, path):
    clf = RNNClassifier(**SMALL, frontend=make_identity).fit(ragged, labels)
    custom = {"identity": make_identity}
    skrnn.save(clf, path, custom_objects=custom)
    with pytest.raises(ValueError, match=r"custom_objects=\{'identity'"):
        skrnn.load(path)
    loaded = skrnn.load(path, custom_objects=custom)
    assert loaded.frontend is make_identity
    assert_same(clf.predict(ragged), loaded.predict(ragged))


class Identity(nn.Frontend):
    def __init__(self, n_features):
        super().__init__(n_features)

    def forward(self, x, valid):
        return x


def make_identity(n_features):
    return Identity(n_features)


def test_data_for_validation_stay_out(ragged, labels, path):
    clf = RNNClassifier(**SMALL, validation_split=(ragged[:8], labels[:8]))
    clf.fit(ragged[8:], labels[8:])
    with pytest.warns(UserWarning, match="validation_split"):
        clf.save(path)
    assert skrnn.load(path).validation_split is None


def test_no_sequence_is_in_a_file(ragged, labels, path):
    for estimator in (RNNClassifier(**SMALL), RNNRegressor(**SMALL)):
        estimator.fit(ragged, np.arange(len(ragged)) % 2).save(path)
        content = path.read_bytes()
        for x in ragged:
            assert x[:2].tobytes() not in content
            assert x[:2].astype(np.float32).tobytes() not in content


# -- the table and the values -----------------------------------------------------------------


def test_every_class_of_the_table_is_there():
    for name in _classes._MODULES:
        assert _classes.name_of(_classes.class_of(name)) == name
    for name in _classes._NAMED:
        kind = _classes.named_class_of(name)
        assert inspect.isclass(kind)
        assert _classes.name_of_named(kind) == name


def test_every_estimator_is_in_the_table():
    modules = (skrnn, twins, preprocessing)
    public = [getattr(module, name) for module in modules for name in module.__all__]
    estimators = [
        value for value in public if inspect.isclass(value) and hasattr(value, "get_params")
    ]
    assert len(estimators) >= 10
    for estimator in estimators:
        assert _classes.name_of(estimator) is not None, estimator
        assert callable(estimator.save)


def test_everything_public_that_a_parameter_takes_is_in_the_table():
    public = [value for value in map(vars(nn).get, nn.__all__) if inspect.isclass(value)]
    made = [value for value in public if not inspect.isabstract(value)]
    changes = [value for value in made if issubclass(value, nn.Augmentation | nn.Mixing)]
    # A CellLayer is made of a cell by the network itself.
    parts = [value for value in made if issubclass(value, nn.RecurrentLayer | nn.Frontend)]
    parts.remove(nn.CellLayer)
    assert len(changes) >= 4
    assert len(parts) >= 6
    assert [kind for kind in changes if _classes.name_of(kind) is None] == []
    assert [kind for kind in parts if _classes.name_of_named(kind) is None] == []


VALUES = [
    None,
    [True, 1, -(2**63), 2**64 - 1, 1.5, "text", ""],
    (1, (2,), ()),
    {"a": 1, "b": {}},
    {1: "x", (2, "y"): None, None: 3.0, 0.5: True},
    {1, 2},
    frozenset(["a"]),
    b"bytes",
    [np.float32(0.1), np.int64(3), np.bool_(True), np.str_("x"), np.uint64(2**63)],
    [np.datetime64("2024-01-01"), np.timedelta64(3, "h"), np.datetime64("2024", "Y")],
    pd.Timestamp("2024-03-31 01:30", tz="Europe/Berlin"),
    pd.Timestamp("1066-10-14"),
    pd.Timedelta("3h"),
    pd.Period("2024Q1", freq="Q-NOV"),
    pd.offsets.MonthEnd(3),
    [dt.datetime(2024, 1, 2, 3, fold=1), dt.date(2024, 1, 2), dt.timedelta(1, 2, 3)],
    [dt.UTC, dt.timezone(dt.timedelta(hours=2), "here"), zoneinfo.ZoneInfo("Asia/Tokyo")],
    [np.dtype("float32"), np.dtype(object), torch.float64, torch.device("cpu")],
]


def round_trip(value, tmp_path):
    encoder = Encoder()
    node = encoder.encode(value, ("value",))
    (tmp_path / "f").write_bytes(pack({"node": node, "objects": encoder.objects}, encoder.tensors))
    document, tensors = unpack(tmp_path / "f")
    return Decoder(document["objects"], tensors).decode(document["node"])


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_plain_values_come_back(value, tmp_path):
    found = round_trip(value, tmp_path)
    assert found == value
    assert repr(found) == repr(value)


def test_values_that_are_not_equal_to_themselves_come_back(tmp_path):
    found = round_trip(
        [float("nan"), float("inf"), -np.inf, np.float32("nan"), pd.NaT, pd.NA], tmp_path
    )
    assert np.isnan(found[0])
    assert np.isnan(found[3])
    assert found[1:3] == [np.inf, -np.inf]
    assert found[4] is pd.NaT
    assert found[5] is pd.NA


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3).T,
        np.array(3, dtype=np.int8),
        np.zeros((0, 4)),
        np.array([1, 2], dtype=">i4"),
        np.array(["a", "bcd"]),
        np.array([["a", 1], [None, 2.5]], dtype=object),
        np.array(["2024-01-01", "NaT"], dtype="datetime64[ns]"),
        np.array([True, False]),
        np.arange(3, dtype=np.float16),
    ],
    ids=lambda array: str(array.dtype),
)
def test_arrays_come_back(array, tmp_path):
    found = round_trip(array, tmp_path)
    assert_array_equal(found, array)
    assert found.shape == array.shape
    assert found.dtype == array.dtype.newbyteorder("=")
    assert found.flags.writeable


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(3, 30, 2, name="row"),
        pd.Index([1, 2], dtype="int32"),
        pd.Index(["a", None], dtype=object),
        pd.Index(["a", "b"], dtype="str", name=("a", 1)),
        pd.Index([("a", 1), ("b", 2)], tupleize_cols=False),
        pd.MultiIndex.from_product([["a", "b"], pd.period_range("2000", periods=3, freq="M")]),
        pd.date_range("2024-03-30", periods=4, freq="D", tz="Europe/Berlin", unit="ms"),
        pd.DatetimeIndex(["2024-01-01", "2024-01-05"]),
        pd.timedelta_range("1h", periods=3, freq="30min"),
        pd.CategoricalIndex(["x", "y", "x"], categories=["y", "x"], ordered=True),
    ],
    ids=lambda index: type(index).__name__ + str(index.dtype),
)
def test_indices_come_back(index, tmp_path):
    found = round_trip(index, tmp_path)
    pd.testing.assert_index_equal(found, index, exact=True)
    assert getattr(found, "freq", None) == getattr(index, "freq", None)


@pytest.mark.parametrize("freq", [None, "h"])
def test_horizons_come_back(freq, tmp_path):
    index = pd.date_range("2024-01-01", periods=2, freq="h")
    for given in ([1, 2], index):
        horizon = ForecastingHorizon(given, freq=freq if given is not index else None)
        found = round_trip(horizon, tmp_path)
        assert found.is_relative == horizon.is_relative
        assert found.freq == horizon.freq
        pd.testing.assert_index_equal(found.to_pandas(), horizon.to_pandas())


@pytest.mark.parametrize(
    "value",
    [
        pd.offsets.CustomBusinessDay(holidays=["2024-01-01"]),
        np.ma.masked_array([1, 2], mask=[True, False]),
        np.zeros(2, dtype=complex),
        np.zeros(1, dtype=[("a", int)]),
        pd.Index([1, None], dtype="Int64"),
        pd.DataFrame({"a": [1]}),
        torch.zeros(2, dtype=torch.bfloat16),
        BaseEstimator(),
        open,
        type("Text", (str,), {})("x"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_that_would_lose_something_are_refused(value):
    with pytest.raises(TypeError, match=r"here\[0\] is "):
        Encoder().encode([value], ("here",))


def test_what_holds_itself_is_refused():
    endless = []
    endless.append(endless)
    with pytest.raises(TypeError, match="nested more than"):
        Encoder().encode(endless, ())
    pipeline = make_pipeline(SequenceScaler())
    pipeline.steps.append(("again", pipeline))
    with pytest.raises(TypeError, match="holds itself"):
        Encoder().encode(pipeline, ())


def test_shared_arrays_are_stored_once_and_stay_shared(tmp_path):
    shared = np.arange(1000.0)
    one, other = round_trip([shared, shared], tmp_path)
    assert one is other
    assert (tmp_path / "f").stat().st_size < 1.5 * shared.nbytes
