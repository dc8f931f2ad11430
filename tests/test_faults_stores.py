"""Faults in data that are read piece by piece: the message names sequence and step."""

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pds
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal
from stored_data import (
    EQUAL,
    N_SAMPLES,
    RAGGED,
    SMALL,
    Items,
    as_maps,
    as_table,
    equal,
    labels,
    lower_limits,
    numbers,
    on_disk,
    ragged,
)
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
)

from skrnn import RNNClassifier, RNNRegressor
from skrnn.preprocessing import SequenceScaler


@pytest.fixture(autouse=True)
def small_limits(monkeypatch):
    lower_limits(monkeypatch)


@pytest.mark.parametrize("name", [*EQUAL, *RAGGED])
@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinity")])
def test_a_bad_value_is_found_where_it_is(name, value, word, tmp_path):
    X = equal() if name in EQUAL else ragged()
    i = 17
    X[i][0, 1] = value
    stored = {**EQUAL, **RAGGED}[name](tmp_path, X)
    feature = "'speed'" if isinstance(stored, pa.Table | pds.Dataset) else "1"
    with pytest.raises(ValueError, match=rf"{word}.* at sequence 17, step 0, feature {feature}"):
        RNNRegressor(**SMALL).fit(stored, np.arange(N_SAMPLES))


def test_a_value_too_large_for_the_type(tmp_path):
    X = equal()
    X[20, 3, 0] = 1e39
    with pytest.raises(ValueError, match=r"too large for dtype.*sequence 20, step 3, feature 0"):
        RNNRegressor(**SMALL).fit(on_disk(tmp_path, X), numbers(X))


def test_an_empty_sequence_is_named(tmp_path):
    X = ragged()
    X[17] = X[17][:0]
    for stored in (Items(X), as_table(X), as_maps(tmp_path, X)):
        with pytest.raises(ValueError, match="sequence 17 is empty"):
            RNNRegressor(**SMALL).fit(stored, numbers(X))


def test_other_features_than_in_the_fit(tmp_path):
    X = equal()
    model = RNNRegressor(**SMALL).fit(X, numbers(X))
    for stored in (on_disk(tmp_path, X[:, :, :1]), Items(X[:, :, :1])):
        with pytest.raises(ValueError, match="X has 1 features, but RNNRegressor is expecting 2"):
            model.predict(stored)


def test_names_of_arrow_columns_are_checked():
    X = ragged()
    model = RNNRegressor(**SMALL).fit(as_table(X), numbers(X))
    assert_array_equal(model.feature_names_in_, ["load", "speed"])
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(as_table(X).select(["speed", "load"]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:, :1], "sequence 19 has 1 features, expected 2 as in the first sequence"),
        (lambda x: (x, 1), r"item 19 of X is a pair \(x, y\), expected x alone"),
        (lambda x: (x, 1, 2), r"an item of X is a tuple of 3, expected x or \(x, y\)"),
        (lambda x: {"x": x}, r"an item of X is a dict of 1, expected x or \(x, y\)"),
        (lambda x: x[None], r"sequence 19 has 3 dimensions, expected \(n_timesteps, n_features\)"),
        (lambda x: x.astype(str), "sequence 19 has dtype <U"),
    ],
)
def test_an_item_unlike_the_others(change, message):
    class Odd(Items):
        def __getitem__(self, i):
            return change(self.x[i]) if i == 19 else self.x[i]

    with pytest.raises(ValueError, match=message):
        RNNRegressor(**SMALL).fit(Odd(ragged()), np.arange(N_SAMPLES))


def test_frames_of_other_columns_are_named():
    pd = pytest.importorskip("pandas")

    class Frames(Items):
        def __getitem__(self, i):
            return pd.DataFrame(self.x[i], columns=["a", "b"] if i != 5 else ["b", "a"])

    with pytest.raises(ValueError, match="sequence 5 has other column names"):
        RNNRegressor(**SMALL).fit(Frames(ragged()), np.arange(N_SAMPLES))


def test_sequences_that_change_from_pass_to_pass():
    class Growing(Items):
        def __getitem__(self, i):
            super().__getitem__(i)
            return self.x[i] if self.n_reads < N_SAMPLES or i != 4 else self.x[i][1:]

    X = [np.ones((3, 2))] * N_SAMPLES
    with pytest.raises(ValueError, match="sequence 4 has 2 steps and had 3 when X was read first"):
        RNNRegressor(**SMALL).fit(Growing(X), np.arange(N_SAMPLES))


