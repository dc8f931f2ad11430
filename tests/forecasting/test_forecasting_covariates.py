"""Covariates: columns of any kind become finite numbers, or an error names column and row."""

import copy
import pickle
import re

import numpy as np
import pandas as pd
import pytest

from skrnn._forecasting._covariates import CovariateEncoder

DAYS = pd.date_range("2024-01-01", periods=4, freq="D")


@pytest.fixture
def single() -> pd.DataFrame:
    """Return one series of 4 days; `load` misses its third value."""
    return pd.DataFrame(
        {
            "price": [1.0, 2.0, 3.0, 4.0],
            "load": [5.0, 7.0, np.nan, 9.0],
            "promo": ["no", "yes", "no", "yes"],
            "open": [True, False, True, True],
        },
        index=DAYS,
    )


@pytest.fixture
def panel(single: pd.DataFrame) -> pd.DataFrame:
    """Return series 'b' and 'a', each as `single`, with their area and town."""
    series = {
        "b": single.assign(area=3.0, town="Bonn"),
        "a": single.assign(area=1.0, town="Aachen"),
    }
    return pd.concat(series, names=["shop", "day"])


def changed(X: pd.DataFrame, row: int, column: str, value: object) -> pd.DataFrame:
    values = X[column].tolist()
    values[row] = value
    return X.assign(**{column: pd.Series(values, index=X.index)})


# --- roles ---------------------------------------------------------------------------------------


def test_columns_have_one_role_each(panel):
    encoder = CovariateEncoder(past=["load"], static=["town", "area"]).fit(panel)
    assert encoder.columns_ == ["price", "load", "promo", "open", "area", "town"]
    assert encoder.known_ == ["price", "promo", "open"]
    assert encoder.past_ == ["load"]
    assert encoder.static_ == ["area", "town"]


@pytest.mark.parametrize("role", ["past", "static", "categorical"])
def test_unknown_names_are_listed(role, single):
    with pytest.raises(ValueError, match=rf"{role} columns \['prize'\] are not in X.*'price'"):
        CovariateEncoder(**{role: ["price", "prize"]}).fit(single)


def test_two_roles_for_a_column_are_refused(single):
    with pytest.raises(ValueError, match=r"\['load'\] are declared past and static"):
        CovariateEncoder(past=["load"], static=["load"]).fit(single)


def test_repeated_columns_are_refused(single):
    twice = single[["price", "price"]]
    with pytest.raises(ValueError, match=r"more than one column named \['price'\]"):
        CovariateEncoder().fit(twice)
    with pytest.raises(ValueError, match=r"more than one column named \['price'\]"):
        CovariateEncoder().fit(single).transform(twice, ["price"])


def test_another_word_than_auto_is_refused(single):
    with pytest.raises(ValueError, match="categorical='all'"):
        CovariateEncoder(categorical="all").fit(single)


def test_failed_fit_leaves_the_previous_one(single):
    encoder = CovariateEncoder().fit(single)
    before = encoder.transform(single, encoder.columns_)
    with pytest.raises(ValueError, match="infinity"):
        encoder.fit(changed(single, 0, "price", np.inf))
    pd.testing.assert_frame_equal(encoder.transform(single, encoder.columns_), before)


# --- numbers -------------------------------------------------------------------------------------


def test_numbers_are_standardised_over_all_series(panel):
    encoded = CovariateEncoder().fit(panel).transform(panel, ["price", "area"])
    assert encoded.index.equals(panel.index)
    assert (encoded.dtypes == np.float64).all()
    np.testing.assert_allclose(encoded.mean(), 0, atol=1e-12)
    np.testing.assert_allclose(encoded.std(ddof=0), 1)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e12])
def test_constant_numbers_have_scale_one(constant):
    X = pd.DataFrame({"x": np.full(100, constant)})
    encoder = CovariateEncoder().fit(X)
    np.testing.assert_allclose(encoder.transform(X, ["x"])["x"], 0, atol=1e-12)
    np.testing.assert_allclose(encoder.transform(X + 2, ["x"])["x"], 2, rtol=1e-3)


def test_missing_numbers_become_zero_and_are_marked(single):
    encoder = CovariateEncoder().fit(single)
    encoded = encoder.transform(single, ["load", "price"])
    assert encoded.columns.tolist() == ["load", "load missing", "price"]
    assert encoded["load"].iloc[2] == 0
    assert encoded["load missing"].tolist() == [0, 0, 1, 0]
    np.testing.assert_allclose(encoded["load"].iloc[[0, 1, 3]].mean(), 0, atol=1e-12)


def test_mark_stays_where_nothing_is_missing_later(single):
    encoder = CovariateEncoder().fit(single)
    assert encoder.transform(single[:2], ["load"])["load missing"].tolist() == [0, 0]


