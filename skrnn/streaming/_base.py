"""Base of streams: the states of some sequences, and how they go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from skrnn._numpy.carried import State, put, take
from skrnn._numpy.checking import back_in_time, faults, wrong_ids
from skrnn._numpy.heads import PathHead
from skrnn._numpy.model import Model

__all__ = ["Stream", "index_of_rows", "state_to_load"]

Self = TypeVar("Self", bound="Stream")


class Stream:
    """What both streams share: the states of some sequences, and how they go on."""

    def __init__(self, model: Model, n_streams: int = 1) -> None:
        self._model = model
        self._paths = model.answers.head if isinstance(model.answers.head, PathHead) else None
        if isinstance(n_streams, bool) or not isinstance(n_streams, int | np.integer):
            raise ValueError(f"n_streams must be a whole number, got {n_streams!r}.")
        if n_streams < 1:
            raise ValueError(f"n_streams must be at least 1, got {n_streams}.")
        self._n_streams = int(n_streams)
        self._all = np.arange(self._n_streams)
        self._dtype = model.given_dtype
        self.reset()

    # -- what the user asks -------------------------------------------------------------------

    @property
    def n_streams(self) -> int:
        """Number of sequences that are read side by side."""
        return self._n_streams

    @property
    def n_steps(self) -> NDArray[np.int64]:
        """Number of steps of each stream since its start."""
        return self._n_steps.copy()

    def update(self: Self, x: Any, rows: Any = None) -> Self:
        """Read a step, or several, without an answer.

        Parameters
        ----------
        x : array-like of shape (n_rows, n_features) or (n_rows, n_timesteps, n_features)
            The next step of each stream, or the next steps. Of one stream a step may have the shape
            (n_features,), and where a step is one number or token id, (n_rows,).

        rows : array-like of int or bool or None, default=None
            Which streams got a step, by number or as a mask; the others stay where they are. `x`
            has one row for each of them. None: all.

        Returns
        -------
        self : stream
            The stream itself, so that ``stream.update(x).predict()`` reads and answers.

        Raises
        ------
        ValueError
            If shapes or values do not fit; no stream has moved then.
        """
        index = self._index(rows)
        x = self._read(x, index)
        if x.ndim == 2:
            self._advance(x, index)
        else:
            for t in range(x.shape[1]):
                self._advance(x[:, t], index)
        return self

    def reset(self: Self, rows: Any = None) -> Self:
        """Start streams anew.

        Parameters
        ----------
        rows : array-like of int or bool or None, default=None
            Which streams, by number or as a mask. None: all.

        Returns
        -------
        self : stream
            The stream itself.
        """
        index = self._index(rows)
        n = self._n_streams if index is None else len(index)
        fresh = [network.initial(n) for network in self._model.networks]
        head = () if self._paths is None else self._paths.initial(n)
        if index is None:
            self._states, self._head_state = fresh, head
            self._n_steps = np.zeros(n, dtype=np.int64)
            # The first and the last time of each stream.
            self._stamps = np.zeros((n, 2))
        else:
            self._put(fresh, head, index, np.zeros(n, dtype=np.int64))
        return self

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """Everything that the streams remember, as plain arrays.

        Returns
        -------
        state : dict of ndarray
            Copies, whose first axis is that of the streams; "model" identifies the weights they
            belong to. `numpy.savez` and safetensors store them as they are.
        """
        return {name: array.copy() for name, array in self._known().items()}

    def load_state_dict(self: Self, state: Mapping[str, Any]) -> Self:
        """Go on from what :meth:`state_dict` gave.

        Parameters
        ----------
        state : mapping of ndarray
            Of a stream of the same weights, with the same number of streams.

        Returns
        -------
        self : stream
            The stream itself.

        Raises
        ------
        ValueError
            If the state is that of other weights, another number of streams, or no such state; the
            streams stay where they are then.
        """
        loaded = state_to_load(state, self._known())
        self._n_steps = loaded["n_steps"]
        self._stamps = loaded.get("times", self._stamps)
        parts = iter([loaded[name] for name in self._named()])
        self._states = [
            [tuple(next(parts) for _ in part) for part in states] for states in self._states
        ]
        self._head_state = tuple(next(parts) for _ in self._head_state)
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._model.name}, n_streams={self._n_streams})"

    def _step(self, x: Any, rows: Any, answer: Callable[[Any], NDArray[Any]]) -> NDArray[Any]:
        """Read a step, or several, and answer after each."""
        index = self._index(rows)
        x = self._read(x, index)
        if x.ndim == 2:
            self._advance(x, index)
            return answer(index)
        if x.shape[1] == 0:
            raise ValueError(f"x has shape {x.shape} and holds no step.")
        answers = []
        for t in range(x.shape[1]):
            self._advance(x[:, t], index)
            answers.append(answer(index))
        return np.stack(answers, axis=1)

    # -- states -------------------------------------------------------------------------------

    # No array is ever written into once it is part of a state: shallow copies go on by themselves.

    def _named(self) -> dict[str, NDArray[Any]]:
        """The arrays of the states, by name."""
        named = {}
        for i, (network, states) in enumerate(zip(self._model.networks, self._states, strict=True)):
            for (name, part), state in zip(network.carried.items(), states, strict=True):
                for array_name, array in zip(part.names, state, strict=True):
                    named[f"net{i}.{name}.{array_name}"] = array
        if self._paths is not None:
            for name, array in zip(self._paths.names, self._head_state, strict=True):
                named[f"paths.{name}"] = array
        return named

    def _known(self) -> dict[str, NDArray[Any]]:
        """All that the state of these streams consists of, by name."""
        digests = b"".join(network.digest[:8] for network in self._model.networks)
        model: NDArray[Any] = np.frombuffer(digests, dtype=np.uint8)
        times = {} if self._model.time_channel is None else {"times": self._stamps}
        return {"model": model, "n_steps": self._n_steps, **times, **self._named()}

    def _advance(self, x: NDArray[Any], index: NDArray[np.intp] | None) -> None:
        networks = self._model.networks
        if index is None:
            # Plain loops and few calls: one stream has but a few numbers per step.
            newer = []
            for network, states in zip(networks, self._states, strict=True):
                newer.append(network.step(x, states))
            self._states = newer
            if self._paths is not None:
                self._head_state = self._paths.step(self._raw(self._states), self._head_state)
            self._n_steps = self._n_steps + 1
            return
        pairs = zip(networks, self._taken(index), strict=True)
        newer = [network.step(x, states) for network, states in pairs]
        head = take(self._head_state, index)
        if self._paths is not None:
            head = self._paths.step(self._raw(newer), head)
        self._put(newer, head, index, self._n_steps[index] + 1)

    def _taken(self, index: NDArray[np.intp]) -> list[list[State]]:
        return [[take(state, index) for state in states] for states in self._states]

    def _put(self, newer: Sequence[Sequence[State]], head: State, index: Any, n_steps: Any) -> None:
        self._states = [
            [put(old, index, new) for old, new in zip(olds, news, strict=True)]
            for olds, news in zip(self._states, newer, strict=True)
        ]
        self._head_state = put(self._head_state, index, head)
        self._n_steps = put((self._n_steps,), index, (n_steps,))[0]

    def _raw(self, states: Sequence[Sequence[State]]) -> NDArray[np.float64]:
        networks = self._model.networks
        if len(networks) == 1:
            return networks[0].raw(networks[0].representation(states[0]))
        pairs = zip(networks, states, strict=True)
        return self._model.raw([network.representation(state) for network, state in pairs])

    def _newest(self, index: NDArray[np.intp] | None) -> NDArray[np.float64]:
        """Raw values of streams that have had a step."""
        return self._raw(self._states if index is None else self._taken(index))

    def _current(self, rows: Any) -> tuple[NDArray[np.float64], NDArray[np.intp] | None]:
        """Raw values of streams, whether or not they have had a step."""
        index = self._index(rows)
        n_steps = self._n_steps if index is None else self._n_steps[index]
        if n_steps.all():
            return self._newest(index), index
        if self._model.per_step or not self._model.zero_state:
            which = self._all if index is None else index
            raise ValueError(
                f"stream {which[n_steps == 0][0]} has had no step and no answer yet; name those "
                "that have with rows=, or fit with empty='zero_state' and one answer per sequence."
            )
        started = np.flatnonzero(n_steps)
        blank = [
            np.zeros((len(n_steps), len(network.projection)), dtype=network.dtype)
            for network in self._model.networks
        ]
        raw = self._model.raw(blank)
        if len(started):
            raw[started] = self._newest(started if index is None else index[started])
        return raw, index

    # -- checks -------------------------------------------------------------------------------

    def _index(self, rows: Any) -> NDArray[np.intp] | None:
        return index_of_rows(rows, self._n_streams)

    def _read(self, x: Any, index: NDArray[np.intp] | None) -> NDArray[Any]:
        """Check steps, and count their times from the first step of each stream."""
        steps, model = self._shaped(x, index), self._model
        if model.vocabulary_size:
            self._check_ids(steps, index, model.vocabulary_size)
            return steps
        stamps = self._stamps
        if model.time_channel is not None and steps.size:
            steps, stamps = self._timed(steps, index, model.time_channel)
        # Streams of complete numbers take few calls: one stream has but a few per step.
        if np.count_nonzero(np.isfinite(steps)) < steps.size:
            wrong = faults(steps, model)
            if wrong.any():
                reason = "is infinite" if model.missing else "is NaN or infinite"
                raise ValueError(self._place(wrong, index, reason))
        self._stamps = stamps
        return steps

    def _shaped(self, x: Any, index: NDArray[np.intp] | None) -> NDArray[Any]:
        """Steps of shape (n_rows, n_features) or (n_rows, n_timesteps, n_features)."""
        model = self._model
        n_rows, n_features = self._n_streams if index is None else len(index), model.n_features
        steps = np.asarray(x)
        if steps.dtype != self._dtype:
            with np.errstate(over="ignore"):
                steps = steps.astype(self._dtype)
        if steps.ndim < 2 and steps.size == n_rows * n_features and 1 in (n_rows, n_features):
            steps = steps.reshape(n_rows, n_features)
        good = steps.ndim in (2, 3) and steps.shape[0] == n_rows and steps.shape[-1] == n_features
        if not good:
            raise ValueError(
                f"x has shape {steps.shape}, expected {(n_rows, n_features)}: a row of "
                f"{n_features} features for each of {n_rows} streams; or "
                f"{(n_rows, 'n_timesteps', n_features)} for several steps."
            )
        return steps

    def _timed(
        self, steps: NDArray[Any], index: NDArray[np.intp] | None, channel: int
    ) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Steps whose times are counted from the start of their stream, and the new stamps."""
        which = self._all if index is None else index
        times = steps[..., channel].reshape(len(which), -1)
        unknown = np.zeros(steps.shape, dtype=bool)
        unknown[..., channel] = ~np.isfinite(steps[..., channel])
        if unknown.any():
            raise ValueError(self._place(unknown, index, "is no time; every step needs one"))
        first, last = np.where(self._n_steps[which] > 0, self._stamps[which].T, times[:, 0])
        back = back_in_time(np.column_stack([last, times]))[:, 1:]
        if back.any():
            row, step = (int(i) for i in np.argwhere(back)[0])
            before = last[row] if step == 0 else times[row, step - 1]
            raise ValueError(
                f"stream {which[row]} goes back in time from {before:g} to {times[row, step]:g}; "
                "pass the steps of each stream in the order of time."
            )
        counted = steps.copy()
        counted[..., channel] -= first.reshape(-1, *[1] * (steps.ndim - 2))
        stamps = put((self._stamps,), which, (np.column_stack([first, times[:, -1]]),))[0]
        with np.errstate(over="ignore"):
            return counted.astype(self._model.dtype), stamps

    def _check_ids(
        self, ids: NDArray[Any], index: NDArray[np.intp] | None, vocabulary_size: int
    ) -> None:
        wrong = wrong_ids(ids, self._model, lowest=1)
        if not wrong.any():
            return
        place = tuple(np.argwhere(wrong)[0])
        if place[-1]:
            reason = (
                f"is the character id {ids[place]:g}; ids of characters are whole numbers from 0 "
                f"(none) to {(self._model.character_vocabulary_size or 1) - 1}"
            )
        else:
            reason = (
                f"is the token id {ids[place]:g}; ids of steps are whole numbers from 1 "
                f"(unknown) to {vocabulary_size - 1}, and 0 is padding, which is no step"
            )
        raise ValueError(self._place(wrong, index, reason))

    def _place(self, wrong: NDArray[np.bool_], index: Any, reason: str) -> str:
        row, *step, feature = (int(i) for i in np.argwhere(wrong)[0])
        stream = row if index is None else int(index[row])
        at = f"step {step[0]} of the chunk, " if step else ""
        return f"x at stream {stream}, {at}feature {feature} {reason}."


