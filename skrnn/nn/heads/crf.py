"""Head for the labels of all steps of a sequence together."""

from collections.abc import Iterable
from itertools import repeat

import torch
from torch import Tensor, nn
from torch.nn import functional

from skrnn.nn.heads.base import SequenceHead
from skrnn.nn.lengths import Lengths, ValidSteps

__all__ = ["CRFHead"]


class CRFHead(SequenceHead):
    r"""Linear-chain conditional random field: the label of a step depends on its neighbours.

    Parameters
    ----------
    input_size : int
        Number of features of the representation. Values in `[1, inf)`.

    n_classes : int
        Number of classes. Values in `[1, inf)`.

    Attributes
    ----------
    start, end : torch.nn.Parameter of shape (n_classes,)
        Scores of the classes of the first and of the last step.

    transitions : torch.nn.Parameter of shape (n_classes, n_classes)
        Scores of one class (row) followed by another (column).

    See Also
    --------
    CategoricalHead : The same without dependence between steps.

    Notes
    -----
    The raw values :math:`s_t` are scores of the classes of every step. A path :math:`y_1 \dots y_T`
    has the probability [1]_

    .. math:: p(y) \propto \exp\Big(a_{y_1} + \sum_t s_t(y_t) + \sum_{t > 1} A_{y_{t-1} y_t}
              + b_{y_T}\Big)

    with the scores of start :math:`a`, end :math:`b` and transitions :math:`A`, which begin at 0:
    then the labels are independent and the loss is the cross entropy. The loss is
    :math:`-\log p(y)`, its normalisation the sum over all paths by the forward algorithm. Steps
    whose label is not known are summed over [2]_.

    References
    ----------
    .. [1] J. Lafferty, A. McCallum, F. Pereira, "Conditional Random Fields: Probabilistic Models
       for Segmenting and Labeling Sequence Data", ICML 2001.

    .. [2] Y. Tsuboi, H. Kashima, S. Mori, H. Oda, Y. Matsumoto, "Training Conditional Random Fields
       Using Incomplete Annotations", COLING 2008. aclanthology.org/C08-1113

    Examples
    --------
    A step that looks like class 1 between steps of class 0, where classes do not change:

    >>> import torch
    >>> from skrnn.nn import CRFHead
    >>> head = CRFHead(4, n_classes=2)
    >>> raw = torch.tensor([[[2.0, 0.0], [0.0, 1.0], [2.0, 0.0]]])
    >>> head.decode(raw)
    tensor([[0, 1, 0]])
    >>> _ = torch.nn.init.eye_(head.transitions)
    >>> head.decode(raw)
    tensor([[0, 0, 0]])
    """

    def __init__(self, input_size: int, n_classes: int) -> None:
        super().__init__(input_size, n_classes)
        self.start = nn.Parameter(torch.zeros(n_classes))
        self.end = nn.Parameter(torch.zeros(n_classes))
        self.transitions = nn.Parameter(torch.zeros(n_classes, n_classes))

    def loss(
        self, raw: Tensor, target: Tensor, lengths: Lengths = None, known: Tensor | None = None
    ) -> Tensor:
        """Compute the negative log likelihood of every sequence.

        Parameters
        ----------
        raw : Tensor of shape (batch, time, n_classes)
            Scores; the padding may hold anything, NaN included.

        target : Tensor of shape (batch, time), int64
            Number of the true class, in `[0, n_classes)`, also at padding and unknown steps.

        lengths : Tensor, ndarray, sequence of int or None, default=None
            Number of valid leading steps per sequence, in `[0, time]`. None: all are valid.

        known : Tensor of shape (batch, time) or None, default=None
            False at steps whose label is not known, over which all labels are summed; what padding
            holds does not matter. None: all are known.

        Returns
        -------
        Tensor of shape (batch,)
            In nats, the sum over the steps; 0 for a sequence without steps or known labels.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        valid = self._valid(raw, lengths)
        for name, given in (("target", target), ("known", known)):
            if given is not None and given.shape != raw.shape[:2]:
                raise ValueError(
                    f"{name} has shape {tuple(given.shape)}, expected {tuple(raw.shape[:2])}: one "
                    "value per step of every sequence."
                )
        if raw.shape[1] == 0:
            return raw.sum((1, 2))
        # A constant per step cancels; without it both terms stay small.
        scores = _wide(valid.fill(raw, 0.0)).log_softmax(dim=-1)
        everything = self._sum_of_paths(scores, valid)
        if known is None:
            right = self._score_of_path(scores, target, valid)
        else:
            right = self._sum_of_paths(_only(scores, target, known.bool()), valid)
        loss = everything - right
        if valid.lengths is not None:
            loss = loss.masked_fill(valid.lengths == 0, 0.0)
        return loss.to(raw.dtype)

    def predict(self, raw: Tensor, lengths: Lengths = None) -> Tensor:
        """Compute the probabilities of the classes of every step, given the whole sequence.

        Parameters
        ----------
        raw : Tensor of shape (batch, time, n_classes)
            Scores; the padding may hold anything, NaN included.

        lengths : Tensor, ndarray, sequence of int or None, default=None
            Number of valid leading steps per sequence, in `[0, time]`. None: all are valid.

        Returns
        -------
        Tensor of shape (batch, time, n_classes)
            Marginal probabilities that sum to 1; 0 at padding.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        valid = self._valid(raw, lengths)
        if raw.shape[1] == 0:
            return raw
        scores = _wide(valid.fill(raw, 0.0)).log_softmax(dim=-1)
        before = torch.stack(self._forward_messages(scores, valid), dim=1)
        after = torch.stack(self._backward_messages(scores, valid), dim=1)
        return valid.fill((before + after).softmax(dim=-1), 0.0).to(raw.dtype)

    def decode(self, raw: Tensor, lengths: Lengths = None) -> Tensor:
        """Find the most probable path of every sequence by the Viterbi algorithm.

        Parameters
        ----------
        raw : Tensor of shape (batch, time, n_classes)
            Scores; the padding may hold anything, NaN included.

        lengths : Tensor, ndarray, sequence of int or None, default=None
            Number of valid leading steps per sequence, in `[0, time]`. None: all are valid.

        Returns
        -------
        Tensor of shape (batch, time), int64
            Number of the class of every step; 0 at padding.

        Raises
        ------
        ValueError
            If the shapes do not fit.
        """
        valid = self._valid(raw, lengths)
        if raw.shape[1] == 0:
            return torch.zeros(raw.shape[:2], dtype=torch.int64, device=raw.device)
        first, *later = _wide(valid.fill(raw, 0.0)).log_softmax(dim=-1).unbind(1)
        best = self.start + first
        stay = torch.arange(self.n_outputs, device=raw.device).expand_as(best)
        origins = []
        for scores, keep in zip(later, _later_steps(valid), strict=False):
            value, origin = (best.unsqueeze(2) + self.transitions).max(dim=1)
            best = _where(keep, value + scores, best)
            origins.append(_where(keep, origin, stay))
        path = [(best + self.end).argmax(dim=1, keepdim=True)]
        for origin in reversed(origins):
            path.append(origin.gather(1, path[-1]))
        labels = torch.cat(path[::-1], dim=1)
        return labels if valid.mask is None else labels.masked_fill(~valid.mask, 0)

    def _valid(self, raw: Tensor, lengths: Lengths) -> ValidSteps:
        if raw.ndim != 3 or raw.shape[2] != self.n_outputs:
            raise ValueError(
                f"raw has shape {tuple(raw.shape)}, expected (batch, time, {self.n_outputs}): a "
                "conditional random field reads the steps of whole sequences; use pooling=None."
            )
        return ValidSteps.of(lengths, raw)

    def _forward_messages(self, scores: Tensor, valid: ValidSteps) -> list[Tensor]:
        """Log sum over the paths up to each step, by their last class; after the end it stays."""
        first, *later = scores.unbind(1)
        messages = [self.start + first]
        for score, keep in zip(later, _later_steps(valid), strict=False):
            paths = messages[-1].unsqueeze(2) + self.transitions
            messages.append(_where(keep, paths.logsumexp(dim=1) + score, messages[-1]))
        return messages

    def _backward_messages(self, scores: Tensor, valid: ValidSteps) -> list[Tensor]:
        """Log sum over the paths after each step, by the class they start from."""
        _, *later = scores.unbind(1)
        messages = [self.end.expand(scores.shape[0], -1)]
        steps = [*zip(later, _later_steps(valid), strict=False)]
        for score, keep in reversed(steps):
            paths = self.transitions + (score + messages[-1]).unsqueeze(1)
            messages.append(_where(keep, paths.logsumexp(dim=2), messages[-1]))
        return messages[::-1]

    def _sum_of_paths(self, scores: Tensor, valid: ValidSteps) -> Tensor:
        return (self._forward_messages(scores, valid)[-1] + self.end).logsumexp(dim=1)

    def _score_of_path(self, scores: Tensor, target: Tensor, valid: ValidSteps) -> Tensor:
        steps = valid.fill(scores.gather(2, target.unsqueeze(2)).squeeze(2), 0.0)
        moves = self.transitions[target[:, :-1], target[:, 1:]]
        if valid.lengths is None or valid.mask is None:
            last = target[:, -1]
        else:
            moves = moves.masked_fill(~valid.mask[:, 1:], 0.0)
            position = (valid.lengths - 1).clamp(min=0).unsqueeze(1)
            last = target.gather(1, position).squeeze(1)
        return steps.sum(1) + moves.sum(1) + self.start[target[:, 0]] + self.end[last]


def _wide(x: Tensor) -> Tensor:
    """Sums over many paths need the digits of float32."""
    return x.float() if x.dtype.itemsize < 4 else x


def _only(scores: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Leave only the true class of the steps whose label is known."""
    others = functional.one_hot(target, scores.shape[2]) == 0
    return scores.masked_fill(others & known.unsqueeze(2), -torch.inf)


def _later_steps(valid: ValidSteps) -> Iterable[Tensor | None]:
    """Which sequences have each step after the first, as columns; None where all have it."""
    return repeat(None) if valid.mask is None else valid.mask[:, 1:].unsqueeze(2).unbind(1)


def _where(keep: Tensor | None, new: Tensor, old: Tensor) -> Tensor:
    return new if keep is None else torch.where(keep, new, old)
