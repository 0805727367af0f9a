"""How a process that trains is given its memory, and how its threads wait."""

import ctypes
import os
import sys
from typing import Final

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h
MADV_HUGEPAGE = 14  # of Linux's mman.h
HEAP = 3 << 29  # bytes at the start of the heap that may lie in large pages
LARGE_PAGE = 1 << 21

ENVIRONMENT: Final = {
    # Threads wait for each other asleep, not spinning: on a shared machine up to 1.5 times faster.
    "OMP_WAIT_POLICY": "PASSIVE",
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
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_MAX, 0)
        library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        _use_large_pages(library)


def _use_large_pages(library: ctypes.CDLL) -> None:
    """Let the heap's next part lie in large pages: a step visits more small ones than a processor can hold.

    Taken and given back at once, it stays with the heap; no page of it is there before it is written.
    """
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes = [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    address = library.malloc(HEAP)
    if address:
        first = -(-address // LARGE_PAGE) * LARGE_PAGE
        library.madvise(first, address + HEAP - first, MADV_HUGEPAGE)
        library.free(address)
