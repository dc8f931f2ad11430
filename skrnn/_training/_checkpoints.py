"""Checkpoints: a training is written down after every epoch, and goes on from there after a kill.

A fit has a folder of its own in the directory of the user, named by its parameters and data. In it
is one file per finished network of the ensemble, and the last epochs of the one being trained.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skrnn._persistence import (
    Decoder,
    Encoder,
    locked,
    pack,
    unpack,
    write_atomically,
)
from skrnn._training._processes import Alone
from skrnn._training._snapshots import net_state, plain, set_net_state

# The newest file may be the one that a broken disk has lost.
KEPT_EPOCHS = 2
# Parameters that change no number of a training.
_FREE = frozenset({"accelerator", "checkpoint_dir", "n_jobs", "resume", "verbose", "warm_start"})


class Checkpoints:
    """The folder of one fit.

    Parameters
    ----------
    directory : str or path-like
        Where folders of fits are.

    parameters : mapping of str to object
        Of the estimator.

    data : mapping of str to ndarray or None
        All that the fit reads, by what it is called.

    resume : bool or "auto"
        Whether to go on with what is there: True needs something to be there.

    processes : Alone
        Those that train together. The first one writes.

    seed : int
        Seed of a training that begins anew; one that goes on has the seed it was begun with.

    Attributes
    ----------
    seed : int
        Seed of the training.

    split : str
        Which samples are trained on, and which are held out; to be set by whoever knows.

    Raises
    ------
    OSError
        If the directory cannot be written to.

    ValueError
        If there is nothing to resume, or something else.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        parameters: Mapping[str, Any],
        data: Mapping[str, NDArray | None],
        resume: bool | str,
        processes: Alone,
        seed: int,
    ) -> None:
        self.processes, self.seed, self.split = processes, seed, ""
        self.identity = {
            "parameters": {k: _described(v) for k, v in parameters.items() if k not in _FREE},
            "data": {name: _digest(array) for name, array in data.items()},
        }
        self._base = Path(directory)
        self._base.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.identity, sort_keys=True).encode()
        self._name = f"fit-{hashlib.sha256(text).hexdigest()[:16]}"
        self._lock = contextlib.ExitStack()
        self.folder = self._own_folder()
        if resume and self._find_seed():
            return
        if resume is True:
            self.close()
            raise ValueError(self._nothing_to_resume())
        self._clear()

    def _own_folder(self) -> Path:
        """Folder of this fit, or one beside it while another process does the same."""
        number = 0
        if self.processes.rank == 0:
            while not self._lock_folder(number):
                number += 1
        number = int(self.processes.agreed(number))
        return self._folder(number)

    def _folder(self, number: int) -> Path:
        return self._base / (f"{self._name}-{number}" if number else self._name)

    def _lock_folder(self, number: int) -> bool:
        folder = self._folder(number)
        folder.mkdir(exist_ok=True)
        lock = locked(folder / "lock")
        if lock is None:
            return False
        self._lock.callback(os.close, lock)
        return True

    def _clear(self) -> None:
        if self.processes.rank == 0:
            for path in self.folder.glob("*.safetensors"):
                path.unlink()

    def __enter__(self) -> Checkpoints:
        return self

    def __exit__(self, kind: Any, *details: Any) -> None:
        if kind is None:
            self.remove()
        else:
            self.close()

    def close(self) -> None:
        """Let others have the folder."""
        self._lock.close()

    def remove(self) -> None:
        """Remove the folder of a fit that has ended."""
        if self.processes.rank == 0:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.close()

    # -- reading ------------------------------------------------------------------------------

    def _find_seed(self) -> bool:
        paths = sorted(self.folder.glob("*.safetensors"), reverse=True)
        for path in paths:
            with contextlib.suppress(ValueError, OSError):
                self.seed = int(_read(path)["seed"])
                return True
        if paths:
            self.close()
            raise ValueError(
                f"no checkpoint in {os.fspath(self.folder)!r} can be read; remove it and fit anew "
                "with resume=False."
            )
        return False

    def _nothing_to_resume(self) -> str:
        """Say what the checkpoints that are there were written for."""
        where = os.fspath(self._base)
        paths = sorted(self._base.glob("fit-*/*.safetensors"), key=os.path.getmtime, reverse=True)
        for path in paths:
            with contextlib.suppress(ValueError, OSError):
                return _difference(where, _read(path)["identity"], self.identity)
        return (
            f"there is no checkpoint in checkpoint_dir={where!r}; fit with resume=False, or with "
            "resume='auto', which begins anew where there is none."
        )

    def _member(self, number: int) -> Path:
        return self.folder / f"member-{number:03d}.safetensors"

    def _epochs(self, member: int) -> list[Path]:
        """Files of the epochs of a network, the newest first."""
        return sorted(self.folder.glob(f"member-{member:03d}-epoch-*"), reverse=True)

    def _newest(self, paths: list[Path]) -> Any:
        """State in the first of some files that is whole; None if there is none."""
        for path in paths:
            try:
                found = _read(path)
            except (ValueError, OSError) as error:
                warnings.warn(
                    f"the checkpoint {os.fspath(path)!r} cannot be read ({error}); the one before "
                    "it is taken.",
                    UserWarning,
                    stacklevel=2,
                )
                continue
            if found["split"] != self.split:
                raise ValueError(
                    "the checkpoint was written for another validation part; pass the same data "
                    "in validation_split, or a splitter with an integer random_state."
                )
            return found["state"]
        return None

    # -- of one network -----------------------------------------------------------------------

    def finished(self, member: int) -> Any:
        """State of a net whose training had ended; None if it had not."""
        path = self._member(member)
        return self._newest([path]) if path.exists() else None

    def begun(self, member: int) -> Any:
        """State of a training after its last whole epoch; None if it had none."""
        return self._newest(self._epochs(member))

    def finish(self, member: int, state: Any) -> None:
        """Write down a net whose training has ended."""
        self._write(self._member(member), state)
        self._forget(self._epochs(member))

    def keep(self, member: int, epoch: int, state: Any) -> None:
        """Write down a training after an epoch, and forget those long before."""
        self._write(self.folder / f"member-{member:03d}-epoch-{epoch:06d}.safetensors", state)
        self._forget(self._epochs(member)[KEPT_EPOCHS:])

    def _write(self, path: Path, state: Any) -> None:
        if self.processes.rank > 0:
            return
        encoder = Encoder()
        node = encoder.encode(plain(state), ())
        document = {
            "identity": self.identity,
            "split": self.split,
            "seed": self.seed,
            "state": node,
            "objects": encoder.objects,
        }
        write_atomically(path, pack(document, encoder.tensors))

    def _forget(self, paths: list[Path]) -> None:
        if self.processes.rank == 0:
            for path in paths:
                path.unlink(missing_ok=True)


