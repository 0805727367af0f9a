"""Replace this process by a command that ends when its parent does: PARENT_PID COMMAND...

Run as a script, in place of a ``preexec_fn``, which is unsafe in a program with threads. Linux only. The
kernel's promise holds for the thread that started the command: it must be one that lives as long.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Ask for SIGTERM at the parent's death, then become ``command``."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)  # it died before the request was made
    os.execv(command[0], command)  # noqa: S606 (the very point: no shell, no further process)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
