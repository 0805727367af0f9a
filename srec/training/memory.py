"""How the C library hands out the large arrays of a training step."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


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
