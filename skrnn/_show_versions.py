"""Versions: what a report of an error should say about the machine."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

__all__ = ["show_versions"]

PACKAGES = ("skrnn", "torch", "numpy", "scipy", "pandas", "scikit-learn", "skorch", "sktime")
OPTIONAL = ("safetensors", "accelerate", "joblib", "polars", "pyarrow", "zarr", "dask", "onnx")


def show_versions() -> None:
    """Print the versions of Python and of packages, how torch was built, and the devices it sees.

    What is printed belongs into a report of an error.

    Examples
    --------
    >>> from skrnn import show_versions
    >>> show_versions()
    <BLANKLINE>
    System:
        python: ...
    """
    for title, rows in (
        ("System", _system()),
        ("Packages", {name: _version(name) for name in (*PACKAGES, *OPTIONAL)}),
        ("torch", _torch()),
        ("Devices", _devices()),
    ):
        print(f"\n{title}:")
        width = max(map(len, rows))
        for name, value in rows.items():
            print(f"{name:>{width + 4}}: {value}")


def _system() -> dict[str, object]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "python": sys.version.replace("\n", " "),
        "executable": sys.executable,
        "machine": platform.platform(),
        "cores": cores,
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _torch() -> dict[str, object]:
    import torch

    return {
        "CUDA": torch.version.cuda or "not built with it",
        "cuDNN": torch.backends.cudnn.version() or "none",
        "oneDNN": torch.backends.mkldnn.is_available(),
        "MKL": torch.backends.mkl.is_available(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "default type": torch.get_default_dtype(),
    }


def _devices() -> dict[str, object]:
    import torch

    found: dict[str, object] = {"cpu": platform.processor() or platform.machine()}
    for i in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(i)
        found[f"cuda:{i}"] = f"{device.name}, {device.total_memory / 1e9:.1f} GB"
    if torch.backends.mps.is_available():
        found["mps"] = platform.machine()
    return found
