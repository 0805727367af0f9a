"""The private folder of one run of the servers."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The servers' Unix sockets live in it, whose paths the kernel limits to 107 bytes; and its name stands in
# property files and in a regular expression, so it may hold nothing that needs escaping there.
_USABLE = re.compile(r"[A-Za-z0-9/_-]{1,80}")


@contextmanager
def run_folder() -> Iterator[Path]:
    """A new folder that only this user can enter, removed with all it holds at the end.

    It lies in the system's temporary folder, or in /tmp if that one's path is long or unusual.
    """
    usual = Path(tempfile.gettempdir()).resolve()
    folder = Path(tempfile.mkdtemp(prefix="srec-", dir=usual if _USABLE.fullmatch(str(usual)) else "/tmp"))  # noqa: S108
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
