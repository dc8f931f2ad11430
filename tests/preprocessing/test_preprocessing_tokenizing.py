"""SequenceTokenizer: CountVectorizer's tokens in order, and no id out of range, ever."""

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import BaseEstimator, clone
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.utils.estimator_checks import check_estimator

from skrnn._validation import validate_sequences
from skrnn.preprocessing import SequenceTokenizer

TEXTS = ["The cat sat on the mat.", "the DOG sat", "a caf\u00e9, the dog and the cat"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lowercase": False},
        {"analyzer": "char"},
        {"analyzer": "char_wb", "ngram_range": (2, 3)},
        {"ngram_range": (1, 2)},
        {"token_pattern": r"(?u)\b\w+\b"},
        {"strip_accents": "unicode"},
        {"stop_words": ["the", "on"]},
        {"stop_words": "english"},
        {"tokenizer": str.split, "preprocessor": str.upper},
        {"min_df": 2},
    ],
    ids=str,
)
def test_tokens_are_those_of_count_vectorizer(options: dict) -> None:
    # CountVectorizer warns when a tokenizer makes its pattern unused.
    extra = {"token_pattern": None} if "tokenizer" in options else {}
    counter = CountVectorizer(**options, **extra)
    counts = counter.fit_transform(TEXTS).toarray()
    tokenizer = SequenceTokenizer(**options).fit(TEXTS)
    assert set(tokenizer.vocabulary_) == set(counter.vocabulary_)
    for row, ids in zip(counts, tokenizer.transform(TEXTS), strict=True):
        for token, i in tokenizer.vocabulary_.items():
            assert (ids == i).sum() == row[counter.vocabulary_[token]]
    if "min_df" not in options:
        expected = [list(counter.build_analyzer()(text)) for text in TEXTS]
        assert tokenizer.inverse_transform(tokenizer.transform(TEXTS)) == expected


def test_ids_are_int64_from_two_in_order_of_frequency() -> None:
    tokenizer = SequenceTokenizer(token_pattern=r"\w+").fit(["b b a", "c a b"])
    assert tokenizer.vocabulary_ == {"b": 2, "a": 3, "c": 4}
    assert tokenizer.vocabulary_size_ == 5
    ids = tokenizer.transform(["c b"])
    assert isinstance(ids, list)
    assert ids[0].dtype == np.int64
    np.testing.assert_array_equal(ids[0], [4, 2])


def test_order_of_documents_does_not_matter() -> None:
    assert (
        SequenceTokenizer().fit(TEXTS).vocabulary_
        == SequenceTokenizer().fit(TEXTS[::-1]).vocabulary_
    )


def test_max_features_keeps_the_most_frequent() -> None:
    tokenizer = SequenceTokenizer(max_features=2).fit(TEXTS)
    assert tokenizer.vocabulary_ == {"the": 2, "cat": 3}
    assert tokenizer.vocabulary_size_ == 4


@pytest.mark.parametrize("min_df", [2, 0.6])
def test_min_df_counts_documents(min_df: float) -> None:
    tokenizer = SequenceTokenizer(min_df=min_df).fit(["xx xx xx yy", "yy", "zz"])
    assert set(tokenizer.vocabulary_) == {"yy"}


@pytest.mark.parametrize(("truncating", "kept"), [("post", ["aa", "bb"]), ("pre", ["bb", "cc"])])
def test_vocabulary_is_counted_on_what_truncation_leaves(truncating: str, kept: list[str]) -> None:
    tokenizer = SequenceTokenizer(max_length=2, truncating=truncating).fit(["aa bb cc"])
    assert set(tokenizer.vocabulary_) == set(kept)
    seen = {int(i) for ids in tokenizer.transform(["aa bb cc"]) for i in ids}
    assert seen == set(range(2, tokenizer.vocabulary_size_))


def test_f024_unseen_words_map_to_the_unknown_id_and_wrong_ids_are_refused() -> None:
    tokenizer = SequenceTokenizer().fit(["good film", "bad film"])
    np.testing.assert_array_equal(tokenizer.transform(["good unseen film"])[0], [4, 1, 2])
    for wrong in (7, -1, 2.5):
        with pytest.raises(ValueError, match=f"token id {wrong} is outside the vocabulary of 5"):
            tokenizer.inverse_transform([[2, wrong]])


@pytest.mark.parametrize("text", ["", "   ", "!?", "the", "unseen words only"])
def test_f025_a_text_without_known_words_is_one_unknown_token(text: str) -> None:
    tokenizer = SequenceTokenizer(stop_words=["the"]).fit(["good film", "bad film"])
    np.testing.assert_array_equal(tokenizer.transform([text])[0], [1])


