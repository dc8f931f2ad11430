"""Running the laws: on one estimator, as a generator, or as pytest parameters."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal
from unittest import SkipTest

from sklearn.base import clone
from sklearn.exceptions import (
    ConvergenceWarning,
    EstimatorCheckFailedWarning,
    SkipTestWarning,
)

from skrnn.testing import _laws_of_fitting as fitting
from skrnn.testing import _laws_of_prediction as prediction
from skrnn.testing._trial import Settings, Trial

LAWS: tuple[Callable[[Trial], None], ...] = (
    prediction.check_batch_mate_independence,
    prediction.check_padding_invariance,
    prediction.check_row_order_equivariance,
    prediction.check_causality,
    prediction.check_sensitivity_to_every_step,
    prediction.check_containers,
    fitting.check_weight_is_repetition,
    fitting.check_fit_idempotence,
    fitting.check_no_global_state,
    fitting.check_inputs_unchanged,
    fitting.check_model_owns_its_data,
    fitting.check_clone_is_unfitted,
    fitting.check_copies_predict_the_same,
)


@dataclass(frozen=True)
class SequenceCheck:
    """One law, to be called with an estimator.

    Made by :func:`sequence_estimator_checks`.

    Parameters
    ----------
    law : callable
        The function that runs the law.

    settings : Settings
        Tolerances and the kind of data.

    Attributes
    ----------
    name : str
        Name of the law, for instance ``"check_causality"``.

    See Also
    --------
    sequence_estimator_checks : Yields these with an estimator each.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from skrnn.testing import sequence_estimator_checks
    >>> _, check = next(sequence_estimator_checks(DummyClassifier()))
    >>> check.name
    'check_batch_mate_independence'
    """

    law: Callable[[Trial], None]
    settings: Settings

    @property
    def name(self) -> str:
        """Name of the law."""
        return self.law.__name__

    def __call__(self, estimator: Any) -> None:
        """Hold an estimator to the law.

        Parameters
        ----------
        estimator : estimator instance
            Cloned before use.

        Raises
        ------
        LawError
            If the estimator breaks the law.

        unittest.SkipTest
            If the law does not apply; pytest counts the test as skipped.
        """
        with warnings.catch_warnings():
            # Training is cut short on purpose.
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.law(Trial(estimator, self.name, self.settings))


def sequence_estimator_checks(
    estimator: Any,
    *,
    ragged: bool = True,
    tolerance: float = 1e-5,
    fit_tolerance: float = 1e-4,
    sensitivity: float = 1e-6,
) -> Iterator[tuple[Any, SequenceCheck]]:
    """Yield every law together with an estimator to hold to it.

    Parameters
    ----------
    estimator : estimator instance
        A classifier or regressor of sequences with `fit`, `predict`, `get_params` and `set_params`.

    ragged : bool, default=True
        Hold it to sequences of several lengths in lists. False for estimators of equal lengths
        only: data are arrays of shape (n_samples, n_timesteps, n_features) then, and padding is
        left out.

    tolerance : float, default=1e-5
        Largest allowed difference between outputs of one fitted model that should be equal, in
        units of the largest output (at least 1).

    fit_tolerance : float, default=1e-4
        The same between two fits on data that mean the same.

    sensitivity : float, default=1e-6
        Smallest change of the output, in the same units, that counts as a reaction to a changed
        step.

    Yields
    ------
    estimator : estimator instance
        A clone of `estimator`.

    check : SequenceCheck
        Called as ``check(estimator)``; raises `LawError` or :class:`unittest.SkipTest`.

    Raises
    ------
    TypeError
        If `estimator` is a class, or cannot be cloned.

    See Also
    --------
    check_sequence_estimator : Runs them all and collects the results.

    Examples
    --------
    >>> from sklearn.dummy import DummyRegressor
    >>> from skrnn.testing import sequence_estimator_checks
    >>> len(list(sequence_estimator_checks(DummyRegressor())))
    13
    """
    if isinstance(estimator, type):
        raise TypeError(
            f"expected an estimator instance, got the class {estimator.__name__}; "
            f"pass {estimator.__name__}()."
        )
    if not hasattr(estimator, "predict"):
        raise TypeError(
            f"{type(estimator).__name__} has no method predict; the laws hold for classifiers "
            "and regressors of sequences."
        )
    settings = Settings(ragged, tolerance, fit_tolerance, sensitivity)
    for law in LAWS:
        yield clone(estimator), SequenceCheck(law, settings)


def check_sequence_estimator(
    estimator: Any,
    *,
    ragged: bool = True,
    tolerance: float = 1e-5,
    fit_tolerance: float = 1e-4,
    sensitivity: float = 1e-6,
    expected_failed_checks: dict[str, str] | None = None,
    on_skip: Literal["warn"] | None = None,
    on_fail: Literal["raise", "warn"] | None = "raise",
    callback: Callable[..., Any] | None = None,
) -> list[dict[str, Any]]:
    """Hold an estimator of sequences to the laws that sequences add to scikit-learn's checks.

    Parameters
    ----------
    estimator : estimator instance
        A classifier or regressor of sequences with `fit`, `predict`, `get_params` and `set_params`,
        of any package. Needs no scikit-learn base class.

    ragged : bool, default=True
        Hold it to sequences of several lengths in lists. False for estimators of equal lengths
        only: data are arrays of shape (n_samples, n_timesteps, n_features) then, and padding is
        left out.

    tolerance : float, default=1e-5
        Largest allowed difference between outputs of one fitted model that should be equal, in
        units of the largest output (at least 1).

    fit_tolerance : float, default=1e-4
        The same between two fits on data that mean the same.

    sensitivity : float, default=1e-6
        Smallest change of the output, in the same units, that counts as a reaction to a changed
        step. Sequences have 5 steps, over which no recurrent network forgets.

    expected_failed_checks : dict of str to str, default=None
        Names of laws that the estimator is known to break, with the reason.

    on_skip : {"warn"} or None, default=None
        Warn about laws that do not apply.

    on_fail : {"raise", "warn"} or None, default="raise"
        Raise the first `LawError`, or go on: with a warning for each or with none.

    callback : callable, default=None
        Called with each result as keyword arguments. Not together with ``on_fail="raise"``.

    Returns
    -------
    list of dict
        One per law, with keys ``"estimator"``, ``"estimator_name"``, ``"check_name"``,
        ``"exception"`` (None where it passed), ``"status"`` ("passed", "failed", "skipped" or
        "xfail"), ``"expected_to_fail"`` and ``"expected_to_fail_reason"``.

    Raises
    ------
    LawError
        If a law is broken and ``on_fail="raise"``; the message says which law and by how much.

    TypeError
        If `estimator` is a class, cannot be cloned or cannot predict.

    ValueError
        If `on_fail` or `on_skip` is none of the above, or `callback` is given with
        ``on_fail="raise"``.

    See Also
    --------
    sequence_estimator_checks : The laws one by one.
    parametrize_with_sequence_checks : The laws as pytest parameters.
    sklearn.utils.estimator_checks.check_estimator : What holds for every estimator.

    Notes
    -----
    The laws fit on 12 sequences of 3 to 7 steps and 2 numeric features, classes 0 and 1 or numbers
    of unit size as target, and ask about sequences of 5 steps. They compare `predict_proba` where
    there is one, else `decision_function`, else `predict`. A law costs one to five fits.

    Parameters are adapted only where the estimator, or a step of it behind ``__``, has them:

    - always: ``max_epochs`` (``epochs``, ``n_epochs``, ``num_epochs``) at most 5,
      ``random_state=0``, ``verbose`` off, ``warm_start=False``;
    - for causality: ``return_sequences=True``;
    - for weights: ``batch_size=1024``, ``dropout=0`` (``recurrent_dropout``,
      ``embedding_dropout``), ``early_stopping=False``, ``calibrate=False``, no
      ``validation_split``, ``validation_fraction=0`` where there is no ``early_stopping`` to turn
      off, and ``dtype="float64"`` in place of "float32".

    Causality applies where ``return_sequences`` is a parameter, ``bidirectional`` is not True and
    ``loss`` is not "crf".

    Examples
    --------
    >>> from sklearn.dummy import DummyRegressor
    >>> from skrnn.testing import check_sequence_estimator
    >>> results = check_sequence_estimator(DummyRegressor(), on_fail=None)
    >>> [r["check_name"] for r in results if r["status"] == "failed"]
    ['check_sensitivity_to_every_step']
    >>> print(next(r["exception"] for r in results if r["status"] == "failed"))
    DummyRegressor breaks the law 'check_sensitivity_to_every_step': changing step 0 of 5 moves
    the output of no sequence (largest absolute difference 0, needed ...).
    """
    _check_options(on_skip, on_fail, callback)
    expected = expected_failed_checks or {}
    results = []
    for clone_, check in sequence_estimator_checks(
        estimator,
        ragged=ragged,
        tolerance=tolerance,
        fit_tolerance=fit_tolerance,
        sensitivity=sensitivity,
    ):
        result = _result(clone_, check, expected)
        if result["status"] == "failed" and on_fail == "raise":
            raise result["exception"]
        _warn(result, on_skip, on_fail)
        results.append(result)
        if callback is not None:
            callback(**result)
    return results


def parametrize_with_sequence_checks(
    estimators: Iterable[Any],
    *,
    ragged: bool = True,
    tolerance: float = 1e-5,
    fit_tolerance: float = 1e-4,
    sensitivity: float = 1e-6,
    expected_failed_checks: Callable[[Any], dict[str, str]] | None = None,
) -> Any:
    """Parametrize a pytest test of ``(estimator, check)`` with every law for every estimator.

    Parameters
    ----------
    estimators : iterable of estimator instances
        Classifiers or regressors of sequences.

    ragged : bool, default=True
        Hold them to sequences of several lengths; see :func:`check_sequence_estimator`.

    tolerance : float, default=1e-5
        Largest allowed difference between outputs of one fitted model that should be equal.

    fit_tolerance : float, default=1e-4
        The same between two fits on data that mean the same.

    sensitivity : float, default=1e-6
        Smallest change of the output that counts as a reaction to a changed step.

    expected_failed_checks : callable, default=None
        Takes an estimator and returns a dict of law names and reasons; these tests are marked as
        expected failures.

    Returns
    -------
    pytest.MarkDecorator
        Result of ``pytest.mark.parametrize``.

    Raises
    ------
    ImportError
        If pytest is not installed.

    See Also
    --------
    check_sequence_estimator : The laws without pytest.

    Examples
    --------
    >>> from sklearn.dummy import DummyRegressor
    >>> from skrnn.testing import parametrize_with_sequence_checks
    >>> @parametrize_with_sequence_checks([DummyRegressor()])
    ... def test_laws(estimator, check):
    ...     check(estimator)
    """
    import pytest

    parameters = []
    for estimator in estimators:
        known = {} if expected_failed_checks is None else expected_failed_checks(estimator)
        for clone_, check in sequence_estimator_checks(
            estimator,
            ragged=ragged,
            tolerance=tolerance,
            fit_tolerance=fit_tolerance,
            sensitivity=sensitivity,
        ):
            reason = known.get(check.name)
            marks = [] if reason is None else [pytest.mark.xfail(reason=reason)]
            name = f"{type(estimator).__name__}-{check.name}"
            parameters.append(pytest.param(clone_, check, id=name, marks=marks))
    return pytest.mark.parametrize(("estimator", "check"), parameters)


def _check_options(on_skip: Any, on_fail: Any, callback: Any) -> None:
    if on_skip not in {"warn", None}:
        raise ValueError(f"on_skip must be 'warn' or None, got {on_skip!r}.")
    if on_fail not in {"raise", "warn", None}:
        raise ValueError(f"on_fail must be 'raise', 'warn' or None, got {on_fail!r}.")
    if on_fail == "raise" and callback is not None:
        raise ValueError("callback cannot be called when on_fail='raise'; pass on_fail=None.")


def _result(estimator: Any, check: SequenceCheck, expected: dict[str, str]) -> dict[str, Any]:
    exception: Exception | None = None
    status = "passed"
    try:
        check(estimator)
    except SkipTest as skipped:
        exception, status = skipped, "skipped"
    except Exception as error:
        exception, status = error, "xfail" if check.name in expected else "failed"
    return {
        "estimator": estimator,
        "estimator_name": type(estimator).__name__,
        "check_name": check.name,
        "exception": exception,
        "status": status,
        "expected_to_fail": check.name in expected,
        "expected_to_fail_reason": expected.get(check.name),
    }


def _warn(result: dict[str, Any], on_skip: str | None, on_fail: str | None) -> None:
    if result["status"] == "skipped" and on_skip == "warn":
        warnings.warn(str(result["exception"]), SkipTestWarning, stacklevel=3)
    if result["status"] == "failed" and on_fail == "warn":
        known = {key: value for key, value in result.items() if key != "estimator_name"}
        warnings.warn(EstimatorCheckFailedWarning(**known), stacklevel=3)
