"""Shapes of load over time, each a row of steps."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from srec.loadtest.schedule import Step

Shape = Literal["step", "ramp", "soak", "spike"]
RATES: dict[Shape, tuple[int, str]] = {
    "ramp": (2, "the first and the last"),
    "soak": (1, "the one that is held"),
    "spike": (2, "the usual one and the spike's"),
}
"""How many rates a shape takes, and which; any other number is refused."""


def steps_at(rates: Sequence[float], seconds: float) -> tuple[Step, ...]:
    """One step after the other, each for ``seconds``; no rate at all is a closed loop."""
    return tuple(Step(seconds, rate) for rate in rates) or (Step(seconds, None),)


def ramp(first: float, last: float, seconds: float, windows: int) -> tuple[Step, ...]:
    """From one rate evenly to another in ``seconds``, reported in ``windows`` of equal length."""
    rates = [first + (last - first) * n / windows for n in range(windows + 1)]
    return tuple(
        Step(seconds / windows, begin, end, continues=n > 0, label=f"ramp {n + 1}/{windows}")
        for n, (begin, end) in enumerate(pairwise(rates))
    )


def soak(rate: float, seconds: float, windows: int) -> tuple[Step, ...]:
    """One rate held for ``seconds``, reported in ``windows``, so that a slow leak shows."""
    return tuple(
        Step(seconds / windows, rate, continues=n > 0, label=f"soak {n + 1}/{windows}")
        for n in range(windows)
    )


def spike(usual: float, top: float, seconds: float, spike_seconds: float) -> tuple[Step, ...]:
    """A sudden top between two stretches of the usual rate; the stretches are judged, the top is not.

    What the top leaves over is still owed after it, so the last stretch shows how the service recovers.
    """
    return (
        Step(seconds, usual, label="before the spike"),
        Step(spike_seconds, top, continues=True, judged=False, label="spike"),
        Step(seconds, usual, continues=True, label="after the spike"),
    )
