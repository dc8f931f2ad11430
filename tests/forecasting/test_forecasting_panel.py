"""Panel: what is read from sktime's containers comes back, and nothing is guessed silently."""

import copy
import pickle
import time

import numpy as np
import pandas as pd
import pytest
from small_models import between, tail

from skrnn._forecasting._clock import Clock
from skrnn._forecasting._panel import Panel, panel_frame, panel_index, read_panel

DAYS = pd.date_range("2024-01-01", periods=10, freq="D", name="day")


@pytest.fixture
def single() -> pd.DataFrame:
    """Return one series of two columns."""
    return pd.DataFrame({"v": np.arange(10.0), "w": np.arange(10) ** 2}, index=DAYS)


@pytest.fixture
def panel(rng) -> pd.DataFrame:
    """Return three series that start and end at different times."""
    parts = {"b": DAYS[:6], "a": DAYS[2:], "c": DAYS[4:9]}
    frames = {key: pd.DataFrame({"v": rng.normal(size=len(t))}, t) for key, t in parts.items()}
    return pd.concat(frames, names=["shop"]).sort_index()


@pytest.fixture
def hierarchy(panel) -> pd.DataFrame:
    """Return two regions with three series each, keys of int8 and category."""
    frame = pd.concat({3: panel, 1: panel + 1}, names=["region"]).sort_index()
    levels = [frame.index.get_level_values(i) for i in range(3)]
    levels = [levels[0].astype("int8"), levels[1].astype("category"), levels[2]]
    return frame.set_axis(pd.MultiIndex.from_arrays(levels, names=frame.index.names))


def restored(panel: Panel) -> pd.DataFrame:
    return panel_frame(panel.values, [panel.ticks(i) for i in range(panel.n_series)], panel)


def assert_same(panel: Panel, other: Panel) -> None:
    assert panel.keys == other.keys
    assert panel.clock == other.clock
    np.testing.assert_array_equal(panel.offsets, other.offsets)
    np.testing.assert_array_equal(panel.first_ticks, other.first_ticks)
    np.testing.assert_array_equal(panel.values, other.values)


# --- there and back ----------------------------------------------------------------------------


def test_single_series(single):
    panel = read_panel(single)
    assert panel.keys == (None,)
    assert panel.key_names == []
    assert panel.time_name == "day"
    assert (panel.n_series, panel.n_columns) == (1, 2)
    np.testing.assert_array_equal(panel.series(0), single)
    pd.testing.assert_index_equal(panel.stamps(0), DAYS, check_names=False)
    pd.testing.assert_frame_equal(restored(panel), single.astype(float))


@pytest.mark.parametrize(
    "index",
    [
        pd.RangeIndex(5, 15),
        pd.Index(np.arange(10) - 3, name="i"),
        pd.period_range("2024-01", periods=10, freq="Q", name="q"),
        pd.date_range("2024-03-30 20:00", periods=10, freq="h", tz="Europe/Berlin"),
        pd.date_range("2024-01-01", periods=10, freq="B"),
    ],
    ids=["range", "integers", "periods", "hours", "business"],
)
def test_every_index_comes_back(index):
    frame = pd.DataFrame({0: np.arange(10.0)}, index=index)
    pd.testing.assert_frame_equal(restored(read_panel(frame)), frame)
    both = pd.concat({"x": frame, "y": frame[2:]}, names=["id"])
    pd.testing.assert_frame_equal(restored(read_panel(both)), both, check_freq=False)


def test_panel(panel):
    read = read_panel(panel)
    assert read.keys == ("a", "b", "c")
    assert (read.key_names, read.time_name) == (["shop"], "day")
    np.testing.assert_array_equal(read.lengths, [8, 6, 5])
    np.testing.assert_array_equal(read.first_ticks - read.first_ticks.min(), [2, 0, 4])
    np.testing.assert_array_equal(read.last_ticks - read.first_ticks.min(), [9, 5, 8])
    np.testing.assert_array_equal(read.series(1), panel.loc["b"])
    pd.testing.assert_frame_equal(restored(read), panel)


