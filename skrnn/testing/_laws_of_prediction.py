"""Laws of prediction: what the output of one sequence may depend on, and what it must depend on."""

from __future__ import annotations

from typing import Any

import numpy as np

from skrnn.testing._data import object_array, padded_array
from skrnn.testing._trial import Trial, continuous_method, scale, take

# Random mates are scaled up so that any leak through shared statistics shows.
_LOUD = 50.0
_LONG_MATE = 40


def check_batch_mate_independence(trial: Trial) -> None:
    """Give the same output to a sequence alone, in a batch, and beside other mates."""
    problem = trial.problem()
    model = trial.fit(trial.fresh(), problem.X, problem.y)
    together = trial.outputs(model, problem.probe)
    for i, expected in enumerate(together):
        alone = trial.outputs(model, take(problem.probe, [i]))
        trial.compare(
            [expected],
            alone,
            f"sequence {i} predicted in a batch of {len(together)} and alone",
            trial.settings.tolerance,
        )
    loud = np.stack(list(problem.probe)) * _LOUD
    loud[0] = problem.probe[0]
    mates = loud if isinstance(problem.probe, np.ndarray) else list(loud)
    trial.compare(
        together[:1],
        trial.outputs(model, mates)[:1],
        f"sequence 0 predicted beside sequences {_LOUD:g} times as large",
        trial.settings.tolerance,
    )


def check_padding_invariance(trial: Trial) -> None:
    """Give the same output whatever the padding that other sequences make necessary."""
    if not trial.settings.ragged:
        trial.skip("sequences of equal length need no padding")
    problem = trial.problem()
    model = trial.fit(trial.fresh(), problem.X, problem.y)
    longest = np.resize(problem.X[1], (_LONG_MATE, problem.X[1].shape[1]))
    beside = trial.outputs(model, [*problem.X, longest])[:-1]
    alone = [trial.outputs(model, [x])[0] for x in problem.X]
    trial.compare(
        alone,
        beside,
        f"sequences predicted alone and beside one of {_LONG_MATE} steps",
        trial.settings.tolerance,
    )


def check_row_order_equivariance(trial: Trial) -> None:
    """Permute the outputs as the sequences are permuted."""
    problem = trial.problem()
    model = trial.fit(trial.fresh(), problem.X, problem.y)
    n_samples = len(problem.X)
    orders = {
        "in reverse order": np.arange(n_samples)[::-1],
        "in random order": np.random.default_rng(0).permutation(n_samples),
    }
    for method in dict.fromkeys([continuous_method(model), "predict"]):
        expected = trial.outputs(model, problem.X, method=method)
        for words, order in orders.items():
            trial.compare(
                [expected[i] for i in order],
                trial.outputs(model, take(problem.X, order), method=method),
                f"{method} of the sequences {words}",
                trial.settings.tolerance,
            )


def check_causality(trial: Trial) -> None:
    """Leave the outputs of earlier steps alone when later steps of the input change."""
    if not trial.has_parameter("return_sequences"):
        trial.skip("no parameter return_sequences, hence no output per step")
    if trial.parameter("bidirectional", False) is True:
        trial.skip("bidirectional=True reads the future on purpose")
    if trial.parameter("loss") == "crf":
        trial.skip("loss='crf' chooses labels for the whole sequence on purpose")
    problem = trial.problem(per_step=True)
    model = trial.fit(trial.fresh(return_sequences=True), problem.X, problem.y)
    expected = trial.outputs(model, problem.probe)
    n_steps = len(problem.probe[0])
    for i, output in enumerate(expected):
        if len(output) != n_steps:
            trial.fail(f"sequence {i} of {n_steps} steps has {len(output)} outputs per step.")
    for t in range(1, n_steps):
        changed = _changed(problem.probe, slice(t, None))
        trial.compare(
            [output[:t] for output in expected],
            [output[:t] for output in trial.outputs(model, changed)],
            f"outputs before step {t} when the input changes from step {t} on",
            trial.settings.tolerance,
        )


def check_sensitivity_to_every_step(trial: Trial) -> None:
    """Change the output when any single step of the input changes."""
    problem = trial.problem()
    model = trial.fit(trial.fresh(), problem.X, problem.y)
    method = continuous_method(model)
    if method == "predict" and np.asarray(problem.y[0]).dtype.kind == "i":
        trial.skip("neither predict_proba nor decision_function: no continuous output")
    per_step = isinstance(problem.y, list)
    expected = _final(trial.outputs(model, problem.probe), per_step)
    needed = trial.settings.sensitivity * scale(expected)
    n_steps = len(problem.probe[0])
    for t in range(n_steps):
        got = _final(trial.outputs(model, _changed(problem.probe, slice(t, t + 1))), per_step)
        change, _ = trial.distance(expected, got, f"input changed at step {t}")
        if not change > needed:
            trial.fail(
                f"changing step {t} of {n_steps} moves the output of no sequence "
                f"(largest absolute difference {change:.3g}, needed {needed:.3g}).",
                change,
            )


def check_containers(trial: Trial) -> None:
    """Learn and predict the same from a list, an object array and a padded 3-D array."""
    problem = trial.problem()
    X = list(problem.X)
    forms: dict[str, Any] = {"an object array": object_array(X)}
    if trial.settings.ragged:
        forms["a 3-D array padded with NaN"] = padded_array(X)
        forms["a 3-D array padded with NaN beyond the longest"] = padded_array(X, extra=2)
    else:
        forms["a 3-D array"] = np.stack(X)
    model = trial.fit(trial.fresh(), X, problem.y, "a list of arrays")
    expected = trial.outputs(model, X, "a list of arrays")
    for words, form in forms.items():
        trial.compare(
            expected,
            _unpadded(trial, trial.outputs(model, form, words), X),
            f"predictions for a list of arrays and for {words}",
            trial.settings.tolerance,
        )
        refitted = trial.fit(trial.fresh(), form, problem.y, words)
        trial.compare(
            expected,
            trial.outputs(refitted, X, "a list of arrays"),
            f"predictions after fit on a list of arrays and after fit on {words}",
            trial.settings.fit_tolerance,
        )


def _unpadded(trial: Trial, outputs: Any, X: Any) -> Any:
    if not isinstance(trial.problem().y, list):
        return outputs
    return [output[: len(x)] for output, x in zip(outputs, X, strict=True)]


def _final(outputs: Any, per_step: bool) -> Any:
    # The last step's output has seen all steps, in every recurrent network.
    return [output[-1:] for output in outputs] if per_step else outputs


def _changed(probe: Any, steps: slice) -> Any:
    changed = np.stack(list(probe))
    # Channels move by different amounts, so that no contrast of channels hides the change.
    changed[:, steps] += np.linspace(1.0, 2.0, changed.shape[2])
    return changed if isinstance(probe, np.ndarray) else list(changed)
