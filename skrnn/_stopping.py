"""Stopping: how long to train on few samples, found on parts of them that are held out in turn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, KFold

from skrnn._automatic import resolve_epochs
from skrnn._members import Member, seeds_of_members
from skrnn._targets import Samples
from skrnn._training import RowLosses, TrainingPlan, enough_epochs, processes_of, resolve_device

# With fewer samples than this a part of them says little, and every one is needed.
FEWEST = 50
# Parts that the samples are cut into, and how many of them are held out, one after the other.
N_PARTS, N_HELD_OUT = 5, 2


def epochs_for_few(
    estimator: Any, samples: Samples, groups: Any, seed: int, plan: TrainingPlan
) -> int | None:
    """Number of epochs after which the network gets worse; None if it need not be stopped.

    Parameters
    ----------
    estimator : RecurrentEstimator
        About to be fitted. Its target scaling is left as the last part had it.

    samples : Samples
        All that it is to be trained on.

    groups : array-like of shape (n_samples,) or None
        Samples of one group are not on both sides.

    seed : int
        Of the fit.

    plan : TrainingPlan
        Of the training whose end is looked for.
    """
    parts = held_out(len(samples.sequences), groups, seed)
    if not parts:
        return None
    found = []
    for held, own_seed in zip(parts, seeds_of_members(seed, len(parts) + 1)[1:], strict=True):
        rest = np.setdiff1d(np.arange(len(samples.sequences)), held)
        losses = _trial(estimator, samples.take(rest), samples.take(held), own_seed, plan)
        if losses is None:
            return None
        found.append(losses)
    n_epochs = min(len(losses.epochs_) for losses in found)
    together = np.hstack([np.stack(losses.epochs_[:n_epochs]) for losses in found])
    enough = enough_epochs(together, np.concatenate([losses.weight_ for losses in found]))
    # Processes that train together may round differently.
    return int(processes_of(estimator.accelerator).agreed(enough or 0)) or None


def held_out(n_samples: int, groups: Any, seed: int) -> list[NDArray[np.int64]]:
    """Parts of the samples; none where there are too few samples or groups."""
    if n_samples < FEWEST:
        return []
    if groups is None:
        splits = KFold(N_PARTS, shuffle=True, random_state=seed).split(np.arange(n_samples))
    elif len(np.unique(groups)) < N_PARTS:
        return []
    else:
        splitter = GroupKFold(N_PARTS, shuffle=True, random_state=seed)
        splits = splitter.split(np.arange(n_samples), groups=groups)
    return [held for _, held in splits][:N_HELD_OUT]


def _trial(
    estimator: Any, training: Samples, held: Samples, seed: int, plan: TrainingPlan
) -> RowLosses | None:
    """Train on one part and watch the other; None if the training diverged."""
    device = resolve_device(estimator.device, estimator.accelerator)

    def make(seed: int, start: Any) -> Any:
        network = estimator._build_network(training, 0)
        return estimator._make_net(network, device, seed, watched=False).initialize()

    member = Member.make(seed, None, device, make)
    sets = tuple(estimator._dataset(part, member.net) for part in (training, held))
    epochs = resolve_epochs(estimator, len(training.sequences), member.net.module_)
    losses = RowLosses()
    own = replace(plan, verbose=0, patience=None, extra=[losses])
    if plan.lr_schedule == "plateau":
        # It is to follow what it will follow when nothing is held out.
        own.lr_schedule_params = {"monitor": "train_loss", **plan.lr_schedule_params}
    try:
        outcome = member.train(sets, epochs, own)
    except FloatingPointError:
        return None
    if outcome.interrupted is not None:
        raise outcome.interrupted
    return None if outcome.diverged or not losses.epochs_ else losses
