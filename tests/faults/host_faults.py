"""What can happen to the machine and the process: a full disk, a stop while requests are in flight."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from srec.serve_config import client
from tests.faults.measure import Course, Fault
from tests.waiting import LIMIT, wait_until

DISK_MB = 64
_FULL = "full"


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[str]:
    """A small file system in memory at ``folder``; yields why there is none, or nothing."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        reason = done.stderr.strip() if done.returncode else ""
    except OSError as error:
        reason = str(error)
    try:
        yield f"no file system can be mounted here ({reason})" if reason else ""
    finally:
        if not reason:
            subprocess.run(["umount", str(folder)], check=True)


def disk_full(course: Course) -> None:
    """Not a byte is left where the logs, the archive and the sockets are; every request writes a log line."""
    log = Path(course.rig.record["log_folder"]) / "requests.jsonl"
    wait_until(lambda: log.exists() and log.stat().st_size > 0, "lines in the request log")
    filler = course.rig.folder / _FULL
    with filler.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while stream.write(b"\0" * 4096):
            pass
    course.go_on()
    usage = os.statvfs(filler)
    course.note = f"{usage.f_bavail * usage.f_frsize} bytes free of {DISK_MB} MB"
    full = log.stat().st_size
    filler.unlink()
    course.over()
    course.recover(lambda: log.stat().st_size > full, "lines in the request log, again")


def terminated(course: Course) -> None:
    """SIGTERM; visitors stay away once `/ready` says so, as a load balancer sees to."""
    process = course.rig.service.process
    process.send_signal(signal.SIGTERM)
    wait_until(
        lambda: client.request("GET", f"{course.rig.record['operations_url']}/ready").status == 503, "drain"
    )
    course.load.stop()
    code = process.wait(LIMIT)
    left = course.rig.service.left_behind()
    course.note = f"exit code {code}, {len(left)} processes left"
    assert (code, left) == (0, [])


DISK = Fault("disk of the log folder full", disk_full)
SIGTERM = Fault("SIGTERM with requests in flight", terminated)
