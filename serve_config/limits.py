"""What an operator may limit by the environment, and what follows from it."""

import math
import os
from dataclasses import dataclass
from typing import Self

from srec.errors import InputError

BATCH = 32  # batchSize of model-config.yaml: a queue below it would refuse what one call answers


@dataclass(frozen=True)
class Limits:
    """Times and rates of one service; ``from_environment`` reads and checks them."""

    drain_seconds: float = 0.0
    """SREC_DRAIN_SECONDS: between "not ready" and the end, for load balancers to look elsewhere."""
    response_timeout: int | None = None
    """SREC_RESPONSE_TIMEOUT: seconds for one batch, then its worker is replaced; None: the archive's."""
    latency_target_ms: float = 250.0
    """SREC_LATENCY_TARGET_MS: who would wait longer in the queue is refused at once."""
    worker_rate: float = 500.0
    """SREC_WORKER_RATE: requests/s that one worker answers under load; `srec loadtest` measures it."""

    @classmethod
    def from_environment(cls) -> Self:
        """Read SREC_*; ``InputError`` names the setting and its bounds."""
        return cls(
            drain_seconds=_number("SREC_DRAIN_SECONDS", cls.drain_seconds, 0, 600),
            response_timeout=_whole("SREC_RESPONSE_TIMEOUT", 1, 600),
            latency_target_ms=_number("SREC_LATENCY_TARGET_MS", cls.latency_target_ms, 1, 60_000),
            worker_rate=_number("SREC_WORKER_RATE", cls.worker_rate, 1, 100_000),
        )

    def queue_size(self, workers: int) -> int:
        """Requests that may wait: as many as ``workers`` answer within the latency target."""
        return max(BATCH, math.ceil(workers * self.worker_rate * self.latency_target_ms / 1000))


def _whole(name: str, least: int, most: int) -> int | None:
    text = os.environ.get(name)
    if not text:
        return None
    if not text.isdecimal() or not least <= int(text) <= most:
        raise InputError(f'{name} is "{text}": give whole seconds from {least} to {most}')
    return int(text)


def _number(name: str, default: float, least: float, most: float) -> float:
    text = os.environ.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise InputError(f'{name} is "{text}": give a number from {least:g} to {most:g}')
    return value
