"""Atomic: a file is written whole or not at all, whatever happens in between."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # pragma: no cover - there is none on Windows
    fcntl = None  # type: ignore[assignment]

# End of the names of files that are being written.
TEMPORARY = ".skrnn-tmp"


def write_atomically(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file so that at any moment the old or the new one is there, and never a part.

    Parameters
    ----------
    path : str or path-like
        The file. One that exists is replaced and hands on its mode; a link stays a link.

    content : bytes
        What it is to hold.

    Raises
    ------
    OSError
        If it cannot be written; what was there before is left as it was.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(f"{os.fspath(path)!r} is a directory; give the name of a file.")
    # The system would name the temporary file.
    if not target.parent.exists():
        raise FileNotFoundError(
            f"{os.fspath(path)!r} cannot be written: there is no folder "
            f"{os.fspath(target.parent)!r}; make it first."
        )
    remove_stale(target)
    with _temporary(target) as (descriptor, temporary):
        with contextlib.suppress(FileNotFoundError):
            os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
        with open(descriptor, "wb", closefd=False) as stream:
            stream.write(content)
        os.fsync(descriptor)
        if fcntl is None:  # pragma: no cover - Windows moves no open file
            os.close(descriptor)
        os.replace(temporary, target)
    _sync_directory(target.parent)


def remove_stale(target: Path) -> None:
    """Remove what writers of this file left behind when they were killed."""
    start = f".{target.name}."
    with contextlib.suppress(OSError):
        for name in os.listdir(target.parent):
            if name.startswith(start) and name.endswith(TEMPORARY):
                _remove_if_left(target.parent / name)


@contextlib.contextmanager
def _temporary(target: Path) -> Iterator[tuple[int, Path]]:
    """A new file beside the target, locked for as long as its writer lives."""
    while True:
        path = target.with_name(f".{target.name}.{secrets.token_hex(8)}{TEMPORARY}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        descriptor = os.open(path, flags, 0o666)
        _lock(descriptor)
        # Somebody may have taken it for stale before it was locked.
        if path.exists():
            break
        os.close(descriptor)
    try:
        yield descriptor, path
    finally:
        with contextlib.suppress(OSError):
            os.close(descriptor)
        with contextlib.suppress(OSError):
            path.unlink()


def locked(path: Path) -> int | None:
    """Open and lock a file, made if it is not there; None where somebody else holds it.

    Whoever closes it, or dies, lets it go.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    if fcntl is not None and not _lock(descriptor):
        os.close(descriptor)
        return None
    return descriptor


def _lock(descriptor: int) -> bool:
    """Lock a file; False where another process, or another open file of this one, holds it."""
    if fcntl is None:  # pragma: no cover - Windows removes no open file
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system without locks: nobody can tell a stale file from one being written.
        return False
    return True


def _remove_if_left(path: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDWR)
        try:
            if _lock(descriptor):
                path.unlink()
        finally:
            os.close(descriptor)


def _sync_directory(directory: Path) -> None:
    """Make a new name last; not every system can."""
    flag: Any = getattr(os, "O_DIRECTORY", None)
    if flag is None:  # pragma: no cover - Windows
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | flag)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
