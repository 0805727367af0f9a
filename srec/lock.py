"""One process at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from srec.errors import SrecError


@contextmanager
def held(path: Path, busy: SrecError) -> Iterator[None]:
    """Hold the lock file ``path``, made where it is missing; ``busy`` is raised where another holds it.

    The kernel lifts it when the process ends, however it ends.
    """
    with path.open("w") as file:
        try:
            lock(file.fileno())
        except BlockingIOError:
            raise busy from None
        yield


def locked(path: Path) -> int:
    """Lock a file or folder that is there; returns the descriptor that holds the lock until it is closed.

    ``OSError`` where another holds it.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        lock(descriptor)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def lock(descriptor: int) -> None:
    """Take the lock of an open file or folder; ``BlockingIOError`` where another holds it."""
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
