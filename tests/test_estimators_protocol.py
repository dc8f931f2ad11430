"""What users do with any scikit-learn estimator besides fit and predict: ours allow it all."""

import copy
import io
import pickle
import warnings
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted

from skrnn import RNNClassifier, RNNRegressor
from skrnn.preprocessing import SequenceScaler

ESTIMATORS = [RNNClassifier, RNNRegressor]
SMALL: dict[str, Any] = {"hidden_size": 4, "max_epochs": 3, "random_state": 0}


@pytest.fixture(params=ESTIMATORS, ids=lambda cls: cls.__name__)
def cls(request: pytest.FixtureRequest) -> Any:
    """Return one of the two classes."""
    return request.param


@pytest.fixture
def y(cls: Any, labels: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Return the targets for `ragged`."""
    return labels if cls is RNNClassifier else numbers


@pytest.fixture
def fitted(cls: Any, ragged: list[np.ndarray], y: np.ndarray) -> Any:
    """Return a fitted estimator."""
    return cls(**SMALL).fit(ragged, y)


def outputs(estimator: Any, X: Any) -> np.ndarray:
    """Return the most continuous output there is."""
    return getattr(estimator, "predict_proba", estimator.predict)(X)


def weights_of(estimator: Any) -> int:
    """Return the size of the network in bytes."""
    return sum(t.numel() * t.element_size() for t in estimator.net_.module_.state_dict().values())


# -- parameters -------------------------------------------------------------------------------


def test_parameters_go_in_and_out(cls: Any) -> None:
    estimator = cls(cell="gru", hidden_size=(6, 3))
    assert estimator.get_params()["hidden_size"] == (6, 3)
    assert estimator.set_params(lr=0.1, hidden_size=5) is estimator
    assert (estimator.lr, estimator.hidden_size, estimator.cell) == (0.1, 5, "gru")


def test_nested_parameters_go_in_and_out(cls: Any) -> None:
    estimator = cls().set_params(optimizer__weight_decay=0.1, lr_schedule__factor=0.5)
    params = estimator.get_params()
    assert params["optimizer__weight_decay"] == 0.1
    assert params["lr_schedule__factor"] == 0.5
    assert "optimizer__weight_decay" not in estimator.get_params(deep=False)
    assert clone(estimator).get_params() == params
    estimator.set_params(optimizer__weight_decay=0.2)
    assert params["net_params"]["optimizer__weight_decay"] == 0.1


@pytest.mark.parametrize("wrong", ["hiden_size", "optimiser__weight_decay", "encoder__size"])
def test_a_misspelt_parameter_is_an_error(cls: Any, wrong: str) -> None:
    with pytest.raises(ValueError, match="Invalid parameter"):
        cls().set_params(**{wrong: 1})
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        cls(**{wrong: 1})


def test_a_misspelt_key_of_net_params_is_an_error(
    cls: Any, ragged: list[np.ndarray], y: np.ndarray
) -> None:
    with pytest.raises(ValueError, match="keys start with one of"):
        cls(**SMALL, net_params={"weight_decay": 1}).fit(ragged, y)


def test_a_clone_has_the_parameters_and_nothing_learned(
    fitted: Any, ragged: list[np.ndarray], y: np.ndarray
) -> None:
    copied = clone(fitted)
    assert copied.get_params() == fitted.get_params()
    assert not any(name.endswith("_") for name in vars(copied))
    np.testing.assert_array_equal(outputs(copied.fit(ragged, y), ragged), outputs(fitted, ragged))


@pytest.mark.parametrize(
    "use", ["predict", "transform", "summary", "get_feature_names_out", "score"]
)
def test_before_fit_every_use_says_so(cls: Any, use: str, ragged: list[np.ndarray]) -> None:
    arguments = {"predict": [ragged], "transform": [ragged], "score": [ragged, [0] * len(ragged)]}
    with pytest.raises(NotFittedError):
        getattr(cls(), use)(*arguments.get(use, []))
    for attribute in ("history_", "n_iter_", "n_parameters_", "n_features_in_"):
        assert not hasattr(cls(), attribute)


# -- what is shown ----------------------------------------------------------------------------


def test_the_html_repr_links_to_the_documentation(fitted: Any) -> None:
    link = f"https://skrnn.readthedocs.io/en/latest/api/generated/skrnn.{type(fitted).__name__}"
    assert link in clone(fitted)._repr_html_()
    html = fitted._repr_html_()
    assert link in html
    assert "Initial weights, order of samples" in html or "random_state" in html


def test_the_repr_is_code(fitted: Any) -> None:
    again = eval(repr(fitted), {type(fitted).__name__: type(fitted)})
    assert again.get_params() == fitted.get_params()


def test_the_summary_adds_up(fitted: Any, capsys: pytest.CaptureFixture[str]) -> None:
    fitted.summary()
    *rows, total = capsys.readouterr().out.splitlines()
    counts = [int(row.split()[-1].replace(",", "")) for row in rows]
    assert sum(counts) == int(total.split()[-1].replace(",", "")) == fitted.n_parameters_
    for row, parameter in zip(rows, fitted.net_.module_.parameters(), strict=True):
        assert row.split()[-2] == "x".join(map(str, parameter.shape))


def test_the_history_is_plain(fitted: Any) -> None:
    assert [row["epoch"] for row in fitted.history_] == [1, 2, 3]
    assert fitted.n_iter_ == 3
    for row in fitted.history_:
        assert {"train_loss", "lr", "dur", "grad_norm"} <= set(row)
        assert {type(value) for value in row.values()} <= {int, float, bool}


# -- features ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "width"),
    [
        ({"pooling": "last", "bidirectional": False}, 4),
        ({"pooling": "attention", "bidirectional": False}, 4),
        ({"pooling": ("mean", "max", "last"), "bidirectional": False}, 12),
        ({"pooling": ("mean", "last")}, 16),
        ({"pooling": "last", "hidden_size": (6, 3)}, 6),
    ],
)
def test_hidden_states_are_named_features(
    cls: Any, params: dict[str, Any], width: int, ragged: list[np.ndarray], y: np.ndarray
) -> None:
    estimator = cls(**{**SMALL, "max_epochs": 1, **params}).fit(ragged, y)
    features = estimator.transform(ragged)
    assert features.shape == (len(ragged), width)
    names = [f"{cls.__name__.lower()}{i}" for i in range(width)]
    assert list(estimator.get_feature_names_out()) == names
    frame = estimator.set_output(transform="pandas").transform(ragged)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == names
    np.testing.assert_array_equal(frame, features)


def test_hidden_states_of_steps_are_lists_whatever_the_output_is_set_to(
    ragged: list[np.ndarray], step_labels: list[np.ndarray]
) -> None:
    estimator = RNNClassifier(**SMALL, return_sequences=True).fit(ragged, step_labels)
    assert not hasattr(estimator, "set_output")
    assert not hasattr(estimator, "get_feature_names_out")
    for output in ("default", "pandas"):
        with sklearn.config_context(transform_output=output):
            states = estimator.transform(ragged)
        assert [state.shape for state in states] == [(len(x), 4) for x in ragged]


def test_hidden_states_feed_a_pipeline(cls: Any, ragged: list[np.ndarray], y: np.ndarray) -> None:
    chain = make_pipeline(SequenceScaler(), cls(**SMALL), cls(**SMALL))
    chain.fit(ragged, y)
    assert len(chain.predict(ragged)) == len(ragged)


# -- copies -----------------------------------------------------------------------------------


def through_joblib(estimator: Any) -> Any:
    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    return joblib.load(file)


COPIES = {
    "pickle": lambda estimator: pickle.loads(pickle.dumps(estimator)),
    "joblib": through_joblib,
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


@pytest.mark.parametrize("way", COPIES)
@pytest.mark.parametrize(
    "params", [{}, {"cell": "rnn", "dtype": "float64"}, {"num_layers": 2, "bidirectional": True}]
)
def test_f079_copies_predict_the_same(
    cls: Any, way: str, params: dict[str, Any], ragged: list[np.ndarray], y: np.ndarray
) -> None:
    fitted = cls(**SMALL, **params).fit(ragged, y)
    copied = COPIES[way](fitted)
    check_is_fitted(copied)
    np.testing.assert_array_equal(outputs(copied, ragged), outputs(fitted, ragged))
    assert copied.history_ == fitted.history_
    assert copied.get_params() == fitted.get_params()
    assert copied.n_parameters_ == fitted.n_parameters_


@pytest.mark.parametrize("early_stopping", [False, True])
def test_f079_a_pickle_is_small_and_holds_no_data(cls: Any, early_stopping: bool) -> None:
    rng = np.random.default_rng(3)
    X = list(rng.normal(size=(300, 40, 3)).astype(np.float32))
    y = rng.normal(size=300)
    y = y if cls is RNNRegressor else y > 0
    fitted = cls(hidden_size=32, frontend=None, max_epochs=2, early_stopping=early_stopping)
    stored = pickle.dumps(fitted.fit(X, y))
    assert len(stored) <= 1.5 * weights_of(fitted) + 20_000
    assert len(stored) < sum(x.nbytes for x in X) / 1.5
    for x in X:
        assert x[:4].tobytes() not in stored
        assert x[:4].astype(np.float64).tobytes() not in stored


def test_copies_are_independent(fitted: Any, ragged: list[np.ndarray], y: np.ndarray) -> None:
    before = outputs(fitted, ragged)
    for way in COPIES.values():
        way(fitted).partial_fit(ragged, y)
    np.testing.assert_array_equal(outputs(fitted, ragged), before)


def test_an_unfitted_estimator_can_be_copied(cls: Any) -> None:
    for way in COPIES.values():
        assert way(cls(lr=0.5)).get_params() == cls(lr=0.5).get_params()


@pytest.mark.parametrize("params", [{}, {"device": "cuda"}, {"precision": "fp16"}])
def test_f080_without_its_device_a_model_loads_on_the_cpu(
    params: dict[str, str], fitted: Any, ragged: list[np.ndarray]
) -> None:
    state = fitted._state_to_store()
    state["_net_state"] = {**state["_net_state"], "device": "cuda:99"}
    loaded = type(fitted).__new__(type(fitted))
    with pytest.warns(UserWarning, match="'cuda:99', which is not available here"):
        loaded._restore_state({**state, **params})
    assert str(loaded.net_.device) == "cpu"
    np.testing.assert_array_equal(outputs(loaded, ragged), outputs(fitted, ragged))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = pickle.loads(pickle.dumps(loaded.set_params(precision="float32")))
    np.testing.assert_array_equal(outputs(again, ragged), outputs(fitted, ragged))


# -- going on ---------------------------------------------------------------------------------


def test_a_warm_start_goes_on_where_fit_ended(
    cls: Any, ragged: list[np.ndarray], y: np.ndarray
) -> None:
    fitted = cls(**{**SMALL, "max_epochs": 20}, lr=0.02, warm_start=True).fit(ragged, y)
    first = fitted.history_
    second = fitted.set_params(max_epochs=2).fit(ragged, y).history_
    assert second[0]["train_loss"] < first[0]["train_loss"]
    assert second[0]["train_loss"] == pytest.approx(first[-1]["train_loss"], rel=0.1)
    before = outputs(fitted, ragged)
    fitted.set_params(lr=1e-12).fit(ragged, y)
    np.testing.assert_allclose(outputs(fitted, ragged), before, rtol=1e-4, atol=1e-6)


def test_parts_of_one_epoch_make_a_training(
    cls: Any, ragged: list[np.ndarray], y: np.ndarray
) -> None:
    estimator = cls(**SMALL, lr=0.02)
    known = {"classes": np.unique(y)} if cls is RNNClassifier else {}
    for _ in range(15):
        estimator.partial_fit(ragged, y, **known)
    losses = [row["train_loss"] for row in estimator.history_]
    assert len(losses) == estimator.n_iter_ == 15
    assert losses[-1] < 0.9 * losses[0]


def test_a_loaded_model_learns_on(fitted: Any, ragged: list[np.ndarray], y: np.ndarray) -> None:
    loaded = pickle.loads(pickle.dumps(fitted))
    loaded.partial_fit(ragged, y)
    assert loaded.n_iter_ == fitted.n_iter_ + 1
    assert not np.array_equal(outputs(loaded, ragged), outputs(fitted, ragged))
    loaded.fit(ragged, y)
    np.testing.assert_array_equal(outputs(loaded, ragged), outputs(fitted, ragged))
