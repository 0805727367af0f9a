"""A catalogue, settings and answers that load tests are tested with."""

from typing import Any

from srec.loadtest import LoadSettings, load_settings
from srec.loadtest.schedule import Arrivals

CATALOGUE = list(range(10, 2010, 10))


def settings_of(**values: Any) -> LoadSettings:
    """Settings for a server that is not there, changed key by key."""
    return load_settings({"url": "http://127.0.0.1:1", **values})


def answer_of(appids: list[int], first_rank: int = 1) -> dict[str, Any]:
    """What the service answers, as far as a load test reads it."""
    return {"items": [{"rank": rank, "appid": a} for rank, a in enumerate(appids, start=first_rank)]}


def drained(arrivals: Arrivals) -> list[float]:
    """When all requests of a schedule are due."""
    return list(iter(lambda: arrivals.take(0.0), None))
