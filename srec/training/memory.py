"""How a process that trains is given its memory, and how its threads wait."""

import ctypes
import os
import sys
from typing import Final

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h

ENVIRONMENT: Final = {
    # Threads wait for each other asleep, not spinning: on a shared machine up to 1.5 times faster.
    "OMP_WAIT_POLICY": "PASSIVE",
    # Large pages for large arrays: a step visits more small ones than a processor has addresses at hand.
    "THP_MEM_ALLOC_ENABLE": "1",
}


def ready_cpu() -> None:
    """Set the process up to train; before torch is imported. What the user has set stays."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Keep freed memory for the next step in place of returning it to the system.

    A step frees and takes arrays of the item table's size a dozen times. glibc asks the system for each, and
    every page is zeroed anew: a fifth of a step. Other C libraries are left as they are.
    """
    if sys.platform != "linux":
        return
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    if adjust is not None:
        adjust(M_MMAP_MAX, 0)
        adjust(M_TRIM_THRESHOLD, 2**31 - 1)
