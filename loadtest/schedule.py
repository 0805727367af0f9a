"""When requests are due: steps of load, and the arrivals they make."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from srec.errors import InputError


@dataclass(frozen=True)
class Step:
    """A stretch of time at one load, or at one that rises or falls evenly.

    Attributes:
        seconds: how long it lasts.
        rate: requests/s; None: each user as fast as it gets answers.
        to: requests/s at its end, where that is another.
        measured: whether it is reported; a warm-up is not.
        judged: whether thresholds hold for it; the top of a spike is only looked at.
        continues: what the step before leaves over is still owed, as by real visitors; else it is dropped,
            so that one step's backlog is not charged to the next.
        label: what it is of a longer shape.
    """

    seconds: float
    rate: float | None
    to: float | None = None
    measured: bool = True
    judged: bool = True
    continues: bool = False
    label: str = ""

    @property
    def name(self) -> str:
        """How the step is called in progress and reports."""
        load = "as fast as answers come" if self.rate is None else f"{self.rate:g} requests/s"
        if self.rate is not None and self.to is not None:
            load = f"{self.rate:g} to {self.to:g} requests/s"
        label = self.label if self.measured else "warm-up"
        return f"{label}, {load}" if label else load

    @property
    def mean_rate(self) -> float | None:
        """Requests/s offered on average."""
        return None if self.rate is None else (self.rate + (self.rate if self.to is None else self.to)) / 2

    @property
    def arrivals(self) -> int:
        """Requests that are due in it; 0 in a closed loop, where nothing is ever due."""
        return 0 if self.mean_rate is None else math.ceil(self.mean_rate * self.seconds - 1e-6)

    def due(self, number: int) -> float:
        """When arrival ``number`` (from 0) is due, in seconds from the step's begin; inf after its last."""
        if self.rate is None:
            raise ValueError("a closed loop has no arrivals")
        # rate * t + growth * t^2 arrivals are due until t; this form keeps its digits near growth 0.
        growth = 0.0 if self.to is None else (self.to - self.rate) / (2 * self.seconds)
        squared = self.rate**2 + 4 * growth * number
        return math.inf if squared < 0 else 2 * number / (self.rate + math.sqrt(squared))


def steps_to_text(steps: Sequence[Step]) -> str:
    """``"5@max 30@1000 +30@1000:2000"``: seconds at a rate (or from one to another); ``+`` continues.

    The form that the Locust scenario reads.
    """
    return " ".join(map(_text, steps))


def steps_from_text(text: str) -> tuple[Step, ...]:
    """Read what ``steps_to_text`` writes; what is measured, judged and how it is called is no part of it."""
    return tuple(_step(part) for part in text.split())


def _text(step: Step) -> str:
    load = "max" if step.rate is None else repr(step.rate)
    return f"{'+' * step.continues}{step.seconds!r}@{load}" + ("" if step.to is None else f":{step.to!r}")


def _step(part: str) -> Step:
    seconds, _, load = part.removeprefix("+").partition("@")
    rate, _, to = load.partition(":")
    try:
        step = Step(
            float(seconds),
            None if rate == "max" else float(rate),
            float(to) if to else None,
            continues=part.startswith("+"),
        )
    except ValueError:
        step = Step(0, None)
    numbers = (step.seconds, step.rate, step.to)
    if (rate == "max" and to) or not all(0 < value < math.inf for value in numbers if value is not None):
        raise InputError(
            f'load step "{part}" cannot be read: write SECONDS@RATE, SECONDS@RATE:RATE or SECONDS@max, '
            "like 30@1000"
        )
    return step


class Arrivals:
    """The moments at which one of ``workers`` processes owes a request, in seconds from the start.

    Arrivals of a step are spread by its rate and dealt out to the processes in turn.
    """

    def __init__(self, steps: Sequence[Step], worker: int = 0, workers: int = 1) -> None:
        self._steps = list(steps)
        self._worker, self._workers = worker, workers
        self._begin = 0.0
        self._taken = 0

    def take(self, now: float) -> float | None:
        """When the next request is due (it may be past already); None once all steps are over."""
        while self._steps:
            step = self._steps[0]
            end = self._begin + step.seconds
            number = self._taken * self._workers + self._worker
            is_left = step.rate is None or number < step.arrivals
            if is_left and (now < end or self._is_owed_later()):
                self._taken += 1
                return max(now if step.rate is None else self._begin + step.due(number), self._begin)
            self._steps.pop(0)
            self._begin, self._taken = end, 0
        return None

    def _is_owed_later(self) -> bool:
        return len(self._steps) > 1 and self._steps[1].continues and self._steps[0].rate is not None