def test_numbers_missing_for_the_first_time_are_refused(single, panel):
    with pytest.raises(ValueError, match=r"'price' has no value at 2024-01-02, .* Fill it"):
        CovariateEncoder().fit(single).transform(changed(single, 1, "price", np.nan), ["price"])
    with pytest.raises(ValueError, match="'price' has no value at 2024-01-03 in series 'a'"):
        CovariateEncoder().fit(panel).transform(changed(panel, 6, "price", np.nan), ["price"])


def test_a_column_without_any_value_says_only_that(single):
    encoder = CovariateEncoder().fit(single.assign(load=np.nan))
    encoded = encoder.transform(single, ["load"])
    assert encoded["load missing"].tolist() == [0, 0, 1, 0]
    assert np.isfinite(encoded).all(axis=None)
    nothing = encoder.transform(single.assign(load=None), ["load"])
    assert nothing.to_numpy().tolist() == [[0, 1]] * 4


def test_an_object_column_without_any_value_has_no_category(single):
    encoder = CovariateEncoder().fit(single.assign(load=None))
    assert encoder.cardinalities(["load"]) == {"load": 1}
    assert encoder.transform(single, ["load"])["load"].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39])
def test_infinity_is_refused_with_its_place(value, panel):
    message = r"infinity or .* in column 'price' at 2024-01-02 in series 'a'"
    bad = changed(panel, 5, "price", value)
    with pytest.raises(ValueError, match=message):
        CovariateEncoder().fit(bad)
    with pytest.raises(ValueError, match=message):
        CovariateEncoder().fit(panel).transform(bad, ["price"])


@pytest.mark.parametrize(
    "dtype",
    ["int8", "int64", "float32", "Int64", "Float64", "object", "double[pyarrow]"],
)
def test_types_of_numbers_give_the_same_result(dtype):
    X = pd.DataFrame({"x": [1.0, 2.0, 5.0]})
    expected = CovariateEncoder().fit(X).transform(X, ["x"])
    typed = X.astype(dtype)
    pd.testing.assert_frame_equal(CovariateEncoder().fit(typed).transform(typed, ["x"]), expected)


@pytest.mark.parametrize("gap", [None, np.nan, pd.NA])
def test_kinds_of_missing_values_give_the_same_result(gap):
    X = pd.DataFrame({"x": [1.0, np.nan, 5.0]})
    expected = CovariateEncoder().fit(X).transform(X, ["x"])
    other = pd.DataFrame({"x": pd.Series([1.0, gap, 5.0], dtype=object)})
    pd.testing.assert_frame_equal(CovariateEncoder().fit(other).transform(other, ["x"]), expected)


# --- categories ----------------------------------------------------------------------------------

CATEGORIES = [
    pd.Series(["b", "a", "b"]),
    pd.Series(["b", "a", "b"], dtype=object),
    pd.Series(["b", "a", "b"], dtype="string"),
    pd.Series(["b", "a", "b"], dtype="string[pyarrow]"),
    pd.Series(pd.Categorical(["b", "a", "b"], categories=["c", "b", "a"])),
    pd.Series(pd.Categorical([2, 1, 2])),
    pd.Series([True, False, True]),
    pd.Series([True, False, True], dtype="boolean"),
]


@pytest.mark.parametrize("column", CATEGORIES, ids=lambda column: str(column.dtype))
def test_f060_strings_categories_and_bools_become_codes(column):
    X = pd.DataFrame({"x": column})
    encoder = CovariateEncoder().fit(X)
    assert encoder.transform(X, ["x"])["x"].tolist() == [2, 1, 2]
    assert encoder.cardinalities(["x"]) == {"x": 3}
    assert encoder.feature_names(["x"]) == ["x"]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["1", "2"]),
        pd.Series(["1", "2"], dtype=object),
        pd.Series(["1", 2], dtype=object),
        pd.Series(["1", "2"], dtype="category"),
        pd.to_datetime(pd.Series(["2024-01-01", "2024-01-02"])),
        pd.Series([1j, 2j]),
    ],
    ids=lambda column: str(column.dtype),
)
def test_f060_columns_that_hold_no_numbers_are_named(column):
    X = pd.DataFrame({"price": [1.0, 2.0], "promo": column})
    message = r"column 'promo' of dtype .* does not hold numbers; declare it in categorical"
    with pytest.raises(ValueError, match=message):
        CovariateEncoder(categorical=[]).fit(X)
    encoder = CovariateEncoder().fit(X.assign(promo=[1.0, 2.0]))
    with pytest.raises(ValueError, match=message):
        encoder.transform(X, ["promo"])


