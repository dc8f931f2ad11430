"""Irregular times in the estimators: only differences count, and they are read as they are."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from gappy_data import NAN, gappy, labels, timed
from sklearn.base import clone
from stored_data import as_maps

from skrnn import RNNClassifier, RNNRegressor
from skrnn.nn import Jitter
from skrnn.preprocessing import make_windows, sequences_from_frame

TINY: dict[str, Any] = {"hidden_size": 4, "max_epochs": 2, "random_state": 0}


@pytest.mark.parametrize("missing", ["error", "mask"])
def test_only_differences_between_stamps_count(missing: str) -> None:
    """Seconds since 1970 have no place in float32, their differences do."""
    X = gappy(share=0.4 if missing == "mask" else 0.0)
    near, far = timed(X), timed(X, 1.7e9)
    model = RNNClassifier(missing=missing, time_channel=-1, **TINY).fit(near, labels(X))
    expected = model.predict_proba(near)
    np.testing.assert_allclose(model.predict_proba(far), expected, atol=1e-5)
    refitted = clone(model).fit(far, labels(X)).predict_proba(far)
    np.testing.assert_allclose(refitted, expected, atol=1e-4)
    for x in near:
        x[:, -1] *= 5
    assert not np.allclose(model.predict_proba(near), expected, atol=1e-5)
    # Another unit of time is another scale, which is learned.
    rescaled = clone(model).fit(near, labels(X)).predict_proba(near)
    np.testing.assert_allclose(rescaled, expected, atol=1e-4)


def test_the_user_s_data_stay_as_they_are() -> None:
    X = timed(gappy())
    before = [x.copy() for x in X]
    RNNClassifier(missing="mask", time_channel=-1, **TINY).fit(X, labels(X)).predict(X)
    for x, same in zip(X, before, strict=True):
        np.testing.assert_array_equal(x, same)


def test_a_channel_has_a_name_or_a_position() -> None:
    X = timed(gappy())
    frames = [pd.DataFrame(x, columns=["a", "b", "c", "hour"]) for x in X]
    fits = [
        RNNClassifier(missing="mask", time_channel=channel, **TINY).fit(frames, labels(X))
        for channel in ("hour", 3, -1)
    ]
    first, *others = [model.predict_proba(frames) for model in fits]
    for other in others:
        assert np.array_equal(first, other)
    for unknown, words in (("day", "not among"), (4, "none of the 4 features")):
        with pytest.raises(ValueError, match=words):
            RNNClassifier(missing="mask", time_channel=unknown).fit(frames, labels(X))
    with pytest.raises(ValueError, match="features of X have none"):
        RNNClassifier(missing="mask", time_channel="hour").fit(X, labels(X))


@pytest.mark.parametrize("on_disk_too", [False, True])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        (NAN, "sequence 3 has the time nan at step 1"),
        (np.inf, "sequence 3 has the time inf at step 1"),
        (-9.0, "sequence 3 goes back in time at step 1"),
    ],
)
def test_wrong_times_are_found(tmp_path: Any, value: float, words: str, on_disk_too: bool) -> None:
    X = timed([np.random.default_rng(0).normal(size=(5, 2)) for _ in range(6)])
    y = np.arange(6) % 2
    model = RNNClassifier(time_channel=2, **TINY).fit(X, y)
    X[3][1, 2] = value
    given = as_maps(tmp_path, X) if on_disk_too else X
    for call in (lambda: model.fit(given, y), lambda: model.predict(given)):
        with pytest.raises(ValueError, match=words):
            call()


def test_steps_at_the_same_time_are_taken() -> None:
    X = timed(gappy())
    X[0][:, -1] = 2.0
    RNNClassifier(missing="mask", time_channel=-1, **TINY).fit(X, labels(X)).predict(X)


def test_times_alone_are_sequences() -> None:
    X = [x[:, -1:] for x in timed(gappy())]
    model = RNNClassifier(time_channel=0, **TINY).fit(X, labels(X))
    assert np.isfinite(model.predict_proba(X)).all()


def test_windows_are_read_at_their_own_times() -> None:
    rng = np.random.default_rng(0)
    series = np.column_stack([rng.normal(size=40), rng.exponential(size=40).cumsum()])
    windows, _ = make_windows(series, window_length=6, horizon=1)
    y = np.arange(len(windows)) * 1.0
    model = RNNRegressor(time_channel=1, **TINY).fit(windows, y)
    expected = clone(model).fit(np.asarray(windows), y).predict(np.asarray(windows))
    np.testing.assert_allclose(model.predict(windows), expected, atol=1e-6)


def test_jitter_leaves_times_alone() -> None:
    X = timed(gappy())
    model = RNNClassifier(missing="mask", time_channel=-1, augmentation=Jitter(0.5), **TINY)
    seen = []

    class Watch(Jitter):
        def augment(self, x: Any, valid: Any, generator: Any) -> Any:
            seen.append(super().augment(x, valid, generator))
            return seen[-1]

    model.set_params(augmentation=Watch(0.5)).fit(X, labels(X))
    assert len(seen) > 0
    assert np.isfinite(model.predict_proba(X)).all()


def test_a_long_table_keeps_its_times() -> None:
    df = pd.DataFrame(
        {
            "who": ["b", "b", "a", "a", "b"],
            "at": pd.Timestamp("2024-01-01") + pd.to_timedelta([10, 9, 24, 96, 24], unit="h"),
            "pulse": [70.0, 71.0, NAN, 60.0, 72.0],
        }
    )
    X, _ = sequences_from_frame(df, id="who", time="at", time_feature=True)
    assert list(X[0].columns) == ["at", "pulse"]
    assert list(X[0]["at"]) == [0.0, 3600.0, 15 * 3600.0]
    assert list(X[1]["at"]) == [0.0, 3 * 86400.0]
    model = RNNClassifier(missing="mask", time_channel="at", **TINY).fit(X, [0, 1])
    assert model.predict_proba(X).shape == (2, 2)
    plain, _ = sequences_from_frame(df.assign(at=range(5)), id="who", time="at", time_feature=True)
    assert list(plain[0]["at"]) == [0, 1, 4]
    with pytest.raises(ValueError, match="time_feature=True"):
        sequences_from_frame(df, id="who", time_feature=True)


@pytest.mark.parametrize("params", [{"cell": "lstm"}, {"cell": "grud", "missing": "mask"}])
def test_the_time_between_steps_can_be_learned(params: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    gaps = rng.exponential(size=(100, 6))
    y = (gaps[:, -1] > 0.7).astype(int)
    X = np.stack([np.ones_like(gaps), 1e3 + gaps.cumsum(axis=1)], axis=2)
    model = RNNClassifier(
        time_channel=1, hidden_size=16, max_epochs=40, lr=0.02, random_state=0, **params
    )
    assert model.fit(X[:60], y[:60]).score(X[60:], y[60:]) > 0.9