def test_hierarchy_keeps_the_types_of_its_keys(hierarchy):
    read = read_panel(hierarchy)
    assert read.keys[:2] == ((1, "a"), (1, "b"))
    frame = restored(read)
    pd.testing.assert_frame_equal(frame, hierarchy)
    assert list(frame.index.dtypes) == list(hierarchy.index.dtypes)


def test_forecasts_have_the_index_of_the_data(panel):
    read = read_panel(panel)
    ticks = [last + np.array([1, 3]) for last in read.last_ticks]
    frame = panel_frame(np.arange(6.0), ticks, read, columns=["q"])
    assert frame.columns.tolist() == ["q"]
    assert frame.loc[("b", "2024-01-09"), "q"] == 3
    blocks = panel_frame([np.arange(2.0)[:, None] + 2 * i for i in range(3)], ticks, read, ["q"])
    pd.testing.assert_frame_equal(frame, blocks)
    pd.testing.assert_index_equal(panel_index(ticks, read), frame.index)


@pytest.mark.parametrize("dtype", ["int8", "bool", "float32", "Int64", "Float64", "boolean"])
def test_numbers_of_every_type(dtype):
    frame = pd.DataFrame({"v": pd.Series([1, 0, 1], index=DAYS[:3]).astype(dtype)})
    np.testing.assert_array_equal(read_panel(frame).values, [[1], [0], [1]])
    if dtype in ("Int64", "Float64", "boolean"):
        frame.iloc[1, 0] = pd.NA
        np.testing.assert_array_equal(read_panel(frame).values, [[1], [np.nan], [1]])


@pytest.mark.parametrize("values", [["a"] * 10, [1j] * 10, DAYS, [object()] * 10])
def test_columns_without_numbers_are_refused(single, values):
    with pytest.raises(TypeError, match="column 'text' of X has dtype"):
        read_panel(single.assign(text=values), name="X")


def test_the_data_are_copied(single):
    before = single.copy()
    panel = read_panel(single)
    panel.values[:] = -1
    pd.testing.assert_frame_equal(single, before)
    floats = single.astype(float)
    panel = read_panel(floats)
    assert not np.shares_memory(panel.values, floats.to_numpy())


