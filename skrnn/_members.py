"""Members: the networks of an ensemble, trained one after the other or side by side."""

from __future__ import annotations

import copy
import itertools
import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
import torch
from joblib import parallel_config
from skorch.callbacks import Callback
from torch import Tensor, nn

from skrnn._targets import Samples
from skrnn._training import (
    Outcome,
    SequenceDataset,
    TrainingPlan,
    own_randomness,
    resolve_device,
    train,
)
from skrnn.nn import SequenceHead, generator_of_thread

# Seconds after which the main thread looks whether it was interrupted.
BETWEEN_LOOKS = 0.1


def seeds_of_members(seed: int, n_members: int) -> list[int]:
    """One seed per network; the first is `seed` itself."""
    further = np.random.RandomState(seed).randint(np.iinfo(np.int32).max, size=n_members - 1)
    return [seed, *further.tolist()]


@dataclass
class Member:
    """A network about to be trained.

    Parameters
    ----------
    net : skorch net
        Initialized.

    seed : int
        Decides dropout.

    state : Tensor
        Where the generator of weights and dropout was when the network had been made.

    start : skorch net or None
        What it goes on from.
    """

    net: Any
    seed: int
    state: Tensor
    start: Any = None

    @classmethod
    def make(
        cls, seed: int, start: Any, device: torch.device, make_net: Callable[[int, Any], Any]
    ) -> Member:
        """Make the net of a member with the randomness of its seed."""
        with own_randomness(seed, device):
            net = make_net(seed, start)
            generator = generator_of_thread()
            assert generator is not None
            return cls(net, seed, generator.get_state(), start)

    def train(self, sets: tuple[Any, Any], epochs: int, plan: TrainingPlan) -> Outcome:
        """Train it."""
        with own_randomness(self.seed, torch.device(self.net.device)):
            generator = generator_of_thread()
            assert generator is not None
            generator.set_state(self.state)
            return train(self.net, sets[0], sets[1], epochs, plan)


class StopTogether(Callback):
    """End a training as Ctrl-C does, once an event is set.

    Parameters
    ----------
    event : threading.Event
        Set by the thread that Ctrl-C reaches.
    """

    def __init__(self, event: threading.Event) -> None:
        self.event = event

    def on_batch_begin(self, net: Any, **kwargs: Any) -> None:
        """Look at the event."""
        if self.event.is_set():
            raise KeyboardInterrupt


def n_workers(n_jobs: int | None, n_members: int, device: torch.device) -> int:
    """Trainings side by side; on other devices than the CPU they would only wait for each other."""
    if n_members == 1 or device.type != "cpu":
        return 1
    return min(joblib.effective_n_jobs(n_jobs), n_members)


def train_members(
    members: Sequence[Member],
    sets: tuple[Any, Any],
    epochs: int,
    plans: Sequence[TrainingPlan],
    n_threads: int,
) -> list[Outcome]:
    """Train networks on the same data.

    Parameters
    ----------
    members : sequence of Member
        What to train.

    sets : tuple (training, validation)
        Data sets.

    epochs : int
        Largest number of epochs.

    plans : sequence of TrainingPlan
        One per member. A time limit holds for all together.

    n_threads : int
        Trainings side by side.

    Returns
    -------
    outcomes : list of Outcome
        Of the members that were begun, which are the first ones. After Ctrl-C at least one of them
        was interrupted.
    """
    rounds = math.ceil(len(members) / n_threads)
    for plan in plans:
        plan.max_time = None if plan.max_time is None else plan.max_time / rounds
    if n_threads > 1:
        return _side_by_side(members, sets, epochs, plans, n_threads)
    outcomes = []
    for member, plan in zip(members, plans, strict=True):
        outcomes.append(member.train(sets, epochs, plan))
        if outcomes[-1].interrupted is not None:
            break
    return outcomes


def _side_by_side(
    members: Sequence[Member],
    sets: tuple[Any, Any],
    epochs: int,
    plans: Sequence[TrainingPlan],
    n_threads: int,
) -> list[Outcome]:
    stop = threading.Event()

    def work(member: Member, plan: TrainingPlan) -> Outcome:
        plan.extra = [*plan.extra, StopTogether(stop)]
        # Tells the training that it has neighbours, and is to use one core.
        with parallel_config(backend="threading"):
            return member.train(sets, epochs, plan)

    with ThreadPoolExecutor(n_threads) as pool:
        try:
            futures = [pool.submit(work, *pair) for pair in zip(members, plans, strict=True)]
            interrupt = _wait(futures, stop)
        except BaseException:
            # The pool waits for its threads, nobody for what they do.
            stop.set()
            raise
    outcomes = [future.result() for future in futures if not future.cancelled()]
    if interrupt is not None and not any(outcome.interrupted for outcome in outcomes):
        if not outcomes:
            raise interrupt
        outcomes[-1].interrupted = interrupt
    return outcomes


def _wait(futures: list[Future[Outcome]], stop: threading.Event) -> KeyboardInterrupt | None:
    """Wait for all; after Ctrl-C or an error until those that were begun have stopped."""
    interrupt, left = None, set(futures)
    try:
        while left:
            # Some systems do not wake a thread that waits for others, whatever the user types.
            done, left = wait(futures, BETWEEN_LOOKS, FIRST_EXCEPTION)
            if any(future.exception() for future in done):
                break
    except KeyboardInterrupt as error:
        interrupt = error
    if left:
        stop.set()
        for future in futures:
            future.cancel()
        wait(futures)
    return interrupt


