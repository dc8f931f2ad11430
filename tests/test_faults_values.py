"""Faults in X: what sequences may hold, what they may not, and what is said about it.

Each test carries the number of its row in the table of faults.
"""

import hashlib
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import torch
from numpy.testing import assert_allclose, assert_array_equal

from skrnn import RNNClassifier, RNNRegressor
from skrnn._sequences import Sequences
from skrnn._training import SequenceDataset, TrainBatches

TINY = {"hidden_size": 4, "max_epochs": 2, "random_state": 0}
KINDS = ["classifier", "regressor", "tagger", "step_regressor"]
PER_SEQUENCE = KINDS[:2]


class Kind:
    """One way to use the estimators: its class, its targets and its raw answer."""

    def __init__(self, name):
        self.per_step = name in ("tagger", "step_regressor")
        self.cls = RNNClassifier if name in ("classifier", "tagger") else RNNRegressor

    def make(self, **params):
        return self.cls(return_sequences=self.per_step, **{**TINY, **params})

    def targets(self, X):
        if not self.per_step:
            return np.arange(len(X)) % 2
        return [np.arange(len(x)) % 2 for x in X]

    def fit(self, X, **params):
        return self.make(**params).fit(X, self.targets(X))

    @staticmethod
    def answer(estimator, X):
        method = getattr(estimator, "predict_proba", estimator.predict)
        return method(X)


@pytest.fixture(params=KINDS)
def kind(request):
    return Kind(request.param)


@pytest.fixture(params=PER_SEQUENCE)
def plain(request):
    """Return the kinds with one answer per sequence."""
    return Kind(request.param)


def assert_same(one, other, **tolerance):
    for a, b in zip(one, other, strict=True):
        assert_allclose(a, b, **(tolerance or {"atol": 1e-6}))


def spoiled(X, i, step, feature, value):
    X = [x.copy() for x in X]
    X[i] = np.resize(X[i], (max(len(X[i]), step + 1), X[i].shape[1]))
    X[i][step, feature] = value
    return X


# -- nothing to read ----------------------------------------------------------------------------

NOTHING = {
    "list": [],
    "tuple": (),
    "object array": np.empty(0, dtype=object),
    "3-D": np.empty((0, 4, 3)),
    "2-D": np.empty((0, 4)),
    "series": pd.Series([], dtype=object),
    "frame": pd.DataFrame({"a": []}),
    "polars": pl.DataFrame({"a": []}, schema={"a": pl.List(pl.Float64)}),
    "arrow": pa.table({"a": pa.array([], pa.list_(pa.float64()))}),
    "tensor": torch.empty(0, 4, 3),
}


@pytest.mark.parametrize("nothing", NOTHING.values(), ids=NOTHING.keys())
def test_f01_no_samples(kind, nothing):
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        kind.make().fit(nothing, [])


@pytest.mark.parametrize("nothing", [[], np.empty((0, 4, 3))])
def test_f01_no_samples_in_predict(kind, ragged, nothing):
    estimator = kind.fit(ragged)
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        estimator.predict(nothing)


def with_empty(X, i=17):
    return [np.empty((0, 3)) if k == i else x for k, x in enumerate(X)]


def test_f02_an_empty_sequence_in_fit(kind, ragged):
    with pytest.raises(ValueError, match="sequence 17 is empty"):
        kind.fit(with_empty(ragged))


def test_f02_an_empty_sequence_in_fit_starts_from_the_zero_state(kind, ragged):
    X = with_empty(ragged)
    estimator = kind.fit(X, empty="zero_state")
    assert all(np.isfinite(row["train_loss"]) for row in estimator.history_)
    for answer in kind.answer(estimator, X):
        assert np.isfinite(answer).all()


def test_f02_an_empty_sequence_adds_its_own_answer_only(kind, ragged):
    estimator = kind.fit(ragged, empty="zero_state")
    without = kind.answer(estimator, ragged)
    among = kind.answer(estimator, [np.empty((0, 3)), *ragged])
    assert_same(without, list(among)[1:])


def test_f02_two_empty_sequences_have_the_same_answer(plain, ragged):
    estimator = plain.fit(ragged, empty="zero_state")
    one, other = plain.answer(estimator, [np.empty((0, 3))] * 2)
    assert_array_equal(one, other)


def test_f03_an_empty_sequence_in_predict(plain, ragged):
    estimator = plain.fit(ragged)
    with pytest.raises(ValueError, match="sequence 17 is empty"):
        estimator.predict(with_empty(ragged))


@pytest.mark.parametrize("name", KINDS[2:])
def test_f03_labelling_no_steps_is_no_labels(name, ragged):
    kind = Kind(name)
    estimator = kind.fit(ragged)
    answers = kind.answer(estimator, with_empty(ragged))
    assert [len(answer) for answer in answers] == [len(x) for x in with_empty(ragged)]
    assert_same(
        [a for i, a in enumerate(answers) if i != 17],
        [a for i, a in enumerate(kind.answer(estimator, ragged)) if i != 17],
    )
    assert [len(answer) for answer in estimator.predict([np.empty((0, 3))] * 2)] == [0, 0]


