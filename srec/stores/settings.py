"""Settings of a neighbour store over a network: model-config.yaml, overruled by the environment."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from srec.errors import InputError, nearest

DEADLINE, CACHE = "SREC_STORE_DEADLINE_MS", "SREC_STORE_CACHE_MB"


@dataclass(frozen=True)
class StoreSettings:
    """How a store over a network is asked.

    Attributes:
        deadline_ms: milliseconds that a fetch may wait for Redis in all; above 0.
        cache_mb: megabytes of rows that a worker keeps; 0 keeps none.
        pause_s: seconds that Redis is left alone after a failure; doubled with every further one. Above 0.
        longest_pause_s: seconds that a pause never exceeds; at least ``pause_s``.
        check_s: how often Redis is asked although every row is cached; above 0.
    """

    deadline_ms: float = 20.0
    cache_mb: float = 32.0
    pause_s: float = 0.5
    longest_pause_s: float = 10.0
    check_s: float = 5.0

    def __post_init__(self) -> None:
        for name in ("deadline_ms", "pause_s", "check_s"):
            if not getattr(self, name) > 0:
                raise InputError(
                    f"{name} of the neighbour store is {getattr(self, name)}: it must be above 0"
                )
        if not 0 <= self.cache_mb <= 1e6:
            raise InputError(f"cache_mb of the neighbour store is {self.cache_mb}: use 0 to 1000000")
        if not self.longest_pause_s >= self.pause_s:
            raise InputError(
                f"longest_pause_s of the neighbour store is {self.longest_pause_s}: "
                f"it must be at least pause_s, {self.pause_s}"
            )

    @classmethod
    def read(cls, section: Mapping[str, object], environment: Mapping[str, str]) -> Self:
        """Read the section ``srec.redis`` of model-config.yaml; set variables of the environment go first.

        Raises:
            InputError: an unknown setting, or a value that is no number or out of range.
        """
        known = [field.name for field in fields(cls)]
        values = dict(section)
        for name, variable in (("deadline_ms", DEADLINE), ("cache_mb", CACHE)):
            if environment.get(variable):
                values[name] = environment[variable]
        for name in values:
            if name not in known:
                raise InputError(
                    f'srec.redis of model-config.yaml has no setting "{name}"{nearest(name, known)}: '
                    f"use {', '.join(known)}"
                )
        return cls(**{name: _number(name, value) for name, value in values.items()})


def _number(name: str, value: object) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f'{name} of the neighbour store is "{value}": give a number')
    return number
