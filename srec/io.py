"""Writes that are whole or absent, and digests of what was written."""

import contextlib
import ctypes
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from srec.errors import DataError

AT_FDCWD = -100  # paths are relative to the working folder
RENAME_EXCHANGE = 2


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success it replaces ``path`` in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        _flush(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside ``path``; on success it takes the place of ``path``.

    Whatever stood at ``path`` stays untouched until the new folder is complete. On Linux's usual file
    systems there is a complete one at every moment, whenever the process is killed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield temporary
        temporary.chmod(0o755)
        if not path.exists():
            temporary.rename(path)
        elif not _exchange(temporary, path):
            _replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, whole or not at all."""
    with new_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file that srec wrote; a missing or damaged one is a ``DataError``."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise DataError(f"{path} is missing: the step that writes it did not finish; run it again") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is damaged ({error}): run the step that writes it again") from None


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def file_stamp(path: Path) -> list[int] | None:
    """Size and time of a path's last change, to know it again unread; None for a URL or what is missing."""
    if not path.exists():
        return None
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def digest_of(digests: dict[str, str]) -> str:
    """One digest for a set of files, given ``{name: digest}``; independent of the order."""
    return hashlib.sha256(json.dumps(sorted(digests.items())).encode()).hexdigest()


def _exchange(one: Path, other: Path) -> bool:
    """Let two paths change places in one step; False where the system or the file system cannot.

    Linux's renameat2(2), which Python does not offer.
    """
    with contextlib.suppress(AttributeError):  # another C library
        exchange = ctypes.CDLL(None).renameat2
        failed = exchange(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE)
        return not failed
    return False


def _replace(new: Path, path: Path) -> None:
    """Put ``new`` in the place of ``path`` in two steps; what was there returns where the second fails."""
    old = new.with_name(new.name + ".old")
    try:
        path.rename(old)
        new.rename(path)
    except BaseException:
        if old.exists() and not path.exists():
            old.rename(path)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
