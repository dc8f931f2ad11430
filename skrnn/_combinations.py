"""Combinations: what parameters may not be together."""

from __future__ import annotations

import inspect
from numbers import Integral
from typing import Any

import torch

from skrnn._automatic import name_of_tokens, reads_forward_only, reads_tokens
from skrnn._vectors import embedding_shape
from skrnn.nn import POOLINGS, NegativeBinomialHead


def check_combinations(estimator: Any) -> None:
    """Check what a table of limits per parameter cannot say.

    Raises
    ------
    ValueError
        If parameters contradict each other or a sequence parameter holds a wrong value.
    """
    sizes = estimator.hidden_size
    if not isinstance(sizes, Integral):
        if not sizes or not all(isinstance(s, Integral) and int(s) > 0 for s in sizes):
            raise ValueError(
                f"hidden_size={sizes!r} must hold one positive integer per layer, as (64, 32)."
            )
        if estimator.num_layers not in (1, len(sizes)):
            raise ValueError(
                f"hidden_size={sizes!r} has {len(sizes)} layers, but "
                f"num_layers={estimator.num_layers}; leave num_layers at 1."
            )
    kinds = (estimator.pooling,) if isinstance(estimator.pooling, str) else estimator.pooling
    if not kinds or any(kind not in POOLINGS for kind in kinds):
        raise ValueError(f"pooling={estimator.pooling!r} must name one or more of {POOLINGS}.")
    split = estimator.validation_split
    if isinstance(split, tuple) and len(split) != 2:
        raise ValueError(
            "validation_split must be a splitter or a pair (X_val, y_val), got a tuple of length "
            f"{len(split)}."
        )
    if estimator.tbptt_steps is not None:
        _check_chunks(estimator)
    if getattr(estimator, "loss", None) == "crf":
        _check_whole_sequences(estimator)
    _check_frontend(estimator)
    _check_augmentation(estimator)
    _check_tokens(estimator)
    _check_decay(estimator)
    _check_irregular(estimator)
    _check_frozen(estimator)
    check_repeatable(estimator.deterministic, estimator.max_time)
    schedule = estimator.lr_schedule
    if inspect.isclass(schedule) and not issubclass(schedule, torch.optim.lr_scheduler.LRScheduler):
        raise ValueError(f"lr_schedule={schedule!r} is not a torch learning-rate scheduler class.")


def check_repeatable(deterministic: bool, max_time: float | None) -> None:
    """Refuse a training that is to be the same in every run and to end by the clock.

    Raises
    ------
    ValueError
        If it is.
    """
    if deterministic and max_time is not None:
        raise ValueError(
            f"deterministic=True cannot end by the clock, got max_time={max_time}; set "
            "max_time=None and a max_epochs that takes about as long."
        )


def _check_chunks(estimator: Any) -> None:
    """Check what does not go with sequences that are trained in chunks."""
    if estimator.bidirectional != "auto" and estimator.bidirectional:
        raise ValueError(
            f"bidirectional=True reads every sequence from its end as well and cannot be trained "
            f"in chunks, got tbptt_steps={estimator.tbptt_steps}; leave bidirectional at 'auto', "
            "which is one direction then, or set tbptt_steps=None."
        )
    several = getattr(estimator.accelerator, "num_processes", 1) > 1
    if several and estimator.return_sequences:
        raise ValueError(
            "tbptt_steps with return_sequences=True cannot be shared out among processes: the "
            "sequences of their shares differ in length and so in chunks; train in one process, "
            "with accelerator=None."
        )


def _check_whole_sequences(estimator: Any) -> None:
    """Check what does not go with labels that are chosen for all steps of a sequence together."""
    if not estimator.return_sequences:
        raise ValueError(
            "loss='crf' chooses the labels of all steps of a sequence together; set "
            "return_sequences=True, or loss='cross_entropy' for one label per sequence."
        )
    if estimator.tbptt_steps is not None:
        raise ValueError(
            "loss='crf' needs whole sequences and cannot be trained in chunks, got "
            f"tbptt_steps={estimator.tbptt_steps}; set tbptt_steps=None or loss='cross_entropy'."
        )
    if estimator.label_smoothing:
        raise ValueError(
            "loss='crf' compares whole sequences of labels, of which none can be smoothed, got "
            f"label_smoothing={estimator.label_smoothing}; set label_smoothing=0 or "
            "loss='cross_entropy'."
        )
    if estimator.class_weight is not None:
        raise ValueError(
            "loss='crf' is the loss of a whole sequence, in which the steps of one class have no "
            f"weight of their own, got class_weight={estimator.class_weight!r}; set "
            "class_weight=None or loss='cross_entropy', or weigh sequences with sample_weight."
        )