@pytest.mark.parametrize("empty", ["error", "zero_state"])
@pytest.mark.parametrize("X", [[np.empty((0, 3))] * 12, np.full((12, 4, 3), np.nan)])
def test_f04_all_sequences_are_empty(kind, X, empty):
    y = [[]] * 12 if kind.per_step else np.arange(12) % 2
    with pytest.raises(ValueError, match="all 12 sequences are empty"):
        kind.make(empty=empty).fit(X, y)


def test_f05_sequences_of_one_step(kind, rng):
    X = [rng.normal(size=(1, 3)) for _ in range(12)]
    estimator = kind.fit(X)
    for answer in kind.answer(estimator, X):
        assert np.isfinite(answer).all()


@pytest.mark.parametrize("name", KINDS[2:])
def test_f05_a_step_is_answered_from_the_steps_before_it(name, ragged):
    kind = Kind(name)
    estimator = kind.fit(ragged)
    whole = kind.answer(estimator, ragged)
    first = kind.answer(estimator, [x[:1] for x in ragged])
    assert_same([answer[:1] for answer in whole], first)


@pytest.mark.parametrize("shape", [(4, 0, 3), (4, 0, 1)])
def test_f06_no_time_steps(kind, shape):
    with pytest.raises(ValueError, match="0 time steps"):
        kind.make().fit(np.empty(shape), kind.targets(np.empty(shape)))


# -- shapes and names ---------------------------------------------------------------------------


def test_f07_lengths_come_with_the_data(kind, ragged):
    """Padding ends a sequence and lengths cannot be passed beside it, so they never disagree."""
    padded = np.full((len(ragged), 20, 3), np.nan)
    for i, x in enumerate(ragged):
        padded[i, : len(x)] = x
    estimator = kind.fit(ragged)
    assert_same(kind.answer(estimator, ragged), kind.answer(estimator, padded))
    with pytest.raises(TypeError, match="lengths"):
        estimator.predict(ragged, lengths=[4] * len(ragged))


def test_f08_one_sequence_has_other_features(kind, ragged):
    X = [np.ones((4, 5)) if i == 3 else x for i, x in enumerate(ragged)]
    with pytest.raises(ValueError, match="sequence 3 has 5 features, expected 3"):
        kind.fit(X)
    estimator = kind.fit(ragged)
    with pytest.raises(ValueError, match="sequence 3 has 5 features, expected 3"):
        estimator.predict(X)


@pytest.mark.parametrize("other", [[np.ones((4, 5))] * 2, np.ones((2, 4, 5))])
def test_f09_predict_with_other_features(kind, ragged, other):
    estimator = kind.fit(ragged)
    message = f"X has 5 features, but {kind.cls.__name__} is expecting 3"
    for method in ("predict", "transform"):
        with pytest.raises(ValueError, match=message):
            getattr(estimator, method)(other)


def test_f09_predict_with_other_columns(plain, rng):
    estimator = plain.fit(rng.normal(size=(12, 6)))
    with pytest.raises(ValueError, match=r"X has 7 features, but RNN.* is expecting 6"):
        estimator.predict(np.ones((2, 7)))


def test_f10_swapped_axes_warn_in_fit(kind, rng):
    X = rng.normal(size=(8, 3, 60))
    with pytest.warns(UserWarning, match="axis order") as caught:
        estimator = kind.fit(X)
    assert len(caught) == 1
    with pytest.raises(ValueError, match=r"X has 3 features, but RNN.* is expecting 60"):
        estimator.predict(X.transpose(0, 2, 1))


def test_f10_usual_axes_do_not_warn(kind, rng):
    kind.fit(rng.normal(size=(8, 3, 30)))


def test_f10_four_axes(kind, rng):
    message = f"dim 4, while dim <= 3 is required by {kind.cls.__name__}.*n_timesteps"
    with pytest.raises(ValueError, match=message):
        kind.fit(rng.normal(size=(8, 2, 3, 4)))


# -- one sequence instead of a list of them -----------------------------------------------------

BARE = {
    "array": lambda x: x,
    "frame": pd.DataFrame,
    "polars": pl.DataFrame,
    "lists": lambda x: x.tolist(),
    "tensor": torch.tensor,
}


@pytest.mark.parametrize("bare", BARE.values(), ids=BARE.keys())
def test_a_bare_sequence_of_one_feature_warns(kind, ragged, bare):
    X = [x[:, :1] for x in ragged]
    assert min(map(len, X)) > 1
    estimator = kind.fit(X)
    with pytest.warns(UserWarning, match=r"one sequence of 9 steps.*pass \[X\]") as caught:
        answer = estimator.predict(bare(np.resize(X[0], (9, 1))))
    assert len(caught) == 1
    assert len(answer) == 9


