"""Front ends: what the sequences hold becomes what the recurrent layers read."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from torch import nn

from skrnn.nn.frontends.base import Frontend
from skrnn.nn.frontends.characters import (
    CHARACTER_ENCODERS,
    CharacterEncoder,
    WordCharacterEmbedding,
)
from skrnn.nn.frontends.convolutions import ConvFrontend
from skrnn.nn.frontends.embedding import TokenEmbedding
from skrnn.nn.frontends.patches import PatchFrontend

__all__ = [
    "CHARACTER_ENCODERS",
    "FRONTENDS",
    "CharacterEncoder",
    "ConvFrontend",
    "Frontend",
    "FrontendLike",
    "PatchFrontend",
    "TokenEmbedding",
    "WordCharacterEmbedding",
    "make_frontend",
]

FrontendLike: TypeAlias = str | Callable[[int], Frontend]

#: The front ends known by name.
FRONTENDS: dict[str, type[Frontend]] = {"conv": ConvFrontend, "patch": PatchFrontend}


def make_frontend(
    frontend: FrontendLike,
    input_size: int,
    stride: int | Sequence[int] | None = None,
    kernel_sizes: Sequence[int] | None = None,
    *,
    causal: bool = False,
) -> Frontend:
    """Make a front end from its name or class.

    Parameters
    ----------
    frontend : {"conv", "patch"} or callable
        A name in `FRONTENDS`, or a class called with `(input_size,)` that makes a
        :class:`Frontend`, as :class:`ConvFrontend` or a :func:`functools.partial` of it.

    input_size : int
        Number of features per time step. Values in `[1, inf)`.

    stride : int, tuple of two int or None, default=None
        Time steps that become one, of a front end given by name; of "conv" in two places, see
        :class:`ConvFrontend`. None leaves its default.

    kernel_sizes : tuple of int or None, default=None
        Widths of the first convolutions of "conv". None leaves its default.

    causal : bool, default=False
        Whether the front end "conv" sees no later step.

    Returns
    -------
    Frontend
        The front end.

    Raises
    ------
    ValueError
        If the name is unknown.

    TypeError
        If `frontend` is neither a name nor makes a front end.

    Examples
    --------
    >>> from skrnn.nn import make_frontend
    >>> make_frontend("patch", 3, stride=4).stride
    4
    """
    if isinstance(frontend, str):
        if frontend not in FRONTENDS:
            names = ", ".join(repr(name) for name in sorted(FRONTENDS))
            raise ValueError(
                f"unknown front end {frontend!r}: expected one of {names}, or a class."
            )
        options: dict[str, Any] = {}
        if stride is not None:
            options["patch_length" if frontend == "patch" else "stride"] = stride
        if frontend == "conv":
            options["causal"] = causal
            if kernel_sizes is not None:
                options["kernel_sizes"] = kernel_sizes
        return FRONTENDS[frontend](input_size, **options)
    if isinstance(frontend, nn.Module) or not callable(frontend):
        raise TypeError(
            f"frontend must be a name or a class called with (input_size,), got the object "
            f"{type(frontend).__name__}; give its class, for example skrnn.nn.ConvFrontend."
        )
    built = frontend(input_size)
    if not isinstance(built, Frontend):
        raise TypeError(f"frontend must make a skrnn.nn.Frontend, got {type(built).__name__}.")
    return built
