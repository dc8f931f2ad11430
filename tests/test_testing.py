"""The laws themselves: a correct estimator keeps all, and each broken one breaks its own."""

import random
import warnings
from collections.abc import Callable
from typing import Any
from unittest import SkipTest

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.exceptions import (
    ConvergenceWarning,
    EstimatorCheckFailedWarning,
    NotFittedError,
    SkipTestWarning,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skrnn.testing import (
    LawError,
    check_sequence_estimator,
    parametrize_with_sequence_checks,
    sequence_estimator_checks,
)


def unpadded(X: Any) -> list[np.ndarray]:
    """Return fresh arrays without the steps that hold nothing but NaN."""
    rows = [np.array(x, dtype=np.float64) for x in X]
    return [x[~np.isnan(x).all(axis=1)] for x in rows]


def ridge(Z: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    w = np.ones(len(Z)) if weight is None else np.asarray(weight, dtype=np.float64)
    Z = np.column_stack([Z, np.ones(len(Z))])
    return np.linalg.solve(Z.T @ (w[:, None] * Z) + 0.1 * np.eye(Z.shape[1]), Z.T @ (w * y))


class MeanRegressor(RegressorMixin, BaseEstimator):
    """Ridge on the mean of each sequence: keeps every law."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "MeanRegressor":
        self.coef_ = ridge(self._features(X), np.asarray(y, dtype=np.float64), sample_weight)
        return self

    def predict(self, X: Any) -> Any:
        if not hasattr(self, "coef_"):
            raise NotFittedError("call fit first")
        return self._features(X) @ self.coef_[:-1] + self.coef_[-1]

    def _features(self, X: Any) -> np.ndarray:
        return np.array([x.mean(axis=0) for x in unpadded(X)])


class RunningMean(RegressorMixin, BaseEstimator):
    """Ridge on the running mean, with an output per step: keeps every law."""

    def __init__(self, return_sequences: bool = True) -> None:
        self.return_sequences = return_sequences

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "RunningMean":
        Z = self._features(X)
        if self.return_sequences:
            if sample_weight is not None:
                sample_weight = np.repeat(sample_weight, [len(z) for z in Z])
            y = np.concatenate(y)
        self.coef_ = ridge(np.concatenate(Z), y, sample_weight)
        return self

    def predict(self, X: Any) -> Any:
        if not hasattr(self, "coef_"):
            raise NotFittedError("call fit first")
        values = [z @ self.coef_[:-1] + self.coef_[-1] for z in self._features(X)]
        return values if self.return_sequences else np.concatenate(values)

    def _features(self, X: Any) -> list[np.ndarray]:
        steps = [self._steps(x) for x in unpadded(X)]
        return steps if self.return_sequences else [z[-1:] for z in steps]

    def _steps(self, x: np.ndarray) -> np.ndarray:
        return np.cumsum(x, axis=0) / np.arange(1, len(x) + 1)[:, None]


class MeanClassifier(ClassifierMixin, BaseEstimator):
    """The sign of the ridge, with probabilities: keeps every law."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "MeanClassifier":
        self.classes_ = np.unique(y)
        self.model_ = MeanRegressor().fit(X, np.asarray(y) == self.classes_[-1], sample_weight)
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        if not hasattr(self, "model_"):
            raise NotFittedError("call fit first")
        p = 1 / (1 + np.exp(0.5 - self.model_.predict(X)))
        return np.column_stack([1 - p, p])

    def predict(self, X: Any) -> np.ndarray:
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class TorchRegressor(RegressorMixin, BaseEstimator):
    """A recurrent network trained with Adam in float32: keeps every law."""

    def __init__(
        self,
        max_epochs: int = 1000,
        batch_size: int = 12,
        dtype: str = "float32",
        random_state: int | None = None,
        bidirectional: bool = False,
        return_sequences: bool = False,
    ) -> None:
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.dtype = dtype
        self.random_state = random_state
        self.bidirectional = bidirectional
        self.return_sequences = return_sequences

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "TorchRegressor":
        dtype = getattr(torch, self.dtype)
        weight = np.ones(len(X)) if sample_weight is None else sample_weight
        with torch.random.fork_rng():
            torch.manual_seed(self.random_state)
            self.rnn_ = torch.nn.GRU(
                2, 8, batch_first=True, dtype=dtype, bidirectional=self.bidirectional
            )
            self.linear_ = torch.nn.Linear(16 if self.bidirectional else 8, 1, dtype=dtype)
        params = [*self.rnn_.parameters(), *self.linear_.parameters()]
        optimizer = torch.optim.Adam(params, lr=0.003)
        w = torch.tensor(weight, dtype=dtype)
        for _ in range(self.max_epochs):
            for start in range(0, len(y), self.batch_size):
                rows = range(start, min(start + self.batch_size, len(y)))
                losses = [
                    w[i] * (p - torch.tensor(y[i], dtype=dtype)).square().sum()
                    for i, p in zip(rows, self._forward([X[i] for i in rows]), strict=True)
                ]
                optimizer.zero_grad()
                (torch.stack(losses).sum() / w[list(rows)].sum()).backward()
                optimizer.step()
        return self

    def predict(self, X: Any) -> Any:
        if not hasattr(self, "rnn_"):
            raise NotFittedError("call fit first")
        with torch.no_grad():
            values = [value.numpy() for value in self._forward(X)]
        return values if self.return_sequences else np.array(values)

    def _forward(self, X: Any) -> list[torch.Tensor]:
        dtype = self.linear_.weight.dtype
        hidden = [self.rnn_(torch.tensor(x, dtype=dtype)[None])[0][0] for x in unpadded(X)]
        steps = [self.linear_(h)[:, 0] for h in hidden]
        return steps if self.return_sequences else [step[-1] for step in steps]


CORRECT = [
    MeanRegressor(),
    RunningMean(),
    RunningMean(return_sequences=False),
    MeanClassifier(),
    TorchRegressor(),
    TorchRegressor(return_sequences=True),
    TorchRegressor(bidirectional=True),
]


@parametrize_with_sequence_checks(CORRECT)
def test_correct_estimators_keep_every_law(estimator: Any, check: Callable) -> None:
    check(estimator)


@parametrize_with_sequence_checks([MeanRegressor(), MeanClassifier()], ragged=False)
def test_correct_estimators_keep_every_law_of_equal_lengths(estimator: Any, check: Any) -> None:
    check(estimator)


def statuses(estimator: Any, **kwargs: Any) -> dict[str, str]:
    results = check_sequence_estimator(estimator, on_fail=None, **kwargs)
    return {result["check_name"]: result["status"] for result in results}


def test_every_law_applies_to_some_correct_estimator() -> None:
    passed = [name for name, status in statuses(TorchRegressor()).items() if status == "passed"]
    assert len(passed) == 13


# --- broken on purpose ---------------------------------------------------------------------------


class CentresByBatch(MeanRegressor):
    """Standardises with the statistics of the batch it predicts."""

    def predict(self, X: Any) -> Any:
        rows = unpadded(X)
        mean = np.concatenate(rows).mean(axis=0)
        return super().predict([x - mean for x in rows])


class RecursOverBatch(MeanRegressor):
    """Takes the batch axis for time: each output mixes in the sequences before it."""

    def _features(self, X: Any) -> Any:
        state, states = np.zeros(2), []
        for last in (x[-1] for x in unpadded(X)):
            state = np.tanh(0.5 * state + last)
            states.append(state)
        return np.array(states)


class ReadsPadding(MeanRegressor):
    """Pads with zeros and averages over them."""

    def _features(self, X: Any) -> Any:
        rows = unpadded(X)
        longest = max(len(x) for x in rows)
        return np.array([x.sum(axis=0) / longest for x in rows])


class SortsByLength(MeanRegressor):
    """Sorts sequences by length for speed and forgets to sort the outputs back."""

    def predict(self, X: Any) -> Any:
        return super().predict(sorted(unpadded(X), key=len))


class ReadsLastStep(MeanRegressor):
    """Looks at one step."""

    def _features(self, X: Any) -> Any:
        return np.array([x[-1] for x in unpadded(X)])


class ForgetsState(RunningMean):
    """Outputs per step without memory of the steps before."""

    def _steps(self, x: np.ndarray) -> np.ndarray:
        return np.tanh(x)


class PeeksAhead(RunningMean):
    """Subtracts the mean of the whole sequence from every step."""

    def _steps(self, x: np.ndarray) -> np.ndarray:
        return np.cumsum(x, axis=0) - x.mean(axis=0)


class PaddingIsZero(MeanRegressor):
    """Takes the NaN steps of a padded array for zeros."""

    def _features(self, X: Any) -> Any:
        return np.array([np.nan_to_num(np.array(x)).mean(axis=0) for x in X])


class ListsOnly(MeanRegressor):
    """Refuses arrays."""

    def _features(self, X: Any) -> Any:
        if not isinstance(X, list):
            raise TypeError("X must be a list")
        return super()._features(X)


class EqualLengthsOnly(MeanRegressor):
    """Stacks what it gets."""

    def _features(self, X: Any) -> Any:
        return np.stack(list(X)).mean(axis=1)


class IgnoresWeights(MeanRegressor):
    """Accepts weights and learns without them."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "IgnoresWeights":
        return super().fit(X, y)


class SquaresWeights(MeanRegressor):
    """Applies weights twice."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "SquaresWeights":
        return super().fit(X, y, None if sample_weight is None else np.square(sample_weight))


class ContinuesFit(MeanRegressor):
    """Starts the second fit from the first."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "ContinuesFit":
        before = getattr(self, "coef_", np.zeros(3))
        super().fit(X, y, sample_weight)
        self.coef_ = self.coef_ + 0.5 * before
        return self


class CountsFits(MeanRegressor):
    """Drifts with the number of fits, so that fits in between leave a trace."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "CountsFits":
        self.fits_ = getattr(self, "fits_", 0) + 1
        super().fit(X, y, sample_weight)
        self.coef_ = self.coef_ + (0.1 if self.fits_ > 2 else 0.0)
        return self


class DrawsUnseeded(MeanRegressor):
    """Starts from random weights that no parameter decides."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "DrawsUnseeded":
        super().fit(X, y, sample_weight)
        self.coef_ = self.coef_ + 0.01 * np.random.default_rng().normal(size=3)
        return self


class DropsOutAtPredict(MeanRegressor):
    """Leaves dropout on."""

    def predict(self, X: Any) -> Any:
        return super().predict(X) * np.random.default_rng().choice([0.9, 1.1], size=len(X))


class SideEffect(MeanRegressor):
    """Calls something with a global effect in fit or predict."""

    def __init__(self, effect: Any = None, when: str = "fit") -> None:
        self.effect = effect
        self.when = when

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "SideEffect":
        if self.when == "fit":
            self.effect()
        return super().fit(X, y, sample_weight)

    def predict(self, X: Any) -> Any:
        if self.when == "predict":
            self.effect()
        return super().predict(X)


class WritesToX(MeanRegressor):
    """Scales the user's arrays in place."""

    def predict(self, X: Any) -> Any:
        result = super().predict(X)
        for x in X:
            x *= 0.5
        return result


class WritesToWeights(MeanRegressor):
    """Uses the user's weights as working memory."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "WritesToWeights":
        super().fit(X, y, sample_weight)
        if sample_weight is not None:
            sample_weight /= sample_weight.sum()
        return self


class KeepsReference(MeanRegressor):
    """Predicts relative to the user's own first training sequence."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "KeepsReference":
        self.reference_ = X[0]
        return super().fit(X, y, sample_weight)

    def predict(self, X: Any) -> Any:
        return super().predict(X) + 0.1 * self.reference_[0, 0]


class StatefulClone(MeanRegressor):
    """Passes its fitted state on to clones."""

    def __sklearn_clone__(self) -> "StatefulClone":
        copied = StatefulClone(**self.get_params())
        vars(copied).update(vars(self))
        return copied


class PredictsUnfitted(MeanRegressor):
    """Answers zero before fit."""

    def predict(self, X: Any) -> Any:
        return super().predict(X) if hasattr(self, "coef_") else np.zeros(len(X))


class HoldsLambda(MeanRegressor):
    """Cannot be pickled."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "HoldsLambda":
        self.activation_ = lambda z: z
        return super().fit(X, y, sample_weight)


class ForgetsInPickle(MeanRegressor):
    """Leaves the intercept out of its state."""

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        if "coef_" in state:
            state["coef_"] = state["coef_"] * [1.0, 1.0, 0.0]
        return state


class LosesRows(MeanRegressor):
    """Drops the last incomplete batch."""

    def predict(self, X: Any) -> Any:
        return super().predict(X)[: len(X) // 4 * 4]


class PredictsNan(MeanRegressor):
    """Has diverged."""

    def predict(self, X: Any) -> Any:
        return super().predict(X) * np.nan


def ignore_warnings_for_good() -> None:
    warnings.simplefilter("ignore", ResourceWarning)


BROKEN = [
    (CentresByBatch(), "batch_mate_independence", "sequence 0 predicted in a batch of 6 and alone"),
    (RecursOverBatch(), "batch_mate_independence", "in a batch of 6 and alone"),
    (RecursOverBatch(), "row_order_equivariance", "in reverse order"),
    (RecursOverBatch(), "sensitivity_to_every_step", "changing step 0 of 5"),
    (ReadsPadding(), "padding_invariance", "beside one of 40 steps"),
    (SortsByLength(), "row_order_equivariance", "in reverse order"),
    (ReadsLastStep(), "sensitivity_to_every_step", "changing step 0 of 5"),
    (ForgetsState(), "sensitivity_to_every_step", "changing step 0 of 5"),
    (PeeksAhead(), "causality", "outputs before step 1"),
    (PeeksAhead(return_sequences=False), "causality", "outputs before step 1"),
    (PaddingIsZero(), "containers", "a 3-D array padded with NaN"),
    (ListsOnly(), "containers", "predict on an object array raised TypeError: X must be a list"),
    (EqualLengthsOnly(), "batch_mate_independence", "fit on a list of arrays raised ValueError"),
    (IgnoresWeights(), "weight_is_repetition", "repeated as often"),
    (SquaresWeights(), "weight_is_repetition", "repeated as often"),
    (ContinuesFit(), "fit_idempotence", "fit called twice on one object"),
    (CountsFits(), "fit_idempotence", "after a fit on other data"),
    (DrawsUnseeded(), "fit_idempotence", "fit called twice on one object"),
    (DropsOutAtPredict(), "fit_idempotence", "predict called twice"),
    (WritesToX(), "inputs_unchanged", r"predict wrote to X\[0\]"),
    (WritesToWeights(), "inputs_unchanged", r"fit wrote to sample_weight\[0\]"),
    (KeepsReference(), "model_owns_its_data", "X and y were overwritten"),
    (StatefulClone(), "clone_is_unfitted", r"has the fitted attributes \['coef_'\]"),
    (PredictsUnfitted(), "clone_is_unfitted", "predicts without a fit"),
    (HoldsLambda(), "copies_predict_the_same", "pickle raised"),
    (ForgetsInPickle(), "copies_predict_the_same", "before and after pickle"),
    (LosesRows(), "batch_mate_independence", "returned 4 outputs for 6 sequences"),
    (PredictsNan(), "batch_mate_independence", "is not finite for sequence 0"),
]


def law(name: str, estimator: Any, **kwargs: Any) -> Callable:
    checks = {check.name: check for _, check in sequence_estimator_checks(estimator, **kwargs)}
    return checks[f"check_{name}"]


@pytest.mark.parametrize(
    ("estimator", "name", "message"), BROKEN, ids=[f"{type(e).__name__}-{n}" for e, n, _ in BROKEN]
)
def test_broken_estimators_break_their_law(estimator: Any, name: str, message: str) -> None:
    with pytest.raises(LawError, match=message) as caught:
        law(name, estimator)(estimator)
    assert caught.value.law == f"check_{name}"
    # The message alone must tell a reader of a log who, which law and by how much.
    assert str(caught.value).startswith(f"{type(estimator).__name__} breaks the law 'check_{name}'")
    if caught.value.difference is not None:
        assert "largest absolute difference" in str(caught.value)


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (PaddingIsZero(), {"containers"}),
        (ReadsLastStep(), {"sensitivity_to_every_step"}),
        (IgnoresWeights(), {"weight_is_repetition"}),
        (PeeksAhead(), {"causality"}),
        (WritesToWeights(), {"inputs_unchanged"}),
        (KeepsReference(), {"model_owns_its_data"}),
    ],
)
def test_a_single_defect_breaks_no_other_law(estimator: Any, expected: set[str]) -> None:
    broken = {name for name, status in statuses(estimator).items() if status == "failed"}
    assert broken == {f"check_{name}" for name in expected}


@pytest.fixture
def restored() -> Any:
    """Put back what the estimators of the next test change on purpose."""
    dtype, threads, errors = torch.get_default_dtype(), torch.get_num_threads(), np.geterr()
    with warnings.catch_warnings():
        yield
    torch.set_default_dtype(dtype)
    torch.set_num_threads(threads)
    torch.set_grad_enabled(True)
    torch.use_deterministic_algorithms(False)
    np.seterr(**errors)


def seed_numpy() -> None:
    np.random.seed(0)  # noqa: NPY002 - the defect


def draw_numpy() -> None:
    np.random.rand()  # noqa: NPY002 - the defect


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("when", ["fit", "predict"])
@pytest.mark.parametrize(
    ("effect", "message"),
    [
        (seed_numpy, "numpy's global random generator"),
        (draw_numpy, "numpy's global random generator"),
        (lambda: random.seed(0), "python's random generator"),
        (lambda: torch.manual_seed(0), "torch's default generator"),
        (lambda: torch.set_default_dtype(torch.float64), "torch's default dtype"),
        (lambda: torch.set_num_threads(torch.get_num_threads() + 1), "torch's number of threads"),
        (lambda: torch.set_grad_enabled(False), "torch's gradient mode"),
        (lambda: torch.use_deterministic_algorithms(True), "torch's deterministic mode"),
        (lambda: np.seterr(over="ignore", under="raise"), "numpy's error handling"),
        (ignore_warnings_for_good, "warnings.filters"),
    ],
)
def test_global_effects_are_seen(effect: Callable, message: str, when: str) -> None:
    estimator = SideEffect(effect, when)
    seed_numpy()  # the same seed as the defect must not hide it
    with pytest.raises(LawError, match=message):
        law("no_global_state", estimator)(estimator)


def test_the_laws_leave_no_trace_themselves() -> None:
    states = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002 - watched
    of_torch, filters = torch.get_rng_state(), list(warnings.filters)
    check_sequence_estimator(MeanRegressor())
    assert (random.getstate(), np.random.get_state()[1].tolist()) == states  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), of_torch)
    assert list(warnings.filters) == filters


# --- what is adapted and what is left out --------------------------------------------------------


class Recorder(MeanRegressor):
    """Records the parameters it is fitted with."""

    seen: list[dict[str, Any]] = []  # shared by clones

    def __init__(
        self,
        max_epochs: int = 500,
        epochs: int = 2,
        batch_size: int = 8,
        dropout: float = 0.5,
        early_stopping: Any = "auto",
        validation_split: Any = 0.2,
        validation_fraction: float = 0.1,
        dtype: str = "float32",
        random_state: Any = None,
        warm_start: bool = True,
        lr: float = 0.1,
    ) -> None:
        self.max_epochs = max_epochs
        self.epochs = epochs
        self.batch_size = batch_size
        self.dropout = dropout
        self.early_stopping = early_stopping
        self.validation_split = validation_split
        self.validation_fraction = validation_fraction
        self.dtype = dtype
        self.random_state = random_state
        self.warm_start = warm_start
        self.lr = lr

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "Recorder":
        self.seen.append(self.get_params())
        return super().fit(X, y, sample_weight)


def changed(params: dict[str, Any]) -> dict[str, Any]:
    plain = Recorder().get_params()
    return {key: value for key, value in params.items() if plain[key] != value}


def test_only_documented_parameters_are_adapted() -> None:
    always = {"max_epochs": 5, "random_state": 0, "warm_start": False}
    Recorder.seen.clear()
    estimator = Recorder()
    law("fit_idempotence", estimator)(estimator)
    assert all(changed(params) == always for params in Recorder.seen)
    Recorder.seen.clear()
    law("weight_is_repetition", estimator)(estimator)
    of_weights = {
        "batch_size": 1024,
        "dropout": 0.0,
        "early_stopping": False,
        "validation_split": 0.0,
        "dtype": "float64",
    }
    assert all(changed(params) == {**always, **of_weights} for params in Recorder.seen)
    assert estimator.get_params() == Recorder().get_params()


def test_parameters_inside_a_pipeline_are_adapted() -> None:
    Recorder.seen.clear()
    pipeline = make_pipeline(FunctionTransformer(), Recorder())
    result = statuses(pipeline)
    assert {params["max_epochs"] for params in Recorder.seen} == {5}
    assert result.pop("check_weight_is_repetition") == "skipped"
    assert result.pop("check_causality") == "skipped"
    assert set(result.values()) == {"passed"}


class NoContinuousOutput(MeanClassifier):
    """Has labels only."""

    predict_proba = property()  # type: ignore[assignment]

    def predict(self, X: Any) -> np.ndarray:
        if not hasattr(self, "model_"):
            raise NotFittedError("call fit first")
        return self.classes_[(self.model_.predict(X) > 0.5).astype(int)]


class Plain:
    """Has no scikit-learn base class, only the four methods."""

    def __init__(self) -> None:
        self.model = None

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        return {}

    def set_params(self, **params: Any) -> "Plain":
        return self

    def fit(self, X: Any, y: Any) -> "Plain":
        self.model = MeanRegressor().fit(X, y)
        return self

    def predict(self, X: Any) -> Any:
        return self.model.predict(X)


@pytest.mark.parametrize(
    ("estimator", "skipped"),
    [
        (TorchRegressor(bidirectional=True), {"causality"}),
        (MeanClassifier(), {"causality"}),
        # Too few labels flip to judge weights by them.
        (
            NoContinuousOutput(),
            {"causality", "sensitivity_to_every_step", "weight_is_repetition"},
        ),
        (Plain(), {"causality", "weight_is_repetition"}),
    ],
)
def test_laws_that_do_not_apply_are_skipped(estimator: Any, skipped: set[str]) -> None:
    result = statuses(estimator)
    assert {k for k, v in result.items() if v == "skipped"} == {f"check_{n}" for n in skipped}
    assert set(result.values()) == {"skipped", "passed"}


def test_weights_too_weak_to_judge_are_no_pass() -> None:
    class Constant(MeanRegressor):
        """Learns nothing."""

        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "Constant":
            self.coef_ = np.ones(3)
            return self

    with pytest.raises(SkipTest, match="too little to judge"):
        law("weight_is_repetition", Constant())(Constant())


def test_equal_lengths_only_is_an_option() -> None:
    result = statuses(EqualLengthsOnly(), ragged=False)
    assert result.pop("check_padding_invariance") == "skipped"
    assert result.pop("check_causality") == "skipped"
    assert set(result.values()) == {"passed"}


def test_tolerances_are_used() -> None:
    class Leaks(MeanRegressor):
        """Mixes a little of the batch into each output."""

        def predict(self, X: Any) -> Any:
            return super().predict(X) + 1e-4 * np.mean([x.mean() for x in unpadded(X)])

    name = "batch_mate_independence"
    law(name, Leaks(), tolerance=0.1)(Leaks())
    with pytest.raises(LawError):
        law(name, Leaks())(Leaks())
    name = "sensitivity_to_every_step"
    with pytest.raises(LawError, match="needed"):
        law(name, MeanRegressor(), sensitivity=1e6)(MeanRegressor())


# --- the three ways to run them ------------------------------------------------------------------


def test_results_have_the_keys_of_scikit_learn() -> None:
    results = check_sequence_estimator(MeanRegressor())
    assert len({result["check_name"] for result in results}) == len(results) == 13
    for result in results:
        assert result["estimator_name"] == "MeanRegressor"
        assert isinstance(result["estimator"], MeanRegressor)
        skipped = result["check_name"] == "check_causality"
        assert result["status"] == ("skipped" if skipped else "passed")
        assert isinstance(result["exception"], SkipTest if skipped else type(None))
        assert result["expected_to_fail"] is False
        assert result["expected_to_fail_reason"] is None


def test_on_fail() -> None:
    with pytest.raises(LawError, match="ReadsLastStep breaks the law"):
        check_sequence_estimator(ReadsLastStep())
    with pytest.warns(EstimatorCheckFailedWarning, match="check_sensitivity_to_every_step"):
        results = check_sequence_estimator(ReadsLastStep(), on_fail="warn")
    failed = [result for result in results if result["status"] == "failed"]
    assert len(failed) == 1
    assert isinstance(failed[0]["exception"], LawError)


def test_on_skip() -> None:
    with pytest.warns(SkipTestWarning, match="no parameter return_sequences"):
        check_sequence_estimator(MeanRegressor(), on_skip="warn")


def test_expected_failures() -> None:
    known = {"check_sensitivity_to_every_step": "reads one step on purpose"}
    results = check_sequence_estimator(ReadsLastStep(), expected_failed_checks=known)
    marked = [result for result in results if result["expected_to_fail"]]
    assert [(r["status"], r["expected_to_fail_reason"]) for r in marked] == [
        ("xfail", "reads one step on purpose")
    ]


def test_callback_sees_every_result() -> None:
    seen: list[dict[str, Any]] = []
    results = check_sequence_estimator(
        MeanRegressor(), on_fail=None, callback=lambda **result: seen.append(result)
    )
    assert seen == results


def test_a_check_does_not_fit_the_estimator_it_is_given() -> None:
    for estimator, check in sequence_estimator_checks(MeanRegressor()):
        check(estimator)
        assert "coef_" not in vars(estimator)


def test_convergence_warnings_of_short_training_are_silent() -> None:
    class Warns(MeanRegressor):
        """Complains that training was short."""

        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> "Warns":
            warnings.warn("not converged", ConvergenceWarning, stacklevel=2)
            return super().fit(X, y, sample_weight)

    law("fit_idempotence", Warns())(Warns())


def known_of(estimator: Any) -> dict[str, str]:
    if isinstance(estimator, ReadsLastStep):
        return {"check_sensitivity_to_every_step": "reads one step on purpose"}
    return {}


@parametrize_with_sequence_checks([ReadsLastStep()], expected_failed_checks=known_of)
def test_parametrized_with_expected_failures(estimator: Any, check: Callable) -> None:
    check(estimator)


def test_names_of_parametrized_tests() -> None:
    mark = parametrize_with_sequence_checks([MeanRegressor(), MeanClassifier()]).mark
    ids = [parameter.id for parameter in mark.args[1]]
    assert ids[0] == "MeanRegressor-check_batch_mate_independence"
    assert len(set(ids)) == len(ids) == 26


@pytest.mark.parametrize(
    ("estimator", "kwargs", "error", "message"),
    [
        (MeanRegressor, {}, TypeError, r"got the class MeanRegressor; pass MeanRegressor\(\)"),
        (FunctionTransformer(), {}, TypeError, "FunctionTransformer has no method predict"),
        (MeanRegressor(), {"on_fail": "ignore"}, ValueError, "on_fail must be 'raise', 'warn' or"),
        (MeanRegressor(), {"on_skip": "raise"}, ValueError, "on_skip must be 'warn' or None"),
        (MeanRegressor(), {"callback": print}, ValueError, "pass on_fail=None"),
    ],
)
def test_errors(estimator: Any, kwargs: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        check_sequence_estimator(estimator, **kwargs)


def test_a_law_error_survives_pickling() -> None:
    import pickle

    copied = pickle.loads(pickle.dumps(LawError("A breaks b", "check_b", 0.5)))
    assert (str(copied), copied.law, copied.difference) == ("A breaks b", "check_b", 0.5)


def test_clones_are_yielded() -> None:
    estimator = RunningMean(return_sequences=False)
    for other, _ in sequence_estimator_checks(estimator):
        assert other is not estimator
        assert other.get_params() == clone(estimator).get_params()
