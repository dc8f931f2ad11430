"""Pooling: the outputs at all time steps become one vector per sequence."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from skrnn.nn.lengths import Lengths, ValidSteps

__all__ = ["POOLINGS", "Pooling"]

#: The kinds of pooling known by name.
POOLINGS = ("attention", "last", "max", "mean")


class Pooling(nn.Module):
    r"""Summaries of the valid time steps, concatenated.

    Parameters
    ----------
    input_size : int
        Number of features of the encoder's output, over all directions. Values in `[1, inf)`.

    kinds : str or tuple of str, default=("mean", "max", "last")
        The summaries, in the order of their concatenation: "mean", "max", "last", "attention".

    num_directions : {1, 2}, default=1
        2 if the second half of the features was read backwards.

    attention_heads : int, default=1
        Number of weightings of "attention", each with a summary of its own. Values in `[1, inf)`.
        Only used with "attention".

    Attributes
    ----------
    output_size : int
        `input_size` for each summary: `len(kinds) * input_size` with one head.

    reads_padding : bool
        Whether the padding must hold 0; "last" alone does not read it.

    See Also
    --------
    RecurrentEncoder : Makes the outputs that are pooled.

    Notes
    -----
    "last" takes each direction where it has read the whole sequence: forward features at the last
    valid step, backward features at the first one. "attention" weights the steps by

    .. math:: a_t = \mathrm{softmax}_t(v^\top \tanh(W h_t)),

    the additive score of [1]_, over the valid steps; several heads share :math:`W` and have a
    :math:`v` each, as in [2]_. A sequence of length 0 gives zeros.

    References
    ----------
    .. [1] D. Bahdanau, K. Cho, Y. Bengio, "Neural Machine Translation by Jointly Learning to Align
       and Translate", ICLR 2015. arxiv.org/abs/1409.0473
    .. [2] Z. Lin et al., "A Structured Self-attentive Sentence Embedding", ICLR 2017.
       arxiv.org/abs/1703.03130

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import Pooling
    >>> output = torch.tensor([[[1.0], [5.0], [9.0]]])
    >>> Pooling(1, ("mean", "max", "last"))(output, lengths=[2])
    tensor([[3., 5., 5.]])
    """

    def __init__(
        self,
        input_size: int,
        kinds: str | Sequence[str] = ("mean", "max", "last"),
        num_directions: int = 1,
        attention_heads: int = 1,
    ) -> None:
        super().__init__()
        self.kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
        unknown = [kind for kind in self.kinds if kind not in POOLINGS]
        if unknown or not self.kinds or len(set(self.kinds)) != len(self.kinds):
            raise ValueError(
                f"pooling must be one or several different of {', '.join(map(repr, POOLINGS))}, "
                f"got {kinds!r}."
            )
        if num_directions not in (1, 2) or input_size % num_directions:
            raise ValueError(
                f"num_directions must be 1 or 2 and divide input_size, got {num_directions} "
                f"for {input_size} features."
            )
        if attention_heads < 1:
            raise ValueError(f"attention_heads must be at least 1, got {attention_heads}.")
        self.input_size = input_size
        self.num_directions = num_directions
        self.attention_heads = attention_heads
        self.reads_padding = self.kinds != ("last",)
        self.output_size = len(self.kinds) * input_size
        if "attention" in self.kinds:
            self.output_size += (attention_heads - 1) * input_size
            self.attention = nn.Linear(input_size, input_size, bias=False)
            self.score = nn.Linear(input_size, attention_heads, bias=False)

    def forward(
        self, output: Tensor, lengths: Lengths = None, *, padding_is_zero: bool = False
    ) -> Tensor:
        """Pool the outputs of an encoder.

        Parameters
        ----------
        output : Tensor of shape (batch, time, input_size)
            One vector per time step; the padding may hold anything, NaN included.

        lengths : Tensor, ndarray, sequence of int or None, default=None
            Number of valid leading steps per sequence, in `[0, time]`. None: all are valid.

        padding_is_zero : bool, default=False
            Promises that the padding holds 0, as in the output of :class:`RecurrentEncoder`; this
            saves a pass over the data.

        Returns
        -------
        Tensor of shape (batch, output_size)
            The summaries side by side, in the order of `kinds`.
        """
        valid = ValidSteps.of(lengths, output)
        if output.shape[1] == 0:
            return output.new_zeros(output.shape[0], self.output_size)
        if self.reads_padding and not padding_is_zero:
            output = valid.fill(output, 0.0)
        summaries = [getattr(self, f"_{kind}")(output, valid) for kind in self.kinds]
        return summaries[0] if len(summaries) == 1 else torch.cat(summaries, dim=1)

    def weights(self, output: Tensor, lengths: Lengths = None) -> Tensor:
        """Compute how much attention each step gets.

        Parameters
        ----------
        output : Tensor of shape (batch, time, input_size)
            One vector per time step; the padding may hold anything, NaN included.

        lengths : Tensor, ndarray, sequence of int or None, default=None
            Number of valid leading steps per sequence, in `[0, time]`. None: all are valid.

        Returns
        -------
        Tensor of shape (batch, time), or (batch, attention_heads, time) with several heads
            Not negative, summing to 1 over the valid steps of a sequence; 0 at padding.

        Raises
        ------
        ValueError
            If "attention" is not among the kinds.

        Examples
        --------
        >>> import torch
        >>> from skrnn.nn import Pooling
        >>> Pooling(4, "attention").weights(torch.ones(1, 4, 4), lengths=[2])
        tensor([[0.5000, 0.5000, 0.0000, 0.0000]], grad_fn=<...>)
        """
        if "attention" not in self.kinds:
            raise ValueError(f"there are weights only with pooling 'attention', not {self.kinds}.")
        valid = ValidSteps.of(lengths, output)
        weights = self._weights(valid.fill(output, 0.0), valid)
        return weights.squeeze(1) if self.attention_heads == 1 else weights

    def _weights(self, output: Tensor, valid: ValidSteps) -> Tensor:
        scores = self.score(torch.tanh(self.attention(output)))
        # Not -inf: a sequence of length 0 would give NaN.
        scores = valid.fill(scores, torch.finfo(scores.dtype).min)
        return valid.fill(scores.softmax(dim=1), 0.0).transpose(1, 2)

    def _attention(self, output: Tensor, valid: ValidSteps) -> Tensor:
        return torch.bmm(self._weights(output, valid), output).flatten(1)

    def _mean(self, output: Tensor, valid: ValidSteps) -> Tensor:
        if valid.lengths is None:
            return output.mean(dim=1)
        return output.sum(dim=1) / valid.lengths.clamp(min=1).unsqueeze(1)

    def _max(self, output: Tensor, valid: ValidSteps) -> Tensor:
        if valid.mask is None or valid.lengths is None:
            return _max_over_time(output)
        lowest = torch.finfo(output.dtype).min
        # Padding holds 0, so adding is the cheapest way to put it below everything.
        penalty = torch.zeros_like(valid.mask, dtype=output.dtype).masked_fill(~valid.mask, lowest)
        highest = _max_over_time(output + penalty.unsqueeze(2))
        return highest.masked_fill((valid.lengths == 0).unsqueeze(1), 0.0)

    def _last(self, output: Tensor, valid: ValidSteps) -> Tensor:
        last = output[:, -1]
        if valid.lengths is not None:
            step = (valid.lengths - 1).clamp(min=0).view(-1, 1, 1)
            last = output.gather(1, step.expand(-1, 1, output.shape[2])).squeeze(1)
        if self.num_directions == 2:
            half = self.input_size // 2
            last = torch.cat([last[:, :half], output[:, 0, half:]], dim=1)
        if valid.lengths is None:
            return last
        # With length 0 this took padding.
        return last.masked_fill((valid.lengths == 0).unsqueeze(1), 0.0)


def _max_over_time(x: Tensor) -> Tensor:
    if torch.is_grad_enabled() and x.requires_grad:
        return _MaxOverTime.apply(x)
    return x.amax(dim=1)


class _MaxOverTime(torch.autograd.Function):
    """`x.amax(dim=1)` with a backward pass that costs a third: ties share the gradient."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.amax(dim=1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0], output)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Tensor:
        x, highest = ctx.saved_tensors
        # sign is vectorised on the CPU, comparisons that end in a float tensor are not.
        hit = (x - highest.unsqueeze(1)).sign() + 1
        return hit * (grads[0] / hit.sum(dim=1)).unsqueeze(1)
