"""Breaker: one probe at a time, pauses that double up to a limit, closed again at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given, settings
from hypothesis import strategies as st

from srec.stores.breaker import Breaker
from tests.stores.conftest import PATIENCE, Clock


def test_closed_admits_everything() -> None:
    breaker = Breaker(clock=Clock(0.0))
    assert [breaker.admits() for _ in range(3)] == [True] * 3
    breaker.succeeded()
    assert breaker.state == "closed"


def test_pauses_double_up_to_the_limit_and_begin_anew_after_a_success() -> None:
    clock = Clock(0.0)
    breaker = Breaker(pause=1.0, longest_pause=5.0, clock=clock)
    breaker.failed()
    for pause in (1.0, 2.0, 4.0, 5.0, 5.0):
        assert breaker.state == "open"
        began = clock.now
        clock.now = began + pause * 0.99
        assert not breaker.admits()
        clock.now = began + pause
        assert breaker.admits()
        assert breaker.state == "half-open"
        breaker.failed()
    clock.now += 5.0
    assert breaker.admits()
    breaker.succeeded()
    assert breaker.admits()
    breaker.failed()
    clock.now += 1.0
    assert breaker.admits()


def test_a_failure_that_comes_late_does_not_lengthen_the_pause() -> None:
    """Two calls were let through while it was closed, and both failed: one failure in a row."""
    clock = Clock(0.0)
    breaker = Breaker(pause=1.0, clock=clock)
    breaker.failed()
    breaker.failed()
    clock.now = 1.0
    assert breaker.admits()


def test_a_probe_of_which_nothing_is_heard_is_followed_by_another() -> None:
    clock = Clock(0.0)
    breaker = Breaker(pause=1.0, clock=clock)
    breaker.failed()
    clock.now = 1.0
    assert breaker.admits()
    assert not breaker.admits()
    clock.now = 2.0
    assert breaker.admits()


def test_of_many_threads_one_probes() -> None:
    clock = Clock(0.0)
    breaker = Breaker(pause=1.0, clock=clock)
    breaker.failed()
    clock.now = 1.0
    together = threading.Barrier(8)

    def ask(_: int) -> bool:
        together.wait(PATIENCE)
        return breaker.admits()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(8))) == 1


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 20), st.booleans()), max_size=60))
def test_whatever_happens_no_pause_exceeds_the_limit(events: list[tuple[float, bool]]) -> None:
    clock = Clock(0.0)
    breaker = Breaker(pause=0.5, longest_pause=10.0, clock=clock)
    for wait, works in events:
        clock.now += wait
        admitted = breaker.admits()
        assert admitted or wait < 10.0
        if admitted:
            breaker.succeeded() if works else breaker.failed()
