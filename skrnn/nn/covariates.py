"""Covariates: numbers pass, categories become learned vectors."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["CovariateEmbedding"]

#: Largest size of the vector of a category.
MAX_EMBEDDING = 16


class CovariateEmbedding(nn.Module):
    """Numbers and category codes become the features of one step.

    Parameters
    ----------
    n_numbers : int
        Leading features, which pass as they are. Values in `[0, inf)`.

    cardinalities : sequence of int, default=()
        Number of codes of every further feature. Code 0 stands for an unknown category: its vector
        is zero. A feature of `n` codes becomes `min(16, (n + 1) // 2)` features.

    Attributes
    ----------
    input_size : int
        Number of features read.

    output_size : int
        Number of features made.

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import CovariateEmbedding
    >>> embedding = CovariateEmbedding(n_numbers=2, cardinalities=[7])
    >>> embedding(torch.tensor([[[0.5, -1.0, 6.0]]])).shape
    torch.Size([1, 1, 6])
    """

    def __init__(self, n_numbers: int, cardinalities: Sequence[int] = ()) -> None:
        super().__init__()
        sizes = [min(MAX_EMBEDDING, (n + 1) // 2) for n in cardinalities]
        self.tables = nn.ModuleList(
            nn.Embedding(n, size, padding_idx=0)
            for n, size in zip(cardinalities, sizes, strict=True)
        )
        self.n_numbers = n_numbers
        self.input_size = n_numbers + len(sizes)
        self.output_size = n_numbers + sum(sizes)

    def forward(self, x: Tensor) -> Tensor:
        """Embed.

        Parameters
        ----------
        x : Tensor of shape (..., input_size)
            Numbers, then codes as whole floats.

        Returns
        -------
        Tensor of shape (..., output_size)
            The features.

        Raises
        ------
        ValueError
            If `x` has another number of features.
        """
        if x.shape[-1] != self.input_size:
            raise ValueError(f"x has {x.shape[-1]} covariates, expected {self.input_size}.")
        numbers, codes = x[..., : self.n_numbers], x[..., self.n_numbers :].long()
        vectors = [table(codes[..., i]) for i, table in enumerate(self.tables)]
        return torch.cat([numbers, *vectors], dim=-1)
