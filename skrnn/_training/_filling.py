"""Filling: batches of constant size, so that the digits of a sample depend on no other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skrnn.nn import TokenEmbedding

# Inference batches are filled up to constant size below this many rows x steps.
MAX_FILLED_STEPS = 2**19
# Fewest rows that a batch is filled to.
FEWEST_ROWS = 8
# A batch that fills no more than this share of its size may do with fewer rows.
SMALL_SHARE = 0.25
# How often two sizes are compared, for the whole network and, as it has few outputs, for its head.
DRAWS, DRAWS_OF_HEAD = 4, 32


class Filling:
    """Fill batches up to the same size, or to a smaller one that gives the same digits.

    Matrix products of another shape may round differently, and the answer for a sample must not
    depend on how many others come with it. So all batches of one length have as many rows. For one
    sequence alone that is most of the work, and many kernels round alike for few rows and for many.
    Whether those of this machine do is tried, once for each shape: noise goes through the network
    in batches of both sizes, and only where all digits agree the small one is used. On other
    devices than the CPU nothing would be gained.

    Parameters
    ----------
    net : SequenceNetClassifier or SequenceNetRegressor
        What computes the batches; it keeps what was found.

    rows_of : callable
        Tells the rows of a full batch from the steps of its longest sequence.

    alone : bool
        Whether there is one batch only.
    """

    def __init__(self, net: Any, rows_of: Callable[[int], int], alone: bool) -> None:
        self.net = net
        self.rows_of = rows_of
        known = isinstance(net.module_.embedding, TokenEmbedding | None)
        self.tries = alone and known and torch.device(net.device).type == "cpu"
        self.known: dict[tuple[int, ...], bool] = net.__dict__.setdefault("small_enough_", {})

    def fill(self, indices: NDArray, lengths: NDArray) -> NDArray:
        """Repeat the last sample of a batch until it has its size."""
        n_rows = len(indices)
        longest = int(lengths[indices].max(initial=0))
        size = self.rows_of(longest)
        if n_rows >= size or size * longest > MAX_FILLED_STEPS:
            return indices
        rows = size
        if self.tries and 0 < n_rows <= SMALL_SHARE * size and longest:
            small = max(FEWEST_ROWS, 1 << (n_rows - 1).bit_length())
            rows = small if small < size and self._will_do(small, size, longest) else size
        return np.concatenate([indices, np.repeat(indices[-1:], rows - n_rows)])

    def _will_do(self, rows: int, size: int, longest: int) -> bool:
        # Another number of threads shares out the same work in another way.
        key = size, rows, longest, torch.get_num_threads()
        if key not in self.known:
            self.known[key] = self._agree(rows, size, longest)
        return self.known[key]

    def _agree(self, rows: int, size: int, longest: int) -> bool:
        net, module = self.net, self.net.module_
        noise = torch.Generator().manual_seed(0)
        representation = None
        for i in range(DRAWS):
            # The place of a row in the batch must not matter either.
            part = slice(i * (size - rows) // DRAWS, None)
            x = _noise(module, (size, longest), noise)
            representation = net.in_precision(module.encode, x)
            few = net.in_precision(module.encode, x[part][:rows].clone())
            if not torch.equal(few, representation[part][:rows]):
                return False
        assert representation is not None
        for _ in range(DRAWS_OF_HEAD):
            drawn = torch.empty_like(representation).normal_(generator=noise)
            raw = net.in_precision(module.head, drawn)
            if not torch.equal(net.in_precision(module.head, drawn[:rows]), raw[:rows]):
                return False
        return True


def _noise(module: Any, shape: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Sequences such as the network was trained on, as far as its scaler tells."""
    if module.embedding is not None:
        table = module.embedding.embedding
        ids = torch.randint(table.num_embeddings, (*shape, 1), generator=generator)
        return ids.to(table.weight.dtype)
    mean = module.scaler.mean
    x = mean.new_empty(*shape, len(mean)).normal_(generator=generator)
    return x * module.scaler.scale + mean
