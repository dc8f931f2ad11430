"""The training run: skorch's loop from the first epoch to the restored weights."""

from __future__ import annotations

import linecache
import warnings
from collections.abc import Sized
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import torch
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import LRScheduler

from skrnn._training._averaging import WeightAverage, average_of_weights
from skrnn._training._callbacks import (
    BestWeights,
    ProgressLine,
    Schedule,
    StopElsewhere,
    StopOnTime,
    StopTogether,
    StopTraining,
    TimeBudget,
)
from skrnn._training._heap import kept_heap
from skrnn._training._optimizers import SCHEDULES
from skrnn._training._precision import drop_slow_precision
from skrnn._training._randomness import draw_differently
from skrnn._training._snapshots import Checkpoint, Snapshots
from skrnn._training._steps import Diverged
from skrnn._training._surroundings import repeatable
from skrnn._training._threads import own_threads, thread_callbacks


@dataclass
class TrainingPlan:
    """How long to train, and when and how to stop.

    Parameters
    ----------
    lr_schedule : {"cosine", "one_cycle", "plateau"}, scheduler class or None
        Course of the learning rate.

    lr_schedule_params : dict
        Keyword arguments of ``"plateau"`` or of a scheduler class.

    weight_averaging : {"ema", "swa"} or None
        Average of the weights that is validated and kept.

    weight_averaging_params : dict
        Keyword arguments of the average.

    average_goes_on : bool
        Leave the average with the net, for a training that goes on with this one.

    max_time : float or None
        Seconds.

    patience : int or None
        Epochs without improvement on the validation set before stopping.

    tol : float
        Smallest improvement.

    verbose : int
        With 1 or more, one line per epoch is printed.

    n_threads : int, "auto" or None
        Threads of a training on the CPU; "auto" looks for the fastest number, None leaves torch's.

    extra : list of skorch callbacks
        Run for this training only.

    checkpoints : MemberCheckpoints or None
        Where the training is written down, and what it goes on from.

    enough : int or None
        Epochs after which to stop, on a schedule that is made for all of them.
    """

    lr_schedule: Any = "cosine"
    lr_schedule_params: dict[str, Any] = field(default_factory=dict)
    weight_averaging: str | None = None
    weight_averaging_params: dict[str, Any] = field(default_factory=dict)
    average_goes_on: bool = False
    max_time: float | None = None
    patience: int | None = None
    tol: float = 1e-4
    verbose: int = 0
    n_threads: int | str | None = None
    extra: list[Any] = field(default_factory=list)
    checkpoints: Snapshots | None = None
    enough: int | None = None


@dataclass
class Outcome:
    """How a training ended, and whether a whole epoch is left to use."""

    interrupted: KeyboardInterrupt | None = None
    diverged: bool = False
    restored: bool = True

    @property
    def usable(self) -> bool:
        """Whether the net is whole: trained to the end, or left with its last whole epoch."""
        return self.interrupted is None or self.restored


def train(
    net: Any,
    train_set: Sized,
    valid_set: Sized | None,
    epochs: int,
    plan: TrainingPlan,
) -> Outcome:
    """Train an initialized net in place and leave it with its best finite weights.

    Parameters
    ----------
    net : SequenceNetClassifier or SequenceNetRegressor
        Initialized net.

    train_set, valid_set : SequenceDataset or any the iterators of the net can read
        Data to fit and to watch.

    epochs : int
        Largest number of epochs.

    plan : TrainingPlan
        Schedule, limits and callbacks.

    Returns
    -------
    outcome : Outcome
        With the interrupt to be raised again by the caller, if there was one.

    Raises
    ------
    FloatingPointError
        If the training diverged before a single epoch was finite.
    """
    if plan.checkpoints is not None and plan.checkpoints.restore(net):
        # It had ended before this process was begun.
        return Outcome()
    drop_slow_precision(net)
    budget = TimeBudget(epochs, plan.max_time)
    best = BestWeights(plan.patience, plan.tol)
    usual = list(net.callbacks_)
    rates = [group["lr"] for group in net.optimizer_.param_groups]
    schedule = _schedule(plan, budget, valid_set is not None)
    average = average_of_weights(plan.weight_averaging, plan.weight_averaging_params, net)
    net.callbacks_ = _in_order(usual, schedule, budget, best, plan, average)
    last, n_done = _last_callbacks(net, plan)
    net.callbacks_ += last
    epochs = (epochs if plan.enough is None else min(epochs, plan.enough)) - n_done
    _join_processes(net)
    try:
        mode = repeatable(net.deterministic, net.device)
        threads = own_threads(plan.n_threads, net.processes.local_size)
        with mode, kept_heap(net.device), threads:
            outcome = _run(net, (train_set, valid_set), epochs, budget)
        if best.seen_ < len(net.history) and _is_whole(net.history[-1], valid_set):
            # A callback ended the training before the weights of this epoch were kept.
            best.keep(net, valid_set)
        outcome.restored = best.restore(net)
        # Callbacks have the last word: they may load or save weights of their own.
        net.notify("on_train_end", X=train_set, y=None)
    finally:
        net.average_ = average if plan.average_goes_on else None
        _as_before(net, usual, rates)
    _conclude(net, train_set, plan, outcome, best)
    return outcome


