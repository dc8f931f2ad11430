"""Tokenizing: texts become sequences of token ids."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skrnn._persistence import FileMixin
from skrnn.preprocessing._analyzing import (
    build_analyzer,
    ordered,
    preprocessed,
    read_documents,
)
from skrnn.preprocessing._known_vectors import table_of_vectors
from skrnn.preprocessing._spelling import count_characters, spell

PADDING_ID = 0
UNKNOWN_ID = 1
_FIRST_TOKEN_ID = 2


class SequenceTokenizer(FileMixin, TransformerMixin, BaseEstimator):
    r"""Turn texts into sequences of token ids.

    Texts are cut into tokens exactly as scikit-learn's
    :class:`~sklearn.feature_extraction.text.CountVectorizer` does, whose parameters have the same
    names here; unlike there, the order of the tokens is kept. The result feeds an estimator with
    an embedding. Id 0 is left for padding and id 1 stands for every token not in the vocabulary.

    Parameters
    ----------
    analyzer : {"word", "char", "char_wb", "tokens"} or callable, default="word"
        What a token is: a word, a character, a character within a word, or, with "tokens", each
        item of documents that are lists of hashable tokens already. A callable gets one document
        and returns its tokens. A callable makes no use of the parameters from `ngram_range` to
        `stop_words`, and "tokens" only of `lowercase`, `preprocessor` and
        `strip_accents`.

    ngram_range : tuple of two ints, default=(1, 1)
        Smallest and largest number of words or characters in a token. Ranges of more than one
        size list all tokens of a size before those of the next.

    lowercase : bool or "auto", default="auto"
        Convert to lower case first. "auto" does so with texts and leaves tokens that are given as
        they are.

    token_pattern : str, default=r"(?u)\b\w\w+\b"
        Regular expression of a word. The default drops words of one character;
        ``r"(?u)\b\w+\b"`` keeps them.

    tokenizer : callable or None, default=None
        Replaces the regular expression: gets a text, returns its words.

    preprocessor : callable or None, default=None
        Replaces the conversion to lower case and the stripping of accents: gets and returns a
        text, or a token with ``analyzer="tokens"``.

    strip_accents : {"ascii", "unicode"}, callable or None, default=None
        How to remove accents.

    stop_words : "english", list of str or None, default=None
        Words to leave out.

    vocabulary : list of tokens, mapping of token to id or None, default=None
        Known tokens, which get the ids from 2 on in the order of the list; a mapping, such as the
        `vocabulary_` of another tokenizer, gives these ids. None learns them from the documents.
        Not with `max_features` and `min_df`.

    max_features : int or None, default=None
        Size of the vocabulary without the two special ids, in `[1, inf)`: the most frequent tokens
        stay. None keeps all.

    min_df : int or float, default=1
        Number (int, in `[1, inf)`) or share (float, in `[0, 1]`) of documents a token must occur in
        to enter the vocabulary.

    max_length : int or None, default=None
        Largest number of tokens of a sequence, in `[1, inf)`; longer ones are cut.

    truncating : {"post", "pre"}, default="post"
        Where a long sequence loses tokens: at its end or at its start.

    max_characters : int or None, default=None
        With a number, in `[1, inf)`, every token is followed by the ids of so many of its
        characters, for the `character_encoder` of an estimator. A longer token loses characters in
        its middle, a shorter one is filled up with 0. With ``analyzer="tokens"`` they are those of
        the token as it was given: ids of words may ignore the case that characters tell. Not with
        the analyzers of characters.

    handle_unknown : {"ignore", "warn", "error"}, default="ignore"
        What happens to a token that is not in the vocabulary: it becomes id 1 silently, the same
        with one warning per call that says how many there are, or an error that names the first.
        Tokens that `max_features` or `min_df` left out count as unknown, in training data too.

    Attributes
    ----------
    vocabulary_ : dict of hashable to int
        Id of each token, from 2 on; frequent tokens have small ids.

    vocabulary_size_ : int
        Number of ids including the two special ones: `vocabulary_size` for an estimator.

    characters_ : dict of str to int
        Id of each character, from 2 on. Only with `max_characters`.

    character_vocabulary_size_ : int
        Number of ids of characters including the two special ones: `character_vocabulary_size` for
        an estimator. Only with `max_characters`.

    See Also
    --------
    sklearn.feature_extraction.text.CountVectorizer : Counts of the same tokens, without order.
    SequencePadder : Stack the sequences in one array; ``value=0`` fills with the padding id.

    Notes
    -----
    The vocabulary is counted on what `max_length` leaves of the training documents. Hence every id
    below `vocabulary_size_`, save the special ones, occurs in the training sequences, and no id the
    next step has never heard of can reach it. The same holds for characters. A given `vocabulary`
    may hold tokens that do not occur: pass `vocabulary_size`, or vectors for all of them, on to the
    estimator.

    A document without a token becomes the single id 1: no sequence is ever empty. So does a text
    without a known token, unless its characters are given; a list of tokens keeps its length,
    because labels may belong to them.

    Examples
    --------
    >>> from skrnn.preprocessing import SequenceTokenizer
    >>> tokenizer = SequenceTokenizer().fit(["the cat sat", "the dog"])
    >>> tokenizer.vocabulary_
    {'the': 2, 'cat': 3, 'dog': 4, 'sat': 5}
    >>> tokenizer.transform(["the bird sat", ""])
    [array([2, 1, 5]), array([1])]
    >>> tokenizer.inverse_transform([[2, 1, 5, 0]])
    [['the', '<unknown>', 'sat']]

    Words for tagging, each with the ids of its characters:

    >>> words = SequenceTokenizer("tokens", lowercase=True, max_characters=4)
    >>> words.fit_transform([["The", "cat"], ["the", "dog"]])[0]
    array([[2, 5, 3, 2, 0],
           [3, 7, 6, 4, 0]])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "analyzer": [StrOptions({"word", "char", "char_wb", "tokens"}), callable],
        "ngram_range": [tuple],
        "lowercase": ["boolean", StrOptions({"auto"})],
        "token_pattern": [str],
        "tokenizer": [callable, None],
        "preprocessor": [callable, None],
        "strip_accents": [StrOptions({"ascii", "unicode"}), callable, None],
        "stop_words": [StrOptions({"english"}), list, None],
        "vocabulary": [list, tuple, Mapping, None],
        "max_features": [Interval(Integral, 1, None, closed="left"), None],
        "min_df": [
            Interval(Integral, 1, None, closed="left"),
            Interval(Real, 0, 1, closed="both"),
        ],
        "max_length": [Interval(Integral, 1, None, closed="left"), None],
        "truncating": [StrOptions({"post", "pre"})],
        "max_characters": [Interval(Integral, 1, None, closed="left"), None],
        "handle_unknown": [StrOptions({"ignore", "warn", "error"})],
    }

    def __init__(
        self,
        analyzer: str | Callable[[Any], Iterable[Hashable]] = "word",
        *,
        ngram_range: tuple[int, int] = (1, 1),
        lowercase: bool | str = "auto",
        token_pattern: str = r"(?u)\b\w\w+\b",
        tokenizer: Callable[[str], list[str]] | None = None,
        preprocessor: Callable[[str], str] | None = None,
        strip_accents: str | Callable[[str], str] | None = None,
        stop_words: str | list[str] | None = None,
        vocabulary: Iterable[Hashable] | Mapping[Hashable, int] | None = None,
        max_features: int | None = None,
        min_df: float = 1,
        max_length: int | None = None,
        truncating: str = "post",
        max_characters: int | None = None,
        handle_unknown: str = "ignore",
    ) -> None:
        self.analyzer = analyzer
        self.ngram_range = ngram_range
        self.lowercase = lowercase
        self.token_pattern = token_pattern
        self.tokenizer = tokenizer
        self.preprocessor = preprocessor
        self.strip_accents = strip_accents
        self.stop_words = stop_words
        self.vocabulary = vocabulary
        self.max_features = max_features
        self.min_df = min_df
        self.max_length = max_length
        self.truncating = truncating
        self.max_characters = max_characters
        self.handle_unknown = handle_unknown

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the vocabulary.

        Parameters
        ----------
        X : iterable of n_samples str
            Documents; lists of tokens with ``analyzer="tokens"``.

        y : None, default=None
            Ignored, here for consistency.

        Returns
        -------
        self : SequenceTokenizer
            The fitted transformer.

        Raises
        ------
        TypeError
            If X is a frame, or if a document is not of the kind `analyzer` reads.

        ValueError
            If X is a single text, is empty, or leaves the vocabulary empty.
        """
        self._check_combinations()
        documents = self._tokens(X)
        if self.vocabulary is None:
            kept = self._count(preprocessed(documents, self))
        else:
            kept = ordered(self.vocabulary, _FIRST_TOKEN_ID)
        self.vocabulary_ = {token: i for i, token in enumerate(kept, start=_FIRST_TOKEN_ID)}
        self.vocabulary_size_ = len(kept) + _FIRST_TOKEN_ID
        if self.max_characters is not None:
            self.characters_ = count_characters(documents, self.max_characters, _FIRST_TOKEN_ID)
            self.character_vocabulary_size_ = len(self.characters_) + _FIRST_TOKEN_ID
        return self

    def _check_combinations(self) -> None:
        if self.max_characters is not None and self.analyzer in ("char", "char_wb"):
            raise ValueError(
                f"analyzer={self.analyzer!r} makes tokens of characters, which have none of their "
                f"own, got max_characters={self.max_characters}; set max_characters=None."
            )
        if self.vocabulary is not None and (self.max_features is not None or self.min_df != 1):
            raise ValueError(
                "a given vocabulary is taken as it is, got "
                f"max_features={self.max_features} and min_df={self.min_df}; leave them at None "
                "and 1, or shorten the vocabulary."
            )

    def _count(self, documents: list[list[Hashable]]) -> list[Hashable]:
        """Tokens of the vocabulary, the most frequent first."""
        counts = Counter(token for tokens in documents for token in tokens)
        found_in = Counter(token for tokens in documents for token in set(tokens))
        enough = self.min_df
        if not isinstance(enough, Integral):
            enough = enough * len(documents)
        kept = [token for token in counts if found_in[token] >= enough]
        if not kept:
            raise ValueError(
                "empty vocabulary: the documents hold no tokens, only stop words, or none in "
                f"{self.min_df} documents; check min_df, stop_words and token_pattern."
            )
        # Equally frequent tokens are ordered by their text, not by the order of the documents.
        kept.sort(key=lambda token: (-counts[token], str(token)))
        return kept[: self.max_features]

    def transform(self, X: Any) -> list[NDArray[np.int64]]:
        """Turn documents into token ids.

        Parameters
        ----------
        X : iterable of n_samples str
            Documents; lists of tokens with ``analyzer="tokens"``.

        Returns
        -------
        ids : list of ndarray of shape (n_tokens_i,) or (n_tokens_i, 1 + max_characters)
            Ids of the tokens of each document, int64, at least one; with `max_characters` each
            followed by those of its characters.

        Raises
        ------
        ValueError
            If a token is unknown and ``handle_unknown="error"``.
        """
        check_is_fitted(self)
        documents = self._tokens(X)
        words = preprocessed(documents, self)
        ids = [
            np.array([self.vocabulary_.get(token, UNKNOWN_ID) for token in tokens], dtype=np.int64)
            for tokens in words
        ]
        if self.handle_unknown != "ignore":
            self._report_unknown(words, ids)
        alone = np.array([UNKNOWN_ID], dtype=np.int64)
        if self.max_characters is None:
            return [alone if self._says_nothing(found) else found for found in ids]
        spelt = spell(documents, self.characters_, self.max_characters, UNKNOWN_ID)
        nothing = np.zeros((1, self.max_characters), dtype=np.int64)
        return [
            np.hstack([alone[:, None], nothing])
            if self._says_nothing(found)
            else np.hstack([found[:, None], characters])
            for found, characters in zip(ids, spelt, strict=True)
        ]

    def _says_nothing(self, ids: NDArray[np.int64]) -> bool:
        """Whether a document becomes one unknown token; labels may belong to lists of tokens."""
        kept = self.analyzer == "tokens" or self.max_characters is not None
        return not len(ids) or not (kept or (ids != UNKNOWN_ID).any())

    def inverse_transform(self, X: Any) -> list[list[Hashable]]:
        """Turn token ids back into tokens.

        Parameters
        ----------
        X : iterable of n_samples arrays of ids
            Sequences of ids. Padding, which is id 0 or NaN, is dropped; so are ids of characters.

        Returns
        -------
        tokens : list of lists
            Tokens of each sequence; id 1 becomes "<unknown>".

        Raises
        ------
        ValueError
            If an id is not in the vocabulary.
        """
        check_is_fitted(self)
        token_of: dict[int, Hashable] = {i: token for token, i in self.vocabulary_.items()}
        token_of[UNKNOWN_ID] = "<unknown>"
        return [
            [token_of[i] for i in self._checked_ids(row, sample)] for sample, row in enumerate(X)
        ]

    def embedding_matrix(
        self, vectors: Any, *, missing: str = "mean", random_state: Any = None
    ) -> NDArray[np.floating]:
        """Collect vectors that were learned elsewhere, for the `embedding` of an estimator.

        Parameters
        ----------
        vectors : keyed vectors or mapping of word to vector
            An object with ``key_to_index`` and vectors by index with a word, as gensim's
            KeyedVectors; or a dict. A token that is not in it gets the vector of its lower-case
            form.

        missing : {"mean", "random"}, default="mean"
            What the other tokens get: the mean of the vectors that were found, or draws from a
            normal distribution with their mean and standard deviation, which tell them apart.

        random_state : int, RandomState instance or None, default=None
            Draws these vectors.

        Returns
        -------
        matrix : ndarray of shape (`vocabulary_size_`, dim)
            Row ``i`` is the vector of id ``i``: zero for padding, the mean for unknown tokens.
            float32, or the type of the vectors if that is wider.

        Raises
        ------
        ValueError
            If no token has a vector, or vectors differ in size or are not finite.

        Examples
        --------
        >>> from skrnn.preprocessing import SequenceTokenizer
        >>> tokenizer = SequenceTokenizer().fit(["the cat sat", "the dog"])
        >>> tokenizer.embedding_matrix({"the": [1.0, 0.0], "dog": [3.0, 4.0]})
        array([[0., 0.],
               [2., 2.],
               [1., 0.],
               [2., 2.],
               [3., 4.],
               [2., 2.]])
        """
        check_is_fitted(self)
        if missing not in ("mean", "random"):
            raise ValueError(f"missing must be 'mean' or 'random', got {missing!r}.")
        return table_of_vectors(self.vocabulary_, vectors, missing, random_state)

    def _checked_ids(self, row: Any, sample: int) -> list[int]:
        ids = np.asarray(row, dtype=np.float64)
        if self.max_characters is not None and ids.ndim == 2:
            ids = ids[:, 0]
        ids = ids.ravel()
        ids = ids[~np.isnan(ids) & (ids != PADDING_ID)]
        wrong = (ids < 0) | (ids >= self.vocabulary_size_) | (ids % 1 != 0)
        if wrong.any():
            raise ValueError(
                f"sample {sample}: token id {ids[wrong][0]:g} is outside the vocabulary of "
                f"{self.vocabulary_size_}."
            )
        return [int(i) for i in ids]

    def _tokens(self, X: Any) -> list[list[Hashable]]:
        """Tokens of each document, cut to `max_length`."""
        analyze = build_analyzer(self)
        documents = [list(analyze(document)) for document in read_documents(X, self.analyzer)]
        if self.max_length is None:
            return documents
        if self.truncating == "post":
            return [tokens[: self.max_length] for tokens in documents]
        return [tokens[-self.max_length :] for tokens in documents]

    def _report_unknown(
        self, documents: list[list[Hashable]], ids: list[NDArray[np.int64]]
    ) -> None:
        n_unknown = sum(int((found == UNKNOWN_ID).sum()) for found in ids)
        if n_unknown == 0:
            return
        if self.handle_unknown == "warn":
            warnings.warn(
                f"{n_unknown} of {sum(map(len, ids))} tokens are not in the vocabulary and became "
                f"the unknown id {UNKNOWN_ID}.",
                UserWarning,
                stacklevel=3,
            )
            return
        sample = next(i for i, found in enumerate(ids) if (found == UNKNOWN_ID).any())
        token = documents[sample][int(np.argmax(ids[sample] == UNKNOWN_ID))]
        raise ValueError(
            f"sample {sample}: token {token!r} is not in the vocabulary of "
            f"{self.vocabulary_size_}; set handle_unknown='ignore' to read it as unknown."
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags
