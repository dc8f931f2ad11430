"""Inputs and history: every step gets the features of its own stamp and series."""

import numpy as np
import pandas as pd
import pytest
import torch

from skrnn._forecasting._history import History
from skrnn._forecasting._inputs import Inputs
from skrnn._forecasting._panel import read_panel
from skrnn.nn import CovariateEmbedding

SPANS = {"b": (0, 30), "a": (5, 25), "c": (12, 40)}
HOURS = pd.date_range("2024-03-01", periods=60, freq="h", name="time")


def frame(make, spans=None):
    """Return a panel frame of the series in `spans`, from what `make` gives for their stamps."""
    parts = {key: make(HOURS[a:b]) for key, (a, b) in (spans or SPANS).items()}
    return pd.concat(parts, names=["key"]).sort_index()


def make_y(spans=None, n_columns=1):
    names = list("uvw")[:n_columns]
    return frame(lambda t: pd.DataFrame({n: np.arange(float(len(t))) for n in names}, t), spans)


def make_X(spans=None):
    """Return covariates of all kinds; their values tell their stamps."""

    def one(t):
        number = (t - HOURS[0]) // pd.Timedelta("1h")
        return pd.DataFrame(
            {
                "weather": np.where(number % 3 == 0, "rain", "sun"),
                "price": number.astype(float),
                "holes": np.where(number % 4 == 1, np.nan, number * 2.0),
                "sales": number**2.0,
                "mood": np.where(number % 2, "good", "bad"),
            },
            index=t,
        )

    X = frame(one, spans)
    keys = X.index.get_level_values(0)
    X["size"] = keys.map({"a": 1.0, "b": 2.0, "c": 5.0, "d": 9.0}).astype(float)
    X["kind"] = keys.map({"a": "x", "b": "y", "c": "x", "d": "z"}).astype(object)
    return X


def learn(y=None, X="make", calendar="auto", **changes):
    panel = read_panel(make_y() if y is None else y)
    X = make_X() if isinstance(X, str) else X
    options = {"past": ["sales", "mood"], "static": ["kind", "size"], "categorical": "auto"}
    inputs = Inputs.learn(panel, X, calendar=calendar, **{**options, **changes})
    return panel, X, inputs


def expected_rows(inputs, X, key, stamps, columns):
    """Look up the features of each stamp one by one; 0 where X has no row."""
    rows = []
    for stamp in stamps:
        row = [*inputs.calendar.features(pd.DatetimeIndex([stamp]))[0]]
        names = inputs.encoder.feature_names(columns)
        codes = [name in inputs.encoder.cardinalities(columns) for name in names]
        values = np.zeros(len(names))
        if (key, stamp) in X.index:
            values = inputs.encoder.transform(X.loc[[(key, stamp)]], columns).to_numpy()[0]
        row += [v for v, code in zip(values, codes, strict=True) if not code]
        row += [v for v, code in zip(values, codes, strict=True) if code]
        rows.append(row)
    return np.array(rows, dtype=np.float32)


# --- sizes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_columns", [1, 3])
@pytest.mark.parametrize("calendar", ["auto", True, False])
@pytest.mark.parametrize("with_X", [True, False])
def test_sizes_are_those_of_the_arrays(n_columns, calendar, with_X):
    named = {} if with_X else {"past": None, "static": None}
    panel, X, inputs = learn(
        make_y(n_columns=n_columns), "make" if with_X else None, calendar, **named
    )
    arrays = History.of(panel, X, inputs).arrays()
    for name, (n_numbers, codes) in inputs.sizes.items():
        width = arrays[name].shape[1] if name in arrays else 0
        extra = 1 if name == "static" and n_columns > 1 else 0  # the column, added per window
        assert width + extra == n_numbers + len(codes)
        assert (name in arrays) == (n_numbers + len(codes) > 0)
        if width:
            assert arrays[name].dtype == np.float32
            assert len(arrays[name]) == (3 if name == "static" else len(panel.values))
            column = np.ones((len(arrays[name]), extra), dtype=np.float32)
            x = torch.from_numpy(np.concatenate([arrays[name], column], axis=1))
            # Numbers first, then codes within their range.
            features = CovariateEmbedding(n_numbers, codes)(x)
            assert torch.equal(features[:, :n_numbers], x[:, :n_numbers])


def test_no_calendar_and_no_X_is_no_input():
    panel, X, inputs = learn(X=None, calendar=False, past=None, static=None)
    assert History.of(panel, X, inputs).arrays() == {}
    assert inputs.known == []
    assert set(inputs.sizes.values()) == {(0, ())}


