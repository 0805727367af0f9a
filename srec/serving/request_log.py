"""One JSON line a request, for whoever asks for it; off by default, and never with a click in it."""

import json
import logging
import os
from datetime import UTC, datetime
from typing import Final

from srec.errors import InputError, nearest
from srec.serving.observed import ObservedBatch

VARIABLE: Final = "SREC_LOG_LEVEL"
LEVELS: Final = {"warning": logging.WARNING, "info": logging.INFO}

log = logging.getLogger("srec.requests")


def request_log_level() -> int:
    """The level that the environment asks for, warning without a word.

    Raises:
        InputError: SREC_LOG_LEVEL is none of ``LEVELS``.
    """
    name = os.environ.get(VARIABLE) or "warning"
    if name.lower() not in LEVELS:
        raise InputError(f'{VARIABLE}="{name}"{nearest(name, LEVELS)}: use one of {", ".join(LEVELS)}')
    return LEVELS[name.lower()]


def write_request_log(batch: ObservedBatch) -> None:
    """Write a line for each request of a batch that has ended.

    The stages' milliseconds are those of the whole batch, which every request of it waited for.
    """
    milliseconds = {stage: round(seconds * 1000, 3) for stage, seconds in batch.seconds.items()}
    moment = datetime.fromtimestamp(batch.began_ns / 1e9, UTC).isoformat(timespec="milliseconds")
    for outcome in batch.outcomes:
        line = {
            "time": moment,
            "request_id": outcome.request_id,
            "status": outcome.status,
            "source": outcome.source,
            "clicks": outcome.clicks,
            "unknown": outcome.unknown,
            "truncated": outcome.truncated,
            "batch": len(batch.outcomes),
            "ms": milliseconds,
        }
        log.info("%s", json.dumps(line))