def _conclude(
    net: Any, train_set: Sized, plan: TrainingPlan, outcome: Outcome, best: BestWeights
) -> None:
    """Report a training that diverged, and leave the history and the files of whole epochs."""
    if outcome.diverged or (best.failures_ and outcome.interrupted is None):
        _report_divergence(net, outcome.restored and _is_usable(net, train_set))
    if best.seen_ < len(net.history):
        # The epoch that was cut short is not part of the result.
        del net.history[-1]
    if plan.checkpoints is not None and outcome.interrupted is None:
        plan.checkpoints.finish(net)


def _as_before(net: Any, usual: list[Any], rates: list[float]) -> None:
    """Take away from a net what belongs to one training only."""
    net.callbacks_ = usual
    # It would keep what the callbacks of this training hold, such as the user's data.
    vars(net).pop("heard_", None)
    net.guard_.end_training(net.optimizer_)
    # A schedule ends with its training: the next one would start where it left the rate.
    for group, rate in zip(net.optimizer_.param_groups, rates, strict=True):
        group["lr"] = rate


def _join_processes(net: Any) -> None:
    """Start from the weights that all processes have, with draws that none of the others has."""
    net.processes.begin(net.module_)
    if net.processes.rank > 0:
        # Shares differ, and so should what is dropped of them.
        draw_differently(net.processes.rank, torch.device(net.device))


def _in_order(
    usual: list[Any],
    schedule: list[Any],
    budget: TimeBudget,
    best: BestWeights,
    plan: TrainingPlan,
    average: WeightAverage | None,
) -> list[Any]:
    """Put the callbacks of this training around those of the net."""
    by_step = [pair for pair in schedule if isinstance(pair[1], Schedule)]
    # The budget counts before anybody asks, and stops only after everybody has seen the epoch;
    # a scheduler that steps by epoch may read the losses that the usual callbacks record. Whoever
    # looks at the weights of an epoch finds their average in place.
    return [
        ("time_budget", budget),
        *([] if average is None else [("weight_averaging", average)]),
        *by_step,
        *usual,
        *[pair for pair in schedule if pair not in by_step],
        *([("progress", ProgressLine(budget))] if plan.verbose else []),
        *[(type(callback).__name__, callback) for callback in plan.extra],
        ("best_weights", best),
        ("stop_on_time", StopOnTime(budget)),
        ("stop_together", StopTogether()),
    ]


def _last_callbacks(net: Any, plan: TrainingPlan) -> tuple[list[Any], int]:
    """Callbacks that come after all others, and the epochs that are over already."""
    last, n_done = [], 0
    if plan.checkpoints is not None:
        checkpoint = Checkpoint(plan.checkpoints)
        last, n_done = [("checkpoint", checkpoint)], checkpoint.n_epochs
    n_threads = None if net.deterministic else plan.n_threads
    found = thread_callbacks(n_threads, net.device, net.processes.local_size)
    return [*last, *(("threads", callback) for callback in found)], n_done


