"""When requests are due, and who sends them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srec.errors import InputError
from srec.loadtest.schedule import Arrivals, Step, steps_from_text, steps_to_text
from tests.loadtest.small import drained


@given(
    st.lists(st.tuples(st.floats(0.5, 20), st.floats(1, 200)), min_size=1, max_size=4),
    st.integers(1, 5),
)
def test_processes_share_all_arrivals_evenly(loads: list[tuple[float, float]], workers: int) -> None:
    steps = [Step(seconds, rate) for seconds, rate in loads]
    whole = drained(Arrivals(steps))
    parts = [drained(Arrivals(steps, worker, workers)) for worker in range(workers)]
    assert sorted(due for part in parts for due in part) == whole
    assert len(whole) == pytest.approx(sum(s * r for s, r in loads), abs=len(loads))
    assert steps_from_text(steps_to_text(steps)) == tuple(steps)


def test_a_step_owes_its_rate_exactly() -> None:
    assert len(drained(Arrivals([Step(5, 1000.0), Step(30, 1000.0)]))) == 35_000


def test_backlog_ends_with_its_step_and_a_closed_loop_with_the_clock() -> None:
    arrivals = Arrivals([Step(1, 100.0), Step(1, 10.0), Step(1, None)])
    assert arrivals.take(0.0) == 0.0
    assert arrivals.take(0.9) == pytest.approx(0.01), "late, but still owed"
    assert arrivals.take(1.0) == pytest.approx(1.0), "98 arrivals of the first step are dropped"
    assert arrivals.take(2.5) == 2.5
    assert arrivals.take(3.0) is None


@pytest.mark.parametrize(
    "text", ["30", "30@fast", "0@10", "-1@max", "5@0", "nan@5", "5@inf", "5@1:0", "5@max:9", "+5@1:x"]
)
def test_unreadable_steps_say_how_to_write_them(text: str) -> None:
    with pytest.raises(InputError, match="write SECONDS@RATE, SECONDS@RATE:RATE or SECONDS@max"):
        steps_from_text(f"5@max {text}")
