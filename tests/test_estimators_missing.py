"""Missing values and irregular times in the estimators: what they change, keep and refuse."""

import copy
import pickle
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from gappy_data import NAN, gappy, labels, timed
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback
from sktime.datatypes import convert_to
from stored_data import Items, as_maps, lower_limits, on_disk, padded

import skrnn
from skrnn import RNNClassifier, RNNForecaster, RNNRegressor
from skrnn.nn import GRUDLayer, Jitter, Mixup, Scaling, TimeWarp
from skrnn.preprocessing import SequencePadder, SequenceScaler
from skrnn.sktime import RNNClassifier as SktimeClassifier
from skrnn.sktime import RNNRegressor as SktimeRegressor

TINY: dict[str, Any] = {"hidden_size": 4, "max_epochs": 1, "random_state": 0}
WAYS: dict[str, dict[str, Any]] = {
    "lstm": {},
    "grud": {"cell": "grud"},
    "two layers": {"cell": "grud", "num_layers": 2},
    "conv": {"frontend": "conv"},
    "patch": {"frontend": "patch"},
    "attention": {"pooling": "attention"},
    "chunks": {"tbptt_steps": 3},
    "chunks of grud": {"tbptt_steps": 3, "cell": "grud"},
    "jitter": {"augmentation": [Jitter(), Scaling()]},
    "several": {"n_estimators": 2},
}
ways = pytest.mark.parametrize("params", WAYS.values(), ids=list(WAYS))


# -- missing values ---------------------------------------------------------------------------


@ways
def test_it_fits_predicts_and_is_pickled(params: dict[str, Any]) -> None:
    X = gappy()
    model = RNNClassifier(missing="mask", **params, **TINY).fit(X, labels(X))
    expected = model.predict_proba(X)
    assert np.isfinite(expected).all()
    assert np.array_equal(pickle.loads(pickle.dumps(model)).predict_proba(X), expected)
    assert np.array_equal(clone(model).fit(X, labels(X)).predict_proba(X), expected)
    step = clone(model).partial_fit(X, labels(X), [0, 1])
    assert np.isfinite(step.partial_fit(X, labels(X)).predict_proba(X)).all()
    again = model.set_params(warm_start=True).fit(X, labels(X))
    assert np.isfinite(again.predict_proba(X)).all()


@ways
def test_regressors_do_as_well(params: dict[str, Any]) -> None:
    X = gappy()
    model = RNNRegressor(missing="mask", **params, **TINY).fit(X, [np.nansum(x) for x in X])
    assert np.isfinite(model.predict(X)).all()
    assert np.isfinite(model.transform(X)).all()


@ways
@pytest.mark.parametrize("time_channel", [None, 3])
def test_padding_and_batch_mates_change_nothing(params: dict[str, Any], time_channel: Any) -> None:
    X = gappy() if time_channel is None else timed(gappy())
    model = RNNClassifier(missing="mask", time_channel=time_channel, **params, **TINY)
    model.fit(X, labels(X))
    together = model.predict_proba(X)
    alone = np.concatenate([model.predict_proba([x]) for x in X])
    np.testing.assert_allclose(alone, together, atol=1e-6)
    np.testing.assert_allclose(model.predict_proba(padded(X)), together, atol=1e-6)


@pytest.mark.parametrize("cell", ["lstm", "grud", "mingru"])
@pytest.mark.parametrize("time_channel", [None, 3])
def test_later_steps_change_no_earlier_answer(cell: str, time_channel: Any) -> None:
    X = gappy() if time_channel is None else timed(gappy())
    y = [np.arange(len(x)) * 1.0 for x in X]
    model = RNNRegressor(
        cell=cell, missing="mask", time_channel=time_channel, return_sequences=True, **TINY
    ).fit(X, y)
    whole = model.predict(X)
    for n in (1, 2, 4):
        for got, expected in zip(model.predict([x[:n] for x in X]), whole, strict=True):
            np.testing.assert_allclose(got, expected[:n], atol=1e-6)


def test_statistics_are_those_of_observed_values() -> None:
    X = gappy()
    model = RNNClassifier(missing="mask", **TINY).fit(X, labels(X))
    values = np.concatenate(X)
    scaler = model.net_.module_.scaler
    np.testing.assert_allclose(scaler.mean, np.nanmean(values, axis=0), rtol=1e-6)
    np.testing.assert_allclose(scaler.scale, np.nanstd(values, axis=0), rtol=1e-6)


