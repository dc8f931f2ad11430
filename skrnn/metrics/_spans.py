"""Metrics of spans: runs of steps that tags such as "B-PER" and "I-PER" mark, with their type."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import make_scorer

from skrnn.metrics._steps import as_arrays, check_same_steps

Span = tuple[int, int, str]


def spans_from_tags(tags: Iterable[str]) -> list[Span]:
    """Find the spans that the tags of one sequence mark.

    Parameters
    ----------
    tags : sequence of str
        ``"O"`` outside of spans; inside ``"B-PER"``, ``"I-PER"``, ``"E-PER"`` or ``"S-PER"``, where
        ``PER`` is any type and may be left out with its hyphen. This reads the schemes IOB2 (B, I),
        BIOES (B, I, E, S) and IOB1 (I, and B between spans of one type).

    Returns
    -------
    spans : list of tuple (start, stop, type)
        The span is ``sequence[start:stop]``. In order.

    Raises
    ------
    ValueError
        If a tag is none of these; the message names the step.

    See Also
    --------
    span_f1_score : Compares the spans of true and predicted tags.

    Notes
    -----
    A span starts at B or S, after E or S, after O, and where the type changes; it goes on until
    another starts or O comes. These are the rules of the script ``conlleval`` [1]_, with E and S as
    its successors read them: tags that contradict each other still mark spans, ``I-PER`` after
    ``O`` for example starts one.

    References
    ----------
    .. [1] E. F. Tjong Kim Sang, S. Buchholz, "Introduction to the CoNLL-2000 Shared Task:
       Chunking", 2000. aclanthology.org/W00-0726

    Examples
    --------
    >>> from skrnn.metrics import spans_from_tags
    >>> spans_from_tags(["B-PER", "I-PER", "O", "B-LOC", "B-LOC"])
    [(0, 2, 'PER'), (3, 4, 'LOC'), (4, 5, 'LOC')]
    """
    return _spans(tags, "tags")


def span_f1_score(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Sequence[str] | None = None,
    average: Literal["micro", "macro"] | None = "micro",
    sample_weight: Any = None,
    zero_division: Any = "warn",
) -> float | NDArray[np.float64]:
    """F1 score of spans: a span is right if its start, its end and its type are.

    Parameters
    ----------
    y_true : sequence of n_samples arrays of str of shape (n_timesteps_i,)
        True tags, one per step, as :func:`spans_from_tags` reads them.

    y_pred : sequence of n_samples arrays of str, shaped as `y_true`
        Predicted tags.

    labels : sequence of str, default=None
        Types to count, as ``["PER", "LOC"]``. None counts all that occur in `y_true` or `y_pred`,
        sorted.

    average : {"micro", "macro"} or None, default="micro"
        ``"micro"`` counts the spans of all types together, as ``conlleval`` does; ``"macro"`` is
        the mean over types; None returns one score per type.

    sample_weight : array-like of shape (n_samples,), default=None
        Weights of sequences, given to each of their spans.

    zero_division : {"warn", 0.0, 1.0, numpy.nan}, default="warn"
        Score where there is no span, neither true nor predicted; "warn" is 0 with a warning.

    Returns
    -------
    float or ndarray of shape (n_labels,)
        Between 0 and 1; higher is better.

    Raises
    ------
    ValueError
        If the sequences do not match, or a tag cannot be read; the message names it.

    See Also
    --------
    span_f1_scorer : The same as ``scoring=`` of a search.
    sequence_accuracy_score : Share of steps whose tag is right.

    Notes
    -----
    With :math:`c` right spans among :math:`n` true and :math:`m` predicted ones, precision is
    :math:`c / m`, recall :math:`c / n` and the score their harmonic mean :math:`2c / (n + m)`, over
    the spans of all sequences. A span with a wrong border is wrong twice: it is missing, and
    another one is too many. Spans never reach into the next sequence.

    Examples
    --------
    One of two true spans is found, and one of the two that are found is true:

    >>> from skrnn.metrics import span_f1_score
    >>> y_true = [["B-PER", "I-PER", "O"], ["O", "B-LOC"]]
    >>> y_pred = [["B-PER", "I-PER", "O"], ["B-LOC", "I-LOC"]]
    >>> span_f1_score(y_true, y_pred)
    0.5
    >>> span_f1_score(y_true, y_pred, average=None, labels=["LOC", "PER"])
    array([0., 1.])
    """
    if average not in ("micro", "macro", None):
        raise ValueError(f"average must be 'micro', 'macro' or None, got {average!r}.")
    if isinstance(labels, str):
        raise ValueError(f"labels must be a list of types, as [{labels!r}], got {labels!r}.")
    right, total = _count(y_true, y_pred, sample_weight)
    types = sorted(total) if labels is None else list(labels)
    if average is None:
        return _f1([(right[t], total[t]) for t in types], types, zero_division)
    if average == "micro" or not types:
        both = (sum(right[t] for t in types), sum(total[t] for t in types))
        return float(_f1([both], [], zero_division)[0])
    scores = _f1([(right[t], total[t]) for t in types], types, zero_division)
    defined = scores[~np.isnan(scores)]
    return float(defined.mean()) if len(defined) else float("nan")


span_f1_scorer = make_scorer(span_f1_score)


def _count(
    y_true: Any, y_pred: Any, sample_weight: Any
) -> tuple[dict[str, float], dict[str, float]]:
    """Weights of the right spans, and of true and predicted ones together, by type."""
    true, pred = as_arrays(y_true, "y_true"), as_arrays(y_pred, "y_pred")
    check_same_steps(pred, [len(tags) for tags in true], "y_pred", "sequences")
    weights = _weights(sample_weight, len(true))
    right: dict[str, float] = defaultdict(float)
    total: dict[str, float] = defaultdict(float)
    for i, (tags, guess, weight) in enumerate(zip(true, pred, weights, strict=True)):
        wanted, found = set(_spans(tags, f"y_true[{i}]")), set(_spans(guess, f"y_pred[{i}]"))
        for spans, counter in ((wanted & found, right), (wanted, total), (found, total)):
            for _, _, kind in spans:
                counter[kind] += weight
    return right, total


def _weights(sample_weight: Any, n_samples: int) -> list[float]:
    if sample_weight is None:
        return [1.0] * n_samples
    weights = list(sample_weight)
    if any(np.ndim(weight) for weight in weights):
        raise ValueError(
            "sample_weight holds one array per sequence, but a span has no weight per step; pass "
            "one weight per sequence."
        )
    if len(weights) != n_samples:
        raise ValueError(
            f"sample_weight holds {len(weights)} weights, y_true holds {n_samples} sequences."
        )
    return [float(weight) for weight in weights]


def _f1(
    counts: list[tuple[float, float]], types: list[str], zero_division: Any
) -> NDArray[np.float64]:
    """Scores from the weights of right spans, and of true and predicted ones together."""
    right, total = np.array(counts, dtype=np.float64).reshape(-1, 2).T
    undefined = total == 0
    if undefined.any() and zero_division == "warn":
        which = f" of type {types[int(np.argmax(undefined))]!r}" if types else ""
        warnings.warn(
            f"F-score is ill-defined and set to 0, as there is no span{which}, neither true nor "
            "predicted; use zero_division to choose another value.",
            UndefinedMetricWarning,
            stacklevel=3,
        )
    instead = 0.0 if zero_division == "warn" else float(zero_division)
    return np.where(undefined, instead, 2 * right / np.where(undefined, 1.0, total))


def _spans(tags: Iterable[str], name: str) -> list[Span]:
    spans: list[Span] = []
    start, before, kind = 0, "O", ""
    for step, tag in enumerate(tags):
        letter, new_kind = _read(tag, name, step)
        goes_on = letter in "IE" and before in "BI" and new_kind == kind
        if before != "O" and not goes_on:
            spans.append((start, step, kind))
        if letter != "O" and not goes_on:
            start = step
        before, kind = letter, new_kind
    return spans if before == "O" else [*spans, (start, step + 1, kind)]


def _read(tag: Any, name: str, step: int) -> tuple[str, str]:
    """Cut a tag into its letter and its type."""
    letter, hyphen, kind = tag.partition("-") if isinstance(tag, str) else ("", "", "")
    if letter in ("B", "I", "E", "S") or (letter == "O" and not hyphen):
        return letter, str(kind)
    plain = tag.item() if isinstance(tag, np.generic) else tag
    raise ValueError(
        f"{name}[{step}] is {plain!r}, which is no tag of a span; expected 'O', or 'B-', 'I-', "
        "'E-' or 'S-' before a type, as 'B-PER'."
    )
