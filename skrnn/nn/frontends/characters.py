"""Characters: what a word is spelt like becomes a vector beside that of its id."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from skrnn.nn.encoder import RecurrentEncoder
from skrnn.nn.frontends.embedding import TokenEmbedding, check_ids
from skrnn.nn.lengths import ValidSteps
from skrnn.nn.pooling import Pooling
from skrnn.nn.randomness import Dropout

__all__ = ["CHARACTER_ENCODERS", "CharacterEncoder", "WordCharacterEmbedding"]

#: What can read the characters of a word.
CHARACTER_ENCODERS = ("conv", "gru", "lstm")


class CharacterEncoder(nn.Module):
    """One vector for every word, from the ids of its characters.

    Parameters
    ----------
    vocabulary_size : int
        Number of ids, the two reserved ones included: 0 is padding and 1 an unknown character.
        Values in `[2, inf)`.

    size : int, default=50
        Number of features of a character, and of what each part of the encoder makes of a word.
        Values in `[1, inf)`.

    encoder : {"lstm", "gru", "conv"}, default="lstm"
        What reads the characters: a recurrent layer from both ends, whose two last states are
        concatenated [1]_, or convolutions over neighbours with the maximum over the word [2]_.

    kernel_sizes : sequence of int, default=(3,)
        Number of characters that a convolution sees at a time, one convolution for each. Values in
        `[1, inf)`. Only used by "conv".

    dropout : float, default=0.0
        Probability of dropping a feature of a character. Values in `[0, 1]`.

    Attributes
    ----------
    output_size : int
        `size` for each direction or convolution.

    See Also
    --------
    WordCharacterEmbedding : Puts the vector beside that of the word's id.

    Notes
    -----
    Ids of 0 after the last character are padding and change nothing; a word without characters
    gets the vector 0. On the CPU a word that occurs several times in a call is read once, so all
    its places share what dropout leaves.

    References
    ----------
    .. [1] G. Lample, M. Ballesteros, S. Subramanian, K. Kawakami, C. Dyer, "Neural Architectures
       for Named Entity Recognition", NAACL 2016. arxiv.org/abs/1603.01360
    .. [2] X. Ma, E. Hovy, "End-to-end Sequence Labeling via Bi-directional LSTM-CNNs-CRF",
       ACL 2016. arxiv.org/abs/1603.01354

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import CharacterEncoder
    >>> encoder = CharacterEncoder(vocabulary_size=30, size=8)
    >>> words = torch.tensor([[5, 9, 4, 0, 0], [7, 0, 0, 0, 0]])
    >>> encoder(words).shape
    torch.Size([2, 16])
    >>> torch.allclose(encoder(words[:, :3]), encoder(words), atol=1e-6)
    True
    """

    def __init__(
        self,
        vocabulary_size: int,
        size: int = 50,
        encoder: str = "lstm",
        kernel_sizes: Sequence[int] = (3,),
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if encoder not in CHARACTER_ENCODERS:
            names = ", ".join(map(repr, CHARACTER_ENCODERS))
            raise ValueError(f"encoder must be one of {names}, got {encoder!r}.")
        if size < 1:
            raise ValueError(f"size must be at least 1, got {size}.")
        _check_characters(vocabulary_size)
        self.vocabulary_size = vocabulary_size
        self.embedding = nn.Embedding(vocabulary_size, size, padding_idx=0)
        self.dropout = Dropout(dropout)
        self.convolutions, self.recurrent = nn.ModuleList(), None
        self.kernel_sizes = tuple(kernel_sizes)
        if encoder == "conv":
            if not kernel_sizes or min(kernel_sizes) < 1:
                raise ValueError(f"kernel_sizes={kernel_sizes!r} must hold integers from 1 on.")
            self.convolutions.extend(nn.Conv1d(size, size, kernel) for kernel in kernel_sizes)
            self.output_size = size * len(kernel_sizes)
        else:
            self.recurrent = RecurrentEncoder(size, size, cell=encoder, bidirectional=True)
            self.output_size = self.recurrent.output_size
        self.pooling = Pooling(
            self.output_size, "max" if encoder == "conv" else "last", 1 if encoder == "conv" else 2
        )

    def forward(self, ids: Tensor) -> Tensor:
        """Encode words.

        Parameters
        ----------
        ids : Tensor of shape (..., n_characters)
            Whole numbers of any numeric type in `[0, vocabulary_size)`, 0 from the end of a word
            on.

        Returns
        -------
        Tensor of shape (..., output_size)
            One vector per word.

        Raises
        ------
        ValueError
            If an id on the CPU is not whole or out of range.
        """
        on_cpu = ids.device.type == "cpu" and not torch.compiler.is_compiling()
        if on_cpu and ids.numel():
            check_ids(ids, self.vocabulary_size, "character")
        words = ids.flatten(0, -2).to(torch.int64)
        if 0 in words.shape:
            return self.embedding.weight.new_zeros(*ids.shape[:-1], self.output_size)
        if not on_cpu:
            return self._read(words, _lengths(words)).unflatten(0, ids.shape[:-1])
        # Many words of a batch occur several times in it, and one of them is the padding.
        words, places = words.unique(dim=0, return_inverse=True)
        lengths = _lengths(words)
        # Convolutions want a character.
        vectors = self._read(words[:, : max(int(lengths.max()), 1)], lengths)
        return functional.embedding(places, vectors).unflatten(0, ids.shape[:-1])

    def _read(self, words: Tensor, lengths: Tensor) -> Tensor:
        """Vectors of words (n_words, n_characters)."""
        x = self.dropout(self.embedding(words))
        valid = ValidSteps.of(lengths, x)
        if self.recurrent is not None:
            return self.pooling(self.recurrent(x, valid), valid, padding_is_zero=True)
        # The vector of padding is 0, and so is what lies beyond both ends.
        x = x.transpose(1, 2)
        maps = []
        for kernel_size, convolution in zip(self.kernel_sizes, self.convolutions, strict=True):
            width = kernel_size - 1
            maps.append(convolution(functional.pad(x, (width // 2, width - width // 2))))
        return torch.relu(self.pooling(torch.cat(maps, dim=1).transpose(1, 2), valid))


class WordCharacterEmbedding(nn.Module):
    """Vectors of words from their ids, beside vectors from the ids of their characters.

    Parameters
    ----------
    words : TokenEmbedding
        Makes a vector of the id of a word.

    characters : CharacterEncoder
        Makes a vector of the ids of its characters.

    Attributes
    ----------
    output_size : int
        The sum of both.

    Examples
    --------
    A word with the id 7 and three characters, and padding:

    >>> import torch
    >>> from skrnn.nn import CharacterEncoder, TokenEmbedding, WordCharacterEmbedding
    >>> embedding = WordCharacterEmbedding(TokenEmbedding(9, 5), CharacterEncoder(30, 4))
    >>> embedding(torch.tensor([[[7, 3, 12, 4, 0], [0, 0, 0, 0, 0]]])).shape
    torch.Size([1, 2, 13])
    """

    def __init__(self, words: TokenEmbedding, characters: CharacterEncoder) -> None:
        super().__init__()
        self.words = words
        self.characters = characters
        self.output_size = words.output_size + characters.output_size

    def forward(self, ids: Tensor) -> Tensor:
        """Embed a padded batch of words.

        Parameters
        ----------
        ids : Tensor of shape (batch, time, 1 + n_characters)
            For every step the id of a word, then those of its characters.

        Returns
        -------
        Tensor of shape (batch, time, output_size)
            One vector per time step: of the word, then of its characters.

        Raises
        ------
        ValueError
            If the shape does not fit, or an id on the CPU is not whole or out of range.
        """
        if ids.ndim != 3 or ids.shape[2] < 2:
            raise ValueError(
                "words with characters must have the shape (batch, time, 1 + n_characters), got "
                f"{tuple(ids.shape)}."
            )
        return torch.cat([self.words(ids[:, :, 0]), self.characters(ids[:, :, 1:])], dim=2)

    def set_vectors(self, vectors: Tensor) -> None:
        """Start the words from given vectors.

        Parameters
        ----------
        vectors : Tensor of shape (vocabulary_size, embedding_dim)
            As of :meth:`TokenEmbedding.set_vectors`.

        Raises
        ------
        ValueError
            If the shape does not fit.
        """
        self.words.set_vectors(vectors)


def _lengths(words: Tensor) -> Tensor:
    """Number of characters of words (n_words, n_characters): up to the last that is no padding."""
    position = torch.arange(1, words.shape[1] + 1, device=words.device)
    return ((words != 0) * position).amax(dim=1)


def _check_characters(vocabulary_size: int) -> None:
    if vocabulary_size < 2:
        raise ValueError(
            f"vocabulary_size must be at least 2, got {vocabulary_size}: id 0 is padding and id 1 "
            "an unknown character."
        )
