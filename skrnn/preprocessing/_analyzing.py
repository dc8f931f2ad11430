"""Analyzing: documents of any collection become lists of tokens, as CountVectorizer's do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

from sklearn.feature_extraction.text import CountVectorizer


def build_analyzer(parameters: Any) -> Callable[[Any], Iterable[Hashable]]:
    """Make the function from a document to its tokens.

    Parameters
    ----------
    parameters : SequenceTokenizer
        Says how.

    Returns
    -------
    analyze : callable
        Gets a document.

    Raises
    ------
    ValueError
        If `ngram_range` is no range.
    """
    if parameters.analyzer == "tokens":
        return list
    if callable(parameters.analyzer):
        return parameters.analyzer
    smallest, largest = parameters.ngram_range
    if not 1 <= smallest <= largest:
        raise ValueError(
            f"ngram_range={parameters.ngram_range!r} must be (smallest, largest) with "
            "1 <= smallest <= largest."
        )
    return CountVectorizer(
        analyzer=parameters.analyzer,
        ngram_range=parameters.ngram_range,
        lowercase=parameters.lowercase == "auto" or parameters.lowercase,
        token_pattern=parameters.token_pattern,
        tokenizer=parameters.tokenizer,
        preprocessor=parameters.preprocessor,
        strip_accents=parameters.strip_accents,
        stop_words=parameters.stop_words,
    ).build_analyzer()


def preprocessed(documents: list[list[Hashable]], parameters: Any) -> list[list[Hashable]]:
    """Tokens as the vocabulary holds them; only lists of tokens have not been preprocessed yet.

    Parameters
    ----------
    documents : list of lists of tokens
        What the analyzer made.

    parameters : SequenceTokenizer
        Says how.

    Returns
    -------
    documents : list of lists of tokens
        As many of them.
    """
    own, accents = parameters.preprocessor, parameters.strip_accents
    lowercase = parameters.lowercase != "auto" and parameters.lowercase
    if parameters.analyzer != "tokens" or (own is None and accents is None and not lowercase):
        return documents
    change = CountVectorizer(
        lowercase=lowercase, preprocessor=own, strip_accents=accents
    ).build_preprocessor()
    all_kinds = own is not None
    return [
        [change(token) if all_kinds or isinstance(token, str) else token for token in tokens]
        for tokens in documents
    ]


def ordered(
    vocabulary: Iterable[Hashable] | Mapping[Hashable, int], first_id: int
) -> list[Hashable]:
    """Tokens of a given vocabulary in the order of their ids.

    Parameters
    ----------
    vocabulary : list of tokens or mapping of token to int
        What is known.

    first_id : int
        Smallest id.

    Returns
    -------
    tokens : list
        Those of the ids from `first_id` on.

    Raises
    ------
    ValueError
        If it is empty, holds a token twice or has other ids.
    """
    tokens = list(vocabulary)
    if isinstance(vocabulary, Mapping):
        tokens.sort(key=lambda token: vocabulary[token])
        ids = [vocabulary[token] for token in tokens]
        if ids != list(range(first_id, first_id + len(ids))):
            raise ValueError(
                f"vocabulary gives {len(ids)} tokens ids from {min(ids, default=0)} to "
                f"{max(ids, default=0)}; ids are 2, 3, 4 and so on, because 0 is padding and 1 "
                "unknown. A list of tokens gets them."
            )
    twice = [token for token, count in Counter(tokens).items() if count > 1]
    if twice or not tokens:
        what = f"holds {twice[0]!r} more than once" if twice else "is empty"
        raise ValueError(f"vocabulary {what}; give every known token once.")
    return tokens


def read_documents(X: Any, analyzer: Any) -> list[Any]:
    """List the documents of any collection, each checked to be what `analyzer` reads.

    Parameters
    ----------
    X : iterable of documents
        The collection.

    analyzer : str or callable
        The parameter of the tokenizer.

    Returns
    -------
    documents : list
        At least one.

    Raises
    ------
    TypeError
        If X is a frame, or a document is of another kind.

    ValueError
        If X is a single text, empty or no list.
    """
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
