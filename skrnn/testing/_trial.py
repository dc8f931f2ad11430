"""One trial of one law: fits, reads outputs, compares them and words what differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn
from unittest import SkipTest

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone, is_classifier, is_regressor

from skrnn.testing._data import Problem, make_problem

Outputs = list[NDArray[np.float64]]

# Most epochs of a fit; laws hold after one step of training as well as after a thousand.
_MAX_EPOCHS = 5
_EPOCHS = ("max_epochs", "n_epochs", "num_epochs", "epochs")
_ALWAYS: dict[str, Any] = {"random_state": 0, "warm_start": False}


class LawError(AssertionError):
    """An estimator breaks a law of sequence estimators.

    Parameters
    ----------
    message : str
        Names the estimator, the law and what differed.

    law : str, default=""
        Name of the check.

    difference : float or None, default=None
        Largest absolute difference between outputs that should be equal, where there is one.

    See Also
    --------
    check_sequence_estimator : Runs the laws.

    Examples
    --------
    >>> from skrnn.testing import LawError
    >>> isinstance(LawError("Net breaks the law 'causality'"), AssertionError)
    True
    """

    def __init__(self, message: str, law: str = "", difference: float | None = None) -> None:
        super().__init__(message)
        self.law = law
        self.difference = difference

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.law, self.difference)


@dataclass(frozen=True)
class Settings:
    """Tolerances and the kind of data, as given to the public functions."""

    ragged: bool = True
    tolerance: float = 1e-5
    fit_tolerance: float = 1e-4
    sensitivity: float = 1e-6


class Trial:
    """An estimator held to one law.

    Parameters
    ----------
    estimator : estimator instance
        Never fitted itself: `fresh` clones it.

    law : str
        Name of the check.

    settings : Settings
        Tolerances and the kind of data.
    """

    def __init__(self, estimator: Any, law: str, settings: Settings) -> None:
        self.estimator = estimator
        self.name = type(estimator).__name__
        self.law = law
        self.settings = settings

    def fresh(self, **adapt: Any) -> Any:
        """Return an unfitted clone with short training and the given parameters.

        A parameter is set only where the estimator has it, under its own name or, in a composite,
        behind ``__``.
        """
        estimator = clone(self.estimator)
        wanted = {**_ALWAYS, **adapt}
        changes: dict[str, Any] = {}
        for key, value in estimator.get_params(deep=True).items():
            last = key.rsplit("__", 1)[-1]
            if last in wanted:
                changes[key] = wanted[last]
            elif last in _EPOCHS:
                few = isinstance(value, int | float) and 0 < value < _MAX_EPOCHS
                changes[key] = value if few else _MAX_EPOCHS
            elif last == "verbose" and isinstance(value, int):
                changes[key] = type(value)(0)  # scikit-learn takes no 0 where it asks for a bool
        return estimator.set_params(**changes) if changes else estimator

    def parameter(self, name: str, default: Any = None) -> Any:
        """Return the value of a parameter, looked up behind ``__`` as well."""
        for key, value in self.estimator.get_params(deep=True).items():
            if key.rsplit("__", 1)[-1] == name:
                return value
        return default

    def has_parameter(self, name: str) -> bool:
        """Tell whether the estimator or a part of it has a parameter."""
        missing = object()
        return self.parameter(name, missing) is not missing

    def problem(self, *, per_step: bool | None = None) -> Problem:
        """Return the data of the estimator's task."""
        if per_step is None:
            per_step = bool(self.parameter("return_sequences", False))
        return make_problem(is_classification(self.estimator), per_step, self.settings.ragged)

    def skip(self, reason: str) -> NoReturn:
        """Leave the law out."""
        raise SkipTest(f"{self.name}: {reason}")

    def fail(self, what: str, difference: float | None = None) -> NoReturn:
        """Report that the law is broken."""
        raise LawError(f"{self.name} breaks the law '{self.law}': {what}", self.law, difference)

    def attempt(self, action: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call the estimator; an exception of its own becomes a readable failure of the law."""
        try:
            return call(*args, **kwargs)
        except Exception as error:
            raise LawError(
                f"{self.name} breaks the law '{self.law}': {action} raised "
                f"{type(error).__name__}: {error}",
                self.law,
            ) from error

    def fit(self, estimator: Any, X: Any, y: Any, on: str = "", **kwargs: Any) -> Any:
        """Fit and return the estimator."""
        on = on or ("a list of arrays" if self.settings.ragged else "a 3-D array")
        self.attempt(f"fit on {on}", estimator.fit, X, y, **kwargs)
        return estimator

    def outputs(self, estimator: Any, X: Any, on: str = "", method: str | None = None) -> Outputs:
        """Return the most continuous output of each sequence as one array."""
        method = method or continuous_method(estimator)
        on = on or ("a list of arrays" if self.settings.ragged else "a 3-D array")
        raw = self.attempt(f"{method} on {on}", getattr(estimator, method), X)
        rows = raw.to_numpy() if hasattr(raw, "to_numpy") else raw
        if len(rows) != len(X):
            self.fail(f"{method} on {on} returned {len(rows)} outputs for {len(X)} sequences.")
        outputs = [np.asarray(row, dtype=np.float64) for row in rows]
        for i, output in enumerate(outputs):
            if not np.isfinite(output).all():
                self.fail(f"{method} on {on} is not finite for sequence {i}.")
        return outputs

    def distance(self, one: Outputs, other: Outputs, what: str) -> tuple[float, int]:
        """Return the largest absolute difference and the index of its sequence."""
        largest, index = 0.0, 0
        for i, (a, b) in enumerate(zip(one, other, strict=True)):
            if a.shape != b.shape:
                self.fail(f"{what}: the shape of output {i} changed from {a.shape} to {b.shape}.")
            difference = float(np.abs(a - b).max(initial=0.0))
            if difference > largest:
                largest, index = difference, i
        return largest, index

    def compare(self, one: Outputs, other: Outputs, what: str, tolerance: float) -> None:
        """Fail unless two outputs are equal up to `tolerance` times their scale."""
        allowed = tolerance * scale(one)
        difference, index = self.distance(one, other, what)
        if difference > allowed:
            self.fail(
                f"{what}: the outputs differ by up to {difference:.3g} "
                f"(largest absolute difference, at sequence {index}; allowed {allowed:.3g}).",
                difference,
            )


def scale(outputs: Outputs) -> float:
    """Return the largest absolute output, at least 1."""
    return max([1.0, *(float(np.abs(o).max(initial=0.0)) for o in outputs)])


def continuous_method(estimator: Any) -> str:
    """Name the method that reveals the most about the model."""
    for method in ("predict_proba", "decision_function"):
        if hasattr(estimator, method):
            return method
    return "predict"


def is_classification(estimator: Any) -> bool:
    """Tell classifiers from regressors, also where an estimator has no scikit-learn tags."""
    try:
        if is_classifier(estimator) or is_regressor(estimator):
            return bool(is_classifier(estimator))
    except AttributeError:  # a class that does not derive from scikit-learn's BaseEstimator
        pass
    kind = getattr(estimator, "_estimator_type", None)
    return kind == "classifier" or (kind is None and hasattr(estimator, "predict_proba"))


def take(X: Any, indices: Sequence[int] | NDArray[np.intp]) -> Any:
    """Select sequences from a list or an array."""
    return X[np.asarray(indices)] if isinstance(X, np.ndarray) else [X[i] for i in indices]
