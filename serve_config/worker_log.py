"""Read from TorchServe's log why a worker failed."""

import re
import time
from collections.abc import Callable
from itertools import takewhile

SETTLE_SECONDS = 5.0

# The layout of log4j2.xml: 2026-01-31T12:00:00,000 INFO  MODEL_LOG [W-9000-srec_1.0-stdout] text
_LINE = re.compile(r"^\S+ [A-Z]+ +(?P<logger>\S+) \[(?P<thread>[^\]]*)\] ?(?P<text>.*)$")
# Python's own last words; Java's, when Python had none.
_DIED = re.compile(r"Backend worker process died\.|Load model failed: |Backend stream closed")
_TRACEBACK = "Traceback (most recent call last):"
# What TorchServe raises after the real error, and what says nothing without it.
_EMPTY_OF_MEANING = (
    re.compile(r"ModuleNotFoundError: No module named 'ts\.torch_handler"),
    re.compile(r"RuntimeError: \d{3} - "),
)


def worker_error(log: str, model: str = "") -> str | None:
    """``Type: message``, the last telling error of a worker that died; "" without one, None if none died.

    Args:
        log: of TorchServe.
        model: name and version as in ``srec_1.0``: listen to its workers only.
    """
    records = [
        found for found in map(_LINE.match, log.splitlines()) if found and _is_of(model, found["thread"])
    ]
    if not any(_DIED.search(found["text"]) for found in records):
        return None
    errors = [error for lines in _by_worker(records).values() for error in _errors(lines)]
    telling = [error for error in errors if not any(empty.match(error) for empty in _EMPTY_OF_MEANING)]
    return (telling or errors or [""])[-1]


def settled_error(read: Callable[[], str | None], limit: float = SETTLE_SECONDS) -> str:
    """What ``read`` says of a dead worker once its error is logged whole, in words where there is none.

    A worker logs that it dies before it logs why, and Java passes a traceback on line by line.
    """
    deadline = time.monotonic() + limit
    before, error = None, read()
    while time.monotonic() < deadline and (error != before or not error):
        time.sleep(0.5)
        before, error = error, read()
    return error or "it ended without a traceback (out of memory?)"


def load_error(log: str) -> str | None:
    """Why Java itself refused the archive, None if it did not."""
    found = re.search(r"Failed to load model: .*\n(?P<cause>\S.*)", log)
    return found["cause"] if found else None


def _is_of(model: str, thread: str) -> bool:
    """Whether a thread, W-9000-srec_1.0 or W-9000-srec_1.0-stdout, is of a worker of ``model``."""
    return not model or thread.removesuffix("-stdout").removesuffix("-stderr").endswith(f"-{model}")


def _by_worker(records: list[re.Match[str]]) -> dict[str, list[str]]:
    """What each worker wrote, by the name of the Java thread that read it."""
    lines: dict[str, list[str]] = {}
    for found in records:
        if found["logger"] == "MODEL_LOG":
            lines.setdefault(found["thread"], []).append(found["text"])
    return lines


def _errors(lines: list[str]) -> list[str]:
    """The text after the frames of each traceback, in order; chained ones count one by one."""
    errors: list[str] = []
    position = 0
    while _TRACEBACK in lines[position:]:
        position = lines.index(_TRACEBACK, position) + 1
        frames = takewhile(lambda line: line.startswith(" "), lines[position:])
        position += len(list(frames))
        message = list(takewhile(_belongs, lines[position:]))
        position += len(message)
        errors.append(" ".join(message[:5]))
    return errors


def _belongs(line: str) -> bool:
    """Whether a line continues the message of an exception: no blank, no next traceback, no next record."""
    return bool(line) and line != _TRACEBACK and not _DIED.match(line)
