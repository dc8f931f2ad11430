"""Words and their characters: exact padding, words read once, unknown words in training."""

import pytest
import torch

from skrnn.nn import (
    CHARACTER_ENCODERS,
    CharacterEncoder,
    SequenceNetwork,
    TokenEmbedding,
    WordCharacterEmbedding,
    drawn_from,
)

ENCODERS = pytest.mark.parametrize("encoder", CHARACTER_ENCODERS)
SPEC = {
    "n_features": 6,
    "hidden_size": 4,
    "head": "categorical",
    "n_outputs": 3,
    "pooling": None,
    "bidirectional": True,
    "embedding_dim": 5,
    "vocabulary_size": 9,
    "character_encoder": "lstm",
    "character_dim": 4,
    "character_vocabulary_size": 12,
    "dtype": "float64",
}


def words(*spellings: list[int], width: int = 5) -> torch.Tensor:
    rows = [[*spelling, *[0] * (width - len(spelling))] for spelling in spellings]
    return torch.tensor(rows)


@ENCODERS
def test_padding_and_other_words_change_nothing(encoder):
    encode = CharacterEncoder(12, 4, encoder).double()
    batch = encode(words([3, 4], [5], [6, 7, 8, 9, 10]))
    for row, spelling in enumerate([[3, 4], [5], [6, 7, 8, 9, 10]]):
        for width in (len(spelling), 5, 9):
            alone = encode(words(spelling, width=width))
            torch.testing.assert_close(alone[0], batch[row], atol=1e-12, rtol=0)


@ENCODERS
def test_order_and_every_character_count(encoder):
    encode = CharacterEncoder(12, 8, encoder).double()
    made = encode(words([3, 4, 5], [5, 4, 3], [3, 4, 6], [7, 4, 5], [3, 4]))
    distances = torch.cdist(made, made) + torch.eye(5)
    assert distances.min() > 1e-3


@ENCODERS
def test_words_that_occur_often_are_read_once_and_answer_the_same(encoder):
    encode = CharacterEncoder(12, 4, encoder).double()
    spelt = words([3, 4], [5], [3, 4], [3, 4]).reshape(2, 2, 5)
    made = encode(spelt)
    assert made.shape == (2, 2, encode.output_size)
    torch.testing.assert_close(made[0, 0], made[1, 1], atol=0, rtol=0)
    made.sum().backward()
    repeated = encode.embedding.weight.grad.clone()
    encode.zero_grad()
    # Each place of a word has its share in the gradient.
    (3 * encode(words([3, 4])) + encode(words([5]))).sum().backward()
    torch.testing.assert_close(encode.embedding.weight.grad, repeated)


@ENCODERS
def test_nothing_gives_zero(encoder):
    encode = CharacterEncoder(12, 4, encoder)
    assert not encode(words([], [])).any()
    assert encode(torch.zeros(2, 0, 5)).shape == (2, 0, encode.output_size)
    assert encode(torch.zeros(2, 3, 0)).shape == (2, 3, encode.output_size)
    assert not encode.embedding.weight[0].any()


@ENCODERS
def test_every_parameter_gets_a_gradient(encoder):
    encode = CharacterEncoder(6, 4, encoder)
    encode(words([2, 3], [4, 5, 1, 2])).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in encode.parameters())


def test_several_kernels_are_concatenated():
    encode = CharacterEncoder(12, 4, "conv", kernel_sizes=(2, 3, 4)).double()
    assert encode.output_size == 12
    for spelling in ([3], [3, 4, 5, 6, 7]):
        torch.testing.assert_close(
            encode(words(spelling, width=len(spelling))), encode(words(spelling, width=8))
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"encoder": "rnn"}, "encoder must be one of 'conv', 'gru', 'lstm', got 'rnn'"),
        ({"size": 0}, "size must be at least 1"),
        ({"vocabulary_size": 1}, "id 1 an unknown character"),
        ({"encoder": "conv", "kernel_sizes": ()}, "kernel_sizes="),
        ({"encoder": "conv", "kernel_sizes": (0,)}, "kernel_sizes="),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        CharacterEncoder(**{"vocabulary_size": 5, **arguments})


