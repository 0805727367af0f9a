"""Wait on a condition, never for a fixed time."""

import time
from collections.abc import Callable

LIMIT = 120.0  # generous: a busy machine may be slow, and only then is it reached


def wait_until(condition: Callable[[], object], what: str = "it", limit: float = LIMIT) -> None:
    """Return once ``condition`` holds; fail after ``limit`` seconds."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {limit:g} s"
        time.sleep(0.05)