@pytest.mark.parametrize("name", ["past", "static"])
def test_declared_columns_need_X(name):
    other = {"past": "static", "static": "past"}[name]
    with pytest.raises(ValueError, match=r"\['price'\] are declared .* there is no X"):
        learn(X=None, **{name: ["price"], other: None})


def test_f058_a_history_needs_the_X_of_its_inputs():
    panel, _, inputs = learn()
    with pytest.raises(ValueError, match=r"fitted with X columns .*price.*; got no X"):
        History.of(panel, None, inputs)


# --- rows --------------------------------------------------------------------------------------


@pytest.mark.parametrize("calendar", ["auto", False])
@pytest.mark.parametrize("shuffled", [False, True])
def test_every_step_has_the_features_of_its_stamp(rng, calendar, shuffled):
    X = make_X()
    panel, X, inputs = learn(X=X, calendar=calendar)
    given = X.iloc[rng.permutation(len(X))].sort_index(level=1, sort_remaining=False)
    arrays = History.of(panel, given if shuffled else X, inputs).arrays()
    known = ["weather", "price", "holes"]
    assert inputs.known == known
    for name, columns in (("future", known), ("past", [*known, "sales", "mood"])):
        for i, key in enumerate(panel.keys):
            rows = arrays[name][panel.offsets[i] : panel.offsets[i + 1]]
            wanted = expected_rows(inputs, X, key, panel.stamps(i), columns)
            np.testing.assert_array_equal(rows, wanted)


def test_statics_go_by_key_in_any_order(rng):
    panel, X, inputs = learn()
    for order in ([0, 1, 2], [2, 0, 1], [1]):
        keys = [panel.keys[i] for i in order]
        rows = inputs.statics(X.iloc[rng.permutation(len(X))].sort_index(), keys)
        sizes = {"a": 1.0, "b": 2.0, "c": 5.0}
        numbers = np.array([sizes[key] for key in keys])
        # The number first, although it was declared last; then the code of the kind.
        repeated = X["size"].to_numpy()
        scaled = (numbers - repeated.mean()) / repeated.std()
        np.testing.assert_allclose(rows[:, 0], scaled, rtol=1e-5)
        codes = {"a": 1, "b": 2, "c": 1}
        assert rows[:, 1].tolist() == [codes[key] for key in keys]


def test_series_without_statics_get_zeros():
    _, X, inputs = learn()
    rows = inputs.statics(X, ["a", "nowhere"])
    assert bool((rows[0] != 0).any())
    assert bool((rows[1] == 0).all())


def test_statics_of_a_single_series_and_of_a_hierarchy():
    y, X = make_y().loc["a"], make_X().loc["a"]
    panel, X, inputs = learn(y, X)
    assert panel.keys == (None,)
    rows = inputs.statics(X, panel.keys)
    assert rows.tolist() == [[0.0, 1.0]]  # a single size is its own mean; the first kind
    deep = [pd.concat({7: f, 3: f}, names=["region"]).sort_index() for f in (make_y(), make_X())]
    panel, X, inputs = learn(*deep)
    rows = inputs.statics(X, panel.keys)
    flat = learn()
    expected = flat[2].statics(flat[1], [key for _, key in panel.keys])
    np.testing.assert_allclose(rows, expected, rtol=1e-6)


# --- ahead -------------------------------------------------------------------------------------


def test_spans_ahead_take_the_past_from_history_and_the_future_from_X():
    panel, X, inputs = learn()
    later = {key: (b, b + 6) for key, (_, b) in SPANS.items()}
    future = make_X(later).drop(columns=["sales", "mood", "size", "kind"])
    history = History.of(panel, X, inputs)
    read = inputs.read(future, panel.clock, past=False)
    first, n_steps = panel.last_ticks + 1 - 8, np.full(3, 8 + 6)
    arrays = history.arrays_ahead((first, n_steps), read)
    known = ["weather", "price", "holes"]
    for i, key in enumerate(panel.keys):
        stamps = panel.clock.stamps(first[i] + np.arange(14))
        whole = pd.concat([X[known], future])
        rows = arrays["future"][14 * i : 14 * (i + 1)]
        np.testing.assert_array_equal(rows, expected_rows(inputs, whole, key, stamps, known))
        past = arrays["past"][14 * i : 14 * (i + 1)]
        columns = [*known, "sales", "mood"]
        wanted = expected_rows(inputs, X, key, stamps[:8], columns)
        np.testing.assert_array_equal(past[:8], wanted)


