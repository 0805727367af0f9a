"""What clients can do: hostile requests among good ones, slow clients, and very many good requests."""

import contextlib
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.faults.hostile import attack, unfinished
from tests.faults.measure import Course, Fault
from tests.waiting import LIMIT

ATTACKERS = 4
SLOW_CLIENTS = 60
HOSTILE = 10_000
REQUESTS = 200_000
WARM_UP = 0.1  # of these: caches, Java's compiler and heap settle


def hostile(course: Course, count: int) -> None:
    port = course.rig.service.port
    before = course.rig.workers()
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(ATTACKERS) as pool:
        for number in range(SLOW_CLIENTS):
            slow = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=LIMIT))
            slow.sendall(unfinished(number))
        statuses: Counter[int | None] = Counter()
        failed: list[bytes] = []
        for part, bad in pool.map(lambda seed: attack(port, count // ATTACKERS, seed), range(ATTACKERS)):
            statuses += part
            failed += bad
        course.go_on()
    assert course.rig.workers() == before, "a hostile request ended a worker"
    told = ", ".join(f"{status or 'closed'}: {n:,}" for status, n in sorted(statuses.items(), key=str))
    course.note = f"answers to them: {told}; {SLOW_CLIENTS} clients that never finish"
    assert not failed, f"{course.note}; the first 5xx is the answer to {failed[0][:300]!r}"


def many_requests(course: Course, count: int) -> None:
    course.load.wait_for(int(count * WARM_UP))
    before = course.rig.memory()
    course.load.wait_for(count)
    after = course.rig.memory()
    course.memory = (sum(before.values()), sum(after.values()))
    course.note = ", ".join(f"{part} {before[part]:.1f} to {after[part]:.1f} MB" for part in before)


def faults(hostile_requests: int, good_requests: int) -> tuple[Fault, Fault]:
    """The two, with as many requests."""
    return (
        Fault(f"{hostile_requests:,} hostile requests", lambda course: hostile(course, hostile_requests)),
        Fault(f"{good_requests:,} good requests", lambda course: many_requests(course, good_requests)),
    )
