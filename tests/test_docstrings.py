"""Docstrings tell the truth: every parameter, its default, the same words in both estimators."""

import inspect
import re
import tomllib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, is_typeddict

import pytest
from numpydoc.docscrape import ClassDoc, FunctionDoc, NumpyDocString
from numpydoc.validate import validate
from sklearn.utils._testing import assert_docstring_consistency

from skrnn import RNNClassifier, RNNRegressor

MODULES = [
    "skrnn",
    "skrnn.export",
    "skrnn.metrics",
    "skrnn.nn",
    "skrnn.preprocessing",
    "skrnn.sktime",
    "skrnn.streaming",
    "skrnn.testing",
]


def public_objects() -> Iterator[tuple[str, Any]]:
    for module_name in MODULES:
        module = import_module(module_name)
        for name in module.__all__:
            public = getattr(module, name)
            if is_typeddict(public):
                continue  # no constructor of its own
            if inspect.isclass(public) or inspect.isfunction(public):
                yield f"{module_name}.{name}", public


def public_methods() -> Iterator[tuple[str, Callable]]:
    for class_name, cls in public_objects():
        if not inspect.isclass(cls):
            continue
        for name, method in inspect.getmembers(cls, inspect.isfunction):
            # What scikit-learn, sktime or torch wrote is theirs to document.
            if not name.startswith("_") and method.__module__.startswith("skrnn"):
                yield f"{class_name}.{name}", method


CALLABLES = {**dict(public_objects()), **dict(public_methods())}
CONCRETE_CLASSES = {
    name: obj
    for name, obj in CALLABLES.items()
    if inspect.isclass(obj) and not inspect.isabstract(obj)
}


def parsed(obj: Any) -> NumpyDocString:
    return ClassDoc(obj) if inspect.isclass(obj) else FunctionDoc(obj)


def parameters_of(obj: Any) -> dict[str, inspect.Parameter]:
    found = inspect.signature(obj).parameters
    return {name: found[name] for name in found if name not in {"self", "cls"}}


def documented_parameters(obj: Any) -> dict[str, str]:
    doc = parsed(obj)
    entries = [*doc["Parameters"], *doc["Other Parameters"]]
    return {
        name.strip().lstrip("*"): entry.type for entry in entries for name in entry.name.split(",")
    }


def default_in(type_text: str) -> str | None:
    """Return the text after `default=` (or `default `), None when there is no default."""
    found = re.search(r"\bdefault(?:=|:? )(.+)$", type_text, re.S)
    return found and found[1].strip().strip("`")


def unasked_checks() -> set[str]:
    pyproject = Path(__file__).parents[1] / "pyproject.toml"
    checks = tomllib.loads(pyproject.read_text("utf-8"))["tool"]["numpydoc_validation"]["checks"]
    assert checks[0] == "all"
    return set(checks[1:])


@pytest.mark.parametrize("name", CALLABLES)
def test_numpydoc_finds_no_fault(name: str) -> None:
    unasked = unasked_checks()
    faults = [f"{code} {text}" for code, text in validate(name)["errors"] if code not in unasked]
    assert faults == []


@pytest.mark.parametrize("name", CALLABLES)
def test_every_parameter_is_documented(name: str) -> None:
    documented = documented_parameters(CALLABLES[name])
    assert list(documented) == list(parameters_of(CALLABLES[name]))


@pytest.mark.parametrize("name", CALLABLES)
def test_documented_defaults_are_the_defaults(name: str) -> None:
    documented = documented_parameters(CALLABLES[name])
    for parameter in parameters_of(CALLABLES[name]).values():
        text = default_in(documented.get(parameter.name, ""))
        if parameter.default is inspect.Parameter.empty:
            assert text is None, f"{parameter.name} has no default, its docstring says {text}"
            continue
        assert text is not None, f"the docstring gives no default for {parameter.name}"
        shown = eval(text, {"__builtins__": {}})
        assert shown == parameter.default, f"{parameter.name}: {text} is not {parameter.default!r}"
        assert type(shown) is type(parameter.default), parameter.name


@pytest.mark.parametrize("name", CONCRETE_CLASSES)
def test_every_class_has_an_example(name: str) -> None:
    assert ">>>" in "\n".join(ClassDoc(CONCRETE_CLASSES[name])["Examples"])


# Labels and numbers have different losses.
# Classes gain from convolutions on nearly all data, numbers on some.
OF_THE_TARGET = {"loss", "frontend"}


def test_estimators_use_the_same_words() -> None:
    of_regressor = set(inspect.signature(RNNRegressor).parameters)
    shared = inspect.signature(RNNClassifier).parameters.keys() & of_regressor - OF_THE_TARGET
    assert_docstring_consistency([RNNClassifier, RNNRegressor], include_params=sorted(shared))


def test_shared_parameters_have_the_same_defaults() -> None:
    of_classifier = inspect.signature(RNNClassifier).parameters
    of_regressor = inspect.signature(RNNRegressor).parameters
    differing = {
        name
        for name in of_classifier.keys() & of_regressor.keys()
        if of_classifier[name].default != of_regressor[name].default
    }
    assert differing == OF_THE_TARGET
