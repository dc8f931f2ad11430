"""Long tables: there and back without a loss, and faults that name their rows."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from skrnn.preprocessing import SequenceScaler, sequences_from_frame, sequences_to_frame

LIBRARIES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "pandas": lambda df: df,
    "polars": pl.from_pandas,
    "pyarrow": lambda df: pa.Table.from_pandas(df, preserve_index=False),
}


@pytest.fixture
def table() -> pd.DataFrame:
    """Return a tidy table: ids in order of appearance, times ascending within each."""
    return pd.DataFrame(
        {
            "ship": ["b", "b", "b", "a", "c", "c"],
            "time": pd.to_datetime(
                ["2024-01-01", "2024-01-02", "2024-01-05", "2024-01-01", "2023-12-31", "2024-01-01"]
            ),
            "speed": [1.0, np.nan, 3.0, 4.0, 5.0, 6.0],
            "crew": [1, 2, 3, 4, 5, 6],
            "safe": ["yes", "yes", "yes", "no", "no", "no"],
        }
    )


@pytest.mark.parametrize("library", LIBRARIES)
def test_round_trip(library: str, table: pd.DataFrame) -> None:
    table = table.drop(columns="safe")
    df = LIBRARIES[library](table)
    X, ids = sequences_from_frame(df, id="ship", time="time")
    back = sequences_to_frame(X, ids, output=library)
    assert type(back) is type(df)
    pd.testing.assert_frame_equal(
        back if library == "pandas" else back.to_pandas(),
        table if library == "pandas" else df.to_pandas(),
    )


@pytest.mark.parametrize("library", LIBRARIES)
def test_row_order_does_not_matter_within_ids(library: str, table: pd.DataFrame) -> None:
    shuffled = table.iloc[[2, 5, 0, 3, 4, 1]]
    X, ids, y = sequences_from_frame(
        LIBRARIES[library](shuffled), id="ship", time="time", target="safe"
    )
    assert list(ids) == ["b", "c", "a"]
    assert [x["crew"].tolist() for x in X] == [[1, 2, 3], [5, 6], [4]]
    assert list(y) == ["yes", "no", "no"]
    assert all(x.index.is_monotonic_increasing for x in X)


@pytest.mark.parametrize(
    "labels",
    [
        np.array([7, 3, 5]),
        np.array([1.5, -2.0, 0.0]),
        pd.to_datetime(["2024-03-01", "2024-01-01", "2024-02-01"]).tz_localize("Europe/Berlin"),
        pd.Categorical(["z", "x", "y"]),
        pd.array(["z", "x", "y"], dtype="string"),
        pd.array([7, 3, 5], dtype="Int64"),
    ],
    ids=lambda labels: str(labels.dtype),
)
def test_ids_keep_order_and_dtype(labels: Any) -> None:
    df = pd.DataFrame({"id": pd.Series(labels).repeat(2).array, "v": np.arange(6.0)})
    X, ids = sequences_from_frame(df, id="id")
    assert ids.dtype == df["id"].dtype
    assert ids.name == "id"
    assert list(ids) == list(labels)
    assert sequences_to_frame(X, ids)["id"].dtype == df["id"].dtype


def test_feature_names_reach_estimators_and_types_are_kept(table: pd.DataFrame) -> None:
    X, _ = sequences_from_frame(table, id="ship", time="time", features=["crew", "speed"])
    assert X[0].dtypes.tolist() == [np.dtype("int64"), np.dtype("float64")]
    assert list(SequenceScaler().fit(X).feature_names_in_) == ["crew", "speed"]


def test_without_time_rows_keep_their_order_and_steps_are_numbered(table: pd.DataFrame) -> None:
    X, ids = sequences_from_frame(table.iloc[::-1], id="ship", features=["crew"])
    assert list(ids) == ["c", "a", "b"]
    assert X[2]["crew"].tolist() == [3, 2, 1]
    assert X[2].index.tolist() == [0, 1, 2]
    assert list(sequences_to_frame(X, ids).columns) == ["ship", "step", "crew"]


def test_target_per_step(table: pd.DataFrame) -> None:
    X, _, y = sequences_from_frame(
        table, id="ship", time="time", features=["speed"], target="crew", target_per="step"
    )
    assert [part.tolist() for part in y] == [[1, 2, 3], [4], [5, 6]]
    assert [len(x) for x in X] == [len(part) for part in y]


def test_named_index_levels_serve_as_columns(table: pd.DataFrame) -> None:
    panel = table.drop(columns="safe").set_index(["ship", "time"])
    X, ids = sequences_from_frame(panel, id="ship", time="time")
    expected, _ = sequences_from_frame(table.drop(columns="safe"), id="ship", time="time")
    assert list(ids) == ["b", "a", "c"]
    for got, frame in zip(X, expected, strict=True):
        pd.testing.assert_frame_equal(got, frame)
    unordered, _ = sequences_from_frame(panel, id="ship")
    assert list(unordered[0].columns) == ["speed", "crew"]


def test_the_table_is_not_changed(table: pd.DataFrame) -> None:
    before = table.copy(deep=True)
    X, ids = sequences_from_frame(table, id="ship", time="time", features=["speed"])
    X[0].iloc[0, 0] = 99.0
    back = sequences_to_frame(X, ids)
    back.iloc[0, 2] = 98.0
    pd.testing.assert_frame_equal(table, before)
    assert X[0].iloc[0, 0] == 99.0


def test_arrays_boxes_and_rows_become_tables() -> None:
    ragged = [np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0]])]
    box = np.full((2, 3, 2), np.nan)
    box[0, :2], box[1, :1] = ragged
    expected = pd.DataFrame(
        {"id": [0, 0, 1], "step": [0, 1, 0], "x0": [1.0, 3, 5], "x1": [2.0, 4, 6]}
    )
    pd.testing.assert_frame_equal(sequences_to_frame(ragged), expected)
    pd.testing.assert_frame_equal(sequences_to_frame(box), expected)
    named = sequences_to_frame(ragged, ["p", "q"], id="ship", time="hour", features=["u", "v"])
    assert list(named.columns) == ["ship", "hour", "u", "v"]
    rows = sequences_to_frame(np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert rows["x0"].tolist() == [1, 2, 3, 4]


def test_f044_duplicate_times_are_named(table: pd.DataFrame) -> None:
    table.loc[1, "time"] = table.loc[0, "time"]
    with pytest.raises(ValueError, match=r"duplicate time 2024-01-01.* in sequence 'b' \(1 dup"):
        sequences_from_frame(table, id="ship", time="time", features=["speed"])


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda df: df, {"id": "boat"}, r"columns \['boat'\] are not among"),
        (lambda df: df, {"features": ["depth"]}, r"columns \['depth'\] are not among"),
        (lambda df: df, {}, "feature 'safe' has dtype"),
        (lambda df: df, {"features": []}, "no column is left"),
        (lambda df: df, {"features": ["time"]}, "'time' has two roles"),
        (lambda df: df.iloc[:0], {"target": "safe"}, "no rows"),
        (lambda df: df.replace({"ship": {"a": None}}), {"target": "safe"}, "'ship' has 1 missing"),
        (lambda df: df, {"features": ["speed"], "target": "crew"}, "'crew' has several values"),
        (lambda df: df, {"target": "safe", "target_per": "row"}, "'target_per' parameter"),
    ],
)
def test_faults_of_a_table(
    change: Callable, options: dict, message: str, table: pd.DataFrame
) -> None:
    with pytest.raises(ValueError, match=message):
        sequences_from_frame(change(table), **({"id": "ship", "time": "time"} | options))


def test_something_else_than_a_table_is_refused() -> None:
    with pytest.raises(TypeError, match="Expected a pandas, polars or pyarrow table, got list"):
        sequences_from_frame([[1, 2]], id="a")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ids": ["a"]}, "1 ids for 2 sequences"),
        ({"ids": ["a", "a"]}, "id 'a' occurs twice"),
        ({"features": ["u", "v"]}, "2 feature names for sequences of 1 features"),
        ({"features": ["id"]}, r"several columns would be named \['id'\]"),
        ({"output": "dask"}, "'output' parameter"),
    ],
)
def test_faults_of_sequences(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sequences_to_frame([np.ones((2, 1)), np.ones((1, 1))], **options)


def test_frames_must_share_their_columns() -> None:
    frames = [pd.DataFrame({"a": [1.0]}), pd.DataFrame({"b": [1.0]})]
    with pytest.raises(ValueError, match="sequence 1 has columns"):
        sequences_to_frame(frames)