class MembersMixin:
    """How an estimator makes and trains its networks.

    The estimator brings its parameters, ``_build_network`` and ``_make_net``.
    """

    net_: Any
    nets_: Any
    interrupted_: bool
    device: Any
    accelerator: Any
    n_estimators: int
    n_jobs: int | None
    _build_network: Any
    _learn_unseen: Any
    _make_net: Any

    def _members(
        self, seed: int, starts: list[Any], training: Samples, go_on: bool = False
    ) -> list[Member]:
        """Make the nets that are to be trained: new ones, or copies of those to start from.

        To go on is to keep the state of the optimizer as well.
        """
        device = resolve_device(self.device, self.accelerator)
        numbers = itertools.count()

        def make(seed: int, start: Any) -> Any:
            if go_on:
                net = copy.deepcopy(start)
                self._learn_unseen(net.module_, training)
                # Made to be read, it freezes what the parameters now say.
                here = torch.device(net.device)
                net.adopt(self._make_net(net.module_, here, seed, watched=False))
                return net
            if start is None:
                network = self._build_network(training, next(numbers))
            else:
                network = copy.deepcopy(start.module_)
                self._learn_unseen(network, training)
            return self._make_net(network, device, seed).initialize()

        seeds = seeds_of_members(seed, len(starts))
        members = [
            Member.make(one, start, device, make) for one, start in zip(seeds, starts, strict=True)
        ]
        if not go_on:
            self.nets_ = [member.net for member in members]
        # Who predicts meanwhile does so with the nets as they were.
        self.__dict__.pop("_source", None)
        return members

    def _check_same_number(self) -> None:
        if len(self.nets_) != self.n_estimators:
            raise ValueError(
                f"there are {len(self.nets_)} fitted networks and n_estimators="
                f"{self.n_estimators}; set n_estimators={len(self.nets_)} to go on with them, or "
                "fit anew with warm_start=False."
            )

    def _train_members(
        self,
        members: list[Member],
        sets: tuple[SequenceDataset, SequenceDataset | None],
        epochs: int,
        plans: list[TrainingPlan],
    ) -> None:
        workers = n_workers(self.n_jobs, len(members), torch.device(self.net_.device))
        # Other processes, files and callbacks of scikit-learn know one training at a time.
        alone = plans[0].extra or plans[0].checkpoints or self.accelerator is not None
        if alone or sets[0].stored is not None:
            workers = 1
        outcomes = train_members(members, sets, epochs, plans, workers)
        interrupts = [o.interrupted for o in outcomes if o.interrupted is not None]
        whole = [m.net for m, o in zip(members, outcomes, strict=False) if o.usable]
        self.interrupted_ = bool(interrupts and whole)
        if whole:
            # What an interrupt kept from being trained further stays as it was.
            rest = [member.start for member in members[len(whole) :]]
            self.nets_ = whole + [net for net in rest if net is not None]
        if interrupts:
            raise interrupts[0]


class MeanHead(nn.Module):
    """The mean of what the heads of an ensemble predict.

    Parameters
    ----------
    heads : sequence of Head
        Of the members. They read equal parts of the raw values, one after the other.
    """

    def __init__(self, heads: Sequence[Any]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)

    def _each(self, raw: Tensor) -> Any:
        return zip(self.heads, raw.chunk(len(self.heads), dim=-1), strict=True)

    def predict(self, raw: Tensor) -> Tensor:
        """Compute the mean prediction, for labels the mean of their probabilities."""
        return torch.stack([head.predict(part) for head, part in self._each(raw)]).mean(dim=0)


class MeanQuantilesHead(MeanHead):
    """The mean of distributions, level by level: quantiles that do not cross stay so."""

    def quantiles(self, raw: Tensor, alpha: Any) -> Tensor:
        """Compute the mean of the quantiles of each level."""
        each = [head.quantiles(part, alpha) for head, part in self._each(raw)]
        return torch.stack(each).mean(dim=0)


class MeanPathHead(MeanHead):
    """The random field whose scores are the means of those of its members.

    Best paths cannot be averaged, scores can: up to a factor, the probability of a path is the
    geometric mean of what the members give it.
    """

    def __init__(self, heads: Sequence[Any]) -> None:
        super().__init__(heads)
        self.mean = copy.deepcopy(heads[0])
        with torch.no_grad():
            for name, parameter in self.mean.named_parameters():
                parameter.copy_(torch.stack([h.get_parameter(name) for h in heads]).mean(dim=0))

    def scores(self, raw: Tensor) -> Tensor:
        """Compute the mean scores of every step."""
        return raw.unflatten(-1, (len(self.heads), -1)).mean(dim=-2)

    def predict(self, raw: Tensor, lengths: Any = None) -> Tensor:
        """Compute the probabilities of the classes of every step."""
        return self.mean.predict(self.scores(raw), lengths)

    def decode(self, raw: Tensor, lengths: Any = None) -> Tensor:
        """Find the most probable path of every sequence."""
        return self.mean.decode(self.scores(raw), lengths)


def mean_of_heads(heads: Sequence[Any]) -> Any:
    """Make a head that averages: a single one as it is."""
    if len(heads) == 1:
        return heads[0]
    if isinstance(heads[0], SequenceHead):
        return MeanPathHead(heads)
    return MeanQuantilesHead(heads) if hasattr(heads[0], "quantiles") else MeanHead(heads)
