"""Heads: a representation becomes a prediction, and the head knows its loss."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from skrnn.nn.heads.base import Head, ProbabilisticHead, SequenceHead
from skrnn.nn.heads.counts import NegativeBinomialHead
from skrnn.nn.heads.crf import CRFHead
from skrnn.nn.heads.distributions import NormalHead, StudentTHead
from skrnn.nn.heads.labels import CategoricalHead, MultilabelHead
from skrnn.nn.heads.points import PointHead
from skrnn.nn.heads.quantiles import DEFAULT_QUANTILES, QuantileHead

__all__ = [
    "DEFAULT_QUANTILES",
    "HEADS",
    "CRFHead",
    "CategoricalHead",
    "Head",
    "HeadLike",
    "MultilabelHead",
    "NegativeBinomialHead",
    "NormalHead",
    "PointHead",
    "ProbabilisticHead",
    "QuantileHead",
    "SequenceHead",
    "StudentTHead",
    "make_head",
]

HeadFactory: TypeAlias = Callable[..., Head]
HeadLike: TypeAlias = str | Callable[[int, int], Head]


def _without_quantiles(head: Callable[..., Head], **options: str) -> HeadFactory:
    def make(
        input_size: int,
        n_outputs: int,
        quantiles: Sequence[float] = DEFAULT_QUANTILES,
        **further: float,
    ) -> Head:
        return head(input_size, n_outputs, **options, **further)

    return make


#: The heads by the name of their loss; all are called with (input_size, n_outputs, quantiles).
HEADS: dict[str, HeadFactory] = {
    "absolute_error": _without_quantiles(PointHead, loss="absolute_error"),
    "categorical": _without_quantiles(CategoricalHead),
    "crf": _without_quantiles(CRFHead),
    "huber": _without_quantiles(PointHead, loss="huber"),
    "multilabel": _without_quantiles(MultilabelHead),
    "negative_binomial": _without_quantiles(NegativeBinomialHead),
    "normal": _without_quantiles(NormalHead),
    "quantile": QuantileHead,
    "squared_error": _without_quantiles(PointHead, loss="squared_error"),
    "student_t": _without_quantiles(StudentTHead),
}


def make_head(
    loss: HeadLike,
    input_size: int,
    n_outputs: int,
    quantiles: Sequence[float] = DEFAULT_QUANTILES,
    label_smoothing: float = 0.0,
) -> Head:
    """Make a head from the name of its loss.

    Parameters
    ----------
    loss : str or callable
        A name in `HEADS`, or a class or function called with `(input_size, n_outputs)` that makes a
        :class:`Head`.

    input_size : int
        Number of features of the representation. Values in `[1, inf)`.

    n_outputs : int
        Number of values, classes or labels predicted at once. Values in `[1, inf)`.

    quantiles : sequence of float, default=(0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
        The levels of the loss "quantile"; the others ignore them.

    label_smoothing : float, default=0.0
        How far the targets of "categorical" and "multilabel" are from certain in training. Values
        in `[0, 1)`.

    Returns
    -------
    Head
        The head.

    Raises
    ------
    ValueError
        If the name is unknown, or labels are to be smoothed where there are none.

    TypeError
        If `loss` is neither a name nor makes a head.

    Examples
    --------
    >>> from skrnn.nn import make_head
    >>> make_head("normal", 8, 1)
    NormalHead(
      (projection): Linear(in_features=8, out_features=2, bias=True)
    )
    """
    further = {"label_smoothing": label_smoothing} if label_smoothing else {}
    if further and loss not in ("categorical", "multilabel"):
        raise ValueError(
            f"label_smoothing={label_smoothing} is for 'categorical' and 'multilabel', got "
            f"{loss!r}; leave it at 0."
        )
    if isinstance(loss, str):
        if loss not in HEADS:
            names = ", ".join(repr(name) for name in sorted(HEADS))
            raise ValueError(f"unknown loss {loss!r}: expected one of {names}, or a head class.")
        return HEADS[loss](input_size, n_outputs, quantiles, **further)
    if isinstance(loss, Head) or not callable(loss):
        raise TypeError(
            f"loss must be a name or a head class called with (input_size, n_outputs), got the "
            f"object {type(loss).__name__}."
        )
    head = loss(input_size, n_outputs)
    if not isinstance(head, Head):
        raise TypeError(f"loss must make a skrnn.nn.Head, got {type(head).__name__}.")
    return head
