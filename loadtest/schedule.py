"""When requests are due: steps of constant load, and the arrivals they make."""

from collections.abc import Sequence
from dataclasses import dataclass

from srec.errors import InputError


@dataclass(frozen=True)
class Step:
    """A stretch of time at one load; ``rate`` in requests/s, None: each user as fast as it gets answers."""

    seconds: float
    rate: float | None
    measured: bool = True

    @property
    def name(self) -> str:
        """How the step is called in progress and reports."""
        load = "as fast as answers come" if self.rate is None else f"{self.rate:g} requests/s"
        return load if self.measured else f"warm-up, {load}"


def steps_to_text(steps: Sequence[Step]) -> str:
    """``"5@max 30@1000"``: seconds at a rate, the form the Locust scenario reads."""
    return " ".join(f"{step.seconds!r}@{'max' if step.rate is None else repr(step.rate)}" for step in steps)


def steps_from_text(text: str) -> tuple[Step, ...]:
    """Read what ``steps_to_text`` writes; which steps are measured is not part of it."""
    return tuple(_step(part) for part in text.split())


def _step(part: str) -> Step:
    seconds, _, rate = part.partition("@")
    try:
        step = Step(float(seconds), None if rate == "max" else float(rate))
    except ValueError:
        step = Step(0, None)
    if not 0 < step.seconds < float("inf") or (step.rate is not None and not 0 < step.rate < float("inf")):
        raise InputError(
            f'load step "{part}" cannot be read: write SECONDS@RATE or SECONDS@max, like 30@1000'
        )
    return step


class Arrivals:
    """The moments at which one of ``workers`` processes owes a request, in seconds from the start.

    Arrivals of a step are spread evenly and dealt out to the processes in turn. What a slow server leaves
    over when a step ends is dropped, so that one step's backlog is not charged to the next.
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
            due = now if step.rate is None else self._due(step.rate)
            if now < end and due < end:
                self._taken += 1
                return max(due, self._begin)
            self._steps.pop(0)
            self._begin, self._taken = end, 0
        return None

    def _due(self, rate: float) -> float:
        return self._begin + (self._taken * self._workers + self._worker) / rate
