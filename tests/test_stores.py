"""Stores: data read piece by piece are the same data, and are never held as a whole."""

import hashlib

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from skorch.helper import SliceDataset
from stored_data import (
    EQUAL,
    N_SAMPLES,
    RAGGED,
    SMALL,
    Items,
    as_maps,
    as_table,
    as_zarr,
    equal,
    labels,
    labels_per_step,
    lower_limits,
    numbers,
    numbers_per_step,
    on_disk,
    padded,
    ragged,
)

from skrnn import RNNClassifier, RNNRegressor
from skrnn._moments import moments_of_blocks, weighted_moments
from skrnn._stored import StoredSequences
from skrnn._training import SequenceDataset
from skrnn.preprocessing import SequenceImputer, SequenceScaler


@pytest.fixture(autouse=True)
def small_limits(monkeypatch):
    lower_limits(monkeypatch)


def weights_of(model):
    return {k: v.numpy() for k, v in model.net_.module_.state_dict().items()}


def assert_same_model(one, other):
    found, expected = weights_of(other), weights_of(one)
    for name, value in expected.items():
        assert_array_equal(found[name], value, err_msg=name)
    assert [row["train_loss"] for row in other.history_] == [
        row["train_loss"] for row in one.history_
    ]


def assert_same_answers(found, expected):
    for one, other in zip(found, expected, strict=True):
        assert_array_equal(one, other)


# -- the same data ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*EQUAL, *RAGGED])
@pytest.mark.parametrize(
    ("estimator", "target"),
    [
        (RNNClassifier(early_stopping=True, **SMALL), labels),
        (RNNRegressor(early_stopping=True, **SMALL), numbers),
        (RNNClassifier(return_sequences=True, **SMALL), labels_per_step),
        (RNNClassifier(return_sequences=True, loss="crf", **SMALL), labels_per_step),
        (RNNRegressor(n_estimators=2, n_jobs=2, early_stopping=True, **SMALL), numbers),
        (RNNRegressor(return_sequences=True, early_stopping=True, **SMALL), numbers_per_step),
    ],
    ids=["labels", "numbers", "labels per step", "crf", "two networks", "numbers per step"],
)
def test_a_store_gives_the_model_of_the_data_in_memory(name, estimator, target, tmp_path):
    X = equal() if name in EQUAL else ragged()
    stored = {**EQUAL, **RAGGED}[name](tmp_path, X)
    y = target(X)
    assert isinstance(estimator._check_sequences(stored, reset=True), StoredSequences)

    expected = type(estimator)(**estimator.get_params()).fit(X, y)
    found = type(estimator)(**estimator.get_params()).fit(stored, y)
    assert_same_model(expected, found)
    assert_same_answers(found.predict(stored), expected.predict(X))
    assert_same_answers(found.transform(stored), expected.transform(X))
    assert found.score(stored, y) == expected.score(X, y)
    assert_same_answers(found.predict(X), expected.predict(stored))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kept_as", [np.float64, np.float32, np.float16, np.int16, np.uint8, bool])
def test_a_batch_is_cast_as_the_whole_would_be(dtype, kept_as, tmp_path):
    X = np.abs(equal()).round().astype(kept_as)
    y = numbers(equal())
    model = RNNRegressor(dtype=dtype, **SMALL)
    expected = model.fit(X, y).predict(X)
    mapped = on_disk(tmp_path, X)
    assert_array_equal(model.fit(mapped, y).predict(mapped), expected)


def test_rows_of_one_feature(tmp_path):
    X = equal()[:, :, 0]
    y = numbers(equal())
    mapped = on_disk(tmp_path, X)
    expected, found = (RNNRegressor(**SMALL).fit(data, y) for data in (X, mapped))
    assert_same_model(expected, found)
    assert found.n_features_in_ == 6
    assert found.n_channels_in_ == 1
    with pytest.raises(ValueError, match="X has 5 features, but RNNRegressor is expecting 6"):
        found.predict(mapped[:, :5])


def test_folded_rows(tmp_path):
    X = ragged()
    y = numbers(X)
    folded = padded(X).reshape(N_SAMPLES, -1)
    mapped = on_disk(tmp_path, folded)
    expected = RNNRegressor(n_channels=2, **SMALL).fit(folded, y)
    found = RNNRegressor(n_channels=2, **SMALL).fit(mapped, y)
    assert_same_model(expected, found)
    assert_same_model(RNNRegressor(**SMALL).fit(X, y), found)
    with pytest.raises(ValueError, match="is no multiple of n_channels=5"):
        RNNRegressor(n_channels=5, **SMALL).fit(mapped, y)