def test_a_bare_sequence_of_folded_features_warns(plain, ragged):
    estimator = plain.fit(ragged, n_channels=3)
    with pytest.warns(UserWarning, match=r"one sequence of 4 steps.*pass \[X\]"):
        estimator.predict(np.ones((4, 3)))


def test_many_sequences_of_one_step_do_not_warn_when_there_were_some(kind, ragged):
    X = [x[:, :1] for x in ragged]
    X[3] = X[3][:1]
    assert len(kind.fit(X).predict(np.ones((9, 1)))) == 9


def test_one_sequence_of_one_step_does_not_warn(kind, ragged):
    estimator = kind.fit([x[:, :1] for x in ragged])
    assert len(estimator.predict([[1.0]])) == 1
    assert len(estimator.predict([np.ones((1, 1))] * 3)) == 3


@pytest.mark.parametrize("bare", BARE.values(), ids=BARE.keys())
def test_a_bare_sequence_of_several_features_is_named(kind, ragged, bare):
    estimator = kind.fit(ragged)
    message = r"X has 1 features, but RNN.* is expecting 3 features as input\. .*of 7 steps"
    with pytest.raises(ValueError, match=message):
        estimator.predict(bare(np.ones((7, 3))))


def test_other_widths_are_not_taken_for_one_sequence(kind, ragged):
    estimator = kind.fit(ragged)
    for X in (np.ones((7, 4)), [np.ones((7, 1))]):
        with pytest.raises(ValueError, match=r"is expecting 3 features as input\.$"):
            estimator.predict(X)


# -- missing and infinite values ----------------------------------------------------------------


def test_f11_nan_is_found(kind, ragged):
    X = spoiled(ragged, 2, 7, 1, np.nan)
    where = r"Input X contains NaN.*sequence 2, step 7, feature 1"
    with pytest.raises(ValueError, match=where):
        kind.fit(X)
    estimator = kind.fit(ragged)
    with pytest.raises(ValueError, match=where):
        estimator.predict(X)


def test_f11_nan_is_found_by_the_name_of_its_feature(kind, ragged):
    frames = [pd.DataFrame(x, columns=["a", "temp", "c"]) for x in spoiled(ragged, 2, 7, 1, np.nan)]
    with pytest.raises(ValueError, match=r"contains NaN.*sequence 2, step 7, feature 'temp'"):
        kind.fit(frames)
    columns = {n: [f[n].to_numpy() for f in frames] for n in frames[0]}
    with pytest.raises(ValueError, match=r"contains NaN.*sequence 2, step 7, feature 'temp'"):
        kind.fit(pd.DataFrame(columns))


@pytest.mark.parametrize("n_channels", [None, 2])
def test_f11_nan_is_found_in_a_table(plain, rng, n_channels):
    X = rng.normal(size=(12, 8))
    X[2, 6] = np.nan
    where = "step 6" if n_channels is None else "step 3"
    with pytest.raises(ValueError, match=f"contains NaN.*sequence 2, {where}, feature 0"):
        plain.fit(X, n_channels=n_channels)


@pytest.mark.parametrize("form", ["frame", "list"])
def test_f11_na_of_pandas_is_nan(plain, form):
    X = pd.DataFrame(np.arange(48).reshape(12, 4) % 5, dtype="Int64")
    X.iloc[2, 3] = pd.NA
    given = X if form == "frame" else [X.iloc[[i]].T for i in range(len(X))]
    with pytest.raises(ValueError, match=r"contains NaN.*sequence 2, step 3"):
        plain.fit(given)


def test_f12_padding_may_be_nan(kind, ragged):
    padded = np.full((len(ragged), 12, 3), np.nan)
    for i, x in enumerate(ragged):
        padded[i, : len(x)] = x
    estimator = kind.make().fit(padded, kind.targets(ragged))
    assert all(np.isfinite(row["grad_norm"]) for row in estimator.history_)
    reference = kind.fit(ragged)
    assert_same(kind.answer(estimator, padded), kind.answer(reference, ragged))
    assert_same(kind.answer(estimator, padded[:, :10]), kind.answer(reference, ragged))


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_f13_infinity_is_found(kind, ragged, value):
    X = spoiled(ragged, 2, 7, 1, value)
    with pytest.raises(ValueError, match=r"infinity.*sequence 2, step 7, feature 1"):
        kind.fit(X)
    estimator = kind.fit(ragged)
    with pytest.raises(ValueError, match=r"infinity.*sequence 2, step 7, feature 1"):
        estimator.predict(X)


