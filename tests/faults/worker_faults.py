"""What can happen to a worker: TorchServe answers its batch with a 500 and starts another."""

import psutil

from tests.faults.measure import Course, Fault


def killed(course: Course) -> None:
    lost = course.rig.workers()[0]
    psutil.Process(lost).kill()
    course.over()
    _recover(course, lost)


def hung(course: Course) -> None:
    """Its batch fails after the response limit; what waits in the queue, the other worker answers."""
    lost = course.rig.workers()[0]
    psutil.Process(lost).suspend()
    course.over()
    _recover(course, lost)


FAULTS = (
    Fault("worker killed (SIGKILL)", killed),
    Fault("worker hung (SIGSTOP), response limit 2 s", hung),
)


def _recover(course: Course, lost: int) -> None:
    course.recover(
        lambda: lost not in (ready := course.rig.workers()) and len(ready) == 2 and course.rig.ready(),
        "two workers",
    )
