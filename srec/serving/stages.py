"""Where the time of a batch goes: graph, store, model, top-k."""

import time
from typing import Final

GRAPH, STORE, MODEL, TOP_K = "graph", "store", "model", "top_k"
STAGES: Final = (GRAPH, STORE, MODEL, TOP_K)


class Stages:
    """A stopwatch of laps; every lap is booked on one stage, and the sums are taken when somebody asks."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._mark = time.perf_counter()

    def start(self) -> None:
        """Begin a lap; what passed before belongs to no stage."""
        self._mark = time.perf_counter()

    def lap(self, stage: str) -> None:
        """Book the time since the last lap, or since the start, on ``stage``."""
        now = time.perf_counter()
        self.seconds[stage] += now - self._mark
        self._mark = now

    def take(self) -> dict[str, float]:
        """Return the seconds of each stage since they were last taken."""
        taken, self.seconds = self.seconds, dict.fromkeys(STAGES, 0.0)
        return taken
