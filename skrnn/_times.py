"""Times: the channel that holds time stamps, found, checked and made small."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._sequences import Sequences


def find_channel(
    time_channel: int | str | None, n_features: int, names: Sequence[str] | None
) -> int | None:
    """Say which feature holds the times.

    Parameters
    ----------
    time_channel : int, str or None
        Its position, counted from the end where negative, or its name.

    n_features : int
        Number of features per step.

    names : sequence of str or None
        Their names, where they have any.

    Returns
    -------
    channel : int or None
        Its position from the start. None if there is none.

    Raises
    ------
    ValueError
        If there is no such feature.
    """
    if time_channel is None:
        return None
    if isinstance(time_channel, str):
        if names is None:
            raise ValueError(
                f"time_channel={time_channel!r} is a name, and the features of X have none; give "
                "the position of the channel, or sequences as frames with column names."
            )
        if time_channel not in names:
            raise ValueError(f"time_channel={time_channel!r} is not among {list(names)}.")
        return list(names).index(time_channel)
    if not -n_features <= time_channel < n_features:
        raise ValueError(
            f"time_channel={time_channel} is none of the {n_features} features of X; count them "
            "from 0, or from the end with -1."
        )
    return int(time_channel) % n_features


def check_times(sequences: Sequences, channel: int, first: int = 0) -> None:
    """Check that times are known and do not go back.

    Parameters
    ----------
    sequences : Sequences
        Data as given, one sequence after the other.

    channel : int
        The feature that holds times.

    first : int, default=0
        Number of the first sequence, for messages.

    Raises
    ------
    ValueError
        If a time is missing or infinite, or earlier than the one before; the message names
        sequence and step.
    """
    times = sequences.values[:, channel]
    name = _name(sequences, channel)
    wrong = ~np.isfinite(times)
    if wrong.any():
        i, step = sequences.find(wrong)
        raise ValueError(
            f"sequence {first + i} has the time {times[sequences.starts[i] + step]} at step {step} "
            f"in the time channel {name}; every step needs a time. Drop the step, or leave "
            "time_channel=None."
        )
    back = np.zeros(len(times), dtype=bool)
    back[1:] = np.diff(times) < 0
    starts = sequences.starts[sequences.lengths > 0]
    back[starts] = False
    if back.any():
        i, step = sequences.find(back)
        at = sequences.starts[i] + step
        raise ValueError(
            f"sequence {first + i} goes back in time at step {step}, from {times[at - 1]:g} to "
            f"{times[at]:g} in the time channel {name}; sort the steps of each sequence by time."
        )


def from_start(sequences: Sequences, channel: int) -> Sequences:
    """Count the times of each sequence from its first step; only differences are read.

    Large stamps, as seconds since 1970, have no exact place in float32, their differences do.
    """
    sequences = sequences.packed()
    values = sequences.values.copy()
    starts = sequences.starts[sequences.lengths > 0]
    lengths = sequences.lengths[sequences.lengths > 0]
    values[:, channel] -= np.repeat(values[starts, channel], lengths)
    return sequences.with_values(values)


def without_time(moments: tuple[NDArray, NDArray], channel: int | None) -> tuple[NDArray, NDArray]:
    """Mean and scale of the features, of which that of times is left as it is."""
    mean, scale = moments
    if channel is not None:
        mean[channel], scale[channel] = 0.0, 1.0
    return mean, scale


def _name(sequences: Sequences, channel: int) -> Any:
    names = sequences.feature_names
    return channel if names is None else repr(names[channel])
