"""One fault under load, and what came of it: a row of the table."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.faults.load import CONNECTIONS, Load, Outcome
from tests.faults.questions import Question
from tests.faults.rig import Rig
from tests.waiting import wait_until


@dataclass(frozen=True)
class Row:
    """Requests by outcome, seconds, megabytes."""

    fault: str
    load: str
    requests: int = 0
    right: int = 0
    wrong: int = 0
    refused: int = 0
    """Clear 503s."""
    failed: int = 0
    """500s and 507s by TorchServe itself."""
    broken: int = 0
    error_seconds: float = 0.0
    """From the first request without a right answer to the last."""
    recovery_seconds: float | None = None
    """From the fault's end (or, where a part dies, from the fault) until all was as before."""
    memory_before: float | None = None
    memory_after: float | None = None
    note: str = ""


class Course:
    """What a fault is made with: the service, the load on it, and how long each stretch lasts.

    Attributes:
        stretch: requests to wait for before, during and after the fault.
        note: for the row.
    """

    def __init__(self, rig: Rig, load: Load, stretch: int) -> None:
        self.rig = rig
        self.load = load
        self.stretch = stretch
        self.note = ""
        self.recovery_seconds: float | None = None
        self._over = time.monotonic()
        self.memory: tuple[float, float] | None = (
            None  # only where before and after are not those of the whole
        )

    def go_on(self) -> None:
        """Let the load go on for a stretch."""
        self.load.wait_for(self.stretch)

    def over(self) -> None:
        """From now on nothing hinders the recovery."""
        self._over = time.monotonic()

    def recover(self, true: Callable[[], bool], what: str) -> None:
        """Wait until the service is as before, and note how long it took since ``over``."""
        wait_until(true, what)
        self.recovery_seconds = time.monotonic() - self._over


@dataclass(frozen=True)
class Fault:
    """A row's name, and what to do: make the fault, undo it where a person would, wait for the recovery."""

    name: str
    make: Callable[[Course], None]


def measure(fault: Fault, rig: Rig, questions: Sequence[Question], stretch: int) -> Row:
    """Make ``fault`` on a healthy ``rig`` under load; a stretch of good requests before and after it."""
    wait_until(rig.ready, "a healthy service")
    before = resident(rig)
    with Load(rig.service.port, questions) as load:
        course = Course(rig, load, stretch)
        course.go_on()
        fault.make(course)
        if rig.service.process.poll() is None:
            course.go_on()
    after = resident(rig)
    before, after = course.memory or (before, after)
    note = "; ".join(filter(None, (course.note, *load.shown[:1])))
    return Row(
        fault=fault.name,
        load=f"{CONNECTIONS} connections",
        requests=load.requests,
        right=load.seen[Outcome.RIGHT],
        wrong=load.seen[Outcome.WRONG],
        refused=load.seen[Outcome.REFUSED],
        failed=load.seen[Outcome.FAILED],
        broken=load.seen[Outcome.BROKEN],
        error_seconds=round(load.error_seconds, 2),
        recovery_seconds=None if course.recovery_seconds is None else round(course.recovery_seconds, 2),
        memory_before=before and round(before, 1),
        memory_after=after and round(after, 1),
        note=note,
    )


def resident(rig: Rig) -> float | None:
    """Megabytes of all its processes, None where it has ended."""
    return sum(rig.memory().values()) if rig.service.process.poll() is None else None