def test_weight_two_is_seen_twice_in_all_statistics() -> None:
    X = gappy()
    weight = np.arange(len(X)) % 3
    twice = [x for x, w in zip(X, weight, strict=True) for _ in range(w)]
    one = RNNClassifier(missing="mask", **TINY).fit(X, labels(X), sample_weight=weight)
    other = RNNClassifier(missing="mask", **TINY).fit(twice, labels(twice))
    for name in ("scaler.mean", "scaler.scale", "irregular.time_scale"):
        found, expected = (m.net_.module_.state_dict()[name] for m in (one, other))
        torch.testing.assert_close(found, expected)


def test_times_have_the_root_mean_square_one() -> None:
    X = gappy()
    model = RNNClassifier(missing="mask", **TINY).fit(X, labels(X))
    irregular = model.net_.module_.irregular
    since = [irregular(torch.from_numpy(x).float()[None])[0][0, :, 6:] for x in X]
    mean = torch.cat(since).square().mean(dim=0)
    torch.testing.assert_close(mean, torch.ones(3))


def test_complete_data_are_read_as_well() -> None:
    X = gappy(share=0.0)
    model = RNNClassifier(missing="mask", **TINY).fit(X, labels(X))
    X[0][1] = NAN
    assert np.isfinite(model.predict_proba(X)).all()


def test_a_feature_that_fit_never_saw_is_ignored() -> None:
    X = gappy()
    for x in X:
        x[:, 1] = NAN
    model = RNNClassifier(missing="mask", **TINY).fit(X, labels(X))
    expected = model.predict_proba(X)
    for x in X:
        x[:, 1] = 1e9
    assert np.array_equal(model.predict_proba(X), expected)


@pytest.mark.parametrize("how", ["partial_fit", "warm_start"])
@pytest.mark.parametrize("params", [{}, {"time_channel": 0, "n_estimators": 2}])
def test_a_feature_that_comes_later_is_learned(how: str, params: dict[str, Any]) -> None:
    """Its statistics are those of the data that show it first; all others stay."""
    X = gappy()
    for x in X:
        x[:, 1] = NAN
    later, y = gappy(seed=1), labels(X)
    if params:
        X, later = ([x[:, [3, 0, 1, 2]] for x in timed(data)] for data in (X, later))
    model = RNNClassifier(missing="mask", **TINY, **params).fit(X, y)
    before = copy.deepcopy([net.module_ for net in model.nets_])
    if how == "partial_fit":
        model.partial_fit(later, labels(later))
    else:
        model.set_params(warm_start=True).fit(later, labels(later))
    column = 2 if params else 1
    values = np.concatenate(later)[:, column]
    for net, old in zip(model.nets_, before, strict=True):
        scaler, irregular = net.module_.scaler, net.module_.irregular
        assert irregular.known.all()
        assert not old.irregular.known.all()
        assert_allclose(scaler.mean[column], np.nanmean(values), rtol=1e-5)
        assert_allclose(scaler.scale[column], np.nanstd(values), rtol=1e-5)
        others = [i for i in range(len(scaler.mean)) if i != column]
        assert torch.equal(scaler.mean[others], old.scaler.mean[others])
        assert torch.equal(irregular.time_scale, old.irregular.time_scale)
    unseen = [x.copy() for x in later]
    for x in unseen:
        x[:, column] = NAN
    assert np.abs(model.predict_proba(unseen) - model.predict_proba(later)).max() > 1e-6


def test_a_failed_fit_learns_no_new_feature() -> None:
    X = gappy()
    for x in X:
        x[:, 1] = NAN
    model = RNNClassifier(missing="mask", **TINY).fit(X, labels(X))

    class Broken(Callback):
        def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
            raise RuntimeError("stop")

    model.set_params(warm_start=True, callbacks=[Broken()])
    with pytest.raises(RuntimeError, match="stop"):
        model.fit(gappy(seed=1), labels(X))
    assert not model.net_.module_.irregular.known.all()


def test_the_class_of_the_decaying_cell_is_the_cell() -> None:
    """It reads forward only under "auto", in all places, and upper layers read states."""
    X = gappy()
    params: dict[str, Any] = {"missing": "mask", **TINY, "hidden_size": (4, 3)}
    named = RNNClassifier(cell="grud", **params).fit(X, labels(X))
    given = RNNClassifier(cell=GRUDLayer, **params).fit(X, labels(X))
    assert np.array_equal(named.predict_proba(X), given.predict_proba(X))
    for wrong, words in [
        ({"missing": "error"}, "cell=GRUDLayer reads which values were observed"),
        ({"bidirectional": True}, "cell=GRUDLayer decays with the time"),
        ({"frontend": "patch"}, "cell=GRUDLayer reads values and masks themselves"),
    ]:
        with pytest.raises(ValueError, match=words):
            RNNClassifier(cell=GRUDLayer, **{**params, **wrong}).fit(X, labels(X))


