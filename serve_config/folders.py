"""The private folder of one run of the servers."""

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# The servers' Unix sockets live in it, whose paths the kernel limits to 107 bytes; and its name stands in
# property files and in a regular expression, so it may hold nothing that needs escaping there.
_USABLE = re.compile(r"[A-Za-z0-9/_-]{1,80}")
_OWNER = "owner.lock"


@contextmanager
def run_folder() -> Iterator[Path]:
    """A new folder that only this user can enter, removed with all it holds at the end.

    It lies in ``temporary_folder``. Folders there whose owner was killed before it could remove them are
    removed first.
    """
    parent = temporary_folder()
    remove_stale(parent)
    folder = Path(tempfile.mkdtemp(prefix="srec-", dir=parent))
    try:
        with (folder / f"new-{_OWNER}").open("w") as lock:
            # The kernel lifts it when this process ends, however it ends.
            fcntl.flock(lock, fcntl.LOCK_EX)
            (folder / f"new-{_OWNER}").rename(folder / _OWNER)  # seen by others only when it is locked
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def temporary_folder() -> Path:
    """The system's temporary folder, or /tmp if that one's path is long or unusual."""
    usual = Path(tempfile.gettempdir()).resolve()
    return usual if _USABLE.fullmatch(str(usual)) else Path("/tmp")  # noqa: S108


def remove_stale(parent: Path) -> None:
    """Remove this user's run folders in ``parent`` that no living process owns."""
    for lock in parent.glob(f"srec-*/{_OWNER}"):
        with suppress(OSError), lock.open() as handle:
            if lock.stat().st_uid == os.getuid():
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
