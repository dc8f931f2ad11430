"""Randomness: dropout that draws from a generator of its thread where one is named."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["Dropout", "drawn_from", "dropout_mask", "generator_of_thread"]

_thread = threading.local()


class Dropout(nn.Dropout):
    """Dropout whose draws on the CPU belong to one training, whatever other threads draw.

    A :class:`torch.nn.Dropout`, but inside :func:`drawn_from`: there it draws what that would,
    from the generator of the block instead of torch's global one.

    Parameters
    ----------
    p : float, default=0.5
        Probability of dropping an element. Values in `[0, 1]`.

    inplace : bool, default=False
        Whether to write to the input.

    See Also
    --------
    drawn_from : Name the generator.

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import Dropout, drawn_from
    >>> dropout, x = Dropout(0.5), torch.ones(3)
    >>> with drawn_from(torch.Generator().manual_seed(0)):
    ...     first = dropout(x)
    >>> with drawn_from(torch.Generator().manual_seed(0)):
    ...     torch.equal(first, dropout(x))
    True
    """

    def forward(self, input: Tensor) -> Tensor:
        """Drop elements in training, and scale up the others.

        Parameters
        ----------
        input : Tensor
            Of any shape.

        Returns
        -------
        Tensor
            Of the shape of `input`.
        """
        generator = generator_of_thread()
        if generator is None or not self.training or input.device != generator.device:
            return super().forward(input)
        if self.p in (0, 1) or self.inplace:
            return super().forward(input)
        return input * dropout_mask(input.shape, self.p, input)


def dropout_mask(size: Sequence[int], p: float, like: Tensor) -> Tensor:
    """Draw what dropout multiplies with, from where :class:`Dropout` draws.

    Parameters
    ----------
    size : sequence of int
        Shape of the mask.

    p : float
        Probability of 0. Values in `[0, 1)`.

    like : Tensor
        Gives type and device.

    Returns
    -------
    Tensor of shape `size`
        0 with probability `p`, else `1 / (1 - p)`.
    """
    generator = generator_of_thread()
    if generator is not None and generator.device != like.device:
        generator = None
    return like.new_empty(size).bernoulli_(1 - p, generator=generator).div_(1 - p)


@contextmanager
def drawn_from(generator: torch.Generator) -> Iterator[None]:
    """Let every :class:`Dropout` draw from a generator, in this thread and block.

    Parameters
    ----------
    generator : torch.Generator
        Where to draw from. Input on other devices than its own draws from torch's generators.

    Yields
    ------
    None
        Nothing.

    See Also
    --------
    Dropout : What draws from it.

    Examples
    --------
    >>> import torch
    >>> from skrnn.nn import RecurrentEncoder, drawn_from
    >>> encoder = RecurrentEncoder(2, 4, num_layers=2, dropout=0.5)
    >>> before = torch.random.get_rng_state()
    >>> with drawn_from(torch.Generator().manual_seed(0)):
    ...     encoder(torch.ones(1, 3, 2)).shape
    torch.Size([1, 3, 4])
    >>> torch.equal(torch.random.get_rng_state(), before)
    True
    """
    before = generator_of_thread()
    _thread.generator = generator
    try:
        yield
    finally:
        _thread.generator = before


def generator_of_thread() -> torch.Generator | None:
    """Generator of the innermost :func:`drawn_from` of this thread, None outside of one.

    Returns
    -------
    torch.Generator or None
        Where every :class:`Dropout` of this thread draws from; None for torch's global one.

    See Also
    --------
    drawn_from : Name the generator.

    Examples
    --------
    >>> from skrnn.nn import generator_of_thread
    >>> generator_of_thread() is None
    True
    """
    return getattr(_thread, "generator", None)