def test_streams_and_loaders_are_refused():
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(ragged())

    class NoLength(Dataset):
        def __getitem__(self, i):
            return ragged()[i]

    for X in (Stream(), NoLength()):
        with pytest.raises(TypeError, match=r"is a stream\. Read it piece by piece.* partial_fit"):
            RNNRegressor(**SMALL).fit(X, np.arange(N_SAMPLES))
    loader = DataLoader(Items(ragged()))
    for estimator in (RNNRegressor(**SMALL), SequenceScaler()):
        with pytest.raises(TypeError, match=r"pass its data set, X\.dataset"):
            estimator.fit(loader, np.arange(N_SAMPLES))


def test_nothing_to_read():
    for X in (Items([]), pds.dataset(as_table(ragged()).slice(0, 0))):
        with pytest.raises(ValueError, match=r"0 sample\(s\)"):
            RNNRegressor(**SMALL).fit(X, [])


@pytest.mark.parametrize(("token", "message"), [(-1, "token id -1"), (1.5, "token id 1.5")])
def test_what_is_no_token_id(token, message, tmp_path):
    ids = np.ones((N_SAMPLES, 5))
    ids[21, 2] = token
    with pytest.raises(ValueError, match=f"{message} in sequence 21 is no id"):
        RNNClassifier(embedding_dim=2, **SMALL).fit(on_disk(tmp_path, ids), labels(equal()))


def test_a_token_outside_the_vocabulary(tmp_path):
    ids = np.ones((N_SAMPLES, 5), dtype=int)
    ids[18:, 2] = 7
    model = RNNClassifier(embedding_dim=2, vocabulary_size=5, **SMALL)
    with pytest.raises(
        ValueError, match="token id 7 in sequence 18 is outside the vocabulary of 5"
    ):
        model.fit(on_disk(tmp_path, ids), labels(equal()))


def test_the_scale_of_large_values_is_warned_about(tmp_path):
    X = 1e7 * equal()
    with pytest.warns(UserWarning, match="X has values up to .*e\\+0[78] and standardize=False"):
        RNNRegressor(standardize=False, **SMALL).fit(on_disk(tmp_path, X), numbers(equal()))


def test_arrow_columns_that_are_no_sequences(tmp_path):
    table = as_table(ragged()).append_column("label", [labels(ragged()).tolist()])
    pq.write_table(table, tmp_path / "x.parquet")
    files = pds.dataset(tmp_path / "x.parquet")
    with pytest.raises(ValueError, match=r"column 'label' of X has type string.*replace_schema"):
        RNNClassifier(**SMALL).fit(files, labels(ragged()))
    features = files.replace_schema(pa.schema([files.schema.field(n) for n in ("load", "speed")]))
    RNNClassifier(**SMALL).fit(features, files.to_table(columns=["label"])["label"].to_numpy())
    with pytest.raises(ValueError, match="filtered data set"):
        RNNClassifier(**SMALL).fit(features.filter(pds.scalar(True)), labels(ragged()))


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (None, "sequence 19 has no value in column 'speed'"),
        ([1.0] * 20, r"sequence 19 has features of different lengths \[\d, 20\]"),
    ],
)
def test_a_row_of_a_table_that_is_no_sequence(cell, message, tmp_path):
    X = ragged()
    speed = [x[:, 1].tolist() for x in X]
    speed[19] = cell
    table = pa.table({"load": [x[:, 0] for x in X], "speed": speed})
    pq.write_table(table, tmp_path / "x.parquet", row_group_size=4)
    for stored in (table, pds.dataset(tmp_path / "x.parquet")):
        with pytest.raises(ValueError, match=message):
            RNNRegressor(**SMALL).fit(stored, np.arange(N_SAMPLES))


def test_a_failed_fit_keeps_the_earlier_one(tmp_path):
    X = equal()
    model = RNNRegressor(**SMALL).fit(X, numbers(X))
    expected = model.predict(X)
    bad = X.copy()
    bad[3, 2, 0] = np.nan
    with pytest.raises(ValueError, match="sequence 3, step 2, feature 0"):
        model.fit(on_disk(tmp_path, bad), numbers(X))
    assert_array_equal(model.predict(X), expected)
