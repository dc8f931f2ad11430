"""What `test_checkpoints.py` runs in a process of its own: fits that are killed, and resumed."""

import itertools
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.testing import assert_array_equal

from skrnn import RNNClassifier

PARAMS = {
    "hidden_size": 3,
    "max_epochs": 10,
    "batch_size": 8,
    "n_estimators": 2,
    "dropout": 0.2,
    "early_stopping": True,
    "weight_averaging": "ema",
    "random_state": 0,
    "n_threads": 1,
}
#: What writing and removing files consists of.
CALLS = ("open", "chmod", "fsync", "replace", "unlink", "rmdir")


def data() -> tuple[list[np.ndarray], np.ndarray]:
    """Return 24 sequences of 2 to 9 steps with two labels."""
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(n_steps, 2)) for n_steps in rng.integers(2, 10, size=24)]
    return X, np.arange(24) % 2


def fitted(folder: Path | None, resume: bool | str = False) -> RNNClassifier:
    """Return a fitted classifier that keeps its checkpoints in a folder."""
    return RNNClassifier(**PARAMS, checkpoint_dir=folder).fit(*data(), resume=resume)


def watched(heard: Callable[[str, tuple], None]) -> dict[str, Any]:
    """Let a function hear of every call that a file is written or removed with."""
    before = {name: getattr(os, name) for name in CALLS}

    def hearing(name: str) -> Callable:
        def call(*args: Any, **kwargs: Any) -> Any:
            heard(name, args)
            return before[name](*args, **kwargs)

        return call

    for name in CALLS:
        setattr(os, name, hearing(name))
    return before


def number_of_calls(folder: Path) -> tuple[int, float]:
    """Return how many of these calls a whole fit makes, and its seconds."""
    heard: list[str] = []
    start = time.monotonic()
    before = watched(lambda name, args: heard.append(name))
    fitted(folder)
    vars(os).update(before)
    return len(heard), time.monotonic() - start


def die_in_call(number: int, share: float) -> None:
    """Be killed at the call of this number, a file that is being written with a part in it."""
    numbers = itertools.count()

    def heard(name: str, args: tuple) -> None:
        if next(numbers) < number:
            return
        if name == "fsync":
            with suppress(OSError):  # of a directory
                os.ftruncate(args[0], int(share * os.fstat(args[0]).st_size))
        os.kill(os.getpid(), signal.SIGKILL)

    watched(heard)


def killed(folder: Path, begin: Callable[[], None], seconds: float | None) -> bool:
    """Fit in a forked process until it is killed; False if the fit was faster."""
    child = os.fork()
    if child == 0:
        try:
            begin()
            fitted(folder, resume="auto")
        finally:
            os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1] == signal.SIGKILL


def same(one: RNNClassifier, other: RNNClassifier) -> bool:
    """Whether two fits have the same weights, draws and history, to the last bit."""
    try:
        for a, b in zip(one.nets_, other.nets_, strict=True):
            for name, value in a.module_.state_dict().items():
                assert_array_equal(value, b.module_.state_dict()[name], strict=True)
            assert_array_equal(a.random_state_.get_state()[1], b.random_state_.get_state()[1])
            rows = [[{**row, "dur": 0, "batches": 0} for row in net.history] for net in (a, b)]
            assert rows[0] == rows[1]
    except AssertionError:
        return False
    return True


def main(base: Path, n_kills: int) -> None:
    """Write a row per kill: when it came, what it left behind, and how the resumed fit ended."""
    rng = random.Random()
    straight = fitted(None)
    # Twice, as the machine may have had something else to do.
    (n_calls, first), (_, second) = (number_of_calls(base / "whole") for _ in range(2))
    seconds = min(first, second)
    found: list[dict[str, Any]] = []
    while len(found) < n_kills:
        folder = base / str(len(found))
        number, moment = rng.randrange(n_calls), rng.uniform(0, seconds)
        in_write = len(found) % 2 == 0
        if in_write:
            share = rng.random()
            died = killed(folder, lambda n=number, s=share: die_in_call(n, s), None)
        else:
            died = killed(folder, lambda: None, moment)
        if not died:
            continue
        left = [path.name for path in folder.rglob("*.safetensors*")]
        found.append(
            {
                "at": f"call {number}" if in_write else f"{moment:.3f} s",
                "files": left,
                "same": same(fitted(folder, resume="auto"), straight),
                "rest": [path.name for path in folder.rglob("*") if path.is_file()],
            }
        )
    (base / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