def test_f060_declared_columns_are_categorical_and_no_others(single):
    X = single.drop(columns="promo").assign(weekday=[1, 5, 1, 5])
    encoder = CovariateEncoder(categorical=["weekday"]).fit(X)
    encoded = encoder.transform(X, ["weekday", "open"])
    assert encoded["weekday"].tolist() == [1, 2, 1, 2]
    np.testing.assert_allclose(encoded["open"].mean(), 0, atol=1e-12)  # a number: 0 or 1
    assert encoder.cardinalities(X.columns) == {"weekday": 3}


@pytest.mark.parametrize("gap", [None, np.nan, pd.NA])
def test_unknown_and_missing_categories_have_code_zero(gap):
    encoder = CovariateEncoder().fit(pd.DataFrame({"x": ["b", "a", gap]}))
    assert encoder.cardinalities(["x"]) == {"x": 3}
    new = pd.DataFrame({"x": pd.Series(["a", "new", gap, 7, ("a",)], dtype=object)})
    assert encoder.transform(new, ["x"])["x"].tolist() == [1, 0, 0, 0, 0]


def test_categories_never_seen_are_unknown():
    column = pd.Categorical(["a", "a"], categories=["a", "b"])
    encoder = CovariateEncoder().fit(pd.DataFrame({"x": column}))
    assert encoder.cardinalities(["x"]) == {"x": 2}
    assert encoder.transform(pd.DataFrame({"x": ["b", "a"]}), ["x"])["x"].tolist() == [0, 1]


def test_f026_columns_of_which_no_category_was_seen():
    seen = pd.DataFrame({"x": [*"dcba"], "flag": [True, False] * 2, "n": [0.0, 1.0, 2.0, 3.0]})
    encoder = CovariateEncoder().fit(seen)
    assert encoder.unseen(seen[2:], ["x", "flag", "n"]) == []
    assert encoder.unseen(pd.DataFrame({"x": ["a", "z"], "n": [8, 9]}), ["x", "n"]) == []
    assert encoder.unseen(pd.DataFrame({"x": [None, None]}), ["x", "flag"]) == []
    other = pd.DataFrame({"x": [*"zyxx"], "flag": ["yes", "no", None, "no"]})
    assert encoder.unseen(other, ["x", "flag"]) == [
        ("x", "'z', 'y', 'x'", "'a', 'b', 'c', ..."),
        ("flag", "'yes', 'no'", "False, True"),
    ]
    assert encoder.unseen(other, ["n"]) == []


def test_whole_numbers_are_the_same_category_as_floats():
    encoder = CovariateEncoder(categorical=["x"]).fit(pd.DataFrame({"x": [3, 1]}))
    assert encoder.transform(pd.DataFrame({"x": [1.0, np.nan, 3.0]}), ["x"])["x"].tolist() == [
        1,
        0,
        2,
    ]


def test_codes_do_not_depend_on_the_order_of_rows(rng):
    X = pd.DataFrame({"x": pd.Series(["b", 2, "a", 1, None, ("t", 1)], dtype=object)})
    expected = CovariateEncoder().fit(X).transform(X, ["x"])
    shuffled = X.iloc[rng.permutation(len(X))]
    found = CovariateEncoder().fit(shuffled).transform(X, ["x"])
    pd.testing.assert_frame_equal(found, expected)


def test_tuples_may_be_categories():
    X = pd.DataFrame({"x": pd.Series([("b", 1), ("a", 1), None], dtype=object)})
    encoder = CovariateEncoder().fit(X)
    assert encoder.transform(X, ["x"])["x"].tolist() == [2, 1, 0]
    longer = pd.DataFrame({"x": [("a", 1, 2), ("b", 1)]})
    assert encoder.transform(longer, ["x"])["x"].tolist() == [0, 2]


def test_values_that_are_no_categories_are_refused():
    X = pd.DataFrame({"x": pd.Series([[1], [2]], dtype=object)})
    with pytest.raises(ValueError, match=r"column 'x' is categorical, but .* strings"):
        CovariateEncoder().fit(X)


# --- transform -----------------------------------------------------------------------------------


def test_f058_lacking_columns_are_listed(single):
    encoder = CovariateEncoder().fit(single[["promo"]])
    message = r"fitted with X columns ['promo']; got ['price'], without ['promo']"
    with pytest.raises(ValueError, match=re.escape(message)):
        encoder.transform(single[["price"]], ["promo"])


def test_extra_columns_and_their_order_do_not_matter(single):
    encoder = CovariateEncoder().fit(single)
    expected = encoder.transform(single, ["price", "open"])
    other = single[single.columns[::-1]].assign(extra=np.inf)
    pd.testing.assert_frame_equal(encoder.transform(other, ["price", "open"]), expected)


def test_rows_are_encoded_one_by_one(panel):
    encoder = CovariateEncoder().fit(panel)
    encoded = encoder.transform(panel, encoder.columns_)
    part = [6, 0, 3]
    found = encoder.transform(panel.iloc[part], encoder.columns_)
    pd.testing.assert_frame_equal(found, encoded.iloc[part])