class MemberCheckpoints:
    """The checkpoints of one network of a fit.

    Parameters
    ----------
    checkpoints : Checkpoints
        Those of the fit.

    member : int
        Number of the network.
    """

    def __init__(self, checkpoints: Checkpoints, member: int) -> None:
        self._all = checkpoints
        self._which = member

    def restore(self, net: Any) -> bool:
        """Make a net what it was when its training had ended; False if it had not."""
        state = self._all.finished(self._which)
        if state is not None:
            set_net_state(net, state)
        return state is not None

    def finish(self, net: Any) -> None:
        """Write down a net whose training has ended."""
        self._all.finish(self._which, net_state(net))

    def begun(self) -> Any:
        """State of the training after its last whole epoch; None if it had none."""
        return self._all.begun(self._which)

    def keep(self, epoch: int, state: Any) -> None:
        """Write down the training after an epoch."""
        self._all.keep(self._which, epoch, state)


# -- details ----------------------------------------------------------------------------------


def _read(path: Path) -> dict[str, Any]:
    document, tensors = unpack(path)
    try:
        state = Decoder(document["objects"], tensors).decode(document["state"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("it is no checkpoint") from error
    return {**document, "state": state}


def _difference(where: str, written: dict[str, Any], here: dict[str, Any]) -> str:
    start = f"the checkpoint in checkpoint_dir={where!r} was written for"
    then, now = written["parameters"], here["parameters"]
    for name in now:
        if then.get(name) != now[name]:
            return (
                f"{start} {name}={then.get(name)}, and this fit has {name}={now[name]}; set it "
                "back, or fit with resume=False."
            )
    then, now = written["data"], here["data"]
    for name in [*now, *then]:
        if then.get(name) != now.get(name):
            return f"{start} other data: {name} is not the same; fit with resume=False."
    return f"{start} the same fit, which is going on in another process."


def _described(value: Any) -> str:
    """A parameter in words that are the same in every process."""
    if isinstance(value, np.ndarray):
        return f"array {_digest(value)}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_described(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k!r}: {_described(v)}" for k, v in value.items()) + "}"
    if hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    text = repr(value)
    # The usual text of an object names its place in memory.
    return type(value).__qualname__ if " at 0x" in text else text


def _digest(array: NDArray | None) -> str:
    digest = hashlib.sha256()
    if array is not None:
        array = np.asarray(array)
        digest.update(f"{array.dtype} {array.shape}".encode())
        plain = array.dtype.kind in "biufmM"
        content = np.ascontiguousarray(array).tobytes() if plain else repr(array.tolist()).encode()
        digest.update(content)
    return digest.hexdigest()[:32]


def digest_of(arrays: Mapping[str, NDArray | None]) -> str:
    """One text that differs where any of the arrays does."""
    return "-".join(_digest(array)[:8] for array in arrays.values())