def test_f13_opposite_infinities_do_not_cancel(kind, ragged):
    X = spoiled(spoiled(ragged, 2, 7, 1, np.inf), 5, 0, 1, -np.inf)
    with pytest.raises(ValueError, match="infinity"):
        kind.fit(X)


def test_f14_a_value_too_large_for_float32(kind, ragged):
    X = spoiled(ragged, 2, 7, 1, 1e39)
    message = r"too large for dtype\('float32'\)"
    with pytest.raises(ValueError, match=message):
        kind.fit(X)
    estimator = kind.fit(ragged)
    with pytest.raises(ValueError, match=message):
        estimator.predict(X)
    kind.fit(X, dtype="float64")


def test_f14_a_value_too_large_for_float32_in_a_table(plain, rng):
    X = rng.normal(size=(12, 5))
    estimator = plain.fit(X)
    X[2, 3] = 1e39
    for call in (plain.fit, estimator.predict):
        with pytest.raises(ValueError, match=r"too large for dtype\('float32'\)"):
            call(X)


def test_f15_huge_values_without_scaling_warn_once(kind, ragged):
    X = [1e30 * x for x in ragged]
    with pytest.warns(UserWarning, match="scale") as caught:
        estimator = kind.fit(X, standardize=False)
    assert len(caught) == 1
    with pytest.warns(UserWarning, match="scale") as caught:
        answers = kind.answer(estimator, X)
    assert len(caught) == 1
    assert all(np.isfinite(answer).all() for answer in answers)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_f15_scaling_takes_any_scale(kind, ragged, scale):
    X = [scale * x for x in ragged]
    reference = kind.answer(kind.fit(ragged), ragged)
    assert_same(kind.answer(kind.fit(X), X), reference, atol=1e-3)


def test_f16_a_constant_feature_changes_nothing(kind, ragged):
    constant = [np.column_stack([x[:, :2], np.full(len(x), 7.3)]) for x in ragged]
    zero = [np.column_stack([x[:, :2], np.zeros(len(x))]) for x in ragged]
    assert_same(
        kind.answer(kind.fit(constant), constant), kind.answer(kind.fit(zero), zero), atol=1e-5
    )


@pytest.mark.parametrize("name", ["regressor", "step_regressor"])
@pytest.mark.parametrize("constant", [0.0, 7.3, -1e6])
def test_f16_a_constant_target_is_predicted(name, ragged, constant):
    kind = Kind(name)
    y = [np.full(len(x), constant) for x in ragged] if kind.per_step else [constant] * len(ragged)
    for part in kind.make().fit(ragged, y).predict(ragged):
        assert_allclose(part, constant, atol=1e-6)


def test_f16_a_constant_target_has_constant_quantiles(ragged):
    reg = RNNRegressor(**TINY, loss="quantile", calibrate=False).fit(ragged, [7.3] * len(ragged))
    assert_allclose(reg.predict_interval(ragged), 7.3, atol=1e-6)


# -- types and memory ---------------------------------------------------------------------------

