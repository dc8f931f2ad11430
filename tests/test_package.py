"""The package as a whole: its names, its import time, its version and its README."""

import inspect
import re
import subprocess
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import skrnn

ROOT = Path(skrnn.__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
LISTINGS = re.findall(r"^```python\n(.+?)^```", README, re.S | re.M)
PUBLIC_MODULES = ["skrnn", *(f"skrnn.{name}" for name in sorted(skrnn._SUBMODULES))]


def in_new_process(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )


def import_seconds() -> float:
    report = in_new_process("import skrnn", "-X", "importtime").stderr
    # The lines read "import time: own us | cumulative us | name".
    (cumulative,) = re.findall(r"\|\s*(\d+) \| skrnn$", report, re.M)
    return int(cumulative) / 1e6


def test_import_is_quick() -> None:
    # The best of three: another process may have held the disk or the core.
    assert min(import_seconds() for _ in range(3)) < 0.2


def test_import_loads_no_heavy_library() -> None:
    code = "import sys, skrnn; dir(skrnn); print(*{name.split('.')[0] for name in sys.modules})"
    loaded = set(in_new_process(code).stdout.split())
    assert "skrnn" in loaded
    assert not loaded & {"torch", "sktime", "skorch", "sklearn", "numpy", "pandas", "scipy"}


@pytest.mark.parametrize("name", ["RNNClassifier", "RNNRegressor"])
def test_estimators_do_not_import_sktime(name: str) -> None:
    code = f"import sys; from skrnn import {name}; print('sktime' in sys.modules)"
    assert in_new_process(code).stdout.split() == ["False"]


def test_nn_needs_torch_only() -> None:
    code = "import sys, skrnn.nn; print(*{name.split('.')[0] for name in sys.modules})"
    loaded = set(in_new_process(code).stdout.split())
    assert not loaded & {"sklearn", "skorch", "sktime", "pandas"}


@pytest.mark.parametrize("module_name", PUBLIC_MODULES)
def test_public_names_exist(module_name: str) -> None:
    module = import_module(module_name)
    assert len(module.__all__) == len(set(module.__all__))
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        getattr(module, name)


def test_names_are_resolved_once() -> None:
    assert skrnn.RNNClassifier is import_module("skrnn._classifier").RNNClassifier
    assert skrnn.RNNRegressor is import_module("skrnn._regressor").RNNRegressor
    assert skrnn.nn is import_module("skrnn.nn")
    assert "RNNClassifier" in vars(skrnn)


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="module 'skrnn' has no attribute 'RNNClasifier'"):
        skrnn.RNNClasifier  # noqa: B018 - looking the name up is the test


def test_version() -> None:
    assert f"version: {skrnn.__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")


def test_installed_version() -> None:
    try:
        installed = version("skrnn")
    except PackageNotFoundError:
        pytest.skip("skrnn runs from its checkout, it is not installed")
    assert installed == skrnn.__version__


def test_types_are_published() -> None:
    assert (Path(skrnn.__file__).parent / "py.typed").is_file()


@pytest.mark.parametrize("module_name", PUBLIC_MODULES)
def test_every_public_name_is_in_the_api_pages(module_name: str) -> None:
    module = import_module(module_name)
    pages = "\n".join(page.read_text("utf-8") for page in (ROOT / "docs" / "api").glob("*.rst"))
    listed = set(re.findall(r"^\s+(skrnn[\w.]*)$", pages, re.M))
    public = {
        f"{module_name}.{name}"
        for name in module.__all__
        if inspect.isclass(getattr(module, name)) or inspect.isfunction(getattr(module, name))
    }
    assert public <= listed, f"missing from docs/api: {sorted(public - listed)}"
    others = {
        f"{module_name}.{name}"
        for name in module.__all__
        if not name.startswith("__") and not inspect.ismodule(getattr(module, name))
    } - public
    told = set(re.findall(r"``(skrnn[\w.]*)``", pages))
    assert others <= told, f"not told of in docs/api: {sorted(others - told)}"


def test_the_tree_in_the_design_is_the_tree() -> None:
    tree = (ROOT / "docs" / "design.rst").read_text("utf-8").split("A file imports")[0]
    floors = (ROOT / "CONTRIBUTING.md").read_text("utf-8").split("One place per change")[0]
    package = Path(skrnn.__file__).parent
    inside = {path.stem for path in (package / "_forecasting").glob("_[!_]*.py")}
    files = {path.stem for path in package.glob("_[!_]*") if path.suffix in ("", ".py")}
    assert files | inside <= set(re.findall(r"\w+", tree))
    assert files <= set(re.findall(r"\w+", floors))


@pytest.mark.parametrize("number", range(len(LISTINGS)))
def test_readme_listing_runs(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(
        compile(LISTINGS[number], f"README.md, listing {number + 1}", "exec"),
        {"__name__": "readme"},
    )
    assert "nan" not in capsys.readouterr().out.lower()


def test_readme_has_two_commands() -> None:
    commands = re.findall(r"^<!-- command: (\w+) -->$", README, re.M)
    assert commands == ["quickstart", "tests"]


def test_a_fit_loads_no_compiler():
    # It takes a second or two, in every process of a search anew, and nothing here is compiled.
    code = (
        "import sys; from skrnn import RNNClassifier; X, y = [[1.0, 2.0], [3.0]] * 4, [0, 1] * 4; "
        "RNNClassifier(max_epochs=2, hidden_size=4).fit(X, y).predict(X); "
        "print('torch._dynamo' in sys.modules)"
    )
    assert in_new_process(code).stdout.strip() == "False"
