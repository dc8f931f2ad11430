"""Tokenizing: texts become sequences of token ids."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skrnn._persistence import FileMixin

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
        and returns its tokens. "tokens" and a callable make no use of the parameters from
        `ngram_range` to `stop_words`.

    ngram_range : tuple of two ints, default=(1, 1)
        Smallest and largest number of words or characters in a token. Ranges of more than one
        size list all tokens of a size before those of the next.

    lowercase : bool, default=True
        Convert to lower case first.

    token_pattern : str, default=r"(?u)\b\w\w+\b"
        Regular expression of a word. The default drops words of one character;
        ``r"(?u)\b\w+\b"`` keeps them.

    tokenizer : callable or None, default=None
        Replaces the regular expression: gets a text, returns its words.

    preprocessor : callable or None, default=None
        Replaces the conversion to lower case and the stripping of accents: gets and returns a
        text.

    strip_accents : {"ascii", "unicode"}, callable or None, default=None
        How to remove accents.

    stop_words : "english", list of str or None, default=None
        Words to leave out.

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

    See Also
    --------
    sklearn.feature_extraction.text.CountVectorizer : Counts of the same tokens, without order.
    SequencePadder : Stack the sequences in one array; ``value=0`` fills with the padding id.

    Notes
    -----
    The vocabulary is counted on what `max_length` leaves of the training documents. Hence every id
    below `vocabulary_size_`, save the special ones, occurs in the training sequences, and no id the
    next step has never heard of can reach it.

    A document without a token, or without a known one, becomes the single id 1: no sequence is
    ever empty.

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
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "analyzer": [StrOptions({"word", "char", "char_wb", "tokens"}), callable],
        "ngram_range": [tuple],
        "lowercase": ["boolean"],
        "token_pattern": [str],
        "tokenizer": [callable, None],
        "preprocessor": [callable, None],
        "strip_accents": [StrOptions({"ascii", "unicode"}), callable, None],
        "stop_words": [StrOptions({"english"}), list, None],
        "max_features": [Interval(Integral, 1, None, closed="left"), None],
        "min_df": [
            Interval(Integral, 1, None, closed="left"),
            Interval(Real, 0, 1, closed="both"),
        ],
        "max_length": [Interval(Integral, 1, None, closed="left"), None],
        "truncating": [StrOptions({"post", "pre"})],
        "handle_unknown": [StrOptions({"ignore", "warn", "error"})],
    }

    def __init__(
        self,
        analyzer: str | Callable[[Any], Iterable[Hashable]] = "word",
        *,
        ngram_range: tuple[int, int] = (1, 1),
        lowercase: bool = True,
        token_pattern: str = r"(?u)\b\w\w+\b",
        tokenizer: Callable[[str], list[str]] | None = None,
        preprocessor: Callable[[str], str] | None = None,
        strip_accents: str | Callable[[str], str] | None = None,
        stop_words: str | list[str] | None = None,
        max_features: int | None = None,
        min_df: float = 1,
        max_length: int | None = None,
        truncating: str = "post",
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
        self.max_features = max_features
        self.min_df = min_df
        self.max_length = max_length
        self.truncating = truncating
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
        documents = self._tokens(X)
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
        kept = kept[: self.max_features]
        self.vocabulary_ = {token: i for i, token in enumerate(kept, start=_FIRST_TOKEN_ID)}
        self.vocabulary_size_ = len(kept) + _FIRST_TOKEN_ID
        return self

    def transform(self, X: Any) -> list[NDArray[np.int64]]:
        """Turn documents into token ids.

        Parameters
        ----------
        X : iterable of n_samples str
            Documents; lists of tokens with ``analyzer="tokens"``.

        Returns
        -------
        ids : list of ndarray of shape (n_tokens_i,)
            Ids of the tokens of each document, int64, at least one.

        Raises
        ------
        ValueError
            If a token is unknown and ``handle_unknown="error"``.
        """
        check_is_fitted(self)
        documents = self._tokens(X)
        ids = [
            np.array([self.vocabulary_.get(token, UNKNOWN_ID) for token in tokens], dtype=np.int64)
            for tokens in documents
        ]
        if self.handle_unknown != "ignore":
            self._report_unknown(documents, ids)
        return [found if (found != UNKNOWN_ID).any() else _only_unknown() for found in ids]

    def inverse_transform(self, X: Any) -> list[list[Hashable]]:
        """Turn token ids back into tokens.

        Parameters
        ----------
        X : iterable of n_samples arrays of ids
            Sequences of ids. Padding, which is id 0 or NaN, is dropped.

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

    def _checked_ids(self, row: Any, sample: int) -> list[int]:
        ids = np.asarray(row, dtype=np.float64).ravel()
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
        analyze = self._build_analyzer()
        documents = [list(analyze(document)) for document in _documents(X, self.analyzer)]
        if self.max_length is None:
            return documents
        if self.truncating == "post":
            return [tokens[: self.max_length] for tokens in documents]
        return [tokens[-self.max_length :] for tokens in documents]

    def _build_analyzer(self) -> Callable[[Any], Iterable[Hashable]]:
        if self.analyzer == "tokens":
            return list
        if callable(self.analyzer):
            return self.analyzer
        smallest, largest = self.ngram_range
        if not 1 <= smallest <= largest:
            raise ValueError(
                f"ngram_range={self.ngram_range!r} must be (smallest, largest) with "
                "1 <= smallest <= largest."
            )
        return CountVectorizer(
            analyzer=self.analyzer,
            ngram_range=self.ngram_range,
            lowercase=self.lowercase,
            token_pattern=self.token_pattern,
            tokenizer=self.tokenizer,
            preprocessor=self.preprocessor,
            strip_accents=self.strip_accents,
            stop_words=self.stop_words,
        ).build_analyzer()

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


def _only_unknown() -> NDArray[np.int64]:
    return np.array([UNKNOWN_ID], dtype=np.int64)


def _documents(X: Any, analyzer: Any) -> list[Any]:
    """Documents of any collection, each checked to be what `analyzer` reads."""
    if isinstance(X, str | bytes):
        raise ValueError("Expected a collection of documents, got a single text; pass [text].")
    if hasattr(X, "columns"):
        raise TypeError("Expected a collection of documents, got a table; pass its text column.")
    if getattr(X, "ndim", 1) != 1:
        raise ValueError(
            f"Expected a one-dimensional collection of documents, got {X.ndim} dimensions."
        )
    documents = X.to_pylist() if hasattr(X, "to_pylist") else list(X)
    if not documents:
        raise ValueError("Found array with 0 sample(s) while a minimum of 1 is required.")
    for i, document in enumerate(documents):
        is_text = isinstance(document, str | bytes)
        if analyzer == "tokens" and (is_text or not isinstance(document, Iterable)):
            raise TypeError(
                f"document {i} is of type {type(document).__name__}, expected a list of tokens; "
                "text needs another analyzer."
            )
        if isinstance(analyzer, str) and analyzer != "tokens" and not is_text:
            raise TypeError(
                f"document {i} is of type {type(document).__name__}, expected text; lists of "
                "tokens need analyzer='tokens'."
            )
    return documents
