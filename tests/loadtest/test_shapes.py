"""Shapes of load: which steps they are, when requests are due, and what is still owed."""

import math
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from srec.errors import InputError
from srec.loadtest import LoadSettings
from srec.loadtest.schedule import Arrivals, Step, steps_from_text, steps_to_text
from tests.loadtest.small import drained, settings_of

RATES = st.floats(1, 300)


def _settings(**values: Any) -> LoadSettings:
    return settings_of(**{"warmup_seconds": 0, **values})


@given(first=RATES, last=RATES, seconds=st.floats(1, 20), windows=st.integers(1, 12))
@example(first=1.0, last=1.0, seconds=1.0000000000000002, windows=1)  # an arrival on the very end
def test_a_ramp_is_one_even_change(first: float, last: float, seconds: float, windows: int) -> None:
    steps = _settings(shape="ramp", rates=(first, last), seconds=seconds, windows=windows).steps
    assert (steps[0].rate, len(steps)) == (first, windows)
    assert steps[-1].to == pytest.approx(last)
    assert sum(step.seconds for step in steps) == pytest.approx(seconds)
    assert all(a.to == b.rate and b.continues for a, b in pairwise(steps))
    due = drained(Arrivals(steps))
    assert len(due) == pytest.approx((first + last) / 2 * seconds, abs=windows + 1)
    assert due == sorted(due)
    assert len(due) == sum(step.arrivals for step in steps)


@given(first=RATES, last=RATES)
@example(first=300.0, last=299.99999999999994)  # so even that the usual root loses every digit
def test_arrivals_of_a_ramp_follow_its_rate(first: float, last: float) -> None:
    step = Step(10.0, first, last)
    for number in range(step.arrivals):
        due = step.due(number)
        expected = first * due + (last - first) * due**2 / 20  # the integral of the rate until then
        assert expected == pytest.approx(number, abs=1e-6 * max(1, number))
    assert step.due(step.arrivals + 1) >= step.seconds - 1e-6


def test_a_falling_ramp_has_a_last_arrival() -> None:
    step = Step(10.0, 100.0, 1.0)
    assert step.due(10_000) == math.inf
    assert len(drained(Arrivals([step]))) == step.arrivals


def test_what_a_window_leaves_over_is_owed_in_the_next() -> None:
    steps = _settings(shape="soak", rates=(10,), seconds=2, windows=2).steps
    arrivals = Arrivals(steps)
    assert [arrivals.take(1.5) for _ in range(11)] == pytest.approx([n / 10 for n in range(11)])
    assert arrivals.take(2.0) is None, "after the last window nothing is owed"


def test_a_spike_returns_to_the_usual_rate_and_is_not_judged() -> None:
    steps = _settings(shape="spike", rates=(10, 90), seconds=4, spike_seconds=2).steps
    assert [(step.rate, step.seconds, step.judged) for step in steps] == [
        (10, 4, True),
        (90, 2, False),
        (10, 4, True),
    ]
    assert [step.continues for step in steps] == [False, True, True]


def test_the_warm_up_owes_nothing_to_the_shape() -> None:
    steps = _settings(shape="ramp", rates=(20, 40), warmup_seconds=3).steps
    assert (steps[0].measured, steps[0].rate, steps[0].to) == (False, 20, None)
    assert not steps[1].continues
    assert steps[1].name == "ramp 1/10, 20 to 22 requests/s"


@given(st.lists(st.tuples(st.floats(0.5, 20), RATES, st.none() | RATES, st.booleans()), min_size=1))
def test_steps_survive_their_text(parts: list[tuple[float, float, float | None, bool]]) -> None:
    steps = tuple(Step(seconds, rate, to, continues=on) for seconds, rate, to, on in parts)
    assert steps_from_text(steps_to_text(steps)) == steps


@pytest.mark.parametrize(
    ("shape", "rates", "text"),
    [
        ("ramp", (10,), r"a ramp takes 2 rates \(the first and the last\), not 1"),
        ("soak", (), r"a soak takes 1 rate \(the one that is held\), not 0"),
        ("spike", (1, 2, 3), r"a spike takes 2 rates \(the usual one and the spike's\), not 3"),
        ("rampp", (1, 2), "shape is 'rampp'"),
    ],
)
def test_wrong_rates_for_a_shape_are_named(shape: str, rates: tuple[float, ...], text: str) -> None:
    with pytest.raises(InputError, match=text):
        _settings(shape=shape, rates=rates)
