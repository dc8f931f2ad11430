"""What every test and every documented listing starts from: one thread and a known seed."""

import os
from collections.abc import Iterator

import numpy as np
import pytest
import torch

# scikit-learn skips its check of array API input without it; scipy reads it when imported.
os.environ["SCIPY_ARRAY_API"] = "1"


@pytest.fixture(scope="session", autouse=True)
def single_thread() -> None:
    """Tiny networks are slower on more threads, and worker processes would compete."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Give each test, doctests included, the same random numbers whatever ran before it."""
    numpy_state = np.random.get_state()  # noqa: NPY002 - the legacy state is what we protect
    np.random.seed(0)  # noqa: NPY002
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield
    np.random.set_state(numpy_state)  # noqa: NPY002
