"""Checks: what descriptions in files of predictors have in common."""

from __future__ import annotations

from typing import Any

from skrnn._persistence._container import NotOurFile

__all__ = ["check_layers", "check_levels", "is_size", "require"]


def is_size(value: Any, or_none: bool = False) -> bool:
    """Whether a value is a whole number from 1 on."""
    return (or_none and value is None) or (type(value) is int and value > 0)


def require(good: bool, name: str, value: Any) -> None:
    """Refuse a description with a value that is not good."""
    if not good:
        raise NotOurFile(f"the file describes no predictor: {name} is {value!r}.")


def check_layers(spec: dict[str, Any]) -> None:
    """Check the sizes of recurrent layers, a list of which becomes a tuple."""
    sizes = spec["hidden_size"]
    if isinstance(sizes, list):
        spec["hidden_size"] = tuple(sizes)
    listed = sizes if isinstance(sizes, list) else [sizes]
    require(bool(listed) and all(map(is_size, listed)), "hidden_size", sizes)
    require(is_size(spec["num_layers"]), "num_layers", spec["num_layers"])


def check_levels(levels: Any) -> None:
    """Check the levels of learned quantiles."""
    rising = isinstance(levels, list) and all(type(level) is float for level in levels)
    rising = rising and all(a < b for a, b in zip([0.0, *levels], [*levels, 1.0], strict=True))
    require(rising and len(levels) > 0, "quantiles", levels)