@pytest.mark.parametrize("tool", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_copies_are_equal(hierarchy, tool):
    read = read_panel(hierarchy)
    assert_same(tool(read), read)


def test_a_million_rows_are_quick(rng):
    hours = pd.date_range("2024-01-01", periods=1000, freq="D")
    index = pd.MultiIndex.from_product([[f"series {i}" for i in range(1000)], hours])
    frame = pd.DataFrame({"v": rng.normal(size=10**6)}, index=index)
    start = time.process_time()
    panel = read_panel(frame)
    assert time.process_time() - start < 2.0  # four times what was measured
    assert panel.n_series == 1000


# --- faults ------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [slice(None, None, -1), [0, 2, 1, 3]])
def test_f043_unsorted_time(single, panel, order):
    with pytest.raises(ValueError, match=r"not monotonic: .*use \.sort_index\(\)"):
        read_panel(single.iloc[order])
    with pytest.raises(ValueError, match=r"not monotonic in series 'b'"):
        read_panel(pd.concat([panel.loc[["a"]], panel.loc[["b"]].iloc[order]]))


def test_f044_duplicate_time(single, panel):
    double = pd.concat([single, single.iloc[[4]] + 2]).sort_index(kind="stable")
    with pytest.raises(ValueError, match="duplicate time 2024-01-05;"):
        read_panel(double)
    assert read_panel(double, duplicates="last").values[4].tolist() == [6, 18]
    assert read_panel(double, duplicates="mean").values[4].tolist() == [5, 17]
    double = pd.concat([panel, panel.loc[["c"]].iloc[[0, 0, 3]]]).sort_index(kind="stable")
    with pytest.raises(ValueError, match="duplicate time 2024-01-05 in series 'c'"):
        read_panel(double)
    for policy in ("last", "mean"):
        read = read_panel(double, duplicates=policy)
        pd.testing.assert_frame_equal(restored(read), panel)


def test_f044_mean_leaves_missing_values_out(single):
    frame = single.astype(float).iloc[[0, 1, 1, 2, 2, 3]]
    frame.iloc[2, 0] = frame.iloc[3, 0] = frame.iloc[4, 0] = np.nan
    values = read_panel(frame, duplicates="mean").values
    np.testing.assert_array_equal(values[:, 0], [0, 1, np.nan, 3])


def test_f045_gap(single, panel):
    with pytest.raises(ValueError, match=r"2 missing steps after 2024-01-04; use \.asfreq\('D'\)"):
        read_panel(single.drop(DAYS[[4, 5]]))
    with pytest.raises(ValueError, match="1 missing step after 2024-01-03 in series 'b'"):
        read_panel(panel.drop(("b", DAYS[3])))


def test_f045_gaps_are_masked_or_interpolated(single, panel):
    gapped = single.drop(DAYS[[4, 5, 8]])
    masked = read_panel(gapped, gaps="mask")
    pd.testing.assert_frame_equal(restored(masked), gapped.asfreq("D").astype(float))
    filled = read_panel(gapped, gaps="interpolate")
    expected = gapped.asfreq("D").interpolate("linear")
    pd.testing.assert_frame_equal(restored(filled), expected)
    gapped = panel.drop([("b", DAYS[3]), ("a", DAYS[4]), ("a", DAYS[5])])
    masked = restored(read_panel(gapped, gaps="mask"))
    pd.testing.assert_frame_equal(masked, gapped.reindex(panel.index))


def test_f045_interpolation_leaves_given_nan_alone(single):
    single.iloc[2, 0] = np.nan
    filled = read_panel(single.drop(DAYS[6]), gaps="interpolate").values[:, 0]
    np.testing.assert_array_equal(filled, [0, 1, np.nan, 3, 4, 5, 6, 7, 8, 9])


def test_f045_a_gap_that_no_memory_holds(single):
    frame = single.set_axis([*range(9), 10**12])
    with pytest.raises(ValueError, match=r"would fill 10 time points up to 1000000000001"):
        read_panel(frame, gaps="mask")


def test_f046_irregular_stamps(single, panel, rng):
    odd = DAYS[:1].append(DAYS[1:] + pd.to_timedelta(rng.integers(1, 80_000, 9), "s"))
    with pytest.raises(ValueError, match="no regular frequency"):
        read_panel(single.set_axis(odd), gaps="mask")
    with pytest.raises(ValueError, match="no regular frequency in series 7"):
        read_panel(pd.concat({7: single.set_axis(odd)}))
    with pytest.raises(ValueError, match="'b' has no regular frequency"):
        read_panel(pd.concat({"a": single, "b": single.set_axis(odd).iloc[:8]}))


def test_f047_lost_frequency(single):
    lost = single.set_axis(pd.DatetimeIndex(DAYS, freq=None))
    pd.testing.assert_frame_equal(restored(read_panel(lost)), single.astype(float))


def test_f048_hours_across_a_change_of_the_clocks():
    hours = pd.date_range("2024-10-26", periods=60, freq="h", tz="Europe/Berlin")
    frame = pd.DataFrame({"v": np.arange(60.0)}, index=hours)
    pd.testing.assert_frame_equal(restored(read_panel(frame)), frame)
    with pytest.raises(ValueError, match=r"1 missing step after 2024-10-27 02:00:00\+02:00"):
        read_panel(frame.drop(pd.Timestamp("2024-10-27 02:00:00+01:00")))


def test_f050_integers(single):
    read = read_panel(single.set_axis(range(5, 15)))
    assert (read.first_ticks[0], read.last_ticks[0]) == (5, 14)
    with pytest.raises(ValueError, match=r"1 missing step after 5; use \.reindex"):
        read_panel(single.set_axis(range(5, 25, 2)))


@pytest.mark.parametrize("index", [pd.timedelta_range("0D", periods=10), np.arange(10.0)])
def test_f051_other_indexes(single, index):
    for frame in (single.set_axis(index), pd.concat({"a": single.set_axis(index)})):
        with pytest.raises(TypeError, match="use a DatetimeIndex, a PeriodIndex or whole numbers"):
            read_panel(frame)


def test_f052_nothing_to_read(single, panel):
    for frame in (single.iloc[:0], panel.iloc[:0], single[[]]):
        with pytest.raises(ValueError, match="y needs at least 1 time point and 1 column, got"):
            read_panel(frame)


def test_f054_infinity(single, panel):
    single.loc[DAYS[3], "v"] = -np.inf
    with pytest.raises(ValueError, match="X contains infinity in column 'v' at 2024-01-04;"):
        read_panel(single, name="X")
    panel.loc[("c", DAYS[6])] = np.inf
    with pytest.raises(ValueError, match="y contains infinity in column 'v' at 2024-01-07 in ser"):
        read_panel(panel.sample(frac=1, random_state=0).sort_index(level=1, kind="stable"))


def test_f061_the_order_of_rows_does_not_matter(hierarchy, rng):
    read = read_panel(hierarchy)
    for _ in range(5):
        mixed = hierarchy.iloc[rng.permutation(len(hierarchy))].sort_index(level=2, kind="stable")
        assert_same(read_panel(mixed), read)
    rebuilt = pd.concat([part for _, part in hierarchy.groupby("shop", observed=True)][::-1])
    assert_same(read_panel(rebuilt), read)


@pytest.mark.parametrize("keys", [[10, 9, 2], ["x", "z", "y"], [2.5, -1.0, 0.0], ["b", 1, "a"]])
def test_f061_keys_of_any_type(single, keys):
    frame = pd.concat({key: single.iloc[: i + 3] for i, key in enumerate(keys)})
    read = read_panel(frame)
    assert set(read.keys) == set(keys)
    for i, key in enumerate(keys):
        assert len(read.series(read.keys.index(key))) == i + 3


def test_f061_missing_keys(panel):
    frame = panel.reset_index()
    frame.loc[3, "shop"] = None
    with pytest.raises(ValueError, match="level 'shop' of the index has missing keys"):
        read_panel(frame.set_index(["shop", "day"]))


def test_f061_missing_stamps(panel):
    frame = panel.reset_index()
    frame.loc[3, "day"] = pd.NaT
    with pytest.raises(ValueError, match="missing stamp"):
        read_panel(frame.set_index(["shop", "day"]))


def test_f061_mixed_frequencies(single):
    weeks = pd.date_range("2024-01-01", periods=20, freq="W-MON", name="day")
    frame = pd.concat({"d": single, "w": pd.DataFrame({"v": 0.0, "w": 0.0}, weeks)})
    with pytest.raises(ValueError, match="mixed frequencies: series 'w' has 'W-MON', series 'd'"):
        read_panel(frame, gaps="mask")


def test_unused_levels_do_not_matter(panel):
    cut = panel.loc[["a", "c"]].loc[lambda f: f.index.get_level_values("day") > DAYS[4]]
    read = read_panel(cut)
    assert read.keys == ("a", "c")
    pd.testing.assert_frame_equal(restored(read), cut)


def test_a_given_clock_decides(single):
    clock = Clock.of(DAYS[:3], np.array([0, 3]), [None])
    one = read_panel(single.iloc[[7]], clock=clock)
    assert one.first_ticks[0] == clock.ticks(DAYS)[7]
    with pytest.raises(ValueError, match="off the grid"):
        read_panel(single.set_axis(DAYS + pd.Timedelta("1h")), clock=clock)
    with pytest.raises(TypeError, match="indexed by dates"):
        read_panel(single.set_axis(range(10)), clock=clock)


# --- parts of a panel, and more data -----------------------------------------------------------


def test_some_series(panel):
    swapped = read_panel(panel).take([2, 0])
    assert swapped.keys == ("c", "a")
    pd.testing.assert_frame_equal(restored(swapped).sort_index(), panel.loc[["a", "c"]])


def test_f065_parts_join_to_the_whole(hierarchy, single):
    for frame in (hierarchy, single):
        whole = read_panel(frame)
        early = between(whole, 0, whole.last_ticks - 2)
        assert_same(early.extend(tail(whole, 2)), whole)
        assert_same(early.extend(tail(whole, 4)), whole)
        assert_same(whole.extend(tail(whole, 1)), whole)


def test_f065_the_newest_value_wins(single):
    read = read_panel(single)
    newer = read_panel(single.iloc[3:5] + 100, clock=read.clock)
    joined = read.extend(newer)
    assert joined.values[:, 0].tolist() == [0, 1, 2, 103, 104, 5, 6, 7, 8, 9]
    assert read.values[3, 0] == 3


def test_f065_gap_to_the_newer_data(panel, single):
    read = read_panel(panel)
    newer = read_panel(
        panel.loc[["b"]]
        .iloc[:2]
        .set_axis(pd.MultiIndex.from_product([["b"], DAYS[8:]], names=["shop", "day"])),
        clock=read.clock,
    )
    with pytest.raises(ValueError, match="2 missing steps after 2024-01-06 in series 'b'; use"):
        read.extend(newer)
    masked = read.extend(newer, gaps="mask")
    assert np.isnan(masked.series(1)[:, 0]).tolist() == [False] * 6 + [True] * 2 + [False] * 2
    whole = read_panel(single)
    line = between(whole, 0, whole.first_ticks + 4).extend(tail(whole, 2), gaps="interpolate")
    np.testing.assert_allclose(line.values[:, 0], np.arange(10.0))


def test_f065_older_data(panel):
    read = read_panel(panel)
    with pytest.raises(ValueError, match="in series 'a' end at 2024-01-04, which is older than"):
        tail(read, 3).extend(between(read, 0, read.first_ticks + 1))
    longer = tail(read, 3).extend(read)
    assert_same(longer, read)


def test_f065_new_series_come_after_the_known_ones(panel):
    read = read_panel(panel)
    known = read.take([0, 2])
    joined = known.extend(read.take([1, 2]))
    assert joined.keys == ("a", "c", "b")
    assert_same(joined.take([0, 2, 1]), read)
    pd.testing.assert_frame_equal(restored(joined).sort_index(), panel)
    with pytest.raises(ValueError, match="in series 'c' end at"):
        tail(read.take([0, 2]), 1).extend(between(read.take([1, 2]), 0, read.first_ticks[2]))


def test_f065_other_columns(single):
    read = read_panel(single)
    assert_same(read.extend(read_panel(single[["w", "v"]])), read)
    with pytest.raises(ValueError, match=r"columns \['v', 'z'\], expected \['v', 'w'\]"):
        read.extend(read_panel(single.rename(columns={"w": "z"})))


def test_f065_other_frequency_or_levels(single, panel):
    read = read_panel(single)
    weekly = read_panel(single.set_axis(pd.date_range("2024", periods=10, freq="W")))
    with pytest.raises(ValueError, match="have frequency 'W-SUN', expected 'D'"):
        read.extend(weekly)
    with pytest.raises(ValueError, match="have 1 index levels besides time, expected 0"):
        read_panel(single[["v"]]).extend(read_panel(panel))