def _run(net: Any, sets: tuple[Any, Any], epochs: int, budget: TimeBudget) -> Outcome:
    outcome, leaves_first = Outcome(), True
    net.guard_.begin_training()
    net.time_budget_ = budget
    net.notify("on_train_begin", X=sets[0], y=None)
    try:
        net.fit_loop(sets, epochs=epochs)
        leaves_first = False
    except StopElsewhere:
        leaves_first = False
    except StopTraining:
        pass
    except Diverged:
        outcome.diverged = True
    except KeyboardInterrupt as interrupt:
        # skorch's own callbacks end a training by raising the exception of a real Ctrl-C.
        if not _raised_by_callback(interrupt):
            outcome.interrupted = interrupt
    except Exception as error:
        _explain_missing_monitor(error, net)
        raise
    finally:
        net.time_budget_ = None
    if outcome.interrupted is None:
        if leaves_first:
            net.processes.anyone(True)
        net.processes.end()
    return outcome


def _schedule(plan: TrainingPlan, budget: TimeBudget, has_validation: bool) -> list[Any]:
    schedule, params = plan.lr_schedule, plan.lr_schedule_params
    if params and (schedule is None or schedule in SCHEDULES):
        raise ValueError(f"lr_schedule={schedule!r} has no parameters, got {sorted(params)}.")
    if schedule is None:
        return []
    if schedule in SCHEDULES:
        return [("lr_schedule", Schedule(SCHEDULES[schedule], budget))]
    if schedule == "plateau":
        monitor = "valid_loss" if has_validation else "train_loss"
        scheduler = LRScheduler("ReduceLROnPlateau", **{"monitor": monitor, **params})
    else:
        scheduler = LRScheduler(schedule, **params)
    return [("lr_schedule", scheduler.initialize())]


def _raised_by_callback(interrupt: KeyboardInterrupt) -> bool:
    traceback = interrupt.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    if traceback is None:
        return False
    # A signal may arrive while any line runs; only a callback has one that raises it.
    file = traceback.tb_frame.f_code.co_filename
    line = linecache.getline(file, traceback.tb_lineno)
    return _is_from(traceback, "skorch.callbacks") and (not line or "KeyboardInterrupt" in line)


def _is_from(traceback: TracebackType, package: str) -> bool:
    return traceback.tb_frame.f_globals.get("__name__", "").startswith(package)


def _is_whole(row: dict[str, Any], valid_set: Sized | None) -> bool:
    return "train_loss" in row and (valid_set is None or "valid_loss" in row)


def _explain_missing_monitor(error: BaseException, net: Any) -> None:
    """Raise again, with the names there are, when a callback of skorch asks for an unknown one."""
    missing = error if isinstance(error, KeyError) else error.__context__
    if not isinstance(missing, KeyError):
        return
    frames: list[TracebackType] = []
    traceback = missing.__traceback__
    while traceback is not None:
        frames.append(traceback)
        traceback = traceback.tb_next
    asked = frames and _is_from(frames[-1], "skorch.history")
    callbacks = [frame for frame in frames if not _is_from(frame, "skorch.history")]
    if asked and callbacks and _is_from(callbacks[-1], "skorch.callbacks"):
        names = sorted(set(net.history[-1]) - {"batches"})
        raise ValueError(
            f"a callback monitors what the training does not record: {missing.args[0]} "
            f"Available are {names}; validation losses need a validation part "
            "(early_stopping=True), and scores an EpochScoring callback before this one."
        ) from error


def _is_usable(net: Any, train_set: Sized) -> bool:
    """Whether the loss is finite with the weights as they are."""
    batches = net.get_iterator(train_set, training=False)
    return all(bool(net.validation_step(batch)["loss"].isfinite()) for batch in batches)


def _report_divergence(net: Any, restored: bool) -> None:
    epoch = len(net.history)
    advice = "lower lr, lower gradient_clip_value (clip), or scale the data"
    if not restored:
        raise FloatingPointError(
            f"training diverged in epoch {epoch}: the loss is not finite and no epoch before was; "
            f"{advice}."
        )
    warnings.warn(
        f"training diverged at epoch {epoch}: the loss is not finite. The best finite weights were "
        f"restored; {advice}.",
        ConvergenceWarning,
        stacklevel=6,
    )