@pytest.mark.parametrize("standardize", [True, False])
def test_what_was_never_observed_is_0(standardize: bool) -> None:
    """That is the mean of the training part where features are standardised, and only there."""
    X = gappy()
    model = RNNClassifier(missing="mask", standardize=standardize, **TINY).fit(X, labels(X))
    module = model.net_.module_
    silent = torch.full((1, 2, 3), NAN)
    assert (module.irregular(module.scaler(silent))[0][0, :, :3] == 0).all()
    mean = torch.tensor(np.nanmean(np.concatenate(X), axis=0)).float()
    known = module.irregular(module.scaler(mean[None, None]))[0][0, :, :3]
    assert bool((known.abs() < 1e-5).all()) == standardize


def test_padded_sequences_keep_their_gaps() -> None:
    X = gappy()
    model = make_pipeline(SequencePadder(), RNNClassifier(missing="mask", **TINY))
    plain = RNNClassifier(missing="mask", **TINY).fit(X, labels(X))
    assert_allclose(model.fit(X, labels(X)).predict_proba(X), plain.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("params", [{}, {"cell": "grud", "time_channel": -1}])
def test_a_file_predicts_the_same(tmp_path: Any, params: dict[str, Any]) -> None:
    X = timed(gappy())
    model = RNNClassifier(missing="mask", **params, **TINY).fit(X, labels(X))
    skrnn.save(model, tmp_path / "model.skrnn")
    loaded = skrnn.load(tmp_path / "model.skrnn")
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


def test_a_sequence_without_any_value_is_answered() -> None:
    X = gappy()
    model = RNNClassifier(missing="mask", **TINY).fit([*X, np.full((4, 3), NAN)], [*labels(X), 0])
    assert np.isfinite(model.predict_proba([np.full((4, 3), NAN), np.full((9, 3), NAN)])).all()


def test_steps_without_a_value_at_the_end_count_in_lists_and_not_in_blocks() -> None:
    """In a 3-D array they are padding; in a list, and in rows, they are time that passes."""
    X = gappy()
    model = RNNClassifier(missing="mask", **TINY).fit(X, labels(X))
    longer = np.vstack([X[0], np.full((3, 3), NAN)])
    expected = model.predict_proba(X[:1])
    assert np.allclose(model.predict_proba(longer[None]), expected, atol=1e-6)
    assert not np.allclose(model.predict_proba([longer]), expected, atol=1e-6)


def test_rows_may_end_with_missing_values() -> None:
    rows = np.random.default_rng(0).normal(size=(12, 6))
    rows[rows > 1] = NAN
    rows[0, 3:] = NAN
    y = np.arange(12) % 2
    model = RNNClassifier(missing="mask", **TINY).fit(rows, y)
    as_list = list(rows[:, :, None])
    np.testing.assert_allclose(model.predict_proba(rows), model.predict_proba(as_list), atol=1e-6)
    folded = RNNClassifier(missing="mask", n_channels=2, **TINY).fit(rows, y)
    expected = folded.predict_proba(rows.reshape(12, 3, 2))
    np.testing.assert_allclose(folded.predict_proba(rows), expected, atol=1e-6)


@pytest.mark.parametrize("time_channel", [None, -1])
def test_every_container_gives_the_same_model(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, time_channel: Any
) -> None:
    lower_limits(monkeypatch)
    X = gappy() if time_channel is None else timed(gappy(), 1.7e9)
    model = RNNRegressor(missing="mask", time_channel=time_channel, **TINY)
    expected = model.fit(X, labels(X)).predict(X)
    columns = {f"c{j}": [x[:, j] for x in X] for j in range(X[0].shape[1])}
    for same in (
        padded(X),
        on_disk(tmp_path, padded(X)),
        as_maps(tmp_path, X),
        Items(X),
        pd.DataFrame(columns),
        pd.Series(X),
    ):
        found = clone(model).fit(same, labels(X))
        np.testing.assert_allclose(found.predict(same), expected, atol=1e-6)
        np.testing.assert_allclose(model.predict(same), expected, atol=1e-6)


def test_it_is_found_by_a_search_behind_a_scaler() -> None:
    X = gappy(40)
    pipe = make_pipeline(SequenceScaler(), RNNClassifier(missing="mask", **TINY))
    grid = {"rnnclassifier__cell": ["lstm", "grud"]}
    search = GridSearchCV(pipe, grid, cv=2).fit(X, labels(X))
    assert search.predict_proba(X).shape == (40, 2)


def test_answers_per_step_and_labels_of_paths_are_learned() -> None:
    X = gappy()
    y = [np.isnan(x[:, 0]).astype(int) for x in X]
    for params in ({}, {"loss": "crf"}, {"loss": "crf", "cell": "grud"}, {"tbptt_steps": 2}):
        model = RNNClassifier(missing="mask", return_sequences=True, **params, **TINY).fit(X, y)
        assert [len(p) for p in model.predict(X)] == [len(x) for x in X]


@pytest.mark.parametrize("cell", ["lstm", "grud"])
def test_the_mask_alone_can_be_learned(cell: str) -> None:
    """Values say nothing here; whether the first feature is there at the end says all."""
    X = [x for x in gappy(120) if len(x) > 2]
    y = [int(np.isnan(x[-1, 0])) for x in X]
    model = RNNClassifier(
        cell=cell, missing="mask", hidden_size=16, max_epochs=40, lr=0.02, random_state=0
    )
    assert model.fit(X[:80], y[:80]).score(X[80:], y[80:]) > 0.9


# -- refusals ---------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [RNNClassifier(), RNNRegressor()])
def test_nan_is_an_error_by_default_that_names_the_way_out(estimator: Any) -> None:
    X = gappy()
    with pytest.raises(ValueError, match=r"NaN at sequence 0.*missing='mask'"):
        estimator.fit(X, labels(X))
    assert not estimator.__sklearn_tags__().input_tags.allow_nan
    assert estimator.set_params(missing="mask").__sklearn_tags__().input_tags.allow_nan


def test_infinity_stays_an_error() -> None:
    X = gappy()
    X[2][0, 1] = np.inf
    with pytest.raises(ValueError, match="sequence 2, step 0, feature 1"):
        RNNClassifier(missing="mask").fit(X, labels(X))


def test_the_fitted_network_decides_what_is_read() -> None:
    X = gappy()
    model = RNNClassifier(missing="mask", **TINY).fit(X, labels(X))
    expected = model.predict_proba(X)
    assert np.array_equal(model.set_params(missing="error").predict_proba(X), expected)
    with pytest.raises(ValueError, match="other settings of missing"):
        model.set_params(warm_start=True).fit(gappy(share=0.0), labels(X))


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"cell": "grud"}, "missing='mask'"),
        ({"cell": "grud", "missing": "mask", "bidirectional": True}, "reads forward only"),
        ({"cell": "grud", "missing": "mask", "frontend": "conv"}, "frontend='conv'"),
        ({"cell": "grud", "missing": "mask", "weight_dropout": 0.1}, "weight_dropout"),
        ({"missing": "mask", "embedding_dim": 3}, "embedding_dim=3"),
        ({"time_channel": 0, "embedding_dim": 3}, "embedding_dim=3"),
        ({"missing": "mask", "augmentation": TimeWarp()}, "between steps"),
        ({"time_channel": 0, "augmentation": [TimeWarp()]}, "between steps"),
        ({"missing": "mask", "augmentation": Mixup()}, "or sequences"),
    ],
)
def test_what_does_not_go_together_is_refused(params: dict[str, Any], words: str) -> None:
    X = gappy(share=0.0)
    with pytest.raises(ValueError, match=words):
        RNNClassifier(**params).fit(X, labels(X))


def test_the_forecaster_has_no_cell_for_gaps() -> None:
    with pytest.raises(ValueError, match="cell"):
        RNNForecaster(cell="grud").fit(pd.Series(np.arange(30.0)), fh=[1])


# -- sktime -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [SktimeClassifier, SktimeRegressor])
def test_the_twins_take_missing_values(cls: Any) -> None:
    X = convert_to([pd.DataFrame(x) for x in timed(gappy())], "df-list", as_scitype="Panel")
    y = labels(gappy())
    assert not cls().get_tag("capability:missing_values")
    model = cls(missing="mask", time_channel=-1, **TINY)
    assert model.get_tag("capability:missing_values")
    assert clone(model).get_tag("capability:missing_values")
    expected = model.fit(X, y).predict(X)
    named = [frame.rename(columns=dict(enumerate("abct"))) for frame in X]
    by_name = model.clone().set_params(time_channel="t")
    np.testing.assert_array_equal(by_name.fit(named, y).predict(named), expected)
