"""Read from TorchServe's log why a worker failed."""

import re
from itertools import takewhile

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


def worker_error(log: str) -> str | None:
    """``Type: message``, the last telling error of a worker that died; "" without one, None if none died."""
    if not _DIED.search(log):
        return None
    errors = [error for lines in _by_worker(log).values() for error in _errors(lines)]
    telling = [error for error in errors if not any(empty.match(error) for empty in _EMPTY_OF_MEANING)]
    return (telling or errors or [""])[-1]


def load_error(log: str) -> str | None:
    """Why Java itself refused the archive, None if it did not."""
    found = re.search(r"Failed to load model: .*\n(?P<cause>\S.*)", log)
    return found["cause"] if found else None


def _by_worker(log: str) -> dict[str, list[str]]:
    """What each worker wrote, by the name of the Java thread that read it."""
    lines: dict[str, list[str]] = {}
    for found in map(_LINE.match, log.splitlines()):
        if found and found["logger"] == "MODEL_LOG":
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
