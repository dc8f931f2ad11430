"""Explanations of data that sktime refuses, and the rows that X lacks."""

import numpy as np
import pandas as pd
import pytest

from skrnn._forecasting._explain import apart, explain, explained, missing_rows

DAYS = pd.date_range("2024-01-01", periods=4, freq="D")


def series(index=DAYS) -> pd.Series:
    return pd.Series(np.arange(len(index), dtype=float), index, name="sales")


# --- causes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        series(),
        series(pd.RangeIndex(3, 7)),
        series(DAYS.to_period()),
        series().to_frame(),
        series()[:0],
        pd.DataFrame(),
        pd.concat({"a": series().to_frame(), "b": series().to_frame()}),
        pd.concat({"a": series().to_frame(), "b": series().to_frame()}).sort_index(level=1),
        np.zeros(4),
        [series(), series()],
        pd.DataFrame({"x": [series(), series()]}),
        None,
        object(),
    ],
)
def test_nothing_is_wrong_that_is_known(data):
    assert explain(data) is None
    assert explain(data, None) is None


def test_an_unknown_fault_is_left_as_it_is():
    with pytest.raises(ValueError, match="boo") as caught, explained(series()):
        raise ValueError("boo")
    assert caught.value.__cause__ is None
    with pytest.raises(KeyError), explained([1.0]):
        raise KeyError("x")


@pytest.mark.parametrize("kind", [TypeError, ValueError, UnicodeDecodeError])
def test_a_known_fault_is_of_the_same_type(kind):
    error = kind("utf-8", b"x", 0, 1, "boo") if kind is UnicodeDecodeError else kind("boo")
    expected = TypeError if kind is TypeError else ValueError
    with pytest.raises(expected, match="y is of type list") as caught, explained([1.0]):
        raise error
    assert caught.value.__cause__ is error


def test_y_comes_before_X():
    assert explain([1.0], (2.0,)).startswith("y is of type list")
    assert explain(series(), (2.0,)).startswith("X is of type tuple")


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (["1949-01", "1949-02", "1949-03", "1949-04"], "dates as text; use"),
        (["Jan 2020", "Feb 2020", "Mar 2020", "Apr 2020"], "dates as text; use"),
        (["2020Q1", "2020Q2", "2020Q3", "2020Q4"], "dates as text; use"),
        (["20240101", "20240102", "20240103", "20240104"], "dates as text; use"),
        (["01/13/2024", "01/14/2024", "01/15/2024", "01/16/2024"], "dates as text; use"),
        (["12/01/2024", "13/01/2024", "14/01/2024", "15/01/2024"], "dates as text; .*dayfirst"),
        (["1949", "1950", "1951", "1952"], r"numbers as text; use .*astype\(int\)"),
        (["1949.1", "1949.2", "1949.3", "1949.4"], "numbers as text; make the times"),
        (["1,234", "2,234", "3,234", "4,234"], "text such as '1,234'; make the times"),
        (["10:00", "11:00", "12:00", "13:00"], "text such as '10:00'; make the times"),
        (["May", "June", "July", "August"], "text such as 'May'; make the times"),
        ([0.5, 1.0, 1.5, 2.0], "floating values such as 0.5; make the times"),
        ([1.0, 2.0, 3.0, 4.0], r"whole numbers of dtype float64; use .*astype\(int\)"),
        ([True, False, True, False], "boolean values such as True; make the times"),
    ],
)
def test_f051_what_an_index_holds(index, expected):
    with (
        pytest.raises(TypeError, match=f"the index of y holds {expected}"),
        explained(series(pd.Index(index))),
    ):
        raise TypeError


def test_f051_decimals():
    decimal = pytest.importorskip("decimal").Decimal
    y = pd.Series([decimal(1)] * 4, DAYS)
    assert explain(y) == "y holds objects of type Decimal; convert them with .astype(float)."
    assert ".astype(float)" in explain(y.to_frame("x"))


def test_f051_frames_of_other_libraries():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"sales": [1.0, 2.0]})
    assert explain(frame).startswith("y is of type polars.DataFrame; pass a pandas Series")


def test_f059_X_of_other_levels():
    y = pd.concat({("north", "a"): series().to_frame()}, names=["region", "shop", "date"])
    assert apart(y.index, y.index) is None
    text = apart(y.index, y.droplevel("region").index)
    assert text == (
        "X has the index levels ['shop', 'date'], but y has the index levels ['region', 'shop', "
        "'date']; give X those of y, with .set_index or .loc."
    )
    unnamed = y.rename_axis([None, None, None])
    assert "repeat X" in apart(unnamed.index, DAYS)
    assert "3 index levels" in apart(unnamed.index, DAYS)
    assert "one index level, of whole numbers" in apart(y.index, pd.RangeIndex(4))


# --- rows ----------------------------------------------------------------------------------------


def test_f059_missing_times_are_listed():
    needed = pd.date_range("2024-01-01", periods=9, freq="D")
    assert missing_rows(needed, needed) == ""
    assert missing_rows(needed[2:], needed) == "2024-01-01, 2024-01-02"
    assert missing_rows(needed[:7], needed) == "2024-01-08, 2024-01-09"
    assert missing_rows(needed[8:], needed) == (
        "2024-01-01, 2024-01-02, 2024-01-03, 2024-01-04, 2024-01-05 and 3 more"
    )


def test_f059_missing_pairs_are_listed():
    needed = pd.MultiIndex.from_product(
        [["a", "b"], pd.period_range("2024-01", periods=2, freq="M")]
    )
    assert missing_rows(needed, needed) == ""
    assert missing_rows(needed[[3, 0]], needed) == "('a', 2024-02), ('b', 2024-01)"
    numbered = pd.MultiIndex.from_product([[7], [1], pd.RangeIndex(8)])
    assert missing_rows(numbered[:6], numbered) == "((7, 1), 6), ((7, 1), 7)"


def test_f059_more_rows_than_needed_are_fine():
    needed = pd.MultiIndex.from_product([["a", "b"], DAYS])
    given = pd.MultiIndex.from_product([["c", "b", "a"], DAYS.union([DAYS[-1] + DAYS.freq])])
    assert missing_rows(given, needed) == ""
    assert missing_rows(given.set_names(["shop", "day"]), needed) == ""


@pytest.mark.parametrize(
    "given",
    [
        DAYS.tz_localize("Europe/Berlin"),
        DAYS.to_period(),
        DAYS + pd.Timedelta("1h"),
        pd.RangeIndex(4),
        DAYS[:0],
        pd.Index([]),
        pd.MultiIndex.from_product([["a"], DAYS]),
    ],
    ids=["time zone", "periods", "hour", "integers", "none", "empty", "panel"],
)
def test_f059_other_stamps_are_all_missing(given):
    assert missing_rows(given, DAYS) == "2024-01-01, 2024-01-02, 2024-01-03, 2024-01-04"
    panel = pd.MultiIndex.from_product([["a"], DAYS])
    if given.nlevels == 1:
        given = pd.MultiIndex.from_product([["a"], given])
        assert missing_rows(given, panel).startswith("('a', 2024-01-01), ('a', 2024-01-02)")


@pytest.mark.parametrize("given", [pd.Index([]), pd.RangeIndex(10, 24)])
def test_f058_without_any_row_all_are_missing(given):
    needed = pd.MultiIndex.from_product([["a"], pd.RangeIndex(10, 24)])
    assert missing_rows(needed[:0], needed) == missing_rows(given, needed)
    assert missing_rows(given, needed) == (
        "('a', 10), ('a', 11), ('a', 12), ('a', 13), ('a', 14) and 9 more"
    )