@pytest.mark.parametrize(
    ("character", "message"), [(12, "outside"), (-1, "outside"), (2.5, "whole")]
)
def test_ids_that_are_none_are_refused(character, message):
    encode = CharacterEncoder(12, 4)
    with pytest.raises(ValueError, match=f"character id .*{message}"):
        encode(torch.tensor([[1, character]]))


def test_words_and_characters_lie_side_by_side():
    both = WordCharacterEmbedding(TokenEmbedding(9, 5), CharacterEncoder(12, 4))
    x = torch.tensor([[[7, 3, 4, 0], [2, 5, 0, 0]]])
    made = both(x)
    assert made.shape == (1, 2, both.output_size) == (1, 2, 13)
    torch.testing.assert_close(made[:, :, :5], both.words(x[:, :, 0]))
    torch.testing.assert_close(made[:, :, 5:], both.characters(x[:, :, 1:]))
    for shape in ((1, 2), (1, 2, 1)):
        with pytest.raises(ValueError, match=r"\(batch, time, 1 \+ n_characters\)"):
            both(torch.ones(shape))


@ENCODERS
def test_a_network_with_characters_is_exact_in_its_padding(encoder):
    network = SequenceNetwork.build({**SPEC, "character_encoder": encoder}).eval()
    x = torch.randint(1, 9, (3, 7, 6)).double()
    lengths = [7, 3, 1]
    raw = network(x, lengths)
    wild = x.clone()
    for row, length in enumerate(lengths):
        wild[row, length:] = torch.nan
        torch.testing.assert_close(network(x[row : row + 1, :length])[0], raw[row, :length])
    torch.testing.assert_close(network(wild, lengths), raw, atol=0, rtol=0)


def test_a_network_needs_what_characters_need():
    for missing, message in (
        ("embedding_dim", "character_encoder needs embedding_dim"),
        ("character_vocabulary_size", "needs character_vocabulary_size"),
    ):
        with pytest.raises(ValueError, match=message):
            SequenceNetwork.build({**SPEC, missing: None})


def test_word_dropout_reads_words_as_unknown_and_trains_their_vector():
    embedding = TokenEmbedding(5, 3, word_dropout=0.3)
    ids = torch.tensor([[2, 3, 4, 0] * 500])
    with drawn_from(torch.Generator().manual_seed(0)):
        made = embedding(ids)
    unknown = (made == embedding.embedding.weight[1]).all(dim=2)
    assert not unknown[ids == 0].any()
    assert not made[ids == 0].any()
    assert unknown[ids != 0].double().mean().item() == pytest.approx(0.3, abs=0.05)
    kept = ~unknown & (ids != 0)
    torch.testing.assert_close(made[kept], embedding.embedding(ids[kept]))
    made.sum().backward()
    assert embedding.embedding.weight.grad[1].any()
    assert not embedding.embedding.weight.grad[0].any()
    torch.testing.assert_close(embedding.eval()(ids), embedding.embedding(ids))
    with pytest.raises(ValueError, match="word_dropout must be in"):
        TokenEmbedding(5, 3, word_dropout=1.0)


def test_vectors_are_copied_and_padding_stays_zero():
    embedding = WordCharacterEmbedding(TokenEmbedding(4, 3), CharacterEncoder(12, 4))
    vectors = torch.randn(4, 3)
    before = vectors.clone()
    embedding.set_vectors(vectors)
    weight = embedding.words.embedding.weight
    assert not weight[0].any()
    torch.testing.assert_close(weight[1:], vectors[1:])
    with torch.no_grad():
        weight.add_(1.0)
    torch.testing.assert_close(vectors, before)
    with pytest.raises(ValueError, match=r"shape \(3, 3\), expected \(4, 3\)"):
        embedding.set_vectors(torch.ones(3, 3))