def test_f026_unknown_words_can_warn_once_or_be_errors() -> None:
    train, test = ["good film", "bad film"], ["good book", "bad book film play"]
    quiet = SequenceTokenizer().fit(train)
    loud = SequenceTokenizer(handle_unknown="warn").fit(train)
    strict = SequenceTokenizer(handle_unknown="error").fit(train)
    with pytest.warns(UserWarning, match="3 of 6 tokens are not in the vocabulary") as caught:
        warned = loud.transform(test)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        silent = quiet.transform(test)
        loud.transform(train)
        loud.transform([""])
        strict.transform(["good film", ""])
    for a, b in zip(warned, silent, strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="sample 0: token 'book' is not in the vocabulary of 5"):
        strict.transform(test)


@pytest.mark.parametrize(
    "container",
    [list, tuple, np.array, pd.Series, pl.Series, pa.array, iter],
    ids=lambda c: c.__name__,
)
def test_f028_every_collection_of_texts_means_the_same(container: type) -> None:
    expected = SequenceTokenizer().fit(TEXTS).transform(TEXTS)
    tokenizer = SequenceTokenizer().fit(container(TEXTS))
    for got, ids in zip(tokenizer.transform(container(TEXTS)), expected, strict=True):
        np.testing.assert_array_equal(got, ids)


def test_documents_may_be_lists_of_any_hashable_tokens() -> None:
    documents = [["A", 3, ("x", 1)], [3, "A"], []]
    tokenizer = SequenceTokenizer("tokens").fit(documents)
    assert set(tokenizer.vocabulary_) == {"A", 3, ("x", 1)}
    assert tokenizer.inverse_transform(tokenizer.transform(documents[:2])) == documents[:2]
    np.testing.assert_array_equal(tokenizer.transform(documents)[2], [1])
    reads_pairs = SequenceTokenizer(lambda pair: [pair["left"], pair["right"]])
    assert set(reads_pairs.fit([{"left": "p", "right": "q"}]).vocabulary_) == {"p", "q"}


def test_inverse_transform_drops_padding_of_any_kind() -> None:
    tokenizer = SequenceTokenizer().fit(["good film", "bad film"])
    box = np.array([[[2.0], [1.0], [np.nan]], [[3.0], [0.0], [0.0]]])
    assert tokenizer.inverse_transform(box) == [["film", "<unknown>"], ["bad"]]


@pytest.mark.parametrize(
    ("documents", "options", "error", "message"),
    [
        ("one text", {}, ValueError, "single text"),
        ([], {}, ValueError, r"0 sample\(s\)"),
        (["", "!"], {}, ValueError, "empty vocabulary"),
        (["good", None], {}, TypeError, "document 1 is of type NoneType, expected text"),
        (["good", float("nan")], {}, TypeError, "document 1 is of type float, expected text"),
        ([["good"]], {}, TypeError, "need analyzer='tokens'"),
        (["good"], {"analyzer": "tokens"}, TypeError, "document 0 is of type str, expected a list"),
        (pd.DataFrame({"text": ["good"]}), {}, TypeError, "pass its text column"),
        (np.array([["good"]]), {}, ValueError, "2 dimensions"),
        (["good"], {"ngram_range": (2, 1)}, ValueError, "smallest <= largest"),
        (["good"], {"max_length": 0}, ValueError, "'max_length' parameter"),
    ],
)
def test_errors(documents: object, options: dict, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        SequenceTokenizer(**options).fit(documents)


def test_an_estimator_reads_the_ids_as_sequences_of_one_feature() -> None:
    ids = SequenceTokenizer().fit_transform(TEXTS)
    read = validate_sequences(BaseEstimator(), ids, reset=True)
    assert read.n_features == 1
    np.testing.assert_array_equal(read.values[:, 0], np.concatenate(ids))


def test_contract() -> None:
    tokenizer = SequenceTokenizer(max_features=3, handle_unknown="warn")
    with pytest.warns(UserWarning, match=r"[Cc]an't test estimator"):
        results = check_estimator(tokenizer, on_fail=None, on_skip=None)
    assert {result["status"] for result in results} == {"passed"}
    tags = tokenizer.__sklearn_tags__().input_tags
    assert tags.string
    assert not tags.two_d_array
    fitted = clone(tokenizer).fit(TEXTS)
    assert pickle.loads(pickle.dumps(fitted)).vocabulary_ == fitted.vocabulary_
    assert not hasattr(tokenizer, "set_output")
