"""Resuming: what a fit and its checkpoints have to have in common."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from skrnn._targets import Samples, compared
from skrnn._training import Checkpoints, network_to_state, processes_of
from skrnn._vectors import embedding_table


def is_written(checkpoint_dir: Any, resume: bool | str) -> bool:
    """Whether a fit is written down.

    Raises
    ------
    ValueError
        If it is not, and yet to be resumed.
    """
    if checkpoint_dir is None and resume is True:
        raise ValueError("resume=True goes on from a checkpoint; set checkpoint_dir.")
    return checkpoint_dir is not None


def checkpoints_of(
    estimator: Any, samples: Samples, groups: Any, resume: bool | str, seed: int
) -> AbstractContextManager[Checkpoints | None]:
    """Folder for the checkpoints of a fit, which is removed if the fit comes to its end.

    Parameters
    ----------
    estimator : RecurrentEstimator
        About to be fitted.

    samples : Samples
        All that it is fitted on.

    groups : array-like or None
        As given to ``fit``.

    resume : bool or "auto"
        As given to ``fit``.

    seed : int
        Seed of the fit; the checkpoints may have another one.

    Returns
    -------
    checkpoints : context manager
        Gives a :class:`Checkpoints`, or without ``checkpoint_dir`` None.
    """
    if resume not in (False, True, "auto"):
        raise ValueError(f"resume must be True, False or 'auto', got {resume!r}.")
    if not is_written(estimator.checkpoint_dir, resume):
        return nullcontext()
    params = estimator.get_params(deep=False)
    data = compared(samples, None)
    if groups is not None:
        data["groups"] = np.asarray(groups)
    if isinstance(params["validation_split"], tuple):
        # Its samples are compared with those of the checkpoint once they were read.
        params["validation_split"] = "(X_val, y_val)"
    if params["embedding"] is not None:
        # Objects with vectors have no words that tell them apart; long tables are cut in print.
        data["embedding"] = embedding_table(params["embedding"], np.float64)
        params["embedding"] = "vectors"
    source = vars(estimator).get("_source")
    starts = {"pretrained": [] if source is None else source.networks}
    if estimator.warm_start and hasattr(estimator, "net_"):
        starts["fitted"] = [net.module_ for net in estimator.nets_]
    for kind, networks in starts.items():
        for number, network in enumerate(networks):
            for name, array in network_to_state(network).items():
                data[f"{name} of {kind} network {number}"] = array
    processes = processes_of(estimator.accelerator)
    return Checkpoints(estimator.checkpoint_dir, params, data, resume, processes, seed)
