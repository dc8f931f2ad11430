"""Transfer: networks that begin with the weights of others, and parts that learn nothing."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import skrnn
from skrnn import RNNClassifier, RNNRegressor
from skrnn.preprocessing import SequenceScaler
from skrnn.sktime import RNNClassifier as Twin

SMALL: dict[str, Any] = {"hidden_size": 4, "max_epochs": 3, "random_state": 0}
CELLS = ["lstm", "gru", "rnn", "mingru", "minlstm"]


def state(model: Any, part: str = "", i: int = 0) -> dict[str, np.ndarray]:
    return {
        name: tensor.numpy().copy()
        for name, tensor in model.nets_[i].module_.state_dict().items()
        if name.startswith(part)
    }


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one
    assert list(one) == list(other)
    for name, array in one.items():
        assert np.array_equal(array, other[name]), name


def tokens() -> tuple[list[np.ndarray], np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(1, 20, size=n) for n in rng.integers(3, 8, size=16)], np.arange(16) % 2


@pytest.fixture
def source(ragged: list, numbers: np.ndarray) -> RNNRegressor:
    """Return a regressor that was fitted on `ragged`."""
    return RNNRegressor(**SMALL).fit(ragged, numbers)


# -- what is copied ---------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_a_frozen_encoder_is_that_of_the_source(
    ragged: list, labels: np.ndarray, numbers: np.ndarray, cell: str
) -> None:
    source = RNNRegressor(cell=cell, num_layers=2, **SMALL).fit(ragged, numbers)
    before = state(source), source.transform(ragged)
    model = RNNClassifier(cell=cell, num_layers=2, pretrained=source, freeze="encoder", **SMALL)
    shifted = [5 * x + 1 for x in ragged]
    model.fit(shifted, labels)
    assert_same(state(model, "encoder"), state(source, "encoder"))
    assert_same(state(model, "scaler"), state(source, "scaler"))
    np.testing.assert_array_equal(model.transform(ragged), before[1])
    assert model.pretrained_parts_ == ("scaler", "encoder")
    assert_same(state(source), before[0])


def test_weights_start_at_those_of_the_source(
    ragged: list, labels: np.ndarray, source: RNNRegressor
) -> None:
    still = {**SMALL, "max_epochs": 1, "lr": 1e-300, "optimizer": "sgd"}
    model = RNNClassifier(pretrained=source, **still).fit(ragged, labels)
    assert_same(state(model, "encoder"), state(source, "encoder"))
    learned = RNNClassifier(pretrained=source, **SMALL).fit(ragged, labels)
    assert not np.array_equal(learned.transform(ragged), source.transform(ragged))
    random = RNNClassifier(**still).fit(ragged, labels)
    # The head and the draws are those of the seed, with or without a source.
    assert_same(state(model, "head"), state(random, "head"))


@pytest.mark.parametrize(
    ("params", "parts"),
    [
        ({"frontend": "conv"}, ("scaler", "frontend", "encoder")),
        ({"frontend": "patch"}, ("scaler", "frontend", "encoder")),
        ({"pooling": "attention"}, ("scaler", "encoder", "pooling")),
        ({"num_layers": 2, "cell": "gru"}, ("scaler", "encoder")),
        ({"dtype": "float64"}, ("scaler", "encoder")),
    ],
    ids=str,
)
def test_all_parts_come_along_but_the_head(
    ragged: list, labels: np.ndarray, numbers: np.ndarray, params: dict[str, Any], parts: Any
) -> None:
    source = RNNRegressor(**params, **SMALL).fit(ragged, numbers)
    still = {**SMALL, "max_epochs": 1, "lr": 1e-300, "optimizer": "sgd"}
    model = RNNClassifier(pretrained=source, freeze="encoder", **params, **still)
    model.fit(ragged, labels)
    assert model.pretrained_parts_ == parts
    learned = [part for part in parts if part != "frontend"]
    for part in learned:
        assert_same(state(model, part), state(source, part))
    if "frontend" not in params:
        np.testing.assert_allclose(model.transform(ragged), source.transform(ragged), atol=1e-7)


@pytest.mark.parametrize("asked", ["patch", "auto"])
def test_patches_stay_as_long_as_those_of_the_source(
    labels: np.ndarray, rng: np.random.Generator, asked: str
) -> None:
    X = rng.normal(size=(24, 260, 2))
    source = RNNClassifier(frontend="patch", **{**SMALL, "max_epochs": 1}).fit(X, labels)
    short = RNNClassifier(frontend=asked, pretrained=source, **SMALL).fit(X[:, :30], labels)
    assert "frontend" in short.pretrained_parts_
    assert short._spec["frontend_stride"] == source._spec["frontend_stride"] > 2


def test_words_keep_their_vectors_and_numbers() -> None:
    X, y = tokens()
    source = RNNClassifier(embedding_dim=3, **SMALL).fit(X, y)
    few = [np.minimum(x, 7) for x in X]
    model = RNNClassifier(
        embedding_dim=3, pretrained=source, freeze=("embedding", "encoder"), **SMALL
    )
    model.fit(few, y)
    assert model.vocabulary_size_ == source.vocabulary_size_
    assert_same(state(model, "embedding"), state(source, "embedding"))
    with pytest.raises(ValueError, match="token id 90 in sequence 0 is outside the vocabulary"):
        model.fit([np.array([90]), *few[1:]], y)
    # Another vocabulary starts anew, and cannot be frozen by mistake.
    model.set_params(vocabulary_size=50, freeze=None).fit(few, y)
    assert model.pretrained_parts_ == ("encoder",)
    with pytest.raises(ValueError, match=r"would keep random weights.*\['encoder'\] fit"):
        model.set_params(freeze="embedding").fit(few, y)


def test_every_network_of_an_ensemble_begins_with_one_of_the_source(
    ragged: list, labels: np.ndarray, numbers: np.ndarray
) -> None:
    source = RNNRegressor(n_estimators=2, **SMALL).fit(ragged, numbers)
    model = RNNClassifier(n_estimators=3, pretrained=source, freeze="encoder", **SMALL)
    model.fit(ragged, labels)
    for i in range(3):
        assert_same(state(model, "encoder", i), state(source, "encoder", i % 2))
    heads = [state(model, "head.projection.weight", i).popitem()[1] for i in range(3)]
    assert not np.array_equal(heads[0], heads[2])


def test_files_and_twins_and_frozen_estimators_do_as_well(
    ragged: list, labels: np.ndarray, source: RNNRegressor, tmp_path: Path
) -> None:
    path = tmp_path / "source.safetensors"
    source.save(path)
    panel = np.stack([x[:2].T for x in ragged])
    twin = Twin(**SMALL).fit(panel, labels)
    for given, original in [
        (path, source),
        (str(path), source),
        (FrozenEstimator(source), source),
        (twin, twin.rnn_),
        (pickle.loads(pickle.dumps(source)), source),
    ]:
        model = RNNClassifier(pretrained=given, freeze="encoder", **SMALL).fit(ragged, labels)
        assert_same(state(model, "encoder"), state(original, "encoder"))


# -- what does not fit ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"hidden_size": 5}, "fitted with hidden_size=4, and here it is hidden_size=5"),
        ({"cell": "gru"}, "fitted with cell='lstm', and here it is cell='gru'"),
        ({"num_layers": 2}, "fitted with num_layers=1, and here it is num_layers=2"),
        ({"bidirectional": False}, "bidirectional=True, and here it is bidirectional=False"),
        ({"frontend": "conv"}, "fitted with frontend=None, and here it is frontend='conv'"),
    ],
)
def test_another_encoder_is_refused(
    ragged: list, labels: np.ndarray, source: RNNRegressor, params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"encoder of pretrained does not fit: .*{message}"):
        RNNClassifier(pretrained=source, **{**SMALL, **params}).fit(ragged, labels)


def test_other_functions_of_the_same_weights_are_refused(
    ragged: list, labels: np.ndarray, numbers: np.ndarray
) -> None:
    source = RNNRegressor(cell="rnn", **SMALL).fit(ragged, numbers)
    with pytest.raises(ValueError, match="nonlinearity='tanh', and here it is nonlinearity='relu'"):
        RNNClassifier(cell="rnn", nonlinearity="relu", pretrained=source, **SMALL).fit(
            ragged, labels
        )


def test_other_features_are_refused(ragged: list, labels: np.ndarray, source: RNNRegressor) -> None:
    with pytest.raises(ValueError, match="fitted with n_features=3, and here it is n_features=2"):
        RNNClassifier(pretrained=source, **SMALL).fit([x[:, :2] for x in ragged], labels)


def test_what_is_no_source_is_refused(
    ragged: list, labels: np.ndarray, source: RNNRegressor, tmp_path: Path
) -> None:
    pipe = make_pipeline(SequenceScaler(), source)
    missing = tmp_path / "missing.safetensors"
    for given, message in [
        (RNNRegressor(), "RNNRegressor.* is not fitted; fit it first"),
        (Twin(), "is not fitted"),
        (pipe, "got Pipeline; of a pipeline give the last step"),
        (skrnn.RNNForecaster(), "got RNNForecaster"),
        (3, "'pretrained' parameter of RNNClassifier"),
    ]:
        with pytest.raises(ValueError, match=message):
            RNNClassifier(pretrained=given, **SMALL).fit(ragged, labels)
    with pytest.raises(OSError, match="missing"):
        RNNClassifier(pretrained=missing, **SMALL).fit(ragged, labels)


# -- freeze -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("further", [{}, {"tbptt_steps": 2, "bidirectional": False}], ids=str)
def test_frozen_parts_learn_nothing_and_all_others_do(
    ragged: list, labels: np.ndarray, cell: str, further: dict[str, Any]
) -> None:
    params = {**SMALL, "num_layers": 2, "cell": cell, **further}
    start = RNNClassifier(**{**params, "max_epochs": 1, "lr": 1e-300}).fit(ragged, labels)
    part = "encoder.layers.0"
    model = RNNClassifier(freeze=[part], **params).fit(ragged, labels)
    learned = state(model)
    for name, array in state(start).items():
        if name.startswith((part, "scaler")):
            assert np.array_equal(learned[name], array), name
        elif "weight" in name:
            assert not np.array_equal(learned[name], array), name
    frozen = [p for n, p in model.net_.module_.named_parameters() if n.startswith(part)]
    assert all(p.grad is None and not p.requires_grad for p in frozen)
    in_optimizer = {id(p) for g in model.net_.optimizer_.param_groups for p in g["params"]}
    assert not in_optimizer & {id(p) for p in frozen}
    total = sum(p.numel() for p in model.net_.module_.parameters())
    assert model.n_parameters_ == total - sum(p.numel() for p in frozen)


def test_frozen_batch_normalisation_keeps_its_statistics(
    ragged: list, labels: np.ndarray, numbers: np.ndarray
) -> None:
    source = RNNRegressor(frontend="conv", **SMALL).fit(ragged, numbers)
    model = RNNClassifier(
        frontend="conv", pretrained=source, freeze=("frontend", "encoder"), **SMALL
    ).fit([2 * x for x in ragged], labels)
    assert_same(state(model, "frontend"), state(source, "frontend"))
    np.testing.assert_array_equal(model.transform(ragged), source.transform(ragged))


@pytest.mark.parametrize("average", ["ema", "swa"])
def test_averages_of_frozen_weights_are_the_weights(
    ragged: list, labels: np.ndarray, source: RNNRegressor, average: str
) -> None:
    model = RNNClassifier(
        pretrained=source, freeze="encoder", weight_averaging=average, **SMALL
    ).fit(ragged, labels)
    assert_same(state(model, "encoder"), state(source, "encoder"))


@pytest.mark.parametrize(
    ("freeze", "message"),
    [
        ("encoders", r"freeze='encoders' is the beginning of no parameter; there are \['encoder'"),
        ("enc", "freeze='enc' is the beginning of no parameter"),
        ("scaler", "freeze='scaler' is the beginning of no parameter"),
        (("encoder", "frontend"), "freeze='frontend' is the beginning of no parameter"),
        (("encoder", "head"), "leaves nothing to learn"),
        ((1,), r"freeze=\(1,\) must hold beginnings of names"),
        (1, "'freeze' parameter of RNNClassifier"),
    ],
)
def test_wrong_names_are_refused(
    ragged: list, labels: np.ndarray, freeze: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        RNNClassifier(freeze=freeze, **SMALL).fit(ragged, labels)


def test_the_new_head_cannot_be_frozen_by_mistake(
    ragged: list, labels: np.ndarray, source: RNNRegressor
) -> None:
    with pytest.raises(ValueError, match="random weights: the head does not come from pretrained"):
        RNNClassifier(pretrained=source, freeze="head", **SMALL).fit(ragged, labels)


# -- going on ---------------------------------------------------------------------------------


def test_partial_fit_goes_on_and_freezes_what_is_asked_by_then(
    ragged: list, labels: np.ndarray, source: RNNRegressor
) -> None:
    model = RNNClassifier(pretrained=source, freeze="encoder", **SMALL)
    for _ in range(2):
        model.partial_fit(ragged, labels, classes=["down", "up"])
    assert_same(state(model, "encoder"), state(source, "encoder"))
    assert len(model.history_) == 2
    loaded = pickle.loads(pickle.dumps(model))
    assert loaded.n_parameters_ == model.n_parameters_
    for one in (model, loaded):
        one.partial_fit(ragged, labels)
        assert_same(state(one, "encoder"), state(source, "encoder"))
    head = state(model, "head")
    model.set_params(freeze="head").partial_fit(ragged, labels)
    assert_same(state(model, "head"), head)
    assert not np.array_equal(model.transform(ragged), source.transform(ragged))
    model.set_params(freeze=None).partial_fit(ragged, labels)
    assert not np.array_equal(*[next(iter(h.values())) for h in (state(model, "head"), head)])


def test_warm_start_thaws(ragged: list, labels: np.ndarray, source: RNNRegressor) -> None:
    model = RNNClassifier(pretrained=source, freeze="encoder", warm_start=True, **SMALL)
    model.fit(ragged, labels)
    head = state(model, "head")
    model.set_params(freeze=None, lr=1e-300, optimizer="sgd").fit(ragged, labels)
    assert_same(state(model, "head"), head)
    model.set_params(lr=0.01).fit(ragged, labels)
    assert not np.array_equal(model.transform(ragged), source.transform(ragged))


# -- the source -------------------------------------------------------------------------------


def test_the_source_is_shared_and_never_changed(
    ragged: list, labels: np.ndarray, source: RNNRegressor
) -> None:
    before, params = state(source), source.get_params()
    model = RNNClassifier(pretrained=source, **SMALL)
    assert clone(model).pretrained is source
    assert clone(clone(model)).get_params()["pretrained"] is source
    search = GridSearchCV(model, {"lr": [0.01, 0.02]}, cv=2).fit(ragged, labels)
    assert search.best_estimator_.pretrained is source
    grid = {"pretrained": [None, FrozenEstimator(source)]}
    assert GridSearchCV(model, grid, cv=2, error_score="raise").fit(ragged, labels)
    assert_same(state(source), before)
    assert source.get_params() == params
    assert all(p.requires_grad for p in source.net_.module_.parameters())
    with pytest.raises(ValueError, match="pretrained__lr would change another estimator"):
        model.set_params(pretrained__lr=1.0)
    twin = Twin(pretrained=source, **SMALL)
    assert twin.clone().pretrained is source
    assert clone(twin).pretrained is source


def test_copies_hold_the_source_and_no_data(
    labels: np.ndarray, numbers: np.ndarray, rng: np.random.Generator, tmp_path: Path
) -> None:
    sizes = []
    for n_steps in (5, 500):
        X = rng.normal(size=(24, n_steps, 3))
        source = RNNRegressor(**{**SMALL, "max_epochs": 1}).fit(X, numbers)
        model = RNNClassifier(pretrained=source, **{**SMALL, "max_epochs": 1}).fit(X, labels)
        sizes.append(len(pickle.dumps(model)))
        for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
            assert_same(state(again.pretrained), state(source))
            np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
        model.save(tmp_path / "model.safetensors")
        loaded = skrnn.load(tmp_path / "model.safetensors")
        np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
        assert_same(state(loaded.pretrained), state(source))
        assert loaded.pretrained_parts_ == model.pretrained_parts_
    assert sizes[1] < sizes[0] + 1000


def test_another_fit_forgets_the_source(
    ragged: list, labels: np.ndarray, source: RNNRegressor
) -> None:
    model = RNNClassifier(pretrained=source, **SMALL).fit(ragged, labels)
    model.set_params(pretrained=None).fit(ragged, labels)
    assert not hasattr(model, "pretrained_parts_")
    plain = RNNClassifier(**SMALL).fit(ragged, labels)
    np.testing.assert_array_equal(model.predict_proba(ragged), plain.predict_proba(ragged))


def test_a_failed_fit_leaves_nothing_behind(
    ragged: list, labels: np.ndarray, source: RNNRegressor
) -> None:
    model = RNNClassifier(pretrained=source, freeze="nothing", **SMALL)
    with pytest.raises(ValueError, match="beginning of no parameter"):
        model.fit(ragged, labels)
    assert "_source" not in vars(model)
    model.set_params(freeze=None).fit(ragged, labels)
    assert "_source" not in vars(model)


# -- learning rates of parts ------------------------------------------------------------------


def groups(model: Any) -> dict[str, tuple[float, float]]:
    """Return learning rate and weight decay of every parameter."""
    names = {id(p): name for name, p in model.net_.module_.named_parameters()}
    return {
        names[id(p)]: (group["lr"], group["weight_decay"])
        for group in model.net_.optimizer_.param_groups
        for p in group["params"]
    }


def test_parts_have_learning_rates_of_their_own(ragged: list, labels: np.ndarray) -> None:
    model = RNNClassifier(num_layers=2, freeze="encoder.layers.0", lr=0.01, **SMALL)
    model.set_params(
        optimizer__param_groups=[
            ("encoder.backward_layers.0.*", {"lr": 0.001}),
            ("encoder*", {"lr": 0.002, "weight_decay": 0.5}),
        ],
        optimizer__weight_decay=0.1,
    )
    seen = groups(model.fit(ragged, labels))
    assert len(seen) == len([p for p in model.net_.module_.parameters() if p.requires_grad])
    for name, (rate, decay) in seen.items():
        spared = "bias" in name or "weight_hh" in name
        if name.startswith("encoder.backward_layers.0."):
            assert (rate, decay) == (0.001, 0.0 if spared else 0.1), name
        elif name.startswith("encoder"):
            assert (rate, decay) == (0.002, 0.5), name
        else:
            assert (rate, decay) == (0.01, 0.0 if spared else 0.1), name
    # The recorded rate is that of the estimator, and the schedule is that of all.
    assert model.history_[0]["lr"] <= 0.01
    model.set_params(lr=0.05).partial_fit(ragged, labels)
    assert groups(model)["encoder.layers.1.rnn.weight_ih_l0"] == (0.002, 0.5)
    assert groups(model)["head.projection.bias"] == (0.05, 0.0)


def test_a_rate_of_nothing_is_as_frozen(
    ragged: list, labels: np.ndarray, source: RNNRegressor
) -> None:
    model = RNNClassifier(pretrained=source, **SMALL)
    model.set_params(optimizer__param_groups=[("encoder*", {"lr": 0.0, "weight_decay": 0.0})])
    assert_same(state(model.fit(ragged, labels), "encoder"), state(source, "encoder"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([("encode", {"lr": 0.1})], "the pattern 'encode', and no parameter"),
        ([("encoder*", {"lr": 0.1}), ("encoder*", {"lr": 0.2})], "that is left to learn"),
        ([("encoder*", {"learning_rate": 0.1})], "the setting 'learning_rate' for 'encoder"),
    ],
)
def test_wrong_groups_are_refused(
    ragged: list, labels: np.ndarray, given: Any, message: str
) -> None:
    model = RNNClassifier(net_params={"optimizer__param_groups": given}, **SMALL)
    with pytest.raises(ValueError, match=message):
        model.fit(ragged, labels)
    with pytest.raises(ValueError, match="'lbfgs' takes all parameters alike"):
        model.set_params(optimizer="lbfgs").fit(ragged, labels)


def test_it_computes_in_the_type_of_the_new_network(
    ragged: list, labels: np.ndarray, source: RNNRegressor
) -> None:
    model = RNNClassifier(pretrained=source, freeze="encoder", dtype="float64", **SMALL)
    model.fit(ragged, labels)
    assert all(p.dtype == torch.float64 for p in model.net_.module_.parameters())
    np.testing.assert_allclose(model.transform(ragged), source.transform(ragged), atol=1e-6)
