"""Contenders of `speed.py` in processes of their own: other packages, and loops side by side."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
#: Where packages are that are not installed beside ours: filled from the command line.
FOLDERS: dict[str, str] = {}
SIDE_BY_SIDE = """
import sys
from _speed_contenders import bare_fit, equal_task
import torch
torch.set_num_threads(1)
bare_fit(equal_task(200, 50))
print("ready", flush=True)
sys.stdin.readline()
print(bare_fit(equal_task(10_000, 50, epochs=5)))
"""


def peers_elsewhere(
    names: tuple[str, ...], job: Callable[[], dict[str, np.ndarray | int]]
) -> Iterator[tuple[str, Callable[[], float]]]:
    """The packages whose folders were named, in the order of `names`."""
    for name in names:
        if name in FOLDERS:
            yield name, lambda name=name: peer_fit(name, job())


def peer_fit(name: str, job: dict[str, np.ndarray | int]) -> float:
    """Seconds of one fit in another process, without its imports."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "job.npz"
        np.savez(path, **job)
        run = subprocess.run(
            [sys.executable, HERE / "_speed_peers.py", name, path],
            env={**os.environ, "PYTHONPATH": FOLDERS[name]},
            capture_output=True,
            text=True,
            cwd=folder,
        )
    if run.returncode:
        raise RuntimeError(f"{name} failed:\n{run.stderr[-2000:]}")
    return float(run.stdout.splitlines()[-1])


def in_own_process(run: Callable[[], float]) -> Callable[[], float]:
    """Call a contender in a process that nobody else computes in.

    What one contender makes of the process, as the settings of its heap, would change the times
    of the others.
    """
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()

    def serve() -> None:
        while True:
            there.recv()
            there.send(run())

    context.Process(target=serve, daemon=True).start()

    def ask() -> float:
        here.send(None)
        return here.recv()

    return ask


def side_by_side(n_processes: int) -> float:
    """Seconds of the slowest of some bare loops that start at the same time."""
    command = [sys.executable, "-c", SIDE_BY_SIDE]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    loops = [
        subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(n_processes)
    ]
    for loop in loops:
        loop.stdout.readline()
    for loop in loops:
        loop.stdin.write("go\n")
        loop.stdin.flush()
    return max(float(loop.communicate()[0]) for loop in loops)
