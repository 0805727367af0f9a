"""One process at a time."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from srec.errors import SrecError


@contextmanager
def held(path: Path, busy: SrecError) -> Iterator[None]:
    """Hold the lock file ``path``, made where it is missing; ``busy`` is raised where another holds it.

    The kernel lifts it when the process ends, however it ends.
    """
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise busy from None
        yield
