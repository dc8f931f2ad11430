"""Validation: X as given by the user becomes checked `Sequences`, in scikit-learn's words."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.utils.validation import _check_feature_names, check_array, validate_data

from skrnn._containers import (
    naming_the_column,
    padded_lengths,
    to_sequences,
    windows_to_sequences,
)
from skrnn._sequences import Sequences
from skrnn._stored import AnySequences, Store, StoredSequences
from skrnn._stores import find_store, folded
from skrnn._times import check_times, find_channel, from_start
from skrnn._windows import Windows

# Above this many features per step for each time step the axes are probably swapped.
_AXIS_ORDER_RATIO = 10
# Values above this saturate a network that does not scale them.
_LARGE = 1e6
# Steps looked at together when a value is searched for.
_BLOCK = 2**16


def validate_sequences(
    estimator: Any,
    X: Any,
    *,
    reset: bool,
    dtype: Any = np.float64,
    n_channels: int | None = None,
    allow_nan: bool = False,
    allow_empty: bool = False,
    tokens: bool = False,
    characters: bool = False,
    scale_warning: bool = False,
    stored: bool = False,
    keep_targets: bool = False,
    time_channel: int | str | None = None,
) -> AnySequences:
    """Convert and check X, and set or check the estimator's input attributes.

    Parameters
    ----------
    estimator : estimator instance
        Receives ``n_features_in_``, ``n_channels_in_`` and, for named features,
        ``feature_names_in_`` when `reset` is true; is compared with them otherwise.

    X : array-like, frame or collection
        Anything listed in the user guide under "What X may be".

    reset : bool
        True in `fit`.

    dtype : numpy dtype, default=numpy.float64
        Type of the values.

    n_channels : int or None, default=None
        With a number, a 2-D X holds folded sequences: row ``i`` is
        ``X[i].reshape(n_timesteps, n_channels)`` and trailing all-NaN steps are padding.

    allow_nan : bool, default=False
        Accept missing values inside the sequences.

    allow_empty : bool, default=False
        Accept sequences without a step.

    tokens : bool, default=False
        X holds token ids; trailing zeros are padding and values become integers.

    characters : bool, default=False
        Every step is a token id and ids of the characters of the token. Only with `tokens`, and
        without `stored`.

    scale_warning : bool, default=False
        Warn when values are so large that a network without scaling cannot read them.

    stored : bool, default=False
        Leave data where they are that are better read piece by piece.

    keep_targets : bool, default=False
        Keep the targets that come with the items of a data set.

    time_channel : int, str or None, default=None
        The feature that holds the time stamps of steps, which must not decrease. They are then
        counted from the start of each sequence.

    Returns
    -------
    sequences : Sequences or StoredSequences
        Values are a view of X where no conversion was needed, otherwise a copy. With `stored`
        they may still be where X has them.

    Raises
    ------
    TypeError
        If the container can never hold sequences (sparse matrices, text, long tables).

    ValueError
        If values, shapes or names do not fit; the message names sequence, step and feature.
    """
    name = type(estimator).__name__
    store = None
    # Large time stamps are not to lose their differences before these are taken.
    exact = dtype if time_channel is None else np.float64
    if stored:
        store = find_store(
            X, name, exact, n_channels=n_channels, tokens=tokens, keep_targets=keep_targets
        )
    sequences: AnySequences
    if store is None:
        n_ids = (n_channels or 1) if characters else 1
        sequences = _from_memory(estimator, X, reset, exact, n_channels, n_ids if tokens else 0)
        if time_channel is not None:
            sequences = _timed(sequences, time_channel, dtype)
        _check_finite(sequences, name, dtype, allow_nan, masks=hasattr(estimator, "missing"))
        sequences = _as_tokens(sequences, characters=characters) if tokens else sequences
    else:
        if store.form == "rows" and not _reads_any_width(estimator, reset):
            validate_data(estimator, X, reset=reset, skip_check_array=True)
        sequences = _read_through(store, name, dtype, allow_nan, tokens, time_channel)
    _check_lengths(sequences, allow_empty, reset)
    _check_features(estimator, sequences, reset, tokens)
    if scale_warning:
        _warn_scale(sequences)
    return sequences


def _from_memory(
    estimator: Any, X: Any, reset: bool, dtype: Any, n_channels: int | None, n_ids: int
) -> Sequences:
    """Read X as a whole; with `n_ids`, a 2-D X holds so many ids per step."""
    sequences = to_sequences(X, type(estimator).__name__, dtype)
    if isinstance(sequences, Sequences):
        return sequences
    with naming_the_column(sequences):
        if n_ids and isinstance(sequences, Windows):
            return windows_to_sequences(sequences, dtype)
        if n_ids:
            ids = check_array(sequences, dtype=dtype, ensure_all_finite=False, input_name="X")
            n_steps = folded(ids.shape[1], n_ids)
            return Sequences.from_padded(ids.reshape(len(ids), n_steps, n_ids))
        return _from_2d(estimator, sequences, reset, dtype, n_channels)


def _timed(sequences: Sequences, time_channel: int | str, dtype: Any, first: int = 0) -> Sequences:
    """Check the times of the steps, and count them from the start of each sequence."""
    sequences = sequences.packed()
    channel = find_channel(time_channel, sequences.n_features, sequences.feature_names)
    assert channel is not None
    check_times(sequences, channel, first)
    timed = from_start(sequences, channel)
    # What does not fit is found later, with its position.
    with np.errstate(over="ignore"):
        return timed.with_values(timed.values.astype(dtype, copy=False))


def _read_through(
    store: Store,
    name: str,
    dtype: Any,
    allow_nan: bool,
    tokens: bool,
    time_channel: int | str | None,
) -> StoredSequences:
    """Read a store once: check its values, and learn what is needed before the training."""
    lengths, largest, largest_in = [], -1.0, 0
    channel = None
    for first, block in store.blocks():
        block = replace(block, feature_names=store.feature_names)
        if time_channel is not None:
            channel = find_channel(time_channel, block.n_features, block.feature_names)
            block = _timed(block, time_channel, dtype, first)
        _check_finite(block, name, dtype, allow_nan, first, masks=True)
        block = _as_tokens(block, first) if tokens else block
        lengths.append(block.lengths)
        peak = block.peak()
        if peak > largest:
            largest, largest_in = peak, first + (block.holder(peak) if tokens and peak else 0)
    if not lengths:
        raise ValueError(
            f"Found array with 0 sample(s) (shape=(0,)) while a minimum of 1 is required by {name}."
        )
    joined = np.concatenate(lengths)
    samples = np.arange(len(joined))
    return StoredSequences(store, samples, joined, largest, largest_in, tokens, channel)


def _as_tokens(sequences: Sequences, first: int = 0, characters: bool = False) -> Sequences:
    """Cast ids to integers and cut the steps with id 0 at the end of each sequence."""
    _check_width(sequences.n_features, characters)
    values = sequences.values
    wrong = ((values < 0) | (values != np.floor(values))).any(axis=1)
    if wrong.any():
        i, step = sequences.find(wrong)
        row = sequences[i][step]
        column = int(np.argmax((row < 0) | (row != np.floor(row))))
        raise ValueError(
            f"{'character' if column else 'token'} id {row[column]:g} in sequence {first + i} is "
            "no id; ids are whole numbers >= 0, with 0 for padding and 1 for unknown."
        )
    if values[:, 0].all():
        return sequences.with_values(values.astype(np.int64))
    sequences = sequences.packed()
    ids = sequences.values[:, 0]
    position = np.arange(len(ids)) + 1
    last = np.zeros(len(sequences), dtype=np.int64)
    owner = np.repeat(np.arange(len(sequences)), sequences.lengths)
    np.maximum.at(last, owner, np.where(ids != 0, position - sequences.offsets[:-1][owner], 0))
    keep = position - sequences.offsets[:-1][owner] <= last[owner]
    kept = sequences.values[keep].astype(np.int64)
    cut = Sequences.from_lengths(kept, last, sequences.form, sequences.width)
    return replace(cut, feature_names=sequences.feature_names)


def _check_width(n_features: int, characters: bool) -> None:
    if characters and n_features < 2:
        raise ValueError(
            "with character_encoder every step holds the id of a token and ids of its characters, "
            f"got {n_features} id per step; make them with SequenceTokenizer(max_characters=...), "
            "or set character_encoder=None."
        )
    if not characters and n_features != 1:
        raise ValueError(
            f"token sequences have one id per step, got {n_features} features; set "
            "character_encoder if they are ids of characters after that of the token."
        )


def check_vocabulary(sequences: AnySequences, size: int, what: str, parameter: str) -> None:
    """Check that no id is outside a vocabulary.

    Parameters
    ----------
    sequences : Sequences or StoredSequences
        Ids.

    size : int
        Number of ids there are.

    what : str
        What they are ids of.

    parameter : str
        What sets the number.

    Raises
    ------
    ValueError
        If there are others.
    """
    largest = int(sequences.peak())
    if largest >= size:
        i = sequences.holder(largest)
        raise ValueError(
            f"{what} id {largest} in sequence {i} is outside the vocabulary of {size}; map unknown "
            f"{what}s to 1, or set {parameter}."
        )


def _warn_scale(sequences: AnySequences) -> None:
    largest = sequences.peak()
    if largest > _LARGE:
        warnings.warn(
            f"X has values up to {largest:.3g} and standardize=False; a network saturates there. "
            "Bring X to a common scale with standardize=True or SequenceScaler.",
            UserWarning,
            stacklevel=5,
        )


def _from_2d(estimator: Any, X: Any, reset: bool, dtype: Any, n_channels: int | None) -> Sequences:
    if getattr(getattr(X, "dtype", None), "kind", "") in ("m", "M"):
        raise ValueError(f"X has dtype {X.dtype}; sequences must hold numbers.")
    any_width = _reads_any_width(estimator, reset)
    if isinstance(X, Windows) and n_channels is None:
        if not any_width:
            validate_data(estimator, X, reset=reset, skip_check_array=True)
        return replace(windows_to_sequences(X, dtype), form="rows")
    # What is not finite is found later, with its position.
    with np.errstate(over="ignore"):
        if any_width:
            X = check_array(X, dtype=dtype, ensure_all_finite=False, input_name="X")
        else:
            X = validate_data(estimator, X, reset=reset, dtype=dtype, ensure_all_finite=False)
    n_samples, width = X.shape
    if n_channels is None:
        return replace(Sequences.from_padded(X[:, :, None]), form="rows", width=width)
    unfolded = X.reshape(n_samples, folded(width, n_channels), n_channels)
    sequences = Sequences.from_padded(unfolded, padded_lengths(unfolded))
    return replace(sequences, form="rows")


def _reads_any_width(estimator: Any, reset: bool) -> bool:
    """A net fitted on sequences of one feature reads rows of any width as such sequences."""
    return not reset and getattr(estimator, "_fitted_on", "rows") != "rows"


def _check_lengths(sequences: AnySequences, allow_empty: bool, reset: bool) -> None:
    empty = np.flatnonzero(sequences.lengths == 0)
    nothing = len(empty) == len(sequences)
    if len(empty) == 0 or (allow_empty and not (reset and nothing)):
        return
    if nothing and (allow_empty or len(empty) > 1):
        raise ValueError(f"all {len(empty)} sequences are empty; there is nothing to read.")
    raise ValueError(
        f"sequence {empty[0]} is empty; drop it, or pass empty='zero_state' to let the network "
        "answer for it from its zero state."
    )


def _check_finite(
    sequences: Sequences,
    name: str,
    dtype: Any,
    allow_nan: bool,
    first: int = 0,
    masks: bool = False,
) -> None:
    values = sequences.values
    with np.errstate(over="ignore", invalid="ignore"):
        # In the type they come in, which is three times as fast; a sum that overflows is looked at.
        if np.isfinite(values.sum()):
            return
    bad = np.zeros(len(values), dtype=bool)
    # No mask as large as the data.
    for start in range(0, len(values), _BLOCK):
        block = values[start : start + _BLOCK]
        bad[start : start + _BLOCK] = _faults(block, allow_nan).any(axis=1)
    if not bad.any():
        return
    i, step = sequences.find(bad)
    row = sequences[i][step]
    feature = int(np.argmax(_faults(row, allow_nan)))
    names = sequences.feature_names
    column = feature if names is None else repr(names[feature])
    where = f"sequence {first + i}, step {step}, feature {column}"
    if np.isnan(row[feature]):
        instead = ", or let the network read what was observed with missing='mask'" if masks else ""
        raise ValueError(
            f"Input X contains NaN at {where}. {name} does not accept missing values inside a "
            f"sequence; fill them with skrnn.preprocessing.SequenceImputer{instead}."
        )
    raise ValueError(
        f"Input X contains infinity or a value too large for {np.dtype(dtype)!r} at {where}."
    )


def _faults(values: NDArray, allow_nan: bool) -> NDArray[np.bool_]:
    return np.isinf(values) if allow_nan else ~np.isfinite(values)


def _check_features(estimator: Any, sequences: AnySequences, reset: bool, tokens: bool) -> None:
    n_features = sequences.n_features
    if reset:
        estimator._fitted_on = sequences.form
        estimator.n_channels_in_ = n_features
        estimator._saw_one_step = bool((sequences.lengths == 1).any())
        longest = int(sequences.lengths.max())
        if n_features > _AXIS_ORDER_RATIO * longest > 0 and not tokens:
            warnings.warn(
                f"X has {n_features} features but at most {longest} time steps. The axis order is "
                "(n_samples, n_timesteps, n_features); swap the last two axes if yours differs.",
                UserWarning,
                stacklevel=4,
            )
    elif n_features != estimator.n_channels_in_:
        raise ValueError(
            f"X has {n_features} features, but {type(estimator).__name__} is expecting "
            f"{estimator.n_channels_in_} features as input.{_hint(estimator, sequences)}"
        )
    elif _may_be_one_sequence(estimator, sequences):
        warnings.warn(
            f"{_as_one(sequences)} Now each of its rows is read as a sequence of one step, and "
            f"{type(estimator).__name__} was not fitted on any of those.",
            UserWarning,
            stacklevel=6,
        )
    if sequences.form == "rows":
        return
    if reset:
        estimator.n_features_in_ = n_features
    _check_names(estimator, sequences, reset)


def _may_be_one_sequence(estimator: Any, sequences: AnySequences) -> bool:
    one_step_each = sequences.form == "rows" and sequences.width == 1 and len(sequences) > 1
    return one_step_each and not getattr(estimator, "_saw_one_step", True)


def _hint(estimator: Any, sequences: AnySequences) -> str:
    """What to do with a matrix that has as many columns as there should be features."""
    rows = sequences.form == "rows" and sequences.n_features == 1
    fits = rows and sequences.width == estimator.n_channels_in_
    return f" {_as_one(sequences)}" if fits else ""


def _as_one(sequences: AnySequences) -> str:
    steps = "1 step" if len(sequences) == 1 else f"{len(sequences)} steps"
    return f"X looks like one sequence of {steps}; if it is one, pass [X]."


def _check_names(estimator: Any, sequences: AnySequences, reset: bool) -> None:
    names = sequences.feature_names
    fitted_on_sequences = getattr(estimator, "_fitted_on", "rows") != "rows"
    known = fitted_on_sequences and hasattr(estimator, "feature_names_in_")
    if reset or (known and names is not None):
        columns = range(sequences.n_features) if names is None else list(names)
        frame = pd.DataFrame(np.empty((0, sequences.n_features)), columns=columns)
        _check_feature_names(estimator, frame, reset=reset)
