"""Network: scaler, irregular input, front end, encoder, pooling and head in a row."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from skrnn.nn.encoder import RecurrentEncoder
from skrnn.nn.frontends import Frontend, TokenEmbedding, WordCharacterEmbedding
from skrnn.nn.heads import Head, make_head
from skrnn.nn.irregular import IrregularInput
from skrnn.nn.layers import EncoderState, State
from skrnn.nn.lengths import Lengths, ValidSteps
from skrnn.nn.pooling import Pooling
from skrnn.nn.randomness import Dropout
from skrnn.nn.scaler import FeatureScaler
from skrnn.nn.specs import DTYPES, NETWORK_DEFAULTS, NetworkSpec, complete
from skrnn.nn.stages import embedding_of, frontend_of, irregular_of

__all__ = ["SequenceNetwork"]


class SequenceNetwork(nn.Module):
    """Network from padded sequences to the raw values of a head.

    Parameters
    ----------
    encoder : torch.nn.Module
        Called with `(x, lengths)`, gives (batch, time, output_size), as :class:`RecurrentEncoder`.

    pooling : Pooling or None
        Makes one vector per sequence; None keeps one per time step.

    head : Head
        Makes the raw values, and knows their loss.

    scaler : FeatureScaler or None, default=None
        Applied to the input first.

    embedding : TokenEmbedding, WordCharacterEmbedding or None, default=None
        Makes numbers of token ids.

    frontend : Frontend or None, default=None
        Makes the steps the encoder reads, as :class:`ConvFrontend`; applied after the scaler and
        the embedding. Its summary, if it makes one, is put beside what the pooling makes.

    dropout : float, default=0.0
        Probability of dropping a feature of the representation before the head. Values in
        `[0, 1]`.

    input_dropout : float, default=0.0
        Probability of dropping a value of the scaled input, or of the vectors of tokens. Values in
        `[0, 1]`.

    irregular : IrregularInput or None, default=None
        Makes values, masks and times of missing values and of time stamps, after the scaler.

    See Also
    --------
    RecurrentEncoder : The recurrent layers.
    make_head : Heads by the name of their loss.

    Notes
    -----
    Padding is set to 0 before anything else: whatever it holds, NaN included, outputs and
    gradients are the same.

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import CategoricalHead, Pooling, RecurrentEncoder, SequenceNetwork
    >>> encoder = RecurrentEncoder(3, hidden_size=8)
    >>> pooling = Pooling(encoder.output_size, ("mean", "last"))
    >>> network = SequenceNetwork(encoder, pooling, CategoricalHead(pooling.output_size, 2))
    >>> raw = network(torch.ones(4, 5, 3), lengths=[5, 5, 2, 1])
    >>> network.head.predict(raw).shape
    torch.Size([4, 2])
    """

    def __init__(
        self,
        encoder: nn.Module,
        pooling: Pooling | None,
        head: Head,
        scaler: FeatureScaler | None = None,
        embedding: TokenEmbedding | WordCharacterEmbedding | None = None,
        frontend: Frontend | None = None,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        irregular: IrregularInput | None = None,
    ) -> None:
        super().__init__()
        if pooling is None and frontend is not None and frontend.stride > 1:
            raise ValueError(
                f"frontend={type(frontend).__name__} makes one step of {frontend.stride}, but "
                "there is one output per time step (pooling=None, or return_sequences=True of an "
                "estimator); take a front end with stride=1, or one output per sequence."
            )
        self.scaler = scaler
        self.embedding = embedding
        self.irregular = irregular
        self.input_dropout = Dropout(input_dropout)
        self.frontend = frontend
        self.encoder = encoder
        self.pooling = pooling
        self.dropout = Dropout(dropout)
        self.head = head

    @classmethod
    def build(cls, spec: Mapping[str, object]) -> "SequenceNetwork":
        """Build a network from plain values.

        Parameters
        ----------
        spec : mapping
            `n_features`, `head` (a name in `HEADS` or a head class) and `n_outputs`, and what
            differs from the defaults among `cell`, `hidden_size`, `num_layers`, `nonlinearity`,
            `bidirectional`, `dropout`, `input_dropout`, `embedding_dropout`, `word_dropout`,
            `recurrent_dropout`, `weight_dropout`, `memory_steps`, `label_smoothing`, `pooling`
            (None: one output per time step) with `attention_heads`, `embedding_dim` with
            `vocabulary_size` (None: the input holds numbers, not token ids),
            `character_encoder` (None, or a name in `CHARACTER_ENCODERS`) with `character_dim` and
            `character_vocabulary_size`,
            `missing` ("mask": NaN is a missing value, see :class:`IrregularInput`; None: there is
            none), `time_channel` (the feature that holds time stamps, or None),
            `frontend` (None, a name in `FRONTENDS` or a class) with `frontend_stride` (None: its
            default; of "conv" a pair, too) and `frontend_sizes` (None: its default; of "conv" only,
            the widths of its first convolutions), `quantiles` and `dtype` ("float32" or
            "float64").

        Returns
        -------
        SequenceNetwork
            With random weights from torch's generator; `dropout` acts on embeddings, between
            layers and before the head. Where the input holds numbers, `scaler` changes nothing
            until it is given statistics by `network.scaler.set(mean, scale)`.

        Raises
        ------
        ValueError
            If a name is missing or unknown, or a value is out of its range.

        Examples
        --------
        >>> import torch
        >>> from skrnn.nn import SequenceNetwork
        >>> network = SequenceNetwork.build(
        ...     {"n_features": 3, "hidden_size": 8, "head": "quantile", "n_outputs": 1}
        ... )
        >>> network.head.predict(network(torch.ones(4, 5, 3))).shape
        torch.Size([4, 1])
        """
        full = complete(spec, NetworkSpec, NETWORK_DEFAULTS)
        size, scaler, embedding = full["n_features"], None, embedding_of(full)
        irregular = irregular_of(full)
        if embedding is None:
            scaler = FeatureScaler.identity(size)
        else:
            size = embedding.output_size
        if irregular is not None:
            size = irregular.output_size
        frontend = frontend_of(full, size)
        if frontend is not None:
            size = frontend.output_size
        encoder = RecurrentEncoder(
            size,
            full["hidden_size"],
            full["num_layers"],
            cell=full["cell"],
            nonlinearity=full["nonlinearity"],
            dropout=full["dropout"],
            bidirectional=full["bidirectional"],
            weight_dropout=full["weight_dropout"],
            recurrent_dropout=full["recurrent_dropout"],
            memory_steps=full["memory_steps"],
        )
        size, pooling = encoder.output_size, None
        if full["pooling"] is not None:
            heads = full["attention_heads"]
            pooling = Pooling(size, full["pooling"], encoder.num_directions, heads)
            size = pooling.output_size + (0 if frontend is None else frontend.summary_size)
        further = full["n_outputs"], full["quantiles"], full["label_smoothing"]
        head = make_head(full["head"], size, *further)
        drops = full["dropout"], full["input_dropout"]
        network = cls(encoder, pooling, head, scaler, embedding, frontend, *drops, irregular)
        return network.to(DTYPES[full["dtype"]])

    def encode(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        """Compute the representation of every sequence, or of every time step without pooling.

        Parameters
        ----------
        x : Tensor of shape (batch, time, features)
            The sequences; the padding may hold anything, NaN included.

        lengths : Tensor, ndarray, sequence of int or None, default=None
            Number of valid leading steps per sequence, in `[0, time]`. None: all are valid.

        Returns
        -------
        Tensor of shape (batch, size) or (batch, time, size)
            The representation; per step it is 0 at padding.

        Raises
        ------
        ValueError
            If `x` has another number of features or dimensions, or the lengths do not fit it.
        """
        pooled, summary = self._encoded(x, ValidSteps.of(lengths, x))
        return pooled if summary is None else torch.cat([pooled, summary], dim=1)

    def _encoded(self, x: Tensor, valid: ValidSteps) -> tuple[Tensor, Tensor | None]:
        """Pooled states, or those of all steps, and the summary of the front end."""
        steps, valid, summary = self._read(self._features(x, valid)[0], valid)
        pooling, encoder = self.pooling, self.encoder
        if pooling is None or pooling.reads_padding or type(encoder) is not RecurrentEncoder:
            return self._pool(encoder(steps, valid), valid), summary
        if valid.lengths is None and encoder.num_directions == 1:
            return pooling(encoder(steps, last_only=True)), summary
        return pooling(encoder(steps, valid, padding_is_read=False), valid), summary

    @property
    def n_answers(self) -> int:
        """Answers to each sequence in training: of several, the loss is the mean."""
        front = self.frontend
        if not self.training or self.pooling is None or front is None:
            return 1
        return 2 if front.summary_size and front.summary_alone else 1

    def attention(self, x: Tensor, lengths: Lengths = None) -> Tensor:
        """Compute how much attention the pooling gives to each time step.

        Parameters
        ----------
        x : Tensor of shape (batch, time, features)
            The sequences; the padding may hold anything, NaN included.

        lengths : Tensor, ndarray, sequence of int or None, default=None
            Number of valid leading steps per sequence, in `[0, time]`. None: all are valid.

        Returns
        -------
        Tensor of shape (batch, attention_heads, time)
            Not negative, summing to 1 over the valid steps of a sequence; 0 at padding. Steps that
            a front end makes one of share its weight equally.

        Raises
        ------
        ValueError
            If "attention" is not among the poolings, or the arguments do not fit.
        """
        if self.pooling is None:
            raise ValueError("there is no pooling, and no weights without pooling 'attention'.")
        valid = ValidSteps.of(lengths, x)
        steps, shorter, _ = self._read(self._features(x, valid)[0], valid)
        weights = self.pooling.weights(self.encoder(steps, shorter), shorter)
        weights = weights.unsqueeze(1) if weights.ndim == 2 else weights
        stride = 1 if self.frontend is None else self.frontend.stride
        return weights if stride == 1 else _spread(weights, stride, valid)

    def advance(
        self, x: Tensor, state: EncoderState | None = None, lengths: Lengths = None
    ) -> tuple[Tensor, EncoderState | None]:
        """Go on reading sequences from the state after their earlier steps, up to the encoder.

        Parameters
        ----------
        x : Tensor of shape (batch, time, features)
            The next steps of the sequences; the padding may hold anything, NaN included.

        state : tuple or None, default=None
            The state, as returned for the steps before; None starts anew.

        lengths : Tensor, ndarray, sequence of int or None, default=None
            Number of valid leading steps per sequence in this chunk, in `[0, time]`. None: all are
            valid.

        Returns
        -------
        output : Tensor of shape (batch, time, size)
            The output of the encoder, for :meth:`readout`; 0 at padding.

        state : tuple or None
            The state after the chunk: that of the irregular input, if there is one, and those of
            the encoder.

        Raises
        ------
        ValueError
            If the encoder cannot go on from a state, see :meth:`RecurrentEncoder.advance`, if there
            is a front end, or the arguments do not fit.

        Examples
        --------
        >>> import torch
        >>> from skrnn.nn import SequenceNetwork
        >>> spec = {"n_features": 3, "hidden_size": 8, "head": "categorical", "n_outputs": 2}
        >>> network, x = SequenceNetwork.build(spec), torch.ones(4, 5, 3)
        >>> first, state = network.advance(x[:, :3])
        >>> second, state = network.advance(x[:, 3:], state)
        >>> raw = network.readout(torch.cat([first, second], dim=1))
        >>> torch.allclose(raw, network(x), atol=1e-6)
        True
        """
        advance: Any = getattr(self.encoder, "advance", None)
        if advance is None:
            raise ValueError(
                f"a {type(self.encoder).__name__} cannot go on from a state; use an encoder with a "
                f"method advance, as RecurrentEncoder."
            )
        if self.frontend is not None:
            raise ValueError(
                f"a network with frontend={type(self.frontend).__name__} cannot read sequences by "
                "chunks, because the front end reads across their ends; leave frontend=None."
            )
        valid = ValidSteps.of(lengths, x)
        before = None
        if self.irregular is not None and state is not None:
            before, state = state[0], state[1:]
        features, after = self._features(x, valid, before)
        output, state = advance(features, state, valid)
        if after is not None and state is not None:
            state = (after, *state)
        return output, state

    def readout(self, output: Tensor, lengths: Lengths = None) -> Tensor:
        """Compute the raw values of the head from the output of the encoder.

        Parameters
        ----------
        output : Tensor of shape (batch, time, size)
            One vector per time step, 0 at padding, as from :meth:`advance`.

        lengths : Tensor, ndarray, sequence of int or None, default=None
            Number of valid leading steps per sequence, in `[0, time]`. None: all are valid.

        Returns
        -------
        Tensor of shape (batch, raw_size) or (batch, time, raw_size)
            What `head.loss` and `head.predict` read; per time step without pooling.

        Raises
        ------
        ValueError
            If the lengths do not fit.
        """
        valid = ValidSteps.of(lengths, output)
        return self.head(self._drop(self._pool(output, valid)))

    def _features(
        self, x: Tensor, valid: ValidSteps, before: State | None = None
    ) -> tuple[Tensor, State | None]:
        """What the front end or the encoder reads, and the state of the irregular input."""
        numbers = self.embedding is None and self.irregular is None
        # Of plain numbers our own encoder clears the padding, and a front end gets it cleared.
        if not (numbers and isinstance(self.encoder, RecurrentEncoder)):
            x = valid.fill(x, 0.0)
        if self.scaler is not None:
            x = self.scaler(x)
        if self.irregular is None:
            x = x if self.embedding is None else self.embedding(x)
            return self.input_dropout(x) if self.input_dropout.p else x, None
        x, after = self.irregular(x, before)
        n_values = self.irregular.n_values
        # What was observed, and when, is not dropped.
        return torch.cat([self.input_dropout(x[:, :, :n_values]), x[:, :, n_values:]], 2), after

    def _read(self, x: Tensor, valid: ValidSteps) -> tuple[Tensor, ValidSteps, Tensor | None]:
        """Steps for the encoder, which of them are valid, and what goes past it to the head."""
        if self.frontend is None:
            return x, valid, None
        # The scaler moves the zeros of padding.
        made = self.frontend(valid.fill(x, 0.0), valid)
        steps, summary = made if isinstance(made, tuple) else (made, None)
        shorter = valid.shortened(self.frontend.stride)
        expected = (shorter.batch, shorter.time, self.frontend.output_size)
        if steps.shape != expected:
            raise ValueError(
                f"{type(self.frontend).__name__} made steps of shape {tuple(steps.shape)}, "
                f"expected {expected} with stride={self.frontend.stride}."
            )
        with_summary = self.pooling is not None and self.frontend.summary_size
        return steps, shorter, summary if with_summary else None

    def _pool(self, output: Tensor, valid: ValidSteps) -> Tensor:
        if self.pooling is None:
            return output
        return self.pooling(
            output, valid, padding_is_zero=isinstance(self.encoder, RecurrentEncoder)
        )

    def forward(self, x: Tensor, lengths: Lengths = None, weight: Tensor | None = None) -> Tensor:
        """Compute the raw values of the head.

        Parameters
        ----------
        x : Tensor of shape (batch, time, features)
            The sequences; the padding may hold anything, NaN included.

        lengths : Tensor, ndarray, sequence of int or None, default=None
            Number of valid leading steps per sequence, in `[0, time]`. None: all are valid.

        weight : Tensor of shape (batch,) or (batch, time), or None, default=None
            How much the sequences, or their steps, count in the statistics of a batch that a front
            end makes in training. None: equally.

        Returns
        -------
        Tensor of shape (batch, raw_size) or (batch, time, raw_size)
            What `head.loss` and `head.predict` read; per time step without pooling. In training
            there are `n_answers` times as many rows: all sequences, and all again.

        Raises
        ------
        ValueError
            If `x` has another number of features or dimensions, or the lengths do not fit it.
        """
        valid = ValidSteps.of(lengths, x)
        if weight is not None:
            valid = ValidSteps(valid.lengths, valid.batch, valid.time, weight)
        pooled, summary = self._encoded(x, valid)
        if summary is None:
            return self.head(self._drop(pooled))
        if self.n_answers == 1:
            return self.head(self._drop(torch.cat([pooled, summary], dim=1)))
        # Twice as much of one as if there were none of the other: the weights that answer best are
        # such that those of both together give the mean.
        alone = [2 * pooled, torch.zeros_like(summary)], [torch.zeros_like(pooled), 2 * summary]
        return self.head(self._drop(torch.cat([torch.cat(parts, dim=1) for parts in alone])))

    def _drop(self, x: Tensor) -> Tensor:
        # What a module costs that does nothing, small networks feel in every step.
        return self.dropout(x) if self.dropout.p else x


def _spread(weights: Tensor, stride: int, valid: ValidSteps) -> Tensor:
    """Share weights (batch, heads, time / stride) among the valid steps (batch, time)."""
    mask = weights.new_ones(valid.batch, valid.time)
    mask = valid.fill(mask, 0.0)
    whole = functional.pad(mask, (0, -valid.time % stride)).unflatten(1, (-1, stride))
    share = whole / whole.sum(dim=2, keepdim=True).clamp(min=1)
    return (weights.unsqueeze(3) * share.unsqueeze(1)).flatten(2)[:, :, : valid.time]