def test_no_columns_give_a_frame_without_columns(single):
    encoded = CovariateEncoder().fit(single).transform(single, [])
    assert encoded.shape == (4, 0)
    assert encoded.index.equals(single.index)


def test_feature_names_are_the_columns(panel):
    encoder = CovariateEncoder().fit(panel)
    for columns in ([], ["promo", "load"], encoder.columns_):
        encoded = encoder.transform(panel, columns)
        assert encoder.feature_names(columns) == encoded.columns.tolist()
    assert encoder.cardinalities(["load", "promo", "town"]) == {"promo": 3, "town": 3}


def test_names_may_be_numbers(single):
    X = single.set_axis(range(4), axis=1)
    encoder = CovariateEncoder(past=[1]).fit(X)
    assert encoder.feature_names([0, 1]) == [0, 1, "1 missing"]
    assert np.isfinite(encoder.transform(X, encoder.columns_)).all(axis=None)


def test_input_is_not_written_to(panel):
    before = panel.copy(deep=True)
    encoder = CovariateEncoder(static=["town"]).fit(panel)
    encoded = encoder.transform(panel, encoder.columns_)
    encoded.iloc[:] = 0
    encoder.static_table(panel)
    pd.testing.assert_frame_equal(panel, before)


@pytest.mark.parametrize("copied", [lambda e: pickle.loads(pickle.dumps(e)), copy.deepcopy])
def test_copies_encode_alike(copied, panel):
    encoder = CovariateEncoder(static=["town"]).fit(panel)
    other = copied(encoder)
    pd.testing.assert_frame_equal(
        other.transform(panel, encoder.columns_), encoder.transform(panel, encoder.columns_)
    )


# --- static columns ------------------------------------------------------------------------------


def test_static_table_has_one_row_per_series(panel):
    encoder = CovariateEncoder(static=["area", "town"]).fit(panel)
    table = encoder.static_table(panel)
    assert table.index.tolist() == ["a", "b"]
    assert table.index.names == ["shop"]
    assert table["area"].tolist() == [-1, 1]
    assert table["town"].tolist() == [1, 2]


def test_static_table_of_interleaved_series(panel, rng):
    encoder = CovariateEncoder(static=["area", "town"]).fit(panel)
    shuffled = panel.iloc[rng.permutation(len(panel))]
    pd.testing.assert_frame_equal(encoder.static_table(shuffled), encoder.static_table(panel))


def test_static_table_of_several_levels(panel):
    deep = pd.concat({"west": panel}, names=["region"])
    table = CovariateEncoder(static=["town"]).fit(deep).static_table(deep)
    assert table.index.tolist() == [("west", "a"), ("west", "b")]
    assert table.index.names == ["region", "shop"]


def test_static_table_of_a_single_series(single):
    X = single[["promo"]].assign(town="Bonn")
    table = CovariateEncoder(static=["town"]).fit(X).static_table(X)
    assert table.index.tolist() == [None]
    assert table.to_numpy().tolist() == [[1]]


def test_static_table_without_static_columns(panel):
    assert CovariateEncoder().fit(panel).static_table(panel).shape == (2, 0)


def test_static_table_marks_missing_values(panel):
    X = panel.assign(area=panel["area"].where(panel["area"] > 1))
    table = CovariateEncoder(static=["area"]).fit(X).static_table(X)
    assert table.loc["a"].tolist() == [0, 1]
    assert table.loc["b"].tolist() == [0, 0]  # the only value is the mean


@pytest.mark.parametrize("value", ["Bern", None])
def test_static_column_that_changes_is_refused(value, panel, single):
    bad = changed(panel, 5, "town", value)
    message = "static column 'town' changes in series 'a'"
    with pytest.raises(ValueError, match=message):
        CovariateEncoder(static=["town"]).fit(bad)
    with pytest.raises(ValueError, match=message):
        CovariateEncoder(static=["town"]).fit(panel).static_table(bad)
    with pytest.raises(ValueError, match="static column 'price' changes; make it"):
        CovariateEncoder(static=["price"]).fit(single)


def test_series_with_numbers_or_several_levels_are_named_as_written(panel):
    numbered = panel.rename(index={"a": 1, "b": 2}, level=0)
    with pytest.raises(ValueError, match="changes in series 1;"):
        CovariateEncoder(static=["town"]).fit(changed(numbered, 5, "town", "Bern"))
    deep = pd.concat({7: numbered})
    with pytest.raises(ValueError, match=re.escape("changes in series (7, 1);")):
        CovariateEncoder(static=["town"]).fit(changed(deep, 5, "town", "Bern"))
    with pytest.raises(ValueError, match=re.escape("at 2024-01-02 in series (7, 1);")):
        CovariateEncoder().fit(changed(deep, 5, "price", np.inf))
