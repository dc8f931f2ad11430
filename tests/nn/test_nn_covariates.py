"""Laws of the covariate embedding."""

import pytest
import torch

from skrnn.nn import CovariateEmbedding


def steps(n_numbers, cardinalities, shape=(4, 6)):
    numbers = torch.randn(*shape, n_numbers)
    codes = [torch.randint(0, n, shape).unsqueeze(-1).float() for n in cardinalities]
    return torch.cat([numbers, *codes], dim=-1)


@pytest.mark.parametrize("n_numbers", [0, 1, 3])
@pytest.mark.parametrize("cardinalities", [(), (2,), (7, 2), (1000, 31, 1)])
def test_sizes_are_those_announced(n_numbers, cardinalities):
    embedding = CovariateEmbedding(n_numbers, cardinalities)
    expected = n_numbers + sum(min(16, (n + 1) // 2) for n in cardinalities)
    assert embedding.output_size == expected
    assert embedding.input_size == n_numbers + len(cardinalities)
    for shape in [(4,), (4, 6), (0, 6)]:
        assert embedding(steps(n_numbers, cardinalities, shape)).shape == (*shape, expected)


def test_numbers_pass_unchanged():
    embedding, x = CovariateEmbedding(3, [5]), steps(3, [5])
    assert torch.equal(embedding(x)[..., :3], x[..., :3])
    assert torch.equal(CovariateEmbedding(2)(x[..., :2]), x[..., :2])


def test_the_unknown_category_is_the_zero_vector_and_stays_it():
    embedding = CovariateEmbedding(1, [5, 3])
    x = torch.zeros(2, 4, 3)
    assert bool((embedding(x) == 0).all())
    optimizer = torch.optim.SGD(embedding.parameters(), lr=1.0)
    (embedding(steps(1, [5, 3])).sum() + embedding(x).sum()).backward()
    optimizer.step()
    assert bool((embedding(x) == 0).all())


def test_equal_codes_have_equal_vectors_and_others_differ():
    embedding = CovariateEmbedding(0, [9])
    vectors = embedding(torch.arange(9.0)[:, None])
    assert torch.equal(vectors, embedding(torch.arange(9.0)[:, None]))
    distances = torch.cdist(vectors, vectors) + torch.eye(9)
    assert bool((distances > 0).all())


def test_features_have_tables_of_their_own():
    embedding, x = CovariateEmbedding(0, [4, 4]), steps(0, [4, 4])
    changed = x.clone()
    changed[..., 1] = (changed[..., 1] + 1) % 4
    before, after = embedding(x), embedding(changed)
    assert torch.equal(before[..., :2], after[..., :2])
    assert bool((before[..., 2:] != after[..., 2:]).any(dim=-1).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_codes_of_either_type_are_read(dtype):
    embedding, x = CovariateEmbedding(1, [40]).to(dtype), steps(1, [40]).to(dtype)
    assert embedding(x).dtype == dtype


@pytest.mark.parametrize("width", [2, 4])
def test_another_number_of_covariates_is_refused(width):
    with pytest.raises(ValueError, match=f"{width} covariates, expected 3"):
        CovariateEmbedding(2, [5])(torch.zeros(1, 1, width))