def test_later_X_wins():
    panel, X, inputs = learn()
    history = History.of(panel, X, inputs)
    changed = X.copy()
    changed["price"] += 7.0
    spans = panel.first_ticks, panel.lengths
    newer = history.arrays_ahead(spans, inputs.read(changed, panel.clock, past=False))
    expected = History.of(panel, changed, inputs).arrays()
    for name in ("past", "future"):
        np.testing.assert_array_equal(newer[name], expected[name])


def test_steps_outside_of_X_have_zeros_but_a_calendar():
    panel, X, inputs = learn()
    n_calendar = len(inputs.calendar.names)
    assert n_calendar > 0
    spans = panel.last_ticks + 1, np.full(3, 10)
    arrays = History.of(panel, X, inputs).arrays_ahead(spans, None)
    for name in ("past", "future"):
        assert bool((arrays[name][:, n_calendar:] == 0).all())
        assert bool((arrays[name][:, :n_calendar] != 0).any())


# --- a growing history -------------------------------------------------------------------------


def test_a_history_in_two_parts_is_the_history_in_one():
    panel, X, inputs = learn()
    whole = History.of(panel, X, inputs).arrays()
    early = {key: (a, b - 7) for key, (a, b) in SPANS.items()}
    late = {key: (b - 7, b) for key, (_, b) in SPANS.items()}
    start = History.of(read_panel(make_y(early)), make_X(early), inputs)
    both = start.extend(read_panel(make_y(late), clock=panel.clock), make_X(late), "error")
    assert both.panel.lengths.tolist() == panel.lengths.tolist()
    for name, rows in both.arrays().items():
        np.testing.assert_array_equal(rows, whole[name])


def test_new_series_bring_their_statics_and_old_ones_keep_theirs():
    panel, X, inputs = learn()
    history = History.of(panel, X, inputs)
    fresh = {"d": (3, 20), "a": (25, 28)}
    longer = history.extend(read_panel(make_y(fresh), clock=panel.clock), make_X(fresh), "error")
    at = {key: i for i, key in enumerate(longer.panel.keys)}
    assert set(at) == {"a", "b", "c", "d"}
    old = {key: i for i, key in enumerate(panel.keys)}
    for key in "abc":
        np.testing.assert_array_equal(longer.statics[at[key]], history.statics[old[key]])
    assert longer.statics[at["d"]][0] > history.statics[:, 0].max()
    assert longer.statics[at["d"]][1] == 0  # a kind that was not there in fit


def test_parts_of_a_history_have_the_rows_of_their_series():
    panel, X, inputs = learn()
    history = History.of(panel, X, inputs)
    arrays = history.arrays()
    part = history.take(np.array([2, 0]))
    assert part.panel.keys == (panel.keys[2], panel.keys[0])
    np.testing.assert_array_equal(part.arrays()["static"], arrays["static"][[2, 0]])
    rows = [arrays["past"][panel.offsets[i] : panel.offsets[i + 1]] for i in (2, 0)]
    np.testing.assert_array_equal(part.arrays()["past"], np.concatenate(rows))


# --- what predict must bring -------------------------------------------------------------------


def test_f058_missing_X_is_asked_for():
    panel, _, inputs = learn()
    needed = pd.MultiIndex.from_product([panel.keys, HOURS[40:44]])
    with pytest.raises(ValueError, match=r"predict needs X for 12 rows: \(.*and 7 more.*future_fr"):
        inputs.check_future(None, needed)


def test_f059_missing_rows_are_listed():
    panel, _, inputs = learn()
    needed = pd.MultiIndex.from_product([panel.keys, HOURS[40:44]], names=["key", "time"])
    given = pd.DataFrame(index=needed.delete([1, 6]))
    inputs.check_future(pd.DataFrame(index=needed), needed)
    with pytest.raises(
        ValueError, match=r"no rows for .*2024-03-02 17.*2024-03-02 18.*; future_fr"
    ):
        inputs.check_future(given, needed)


def test_f059_missing_columns_are_named():
    panel, X, inputs = learn()
    with pytest.raises(ValueError, match=r"without \['price'\]"):
        inputs.read(X.drop(columns="price"), panel.clock, past=False)


def test_nothing_is_asked_where_nothing_is_known_ahead():
    columns = ["weather", "price", "holes", "sales", "mood"]
    panel, _, inputs = learn(past=columns)
    needed = pd.MultiIndex.from_product([panel.keys, HOURS[40:44]])
    inputs.check_future(None, needed)
    inputs.check_future(None, needed[:0])
    assert inputs.read(None, panel.clock, past=False) is None
