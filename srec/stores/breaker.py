"""A circuit breaker: what fails is left alone for a while, and longer each time (M. Nygard, Release It!)."""

import threading
import time
from collections.abc import Callable
from enum import StrEnum


class BreakerState(StrEnum):
    """Whether calls pass."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Lets calls pass until one fails; then, after a pause, one probe at a time until one succeeds.

    The pause doubles with every failure in a row, up to a limit. A probe of which nothing is heard within
    the present pause counts as lost, and the next one passes. May be used from several threads.

    Args:
        pause: seconds after the first failure.
        longest_pause: seconds that a pause never exceeds.
        clock: seconds, monotonic.
    """

    def __init__(
        self, pause: float = 0.5, longest_pause: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.state = BreakerState.CLOSED
        self._first_pause = pause
        self._longest_pause = longest_pause
        self._clock = clock
        self._pause = pause
        self._probe_at = 0.0
        self._lock = threading.Lock()

    def admits(self) -> bool:
        """Whether the caller may go ahead; if so, it tells how that went."""
        with self._lock:
            if self.state is BreakerState.CLOSED:
                return True
            now = self._clock()
            if now < self._probe_at:
                return False
            self.state = BreakerState.HALF_OPEN
            self._probe_at = now + self._pause
            return True

    def succeeded(self) -> None:
        """A call that was let through did what it should."""
        with self._lock:
            self.state = BreakerState.CLOSED
            self._pause = self._first_pause

    def failed(self) -> None:
        """A call that was let through failed."""
        with self._lock:
            if self.state is BreakerState.HALF_OPEN:
                self._pause = min(2 * self._pause, self._longest_pause)
            self.state = BreakerState.OPEN
            self._probe_at = self._clock() + self._pause
