"""Laws of front ends."""

import pytest
import torch

from skrnn.nn import TokenEmbedding


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.float32])
def test_ids_of_any_type_and_both_shapes_look_up_rows(dtype):
    embedding = TokenEmbedding(5, 3)
    ids = torch.tensor([[4, 1, 0], [2, 2, 3]])
    expected = embedding.embedding.weight[ids]
    assert torch.equal(embedding(ids.to(dtype)), expected)
    assert torch.equal(embedding(ids.to(dtype).unsqueeze(-1)), expected)


def test_padding_is_zero_and_gets_no_gradient():
    embedding = TokenEmbedding(5, 3)
    output = embedding(torch.tensor([[0, 1, 0]]))
    assert bool((output[0, [0, 2]] == 0).all())
    output.sum().backward()
    gradient = embedding.embedding.weight.grad
    assert bool((gradient[0] == 0).all())
    assert bool((gradient[1] == 1).all())


@pytest.mark.parametrize(
    ("token", "message"),
    [
        (7, "token id 7 is outside the vocabulary of 5"),
        (5, "token id 5 is outside the vocabulary of 5"),
        (-1, "token id -1 is outside the vocabulary of 5"),
        (7.0, "token id 7 is outside the vocabulary of 5"),
        (2.5, "token id 2.5 is not a whole number"),
        (float("nan"), "token id nan is not a whole number"),
    ],
)
def test_f024_wrong_token_id_is_named(token, message):
    with pytest.raises(ValueError, match=message):
        TokenEmbedding(5, 3)(torch.tensor([[1, token, 2]]))


def test_wrong_shapes_and_sizes_are_named():
    with pytest.raises(ValueError, match=r"got \(2, 3, 2\)"):
        TokenEmbedding(5, 3)(torch.zeros(2, 3, 2))
    with pytest.raises(ValueError, match="vocabulary_size must be at least 2, got 1"):
        TokenEmbedding(1, 3)
    with pytest.raises(ValueError, match="embedding_dim must be at least 1, got 0"):
        TokenEmbedding(5, 0)


def test_dropout_acts_in_training_only():
    embedding = TokenEmbedding(5, 50, dropout=0.5)
    ids = torch.full((1, 20), 3)
    assert bool((embedding(ids) == 0).any())
    assert not bool((embedding.eval()(ids) == 0).any())
