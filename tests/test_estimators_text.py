"""Text in the estimators: given vectors, characters beside words, limits of vocabularies."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import skrnn
from skrnn import RNNClassifier, RNNRegressor
from skrnn.metrics import sequence_accuracy_scorer
from skrnn.nn import Jitter
from skrnn.preprocessing import SequenceTokenizer

SMALL: dict[str, Any] = {"hidden_size": 4, "max_epochs": 2, "random_state": 0}
# A rate at which nothing is learned: weights are those of the start.
STILL: dict[str, Any] = {**SMALL, "max_epochs": 1, "lr": 1e-30, "optimizer": "sgd"}


class Keyed:
    """Vectors by word, as gensim keeps them."""

    def __init__(self, words: list[str], vectors: np.ndarray) -> None:
        self.key_to_index = {word: i for i, word in enumerate(words)}
        self.index_to_key, self.vectors = words, vectors

    def __getitem__(self, word: str) -> np.ndarray:
        return self.vectors[self.key_to_index[word]]


class OnlyItems:
    """The same with nothing but what is asked for."""

    def __init__(self, keyed: Keyed) -> None:
        self.key_to_index, self._keyed = keyed.key_to_index, keyed

    def __getitem__(self, word: str) -> np.ndarray:
        return self._keyed[word]


@pytest.fixture
def ids(rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.integers(1, 8, size=n) for n in rng.integers(1, 7, size=24)]


@pytest.fixture
def labels(ids: list[np.ndarray]) -> np.ndarray:
    return np.array([int(x[0] > 3) for x in ids])


@pytest.fixture
def table(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(10, 3))


@pytest.fixture
def spelt(rng: np.random.Generator) -> list[np.ndarray]:
    """Ids of words and of their characters; only these know the label of a step."""
    X = []
    for n in rng.integers(1, 7, size=120):
        characters = np.where(rng.random((n, 4)) < 0.7, rng.integers(2, 9, size=(n, 4)), 0)
        X.append(np.column_stack([rng.integers(1, 6, size=n), -np.sort(-characters, axis=1)]))
    return X


@pytest.fixture
def tags(spelt: list[np.ndarray]) -> list[np.ndarray]:
    return [np.where(x[:, 1] > 6, "N", "V") for x in spelt]


def weights(model: Any) -> np.ndarray:
    embedding = model.net_.module_.embedding
    return getattr(embedding, "words", embedding).embedding.weight.detach().numpy()


# -- vectors from elsewhere -------------------------------------------------------------------


def containers(table: np.ndarray, tmp_path: Path) -> dict[str, Any]:
    np.save(tmp_path / "table.npy", table.astype(np.float32))
    return {
        "array": table,
        "list": table.tolist(),
        "float16": table.astype(np.float16),
        "memmap": np.load(tmp_path / "table.npy", mmap_mode="r"),
        "tensor": torch.tensor(table),
        "not writeable": np.broadcast_to(table, table.shape),
    }


def test_training_starts_from_the_vectors_and_goes_on(
    ids: list, labels: np.ndarray, table: np.ndarray, tmp_path: Path
) -> None:
    table[0] = 0
    before = table.copy()
    for name, given in containers(table, tmp_path).items():
        model = RNNClassifier(embedding=given, **STILL).fit(ids, labels)
        assert model.vocabulary_size_ == 10
        np.testing.assert_allclose(weights(model), table, atol=1e-3, err_msg=name)
    model = RNNClassifier(embedding=table, **SMALL).fit(ids, labels)
    assert np.abs(weights(model)[1:8] - table[1:8]).max() > 1e-4
    np.testing.assert_array_equal(weights(model)[0], 0)
    np.testing.assert_array_equal(table, before)


def test_float64_keeps_all_digits(ids: list, labels: np.ndarray, table: np.ndarray) -> None:
    model = RNNRegressor(embedding=table, dtype="float64", **STILL).fit(ids, labels)
    np.testing.assert_array_equal(weights(model)[1:], table[1:])


@pytest.mark.parametrize("kind", [Keyed, OnlyItems])
def test_keyed_vectors_begin_at_the_first_word(ids: list, labels: np.ndarray, kind: type) -> None:
    words = ["dog", "the", "cat", "sat", "on", "mat"]
    keyed = Keyed(words, np.arange(12.0).reshape(6, 2))
    embedding = keyed if kind is Keyed else OnlyItems(keyed)
    model = RNNClassifier(embedding=embedding, **STILL).fit(ids, labels)
    assert model.vocabulary_size_ == 8
    np.testing.assert_allclose(weights(model)[0], 0)
    np.testing.assert_allclose(weights(model)[1], keyed.vectors.mean(axis=0))
    np.testing.assert_allclose(weights(model)[2:], keyed.vectors, atol=1e-9)


def test_keyed_vectors_in_a_pipeline(rng: np.random.Generator) -> None:
    words = ["dog", "the", "cat", "sat", "on", "mat"]
    keyed = Keyed(words, rng.normal(size=(6, 3)))
    texts = [" ".join(rng.choice(words, size=3)) for _ in range(12)]
    y = [int("cat" in text) for text in texts]
    pipe = make_pipeline(
        SequenceTokenizer(vocabulary=keyed.index_to_key), RNNClassifier(embedding=keyed, **STILL)
    ).fit(texts, y)
    tokenizer, model = pipe[0], pipe[1]
    for word in words:
        row = weights(model)[tokenizer.transform([word])[0][0]]
        np.testing.assert_allclose(row, keyed[word], rtol=1e-6)
    assert pipe.predict(["the zebra sat"]).shape == (1,)
    # The same from a matrix for the vocabulary of another tokenizer.
    learned = SequenceTokenizer(max_features=4).fit(texts)
    pipe = make_pipeline(
        SequenceTokenizer(vocabulary=learned.vocabulary_),
        RNNClassifier(embedding=learned.embedding_matrix(keyed), **STILL),
    )
    search = GridSearchCV(pipe, {"rnnclassifier__hidden_size": [3, 4]}, cv=2).fit(texts, y)
    assert search.best_estimator_[1].vocabulary_size_ == 6
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_the_vectors_are_kept_once_beside_the_weights(ids: list, labels: np.ndarray) -> None:
    table = np.ones((5000, 20))
    model = RNNClassifier(embedding=table, **STILL).fit(ids, labels)
    assert model.embedding is table
    assert clone(model).embedding is table
    assert model.get_params()["embedding"] is table
    assert not any(isinstance(value, np.ndarray) for value in model._spec.values())
    # The parameter in float64, the weights in float32, and little else.
    assert len(pickle.dumps(model)) < table.nbytes * 1.5 + 100_000
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(ids), model.predict_proba(ids))
    np.testing.assert_array_equal(again.embedding, table)


def test_members_start_from_the_same_vectors_and_more_training_goes_on(
    ids: list, labels: np.ndarray, table: np.ndarray
) -> None:
    model = RNNClassifier(embedding=table, n_estimators=2, **STILL).fit(ids, labels)
    for net in model.nets_:
        made = net.module_.embedding.embedding.weight.detach().numpy()
        np.testing.assert_allclose(made[1:], table[1:], rtol=1e-6)
    warm = RNNClassifier(embedding=table, warm_start=True, **SMALL).fit(ids, labels)
    learned = weights(warm).copy()
    warm.set_params(lr=1e-30, optimizer="sgd", max_epochs=1).fit(ids, labels)
    np.testing.assert_allclose(weights(warm), learned)
    with pytest.raises(ValueError, match="other settings of embedding_dim"):
        warm.set_params(embedding=table[:, :2]).fit(ids, labels)
    more = RNNClassifier(embedding=table, **SMALL).partial_fit(ids, labels, classes=[0, 1])
    assert more.partial_fit(ids, labels).vocabulary_size_ == 10


NAN = np.ones((10, 3))
NAN[4, 1] = np.nan


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"embedding": np.ones(10)}, r"shape \(10,\) and the type float64, expected numbers"),
        ({"embedding": np.ones((2, 3, 4))}, r"shape \(2, 3, 4\)"),
        ({"embedding": np.ones((1, 3))}, "rows for the ids 0"),
        ({"embedding": np.ones((5, 0))}, "at least one column"),
        ({"embedding": [["a", "b"], ["c", "d"]]}, "the type <U1"),
        ({"embedding": "glove"}, "embedding has the shape|'embedding' parameter"),
        ({"embedding": 3}, "'embedding' parameter"),
        ({"embedding": NAN}, "embedding holds nan in row 4"),
        ({"embedding": np.full((10, 3), 1e300)}, "embedding holds inf in row 1"),
        ({"embedding": np.ones((10, 3)), "embedding_dim": 4}, "embedding_dim=4 does not go with"),
        ({"embedding": np.ones((10, 3)), "vocabulary_size": 9}, "10 vectors of size 3"),
        ({"embedding": np.ones((5, 3))}, "token id 7 in sequence . is outside the vocabulary of 5"),
        ({"embedding": Keyed(["a", "b"], np.ones((3, 2)))}, "2 words in key_to_index and 3"),
        ({"embedding": Keyed(list("abcdefghij"), NAN)}, "embedding holds nan of the word 'e'"),
        ({"embedding": np.ones((10, 3)), "augmentation": Jitter()}, "embedding says that X holds"),
    ],
)
def test_what_is_no_table_of_vectors_is_refused(
    ids: list, labels: np.ndarray, parameters: dict, message: str
) -> None:
    model = RNNClassifier(**SMALL, **parameters)
    with pytest.raises(ValueError, match=message):
        model.fit(ids, labels)
    assert not hasattr(model, "net_")


def test_given_sizes_that_agree_are_accepted(
    ids: list, labels: np.ndarray, table: np.ndarray
) -> None:
    RNNClassifier(embedding=table, embedding_dim=3, vocabulary_size=10, **SMALL).fit(ids, labels)


# -- characters -------------------------------------------------------------------------------


@pytest.mark.parametrize("encoder", ["lstm", "gru", "conv"])
def test_characters_tell_what_words_do_not(spelt: list, tags: list, encoder: str) -> None:
    parameters: dict[str, Any] = {
        "embedding_dim": 4,
        "character_encoder": encoder,
        "character_dim": 8,
        "return_sequences": True,
        "hidden_size": 8,
        "max_epochs": 25,
        "lr": 0.02,
        "random_state": 0,
    }
    model = RNNClassifier(**parameters).fit(spelt[:90], tags[:90])
    assert model.score(spelt[90:], tags[90:]) > 0.9
    assert model.character_vocabulary_size_ == 9
    assert model.vocabulary_size_ == 6
    words = [x[:, 0] for x in spelt]
    plain = RNNClassifier(**{**parameters, "character_encoder": None}).fit(words[:90], tags[:90])
    assert plain.score(words[90:], tags[90:]) < 0.8
    again = pickle.loads(pickle.dumps(model))
    for a, b in zip(again.predict_proba(spelt), model.predict_proba(spelt), strict=True):
        np.testing.assert_array_equal(a, b)


def test_padded_folded_and_ragged_words_mean_the_same(spelt: list, tags: list) -> None:
    y = [t[0] for t in tags]
    parameters = {**SMALL, "embedding_dim": 4, "character_encoder": "conv", "dtype": "float64"}
    padded = np.zeros((len(spelt), 8, 7))
    for i, x in enumerate(spelt):
        padded[i, : len(x), :5] = x
    model = RNNClassifier(**parameters).fit(spelt, y)
    expected = model.predict_proba(spelt)
    # Further columns of zeros are characters that no word has.
    wide = RNNClassifier(**parameters).fit(padded, y)
    np.testing.assert_allclose(wide.predict_proba(padded), expected, atol=1e-12)
    for i in (0, 1):
        np.testing.assert_allclose(model.predict_proba(spelt[i : i + 1])[0], expected[i])
    folded = RNNClassifier(n_channels=7, **parameters).fit(padded.reshape(len(spelt), -1), y)
    np.testing.assert_allclose(
        folded.predict_proba(padded.reshape(len(spelt), -1)), expected, atol=1e-12
    )


def test_words_that_are_read_piece_by_piece_elsewhere(
    spelt: list, tags: list, tmp_path: Path
) -> None:
    y = [t[0] for t in tags]
    padded = np.zeros((len(spelt), 8, 5))
    for i, x in enumerate(spelt):
        padded[i, : len(x)] = x
    np.save(tmp_path / "X.npy", padded)
    model = RNNClassifier(**SMALL, embedding_dim=4, character_encoder="conv")
    expected = clone(model).fit(spelt, y).predict_proba(spelt)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    np.testing.assert_allclose(clone(model).fit(mapped, y).predict_proba(mapped), expected)

    class Pairs(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(spelt)

        def __getitem__(self, i: int) -> tuple:
            return spelt[i], y[i]

    np.testing.assert_allclose(clone(model).fit(Pairs()).predict_proba(spelt), expected)


@pytest.mark.parametrize(
    ("X", "parameters", "message"),
    [
        ([[1, 2], [3]], {}, "every step holds the id of a token and ids of its characters"),
        ([[[1, 2], [3, 2.5]]], {}, "character id 2.5 in sequence 0 is no id"),
        ([[[1, 2], [1.5, 2]]], {}, "token id 1.5 in sequence 0 is no id"),
        ([[[1, 2]], [[1, -1]]], {}, "character id -1 in sequence 1"),
        ([[[1, 7]]], {"character_vocabulary_size": 7}, "character id 7 .* vocabulary of 7"),
        ([[[9, 3]]], {"vocabulary_size": 9}, "token id 9 in sequence 0 .* set vocabulary_size"),
        ([[[1, 2]]], {"embedding_dim": None}, "set embedding_dim"),
        ([[[1, 2]]], {"character_encoder": None}, "set character_encoder if they are ids"),
        ([[[1, 2]]], {"character_encoder": "rnn"}, "'character_encoder' parameter"),
    ],
)
def test_wrong_characters_are_refused(X: list, parameters: dict, message: str) -> None:
    base = {**SMALL, "embedding_dim": 4, "character_encoder": "conv"}
    with pytest.raises(ValueError, match=message):
        RNNClassifier(**{**base, **parameters}).fit(X, np.arange(len(X)))


def test_a_search_over_words_with_characters() -> None:
    rng = np.random.default_rng(0)
    stems = ["wal", "tal", "jum", "run", "sin", "pla"]
    texts = [[rng.choice(stems) + rng.choice(["ing", "s"]) for _ in range(4)] for _ in range(30)]
    tags = [["VBG" if word.endswith("ing") else "VBZ" for word in text] for text in texts]
    pipe = make_pipeline(
        SequenceTokenizer("tokens", max_characters=6),
        RNNClassifier(
            return_sequences=True, embedding_dim=4, character_encoder="lstm", character_dim=8,
            hidden_size=8, max_epochs=30, lr=0.02, word_dropout=0.3, random_state=0,
        ),
    )  # fmt: skip
    grid = {"sequencetokenizer__max_characters": [1, 6]}
    search = GridSearchCV(pipe, grid, cv=2, scoring=sequence_accuracy_scorer).fit(texts, tags)
    assert search.best_params_ == {"sequencetokenizer__max_characters": 6}
    # Words and a character that were never seen: only the endings are known.
    predicted = search.predict([["humming", "nods", "xoxing", "\u00e6s"]])[0]
    assert predicted.tolist() == ["VBG", "VBZ", "VBG", "VBZ"]


# -- limits of vocabularies -------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 3, None])
def test_the_limit_of_the_tokenizer_is_that_of_the_network(limit: int | None) -> None:
    texts = ["aa bb cc dd", "aa bb cc", "aa bb", "aa"] * 3
    y = [0, 1, 0, 1] * 3
    pipe = make_pipeline(
        SequenceTokenizer(max_features=limit, max_characters=2),
        RNNClassifier(embedding_dim=3, character_encoder="conv", **SMALL),
    ).fit(texts, y)
    tokenizer, model = pipe[0], pipe[1]
    assert tokenizer.vocabulary_size_ == (limit or 4) + 2 == model.vocabulary_size_
    assert model.character_vocabulary_size_ == tokenizer.character_vocabulary_size_
    assert len(weights(model)) == model.vocabulary_size_
    # Whatever a new text holds, no id is outside.
    assert pipe.predict(["zz aa dd \u00fc\u00df", "", "aa" * 50]).shape == (3,)
    with pytest.raises(ValueError, match="token id 99 in sequence 0 is outside the vocabulary"):
        model.predict([[[99, 2, 2]]])


def test_word_dropout_trains_the_unknown_word(ids: list, labels: np.ndarray) -> None:
    known = [np.maximum(x, 2) for x in ids]
    start = RNNClassifier(embedding_dim=3, **STILL).fit(known, labels)
    without = RNNClassifier(embedding_dim=3, **SMALL, optimizer="sgd").fit(known, labels)
    with_it = RNNClassifier(embedding_dim=3, word_dropout=0.5, **SMALL, optimizer="sgd")
    with_it.fit(known, labels)
    np.testing.assert_array_equal(weights(without)[1], weights(start)[1])
    assert (weights(with_it)[1] != weights(start)[1]).any()


# -- files ------------------------------------------------------------------------------------


def test_files_hold_words_characters_and_what_vectors_have_become(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    sentences = [[*rng.choice(["dog", "cat", "sat"], size=n)] for n in rng.integers(1, 5, 12)]
    tags = [["V" if word == "sat" else "N" for word in words] for words in sentences]
    tokenizer = SequenceTokenizer("tokens", max_characters=3).fit(sentences)
    matrix = tokenizer.embedding_matrix({"dog": [1.0, 2.0], "sat": [3.0, 4.0]})
    pipe = make_pipeline(
        SequenceTokenizer(
            "tokens", lowercase=True, max_characters=3, vocabulary=tokenizer.vocabulary_
        ),
        RNNClassifier(embedding=matrix, character_encoder="gru", return_sequences=True, **SMALL),
    ).fit(sentences, tags)
    path = tmp_path / "tagger.safetensors"
    with pytest.warns(UserWarning, match="embedding is not written to a file"):
        skrnn.save(pipe, path)
    loaded = skrnn.load(path)
    for a, b in zip(loaded.predict_proba(sentences), pipe.predict_proba(sentences), strict=True):
        np.testing.assert_array_equal(a, b)
    model = loaded[1]
    assert (model.embedding, model.embedding_dim, model.vocabulary_size) == (None, 2, 5)
    np.testing.assert_array_equal(weights(model), weights(pipe[1]))
    assert clone(model).fit(loaded[0].transform(sentences), tags).vocabulary_size_ == 5


# -- streams ----------------------------------------------------------------------------------


def test_streams_read_given_vectors_and_characters(
    ids: list, labels: np.ndarray, table: np.ndarray, spelt: list, tags: list
) -> None:
    model = RNNClassifier(embedding=table, bidirectional=False, **SMALL).fit(ids, labels)
    stream = model.stream()
    for step in ids[0]:
        stream.update([step])
    np.testing.assert_allclose(stream.predict_proba(), model.predict_proba(ids[:1]), atol=1e-5)
    characters = RNNClassifier(
        embedding_dim=4,
        character_encoder="conv",
        return_sequences=True,
        bidirectional=False,
        **SMALL,
    ).fit(spelt, tags)
    stream = characters.stream()
    for step, expected in zip(spelt[0], characters.predict_proba(spelt[:1])[0], strict=True):
        stream.update([step])
        np.testing.assert_allclose(stream.predict_proba()[0], expected, atol=1e-5)
