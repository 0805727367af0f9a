"""Start a server in a session of its own, and end it with everything it started."""

import contextlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import psutil

from srec.errors import HostError

_FOLLOW_PARENT = Path(__file__).with_name("follow_parent.py")


def start(
    command: list[str],
    *,
    folder: Path,
    output: IO[bytes],
    errors: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start ``command`` (an absolute path and arguments) in ``folder`` as leader of a new session.

    A Ctrl-C of the terminal does not reach it, so its owner decides the order of the end; on Linux it
    gets SIGTERM should its owner die without a chance to. Its output goes to ``output``, its error output
    to the descriptor ``errors`` or the same.
    """
    if sys.platform == "linux":
        command = [sys.executable, "-I", "-S", str(_FOLLOW_PARENT), str(os.getpid()), *command]
    try:
        return subprocess.Popen(  # noqa: S603 (callers in this package build the command)
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if errors is None else errors,
            start_new_session=True,
        )
    except OSError as error:
        raise HostError(f"{command[0]} cannot be started ({error}): check that it is executable") from None


def limit_open_files(pid: int, most: int) -> None:
    """Let a process, and those that it starts from now on, have no more files and connections (Linux)."""
    if sys.platform == "linux":
        _, allowed = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        most = most if allowed == resource.RLIM_INFINITY else min(most, allowed)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))


def stop(process: subprocess.Popen[bytes], *, grace: float, limit: float = 3.0) -> None:
    """End ``process`` and its whole group: SIGTERM, after ``grace`` seconds SIGKILL.

    Returns once none is left, or after ``limit`` seconds more if the kernel holds one back.
    """
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    deadline = time.monotonic() + limit
    while members(process.pid) and time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.poll()
        time.sleep(0.02)


def members(group: int) -> list[int]:
    """The living processes of a process group; a dead one that nobody has collected does not count."""
    return [pid for pid in psutil.pids() if _group_of(pid) == group and _living(pid)]


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _living(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
