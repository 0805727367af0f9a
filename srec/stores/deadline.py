"""A hard limit on how long a call may be waited for."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Deadline:
    """Runs calls one after the other on a thread of its own and waits for each no longer than a limit.

    Socket timeouts bound a single read or write. They bound neither a name lookup nor a login in four steps
    nor an answer that trickles in; waiting from outside bounds the sum. A call given up runs on to its own
    end, so a connection that was slow to open is there for a later call.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._executor: ThreadPoolExecutor | None = None
        self._process = os.getpid()

    def run(self, call: Callable[[], T]) -> T:
        """Return what ``call`` returns, raise what it raises, or ``TimeoutError`` after the limit."""
        future = self._thread().submit(call)
        try:
            return future.result(self.seconds)
        finally:
            future.cancel()  # still waiting behind an earlier call: nobody wants it any more

    def close(self) -> None:
        """Let the thread end after its present call."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None

    def _thread(self) -> ThreadPoolExecutor:
        """Make the thread when first needed, and anew in a forked process, which inherits none."""
        if self._executor is None or self._process != os.getpid():
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="srec-store")
            self._process = os.getpid()
        return self._executor