def _check_frontend(estimator: Any) -> None:
    frontend = estimator.frontend
    if frontend == "patch" and estimator.return_sequences:
        raise ValueError(
            "frontend='patch' makes one step of several, and return_sequences=True asks for an "
            "answer at every step; use frontend='conv' or None, or return_sequences=False."
        )
    if frontend not in (None, "auto") and estimator.tbptt_steps is not None:
        raise ValueError(
            f"frontend={frontend!r} reads across the ends of chunks, and "
            f"tbptt_steps={estimator.tbptt_steps} trains in chunks; use frontend=None, or leave "
            "tbptt_steps at None (a front end makes long sequences shorter by itself)."
        )


def _check_augmentation(estimator: Any) -> None:
    given = estimator.augmentation
    if given is None:
        return
    if reads_tokens(estimator):
        raise ValueError(
            f"augmentation changes numbers, and {name_of_tokens(estimator)} says that X holds "
            "token ids; use augmentation=None and, for example, embedding_dropout."
        )
    several = given if isinstance(given, list | tuple) else [given]
    for one in several:
        if not hasattr(one, "augment") and not hasattr(one, "mix"):
            raise ValueError(
                f"augmentation={given!r} holds {one!r}, which has no method augment or mix."
            )
        if estimator.return_sequences and getattr(one, "moves_time", False):
            raise ValueError(
                f"augmentation={one!r} moves steps in time, and the answers of "
                "return_sequences=True would not follow; use one that leaves them in place."
            )
    _check_mixing(estimator, [one for one in several if hasattr(one, "mix")])


def _check_frozen(estimator: Any) -> None:
    frozen = estimator.freeze
    if isinstance(frozen, tuple | list) and not all(isinstance(name, str) for name in frozen):
        raise ValueError(f"freeze={frozen!r} must hold beginnings of names, as ('encoder',).")


def _check_mixing(estimator: Any, mixing: list[Any]) -> None:
    """Check what does not go with sequences that are mixed."""
    if len(mixing) > 1:
        raise ValueError(
            f"augmentation={estimator.augmentation!r} mixes sequences twice, and answers are mixed "
            f"in pairs; leave one of {mixing!r}."
        )
    if mixing and estimator.return_sequences:
        raise ValueError(
            f"augmentation={mixing[0]!r} mixes two sequences whose steps do not correspond, and "
            "return_sequences=True asks for an answer at every step; use one that changes each "
            "sequence by itself, as Jitter."
        )
    if mixing and estimator.loss in ("negative_binomial", NegativeBinomialHead):
        raise ValueError(
            f"augmentation={mixing[0]!r} mixes the answers, and loss='negative_binomial' needs "
            "counts, which their means are not; use another loss or augmentation."
        )


def _check_tokens(estimator: Any) -> None:
    encoder = estimator.character_encoder
    if encoder is not None and not reads_tokens(estimator):
        raise ValueError(
            f"character_encoder={encoder!r} reads characters beside the ids of words, and X holds "
            "numbers as long as embedding_dim and embedding are None; set embedding_dim."
        )
    if estimator.embedding is None:
        return
    shape = embedding_shape(estimator.embedding)
    for name, size in zip(("vocabulary_size", "embedding_dim"), shape, strict=True):
        given = getattr(estimator, name)
        if given not in (None, size):
            raise ValueError(
                f"{name}={given} does not go with embedding, which holds {shape[0]} vectors of "
                f"size {shape[1]} (ids 0 and 1 included); leave {name} at None."
            )


def _check_decay(estimator: Any) -> None:
    """Check what does not go with a cell that decays between observations."""
    cell = estimator.cell
    asked = f"cell={cell!r}" if isinstance(cell, str) else f"cell={cell.__name__}"
    if reads_forward_only(cell):
        if estimator.missing != "mask":
            raise ValueError(
                f"{asked} reads which values were observed, and when; set missing='mask' (X "
                "may be complete), or use another cell, as 'gru'."
            )
        if estimator.bidirectional != "auto" and estimator.bidirectional:
            raise ValueError(
                f"{asked} decays with the time since earlier observations and reads forward "
                "only; leave bidirectional at 'auto', or use another cell with missing='mask'."
            )
        if estimator.frontend not in (None, "auto"):
            raise ValueError(
                f"{asked} reads values and masks themselves, got frontend="
                f"{estimator.frontend!r}; use frontend=None, or another cell."
            )


def _check_irregular(estimator: Any) -> None:
    """Check what does not go with missing values and time stamps."""
    asked = {
        "missing": estimator.missing == "mask",
        "time_channel": estimator.time_channel is not None,
    }
    for name in (name for name, is_asked in asked.items() if is_asked):
        value = getattr(estimator, name)
        if reads_tokens(estimator):
            raise ValueError(
                f"{name}={value!r} is for numbers, and {name_of_tokens(estimator)} says that X "
                "holds token ids; leave one of them at its default."
            )
        given = estimator.augmentation
        for one in given if isinstance(given, list | tuple) else [given]:
            if getattr(one, "moves_time", False) or hasattr(one, "mix"):
                raise ValueError(
                    f"augmentation={one!r} takes values from between steps or sequences, which "
                    f"does not go with {name}={value!r}; use one that changes values in place."
                )