@pytest.mark.parametrize(
    "make", [lambda path, box: on_disk(path, box), lambda path, box: Items(box)]
)
def test_token_ids(make, tmp_path):
    rng = np.random.default_rng(0)
    box = rng.integers(1, 9, size=(N_SAMPLES, 7))
    for row, length in zip(box, rng.integers(1, 8, size=N_SAMPLES), strict=True):
        row[length:] = 0
    y = box[:, 0] > 4
    stored = make(tmp_path, box)
    expected, found = (
        RNNClassifier(embedding_dim=2, **SMALL).fit(data, y) for data in (box, stored)
    )
    assert_same_model(expected, found)
    assert found.vocabulary_size_ == expected.vocabulary_size_ == 9
    assert_array_equal(found.predict_proba(stored), expected.predict_proba(box))


def test_a_large_array_in_memory_is_read_like_a_file(monkeypatch):
    X, y = equal(), numbers(equal())
    expected = RNNRegressor(early_stopping=True, **SMALL).fit(X, y)
    monkeypatch.setattr("skrnn._stores.LARGE_ARRAY", X.nbytes)
    found = RNNRegressor(early_stopping=True, **SMALL).fit(X, y)
    assert isinstance(found._check_sequences(X, reset=False), StoredSequences)
    assert_same_model(expected, found)


def test_a_sequence_without_steps(tmp_path):
    X = ragged()
    X[0], X[7] = X[0][:0], X[7][:0]
    y = numbers(X)
    expected = RNNRegressor(empty="zero_state", **SMALL).fit(X, y)
    for stored in (Items(X), as_table(X), on_disk(tmp_path, padded(X))):
        found = RNNRegressor(empty="zero_state", **SMALL).fit(stored, y)
        assert_same_model(expected, found)
        assert_array_equal(found.predict(stored), expected.predict(X))


def test_weights_classes_and_groups(tmp_path):
    X = ragged()
    y = labels(X)
    weight = np.arange(N_SAMPLES) % 3
    groups = np.arange(N_SAMPLES) // 2
    model = RNNClassifier(class_weight="balanced", early_stopping=True, **SMALL)
    expected = model.fit(X, y, sample_weight=weight, groups=groups).predict_proba(X)
    maps = as_maps(tmp_path, X)
    found = model.fit(maps, y, sample_weight=weight, groups=groups).predict_proba(maps)
    assert_array_equal(found, expected)


def test_weights_per_step(tmp_path):
    X = ragged()
    y = numbers_per_step(X)
    weight = [np.arange(len(x)) % 2 + (i % 2) for i, x in enumerate(X)]
    model = RNNRegressor(return_sequences=True, **SMALL)
    expected = model.fit(X, y, sample_weight=weight).predict(X)
    assert_same_answers(
        model.fit(as_maps(tmp_path, X), y, sample_weight=weight).predict(X), expected
    )


def test_validation_data_in_a_store(tmp_path):
    X, y = ragged(), numbers(ragged())
    one = RNNRegressor(validation_split=(X[:8], y[:8]), **SMALL).fit(X[8:], y[8:])
    other = RNNRegressor(validation_split=(Items(X[:8], y[:8]), None), **SMALL)
    assert_same_model(one, other.fit(as_maps(tmp_path, X[8:]), y[8:]))
    assert other.n_calibration_ == 8


def test_pieces_of_a_map_one_after_the_other(tmp_path):
    X, y = equal(), labels(equal())
    mapped = on_disk(tmp_path, X)
    one, other = RNNClassifier(**SMALL), RNNClassifier(**SMALL)
    for piece in (slice(0, 10), slice(10, 24), slice(0, 10)):
        one.partial_fit(X[piece], y[piece], classes=["down", "up"])
        other.partial_fit(mapped[piece], y[piece], classes=["down", "up"])
    assert_same_model(one, other)


@pytest.mark.parametrize("block", [1, 7, 1000])
@pytest.mark.parametrize("weighted", [False, True])
def test_moments_do_not_depend_on_the_blocks(block, weighted):
    rng = np.random.default_rng(0)
    values = rng.normal(1e3, 2.0, size=(50, 3))
    weight = rng.integers(0, 3, size=50).astype(float) if weighted else None
    expected = weighted_moments(values, weight)
    cuts = range(0, 50, block)
    parts = [
        (values[i : i + block], weight if weight is None else weight[i : i + block]) for i in cuts
    ]
    for found, wanted in zip(moments_of_blocks(parts), expected, strict=True):
        assert_allclose(found, wanted, rtol=1e-12)


# -- data sets of pairs -----------------------------------------------------------------------


@pytest.mark.parametrize("per_step", [False, True])
def test_targets_come_from_the_items(per_step):
    X = ragged()
    y = labels_per_step(X) if per_step else labels(X)
    pairs = Items(X, y)
    expected = RNNClassifier(return_sequences=per_step, **SMALL).fit(X, y)
    found = RNNClassifier(return_sequences=per_step, **SMALL).fit(pairs)
    assert_same_model(expected, found)
    assert_same_answers(found.predict(pairs), expected.predict(X))
    assert found.score(pairs) == expected.score(X, y)