def index_of_rows(rows: Any, n_streams: int) -> NDArray[np.intp] | None:
    """Numbers of the streams that are meant; None for all.

    Raises
    ------
    ValueError
        If `rows` is no list of different numbers of streams, and no mask.
    """
    if rows is None:
        return None
    index = np.asarray(rows)
    if index.dtype == bool:
        if index.shape != (n_streams,):
            raise ValueError(f"rows is a mask of shape {index.shape}, expected {(n_streams,)}.")
        return np.flatnonzero(index)
    index = np.atleast_1d(index)
    if index.size == 0:
        return np.zeros(0, dtype=np.intp)
    if index.ndim != 1 or index.dtype.kind not in "iu":
        raise ValueError(f"rows must hold numbers of streams or be a mask, got {rows!r}.")
    wrong = index[(index < 0) | (index >= n_streams)]
    if wrong.size:
        raise ValueError(
            f"rows names stream {wrong[0]}, but they are numbered 0 to {n_streams - 1}."
        )
    if len(np.unique(index)) < len(index):
        raise ValueError(f"rows names a stream twice, got {rows!r}; pass its steps in turn.")
    return index


def state_to_load(
    state: Mapping[str, Any], known: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Copies of the arrays of a state, which has to be like a known one.

    Raises
    ------
    ValueError
        If it is not, or belongs to another model.
    """
    if set(state) != set(known):
        odd = sorted(set(state) ^ set(known))
        raise ValueError(
            f"this is no state of these streams: {odd[0]!r} is "
            f"{'missing' if odd[0] in known else 'unknown'}; pass what state_dict() gave."
        )
    if not np.array_equal(np.asarray(state["model"]), known["model"]):
        raise ValueError(
            "the state belongs to other weights; load it into a stream of the estimator it "
            "came from."
        )
    return {name: _like(state[name], known[name], name) for name in known}


def _like(given: Any, known: NDArray[Any], name: str) -> NDArray[Any]:
    array = np.array(given)
    if array.shape != known.shape or array.dtype != known.dtype:
        raise ValueError(
            f"{name!r} has shape {array.shape} and type {array.dtype}, expected {known.shape} and "
            f"{known.dtype}; pass what state_dict() of as many streams gave."
        )
    return array
