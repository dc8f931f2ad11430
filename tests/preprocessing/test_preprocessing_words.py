"""SequenceTokenizer for words: their characters, given vocabularies, vectors from elsewhere."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone

from skrnn.preprocessing import SequenceTokenizer

SENTENCES = [["The", "cats", "sat"], ["the", "dog"], ["A", "dog"]]


class Keyed:
    """Vectors by word, as gensim keeps them."""

    def __init__(self, vectors: dict[str, list[float]]) -> None:
        self.index_to_key = list(vectors)
        self.key_to_index = {word: i for i, word in enumerate(vectors)}
        self.vectors = np.array(list(vectors.values()), dtype=np.float32)

    def __getitem__(self, word: str) -> np.ndarray:
        return self.vectors[self.key_to_index[word]]


def test_lists_of_words_are_preprocessed_word_by_word() -> None:
    tokenizer = SequenceTokenizer("tokens", lowercase=True).fit(SENTENCES)
    assert set(tokenizer.vocabulary_) == {"the", "cats", "sat", "dog", "a"}
    np.testing.assert_array_equal(*tokenizer.transform([["THE", "dog"], ["the", "DOG"]]))
    accents = SequenceTokenizer("tokens", strip_accents="unicode").fit([["caf\u00e9", 3, "Cafe"]])
    assert set(accents.vocabulary_) == {"cafe", 3, "Cafe"}
    assert set(SequenceTokenizer("tokens").fit(SENTENCES).vocabulary_) >= {"The", "the"}
    ends = SequenceTokenizer("tokens", preprocessor=lambda word: word[-1]).fit(SENTENCES)
    assert set(ends.vocabulary_) == {"e", "s", "t", "g", "A"}
    both = SequenceTokenizer("tokens", lowercase=True, strip_accents="ascii").fit([["CAF\u00c9"]])
    assert set(both.vocabulary_) == {"cafe"}
    mixed = SequenceTokenizer("tokens", lowercase=True).fit([["Dog", 3, ("X", 1)]])
    assert set(mixed.vocabulary_) == {"dog", 3, ("X", 1)}


def test_a_list_of_words_keeps_its_length() -> None:
    tokenizer = SequenceTokenizer("tokens").fit(SENTENCES)
    np.testing.assert_array_equal(tokenizer.transform([["never", "seen"]])[0], [1, 1])
    np.testing.assert_array_equal(tokenizer.transform([[]])[0], [1])


def test_characters_follow_the_id_of_their_word() -> None:
    tokenizer = SequenceTokenizer("tokens", lowercase=True, max_characters=4)
    ids = tokenizer.fit_transform(SENTENCES)
    assert [x.shape for x in ids] == [(3, 5), (2, 5), (2, 5)]
    assert {x.dtype for x in ids} == {np.dtype(np.int64)}
    plain = SequenceTokenizer("tokens", lowercase=True).fit_transform(SENTENCES)
    name_of = {i: character for character, i in tokenizer.characters_.items()}
    for spelt, words, sentence in zip(ids, plain, SENTENCES, strict=True):
        np.testing.assert_array_equal(spelt[:, 0], words)
        read = ["".join(name_of[i] for i in row if i) for row in spelt[:, 1:]]
        # Ids of words ignore the case, characters tell it.
        assert read == sentence
        for row in spelt[:, 1:]:
            assert not row[(row != 0).sum() :].any()
    assert tokenizer.character_vocabulary_size_ == len(tokenizer.characters_) + 2
    assert sorted(tokenizer.characters_.values()) == list(range(2, 2 + len(name_of)))


@pytest.mark.parametrize(
    ("size", "kept"), [(1, "u"), (2, "us"), (3, "uns"), (4, "unds"), (9, None)]
)
def test_long_words_keep_both_ends(size: int, kept: str | None) -> None:
    tokenizer = SequenceTokenizer("tokens", max_characters=size).fit([["ungrounds"]])
    row = tokenizer.transform([["ungrounds"]])[0][0, 1:]
    name_of = {i: character for character, i in tokenizer.characters_.items()}
    assert "".join(name_of[i] for i in row) == (kept or "ungrounds")
    # No character has an id that the sequences do not hold.
    assert set(tokenizer.characters_) == set(kept or "ungrounds")


def test_unknown_characters_and_texts_without_tokens() -> None:
    tokenizer = SequenceTokenizer(max_characters=3).fit(["abc cab"])
    np.testing.assert_array_equal(tokenizer.transform(["axb"])[0], [[1, 2, 1, 3]])
    np.testing.assert_array_equal(tokenizer.transform(["!"])[0], [[1, 0, 0, 0]])
    assert tokenizer.inverse_transform(tokenizer.transform(["abc axb"])) == [["abc", "<unknown>"]]


@pytest.mark.parametrize("vocabulary", [["dog", "the"], ("dog", "the"), {"the": 3, "dog": 2}])
def test_a_given_vocabulary_is_taken_as_it_is(vocabulary: object) -> None:
    tokenizer = SequenceTokenizer("tokens", vocabulary=vocabulary).fit(SENTENCES)
    assert tokenizer.vocabulary_ == {"dog": 2, "the": 3}
    assert tokenizer.vocabulary_size_ == 4
    np.testing.assert_array_equal(tokenizer.transform([["the", "cat", "dog"]])[0], [3, 1, 2])
    learned = SequenceTokenizer("tokens").fit(SENTENCES)
    again = clone(tokenizer).set_params(vocabulary=learned.vocabulary_).fit(SENTENCES[:1])
    assert again.vocabulary_ == learned.vocabulary_
    for a, b in zip(again.transform(SENTENCES), learned.transform(SENTENCES), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocabulary": []}, "vocabulary is empty"),
        ({"vocabulary": ["a", "a"]}, "holds 'a' more than once"),
        ({"vocabulary": {"a": 0, "b": 1}}, "2 tokens ids from 0 to 1; ids are 2, 3, 4"),
        ({"vocabulary": ["a"], "max_features": 3}, "max_features=3"),
        ({"vocabulary": ["a"], "min_df": 2}, "min_df=2"),
        ({"analyzer": "char", "max_characters": 3}, "set max_characters=None"),
        ({"max_characters": 0}, "'max_characters' parameter"),
        ({"vocabulary": "abc"}, "'vocabulary' parameter"),
    ],
)
def test_errors(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SequenceTokenizer(**options).fit(["a b"])


def test_spelt_documents_survive_a_pickle() -> None:
    tokenizer = SequenceTokenizer("tokens", lowercase=True, max_characters=3).fit(SENTENCES)
    again = pickle.loads(pickle.dumps(tokenizer))
    for a, b in zip(again.transform(SENTENCES), tokenizer.transform(SENTENCES), strict=True):
        np.testing.assert_array_equal(a, b)


VECTORS = {"the": [1.0, 0.0], "dog": [3.0, 2.0], "sat": [5.0, 4.0], "zebra": [90.0, 90.0]}


@pytest.mark.parametrize("vectors", [VECTORS, Keyed(VECTORS)], ids=["dict", "keyed"])
def test_the_matrix_has_a_row_per_id(vectors: object) -> None:
    tokenizer = SequenceTokenizer("tokens").fit([*SENTENCES, ["sat"]])
    matrix = tokenizer.embedding_matrix(vectors)
    assert matrix.shape == (tokenizer.vocabulary_size_, 2)
    mean = np.mean([VECTORS[w] for w in ("the", "the", "dog", "sat")], axis=0)
    np.testing.assert_array_equal(matrix[0], 0)
    np.testing.assert_allclose(matrix[1], mean)
    for word, i in tokenizer.vocabulary_.items():
        # "The" has the vector of its lower-case form.
        np.testing.assert_allclose(matrix[i], VECTORS.get(word.lower(), mean))


def test_missing_words_can_be_told_apart() -> None:
    tokenizer = SequenceTokenizer("tokens").fit([[f"w{i}" for i in range(2000)], ["the", "dog"]])
    matrix = tokenizer.embedding_matrix(VECTORS, missing="random", random_state=0)
    again = tokenizer.embedding_matrix(VECTORS, missing="random", random_state=0)
    np.testing.assert_array_equal(matrix, again)
    missing = matrix[[i for word, i in tokenizer.vocabulary_.items() if word.startswith("w")]]
    found = np.array([VECTORS["the"], VECTORS["dog"]])
    np.testing.assert_allclose(missing.mean(axis=0), found.mean(axis=0), atol=0.1)
    np.testing.assert_allclose(missing.std(axis=0), found.std(axis=0), atol=0.1)
    np.testing.assert_allclose(matrix[1], found.mean(axis=0))
    with pytest.raises(ValueError, match="missing must be"):
        tokenizer.embedding_matrix(VECTORS, missing="zero")


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ({"zebra": [1.0]}, r"none of the 6 tokens has a vector.*'zebra'"),
        ({"dog": [1.0], "cats": [1.0, 2.0]}, r"vector of '.*' has the shape \(.,\)"),
        ({"dog": [np.nan]}, "vector of 'dog' holds numbers that are not finite"),
        ({"dog": 1.0}, r"expected \(dim,\)"),
    ],
)
def test_vectors_that_are_none(vectors: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SequenceTokenizer("tokens").fit(SENTENCES).embedding_matrix(vectors)


def test_narrow_vectors_are_widened() -> None:
    tokenizer = SequenceTokenizer("tokens").fit(SENTENCES)
    for given, expected in (("float16", "float32"), ("float32", "float32"), ("float64", "float64")):
        matrix = tokenizer.embedding_matrix({"dog": np.ones(3, dtype=given)})
        assert matrix.dtype == expected
