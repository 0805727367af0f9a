"""How long a client waits, and how often it asks again."""

import random
from dataclasses import dataclass

from srec.errors import InputError


@dataclass(frozen=True)
class Timeouts:
    """Seconds; each is a value, none means "for ever".

    Attributes:
        connect: for a connection.
        read: between two arrivals of bytes of a response.
        total: for a call with all its retries and pauses.
    """

    connect: float = 1.0
    read: float = 2.0
    total: float = 5.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value < float("inf"):
                raise InputError(f"timeout {name} is {value}: give a positive number of seconds")


@dataclass(frozen=True)
class Retries:
    """Attempts, and the pauses between them: exponential, with full jitter, so that clients drift apart.

    Attributes:
        attempts: at most, the first included; 1 means no retry.
        first_pause: seconds, at most, before the second attempt; doubled for each further one.
        longest_pause: seconds, at most, before any.
    """

    attempts: int = 3
    first_pause: float = 0.05
    longest_pause: float = 1.0

    def __post_init__(self) -> None:
        if self.attempts < 1 or not 0 <= self.first_pause <= self.longest_pause < float("inf"):
            raise InputError(f"{self}: give at least 1 attempt, and 0 <= first_pause <= longest_pause")

    def pause(self, failures: int) -> float:
        """Seconds to wait after so many failures, at least one; drawn anew at every call."""
        doublings = min(failures - 1, 60)  # a float ends at about 1,000; no pause is so long
        return random.uniform(0, min(self.longest_pause, self.first_pause * 2.0**doublings))
