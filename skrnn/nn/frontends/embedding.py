"""Token embedding: every id becomes a learned vector."""

import torch
from torch import Tensor, nn

from skrnn.nn.dropped import check_share
from skrnn.nn.randomness import Dropout, dropout_mask

__all__ = ["TokenEmbedding"]

# Standard deviation of vectors before training. One of 1, torch's own, is noise that takes epochs
# to unlearn: on held-out parts of reviews and of tagged sentences it costs several points.
START_SCALE = 0.1


class TokenEmbedding(nn.Module):
    """Look up a learned vector for every token id.

    Parameters
    ----------
    vocabulary_size : int
        Number of ids, the two reserved ones included: 0 is padding and 1 an unknown token.
        Values in `[2, inf)`.

    embedding_dim : int
        Number of features of a vector. Values in `[1, inf)`.

    dropout : float, default=0.0
        Probability of dropping a feature of a vector. Values in `[0, 1]`.

    token_dropout : float, default=0.0
        Probability of dropping the whole vector of an id, drawn once for every id of the
        vocabulary and call: at all its places in a batch, or at none [1]_. Values in `[0, 1)`.

    word_dropout : float, default=0.0
        Probability of reading a token as unknown, drawn for each of its places [2]_, in training:
        without it the vector of id 1 learns nothing from data that hold no unknown token. Values
        in `[0, 1)`.

    Attributes
    ----------
    output_size : int
        `embedding_dim`.

    Notes
    -----
    The vector of id 0 is zero and gets no gradient. The others start from a normal distribution
    with a standard deviation of 0.1: what is learned of a rare word soon outweighs it.

    References
    ----------
    .. [1] Y. Gal, Z. Ghahramani, "A Theoretically Grounded Application of Dropout in Recurrent
       Neural Networks", NIPS 2016. arxiv.org/abs/1512.05287
    .. [2] M. Iyyer, V. Manjunatha, J. Boyd-Graber, H. Daume III, "Deep Unordered Composition
       Rivals Syntactic Methods for Text Classification", ACL 2015. aclanthology.org/P15-1162

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import TokenEmbedding
    >>> embedding = TokenEmbedding(vocabulary_size=5, embedding_dim=3)
    >>> embedding(torch.tensor([[4, 1, 0]])).shape
    torch.Size([1, 3, 3])
    """

    def __init__(
        self,
        vocabulary_size: int,
        embedding_dim: int,
        dropout: float = 0.0,
        token_dropout: float = 0.0,
        word_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.token_dropout = check_share("token_dropout", token_dropout)
        self.word_dropout = check_share("word_dropout", word_dropout)
        if vocabulary_size < 2:
            raise ValueError(
                f"vocabulary_size must be at least 2, got {vocabulary_size}: id 0 is padding and "
                f"id 1 an unknown token."
            )
        if embedding_dim < 1:
            raise ValueError(f"embedding_dim must be at least 1, got {embedding_dim}.")
        self.embedding = nn.Embedding(vocabulary_size, embedding_dim, padding_idx=0)
        with torch.no_grad():
            self.embedding.weight.mul_(START_SCALE)
        self.dropout = Dropout(dropout)
        self.vocabulary_size = vocabulary_size
        self.output_size = embedding_dim

    def forward(self, ids: Tensor) -> Tensor:
        """Embed a padded batch of ids.

        Parameters
        ----------
        ids : Tensor of shape (batch, time) or (batch, time, 1)
            Whole numbers of any numeric type in `[0, vocabulary_size)`.

        Returns
        -------
        Tensor of shape (batch, time, embedding_dim)
            One vector per time step.

        Raises
        ------
        ValueError
            If the shape does not fit, or an id on the CPU is not whole or out of range. Ids on an
            accelerator are not looked at, because the host would have to wait for it.
        """
        if ids.ndim == 3 and ids.shape[2] == 1:
            ids = ids.squeeze(2)
        if ids.ndim != 2:
            raise ValueError(
                f"token ids must have the shape (batch, time) or (batch, time, 1), "
                f"got {tuple(ids.shape)}."
            )
        if ids.device.type == "cpu" and ids.numel() and not torch.compiler.is_compiling():
            check_ids(ids, self.vocabulary_size, "token")
        ids = ids.to(torch.int64)
        if self.training and self.word_dropout:
            dropped = dropout_mask(ids.shape, self.word_dropout, self.embedding.weight) == 0
            ids = ids.masked_fill(dropped & (ids != 0), 1)
        vectors = self.embedding(ids)
        if self.training and self.token_dropout:
            size = self.vocabulary_size, 1
            vectors = vectors * dropout_mask(size, self.token_dropout, vectors)[ids]
        return self.dropout(vectors)

    def set_vectors(self, vectors: Tensor) -> None:
        """Start from given vectors, which are copied; that of id 0 stays zero.

        Parameters
        ----------
        vectors : Tensor of shape (vocabulary_size, embedding_dim)
            One row per id.

        Raises
        ------
        ValueError
            If the shape does not fit.

        Examples
        --------
        >>> import torch
        >>> from skrnn.nn import TokenEmbedding
        >>> embedding = TokenEmbedding(vocabulary_size=3, embedding_dim=2)
        >>> embedding.set_vectors(torch.tensor([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]]))
        >>> embedding(torch.tensor([[2, 0]])).tolist()
        [[[3.0, 4.0], [0.0, 0.0]]]
        """
        weight = self.embedding.weight
        if vectors.shape != weight.shape:
            raise ValueError(
                f"vectors have the shape {tuple(vectors.shape)}, expected {tuple(weight.shape)}: "
                "one row per token id."
            )
        with torch.no_grad():
            weight.copy_(vectors)
            weight[0] = 0.0


def check_ids(ids: Tensor, vocabulary_size: int, what: str) -> None:
    """Check ids on the CPU.

    Parameters
    ----------
    ids : Tensor
        Not empty.

    vocabulary_size : int
        Number of ids there are.

    what : str
        What they are ids of, for messages.

    Raises
    ------
    ValueError
        If an id is not whole or out of range.
    """
    if ids.is_floating_point():
        wrong = ids != ids.round()
        if bool(wrong.any()):
            raise ValueError(
                f"{what} id {ids[wrong][0].item()} is not a whole number; encode the {what}s as "
                f"ids from 0 to {vocabulary_size - 1}."
            )
    lowest, highest = (value.item() for value in ids.aminmax())
    if lowest < 0 or highest >= vocabulary_size:
        wrong_id = lowest if lowest < 0 else highest
        raise ValueError(
            f"{what} id {wrong_id:.0f} is outside the vocabulary of {vocabulary_size}; use 1 for "
            f"{what}s that were not seen before."
        )
