"""Stop requests (Ctrl-C, SIGTERM, a closed terminal) that cannot cut a clean-up short."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """A person or a supervisor asked for the end; no error, so not an ``Exception``."""


class StopSignals:
    """While entered, stop signals are noted, and raise ``Stopped`` only inside ``interruptible``.

    Starting and stopping processes happens outside of it, so no child can be lost between its start and
    the note of it, and any further Ctrl-C changes nothing there. Main thread only, as Python's signals are.
    """

    def __init__(self) -> None:
        self._noted = False
        self._open = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for one in _SIGNALS:
            before = signal.getsignal(one)
            if one is signal.SIGHUP and before is signal.SIG_IGN:
                continue  # started by nohup
            self._before[one] = before
            signal.signal(one, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one, before in self._before.items():
            signal.signal(one, before)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Raise ``Stopped`` in this block as soon as a signal comes, at once if one came since the last."""
        # First open, then look: a signal between the two is raised, not lost.
        self._open = True
        try:
            if self._noted:
                self._raise()
            yield
        finally:
            self._open = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._noted = True
        if self._open:
            self._raise()

    def _raise(self) -> None:
        """Once for a signal, so that the way out of the block is not cut by the next."""
        self._open = self._noted = False
        raise Stopped