COUNTS = np.random.default_rng(0).integers(0, 2, size=(12, 6))
TABLES = {
    "float64": COUNTS.astype(np.float64),
    "float16": COUNTS.astype(np.float16),
    "longdouble": COUNTS.astype(np.longdouble),
    "big endian": COUNTS.astype(">f4"),
    "int64": COUNTS,
    "uint8": COUNTS.astype(np.uint8),
    "bool": COUNTS.astype(bool),
    "object": COUNTS.astype(object),
    "lists": COUNTS.tolist(),
    "tensor": torch.tensor(COUNTS),
    "Float64": pd.DataFrame(COUNTS).astype("Float64"),
    "Int64": pd.DataFrame(COUNTS).astype("Int64"),
    "boolean": pd.DataFrame(COUNTS.astype(bool)).astype("boolean"),
    "float[pyarrow]": pd.DataFrame(COUNTS).astype("float[pyarrow]"),
    "int64[pyarrow]": pd.DataFrame(COUNTS).astype("int64[pyarrow]"),
    "polars": pl.DataFrame(COUNTS),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_f17_types_of_a_table(plain, table):
    reference = COUNTS.astype(np.float32)
    y = plain.targets(COUNTS)
    estimator = plain.make().fit(table, y)
    expected = plain.answer(plain.make().fit(reference, y), reference)
    assert_allclose(plain.answer(estimator, table), expected, atol=1e-6)


STEPS = {
    "float16": lambda x: x.astype(np.float16),
    "int64": lambda x: x.astype(np.int64),
    "bool": lambda x: x.astype(bool),
    "object": lambda x: x.astype(object),
    "tensor": torch.tensor,
    "bfloat16": lambda x: torch.tensor(x).bfloat16(),
    "Float64": lambda x: pd.DataFrame(x).astype("Float64"),
    "float[pyarrow]": lambda x: pd.DataFrame(x).astype("float[pyarrow]"),
    "polars": pl.DataFrame,
}


@pytest.mark.parametrize("convert", STEPS.values(), ids=STEPS.keys())
def test_f17_types_of_sequences(kind, convert):
    rng = np.random.default_rng(0)
    X = [rng.integers(0, 2, size=(t, 2)).astype(np.float32) for t in rng.integers(2, 6, size=10)]
    given = [convert(x) for x in X]
    estimator = kind.make().fit(given, kind.targets(X))
    assert_same(kind.answer(estimator, given), kind.answer(kind.fit(X), X))


WRONG_TABLES = {
    "complex": (np.ones((12, 5), complex), "Complex data not supported"),
    "object": (np.full((12, 5), "a", dtype=object), "could not convert string to float"),
    "text": (np.full((12, 5), "a"), "could not convert string to float"),
    "datetime": (np.zeros((12, 5), "M8[s]"), r"dtype datetime64\[s\]"),
    "timedelta": (np.zeros((12, 5), "m8[s]"), r"dtype timedelta64\[s\]"),
    "3-D complex": (np.ones((12, 5, 2), complex), "Complex data not supported"),
    "3-D object": (np.full((12, 5, 2), "a", dtype=object), "dtype object"),
    "3-D text": (np.full((12, 5, 2), "a"), "dtype <U1"),
    "3-D datetime": (np.zeros((12, 5, 2), "M8[s]"), r"dtype datetime64\[s\]"),
}


@pytest.mark.parametrize(("X", "match"), WRONG_TABLES.values(), ids=WRONG_TABLES.keys())
def test_f18_arrays_that_hold_no_numbers(plain, X, match):
    with pytest.raises(ValueError, match=match):
        plain.fit(X)


WRONG_STEPS = {
    "complex": (lambda x: x.astype(complex), "Complex data not supported"),
    "object": (lambda x: np.full(x.shape, "a", dtype=object), "sequence 0 has dtype object"),
    "text": (lambda x: x.astype(str), "sequence 0 has dtype <U"),
    "datetime": (lambda x: x.astype("M8[s]"), r"sequence 0 has dtype datetime64\[s\]"),
    "frame of text": (
        lambda x: pd.DataFrame(np.full(x.shape, "a")),
        "sequence 0 has .*dtype (str|object)",
    ),
    "sparse": (scipy.sparse.csr_array, "sequence 0 has dtype object"),
}


@pytest.mark.parametrize(("convert", "match"), WRONG_STEPS.values(), ids=WRONG_STEPS.keys())
def test_f18_sequences_that_hold_no_numbers(kind, ragged, convert, match):
    with pytest.raises(ValueError, match=match):
        kind.make().fit([convert(x) for x in ragged], kind.targets(ragged))


LONG = pd.DataFrame(
    {
        "machine": np.repeat(["a", "b", "c", "d"], 3),
        "time": pd.date_range("2024-01-01", periods=12),
        "load": np.arange(12.0),
    }
)
TABLES_OF = {
    "pandas": lambda df: df,
    "nullable": lambda df: df.convert_dtypes(),
    "arrow in pandas": lambda df: df.convert_dtypes(dtype_backend="pyarrow"),
    "polars": lambda df: pl.DataFrame({name: df[name].tolist() for name in df}),
    "arrow": lambda df: pa.table({name: df[name].tolist() for name in df}),
}


@pytest.mark.parametrize("column", ["machine", "time"])
@pytest.mark.parametrize("convert", TABLES_OF.values(), ids=TABLES_OF.keys())
def test_f18_the_column_of_a_long_table_is_named(plain, convert, column):
    table = convert(LONG[[column, "load"]])
    with pytest.raises(ValueError, match=f"column '{column}' of X .*sequences_from_frame"):
        plain.make().fit(table, np.arange(12) % 2)
    estimator = plain.make().fit(LONG[["load"]], np.arange(12) % 2)
    with pytest.raises(ValueError, match="feature names" if column == "machine" else "column"):
        estimator.predict(table)


@pytest.mark.parametrize("column", ["machine", "time"])
@pytest.mark.parametrize("convert", TABLES_OF.values(), ids=TABLES_OF.keys())
def test_f18_the_column_of_a_sequence_is_named(kind, convert, column):
    X = [convert(part[["load", column]]) for _, part in LONG.groupby("machine")]
    message = f"sequence 0 has a column '{column}' of dtype .*sequences_from_frame"
    with pytest.raises(ValueError, match=message):
        kind.make().fit(X, kind.targets([[0] * 3] * 4))


@pytest.mark.parametrize("convert", [lambda df: df, pl.from_pandas], ids=["pandas", "polars"])
def test_f18_dates_alone_are_not_read_as_numbers(plain, convert):
    with pytest.raises(ValueError, match="column 'time' of X has dtype"):
        plain.make().fit(convert(LONG[["time"]]), np.arange(12) % 2)


def test_f18_an_id_beside_list_columns_is_named(plain):
    table = pd.DataFrame({"load": [[1.0, 2.0]] * 12, "machine": list("abcdefghijkl")})
    with pytest.raises(ValueError, match=r"'machine' of X holds no sequences, as .*'load'"):
        plain.make().fit(table, np.arange(12) % 2)


NO_LISTS = {
    "dict": ({"a": [1.0, 2.0], "b": [3.0]}, r"got a dict.*list\(X.values\(\)\)"),
    "values": ({"a": [1.0, 2.0]}.values(), r"got a dict_values.*list\(X\)"),
    "generator": ((x for x in np.ones((12, 3))), r"got a generator.*list\(X\)"),
    "groups": (LONG.groupby("machine"), "got the groups of a table.*sequences_from_frame"),
}


@pytest.mark.parametrize(("X", "match"), NO_LISTS.values(), ids=NO_LISTS.keys())
def test_f18_what_is_no_list_of_sequences(kind, X, match):
    with pytest.raises(TypeError, match=match):
        kind.make().fit(X, np.arange(12) % 2)


def test_f18_pairs_of_ids_and_sequences(kind):
    with pytest.raises(ValueError, match="sequence 0 is no array but a tuple of str, DataFrame"):
        kind.make().fit(list(LONG.groupby("machine")), np.arange(4) % 2)


def test_f18_sparse_tables(plain):
    with pytest.raises(TypeError, match="Sparse data was passed"):
        plain.make().fit(scipy.sparse.csr_array(np.ones((12, 5))), np.arange(12) % 2)


@pytest.mark.parametrize(
    "collect", [list, pd.Series, lambda texts: np.array(texts, dtype=object), np.array]
)
def test_f18_text_points_to_the_tokenizer(plain, collect):
    with pytest.raises(TypeError, match="SequenceTokenizer"):
        plain.make().fit(collect(["to be", "or not"] * 6), np.arange(12) % 2)


def digest(X):
    return hashlib.sha256(b"".join(np.ascontiguousarray(x).tobytes() for x in X)).hexdigest()


def test_f19_read_only_sequences(kind, ragged):
    X = [x.astype(np.float32) for x in ragged]
    before = digest(X)
    expected = kind.answer(kind.fit(X), X)
    for x in X:
        x.flags.writeable = False
    estimator = kind.fit(X)
    assert_same(kind.answer(estimator, X), expected)
    assert digest(X) == before


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_f19_memory_maps_are_read_and_left_alone(kind, rng, tmp_path, dtype):
    X = rng.normal(size=(12, 6, 3)).astype(dtype)
    X[3, 4:] = np.nan
    lengths = [4 if i == 3 else 6 for i in range(12)]
    joblib.dump(X, tmp_path / "X")
    mapped = joblib.load(tmp_path / "X", mmap_mode="r")
    before = (tmp_path / "X").read_bytes()
    y = kind.targets([x[:t] for x, t in zip(X, lengths, strict=True)])
    estimator = kind.make().fit(mapped, y)
    assert_same(kind.answer(estimator, mapped), kind.answer(kind.make().fit(X, y), X))
    assert (tmp_path / "X").read_bytes() == before


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_f19_data_are_never_changed(kind, rng, dtype):
    X = rng.normal(size=(12, 6, 3)).astype(dtype)
    before = X.copy()
    estimator = kind.fit(X, early_stopping=True)
    kind.answer(estimator, X)
    assert_array_equal(X, before)


VIEWS = {
    "fortran": np.asfortranarray,
    "reversed": lambda X: X[:, ::-1].copy()[:, ::-1],
    "strided": lambda X: np.repeat(X, 2, axis=2)[:, :, ::2],
    "transposed": lambda X: np.ascontiguousarray(X.transpose(2, 1, 0)).transpose(2, 1, 0),
    "list of reversed": lambda X: [x[::-1].copy()[::-1] for x in X],
    "tensor": lambda X: torch.tensor(X).transpose(0, 1).contiguous().transpose(0, 1),
    "tensor with gradient": lambda X: torch.tensor(X, requires_grad=True),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_f20_any_memory_layout(kind, rng, view):
    X = rng.normal(size=(12, 6, 3)).astype(np.float32)
    estimator = kind.make().fit(view(X), kind.targets(X))
    assert_same(kind.answer(estimator, view(X)), kind.answer(kind.fit(X), X), atol=1e-7)


@pytest.mark.parametrize("collect", [np.stack, list], ids=["array", "list"])
def test_f21_the_caller_may_change_its_data_after_fit(kind, rng, collect):
    X = collect(list(rng.normal(size=(12, 6, 3)).astype(np.float32)))
    y = kind.targets(X)
    probe = rng.normal(size=(5, 6, 3))
    estimator = kind.make(early_stopping=True).fit(X, y)
    before = kind.answer(estimator, probe)
    for x, target in zip(X, y, strict=True):
        x[:] = 1e6
        if kind.per_step:
            target[:] = 7
    if not kind.per_step:
        y[:] = 7
    assert_same(kind.answer(estimator, probe), before, atol=0)


def test_f21_the_caller_may_change_its_data_between_predictions(kind, ragged, rng):
    estimator = kind.fit(ragged)
    probe = rng.normal(size=(5, 6, 3)).astype(np.float32)
    first = kind.answer(estimator, probe)
    kept = [np.array(part) for part in first]
    probe[:] = 0
    kind.answer(estimator, probe)
    assert_same(first, kept, atol=0)


# -- lengths ------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_f22_long_sequences_are_read_in_chunks(kind, rng, cell, monkeypatch):
    X = rng.normal(size=(2, 70_000, 1)).astype(np.float32)
    estimator = kind.make(cell=cell).fit(X[:, :5], kind.targets(X[:, :5]))
    chunked = kind.answer(estimator, X[:1])
    monkeypatch.setattr("skrnn.nn.cells.MAX_STEPS", 100_000)
    assert_same(kind.answer(estimator, X[:1]), chunked, atol=1e-5)


def test_f22_memory_of_long_sequences_is_bounded():
    """Predicting 12 sequences of 200 000 steps holds a few of them in memory, not all."""
    code = """
        import resource
        import sys
        import numpy as np
        import torch
        from skrnn import RNNClassifier
        torch.set_num_threads(1)
        rng = np.random.default_rng(0)
        X = rng.normal(size=(12, 200_000, 1)).astype(np.float32)
        clf = RNNClassifier(hidden_size=8, max_epochs=1, random_state=0)
        clf.fit(X[:, :5], np.arange(12) % 2).predict(X[:, :100])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        clf.predict(X)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print((after - before) * (1 if sys.platform == "darwin" else 1024))
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    hidden_states = 12 * 200_000 * 8 * 4
    assert int(ran.stdout) < 5 * hidden_states


def test_f23_an_outlier_in_length_does_not_blow_up_the_batches(rng):
    lengths = np.append(rng.integers(2, 10, size=400), 5000)
    sequences = Sequences.from_list([np.zeros((t, 1), dtype=np.float32) for t in lengths])
    dataset = SequenceDataset(sequences)
    batches = TrainBatches(dataset, 32, np.random.RandomState(0))
    padded = sum(inputs["x"].shape[0] * inputs["x"].shape[1] for inputs, _ in batches)
    assert padded <= 1.3 * lengths.sum()
    seen = np.concatenate(batches.plan())
    assert_array_equal(np.sort(seen), np.arange(401))


def test_f23_an_outlier_in_length_does_not_change_the_others(kind, ragged, rng):
    estimator = kind.fit(ragged)
    outlier = rng.normal(size=(5000, 3))
    expected = kind.answer(estimator, ragged)
    assert_same(list(kind.answer(estimator, [outlier, *ragged]))[1:], expected)


# -- tokens -------------------------------------------------------------------------------------

TOKENS = [[2, 3, 4], [3, 1], [4]] * 4
READS_TOKENS = {"embedding_dim": 2, "vocabulary_size": 5}


def test_f24_a_token_outside_the_vocabulary(kind):
    estimator = kind.fit(TOKENS, **READS_TOKENS)
    with pytest.raises(ValueError, match=r"token id 7 .*sequence 1.*vocabulary of 5"):
        estimator.predict([[2, 3], [2, 7]])
    with pytest.raises(ValueError, match=r"token id 4 .*vocabulary of 4"):
        kind.fit(TOKENS, embedding_dim=2, vocabulary_size=4)


def test_f24_the_vocabulary_is_learned(kind):
    estimator = kind.fit(TOKENS, embedding_dim=2)
    assert estimator.vocabulary_size_ == 5
    with pytest.raises(ValueError, match=r"token id 5 .*vocabulary of 5"):
        estimator.predict([[5]])


@pytest.mark.parametrize("token", [-1, 1.5])
def test_f24_ids_that_are_none(kind, token):
    X = [[2, 3], [2, token], *TOKENS]
    with pytest.raises(ValueError, match=f"token id {token} in sequence 1"):
        kind.fit(X, **READS_TOKENS)
    estimator = kind.fit(TOKENS, **READS_TOKENS)
    with pytest.raises(ValueError, match=f"token id {token} in sequence 1"):
        estimator.predict(X)


def test_f25_unknown_tokens_only(kind):
    estimator = kind.fit(TOKENS, **READS_TOKENS)
    for answer in kind.answer(estimator, [[1], [1, 1]]):
        assert np.isfinite(answer).all()


@pytest.mark.parametrize("nothing", [[], [0, 0]])
def test_f25_no_token_at_all(plain, nothing):
    estimator = plain.fit(TOKENS, **READS_TOKENS)
    with pytest.raises(ValueError, match="sequence 1 is empty"):
        estimator.predict([[2], nothing])
    estimator = plain.fit(TOKENS, **READS_TOKENS, empty="zero_state")
    assert np.isfinite(plain.answer(estimator, [[2], nothing])).all()


def test_f26_a_token_not_seen_in_fit(kind):
    """Inside the vocabulary it is read without ado; outside, 1 stands for it."""
    X = [[2, 3], [3, 2, 2], [3]] * 4
    estimator = kind.fit(X, embedding_dim=2, vocabulary_size=10)
    for answer in kind.answer(estimator, [[9, 2], [1, 2]]):
        assert np.isfinite(answer).all()


# -- names and containers -----------------------------------------------------------------------


def framed(X, names):
    return [pd.DataFrame(x, columns=names) for x in X]


def nested(X, names):
    return pd.DataFrame({name: [x[:, j] for x in X] for j, name in enumerate(names)})


@pytest.mark.parametrize("make", [framed, nested])
@pytest.mark.parametrize("names", [["z", "b", "c"], ["b", "a", "c"]])
def test_f27_renamed_or_reordered_features(kind, ragged, make, names):
    estimator = kind.make().fit(make(ragged, ["a", "b", "c"]), kind.targets(ragged))
    assert_array_equal(estimator.feature_names_in_, ["a", "b", "c"])
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.predict(make(ragged, names))


def test_f27_renamed_columns_of_a_table(plain, rng):
    X = pd.DataFrame(rng.normal(size=(12, 3)), columns=["a", "b", "c"])
    estimator = plain.fit(X)
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.predict(X[["b", "a", "c"]])


def test_f27_frames_that_disagree(kind, ragged):
    frames = framed(ragged, ["a", "b", "c"])
    frames[4] = frames[4][["b", "a", "c"]]
    with pytest.raises(ValueError, match=r"sequence 4 has columns .*expected \['a', 'b', 'c'\]"):
        kind.make().fit(frames, kind.targets(ragged))


def object_array(X):
    array = np.empty(len(X), dtype=object)
    array[:] = X
    return array


def padded(X):
    array = np.full((len(X), max(map(len, X)), X[0].shape[1]), np.nan)
    for i, x in enumerate(X):
        array[i, : len(x)] = x
    return array


def columns_of_lists(X):
    return {f"c{j}": [x[:, j].tolist() for x in X] for j in range(X[0].shape[1])}


CONTAINERS = {
    "tuple": tuple,
    "lists of lists": lambda X: [x.tolist() for x in X],
    "tuples of tuples": lambda X: tuple(tuple(map(tuple, x)) for x in X),
    "object array": object_array,
    "series": lambda X: pd.Series(list(X), index=np.arange(len(X)) + 5),
    "padded": padded,
    "tensors": lambda X: [torch.tensor(x) for x in X],
    "frames": lambda X: [pd.DataFrame(x) for x in X],
    "polars frames": lambda X: [pl.DataFrame(x) for x in X],
    "list columns": lambda X: pd.DataFrame(columns_of_lists(X)),
    "polars": lambda X: pl.DataFrame(columns_of_lists(X)),
    "arrow": lambda X: pa.table(columns_of_lists(X)),
    "arrow in pandas": lambda X: pa.table(columns_of_lists(X)).to_pandas(
        types_mapper=pd.ArrowDtype
    ),
}


@pytest.mark.parametrize("collect", CONTAINERS.values(), ids=CONTAINERS.keys())
def test_f28_containers(kind, ragged, collect):
    estimator = kind.make().fit(collect(ragged), kind.targets(ragged))
    expected = kind.answer(kind.fit(ragged), ragged)
    assert_same(kind.answer(estimator, collect(ragged)), expected, atol=1e-6)


ONE_FEATURE = {
    "1-D arrays": list,
    "lists": lambda X: [x.tolist() for x in X],
    "series": lambda X: [pd.Series(x) for x in X],
    "series of arrays": lambda X: pd.Series(X, index=np.arange(len(X)) + 5),
    "polars column": lambda X: pl.Series([x.tolist() for x in X]),
    "arrow column": lambda X: pa.array([x.tolist() for x in X]),
    "chunked arrow column": lambda X: pa.chunked_array([[x.tolist() for x in X]]),
}


@pytest.mark.parametrize("collect", ONE_FEATURE.values(), ids=ONE_FEATURE.keys())
def test_f28_containers_of_one_feature(kind, ragged, collect):
    X = [x[:, 0] for x in ragged]
    estimator = kind.make().fit(collect(X), kind.targets(X))
    columns = [x[:, None] for x in X]
    expected = kind.answer(kind.fit(columns), columns)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same(kind.answer(estimator, collect(X)), expected, atol=1e-6)