@pytest.mark.parametrize(
    "target",
    [
        lambda y: torch.from_numpy(y),
        lambda y: torch.from_numpy(y)[:, None],
        lambda y: torch.from_numpy(np.stack([y, -y], axis=1)),
        lambda y: y.tolist(),
    ],
    ids=["scalar tensors", "columns", "two outputs", "floats"],
)
@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
def test_targets_of_items_may_be_tensors(target):
    X = ragged()
    y = target(numbers(X))
    plain = np.asarray(y)
    expected = RNNRegressor(**SMALL).fit(X, plain).predict(X)
    assert_array_equal(RNNRegressor(**SMALL).fit(Items(X, y)).predict(X), expected)


def test_partial_fit_takes_targets_from_the_items():
    X, y = ragged(), numbers(ragged())
    one = RNNRegressor(**SMALL).partial_fit(X, y)
    assert_same_model(one, RNNRegressor(**SMALL).partial_fit(Items(X, y)))
    first = RNNClassifier(**SMALL).partial_fit(Items(X, labels(X)), classes=["down", "up"])
    assert first.predict(X).shape == (N_SAMPLES,)


def test_targets_given_twice():
    X, y = ragged(), numbers(ragged())
    pairs = Items(X, y)
    for call in ("fit", "partial_fit"):
        with pytest.raises(ValueError, match="y is given twice"):
            getattr(RNNRegressor(**SMALL), call)(pairs, y)
    assert pairs.n_reads == 2
    model = RNNRegressor(**SMALL).fit(pairs)
    with pytest.raises(ValueError, match="y is given twice"):
        model.score(pairs, y)


def test_no_targets_at_all():
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        RNNRegressor(**SMALL).fit(Items(ragged()))


def test_a_data_set_is_read_once_before_the_training_and_once_for_the_statistics():
    X = ragged()
    pairs = Items(X, numbers(X))
    RNNRegressor(**SMALL).fit(pairs)
    passes = 2 + SMALL["max_epochs"]
    # Two looks at the first item: what it is, and whether it brings a target.
    assert pairs.n_reads == passes * N_SAMPLES + 2


def test_data_sets_that_read_many_items_together():
    class Together(Items):
        def __getitems__(self, indices):
            assert indices == sorted(set(indices))
            return [Items.__getitem__(self, i) for i in indices]

    X, y = ragged(), numbers(ragged())
    assert_same_model(RNNRegressor(**SMALL).fit(X, y), RNNRegressor(**SMALL).fit(Together(X, y)))


# -- with scikit-learn's tools ----------------------------------------------------------------


def test_cross_validation_of_a_map(tmp_path):
    X, y = equal(), labels(equal())
    model = RNNClassifier(**SMALL)
    assert_array_equal(
        cross_val_score(model, on_disk(tmp_path, X), y, cv=2), cross_val_score(model, X, y, cv=2)
    )


def test_a_search_over_a_data_set_through_skorchs_slices():
    X, y = ragged(), labels(ragged())
    pairs = Items(X, y)
    searches = [
        GridSearchCV(RNNClassifier(**SMALL), {"hidden_size": [2, 3]}, cv=KFold(2)).fit(*data)
        for data in ((X, y), (SliceDataset(pairs), SliceDataset(pairs, 1)))
    ]
    one, other = (search.cv_results_["mean_test_score"] for search in searches)
    assert_array_equal(one, other)


@pytest.mark.parametrize("name", [*EQUAL, *RAGGED])
def test_transformers_read_a_store_into_memory(name, tmp_path):
    X = equal() if name in EQUAL else ragged()
    stored = {**EQUAL, **RAGGED}[name](tmp_path, X)
    y = numbers(X)
    expected, found = (
        make_pipeline(SequenceScaler(), RNNRegressor(**SMALL)).fit(data, y).predict(data)
        for data in (X, stored)
    )
    assert_allclose(found, expected, rtol=1e-5)


def test_a_transformer_gives_the_type_of_a_zarr_array_back(tmp_path):
    stored = as_zarr(tmp_path, equal().astype(np.float32))
    assert SequenceImputer().fit_transform(stored).dtype == np.float32


# -- nothing is written -----------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_a_file_is_never_written(mode, tmp_path):
    X = on_disk(tmp_path, equal().astype(np.float32), mode=mode)
    digest = hashlib.sha256((tmp_path / "x.npy").read_bytes()).digest()
    RNNRegressor(early_stopping=True, **SMALL).fit(X, numbers(X)).predict(X)
    assert hashlib.sha256((tmp_path / "x.npy").read_bytes()).digest() == digest
    assert_array_equal(X, equal().astype(np.float32))


def test_what_is_done_to_a_batch_does_not_reach_the_file(tmp_path):
    X = on_disk(tmp_path, equal().astype(np.float32), mode="r+")
    stored = RNNRegressor()._check_sequences(X, reset=True)
    inputs, _ = SequenceDataset(stored).batch(np.arange(N_SAMPLES))
    inputs["x"].zero_()
    assert_array_equal(X, equal().astype(np.float32))
